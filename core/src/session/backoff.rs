//! How long to wait, and how often an order may be given. Neither owns a clock.

/// Exponential back-off with full jitter: a random time between nothing and a ceiling that doubles (Amazon's
/// architecture blog, "Exponential backoff and jitter").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backoff {
    pub(super) base_ms: u64,
    pub(super) max_ms: u64,
}

impl Backoff {
    /// Milliseconds to wait after this many failures in a row, and at least as long as the server asked for.
    pub(super) fn wait_ms(self, failures: u32, least_ms: u64, rng: &mut fastrand::Rng) -> u64 {
        let doublings = failures.saturating_sub(1).min(32);
        let ceiling = self.base_ms.saturating_mul(1 << doublings).min(self.max_ms);
        let own = rng.u64(0..=ceiling);
        // A server that names a time names it to many: the jitter is added, not put in its place.
        if least_ms > 0 { least_ms.saturating_add(rng.u64(0..=ceiling.min(least_ms))) } else { own }
    }
}

/// Holds an order back: at most `BURST` at once, and one more in each interval (the generic cell rate algorithm).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Rate {
    /// When all that was taken out of the bucket is back in it.
    full_at_ms: u64,
}

impl Rate {
    /// Orders that may come at once: a login, its repetition with a fresh token, and one in two steps.
    pub(super) const BURST: u64 = 4;
    /// Milliseconds for one more.
    pub(super) const INTERVAL_MS: u64 = 1_000;

    /// When the next order may be given: now, or later.
    pub(super) fn next_ms(&self, now_ms: u64) -> u64 {
        let room = Self::INTERVAL_MS.saturating_mul(Self::BURST.saturating_sub(1));
        self.full_at_ms.saturating_sub(room).max(now_ms)
    }

    /// An order was given.
    pub(super) fn take(&mut self, now_ms: u64) {
        self.full_at_ms = self.full_at_ms.max(now_ms).saturating_add(Self::INTERVAL_MS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_between_nothing_and_a_ceiling_that_doubles() {
        let backoff = Backoff { base_ms: 1_000, max_ms: 300_000 };
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
        let backoff = Backoff { base_ms: 1_000, max_ms: 300_000 };
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..1_000 {
            let wait = backoff.wait_ms(3, 92_415, &mut rng);
            assert!((92_415..=92_415 + 4_000).contains(&wait));
        }
    }

    #[test]
    fn the_rate_allows_a_burst_and_then_one_in_each_interval() {
        let mut rate = Rate::default();
        let mut now = 50_000;
        for _ in 0..Rate::BURST {
            assert_eq!(rate.next_ms(now), now);
            rate.take(now);
        }
        assert_eq!(rate.next_ms(now), now + Rate::INTERVAL_MS);
        now += Rate::INTERVAL_MS;
        assert_eq!(rate.next_ms(now), now);
        rate.take(now);
        assert!(rate.next_ms(now) > now);
    }
}
