//! From the greeting to authenticated: octets in, one [`Step`] out.
//!
//! Rules (each is a test below or in `tests/cases/`):
//!
//! 1. Octets with the token leave over TLS only, and once in an exchange, whatever the server prompts for.
//! 2. Everything that a read brought is looked at before anything is sent: a server that answers a question that was
//!    not asked has lost step with us, or somebody in the middle speaks.
//! 3. After an error challenge there is one acknowledgement, and then the login has failed, whatever the final word.
//! 4. A step that fails sends nothing, and after the end nothing is taken.
//! 5. Nothing heard before TLS survives it, and nobody is believed there: what is said in the clear leads to causes of the
//!    connection, of TLS and of the protocol, without a wait, an address or a word of the server.
//! 6. What the dialogue itself shows decides before words: the length of our line, a prompt after the token, a challenge that
//!    says `invalid_token`.
//!
//! ```text
//! Greeting ─▶ Capabilities ─▶ Upgrade ─▶ Handshake ─▶ Capabilities ─▶ Prompt ─▶ Verdict ─▶ Authenticated
//!     └────────────────────────────────────────────────────┴──── inline ──────────▲ │ └─▶ Acknowledged ─▶ Failed
//!                                                              └◀─ line too long ───┘
//! ```
//! States are named by what is awaited next. `Capabilities` is left out where they are known from the greeting or the
//! profile; `Prompt` where the token travels inline. Every state can end in `Failed`. `TRANSITIONS` lists every legal
//! edge: the tests hold the machine against it, and the diagrams in `docs/` are made from it.

mod ends;
mod refusals;
mod replies;
mod sending;
mod step;

use alloc::format;
use alloc::string::{String, ToString};
#[cfg(test)]
use alloc::vec::Vec;
use core::fmt;

pub use step::{Authenticated, Event, Next, State, Step, TRANSITIONS};

use crate::config::{ConfigError, Mechanism, NegotiationConfig, Tls};
use crate::dialect::{Capabilities, Dialect};
use crate::failure::Misuse;
use crate::reply::{Awaited, ReplyReader};
use crate::token::AccessToken;

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
    /// Whether the login was begun anew in the other way, in two steps or in the line: that is done once.
    retried: bool,
    /// What came in place of a verdict, after the token had gone out in the line.
    prompted: Option<Prompted>,
    /// The error challenge, as it came.
    challenge: Option<String>,
    /// What to send when the read has been looked at whole, and the event that led to it.
    order: Option<(Event, Order)>,
    #[cfg(test)]
    pub(crate) trail: Vec<(State, Event, State)>,
}

/// A prompt for a token that was sent already: the server has not taken it, or refuses it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prompted {
    /// `334 XOAUTH2 supported`: nobody refuses in such words.
    InWords,
    /// `+ `: a prompt at most servers, and the refusal of Apache James in one configuration.
    Empty,
}

/// What the machine is about to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    AskCapabilities,
    Upgrade,
    Login {
        inline: bool,
    },
    Respond,
    Acknowledge,
    /// RFC 4954 section 4, RFC 9051 section 6.2.2, RFC 5034 section 4: `*` ends an exchange.
    Cancel,
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
            retried: false,
            prompted: None,
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
        let failure = self.closed_too_early();
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

    /// Whether what is said now is protected: before TLS anybody may have said it.
    pub(crate) fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether the server prompted for a token that it had in the line of the command: the next login goes in two steps.
    pub(crate) fn wants_two_steps(&self) -> bool {
        self.prompted.is_some()
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

#[cfg(test)]
mod tests;
