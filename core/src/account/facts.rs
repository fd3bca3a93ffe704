//! What goes into an [`Account`](super::Account).

use alloc::string::String;

use super::SessionKey;
use crate::failure::{Failure, spelled_enum};
use crate::token::AccessToken;

/// A fact that the program or its host reports. See the tables in [`Account`](super::Account).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// Somebody waits for a connection of this session. One at a time.
    Want {
        /// The session.
        session: SessionKey,
    },
    /// Nobody waits any more: the wait was cancelled.
    NoLonger {
        /// The session.
        session: SessionKey,
    },
    /// The program is done with a connection that it was given.
    LetGo {
        /// The connection.
        ticket: u64,
    },
    /// Ends one session, and closes what it has open.
    Remove {
        /// The session.
        session: SessionKey,
    },
    /// Ends all of them.
    Close,
    /// A person, or the program, has acted: every stop is lifted.
    Retry,
    /// The system says that there is no network.
    NetworkLost,
    /// The system says that there is one again, or another one.
    NetworkBack,
    /// The machine slept.
    Slept {
        /// For so many milliseconds.
        ms: u64,
    },
    /// The time of [`AccountPlan::wake_at_ms`](super::AccountPlan::wake_at_ms) has come. An early one is harmless.
    Tick,
    /// Answers [`Order::Open`](super::Order::Open): the connection is there, with TLS where it is implicit.
    Opened {
        /// The connection.
        ticket: u64,
    },
    /// Answers [`Order::StartTls`](super::Order::StartTls).
    Secured {
        /// The connection.
        ticket: u64,
    },
    /// The connection could not be opened, or has ended.
    Ended {
        /// The connection.
        ticket: u64,
        /// What the system or TLS said, as [`Failure::of_connect`] and its siblings tell it; `None` at a plain end
        /// of the stream.
        failure: Option<Failure>,
    },
    /// A probe or a keep-alive was answered. Only for hosts that do not show octets: see
    /// [`Account::receive`](super::Account::receive).
    Answered {
        /// The connection.
        ticket: u64,
    },
    /// Answers [`Order::FetchToken`](super::Order::FetchToken).
    Token {
        /// The number of the request.
        request: u64,
        /// The token.
        token: AccessToken,
        /// Milliseconds that it still lives, where that is known.
        lives_ms: Option<u64>,
    },
    /// Answers [`Order::FetchToken`](super::Order::FetchToken): there is none.
    NoToken {
        /// The number of the request.
        request: u64,
        /// Why.
        why: NoToken,
        /// What the source said, as `invalid_grant: Token has been expired or revoked`. What looks like a secret in it is
        /// masked: see [`redact_source`](crate::redact_source).
        text: String,
    },
}

impl Fact {
    /// Its name, for texts.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Want { .. } => "Want",
            Self::NoLonger { .. } => "NoLonger",
            Self::LetGo { .. } => "LetGo",
            Self::Remove { .. } => "Remove",
            Self::Close => "Close",
            Self::Retry => "Retry",
            Self::NetworkLost => "NetworkLost",
            Self::NetworkBack => "NetworkBack",
            Self::Slept { .. } => "Slept",
            Self::Tick => "Tick",
            Self::Opened { .. } => "Opened",
            Self::Secured { .. } => "Secured",
            Self::Ended { .. } => "Ended",
            Self::Answered { .. } => "Answered",
            Self::Token { .. } => "Token",
            Self::NoToken { .. } => "NoToken",
        }
    }
}

spelled_enum! {
    /// Why a token source has no token.
    NoToken {
        /// It cannot be reached, or has none for now: it is asked again.
        Outage = "outage",
        /// A person must act, as with OAuth's `invalid_grant`: asking again is in vain.
        Permanent = "permanent",
        /// The program's code is wrong: it raised what it should not, or gave what is no token.
        Mistake = "mistake",
    }
}
