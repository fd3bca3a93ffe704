//! What of tokens outlives the process.

use alloc::vec::Vec;

use super::{DAY_MS, Tokens};
use crate::limits::REFUSALS_IN_A_DAY_MAX;

impl Tokens {
    /// What outlives the process, with times as they were so many milliseconds ago.
    pub(in crate::account) fn memory(&self, now_ms: u64) -> Memory {
        Memory {
            failures: self.failures,
            cooling_ms: self.cooling_until_ms.saturating_sub(now_ms),
            in_a_row: self.in_a_row as u64,
            of_day_ms: self.of_day.iter().map(|at_ms| now_ms.saturating_sub(*at_ms)).collect(),
            longest_life_ms: self.longest_life_ms,
            force: self.force,
            owed_ms: [&self.plain, &self.refreshes].map(|rate| rate.owed_ms(now_ms)),
        }
    }

    /// Goes on with what outlived the process, `dead_ms` later.
    pub(in crate::account) fn remember(&mut self, memory: Memory, now_ms: u64, dead_ms: u64) {
        self.failures = memory.failures;
        self.cooling_until_ms = now_ms.saturating_add(memory.cooling_ms.saturating_sub(dead_ms));
        self.in_a_row = usize::try_from(memory.in_a_row).unwrap_or(usize::MAX);
        let ages = memory.of_day_ms.iter().map(|age_ms| age_ms.saturating_add(dead_ms));
        // A clock that began after them counts from nothing: they are forgotten a little late.
        self.of_day = ages
            .filter(|age_ms| *age_ms < DAY_MS)
            .take(REFUSALS_IN_A_DAY_MAX)
            .map(|age_ms| now_ms.saturating_sub(age_ms))
            .collect();
        self.longest_life_ms = memory.longest_life_ms;
        self.force = memory.force;
        let [plain_ms, refreshes_ms] =
            memory.owed_ms.map(|owed_ms| owed_ms.saturating_sub(dead_ms));
        self.plain.owe(now_ms, plain_ms);
        self.refreshes.owe(now_ms, refreshes_ms);
    }

    /// Goes on with what a bare session had counted. What it was refused is not named: no cache is believed first.
    pub(in crate::account) fn inherit(&mut self, in_a_row: u32, of_day: &[u64]) {
        self.in_a_row = self.in_a_row.max(in_a_row as usize);
        self.of_day.extend_from_slice(of_day);
        self.force |= in_a_row > 0;
    }
}

/// What outlives the process. Refused tokens are not named: the next request bypasses every cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::account) struct Memory {
    pub(in crate::account) failures: u32,
    pub(in crate::account) cooling_ms: u64,
    pub(in crate::account) in_a_row: u64,
    pub(in crate::account) of_day_ms: Vec<u64>,
    pub(in crate::account) longest_life_ms: Option<u64>,
    pub(in crate::account) force: bool,
    /// Of the budget: plain requests, and those past the cache.
    pub(in crate::account) owed_ms: [u64; 2],
}
