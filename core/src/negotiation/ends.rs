//! How a login ends, and what a refusal says of its reason.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Authenticated, Event, Negotiation, Next, State, Step};
use crate::classify::{Phase, classify, text_and_code};
use crate::dialect::Capabilities;
use crate::failure::{Advice, Cause, Certainty, Failure, Verdict, default_advice};
use crate::redact::Redactor;
use crate::reply::ReplyFault;
use crate::sasl::{self, Rejection};

impl Negotiation {
    pub(super) fn succeed(&mut self, capabilities: Option<Capabilities>, rest: &[u8]) -> Step {
        // Gmail and Yandex list the new capabilities before the tagged OK, Dovecot and Cyrus in it; others say nothing,
        // and the list from before the login no longer holds.
        let heard = capabilities.or(self.capabilities.take());
        let heard = heard.map_or_else(Vec::new, Capabilities::into_list);
        // A list is shown as freely as any text of the server.
        let capabilities = Redactor::new(&self.secrets()).redact_all(heard);
        let authenticated =
            Authenticated { mechanism: self.mechanism, capabilities, leftover: rest.to_vec() };
        self.enter(Event::Positive, State::Authenticated);
        Step { send: Vec::new(), sensitive: false, next: Next::Done(authenticated) }
    }

    pub(super) fn fail(&mut self, event: Event, failure: Failure) -> Step {
        self.order = None;
        self.enter(event, State::Failed);
        Step { send: Vec::new(), sensitive: false, next: Next::Failed(failure) }
    }

    pub(super) fn fail_fault(&mut self, fault: ReplyFault) -> Step {
        match fault {
            ReplyFault::Limit(detail) => {
                self.fail(Event::Fault, Failure::of_host(Cause::LimitExceeded, detail))
            }
            ReplyFault::Violation(detail) => self.fail_violation(detail),
        }
    }

    pub(super) fn fail_violation(&mut self, detail: &'static str) -> Step {
        self.fail(Event::Fault, Failure::of_host(Cause::ProtocolViolation, detail))
    }

    pub(super) fn fail_injected(&mut self) -> Step {
        let failure =
            Failure::of_host(Cause::PlaintextInjected, "behind the reply that starts TLS");
        self.fail(Event::Fault, failure)
    }

    pub(super) fn fail_preauthenticated(&mut self) -> Step {
        let failure = Failure::of_host(
            Cause::Preauthenticated,
            "the session would belong to whoever it says",
        );
        self.fail(Event::Preauthenticated, failure)
    }

    pub(super) fn tls_refused(&self, detail: &'static str) -> Failure {
        let (_, code) = text_and_code(self.dialect.protocol, &self.replies.last_reply());
        Failure { code, ..Failure::of_host(Cause::TlsRefused, detail) }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.state {
            State::Greeting => Phase::Greeting,
            State::Capabilities | State::Upgrade | State::Handshake => Phase::Capability,
            State::Prompt | State::Verdict | State::Acknowledged => Phase::AuthFail,
            State::Authenticated | State::Failed => Phase::Disconnect,
        }
    }

    /// The failure that the last reply stands for.
    pub(super) fn classified(&self, phase: Phase) -> Failure {
        let mut lines = self.replies.last_reply();
        // In POP3 one text has two causes: whether the server had asked for the token tells them apart.
        if self.state == State::Verdict && !self.inline {
            lines.insert(0, "+ ");
        }
        let verdict = classify(self.dialect.protocol, phase, &lines);
        self.with_server_text(verdict, &lines)
    }

    fn with_server_text(&self, mut verdict: Verdict, lines: &[&str]) -> Failure {
        // The login is over and failed: "go on" can only mean to begin anew.
        if verdict.advice == Advice::Proceed {
            verdict.advice = Advice::Reconnect;
        }
        let (text, code) = text_and_code(self.dialect.protocol, lines);
        // Servers were seen to repeat the line that they refuse.
        let secrets = self.secrets();
        let redactor = Redactor::new(&secrets);
        let text = if self.secure { redactor.redact(text) } else { String::new() };
        let url = verdict.url.take().filter(|_| self.secure).map(|url| redactor.redact(url));
        let code = code.map(|code| redactor.redact(code));
        Failure { server_text: text, code, url, ..Failure::from_verdict(verdict) }
    }

    /// A server without the capability command cannot be logged in to; one that is down says so.
    pub(super) fn capabilities_refused(&self) -> Failure {
        if !self.secure {
            return self.tls_refused("the server does not say what it offers");
        }
        let failure = self.classified(Phase::Capability);
        let passes = matches!(failure.cause, Cause::TooManyConnections | Cause::RateLimited)
            || (failure.cause == Cause::Unavailable && failure.certainty != Certainty::Guessed);
        if passes {
            return failure;
        }
        let cause = Cause::MechanismUnavailable;
        let detail = "the server does not say what it offers";
        Failure {
            cause,
            advice: default_advice(cause),
            certainty: Certainty::Inferred,
            detail: detail.into(),
            ..failure
        }
    }

    /// A refusal of the bare command: the token cannot be its reason.
    pub(super) fn refused_before_token(&self) -> Failure {
        let failure = self.classified(Phase::AuthFail);
        if failure.cause != Cause::TokenRejected {
            return failure;
        }
        let cause = Cause::MechanismUnavailable;
        let detail = "the server refused the mechanism before it was given a token";
        Failure {
            cause,
            advice: default_advice(cause),
            certainty: Certainty::Inferred,
            detail: detail.into(),
            ..failure
        }
    }

    /// The login failed with an error challenge. The final reply decides where it names a cause of its own; a reply that
    /// only says that our acknowledgement was not understood, and none at all, leave it to the challenge.
    pub(super) fn refused(&self, lines: &[String]) -> Failure {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let mut verdict = classify(self.dialect.protocol, Phase::AuthFail, &lines);
        let says_no_more = matches!(
            verdict.cause,
            Cause::NoFault
                | Cause::TokenRejected
                | Cause::ProtocolViolation
                | Cause::MechanismUnavailable
                | Cause::Cancelled
                | Cause::LineTooLong
                | Cause::Unrecognized
        );
        let rejection = self.challenge.as_deref().map(sasl::read_rejection).unwrap_or_default();
        if says_no_more {
            verdict = verdict_of(&rejection, verdict);
        }
        let redact = |text: Option<String>| text.map(|text| self.redact(&text));
        let rejection = Rejection {
            status: redact(rejection.status),
            scope: redact(rejection.scope),
            schemes: redact(rejection.schemes),
            openid_configuration: redact(rejection.openid_configuration),
        };
        Failure { rejection: Some(rejection), ..self.with_server_text(verdict, &lines) }
    }
}

/// RFC 7628 section 3.2.2 and RFC 6750 section 3.1, as a hint where the final reply says no more.
fn verdict_of(rejection: &Rejection, verdict: Verdict) -> Verdict {
    let (cause, rule) = if rejection.means_scope() {
        (Cause::InsufficientScope, "challenge-scope")
    } else if rejection.means_unavailable() {
        (Cause::Unavailable, "challenge-unavailable")
    } else if verdict.cause == Cause::TokenRejected {
        return verdict;
    } else {
        (Cause::TokenRejected, "challenge")
    };
    Verdict::new(cause, default_advice(cause), Certainty::Inferred, rule)
}
