//! Sleep, networks that come and go, and whether a silent link still works. A link in doubt is probed, not dropped.

use super::member::Asked;
use super::plan::{AccountPlan, Order};
use super::{Account, LATE_MS, NETWORK_BACK_LEAST_MS};
use crate::failure::Cause;
use crate::session::Input;

/// A connection on its way does not outlive a nap of this length.
const ATTEMPT_NAP_MS: u64 = 10_000;

impl Account {
    /// Moves the clock, never backwards. A plan that comes late was slept through.
    pub(super) fn clock(&mut self, now_ms: u64, is_told: bool, plan: &mut AccountPlan) {
        self.now_ms = self.now_ms.max(now_ms);
        let late_ms = self.wake_at_ms.map_or(0, |at_ms| self.now_ms.saturating_sub(at_ms));
        if late_ms > LATE_MS && !is_told {
            self.slept(late_ms, plan);
        }
    }

    pub(super) fn slept(&mut self, ms: u64, plan: &mut AccountPlan) {
        for at in 0..self.members.len() {
            if ms >= ATTEMPT_NAP_MS {
                self.abandon(at, plan);
                self.drop_parked(at, plan);
            }
            if ms >= self.config.unprobed_nap_ms {
                self.give_link_up(at, plan);
            } else {
                self.probe(at, plan);
            }
        }
    }

    pub(super) fn network_back(&mut self, plan: &mut AccountPlan) {
        self.lost_until_ms = None;
        let since_ms = self.back_at_ms.map(|at_ms| self.now_ms.saturating_sub(at_ms));
        if since_ms.is_some_and(|since_ms| since_ms < NETWORK_BACK_LEAST_MS) {
            return;
        }
        self.back_at_ms = Some(self.now_ms);
        self.tokens.network_is_back();
        for at in 0..self.members.len() {
            self.probe(at, plan);
            let now_ms = self.now_ms;
            let Some(member) = self.members.get_mut(at) else { continue };
            member.session.advance(now_ms);
            if core::mem::take(&mut member.waits_for_network) {
                member.session.network_is_back();
            }
            if member.session.awaits_connection() {
                // It was begun over the network that is gone.
                self.abandon(at, plan);
            }
        }
    }

    fn give_link_up(&mut self, at: usize, plan: &mut AccountPlan) {
        let now_ms = self.now_ms;
        let Some(member) = self.members.get_mut(at) else { return };
        if let Ok(orders) = member.session.handle(now_ms, Input::Woke) {
            self.obey(at, orders, plan);
        }
    }

    fn probe(&mut self, at: usize, plan: &mut AccountPlan) {
        let by_ms = self.now_ms.saturating_add(self.config.answer_ms);
        let Some(member) = self.members.get_mut(at) else { return };
        let Some(ticket) = member.given else { return };
        member.doubt.asked = Some(Asked { by_ms, wrote: false });
        plan.orders.push(Order::Probe { ticket, by_ms });
    }

    /// Asks where a keep-alive is due, and ends what does not answer. True when it did something.
    pub(super) fn see_doubts(&mut self, at: usize, plan: &mut AccountPlan) -> bool {
        let now_ms = self.now_ms;
        let Some(member) = self.members.get_mut(at) else { return false };
        let Some(ticket) = member.given else { return false };
        if let Some(asked) = member.doubt.asked {
            if now_ms < asked.by_ms {
                return false;
            }
            // A mail client that was not asked, or could not, owes nothing; and what takes its time is no sign.
            let is_mute = asked.wrote && member.session.owes_prompt_answer();
            member.doubt.asked = None;
            member.doubt.heard_at_ms = now_ms;
            self.put_off(at);
            if is_mute {
                self.lost(at, ticket, plan);
            }
            return true;
        }
        if member.doubt.next_at_ms.is_none_or(|at_ms| now_ms < at_ms) {
            return false;
        }
        if !member.session.is_quiet() {
            // It is busy: whoever waits for the answer has a time-out.
            member.doubt.heard_at_ms = now_ms;
        }
        let by_ms = now_ms.saturating_add(self.config.answer_ms);
        if !self.put_off(at)
            && let Some(member) = self.members.get_mut(at)
        {
            member.doubt.asked = Some(Asked { by_ms, wrote: false });
            plan.orders.push(Order::KeepAlive { ticket, by_ms });
        }
        true
    }

    /// The next keep-alive comes as long after the last sign of life as this one was to come. False when that is now.
    fn put_off(&mut self, at: usize) -> bool {
        let now_ms = self.now_ms;
        let Some(member) = self.members.get_mut(at) else { return false };
        let fresh = super::member::Doubt::begin(
            member.doubt.heard_at_ms,
            member.idle_ms(),
            &self.config,
            &mut self.rng,
        );
        let later_ms = fresh.next_at_ms.filter(|at_ms| *at_ms > now_ms);
        member.doubt.next_at_ms = later_ms.or(member.doubt.next_at_ms);
        later_ms.is_some()
    }

    /// No answer came.
    fn lost(&mut self, at: usize, ticket: u64, plan: &mut AccountPlan) {
        let input = Input::Ended { ticket, last_line: None, cause: Some(Cause::TimedOut) };
        plan.orders.push(Order::Close { ticket });
        let now_ms = self.now_ms;
        let Some(member) = self.members.get_mut(at) else { return };
        if let Ok(orders) = member.session.handle(now_ms, input) {
            self.obey(at, orders, plan);
        }
    }
}
