//! Stops: what a person, or the program's author, must mend before anything is tried again.

use alloc::vec::Vec;

use super::RaiseKind;
use crate::config::Protocol;
use crate::failure::{Cause, Failure};

/// A stop of all sessions, or of those of one protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stop {
    /// `None`: of all.
    pub(super) service: Option<Protocol>,
    pub(super) kind: RaiseKind,
    pub(super) failure: Failure,
    /// The token request or the connection that led to it.
    pub(super) request: Option<u64>,
    pub(super) ticket: Option<u64>,
}

/// All of them; the first for a session is the one that is told.
#[derive(Debug, Default)]
pub(super) struct Stops(Vec<Stop>);

impl Stops {
    /// True when it says something new.
    pub(super) fn add(&mut self, stop: Stop) -> bool {
        let known = self.0.iter().any(|one| one.service.is_none() || one.service == stop.service);
        if !known {
            self.0.push(stop);
        }
        !known
    }

    pub(super) fn of(&self, protocol: Protocol) -> Option<&Stop> {
        self.0.iter().find(|stop| stop.service.is_none_or(|service| service == protocol))
    }

    pub(super) fn all(&self) -> &[Stop] {
        &self.0
    }

    pub(super) fn lift(&mut self) {
        self.0.clear();
    }
}

/// Whether a failure is of the whole account. What may be of one protocol alone stops only that: it costs one login more
/// where it is of all, and nothing works worse for it.
pub(super) fn is_of_account(cause: Cause) -> bool {
    matches!(cause, Cause::TokenUnavailable | Cause::AccountDisabled | Cause::InteractionRequired)
}

/// What does not get better by waiting before a first connection: a host, a port or a proxy that is not as the program says.
pub(super) fn is_hopeless(cause: Cause) -> bool {
    matches!(cause, Cause::HostNotFound | Cause::ConnectionRefused | Cause::ProxyFailed)
}

/// What a network that comes back may mend.
pub(super) fn is_of_network(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::ConnectionLost
            | Cause::HostNotFound
            | Cause::ConnectionRefused
            | Cause::Unreachable
            | Cause::ProxyFailed
            | Cause::TimedOut
            | Cause::TlsFailed
    )
}

#[cfg(test)]
mod tests {
    use super::{Cause, is_hopeless};

    #[test]
    fn a_proxy_that_is_not_there_is_as_hopeless_as_a_server_that_is_not() {
        for cause in [Cause::HostNotFound, Cause::ConnectionRefused, Cause::ProxyFailed] {
            assert!(is_hopeless(cause), "{cause}");
        }
        for cause in [Cause::Unreachable, Cause::TimedOut, Cause::ConnectionLost, Cause::TlsFailed]
        {
            assert!(!is_hopeless(cause), "{cause}");
        }
    }
}
