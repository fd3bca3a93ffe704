//! What goes into a [`Session`](super::Session) and what comes out of it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::config::Mechanism;
use crate::failure::{Cause, Failure, Verdict, spelled_enum};
use crate::token::AccessToken;
use crate::watch::Aftermath;

/// A fact that the host reports. See the table of orders and answers in [`Session`](super::Session).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Begin, or go on after the user or the application has acted.
    Start,
    /// End, and close what is open.
    Stop,
    /// The time of [`Plan::wake_at_ms`] has come. An early one is harmless.
    Tick,
    /// The machine slept for long, moved to another network, or has its network back: the connection is not to be trusted, and
    /// a wait for the network is over. A wait that the server asked for is not.
    Woke,
    /// Answers [`Action::FetchToken`].
    Token {
        /// The number of the request.
        request: u64,
        /// The token.
        token: AccessToken,
        /// Milliseconds that it still lives, where that is known.
        expires_in_ms: Option<u64>,
    },
    /// Answers [`Action::FetchToken`].
    TokenFailed {
        /// The number of the request.
        request: u64,
        /// Whether asking again is in vain until the user acts, as with OAuth's `invalid_grant`.
        permanent: bool,
    },
    /// Answers [`Action::Connect`]: the connection is open, with TLS where it is implicit.
    Connected {
        /// The number of the attempt.
        ticket: u64,
    },
    /// Answers [`Action::StartTls`].
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
        /// What the host knows of the reason: [`Cause::TlsFailed`], [`Cause::TimedOut`], …
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
    /// A line of the server that the host's mail client saw after the login: only for hosts that do not give the octets
    /// to [`Session::receive`](super::Session::receive).
    Line {
        /// The number of the attempt.
        ticket: u64,
        /// The line, without its line end.
        line: String,
    },
    /// Answers [`Action::Renew`]: the connection was let go.
    Drained {
        /// The number of the attempt.
        ticket: u64,
    },
}

impl Input {
    /// Its name, for texts.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Start => "Start",
            Self::Stop => "Stop",
            Self::Tick => "Tick",
            Self::Woke => "Woke",
            Self::Token { .. } => "Token",
            Self::TokenFailed { .. } => "TokenFailed",
            Self::Connected { .. } => "Connected",
            Self::TlsEstablished { .. } => "TlsEstablished",
            Self::Ended { .. } => "Ended",
            Self::Authenticated { .. } => "Authenticated",
            Self::Refused { .. } => "Refused",
            Self::Line { .. } => "Line",
            Self::Drained { .. } => "Drained",
        }
    }
}

/// What the host does, in this order, and when it comes back.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Orders, in the order in which they are to be carried out.
    pub actions: Vec<Action>,
    /// When to send [`Input::Tick`], on the host's clock; always in the future. `None`: not at all.
    pub wake_at_ms: Option<u64>,
    /// What is waited for.
    pub wake_reason: Option<WakeReason>,
    /// Octets of message content that come next on this connection, and need not be shown: see
    /// [`Session::skipped`](super::Session::skipped).
    pub skip: u64,
}

/// An order to the host.
#[derive(Clone, PartialEq, Eq)]
pub enum Action {
    /// Get an access token; answer with [`Input::Token`] or [`Input::TokenFailed`].
    FetchToken {
        /// Comes back in the answer.
        request: u64,
        /// What it is for.
        why: TokenNeed,
        /// Whether a cached token is of no use.
        force_refresh: bool,
    },
    /// Open a connection, with TLS where it is implicit; answer with [`Input::Connected`] or [`Input::Ended`].
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
    /// Do the TLS handshake on this socket, with an empty read buffer; answer with [`Input::TlsEstablished`] or
    /// [`Input::Ended`].
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
        /// How it was logged in; `None` where the host did that.
        mechanism: Option<Mechanism>,
        /// What the server said with the login that it can do; empty where it said nothing.
        capabilities: Vec<String>,
        /// Octets that came behind the login: they belong to the mail client.
        leftover: Vec<u8>,
        /// What was in flight in the session before.
        resumed: Option<Aftermath>,
    },
    /// Finish the current command or transaction and let the connection go: QUIT in POP3, between messages in SMTP, after
    /// DONE in IMAP. Answer with [`Input::Drained`] or [`Input::Ended`].
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
        /// Why: [`Cause::NoFault`] where it was let go.
        cause: Cause,
    },
    /// Nothing goes on until a person has acted, and the host says [`Input::Start`].
    NeedsUser(Failure),
    /// Nothing goes on until the program's configuration was mended, and the host says [`Input::Start`].
    GiveUp(Failure),
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FetchToken { request, why, force_refresh } => {
                write!(
                    f,
                    "FetchToken {{ request: {request}, why: {why}, force_refresh: {force_refresh} }}"
                )
            }
            Self::Connect { ticket, attempt } => {
                write!(f, "Connect {{ ticket: {ticket}, attempt: {attempt} }}")
            }
            Self::Send { ticket, bytes, sensitive: true } => {
                write!(
                    f,
                    "Send {{ ticket: {ticket}, bytes: <{} octets with the token> }}",
                    bytes.len()
                )
            }
            Self::Send { ticket, bytes, sensitive: false } => {
                write!(
                    f,
                    "Send {{ ticket: {ticket}, bytes: {:?} }}",
                    String::from_utf8_lossy(bytes)
                )
            }
            Self::StartTls { ticket } => write!(f, "StartTls {{ ticket: {ticket} }}"),
            Self::Online { ticket, generation, resumed, .. } => {
                write!(
                    f,
                    "Online {{ ticket: {ticket}, generation: {generation}, resumed: {resumed:?} }}"
                )
            }
            Self::Renew { ticket, by_ms, why } => {
                write!(f, "Renew {{ ticket: {ticket}, by_ms: {by_ms}, why: {why} }}")
            }
            Self::Close { ticket, cause } => {
                write!(f, "Close {{ ticket: {ticket}, cause: {cause} }}")
            }
            Self::NeedsUser(failure) => write!(f, "NeedsUser({failure:?})"),
            Self::GiveUp(failure) => write!(f, "GiveUp({failure:?})"),
        }
    }
}

spelled_enum! {
    /// What a token is for.
    TokenNeed {
        /// A login.
        Login = "login",
        /// The session's end is near.
        Renewal = "renewal",
        /// The server refused the token before, or it was about to expire.
        Replacement = "replacement",
    }
}

spelled_enum! {
    /// What is near when a session is renewed.
    RenewWhy {
        /// The expiry of the token that the session was opened with.
        TokenExpiry = "token_expiry",
        /// The provider's limit for a session.
        SessionLimit = "session_limit",
        /// The length at which this server was seen to end sessions.
        LearntLimit = "learnt_limit",
    }
}

spelled_enum! {
    /// What a plan waits for.
    WakeReason {
        /// The token does not come.
        TokenDeadline = "token_deadline",
        /// The connection does not open, or the login does not end.
        LoginDeadline = "login_deadline",
        /// The wait after a failure is over.
        BackOff = "back_off",
        /// The wait after a failure of the token source is over.
        TokenBackOff = "token_back_off",
        /// A session's end is near enough to prepare for it.
        Prefetch = "prefetch",
        /// A session is let go at a quiet moment, or at this time.
        QuietMoment = "quiet_moment",
        /// A session that is to be let go is closed.
        RenewDeadline = "renew_deadline",
        /// An order is held back by its greatest rate.
        Rate = "rate",
        /// A session has lasted, and failures before it are forgotten.
        Stable = "stable",
    }
}

spelled_enum! {
    /// What a session does.
    SessionPhase {
        /// Nothing: it was not started, or it was stopped.
        Stopped = "stopped",
        /// It waits after a failure.
        Waiting = "waiting",
        /// It waits for a token.
        FetchingToken = "fetching_token",
        /// It waits for a connection.
        Connecting = "connecting",
        /// It logs in.
        LoggingIn = "logging_in",
        /// It is logged in.
        Online = "online",
        /// It is logged in, and waits for the host to let the connection go.
        Renewing = "renewing",
        /// It waits for a person.
        NeedsUser = "needs_user",
        /// It waits for the program's configuration to be mended.
        GaveUp = "gave_up",
    }
}

/// Every legal way from one phase to another, but for [`Input::Stop`], which leads from everywhere to `Stopped`. Where one
/// input has several effects, as a token that leads to a connection at once, the phases between are left out.
pub const SESSION_TRANSITIONS: &[(SessionPhase, SessionPhase)] = {
    use SessionPhase::{
        Connecting, FetchingToken, GaveUp, LoggingIn, NeedsUser, Online, Renewing, Stopped, Waiting,
    };
    &[
        (Stopped, FetchingToken),
        (Waiting, FetchingToken),
        (Waiting, Connecting),
        (FetchingToken, Waiting),
        (FetchingToken, Connecting),
        (FetchingToken, NeedsUser),
        (Connecting, Waiting),
        (Connecting, FetchingToken),
        (Connecting, LoggingIn),
        (Connecting, GaveUp),
        (LoggingIn, Waiting),
        (LoggingIn, FetchingToken),
        (LoggingIn, Connecting),
        (LoggingIn, Online),
        (LoggingIn, NeedsUser),
        (LoggingIn, GaveUp),
        (Online, Waiting),
        (Online, FetchingToken),
        (Online, Connecting),
        (Online, LoggingIn),
        (Online, Renewing),
        (Online, NeedsUser),
        (Renewing, Waiting),
        (Renewing, FetchingToken),
        (Renewing, Connecting),
        (NeedsUser, FetchingToken),
        (GaveUp, FetchingToken),
    ]
};

/// What a server was seen to do with sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Learnt {
    /// The length at which it ended three sessions in a row although the token was still good.
    pub session_ms: Option<u64>,
    /// Whether it ends sessions at the expiry of their token, as two in a row showed; `None`: not known.
    pub ends_with_token: Option<bool>,
}

/// How a session stands, for logs and screens.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// When the wait after a failure, or for the budget, is over.
    pub retry_at_ms: Option<u64>,
    /// Failures in a row.
    pub failures: u32,
    /// What the server was seen to do.
    pub learnt: Learnt,
    /// Why the last attempt failed.
    pub last_failure: Option<Failure>,
    /// Why the last session ended.
    pub last_ending: Option<Verdict>,
}
