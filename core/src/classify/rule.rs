//! A row of the rules, and whether it fits a reply.

use super::concepts::{Concept, Concepts};
use super::reply::Status;
#[cfg(test)]
use super::rules::{PASSING, rules};
use super::{Facts, Phase, Verdict};
use crate::config::Protocol;
use crate::failure::{Advice, Cause, Certainty};

/// A set of an enumeration's values in a few bits. A slice would be a pointer and a relocation for each rule: 30 KB of a phone's library.
macro_rules! bits {
    ($values:expr) => {{
        let mut bits = 0_u16;
        let mut rest: &[_] = $values;
        while let [first, others @ ..] = rest {
            bits |= 1 << *first as u16;
            rest = others;
        }
        bits
    }};
}

/// A row of the table. What is empty fits everything; all must fit.
pub(super) struct Rule {
    pub(super) name: &'static str,
    protocols: u16,
    phases: u16,
    /// One of these.
    statuses: u16,
    /// One of these: response codes of RFC 5530 or RFC 2449, reply codes, enhanced status codes, `#` and Exchange's number.
    /// With `|` between them.
    codes: &'static str,
    /// One of each of these groups: the first ones in one clause, the others anywhere in the reply.
    groups: [Concepts; 4],
    /// How many are the first ones.
    together: u8,
    /// None of these.
    without: Concepts,
    /// Whether the server asked for the token before: in two steps, that is.
    prompted: bool,
    cause: Cause,
    advice: Advice,
    certainty: Certainty,
}

impl Rule {
    pub(super) const fn new(
        name: &'static str,
        cause: Cause,
        advice: Advice,
        certainty: Certainty,
    ) -> Self {
        Self {
            name,
            protocols: 0,
            phases: 0,
            statuses: 0,
            codes: "",
            groups: [Concepts::NONE; 4],
            together: 0,
            without: Concepts::NONE,
            prompted: false,
            cause,
            advice,
            certainty,
        }
    }

    pub(super) const fn on(self, protocols: &[Protocol]) -> Self {
        Self { protocols: bits!(protocols), ..self }
    }

    pub(super) const fn in_phases(self, phases: &[Phase]) -> Self {
        Self { phases: bits!(phases), ..self }
    }

    pub(super) const fn with_status(self, statuses: &[Status]) -> Self {
        Self { statuses: bits!(statuses), ..self }
    }

    pub(super) const fn codes(self, codes: &'static str) -> Self {
        Self { codes, ..self }
    }

    /// One of each group, anywhere in the reply.
    #[expect(clippy::indexing_slicing, reason = "the compiler reads the table")]
    pub(super) const fn says(mut self, groups: &[&[Concept]]) -> Self {
        let mut count = 0;
        while count < groups.len() {
            count += 1;
            self.groups[self.groups.len() - count] = Concepts::of(groups[count - 1]);
        }
        self
    }

    /// One of each group, in one clause.
    #[expect(clippy::indexing_slicing, reason = "the compiler reads the table")]
    pub(super) const fn together(mut self, groups: &[&[Concept]]) -> Self {
        while (self.together as usize) < groups.len() {
            self.groups[self.together as usize] = Concepts::of(groups[self.together as usize]);
            self.together += 1;
        }
        self
    }

    pub(super) const fn without(self, concepts: &[Concept]) -> Self {
        Self { without: Concepts::of(concepts), ..self }
    }

    /// Only where the server asked for the token before.
    pub(super) const fn prompted(self) -> Self {
        Self { prompted: true, ..self }
    }

    pub(super) const fn verdict(&self) -> Verdict {
        Verdict::new(self.cause, self.advice, self.certainty, self.name)
    }

    /// Whether a code alone decides: it has one meaning, or stands for a limit or an outage whatever the words.
    #[cfg(test)]
    pub(super) fn is_of_a_code(&self) -> bool {
        self.codes == PASSING || {
            let mut decisive = rules().take_while(|rule| rule.name != "greeting-unknown");
            let (_, apart) = self.groups.split_at(usize::from(self.together));
            apart.iter().all(|group| group.is_empty())
                && decisive.any(|rule| rule.name == self.name)
        }
    }

    pub(super) fn fits(&self, facts: &Facts<'_>) -> bool {
        let (together, apart) = self.groups.split_at(usize::from(self.together));
        let has = |bits: u16, bit: u16| bits == 0 || bits & (1 << bit) != 0;
        has(self.protocols, facts.protocol as u16)
            && has(self.phases, facts.phase as u16)
            && (self.statuses == 0
                || facts.faults().any(|line| has(self.statuses, line.status as u16)))
            && (self.codes.is_empty()
                || facts.faults().any(|line| self.codes.split('|').any(|code| line.has_code(code))))
            && facts.meaning.says(apart)
            && (together.is_empty() || facts.meaning.says_together(together))
            && !facts.meaning.says_any(self.without)
            && (facts.prompted || !self.prompted)
    }
}
