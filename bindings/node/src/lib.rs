//! The native addon of the npm package `mailbearer`: the machines of the core for Node. What users see is in `node/src`.
//!
//! Octets come in as `Uint8Array` and go out as `Buffer`, copied, never as external memory; names are `snake_case`
//! strings; times and numbers of connections are JavaScript numbers. Every entry catches panics. The TypeScript side
//! checks types before it calls: napi's own texts for a wrong type show the value, which may be a token.
#![allow(unreachable_pub, reason = "napi exports what is pub, from private modules too")]
#![cfg_attr(test, allow(dead_code, reason = "napi registers nothing in a test build"))]

mod account;
mod convert;
mod discover;
mod follow;
mod lock;
mod machines;
mod plan;
#[cfg(feature = "probe")]
mod probe;
mod pure;
mod session;
mod settings;
mod testing;
mod types;
