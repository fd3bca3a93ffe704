//! The core's Gmail-like server for Kotlin and Swift, through UniFFI: a machine without I/O. Sockets and the clock are the
//! host's; times are milliseconds.
//!
//! Protocol, TLS mode and cause are given by the names that the core has for them (`imap`, `starttls`, `token_rejected`), so
//! that this library is complete without the one that apps carry.

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use mailbearer::testing::{
    Cut, Delivery, Fault, FaultKind, Flavour, RecipientRefusal, Server, ServerConfig, Stage, Then,
    TokenRequest,
};
use mailbearer::{Cause, ConfigError, Protocol};

uniffi::setup_scaffolding!();

/// A call that cannot be carried out.
#[derive(Debug, thiserror::Error, uniffi::Error)]
#[uniffi(flat_error)]
pub enum TestingError {
    /// A name that is none of the known ones.
    #[error("{0} is none of the known names")]
    Unknown(String),
    /// A refusal for which the flavour has no words, with what it can say.
    #[error("{0}")]
    Unsayable(String),
    /// A mailbox that is not there.
    #[error("{0}")]
    NoMailbox(String),
}

/// Why a recipient is refused.
#[uniffi::remote(Enum)]
pub enum RecipientRefusal {
    /// There is no such mailbox: for good (550).
    Unknown,
    /// Its mailbox is full: for now (452).
    Full,
    /// The server does not take mail for it from this user: for good (550, 554).
    Denied,
    /// It gets too much at once: for now (450, 451).
    RateLimited,
}

/// Whose words the server uses.
#[uniffi::remote(Enum)]
pub enum Flavour {
    /// Gmail.
    Gmail,
    /// Outlook.com and Exchange Online: no OAUTHBEARER, no error challenge.
    Outlook,
    /// Dovecot.
    Dovecot,
}

/// How a session ends whose time is over.
#[uniffi::remote(Enum)]
pub enum Cut {
    /// With the provider's own words.
    Words,
    /// The connection is closed without a word.
    Silent,
    /// The connection stays open, and nothing is answered any more.
    Vanish,
    /// It does not end.
    Never,
}

/// Where a fault strikes.
#[uniffi::remote(Enum)]
pub enum Stage {
    /// In place of the greeting.
    Greeting,
    /// In place of the capabilities.
    Capabilities,
    /// In place of the reply that starts TLS.
    Upgrade,
    /// In place of the prompt for the token, or of the verdict where the token came in the command.
    Login,
    /// In place of the verdict.
    Verdict,
    /// In place of the reply to the next command after the login.
    Command,
    /// The message is accepted, and the reply to it is not sent.
    AfterDot,
}

/// What a fault does.
#[uniffi::remote(Enum)]
pub enum FaultKind {
    /// Closes the connection.
    Drop,
    /// Stays open and never answers.
    Vanish,
    /// Says what no protocol allows.
    Garbage,
    /// Sends lines without end: a megabyte for each read.
    Flood,
    /// Puts octets behind the reply that starts TLS.
    Inject,
}

/// What the host does after writing.
#[uniffi::remote(Enum)]
pub enum Then {
    /// Reads.
    Read,
    /// Does the TLS handshake, as the server.
    StartTls,
    /// Closes the connection.
    Close,
    /// Keeps the connection open, and reads no more.
    Vanish,
}

/// How the server behaves. All of it can be changed while it runs.
#[derive(Debug, uniffi::Record)]
pub struct Behaviour {
    /// Whose words it uses.
    #[uniffi(default = None)]
    pub flavour: Option<Flavour>,
    /// Milliseconds that a token lives.
    #[uniffi(default = None)]
    pub token_lifetime_ms: Option<u64>,
    /// Milliseconds that a session may live.
    #[uniffi(default = None)]
    pub session_limit_ms: Option<u64>,
    /// What happens to a session whose token or time is over.
    #[uniffi(default = None)]
    pub cut: Option<Cut>,
    /// Most sessions at a time for one user.
    #[uniffi(default = None)]
    pub connections_max: Option<u32>,
    /// The name of a cause: every login is refused for it, over all protocols; see `refuse`.
    #[uniffi(default = None)]
    pub refuse: Option<String>,
    /// Messages in the INBOX of an account that is new.
    #[uniffi(default = None)]
    pub messages: Option<u32>,
    /// Octets of the largest message that is taken over SMTP and APPEND.
    #[uniffi(default = None)]
    pub message_octets_max: Option<u32>,
    /// Milliseconds that a recipient is refused for now after a user's first message to it.
    #[uniffi(default = None)]
    pub greylist_ms: Option<u64>,
    /// What milliseconds since 1970 are when the host's clock stands at zero: the date of what comes without one.
    #[uniffi(default = None)]
    pub unix_epoch_ms: Option<u64>,
}

impl Behaviour {
    fn read(self) -> Result<(ServerConfig, Option<Cause>), TestingError> {
        let defaults = ServerConfig::default();
        let config = ServerConfig {
            flavour: self.flavour.unwrap_or(defaults.flavour),
            token_lifetime_ms: self.token_lifetime_ms.unwrap_or(defaults.token_lifetime_ms),
            session_limit_ms: self.session_limit_ms,
            cut: self.cut.unwrap_or(defaults.cut),
            connections_max: self.connections_max.map(size),
            messages: self.messages.map_or(defaults.messages, size),
            message_octets_max: self.message_octets_max.map_or(defaults.message_octets_max, size),
            greylist_ms: self.greylist_ms,
            unix_epoch_ms: self.unix_epoch_ms,
        };
        Ok((config, self.refuse.map(|name| cause(&name)).transpose()?))
    }
}

/// A message in a mailbox.
#[derive(Debug, uniffi::Record)]
pub struct StoredMessage {
    /// Its UID.
    pub uid: u32,
    /// Its flags and keywords.
    pub flags: Vec<String>,
    /// When it came, in milliseconds since 1970.
    pub date_ms: i64,
    /// Its octets.
    pub content: Vec<u8>,
}

/// What the host does for a connection: it writes `send`, then what `then` says.
#[derive(Debug, uniffi::Record)]
pub struct Reply {
    /// The connection.
    pub connection: u64,
    /// Octets to write.
    pub send: Vec<u8>,
    /// What to do then.
    pub then: Then,
}

/// A message that was accepted over SMTP.
#[derive(Debug, uniffi::Record)]
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
#[derive(Debug, uniffi::Record)]
pub struct ServerEvent {
    /// When.
    pub at_ms: u64,
    /// The connection.
    pub connection: u64,
    /// Its protocol: `imap`, `pop3` or `smtp`.
    pub protocol: String,
    /// `connected`, `logged_in`, `refused`, `cut`, `closed`, or the name of a command.
    pub what: String,
}

/// The server: tokens, mailboxes and all open connections.
#[derive(uniffi::Object)]
pub struct ServerMachine(Mutex<Server>);

#[uniffi::export]
impl ServerMachine {
    /// A server without users: an account is made with its first token, or by `add_user`. The seed decides its tokens.
    #[uniffi::constructor]
    pub fn new(behaviour: Behaviour, seed: u64) -> Result<Arc<Self>, TestingError> {
        let (config, cause) = behaviour.read()?;
        let mut server = Server::new(config, seed);
        server.refuse(cause).map_err(|error| TestingError::Unsayable(error.to_string()))?;
        Ok(Arc::new(Self(Mutex::new(server))))
    }

    /// Changes how it behaves, from now on.
    pub fn behave(&self, behaviour: Behaviour) -> Result<(), TestingError> {
        let (config, cause) = behaviour.read()?;
        self.with(|server| {
            let before = core::mem::replace(&mut server.config, config);
            server.refuse(cause).map_err(|error| {
                server.config = before;
                TestingError::Unsayable(error.to_string())
            })
        })?
    }

    /// Refuses every login for a cause, over one protocol or all; without a cause, that ends. A refusal for which the flavour
    /// has no words is an error, which says what it can say.
    #[uniffi::method(default(cause_name = None, protocol = None))]
    pub fn refuse(
        &self,
        cause_name: Option<String>,
        protocol: Option<String>,
    ) -> Result<(), TestingError> {
        let cause = cause_name.map(|name| cause(&name)).transpose()?;
        let protocols = match protocol {
            Some(name) => Vec::from([named(&name)?]),
            None => Protocol::ALL.to_vec(),
        };
        self.with(|server| server.refuse_over(&protocols, cause))?
            .map_err(|error| TestingError::Unsayable(error.to_string()))
    }

    /// Refuses a recipient over SMTP; without a reason, that ends.
    #[uniffi::method(default(why = None))]
    pub fn refuse_recipient(
        &self,
        address: &str,
        why: Option<RecipientRefusal>,
    ) -> Result<(), TestingError> {
        self.with(|server| server.refuse_recipient(address, why))
    }

    /// Makes an account, where there is none: an INBOX with messages, and the mailboxes of the flavour.
    pub fn add_user(&self, user: &str) -> Result<(), TestingError> {
        self.with(|server| server.add_user(user))
    }

    /// The users that have an account.
    pub fn users(&self) -> Result<Vec<String>, TestingError> {
        self.with(|server| server.users())
    }

    /// The names of a user's mailboxes.
    pub fn mailboxes(&self, user: &str) -> Result<Vec<String>, TestingError> {
        self.with(|server| server.mailboxes(user))
    }

    /// Makes a mailbox; where it is there, nothing happens.
    pub fn create_mailbox(&self, user: &str, name: &str) -> Result<(), TestingError> {
        self.with(|server| server.create_mailbox(user, name))
    }

    /// Removes a mailbox with its messages.
    pub fn delete_mailbox(&self, user: &str, name: &str) -> Result<(), TestingError> {
        self.with(|server| server.delete_mailbox(user, name))?
            .map_err(|error| TestingError::NoMailbox(error.to_string()))
    }

    /// Puts a message into a mailbox, which is made where it is missing, with flags, and a date in milliseconds since 1970.
    #[uniffi::method(default(mailbox = None, flags = [], date_ms = None))]
    pub fn deliver_to(
        &self,
        user: &str,
        message: &[u8],
        mailbox: Option<String>,
        flags: Vec<String>,
        date_ms: Option<i64>,
    ) -> Result<(), TestingError> {
        self.with(|server| server.deliver_to(user, &Delivery { mailbox, flags, date_ms }, message))
    }

    /// The messages in a mailbox, by their UIDs; none where it is not there.
    #[uniffi::method(default(mailbox = "INBOX"))]
    pub fn messages_in(
        &self,
        user: &str,
        mailbox: &str,
    ) -> Result<Vec<StoredMessage>, TestingError> {
        self.with(|server| server.messages_in(user, mailbox).into_iter().map(Into::into).collect())
    }

    /// Sets a fault that strikes once.
    pub fn set_fault(&self, stage: Stage, kind: FaultKind) -> Result<(), TestingError> {
        self.with(|server| server.set_fault(Some(Fault { stage, kind })))
    }

    /// Takes a fault back that has not struck.
    pub fn clear_fault(&self) -> Result<(), TestingError> {
        self.with(|server| server.set_fault(None))
    }

    /// Issues an access token for a user, in place of the defaults with this lifetime, scope and length in octets.
    #[uniffi::method(default(lifetime_ms = None, scope = None, octets = None))]
    pub fn issue_token(
        &self,
        now_ms: u64,
        user: &str,
        lifetime_ms: Option<u64>,
        scope: Option<String>,
        octets: Option<u32>,
    ) -> Result<String, TestingError> {
        let request = TokenRequest { lifetime_ms, scope, octets: octets.map(size) };
        self.with(|server| server.issue_token(now_ms, user, request))
    }

    /// Refuses a token from now on.
    pub fn revoke_token(&self, token: &str) -> Result<(), TestingError> {
        self.with(|server| server.revoke_token(token))
    }

    /// A client has connected, with TLS where it is implicit.
    pub fn open(&self, now_ms: u64, protocol: &str, tls: &str) -> Result<Reply, TestingError> {
        let (protocol, tls) = (named(protocol)?, named(tls)?);
        self.with(|server| Reply::from(server.open(now_ms, protocol, tls)))
    }

    /// Takes what one read of a connection brought.
    pub fn receive(
        &self,
        now_ms: u64,
        connection: u64,
        bytes: &[u8],
    ) -> Result<Reply, TestingError> {
        self.with(|server| (connection, server.receive(now_ms, connection, bytes)).into())
    }

    /// The TLS handshake of a connection is done.
    pub fn tls_established(&self, connection: u64) -> Result<Reply, TestingError> {
        self.with(|server| (connection, server.tls_established(connection)).into())
    }

    /// A connection reached its end.
    pub fn closed(&self, now_ms: u64, connection: u64) -> Result<(), TestingError> {
        self.with(|server| server.closed(now_ms, connection))
    }

    /// What is due at this time.
    pub fn tick(&self, now_ms: u64) -> Result<Vec<Reply>, TestingError> {
        self.with(|server| server.tick(now_ms).into_iter().map(Into::into).collect())
    }

    /// When something is due by itself.
    pub fn next_wake_ms(&self) -> Result<Option<u64>, TestingError> {
        self.with(|server| server.next_wake_ms())
    }

    /// Ends all connections with the words of a shutdown.
    pub fn restart(&self, now_ms: u64) -> Result<Vec<Reply>, TestingError> {
        self.with(|server| server.restart(now_ms).into_iter().map(Into::into).collect())
    }

    /// Puts a message into a user's INBOX.
    pub fn deliver(&self, user: &str, message: &[u8]) -> Result<(), TestingError> {
        self.with(|server| server.deliver(user, message))
    }

    /// The messages in a user's INBOX.
    pub fn messages(&self, user: &str) -> Result<Vec<Vec<u8>>, TestingError> {
        self.with(|server| server.messages(user))
    }

    /// What was accepted over SMTP.
    pub fn submitted(&self) -> Result<Vec<Submitted>, TestingError> {
        self.with(|server| server.submitted().iter().cloned().map(Into::into).collect())
    }

    /// What happened since the last call.
    pub fn take_events(&self) -> Result<Vec<ServerEvent>, TestingError> {
        self.with(|server| server.take_events().into_iter().map(Into::into).collect())
    }

    /// Connections that are logged in.
    pub fn sessions(&self) -> Result<u32, TestingError> {
        self.with(|server| u32::try_from(server.sessions()).unwrap_or(u32::MAX))
    }
}

impl ServerMachine {
    fn with<T>(&self, act: impl FnOnce(&mut Server) -> T) -> Result<T, TestingError> {
        Ok(act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl From<(u64, mailbearer::testing::Output)> for Reply {
    fn from((connection, output): (u64, mailbearer::testing::Output)) -> Self {
        Self { connection, send: output.send, then: output.next }
    }
}

impl From<mailbearer::testing::StoredMessage> for StoredMessage {
    fn from(one: mailbearer::testing::StoredMessage) -> Self {
        Self { uid: one.uid, flags: one.flags, date_ms: one.date_ms, content: one.content }
    }
}

impl From<mailbearer::testing::Submitted> for Submitted {
    fn from(one: mailbearer::testing::Submitted) -> Self {
        Self {
            user: one.user,
            sender: one.sender,
            recipients: one.recipients,
            content: one.content,
        }
    }
}

impl From<mailbearer::testing::ServerEvent> for ServerEvent {
    fn from(one: mailbearer::testing::ServerEvent) -> Self {
        Self {
            at_ms: one.at_ms,
            connection: one.connection,
            protocol: one.protocol.as_str().to_owned(),
            what: one.what,
        }
    }
}

fn named<T: FromStr<Err = ConfigError>>(name: &str) -> Result<T, TestingError> {
    name.parse().map_err(|_| TestingError::Unknown(name.to_owned()))
}

fn cause(name: &str) -> Result<Cause, TestingError> {
    let found = Cause::ALL.iter().copied().find(|cause| cause.as_str() == name);
    found.ok_or_else(|| TestingError::Unknown(name.to_owned()))
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
