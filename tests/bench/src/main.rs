//! What the machines cost, beside the least that can be done with the same octets in the same run.
//!
//! `cargo run --release -p mailbearer-bench`, or `make bench`. Figures are medians; only the ratios are to be compared.
#![allow(clippy::expect_used, reason = "a benchmark of known inputs")]

mod heap;
mod watch;

fn main() {
    heap::report();
    watch::report();
}
