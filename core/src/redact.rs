//! Takes a secret out of text that a server sent back.

use alloc::string::String;
use alloc::vec::Vec;

/// Octets of a secret that must not be readable in a row: fewer are found by chance.
const FRAGMENT_OCTETS: usize = 8;

/// What stands in place of a secret.
const MASK: &str = "<token>";

/// Masks every run of characters that holds a part of a secret.
pub(crate) struct Redactor<'a> {
    secrets: &'a [&'a str],
}

impl<'a> Redactor<'a> {
    pub(crate) fn new(secrets: &'a [&'a str]) -> Self {
        Self { secrets }
    }

    pub(crate) fn redact(&self, text: String) -> String {
        if !self.is_secret(&text) {
            return text;
        }
        let runs = text.split_inclusive(|one: char| !is_token_char(one)).map(|run| {
            let word = run.trim_end_matches(|one: char| !is_token_char(one));
            let end = run.get(word.len()..).unwrap_or_default();
            if self.is_secret(word) { [MASK, end] } else { [word, end] }
        });
        runs.flatten().collect()
    }

    /// Whether any window of the text is part of a secret, or a short secret stands in it whole.
    fn is_secret(&self, text: &str) -> bool {
        self.secrets.iter().any(|secret| {
            if secret.len() < FRAGMENT_OCTETS {
                return !secret.is_empty() && text.contains(secret);
            }
            let windows: Vec<&[u8]> = text.as_bytes().windows(FRAGMENT_OCTETS).collect();
            windows
                .into_iter()
                .any(|window| memchr::memmem::find(secret.as_bytes(), window).is_some())
        })
    }
}

/// Characters of base64 and of RFC 6750 tokens.
fn is_token_char(one: char) -> bool {
    one.is_ascii_alphanumeric() || "-._~+/=".contains(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_the_whole_and_the_parts() {
        let redactor = Redactor::new(&["ya29.SECRETSECRET", "dXNlcj1qb2U9PQ=="]);
        let text = "unknown: AUTH XOAUTH2 dXNlcj1qb2U9 and 9.SECRETS, not this";
        assert_eq!(
            redactor.redact(text.into()),
            "unknown: AUTH XOAUTH2 <token> and <token>, not this"
        );
        assert_eq!(redactor.redact("nothing here".into()), "nothing here");
        assert_eq!(Redactor::new(&["abc"]).redact("x abc y".into()), "x <token> y");
    }
}
