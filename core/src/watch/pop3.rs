//! POP3: replies are matched with the commands that asked for them, so that a message body is never read as a reply, and
//! deletions are remembered until QUIT commits them (RFC 1939 section 6).

use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::{String, ToString};

use super::framing::{DotEnd, LongLines};
use super::refusal::Refusal;
use super::{Aftermath, Judge, Sign};
use crate::limits::{DELETIONS_MAX, PIPELINE_MAX};

/// What is watched in one session.
#[derive(Debug, Clone, Default)]
pub(super) struct Pop3Watch {
    incoming: LongLines,
    outgoing: LongLines,
    /// Commands whose reply has not come, in their order (RFC 2449 section 6.6, PIPELINING).
    commands: VecDeque<Command>,
    /// The reply goes on until the lone dot.
    body: Option<DotEnd>,
    deletions: BTreeSet<u32>,
    /// A command about the mailbox worked since the login.
    proven: bool,
    /// QUIT was answered well.
    left: bool,
    refusal: Option<Box<Refusal>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    /// NOOP and STAT: nothing that they ask for can be refused (RFC 1939 section 5).
    Plain,
    /// Its reply is one line.
    Short,
    /// Its reply goes on until the lone dot when it is positive.
    Long,
    Delete(u32),
    Reset,
    Quit,
    /// CAPA (RFC 2449), LANG and UTF8 (RFC 6856): it is about the server, and not about the mailbox.
    Extension {
        long: bool,
    },
    /// How a positive reply of it goes on is not known.
    Unknown,
}

impl Pop3Watch {
    pub(super) fn received(&mut self, bytes: &[u8], judge: &Judge) -> Result<(), Sign> {
        let mut input = bytes;
        loop {
            if let Some(body) = &mut self.body {
                if !body.take(&mut input) {
                    return Ok(());
                }
                self.body = None;
            }
            let Some(line) = self
                .incoming
                .take(&mut input, |line| String::from_utf8_lossy(line.start).to_string())
            else {
                return Ok(());
            };
            self.reply(&line, judge)?;
        }
    }

    fn reply(&mut self, line: &str, judge: &Judge) -> Result<(), Sign> {
        let positive = line.starts_with("+OK");
        if !positive && !line.starts_with("-ERR") {
            return Err(self.no_reply(line));
        }
        let Some(command) = self.commands.pop_front() else {
            return Err(if positive {
                Sign::Violation("unasked-reply")
            } else {
                Sign::Ending(line.to_string())
            });
        };
        if !positive {
            return self.refused(command, line, judge);
        }
        self.refusal = None;
        match command {
            Command::Plain | Command::Short | Command::Delete(_) => self.proven = true,
            Command::Long => {
                self.proven = true;
                self.body = Some(DotEnd::new());
            }
            // RFC 1939 sections 5 and 6: RSET takes the deletions back, QUIT commits them.
            Command::Reset => self.deletions.clear(),
            Command::Quit => {
                self.left = true;
                self.deletions.clear();
            }
            Command::Extension { long: true } => self.body = Some(DotEnd::new()),
            Command::Extension { long: false } => {}
            Command::Unknown => return Err(Sign::Doubt),
        }
        Ok(())
    }

    fn no_reply(&self, line: &str) -> Sign {
        if line.starts_with("* BYE") {
            // Stalwart says it on POP3 when it shuts down.
            Sign::Ending(line.to_string())
        } else if self.commands.front() == Some(&Command::Unknown) {
            // A challenge of AUTH, for one (RFC 5034 section 4).
            Sign::Doubt
        } else {
            Sign::Violation("not-a-reply")
        }
    }

    fn refused(&mut self, command: Command, line: &str, judge: &Judge) -> Result<(), Sign> {
        if let Command::Delete(number) = command {
            self.deletions.remove(&number);
        }
        let (unasked, of_mailbox) = match command {
            Command::Plain => (judge.is_farewell(line), true),
            Command::Reset => (judge.is_farewell(line), false),
            Command::Short | Command::Long | Command::Delete(_) => (false, true),
            Command::Quit | Command::Extension { .. } | Command::Unknown => (false, false),
        };
        if unasked {
            return Err(Sign::Ending(line.to_string()));
        }
        // The client writes numbers in a known command, and no words that a reply could repeat.
        let refusal = Refusal::pop3(line, command != Command::Unknown);
        // Gmail welcomes the client, and then says that POP3 is off.
        if of_mailbox && !self.proven && refusal.codes().eq_ignore_ascii_case("-ERR [SYS/PERM]") {
            let codes = refusal.codes().to_string();
            self.refusal = Some(Box::new(refusal));
            return Err(Sign::Ending(codes));
        }
        self.refusal = Some(Box::new(refusal));
        Ok(())
    }

    pub(super) fn sent(&mut self, bytes: &[u8]) -> Result<(), Sign> {
        let mut input = bytes;
        while let Some(command) = self.outgoing.take(&mut input, |line| Command::parse(line.start))
        {
            match command {
                Command::Delete(number) => {
                    self.deletions.insert(number);
                }
                Command::Plain
                | Command::Short
                | Command::Long
                | Command::Reset
                | Command::Quit
                | Command::Extension { .. }
                | Command::Unknown => {}
            }
            self.commands.push_back(command);
            if self.commands.len() > PIPELINE_MAX || self.deletions.len() > DELETIONS_MAX {
                return Err(Sign::Doubt);
            }
        }
        Ok(())
    }

    /// A QUIT that was cut before its answer has left deletions undone: that is no goodbye.
    pub(super) fn said_goodbye(&self) -> bool {
        let leaves = self.left || self.commands.contains(&Command::Quit);
        leaves && self.deletions.is_empty()
    }

    pub(super) fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_deref()
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.commands.is_empty() && self.body.is_none() && !self.outgoing.is_within()
    }

    /// NOOP, STAT and RSET are answered at once.
    pub(super) fn owes_prompt_answer(&self) -> bool {
        matches!(self.commands.front(), Some(Command::Plain | Command::Reset))
            && !self.outgoing.is_within()
    }

    pub(super) fn aftermath(&self) -> Aftermath {
        Aftermath::Pop3 { uncommitted_deletes: self.deletions.iter().copied().collect() }
    }
}

impl Command {
    fn parse(line: &[u8]) -> Self {
        let text = String::from_utf8_lossy(line);
        let mut words = text.split_ascii_whitespace();
        let name = words.next().unwrap_or_default().to_ascii_uppercase();
        let argument = words.next();
        match (name.as_str(), argument) {
            ("NOOP" | "STAT", _) => Self::Plain,
            // RFC 1939 sections 5 and 7: with a message number, LIST and UIDL answer in one line.
            ("LIST" | "UIDL", None) | ("RETR" | "TOP", _) => Self::Long,
            ("LIST" | "UIDL", Some(_)) => Self::Short,
            ("DELE", number) => {
                number.and_then(|one| one.parse().ok()).map_or(Self::Short, Self::Delete)
            }
            ("RSET", _) => Self::Reset,
            ("QUIT", _) => Self::Quit,
            // RFC 6856 section 3: without a language, LANG lists them.
            ("CAPA", _) | ("LANG", None) => Self::Extension { long: true },
            ("LANG", Some(_)) | ("UTF8", _) => Self::Extension { long: false },
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Watch;
    use super::*;
    use crate::config::Protocol;
    use crate::failure::Cause;
    use alloc::vec::Vec;

    fn deletions(watch: &Watch) -> Vec<u32> {
        match watch.aftermath() {
            Aftermath::Pop3 { uncommitted_deletes } => uncommitted_deletes,
            other @ (Aftermath::Imap { .. } | Aftermath::Smtp { .. }) => panic!("{other:?}"),
        }
    }

    #[test]
    fn content_that_looks_like_an_ending_is_content_at_every_cut() {
        let text = b"+OK 60 octets\r\nSubject: x\r\n\r\n-ERR session expired\r\n..\r\n+OK\r\n* BYE\r\n.\r\n+OK 1 1\r\n";
        for cut in 0..=text.len() {
            let mut watch = Watch::new(Protocol::Pop3);
            watch.sent(b"RETR 1\r\nSTAT\r\n");
            for piece in [&text[..cut], &text[cut..]] {
                assert_eq!(watch.received(piece).ending, None, "cut at {cut}");
            }
            assert!(watch.is_quiet(), "cut at {cut}");
        }
    }

    #[test]
    fn deletions_are_open_until_quit_is_answered() {
        let mut watch = Watch::new(Protocol::Pop3);
        watch.sent(b"DELE 3\r\nDELE 1\r\nDELE 9\r\n");
        watch.received(b"+OK\r\n+OK\r\n-ERR no such message\r\n");
        assert_eq!(deletions(&watch), [1, 3]);
        watch.sent(b"QUIT\r\n");
        assert_eq!(deletions(&watch), [1, 3]);
        watch.received(b"+OK bye\r\n");
        assert!(deletions(&watch).is_empty());
        assert_eq!(watch.closed().cause, Cause::NoFault);
    }

    #[test]
    fn rset_takes_them_back() {
        let mut watch = Watch::new(Protocol::Pop3);
        watch.sent(b"DELE 3\r\n");
        watch.received(b"+OK\r\n");
        watch.sent(b"RSET\r\n");
        watch.received(b"+OK\r\n");
        assert!(deletions(&watch).is_empty());
    }

    #[test]
    fn an_error_that_nobody_asked_for_ends_the_session() {
        let mut watch = Watch::new(Protocol::Pop3);
        let verdict = watch.received(b"-ERR Disconnected for inactivity.\r\n").ending.unwrap();
        assert_eq!(verdict.cause, Cause::IdleTimeout);
    }

    #[test]
    fn an_ordinary_refusal_does_not() {
        let mut watch = Watch::new(Protocol::Pop3);
        watch.sent(b"RETR 99\r\nLIST 99\r\n");
        assert_eq!(
            watch.received(b"-ERR no such message\r\n-ERR [SYS/TEMP] try again\r\n").ending,
            None
        );
        assert_eq!(watch.closed().cause, Cause::Unavailable);
    }

    #[test]
    fn the_words_of_a_refusal_end_nothing_and_are_no_reason() {
        let line = b"-ERR session expired, idle, shutting down, goodbye\r\n";
        for command in
            ["RETR 1", "TOP 1 0", "LIST", "UIDL 1", "DELE 1", "CAPA", "LANG", "UTF8", "AUTH", "FOO"]
        {
            let mut watch = Watch::new(Protocol::Pop3);
            watch.sent(alloc::format!("{command}\r\n").as_bytes());
            assert_eq!(watch.received(line).ending, None, "{command}");
            assert_eq!(watch.closed().rule, "closed", "{command}");
        }
    }

    #[test]
    fn what_cannot_be_refused_is_not_answered_by_a_refusal() {
        for command in ["NOOP", "STAT", "RSET"] {
            let mut watch = Watch::new(Protocol::Pop3);
            watch.sent(alloc::format!("{command}\r\n").as_bytes());
            assert_eq!(watch.clone().received(b"-ERR unknown command\r\n").ending, None);
            let verdict = watch.received(b"-ERR Disconnected for inactivity.\r\n").ending;
            assert_eq!(verdict.unwrap().cause, Cause::IdleTimeout, "{command}");
        }
    }

    #[test]
    fn a_reply_that_may_go_on_makes_it_silent_and_ends_nothing() {
        for (command, reply, silent) in [
            ("LANG", "+OK\r\nen English\r\n.\r\n", false),
            ("LANG en", "+OK en\r\n", false),
            ("UTF8", "+OK\r\n", false),
            ("DELE one", "+OK\r\n", false),
            ("HELP", "-ERR what\r\n", false),
            ("HELP", "+OK\r\nRETR\r\n.\r\n", true),
            ("XTND XLST Subject", "+OK\r\n1 hello\r\n.\r\n", true),
            ("STLS", "+OK\r\n\x16\x03\x03\n", true),
            ("AUTH", "+OK\r\nPLAIN\r\n.\r\n", true),
            ("AUTH CRAM-MD5", "+ PDE+\r\n", true),
        ] {
            let mut watch = Watch::new(Protocol::Pop3);
            watch.sent(alloc::format!("{command}\r\n").as_bytes());
            assert_eq!(watch.received(reply.as_bytes()).ending, None, "{command}");
            assert_eq!(watch.is_silent(), silent, "{command} {reply}");
            assert!(watch.is_quiet(), "{command} {reply}");
            assert_eq!(watch.received(b"* BYE\r\n").ending.is_none(), silent, "{command}");
        }
    }

    #[test]
    fn a_refused_quit_is_no_goodbye() {
        let mut watch = Watch::new(Protocol::Pop3);
        watch.sent(b"QUIT\r\n");
        assert_eq!(watch.clone().closed().cause, Cause::NoFault, "its answer was cut");
        watch.received(b"-ERR not removed\r\n");
        assert_eq!(watch.closed().cause, Cause::ConnectionLost);
    }

    #[test]
    fn an_extension_proves_nothing_and_switches_nothing_off() {
        let line = b"-ERR [sys/perm] POP3 is off\r\n";
        let mut watch = Watch::new(Protocol::Pop3);
        watch.sent(b"CAPA\r\nUTF8\r\nQUIT\r\nRSET\r\nLIST\r\n");
        watch.received(b"+OK\r\nUIDL\r\n.\r\n");
        for command in ["UTF8", "QUIT", "RSET"] {
            assert_eq!(watch.received(line).ending, None, "{command}");
        }
        assert_eq!(watch.received(line).ending.unwrap().cause, Cause::ProtocolDisabled);
    }

    #[test]
    fn gmails_refusal_after_the_welcome_is_the_first_reply_only() {
        let line = b"-ERR [SYS/PERM] Your account is not enabled for POP access.\r\n";
        let mut watch = Watch::new(Protocol::Pop3);
        watch.sent(b"STAT\r\n");
        assert_eq!(watch.received(line).ending.unwrap().cause, Cause::ProtocolDisabled);
        let mut watch = Watch::new(Protocol::Pop3);
        watch.sent(b"STAT\r\nRETR 1\r\n");
        watch.received(b"+OK 1 1\r\n");
        assert_eq!(watch.received(line).ending, None);
    }

    #[test]
    fn follows_so_many_commands_in_flight_and_no_more() {
        for (more, seen) in [(0, true), (1, false)] {
            let mut watch = Watch::new(Protocol::Pop3);
            watch.sent("NOOP\r\n".repeat(PIPELINE_MAX + more).as_bytes());
            assert_eq!(watch.received(b"* BYE\r\n").ending.is_some(), seen);
        }
    }

    #[test]
    fn remembers_so_many_deletions_and_no_more() {
        let mut watch = Watch::new(Protocol::Pop3);
        for number in 1..=DELETIONS_MAX {
            watch.sent(alloc::format!("DELE {number}\r\n").as_bytes());
            watch.received(b"+OK\r\n");
        }
        assert_eq!(deletions(&watch).len(), DELETIONS_MAX);
        let mut beyond = watch.clone();
        beyond.sent(b"DELE 1000000\r\n");
        assert_eq!(beyond.received(b"* BYE\r\n").ending, None, "on doubt it is silent");
        assert!(watch.received(b"* BYE\r\n").ending.is_some());
    }

    #[test]
    fn what_is_no_reply_ends_the_session() {
        let cause = |line: &[u8]| {
            let mut watch = Watch::new(Protocol::Pop3);
            watch.received(line).ending.map(|verdict| verdict.cause)
        };
        assert_eq!(cause(b"hello\r\n"), Some(Cause::ProtocolViolation));
        assert_eq!(cause(b"+OK that nobody asked for\r\n"), Some(Cause::ProtocolViolation));
        assert_eq!(cause(b"* BYE Server shutting down.\r\n"), Some(Cause::Shutdown));
    }

    #[test]
    fn is_quiet_when_every_reply_has_come_to_its_end() {
        let mut watch = Watch::new(Protocol::Pop3);
        watch.sent(b"RETR 1\r\n");
        assert!(!watch.is_quiet());
        watch.received(b"+OK 9 octets\r\n");
        assert!(!watch.is_quiet());
        watch.received(b"a\r\n.\r\n");
        assert!(watch.is_quiet());
    }
}
