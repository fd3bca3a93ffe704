//! What a process costs and what the machine is, for all benchmarks in Rust.
#![allow(clippy::expect_used, reason = "a benchmark is run where there is a procfs")]

use std::process::Command;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// User and system time of this process: what getrusage says, in nanoseconds.
#[must_use]
pub fn process_cpu() -> Duration {
    time_on(ClockId::ProcessCPUTime)
}

/// User and system time of this thread.
#[must_use]
pub fn thread_cpu() -> Duration {
    time_on(ClockId::ThreadCPUTime)
}

/// The greatest resident set that this process has had: `VmHWM` of proc(5).
#[must_use]
pub fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}

/// What a program prints.
#[must_use]
pub fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| "not found".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

fn time_on(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
