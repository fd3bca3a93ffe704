//! What the machines cost, beside the least that can be done with the same octets in the same run: a line of JSON for each
//! figure, as `tests/bench/README.md` says.
#![allow(clippy::expect_used, reason = "a benchmark of known inputs")]

mod heap;
mod watch;

fn main() {
    heap::report();
    watch::report();
}
