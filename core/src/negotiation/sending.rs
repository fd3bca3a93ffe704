//! What is sent, and the one place where the token leaves.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::{Event, Negotiation, Next, Order, State, Step, tag};
use crate::config::{Mechanism, NegotiationConfig};
use crate::redact::Secrets;
use crate::reply::command_line;
use crate::sasl;

impl Negotiation {
    /// The read has been looked at whole: send what it led to.
    pub(super) fn perform(&mut self) -> Step {
        let Some((event, order)) = self.order.take() else {
            return Step { send: Vec::new(), sensitive: false, next: Next::Read };
        };
        self.replies.begin_phase();
        let (send, state) = match order {
            Order::AskCapabilities => {
                (self.command(&self.capability_command()), State::Capabilities)
            }
            Order::Upgrade => (self.command(self.dialect.upgrade_command), State::Upgrade),
            Order::Login { inline } => return self.login(event, inline),
            Order::Respond => return self.send_token(event, ""),
            Order::Acknowledge => {
                let line = format!("{}\r\n", sasl::encode(sasl::acknowledgement(self.mechanism)));
                (line.into_bytes(), State::Acknowledged)
            }
            Order::Cancel => (b"*\r\n".to_vec(), State::Acknowledged),
        };
        self.enter(event, state);
        Step { send, sensitive: false, next: Next::Read }
    }

    fn capability_command(&self) -> String {
        if self.dialect.greets_by_name {
            format!("{} {}", self.dialect.capability_command, self.config.ehlo_name)
        } else {
            self.dialect.capability_command.to_string()
        }
    }

    fn command(&mut self, command: &str) -> Vec<u8> {
        self.count_command();
        command_line(&self.tag, command).into_bytes()
    }

    fn count_command(&mut self) {
        self.commands = self.commands.saturating_add(1);
        self.tag = tag(self.dialect, self.commands);
    }

    fn login(&mut self, event: Event, inline: bool) -> Step {
        self.inline = inline;
        let command = format!("{} {}", self.dialect.auth_command, self.mechanism);
        if !inline {
            let send = self.command(&command);
            self.enter(event, State::Prompt);
            return Step { send, sensitive: false, next: Next::Read };
        }
        self.count_command();
        let bare = command_line(&self.tag, &command);
        let start = format!("{} ", bare.trim_end());
        self.send_token(event, &start)
    }

    /// The one place where the token leaves.
    fn send_token(&mut self, event: Event, start: &str) -> Step {
        if !self.secure {
            return self.fail_violation("a token was about to leave without TLS");
        }
        let payload = self.payload(self.mechanism);
        // One allocation of the exact size: no partial copy stays behind.
        let mut send =
            Vec::with_capacity(start.len().saturating_add(payload.len()).saturating_add(2));
        send.extend_from_slice(start.as_bytes());
        send.extend_from_slice(payload.as_bytes());
        send.extend_from_slice(b"\r\n");
        self.enter(event, State::Verdict);
        Step { send, sensitive: true, next: Next::Read }
    }

    pub(super) fn payload(&self, mechanism: Mechanism) -> Zeroizing<String> {
        let NegotiationConfig { identity, endpoint, .. } = &self.config;
        let message = sasl::message(mechanism, identity, endpoint, &self.token);
        Zeroizing::new(sasl::encode(&Zeroizing::new(message)))
    }

    /// What must not be shown.
    pub(super) fn secrets(&self) -> Secrets {
        Secrets::of(&self.token)
    }
}
