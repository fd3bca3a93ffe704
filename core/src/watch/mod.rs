//! After login: looks at the octets of both directions without altering or delaying them, and says when the server ends
//! the session, and what was in flight.
//!
//! Rules:
//!
//! 1. Message content means nothing: IMAP literals and quoted strings, POP3 retrievals and SMTP message text are framed
//!    and passed by, so that no sender of mail can end a session.
//! 2. On doubt it goes silent for the rest of the session: a healthy session is never declared dead for a guess.
//! 3. Memory is bounded whatever either side sends.
//! 4. Any split of the octets gives the same result.

mod framing;
mod imap;
mod pop3;
mod smtp;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::classify::{Phase, classify};
use crate::config::Protocol;
use crate::failure::{Advice, Cause, Certainty, Verdict};

pub use imap::Mailbox;
pub use smtp::Submission;

/// What a read brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sighting {
    /// The server ends the session, and why: reported once.
    pub ending: Option<Verdict>,
    /// Octets of message content that come next, which the host need not show: it may report them with
    /// [`Watch::skipped`] instead.
    pub skip: u64,
}

/// What was in flight, for the program that goes on with a new session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aftermath {
    /// IMAP.
    Imap {
        /// The mailbox that was selected.
        selected: Option<Mailbox>,
        /// Whether the client was waiting in IDLE.
        idling: bool,
        /// Commands without a tagged reply, as `tag name`: what they did is unknown.
        unanswered: Vec<String>,
    },
    /// POP3.
    Pop3 {
        /// Numbers of messages whose deletion was asked for and not committed by QUIT: a cut undoes it (RFC 1939
        /// section 6). The numbers are of the session that ended: find the messages again by UIDL.
        uncommitted_deletes: Vec<u32>,
    },
    /// SMTP.
    Smtp {
        /// The message that was being sent.
        submission: Submission,
    },
}

/// Watches one session, from the end of the login.
///
/// ```
/// use mailbearer::{Aftermath, Cause, Protocol, Watch};
/// let mut watch = Watch::new(Protocol::Imap);
/// watch.sent(b"A1 SELECT INBOX\r\n");
/// assert_eq!(watch.received(b"A1 OK [READ-WRITE] done\r\n").ending, None);
/// let sighting = watch.received(b"* BYE Session expired, please login again.\r\n");
/// assert_eq!(sighting.ending.unwrap().cause, Cause::SessionLimit);
/// let Aftermath::Imap { selected, .. } = watch.aftermath() else { panic!() };
/// assert_eq!(selected.unwrap().name, "INBOX");
/// ```
#[derive(Debug, Clone)]
pub struct Watch {
    protocol: Protocol,
    side: Side,
    /// What was reported.
    ending: Option<Verdict>,
    /// The line that said so.
    words: Option<Box<str>>,
    /// Rule 2.
    silent: bool,
}

#[derive(Debug, Clone)]
enum Side {
    Imap(imap::ImapWatch),
    Pop3(pop3::Pop3Watch),
    Smtp(smtp::SmtpWatch),
}

/// What a part of the watch tells.
#[derive(Debug)]
enum Sign {
    /// The server ends the session with this line.
    Ending(Verdict, String),
    /// The octets do not fit what was seen so far.
    Doubt,
}

impl Watch {
    /// A watch for a session that has just been logged in. Give it the `leftover` of the login first.
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        let side = match protocol {
            Protocol::Imap => Side::Imap(imap::ImapWatch::default()),
            Protocol::Pop3 => Side::Pop3(pop3::Pop3Watch::default()),
            Protocol::Smtp => Side::Smtp(smtp::SmtpWatch::default()),
        };
        Self { protocol, side, ending: None, words: None, silent: false }
    }

    /// Octets that came from the server. With COMPRESS (RFC 4978): after decompression.
    pub fn received(&mut self, bytes: &[u8]) -> Sighting {
        if self.silent || self.ending.is_some() {
            return Sighting::default();
        }
        let sign = match &mut self.side {
            Side::Imap(side) => side.received(bytes),
            Side::Pop3(side) => side.received(bytes),
            Side::Smtp(side) => side.received(bytes),
        };
        match sign {
            Ok(()) => Sighting { ending: None, skip: self.skip() },
            Err(Sign::Ending(verdict, line)) => {
                self.ending = Some(verdict.clone());
                self.words = Some(line).filter(|line| !line.is_empty()).map(Into::into);
                Sighting { ending: Some(verdict), skip: 0 }
            }
            Err(Sign::Doubt) => {
                self.silent = true;
                Sighting::default()
            }
        }
    }

    /// Octets of content that the host passed by, at most the last [`Sighting::skip`].
    pub fn skipped(&mut self, octets: u64) {
        match &mut self.side {
            Side::Imap(side) => side.skipped(octets),
            // These never offer to skip: a host that does all the same has lost step.
            Side::Pop3(_) | Side::Smtp(_) => self.silent |= octets > 0,
        }
    }

    /// Octets that the client wrote.
    pub fn sent(&mut self, bytes: &[u8]) {
        if self.silent || self.ending.is_some() {
            return;
        }
        let sign = match &mut self.side {
            Side::Imap(side) => side.sent(bytes),
            Side::Pop3(side) => side.sent(bytes),
            Side::Smtp(side) => side.sent(bytes),
        };
        self.silent |= sign.is_err();
    }

    /// The connection reached its end: why, as far as the octets tell. Where the server said nothing, the cause is
    /// [`Cause::ConnectionLost`], and the clock may know better.
    pub fn closed(&mut self) -> Verdict {
        let verdict = self.ending.clone().unwrap_or_else(|| self.verdict_at_end());
        self.ending = Some(verdict.clone());
        verdict
    }

    /// Why the session ends, once that is known.
    #[must_use]
    pub fn ending(&self) -> Option<&Verdict> {
        self.ending.as_ref()
    }

    /// The line with which the server ended the session, as it came; `None` where it ended without one.
    #[must_use]
    pub fn words(&self) -> Option<&str> {
        self.words.as_deref().or_else(|| match (&self.ending, &self.side) {
            (None, _) | (Some(_), Side::Imap(_)) => None,
            (Some(_), Side::Pop3(side)) => side.last_fault(),
            (Some(_), Side::Smtp(side)) => side.last_fault(),
        })
    }

    /// What was in flight.
    #[must_use]
    pub fn aftermath(&self) -> Aftermath {
        match &self.side {
            Side::Imap(side) => side.aftermath(),
            Side::Pop3(side) => side.aftermath(),
            Side::Smtp(side) => side.aftermath(),
        }
    }

    /// Whether nothing is in flight, so that the connection may be let go now.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        match &self.side {
            Side::Imap(side) => side.is_quiet(),
            Side::Pop3(side) => side.is_quiet(),
            Side::Smtp(side) => side.is_quiet(),
        }
    }

    fn skip(&self) -> u64 {
        match &self.side {
            Side::Imap(side) => side.literal_left(),
            Side::Pop3(_) | Side::Smtp(_) => 0,
        }
    }

    fn verdict_at_end(&self) -> Verdict {
        let (said_goodbye, last_fault) = match &self.side {
            Side::Imap(side) => (side.said_goodbye(), None),
            Side::Pop3(side) => (side.said_goodbye(), side.last_fault()),
            Side::Smtp(side) => (side.said_goodbye(), side.last_fault()),
        };
        if said_goodbye {
            return Verdict::new(Cause::NoFault, Advice::Proceed, Certainty::Inferred, "logout");
        }
        match last_fault {
            Some(line) => classify(self.protocol, Phase::Disconnect, &[line]),
            None => Verdict::new(
                Cause::ConnectionLost,
                Advice::Reconnect,
                Certainty::Inferred,
                "closed",
            ),
        }
    }
}

/// The sign of a server that ends the session with one line.
fn ending(protocol: Protocol, lines: &[&str]) -> Sign {
    let verdict = classify(protocol, Phase::Disconnect, lines);
    Sign::Ending(verdict, lines.last().map(ToString::to_string).unwrap_or_default())
}

fn violation(rule: &'static str) -> Sign {
    let verdict =
        Verdict::new(Cause::ProtocolViolation, Advice::Reconnect, Certainty::Inferred, rule);
    Sign::Ending(verdict, String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_is_reported_once_and_stays() {
        let mut watch = Watch::new(Protocol::Imap);
        assert_eq!(watch.ending(), None);
        let verdict = watch.received(b"* BYE Session expired\r\n").ending.unwrap();
        assert_eq!(verdict.cause, Cause::SessionLimit);
        assert_eq!(watch.received(b"* BYE again\r\n"), Sighting::default());
        watch.sent(b"a SELECT INBOX\r\n");
        assert!(watch.is_quiet(), "what is sent after it counts no more");
        assert_eq!(watch.ending(), Some(&verdict));
        assert_eq!(watch.closed(), verdict);
        assert_eq!(watch.words(), Some("* BYE Session expired"));
    }

    #[test]
    fn the_end_without_a_word_is_a_connection_lost_and_is_kept() {
        let mut watch = Watch::new(Protocol::Smtp);
        assert_eq!(watch.closed().cause, Cause::ConnectionLost);
        assert_eq!(watch.ending().map(|verdict| verdict.rule), Some("closed"));
        assert_eq!(watch.received(b"421 late\r\n").ending, None);
    }

    #[test]
    fn a_host_that_skips_where_there_is_nothing_to_skip_is_not_followed() {
        for (protocol, line) in
            [(Protocol::Pop3, b"-ERR bye\r\n".as_slice()), (Protocol::Smtp, b"421 bye\r\n")]
        {
            let mut watch = Watch::new(protocol);
            watch.skipped(0);
            assert!(watch.clone().received(line).ending.is_some());
            watch.skipped(1);
            assert_eq!(watch.received(line).ending, None);
        }
    }

    #[test]
    fn a_half_written_command_is_not_quiet() {
        for protocol in Protocol::ALL {
            let mut watch = Watch::new(protocol);
            assert!(watch.is_quiet());
            watch.sent(b"a NO");
            assert!(!watch.is_quiet(), "{protocol}");
        }
    }
}
