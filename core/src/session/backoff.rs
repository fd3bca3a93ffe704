//! How long to wait after a failure, and the fastest pace of an order. Neither owns a clock.

use crate::limits::{Allowance, PAID_BACK_AFTER, PAID_BACK_FROM};

/// Exponential back-off with jitter: a random time below a ceiling that doubles (Amazon's architecture blog, "Exponential
/// backoff and jitter").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub(crate) base_ms: u64,
    pub(crate) max_ms: u64,
    /// At least half of the ceiling: where a server has said that it is too much.
    pub(crate) at_least_half: bool,
}

impl Backoff {
    /// Milliseconds to wait after this many failures in a row. What the server asked for is the least.
    pub(crate) fn wait_ms(self, failures: u32, least_ms: u64, rng: &mut fastrand::Rng) -> u64 {
        let doublings = failures.saturating_sub(1).min(32);
        let ceiling = self.base_ms.saturating_mul(1 << doublings).min(self.max_ms);
        let floor = if self.at_least_half { ceiling / 2 } else { 0 };
        let own = rng.u64(floor..=ceiling);
        // A server that names a time names it to many: the jitter is added, not put in its place.
        own.max(least_ms.saturating_add(rng.u64(0..=ceiling.min(least_ms))))
    }
}

/// Holds an order back: at most so many at once, and one more in each interval (the generic cell rate algorithm).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Half a word each: a session has seven rates, and a fleet a million sessions.
    at_once: u32,
    interval_ms: u32,
    /// When all that was taken out of the bucket is back in it.
    full_at_ms: u64,
}

impl Rate {
    /// An interval of more than seven weeks is one of seven weeks.
    pub(crate) fn new(at_once: u64, interval_ms: u64) -> Self {
        let short = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Self { at_once: short(at_once), interval_ms: short(interval_ms), full_at_ms: 0 }
    }

    /// What an allowance is with this interval of logins.
    pub(crate) fn of(allowance: Allowance, login_interval_ms: u64) -> Self {
        Self::new(allowance.at_once, login_interval_ms.saturating_mul(allowance.every))
    }

    fn interval_ms(&self) -> u64 {
        u64::from(self.interval_ms)
    }

    /// The pace of every order: a few at once, and then one in each second.
    pub(crate) fn pace() -> Self {
        Self::new(4, 1_000)
    }

    /// When the next order may be given: now, or later.
    pub(crate) fn next_ms(&self, now_ms: u64) -> u64 {
        let room = self.interval_ms().saturating_mul(u64::from(self.at_once.saturating_sub(1)));
        self.full_at_ms.saturating_sub(room).max(now_ms)
    }

    /// An order was given.
    pub(crate) fn take(&mut self, now_ms: u64) {
        self.full_at_ms = self.full_at_ms.max(now_ms).saturating_add(self.interval_ms());
    }

    /// An order has paid for itself: of so many parts, so many.
    pub(super) fn give_back(&mut self, parts: u64, of: u64) {
        let worth =
            u128::from(self.interval_ms) * u128::from(parts.min(of)) / u128::from(of.max(1));
        let worth_ms = u64::try_from(worth).unwrap_or_else(|_| self.interval_ms());
        self.full_at_ms = self.full_at_ms.saturating_sub(worth_ms);
    }

    /// The session of a login, or the use of a token, is over and has lasted so long: it pays back from [`PAID_BACK_FROM`] on.
    pub(crate) fn lasted(&mut self, lived_ms: u64, login_interval_ms: u64) {
        let from_ms = login_interval_ms.saturating_mul(PAID_BACK_FROM);
        let whole_ms = login_interval_ms.saturating_mul(PAID_BACK_AFTER).saturating_sub(from_ms);
        self.give_back(lived_ms.saturating_sub(from_ms), whole_ms);
    }

    /// Milliseconds until it is full: what a snapshot keeps.
    pub(crate) fn owed_ms(&self, now_ms: u64) -> u64 {
        self.full_at_ms.saturating_sub(now_ms)
    }

    /// What was owed, and never more than an empty bucket owes.
    pub(crate) fn owe(&mut self, now_ms: u64, owed_ms: u64) {
        let most_ms = self.interval_ms().saturating_mul(u64::from(self.at_once));
        self.full_at_ms = now_ms.saturating_add(owed_ms.min(most_ms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_between_nothing_and_a_ceiling_that_doubles() {
        let backoff = Backoff { base_ms: 1_000, max_ms: 300_000, at_least_half: false };
        let mut rng = fastrand::Rng::with_seed(7);
        for (failures, ceiling) in
            [(1, 1_000), (2, 2_000), (5, 16_000), (9, 256_000), (10, 300_000), (u32::MAX, 300_000)]
        {
            let longest = (0..2_000).map(|_| backoff.wait_ms(failures, 0, &mut rng)).max().unwrap();
            assert!(longest <= ceiling && longest > ceiling / 10 * 9, "{failures}: {longest}");
        }
    }

    #[test]
    fn never_comes_back_before_the_server_asked_for() {
        let backoff = Backoff { base_ms: 1_000, max_ms: 300_000, at_least_half: false };
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..1_000 {
            let wait = backoff.wait_ms(3, 92_415, &mut rng);
            assert!((92_415..=92_415 + 4_000).contains(&wait));
        }
    }

    #[test]
    fn what_the_server_asked_for_is_never_in_place_of_the_own_wait() {
        let backoff = Backoff { base_ms: 8_000, max_ms: 2_400_000, at_least_half: true };
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..1_000 {
            let wait = backoff.wait_ms(10, 1, &mut rng);
            assert!((1_200_000..=2_400_000).contains(&wait), "{wait}");
        }
    }

    #[test]
    fn the_rate_allows_a_burst_and_then_one_in_each_interval() {
        let mut rate = Rate::new(4, 1_000);
        let mut now = 50_000;
        for _ in 0..4 {
            assert_eq!(rate.next_ms(now), now);
            rate.take(now);
        }
        assert_eq!(rate.next_ms(now), now + 1_000);
        now += 1_000;
        assert_eq!(rate.next_ms(now), now);
        rate.take(now);
        assert!(rate.next_ms(now) > now);
    }

    #[test]
    fn what_has_paid_for_itself_is_given_back_in_part_or_in_whole() {
        let mut rate = Rate::new(2, 1_000);
        rate.take(10_000);
        rate.take(10_000);
        assert_eq!(rate.next_ms(10_000), 11_000);
        rate.give_back(1, 4);
        assert_eq!(rate.next_ms(10_000), 10_750);
        rate.give_back(9, 4);
        assert_eq!(rate.next_ms(10_000), 10_000);
        rate.give_back(1, 1);
        rate.give_back(1, 1);
        assert_eq!(rate.owed_ms(10_000), 0, "never more than full");
    }

    #[test]
    fn what_is_owed_outlives_the_process_and_is_bounded() {
        let mut rate = Rate::new(2, 1_000);
        rate.take(10_000);
        rate.take(10_000);
        let mut again = Rate::new(2, 1_000);
        again.owe(70_000, rate.owed_ms(10_000));
        assert_eq!(again.next_ms(70_000), 71_000);
        again.owe(0, u64::MAX);
        assert_eq!(again.owed_ms(0), 2_000);
    }
}
