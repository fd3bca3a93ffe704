//! How a login ends.

use alloc::vec::Vec;

use super::refusals::shortened;
use super::{Authenticated, Event, Negotiation, Next, State, Step};
use crate::dialect::Capabilities;
use crate::failure::{Cause, Failure};
use crate::reply::ReplyFault;

impl Negotiation {
    pub(super) fn succeed(&mut self, capabilities: Option<Capabilities>, rest: &[u8]) -> Step {
        // Gmail and Yandex list the new capabilities before the tagged OK, Dovecot and Cyrus in it; others say nothing,
        // and the list from before the login no longer holds.
        let heard = capabilities.or(self.capabilities.take());
        let heard = heard.map_or_else(Vec::new, Capabilities::into_list);
        // A list is shown as freely as any text of the server.
        let capabilities = self.secrets().redact_all(heard);
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
            ReplyFault::OtherService(detail) => {
                let failure =
                    self.with_line_at_fault(Failure::of_host(Cause::WrongService, detail));
                self.fail(Event::Fault, failure)
            }
            ReplyFault::TlsRecord if self.secure => {
                self.fail_violation("the server sent binary data")
            }
            ReplyFault::TlsRecord => {
                let detail = "it speaks TLS from the first octet";
                self.fail(Event::Fault, Failure::of_host(Cause::WrongTlsMode, detail))
            }
        }
    }

    pub(super) fn fail_violation(&mut self, detail: &'static str) -> Step {
        let failure = Failure::of_host(Cause::ProtocolViolation, detail);
        let failure = self.with_line_at_fault(failure);
        self.fail(Event::Fault, failure)
    }

    /// The line that broke the protocol, where it came in TLS.
    fn with_line_at_fault(&self, failure: Failure) -> Failure {
        let line = if self.secure { self.replies.line_at_fault() } else { "" };
        Failure { server_text: shortened(&self.redact(line)), ..failure }
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

    /// The connection ended before the login did.
    pub(super) fn closed_too_early(&self) -> Failure {
        match self.state {
            State::Handshake => {
                Failure::of_host(Cause::TlsFailed, "the connection ended in the TLS handshake")
            }
            // The challenge said it, or the prompt: only the formal end is missing.
            State::Acknowledged => self.refused(),
            // Dovecot closes so on a line that is longer than it takes.
            State::Verdict if self.is_over_long() => {
                self.too_long(Failure::of_host(Cause::LineTooLong, ""))
            }
            State::Verdict => Failure::of_host(
                Cause::ConnectionLost,
                "the server closed it without an answer to the token",
            ),
            State::Greeting if !self.secure => Failure::of_host(
                Cause::ConnectionLost,
                "the server said nothing: it may want TLS from the first octet (tls: implicit)",
            ),
            State::Greeting
            | State::Capabilities
            | State::Upgrade
            | State::Prompt
            | State::Authenticated
            | State::Failed => Failure::of_host(Cause::ConnectionLost, "before the login was done"),
        }
    }
}
