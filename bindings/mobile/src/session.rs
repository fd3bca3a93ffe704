//! `Session`: orders out, facts in.

use std::sync::{Arc, Mutex};

use mailbearer::{
    Aftermath, Cause, Login, Mechanism, RenewWhy, Renewal, SessionLimits, SessionPhase, TokenNeed,
    WakeReason,
};

use crate::errors::{CoreError, guard, locked};
use crate::pure::AccessToken;
use crate::records::{Failure, NegotiationConfig, Verdict};

/// All that a session is told, apart from tokens. What is left out has the default that is right for most.
#[derive(Debug, Clone, uniffi::Record)]
pub struct SessionConfig {
    /// How to log in.
    pub negotiation: NegotiationConfig,
    /// How long sessions may live there.
    #[uniffi(default = None)]
    pub limits: Option<SessionLimits>,
    /// Milliseconds that a token lives whose source does not say.
    #[uniffi(default = None)]
    pub token_lifetime_ms: Option<u64>,
    /// Who speaks in the login.
    #[uniffi(default = None)]
    pub login: Option<Login>,
    /// Whether a session that still works is let go before its end.
    #[uniffi(default = None)]
    pub renewal: Option<Renewal>,
    /// Milliseconds before the end of a session at which a new token is asked for and the session renewed.
    #[uniffi(default = None)]
    pub lead_ms: Option<u64>,
    /// Milliseconds that a token from a cache must still live to be used.
    #[uniffi(default = None)]
    pub token_life_least_ms: Option<u64>,
    /// Milliseconds for a token to come.
    #[uniffi(default = None)]
    pub token_timeout_ms: Option<u64>,
    /// Milliseconds for connection and login.
    #[uniffi(default = None)]
    pub login_timeout_ms: Option<u64>,
    /// Greatest wait after a first failure; it doubles with each.
    #[uniffi(default = None)]
    pub backoff_base_ms: Option<u64>,
    /// Greatest wait of all; eight times as long where the server limits rate or connections.
    #[uniffi(default = None)]
    pub backoff_max_ms: Option<u64>,
    /// Milliseconds after which a session has lasted, and the failures before it are forgotten.
    #[uniffi(default = None)]
    pub stable_after_ms: Option<u64>,
    /// Least milliseconds between logins of which none lasts, after the first four: tests of short tokens lower it.
    #[uniffi(default = None)]
    pub login_interval_ms: Option<u64>,
}

impl From<SessionConfig> for mailbearer::SessionConfig {
    fn from(config: SessionConfig) -> Self {
        let defaults = Self::new(config.negotiation.into());
        Self {
            limits: config.limits.unwrap_or(defaults.limits),
            token_lifetime_ms: config.token_lifetime_ms,
            login: config.login.unwrap_or(defaults.login),
            renewal: config.renewal.unwrap_or(defaults.renewal),
            lead_ms: config.lead_ms.unwrap_or(defaults.lead_ms),
            token_life_least_ms: config.token_life_least_ms.unwrap_or(defaults.token_life_least_ms),
            token_timeout_ms: config.token_timeout_ms.unwrap_or(defaults.token_timeout_ms),
            login_timeout_ms: config.login_timeout_ms.unwrap_or(defaults.login_timeout_ms),
            backoff_base_ms: config.backoff_base_ms.unwrap_or(defaults.backoff_base_ms),
            backoff_max_ms: config.backoff_max_ms.unwrap_or(defaults.backoff_max_ms),
            stable_after_ms: config.stable_after_ms.unwrap_or(defaults.stable_after_ms),
            login_interval_ms: config.login_interval_ms.unwrap_or(defaults.login_interval_ms),
            ..defaults
        }
    }
}

/// A fact that the host reports.
#[derive(uniffi::Enum)]
pub enum Input {
    /// Begin, or go on after the user or the application has acted.
    Start,
    /// End, and close what is open.
    Stop,
    /// The time of `wakeAtMs` has come. An early one is harmless.
    Tick,
    /// The machine slept, or moved to another network: the connection is not to be trusted.
    Woke,
    /// Answers `FetchToken`.
    Token {
        /// The number of the request.
        request: u64,
        /// The token.
        token: Arc<AccessToken>,
        /// Milliseconds that it still lives, where that is known.
        expires_in_ms: Option<u64>,
    },
    /// Answers `FetchToken`.
    TokenFailed {
        /// The number of the request.
        request: u64,
        /// Whether asking again is in vain until the user acts, as with OAuth's `invalid_grant`.
        permanent: bool,
    },
    /// Answers `Connect`: the connection is open, with TLS where it is implicit.
    Connected {
        /// The number of the attempt.
        ticket: u64,
    },
    /// Answers `StartTls`.
    TlsEstablished {
        /// The number of the attempt.
        ticket: u64,
    },
    /// The connection could not be opened, or ended.
    Ended {
        /// The number of the attempt.
        ticket: u64,
        /// The last line that the server sent, where the host knows it.
        last_line: Option<String>,
        /// What the host knows of the reason.
        cause: Option<Cause>,
    },
    /// The host logged in by itself.
    Authenticated {
        /// The number of the attempt.
        ticket: u64,
    },
    /// The host tried to log in by itself, and the server refused.
    Refused {
        /// The number of the attempt.
        ticket: u64,
        /// The lines of the reply, separated by line feeds.
        reply: String,
    },
    /// A line of the server that the host's mail client saw after the login: only for hosts that do not give the octets to
    /// `receive`.
    Line {
        /// The number of the attempt.
        ticket: u64,
        /// The line, without its line end.
        line: String,
    },
    /// Answers `Renew`: the connection was let go.
    Drained {
        /// The number of the attempt.
        ticket: u64,
    },
}

impl From<Input> for mailbearer::Input {
    fn from(input: Input) -> Self {
        match input {
            Input::Start => Self::Start,
            Input::Stop => Self::Stop,
            Input::Tick => Self::Tick,
            Input::Woke => Self::Woke,
            Input::Token { request, token, expires_in_ms } => {
                Self::Token { request, token: token.0.clone(), expires_in_ms }
            }
            Input::TokenFailed { request, permanent } => Self::TokenFailed { request, permanent },
            Input::Connected { ticket } => Self::Connected { ticket },
            Input::TlsEstablished { ticket } => Self::TlsEstablished { ticket },
            Input::Ended { ticket, last_line, cause } => Self::Ended { ticket, last_line, cause },
            Input::Authenticated { ticket } => Self::Authenticated { ticket },
            Input::Refused { ticket, reply } => Self::Refused { ticket, reply },
            Input::Line { ticket, line } => Self::Line { ticket, line },
            Input::Drained { ticket } => Self::Drained { ticket },
        }
    }
}

/// What the host does, in this order, and when it comes back.
#[derive(uniffi::Record)]
pub struct Plan {
    /// Orders, in the order in which they are to be carried out.
    pub actions: Vec<Action>,
    /// When to report `Tick`, on the host's clock; always in the future. Absent: not at all.
    pub wake_at_ms: Option<u64>,
    /// What is waited for.
    pub wake_reason: Option<WakeReason>,
    /// Octets of message content that come next on this connection, and need not be shown: see `skipped`.
    pub skip: u64,
}

impl From<mailbearer::Plan> for Plan {
    fn from(plan: mailbearer::Plan) -> Self {
        Self {
            actions: plan.actions.into_iter().map(Into::into).collect(),
            wake_at_ms: plan.wake_at_ms,
            wake_reason: plan.wake_reason,
            skip: plan.skip,
        }
    }
}

/// An order to the host.
#[derive(uniffi::Enum)]
pub enum Action {
    /// Get an access token; answer with `Token` or `TokenFailed`.
    FetchToken {
        /// Comes back in the answer.
        request: u64,
        /// What it is for.
        why: TokenNeed,
        /// Whether a cached token is of no use.
        force_refresh: bool,
    },
    /// Open a connection, with TLS where it is implicit; answer with `Connected` or `Ended`.
    Connect {
        /// The number of this attempt: it comes back in all answers.
        ticket: u64,
        /// How many attempts there were since the last session that lasted, with this one.
        attempt: u32,
    },
    /// Write all of it.
    Send {
        /// The connection.
        ticket: u64,
        /// What to write.
        bytes: Vec<u8>,
        /// Whether it carries the token: it must not be logged.
        sensitive: bool,
    },
    /// Do the TLS handshake on this socket, with an empty read buffer; answer with `TlsEstablished` or `Ended`.
    StartTls {
        /// The connection.
        ticket: u64,
    },
    /// The connection is logged in: give it to the mail client.
    Online {
        /// The connection.
        ticket: u64,
        /// Counts the sessions, from one.
        generation: u64,
        /// How it was logged in; absent where the host did that.
        mechanism: Option<Mechanism>,
        /// What the server said with the login that it can do; empty where it said nothing.
        capabilities: Vec<String>,
        /// Octets that came behind the login: they belong to the mail client.
        leftover: Vec<u8>,
        /// What was in flight in the session before.
        resumed: Option<Aftermath>,
    },
    /// Finish the current command or transaction and let the connection go: QUIT in POP3, between messages in SMTP, after
    /// DONE in IMAP. Answer with `Drained` or `Ended`.
    Renew {
        /// The connection.
        ticket: u64,
        /// It is closed at this time, on the host's clock.
        by_ms: u64,
        /// What is near.
        why: RenewWhy,
    },
    /// Close the socket.
    Close {
        /// The connection.
        ticket: u64,
        /// Why: `NoFault` where it was let go.
        cause: Cause,
    },
    /// Nothing goes on until a person has acted, and the host reports `Start`.
    NeedsUser {
        /// Why.
        failure: Failure,
    },
    /// Nothing goes on until the program's configuration was mended, and the host reports `Start`.
    GiveUp {
        /// Why.
        failure: Failure,
    },
}

impl From<mailbearer::Action> for Action {
    fn from(action: mailbearer::Action) -> Self {
        use mailbearer::Action as Core;
        match action {
            Core::FetchToken { request, why, force_refresh } => {
                Self::FetchToken { request, why, force_refresh }
            }
            Core::Connect { ticket, attempt } => Self::Connect { ticket, attempt },
            Core::Send { ticket, bytes, sensitive } => Self::Send { ticket, bytes, sensitive },
            Core::StartTls { ticket } => Self::StartTls { ticket },
            Core::Online { ticket, generation, mechanism, capabilities, leftover, resumed } => {
                Self::Online { ticket, generation, mechanism, capabilities, leftover, resumed }
            }
            Core::Renew { ticket, by_ms, why } => Self::Renew { ticket, by_ms, why },
            Core::Close { ticket, cause } => Self::Close { ticket, cause },
            Core::NeedsUser(failure) => Self::NeedsUser { failure: failure.into() },
            Core::GiveUp(failure) => Self::GiveUp { failure: failure.into() },
        }
    }
}

/// How a session stands, for logs and screens.
#[derive(uniffi::Record)]
pub struct Status {
    /// What it does.
    pub phase: SessionPhase,
    /// Counts the sessions.
    pub generation: u64,
    /// The connection that is online.
    pub ticket: Option<u64>,
    /// Since when it is online, on the host's clock.
    pub online_since_ms: Option<u64>,
    /// When it is expected to end.
    pub ends_at_ms: Option<u64>,
    /// When the wait after a failure is over.
    pub retry_at_ms: Option<u64>,
    /// Failures in a row.
    pub failures: u32,
    /// The length at which the server ended three sessions in a row although the token was still good.
    pub learnt_session_ms: Option<u64>,
    /// Whether the server ended a session at the expiry of its token; absent: not seen yet.
    pub learnt_ends_with_token: Option<bool>,
    /// Why the last attempt failed.
    pub last_failure: Option<Failure>,
    /// Why the last session ended.
    pub last_ending: Option<Verdict>,
}

impl From<mailbearer::Status> for Status {
    fn from(status: mailbearer::Status) -> Self {
        Self {
            phase: status.phase,
            generation: status.generation,
            ticket: status.ticket,
            online_since_ms: status.online_since_ms,
            ends_at_ms: status.ends_at_ms,
            retry_at_ms: status.retry_at_ms,
            failures: status.failures,
            learnt_session_ms: status.learnt.session_ms,
            learnt_ends_with_token: status.learnt.ends_with_token,
            last_failure: status.last_failure.map(Into::into),
            last_ending: status.last_ending.map(Into::into),
        }
    }
}

/// Keeps one mailbox connection logged in for ever: facts and time in, plans out. Safe for use from many threads.
#[derive(uniffi::Object)]
pub struct Session(Mutex<mailbearer::Session>);

#[uniffi::export]
impl Session {
    /// A session that has not begun. The seed decides its random waits.
    #[uniffi::constructor]
    pub fn new(config: SessionConfig, seed: u64) -> Result<Arc<Self>, CoreError> {
        guard(|| {
            let session = mailbearer::Session::new(config.into(), seed)?;
            Ok(Arc::new(Self(Mutex::new(session))))
        })
    }

    /// A session that goes on where the one of the snapshot was.
    #[uniffi::constructor]
    pub fn restore(
        config: SessionConfig,
        snapshot: Vec<u8>,
        now_ms: u64,
        seed: u64,
    ) -> Result<Arc<Self>, CoreError> {
        guard(|| {
            let session = mailbearer::Session::restore(config.into(), &snapshot, now_ms, seed)?;
            Ok(Arc::new(Self(Mutex::new(session))))
        })
    }

    /// Takes a fact.
    pub fn handle(&self, now_ms: u64, input: Input) -> Result<Plan, CoreError> {
        locked(&self.0, |session| Ok(session.handle(now_ms, input.into())?.into()))
    }

    /// Takes what one read of a connection brought.
    pub fn receive(&self, now_ms: u64, ticket: u64, bytes: &[u8]) -> Result<Plan, CoreError> {
        locked(&self.0, |session| Ok(session.receive(now_ms, ticket, bytes)?.into()))
    }

    /// Octets of content that were passed by.
    pub fn skipped(&self, ticket: u64, octets: u64) -> Result<(), CoreError> {
        locked(&self.0, |session| {
            session.skipped(ticket, octets);
            Ok(())
        })
    }

    /// Octets that the mail client wrote.
    pub fn sent(&self, ticket: u64, bytes: &[u8]) -> Result<(), CoreError> {
        locked(&self.0, |session| {
            session.sent(ticket, bytes);
            Ok(())
        })
    }

    /// How it stands.
    pub fn status(&self) -> Result<Status, CoreError> {
        locked(&self.0, |session| Ok(session.status().into()))
    }

    /// What was in flight.
    pub fn aftermath(&self) -> Result<Option<Aftermath>, CoreError> {
        locked(&self.0, |session| Ok(session.aftermath()))
    }

    /// Whether the mail client waits for no answer.
    pub fn is_quiet(&self) -> Result<bool, CoreError> {
        locked(&self.0, |session| Ok(session.is_quiet()))
    }

    /// What must outlive the process. It holds no secret.
    pub fn snapshot(&self) -> Result<Vec<u8>, CoreError> {
        locked(&self.0, |session| Ok(session.snapshot()))
    }
}
