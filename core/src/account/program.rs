//! What the program says: it wants, lets go, removes, closes, and tries again; and what its token source says.

use alloc::boxed::Box;

use super::member::Want;
use super::plan::{AccountEvent, AccountPlan, Delivery, EventKind, RaiseKind};
use super::tokens::{Answer, Word};
use super::{Account, NoToken, SessionKey};
use crate::failure::{Cause, Verdict};

impl Account {
    pub(super) fn wanted(&mut self, key: SessionKey, plan: &mut AccountPlan) {
        self.turns = self.turns.saturating_add(1);
        let want = Want { turn: self.turns, since_ms: self.now_ms };
        let closed = self.closed;
        let Some(member) = self.at(key).and_then(|at| self.members.get_mut(at)) else { return };
        if closed {
            plan.deliveries.push(Delivery::End { session: key });
            return;
        }
        member.want = Some(want);
        member.told_ms = 0;
    }

    pub(super) fn no_longer(&mut self, key: SessionKey) {
        if let Some(member) = self.at(key).and_then(|at| self.members.get_mut(at)) {
            member.want = None;
        }
    }

    pub(super) fn remove(&mut self, key: SessionKey, plan: &mut AccountPlan) {
        let Some(at) = self.at(key) else { return };
        self.end(at, plan);
        self.members.remove(at);
    }

    pub(super) fn close(&mut self, plan: &mut AccountPlan) {
        for at in 0..self.members.len() {
            self.end(at, plan);
        }
        self.closed = true;
        self.mistake = None;
        self.tokens.clear();
    }

    /// Closes what a session has open, and tells who waits.
    pub(super) fn end(&mut self, at: usize, plan: &mut AccountPlan) {
        let now_ms = self.now_ms;
        let Some(member) = self.members.get_mut(at) else { return };
        let key = member.key;
        let given = [member.given.take(), member.leaving.take()];
        (member.ready, member.attempt) = (None, None);
        let was_wanted = member.want.take().is_some();
        let closed = member.session.close(now_ms);
        self.obey(at, closed, plan);
        for ticket in given.into_iter().flatten() {
            let verdict = Verdict::of_host(Cause::Cancelled);
            plan.deliveries.push(Delivery::Over { session: key, ticket, verdict, aftermath: None });
        }
        if was_wanted {
            plan.deliveries.push(Delivery::End { session: key });
        }
    }

    pub(super) fn retry(&mut self, plan: &mut AccountPlan) {
        self.stops.lift();
        self.mistake = None;
        self.tokens.forgive();
        for at in 0..self.members.len() {
            let now_ms = self.now_ms;
            let Some(member) = self.members.get_mut(at) else { continue };
            member.failed = None;
            member.other_than = None;
            let begun = member.session.begin_again(now_ms);
            self.obey(at, begun, plan);
        }
    }

    // ---- Tokens --------------------------------------------------------------------------------------------------

    pub(super) fn no_token(
        &mut self,
        request: u64,
        why: NoToken,
        text: &str,
        plan: &mut AccountPlan,
    ) {
        let works = self.members.iter().any(|member| member.online() > 0);
        let (config, rng) = (&self.config, &mut self.rng);
        let word = Word { request, why, text, works };
        let answer = self.tokens.none(self.now_ms, &word, config, rng);
        if answer != Answer::Late {
            self.say_token_failed(request, plan);
        }
        self.answered(request, answer, plan);
    }

    pub(super) fn say_token_failed(&self, request: u64, plan: &mut AccountPlan) {
        if let Some((_, failure)) = self.tokens.problem() {
            let event = AccountEvent {
                cause: Some(failure.cause),
                text: failure.detail.clone().into_owned(),
                ..AccountEvent::of_source(EventKind::TokenFailed, request)
            };
            plan.deliveries.push(Delivery::Event(event.into()));
        }
    }

    pub(super) fn answered(&mut self, request: u64, answer: Answer, plan: &mut AccountPlan) {
        match answer {
            Answer::GoOn | Answer::Late => {}
            Answer::Stop(failure) => {
                self.stop_all(RaiseKind::NeedsUser, failure, Some(request), None, plan);
            }
            Answer::Mistake(failure) => {
                let text = failure.detail.clone().into_owned();
                let event =
                    AccountEvent { text, ..AccountEvent::of_source(EventKind::Mistake, request) };
                plan.deliveries.push(Delivery::Event(event.into()));
                self.mistake = Some((request, Box::new(failure)));
            }
        }
    }
}
