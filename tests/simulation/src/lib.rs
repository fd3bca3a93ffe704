//! A session in a simulated world: a Gmail-like server, a token endpoint, a network, a host, and a clock that a seed moves.
//!
//! A world is one thread's work and nothing outside its seed decides anything, so that a failing seed fails again:
//! `cargo run -p mailbearer-simulation -- SEED` prints its transcript.
#![allow(clippy::expect_used, reason = "a simulation ends when its own machinery is wrong")]

mod checks;
mod history;
mod mailbox;
mod world;

pub use checks::Broken;
pub use history::{Fault, History, Move, Opening, Setting, Word};
pub use mailbox::{Limit, Mailbox, MailboxBug, MailboxReport, Rule};
pub use world::{Bug, Report, World};
