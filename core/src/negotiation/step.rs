//! What goes out of a [`Negotiation`](super::Negotiation)(super::Negotiation), its states, and every legal edge between them.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::config::Mechanism;
use crate::failure::{Failure, spelled_enum};

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
    /// Read from the socket, and give what came to [`Negotiation::receive`](super::Negotiation::receive).
    Read,
    /// Do the TLS handshake on this socket, with an empty read buffer, and call
    /// [`Negotiation::tls_established`](super::Negotiation::tls_established).
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
    /// What a [`Negotiation`](super::Negotiation) waits for.
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
    /// What makes a [`Negotiation`](super::Negotiation) go from one state to another.
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
        (Prompt, Negative, Verdict),
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
