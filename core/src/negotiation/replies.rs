//! What a reply means in a state, and what follows from it.

use alloc::format;
use alloc::vec::Vec;

use super::{Event, Negotiation, Next, Order, Prompted, State, Step};
use crate::classify::{Phase, is_enhanced_code};
use crate::config::{InitialResponse, Mechanism, NegotiationConfig, Protocol};
use crate::dialect::Capabilities;
use crate::failure::{Advice, Cause, Certainty, Failure};
use crate::reply::{Reply, command_line};
use crate::sasl;

impl Negotiation {
    /// Looks at one reply; `rest` is what came behind it in the same read. A step ends the read.
    pub(super) fn on_reply(&mut self, reply: Reply, rest: &[u8]) -> Option<Step> {
        if let Reply::Untagged(capabilities) = reply {
            self.capabilities = capabilities.or(self.capabilities.take());
            return None;
        }
        if reply == Reply::Goodbye {
            let phase = self.phase();
            let failure = self.classified(phase);
            return Some(self.fail(Event::Goodbye, failure));
        }
        if self.order.is_some() {
            return Some(self.fail_violation("a reply came before its command was sent"));
        }
        match self.state {
            State::Greeting => self.on_greeting(reply),
            State::Capabilities => self.on_capabilities(reply),
            State::Upgrade => Some(self.on_upgrade(&reply, rest)),
            State::Prompt => self.on_prompt(&reply),
            State::Verdict => self.on_verdict(reply, rest),
            State::Acknowledged => Some(self.on_final_word(&reply)),
            State::Handshake | State::Authenticated | State::Failed => {
                Some(self.fail_violation("a reply came where none can be"))
            }
        }
    }

    fn on_greeting(&mut self, reply: Reply) -> Option<Step> {
        match reply {
            Reply::Positive(capabilities) => {
                let assumed = self.assumed_capabilities();
                self.capabilities = capabilities.or(assumed);
                if self.capabilities.is_some() {
                    self.choose()
                } else {
                    self.order = Some((Event::Positive, Order::AskCapabilities));
                    None
                }
            }
            Reply::Negative => {
                let failure = self.classified(Phase::Greeting);
                Some(self.fail(Event::Negative, failure))
            }
            Reply::Preauthenticated => Some(self.fail_preauthenticated()),
            Reply::Prompt(_) | Reply::Goodbye | Reply::Untagged(_) => {
                Some(self.fail_violation("the greeting is a continuation request"))
            }
        }
    }

    fn on_capabilities(&mut self, reply: Reply) -> Option<Step> {
        match reply {
            Reply::Positive(capabilities) => {
                self.capabilities = capabilities.or(self.capabilities.take());
                self.choose()
            }
            Reply::Negative => {
                let failure = self.capabilities_refused();
                Some(self.fail(Event::Negative, failure))
            }
            // RFC 9051 section 7.1.4: PREAUTH is a greeting only.
            Reply::Preauthenticated => Some(self.fail_violation("PREAUTH came after the greeting")),
            Reply::Prompt(_) | Reply::Goodbye | Reply::Untagged(_) => Some(
                self.fail_violation("a continuation request answers a question for capabilities"),
            ),
        }
    }

    fn on_upgrade(&mut self, reply: &Reply, rest: &[u8]) -> Step {
        match reply {
            Reply::Positive(_) if rest.is_empty() => {
                self.enter(Event::Positive, State::Handshake);
                Step { send: Vec::new(), sensitive: false, next: Next::StartTls }
            }
            Reply::Positive(_) => self.fail_injected(),
            Reply::Negative => {
                let failure = self.upgrade_refused();
                self.fail(Event::Negative, failure)
            }
            Reply::Preauthenticated => self.fail_violation("PREAUTH came after the greeting"),
            Reply::Prompt(_) | Reply::Goodbye | Reply::Untagged(_) => {
                self.fail_violation("a continuation request answers the upgrade command")
            }
        }
    }

    fn on_prompt(&mut self, reply: &Reply) -> Option<Step> {
        match reply {
            Reply::Prompt(text) if carries_failure(text) => {
                let failure = self.classified(Phase::AuthFail);
                Some(self.fail(Event::Prompt, failure))
            }
            // In both mechanisms the client speaks first: data here belongs to something else.
            Reply::Prompt(text) if sasl::is_data(text.trim()) => {
                Some(self.fail_violation("the first continuation request holds data"))
            }
            Reply::Prompt(_) => {
                self.order = Some((Event::Prompt, Order::Respond));
                None
            }
            Reply::Negative => self.on_bare_refusal(),
            Reply::Positive(_) => {
                Some(self.fail_violation("the server reports a login before it was given a token"))
            }
            Reply::Preauthenticated => Some(self.fail_violation("PREAUTH came after the greeting")),
            Reply::Goodbye | Reply::Untagged(_) => None,
        }
    }

    fn on_verdict(&mut self, reply: Reply, rest: &[u8]) -> Option<Step> {
        match reply {
            Reply::Positive(capabilities) => Some(self.succeed(capabilities, rest)),
            // Stalwart ends a login with 334 and an enhanced code.
            Reply::Prompt(text) if carries_failure(&text) => {
                let failure = self.classified(Phase::AuthFail);
                Some(self.fail(Event::Prompt, failure))
            }
            Reply::Prompt(text) if text.trim().is_empty() && !self.inline => {
                let failure = Failure {
                    // James refuses so in one configuration: a new token is worth one try.
                    advice: Advice::RefreshToken,
                    certainty: Certainty::Guessed,
                    ..Failure::of_host(
                        Cause::ProtocolViolation,
                        "the server asks for the token a second time",
                    )
                };
                Some(self.fail(Event::Prompt, failure))
            }
            Reply::Prompt(text) => {
                self.prompted = prompted(&text).filter(|_| self.inline);
                let order =
                    if self.prompted.is_some() { Order::Cancel } else { Order::Acknowledge };
                self.challenge = Some(text).filter(|_| self.prompted.is_none());
                self.order = Some((Event::Prompt, order));
                None
            }
            Reply::Negative => self.on_refusal(),
            Reply::Preauthenticated => Some(self.fail_violation("PREAUTH came after the greeting")),
            Reply::Goodbye | Reply::Untagged(_) => None,
        }
    }

    /// A refusal of the bare command for want of an argument leads to one more try with the token in the line.
    fn on_bare_refusal(&mut self) -> Option<Step> {
        let failure = self.refused_before_token();
        if !self.misses_argument(&failure) {
            return Some(self.fail(Event::Negative, failure));
        }
        let fits = self.inline_octets(self.mechanism) <= self.dialect.asked_inline_octets_max;
        let may = self.config.initial_response != InitialResponse::Never && !self.retried;
        if may && fits {
            self.retried = true;
            self.order = Some((Event::Negative, Order::Login { inline: true }));
            return None;
        }
        let failure = self.wanted_in_line(failure);
        Some(self.fail(Event::Negative, failure))
    }

    /// A refusal of the line, not of the token, leads to one more try in two steps. POP3 servers close with it.
    fn on_refusal(&mut self) -> Option<Step> {
        let failure = self.refused_at_once();
        let of_the_line =
            matches!(failure.cause, Cause::LineTooLong | Cause::InitialResponseRefused);
        let lives = self.dialect.protocol != Protocol::Pop3;
        if of_the_line && self.inline && lives && !self.retried {
            self.retried = true;
            self.order = Some((Event::Negative, Order::Login { inline: false }));
            return None;
        }
        Some(self.fail(Event::Negative, failure))
    }

    fn on_final_word(&mut self, reply: &Reply) -> Step {
        match reply {
            Reply::Negative => {
                let failure = self.refused();
                self.fail(Event::Negative, failure)
            }
            Reply::Prompt(_) => self.fail_violation("a second error challenge"),
            Reply::Positive(_) => {
                self.fail_violation("the server reports a login after it had refused the token")
            }
            Reply::Preauthenticated | Reply::Goodbye | Reply::Untagged(_) => {
                self.fail_violation("PREAUTH came after the greeting")
            }
        }
    }

    /// Capabilities are known: the upgrade, or the login.
    fn choose(&mut self) -> Option<Step> {
        let none = Capabilities::default();
        let capabilities = self.capabilities.as_ref().unwrap_or(&none);
        if !self.secure {
            if capabilities.has(self.dialect.upgrade_command) {
                self.order = Some((Event::Positive, Order::Upgrade));
                return None;
            }
            let failure = self.tls_refused("the server does not offer the upgrade");
            return Some(self.fail(Event::Positive, failure));
        }
        let offered = |mechanism: &&Mechanism| capabilities.offers(self.dialect, **mechanism);
        let Some(&mechanism) = self.config.mechanisms.iter().find(offered) else {
            let failure = self.no_mechanism(capabilities);
            return Some(self.fail(Event::Positive, failure));
        };
        let inline = self.may_inline(capabilities, mechanism);
        self.mechanism = mechanism;
        self.order = Some((Event::Positive, Order::Login { inline }));
        None
    }

    fn may_inline(&self, capabilities: &Capabilities, mechanism: Mechanism) -> bool {
        match self.config.initial_response {
            InitialResponse::Always => true,
            InitialResponse::Never => false,
            InitialResponse::Auto => {
                let needs = self.dialect.inline_needs;
                let allowed = needs.is_empty() || needs.iter().any(|name| capabilities.has(name));
                allowed && self.inline_octets(mechanism) <= self.dialect.inline_octets_max
            }
        }
    }

    /// Octets of the line that carries command and token, with its CRLF.
    pub(super) fn inline_octets(&self, mechanism: Mechanism) -> usize {
        let bare =
            command_line(&self.tag, &format!("{} {} ", self.dialect.auth_command, mechanism));
        let NegotiationConfig { identity, endpoint, .. } = &self.config;
        let payload = sasl::encoded_octets(mechanism, identity, endpoint, &self.token);
        bare.len().saturating_add(payload)
    }

    /// Without the question, where the profile vouches for the answer and TLS is there already.
    fn assumed_capabilities(&self) -> Option<Capabilities> {
        let assumed = &self.config.assumed_capabilities;
        let usable = self.secure && !self.dialect.greets_by_name && !assumed.is_empty();
        usable.then(|| Capabilities::from_list(assumed.clone()))
    }
}

/// What a prompt is that came after the token. Data, and what begins like none of the words, is an error challenge.
fn prompted(text: &str) -> Option<Prompted> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Prompted::Empty);
    }
    let in_words = text.starts_with(|one: char| one.is_ascii_alphabetic());
    (in_words && !sasl::is_challenge(text)).then_some(Prompted::InWords)
}

/// `334 5.7.8 …`: a failure in the clothes of a prompt.
fn carries_failure(prompt: &str) -> bool {
    let first = prompt.trim_start().split(' ').next().unwrap_or_default();
    is_enhanced_code(first) && !first.starts_with('2')
}
