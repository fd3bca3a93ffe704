//! A session of an [`Account`](crate::Account): it is given a token each time that it may open a connection, and asks for
//! none. Without one it does not go on, so that the account decides when, and whether at all.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::limited::Refusals;
use super::token::Held;
use super::{Input, Plan, RenewWhy, Run, Session, SessionConfig, Stage};
use crate::config::{ConfigError, Protocol};
use crate::failure::{Failure, Misuse, Verdict};
use crate::token::AccessToken;

/// What a session needs a token for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// It has no connection, and may open one at this time.
    Login { at_ms: u64 },
    /// Its connection is to be renewed at this time. `overlaps`: a second one is opened first.
    Renewal { why: RenewWhy, at_ms: u64, overlaps: bool },
}

/// A token for one login.
#[derive(Debug, Clone)]
pub(crate) struct Supply {
    pub(crate) token: AccessToken,
    pub(crate) received_at_ms: u64,
    pub(crate) expires_at_ms: Option<u64>,
    /// The number of the connection that it is for: higher than any before.
    pub(crate) ticket: u64,
}

impl Session {
    /// A session that runs, and waits to be given a token.
    pub(crate) fn supplied(config: SessionConfig, seed: u64) -> Result<Self, ConfigError> {
        let session = Self::new(config, seed)?;
        Ok(Self { supplied: true, run: Run::Running, ..session })
    }

    /// One that goes on where another process was; `dead_ms` have passed since its snapshot.
    pub(crate) fn restore_supplied(
        config: SessionConfig,
        snapshot: &[u8],
        now_ms: u64,
        dead_ms: u64,
        seed: u64,
    ) -> Result<Self, ConfigError> {
        let mut session = Self::restore(config, snapshot, now_ms, seed)?;
        session.spend_dead(dead_ms);
        let run = match session.run {
            Run::Stopped | Run::Running => Run::Running,
            Run::NeedsUser | Run::GaveUp => session.run,
        };
        // The account tells what was told before.
        Ok(Self { supplied: true, announce: false, run, ..session })
    }

    /// Time in which there was no process counts for all that waits or is owed.
    fn spend_dead(&mut self, dead_ms: u64) {
        let now_ms = self.now_ms;
        let sooner = |at_ms: u64| at_ms.saturating_sub(dead_ms).max(now_ms);
        self.wait_until_ms = sooner(self.wait_until_ms);
        self.server_wait_until_ms = sooner(self.server_wait_until_ms);
        let owed_ms = self.budget.owed_ms(now_ms).map(|owed_ms| owed_ms.saturating_sub(dead_ms));
        self.budget.owe(now_ms, &owed_ms);
        let ages_ms = self.refusals.ages_ms(now_ms);
        let ages_ms: Vec<u64> =
            ages_ms.iter().map(|age_ms| age_ms.saturating_add(dead_ms)).collect();
        self.refusals = Refusals::from_ages(now_ms, &ages_ms);
    }

    /// Moves the clock, and does nothing else.
    pub(crate) fn advance(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// What it needs a token for now.
    pub(crate) fn wish(&self) -> Option<Wish> {
        if self.run != Run::Running || self.attempt.is_some() {
            return None;
        }
        self.need()?;
        let Some(live) = &self.live else {
            return Some(Wish::Login { at_ms: self.next_connect_ms() });
        };
        let why = live.ends?.why;
        let overlaps = self.config.renewal == super::Renewal::Overlap;
        Some(Wish::Renewal { why, at_ms: self.next_connect_ms(), overlaps })
    }

    /// Whether it is the budget that holds the next login back.
    pub(crate) fn is_held_by_budget(&self) -> bool {
        self.budget.next_login_ms(self.now_ms) > self.now_ms
    }

    /// Opens a connection with this token: see [`Session::wish`].
    pub(crate) fn supply(&mut self, now_ms: u64, supply: Supply) -> Plan {
        self.advance(now_ms);
        self.renewable = false;
        self.tickets = supply.ticket.saturating_sub(1);
        let fingerprint = supply.token.fingerprint();
        self.token.put_back(Held {
            token: supply.token,
            received_at_ms: supply.received_at_ms,
            expires_at_ms: supply.expires_at_ms,
            fingerprint,
            // Whether it bypassed the source's cache is the account's to know.
            forced: false,
        });
        let plan = self.settle(Plan::default());
        // One that could not be used at once is of no use later.
        self.token.clear();
        plan
    }

    /// A token for the next connection is at hand: the one that is online may be renewed.
    pub(crate) fn may_be_renewed(&mut self, now_ms: u64) -> Plan {
        self.advance(now_ms);
        self.renewable = true;
        self.settle(Plan::default())
    }

    /// Drops the connection that is on its way, and does not count that as a failure.
    pub(crate) fn abandon(&mut self) {
        self.attempt = None;
    }

    /// The wait after a failure of the network is over; one that the server asked for is not.
    pub(crate) fn network_is_back(&mut self) {
        self.wait_until_ms = self.wait_until_ms.min(self.now_ms);
    }

    /// Ends what is open. It stays as it was otherwise, with its waits, for a snapshot.
    pub(crate) fn close(&mut self, now_ms: u64) -> Plan {
        self.advance(now_ms);
        let mut plan = Plan::default();
        self.close_all(&mut plan);
        self.spent = None;
        plan
    }

    /// A person has acted: a stop is lifted.
    pub(crate) fn begin_again(&mut self, now_ms: u64) -> Plan {
        self.advance(now_ms);
        self.start();
        self.rejections = 0;
        self.settle(Plan::default())
    }

    /// Masks what the server said with the end of a connection: a session forgets its token after the login, and the account
    /// does not.
    pub(crate) fn mask_ending(&mut self, redact: impl Fn(String) -> String) {
        if let Some(failure) = &mut self.last_failure {
            failure.mask(&redact);
        }
        if let Some(verdict) = &mut self.last_ending {
            verdict.url = verdict.url.take().map(&redact);
        }
        self.resumed = self.resumed.take().map(|one| Box::new(one.map_texts(&redact)));
    }

    /// Shares the configuration with one that has the same.
    pub(crate) fn share_config(&mut self, other: &Self) {
        if self.config == other.config {
            self.config = Arc::clone(&other.config);
        }
    }

    /// It runs, whatever a snapshot said.
    pub(crate) fn run_on(&mut self) {
        self.run = Run::Running;
    }

    /// Whether this answers an order.
    pub(crate) fn accepts(&self, input: &Input) -> Result<(), Misuse> {
        self.check(input)
    }

    pub(crate) fn attempt_ticket(&self) -> Option<u64> {
        self.attempt.as_ref().map(|attempt| attempt.ticket)
    }

    pub(crate) fn live_ticket(&self) -> Option<u64> {
        self.live.as_ref().map(|live| live.ticket)
    }

    pub(crate) fn leaving_ticket(&self) -> Option<u64> {
        self.leaving.as_ref().map(|leaving| leaving.ticket)
    }

    pub(crate) fn is_renewing(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.renewing_until_ms.is_some())
    }

    /// Whether the server owes an answer that takes no time.
    pub(crate) fn owes_prompt_answer(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.watch.owes_prompt_answer())
    }

    pub(crate) fn awaits_connection(&self) -> bool {
        matches!(&self.attempt, Some(attempt) if matches!(attempt.stage, Stage::Connecting))
    }

    pub(crate) fn wake_at_ms(&self) -> Option<u64> {
        self.wake.map(|(at_ms, _)| at_ms)
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn service(&self) -> Protocol {
        self.protocol()
    }

    pub(crate) fn config(&self) -> &SessionConfig {
        &self.config
    }

    /// Tokens that its server refused: in a row, and when in the last day.
    pub(crate) fn refusals(&self) -> (u32, &[u64]) {
        (self.rejections, self.refusals.times_ms())
    }

    pub(crate) fn last_failure(&self) -> Option<&Failure> {
        self.last_failure.as_deref()
    }

    pub(crate) fn last_ending(&self) -> Option<&Verdict> {
        self.last_ending.as_deref()
    }
}
