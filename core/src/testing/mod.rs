//! A Gmail-like mail server as a machine without I/O, for the tests of programs that log in with OAuth.
//!
//! One [`Server`] holds tokens, mailboxes, knobs and all open connections; sockets and the clock are the host's. It takes
//! only tokens that it issued itself, it speaks as Gmail, Outlook or Dovecot do, and it can refuse, cut and vanish where
//! a test wants it to. The same calls with the same seed give the same octets.
//!
//! ```
//! use mailbearer::testing::{Server, ServerConfig};
//! use mailbearer::{AccessToken, Endpoint, Identity, Negotiation, NegotiationConfig, Next, Protocol, Tls};
//!
//! let mut server = Server::new(ServerConfig::default(), 7);
//! let token = server.issue_token(0, "joe@gmail.com", Default::default());
//! let endpoint = Endpoint::new(Protocol::Imap, Tls::Implicit, "localhost");
//! let config = NegotiationConfig::new(endpoint, Identity::new("joe@gmail.com"));
//! let mut client = Negotiation::new(config, AccessToken::new(&token)?)?;
//!
//! let (connection, greeting) = server.open(0, Protocol::Imap, Tls::Implicit);
//! let mut step = client.receive(&greeting.send)?;
//! while step.next == Next::Read {
//!     let reply = server.receive(0, connection, &step.send);
//!     step = client.receive(&reply.send)?;
//! }
//! assert!(matches!(step.next, Next::Done(_)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accounts;
mod connection;
mod flavour;
mod imap;
mod login;
mod mail;
mod pop3;
mod recipients;
mod refusal;
mod smtp;
mod words;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

pub use accounts::{Delivery, NoMailbox, StoredMessage};
pub use flavour::Flavour;
pub use recipients::RecipientRefusal;
pub use refusal::Unsayable;

use crate::config::{Protocol, Tls};
use crate::failure::{Cause, spelled_enum};
use connection::Connection;
use mail::{Account, uid_validity};

spelled_enum! {
    /// How a session ends whose time is over.
    Cut {
        /// With the provider's own words.
        Words = "words",
        /// The connection is closed without a word.
        Silent = "silent",
        /// The connection stays open, and nothing is answered any more.
        Vanish = "vanish",
        /// It does not end.
        Never = "never",
    }
}

spelled_enum! {
    /// Where a fault strikes.
    Stage {
        /// In place of the greeting.
        Greeting = "greeting",
        /// In place of the capabilities.
        Capabilities = "capabilities",
        /// In place of the reply that starts TLS.
        Upgrade = "upgrade",
        /// In place of the prompt for the token, or of the verdict where the token came in the command.
        Login = "login",
        /// In place of the verdict.
        Verdict = "verdict",
        /// In place of the reply to the next command after the login.
        Command = "command",
        /// The message is accepted, and the reply to it is not sent.
        AfterDot = "after_dot",
    }
}

spelled_enum! {
    /// What a fault does.
    FaultKind {
        /// Closes the connection.
        Drop = "drop",
        /// Stays open and never answers.
        Vanish = "vanish",
        /// Says what no protocol allows.
        Garbage = "garbage",
        /// Sends lines without end: a megabyte for each read.
        Flood = "flood",
        /// Puts octets behind the reply that starts TLS.
        Inject = "inject",
    }
}

/// A fault that strikes once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub stage: Stage,
    /// What.
    pub kind: FaultKind,
}

/// How the server behaves. All of it can be changed while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Whose words it uses.
    pub flavour: Flavour,
    /// Milliseconds that a token lives.
    pub token_lifetime_ms: u64,
    /// Milliseconds that a session may live.
    pub session_limit_ms: Option<u64>,
    /// What happens to a session whose token or time is over.
    pub cut: Cut,
    /// Most sessions at a time for one user.
    pub connections_max: Option<usize>,
    /// Messages in the INBOX of an account that is new.
    pub messages: usize,
    /// Octets of the largest message that is taken over SMTP and APPEND.
    pub message_octets_max: usize,
    /// Milliseconds that a recipient is refused for now after a user's first message to it.
    pub greylist_ms: Option<u64>,
    /// What milliseconds since 1970 are when the host's clock stands at zero: messages that come without a date of their own
    /// have that of their arrival. Without it, they have the date of their `Date` field, or one in 2026.
    pub unix_epoch_ms: Option<u64>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            flavour: Flavour::Gmail,
            token_lifetime_ms: 3_600_000,
            session_limit_ms: None,
            cut: Cut::Words,
            connections_max: None,
            messages: 3,
            message_octets_max: 35_882_577,
            greylist_ms: None,
            unix_epoch_ms: None,
        }
    }
}

/// What a token is to be like. The default is a token as the configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenRequest {
    /// Milliseconds that it lives, in place of the configuration's.
    pub lifetime_ms: Option<u64>,
    /// Its scope, in place of the one for mail.
    pub scope: Option<String>,
    /// Its length in octets.
    pub octets: Option<usize>,
}

/// What the host does for a connection: it writes `send`, then what `next` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Octets to write.
    pub send: Vec<u8>,
    /// What to do then.
    pub next: Then,
}

spelled_enum! {
    /// What the host does after writing.
    Then {
        /// Reads.
        Read = "read",
        /// Does the TLS handshake, as the server.
        StartTls = "start_tls",
        /// Closes the connection.
        Close = "close",
        /// Keeps the connection open, and reads no more.
        Vanish = "vanish",
    }
}

/// A message that was accepted over SMTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// Who was logged in.
    pub user: String,
    /// `MAIL FROM`.
    pub sender: String,
    /// `RCPT TO`.
    pub recipients: Vec<String>,
    /// The message, without dot-stuffing.
    pub content: Vec<u8>,
}

/// What happened, for assertions and timelines. It never shows a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerEvent {
    /// When.
    pub at_ms: u64,
    /// The connection.
    pub connection: u64,
    /// Its protocol.
    pub protocol: Protocol,
    /// `connected`, `logged_in`, `refused`, `cut`, `closed`, or the name of a command.
    pub what: String,
}

/// Most events that are kept; older ones are dropped.
const EVENTS_MAX: usize = 100_000;

/// The scope that mail needs, as at Gmail.
pub(crate) const MAIL_SCOPE: &str = "https://mail.google.com/";

#[derive(Debug, Clone)]
struct Issued {
    user: String,
    expires_at_ms: u64,
    scope: String,
    revoked: bool,
}

/// The server.
#[derive(Debug)]
pub struct Server {
    /// How it behaves: may be changed at any time.
    pub config: ServerConfig,
    fault: Option<Fault>,
    refusals: BTreeMap<Protocol, Cause>,
    recipients: BTreeMap<String, RecipientRefusal>,
    greylisted: BTreeMap<(String, String), u64>,
    rng: fastrand::Rng,
    uid_validity: u32,
    tokens: BTreeMap<String, Issued>,
    accounts: BTreeMap<String, Account>,
    connections: BTreeMap<u64, Connection>,
    opened: u64,
    submitted: Vec<Submitted>,
    events: VecDeque<ServerEvent>,
    /// Something may have changed that idle clients have not been told.
    news: bool,
}

impl Server {
    /// A server without users: an account is made with its first token, or by [`Server::add_user`].
    #[must_use]
    pub fn new(config: ServerConfig, seed: u64) -> Self {
        Self {
            config,
            fault: None,
            refusals: BTreeMap::new(),
            recipients: BTreeMap::new(),
            greylisted: BTreeMap::new(),
            rng: fastrand::Rng::with_seed(seed),
            uid_validity: uid_validity(seed),
            tokens: BTreeMap::new(),
            accounts: BTreeMap::new(),
            connections: BTreeMap::new(),
            opened: 0,
            submitted: Vec::new(),
            events: VecDeque::new(),
            news: false,
        }
    }

    /// Issues a token for a user, whose account is made where it is new.
    pub fn issue_token(&mut self, now_ms: u64, user: &str, request: TokenRequest) -> String {
        let octets = request.octets.unwrap_or(200).max(16);
        let mut token = String::from("ya29.");
        while token.len() < octets {
            token.push(self.rng.alphanumeric());
        }
        let lifetime_ms = request.lifetime_ms.unwrap_or(self.config.token_lifetime_ms);
        let issued = Issued {
            user: user.to_string(),
            expires_at_ms: now_ms.saturating_add(lifetime_ms),
            scope: request.scope.unwrap_or_else(|| MAIL_SCOPE.to_string()),
            revoked: false,
        };
        self.tokens.insert(token.clone(), issued);
        self.add_user(user);
        token
    }

    /// Revokes a token: it is refused from now on, and open sessions go on.
    pub fn revoke_token(&mut self, token: &str) {
        if let Some(issued) = self.tokens.get_mut(token) {
            issued.revoked = true;
        }
    }

    /// Sets a fault that strikes at the next connection that reaches its stage; `None` takes it back.
    pub fn set_fault(&mut self, fault: Option<Fault>) {
        self.fault = fault;
    }

    /// A client connected. The number goes into all further calls; the output is the greeting.
    pub fn open(&mut self, now_ms: u64, protocol: Protocol, tls: Tls) -> (u64, Output) {
        self.opened = self.opened.saturating_add(1);
        let id = self.opened;
        let mut connection = Connection::new(id, protocol, tls == Tls::Implicit);
        self.note(now_ms, &connection, "connected");
        let output = connection.greet(self);
        self.keep(connection, output)
    }

    /// Octets came from the client.
    pub fn receive(&mut self, now_ms: u64, connection: u64, bytes: &[u8]) -> Output {
        self.with(connection, |connection, server| connection.receive(server, now_ms, bytes))
    }

    /// The TLS handshake that [`Then::StartTls`] asked for is done.
    pub fn tls_established(&mut self, connection: u64) -> Output {
        self.with(connection, |connection, _| connection.tls_established())
    }

    /// The client went away.
    pub fn closed(&mut self, now_ms: u64, connection: u64) {
        if let Some(connection) = self.connections.remove(&connection) {
            self.note(now_ms, &connection, "closed");
        }
    }

    /// Ends the sessions whose time is over, and tells idle clients what is new.
    pub fn tick(&mut self, now_ms: u64) -> Vec<(u64, Output)> {
        self.news = false;
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        let outputs =
            ids.into_iter().map(|id| (id, self.with(id, |one, server| one.tick(server, now_ms))));
        outputs.filter(|(_, output)| !output.send.is_empty() || output.next != Then::Read).collect()
    }

    /// When the next [`tick`](Self::tick) is due: a session ends by itself, or, at once, an idle client is to be told what is new.
    #[must_use]
    pub fn next_wake_ms(&self) -> Option<u64> {
        if self.news && self.connections.values().any(Connection::idles) {
            return Some(0);
        }
        self.connections.values().filter_map(|connection| connection.ends_at_ms(&self.config)).min()
    }

    /// What was accepted over SMTP, in its order.
    #[must_use]
    pub fn submitted(&self) -> &[Submitted] {
        &self.submitted
    }

    /// What happened since the last call.
    pub fn take_events(&mut self) -> Vec<ServerEvent> {
        core::mem::take(&mut self.events).into()
    }

    /// Sessions that are logged in.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.connections.values().filter(|connection| connection.user().is_some()).count()
    }

    /// Ends all connections, as a restart does.
    pub fn restart(&mut self, now_ms: u64) -> Vec<(u64, Output)> {
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        let outputs = ids.into_iter().map(|id| {
            let output = self.with(id, |connection, _| connection.shut_down());
            self.closed(now_ms, id);
            (id, output)
        });
        outputs.collect()
    }

    // ---- For the connections -------------------------------------------------------------------------------------

    fn with(&mut self, id: u64, act: impl FnOnce(&mut Connection, &mut Self) -> Output) -> Output {
        let Some(mut connection) = self.connections.remove(&id) else {
            return Output { send: Vec::new(), next: Then::Close };
        };
        let output = act(&mut connection, self);
        self.keep(connection, output).1
    }

    fn keep(&mut self, connection: Connection, output: Output) -> (u64, Output) {
        let id = connection.id();
        if output.next != Then::Close {
            self.connections.insert(id, connection);
        }
        (id, output)
    }

    fn note(&mut self, at_ms: u64, connection: &Connection, what: &str) {
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(ServerEvent {
            at_ms,
            connection: connection.id(),
            protocol: connection.protocol(),
            what: what.to_string(),
        });
    }

    /// Notes a command; what is no name of one may be a token, and is not shown.
    fn note_command(&mut self, at_ms: u64, connection: &Connection, name: &str) {
        let is_name = name.len() <= 16 && name.bytes().all(|octet| octet.is_ascii_uppercase());
        self.note(at_ms, connection, if is_name { name } else { "unknown" });
    }

    fn strikes(&mut self, stage: Stage) -> Option<FaultKind> {
        self.fault.take_if(|fault| fault.stage == stage).map(|fault| fault.kind)
    }

    /// Judges a token: when the session that it opens ends with it, or why it is refused.
    fn judge(
        &self,
        now_ms: u64,
        protocol: Protocol,
        user: &str,
        token: &str,
    ) -> Result<u64, Cause> {
        if let Some(cause) = self.refused_cause(protocol) {
            return Err(cause);
        }
        let issued = self.tokens.get(token).filter(|issued| issued.user == user && !issued.revoked);
        let issued =
            issued.filter(|issued| now_ms < issued.expires_at_ms).ok_or(Cause::TokenRejected)?;
        if issued.scope != MAIL_SCOPE {
            return Err(Cause::InsufficientScope);
        }
        let open =
            self.connections.values().filter(|connection| connection.user() == Some(user)).count();
        if self.config.connections_max.is_some_and(|most| open >= most) {
            return Err(Cause::TooManyConnections);
        }
        Ok(issued.expires_at_ms)
    }
}

#[cfg(test)]
mod commands;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod tests;
