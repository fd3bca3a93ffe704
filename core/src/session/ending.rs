//! The end of a session: why it came, what is learnt from it, and when the next one is expected.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{
    Action, Attempt, Ends, LATE_MS, Live, NOT_CONNECTED_MAX, Plan, RenewWhy, Session, Stage,
};
use crate::classify::{Names, Phase, text_and_code};
use crate::config::Protocol;
use crate::failure::{Advice, Cause, Certainty, Failure, Verdict};
use crate::negotiation::{Next, Step};
use crate::watch::{Aftermath, Told, Watch, with_refusal};

impl Session {
    pub(super) fn ended(
        &mut self,
        ticket: u64,
        last_line: Option<&str>,
        cause: Option<Cause>,
        plan: &mut Plan,
    ) {
        if self.leaving.as_ref().is_some_and(|leaving| leaving.ticket == ticket) {
            self.leaving = None;
            return;
        }
        if self.attempt.as_ref().is_some_and(|attempt| attempt.ticket == ticket) {
            let failure = self.failure_at_end(last_line, cause);
            self.attempt_failed(failure, plan);
        } else if let Some(live) = self.live.take_if(|live| live.ticket == ticket) {
            let verdict = self.verdict_at_end(live, last_line, cause, plan);
            self.last_ending = Some(Box::new(verdict));
        }
        // The connection is gone already: also where the machine slept, and this is how the host found out.
        plan.actions.retain(
            |action| !matches!(action, Action::Close { ticket: closed, .. } if *closed == ticket),
        );
    }

    /// What a host tells of a login of its own may repeat the token.
    pub(super) fn redacted(&self, mut failure: Failure) -> Failure {
        failure.mask(|text| self.redact(&text));
        failure
    }

    pub(super) fn aftermath_of(&self, watch: &Watch) -> Aftermath {
        watch.aftermath().map_texts(|text| self.redact(&text))
    }

    /// Why an attempt ended: the negotiation knows, or the host.
    fn failure_at_end(&mut self, last_line: Option<&str>, cause: Option<Cause>) -> Failure {
        if let Some(cause) = cause {
            return Failure::of_host(cause, "");
        }
        if let Some(Attempt { stage: Stage::LoggingIn(negotiation), .. }) =
            self.attempt.as_deref_mut()
            && let Ok(Step { next: Next::Failed(failure), .. }) = negotiation.closed()
        {
            return failure;
        }
        // A line from before the connection was open came in the clear, or from nobody that is known.
        let is_open =
            self.attempt.as_ref().is_some_and(|one| !matches!(one.stage, Stage::Connecting));
        match last_line.filter(|_| is_open) {
            Some(line) => self.failure_of(Phase::Disconnect, &[line]),
            None => Failure::of_host(Cause::ConnectionLost, "before the login was done"),
        }
    }

    fn verdict_at_end(
        &mut self,
        mut live: Live,
        last_line: Option<&str>,
        cause: Option<Cause>,
        plan: &mut Plan,
    ) -> Verdict {
        let seen = live.watch.closed();
        let told = last_line.map(|line| live.watch.line_alone(line, true));
        let verdict = match (told, cause) {
            _ if seen.cause != Cause::ConnectionLost => seen,
            (Some(Told::Ending(own)), _) => with_refusal(own, live.refused.take().map(|one| *one)),
            (Some(Told::Refusal(Some(reason))), _) => reason,
            (_, Some(cause)) if cause != Cause::ConnectionLost => {
                Verdict::new(cause, Advice::Reconnect, Certainty::Inferred, "host")
            }
            (Some(Told::Positive), _) => seen,
            (Some(Told::Refusal(None) | Told::Nothing) | None, _) => {
                live.refused.take().map_or(seen, |one| *one)
            }
        };
        self.session_over(live, verdict, plan)
    }

    /// The server announced the end: close, and go on.
    pub(super) fn close_live(&mut self, verdict: Verdict, plan: &mut Plan) {
        let Some(live) = self.live.take() else { return };
        let (ticket, at) = (live.ticket, plan.actions.len());
        let verdict = self.session_over(live, verdict, plan);
        // The socket is closed before anybody is told.
        plan.actions.insert(at, Action::Close { ticket, cause: verdict.cause });
        self.last_ending = Some(Box::new(verdict));
    }

    /// The host shows lines and not the stream: only their structure has a say.
    pub(super) fn line(&mut self, ticket: u64, line: &str, plan: &mut Plan) {
        let Some(live) = self.live.as_mut().filter(|live| live.ticket == ticket) else { return };
        match live.watch.line_alone(line, false) {
            Told::Ending(own) => {
                let verdict = with_refusal(own, live.refused.take().map(|one| *one));
                self.close_live(verdict, plan);
            }
            Told::Refusal(reason) => live.refused = reason.map(Box::new),
            Told::Positive => live.refused = None,
            Told::Nothing => {}
        }
    }

    pub(super) fn drained(&mut self, ticket: u64, plan: &mut Plan) {
        if self.leaving.take_if(|leaving| leaving.ticket == ticket).is_some() {
            plan.actions.push(Action::Close { ticket, cause: Cause::NoFault });
            return;
        }
        let Some(live) = self.live.take_if(|live| live.ticket == ticket) else { return };
        self.note_length(&live, live.renewing_until_ms.is_none());
        plan.actions.push(Action::Close { ticket, cause: Cause::NoFault });
        self.resumed = Some(Box::new(self.aftermath_of(&live.watch)));
        self.last_ending = Some(Box::new(Verdict::new(
            Cause::NoFault,
            Advice::Proceed,
            Certainty::Inferred,
            "drained",
        )));
        self.wait_until_ms = self.now_ms;
    }

    /// A session is over that nobody had let go: learn from it, and decide how soon to come back.
    fn session_over(&mut self, live: Live, verdict: Verdict, plan: &mut Plan) -> Verdict {
        self.resumed = Some(Box::new(self.aftermath_of(&live.watch)));
        let mut verdict = self.with_clock(&live, verdict);
        verdict.url = verdict.url.map(|url| self.redact(&url));
        let lived_ms = self.now_ms.saturating_sub(live.since_ms);
        let lasted = lived_ms >= self.config.stable_after_ms;
        let at_expiry = self.is_at_expiry(&live);
        let by_host = verdict.cause == Cause::NoFault && live.renewing_until_ms.is_none();
        self.note_length(&live, by_host);
        self.learn(&live, &verdict, lived_ms);
        if lasted {
            self.failures = 0;
            self.not_connected = 0;
        }
        self.wait_until_ms = self.now_ms;
        let words: Vec<&str> = live.watch.words().into_iter().collect();
        let (server_text, code) = text_and_code(self.protocol(), &words);
        let failure = Failure { server_text, code, ..Failure::from_verdict(verdict.clone()) };
        let failure = self.redacted(failure);
        if verdict.cause == Cause::NotConnected {
            self.not_connected = self.not_connected.saturating_add(1);
            self.token.force();
            if self.not_connected < NOT_CONNECTED_MAX {
                self.wait(&failure, 0);
                return verdict;
            }
        }
        // Having lasted does not forgive what the server has just stated.
        let of_server = verdict.advice == Advice::BackOff
            || matches!(verdict.cause, Cause::RateLimited | Cause::TooManyConnections);
        // What was to be expected is no failure.
        let expected = lasted || at_expiry || verdict.cause == Cause::NoFault;
        if verdict.advice == Advice::AskUser {
            self.needs_user(failure, plan);
        } else if of_server || !expected {
            self.wait(&failure, 0);
        }
        let stated = verdict.certainty == Certainty::Stated;
        if verdict.cause == Cause::TokenExpired && (stated || !expected) {
            // The server says that this token is over, whatever clocks and caches say.
            self.token.refuse(live.fingerprint);
        }
        verdict
    }

    /// Where the server gave no reason, the clock may know it; and Gmail has the same words for the limit of a session and
    /// the life of its token.
    fn with_clock(&self, live: &Live, verdict: Verdict) -> Verdict {
        let vague = matches!(
            verdict.cause,
            Cause::SessionEnded | Cause::ConnectionLost | Cause::SessionLimit
        );
        if !vague {
            return verdict;
        }
        let lived_ms = self.now_ms.saturating_sub(live.since_ms);
        let at_limit = self
            .config
            .limits
            .session_ms
            .is_some_and(|limit_ms| lived_ms >= limit_ms - limit_ms / 50);
        if self.is_at_expiry(live) {
            Verdict::new(
                Cause::TokenExpired,
                Advice::RefreshToken,
                Certainty::Inferred,
                "clock-expiry",
            )
        } else if at_limit && verdict.cause != Cause::SessionLimit {
            Verdict::new(Cause::SessionLimit, Advice::Reconnect, Certainty::Inferred, "clock-limit")
        } else {
            verdict
        }
    }

    /// Whether the token's time is over, within what clocks differ by.
    fn is_at_expiry(&self, live: &Live) -> bool {
        live.token_expires_at_ms.is_some_and(|expires_at_ms| {
            let tolerance_ms = (expires_at_ms.saturating_sub(live.since_ms) / 20).min(LATE_MS);
            self.now_ms.saturating_add(tolerance_ms) >= expires_at_ms
        })
    }

    /// A session is over, however it ended: it has paid for its login, and no length that it outlived is a limit.
    pub(super) fn note_length(&mut self, live: &Live, by_host: bool) {
        let lived_ms = self.now_ms.saturating_sub(live.since_ms);
        self.settle_account(live, by_host);
        self.learning.lasted(lived_ms);
    }

    /// What the server says of a token teaches nothing of sessions.
    fn learn(&mut self, live: &Live, verdict: &Verdict, lived_ms: u64) {
        if self.is_at_expiry(live) && lived_ms >= self.config.stable_after_ms {
            let of_time = matches!(verdict.cause, Cause::SessionLimit | Cause::TokenExpired);
            let past_it = live
                .token_expires_at_ms
                .is_some_and(|at_ms| self.now_ms > at_ms.saturating_add(LATE_MS));
            if of_time || past_it {
                self.learning.met_expiry(!past_it);
            }
        } else if verdict.cause == Cause::SessionLimit {
            self.learning.ended_for_its_time(lived_ms);
        }
    }

    // ---- What is expected ----------------------------------------------------------------------------------------

    /// When a session that begins now is expected to end.
    pub(super) fn expected_end(&mut self, token_expires_at_ms: Option<u64>) -> Option<Ends> {
        let limits = self.config.limits;
        let with_token = limits.ends_with_token || self.learning.ends_with_token == Some(true);
        let at_expiry =
            token_expires_at_ms.filter(|_| with_token).map(|at_ms| (at_ms, RenewWhy::TokenExpiry));
        let after = |life_ms: u64| self.now_ms.saturating_add(life_ms);
        let at_limit = limits.session_ms.map(|life_ms| (after(life_ms), RenewWhy::SessionLimit));
        let learnt =
            self.learning.expected_ms().map(|life_ms| (after(life_ms), RenewWhy::LearntLimit));
        let (at_ms, why) =
            at_expiry.into_iter().chain(at_limit).chain(learnt).min_by_key(|(at_ms, _)| *at_ms)?;
        let life_ms = at_ms.saturating_sub(self.now_ms);
        let usual_ms = self.config.lead_ms.min(life_ms / 4);
        // At random, so that a fleet that began together does not come back together.
        let lead_ms = (usual_ms / 2).saturating_add(self.rng.u64(0..=usual_ms));
        Some(Ends {
            at_ms,
            why,
            prepare_at_ms: at_ms.saturating_sub(lead_ms),
            let_go_by_ms: at_ms.saturating_sub(lead_ms / 4),
        })
    }

    /// When a session that is to be let go is closed: before its end, and not at once if that has passed already.
    pub(super) fn grace(&self, ends: Ends) -> u64 {
        let lead_ms = ends.at_ms.saturating_sub(ends.prepare_at_ms);
        ends.let_go_by_ms.max(self.now_ms.saturating_add((lead_ms / 4).clamp(1, LATE_MS)))
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.config.negotiation.endpoint.protocol
    }

    pub(super) fn watch(&self) -> Watch {
        let (endpoint, identity) =
            (&self.config.negotiation.endpoint, &self.config.negotiation.identity);
        Watch::new(endpoint.protocol)
            .with_names(&Names { user: &identity.user, host: &endpoint.host })
    }
}
