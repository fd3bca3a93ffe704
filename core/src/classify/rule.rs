//! A row of the rules, and whether it fits a reply.

use super::concepts::Concept;
use super::reply::Status;
#[cfg(test)]
use super::rules::{PASSING, rules};
use super::{Facts, Phase, Verdict};
use crate::config::Protocol;
use crate::failure::{Advice, Cause, Certainty};

/// Concepts in groups: one of each group.
type Groups = &'static [&'static [Concept]];

/// A row of the table. What is empty fits everything; all must fit.
pub(super) struct Rule {
    pub(super) name: &'static str,
    protocols: &'static [Protocol],
    phases: &'static [Phase],
    /// One of these.
    statuses: &'static [Status],
    /// One of these: response codes of RFC 5530 or RFC 2449, reply codes, enhanced status codes, `#` and Exchange's number.
    codes: &'static [&'static str],
    /// One of each group, anywhere in the reply.
    says: Groups,
    /// One of each group, in one clause.
    together: Groups,
    /// None of these.
    without: &'static [Concept],
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
            protocols: &[],
            phases: &[],
            statuses: &[],
            codes: &[],
            says: &[],
            together: &[],
            without: &[],
            prompted: false,
            cause,
            advice,
            certainty,
        }
    }

    pub(super) const fn on(self, protocols: &'static [Protocol]) -> Self {
        Self { protocols, ..self }
    }

    pub(super) const fn in_phases(self, phases: &'static [Phase]) -> Self {
        Self { phases, ..self }
    }

    pub(super) const fn with_status(self, statuses: &'static [Status]) -> Self {
        Self { statuses, ..self }
    }

    pub(super) const fn codes(self, codes: &'static [&'static str]) -> Self {
        Self { codes, ..self }
    }

    pub(super) const fn says(self, says: Groups) -> Self {
        Self { says, ..self }
    }

    pub(super) const fn together(self, together: Groups) -> Self {
        Self { together, ..self }
    }

    pub(super) const fn without(self, without: &'static [Concept]) -> Self {
        Self { without, ..self }
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
            self.says.is_empty() && decisive.any(|rule| rule.name == self.name)
        }
    }

    pub(super) fn fits(&self, facts: &Facts<'_>) -> bool {
        (self.protocols.is_empty() || self.protocols.contains(&facts.protocol))
            && (self.phases.is_empty() || self.phases.contains(&facts.phase))
            && (self.statuses.is_empty()
                || facts.faults().any(|line| self.statuses.contains(&line.status)))
            && (self.codes.is_empty()
                || facts.faults().any(|line| self.codes.iter().any(|code| line.has_code(code))))
            && facts.meaning.says(self.says)
            && (self.together.is_empty() || facts.meaning.says_together(self.together))
            && !self.without.iter().any(|one| facts.meaning.has(*one))
            && (facts.prompted || !self.prompted)
    }
}
