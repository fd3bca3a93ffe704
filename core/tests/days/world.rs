//! What servers and token sources do, and how often something was done.

use std::collections::BTreeMap;

use mailbearer::limits;

pub(crate) const MINUTE_MS: u64 = 60_000;
pub(crate) const HOUR_MS: u64 = 60 * MINUTE_MS;
pub(crate) const DAY_MS: u64 = 24 * HOUR_MS;

pub(crate) const BYE: &str = "* BYE Session expired, please login again.\r\n";
pub(crate) const LIMIT: &str = "* BYE [LIMIT] Too many sessions\r\n";
pub(crate) const REFUSED: &str = "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)";

/// What the server does with a login.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    /// It ends the session after so long, with these words.
    Ends(u64, &'static str),
    /// It ends the session after so long, without a word.
    Cuts(u64),
    /// It lets the session live.
    Lives,
    Refuses(&'static str),
    /// The connection does not even open.
    Unreachable,
}

/// What the token source does.
#[derive(Clone, Copy)]
pub(crate) enum Source {
    /// A new token each time, that lives for so long.
    New(u64),
    /// The same token each time, that lives for so long.
    Same(u64),
    Fails,
}

/// When what was done.
#[derive(Default, Debug)]
pub(crate) struct Counts(BTreeMap<&'static str, Vec<u64>>);

impl Counts {
    pub(crate) fn add(&mut self, order: &'static str, at_ms: u64) {
        self.0.entry(order).or_default().push(at_ms);
    }

    /// The greatest number in any time of this length.
    pub(crate) fn most_in(&self, order: &str, window_ms: u64) -> u64 {
        let times = self.0.get(order).map(Vec::as_slice).unwrap_or_default();
        let within = |from: &u64| {
            times.iter().filter(|at_ms| (*from..=from + window_ms).contains(*at_ms)).count() as u64
        };
        times.iter().map(within).max().unwrap_or(0)
    }

    /// Holds the numbers to the budget of `limits.rs`.
    pub(crate) fn keep(&self, name: &str) {
        for (order, allowance) in [
            ("connect", limits::CONNECTIONS),
            ("login", limits::LOGINS),
            ("token", limits::TOKENS),
            ("refresh", limits::REFRESHES),
        ] {
            for (window_ms, minutes) in [(HOUR_MS, 60), (DAY_MS, 24 * 60)] {
                let most = self.most_in(order, window_ms);
                let allowed = allowance.most(minutes);
                assert!(most <= allowed, "{name}: {most} times {order} in {minutes} minutes");
            }
        }
    }

    /// The goal of issue 13: sixty logins and sixty refreshes.
    pub(crate) fn are_gentle(&self, name: &str) {
        self.keep(name);
        let (logins, refreshes) = (self.most_in("login", DAY_MS), self.most_in("refresh", DAY_MS));
        assert!(logins <= 60 && refreshes <= 60, "{name}: {logins} logins, {refreshes} refreshes");
    }
}
