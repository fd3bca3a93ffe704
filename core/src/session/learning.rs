//! What is learnt of a server from how its sessions end. One ending is an accident, and several that agree are a rule; and a
//! rule is tried again, as sessions that are let go ahead of it can never prove it wrong.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::plan::Learnt;
use crate::limits::{
    AGREEING_EXPIRIES, AGREEING_LENGTHS, LEARNT_LENGTH_LEAST_MS, LENGTH_TRIAL_EVERY,
};

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Learning {
    /// Few servers end sessions for their time, and sessions are many: there is no room kept for it.
    pub(super) lengths: Option<Box<Lengths>>,
    /// What the last expiries of a token showed, and how many in a row.
    pub(super) expiry: Option<(bool, u32)>,
    pub(super) ends_with_token: Option<bool>,
}

/// How long sessions last at a server that ends them for their time.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Lengths {
    /// Of the last ones that it ended, as far as they agree.
    pub(super) ended_ms: Vec<u64>,
    /// The length that they agree on.
    pub(super) session_ms: Option<u64>,
    /// Sessions since the length was tried.
    pub(super) untried: u32,
}

impl Learning {
    pub(super) fn learnt(&self) -> Learnt {
        let session_ms = self.lengths.as_ref().and_then(|lengths| lengths.session_ms);
        Learnt { session_ms, ends_with_token: self.ends_with_token }
    }

    /// The server ended a session for its time, and not for its token's.
    pub(super) fn ended_for_its_time(&mut self, lived_ms: u64) {
        if lived_ms >= LEARNT_LENGTH_LEAST_MS {
            self.lengths.get_or_insert_default().ended(lived_ms);
        }
    }

    /// A session lasted so long, however it ended: a length that it outlived is no limit.
    pub(super) fn lasted(&mut self, lived_ms: u64) {
        if let Some(lengths) = &mut self.lengths {
            lengths.outlived(lived_ms);
        }
    }

    /// The length that the next session is let go ahead of; nothing where that session is to try it.
    pub(super) fn expected_ms(&mut self) -> Option<u64> {
        self.lengths.as_mut()?.expected_ms()
    }

    /// A session met the expiry of its token: `ended` there, or outlived it.
    pub(super) fn met_expiry(&mut self, ended: bool) {
        let in_a_row = match self.expiry {
            Some((before, in_a_row)) if before == ended => in_a_row.saturating_add(1),
            Some(_) | None => 1,
        };
        self.expiry = Some((ended, in_a_row));
        if in_a_row >= AGREEING_EXPIRIES {
            self.ends_with_token = Some(ended);
        } else if self.ends_with_token != Some(ended) {
            self.ends_with_token = None;
        }
    }
}

impl Lengths {
    fn ended(&mut self, lived_ms: u64) {
        let shortest_ms = self.ended_ms.iter().copied().fold(lived_ms, u64::min);
        let longest_ms = self.ended_ms.iter().copied().fold(lived_ms, u64::max);
        if longest_ms > with_tenth(shortest_ms) {
            self.ended_ms.clear();
        }
        self.ended_ms.push(lived_ms);
        if self.ended_ms.len() < AGREEING_LENGTHS {
            return;
        }
        self.session_ms = self.ended_ms.iter().copied().min();
        let excess = self.ended_ms.len().saturating_sub(AGREEING_LENGTHS);
        self.ended_ms.drain(..excess);
    }

    fn outlived(&mut self, lived_ms: u64) {
        if self.session_ms.is_some_and(|limit_ms| lived_ms > with_tenth(limit_ms)) {
            self.session_ms = None;
        }
        let outlived = self.ended_ms.iter().any(|length_ms| lived_ms > with_tenth(*length_ms));
        if outlived {
            self.ended_ms.clear();
        }
    }

    fn expected_ms(&mut self) -> Option<u64> {
        let limit_ms = self.session_ms?;
        self.untried = self.untried.saturating_add(1);
        if self.untried >= LENGTH_TRIAL_EVERY {
            self.untried = 0;
            return None;
        }
        Some(limit_ms)
    }
}

fn with_tenth(length_ms: u64) -> u64 {
    length_ms.saturating_add(length_ms / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: u64 = 60_000;

    fn after(minutes: &[u64]) -> Option<u64> {
        let mut learning = Learning::default();
        for lived in minutes {
            learning.lasted(lived * MINUTE_MS);
            learning.ended_for_its_time(lived * MINUTE_MS);
        }
        learning.learnt().session_ms.map(|limit_ms| limit_ms / MINUTE_MS)
    }

    #[test]
    fn a_length_is_learnt_from_three_endings_in_a_row_that_agree() {
        assert_eq!(after(&[20]), None);
        assert_eq!(after(&[20, 22]), None);
        assert_eq!(after(&[20, 22, 21]), Some(20));
        assert_eq!(after(&[20, 22, 23]), None, "they differ by more than a tenth");
        assert_eq!(after(&[20, 20, 40, 20]), None, "not in a row");
        assert_eq!(after(&[20, 20, 40, 40, 40]), Some(40));
        assert_eq!(after(&[9, 9, 9, 9, 9]), None, "too short for a limit");
        assert_eq!(after(&[10, 10, 10]), Some(10));
    }

    #[test]
    fn a_length_is_unlearnt_by_a_session_that_outlives_it() {
        assert_eq!(after(&[20, 20, 20, 22]), Some(20));
        assert_eq!(after(&[20, 20, 20, 23]), None);
        let mut lengths =
            Lengths { session_ms: Some(10), ended_ms: Vec::from([10, 10]), untried: 0 };
        lengths.outlived(11);
        assert_eq!((lengths.session_ms, lengths.ended_ms.len()), (Some(10), 2));
        lengths.outlived(12);
        assert_eq!((lengths.session_ms, lengths.ended_ms.len()), (None, 0));
    }

    #[test]
    fn a_shorter_length_takes_the_place_of_a_longer_one_only_after_three_endings() {
        assert_eq!(after(&[40, 40, 40, 20, 20]), Some(40));
        assert_eq!(after(&[40, 40, 40, 20, 20, 20]), Some(20));
    }

    #[test]
    fn every_eighth_session_tries_whether_it_is_still_true() {
        let mut lengths = Lengths { session_ms: Some(9), ..Lengths::default() };
        let expected: Vec<bool> = (0..16).map(|_| lengths.expected_ms().is_some()).collect();
        let trials: Vec<usize> = (0..16).filter(|at| !expected[*at]).collect();
        assert_eq!(trials, [7, 15]);
        assert_eq!(Learning::default().expected_ms(), None);
    }

    #[test]
    fn what_becomes_of_sessions_at_the_expiry_takes_two() {
        let after = |seen: &[bool]| {
            let mut learning = Learning::default();
            for ended in seen {
                learning.met_expiry(*ended);
            }
            learning.ends_with_token
        };
        assert_eq!(after(&[true]), None);
        assert_eq!(after(&[true, true]), Some(true));
        assert_eq!(after(&[true, false, true]), None);
        assert_eq!(after(&[true, true, false]), None, "one that outlives its token unlearns it");
        assert_eq!(after(&[true, true, false, false]), Some(false));
        assert_eq!(after(&[false, false, true]), None);
    }
}
