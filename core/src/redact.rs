//! Takes a secret out of text that a server sent back.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Deref;

/// Octets of a secret that must not be readable in a row: fewer are found by chance.
const FRAGMENT_OCTETS: usize = 8;

/// What stands in place of a secret.
const MASK: &str = "<token>";

/// Masks every run of characters that holds a part of a secret.
pub(crate) struct Redactor<'a, S> {
    secrets: &'a [S],
}

impl<'a, S: Deref<Target: AsRef<str>>> Redactor<'a, S> {
    pub(crate) fn new(secrets: &'a [S]) -> Self {
        Self { secrets }
    }

    /// Masks in each of the texts.
    pub(crate) fn redact_all(&self, texts: Vec<String>) -> Vec<String> {
        if !self.is_in(&texts) {
            return texts;
        }
        texts.into_iter().map(|text| self.redact(text)).collect()
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

    fn is_secret(&self, text: &str) -> bool {
        self.is_in(&[text])
    }

    /// Whether any window of a text is part of a secret, or a short secret stands in one whole.
    fn is_in(&self, texts: &[impl AsRef<str>]) -> bool {
        let windows = Windows::of(texts);
        self.secrets.iter().any(|secret| {
            let secret: &str = secret.deref().as_ref();
            if secret.len() < FRAGMENT_OCTETS {
                return !secret.is_empty()
                    && texts.iter().any(|text| text.as_ref().contains(secret));
            }
            !windows.sorted.is_empty() && fragments(secret).any(|window| windows.contains(window))
        })
    }
}

/// The windows of texts. A token has thousands of them to be looked up: most are known to be missing by one bit.
struct Windows {
    sorted: Vec<u64>,
    bits: [u64; 16],
}

impl Windows {
    fn of(texts: &[impl AsRef<str>]) -> Self {
        let mut sorted: Vec<u64> = texts.iter().flat_map(|text| fragments(text.as_ref())).collect();
        sorted.sort_unstable();
        let mut bits = [0; 16];
        for window in &sorted {
            let (word, bit) = Self::place(*window);
            if let Some(word) = bits.get_mut(word) {
                *word |= bit;
            }
        }
        Self { sorted, bits }
    }

    fn contains(&self, window: u64) -> bool {
        let (word, bit) = Self::place(window);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
            && self.sorted.binary_search(&window).is_ok()
    }

    const fn place(window: u64) -> (usize, u64) {
        let hash = window.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((hash >> 60) as usize, 1 << (hash >> 54 & 63))
    }
}

/// Every run of `FRAGMENT_OCTETS` octets, as a number.
fn fragments(text: &str) -> impl Iterator<Item = u64> {
    let windows = text.as_bytes().windows(FRAGMENT_OCTETS);
    windows.filter_map(|window| window.try_into().ok().map(u64::from_ne_bytes))
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
