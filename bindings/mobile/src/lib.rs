//! The machines of the core for Kotlin and Swift, through UniFFI. What users see is in `kotlin` and `swift` beside this.
//!
//! Octets that come in are borrowed; what goes out is owned; times are milliseconds. Every function and method returns a
//! result, and a panic, which would be a bug of ours, becomes an ordinary error.

pub mod account;
pub mod errors;
pub mod follow;
pub mod machines;
pub mod names;
pub mod plan;
pub mod pure;
pub mod records;
pub mod session;

uniffi::setup_scaffolding!();
