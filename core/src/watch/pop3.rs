//! POP3: replies are matched with the commands that asked for them, so that a message body is never read as a reply, and
//! deletions are remembered until QUIT commits them (RFC 1939 section 6).

use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::{String, ToString};

use super::framing::{DotEnd, LongLines};
use super::{Aftermath, Sign, ending, violation};
use crate::classify::{Phase, classify};
use crate::config::Protocol;
use crate::failure::Cause;
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
    /// A command worked since the login.
    proven: bool,
    quit: bool,
    /// The last line, where it was a refusal.
    fault: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    /// Its reply is one line.
    Short,
    /// Its reply goes on until the lone dot when it is positive.
    Long,
    Delete(u32),
    Reset,
    Quit,
}

impl Pop3Watch {
    pub(super) fn received(&mut self, bytes: &[u8]) -> Result<(), Sign> {
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
            self.reply(&line)?;
        }
    }

    fn reply(&mut self, line: &str) -> Result<(), Sign> {
        let positive = line.starts_with("+OK");
        if !positive && !line.starts_with("-ERR") {
            // Stalwart says `* BYE` on POP3 when it shuts down.
            return Err(if line.starts_with("* BYE") {
                ending(Protocol::Pop3, &[line])
            } else {
                violation("not-a-reply")
            });
        }
        let Some(command) = self.commands.pop_front() else {
            return Err(if positive {
                violation("unasked-reply")
            } else {
                ending(Protocol::Pop3, &[line])
            });
        };
        if !positive {
            return self.refusal(command, line);
        }
        self.fault = None;
        self.proven = true;
        match command {
            Command::Short | Command::Delete(_) => {}
            Command::Long => self.body = Some(DotEnd::new()),
            // RFC 1939 sections 5 and 6: RSET takes the deletions back, QUIT commits them.
            Command::Reset | Command::Quit => self.deletions.clear(),
        }
        Ok(())
    }

    fn refusal(&mut self, command: Command, line: &str) -> Result<(), Sign> {
        self.fault = Some(line.to_string());
        if let Command::Delete(number) = command {
            self.deletions.remove(&number);
        }
        let verdict = classify(Protocol::Pop3, Phase::MidSession, &[line]);
        let says_so = matches!(
            verdict.cause,
            Cause::IdleTimeout | Cause::Shutdown | Cause::SessionLimit | Cause::TokenExpired
        );
        // Gmail welcomes the client and then says that POP is off (wire.md 2.5).
        let switched_off = verdict.cause == Cause::ProtocolDisabled && !self.proven;
        if says_so || switched_off { Err(Sign::Ending(verdict, line.to_string())) } else { Ok(()) }
    }

    pub(super) fn sent(&mut self, bytes: &[u8]) -> Result<(), Sign> {
        let mut input = bytes;
        while let Some(command) = self.outgoing.take(&mut input, |line| Command::parse(line.start))
        {
            match command {
                Command::Delete(number) => {
                    self.deletions.insert(number);
                }
                Command::Quit => self.quit = true,
                Command::Short | Command::Long | Command::Reset => {}
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
        self.quit && self.deletions.is_empty()
    }

    pub(super) fn last_fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.commands.is_empty() && self.body.is_none() && !self.outgoing.is_within()
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
            // RFC 1939 sections 5 and 7: with a message number, LIST and UIDL answer in one line.
            ("LIST" | "UIDL" | "AUTH", None) | ("RETR" | "TOP" | "CAPA", _) => Self::Long,
            ("DELE", Some(number)) => number.parse().map_or(Self::Short, Self::Delete),
            ("RSET", _) => Self::Reset,
            ("QUIT", _) => Self::Quit,
            _ => Self::Short,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Watch;
    use super::*;
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
