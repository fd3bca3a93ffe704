//! After login: looks at the octets of both directions without altering or delaying them, and says when the server ends
//! the session, and what was in flight.
//!
//! Rules:
//!
//! 1. Message content means nothing: IMAP literals and quoted strings, POP3 retrievals and SMTP message text are framed
//!    and passed by, so that no sender of mail can end a session.
//! 2. On doubt it goes silent for the rest of the session: a healthy session is never declared dead for a guess. So it
//!    does where the stream is lines no more: COMPRESS, STARTTLS, an exchange of SASL.
//! 3. Memory is bounded whatever either side sends.
//! 4. Any split of the octets gives the same result.
//! 5. Only structure ends a session: `BYE`, `421`, `530` (the server forgot the login, RFC 4954 section 6), a reply that
//!    nobody asked for, what is no reply. A refusal of what was asked ends nothing. Three are unasked for all that they
//!    stand behind a command:
//!    - POP3 and SMTP know no refusal of `NOOP`, `RSET` and POP3's `STAT`: one in its place crossed with the command,
//!      and ends the session where it says so.
//!    - A first command of POP3 that is answered `[SYS/PERM]` answers the login: POP3 is off for this mailbox.
//!    - Microsoft's "User is authenticated but not connected" answers whatever is asked: two in a row end the session.
//! 6. Words count in the lines of rule 5 alone, where they are of the server: all else may quote a name or a message.
//! 7. Where these lines give no reason, or the connection ends without one, the last refusal gives it, if nothing has
//!    worked since. Its codes count, but never to ask a person: what only a person can mend is refused at the next login
//!    too. Its words count where the end follows at once, and only to wait: for a limit or an outage. Words that the
//!    client has written in the command are taken out before, and refusals of mail (SMTP transactions, `APPEND`) have no
//!    words but those of `BAD`, which is about the protocol (RFC 9051 section 7.1.3).

mod aftermath;
mod alone;
mod framing;
mod imap;
mod pop3;
mod refusal;
mod smtp;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::classify::{Names, Phase, classify_named};
use crate::config::Protocol;
use crate::failure::{Advice, Cause, Certainty, Verdict};

use refusal::{Refusal, says_why};

pub(crate) use alone::{Told, with_refusal};

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
    judge: Judge,
    side: Side,
    /// What was reported.
    ending: Option<Box<Ending>>,
    /// Rule 2.
    silent: bool,
}

/// Why the session ends.
#[derive(Debug, Clone)]
struct Ending {
    verdict: Verdict,
    /// The line that says so.
    words: Option<Box<str>>,
}

/// Says what a line means.
#[derive(Debug, Clone)]
struct Judge {
    protocol: Protocol,
    /// Names that lines may hold.
    user: Box<str>,
    host: Box<str>,
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
    Ending(String),
    /// The server does not keep to the protocol: this rule.
    Violation(&'static str),
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
        let judge = Judge { protocol, user: Box::default(), host: Box::default() };
        Self { judge, side, ending: None, silent: false }
    }

    /// With the names that the server may say: they are no words of its own, whatever they mean.
    ///
    /// ```
    /// use mailbearer::{Names, Protocol, Watch};
    /// let names = Names { user: "idle@example.test", host: "imap.example.test" };
    /// let watch = Watch::new(Protocol::Imap).with_names(&names);
    /// assert!(watch.is_quiet());
    /// ```
    #[must_use]
    pub fn with_names(mut self, names: &Names<'_>) -> Self {
        self.judge.user = names.user.into();
        self.judge.host = names.host.into();
        self
    }

    /// Octets that came from the server.
    pub fn received(&mut self, bytes: &[u8]) -> Sighting {
        if self.silent || self.ending.is_some() {
            return Sighting::default();
        }
        let sign = match &mut self.side {
            Side::Imap(side) => side.received(bytes),
            Side::Pop3(side) => side.received(bytes, &self.judge),
            Side::Smtp(side) => side.received(bytes, &self.judge),
        };
        match sign {
            Ok(()) => Sighting { ending: None, skip: self.skip() },
            Err(Sign::Ending(line)) => {
                let (verdict, words) = self.verdict_of(&line);
                self.ends_with(verdict, Some(words))
            }
            Err(Sign::Violation(rule)) => self.ends_with(violation(rule), None),
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

    /// The connection reached its end: why, as far as the octets tell. Where they say nothing, and where the watch is
    /// silent, the cause is [`Cause::ConnectionLost`], and the clock may know better.
    pub fn closed(&mut self) -> Verdict {
        if self.ending.is_none() {
            let (verdict, words) = self.verdict_at_end();
            self.ending = Some(Box::new(Ending { verdict, words }));
        }
        self.ending().cloned().unwrap_or_else(closed)
    }

    /// Why the session ends, once that is known.
    #[must_use]
    pub fn ending(&self) -> Option<&Verdict> {
        self.ending.as_ref().map(|ending| &ending.verdict)
    }

    /// The line of the server that says why the session ends; `None` where none does.
    #[must_use]
    pub fn words(&self) -> Option<&str> {
        self.ending.as_ref().and_then(|ending| ending.words.as_deref())
    }

    /// What was in flight. Of a silent watch, what was in flight when it fell silent; and a message may have been sent
    /// since: [`Submission::Unknown`].
    #[must_use]
    pub fn aftermath(&self) -> Aftermath {
        let aftermath = match &self.side {
            Side::Imap(side) => side.aftermath(),
            Side::Pop3(side) => side.aftermath(),
            Side::Smtp(_) if self.silent => Aftermath::Smtp { submission: Submission::Unknown },
            Side::Smtp(side) => side.aftermath(),
        };
        aftermath.without_controls()
    }

    /// Whether the octets are followed no more: they did not fit what was seen, or they are lines no more (COMPRESS,
    /// STARTTLS). Then it is not known whether an answer is awaited, and nothing ends the session but its connection and
    /// the clock.
    ///
    /// ```
    /// use mailbearer::{Protocol, Watch};
    /// let mut watch = Watch::new(Protocol::Imap);
    /// watch.sent(b"A1 COMPRESS DEFLATE\r\n");
    /// assert!(!watch.is_silent());
    /// watch.received(b"A1 OK DEFLATE active\r\n");
    /// assert!(watch.is_silent() && watch.is_quiet());
    /// ```
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    /// Whether nothing is in flight, so that the connection may be let go now. A silent watch never says that something
    /// is.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        if self.silent {
            return true;
        }
        match &self.side {
            Side::Imap(side) => side.is_quiet(),
            Side::Pop3(side) => side.is_quiet(),
            Side::Smtp(side) => side.is_quiet(),
        }
    }

    /// Whether the server owes an answer that takes no time, as to NOOP and to DONE. A silent watch never says so.
    pub(crate) fn owes_prompt_answer(&self) -> bool {
        if self.silent {
            return false;
        }
        match &self.side {
            Side::Imap(side) => side.owes_prompt_answer(),
            Side::Pop3(side) => side.owes_prompt_answer(),
            Side::Smtp(side) => side.owes_prompt_answer(),
        }
    }

    fn skip(&self) -> u64 {
        match &self.side {
            Side::Imap(side) => side.literal_left(),
            Side::Pop3(_) | Side::Smtp(_) => 0,
        }
    }

    fn ends_with(&mut self, verdict: Verdict, words: Option<Box<str>>) -> Sighting {
        self.ending = Some(Box::new(Ending { verdict: verdict.clone(), words }));
        Sighting { ending: Some(verdict), skip: 0 }
    }

    /// Of a line with which the server ends the session.
    fn verdict_of(&self, line: &str) -> (Verdict, Box<str>) {
        let own = self.judge.verdict(line);
        let of_refusal = if says_why(&own) { None } else { self.verdict_of_refusal() };
        // Where only the codes of a refusal decide, its words are shown all the same.
        let refusal = self.refusal().filter(|refusal| refusal.codes() == line);
        let words = refusal.map_or(line, Refusal::words);
        of_refusal.unwrap_or_else(|| (own, words.into()))
    }

    fn refusal(&self) -> Option<&Refusal> {
        match &self.side {
            Side::Imap(side) => side.refusal(),
            Side::Pop3(side) => side.refusal(),
            Side::Smtp(side) => side.refusal(),
        }
    }

    fn verdict_of_refusal(&self) -> Option<(Verdict, Box<str>)> {
        let refusal = self.refusal()?;
        let verdict = refusal.verdict(|line| self.judge.verdict(line))?;
        Some((verdict, refusal.words().into()))
    }

    fn verdict_at_end(&self) -> (Verdict, Option<Box<str>>) {
        if self.silent {
            return (closed(), None);
        }
        let said_goodbye = match &self.side {
            Side::Imap(side) => side.said_goodbye(),
            Side::Pop3(side) => side.said_goodbye(),
            Side::Smtp(side) => side.said_goodbye(),
        };
        if said_goodbye {
            let (cause, advice) = (Cause::NoFault, Advice::Proceed);
            return (Verdict::new(cause, advice, Certainty::Inferred, "logout"), None);
        }
        let of_refusal = self.verdict_of_refusal().map(|(verdict, words)| (verdict, Some(words)));
        of_refusal.unwrap_or_else(|| (closed(), None))
    }
}

impl Judge {
    fn verdict(&self, line: &str) -> Verdict {
        let names = Names { user: &self.user, host: &self.host };
        classify_named(self.protocol, Phase::Disconnect, &[line], &names)
    }

    /// Whether a refusal of what cannot be refused says that the session is over, by its time or its server.
    fn is_farewell(&self, line: &str) -> bool {
        matches!(
            self.verdict(line).cause,
            Cause::IdleTimeout | Cause::Shutdown | Cause::SessionLimit | Cause::TokenExpired
        )
    }
}

/// An end without a word.
fn closed() -> Verdict {
    Verdict::new(Cause::ConnectionLost, Advice::Reconnect, Certainty::Inferred, "closed")
}

fn violation(rule: &'static str) -> Verdict {
    Verdict::new(Cause::ProtocolViolation, Advice::Reconnect, Certainty::Inferred, rule)
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
    fn a_refusal_before_the_end_is_its_reason_whichever_the_protocol() {
        for (protocol, command, refusal, farewell) in [
            (Protocol::Imap, "a SELECT INBOX", "a NO [LIMIT] no", "* BYE"),
            (Protocol::Imap, "a SELECT INBOX", "a BAD Request is throttled", "* BYE bye"),
            (Protocol::Pop3, "UIDL", "-ERR too many requests", "-ERR bye"),
            (Protocol::Smtp, "EHLO x", "450 too many requests", "554 bye"),
        ] {
            let mut watch = Watch::new(protocol);
            watch.sent(alloc::format!("{command}\r\n").as_bytes());
            let refusal = alloc::format!("{refusal}\r\n");
            assert_eq!(watch.received(refusal.as_bytes()).ending, None, "{protocol}");
            let verdict = watch.clone().closed();
            assert_eq!((verdict.cause, verdict.advice), (Cause::RateLimited, Advice::BackOff));
            let farewell = alloc::format!("{farewell}\r\n");
            let ending = watch.received(farewell.as_bytes()).ending;
            assert_eq!(ending, Some(verdict), "{protocol}");
        }
    }

    #[test]
    fn no_refusal_asks_a_person_or_is_believed_when_it_names_a_token() {
        for (protocol, command, refusal) in [
            (Protocol::Imap, "a SELECT x", "a NO [NOPERM] no"),
            (Protocol::Imap, "a SELECT x", "a NO [CONTACTADMIN] no"),
            (Protocol::Imap, "a SELECT x", "a NO token expired"),
            (Protocol::Imap, "a SELECT x", "a NO not enabled for x"),
            (Protocol::Pop3, "RETR 1\r\nRETR 1", "+OK\r\n.\r\n-ERR [SYS/PERM] no"),
            (Protocol::Pop3, "RETR 1", "-ERR token expired"),
            (Protocol::Smtp, "EHLO x", "550 token expired"),
            (Protocol::Smtp, "MAIL FROM:<x@y>", "550 5.7.1 no"),
        ] {
            let mut watch = Watch::new(protocol);
            watch.sent(alloc::format!("{command}\r\n").as_bytes());
            let refusal = alloc::format!("{refusal}\r\n");
            assert_eq!(watch.received(refusal.as_bytes()).ending, None, "{refusal}");
            assert_eq!(watch.closed().rule, "closed", "{refusal}");
        }
    }

    #[test]
    fn codes_of_a_refusal_may_name_the_token() {
        let mut watch = Watch::new(Protocol::Imap);
        watch.sent(b"a NOOP\r\n");
        watch.received(b"a NO [AUTHENTICATIONFAILED] no\r\n* 5 EXISTS\r\n");
        assert_eq!(watch.closed().advice, Advice::RefreshToken);
    }

    #[test]
    fn a_silent_watch_is_not_busy_and_knows_no_reason() {
        for (protocol, command, refusal) in [
            (Protocol::Imap, "a NOOP", "a NO [LIMIT] no"),
            (Protocol::Pop3, "UIDL", "-ERR too many requests"),
            (Protocol::Smtp, "EHLO x", "450 too many requests"),
        ] {
            let mut watch = Watch::new(protocol);
            watch.sent(alloc::format!("{command}\r\n{command}\r\n").as_bytes());
            watch.received(alloc::format!("{refusal}\r\n").as_bytes());
            assert!(!watch.is_silent() && !watch.is_quiet());
            watch.silent = true;
            assert!(watch.is_silent() && watch.is_quiet(), "{protocol}");
            assert_eq!(watch.closed().rule, "closed", "{protocol}");
        }
    }

    #[test]
    fn a_name_that_the_server_says_is_no_word_of_its_own() {
        let names = Names { user: "user@example.test", host: "imap.example.test" };
        let watch = Watch::new(Protocol::Imap).with_names(&names);
        assert_eq!((&*watch.judge.user, &*watch.judge.host), (names.user, names.host));
        let verdict = |watch: &Watch| watch.clone().received(b"* BYE Session expired\r\n").ending;
        assert_eq!(verdict(&watch), verdict(&Watch::new(Protocol::Imap)));
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

    #[test]
    fn harmless_words_are_answered_at_once_in_every_protocol() {
        for (protocol, command, slow, answer) in [
            (Protocol::Imap, "a NOOP\r\n", "b FETCH 1 BODY[]\r\n", "a OK\r\n"),
            (Protocol::Pop3, "NOOP\r\n", "RETR 1\r\n", "+OK\r\n"),
            (Protocol::Smtp, "NOOP\r\n", "MAIL FROM:<a@b>\r\n", "250 ok\r\n"),
        ] {
            let mut watch = Watch::new(protocol);
            assert!(!watch.owes_prompt_answer());
            watch.sent(slow.as_bytes());
            assert!(!watch.owes_prompt_answer(), "{protocol}");
            let mut watch = Watch::new(protocol);
            watch.sent(command.as_bytes());
            assert!(watch.owes_prompt_answer(), "{protocol}");
            let mut silent = watch.clone();
            silent.silent = true;
            assert!(!silent.owes_prompt_answer(), "a silent watch says nothing");
            watch.received(answer.as_bytes());
            assert!(!watch.owes_prompt_answer(), "{protocol}");
        }
    }
}
