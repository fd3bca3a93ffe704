//! Holds an order back: so many at once, and one more in each interval (the generic cell rate algorithm).

/// What is left of a number of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Budget<const BURST: u64, const INTERVAL_MS: u64> {
    /// When all that was taken is back.
    full_at_ms: u64,
}

impl<const BURST: u64, const INTERVAL_MS: u64> Budget<BURST, INTERVAL_MS> {
    /// When the next order may be given: now, or later.
    pub(super) fn next_ms(&self, now_ms: u64) -> u64 {
        let room = INTERVAL_MS.saturating_mul(BURST.saturating_sub(1));
        self.full_at_ms.saturating_sub(room).max(now_ms)
    }

    /// An order was given.
    pub(super) fn take(&mut self, now_ms: u64) {
        self.full_at_ms = self.full_at_ms.max(now_ms).saturating_add(INTERVAL_MS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_a_burst_and_then_one_in_each_interval() {
        let mut budget = Budget::<3, 1_000>::default();
        for _ in 0..3 {
            assert_eq!(budget.next_ms(50), 50);
            budget.take(50);
        }
        assert_eq!(budget.next_ms(50), 1_050);
        budget.take(1_050);
        assert_eq!(budget.next_ms(1_050), 2_050);
        assert_eq!(budget.next_ms(10_000), 10_000);
    }
}
