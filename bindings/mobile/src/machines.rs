//! `Negotiation` and `Watch`.

use std::sync::{Arc, Mutex};

use mailbearer::{Aftermath, Mechanism, Protocol as MailProtocol, Side};

use crate::errors::{CoreError, guard, locked};
use crate::pure::AccessToken;
use crate::records::{Failure, NegotiationConfig, Verdict};

/// What the host does next: it writes `send`, then what `next` says.
#[derive(uniffi::Record)]
pub struct Step {
    /// Octets to write.
    pub send: Vec<u8>,
    /// Whether they carry the token: they must not be logged.
    pub sensitive: bool,
    /// What to do then.
    pub next: Next,
}

/// What follows on a step.
#[derive(uniffi::Enum)]
pub enum Next {
    /// Read from the socket.
    Read,
    /// Do the TLS handshake on this socket, with an empty read buffer.
    StartTls,
    /// The login worked.
    Done {
        /// What it brought.
        authenticated: Authenticated,
    },
    /// The login did not work.
    Failed {
        /// Why.
        failure: Failure,
    },
}

/// A login that worked.
#[derive(uniffi::Record)]
pub struct Authenticated {
    /// How.
    pub mechanism: Mechanism,
    /// What the server said with the login that it can do; empty where it said nothing.
    pub capabilities: Vec<String>,
    /// Octets that came behind the login: they belong to the mail client.
    pub leftover: Vec<u8>,
}

/// From the greeting to authenticated: octets in, one step out. It has no clock.
#[derive(uniffi::Object)]
pub struct Negotiation(Mutex<mailbearer::Negotiation>);

#[uniffi::export]
impl Negotiation {
    /// A machine for one login on one connection.
    #[uniffi::constructor]
    pub fn new(config: NegotiationConfig, token: &AccessToken) -> Result<Arc<Self>, CoreError> {
        guard(|| {
            let negotiation = mailbearer::Negotiation::new(config.into(), token.0.clone())?;
            Ok(Arc::new(Self(Mutex::new(negotiation))))
        })
    }

    /// Takes what one read of the socket brought.
    pub fn receive(&self, bytes: &[u8]) -> Result<Step, CoreError> {
        locked(&self.0, |negotiation| Ok(negotiation.receive(bytes)?.into()))
    }

    /// The TLS handshake is done.
    pub fn tls_established(&self) -> Result<Step, CoreError> {
        locked(&self.0, |negotiation| Ok(negotiation.tls_established()?.into()))
    }

    /// The connection reached its end.
    pub fn closed(&self) -> Result<Step, CoreError> {
        locked(&self.0, |negotiation| Ok(negotiation.closed()?.into()))
    }

    /// Masks the token in text of the server that is to be logged.
    pub fn redact(&self, text: &str) -> Result<String, CoreError> {
        locked(&self.0, |negotiation| Ok(negotiation.redact(text)))
    }
}

impl From<mailbearer::Step> for Step {
    fn from(step: mailbearer::Step) -> Self {
        let next = match step.next {
            mailbearer::Next::Read => Next::Read,
            mailbearer::Next::StartTls => Next::StartTls,
            mailbearer::Next::Done(authenticated) => {
                Next::Done { authenticated: authenticated.into() }
            }
            mailbearer::Next::Failed(failure) => Next::Failed { failure: failure.into() },
        };
        Self { send: step.send, sensitive: step.sensitive, next }
    }
}

impl From<mailbearer::Authenticated> for Authenticated {
    fn from(authenticated: mailbearer::Authenticated) -> Self {
        Self {
            mechanism: authenticated.mechanism,
            capabilities: authenticated.capabilities,
            leftover: authenticated.leftover,
        }
    }
}

/// A line of a dialogue, without line end, token and hidden characters.
#[derive(Debug, Clone, uniffi::Record)]
pub struct TraceLine {
    /// Who said it.
    pub side: Side,
    /// What was said.
    pub text: String,
}

/// Turns the octets of one connection into lines that may be logged: the token of its login is masked wherever a server
/// repeats it, however the octets were cut on their way. It takes all that is read and written in the login, in order, and
/// gives a line when its end has come.
#[derive(uniffi::Object)]
pub struct Transcript(Mutex<mailbearer::Transcript>);

#[uniffi::export]
impl Transcript {
    /// A transcript of one connection, whose login uses this token.
    #[uniffi::constructor]
    pub fn new(token: &AccessToken) -> Result<Arc<Self>, CoreError> {
        guard(|| Ok(Arc::new(Self(Mutex::new(mailbearer::Transcript::new(&token.0))))))
    }

    /// Takes what was written. Where it is `sensitive`, the last word of a line is the token.
    pub fn sent(&self, bytes: Vec<u8>, sensitive: bool) -> Result<Vec<TraceLine>, CoreError> {
        locked(&self.0, |transcript| Ok(lines(transcript.sent(&bytes, sensitive))))
    }

    /// Takes what one read brought.
    pub fn received(&self, bytes: &[u8]) -> Result<Vec<TraceLine>, CoreError> {
        locked(&self.0, |transcript| Ok(lines(transcript.received(bytes))))
    }

    /// Gives out lines that have no end yet: before a TLS handshake, and when the login is over.
    pub fn flush(&self) -> Result<Vec<TraceLine>, CoreError> {
        locked(&self.0, |transcript| Ok(lines(transcript.flush())))
    }
}

fn lines(lines: Vec<mailbearer::TraceLine>) -> Vec<TraceLine> {
    lines.into_iter().map(|line| TraceLine { side: line.side, text: line.text }).collect()
}

/// What a read brought.
#[derive(uniffi::Record)]
pub struct Sighting {
    /// The server ends the session, and why: reported once.
    pub ending: Option<Verdict>,
    /// Octets of message content that come next, which the host need not show: it may report them with `skipped` instead.
    pub skip: u64,
}

/// After the login: looks at the octets of both directions, and says when the server ends the session, and what was in
/// flight. Give it the `leftover` of the login first.
#[derive(uniffi::Object)]
pub struct Watch(Mutex<mailbearer::Watch>);

#[uniffi::export]
impl Watch {
    /// A watch for a session that has just been logged in.
    #[uniffi::constructor]
    pub fn new(protocol: MailProtocol) -> Result<Arc<Self>, CoreError> {
        guard(|| Ok(Arc::new(Self(Mutex::new(mailbearer::Watch::new(protocol))))))
    }

    /// Octets that came from the server.
    pub fn received(&self, bytes: &[u8]) -> Result<Sighting, CoreError> {
        locked(&self.0, |watch| {
            let sighting = watch.received(bytes);
            Ok(Sighting { ending: sighting.ending.map(Into::into), skip: sighting.skip })
        })
    }

    /// Octets of content that the host passed by, at most the last `skip`.
    pub fn skipped(&self, octets: u64) -> Result<(), CoreError> {
        locked(&self.0, |watch| {
            watch.skipped(octets);
            Ok(())
        })
    }

    /// Octets that the client wrote.
    pub fn sent(&self, bytes: &[u8]) -> Result<(), CoreError> {
        locked(&self.0, |watch| {
            watch.sent(bytes);
            Ok(())
        })
    }

    /// The connection reached its end: why, as far as the octets tell.
    pub fn closed(&self) -> Result<Verdict, CoreError> {
        locked(&self.0, |watch| Ok(watch.closed().into()))
    }

    /// What was in flight.
    pub fn aftermath(&self) -> Result<Aftermath, CoreError> {
        locked(&self.0, |watch| Ok(watch.aftermath()))
    }

    /// Whether nothing is in flight, so that the connection may be let go now.
    pub fn is_quiet(&self) -> Result<bool, CoreError> {
        locked(&self.0, |watch| Ok(watch.is_quiet()))
    }
}
