//! What the machines cost, beside the least that can be done with the same octets in the same run: a line of JSON for each
//! figure, as `tests/bench/README.md` says. First of all, what others do on this machine.
#![allow(clippy::expect_used, reason = "a benchmark of known inputs")]

mod heap;
mod read;
mod watch;

use std::thread;
use std::time::Duration;

use mailbearer_bench::said;
use serde_json::json;

/// How long is looked at what others do.
const LOOK: Duration = Duration::from_secs(3);

fn main() {
    let (busy_before, all_before) = ticks();
    thread::sleep(LOOK);
    let (busy, all) = ticks();
    let share = (busy - busy_before) / (all - all_before);
    let facts = json!({
        "part": "machine", "measure": "busy", "runs": [share],
        "date": said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        "commit": said("git", &["describe", "--always", "--dirty"]),
    });
    println!("{facts}");
    heap::report();
    read::report();
    watch::report();
}

/// Ticks of all cores in which they worked, and all ticks: proc(5).
fn ticks() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/stat").expect("procfs");
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> =
        line.split_ascii_whitespace().skip(1).take(8).flat_map(str::parse).collect();
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    let all: f64 = ticks.iter().sum();
    (all - idle, all)
}
