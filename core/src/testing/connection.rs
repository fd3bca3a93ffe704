//! One connection: lines, literals, TLS, the SASL exchange and the end of its time. The commands after the login are in
//! the files of the protocols.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Cut, FaultKind, Flavour, Output, Server, ServerConfig, Stage, Then};
use crate::config::{Mechanism, Protocol};
use crate::failure::Cause;
use crate::reply::{LiteralEnd, literal_at_end};
use crate::sasl;

/// Octets of a line or a literal that are taken: more than any client of a test sends.
const INPUT_OCTETS_MAX: usize = 16 << 20;

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    id: u64,
    protocol: Protocol,
    secure: bool,
    input: Vec<u8>,
    exchange: Exchange,
    pub(super) login: Option<LoggedIn>,
    /// What the protocol keeps.
    pub(super) selected: bool,
    /// UIDs that the client knows of, by their sequence numbers.
    pub(super) view: Vec<u32>,
    pub(super) deleted: Vec<u32>,
    pub(super) envelope: Option<(String, Vec<String>)>,
    /// The message text so far.
    pub(super) text: Vec<u8>,
    vanished: bool,
}

/// A session.
#[derive(Debug, Clone)]
pub(super) struct LoggedIn {
    pub(super) user: String,
    since_ms: u64,
    token_expires_at_ms: u64,
    /// Gmail's POP3 welcomes a client whose first command it refuses.
    pub(super) dead: Option<Cause>,
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

impl Connection {
    pub(super) fn new(id: u64, protocol: Protocol, secure: bool) -> Self {
        Self {
            id,
            protocol,
            secure,
            input: Vec::new(),
            exchange: Exchange::Command,
            login: None,
            selected: false,
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
        if self.input.len() > INPUT_OCTETS_MAX {
            return Output { send: Vec::new(), next: Then::Close };
        }
        let mut send = Vec::new();
        while let Some(line) = self.next_line(&mut send) {
            let output = self.line(server, now_ms, &line);
            send.extend_from_slice(&output.send);
            if output.next != Then::Read {
                self.vanished |= output.next == Then::Vanish;
                return Output { send, next: output.next };
            }
        }
        Output { send, next: Then::Read }
    }

    /// The next line without its end; in IMAP with its literals in it, for which the client is asked.
    fn next_line(&mut self, send: &mut Vec<u8>) -> Option<Vec<u8>> {
        let mut from = 0;
        loop {
            let rest = self.input.get(from..).unwrap_or_default();
            let end = from.saturating_add(memchr::memchr(b'\n', rest)?);
            let line = self.input.get(..end).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let Some((octets, waits)) = self.literal(line) else {
                let line = line.to_vec();
                self.input.drain(..=end);
                return Some(line);
            };
            let after = end.saturating_add(1).saturating_add(octets);
            if self.input.len() < after {
                // RFC 9051 section 4.3: the client waits for this before it sends a literal.
                if waits && self.input.len() == end.saturating_add(1) {
                    send.extend_from_slice(b"+ go ahead\r\n");
                }
                return None;
            }
            from = after;
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
            Exchange::Acknowledgement { refusal } => say(&refusal),
            Exchange::Text => self.text_line(server, line),
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
        let text = String::from_utf8_lossy(line).to_string();
        if self.login.is_some() {
            if let Some(fault) = server.strikes(Stage::Command) {
                return self.fault(fault);
            }
            if let Some(cause) = self.login.as_ref().and_then(|login| login.dead) {
                return say(server.config.flavour.refusal(self.protocol, cause));
            }
        }
        match self.protocol {
            Protocol::Imap => self.imap(server, now_ms, &text, line),
            Protocol::Pop3 => self.pop3(server, now_ms, &text),
            Protocol::Smtp => self.smtp(server, now_ms, &text),
        }
    }

    // ---- TLS and login -------------------------------------------------------------------------------------------

    pub(super) fn upgrade(&mut self, server: &mut Server, reply: &str) -> Output {
        match server.strikes(Stage::Upgrade) {
            Some(FaultKind::Inject) => {
                let injected = format!("{reply}\r\n* BYE injected");
                Output { next: Then::StartTls, ..say(&injected) }
            }
            Some(fault) => self.fault(fault),
            None => {
                self.exchange = Exchange::Handshake;
                Output { next: Then::StartTls, ..say(reply) }
            }
        }
    }

    /// `AUTHENTICATE` or `AUTH`: `None` where the mechanism is not offered.
    pub(super) fn begin_login(
        &mut self,
        server: &mut Server,
        now_ms: u64,
        tag: &str,
        mechanism: &str,
        initial: Option<&str>,
    ) -> Option<Output> {
        let mechanism = mechanism
            .parse()
            .ok()
            .filter(|one| server.config.flavour.mechanisms().contains(one))?;
        if !self.secure || self.login.is_some() {
            return None;
        }
        if let Some(fault) = server.strikes(Stage::Login) {
            return Some(self.fault(fault));
        }
        let Some(initial) = initial else {
            self.exchange = Exchange::Token { tag: tag.to_string(), mechanism };
            return Some(say(server.config.flavour.prompt(self.protocol)));
        };
        Some(self.token(server, now_ms, tag, mechanism, initial.as_bytes()))
    }

    fn token(
        &mut self,
        server: &mut Server,
        now_ms: u64,
        tag: &str,
        mechanism: Mechanism,
        line: &[u8],
    ) -> Output {
        if let Some(fault) = server.strikes(Stage::Verdict) {
            return self.fault(fault);
        }
        if line == b"*" {
            return say(&self.refused_line(
                tag,
                "% BAD Client aborted AUTHENTICATE command.",
                "-ERR Authentication aborted by client.",
                "501 5.5.2 Authentication aborted by client.",
            ));
        }
        let message = core::str::from_utf8(line).ok().and_then(sasl::decode_strict);
        let Some(message) = message else {
            return say(&self.refused_line(
                tag,
                "% BAD Invalid SASL argument.",
                "-ERR [AUTH] Invalid base64.",
                "501 5.5.2 Cannot Decode response",
            ));
        };
        let Some((user, token)) = read_message(mechanism, &message) else {
            return say(&self.refused_line(
                tag,
                "% BAD Invalid SASL argument.",
                "-ERR [AUTH] Invalid argument.",
                "501 5.5.2 Invalid argument",
            ));
        };
        match server.judge(now_ms, &user, &token) {
            Ok(token_expires_at_ms) => {
                self.welcome(server, now_ms, tag, user, token_expires_at_ms, None)
            }
            // Gmail's POP3 says it to the first command only.
            Err(Cause::ProtocolDisabled)
                if self.protocol == Protocol::Pop3 && server.config.flavour == Flavour::Gmail =>
            {
                self.welcome(server, now_ms, tag, user, u64::MAX, Some(Cause::ProtocolDisabled))
            }
            Err(cause) => self.refuse(server, now_ms, tag, mechanism, cause),
        }
    }

    fn welcome(
        &mut self,
        server: &mut Server,
        now_ms: u64,
        tag: &str,
        user: String,
        token_expires_at_ms: u64,
        dead: Option<Cause>,
    ) -> Output {
        let flavour = server.config.flavour;
        let capabilities = flavour.imap_capabilities(true, true);
        let text = match (self.protocol, flavour) {
            (Protocol::Imap, Flavour::Gmail) => {
                format!("* CAPABILITY {capabilities}\r\n{tag} OK {user} authenticated (Success)")
            }
            (Protocol::Imap, Flavour::Outlook) => format!("{tag} OK AUTHENTICATE completed."),
            (Protocol::Imap, Flavour::Dovecot) => {
                format!("{tag} OK [CAPABILITY {capabilities}] Logged in")
            }
            (Protocol::Pop3, Flavour::Gmail) => "+OK Welcome.".to_string(),
            (Protocol::Pop3, Flavour::Outlook) => {
                "+OK User successfully authenticated.".to_string()
            }
            (Protocol::Pop3, Flavour::Dovecot) => "+OK Logged in.".to_string(),
            (Protocol::Smtp, Flavour::Gmail) => "235 2.7.0 Accepted".to_string(),
            (Protocol::Smtp, Flavour::Outlook) => "235 2.7.0 Authentication successful".to_string(),
            (Protocol::Smtp, Flavour::Dovecot) => "235 2.7.0 Logged in.".to_string(),
        };
        self.view = server.mailbox(&user).messages.iter().map(|message| message.uid).collect();
        self.login = Some(LoggedIn { user, since_ms: now_ms, token_expires_at_ms, dead });
        server.note(now_ms, self, "logged_in");
        say(&text)
    }

    fn refuse(
        &mut self,
        server: &mut Server,
        now_ms: u64,
        tag: &str,
        mechanism: Mechanism,
        cause: Cause,
    ) -> Output {
        server.note(now_ms, self, "refused");
        let flavour = server.config.flavour;
        let refusal = flavour.refusal(self.protocol, cause).replace('%', tag);
        let Some(challenge) = flavour.challenge(mechanism, cause) else { return say(&refusal) };
        self.exchange = Exchange::Acknowledgement { refusal };
        let start = if self.protocol == Protocol::Smtp { "334" } else { "+" };
        say(&format!("{start} {}", sasl::encode(challenge.as_bytes())))
    }

    fn refused_line(&self, tag: &str, imap: &str, pop3: &str, smtp: &str) -> String {
        match self.protocol {
            Protocol::Imap => imap.replace('%', tag),
            Protocol::Pop3 => pop3.to_string(),
            Protocol::Smtp => smtp.to_string(),
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
        let idles = matches!(self.exchange, Exchange::Idle { .. }) && !self.vanished;
        let send = if idles { self.imap_news(server) } else { Vec::new() };
        Output { send, next: Then::Read }
    }
}

/// A reply of one or more lines.
pub(super) fn say(text: &str) -> Output {
    Output { send: format!("{text}\r\n").into_bytes(), next: Then::Read }
}

/// User and token of a SASL message, read strictly.
fn read_message(mechanism: Mechanism, message: &[u8]) -> Option<(String, String)> {
    let text = core::str::from_utf8(message).ok()?.strip_suffix("\u{1}\u{1}")?;
    let mut fields = text.split('\u{1}');
    let user = match mechanism {
        Mechanism::XOAuth2 => fields.next()?.strip_prefix("user=")?.to_string(),
        // RFC 5801 section 4: `=2C` and `=3D` are the only escapes.
        Mechanism::OAuthBearer => {
            let name = fields.next()?.strip_prefix("n,a=")?.strip_suffix(',')?;
            let plain = name.replace("=2C", "").replace("=3D", "");
            if plain.contains([',', '=']) {
                return None;
            }
            name.replace("=2C", ",").replace("=3D", "=")
        }
    };
    let token = fields.find_map(|field| field.strip_prefix("auth=Bearer "))?;
    Some((user, token.to_string()))
}
