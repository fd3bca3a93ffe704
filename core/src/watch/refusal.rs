//! What a refused command says of an end that comes behind it: rule 7 of the watch.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::failure::{Advice, Cause, Verdict};
use crate::limits::REPEATED_WORDS_MAX;

/// The last refusal before which nothing has worked since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Status and codes.
    codes: String,
    /// All of the line that is the server's own, while it is the last thing that was said.
    line: Option<String>,
    /// Microsoft's riddle, and nothing else: it stands in `codes`.
    not_connected: bool,
}

impl Refusal {
    /// `repeated`: what its text may repeat of the command; `None` where that is not known, and the text says nothing.
    pub(super) fn imap(status: &[u8], text: &[u8], repeated: Option<&Words>) -> Self {
        let status = String::from_utf8_lossy(status);
        let text = String::from_utf8_lossy(text);
        if is_not_connected(&status, &text) {
            let codes = [&*status, " ", &*text].concat();
            return Self { codes, line: None, not_connected: true };
        }
        let code = response_code(&text);
        let line = repeated.map(|words| {
            let rest = text.strip_prefix(code).unwrap_or(&text);
            [&*status, " ", code, &words.without(rest)].concat()
        });
        let codes = [&*status, " ", &bare_code(code)].concat();
        Self { codes, line, not_connected: false }
    }

    /// `speaks`: whether the words are of the server and of nobody else.
    pub(super) fn pop3(line: &str, speaks: bool) -> Self {
        let text = line.get("-ERR".len()..).unwrap_or_default();
        let codes = ["-ERR ", &bare_code(response_code(text.trim_start()))].concat();
        Self { codes, line: speaks.then(|| line.to_string()), not_connected: false }
    }

    /// `speaks` as above.
    pub(super) fn smtp(line: &str, speaks: bool) -> Self {
        let codes = reply_codes(line).to_string();
        Self { codes, line: speaks.then(|| line.to_string()), not_connected: false }
    }

    /// Something else was said behind it.
    pub(super) fn unsay(&mut self) {
        self.line = None;
    }

    pub(super) fn is_not_connected(&self) -> bool {
        self.not_connected
    }

    /// What of it is the server's own.
    pub(super) fn words(&self) -> &str {
        self.line.as_deref().unwrap_or(&self.codes)
    }

    pub(super) fn codes(&self) -> &str {
        &self.codes
    }

    /// Why the session ended behind it, if it tells.
    pub(super) fn verdict(&self, classify: impl Fn(&str) -> Verdict) -> Option<Verdict> {
        if self.not_connected {
            return Some(classify(&self.codes));
        }
        let of_words = self.line.as_deref().map(&classify).filter(is_wait);
        of_words.or_else(|| Some(classify(&self.codes)).filter(is_reason))
    }
}

/// All that words may lead to.
fn is_wait(verdict: &Verdict) -> bool {
    let of_server = matches!(
        verdict.cause,
        Cause::RateLimited | Cause::TooManyConnections | Cause::Unavailable | Cause::MailboxLocked
    );
    of_server && verdict.advice == Advice::BackOff
}

/// What codes may lead to: where a person must act, the next login says so too, and is not about one mailbox or message.
fn is_reason(verdict: &Verdict) -> bool {
    let heals = match verdict.advice {
        Advice::BackOff | Advice::Reconnect | Advice::RefreshToken => true,
        Advice::AskUser | Advice::FixConfiguration | Advice::GiveUp | Advice::Proceed => false,
    };
    heals && says_why(verdict)
}

/// Whether a verdict has a reason, or only says that it is over.
pub(super) fn says_why(verdict: &Verdict) -> bool {
    !matches!(
        verdict.cause,
        Cause::NoFault | Cause::SessionEnded | Cause::ConnectionLost | Cause::Unrecognized
    )
}

/// The text is this from its start to its end, so that no name in it can be the reason.
fn is_not_connected(status: &str, text: &str) -> bool {
    let text = text.trim().trim_end_matches('.');
    status.eq_ignore_ascii_case("BAD")
        && text.eq_ignore_ascii_case("User is authenticated but not connected")
}

/// `[CODE arguments]` at the start of a text (RFC 9051 section 7.1, RFC 2449 section 8).
fn response_code(text: &str) -> &str {
    let end = if text.starts_with('[') { text.find(']') } else { None };
    end.and_then(|at| text.get(..=at)).unwrap_or_default()
}

/// Arguments may be names.
fn bare_code(code: &str) -> String {
    match code.split_once(' ') {
        Some((code, _)) => [code, "]"].concat(),
        None => code.to_string(),
    }
}

/// The reply code, and the enhanced one behind it (RFC 3463), without the text.
pub(super) fn reply_codes(line: &str) -> &str {
    let text = line.get(4..).unwrap_or_default();
    let word = text.split(' ').next().unwrap_or_default();
    let is_code = word.contains('.') && word.chars().all(|one| one.is_ascii_digit() || one == '.');
    let length = if is_code { word.len().saturating_add(4) } else { 3 };
    line.get(..length).unwrap_or(line)
}

/// The words of a command that a reply may repeat. Only their hashes are kept: they may be private.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Words(Vec<u32>);

impl Words {
    /// `None` where they would not be found again: too many, or in an encoding that a reply may undo.
    pub(super) fn of(arguments: &str) -> Option<Self> {
        // RFC 3501 section 5.1.3: `&` begins the modified base64 of a mailbox name.
        if !arguments.is_ascii() || arguments.contains('&') {
            return None;
        }
        let words: Vec<u32> = words(arguments).map(hash).collect();
        (words.len() <= REPEATED_WORDS_MAX).then_some(Self(words))
    }

    fn without(&self, text: &str) -> String {
        if self.0.is_empty() {
            return text.to_string();
        }
        let mut kept = String::new();
        for piece in text.split_inclusive(|one: char| !one.is_ascii_alphabetic()) {
            let word = piece.trim_end_matches(|one: char| !one.is_ascii_alphabetic());
            let repeated = !word.is_empty() && self.0.contains(&hash(word));
            kept.push_str(if repeated { piece.strip_prefix(word).unwrap_or(piece) } else { piece });
        }
        kept
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|one: char| !one.is_ascii_alphabetic()).filter(|word| !word.is_empty())
}

/// FNV-1a, of the word in lower case.
fn hash(word: &str) -> u32 {
    word.bytes().fold(0x811c_9dc5, |hash, octet| {
        (hash ^ u32::from(octet.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_status_and_codes_apart_from_the_words() {
        let parts = |text: &str| {
            let refusal = Refusal::imap(b"NO", text.as_bytes(), Words::of("Too \"many\"").as_ref());
            (refusal.codes, refusal.line.unwrap())
        };
        let of = |codes: &str, line: &str| (codes.to_string(), line.to_string());
        assert_eq!(parts("[LIMIT] too many of it"), of("NO [LIMIT]", "NO [LIMIT]   of it"));
        assert_eq!(parts("[X many] tool"), of("NO [X]", "NO [X many] tool"));
        assert_eq!(parts("no [code]"), of("NO ", "NO no [code]"));
        assert_eq!(parts("[open"), of("NO ", "NO [open"));
        assert_eq!(Refusal::pop3("-ERR[SYS/TEMP] later", false).codes, "-ERR [SYS/TEMP]");
        assert_eq!(Refusal::pop3("-ERR", true).codes, "-ERR ");
    }

    #[test]
    fn only_the_codes_of_a_reply_about_mail_are_the_servers() {
        for (line, kept) in [
            ("550 5.1.1 <goodbye@x>: no", "550 5.1.1"),
            ("550 5.1.1", "550 5.1.1"),
            ("550 goodbye.", "550"),
            ("550 5 goodbye", "550"),
            ("550", "550"),
        ] {
            assert_eq!(reply_codes(line), kept);
        }
    }

    #[test]
    fn words_that_cannot_be_found_again_are_not_known() {
        assert_eq!(Words::of("(\\Seen) 1:5").map(|words| words.0.len()), Some(1));
        assert_eq!(Words::of("Entw&APw-rfe"), None);
        assert_eq!(Words::of("Entw\u{fc}rfe"), None);
        for (words, known) in [(REPEATED_WORDS_MAX, true), (REPEATED_WORDS_MAX + 1, false)] {
            assert_eq!(Words::of(&"a ".repeat(words)).is_some(), known);
        }
    }

    #[test]
    fn a_name_that_is_the_riddle_is_not_the_riddle() {
        let is = |status: &[u8], text: &[u8]| Refusal::imap(status, text, None).not_connected;
        assert!(is(b"BAD", b"User is authenticated but not connected."));
        assert!(is(b"bad", b"user is authenticated but not connected"));
        assert!(!is(b"NO", b"User is authenticated but not connected."));
        assert!(!is(b"BAD", b"no mailbox User is authenticated but not connected"));
        assert!(!is(b"BAD", b"User is authenticated but not connected: no such mailbox"));
    }
}
