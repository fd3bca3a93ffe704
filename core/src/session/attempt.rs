//! A connection on its way: the token for it, the login over it, and the session that begins with it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::token::Worth;
use super::{Action, Attempt, Leaving, Live, Login, Plan, RenewWhy, Session, Stage};
use crate::classify::{Names, Phase, classify_named, text_and_code};
use crate::config::NegotiationConfig;
use crate::failure::{Advice, Cause, Failure, Verdict};
use crate::negotiation::{Authenticated, Negotiation, Next, Step};
use crate::watch::Aftermath;

impl Session {
    pub(super) fn token_came(&mut self, worth: &Worth, plan: &mut Plan) {
        match worth {
            Worth::Usable | Worth::Replaced | Worth::Late => {}
            Worth::NotNewer => self.token.failed(self.now_ms, &self.config, &mut self.rng),
            Worth::RefusedBefore => {
                let detail = "the token source gave back the token that the server had refused: give a function that gets a new one";
                let failure = Failure {
                    advice: Advice::AskUser,
                    ..Failure::of_host(Cause::TokenRejected, detail)
                };
                self.needs_user(failure, plan);
            }
            Worth::Expired if self.live.is_some() => {
                self.token.failed(self.now_ms, &self.config, &mut self.rng)
            }
            Worth::Expired => {
                let detail = "the token source gives tokens whose time is over: give a function that gets new ones";
                let failure = Failure {
                    advice: Advice::AskUser,
                    ..Failure::of_host(Cause::TokenExpired, detail)
                };
                self.needs_user(failure, plan);
            }
        }
    }

    pub(super) fn token_failed(&mut self, request: u64, permanent: bool, plan: &mut Plan) {
        if !self.token.awaits(request) {
            return;
        }
        if permanent {
            self.token.clear();
            let failure =
                Failure::of_host(Cause::TokenUnavailable, "the token source failed for good");
            self.needs_user_unless_live(failure, plan);
            return;
        }
        self.token.failed(self.now_ms, &self.config, &mut self.rng);
        self.note_failure(Failure {
            advice: Advice::BackOff,
            ..Failure::of_host(Cause::TokenUnavailable, "the token source failed")
        });
    }

    // ---- A connection on its way ---------------------------------------------------------------------------------

    pub(super) fn connect(&mut self, plan: &mut Plan) {
        let Some(held) = self.token.take() else { return };
        if let Some(live) = &mut self.live {
            live.lasted = true;
        }
        self.tickets = self.tickets.saturating_add(1);
        self.connects.take(self.now_ms);
        let deadline_ms = self.now_ms.saturating_add(self.config.login_timeout_ms);
        let ticket = self.tickets;
        self.attempt =
            Some(Box::new(Attempt { ticket, stage: Stage::Connecting, deadline_ms, held }));
        plan.actions.push(Action::Connect { ticket, attempt: self.failures.saturating_add(1) });
    }

    pub(super) fn connected(&mut self, ticket: u64, plan: &mut Plan) {
        if self.attempt.as_ref().is_none_or(|attempt| attempt.ticket != ticket) {
            return;
        }
        if self.token_is_over() {
            self.drop_expired(plan);
            return;
        }
        let Some(attempt) = self.attempt.as_mut() else { return };
        match self.config.login {
            Login::Host => attempt.stage = Stage::HostLogin,
            Login::Session => {
                match Negotiation::new(self.config.negotiation.clone(), attempt.held.token.clone())
                {
                    Ok(negotiation) => attempt.stage = Stage::LoggingIn(Box::new(negotiation)),
                    // The configuration was checked when the session was made.
                    Err(_) => {
                        let failure =
                            Failure::of_host(Cause::Cancelled, "the configuration cannot work");
                        self.give_up(failure, plan);
                    }
                }
            }
        }
    }

    pub(super) fn tls_established(&mut self, ticket: u64, plan: &mut Plan) {
        let attempt = self.attempt.as_deref_mut().filter(|attempt| attempt.ticket == ticket);
        if let Some(Attempt { stage: Stage::LoggingIn(negotiation), .. }) = attempt
            && let Ok(step) = negotiation.tls_established()
        {
            self.on_step(ticket, step, plan);
        }
    }

    pub(super) fn on_step(&mut self, ticket: u64, step: Step, plan: &mut Plan) {
        if step.sensitive && self.token_is_over() {
            self.drop_expired(plan);
            return;
        }
        if !step.send.is_empty() {
            plan.actions.push(Action::Send { ticket, bytes: step.send, sensitive: step.sensitive });
        }
        match step.next {
            Next::Read => {}
            Next::StartTls => plan.actions.push(Action::StartTls { ticket }),
            Next::Done(authenticated) => self.logged_in(ticket, Some(authenticated), plan),
            Next::Failed(failure) => self.attempt_failed(failure, plan),
        }
    }

    /// Whether the token's announced life ended on the way to the login.
    fn token_is_over(&self) -> bool {
        let expires_at_ms = self.attempt.as_ref().and_then(|attempt| attempt.held.expires_at_ms);
        expires_at_ms.is_some_and(|expires_at_ms| self.now_ms >= expires_at_ms)
    }

    /// An expired token is not sent: another one is asked for, and another connection made.
    fn drop_expired(&mut self, plan: &mut Plan) {
        let Some(attempt) = self.end_attempt() else { return };
        let failure = Failure::of_host(Cause::TokenExpired, "before it could be sent");
        plan.actions.push(Action::Close { ticket: attempt.ticket, cause: failure.cause });
        self.token.force();
        self.wait(&failure, 0);
        self.note_failure(failure);
    }

    pub(super) fn host_logged_in(&mut self, ticket: u64, plan: &mut Plan) {
        if self.attempt.as_ref().is_some_and(|attempt| attempt.ticket == ticket) {
            self.logged_in(ticket, None, plan);
        }
    }

    pub(super) fn host_refused(&mut self, ticket: u64, reply: &str, plan: &mut Plan) {
        if self.attempt.as_ref().is_none_or(|attempt| attempt.ticket != ticket) {
            return;
        }
        let lines: Vec<&str> = reply.lines().collect();
        let failure = self.failure_of(Phase::AuthFail, &lines);
        self.attempt_failed(failure, plan);
    }

    pub(super) fn meaning(&self, phase: Phase, lines: &[&str]) -> Verdict {
        let NegotiationConfig { identity, endpoint, .. } = &self.config.negotiation;
        let names = Names { user: identity.name(), host: &endpoint.host };
        classify_named(endpoint.protocol, phase, lines, &names)
    }

    /// What lines mean that the host shows of a login. Servers were seen to repeat the token in them.
    pub(super) fn failure_of(&self, phase: Phase, lines: &[&str]) -> Failure {
        let verdict = self.meaning(phase, lines).of_login();
        let (server_text, code) = text_and_code(self.protocol(), lines);
        let failure = Failure { server_text, code, ..Failure::from_verdict(verdict) };
        self.redacted(failure)
    }

    /// `authenticated` is `None` where the host has logged in by itself.
    fn logged_in(&mut self, ticket: u64, authenticated: Option<Authenticated>, plan: &mut Plan) {
        let Some(attempt) = self.end_attempt() else { return };
        if self.config.login == Login::Session {
            // A fleet keeps no tokens: what the server says from here on says nothing of it.
            self.spent = None;
        }
        let mechanism = authenticated.as_ref().map(|authenticated| authenticated.mechanism);
        let (capabilities, leftover) = authenticated
            .map(|authenticated| (authenticated.capabilities, authenticated.leftover))
            .unwrap_or_default();
        self.rejections = 0;
        self.generation = self.generation.saturating_add(1);
        let resumed = match self.live.take() {
            Some(predecessor) => Some(self.leave(predecessor, plan)),
            None => self.resumed.take().map(|resumed| *resumed),
        };
        let mut watch = self.watch();
        let ending = watch.received(&leftover).ending;
        let ends = self.expected_end(attempt.held.expires_at_ms);
        self.live = Some(Live {
            ticket,
            since_ms: self.now_ms,
            watch,
            token_expires_at_ms: attempt.held.expires_at_ms,
            fingerprint: attempt.held.fingerprint,
            ends,
            renewing_until_ms: None,
            lasted: false,
        });
        let generation = self.generation;
        plan.actions.push(Action::Online {
            ticket,
            generation,
            mechanism,
            capabilities,
            leftover,
            resumed,
        });
        if let Some(verdict) = ending {
            self.close_live(verdict, plan);
        }
    }

    /// The successor is logged in: the host lets the predecessor go.
    fn leave(&mut self, predecessor: Live, plan: &mut Plan) -> Aftermath {
        let (why, by_ms) = match predecessor.ends {
            Some(ends) => (ends.why, self.grace(ends)),
            None => (RenewWhy::SessionLimit, self.now_ms.saturating_add(self.config.lead_ms)),
        };
        self.leaving = Some(Leaving { ticket: predecessor.ticket, by_ms });
        plan.actions.push(Action::Renew { ticket: predecessor.ticket, by_ms, why });
        self.aftermath_of(&predecessor.watch)
    }
}
