//! A day of virtual time with servers and token sources that lead to many logins: none leads to more than the budget, for a
//! session and for an account of one.
#![allow(clippy::expect_used, clippy::panic, reason = "a test")]

mod account;
mod keep_alive;
mod session;
mod stops;
mod world;
