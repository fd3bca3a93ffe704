//! Start, stop, and what only a person can mend.

use alloc::boxed::Box;

use super::{Action, Plan, Run, Session};
use crate::failure::{Cause, Failure};

impl Session {
    pub(super) fn start(&mut self) {
        if self.stop_at_end.take().is_some() {
            self.forgive();
        }
        match self.run {
            Run::Running => {}
            Run::Stopped | Run::NeedsUser | Run::GaveUp => {
                self.run = Run::Running;
                self.failures = 0;
                self.not_connected = 0;
                self.wait_until_ms = self.now_ms;
                self.budget.give_back();
                self.forgive();
            }
        }
    }

    /// A person has acted.
    pub(super) fn forgive(&mut self) {
        self.rejections = 0;
        self.refusals.forget();
        self.token.forgive();
    }

    pub(super) fn stop(&mut self, plan: &mut Plan) {
        self.close_all(plan);
        self.spent = None;
        self.run = Run::Stopped;
    }

    pub(super) fn close_all(&mut self, plan: &mut Plan) {
        if let Some(live) = &self.live {
            self.resumed = Some(Box::new(self.aftermath_of(&live.watch)));
        }
        let open = self.end_attempt().map(|attempt| attempt.ticket);
        let live = self.live.take().map(|live| live.ticket);
        let leaving = self.leaving.take().map(|leaving| leaving.ticket);
        for ticket in open.into_iter().chain(live).chain(leaving) {
            plan.actions.push(Action::Close { ticket, cause: Cause::Cancelled });
        }
        self.token.clear();
    }

    pub(super) fn note_failure(&mut self, failure: Failure) {
        self.last_failure = Some(Box::new(failure));
    }

    pub(super) fn needs_user(&mut self, failure: Failure, plan: &mut Plan) {
        self.close_all(plan);
        self.note_failure(failure.clone());
        self.run = Run::NeedsUser;
        plan.actions.push(Action::NeedsUser(failure));
    }

    pub(super) fn give_up(&mut self, failure: Failure, plan: &mut Plan) {
        self.close_all(plan);
        self.note_failure(failure.clone());
        self.run = Run::GaveUp;
        plan.actions.push(Action::GiveUp(failure));
    }
}
