//! What comes out of an `AccountMachine`: orders for the host, deliveries for the program.

use std::sync::Arc;

use mailbearer::{Aftermath, Cause, EventKind, Mechanism, RaiseKind, RenewWhy, SessionKey};

use crate::errors::spelled;
use crate::pure::AccessToken;
use crate::records::{Failure, Verdict};

/// What the host does, what it shows to the program, and when it comes back.
#[derive(uniffi::Record)]
pub struct AccountPlan {
    /// Orders, in the order in which they are to be carried out, before anything is delivered.
    pub orders: Vec<Order>,
    /// What the program sees, in this order.
    pub deliveries: Vec<Delivery>,
    /// When to call `tick`, on the host's clock; always in the future. Absent: not at all.
    pub wake_at_ms: Option<u64>,
    /// Octets of message content that come next on this connection, and need not be shown: see `skipped`.
    pub skip: u64,
}

impl From<mailbearer::AccountPlan> for AccountPlan {
    fn from(plan: mailbearer::AccountPlan) -> Self {
        Self {
            orders: plan.orders.into_iter().map(Into::into).collect(),
            deliveries: plan.deliveries.into_iter().map(Into::into).collect(),
            wake_at_ms: plan.wake_at_ms,
            skip: plan.skip,
        }
    }
}

/// An order to the host. A host that cannot do what is asked answers with `ended`, or with `noToken`.
#[derive(uniffi::Enum)]
pub enum Order {
    /// Ask the token source; answer with `token` or `noToken`.
    FetchToken {
        /// Comes back in the answer. A newer request takes the place of an older one, whose answer may be dropped.
        request: u64,
        /// Whether a cached token is of no use.
        force: bool,
        /// The token that a server would not take, for sources that must be told which (Android's `clearToken`).
        refused: Option<Arc<AccessToken>>,
    },
    /// Open a connection, with TLS where it is implicit; answer with `opened` or `ended`. Read from it, and give what
    /// comes to `receive`.
    Open {
        /// The number of this connection: it comes back in all answers.
        ticket: u64,
        /// Whose it is.
        session: u32,
        /// How many attempts there were since this session last had a connection that lasted, with this one.
        attempt: u32,
    },
    /// Do the TLS handshake on this socket, with an empty read buffer; answer with `secured` or `ended`.
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
        /// If octets were written, an answer is due by then, on the host's clock.
        by_ms: u64,
    },
    /// The same, because the link is in doubt.
    Probe {
        /// The connection.
        ticket: u64,
        /// If octets were written, an answer is due by then, on the host's clock.
        by_ms: u64,
    },
    /// Close the socket. No fact of this ticket is waited for any more.
    Close {
        /// The connection.
        ticket: u64,
    },
}

impl From<mailbearer::Order> for Order {
    fn from(order: mailbearer::Order) -> Self {
        use mailbearer::Order as Core;
        match order {
            Core::FetchToken { request, force, refused } => Self::FetchToken {
                request,
                force,
                refused: refused.map(|token| Arc::new(AccessToken(token))),
            },
            Core::Open { ticket, session, attempt } => {
                Self::Open { ticket, session: session.number(), attempt }
            }
            Core::StartTls { ticket } => Self::StartTls { ticket },
            Core::Send { ticket, bytes, sensitive } => Self::Send { ticket, bytes, sensitive },
            Core::Pause { ticket } => Self::Pause { ticket },
            Core::KeepAlive { ticket, by_ms } => Self::KeepAlive { ticket, by_ms },
            Core::Probe { ticket, by_ms } => Self::Probe { ticket, by_ms },
            Core::Close { ticket } => Self::Close { ticket },
        }
    }
}

/// What the program sees.
#[derive(uniffi::Enum)]
pub enum Delivery {
    /// A connection, in answer to `want`.
    Give {
        /// The session.
        session: u32,
        /// The connection.
        ticket: u64,
        /// Counts the connections of this session, from one.
        generation: u64,
        /// How it was logged in.
        mechanism: Option<Mechanism>,
        /// What the server said with the login that it can do; empty where it said nothing.
        capabilities: Vec<String>,
        /// Octets that came behind the login: they belong to the mail client.
        leftover: Vec<u8>,
        /// What was in flight in the connection before.
        resumed: Option<Aftermath>,
    },
    /// The answer to `want` is no. Nobody waits then any more.
    Raise {
        /// The session.
        session: u32,
        /// What the program can do.
        kind: RaiseKind,
        /// What happened.
        failure: Failure,
        /// The token request whose answer it was: the host adds the source's own error.
        request: Option<u64>,
        /// The connection whose end it was: the host adds the system's own error.
        ticket: Option<u64>,
    },
    /// The session was removed, or the account closed, while somebody waited: there is no other connection.
    End {
        /// The session.
        session: u32,
    },
    /// Let it go soon: the end is near.
    Renew {
        /// The session.
        session: u32,
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
        session: u32,
        /// The connection.
        ticket: u64,
        /// Why.
        verdict: Verdict,
        /// What was in flight.
        aftermath: Option<Aftermath>,
    },
    /// For logs and metrics.
    Event {
        /// What happened.
        event: AccountEvent,
    },
}

impl From<mailbearer::Delivery> for Delivery {
    fn from(delivery: mailbearer::Delivery) -> Self {
        use mailbearer::Delivery as Core;
        match delivery {
            Core::Give(given) => Self::Give {
                session: given.session.number(),
                ticket: given.ticket,
                generation: given.generation,
                mechanism: given.mechanism,
                capabilities: given.capabilities,
                leftover: given.leftover,
                resumed: given.resumed,
            },
            Core::Raise(raise) => Self::Raise {
                session: raise.session.number(),
                kind: raise.kind,
                failure: raise.failure.into(),
                request: raise.request,
                ticket: raise.ticket,
            },
            Core::End { session } => Self::End { session: session.number() },
            Core::Renew { session, ticket, by_ms, why } => {
                Self::Renew { session: session.number(), ticket, by_ms, why }
            }
            Core::Over { session, ticket, verdict, aftermath } => {
                Self::Over { session: session.number(), ticket, verdict: verdict.into(), aftermath }
            }
            Core::Event(event) => Self::Event { event: (*event).into() },
        }
    }
}

/// Something that happened. It never carries a token.
#[derive(Debug, Clone, uniffi::Record)]
pub struct AccountEvent {
    /// What.
    pub kind: EventKind,
    /// The session; absent: it is of the account.
    pub session: Option<u32>,
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

impl From<mailbearer::AccountEvent> for AccountEvent {
    fn from(event: mailbearer::AccountEvent) -> Self {
        Self {
            kind: event.kind,
            session: event.session.map(SessionKey::number),
            ticket: event.ticket,
            request: event.request,
            generation: event.generation,
            cause: event.cause,
            text: spelled(event.text),
            wait_ms: event.wait_ms,
        }
    }
}
