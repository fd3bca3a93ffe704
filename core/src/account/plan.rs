//! What comes out of an [`Account`](super::Account): orders for the host, deliveries for the program.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::SessionKey;
use crate::config::Mechanism;
use crate::failure::{Cause, Failure, Verdict, spelled_enum};
use crate::session::RenewWhy;
use crate::token::AccessToken;
use crate::watch::Aftermath;

/// What the host does, what it shows to the program, and when it comes back.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountPlan {
    /// Orders, in the order in which they are to be carried out, before anything is delivered.
    pub orders: Vec<Order>,
    /// What the program sees, in this order.
    pub deliveries: Vec<Delivery>,
    /// When to send [`Fact::Tick`](super::Fact::Tick), on the host's clock; always in the future. `None`: not at all.
    pub wake_at_ms: Option<u64>,
    /// Octets of message content that come next on this connection, and need not be shown: see
    /// [`Account::skipped`](super::Account::skipped).
    pub skip: u64,
}

/// An order to the host. A host that cannot do what is asked answers with the end of the ticket, or with no token.
#[derive(Clone, PartialEq, Eq)]
pub enum Order {
    /// Ask the token source; answer with [`Fact::Token`](super::Fact::Token) or [`Fact::NoToken`](super::Fact::NoToken).
    FetchToken {
        /// Comes back in the answer. A newer request takes the place of an older one, whose answer may be dropped.
        request: u64,
        /// Whether a cached token is of no use.
        force: bool,
        /// The token that a server would not take, for sources that must be told which (Android's `clearToken`).
        refused: Option<AccessToken>,
    },
    /// Open a connection, with TLS where it is implicit; answer with [`Fact::Opened`](super::Fact::Opened) or
    /// [`Fact::Ended`](super::Fact::Ended). Read from it, and give what comes to
    /// [`Account::receive`](super::Account::receive).
    Open {
        /// The number of this connection: it comes back in all answers.
        ticket: u64,
        /// Whose it is.
        session: SessionKey,
        /// How many attempts there were since this session last had a connection that lasted, with this one.
        attempt: u32,
    },
    /// Do the TLS handshake on this socket, with an empty read buffer; answer with
    /// [`Fact::Secured`](super::Fact::Secured) or [`Fact::Ended`](super::Fact::Ended).
    StartTls {
        /// The connection.
        ticket: u64,
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
    /// It is logged in: read no more from it until it is given. What comes next belongs to the mail client.
    Pause {
        /// The connection.
        ticket: u64,
    },
    /// Let the mail client say something harmless (`NOOP`, or IDLE anew), or say it; the idle limit is near.
    KeepAlive {
        /// The connection.
        ticket: u64,
        /// If octets were written, an answer is due by then.
        by_ms: u64,
    },
    /// The same, because the link is in doubt.
    Probe {
        /// The connection.
        ticket: u64,
        /// If octets were written, an answer is due by then.
        by_ms: u64,
    },
    /// Close the socket. No fact of this ticket is waited for any more.
    Close {
        /// The connection.
        ticket: u64,
    },
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FetchToken { request, force, refused } => {
                write!(
                    f,
                    "FetchToken {{ request: {request}, force: {force}, refused: {refused:?} }}"
                )
            }
            Self::Open { ticket, session, attempt } => {
                write!(f, "Open {{ ticket: {ticket}, session: {session}, attempt: {attempt} }}")
            }
            Self::StartTls { ticket } => write!(f, "StartTls {{ ticket: {ticket} }}"),
            Self::Send { ticket, bytes, sensitive: true } => {
                let octets = bytes.len();
                write!(f, "Send {{ ticket: {ticket}, bytes: <{octets} octets with the token> }}")
            }
            Self::Send { ticket, bytes, sensitive: false } => {
                let text = String::from_utf8_lossy(bytes);
                write!(f, "Send {{ ticket: {ticket}, bytes: {text:?} }}")
            }
            Self::Pause { ticket } => write!(f, "Pause {{ ticket: {ticket} }}"),
            Self::KeepAlive { ticket, by_ms } => {
                write!(f, "KeepAlive {{ ticket: {ticket}, by_ms: {by_ms} }}")
            }
            Self::Probe { ticket, by_ms } => {
                write!(f, "Probe {{ ticket: {ticket}, by_ms: {by_ms} }}")
            }
            Self::Close { ticket } => write!(f, "Close {{ ticket: {ticket} }}"),
        }
    }
}

/// What the program sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// A connection, in answer to [`Fact::Want`](super::Fact::Want).
    Give(Box<Given>),
    /// Let it go soon: the end is near.
    Renew {
        /// The session.
        session: SessionKey,
        /// The connection.
        ticket: u64,
        /// It is closed at this time, on the host's clock.
        by_ms: u64,
        /// What is near.
        why: RenewWhy,
    },
    /// A connection that was given has ended, and why. It needs not be let go.
    Over {
        /// The session.
        session: SessionKey,
        /// The connection.
        ticket: u64,
        /// Why.
        verdict: Verdict,
        /// What was in flight.
        aftermath: Option<Aftermath>,
    },
    /// The answer to [`Fact::Want`](super::Fact::Want) is no. Nobody waits then any more.
    Raise(Box<Raise>),
    /// The session was removed, or the account closed, while somebody waited: there is no other connection.
    End {
        /// The session.
        session: SessionKey,
    },
    /// For logs and metrics.
    Event(Box<AccountEvent>),
}

/// A connection for the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The session.
    pub session: SessionKey,
    /// The connection.
    pub ticket: u64,
    /// Counts the connections of this session, from one.
    pub generation: u64,
    /// How it was logged in.
    pub mechanism: Option<Mechanism>,
    /// What the server said with the login that it can do; empty where it said nothing.
    pub capabilities: Vec<String>,
    /// Octets that came behind the login: they belong to the mail client.
    pub leftover: Vec<u8>,
    /// What was in flight in the connection before.
    pub resumed: Option<Aftermath>,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raise {
    /// The session.
    pub session: SessionKey,
    /// What the program can do.
    pub kind: RaiseKind,
    /// What happened.
    pub failure: Failure,
    /// The token request whose answer it was: the host adds the source's own error.
    pub request: Option<u64>,
    /// The connection whose end it was: the host adds the system's own error.
    pub ticket: Option<u64>,
}

spelled_enum! {
    /// What a program can do about a failure.
    RaiseKind {
        /// A person must act; then say [`Fact::Retry`](super::Fact::Retry). Nothing is tried before.
        NeedsUser = "needs_user",
        /// It cannot work as it is configured (then [`Fact::Retry`](super::Fact::Retry) is needed too), or did not in the
        /// time that it had.
        GaveUp = "gave_up",
        /// The program's token source is wrong.
        Mistake = "mistake",
    }
}

/// Something that happened. It never carries a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountEvent {
    /// What.
    pub kind: EventKind,
    /// The session; `None`: it is of the account.
    pub session: Option<SessionKey>,
    /// The connection.
    pub ticket: Option<u64>,
    /// The request to the token source.
    pub request: Option<u64>,
    /// The number of the session's connection.
    pub generation: Option<u64>,
    /// Where something failed or ended.
    pub cause: Option<Cause>,
    /// More, in words.
    pub text: String,
    /// Milliseconds that it waits, or until it is to be let go.
    pub wait_ms: Option<u64>,
}

impl AccountEvent {
    pub(super) fn new(kind: EventKind) -> Self {
        Self {
            kind,
            session: None,
            ticket: None,
            request: None,
            generation: None,
            cause: None,
            text: String::new(),
            wait_ms: None,
        }
    }

    pub(super) fn of_source(kind: EventKind, request: u64) -> Self {
        Self { request: Some(request), ..Self::new(kind) }
    }
}

spelled_enum! {
    /// What happened.
    EventKind {
        /// The token source is asked.
        FetchingToken = "fetching_token",
        /// It had none.
        TokenFailed = "token_failed",
        /// A connection is opened.
        Connecting = "connecting",
        /// It did not open, or the login failed.
        LoginFailed = "login_failed",
        /// A connection is logged in.
        Online = "online",
        /// A connection is to be let go soon.
        Renewing = "renewing",
        /// A connection has ended, or was let go.
        Ended = "ended",
        /// Somebody waits for a connection, and for this long nothing is tried.
        Waiting = "waiting",
        /// Fewer connections are opened at a time from now on; or logins are held back, for tokens live too short.
        Limited = "limited",
        /// A person is needed.
        NeedsUser = "needs_user",
        /// It cannot work, or did not in the time that it had.
        GaveUp = "gave_up",
        /// The program's token source is wrong.
        Mistake = "mistake",
    }
}

spelled_enum! {
    /// How one session of an account stands, as the program sees it.
    Standing {
        /// Nobody waits for a connection of it, and there is none.
        Unwanted = "unwanted",
        /// Somebody waits: for a token, a place, or the end of a wait.
        Waiting = "waiting",
        /// A connection is opened and logged in.
        Connecting = "connecting",
        /// A connection is logged in, and nobody wants it any more.
        Parked = "parked",
        /// The program has a connection.
        Given = "given",
        /// The program has a connection, and is to let it go.
        Renewing = "renewing",
        /// A person must act, or the program be mended.
        Stopped = "stopped",
    }
}

/// Every way of a session of an account from one standing to another, but for
/// [`Fact::Remove`](super::Fact::Remove) and [`Fact::Close`](super::Fact::Close).
pub const ACCOUNT_TRANSITIONS: &[(Standing, Standing)] = {
    use Standing::{Connecting, Given, Parked, Renewing, Stopped, Unwanted, Waiting};
    &[
        (Unwanted, Waiting),
        (Unwanted, Connecting),
        (Unwanted, Stopped),
        (Waiting, Unwanted),
        (Waiting, Connecting),
        (Waiting, Stopped),
        (Connecting, Unwanted),
        (Connecting, Waiting),
        (Connecting, Parked),
        (Connecting, Given),
        (Connecting, Stopped),
        (Parked, Unwanted),
        (Parked, Given),
        (Parked, Stopped),
        (Given, Unwanted),
        (Given, Waiting),
        (Given, Connecting),
        (Given, Renewing),
        (Given, Stopped),
        (Renewing, Unwanted),
        (Renewing, Waiting),
        (Renewing, Connecting),
        (Renewing, Parked),
        (Renewing, Given),
        (Renewing, Stopped),
        (Stopped, Unwanted),
    ]
};
