//! The joint rules: what follows from the state of token and link together, and when something is due.

use alloc::boxed::Box;
use alloc::format;

use super::{Action, Live, Plan, Renewal, Run, SETTLE_ROUNDS_MAX, Session, TokenNeed, WakeReason};
use crate::failure::{Advice, Cause, Certainty, Failure, Verdict};

impl Session {
    pub(super) fn settle(&mut self, mut plan: Plan) -> Plan {
        if core::mem::take(&mut self.announce)
            && let Some(failure) = self.last_failure.as_deref().cloned()
        {
            match self.run {
                Run::NeedsUser => plan.actions.push(Action::NeedsUser(failure)),
                Run::GaveUp => plan.actions.push(Action::GiveUp(failure)),
                Run::Stopped | Run::Running => {}
            }
        }
        for _ in 0..SETTLE_ROUNDS_MAX {
            if !self.round(&mut plan) {
                break;
            }
        }
        let wake = self.next_wake();
        self.wake = wake.map(|(at_ms, why)| (at_ms.max(self.now_ms.saturating_add(1)), why));
        self.say_wake(&mut plan);
        plan
    }

    /// When to come back, as it was planned last.
    pub(super) fn say_wake(&self, plan: &mut Plan) {
        plan.wake_at_ms = self.wake.map(|(at_ms, _)| at_ms);
        plan.wake_reason = self.wake.map(|(_, why)| why);
    }

    /// Applies one rule; false when none applies.
    fn round(&mut self, plan: &mut Plan) -> bool {
        self.close_leaving(plan)
            || (self.run == Run::Running
                && (self.stop_late(plan)
                    || self.fail_late(plan)
                    || self.close_late(plan)
                    || self.note_stable()
                    || self.go_on(plan)))
    }

    fn stop_late(&mut self, plan: &mut Plan) -> bool {
        if self.live.is_some() || self.attempt.is_some() {
            return false;
        }
        let Some(failure) = self.stop_at_end.take() else { return false };
        self.needs_user(*failure, plan);
        true
    }

    fn close_leaving(&mut self, plan: &mut Plan) -> bool {
        let now_ms = self.now_ms;
        let Some(leaving) = self.leaving.take_if(|leaving| now_ms >= leaving.by_ms) else {
            return false;
        };
        plan.actions.push(Action::Close { ticket: leaving.ticket, cause: Cause::NoFault });
        true
    }

    fn fail_late(&mut self, plan: &mut Plan) -> bool {
        if self.attempt.as_ref().is_some_and(|attempt| self.now_ms >= attempt.deadline_ms) {
            self.attempt_failed(Failure::of_host(Cause::TimedOut, "in connection or login"), plan);
            return true;
        }
        if self.token.deadline_ms().is_some_and(|deadline_ms| self.now_ms >= deadline_ms) {
            self.token.failed(self.now_ms, &self.config, &mut self.rng);
            self.note_failure(Failure {
                advice: Advice::BackOff,
                ..Failure::of_host(
                    Cause::TokenUnavailable,
                    "the token source did not answer in time",
                )
            });
            return true;
        }
        false
    }

    fn close_late(&mut self, plan: &mut Plan) -> bool {
        let now_ms = self.now_ms;
        let late =
            |live: &mut Live| live.renewing_until_ms.is_some_and(|until_ms| now_ms >= until_ms);
        let Some(live) = self.live.take_if(late) else { return false };
        self.note_length(&live, false);
        plan.actions.push(Action::Close { ticket: live.ticket, cause: Cause::SessionLimit });
        self.resumed = Some(Box::new(self.aftermath_of(&live.watch)));
        self.last_ending = Some(Box::new(Verdict::new(
            Cause::SessionLimit,
            Advice::Reconnect,
            Certainty::Inferred,
            "renewal",
        )));
        self.wait_until_ms = now_ms;
        true
    }

    fn note_stable(&mut self) -> bool {
        let stable = self.stable_at_ms().is_some_and(|at_ms| self.now_ms >= at_ms);
        if stable {
            self.failures = 0;
            self.not_connected = 0;
            if let Some(live) = &mut self.live {
                live.lasted = true;
            }
        }
        stable
    }

    /// When the session that is online has lasted, if that changes anything. Sessions that were not connected count as
    /// failures too.
    fn stable_at_ms(&self) -> Option<u64> {
        let live = self.live.as_ref().filter(|live| !live.lasted && self.failures > 0)?;
        Some(live.since_ms.saturating_add(self.config.stable_after_ms))
    }

    /// Towards the next connection.
    fn go_on(&mut self, plan: &mut Plan) -> bool {
        if self.attempt.is_some() || self.token.is_asked() {
            return false;
        }
        let Some(why) = self.need() else { return false };
        if self.token.drop_stale(self.now_ms) {
            return true;
        }
        let renews = why == TokenNeed::Renewal && self.config.renewal == Renewal::Ahead;
        if (self.token.held().is_some() || self.renewable) && renews {
            return self.renew_at_ms() <= self.now_ms && self.renew(plan);
        }
        if self.token.held().is_some() {
            if self.next_connect_ms() > self.now_ms {
                self.warn_of_short_tokens();
                return false;
            }
            self.connect(plan);
            return true;
        }
        if self.supplied {
            return false;
        }
        if self.next_ask_for_ms(why) > self.now_ms {
            self.warn_of_short_tokens();
            return false;
        }
        self.budget.ask(self.now_ms, self.token.would_force(why));
        self.token.ask(self.now_ms, why, &self.config, plan);
        true
    }

    /// What a token is needed for now.
    pub(super) fn need(&self) -> Option<TokenNeed> {
        let Some(live) = &self.live else { return Some(TokenNeed::Login) };
        let due = live.ends.is_some_and(|ends| self.now_ms >= ends.prepare_at_ms);
        let open = live.renewing_until_ms.is_none()
            && self.leaving.is_none()
            && self.stop_at_end.is_none();
        (due && open && self.config.renewal != Renewal::AtEnd).then_some(TokenNeed::Renewal)
    }

    /// Whether a renewal that waited for a quiet moment has come to one.
    pub(super) fn may_renew(&self) -> bool {
        self.need() == Some(TokenNeed::Renewal) && self.renew_at_ms() <= self.now_ms
    }

    /// A renewal waits for a quiet moment, but for no more than half of the time that there is for it.
    fn renew_at_ms(&self) -> u64 {
        let busy = self.live.as_ref().filter(|live| !live.watch.is_quiet());
        busy.and_then(|live| live.ends)
            .map_or(self.now_ms, |ends| ends.prepare_at_ms.midpoint(ends.let_go_by_ms))
    }

    fn renew(&mut self, plan: &mut Plan) -> bool {
        let Some((ticket, ends)) =
            self.live.as_ref().and_then(|live| Some((live.ticket, live.ends?)))
        else {
            return false;
        };
        let by_ms = self.grace(ends);
        if let Some(live) = &mut self.live {
            live.renewing_until_ms = Some(by_ms);
        }
        plan.actions.push(Action::Renew { ticket, by_ms, why: ends.why });
        true
    }

    /// A connection waits for the back-off, and keeps the greatest rate and the budget.
    pub(super) fn next_connect_ms(&self) -> u64 {
        let by_rate_ms = self.connects.next_ms(self.now_ms);
        by_rate_ms.max(self.budget.next_connect_ms(self.now_ms)).max(self.waits_until_ms())
    }

    fn waits_until_ms(&self) -> u64 {
        self.wait_until_ms.max(self.server_wait_until_ms)
    }

    /// A token is not asked for before it can be used, and a session that works is not let go for a login that cannot be.
    fn next_ask_for_ms(&self, why: TokenNeed) -> u64 {
        let by_rate_ms = self.token.next_ask_ms(self.now_ms);
        let by_budget_ms = self.budget.next_token_ms(self.now_ms, self.token.would_force(why));
        by_rate_ms.max(by_budget_ms).max(self.next_connect_ms())
    }

    /// When the next thing may be done towards a login.
    pub(super) fn next_attempt_ms(&self) -> u64 {
        if self.token.held().is_some() {
            self.next_connect_ms()
        } else {
            self.next_ask_for_ms(TokenNeed::Login)
        }
    }

    pub(super) fn has_short_tokens(&self) -> bool {
        self.token.life_ms().is_some_and(|life_ms| life_ms < self.config.login_interval_ms)
    }

    /// Logins are held back, and it is the token source that leads to so many: told once, as the last failure.
    fn warn_of_short_tokens(&mut self) {
        let by_budget = self.budget.next_login_ms(self.now_ms) > self.now_ms;
        if self.warned || !by_budget || !self.has_short_tokens() {
            return;
        }
        self.warned = true;
        let detail = format!(
            "tokens live for {} ms here: logins are held back to one in {} ms, and then to fewer",
            self.token.life_ms().unwrap_or(0),
            self.config.login_interval_ms
        );
        let failure = Failure::of_host(Cause::TokenExpired, "");
        self.note_failure(Failure { advice: Advice::BackOff, detail: detail.into(), ..failure });
    }

    // ---- The next wake -------------------------------------------------------------------------------------------

    pub(super) fn next_wake(&self) -> Option<(u64, WakeReason)> {
        let leaving =
            self.leaving.as_ref().map(|leaving| (leaving.by_ms, WakeReason::RenewDeadline));
        if self.run != Run::Running {
            return leaving;
        }
        let attempt =
            self.attempt.as_ref().map(|attempt| (attempt.deadline_ms, WakeReason::LoginDeadline));
        let candidates =
            [leaving, attempt, self.token.wake(self.now_ms), self.live_wake(), self.go_on_wake()];
        candidates.into_iter().flatten().min_by_key(|(at_ms, _)| *at_ms)
    }

    fn live_wake(&self) -> Option<(u64, WakeReason)> {
        let live = self.live.as_ref()?;
        let deadline = live.renewing_until_ms.map(|at_ms| (at_ms, WakeReason::RenewDeadline));
        let prepares = self.config.renewal != Renewal::AtEnd && live.renewing_until_ms.is_none();
        let prepare = live.ends.filter(|ends| prepares && ends.prepare_at_ms > self.now_ms);
        let prepare = prepare.map(|ends| (ends.prepare_at_ms, WakeReason::Prefetch));
        let stable = self.stable_at_ms().map(|at_ms| (at_ms, WakeReason::Stable));
        deadline.into_iter().chain(prepare).chain(stable).min_by_key(|(at_ms, _)| *at_ms)
    }

    fn go_on_wake(&self) -> Option<(u64, WakeReason)> {
        if self.attempt.is_some() || self.token.is_asked() {
            return None;
        }
        let need = self.need()?;
        let renews = need == TokenNeed::Renewal && self.config.renewal == Renewal::Ahead;
        if renews && (self.token.held().is_some() || self.renewable) {
            return Some((self.renew_at_ms(), WakeReason::QuietMoment));
        }
        let waits = self.waits_until_ms() > self.now_ms;
        if self.token.held().is_some() {
            let reason = if waits { WakeReason::BackOff } else { WakeReason::Rate };
            return Some((self.next_connect_ms(), reason));
        }
        if self.supplied {
            return None;
        }
        let reason = match (waits, self.token.is_cooling(self.now_ms)) {
            (true, _) => WakeReason::BackOff,
            (false, true) => WakeReason::TokenBackOff,
            (false, false) => WakeReason::Rate,
        };
        Some((self.next_ask_for_ms(need), reason))
    }
}
