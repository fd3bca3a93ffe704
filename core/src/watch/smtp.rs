//! SMTP: replies are matched with commands, the message text is framed, and it is known whether the message that was
//! being sent may be sent again (RFC 5321 sections 3.8 and 4.2.5).

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::{String, ToString};

use super::framing::{DotEnd, LongLines};
use super::refusal::{Refusal, reply_codes};
use super::{Aftermath, Judge, Sign};
use crate::limits::PIPELINE_MAX;

/// The message that was being sent when the session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Submission {
    /// There was none.
    #[default]
    Idle,
    /// The server has not been given all of it, and so has not taken it: it is safe to send it again.
    NotAccepted,
    /// The end of the message was written and no reply came: whether it was taken cannot be known. Sending it again may
    /// deliver it twice: ask, or look into the Sent folder.
    Unknown,
}

impl Submission {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Idle, Self::NotAccepted, Self::Unknown];

    /// `idle`, `not_accepted` or `unknown`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::NotAccepted => "not_accepted",
            Self::Unknown => "unknown",
        }
    }
}

/// What is watched in one session.
#[derive(Debug, Clone, Default)]
pub(super) struct SmtpWatch {
    incoming: LongLines,
    outgoing: LongLines,
    /// Commands and ends of messages whose reply has not come, in their order.
    commands: VecDeque<Command>,
    /// The client writes message text until the lone dot.
    text: Option<DotEnd>,
    /// The client writes this many octets of a BDAT chunk, the last one or not: all of them, refused or not (RFC 3030
    /// section 2).
    chunk: Option<(u64, bool)>,
    /// A transaction is open: MAIL was sent, and neither taken back nor refused.
    in_transaction: bool,
    /// Code of a reply of which more lines follow.
    partial_code: Option<Code>,
    /// QUIT was answered well, or by 421.
    left: bool,
    refusal: Option<Box<Refusal>>,
}

/// Three digits, in one word: on its way through memory an array of three octets is written and read in parts of different
/// widths, and the reader waits for the writer.
type Code = u32;

/// The server closes the connection.
const CLOSING: Code = code(*b"421");

/// The server has no login of this session (RFC 4954 section 6).
const LOGIN_REQUIRED: Code = code(*b"530");

/// The message text may come.
const START_MAIL_INPUT: Code = code(*b"354");

const fn code([first, second, third]: [u8; 3]) -> Code {
    Code::from_be_bytes([0, first, second, third])
}

/// A line of a reply (RFC 5321 section 4.2).
struct ReplyLine {
    /// `None` where the line begins with none.
    code: Option<Code>,
    /// More lines of this reply follow.
    more: bool,
    /// The whole line, of refusals only: the text of others says nothing.
    refusal: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Mail,
    Recipient,
    Data,
    Chunk {
        octets: u64,
        last: bool,
    },
    /// The end of a message, after which the server answers for it.
    End,
    /// NOOP: it cannot be refused (RFC 5321 section 4.3.2).
    Noop,
    /// RSET: it ends a transaction, and cannot be refused either.
    Reset,
    /// EHLO and HELO: they end a transaction.
    Hello,
    Quit,
    /// STARTTLS, TURN and ATRN (RFC 2645): what follows its success are no replies.
    Turn,
    Other,
}

impl SmtpWatch {
    pub(super) fn received(&mut self, bytes: &[u8], judge: &Judge) -> Result<(), Sign> {
        let mut input = bytes;
        while let Some(line) = self.incoming.take(&mut input, |line| ReplyLine::parse(line.start)) {
            self.reply_line(&line, judge)?;
        }
        Ok(())
    }

    fn reply_line(&mut self, line: &ReplyLine, judge: &Judge) -> Result<(), Sign> {
        let Some(code) = line.code else { return Err(Sign::Violation("not-a-reply")) };
        // RFC 5321 section 3.8: it may come in place of any reply.
        if code == CLOSING {
            self.left = self.said_goodbye();
            // Section 4.2.5: nothing was taken for which this came in place of the reply.
            self.commands.clear();
            return if self.left { Ok(()) } else { Err(Sign::Ending(line.refusal.clone())) };
        }
        if self.partial_code.is_some_and(|first| first != code) {
            return Err(Sign::Violation("mixed-codes"));
        }
        self.partial_code = line.more.then_some(code);
        if line.more { Ok(()) } else { self.reply(code, &line.refusal, judge) }
    }

    fn reply(&mut self, code: Code, refusal: &str, judge: &Judge) -> Result<(), Sign> {
        let refused = !refusal.is_empty();
        let command = self.commands.pop_front();
        if refused {
            if let Some(sign) = closing_sign(code, refusal, command, judge) {
                return Err(sign);
            }
            self.refusal = refusal_of(refusal, command).map(Box::new);
        } else {
            self.refusal = None;
        }
        match command {
            None => return Err(Sign::Violation("unasked-reply")),
            Some(Command::Data) if code == START_MAIL_INPUT => self.text = Some(DotEnd::new()),
            Some(Command::Turn) if !refused => return Err(Sign::Doubt),
            Some(Command::Quit) => self.left |= !refused,
            // A client that pipelines may have begun the next transaction already.
            Some(Command::Mail) if refused => {
                self.in_transaction = self.commands.contains(&Command::Mail)
            }
            Some(Command::End | Command::Reset | Command::Hello) => {
                self.in_transaction = self.commands.contains(&Command::Mail)
            }
            Some(
                Command::Mail
                | Command::Recipient
                | Command::Data
                | Command::Chunk { .. }
                | Command::Noop
                | Command::Turn
                | Command::Other,
            ) => {}
        }
        Ok(())
    }

    pub(super) fn sent(&mut self, bytes: &[u8]) -> Result<(), Sign> {
        let mut input = bytes;
        while !input.is_empty() {
            if let Some(text) = &mut self.text {
                if text.take(&mut input) {
                    self.text = None;
                    self.commands.push_back(Command::End);
                }
                continue;
            }
            if let Some((left, last)) = self.chunk {
                self.sent_chunk(&mut input, left, last);
                continue;
            }
            let Some(command) = self.outgoing.take(&mut input, |line| Command::parse(line.start))
            else {
                return Ok(());
            };
            self.command(command)?;
        }
        Ok(())
    }

    fn sent_chunk(&mut self, input: &mut &[u8], left: u64, last: bool) {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let (_, rest) = input.split_at(length);
        *input = rest;
        let left = left.saturating_sub(length as u64);
        self.chunk = if left > 0 { Some((left, last)) } else { None };
        if left == 0 && last {
            self.end_of_chunks();
        }
    }

    /// The last chunk is written: its reply is the answer for the message, unless that came before its end.
    fn end_of_chunks(&mut self) {
        if let Some(command @ Command::Chunk { last: true, .. }) = self.commands.back_mut() {
            *command = Command::End;
        }
    }

    fn command(&mut self, command: Command) -> Result<(), Sign> {
        match command {
            Command::Mail => self.in_transaction = true,
            Command::Chunk { octets: 0, .. }
            | Command::Recipient
            | Command::Data
            | Command::End
            | Command::Noop
            | Command::Reset
            | Command::Hello
            | Command::Quit
            | Command::Turn
            | Command::Other => {}
            Command::Chunk { octets, last } => self.chunk = Some((octets, last)),
        }
        self.commands.push_back(command);
        if command == (Command::Chunk { octets: 0, last: true }) {
            self.end_of_chunks();
        }
        if self.commands.len() > PIPELINE_MAX { Err(Sign::Doubt) } else { Ok(()) }
    }

    pub(super) fn said_goodbye(&self) -> bool {
        self.left || self.commands.contains(&Command::Quit)
    }

    pub(super) fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_deref()
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.commands.is_empty() && !self.in_transaction && !self.outgoing.is_within()
    }

    /// NOOP and RSET are answered at once.
    pub(super) fn owes_prompt_answer(&self) -> bool {
        matches!(self.commands.front(), Some(Command::Noop | Command::Reset))
            && !self.outgoing.is_within()
    }

    pub(super) fn aftermath(&self) -> Aftermath {
        let submission = if self.commands.contains(&Command::End) {
            Submission::Unknown
        } else if self.in_transaction {
            Submission::NotAccepted
        } else {
            Submission::Idle
        };
        Aftermath::Smtp { submission }
    }
}

impl ReplyLine {
    fn parse(line: &[u8]) -> Self {
        let digits = line.first_chunk().filter(|digits| digits.iter().all(u8::is_ascii_digit));
        let refused = matches!(digits, Some([b'4' | b'5', _, _]));
        let refusal =
            if refused { String::from_utf8_lossy(line).to_string() } else { String::new() };
        Self { code: digits.copied().map(code), more: line.get(3) == Some(&b'-'), refusal }
    }
}

/// Whether a refusal ends the session: nobody had asked, or the server forgot the login.
fn closing_sign(code: Code, line: &str, command: Option<Command>, judge: &Judge) -> Option<Sign> {
    let unasked = match command {
        None => true,
        Some(Command::Noop | Command::Reset) => judge.is_farewell(line),
        Some(
            Command::Mail
            | Command::Recipient
            | Command::Data
            | Command::Chunk { .. }
            | Command::End
            | Command::Hello
            | Command::Quit
            | Command::Turn
            | Command::Other,
        ) => false,
    };
    if unasked {
        return Some(Sign::Ending(line.to_string()));
    }
    (code == LOGIN_REQUIRED).then(|| Sign::Ending(reply_codes(line).to_string()))
}

/// What a refusal may say of an end: nothing, where its code is about an address, a message, or the writing of a command.
fn refusal_of(line: &str, command: Option<Command>) -> Option<Refusal> {
    let speaks = match command {
        Some(Command::Noop | Command::Reset | Command::Hello | Command::Quit | Command::Turn) => {
            true
        }
        // Addresses and mail are quoted in these replies, and in those that are not known it may be anything.
        None
        | Some(
            Command::Mail
            | Command::Recipient
            | Command::Data
            | Command::Chunk { .. }
            | Command::End
            | Command::Other,
        ) => false,
    };
    (speaks || is_of_server(reply_codes(line))).then(|| Refusal::smtp(line, speaks))
}

/// RFC 3463 section 3: mail system, network and policy are of the server, and so may be a subject that is not named. RFC
/// 5321 section 4.2.3: 450, 452 and 55z are about mailboxes and messages.
fn is_of_server(codes: &str) -> bool {
    match codes.split_once(' ') {
        Some((_, enhanced)) => {
            matches!(enhanced.as_bytes().get(2), Some(b'0' | b'3' | b'4' | b'7'))
        }
        None => !codes.starts_with("55") && codes != "450" && codes != "452",
    }
}

impl Command {
    fn parse(line: &[u8]) -> Self {
        let text = String::from_utf8_lossy(line);
        let mut words = text.split_ascii_whitespace();
        let name = words.next().unwrap_or_default().to_ascii_uppercase();
        match name.as_str() {
            "MAIL" => Self::Mail,
            "RCPT" => Self::Recipient,
            "DATA" => Self::Data,
            "BDAT" => {
                let octets = words.next().and_then(|size| size.parse().ok()).unwrap_or(0);
                let last = words.next().is_some_and(|word| word.eq_ignore_ascii_case("LAST"));
                Self::Chunk { octets, last }
            }
            "NOOP" => Self::Noop,
            "RSET" => Self::Reset,
            "EHLO" | "HELO" => Self::Hello,
            "QUIT" => Self::Quit,
            "STARTTLS" | "TURN" | "ATRN" => Self::Turn,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Watch;
    use super::*;
    use crate::config::Protocol;
    use crate::failure::Cause;

    fn submission(watch: &Watch) -> Submission {
        match watch.aftermath() {
            Aftermath::Smtp { submission } => submission,
            other @ (Aftermath::Imap { .. } | Aftermath::Pop3 { .. }) => panic!("{other:?}"),
        }
    }

    #[test]
    fn knows_at_each_point_whether_the_message_may_be_sent_again() {
        let mut watch = Watch::new(Protocol::Smtp);
        assert_eq!(submission(&watch), Submission::Idle);
        watch.sent(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
        assert_eq!(submission(&watch), Submission::NotAccepted);
        watch.received(b"250 ok\r\n250 ok\r\n354 go\r\n");
        watch.sent(b"Subject: 421\r\n\r\n421 bye\r\n.\r");
        assert_eq!(submission(&watch), Submission::NotAccepted);
        watch.sent(b"\n");
        assert_eq!(submission(&watch), Submission::Unknown);
        watch.received(b"250 2.0.0 queued\r\n");
        assert_eq!(submission(&watch), Submission::Idle);
        assert!(watch.is_quiet());
    }

    #[test]
    fn a_message_for_which_421_came_was_not_taken() {
        let mut watch = Watch::new(Protocol::Smtp);
        watch.sent(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
        watch.received(b"250 ok\r\n250 ok\r\n354 go\r\n");
        watch.sent(b"text\r\n.\r\n");
        assert_eq!(submission(&watch), Submission::Unknown);
        assert!(watch.received(b"421 4.7.0 Connection expired\r\n").ending.is_some());
        assert_eq!(submission(&watch), Submission::NotAccepted);
    }

    #[test]
    fn chunks_end_with_the_last() {
        let mut watch = Watch::new(Protocol::Smtp);
        watch.sent(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 6\r\nQUIT\r\n");
        assert_eq!(submission(&watch), Submission::NotAccepted);
        watch.sent(b"BDAT 5 LAST\r\nRSE");
        assert_eq!(submission(&watch), Submission::NotAccepted);
        watch.sent(b"T\n");
        assert_eq!(submission(&watch), Submission::Unknown);
        watch.received(b"250 ok\r\n250 ok\r\n250 ok\r\n250 taken\r\n");
        assert_eq!(submission(&watch), Submission::Idle);
    }

    #[test]
    fn a_refused_chunk_is_written_to_its_end() {
        let mut watch = Watch::new(Protocol::Smtp);
        watch.sent(b"MAIL FROM:<a@b>\r\nBDAT 6\r\nfirst\nBDAT 8 LAST\r\nx\n");
        watch.received(b"250 ok\r\n554 no\r\n");
        watch.sent(b"QUIT\r\n");
        assert_eq!(submission(&watch), Submission::Unknown);
        assert!(watch.received(b"421 bye\r\n").ending.is_some(), "content is no QUIT");
    }

    #[test]
    fn a_refused_message_is_over() {
        let mut watch = Watch::new(Protocol::Smtp);
        watch.sent(b"MAIL FROM:<a@b>\r\n");
        watch.received(b"550 no\r\n");
        assert_eq!(submission(&watch), Submission::Idle);
        watch.sent(b"MAIL FROM:<a@b>\r\n");
        watch.received(b"250 ok\r\n");
        watch.sent(b"RSET\r\n");
        watch.received(b"250 ok\r\n");
        assert_eq!(submission(&watch), Submission::Idle);
    }

    #[test]
    fn tells_an_ending_from_a_refusal() {
        let cause = |line: &[u8]| {
            let mut watch = Watch::new(Protocol::Smtp);
            watch.sent(b"NOOP\r\n");
            watch.received(line).ending.map(|verdict| verdict.cause)
        };
        assert_eq!(cause(b"451 4.7.0 Temporary server error. Please try again later\r\n"), None);
        assert_eq!(cause(b"550 5.1.1 no such user\r\n"), None);
        assert_eq!(
            cause(b"451 4.4.2 Timeout - closing connection. x - gsmtp\r\n"),
            Some(Cause::IdleTimeout)
        );
        assert_eq!(cause(b"530 5.7.0 Authentication Required\r\n"), Some(Cause::SessionEnded));
        assert_eq!(
            cause(b"421 4.7.0 Connection expired, try reconnecting.\r\n"),
            Some(Cause::SessionLimit)
        );
        assert_eq!(cause(b"250-ok\r\n421 4.3.2 closing\r\n"), Some(Cause::Unavailable));
        assert_eq!(cause(b"502 5.5.1 Too many unrecognized commands, goodbye.\r\n"), None);
    }

    #[test]
    fn text_that_looks_like_a_command_is_text_at_every_cut() {
        let text = b"a\r\nQUIT\r\n.\r\nMAIL FROM:<e@f>\r\n";
        for cut in 0..=text.len() {
            let mut watch = Watch::new(Protocol::Smtp);
            watch.sent(b"MAIL FROM:<a@b>\r\nDATA\r\n");
            watch.received(b"250 ok\r\n354 go\r\n");
            watch.sent(&text[..cut]);
            watch.sent(&text[cut..]);
            assert!(watch.received(b"250 taken\r\n").ending.is_none(), "cut at {cut}");
            assert_eq!(submission(&watch), Submission::NotAccepted, "cut at {cut}");
            assert_eq!(watch.closed().cause, Cause::ConnectionLost);
        }
    }

    #[test]
    fn follows_so_many_commands_in_flight_and_no_more() {
        for (more, seen) in [(0, true), (1, false)] {
            let mut watch = Watch::new(Protocol::Smtp);
            watch.sent("NOOP\r\n".repeat(PIPELINE_MAX + more).as_bytes());
            assert_eq!(watch.received(b"421 4.3.2 bye\r\n").ending.is_some(), seen);
        }
    }

    #[test]
    fn what_is_no_reply_or_answers_nothing_ends_the_session() {
        let cause = |text: &[u8]| {
            let mut watch = Watch::new(Protocol::Smtp);
            watch.sent(b"NOOP\r\n");
            watch.received(text).ending.map(|verdict| (verdict.cause, verdict.rule))
        };
        let violation = |rule| Some((Cause::ProtocolViolation, rule));
        assert_eq!(cause(b"hello\r\n"), violation("not-a-reply"));
        assert_eq!(cause(b"250-a\r\n251 b\r\n"), violation("mixed-codes"));
        assert_eq!(cause(b"250 a\r\n250 b\r\n"), violation("unasked-reply"));
        assert_eq!(cause(b"250-a\r\n250-b\r\n250 c\r\n"), None);
    }

    #[test]
    fn a_last_chunk_without_octets_is_the_end_of_the_message() {
        let mut watch = Watch::new(Protocol::Smtp);
        watch.sent(b"MAIL FROM:<a@b>\r\nBDAT 3\r\nabcBDAT 0\r\n");
        assert_eq!(submission(&watch), Submission::NotAccepted);
        watch.sent(b"BDAT 0 LAST\r\n");
        assert_eq!(submission(&watch), Submission::Unknown);
    }

    #[test]
    fn a_goodbye_after_quit_is_no_ending() {
        let mut watch = Watch::new(Protocol::Smtp);
        watch.sent(b"QUIT\r\n");
        assert_eq!(watch.received(b"421 bye\r\n").ending, None);
        assert_eq!(watch.closed().cause, Cause::NoFault);
    }

    #[test]
    fn the_words_of_a_refusal_end_nothing_and_are_no_reason() {
        let line = b"550 5.1.1 <goodbye@x>: session expired, idle, shutting down, goodbye\r\n";
        for command in [
            "MAIL FROM:<x@y>",
            "RCPT TO:<x@y>",
            "VRFY x",
            "DATA",
            "BDAT 1",
            "BDAT 0 LAST",
            "EHLO x",
            "QUIT",
            "STARTTLS",
            "FOO",
        ] {
            let mut watch = Watch::new(Protocol::Smtp);
            watch.sent(alloc::format!("{command}\r\n").as_bytes());
            assert_eq!(watch.received(line).ending, None, "{command}");
            assert_eq!(watch.closed().rule, "closed", "{command}");
        }
        for command in ["NOOP", "RSET"] {
            let mut watch = Watch::new(Protocol::Smtp);
            watch.sent(alloc::format!("{command}\r\n").as_bytes());
            assert!(watch.received(b"451 session expired\r\n").ending.is_some(), "{command}");
        }
    }

    #[test]
    fn words_of_mail_name_no_wait_and_words_of_the_server_do() {
        for (command, cause) in [
            ("MAIL FROM:<x@y>", Cause::ConnectionLost),
            ("RCPT TO:<x@y>", Cause::ConnectionLost),
            ("DATA", Cause::ConnectionLost),
            ("BDAT 0 LAST", Cause::ConnectionLost),
            ("FOO", Cause::ConnectionLost),
            ("EHLO x", Cause::TooManyConnections),
            ("NOOP", Cause::TooManyConnections),
            ("RSET", Cause::TooManyConnections),
            ("STARTTLS", Cause::TooManyConnections),
            ("QUIT", Cause::TooManyConnections),
        ] {
            let mut watch = Watch::new(Protocol::Smtp);
            watch.sent(alloc::format!("{command}\r\n").as_bytes());
            assert_eq!(watch.received(b"554 too many connections\r\n").ending, None);
            assert_eq!(watch.closed().cause, cause, "{command}");
        }
    }

    #[test]
    fn a_code_about_an_address_or_a_message_is_no_reason() {
        for (codes, of_server) in [
            ("450", false),
            ("451", true),
            ("452", false),
            ("454", true),
            ("550", false),
            ("552", false),
            ("451 4.0.0", true),
            ("450 4.1.1", false),
            ("450 4.2.0", false),
            ("452 4.3.1", true),
            ("451 4.4.2", true),
            ("452 4.5.3", false),
            ("451 4.6.0", false),
            ("451 4.7.1", true),
        ] {
            assert_eq!(is_of_server(codes), of_server, "{codes}");
        }
    }

    #[test]
    fn what_follows_a_change_of_the_stream_is_no_reply() {
        for (command, reply, silent) in [
            ("STARTTLS", "220 go", true),
            ("ATRN", "250 turn", true),
            ("STARTTLS", "454 4.7.0 not now", false),
            ("NOOP", "250 ok", false),
        ] {
            let mut watch = Watch::new(Protocol::Smtp);
            watch.sent(alloc::format!("{command}\r\n").as_bytes());
            watch.received(alloc::format!("{reply}\r\n").as_bytes());
            assert_eq!(watch.is_silent(), silent, "{command} {reply}");
            let bye = watch.received(b"421 bye\r\n").ending;
            assert_eq!(bye.is_none(), silent, "{command} {reply}");
        }
    }

    #[test]
    fn of_a_silent_watch_it_is_not_known_whether_a_message_was_taken() {
        let mut watch = Watch::new(Protocol::Smtp);
        watch.sent(b"STARTTLS\r\n");
        assert_eq!(submission(&watch), Submission::Idle);
        watch.received(b"220 go\r\n");
        assert_eq!(submission(&watch), Submission::Unknown);
    }

    #[test]
    fn a_refused_quit_is_no_goodbye() {
        let mut watch = Watch::new(Protocol::Smtp);
        watch.sent(b"QUIT\r\n");
        assert_eq!(watch.clone().closed().cause, Cause::NoFault, "its answer was cut");
        watch.received(b"500 what\r\n");
        assert_eq!(watch.clone().closed().cause, Cause::ConnectionLost);
        assert!(watch.clone().received(b"421 bye\r\n").ending.is_some());
        watch.sent(b"QUIT\r\n");
        watch.received(b"221 bye\r\n");
        assert_eq!(watch.closed().cause, Cause::NoFault);
    }

    #[test]
    fn a_submission_is_spelled_as_in_the_bindings() {
        let all = [Submission::Idle, Submission::NotAccepted, Submission::Unknown];
        assert_eq!(all.map(Submission::as_str), ["idle", "not_accepted", "unknown"]);
    }

    #[test]
    fn no_text_follows_a_data_that_was_not_answered_by_354() {
        let mut watch = Watch::new(Protocol::Smtp);
        watch.sent(b"DATA\r\n");
        watch.received(b"250 odd\r\n");
        watch.sent(b"QUIT\r\n");
        assert_eq!(watch.received(b"421 bye\r\n").ending, None, "QUIT is a command");
    }

    #[test]
    fn is_quiet_between_messages_only() {
        let mut watch = Watch::new(Protocol::Smtp);
        watch.sent(b"NOOP\r\n");
        assert!(!watch.is_quiet());
        watch.received(b"250 ok\r\n");
        assert!(watch.is_quiet());
        watch.sent(b"MAIL FROM:<a@b>\r\n");
        watch.received(b"250 ok\r\n");
        assert!(!watch.is_quiet(), "a message is begun");
    }

    #[test]
    fn a_close_behind_a_refusal_has_its_cause_and_a_later_success_takes_it_back() {
        let mut watch = Watch::new(Protocol::Smtp);
        watch.sent(b"NOOP\r\nNOOP\r\n");
        assert_eq!(watch.received(b"451 4.3.2 System not accepting messages\r\n").ending, None);
        assert_eq!(watch.clone().closed().cause, Cause::Unavailable);
        watch.received(b"250 ok\r\n");
        assert_eq!(watch.closed().cause, Cause::ConnectionLost);
    }
}
