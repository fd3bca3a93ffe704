//! How many connections a server allows for the mailbox, as far as is known, and the waits that it asked for. Protocols
//! are counted apart, as providers do.

use alloc::boxed::Box;

use super::AccountConfig;
use crate::config::Protocol;
use crate::limits::LIMIT_RETRIAL_MS;
use crate::session::Backoff;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Where the server limits rate or connections, the waits are so many times as long.
const LIMIT_FACTOR: u64 = 8;

/// A connection that lives for so long was not one too many.
const LASTS_MS: u64 = 60_000;

/// A limit that was not met for so long is met for the first time again.
const FORGET_MS: u64 = 60 * 60 * 1_000;

/// What is known of one service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Service {
    /// What the server was seen to allow.
    seen: Option<Seen>,
    /// No login before this time, for the server asked for it.
    throttled_until_ms: u64,
    /// Limits of the rate, one after the other, and the last.
    strikes: u32,
    struck_at_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    limit: u32,
    /// When one more is tried.
    retry_at_ms: u64,
    /// How long that was put off.
    patience_ms: u64,
    /// Since when so many are open, which are more.
    tried: Option<(u64, u32)>,
}

impl Service {
    /// A trial that has lasted is what the server allows.
    fn seen(&self, now_ms: u64) -> Option<Seen> {
        let seen = self.seen?;
        let lasted = seen.tried.filter(|(at_ms, _)| now_ms >= at_ms.saturating_add(LASTS_MS));
        let Some((at_ms, limit)) = lasted else { return Some(seen) };
        let retry_at_ms = at_ms.saturating_add(LIMIT_RETRIAL_MS);
        Some(Seen { limit, retry_at_ms, patience_ms: LIMIT_RETRIAL_MS, tried: None })
    }
}

/// The services of an account. Limits are rare, and accounts many: no room is kept for what was never met.
#[derive(Debug, Default)]
pub(super) struct Places {
    imap: Option<Box<Service>>,
    pop3: Option<Box<Service>>,
    smtp: Option<Box<Service>>,
}

impl Places {
    fn of(&self, protocol: Protocol) -> Service {
        let known = match protocol {
            Protocol::Imap => &self.imap,
            Protocol::Pop3 => &self.pop3,
            Protocol::Smtp => &self.smtp,
        };
        known.as_deref().copied().unwrap_or_default()
    }

    fn slot(&mut self, protocol: Protocol) -> &mut Option<Box<Service>> {
        match protocol {
            Protocol::Imap => &mut self.imap,
            Protocol::Pop3 => &mut self.pop3,
            Protocol::Smtp => &mut self.smtp,
        }
    }

    fn of_mut(&mut self, protocol: Protocol) -> &mut Service {
        self.slot(protocol).get_or_insert_default()
    }

    /// How many connections may be open now; `None`: no limit is known.
    pub(super) fn limit(&self, now_ms: u64, protocol: Protocol, known: Option<u32>) -> Option<u32> {
        let seen = self.of(protocol).seen(now_ms);
        let seen =
            seen.map(|seen| seen.limit.saturating_add(u32::from(now_ms >= seen.retry_at_ms)));
        match (known, seen) {
            (Some(known), Some(seen)) => Some(known.min(seen)),
            (one, other) => one.or(other),
        }
    }

    /// When one more may be opened, though the limit is reached.
    pub(super) fn retry_at_ms(&self, now_ms: u64, protocol: Protocol) -> Option<u64> {
        let seen = self.of(protocol).seen(now_ms)?;
        Some(seen.retry_at_ms).filter(|at_ms| *at_ms > now_ms)
    }

    /// The server refused one, or ended one to make place, while so many others were open. True when the limit is lower
    /// now than it was.
    pub(super) fn met(&mut self, now_ms: u64, protocol: Protocol, others: u32) -> bool {
        let service = self.of_mut(protocol);
        let others = others.max(1);
        let (limit, patience_ms, lower) = match service.seen(now_ms) {
            None => (others, LIMIT_RETRIAL_MS, true),
            // One more was tried, and is not allowed.
            Some(seen) if now_ms >= seen.retry_at_ms => {
                let patience_ms = seen.patience_ms.saturating_mul(2).min(DAY_MS);
                (others.min(seen.limit), patience_ms, others < seen.limit)
            }
            Some(seen) => (others.min(seen.limit), seen.patience_ms, others < seen.limit),
        };
        let retry_at_ms = now_ms.saturating_add(patience_ms);
        service.seen = Some(Seen { limit, retry_at_ms, patience_ms, tried: None });
        lower
    }

    /// So many are logged in now: perhaps more than the server was seen to allow.
    pub(super) fn logged_in(&mut self, now_ms: u64, protocol: Protocol, open: u32) {
        let Some(service) = self.slot(protocol) else { return };
        service.seen = service.seen(now_ms);
        if let Some(seen) = service.seen.as_mut().filter(|seen| open > seen.limit) {
            seen.tried = Some((now_ms, open));
        }
    }

    /// No login before this time.
    pub(super) fn throttled_until_ms(&self, protocol: Protocol) -> u64 {
        self.of(protocol).throttled_until_ms
    }

    /// The server limits the rate, and may have asked for a wait: all sessions of this service keep it.
    pub(super) fn throttle(
        &mut self,
        now_ms: u64,
        protocol: Protocol,
        wait_ms: Option<u64>,
        config: &AccountConfig,
        rng: &mut fastrand::Rng,
    ) {
        let service = self.of_mut(protocol);
        if now_ms.saturating_sub(service.struck_at_ms) > FORGET_MS {
            service.strikes = 0;
        }
        // Logins that were under way together meet the same limit.
        if now_ms >= service.throttled_until_ms {
            service.strikes = service.strikes.saturating_add(1);
        }
        service.struck_at_ms = now_ms;
        let base_ms = config.backoff_base_ms.saturating_mul(LIMIT_FACTOR);
        let max_ms = config.backoff_max_ms.saturating_mul(LIMIT_FACTOR);
        // The server has said that it is too much.
        let backoff = Backoff { base_ms, max_ms, at_least_half: true };
        let wait_ms = backoff.wait_ms(service.strikes, wait_ms.unwrap_or(0), rng);
        let until_ms = now_ms.saturating_add(wait_ms);
        service.throttled_until_ms = service.throttled_until_ms.max(until_ms);
    }

    /// What outlives the process, of each service in the order of [`Protocol::ALL`].
    pub(super) fn memory(&self, now_ms: u64) -> [Memory; 3] {
        Protocol::ALL.map(|protocol| {
            let service = self.of(protocol);
            Memory {
                limit: service.seen.as_ref().map(|seen| seen.limit),
                retry_ms: service
                    .seen
                    .as_ref()
                    .map_or(0, |seen| seen.retry_at_ms.saturating_sub(now_ms)),
                patience_ms: service
                    .seen
                    .as_ref()
                    .map_or(LIMIT_RETRIAL_MS, |seen| seen.patience_ms),
                throttled_ms: service.throttled_until_ms.saturating_sub(now_ms),
                strikes: service.strikes,
            }
        })
    }

    /// Goes on with what outlived the process, `dead_ms` later.
    pub(super) fn remember(&mut self, memory: [Memory; 3], now_ms: u64, dead_ms: u64) {
        let later = |ms: u64| now_ms.saturating_add(ms.saturating_sub(dead_ms));
        let is_known =
            |one: &Memory| one.limit.is_some() || one.throttled_ms > 0 || one.strikes > 0;
        for (protocol, one) in Protocol::ALL.into_iter().zip(memory) {
            if !is_known(&one) {
                continue;
            }
            *self.of_mut(protocol) = Service {
                seen: one.limit.map(|limit| Seen {
                    limit,
                    retry_at_ms: later(one.retry_ms),
                    patience_ms: one.patience_ms,
                    tried: None,
                }),
                throttled_until_ms: later(one.throttled_ms),
                strikes: one.strikes,
                struck_at_ms: now_ms,
            };
        }
    }
}

/// What outlives the process of one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) limit: Option<u32>,
    pub(super) retry_ms: u64,
    pub(super) patience_ms: u64,
    pub(super) throttled_ms: u64,
    pub(super) strikes: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 60 * 60 * 1_000;

    #[test]
    fn a_limit_that_was_met_is_kept_and_one_more_is_tried_each_hour_at_most() {
        let mut places = Places::default();
        assert_eq!(places.limit(0, Protocol::Imap, None), None);
        assert!(places.met(0, Protocol::Imap, 15));
        assert_eq!(places.limit(1, Protocol::Imap, None), Some(15));
        assert_eq!(places.limit(1, Protocol::Imap, Some(10)), Some(10));
        assert_eq!(places.limit(1, Protocol::Pop3, None), None);
        assert_eq!(places.limit(HOUR_MS, Protocol::Imap, None), Some(16));
        // It is not allowed: the next trial comes after twice the time.
        assert!(!places.met(HOUR_MS, Protocol::Imap, 15));
        assert_eq!(places.retry_at_ms(HOUR_MS, Protocol::Imap), Some(3 * HOUR_MS));
        assert_eq!(places.limit(3 * HOUR_MS - 1, Protocol::Imap, None), Some(15));
        // It logs in, and costs another its place.
        places.logged_in(3 * HOUR_MS, Protocol::Imap, 16);
        assert!(!places.met(3 * HOUR_MS + 50, Protocol::Imap, 15));
        assert_eq!(places.limit(7 * HOUR_MS, Protocol::Imap, None), Some(15));
        // It is allowed, and lasts.
        places.logged_in(8 * HOUR_MS, Protocol::Imap, 16);
        assert_eq!(places.limit(8 * HOUR_MS, Protocol::Imap, None), Some(16));
        assert_eq!(places.limit(8 * HOUR_MS + 61_000, Protocol::Imap, None), Some(16));
        assert_eq!(places.limit(9 * HOUR_MS, Protocol::Imap, None), Some(17));
    }

    #[test]
    fn one_place_is_always_left() {
        let mut places = Places::default();
        assert!(places.met(0, Protocol::Pop3, 0));
        assert_eq!(places.limit(0, Protocol::Pop3, None), Some(1));
    }

    #[test]
    fn a_limit_of_the_rate_is_waited_for_by_all_and_longer_each_time() {
        let (config, mut rng) = (AccountConfig::default(), fastrand::Rng::with_seed(1));
        let mut places = Places::default();
        places.throttle(0, Protocol::Imap, Some(92_415), &config, &mut rng);
        assert!(places.throttled_until_ms(Protocol::Imap) >= 92_415);
        assert_eq!(places.throttled_until_ms(Protocol::Smtp), 0);
        let longest = |times: u32| {
            (0..200)
                .map(|seed| {
                    let (mut places, mut now_ms) = (Places::default(), 0);
                    let mut rng = fastrand::Rng::with_seed(seed);
                    let mut wait_ms = 0;
                    for _ in 0..times {
                        places.throttle(now_ms, Protocol::Imap, Some(1), &config, &mut rng);
                        let until_ms = places.throttled_until_ms(Protocol::Imap);
                        wait_ms = until_ms - now_ms;
                        now_ms = until_ms;
                    }
                    wait_ms
                })
                .max()
                .unwrap()
        };
        assert!(longest(1) <= 8_001);
        assert!(longest(6) > 60_000, "the server's own wait of 1 ms is a least");
    }
}
