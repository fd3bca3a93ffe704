//! From the greeting to authenticated: octets in, one [`Step`] out.
//!
//! Rules (each is a test below or in `tests/cases/`):
//!
//! 1. Octets with the token leave over TLS only, and once in an exchange, whatever the server prompts for.
//! 2. Everything that a read brought is looked at before anything is sent: a server that answers a question that was
//!    not asked has lost step with us, or somebody in the middle speaks.
//! 3. After an error challenge there is one acknowledgement, and then the login has failed, whatever the final word.
//! 4. A step that fails sends nothing, and after the end nothing is taken.
//! 5. Nothing heard before TLS survives it.
//!
//! ```text
//! Greeting ─▶ Capabilities ─▶ Upgrade ─▶ Handshake ─▶ Capabilities ─▶ Prompt ─▶ Verdict ─▶ Authenticated
//!     └────────────────────────────────────────────────────┴──── inline ──────────▲ │ └─▶ Acknowledged ─▶ Failed
//!                                                              └◀─ line too long ───┘
//! ```
//! States are named by what is awaited next. `Capabilities` is left out where they are known from the greeting or the
//! profile; `Prompt` where the token travels inline. Every state can end in `Failed`. `TRANSITIONS` lists every legal
//! edge: the tests hold the machine against it, and the diagrams in `docs/` are made from it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use crate::classify::{Phase, classify, is_enhanced_code, text_and_code};
use crate::config::{ConfigError, InitialResponse, Mechanism, NegotiationConfig, Protocol, Tls};
use crate::dialect::{Capabilities, Dialect};
use crate::failure::{
    Advice, Cause, Certainty, Failure, Misuse, Verdict, default_advice, spelled_enum,
};
use crate::redact::Secrets;
use crate::reply::{Awaited, Reply, ReplyFault, ReplyReader, command_line};
use crate::sasl::{self, Rejection};
use crate::token::AccessToken;

/// What the host does next. First it writes all of `send`, then it does what `next` says.
#[must_use]
#[derive(Clone, PartialEq, Eq)]
pub struct Step {
    /// Octets to write; empty when there are none.
    pub send: Vec<u8>,
    /// Whether `send` carries the token: it must not be logged.
    pub sensitive: bool,
    /// What to do after writing.
    pub next: Next,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Step");
        if self.sensitive {
            debug.field("send", &format_args!("<{} octets with the token>", self.send.len()));
        } else {
            debug.field("send", &String::from_utf8_lossy(&self.send));
        }
        debug.field("sensitive", &self.sensitive).field("next", &self.next).finish()
    }
}

/// What the host does after writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Read from the socket, and give what came to [`Negotiation::receive`].
    Read,
    /// Do the TLS handshake on this socket, with an empty read buffer, and call [`Negotiation::tls_established`].
    StartTls,
    /// The login worked.
    Done(Authenticated),
    /// The login failed: close the socket.
    Failed(Failure),
}

/// A login that worked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// The mechanism that was used.
    pub mechanism: Mechanism,
    /// What the server said that it can do now: with the end of the login, or in the answer to EHLO, which stays true. Empty
    /// where it said nothing: ask.
    pub capabilities: Vec<String>,
    /// Octets that came behind the end of the login: they belong to the mail client.
    pub leftover: Vec<u8>,
}

spelled_enum! {
    /// What a [`Negotiation`] waits for.
    State {
        /// The first reply.
        Greeting = "greeting",
        /// The answer to the capability command.
        Capabilities = "capabilities",
        /// The answer to the upgrade command.
        Upgrade = "upgrade",
        /// The host's TLS handshake.
        Handshake = "handshake",
        /// The prompt for the token.
        Prompt = "prompt",
        /// The verdict, after the token was sent.
        Verdict = "verdict",
        /// The final word, after the error challenge was acknowledged.
        Acknowledged = "acknowledged",
        /// Nothing: the login worked.
        Authenticated = "authenticated",
        /// Nothing: the login failed.
        Failed = "failed",
    }
}

spelled_enum! {
    /// What makes a [`Negotiation`] go from one state to another.
    Event {
        /// A reply in the positive.
        Positive = "positive",
        /// A refusal.
        Negative = "negative",
        /// A continuation request.
        Prompt = "prompt",
        /// `* BYE`, `421`.
        Goodbye = "goodbye",
        /// `* PREAUTH`.
        Preauthenticated = "preauthenticated",
        /// The host's TLS handshake is done.
        TlsEstablished = "tls_established",
        /// The connection ended.
        Closed = "closed",
        /// A limit or a rule of the protocol was broken.
        Fault = "fault",
    }
}

/// Every legal edge.
pub const TRANSITIONS: &[(State, Event, State)] = {
    use Event::{
        Closed, Fault, Goodbye, Negative, Positive, Preauthenticated, Prompt as Prompted,
        TlsEstablished,
    };
    use State::{
        Acknowledged, Authenticated, Capabilities, Failed, Greeting, Handshake, Prompt, Upgrade,
        Verdict,
    };
    &[
        (Greeting, Positive, Capabilities),
        (Greeting, Positive, Upgrade),
        (Greeting, Positive, Prompt),
        (Greeting, Positive, Verdict),
        (Greeting, Positive, Failed),
        (Greeting, Negative, Failed),
        (Greeting, Goodbye, Failed),
        (Greeting, Preauthenticated, Failed),
        (Greeting, Fault, Failed),
        (Greeting, Closed, Failed),
        (Capabilities, Positive, Upgrade),
        (Capabilities, Positive, Prompt),
        (Capabilities, Positive, Verdict),
        (Capabilities, Positive, Failed),
        (Capabilities, Negative, Failed),
        (Capabilities, Goodbye, Failed),
        (Capabilities, Fault, Failed),
        (Capabilities, Closed, Failed),
        (Upgrade, Positive, Handshake),
        (Upgrade, Negative, Failed),
        (Upgrade, Goodbye, Failed),
        (Upgrade, Fault, Failed),
        (Upgrade, Closed, Failed),
        (Handshake, TlsEstablished, Capabilities),
        (Handshake, Fault, Failed),
        (Handshake, Closed, Failed),
        (Prompt, Prompted, Verdict),
        (Prompt, Prompted, Failed),
        (Prompt, Negative, Failed),
        (Prompt, Goodbye, Failed),
        (Prompt, Fault, Failed),
        (Prompt, Closed, Failed),
        (Verdict, Positive, Authenticated),
        (Verdict, Prompted, Acknowledged),
        (Verdict, Prompted, Failed),
        (Verdict, Negative, Prompt),
        (Verdict, Negative, Failed),
        (Verdict, Goodbye, Failed),
        (Verdict, Fault, Failed),
        (Verdict, Closed, Failed),
        (Acknowledged, Negative, Failed),
        (Acknowledged, Goodbye, Failed),
        (Acknowledged, Fault, Failed),
        (Acknowledged, Closed, Failed),
    ]
};

/// Logs in over one connection. It has no clock: the host sets a deadline and drops it when that passes.
///
/// ```
/// use mailbearer::{AccessToken, Endpoint, Identity, Negotiation, NegotiationConfig, Next, Protocol, Tls};
/// let endpoint = Endpoint::new(Protocol::Imap, Tls::Implicit, "imap.example.org");
/// let config = NegotiationConfig::new(endpoint, Identity::new("joe@example.org"));
/// let mut negotiation = Negotiation::new(config, AccessToken::new("ya29.token")?)?;
///
/// let step = negotiation.receive(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready\r\n")?;
/// assert!(step.send.starts_with(b"A0001 AUTHENTICATE XOAUTH2 "));
/// assert!(step.sensitive);
/// assert_eq!(step.next, Next::Read);
///
/// let step = negotiation.receive(b"A0001 OK [CAPABILITY IMAP4rev1 IDLE] Logged in\r\n")?;
/// let Next::Done(authenticated) = step.next else { panic!("{step:?}") };
/// assert_eq!(authenticated.capabilities, ["IMAP4rev1", "IDLE"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Negotiation {
    config: NegotiationConfig,
    dialect: &'static Dialect,
    token: AccessToken,
    state: State,
    /// Whether the octets that are written now are protected.
    secure: bool,
    replies: ReplyReader,
    /// Commands sent, for the tags.
    commands: u16,
    /// The tag of the last one; empty where the protocol has none.
    tag: String,
    /// The last list heard in this phase of TLS.
    capabilities: Option<Capabilities>,
    mechanism: Mechanism,
    /// Whether the token went out in the line of the command.
    inline: bool,
    /// The error challenge, as it came.
    challenge: Option<String>,
    /// What to send when the read has been looked at whole, and the event that led to it.
    order: Option<(Event, Order)>,
    #[cfg(test)]
    pub(crate) trail: Vec<(State, Event, State)>,
}

/// What the machine is about to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    AskCapabilities,
    Upgrade,
    Login { inline: bool },
    Respond,
    Acknowledge,
}

impl fmt::Debug for Negotiation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Negotiation")
            .field("endpoint", &self.config.endpoint)
            .field("state", &self.state)
            .field("secure", &self.secure)
            .finish_non_exhaustive()
    }
}

impl Negotiation {
    /// A negotiation for a connection that is open, and encrypted where the endpoint says [`Tls::Implicit`].
    ///
    /// # Errors
    /// [`ConfigError`] when a setting cannot work.
    pub fn new(config: NegotiationConfig, token: AccessToken) -> Result<Self, ConfigError> {
        config.validate()?;
        let protocol = config.endpoint.protocol;
        let mechanism = config.mechanisms.first().copied().unwrap_or(Mechanism::XOAuth2);
        let dialect = Dialect::of(protocol);
        Ok(Self {
            dialect,
            token,
            state: State::Greeting,
            secure: config.endpoint.tls == Tls::Implicit,
            replies: ReplyReader::new(protocol),
            commands: 0,
            tag: tag(dialect, 0),
            capabilities: None,
            mechanism,
            inline: false,
            challenge: None,
            order: None,
            config,
            #[cfg(test)]
            trail: Vec::new(),
        })
    }

    /// Takes what one read of the socket brought.
    ///
    /// # Errors
    /// [`Misuse`] when the calling code is wrong. Whatever the server does is a [`Step`].
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Step, Misuse> {
        self.check_open()?;
        if bytes.is_empty() {
            return Err(Misuse::EmptyRead);
        }
        if self.state == State::Handshake {
            // RFC 8446 section 4.1.2: a server cannot speak first in TLS. These octets were sent in the clear.
            return Ok(self.fail_injected());
        }
        let mut rest = bytes;
        loop {
            let awaited = self.awaited();
            let reply = match self.replies.take(&mut rest, awaited, &self.tag) {
                Ok(Some(reply)) => reply,
                Ok(None) => return Ok(self.perform()),
                Err(fault) => return Ok(self.fail_fault(fault)),
            };
            if let Some(step) = self.on_reply(reply, rest) {
                return Ok(step);
            }
        }
    }

    /// The TLS handshake that [`Next::StartTls`] asked for is done, and certificate and host name are verified.
    ///
    /// # Errors
    /// [`Misuse`] when no handshake was asked for.
    pub fn tls_established(&mut self) -> Result<Step, Misuse> {
        self.check_open()?;
        if self.state != State::Handshake {
            return Err(Misuse::NoHandshakeExpected);
        }
        // RFC 9051 section 6.2.1, RFC 3207 section 4.2: nothing heard before TLS may be kept.
        self.replies = ReplyReader::new(self.config.endpoint.protocol);
        self.capabilities = None;
        self.secure = true;
        self.order = Some((Event::TlsEstablished, Order::AskCapabilities));
        Ok(self.perform())
    }

    /// The connection reached its end, or broke.
    ///
    /// # Errors
    /// [`Misuse`] when the negotiation is over already.
    pub fn closed(&mut self) -> Result<Step, Misuse> {
        self.check_open()?;
        let failure = match self.state {
            State::Handshake => {
                Failure::of_host(Cause::TlsFailed, "the connection ended in the TLS handshake")
            }
            // The challenge said it: only the formal end is missing.
            State::Acknowledged => self.refused(&[]),
            State::Verdict => Failure::of_host(
                Cause::ConnectionLost,
                "the server closed it without an answer to the token",
            ),
            State::Greeting
            | State::Capabilities
            | State::Upgrade
            | State::Prompt
            | State::Authenticated
            | State::Failed => Failure::of_host(Cause::ConnectionLost, "before the login was done"),
        };
        Ok(self.fail(Event::Closed, failure))
    }

    /// Masks the token, and any part of it, in text of the server that is to be logged: servers were seen to repeat the
    /// line that they refuse.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        self.secrets().redact(text.to_string())
    }

    /// What is awaited.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The mechanism that is tried, or will be tried first.
    #[must_use]
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Whether the host was told to do the TLS handshake.
    #[must_use]
    pub fn awaits_tls(&self) -> bool {
        self.state == State::Handshake
    }

    fn check_open(&self) -> Result<(), Misuse> {
        match self.state {
            State::Authenticated | State::Failed => Err(Misuse::Finished),
            State::Greeting
            | State::Capabilities
            | State::Upgrade
            | State::Handshake
            | State::Prompt
            | State::Verdict
            | State::Acknowledged => Ok(()),
        }
    }

    fn awaited(&self) -> Awaited {
        if self.order.is_some() {
            return Awaited::Nothing;
        }
        match self.state {
            State::Greeting => Awaited::Greeting,
            State::Capabilities => Awaited::Capabilities,
            State::Upgrade => Awaited::Upgrade,
            State::Prompt | State::Verdict | State::Acknowledged => Awaited::Login,
            State::Handshake | State::Authenticated | State::Failed => Awaited::Nothing,
        }
    }

    // ---- What a reply means in a state ---------------------------------------------------------------------------

    /// Looks at one reply; `rest` is what came behind it in the same read. A step ends the read.
    fn on_reply(&mut self, reply: Reply, rest: &[u8]) -> Option<Step> {
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
                let failure = self.tls_refused("the server refused to start it");
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
            Reply::Negative => {
                let failure = self.refused_before_token();
                Some(self.fail(Event::Negative, failure))
            }
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
                self.challenge = Some(text);
                self.order = Some((Event::Prompt, Order::Acknowledge));
                None
            }
            Reply::Negative => self.on_refusal(),
            Reply::Preauthenticated => Some(self.fail_violation("PREAUTH came after the greeting")),
            Reply::Goodbye | Reply::Untagged(_) => None,
        }
    }

    /// A refusal of the line, not of the token, leads to one more try in two steps.
    fn on_refusal(&mut self) -> Option<Step> {
        let failure = self.classified(Phase::AuthFail);
        let of_the_line =
            matches!(failure.cause, Cause::LineTooLong | Cause::InitialResponseRefused);
        if of_the_line && self.inline && self.dialect.protocol == Protocol::Smtp {
            self.order = Some((Event::Negative, Order::Login { inline: false }));
            return None;
        }
        Some(self.fail(Event::Negative, failure))
    }

    fn on_final_word(&mut self, reply: &Reply) -> Step {
        match reply {
            Reply::Negative => {
                let lines =
                    self.replies.last_reply().iter().map(ToString::to_string).collect::<Vec<_>>();
                let failure = self.refused(&lines);
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
            let failure = Failure::of_host(
                Cause::MechanismUnavailable,
                "neither XOAUTH2 nor OAUTHBEARER is among the capabilities that may be used",
            );
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
    fn inline_octets(&self, mechanism: Mechanism) -> usize {
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

    // ---- What is sent --------------------------------------------------------------------------------------------

    /// The read has been looked at whole: send what it led to.
    fn perform(&mut self) -> Step {
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

    fn payload(&self, mechanism: Mechanism) -> Zeroizing<String> {
        let config = &self.config;
        let message = Zeroizing::new(sasl::message(
            mechanism,
            &config.identity,
            &config.endpoint,
            &self.token,
        ));
        Zeroizing::new(sasl::encode(&message))
    }

    /// The token as a server may send it back.
    fn secrets(&self) -> Secrets {
        Secrets::of(&self.token)
    }

    // ---- Ends ----------------------------------------------------------------------------------------------------

    fn succeed(&mut self, capabilities: Option<Capabilities>, rest: &[u8]) -> Step {
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

    fn fail(&mut self, event: Event, failure: Failure) -> Step {
        self.order = None;
        self.enter(event, State::Failed);
        Step { send: Vec::new(), sensitive: false, next: Next::Failed(failure) }
    }

    fn fail_fault(&mut self, fault: ReplyFault) -> Step {
        match fault {
            ReplyFault::Limit(detail) => {
                self.fail(Event::Fault, Failure::of_host(Cause::LimitExceeded, detail))
            }
            ReplyFault::Violation(detail) => self.fail_violation(detail),
        }
    }

    fn fail_violation(&mut self, detail: &'static str) -> Step {
        self.fail(Event::Fault, Failure::of_host(Cause::ProtocolViolation, detail))
    }

    fn fail_injected(&mut self) -> Step {
        let failure =
            Failure::of_host(Cause::PlaintextInjected, "behind the reply that starts TLS");
        self.fail(Event::Fault, failure)
    }

    fn fail_preauthenticated(&mut self) -> Step {
        let failure = Failure::of_host(
            Cause::Preauthenticated,
            "the session would belong to whoever it says",
        );
        self.fail(Event::Preauthenticated, failure)
    }

    fn tls_refused(&self, detail: &'static str) -> Failure {
        let (_, code) = text_and_code(self.dialect.protocol, &self.replies.last_reply());
        Failure { code, ..Failure::of_host(Cause::TlsRefused, detail) }
    }

    fn phase(&self) -> Phase {
        match self.state {
            State::Greeting => Phase::Greeting,
            State::Capabilities | State::Upgrade | State::Handshake => Phase::Capability,
            State::Prompt | State::Verdict | State::Acknowledged => Phase::AuthFail,
            State::Authenticated | State::Failed => Phase::Disconnect,
        }
    }

    /// The failure that the last reply stands for.
    fn classified(&self, phase: Phase) -> Failure {
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
        let text = if self.secure { secrets.redact(text) } else { String::new() };
        let url = verdict.url.take().filter(|_| self.secure).map(|url| secrets.redact(url));
        let code = code.map(|code| secrets.redact(code));
        Failure { server_text: text, code, url, ..Failure::from_verdict(verdict) }
    }

    /// A server without the capability command cannot be logged in to; one that is down says so.
    fn capabilities_refused(&self) -> Failure {
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
    fn refused_before_token(&self) -> Failure {
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
    fn refused(&self, lines: &[String]) -> Failure {
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

    /// The one writer of the state.
    fn enter(&mut self, event: Event, state: State) {
        #[cfg(test)]
        self.trail.push((self.state, event, state));
        let _ = event;
        self.state = state;
        // A list is asked for anew, or has done its work: what is heard from here on replaces it.
        // RFC 4954 section 4: without a security layer, what EHLO said stays true after the login.
        let asked_anew = state == State::Capabilities;
        let login_changes_it =
            matches!(state, State::Prompt | State::Verdict) && !self.dialect.greets_by_name;
        if asked_anew || login_changes_it {
            self.capabilities = None;
        }
    }
}

/// Five characters, as many servers' own examples have them.
fn tag(dialect: &Dialect, commands: u16) -> String {
    if dialect.tagged { format!("A{commands:04}") } else { String::new() }
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

/// `334 5.7.8 …`: a failure in the clothes of a prompt.
fn carries_failure(prompt: &str) -> bool {
    let first = prompt.trim_start().split(' ').next().unwrap_or_default();
    is_enhanced_code(first) && !first.starts_with('2')
}

#[cfg(test)]
mod tests;
