//! Oracles for octets of any kind: each module reads its target's input and holds a machine of the core against the rules of
//! the design. libFuzzer calls them through `fuzz_targets/`, and `tests/replay.rs` calls them with every file of the corpora.
//!
//! A rule that is broken is a panic, as libFuzzer wants it.

pub mod discover;
pub mod negotiation;
mod octets;
pub mod session;
pub mod snapshot;
pub mod texts;
pub mod watch;

/// Holds a machine against its rules, with octets of any kind.
pub type Check = fn(&[u8]);

/// Every target, by the name of its binary and of its corpus.
pub const TARGETS: &[(&str, Check)] = &[
    ("discover", discover::check),
    ("negotiation", negotiation::check),
    ("session", session::check),
    ("snapshot", snapshot::check),
    ("texts", texts::check),
    ("watch", watch::check),
];
