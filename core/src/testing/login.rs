//! TLS and the SASL exchange of a connection.

use alloc::format;
use alloc::string::{String, ToString};

use super::connection::{Connection, Exchange, say};
use super::refusal::Moment;
use super::{FaultKind, Flavour, Output, Server, Stage, Then};
use crate::config::{Mechanism, Protocol};
use crate::failure::Cause;
use crate::sasl;

/// A session.
#[derive(Debug, Clone)]
pub(super) struct LoggedIn {
    pub(super) user: String,
    pub(super) since_ms: u64,
    pub(super) token_expires_at_ms: u64,
    /// Some servers welcome a client, and refuse all that it says then.
    pub(super) dead: Option<&'static str>,
}

impl Connection {
    // ---- TLS and login -------------------------------------------------------------------------------------------

    pub(super) fn upgrade(&mut self, server: &mut Server, tag: &str, reply: &str) -> Output {
        if let Some(refused) = server.refused(self.protocol(), Moment::Upgrade, tag) {
            return refused;
        }
        match server.strikes(Stage::Upgrade) {
            Some(FaultKind::Inject) => {
                let injected = format!("{reply}\r\n* BYE injected");
                Output { next: Then::StartTls, ..say(&injected) }
            }
            Some(fault) => self.fault(fault),
            None => {
                self.expect(Exchange::Handshake);
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
        if !self.is_secure() || self.login.is_some() {
            return None;
        }
        if let Some(fault) = server.strikes(Stage::Login) {
            return Some(self.fault(fault));
        }
        if let Some(refused) = server.refused(self.protocol(), Moment::Command, tag) {
            server.note(now_ms, self, "refused");
            return Some(refused);
        }
        if initial.is_some()
            && let Some(refused) = server.refused(self.protocol(), Moment::InitialResponse, tag)
        {
            server.note(now_ms, self, "refused");
            return Some(refused);
        }
        let Some(initial) = initial else {
            self.expect(Exchange::Token { tag: tag.to_string(), mechanism });
            return Some(say(server.config.flavour.prompt(self.protocol())));
        };
        Some(self.token(server, now_ms, tag, mechanism, initial.as_bytes()))
    }

    pub(super) fn token(
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
        if let Some(dead) = server.words_at(self.protocol(), Moment::Session) {
            return self.welcome(server, now_ms, tag, user, u64::MAX, Some(dead));
        }
        match server.judge(now_ms, self.protocol(), &user, &token) {
            Ok(expires_at_ms) => self.welcome(server, now_ms, tag, user, expires_at_ms, None),
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
        dead: Option<&'static str>,
    ) -> Output {
        let flavour = server.config.flavour;
        let capabilities = flavour.imap_capabilities(true, true);
        let text = match (self.protocol(), flavour) {
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
        self.view = server.account(&user).messages("INBOX").map(|(uid, _)| *uid).collect();
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
        let (refusal, then) = server.verdict(self.protocol(), tag, cause);
        let Some(challenge) = flavour.challenge(mechanism, cause) else {
            return Output { next: then, ..say(&refusal) };
        };
        self.expect(Exchange::Acknowledgement { refusal, then });
        let start = if self.protocol() == Protocol::Smtp { "334" } else { "+" };
        say(&format!("{start} {}", sasl::encode(challenge.as_bytes())))
    }

    /// What a client hears that is welcomed and refused at once; in IMAP it may ask for capabilities, and leave.
    pub(super) fn reply_of_the_dead(&self, line: &[u8]) -> Option<Output> {
        let dead = self.login.as_ref()?.dead?;
        if self.protocol() != Protocol::Imap {
            return Some(say(dead));
        }
        let text = String::from_utf8_lossy(line);
        let mut words = text.split_ascii_whitespace();
        let tag = words.next().unwrap_or("*");
        let name = words.next().unwrap_or_default().to_ascii_uppercase();
        let is_answered = matches!(name.as_str(), "CAPABILITY" | "LOGOUT");
        (!is_answered).then(|| say(&dead.replace('%', tag)))
    }

    fn refused_line(&self, tag: &str, imap: &str, pop3: &str, smtp: &str) -> String {
        match self.protocol() {
            Protocol::Imap => imap.replace('%', tag),
            Protocol::Pop3 => pop3.to_string(),
            Protocol::Smtp => smtp.to_string(),
        }
    }
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
