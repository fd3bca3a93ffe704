//! Logs in to mail with OAuth 2.0, and keeps the login alive: SASL XOAUTH2 and OAUTHBEARER over IMAP, POP3 and SMTP.
//!
//! The crate does no I/O, reads no clock and calls nothing back: octets, facts and times go in, steps and plans come out.
//!
//! | you have | use |
//! |---|---|
//! | a mail library that does the rest | [`initial_response`], [`read_rejection`], [`classify`] |
//! | a socket and TLS | [`Negotiation`]: from the greeting to authenticated |
//! | a stream after the login | [`Watch`]: says when the server ends the session, and what was in flight |
//! | a token source, a clock, and a connection to keep | [`Session`] |
//! | a mailbox, and a program that wants connections to it | [`Account`] |
//! | an IMAP connection, and a mailbox to follow | [`Follow`] |
//! | SMTP connections, and messages to send once each | [`Outbox`], [`Submit`] |
//! | a dialogue to show | [`Transcript`] |
//! | a mail address, and no server | [`discover`], with the feature of that name |
//! | a program to test | [`testing`], with the feature of that name |
//!
//! What a login is told is in [`NegotiationConfig`]; a [`Provider`] fills it in. What went wrong is a [`Failure`], what a reply
//! means a [`Verdict`]. `Err` is for calling code that is wrong ([`ConfigError`], [`Misuse`]): whatever a server does is a
//! [`Step`] or a [`Plan`]. All bounds are in [`limits`].
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(all(feature = "discover", feature = "testing")),
    allow(rustdoc::broken_intra_doc_links, reason = "modules of features")
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod a_label;
mod account;
mod certificate;
mod classify;
mod config;
mod dialect;
#[cfg(feature = "discover")]
pub mod discover;
mod failure;
mod follow;
pub mod limits;
mod line;
mod mistakes;
mod negotiation;
mod outbox;
mod provider;
mod redact;
mod reply;
mod sasl;
mod session;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
mod token;
mod transcript;
mod watch;

pub use account::{
    ACCOUNT_TRANSITIONS, Account, AccountConfig, AccountEvent, AccountPlan, AccountStatus,
    Delivery, EventKind, Fact, Given, NoToken, Order, Raise, RaiseKind, SessionKey, SessionStatus,
    Standing,
};
pub use classify::{Names, Phase, Said, classify, classify_named, explain};
pub use config::{
    ConfigError, Endpoint, Field, Identity, InitialResponse, Mechanism, NegotiationConfig,
    Protocol, Tls,
};
pub use failure::{Advice, Cause, Certainty, Failure, Misuse, Verdict};
pub use follow::{Cursor, Follow, FollowConfig, FollowEvent, FollowPlan, FollowState};
pub use negotiation::{Authenticated, Event, Negotiation, Next, State, Step, TRANSITIONS};
pub use outbox::{
    Answer, Envelope, Fate, Job, Outbox, OutboxConfig, Outcome, Settled, Submit, SubmitPlan,
};
pub use provider::{OAuth, OAuthParameter, Provider, Service, SessionLimits};
pub use redact::redact_source;
pub use sasl::{Rejection, acknowledgement, initial_response, read_rejection};
pub use session::{
    Action, Input, Learnt, Login, Plan, RenewWhy, Renewal, SESSION_TRANSITIONS, Session,
    SessionConfig, SessionPhase, Status, TokenNeed, WakeReason,
};
pub use token::{AccessToken, TOKEN_OCTETS_MAX};
pub use transcript::{Side, TraceLine, Transcript};
pub use watch::{Aftermath, Mailbox, Sighting, Submission, Watch};

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
