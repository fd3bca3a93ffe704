//! What a server has said of its limits, and how often it refused a token: neither is forgotten for a login that works.

use alloc::vec::Vec;

use crate::limits::{LIMIT_FORGIVEN_AFTER_MS, REFUSALS_PER_DAY};

const DAY_MS: u64 = 24 * 60 * 60_000;

/// Limits and outages that the server stated, until sessions have lasted long without one.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limited {
    pub(super) stated: u32,
    /// Time online since the last one.
    pub(super) online_ms: u64,
}

impl Limited {
    /// A session is over that lasted so long.
    pub(super) fn lasted(&mut self, lived_ms: u64) {
        self.online_ms = self.online_ms.saturating_add(lived_ms);
        if self.online_ms >= LIMIT_FORGIVEN_AFTER_MS {
            self.stated = 0;
        }
    }

    /// The server stated one more. How many there were.
    pub(super) fn again(&mut self) -> u32 {
        self.stated = self.stated.saturating_add(1);
        self.online_ms = 0;
        self.stated
    }
}

/// When the server refused tokens in the last day.
#[derive(Debug, Default)]
pub(super) struct Refusals(Vec<u64>);

impl Refusals {
    /// One more: whether that is too much for a day.
    pub(super) fn again(&mut self, now_ms: u64) -> bool {
        self.0.retain(|at_ms| now_ms.saturating_sub(*at_ms) < DAY_MS);
        self.0.push(now_ms);
        self.0.len() >= REFUSALS_PER_DAY
    }

    /// A person has acted.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    pub(super) fn times_ms(&self) -> &[u64] {
        &self.0
    }

    /// Milliseconds since each, for a snapshot.
    pub(super) fn ages_ms(&self, now_ms: u64) -> Vec<u64> {
        self.0.iter().map(|at_ms| now_ms.saturating_sub(*at_ms)).collect()
    }

    /// From before a restart. A clock that is younger than they are makes them younger: they count for longer.
    pub(super) fn from_ages(now_ms: u64, ages_ms: &[u64]) -> Self {
        let ages_ms = ages_ms.iter().take(REFUSALS_PER_DAY);
        Self(ages_ms.map(|age_ms| now_ms.saturating_sub(*age_ms)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_forgotten_after_an_hour_online_in_one_session_or_in_several() {
        let mut limited = Limited::default();
        assert_eq!((limited.again(), limited.again()), (1, 2));
        limited.lasted(LIMIT_FORGIVEN_AFTER_MS - 1);
        assert_eq!(limited.stated, 2);
        limited.lasted(1);
        assert_eq!(limited.again(), 1);
        limited.lasted(1);
        assert_eq!(limited.again(), 2, "what was online before it does not count");
    }

    #[test]
    fn the_sixth_refusal_in_a_day_is_one_too_many() {
        let mut refusals = Refusals::default();
        for at_ms in 0..5 {
            assert!(!refusals.again(at_ms));
        }
        assert!(!refusals.again(DAY_MS), "the first is a day ago");
        assert!(refusals.again(DAY_MS), "and the second is not");
        let mut again = Refusals::from_ages(7, &refusals.ages_ms(DAY_MS));
        assert!(again.again(7), "a restart forgets none");
        again.forget();
        assert!(!again.again(7));
    }
}
