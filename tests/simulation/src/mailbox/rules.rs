//! What must hold around an account, and the mistakes that are planted to see that each is found.

use mailbearer::limits::{self, Allowance};

use super::{HOUR_MS, Mailbox, Outcome};

/// What the sessions of an account share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// One request for a token at a time.
    Token,
    /// Refusals are counted together.
    Refusals,
    /// Never more connections than are allowed.
    Places,
    /// A wait that the server asked for is kept by all of its service.
    Waits,
    /// One stop for all.
    Stop,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Token, Self::Refusals, Self::Places, Self::Waits, Self::Stop];

    /// What is said of it where it is broken.
    #[must_use]
    pub const fn broken(self) -> &'static str {
        match self {
            Self::Token => "a second request for a token",
            Self::Refusals => "a third login after two refusals",
            Self::Places => "more connections than are allowed",
            Self::Waits => "a connection is opened before the server's wait is over",
            Self::Stop => "a connection is opened although a person was called for the account",
        }
    }
}

/// A mistake that is made on purpose, to see that a check finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailboxBug {
    /// Each session has an account of its own; and only this rule is looked at.
    Apart(Rule),
    /// A session is wanted again as soon as it was raised to, and `Retry` said: no person is waited for.
    NobodyCalled,
    /// What is opened is never closed.
    NoClose,
    /// Silent connections are not kept alive.
    NoKeepAlive,
    /// Each nap ends what is open.
    NapsKill,
    /// Nobody says that the network is back.
    NobodySaysBack,
    /// The login interval is a millisecond.
    NoBudget,
}

impl MailboxBug {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Apart(Rule::Token),
        Self::Apart(Rule::Refusals),
        Self::Apart(Rule::Places),
        Self::Apart(Rule::Waits),
        Self::Apart(Rule::Stop),
        Self::NobodyCalled,
        Self::NoClose,
        Self::NoKeepAlive,
        Self::NapsKill,
        Self::NobodySaysBack,
        Self::NoBudget,
    ];
}

impl Mailbox {
    /// A rule of sharing is broken, if it is looked at.
    pub(super) fn breaks(&self, rule: Rule) -> Outcome {
        match self.bug {
            Some(MailboxBug::Apart(only)) if only != rule => Ok(()),
            Some(_) | None => Err(rule.broken()),
        }
    }

    /// Any other rule is broken, where sessions are of one account.
    pub(super) fn breaks_another(&self, words: &'static str) -> Outcome {
        if matches!(self.bug, Some(MailboxBug::Apart(_))) { Ok(()) } else { Err(words) }
    }

    /// At most what `limits.rs` says, in an hour and in a day, for so many sessions. What a person begins costs nothing.
    pub(super) fn held_to(
        &self,
        times: &[u64],
        allowances: &[Allowance],
        sessions: u64,
        words: &'static str,
    ) -> Outcome {
        for (window_ms, minutes) in [(HOUR_MS, 60), (24 * HOUR_MS, 24 * 60)] {
            let within = |times: &[u64]| {
                let since = times.iter().rev();
                since.take_while(|at_ms| **at_ms + window_ms >= self.now_ms).count() as u64
            };
            let most: u64 = allowances.iter().map(|allowance| allowance.most(minutes)).sum();
            if within(times) > (most + within(&self.retried_at_ms)) * sessions {
                return self.breaks_another(words);
            }
        }
        Ok(())
    }

    /// The login of a session reaches the server.
    pub(super) fn count_login(&mut self, session: usize) -> Outcome {
        self.logins[session].push(self.now_ms);
        self.held_to(&self.logins[session], &[limits::LOGINS], 1, "a session logs in too often")
    }

    /// What has to have been noticed by now.
    pub(super) fn see_silence(&self) -> Outcome {
        let is_unnoticed = |at_ms: u64| self.now_ms > at_ms + super::NOTICED_MS;
        if self.sockets.values().any(|one| one.given && one.dead_since_ms.is_some_and(is_unnoticed))
        {
            return self.breaks_another("a dead connection was not noticed in time");
        }
        if self.due_ms.is_some_and(|due_ms| self.now_ms > due_ms) {
            return self.breaks_another("nothing is tried although the network is back");
        }
        Ok(())
    }
}
