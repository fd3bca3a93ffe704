//! What follows from a login that failed.

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;

use super::backoff::Backoff;
use super::{Action, Plan, SUSPICIOUS_WAIT_MS, Session, Stage};
use crate::config::InitialResponse;
use crate::failure::{Advice, Cause, Failure};
use crate::sasl::Rejection;
use crate::text::displayable;

impl Session {
    pub(super) fn attempt_failed(&mut self, failure: Failure, plan: &mut Plan) {
        let Some(attempt) = self.end_attempt() else { return };
        plan.actions.push(Action::Close { ticket: attempt.ticket, cause: failure.cause });
        self.note_failure(failure.clone());
        match attempt.stage {
            Stage::Connecting => {
                self.put_back(attempt.held);
                self.react(failure, plan);
            }
            // Before TLS anybody may have said it: it is waited out, and nothing else follows from it.
            Stage::LoggingIn(negotiation) if !negotiation.is_secure() => {
                self.put_back(attempt.held);
                self.wait(&Failure::of_host(Cause::ConnectionLost, ""), 0);
            }
            Stage::LoggingIn(negotiation) => {
                let prompted = negotiation.wants_two_steps();
                self.login_failed(attempt.held.fingerprint, failure, prompted, plan);
            }
            Stage::HostLogin => {
                self.login_failed(attempt.held.fingerprint, failure, false, plan);
            }
        }
    }

    /// `prompted`: the server asked for a token that it had been given in the line, and may never have read it.
    fn login_failed(
        &mut self,
        fingerprint: u64,
        failure: Failure,
        prompted: bool,
        plan: &mut Plan,
    ) {
        // Dovecot 2.3 says so in an outage too: waiting comes first, and then the token is not the old one.
        if failure.rejection.as_ref().is_some_and(Rejection::means_token) {
            self.token.force();
        }
        let of_the_token = matches!(failure.cause, Cause::TokenRejected | Cause::TokenExpired)
            || failure.advice == Advice::RefreshToken;
        if !of_the_token {
            self.react(failure, plan);
            return;
        }
        if prompted {
            self.learn_two_steps();
        }
        self.refused(fingerprint, failure, plan);
    }

    /// Rule 8 of the design: once more with a fresh token, and then a person is asked.
    fn refused(&mut self, fingerprint: u64, failure: Failure, plan: &mut Plan) {
        self.token.refuse(fingerprint);
        self.rejections = self.rejections.saturating_add(1);
        if self.rejections >= 2 || failure.advice == Advice::AskUser {
            let failure = Failure { advice: Advice::AskUser, ..self.with_user(failure) };
            self.needs_user_unless_live(failure, plan);
        } else if failure.advice == Advice::BackOff {
            // Servers that lock out for a while say that the credentials are wrong.
            self.wait(&failure, self.config.backoff_max_ms);
        }
    }

    /// A fresh token was refused as the first one was: then it is not its age.
    fn with_user(&self, failure: Failure) -> Failure {
        if self.rejections < 2 || failure.cause != Cause::TokenRejected {
            return failure;
        }
        let user = displayable(self.config.negotiation.identity.name().as_bytes());
        let detail = format!(
            "the second one in a row for {user}: it may be of another user, or {user} is a shared mailbox without rights for it"
        );
        Failure { detail: detail.into(), ..failure }
    }

    /// A successor that cannot log in does not cost the session that still works: the stop comes at its end.
    pub(super) fn needs_user_unless_live(&mut self, failure: Failure, plan: &mut Plan) {
        if self.live.is_some() {
            self.stop_at_end = Some(Box::new(failure));
        } else {
            self.needs_user(failure, plan);
        }
    }

    /// What follows from a failure that is not the token's.
    fn react(&mut self, failure: Failure, plan: &mut Plan) {
        let of_the_line =
            matches!(failure.cause, Cause::LineTooLong | Cause::InitialResponseRefused);
        if of_the_line && self.config.negotiation.initial_response != InitialResponse::Never {
            self.learn_two_steps();
            return;
        }
        match failure.advice {
            Advice::BackOff | Advice::Reconnect | Advice::Proceed | Advice::RefreshToken => {
                self.wait(&failure, 0)
            }
            Advice::AskUser => self.needs_user_unless_live(failure, plan),
            // It worked before: a captive portal, or somebody in the middle. It may pass, but not soon.
            Advice::FixConfiguration if self.generation > 0 => {
                self.wait(&failure, SUSPICIOUS_WAIT_MS)
            }
            Advice::FixConfiguration | Advice::GiveUp => self.give_up(failure, plan),
        }
    }

    /// For good: two steps work with every server.
    fn learn_two_steps(&mut self) {
        Arc::make_mut(&mut self.config).negotiation.initial_response = InitialResponse::Never;
    }

    /// Counts a failure and waits, at least for as long as the server asked.
    pub(super) fn wait(&mut self, failure: &Failure, least_ms: u64) {
        self.failures = self.failures.saturating_add(1);
        let factor = if matches!(failure.cause, Cause::TooManyConnections | Cause::RateLimited) {
            8
        } else {
            1
        };
        let backoff = Backoff {
            base_ms: self.config.backoff_base_ms.saturating_mul(factor),
            max_ms: self.config.backoff_max_ms.saturating_mul(factor),
        };
        let least_ms = failure.wait_ms.unwrap_or(0).max(least_ms);
        let wait_ms = backoff.wait_ms(self.failures, least_ms, &mut self.rng);
        self.wait_until_ms = self.now_ms.saturating_add(wait_ms);
        if failure.wait_ms.is_some() {
            self.server_wait_until_ms = self.wait_until_ms;
        }
    }
}
