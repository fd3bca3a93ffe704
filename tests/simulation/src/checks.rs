//! What must hold in every world.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use mailbearer::limits::{self, Allowance};
use mailbearer::{Action, Plan};

const MINUTE_MS: u64 = 60_000;

/// Greatest number of one kind of order in a minute: a burst, and one each second.
const ORDERS_PER_MINUTE: u64 = 66;

const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Renewals and closings, of which each comes with a login.
const OTHERS_PER_HOUR: u64 = 100;

/// Actions of one plan: closing, telling, asking and connecting at once are fewer.
const ACTIONS_MAX: usize = 8;

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The rule.
    pub rule: &'static str,
    /// When, in simulated milliseconds.
    pub at_ms: u64,
    /// The seed of the world.
    pub seed: u64,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {} at {} ms: {}", self.seed, self.at_ms, self.rule)
    }
}

/// Watches the orders of one session.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    /// Tokens that the session was given, with the time at which their announced life is over.
    known: BTreeMap<String, u64>,
    refused: BTreeSet<String>,
    refusals_in_a_row: u32,
    stopped: bool,
    open: BTreeSet<u64>,
    orders: BTreeMap<&'static str, VecDeque<u64>>,
    /// When the host said Start, which is paid for by a person.
    starts: VecDeque<u64>,
    not_before_ms: u64,
}

impl Checks {
    pub(crate) fn token_given(&mut self, token: &str, now_ms: u64, expires_in_ms: Option<u64>) {
        let over_at_ms = expires_in_ms.map_or(u64::MAX, |life_ms| now_ms.saturating_add(life_ms));
        self.known.insert(token.to_owned(), over_at_ms);
    }

    /// A login reached the server.
    pub(crate) fn login(
        &mut self,
        token: &str,
        now_ms: u64,
        short_lives: bool,
    ) -> Result<(), &'static str> {
        self.count("Login", now_ms, short_lives)?;
        if self.refused.contains(token) {
            return Err("a refused token was sent again");
        }
        match self.known.get(token) {
            None => Err("a token was sent that nobody had given"),
            Some(over_at_ms) if now_ms >= *over_at_ms => {
                Err("a token was sent whose announced life is over")
            }
            Some(_) => Ok(()),
        }
    }

    /// Logins in the last day.
    pub(crate) fn logins(&self) -> usize {
        self.orders.get("Login").map_or(0, VecDeque::len)
    }

    pub(crate) fn refused(&mut self, token: &str) {
        self.refused.insert(token.to_owned());
        self.refusals_in_a_row = self.refusals_in_a_row.saturating_add(1);
    }

    pub(crate) fn accepted(&mut self) {
        self.refusals_in_a_row = 0;
    }

    pub(crate) fn started(&mut self, now_ms: u64) {
        self.starts.push_back(now_ms);
        self.stopped = false;
        self.refused.clear();
        self.refusals_in_a_row = 0;
        self.not_before_ms = 0;
    }

    /// The server asked for a wait.
    pub(crate) fn asked_to_wait(&mut self, until_ms: u64) {
        self.not_before_ms = until_ms;
    }

    pub(crate) fn ended(&mut self, ticket: u64) {
        self.open.remove(&ticket);
    }

    pub(crate) fn plan(
        &mut self,
        plan: &Plan,
        now_ms: u64,
        short_lives: bool,
        most_open: usize,
    ) -> Result<(), &'static str> {
        if plan.actions.len() > ACTIONS_MAX {
            return Err("a plan has too many actions");
        }
        if plan.wake_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            return Err("a plan wakes in the past");
        }
        for action in &plan.actions {
            self.action(action, now_ms, short_lives, most_open)?;
        }
        Ok(())
    }

    fn action(
        &mut self,
        action: &Action,
        now_ms: u64,
        short_lives: bool,
        most_open: usize,
    ) -> Result<(), &'static str> {
        let name = match action {
            Action::FetchToken { force_refresh, .. } => {
                if *force_refresh {
                    self.count("Refresh", now_ms, short_lives)?;
                }
                "FetchToken"
            }
            Action::Connect { ticket, .. } => {
                if now_ms < self.not_before_ms {
                    return Err("it came back before the server's wait was over");
                }
                if self.refusals_in_a_row >= 2 {
                    return Err("a third login after two refusals");
                }
                self.open.insert(*ticket);
                if self.open.len() > most_open {
                    return Err("too many connections are open");
                }
                "Connect"
            }
            Action::Renew { .. } => "Renew",
            Action::Close { ticket, .. } => {
                self.open.remove(ticket);
                "Close"
            }
            Action::NeedsUser(_) | Action::GiveUp(_) => {
                self.stopped = true;
                "Stop"
            }
            Action::Send { .. } | Action::StartTls { .. } | Action::Online { .. } => return Ok(()),
        };
        if self.stopped && name != "Stop" && name != "Close" {
            return Err("an order after a stop, before the host said Start");
        }
        self.count(name, now_ms, short_lives)
    }

    fn count(
        &mut self,
        name: &'static str,
        now_ms: u64,
        short_lives: bool,
    ) -> Result<(), &'static str> {
        let times = self.orders.entry(name).or_default();
        times.push_back(now_ms);
        while times.front().is_some_and(|at_ms| at_ms.saturating_add(DAY_MS) < now_ms) {
            times.pop_front();
        }
        let within = |times: &VecDeque<u64>, window_ms: u64| {
            let before = times.partition_point(|at_ms| at_ms.saturating_add(window_ms) < now_ms);
            (times.len() - before) as u64
        };
        if within(times, MINUTE_MS) > ORDERS_PER_MINUTE {
            return Err("an order came too often in a minute");
        }
        // A budget in milliseconds binds nobody.
        if short_lives {
            return Ok(());
        }
        let allowance: Option<Allowance> = match name {
            "Connect" => Some(limits::CONNECTIONS),
            "Login" => Some(limits::LOGINS),
            "FetchToken" => Some(limits::TOKENS),
            "Refresh" => Some(limits::REFRESHES),
            _ => None,
        };
        let per_hour = allowance.map_or(OTHERS_PER_HOUR, |allowance| allowance.most(60));
        if within(times, HOUR_MS) > per_hour + within(&self.starts, HOUR_MS) {
            return Err("an order came too often in an hour");
        }
        let per_day = allowance.map_or(u64::MAX, |allowance| allowance.most(24 * 60));
        if within(times, DAY_MS) > per_day.saturating_add(within(&self.starts, DAY_MS)) {
            return Err("an order came too often in a day");
        }
        Ok(())
    }
}
