//! Structure: a line of a reply taken apart into status, codes and text, before any word is looked at.

use alloc::string::{String, ToString};

use crate::config::Protocol;

/// What a line is, in the words that the three protocols share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// `OK`, `+OK`, `2yz`, `PREAUTH`.
    Positive,
    /// `NO`.
    No,
    /// `BAD`.
    Bad,
    /// `BYE`.
    Bye,
    /// `-ERR`.
    Err,
    /// `4yz`.
    Temporary,
    /// `5yz`.
    Permanent,
    /// `+` or `334`.
    Prompt,
    /// Anything else.
    Data,
}

impl Status {
    pub(super) const fn is_fault(self) -> bool {
        match self {
            Self::No | Self::Bad | Self::Bye | Self::Err | Self::Temporary | Self::Permanent => {
                true
            }
            Self::Positive | Self::Prompt | Self::Data => false,
        }
    }
}

/// Response codes of RFC 9051 section 7.1, RFC 5530, RFC 2221, RFC 2449, RFC 3206, and those that Gmail and Exchange have.
const CODES: &str = "\
    ALERT ALREADYEXISTS AUTH AUTHENTICATIONFAILED AUTHORIZATIONFAILED BADCHARSET CANNOT \
    CAPABILITY CLIENTBUG CLOSED CONTACTADMIN CORRUPTION EXPIRED IN-USE INUSE LIMIT LOGIN-DELAY \
    NONEXISTENT NOPERM NOTSAVED OVERQUOTA PARSE PERMANENTFLAGS PRIVACYREQUIRED READ-ONLY \
    REFERRAL SERVERBUG SYS/PERM SYS/TEMP TRYCREATE UNAVAILABLE UNKNOWN-CTE WEBALERT";

/// One line of a reply.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) status: Status,
    /// Whether it answers no command: `*`.
    pub(super) untagged: bool,
    /// Response code, or the SMTP reply code.
    pub(super) code: &'a str,
    /// What stands behind the response code in its brackets.
    pub(super) argument: &'a str,
    /// RFC 3463 status code.
    pub(super) enhanced: &'a str,
    /// The number at the end of Exchange's own sentences: `Connection is closed. 13`.
    pub(super) exchange: &'a str,
    pub(super) text: &'a str,
}

impl<'a> Line<'a> {
    pub(super) fn parse(protocol: Protocol, line: &'a str) -> Self {
        let parsed = match protocol {
            Protocol::Imap => Self::parse_imap(line),
            Protocol::Pop3 => Self::parse_pop3(line),
            Protocol::Smtp => return Self::parse_smtp(line),
        };
        parsed.with_exchange_code()
    }

    pub(super) fn with_exchange_code(self) -> Self {
        let exchange = if self.status.is_fault() { exchange_code(self.text) } else { "" };
        Self { exchange, ..self }
    }

    pub(super) const fn bare(status: Status, text: &'a str) -> Self {
        Self { status, untagged: false, code: "", argument: "", enhanced: "", exchange: "", text }
    }

    /// RFC 9051 section 7.1; the tag may be missing, as in the lines that mail libraries put into exceptions.
    fn parse_imap(line: &'a str) -> Self {
        if let Some(text) = line.strip_prefix('+') {
            return Self::bare(Status::Prompt, text);
        }
        let (first, rest) = split_word(line);
        let (second, after) = split_word(rest);
        match (imap_status(first), imap_status(second)) {
            (Some(status), _) => Self::with_response_code(status, rest),
            (None, Some(status)) => {
                Self { untagged: first == "*", ..Self::with_response_code(status, after) }
            }
            (None, None) => Self::bare(Status::Data, line),
        }
    }

    /// RFC 1939 section 3 and RFC 2449 section 8. Yahoo leaves out the space behind `-ERR`; Stalwart says `* BYE`.
    fn parse_pop3(line: &'a str) -> Self {
        if let Some(rest) = line.strip_prefix("-ERR") {
            Self::with_response_code(Status::Err, rest.trim_start())
        } else if let Some(rest) = line.strip_prefix("+OK") {
            Self::with_response_code(Status::Positive, rest.trim_start())
        } else if let Some(text) = line.strip_prefix('+') {
            Self::bare(Status::Prompt, text)
        } else if line.starts_with("* BYE") {
            Self::parse_imap(line)
        } else {
            Self::bare(Status::Data, line)
        }
    }

    /// RFC 5321 section 4.2 and RFC 2034.
    fn parse_smtp(line: &'a str) -> Self {
        let (Some(code), Some(text)) = (line.get(..3), line.get(3..)) else {
            return Self::bare(Status::Data, line);
        };
        let text = text.strip_prefix(['-', ' ']).unwrap_or(text);
        let Self { enhanced, text, .. } = Self::with_enhanced_code(Status::Data, text);
        let status = match code.as_bytes().first() {
            // Stalwart ends a login with 334 and an enhanced code: a refusal, not a prompt.
            Some(b'3') if enhanced.starts_with('5') => Status::Permanent,
            Some(b'3') if enhanced.starts_with('4') => Status::Temporary,
            Some(b'3') => Status::Prompt,
            Some(b'2') => Status::Positive,
            Some(b'4') => Status::Temporary,
            Some(b'5') => Status::Permanent,
            Some(_) | None => return Self::bare(Status::Data, line),
        };
        Self { code, enhanced, ..Self::bare(status, text) }
    }

    pub(super) fn with_enhanced_code(status: Status, text: &'a str) -> Self {
        let (first, rest) = split_word(text);
        let (enhanced, text) = if is_enhanced_code(first) { (first, rest) } else { ("", text) };
        Self { enhanced, ..Self::bare(status, text) }
    }

    pub(super) fn with_response_code(status: Status, text: &'a str) -> Self {
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let Some((inside, text)) = bracketed else { return Self::bare(status, text) };
        let (code, argument) = split_word(inside);
        Self { code, argument, ..Self::bare(status, text) }
    }

    /// RFC 2449 section 8: codes are a hierarchy, and unknown detail is to be ignored. `x.2.y` in a rule stands for any
    /// detail (RFC 3463 section 2), and `#13` for Exchange's number.
    pub(super) fn has_code(&self, code: &str) -> bool {
        if let Some(number) = code.strip_prefix('#') {
            return self.exchange == number;
        }
        if let Some(subject) = code.strip_prefix("x.").and_then(|rest| rest.strip_suffix(".y")) {
            return self.enhanced.split('.').nth(1) == Some(subject);
        }
        self.enhanced == code
            || self.code.eq_ignore_ascii_case(code)
            || (self.code.as_bytes().get(code.len()) == Some(&b'/')
                && self
                    .code
                    .get(..code.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(code)))
    }

    /// A response code that no document has, as words of the server: `[TOO-MANY-LOGINS]`.
    pub(super) fn code_in_words(&self) -> String {
        let is_name = |one: char| one.is_ascii_uppercase() || "-_/".contains(one);
        let known = CODES.split_whitespace().any(|code| self.has_code(code));
        if self.code.len() < 4 || known || !self.code.chars().all(is_name) {
            return String::new();
        }
        self.code.replace(['-', '_', '/'], " ") + "."
    }

    pub(super) fn code_text(&self) -> Option<String> {
        match (self.code, self.enhanced) {
            ("", "") => None,
            (code, "") => Some(code.to_ascii_uppercase()),
            ("", enhanced) => Some(enhanced.to_string()),
            (code, enhanced) => Some([code, enhanced].join(" ")),
        }
    }
}

fn imap_status(word: &str) -> Option<Status> {
    let is = |name: &str| word.eq_ignore_ascii_case(name);
    if is("OK") || is("PREAUTH") {
        Some(Status::Positive)
    } else if is("NO") {
        Some(Status::No)
    } else if is("BAD") {
        Some(Status::Bad)
    } else if is("BYE") {
        Some(Status::Bye)
    } else {
        None
    }
}

/// RFC 3463 section 2: class, subject and detail.
pub(crate) fn is_enhanced_code(word: &str) -> bool {
    let mut parts = word.split('.');
    let class = matches!(parts.next(), Some("2" | "4" | "5"));
    let number = |part: Option<&str>| {
        part.is_some_and(|digits| {
            (1..=3).contains(&digits.len()) && digits.bytes().all(|one| one.is_ascii_digit())
        })
    };
    class && number(parts.next()) && number(parts.next()) && parts.next().is_none()
}

/// Exchange ends its sentences with a number: two digits behind a full stop. Only an identifier may follow.
fn exchange_code(text: &str) -> &str {
    let behind =
        text.match_indices(". ").map(|(at, stop)| text.split_at(at.saturating_add(stop.len())).1);
    let numbers = behind.map(split_word).filter(|(number, rest)| {
        let (next, _) = split_word(rest.trim_start());
        number.len() == 2
            && number.bytes().all(|one| one.is_ascii_digit())
            && (next.is_empty() || !next.chars().all(char::is_alphabetic))
    });
    numbers.map(|(number, _)| number).last().unwrap_or_default()
}

fn split_word(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_compared_whole_or_up_to_a_slash() {
        let has = |line, code| Line::parse(Protocol::Pop3, line).has_code(code);
        assert!(has("-ERR [SYS/TEMP/X] a", "SYS/TEMP"));
        assert!(has("-ERR [sys/temp] a", "SYS/TEMP"));
        assert!(!has("-ERR [SYS/TEMPX] a", "SYS/TEMP"));
        assert!(has("-ERR[SYS/PERM] pop not allowed for user.", "SYS/PERM"));
        let has = |line, code| Line::parse(Protocol::Smtp, line).has_code(code);
        assert!(has("550 5.1.8 a", "x.1.y") && has("450 4.1.8 a", "x.1.y"));
        assert!(!has("550 5.7.1 a", "x.1.y") && !has("550 a", "x.1.y"));
    }

    #[test]
    fn a_code_that_no_document_has_is_words() {
        let words = |line| Line::parse(Protocol::Imap, line).code_in_words();
        assert_eq!(words("a NO [TOO-MANY_LOGINS] x"), "TOO MANY LOGINS.");
        let words = |line: &str| Line::parse(Protocol::Pop3, line).code_in_words();
        assert_eq!(words("-ERR [SYS/LOCKED] x"), "SYS LOCKED.");
        for none in
            ["[ALERT]", "[SYS/TEMP/X]", "[alert]", "[locked]", "[A1B2]", "[ABC]", "[A.B.C.D]", ""]
        {
            assert_eq!(words(&["-ERR ", none, " x"].concat()), "", "{none}");
        }
    }

    #[test]
    fn exchange_numbers_its_sentences() {
        let code = |line| Line::parse(Protocol::Imap, line).exchange;
        assert_eq!(code("* BYE Connection is closed. 13"), "13");
        assert_eq!(code("a BAD Command Error. 12"), "12");
        assert_eq!(code("a BAD Command Error. 12 [host id]"), "12");
        for none in [
            "a BAD Command Error 12",
            "a BAD Error. 123",
            "a BAD Error. 1x",
            "a BAD Wait. 15 minutes",
            "a OK x. 13",
        ] {
            assert_eq!(code(none), "", "{none}");
        }
    }

    #[test]
    fn an_enhanced_code_has_a_class_a_subject_and_a_detail() {
        for good in ["2.0.0", "4.7.0", "5.7.8", "5.123.999"] {
            assert!(is_enhanced_code(good), "{good}");
        }
        for bad in [
            "", "5", "5.7", "5.7.", "5..8", "3.7.8", "5.x.8", "5.7.x", "5.1234.1", "5.1.1234",
            "5.7.8.1",
        ] {
            assert!(!is_enhanced_code(bad), "{bad}");
        }
    }

    #[test]
    fn the_line_that_answers_a_command_is_told_from_one_that_does_not() {
        let untagged = |line| Line::parse(Protocol::Imap, line).untagged;
        assert!(untagged("* BAD what"));
        assert!(!untagged("A1 NO what") && !untagged("NO what"));
    }
}
