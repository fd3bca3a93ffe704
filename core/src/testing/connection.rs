//! One connection: lines, literals, faults and the end of its time. TLS and the SASL exchange are in `login.rs`, the commands
//! in the files of the protocols.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::imap::Selected;
use super::login::LoggedIn;
use super::refusal::Moment;
use super::smtp::Envelope;
use super::{Cut, FaultKind, Flavour, Output, Server, ServerConfig, Stage, Then};
use crate::config::{Mechanism, Protocol};
use crate::reply::{LiteralEnd, literal_at_end};

/// Octets of a line beside its literals: more than any client of a test sends.
const LINE_OCTETS_MAX: usize = 1 << 20;

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    id: u64,
    protocol: Protocol,
    secure: bool,
    input: Vec<u8>,
    exchange: Exchange,
    pub(super) login: Option<LoggedIn>,
    /// IMAP: the mailbox that is selected.
    pub(super) selected: Option<Selected>,
    /// POP3: UIDs of the messages, by their numbers, and those that are marked.
    pub(super) view: Vec<u32>,
    pub(super) deleted: Vec<u32>,
    /// SMTP: the transaction, and the text of its message so far.
    pub(super) envelope: Option<Envelope>,
    pub(super) text: Vec<u8>,
    vanished: bool,
}

/// What the next line is.
#[derive(Debug, Clone)]
pub(super) enum Exchange {
    Command,
    /// The answer to the prompt.
    Token {
        tag: String,
        mechanism: Mechanism,
    },
    /// The answer to the error challenge.
    Acknowledgement {
        refusal: String,
        then: Then,
    },
    /// Message text, up to the lone dot.
    Text,
    /// IMAP: DONE.
    Idle {
        tag: String,
    },
    /// The host does the handshake.
    Handshake,
}

/// What the input holds.
enum Next {
    /// No whole line.
    Nothing,
    /// A line up to a literal that the client waits to send.
    GoAhead,
    /// More than is taken.
    TooBig { reply: String, next: Then },
    /// A line, and where the next one begins.
    Line { line: Vec<u8>, end: usize },
}

impl Connection {
    pub(super) fn new(id: u64, protocol: Protocol, secure: bool) -> Self {
        Self {
            id,
            protocol,
            secure,
            input: Vec::new(),
            exchange: Exchange::Command,
            login: None,
            selected: None,
            view: Vec::new(),
            deleted: Vec::new(),
            envelope: None,
            text: Vec::new(),
            vanished: false,
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub(super) fn is_secure(&self) -> bool {
        self.secure
    }

    pub(super) fn user(&self) -> Option<&str> {
        self.login.as_ref().map(|login| login.user.as_str())
    }

    pub(super) fn expect(&mut self, exchange: Exchange) {
        self.exchange = exchange;
    }

    pub(super) fn greet(&mut self, server: &mut Server) -> Output {
        if let Some(refused) = server.refused(self.protocol, Moment::Greeting, "") {
            return refused;
        }
        let greeting = server.config.flavour.greeting(self.protocol, self.secure);
        self.or_fault(server, Stage::Greeting, say(&greeting))
    }

    pub(super) fn tls_established(&mut self) -> Output {
        // RFC 3207 section 6: what a client sent before TLS is dropped.
        self.input.clear();
        self.secure = true;
        self.exchange = Exchange::Command;
        Output { send: Vec::new(), next: Then::Read }
    }

    pub(super) fn shut_down(&mut self) -> Output {
        Output { next: Then::Close, ..say(Flavour::shutdown(self.protocol)) }
    }

    // ---- Lines ---------------------------------------------------------------------------------------------------

    pub(super) fn receive(&mut self, server: &mut Server, now_ms: u64, bytes: &[u8]) -> Output {
        if self.vanished {
            return Output { send: Vec::new(), next: Then::Vanish };
        }
        if self.is_over(server, now_ms) {
            return self.cut(server, now_ms);
        }
        self.input.extend_from_slice(bytes);
        let mut send = Vec::new();
        let mut taken = 0;
        let next = loop {
            match self.next_line(server, taken) {
                Next::Nothing => break Then::Read,
                Next::GoAhead => {
                    send.extend_from_slice(b"+ go ahead\r\n");
                    break Then::Read;
                }
                Next::TooBig { reply, next } => {
                    send.extend_from_slice(&say(&reply).send);
                    taken = self.input.len();
                    break next;
                }
                Next::Line { line, end } => {
                    taken = end;
                    let output = self.line(server, now_ms, &line);
                    send.extend_from_slice(&output.send);
                    if output.next != Then::Read {
                        self.vanished |= output.next == Then::Vanish;
                        break output.next;
                    }
                }
            }
        };
        self.input.drain(..taken.min(self.input.len()));
        Output { send, next }
    }

    /// The line that begins at an octet, without its end; in IMAP with its literals in it, for which the client is asked.
    fn next_line(&self, server: &Server, begin: usize) -> Next {
        let mut from = begin;
        loop {
            let rest = self.input.get(from..).unwrap_or_default();
            let Some(end) = memchr::memchr(b'\n', rest) else {
                let is_long = rest.len() > LINE_OCTETS_MAX;
                return if is_long { self.too_big(begin, false) } else { Next::Nothing };
            };
            let end = from.saturating_add(end);
            let line = self.input.get(begin..end).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let end = end.saturating_add(1);
            let Some((octets, waits)) = self.literal(line) else {
                return Next::Line { line: line.to_vec(), end };
            };
            let most = server.config.message_octets_max.saturating_add(LINE_OCTETS_MAX);
            let after = end.saturating_add(octets);
            if octets > server.config.message_octets_max || after.saturating_sub(begin) > most {
                return self.too_big(begin, waits);
            }
            if self.input.len() < after {
                // RFC 9051 section 4.3: the client waits for this before it sends a literal.
                let asks = waits && self.input.len() == end;
                return if asks { Next::GoAhead } else { Next::Nothing };
            }
            from = after;
        }
    }

    /// A literal that nobody has sent yet is refused; what is on its way already ends the connection.
    fn too_big(&self, begin: usize, waits: bool) -> Next {
        let line = self.input.get(begin..).unwrap_or_default();
        let tag = line.split(|octet| *octet == b' ').next().unwrap_or_default();
        let tag = String::from_utf8_lossy(tag.get(..tag.len().min(64)).unwrap_or_default());
        match (self.protocol, waits) {
            (Protocol::Imap, true) => Next::TooBig {
                reply: format!("{tag} NO [TOOBIG] Message too large. (Failure)"),
                next: Then::Read,
            },
            (Protocol::Imap, false) => {
                Next::TooBig { reply: "* BYE Too much at once.".to_string(), next: Then::Close }
            }
            (Protocol::Pop3, _) => {
                Next::TooBig { reply: "-ERR Line too long.".to_string(), next: Then::Close }
            }
            (Protocol::Smtp, _) => {
                Next::TooBig { reply: "500 5.5.2 Line too long".to_string(), next: Then::Close }
            }
        }
    }

    fn literal(&self, line: &[u8]) -> Option<(usize, bool)> {
        if self.protocol != Protocol::Imap || !matches!(self.exchange, Exchange::Command) {
            return None;
        }
        let plain = line.strip_suffix(b"+}").map(|start| [start, b"}"].concat());
        match literal_at_end(plain.as_deref().unwrap_or(line)) {
            LiteralEnd::Octets(octets) => Some((usize::try_from(octets).ok()?, plain.is_none())),
            LiteralEnd::None | LiteralEnd::Malformed => None,
        }
    }

    fn line(&mut self, server: &mut Server, now_ms: u64, line: &[u8]) -> Output {
        match core::mem::replace(&mut self.exchange, Exchange::Command) {
            Exchange::Command => self.command(server, now_ms, line),
            Exchange::Token { tag, mechanism } => self.token(server, now_ms, &tag, mechanism, line),
            Exchange::Acknowledgement { refusal, then } => Output { next: then, ..say(&refusal) },
            Exchange::Text => self.text_line(server, now_ms, line),
            Exchange::Idle { tag } => self.idle_line(&tag, line),
            Exchange::Handshake => Output { send: Vec::new(), next: Then::Close },
        }
    }

    fn command(&mut self, server: &mut Server, now_ms: u64, line: &[u8]) -> Output {
        if let Some((most, refusal)) = server.config.flavour.line_limit(self.protocol)
            && self.login.is_none()
            && line.len().saturating_add(2) > most
        {
            let next = if self.protocol == Protocol::Pop3 { Then::Close } else { Then::Read };
            return Output { next, ..say(refusal) };
        }
        if self.login.is_some() {
            if let Some(fault) = server.strikes(Stage::Command) {
                return self.fault(fault);
            }
            if let Some(reply) = self.reply_of_the_dead(line) {
                return reply;
            }
        }
        match self.protocol {
            Protocol::Imap => self.imap(server, now_ms, line),
            Protocol::Pop3 => self.pop3(server, now_ms, &String::from_utf8_lossy(line)),
            Protocol::Smtp => self.smtp(server, now_ms, &String::from_utf8_lossy(line)),
        }
    }

    // ---- Faults and ends -----------------------------------------------------------------------------------------

    pub(super) fn or_fault(&mut self, server: &mut Server, stage: Stage, output: Output) -> Output {
        match server.strikes(stage) {
            Some(fault) => self.fault(fault),
            None => output,
        }
    }

    pub(super) fn fault(&mut self, kind: FaultKind) -> Output {
        match kind {
            FaultKind::Drop => Output { send: Vec::new(), next: Then::Close },
            FaultKind::Vanish => {
                self.vanished = true;
                Output { send: Vec::new(), next: Then::Vanish }
            }
            FaultKind::Garbage | FaultKind::Inject => say("\u{1}garbage that is no reply"),
            FaultKind::Flood => {
                let line = match self.protocol {
                    Protocol::Imap => "* X\r\n",
                    Protocol::Pop3 => "X\r\n",
                    Protocol::Smtp => "250-X\r\n",
                };
                Output { send: line.repeat(150_000).into_bytes(), next: Then::Read }
            }
        }
    }

    pub(super) fn ends_at_ms(&self, config: &ServerConfig) -> Option<u64> {
        let login = self.login.as_ref().filter(|_| config.cut != Cut::Never && !self.vanished)?;
        let limit_ms = config.session_limit_ms.unwrap_or(u64::MAX);
        Some(login.since_ms.saturating_add(limit_ms).min(login.token_expires_at_ms))
    }

    /// Whether it would be told at once what is new.
    pub(super) fn idles(&self) -> bool {
        matches!(self.exchange, Exchange::Idle { .. }) && !self.vanished
    }

    fn is_over(&self, server: &Server, now_ms: u64) -> bool {
        self.ends_at_ms(&server.config).is_some_and(|ends_at_ms| now_ms >= ends_at_ms)
    }

    fn cut(&mut self, server: &mut Server, now_ms: u64) -> Output {
        server.note(now_ms, self, "cut");
        match server.config.cut {
            Cut::Words => {
                Output { next: Then::Close, ..say(server.config.flavour.farewell(self.protocol)) }
            }
            Cut::Silent => Output { send: Vec::new(), next: Then::Close },
            Cut::Vanish => self.fault(FaultKind::Vanish),
            Cut::Never => Output { send: Vec::new(), next: Then::Read },
        }
    }

    pub(super) fn tick(&mut self, server: &mut Server, now_ms: u64) -> Output {
        if self.is_over(server, now_ms) {
            return self.cut(server, now_ms);
        }
        let send = if self.idles() { self.imap_news(server, true) } else { Vec::new() };
        Output { send, next: Then::Read }
    }
}

/// A reply of one or more lines.
pub(super) fn say(text: &str) -> Output {
    Output { send: format!("{text}\r\n").into_bytes(), next: Then::Read }
}
