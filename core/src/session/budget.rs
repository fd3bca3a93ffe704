//! The budget of a session: greatest numbers of orders, whatever server and token source do (`limits.rs`).
//!
//! A login is paid for by time: by that which has passed since the last ones, and by that which its session lasts. What the
//! host itself ends, and what a person starts, costs nothing: the budget is against servers and token sources.

use super::backoff::Rate;
use super::{Live, Session};
use crate::limits::{CONNECTIONS, LOGINS, LOGINS_BEFORE_INTERVAL, REFRESHES, TOKENS};

#[derive(Debug)]
pub(super) struct Budget {
    interval_ms: u64,
    connections: Rate,
    logins: Rate,
    /// A short life of tokens, or of sessions, leads to one login in each interval.
    in_a_row: Rate,
    tokens: Rate,
    refreshes: Rate,
}

impl Budget {
    pub(super) fn new(interval_ms: u64) -> Self {
        let rate = |allowance| Rate::of(allowance, interval_ms);
        Self {
            interval_ms,
            connections: rate(CONNECTIONS),
            logins: rate(LOGINS),
            in_a_row: Rate::new(LOGINS_BEFORE_INTERVAL, interval_ms),
            tokens: rate(TOKENS),
            refreshes: rate(REFRESHES),
        }
    }

    /// When the next connection may be ordered: it must come to a login too.
    pub(super) fn next_connect_ms(&self, now_ms: u64) -> u64 {
        self.connections.next_ms(now_ms).max(self.next_login_ms(now_ms))
    }

    pub(super) fn next_login_ms(&self, now_ms: u64) -> u64 {
        self.logins.next_ms(now_ms).max(self.in_a_row.next_ms(now_ms))
    }

    /// When the next token may be asked for.
    pub(super) fn next_token_ms(&self, now_ms: u64, forced: bool) -> u64 {
        let any_ms = self.tokens.next_ms(now_ms);
        if forced { any_ms.max(self.refreshes.next_ms(now_ms)) } else { any_ms }
    }

    pub(super) fn connect(&mut self, now_ms: u64) {
        self.connections.take(now_ms);
    }

    pub(super) fn log_in(&mut self, now_ms: u64) {
        self.logins.take(now_ms);
        self.in_a_row.take(now_ms);
    }

    pub(super) fn ask(&mut self, now_ms: u64, forced: bool) {
        self.tokens.take(now_ms);
        if forced {
            self.refreshes.take(now_ms);
        }
    }

    /// A session is over that lasted so long. `forced`: so was its token.
    pub(super) fn lasted(&mut self, lived_ms: u64, forced: bool) {
        self.logins.lasted(lived_ms, self.interval_ms);
        if forced {
            self.refreshes.lasted(lived_ms, self.interval_ms);
        }
    }

    /// The host ended a session by itself, or a person began one: neither server nor token source can bring that about.
    pub(super) fn give_back(&mut self) {
        for rate in self.rates_mut() {
            rate.give_back(1, 1);
        }
    }

    fn rates_mut(&mut self) -> [&mut Rate; 5] {
        [
            &mut self.connections,
            &mut self.logins,
            &mut self.in_a_row,
            &mut self.tokens,
            &mut self.refreshes,
        ]
    }

    /// Milliseconds until each is full, for a snapshot.
    pub(super) fn owed_ms(&self, now_ms: u64) -> [u64; 5] {
        [&self.connections, &self.logins, &self.in_a_row, &self.tokens, &self.refreshes]
            .map(|rate| rate.owed_ms(now_ms))
    }

    pub(super) fn owe(&mut self, now_ms: u64, owed_ms: &[u64]) {
        for (rate, owed_ms) in self.rates_mut().into_iter().zip(owed_ms) {
            rate.owe(now_ms, *owed_ms);
        }
    }
}

impl Session {
    /// A session is over, and has paid for its login as far as it and its token lasted: a source of short-lived tokens leads
    /// to few logins also where the server does not mind. `by_host`: nobody had asked the host to end it.
    pub(super) fn settle_account(&mut self, live: &Live, by_host: bool) {
        let lived_ms = self.now_ms.saturating_sub(live.since_ms);
        if by_host {
            self.budget.give_back();
        } else {
            let expires_at_ms = live.token_expires_at_ms.unwrap_or(u64::MAX);
            let token_ms = expires_at_ms.saturating_sub(live.since_ms);
            self.budget.lasted(lived_ms.min(token_ms), live.forced);
        }
        self.limited.lasted(lived_ms);
    }
}
