//! One session of an account, and what the account knows of it.

use alloc::boxed::Box;

use super::plan::{Given, Standing};
use super::{AccountConfig, SessionKey};
use crate::config::Protocol;
use crate::failure::Failure;
use crate::session::Session;

const MINUTE_MS: u64 = 60_000;

/// Keep-alives come after so many milliseconds of silence, at random: below the idle limits of mail servers and of NAT.
const KEEP_ALIVE_MS: core::ops::RangeInclusive<u64> = 4 * MINUTE_MS..=9 * MINUTE_MS;

/// One session.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) key: SessionKey,
    pub(super) session: Session,
    pub(super) want: Option<Want>,
    /// The connection that the program has.
    pub(super) given: Option<u64>,
    /// The one that it has besides, whose successor is there.
    pub(super) leaving: Option<u64>,
    /// A connection that is logged in and that the program has not.
    pub(super) ready: Option<Box<Ready>>,
    pub(super) attempt: Option<Box<Attempt>>,
    /// The token of the connection that is online.
    pub(super) login: Login,
    /// A token that this session must not be given: fingerprint.
    pub(super) other_than: Option<u64>,
    /// Why the last attempt failed, since it was last online.
    pub(super) failed: Option<Box<Failed>>,
    /// The last failure was of the network, which may come back.
    pub(super) waits_for_network: bool,
    /// The wait that was told last.
    pub(super) told_ms: u64,
    pub(super) doubt: Doubt,
}

/// Somebody waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Want {
    /// Who came first is served first.
    pub(super) turn: u64,
    pub(super) since_ms: u64,
}

#[derive(Debug)]
pub(super) struct Ready {
    pub(super) given: Given,
    /// When it is closed, if nobody wants it.
    pub(super) until_ms: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) ticket: u64,
    pub(super) login: Login,
    pub(super) token_sent: bool,
}

/// The token of a login.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) fingerprint: u64,
    pub(super) expires_at_ms: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    pub(super) ticket: u64,
}

/// Whether the link of the connection that the program has still works.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) heard_at_ms: u64,
    /// When a keep-alive is due, if nothing is heard until then.
    pub(super) next_at_ms: Option<u64>,
    pub(super) asked: Option<Asked>,
}

/// A probe or a keep-alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) by_ms: u64,
    /// What is answered at once was written since: an answer is due.
    pub(super) wrote: bool,
}

impl Member {
    pub(super) fn new(key: SessionKey, session: Session) -> Self {
        Self {
            key,
            session,
            want: None,
            given: None,
            leaving: None,
            ready: None,
            attempt: None,
            login: Login::default(),
            other_than: None,
            failed: None,
            waits_for_network: false,
            told_ms: 0,
            doubt: Doubt::default(),
        }
    }

    pub(super) fn standing(&self, is_stopped: bool) -> Standing {
        if self.given.is_some() || self.leaving.is_some() {
            let renews = self.given.is_none() || self.session.is_renewing();
            return if renews { Standing::Renewing } else { Standing::Given };
        }
        if self.ready.is_some() {
            return Standing::Parked;
        }
        if is_stopped {
            return Standing::Stopped;
        }
        if self.attempt.is_some() {
            return Standing::Connecting;
        }
        if self.want.is_some() { Standing::Waiting } else { Standing::Unwanted }
    }

    /// Whether this connection is open, or on its way.
    pub(super) fn has(&self, ticket: u64) -> bool {
        self.given == Some(ticket)
            || self.attempt.as_ref().is_some_and(|attempt| attempt.ticket == ticket)
            || self.leaving == Some(ticket)
            || self.ready.as_ref().is_some_and(|ready| ready.given.ticket == ticket)
    }

    /// Connections that are open or on their way.
    pub(super) fn open(&self) -> u32 {
        u32::from(self.attempt.is_some()) + self.online()
    }

    /// Connections that are logged in.
    pub(super) fn online(&self) -> u32 {
        u32::from(self.given.is_some())
            + u32::from(self.leaving.is_some())
            + u32::from(self.ready.is_some())
    }

    /// How long a connection may be idle: the provider's limit, or the least that the protocol allows a server.
    pub(super) fn idle_ms(&self) -> u64 {
        let of_protocol_ms = match self.session.service() {
            // RFC 9051 section 5.4, RFC 1939 section 3, RFC 5321 section 4.5.3.2.7.
            Protocol::Imap => 30 * MINUTE_MS,
            Protocol::Pop3 => 10 * MINUTE_MS,
            Protocol::Smtp => 5 * MINUTE_MS,
        };
        self.session.config().limits.idle_ms.unwrap_or(of_protocol_ms)
    }

    /// When the session itself has something to do.
    pub(super) fn wake_at_ms(&self) -> Option<u64> {
        self.session.wake_at_ms()
    }
}

impl Doubt {
    /// A connection that was just given.
    pub(super) fn begin(
        now_ms: u64,
        idle_ms: u64,
        config: &AccountConfig,
        rng: &mut fastrand::Rng,
    ) -> Self {
        let most_ms = (idle_ms / 4 * 3).clamp(1, *KEEP_ALIVE_MS.end());
        // At random also where the limit is short: a fleet that began together does not speak together.
        let least_ms = (*KEEP_ALIVE_MS.start()).min(most_ms / 4 * 3);
        let wait_ms = rng.u64(least_ms..=most_ms).max(1);
        let next_at_ms = config.keep_alive.then(|| now_ms.saturating_add(wait_ms));
        Self { heard_at_ms: now_ms, next_at_ms, asked: None }
    }

    /// The other side lives.
    pub(super) fn heard(&mut self, now_ms: u64) {
        self.heard_at_ms = now_ms;
        self.asked = None;
    }

    /// When something is to be done.
    pub(super) fn wake_at_ms(&self) -> Option<u64> {
        self.asked.map(|asked| asked.by_ms).or(self.next_at_ms)
    }
}
