//! What a call raises: the calling code is wrong, or mailbearer is. What a server does is never one of these.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An error of a call.
#[derive(Debug, thiserror::Error, uniffi::Error)]
#[uniffi(flat_error)]
pub enum CoreError {
    /// A setting cannot work. The text names the field and the place, never the value.
    #[error("{}", spelled(.0.to_string()))]
    Config(#[from] mailbearer::ConfigError),
    /// A call that does not fit the state of a machine.
    #[error("{0}")]
    Misuse(#[from] mailbearer::Misuse),
    /// A name that is none of the known ones.
    #[error("{0}")]
    Unknown(String),
    /// A bug of mailbearer.
    #[error("mailbearer broke in its core: please report it; no secret is in this text")]
    Internal,
}

/// The settings that the core names in a text, as Kotlin and Swift spell them.
pub(crate) fn spelled(text: String) -> String {
    const NAMES: [(&str, &str); 4] = [
        ("ehlo_name", "ehloName"),
        ("unusual_port", "unusualPort"),
        ("initial_response", "initialResponse"),
        ("assumed_capabilities", "assumedCapabilities"),
    ];
    NAMES.iter().fold(text, |text, (rust, ours)| text.replace(rust, ours))
}

/// Runs an entry. A panic becomes an error.
pub(crate) fn guard<T>(entry: impl FnOnce() -> Result<T, CoreError>) -> Result<T, CoreError> {
    catch_unwind(AssertUnwindSafe(entry)).unwrap_or(Err(CoreError::Internal))
}

/// Runs an entry of a machine, which others wait for meanwhile.
///
/// A machine is usable after a panic of another call: it holds no invariant that a panic breaks half-way.
pub(crate) fn locked<M, T>(
    machine: &Mutex<M>,
    entry: impl FnOnce(&mut M) -> Result<T, CoreError>,
) -> Result<T, CoreError> {
    guard(|| {
        let mut machine: MutexGuard<'_, M> = machine.lock().unwrap_or_else(PoisonError::into_inner);
        entry(&mut machine)
    })
}

/// Panics inside, and so always fails with `Internal`: for the tests that a build turns a panic into an error.
#[uniffi::export]
#[allow(clippy::panic, reason = "this is what it is for")]
pub fn provoke_panic() -> Result<(), CoreError> {
    guard(|| panic!("provoked"))
}
