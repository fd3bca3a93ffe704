//! IMAP: literals are counted, tags are matched, and `* BYE` ends the session (RFC 9051 section 7.1.5).

mod command;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use command::{Announced, Command, Idling, Kind, announced_by_client};

use super::framing::{Line, LongLines};
use super::refusal::{Refusal, Words};
use super::{Aftermath, Sign};
use crate::limits::{PIPELINE_MAX, WATCHED_LINE_OCTETS_MAX};
use crate::reply::{LiteralEnd, literal_at_end};

/// The mailbox that a session had selected, with what is needed to find out what changed since.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mailbox {
    /// Its name as the client wrote it, in modified UTF-7 or UTF-8.
    pub name: String,
    /// Whether it was opened with EXAMINE, or the server said READ-ONLY.
    pub read_only: bool,
    /// UIDVALIDITY: while it is the same, UIDs still mean the same messages.
    pub uid_validity: Option<u32>,
    /// UIDNEXT at the time of the selection.
    pub uid_next: Option<u32>,
    /// HIGHESTMODSEQ at the time of the selection (RFC 7162).
    pub highest_mod_seq: Option<u64>,
}

/// What is watched in one session.
#[derive(Debug, Clone, Default)]
pub(super) struct ImapWatch {
    incoming: Stream,
    outgoing: Stream,
    commands: VecDeque<Command>,
    /// The command whose lines are being written.
    writing: Option<Command>,
    selected: Option<Mailbox>,
    idling: bool,
    /// The goodbye that LOGOUT asked for was said.
    left: bool,
    refusal: Option<Box<Refusal>>,
}

/// One direction.
#[derive(Debug, Clone, Default)]
struct Stream {
    lines: LongLines,
    literal_left: u64,
    /// The line continues what a literal interrupted.
    continued: bool,
    /// The client has announced a literal, and waits for leave to write it (RFC 9051 section 4.3).
    awaits_leave: bool,
    /// Octets of a mailbox's name that come in a literal, until its command is whole.
    name: Vec<u8>,
}

impl ImapWatch {
    pub(super) fn received(&mut self, bytes: &[u8]) -> Result<(), Sign> {
        let mut input = bytes;
        loop {
            self.incoming.skip_literal(&mut input);
            if !self.incoming.continued && !self.incoming.lines.is_within() {
                let before = input.len();
                pass_plain_data(&mut input);
                if input.len() < before {
                    unsay(&mut self.refusal);
                }
            }
            let Self { incoming, commands, writing, selected, idling, left, refusal, outgoing } =
                self;
            let continued = incoming.continued;
            let mut reader =
                Reader { commands, writing, selected, idling, left, refusal, outgoing };
            let Some(seen) = incoming.lines.take(&mut input, |line| reader.line(&line, continued))
            else {
                return Ok(());
            };
            match seen? {
                Some(octets) => {
                    self.incoming.literal_left = octets;
                    self.incoming.continued = true;
                }
                None => self.incoming.continued = false,
            }
        }
    }

    pub(super) fn sent(&mut self, bytes: &[u8]) -> Result<(), Sign> {
        let mut input = bytes;
        while !input.is_empty() {
            self.outgoing.awaits_leave = false;
            if self.outgoing.literal_left > 0 {
                let literal = self.outgoing.skip_literal(&mut input);
                if matches!(self.writing, Some(Command { kind: Kind::Select(_), .. })) {
                    let room = WATCHED_LINE_OCTETS_MAX.saturating_sub(self.outgoing.name.len());
                    self.outgoing.name.extend_from_slice(literal.get(..room).unwrap_or(literal));
                }
                continue;
            }
            let continued = self.outgoing.continued;
            let idling = self.idling;
            let Some((command, literal)) = self.outgoing.lines.take(&mut input, |line| {
                let command =
                    if continued { None } else { Some(Command::parse(line.start, idling)) };
                (command, announced_by_client(line.end))
            }) else {
                return Ok(());
            };
            self.command_line(command, literal)?;
        }
        Ok(())
    }

    fn command_line(
        &mut self,
        command: Option<Option<Command>>,
        literal: Option<Announced>,
    ) -> Result<(), Sign> {
        match command {
            Some(Some(command)) => self.writing = Some(command),
            // DONE: IDLE is over, and its tagged reply is awaited (RFC 2177).
            Some(None) => {
                self.idling = false;
                self.idle_becomes(Idling::Over);
            }
            None => {}
        }
        if let Some(literal) = literal {
            self.literal(literal);
            return Ok(());
        }
        self.outgoing.continued = false;
        let Some(mut command) = self.writing.take() else { return Ok(()) };
        let name = core::mem::take(&mut self.outgoing.name);
        match &mut command.kind {
            Kind::Select(mailbox) => mailbox.name.push_str(&String::from_utf8_lossy(&name)),
            Kind::Idle(_) => self.idling = true,
            Kind::Deselect
            | Kind::Logout
            | Kind::Append
            | Kind::Authenticate
            | Kind::Switch
            | Kind::Other => {}
        }
        if self.commands.capacity() == 0 {
            // Most clients have one command in flight: room for four would be a sixth of a session.
            self.commands.reserve_exact(1);
        }
        self.commands.push_back(command);
        if self.commands.len() > PIPELINE_MAX { Err(Sign::Doubt) } else { Ok(()) }
    }

    fn idle_becomes(&mut self, state: Idling) {
        let kinds = self.commands.iter_mut().rev().map(|command| &mut command.kind);
        if let Some(idle) = kinds.into_iter().find(|kind| matches!(kind, Kind::Idle(_))) {
            *idle = Kind::Idle(state);
        }
    }

    fn literal(&mut self, literal: Announced) {
        match &mut self.writing {
            Some(Command { kind: Kind::Append, .. }) => {}
            Some(command) => command.words = None,
            // The command was refused before, and no leave will come.
            None if literal.waits => {
                self.outgoing = Stream::default();
                return;
            }
            None => {}
        }
        self.outgoing.literal_left = literal.octets;
        self.outgoing.continued = true;
        self.outgoing.awaits_leave = literal.waits;
    }

    pub(super) fn skipped(&mut self, octets: u64) {
        self.incoming.literal_left = self.incoming.literal_left.saturating_sub(octets);
    }

    pub(super) fn literal_left(&self) -> u64 {
        self.incoming.literal_left
    }

    pub(super) fn said_goodbye(&self) -> bool {
        self.left || is_leaving(&self.commands)
    }

    pub(super) fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_deref()
    }

    pub(super) fn is_quiet(&self) -> bool {
        let is_waiting = |command: &Command| matches!(command.kind, Kind::Idle(Idling::Waiting));
        self.commands.iter().all(is_waiting)
            && !self.is_writing()
            && self.incoming.literal_left == 0
    }

    fn is_writing(&self) -> bool {
        self.writing.is_some() || self.outgoing.lines.is_within() || self.outgoing.continued
    }

    /// NOOP, IDLE and DONE are answered at once.
    pub(super) fn owes_prompt_answer(&self) -> bool {
        let is_prompt = |command: &Command| match command.kind {
            Kind::Idle(state) => state != Idling::Waiting,
            Kind::Other => command.name == "NOOP",
            Kind::Select(_)
            | Kind::Deselect
            | Kind::Logout
            | Kind::Append
            | Kind::Authenticate
            | Kind::Switch => false,
        };
        self.commands.front().is_some_and(is_prompt) && !self.is_writing()
    }

    pub(super) fn aftermath(&self) -> Aftermath {
        let in_flight = self.commands.iter().chain(&self.writing);
        Aftermath::Imap {
            selected: self.selected.clone(),
            idling: self.idling,
            unanswered: in_flight
                .map(|command| format!("{} {}", command.tag, command.name))
                .collect(),
        }
    }
}

impl Stream {
    fn skip_literal<'a>(&mut self, input: &mut &'a [u8]) -> &'a [u8] {
        let length = usize::try_from(self.literal_left).unwrap_or(usize::MAX).min(input.len());
        let (literal, rest) = input.split_at(length);
        *input = rest;
        self.literal_left = self.literal_left.saturating_sub(length as u64);
        literal
    }

    /// The command that is being written has its reply. RFC 7888 section 4: a literal that waits for no leave is written
    /// all the same, and one that has begun is written to its end.
    fn answered(&mut self) {
        if self.awaits_leave {
            *self = Self::default();
        }
        self.name = Vec::new();
    }
}

/// A goodbye was asked for, and neither said nor refused.
fn is_leaving(commands: &VecDeque<Command>) -> bool {
    commands.iter().any(|command| matches!(command.kind, Kind::Logout))
}

fn unsay(refusal: &mut Option<Box<Refusal>>) {
    if let Some(refusal) = refusal {
        refusal.unsay();
    }
}

/// Reads the lines of the server.
struct Reader<'a> {
    commands: &'a mut VecDeque<Command>,
    writing: &'a mut Option<Command>,
    selected: &'a mut Option<Mailbox>,
    idling: &'a mut bool,
    left: &'a mut bool,
    refusal: &'a mut Option<Box<Refusal>>,
    outgoing: &'a mut Stream,
}

impl Reader<'_> {
    /// Octets of the literal that the line announces.
    fn line(&mut self, line: &Line<'_>, continued: bool) -> Result<Option<u64>, Sign> {
        if continued {
            return announced(line.end);
        }
        match line.start {
            [b'*', b' ', first, ..] if !may_be_status(*first) => {
                unsay(self.refusal);
                announced(line.end)
            }
            [b'*', b' ', rest @ ..] => self.untagged(rest, line),
            [b'+', ..] => self.continuation().map(|()| None),
            tagged => self.tagged(tagged).map(|()| None),
        }
    }

    fn untagged(&mut self, rest: &[u8], line: &Line<'_>) -> Result<Option<u64>, Sign> {
        let (word, text) = split_word(rest);
        let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
        if is(b"BYE") {
            *self.left |= is_leaving(self.commands);
            let farewell = String::from_utf8_lossy(line.start);
            return if *self.left { Ok(None) } else { Err(Sign::Ending(farewell.to_string())) };
        }
        unsay(self.refusal);
        if is(b"OK") {
            self.note_code(text);
            return Ok(None);
        }
        // RFC 9051 section 7.1: text of a status is no place for a literal, whatever it ends in.
        if is(b"NO") || is(b"BAD") {
            // With a command in flight it is a warning about that; else nobody has asked, and it has its own words.
            if self.commands.is_empty() && self.writing.is_none() {
                let refusal = Refusal::imap(word, text, Some(&Words::default()));
                *self.refusal = Some(Box::new(refusal));
            }
            return Ok(None);
        }
        if is(b"PREAUTH") { Ok(None) } else { announced(line.end) }
    }

    /// RFC 9051 section 7.6: leave to write a literal, or a challenge of AUTHENTICATE, whose answer is no command.
    fn continuation(&mut self) -> Result<(), Sign> {
        unsay(self.refusal);
        let is_leave = core::mem::take(&mut self.outgoing.awaits_leave);
        match self.commands.back_mut().map(|command| &mut command.kind) {
            Some(Kind::Authenticate) => Err(Sign::Doubt),
            Some(Kind::Idle(state @ Idling::Asked)) if !is_leave => {
                *state = Idling::Waiting;
                Ok(())
            }
            Some(
                Kind::Select(_)
                | Kind::Deselect
                | Kind::Idle(_)
                | Kind::Logout
                | Kind::Append
                | Kind::Switch
                | Kind::Other,
            )
            | None => Ok(()),
        }
    }

    fn tagged(&mut self, line: &[u8]) -> Result<(), Sign> {
        let (tag, rest) = split_word(line);
        let (status, text) = split_word(rest);
        let is_tag = |command: &Command| command.tag.as_bytes() == tag;
        let command = match self.commands.iter().position(is_tag) {
            Some(at) => self.commands.remove(at),
            // A reply before the whole command was written.
            None if self.writing.as_ref().is_some_and(is_tag) => {
                self.outgoing.answered();
                self.writing.take()
            }
            // A line that answers no command that was seen: perhaps one from before the watch began.
            None => None,
        };
        let positive = status.eq_ignore_ascii_case(b"OK");
        if positive {
            *self.refusal = None;
        } else if status.eq_ignore_ascii_case(b"NO") || status.eq_ignore_ascii_case(b"BAD") {
            self.refused(status, text, line, command.as_ref())?;
        }
        match command.map(|command| command.kind) {
            Some(Kind::Select(mailbox)) => {
                let read_only = mailbox.read_only || starts_with_ignore_case(text, b"[READ-ONLY]");
                *self.selected = positive.then_some(Mailbox { read_only, ..*mailbox });
            }
            Some(Kind::Deselect) if positive => *self.selected = None,
            Some(Kind::Idle(_)) => *self.idling = false,
            Some(Kind::Logout) => *self.left |= positive,
            Some(Kind::Switch) if positive => return Err(Sign::Doubt),
            Some(
                Kind::Deselect | Kind::Append | Kind::Authenticate | Kind::Switch | Kind::Other,
            )
            | None => {}
        }
        Ok(())
    }

    /// Exchange may say once that it is not connected to the mailbox (MailKit #1496), and has it to every command if it
    /// is not.
    fn refused(
        &mut self,
        status: &[u8],
        text: &[u8],
        line: &[u8],
        command: Option<&Command>,
    ) -> Result<(), Sign> {
        let unasked = Words::default();
        let of_protocol = status.eq_ignore_ascii_case(b"BAD");
        let words = match command {
            Some(Command { kind: Kind::Append, words, .. }) => {
                words.as_ref().filter(|_| of_protocol)
            }
            Some(command) => command.words.as_ref(),
            None => Some(&unasked),
        };
        let refusal = Refusal::imap(status, text, words);
        let before = self.refusal.as_ref().is_some_and(|refusal| refusal.is_not_connected());
        if before && refusal.is_not_connected() {
            return Err(Sign::Ending(String::from_utf8_lossy(line).to_string()));
        }
        *self.refusal = Some(Box::new(refusal));
        Ok(())
    }

    /// `[UIDVALIDITY n]` and its like, while a mailbox is being selected.
    fn note_code(&mut self, text: &[u8]) {
        let selecting =
            self.commands.iter_mut().rev().find_map(|command| match &mut command.kind {
                Kind::Select(mailbox) => Some(mailbox),
                Kind::Deselect
                | Kind::Idle(_)
                | Kind::Logout
                | Kind::Append
                | Kind::Authenticate
                | Kind::Switch
                | Kind::Other => None,
            });
        let (Some(mailbox), Some(inside)) = (selecting, text.strip_prefix(b"[")) else { return };
        let inside = inside.split(|octet| *octet == b']').next().unwrap_or_default();
        let (code, number) = split_word(inside);
        let number = core::str::from_utf8(number).unwrap_or_default();
        if code.eq_ignore_ascii_case(b"UIDVALIDITY") {
            mailbox.uid_validity = number.parse().ok();
        } else if code.eq_ignore_ascii_case(b"UIDNEXT") {
            mailbox.uid_next = number.parse().ok();
        } else if code.eq_ignore_ascii_case(b"HIGHESTMODSEQ") {
            mailbox.highest_mod_seq = number.parse().ok();
        }
    }
}

/// Passes by whole lines of data that announce no literal: most of what a server sends, and nothing to look at.
fn pass_plain_data(input: &mut &[u8]) {
    while let [b'*', b' ', first, ..] = *input
        && !may_be_status(*first)
        && let Some(at) = memchr::memchr(b'\n', input)
        && let Some((line, rest)) = input.split_at_checked(at.saturating_add(1))
        && !matches!(line, [.., b'}', b'\r', b'\n'] | [.., b'}', b'\n'])
    {
        *input = rest;
    }
}

/// OK, NO, BAD, BYE, PREAUTH: data starts with a number, or with a name that begins with none of these letters, or is
/// looked at.
const fn may_be_status(first: u8) -> bool {
    matches!(first.to_ascii_uppercase(), b'O' | b'N' | b'B' | b'P')
}

fn announced(end: &[u8]) -> Result<Option<u64>, Sign> {
    match literal_at_end(end) {
        LiteralEnd::None => Ok(None),
        LiteralEnd::Octets(octets) => Ok(Some(octets)),
        LiteralEnd::Malformed => Err(Sign::Doubt),
    }
}

fn split_word(line: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b' ', line) {
        Some(at) => (
            line.get(..at).unwrap_or_default(),
            line.get(at.saturating_add(1)..).unwrap_or_default(),
        ),
        None => (line, &[]),
    }
}

fn starts_with_ignore_case(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
}

#[cfg(test)]
mod tests {
    use super::super::Watch;
    use super::*;
    use crate::config::Protocol;
    use crate::failure::Cause;

    fn state(watch: &Watch) -> (Option<Mailbox>, bool, Vec<String>) {
        match watch.aftermath() {
            Aftermath::Imap { selected, idling, unanswered } => (selected, idling, unanswered),
            other @ (Aftermath::Pop3 { .. } | Aftermath::Smtp { .. }) => panic!("{other:?}"),
        }
    }

    #[test]
    fn keeps_what_is_needed_to_select_again() {
        let mut watch = Watch::new(Protocol::Imap);
        watch.sent(b"a SELECT \"My \\\"Box\\\"\" (CONDSTORE)\r\n");
        let text = b"* 3 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [UIDNEXT 12] ok\r\n* OK [HIGHESTMODSEQ 99] ok\r\n\
                     a OK [READ-ONLY] done\r\n";
        assert_eq!(watch.received(text).ending, None);
        let mailbox = state(&watch).0.unwrap();
        assert_eq!((mailbox.name.as_str(), mailbox.read_only), ("My \"Box\"", true));
        assert_eq!(
            (mailbox.uid_validity, mailbox.uid_next, mailbox.highest_mod_seq),
            (Some(7), Some(12), Some(99))
        );
        watch.sent(b"b CLOSE\r\n");
        watch.received(b"b OK closed\r\n");
        assert_eq!(state(&watch).0, None);
    }

    #[test]
    fn a_select_that_fails_leaves_none_selected() {
        let mut watch = Watch::new(Protocol::Imap);
        watch.sent(b"a SELECT INBOX\r\n");
        watch.received(b"a OK in\r\n");
        watch.sent(b"b EXAMINE {4+}\r\nSent\r\n");
        assert_eq!(state(&watch).2, ["b EXAMINE"]);
        watch.received(b"b NO gone\r\n");
        assert_eq!(state(&watch), (None, false, Vec::new()));
        watch.sent(b"c SELECT {4}\r\n");
        watch.received(b"+ go\r\n");
        watch.sent(b"Se");
        watch.sent(b"nt\r\n");
        watch.received(b"c OK in\r\n");
        assert_eq!(state(&watch).0.unwrap().name, "Sent");
    }

    #[test]
    fn a_name_in_a_literal_is_the_same_at_every_cut_and_bounded() {
        let name = |text: &[u8], cut: usize| {
            let mut watch = Watch::new(Protocol::Imap);
            watch.sent(b"a SELECT {5000+}\r\n");
            watch.sent(&text[..cut]);
            watch.sent(&text[cut..]);
            watch.received(b"a OK in\r\n");
            state(&watch).0.unwrap().name
        };
        let text = ["\u{fc}".repeat(2_500).as_bytes(), b"\r\n"].concat();
        let whole = name(&text, 0);
        assert_eq!(whole.len(), WATCHED_LINE_OCTETS_MAX);
        for cut in [1, 3, 2_047, 2_048, 2_049, 4_999] {
            assert_eq!(name(&text, cut), whole, "cut at {cut}");
        }
    }

    #[test]
    fn idle_lasts_until_done() {
        let mut watch = Watch::new(Protocol::Imap);
        watch.sent(b"a IDLE\r\n");
        watch.received(b"+ idling\r\n* 4 EXISTS\r\n");
        assert_eq!(state(&watch), (None, true, Vec::from(["a IDLE".to_string()])));
        assert!(watch.is_quiet());
        watch.sent(b"DONE\r\n");
        assert!(!state(&watch).1);
        watch.received(b"a OK done\r\n");
        assert!(state(&watch).2.is_empty());
    }

    #[test]
    fn a_literal_that_the_server_refuses_is_not_awaited() {
        let mut watch = Watch::new(Protocol::Imap);
        watch.sent(b"a APPEND INBOX {1000}\r\n");
        assert_eq!(state(&watch).2, ["a APPEND"]);
        watch.received(b"a NO [OVERQUOTA] full\r\n");
        watch.sent(b"b SELECT INBOX\r\n");
        watch.received(b"b OK in\r\n");
        assert_eq!(state(&watch).0.unwrap().name, "INBOX");
    }

    #[test]
    fn content_that_looks_like_an_ending_is_content_at_every_cut() {
        let text = b"* 1 FETCH (BODY[] {44}\r\n* BYE Session invalidated - AccessTokenExpired FLAGS {3}\r\n* B \"* BYE x\")\r\n\
                     * 2 FETCH (ENVELOPE (NIL \"* BYE Session expired\" NIL))\r\n* OK bye {9}\r\na OK done\r\n";
        for cut in 0..=text.len() {
            let mut watch = Watch::new(Protocol::Imap);
            watch.sent(b"a FETCH 1:2 BODY[]\r\n");
            for piece in [&text[..cut], &text[cut..]] {
                assert_eq!(watch.received(piece).ending, None, "cut at {cut}");
            }
            assert!(state(&watch).2.is_empty(), "cut at {cut}");
        }
    }

    #[test]
    fn offers_to_skip_and_takes_the_rest_either_way() {
        let mut watch = Watch::new(Protocol::Imap);
        assert_eq!(watch.received(b"* 1 FETCH (BODY[] {1000}\r\nabc").skip, 997);
        watch.skipped(900);
        assert_eq!(watch.received(&[b'x'; 97]).skip, 0);
        assert_eq!(watch.received(b")\r\n* BYE\r\n").ending.unwrap().cause, Cause::SessionEnded);
    }

    #[test]
    fn a_goodbye_after_logout_is_no_ending() {
        let mut watch = Watch::new(Protocol::Imap);
        watch.sent(b"a LOGOUT\r\n");
        assert_eq!(watch.received(b"* BYE see you\r\na OK done\r\n").ending, None);
        assert_eq!(watch.closed().cause, Cause::NoFault);
    }

    #[test]
    fn not_connected_ends_it_the_second_time_or_with_the_goodbye() {
        let line = b"a BAD User is authenticated but not connected.\r\n";
        let mut watch = Watch::new(Protocol::Imap);
        watch.sent(b"a NOOP\r\n");
        assert_eq!(watch.received(line).ending, None);
        assert_eq!(
            watch.received(b"* BYE Connection closed. 14\r\n").ending.unwrap().cause,
            Cause::NotConnected
        );
        let mut watch = Watch::new(Protocol::Imap);
        assert_eq!(watch.received(line).ending, None);
        assert_eq!(watch.received(line).ending.unwrap().cause, Cause::NotConnected);
    }

    fn closed(talk: &[(&str, &str)]) -> Cause {
        let mut watch = Watch::new(Protocol::Imap);
        for (sent, received) in talk {
            watch.sent(sent.as_bytes());
            assert_eq!(watch.received(received.as_bytes()).ending, None, "{received}");
        }
        watch.closed().cause
    }

    #[test]
    fn the_last_refusal_is_remembered_with_its_wait() {
        let mut watch = Watch::new(Protocol::Imap);
        watch.sent(b"a SELECT INBOX\r\n");
        watch.received(
            b"a BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds\r\n",
        );
        let verdict = watch.clone().closed();
        assert_eq!((verdict.cause, verdict.wait_ms), (Cause::RateLimited, Some(299_961)));
        let ending = watch.received(b"* BYE Connection closed. 14\r\n").ending;
        assert_eq!(ending, Some(verdict));
    }

    #[test]
    fn two_that_are_not_connected_in_a_row_and_not_two_in_a_day() {
        let line = "a BAD User is authenticated but not connected.\r\n";
        assert_eq!(closed(&[("a NOOP\r\n", line)]), Cause::NotConnected);
        let talk = [("a NOOP\r\n", line), ("b NOOP\r\n", "b OK\r\n"), ("a NOOP\r\n", line)];
        assert_eq!(closed(&talk), Cause::NotConnected);
        assert_eq!(closed(&talk[..2]), Cause::ConnectionLost);
        let name = "a NO User is authenticated but not connected\r\n";
        assert_eq!(
            closed(&[("a SELECT x\r\n", name), ("a SELECT x\r\n", name)]),
            Cause::ConnectionLost
        );
    }

    #[test]
    fn words_count_where_the_end_follows_at_once() {
        let refusal = "a NO Server Unavailable. 15\r\n";
        assert_eq!(closed(&[("a NOOP\r\n", refusal)]), Cause::Unavailable);
        for more in ["* 5 EXISTS\r\n", "* BAD x\r\n", "* OK x\r\n", "+ go\r\n", "* NAMESPACE\r\n"] {
            let talk = [refusal, more].concat();
            assert_eq!(closed(&[("b IDLE\r\na NOOP\r\n", &talk)]), Cause::ConnectionLost, "{more}");
            let talk = [refusal, more].concat().replace("Server", "[UNAVAILABLE] Server");
            assert_eq!(closed(&[("b IDLE\r\na NOOP\r\n", &talk)]), Cause::Unavailable, "{more}");
        }
    }

    #[test]
    fn words_that_the_client_wrote_are_not_the_servers() {
        let refusal = "a BAD no such thing: too many connections\r\n";
        for (command, cause) in [
            ("a SELECT INBOX", Cause::TooManyConnections),
            ("a SELECT \"Too Many Connections\"", Cause::ConnectionLost),
            ("a SELECT {20+}\r\nToo Many Connections", Cause::ConnectionLost),
            ("a SELECT {20}\r\nToo Many Connections", Cause::ConnectionLost),
            ("a SEARCH SUBJECT {3+}\r\nToo SUBJECT \"Many Connections\"", Cause::ConnectionLost),
            ("a SELECT Stra&AN8-e", Cause::ConnectionLost),
            ("a APPEND Sent {20+}\r\nToo Many Connections", Cause::TooManyConnections),
            ("a APPEND {4+}\r\nSent {20+}\r\nToo Many Connections", Cause::ConnectionLost),
        ] {
            let command = [command, "\r\n"].concat();
            assert_eq!(closed(&[(&command, refusal)]), cause, "{command}");
        }
        let long = ["a UID FETCH ", &"1,".repeat(2_000), " (FLAGS)\r\n"].concat();
        assert_eq!(closed(&[(&long, refusal)]), Cause::ConnectionLost);
    }

    #[test]
    fn nothing_of_a_secret_is_kept() {
        for command in ["LOGIN user secret", "AUTHENTICATE PLAIN secret"] {
            let command = Command::parse(alloc::format!("a {command}").as_bytes(), false);
            assert_eq!(command.unwrap().words, None);
        }
    }

    #[test]
    fn a_message_that_is_refused_says_nothing() {
        for command in ["APPEND Sent", "REPLACE 4 Sent", "UID REPLACE 4 Sent"] {
            let command = alloc::format!("a {command} {{4+}}\r\ntext\r\n");
            let refusal = "a NO subject: too many connections\r\n";
            assert_eq!(closed(&[(&command, refusal)]), Cause::ConnectionLost, "{command}");
        }
    }

    #[test]
    fn a_refusal_that_nobody_asked_for_has_its_own_words() {
        let refusal = "* NO too many connections\r\n";
        assert_eq!(closed(&[("", refusal)]), Cause::TooManyConnections);
        assert_eq!(closed(&[("", &refusal.replace('*', "z"))]), Cause::TooManyConnections);
        assert_eq!(closed(&[("a FETCH 1 (FLAGS)\r\n", refusal)]), Cause::ConnectionLost);
        assert_eq!(closed(&[("a APPEND x {5}\r\n", refusal)]), Cause::ConnectionLost);
    }

    #[test]
    fn a_literal_that_waits_for_no_leave_is_written_although_it_was_refused() {
        let content = "x LOGOUT\r\ny SELECT z\r\n";
        let size = content.len();
        let literal = |mark: &str| alloc::format!("a APPEND INBOX {{{size}{mark}}}\r\n");
        for cut in 0..=content.len() {
            for leave in [false, true] {
                let mut watch = Watch::new(Protocol::Imap);
                watch.sent(literal(if leave { "" } else { "+" }).as_bytes());
                if leave {
                    watch.received(b"+ go\r\n");
                }
                watch.sent(&content.as_bytes()[..cut]);
                watch.received(b"a NO [TOOBIG] no\r\n");
                assert!(!watch.is_quiet(), "the rest is still to be written");
                assert!(state(&watch).2.is_empty());
                watch.sent(&content.as_bytes()[cut..]);
                watch.sent(b" {3+}\r\nb L\r\n");
                assert!(watch.is_quiet(), "cut at {cut}");
                watch.sent(b"c NOOP\r\n");
                assert_eq!(state(&watch).2, ["c NOOP"], "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_refused_literal_that_waits_for_leave_is_not_written() {
        for (before, refusal) in [
            ("a APPEND INBOX {9}\r\n", "a NO no\r\n"),
            ("a APPEND INBOX {0}\r\n", "a NO no\r\n"),
            ("a LOGIN {1+}\r\nx {9}\r\n", "a NO no\r\n"),
        ] {
            let mut watch = Watch::new(Protocol::Imap);
            watch.sent(before.as_bytes());
            watch.received(refusal.as_bytes());
            watch.sent(b"b NOOP\r\n");
            assert_eq!(state(&watch).2, ["b NOOP"], "{before}");
        }
        let mut watch = Watch::new(Protocol::Imap);
        watch.sent(b"a LOGIN {1+}\r\n");
        watch.received(b"a NO no\r\n");
        watch.sent(b"x {9}\r\n");
        watch.sent(b"b NOOP\r\n");
        assert_eq!(state(&watch).2, ["b NOOP"], "refused before it was announced");
    }

    #[test]
    fn what_is_written_of_a_refused_name_is_no_part_of_the_next() {
        let mut watch = Watch::new(Protocol::Imap);
        watch.sent(b"a SELECT {4+}\r\nSe");
        watch.received(b"a NO no\r\n");
        watch.sent(b"nt\r\nb SELECT {5+}\r\nINBOX\r\n");
        watch.received(b"b OK in\r\n");
        assert_eq!(state(&watch).0.unwrap().name, "INBOX");
    }

    #[test]
    fn what_is_no_session_of_lines_any_more_makes_it_silent() {
        for (command, reply, silent) in [
            ("COMPRESS DEFLATE", "a OK", true),
            ("compress deflate", "a ok", true),
            ("STARTTLS", "a OK", true),
            ("UNAUTHENTICATE", "a OK", true),
            ("AUTHENTICATE X", "+ ", true),
            ("COMPRESS DEFLATE", "a NO", false),
            ("AUTHENTICATE X", "a BAD", false),
            ("IDLE", "+ ", false),
        ] {
            let mut watch = Watch::new(Protocol::Imap);
            watch.sent(alloc::format!("a {command}\r\n").as_bytes());
            let reply = alloc::format!("{reply}\r\n* BYE\r\n");
            assert_eq!(watch.received(reply.as_bytes()).ending.is_none(), silent, "{command}");
            assert_eq!(watch.is_silent(), silent, "{command}");
        }
    }

    #[test]
    fn a_refused_logout_is_no_goodbye() {
        let mut watch = Watch::new(Protocol::Imap);
        watch.sent(b"a LOGOUT\r\n");
        assert_eq!(watch.clone().closed().cause, Cause::NoFault, "its answer was cut");
        let mut said = watch.clone();
        said.received(b"* BYE\r\na BAD odd\r\n");
        assert_eq!(said.closed().cause, Cause::NoFault, "it was said before");
        watch.received(b"a BAD what\r\n");
        assert_eq!(watch.clone().closed().cause, Cause::ConnectionLost);
        assert!(watch.clone().received(b"* BYE\r\n").ending.is_some());
        watch.sent(b"b LOGOUT\r\n");
        watch.received(b"b OK\r\n");
        assert_eq!(watch.closed().cause, Cause::NoFault);
    }

    fn ends(pieces: &[&str]) -> bool {
        let mut watch = Watch::new(Protocol::Imap);
        pieces.iter().any(|piece| watch.received(piece.as_bytes()).ending.is_some())
    }

    #[test]
    fn a_line_that_goes_on_is_not_taken_for_one_that_begins() {
        assert!(ends(&["* 1 X {3}\r\nabc* 2 Y\r\n* BYE\r\n"]), "behind a literal");
        assert!(ends(&["* BYE ", "* 1 x\r\n"]), "behind a cut");
        assert!(!ends(&["* 1 X {3}\r\nabc", "* BYE\r\n"]), "a literal goes on");
    }

    #[test]
    fn the_text_of_a_status_announces_no_literal() {
        for text in
            ["* OK x {9}", "* NO x {9}", "* BAD x {9}", "* PREAUTH x {9}", "+ x {9}", "z OK x {9}"]
        {
            assert!(ends(&[text, "\r\n* BYE\r\n"]), "{text}");
        }
        assert!(!ends(&["* X {-1}\r\n* BYE\r\n"]), "on doubt it is silent");
    }

    #[test]
    fn names_commands_by_the_words_of_the_protocol_only() {
        let mut watch = Watch::new(Protocol::Imap);
        watch.sent(b"a uid fetch 1 x\r\nb X1-SECRET 5\r\nc ENABLE\r\nDONE\r\n");
        assert_eq!(state(&watch).2, ["a UID FETCH", "b XSECRET", "c ENABLE", "DONE "]);
        let long = ["d ", &"A".repeat(99), "\r\n"].concat();
        let mut watch = Watch::new(Protocol::Imap);
        watch.sent(long.as_bytes());
        assert_eq!(state(&watch).2, [["d ", &"A".repeat(24)].concat()]);
    }

    #[test]
    fn what_is_sent_in_idle_and_is_no_done_is_a_command() {
        let mut watch = Watch::new(Protocol::Imap);
        watch.sent(b"a IDLE\r\nb NOOP\r\n");
        assert_eq!(state(&watch).2, ["a IDLE", "b NOOP"]);
        assert!(state(&watch).1 && !watch.is_quiet());
    }

    #[test]
    fn a_mailbox_is_read_only_when_either_side_says_so() {
        for (command, reply, read_only) in [
            ("SELECT", "OK [READ-WRITE] in", false),
            ("SELECT", "OK in", false),
            ("SELECT", "OK [read-only] in", true),
            ("EXAMINE", "OK in", true),
        ] {
            let mut watch = Watch::new(Protocol::Imap);
            watch.sent(format!("a {command} INBOX\r\n").as_bytes());
            watch.received(format!("a {reply}\r\n").as_bytes());
            assert_eq!(state(&watch).0.unwrap().read_only, read_only, "{command} {reply}");
        }
    }

    #[test]
    fn a_refused_close_leaves_the_mailbox_selected() {
        let mut watch = Watch::new(Protocol::Imap);
        watch.sent(b"a SELECT INBOX\r\n");
        watch.received(b"a OK in\r\n");
        watch.sent(b"b UNSELECT\r\n");
        watch.received(b"b BAD what\r\n");
        assert_eq!(state(&watch).0.unwrap().name, "INBOX");
    }

    #[test]
    fn an_answer_to_another_command_leaves_the_one_that_is_written() {
        let mut watch = Watch::new(Protocol::Imap);
        watch.sent(b"a APPEND INBOX {10}\r\n");
        watch.received(b"z OK of old\r\n");
        assert_eq!(state(&watch).2, ["a APPEND"]);
        assert!(!watch.is_quiet());
    }

    #[test]
    fn follows_so_many_commands_in_flight_and_no_more() {
        for (more, seen) in [(0, true), (1, false)] {
            let mut watch = Watch::new(Protocol::Imap);
            watch.sent("a NOOP\r\n".repeat(PIPELINE_MAX + more).as_bytes());
            assert_eq!(watch.received(b"* BYE\r\n").ending.is_some(), seen);
        }
    }

    #[test]
    fn an_idle_is_quiet_only_while_the_server_waits() {
        let mut watch = Watch::new(Protocol::Imap);
        let is = |watch: &Watch| (watch.is_quiet(), watch.owes_prompt_answer());
        assert_eq!(is(&watch), (true, false));
        watch.sent(b"a IDLE\r\n");
        assert_eq!(is(&watch), (false, true), "not acknowledged");
        watch.received(b"* 5 EXISTS\r\n");
        assert_eq!(is(&watch), (false, true), "data is no leave");
        watch.received(b"+ idling\r\n");
        assert_eq!(is(&watch), (true, false));
        watch.sent(b"DO");
        assert_eq!(is(&watch), (false, false), "half a word");
        watch.sent(b"NE\r\n");
        assert_eq!(is(&watch), (false, true), "DONE has no answer");
        watch.received(b"a OK done\r\n");
        assert_eq!(is(&watch), (true, false));
        // Once more, with a refusal, and behind a literal whose leave is no leave to wait.
        watch.sent(b"b IDLE\r\n");
        watch.received(b"b BAD what\r\n");
        assert_eq!(is(&watch), (true, false));
        watch.sent(b"c APPEND x {3}\r\n");
        watch.received(b"+ go on\r\n");
        watch.sent(b"abc\r\nd IDLE\r\n");
        assert_eq!(is(&watch), (false, false), "the message comes first");
        watch.received(b"c OK\r\n");
        assert_eq!(is(&watch), (false, true));
        watch.received(b"+ idling\r\n");
        assert_eq!(is(&watch), (true, false));
    }

    #[test]
    fn a_noop_is_answered_at_once_and_a_search_is_not() {
        for (command, prompt) in [("NOOP", true), ("noop", true), ("SEARCH ALL", false)] {
            let mut watch = Watch::new(Protocol::Imap);
            watch.sent(format!("a {command}\r\n").as_bytes());
            assert_eq!(watch.owes_prompt_answer(), prompt, "{command}");
            watch.sent(b"b APPEND x {10+}\r\n");
            assert!(!watch.owes_prompt_answer(), "the client still writes");
        }
    }
}
