//! Single lines of a session whose octets nobody shows: rules 5 to 7, where it is not known what was asked.

use super::refusal::{Refusal, Words, says_why};
use super::{Side, Watch};
use crate::failure::Verdict;

/// What a line is, by its structure.
enum Kind {
    /// `BYE`, `421`, `530`.
    Ending,
    Refusal(Refusal),
    /// Something worked.
    Positive,
    Other,
}

/// What a line tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The server ends the session.
    Ending(Verdict),
    /// It refused a command: why the session ended, if that is what follows.
    Refusal(Option<Verdict>),
    /// Something worked: what was refused before is no reason.
    Positive,
    Nothing,
}

impl Watch {
    /// What a single line tells. `last`: the connection ended behind it.
    pub(crate) fn line_alone(&self, line: &str, last: bool) -> Told {
        let line = line.trim();
        let kind = match self.side {
            Side::Imap(_) => imap(line),
            Side::Pop3(_) => pop3(line),
            Side::Smtp(_) => smtp(line),
        };
        match kind {
            Kind::Ending => Told::Ending(self.judge.verdict(line)),
            Kind::Refusal(mut refusal) => {
                if !last {
                    refusal.unsay();
                }
                Told::Refusal(refusal.verdict(|line| self.judge.verdict(line)))
            }
            Kind::Positive => Told::Positive,
            Kind::Other => Told::Nothing,
        }
    }
}

/// The reason of an end: its own words, or the refusal before it.
pub(crate) fn with_refusal(own: Verdict, refused: Option<Verdict>) -> Verdict {
    if says_why(&own) { own } else { refused.unwrap_or(own) }
}

/// A tagged refusal may repeat names of which nothing is known here; an untagged `BAD` is about the protocol.
fn imap(line: &str) -> Kind {
    let (tag, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (status, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let is = |name: &str| status.eq_ignore_ascii_case(name);
    let words = is("BAD").then(Words::default);
    match tag {
        "*" if is("BYE") => Kind::Ending,
        "*" if is("BAD") => refusal_of_imap(status, text, words.as_ref()),
        "*" | "+" => Kind::Other,
        _ if is("NO") || is("BAD") => refusal_of_imap(status, text, words.as_ref()),
        _ if is("OK") => Kind::Positive,
        _ => Kind::Other,
    }
}

fn refusal_of_imap(status: &str, text: &str, words: Option<&Words>) -> Kind {
    Kind::Refusal(Refusal::imap(status.as_bytes(), text.as_bytes(), words))
}

fn pop3(line: &str) -> Kind {
    if line.starts_with("-ERR") {
        Kind::Refusal(Refusal::pop3(line, true))
    } else if line.starts_with("+OK") {
        Kind::Positive
    } else {
        Kind::Other
    }
}

fn smtp(line: &str) -> Kind {
    let code = line.get(..3).filter(|code| code.bytes().all(|octet| octet.is_ascii_digit()));
    match (code, line.as_bytes().get(3)) {
        (Some("421" | "530"), None | Some(b' ' | b'-')) => Kind::Ending,
        (Some(code), None | Some(b' ' | b'-')) if code.starts_with(['4', '5']) => {
            Kind::Refusal(Refusal::smtp(line, false))
        }
        (Some(code), None | Some(b' ' | b'-')) if code.starts_with(['2', '3']) => Kind::Positive,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Protocol;
    use crate::failure::Cause;

    fn told(protocol: Protocol, line: &str, last: bool) -> (&'static str, Option<Cause>) {
        match Watch::new(protocol).line_alone(line, last) {
            Told::Ending(verdict) => ("ending", Some(verdict.cause)),
            Told::Refusal(verdict) => ("refusal", verdict.map(|verdict| verdict.cause)),
            Told::Positive => ("positive", None),
            Told::Nothing => ("nothing", None),
        }
    }

    #[test]
    fn only_structure_ends_a_session() {
        for (protocol, line, expected) in [
            (Protocol::Imap, "* BYE Session expired", ("ending", Some(Cause::SessionLimit))),
            (Protocol::Imap, "* bye", ("ending", Some(Cause::SessionEnded))),
            (Protocol::Imap, "* OK Session expired", ("nothing", None)),
            (Protocol::Imap, "* 1 FETCH (BODY {9}", ("nothing", None)),
            (Protocol::Imap, "* BYEBYE now", ("nothing", None)),
            (Protocol::Imap, "a NO no mailbox Session expired", ("refusal", None)),
            (Protocol::Imap, "a NO [UNAVAILABLE] x", ("refusal", Some(Cause::Unavailable))),
            (Protocol::Imap, "a OK Session expired", ("positive", None)),
            (Protocol::Pop3, "-ERR Session expired", ("refusal", None)),
            (Protocol::Pop3, "-ERR [SYS/TEMP] no", ("refusal", Some(Cause::Unavailable))),
            (Protocol::Pop3, "+OK goodbye", ("positive", None)),
            (Protocol::Pop3, "Session expired", ("nothing", None)),
            (Protocol::Smtp, "550 5.1.1 <session.expired@x> is no user", ("refusal", None)),
            (Protocol::Smtp, "250 OK", ("positive", None)),
            (Protocol::Smtp, "4212 too many", ("nothing", None)),
        ] {
            assert_eq!(told(protocol, line, false), expected, "{line}");
        }
        assert_eq!(told(Protocol::Smtp, "421 4.4.2 Timeout", false).0, "ending");
        assert_eq!(told(Protocol::Smtp, "530 5.7.0 Authentication required", false).0, "ending");
    }

    #[test]
    fn words_of_the_last_refusal_lead_to_waiting_and_to_nothing_else() {
        let throttled = "a BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds";
        assert_eq!(told(Protocol::Imap, throttled, false), ("refusal", None));
        assert_eq!(told(Protocol::Imap, throttled, true), ("refusal", Some(Cause::RateLimited)));
        let refused = "a NO Request is throttled";
        assert_eq!(told(Protocol::Imap, refused, true), ("refusal", None), "it may be a name");
        assert_eq!(told(Protocol::Pop3, "-ERR Session expired", true), ("refusal", None));
    }
}
