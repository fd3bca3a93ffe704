//! Three line parsers that normalise to one [`Reply`].
//!
//! A parser knows the framing of its protocol (tags and literals, the lone dot, codes with a hyphen), and nothing of
//! what was asked: the machine tells it what it waits for.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::config::Protocol;
use crate::dialect::Capabilities;
use crate::limits::{
    CAPABILITIES_MAX, LITERAL_OCTETS_MAX, NOTICES_MAX, PHASE_OCTETS_MAX, PHASE_RESPONSES_MAX,
    REPLY_LINES_MAX,
};
use crate::line::{LineFault, LineReader};

/// What the machine waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// The first reply.
    Greeting,
    /// The answer to the capability command.
    Capabilities,
    /// The answer to the upgrade command.
    Upgrade,
    /// A prompt, or the end of the login.
    Login,
    /// Nothing: a command is about to be sent.
    Nothing,
}

/// One reply, in the words that the three protocols share.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// What was awaited, in the positive, with the capabilities where it carries them.
    Positive(Option<Capabilities>),
    /// A refusal.
    Negative,
    /// A continuation request, with its text.
    Prompt(String),
    /// The server ends the session.
    Goodbye,
    /// PREAUTH.
    Preauthenticated,
    /// IMAP data that answers nothing, with capabilities where it carries them.
    Untagged(Option<Capabilities>),
}

/// Why a server's octets cannot be a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplyFault {
    /// A limit of [`limits`](crate::limits) was passed; the text says which.
    Limit(&'static str),
    /// The protocol does not allow it; the text says what.
    Violation(&'static str),
    /// The greeting is one of another service; the text says which.
    OtherService(&'static str),
    /// The peer speaks TLS.
    TlsRecord,
}

impl From<LineFault> for ReplyFault {
    fn from(fault: LineFault) -> Self {
        match fault {
            LineFault::TooLong => Self::Limit("a line is too long"),
            LineFault::BareLineEnd => Self::Violation("a line does not end in CRLF"),
            LineFault::Binary => Self::Violation("the server sent binary data"),
            LineFault::TlsRecord => Self::TlsRecord,
        }
    }
}

/// Reads the replies of one phase of TLS: a new one is made after the upgrade, so that nothing survives it.
#[derive(Debug)]
pub(crate) struct ReplyReader {
    protocol: Protocol,
    lines: LineReader,
    /// IMAP: octets of a literal that are still to come.
    literal_left: u64,
    /// IMAP: the line continues a response that a literal interrupted.
    in_response: bool,
    /// Lines of the reply that is being read, and of the last one that was.
    reply: Vec<String>,
    /// POP3 and SMTP: the reply is not complete.
    incomplete: bool,
    /// Untagged refusals of this phase.
    notices: Vec<String>,
    /// The line that could not be read, once there is one; empty where the octets are no line.
    at_fault: Option<String>,
    octets: usize,
    responses: usize,
}

impl ReplyReader {
    pub(crate) fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            lines: LineReader::default(),
            literal_left: 0,
            in_response: false,
            reply: Vec::new(),
            incomplete: false,
            notices: Vec::new(),
            at_fault: None,
            octets: 0,
            responses: 0,
        }
    }

    /// A new question was asked: the budgets begin anew.
    pub(crate) fn begin_phase(&mut self) {
        self.octets = 0;
        self.responses = 0;
        self.notices.clear();
    }

    /// The lines of the last reply, with the untagged refusals before it.
    pub(crate) fn last_reply(&self) -> Vec<&str> {
        self.notices.iter().chain(&self.reply).map(String::as_str).collect()
    }

    /// The line that broke the protocol: the one that could not be read, else the last line of the last reply.
    pub(crate) fn line_at_fault(&self) -> &str {
        self.at_fault.as_ref().or(self.reply.last()).map(String::as_str).unwrap_or_default()
    }

    /// Takes the next reply off the front of `input`; `None` when more octets are needed.
    pub(crate) fn take(
        &mut self,
        input: &mut &[u8],
        awaited: Awaited,
        tag: &str,
    ) -> Result<Option<Reply>, ReplyFault> {
        loop {
            self.skip_literal(input)?;
            let line = self.lines.take(input);
            if line.is_err() {
                self.at_fault = Some(String::new());
            }
            let Some(line) = line? else { return Ok(None) };
            self.count_octets(line.len().saturating_add(2))?;
            match self.line(&line, awaited, tag) {
                Ok(None) => {}
                Ok(reply) => return Ok(reply),
                Err(fault) => {
                    self.at_fault = Some(String::from_utf8_lossy(&line).into_owned());
                    return Err(fault);
                }
            }
        }
    }

    fn line(
        &mut self,
        line: &[u8],
        awaited: Awaited,
        tag: &str,
    ) -> Result<Option<Reply>, ReplyFault> {
        let is_first = awaited == Awaited::Greeting && self.reply.is_empty();
        if is_first && let Some(service) = other_service(self.protocol, line) {
            return Err(ReplyFault::OtherService(service));
        }
        match self.protocol {
            Protocol::Imap => self.imap_line(line, awaited, tag),
            Protocol::Pop3 => self.pop3_line(line, awaited),
            Protocol::Smtp => self.smtp_line(line, awaited),
        }
    }

    fn count_octets(&mut self, octets: usize) -> Result<(), ReplyFault> {
        self.octets = self.octets.saturating_add(octets);
        if self.octets > PHASE_OCTETS_MAX {
            Err(ReplyFault::Limit("too many octets before a verdict"))
        } else {
            Ok(())
        }
    }

    fn count_response(&mut self) -> Result<(), ReplyFault> {
        self.responses = self.responses.saturating_add(1);
        if self.responses > PHASE_RESPONSES_MAX {
            return Err(ReplyFault::Limit("too many responses before a verdict"));
        }
        Ok(())
    }

    fn begin_reply(&mut self, text: &str) {
        self.reply.clear();
        self.reply.push(text.to_string());
    }

    // ---- IMAP ----------------------------------------------------------------------------------------------------

    fn skip_literal(&mut self, input: &mut &[u8]) -> Result<(), ReplyFault> {
        let length = usize::try_from(self.literal_left).unwrap_or(usize::MAX).min(input.len());
        let (_, rest) = input.split_at(length);
        *input = rest;
        self.literal_left = self.literal_left.saturating_sub(length as u64);
        self.count_octets(length)
    }

    /// RFC 9051 section 7.
    fn imap_line(
        &mut self,
        line: &[u8],
        awaited: Awaited,
        tag: &str,
    ) -> Result<Option<Reply>, ReplyFault> {
        if self.in_response {
            self.in_response = self.announces_literal(line, false)?;
            return Ok(None);
        }
        let text = String::from_utf8_lossy(line);
        if let Some(rest) = text.strip_prefix('+') {
            let prompt =
                prompt_text(rest).ok_or(ReplyFault::Violation("'+' without a space behind it"))?;
            self.begin_reply(&text);
            return Ok(Some(Reply::Prompt(prompt)));
        }
        if let Some(rest) = text.strip_prefix("* ") {
            self.count_response()?;
            return self.imap_untagged(line, &text, rest, awaited);
        }
        let violation = Err(ReplyFault::Violation(no_reply(awaited)));
        let Some((first, rest)) = text.split_once(' ') else { return violation };
        // The tag is compared whole; before a command has been sent there is none to compare with.
        if first != tag || tag.is_empty() || matches!(awaited, Awaited::Greeting | Awaited::Nothing)
        {
            return violation;
        }
        self.begin_reply(&text);
        let (status, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        if status.eq_ignore_ascii_case("OK") {
            Ok(Some(Reply::Positive(capability_code(rest)?)))
        } else if status.eq_ignore_ascii_case("NO") || status.eq_ignore_ascii_case("BAD") {
            Ok(Some(Reply::Negative))
        } else {
            Err(ReplyFault::Violation("a tagged reply is neither OK, NO nor BAD"))
        }
    }

    fn imap_untagged(
        &mut self,
        line: &[u8],
        text: &str,
        rest: &str,
        awaited: Awaited,
    ) -> Result<Option<Reply>, ReplyFault> {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        let is = |name: &str| word.eq_ignore_ascii_case(name);
        let is_status = ["OK", "NO", "BAD", "BYE", "PREAUTH"].into_iter().any(is);
        self.in_response = self.announces_literal(line, is_status)?;
        if is("BYE") {
            self.begin_reply(text);
            return Ok(Some(Reply::Goodbye));
        }
        if is("PREAUTH") {
            self.begin_reply(text);
            return Ok(Some(Reply::Preauthenticated));
        }
        if awaited == Awaited::Greeting {
            self.begin_reply(text);
            return if is("OK") {
                Ok(Some(Reply::Positive(capability_code(after)?)))
            } else {
                Err(ReplyFault::Violation("a greeting is none of OK, PREAUTH and BYE"))
            };
        }
        // Gmail's web address comes in an untagged NO before the tagged one. An untagged BAD says nothing of the command that
        // the tagged reply answers (RFC 9051 section 7.1.3).
        if is("NO") && self.notices.len() < NOTICES_MAX {
            self.notices.push(text.to_string());
        }
        let capabilities =
            if is("CAPABILITY") { Some(bounded(Capabilities::from_words(after))?) } else { None };
        Ok(Some(Reply::Untagged(capabilities)))
    }

    /// RFC 9051 section 4.3: `{n}` at the end of a line. The text of a status line is no place for a literal, and one
    /// that looks like a large one is refused all the same.
    fn announces_literal(&mut self, line: &[u8], is_status: bool) -> Result<bool, ReplyFault> {
        match literal_at_end(line) {
            LiteralEnd::None => Ok(false),
            LiteralEnd::Malformed if is_status => Ok(false),
            LiteralEnd::Malformed => {
                Err(ReplyFault::Violation("the size of a literal is not a number"))
            }
            LiteralEnd::Octets(octets) if octets > LITERAL_OCTETS_MAX => {
                Err(ReplyFault::Limit("a literal is too large"))
            }
            LiteralEnd::Octets(_) if is_status => Ok(false),
            LiteralEnd::Octets(octets) => {
                self.literal_left = octets;
                Ok(true)
            }
        }
    }

    // ---- POP3 ----------------------------------------------------------------------------------------------------

    /// RFC 1939 section 3, RFC 2449 section 5 for the list, RFC 5034 section 4 for prompts.
    fn pop3_line(&mut self, line: &[u8], awaited: Awaited) -> Result<Option<Reply>, ReplyFault> {
        let text = String::from_utf8_lossy(line);
        if self.incomplete {
            return self.pop3_list_line(&text);
        }
        let violation = Err(ReplyFault::Violation(no_reply(awaited)));
        if let Some(rest) = text.strip_prefix("+OK") {
            if !rest.is_empty() && !rest.starts_with(' ') {
                return violation;
            }
            self.begin_reply(&text);
            // RFC 1939 section 3: only the answer to CAPA goes on until the lone dot.
            self.incomplete = awaited == Awaited::Capabilities;
            return Ok(if self.incomplete { None } else { Some(Reply::Positive(None)) });
        }
        if let Some(rest) = text.strip_prefix("-ERR") {
            // Yahoo was seen to leave out the space before a code.
            if !rest.is_empty() && !rest.starts_with([' ', '[']) {
                return violation;
            }
            self.begin_reply(&text);
            return Ok(Some(Reply::Negative));
        }
        match text.strip_prefix('+').and_then(prompt_text) {
            Some(prompt) => {
                self.begin_reply(&text);
                Ok(Some(Reply::Prompt(prompt)))
            }
            None => violation,
        }
    }

    fn pop3_list_line(&mut self, text: &str) -> Result<Option<Reply>, ReplyFault> {
        if text == "." {
            self.incomplete = false;
            let list = self.reply.drain(1..).collect();
            return Ok(Some(Reply::Positive(Some(Capabilities::from_list(list)))));
        }
        // RFC 2449 section 5: a capability name may hold any printable character but `+`, `,` and space at its start.
        if text.starts_with('+') {
            return Err(ReplyFault::Violation("a reply stands inside the capability list"));
        }
        self.push_line(text)?;
        Ok(None)
    }

    fn push_line(&mut self, text: &str) -> Result<(), ReplyFault> {
        if self.reply.len() > REPLY_LINES_MAX {
            return Err(ReplyFault::Limit("a reply has too many lines"));
        }
        self.reply.push(text.to_string());
        Ok(())
    }

    // ---- SMTP ----------------------------------------------------------------------------------------------------

    /// RFC 5321 section 4.2.
    fn smtp_line(&mut self, line: &[u8], awaited: Awaited) -> Result<Option<Reply>, ReplyFault> {
        let text = String::from_utf8_lossy(line);
        let (code, more) =
            smtp_code(line).ok_or_else(|| ReplyFault::Violation(no_reply(awaited)))?;
        if self.incomplete {
            let same = self.reply.first().and_then(|first| first.get(..3)) == text.get(..3);
            if !same {
                return Err(ReplyFault::Violation("the lines of one reply have different codes"));
            }
            self.push_line(&text)?;
        } else {
            self.begin_reply(&text);
        }
        self.incomplete = more;
        if more {
            return Ok(None);
        }
        match (code, awaited) {
            (220, Awaited::Greeting | Awaited::Upgrade) | (235, Awaited::Login) => {
                Ok(Some(Reply::Positive(None)))
            }
            (250, Awaited::Capabilities) => Ok(Some(Reply::Positive(Some(self.ehlo_list()?)))),
            (334, Awaited::Login) => {
                let prompt = text.get(4..).unwrap_or_default().to_string();
                Ok(Some(Reply::Prompt(prompt)))
            }
            (421, _) => Ok(Some(Reply::Goodbye)),
            (400..=599, _) => Ok(Some(Reply::Negative)),
            (_, _) => Err(ReplyFault::Violation("a reply code that does not belong here")),
        }
    }

    /// RFC 5321 section 4.1.1.1: the first line is the greeting, not a keyword.
    fn ehlo_list(&self) -> Result<Capabilities, ReplyFault> {
        let list =
            self.reply.iter().skip(1).filter_map(|line| line.get(4..)).map(ToString::to_string);
        bounded(Capabilities::from_list(list.collect()))
    }
}

/// `+` alone (Exchange), or with a space behind it.
fn prompt_text(rest: &str) -> Option<String> {
    match rest.strip_prefix(' ') {
        Some(text) => Some(text.to_string()),
        None => rest.is_empty().then(String::new),
    }
}

/// The capabilities in `[CAPABILITY …]` at the start of a status text.
fn capability_code(text: &str) -> Result<Option<Capabilities>, ReplyFault> {
    let inside =
        text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(inside, _)| inside);
    let words = inside.and_then(|inside| inside.split_once(' '));
    match words {
        Some((code, words)) if code.eq_ignore_ascii_case("CAPABILITY") => {
            bounded(Capabilities::from_words(words)).map(Some)
        }
        Some(_) | None => Ok(None),
    }
}

fn bounded(capabilities: Capabilities) -> Result<Capabilities, ReplyFault> {
    if capabilities.len() > CAPABILITIES_MAX {
        return Err(ReplyFault::Limit("too many capabilities"));
    }
    Ok(capabilities)
}

/// Three digits in the ranges of RFC 5321 section 4.2.1, then a space, a hyphen, or the end: the code, and whether more
/// lines follow.
fn smtp_code(line: &[u8]) -> Option<(u16, bool)> {
    let (digits, rest) = line.split_at_checked(3)?;
    let more = match rest.first() {
        None | Some(b' ') => false,
        Some(b'-') => true,
        Some(_) => return None,
    };
    let in_range = matches!(digits, [b'2'..=b'5', b'0'..=b'5', b'0'..=b'9']);
    let digits = core::str::from_utf8(digits).ok().filter(|_| in_range)?;
    Some((digits.parse().ok()?, more))
}

fn no_reply(awaited: Awaited) -> &'static str {
    if awaited == Awaited::Nothing {
        "a reply came before its command was sent"
    } else {
        "a line is not a reply of this protocol, or answers no command that was sent"
    }
}

/// How services greet, by the first octets of their first line, for the person who mistook a port. RFC 9051 section 7.1,
/// RFC 1939 section 4, RFC 5321 section 3.1, RFC 9112 section 4, RFC 4253 section 4.2, RFC 5804 section 1.7, RFC 3977
/// section 5.1.
const GREETINGS: [(&[u8], Option<Protocol>, &str); 14] = [
    (b"* OK", Some(Protocol::Imap), "an IMAP server greets"),
    (b"* BYE", Some(Protocol::Imap), "an IMAP server greets"),
    (b"* PREAUTH", Some(Protocol::Imap), "an IMAP server greets"),
    (b"+OK", Some(Protocol::Pop3), "a POP3 server greets"),
    (b"-ERR", Some(Protocol::Pop3), "a POP3 server greets"),
    (b"220", Some(Protocol::Smtp), "an SMTP server greets"),
    (b"421", Some(Protocol::Smtp), "an SMTP server greets"),
    (b"554", Some(Protocol::Smtp), "an SMTP server greets"),
    (b"HTTP/", None, "a web server (HTTP) answers"),
    (b"<", None, "a web server (HTML) answers"),
    (b"SSH-", None, "an SSH server greets"),
    (b"\"IMPLEMENTATION\"", None, "a ManageSieve server greets"),
    (b"200 ", None, "a news server (NNTP) greets"),
    (b"201 ", None, "a news server (NNTP) greets"),
];

/// The service that greets, where it is not this protocol.
fn other_service(protocol: Protocol, line: &[u8]) -> Option<&'static str> {
    let greeting = GREETINGS.iter().find(|(start, _, _)| line.starts_with(start));
    greeting.filter(|(_, of, _)| *of != Some(protocol)).map(|(_, _, service)| *service)
}

/// How a line of IMAP ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LiteralEnd {
    None,
    /// `{-1}`, `{5+}` from a server, `{99999999999999999999}`.
    Malformed,
    Octets(u64),
}

/// Reads `{n}` at the end of a line.
pub(crate) fn literal_at_end(line: &[u8]) -> LiteralEnd {
    let Some(line) = line.strip_suffix(b"}") else { return LiteralEnd::None };
    let Some(open) = memchr::memrchr(b'{', line) else { return LiteralEnd::None };
    let size = line.get(open.saturating_add(1)..).unwrap_or_default();
    let looks_like_size = size.iter().any(u8::is_ascii_digit)
        && size.iter().all(|octet| octet.is_ascii_digit() || b"+-".contains(octet));
    if !looks_like_size {
        return LiteralEnd::None;
    }
    let digits =
        size.iter().all(u8::is_ascii_digit).then(|| core::str::from_utf8(size).ok()).flatten();
    match digits.and_then(|digits| digits.parse().ok()) {
        Some(octets) => LiteralEnd::Octets(octets),
        None => LiteralEnd::Malformed,
    }
}

/// `tag command\r\n`, or without the tag.
pub(crate) fn command_line(tag: &str, command: &str) -> String {
    if tag.is_empty() { format!("{command}\r\n") } else { format!("{tag} {command}\r\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(protocol: Protocol, awaited: Awaited, text: &str) -> Result<Option<Reply>, ReplyFault> {
        ReplyReader::new(protocol).take(&mut text.as_bytes(), awaited, "A0001")
    }

    #[test]
    fn smtp_codes_are_three_digits_in_range() {
        for bad in [
            "999 x",
            "099 x",
            "2350 x",
            "235ok",
            "235\tok",
            "-235 ok",
            "235_",
            "2\u{665}5 ok",
            "260 x",
            "5",
        ] {
            let reply = one(Protocol::Smtp, Awaited::Login, &format!("{bad}\r\n"));
            assert!(matches!(reply, Err(ReplyFault::Violation(_))), "{bad}");
        }
        for good in ["235\r\n", "235 \r\n", "235 2.7.0 in\r\n", "235-a\r\n235 b\r\n"] {
            assert_eq!(
                one(Protocol::Smtp, Awaited::Login, good),
                Ok(Some(Reply::Positive(None))),
                "{good}"
            );
        }
    }

    #[test]
    fn an_imap_tag_is_compared_whole() {
        assert_eq!(
            one(Protocol::Imap, Awaited::Login, "A0001 OK\r\n"),
            Ok(Some(Reply::Positive(None)))
        );
        for bad in [
            "A00010 OK\r\n",
            "A000 OK\r\n",
            "a0001 OK\r\n",
            "A0001\r\n",
            "A0001 ok[]\r\n",
            "OK\r\n",
        ] {
            assert!(one(Protocol::Imap, Awaited::Login, bad).is_err(), "{bad}");
        }
        assert!(one(Protocol::Imap, Awaited::Nothing, "A0001 OK\r\n").is_err());
    }

    #[test]
    fn literals_are_counted_and_not_read() {
        let text = "* X {24}\r\nA0001 OK begin TLS now\r\n\r\nA0001 NO\r\n";
        let mut reader = ReplyReader::new(Protocol::Imap);
        let mut input = text.as_bytes();
        assert_eq!(
            reader.take(&mut input, Awaited::Upgrade, "A0001"),
            Ok(Some(Reply::Untagged(None)))
        );
        assert_eq!(reader.take(&mut input, Awaited::Upgrade, "A0001"), Ok(Some(Reply::Negative)));
    }

    #[test]
    fn the_size_of_a_literal_is_a_number_within_bounds() {
        for bad in [
            "* X {-1}",
            "* X {5+}",
            "* X {18446744073709551616}",
            "* X {65537}",
            "* OK {1000000000}",
        ] {
            assert!(
                one(Protocol::Imap, Awaited::Capabilities, &format!("{bad}\r\n")).is_err(),
                "{bad}"
            );
        }
        for good in ["* OK see {3}", "* X {braces}", "* X }", "* X {}"] {
            assert!(
                one(Protocol::Imap, Awaited::Capabilities, &format!("{good}\r\n")).is_ok(),
                "{good}"
            );
        }
    }

    #[test]
    fn names_the_service_that_was_met_by_mistake() {
        let greets = |protocol, line: &str| match one(protocol, Awaited::Greeting, line) {
            Err(ReplyFault::OtherService(service)) => Some(service),
            Ok(_) | Err(_) => None,
        };
        for (line, of, name) in [
            ("* OK ready\r\n", Some(Protocol::Imap), "IMAP"),
            ("* BYE not now\r\n", Some(Protocol::Imap), "IMAP"),
            ("* PREAUTH in\r\n", Some(Protocol::Imap), "IMAP"),
            ("+OK ready\r\n", Some(Protocol::Pop3), "POP3"),
            ("-ERR not now\r\n", Some(Protocol::Pop3), "POP3"),
            ("220 mail ESMTP\r\n", Some(Protocol::Smtp), "SMTP"),
            ("220-mail\r\n", Some(Protocol::Smtp), "SMTP"),
            ("421 not now\r\n", Some(Protocol::Smtp), "SMTP"),
            ("554 no\r\n", Some(Protocol::Smtp), "SMTP"),
            ("HTTP/1.1 400 Bad Request\r\n", None, "HTTP"),
            ("<!DOCTYPE html>\r\n", None, "HTML"),
            ("SSH-2.0-OpenSSH_9.2\r\n", None, "SSH"),
            ("\"IMPLEMENTATION\" \"Dovecot\"\r\n", None, "ManageSieve"),
            ("200 news\r\n", None, "NNTP"),
        ] {
            for protocol in Protocol::ALL {
                let service = greets(protocol, line);
                if of == Some(protocol) {
                    assert_eq!(service, None, "{protocol} {line}");
                } else {
                    assert!(
                        service.is_some_and(|service| service.contains(name)),
                        "{protocol} {line}"
                    );
                }
            }
        }
        // Behind the greeting it is another fault.
        let late = one(Protocol::Imap, Awaited::Capabilities, "220 mail ESMTP\r\n");
        assert!(matches!(late, Err(ReplyFault::Violation(_))), "{late:?}");
    }

    #[test]
    fn keeps_the_line_that_broke_the_protocol() {
        let mut reader = ReplyReader::new(Protocol::Imap);
        assert_eq!(take_all(&mut reader, "* OK a\r\n"), Ok(1));
        assert!(take_all(&mut reader, "what is this\r\n").is_err());
        assert_eq!(reader.line_at_fault(), "what is this");
        let mut reader = ReplyReader::new(Protocol::Smtp);
        assert_eq!(take_all(&mut reader, "334 go\r\n"), Ok(1));
        assert_eq!(reader.line_at_fault(), "334 go");
        assert!(take_all(&mut reader, "no line\n").is_err());
        assert_eq!(reader.line_at_fault(), "");
    }

    /// Takes replies until the input is used up; how many there were.
    fn take_all(reader: &mut ReplyReader, text: &str) -> Result<usize, ReplyFault> {
        let (mut input, mut count) = (text.as_bytes(), 0);
        while reader.take(&mut input, Awaited::Login, "A0001")?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    #[test]
    fn the_octets_of_a_phase_are_bounded_and_counted_anew_in_the_next() {
        let mut reader = ReplyReader::new(Protocol::Imap);
        let line = format!("* X {}\r\n", "a".repeat(8_192 - 6));
        let full = line.repeat(PHASE_OCTETS_MAX / 8_192);
        for _ in 0..2 {
            assert_eq!(take_all(&mut reader, &full), Ok(PHASE_OCTETS_MAX / 8_192));
            reader.begin_phase();
        }
        assert_eq!(take_all(&mut reader, &full), Ok(PHASE_OCTETS_MAX / 8_192));
        let limit = Err(ReplyFault::Limit("too many octets before a verdict"));
        assert_eq!(take_all(&mut reader, "+ \r\n"), limit);
    }

    #[test]
    fn the_octets_of_a_literal_count_as_well() {
        let mut reader = ReplyReader::new(Protocol::Imap);
        let literal = format!("* X {{65536}}\r\n{}\r\n", "a".repeat(65_536));
        for _ in 0..15 {
            assert_eq!(take_all(&mut reader, &literal), Ok(1));
        }
        let limit = Err(ReplyFault::Limit("too many octets before a verdict"));
        assert_eq!(take_all(&mut reader, &literal), limit);
        assert!(one(Protocol::Imap, Awaited::Login, "* X {65537}\r\n").is_err());
    }

    #[test]
    fn the_responses_of_a_phase_are_bounded_and_counted_anew_in_the_next() {
        let mut reader = ReplyReader::new(Protocol::Imap);
        let most = "* X\r\n".repeat(PHASE_RESPONSES_MAX);
        assert_eq!(take_all(&mut reader, &most), Ok(PHASE_RESPONSES_MAX));
        reader.begin_phase();
        assert_eq!(take_all(&mut reader, &most), Ok(PHASE_RESPONSES_MAX));
        let limit = Err(ReplyFault::Limit("too many responses before a verdict"));
        assert_eq!(take_all(&mut reader, "* X\r\n"), limit);
    }

    #[test]
    fn capabilities_and_lines_of_a_reply_are_bounded() {
        let list = |count| format!("* CAPABILITY{}\r\n", " A".repeat(count));
        assert!(one(Protocol::Imap, Awaited::Login, &list(CAPABILITIES_MAX)).is_ok());
        assert!(one(Protocol::Imap, Awaited::Login, &list(CAPABILITIES_MAX + 1)).is_err());
        for (protocol, first, line, last) in [
            (Protocol::Pop3, "+OK\r\n", "A\r\n", ".\r\n"),
            (Protocol::Smtp, "250-hi\r\n", "250-A\r\n", "250 B\r\n"),
        ] {
            let read = |count| {
                one(protocol, Awaited::Capabilities, &[first, &line.repeat(count), last].concat())
            };
            // SMTP's last line is one of the list, POP3's dot is none.
            let most = REPLY_LINES_MAX - usize::from(protocol == Protocol::Smtp);
            assert!(read(most).is_ok(), "{protocol}");
            let limit = Err(ReplyFault::Limit("a reply has too many lines"));
            assert_eq!(read(most + 1), limit, "{protocol}");
        }
    }

    #[test]
    fn untagged_refusals_are_kept_for_the_verdict_and_only_the_first() {
        let mut reader = ReplyReader::new(Protocol::Imap);
        let text = "* OK a\r\n* NO b\r\n* X c\r\n* BAD d\r\n* NO e\r\n* NO f\r\n* NO g\r\n* NO x\r\nA0001 NO h\r\n";
        assert_eq!(take_all(&mut reader, text), Ok(9));
        assert_eq!(reader.last_reply(), ["* NO b", "* NO e", "* NO f", "* NO g", "A0001 NO h"]);
        reader.begin_phase();
        assert_eq!(take_all(&mut reader, "A0001 NO i\r\n"), Ok(1));
        assert_eq!(reader.last_reply(), ["A0001 NO i"]);
    }

    #[test]
    fn the_text_of_a_status_announces_no_literal() {
        for text in ["* OK see {3}", "* NO see {3}", "* OK see {-1}", "* BAD see {5+}"] {
            let mut reader = ReplyReader::new(Protocol::Imap);
            assert_eq!(take_all(&mut reader, &format!("{text}\r\nA0001 NO\r\n")), Ok(2), "{text}");
        }
    }

    #[test]
    fn a_status_of_pop3_is_a_word_of_its_own() {
        for good in ["-ERR", "-ERR no", "-ERR[AUTH] no"] {
            let reply = one(Protocol::Pop3, Awaited::Login, &format!("{good}\r\n"));
            assert_eq!(reply, Ok(Some(Reply::Negative)), "{good}");
        }
        for bad in ["-ERRor", "-ERR\tno", "+OKAY", "+OK[a]"] {
            let reply = one(Protocol::Pop3, Awaited::Login, &format!("{bad}\r\n"));
            assert!(matches!(reply, Err(ReplyFault::Violation(_))), "{bad}");
        }
    }

    #[test]
    fn only_the_capability_code_lists_capabilities() {
        let listed = Capabilities::from_words("AUTH=XOAUTH2 SASL-IR");
        assert_eq!(capability_code("[capability AUTH=XOAUTH2 SASL-IR] hi"), Ok(Some(listed)));
        for none in ["[ALERT AUTH=XOAUTH2] hi", "[CAPABILITY]", "[CAPABILITY AUTH=XOAUTH2 hi", "hi"]
        {
            assert_eq!(capability_code(none), Ok(None), "{none}");
        }
    }
}
