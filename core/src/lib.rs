//! Keeps a program logged in to a mail account with OAuth 2.0.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod classify;
mod config;
mod dialect;
mod failure;
pub mod limits;
mod line;
mod negotiation;
mod provider;
mod redact;
mod reply;
mod sasl;
mod session;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
mod token;
mod watch;

pub use classify::{Phase, classify};
pub use config::{
    ConfigError, Endpoint, Field, Identity, InitialResponse, Mechanism, NegotiationConfig,
    Protocol, Tls,
};
pub use failure::{Advice, Cause, Certainty, Failure, Misuse, Verdict};
pub use negotiation::{Authenticated, Event, Negotiation, Next, State, Step, TRANSITIONS};
pub use provider::{Provider, Service, SessionLimits};
pub use sasl::{Rejection, acknowledgement, initial_response, read_rejection};
pub use session::{
    Action, Input, Learnt, Login, Plan, RenewWhy, Renewal, Session, SessionConfig, SessionPhase,
    Status, TokenNeed, WakeReason,
};
pub use token::{AccessToken, TOKEN_OCTETS_MAX};
pub use watch::{Aftermath, Mailbox, Sighting, Submission, Watch};
