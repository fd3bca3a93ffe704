//! Refusals of every login: which a flavour can say, and when in the dialogue it does.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use super::connection::say;
use super::words::words;
use super::{Flavour, Output, Server, Then};
use crate::config::Protocol;
use crate::failure::Cause;

/// When in the dialogue a server says its refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// In place of the greeting.
    Greeting,
    /// In place of the reply to EHLO.
    Ehlo,
    /// In place of the reply that starts TLS.
    Upgrade,
    /// In place of the prompt, or of the verdict where the token came in the command.
    Command,
    /// Where the token came in the command.
    InitialResponse,
    /// In place of the verdict.
    Verdict,
    /// The login works, and no command after it.
    Session,
}

/// How a server refuses. `%` stands for the tag of IMAP.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    pub(super) moment: Moment,
    pub(super) lines: &'static str,
    pub(super) then: Then,
}

impl Words {
    fn output(self, tag: &str) -> Output {
        Output { next: self.then, ..say(&self.lines.replace('%', tag)) }
    }
}

/// A refusal for which a flavour has no words in a protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsayable {
    /// Whose words were asked for.
    pub flavour: Flavour,
    /// The refusal.
    pub cause: Cause,
    /// Where there are no words for it, with the causes for which there are.
    pub missing: Vec<(Protocol, Vec<Cause>)>,
}

impl fmt::Display for Unsayable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { flavour, cause, missing } = self;
        let names: Vec<&str> = missing.iter().map(|(protocol, _)| protocol.as_str()).collect();
        write!(f, "{flavour} has no words for {cause} over {}", names.join(" and "))?;
        let others = Protocol::ALL.iter().filter(|one| words(*flavour, **one, *cause).is_some());
        let others: Vec<&str> = others.map(|protocol| protocol.as_str()).collect();
        if !others.is_empty() {
            write!(f, " (refuse it over {} alone)", others.join(" or "))?;
        }
        let flavours = Flavour::ALL.iter().filter(|one| can_refuse(**one, missing, *cause));
        let flavours: Vec<&str> = flavours.map(|one| one.as_str()).collect();
        if !flavours.is_empty() {
            write!(f, "; {} has", flavours.join(", "))?;
        }
        for (protocol, _) in missing {
            write!(f, "; {}", flavour.sayable(*protocol))?;
        }
        Ok(())
    }
}

impl core::error::Error for Unsayable {}

fn can_refuse(flavour: Flavour, missing: &[(Protocol, Vec<Cause>)], cause: Cause) -> bool {
    missing.iter().all(|(protocol, _)| words(flavour, *protocol, cause).is_some())
}

impl Flavour {
    /// The causes for which it can refuse every login of a protocol, in its own words.
    #[must_use]
    pub fn refusals(self, protocol: Protocol) -> Vec<Cause> {
        let all = Cause::ALL.iter().copied();
        all.filter(|cause| words(self, protocol, *cause).is_some()).collect()
    }

    /// The same in words, for an error.
    fn sayable(self, protocol: Protocol) -> String {
        let causes: Vec<&str> =
            self.refusals(protocol).iter().map(|cause| cause.as_str()).collect();
        format!("over {protocol} {self} can say: {}", causes.join(", "))
    }

    /// The sentence for a cause that there is not, with those that it can say over these protocols.
    #[must_use]
    pub fn no_such_cause(self, protocols: &[Protocol]) -> String {
        let can: Vec<String> = protocols.iter().map(|one| self.sayable(*one)).collect();
        format!("cause is none of the known values; {}", can.join("; "))
    }
}

impl Server {
    /// Refuses every login for a cause, over all protocols; `None` ends that.
    ///
    /// # Errors
    /// Where the flavour has no words for it over one of them. Nothing is changed then.
    pub fn refuse(&mut self, cause: Option<Cause>) -> Result<(), Unsayable> {
        self.refuse_over(&Protocol::ALL, cause)
    }

    /// Refuses every login over these protocols for a cause; `None` ends that. Other protocols stay as they are.
    ///
    /// # Errors
    /// Where the flavour has no words for it over one of them. Nothing is changed then.
    pub fn refuse_over(
        &mut self,
        protocols: &[Protocol],
        cause: Option<Cause>,
    ) -> Result<(), Unsayable> {
        let flavour = self.config.flavour;
        if let Some(cause) = cause {
            let lacks = |protocol: &&Protocol| words(flavour, **protocol, cause).is_none();
            let missing: Vec<_> = protocols
                .iter()
                .filter(lacks)
                .map(|protocol| (*protocol, flavour.refusals(*protocol)))
                .collect();
            if !missing.is_empty() {
                return Err(Unsayable { flavour, cause, missing });
            }
        }
        for protocol in protocols {
            match cause {
                Some(cause) => drop(self.refusals.insert(*protocol, cause)),
                None => drop(self.refusals.remove(protocol)),
            }
        }
        Ok(())
    }

    /// Why every login over a protocol is refused.
    #[must_use]
    pub fn refusal(&self, protocol: Protocol) -> Option<Cause> {
        self.refusals.get(&protocol).copied()
    }

    fn refusing(&self, protocol: Protocol) -> Option<Words> {
        words(self.config.flavour, protocol, self.refusal(protocol)?)
    }

    /// The refusal that is due at a moment.
    pub(super) fn refused(&self, protocol: Protocol, moment: Moment, tag: &str) -> Option<Output> {
        let words = self.refusing(protocol).filter(|words| words.moment == moment)?;
        // Where TLS is wanted, it is not given either.
        Some(words.output(tag))
    }

    pub(super) fn words_at(&self, protocol: Protocol, moment: Moment) -> Option<&'static str> {
        self.refusing(protocol).filter(|words| words.moment == moment).map(|words| words.lines)
    }

    /// Whether every login over a protocol is refused with the verdict.
    pub(super) fn refused_cause(&self, protocol: Protocol) -> Option<Cause> {
        let is_verdict =
            self.refusing(protocol).is_some_and(|words| words.moment == Moment::Verdict);
        self.refusal(protocol).filter(|_| is_verdict)
    }

    /// What ends a login badly. A cause that has no words is a refused token, as at Gmail a missing scope is.
    pub(super) fn verdict(&self, protocol: Protocol, tag: &str, cause: Cause) -> (String, Then) {
        let flavour = self.config.flavour;
        let found = words(flavour, protocol, cause).filter(|words| words.moment == Moment::Verdict);
        let words = found.or_else(|| words(flavour, protocol, Cause::TokenRejected));
        words.map_or_else(
            || (tag.to_string(), Then::Close),
            |words| (words.lines.replace('%', tag), words.then),
        )
    }
}
