//! Runs many worlds on two threads; then sees that planted mistakes are found.
#![allow(clippy::expect_used, reason = "a test")]

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use mailbearer::{SESSION_TRANSITIONS, SessionPhase};
use mailbearer_simulation::{Broken, Bug, Report, World};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Seeds in which a planted mistake must be found.
const BUG_SEEDS: u64 = 500;

fn main() -> ExitCode {
    let worlds = std::env::var("MAILBEARER_WORLDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(100_000);
    let mut failed = 0;
    if !run_worlds("worlds", worlds, |seed| World::new(seed, None)) {
        failed += 1;
    }
    if !run_worlds("hostile worlds", worlds / 8, |seed| World::hostile(seed, None)) {
        failed += 1;
    }
    for seed in 0..20 {
        let run = || World::new(seed, None).run().map(|report| report.hash);
        if run() != run() {
            println!("FAIL seed {seed} does not reproduce");
            failed += 1;
        }
    }
    for bug in Bug::ALL {
        let worlds = |seed| [World::new(seed, Some(bug)), World::hostile(seed, Some(bug))];
        match (0..BUG_SEEDS).flat_map(worlds).find_map(|world| world.run().err()) {
            Some(broken) => println!("planted {bug:?}: found, {broken}"),
            None => {
                println!("FAIL planted {bug:?}: not found in {BUG_SEEDS} seeds");
                failed += 1;
            }
        }
    }
    println!("simulation: {} passed, {failed} failed", 3 + Bug::ALL.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_worlds(name: &str, worlds: u64, world: impl Fn(u64) -> World + Sync) -> bool {
    let begun = Instant::now();
    let next = AtomicU64::new(0);
    let work = || {
        let (mut sum, mut phases, mut broken) = (Report::default(), BTreeSet::new(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= worlds || broken.len() >= 3 {
                return (sum, phases, broken);
            }
            match world(seed).run() {
                Ok(report) => {
                    sum.inputs += report.inputs;
                    sum.sessions += report.sessions;
                    sum.faults += report.faults;
                    phases.extend(report.phases);
                }
                Err(problem) => broken.push(problem),
            }
        }
    };
    type Found = (Report, BTreeSet<(SessionPhase, SessionPhase)>, Vec<Broken>);
    let found: Vec<Found> = thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|one| one.join().expect("a thread that ends")).collect()
    });
    let inputs: u64 = found.iter().map(|(report, _, _)| report.inputs).sum();
    let sessions: u64 = found.iter().map(|(report, _, _)| report.sessions).sum();
    let faults: u64 = found.iter().map(|(report, _, _)| report.faults).sum();
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{worlds} {name} of 30 hours: {inputs} inputs, {sessions} sessions, {faults} faults, {seconds:.1} s"
    );
    let phases: BTreeSet<_> =
        found.iter().flat_map(|(_, phases, _)| phases.iter().copied()).collect();
    let as_drawn = phases_are_those_of_the_table(&phases, worlds);
    let broken: Vec<&Broken> = found.iter().flat_map(|(_, _, broken)| broken).collect();
    for problem in &broken {
        println!("FAIL {problem}");
        let kind = if name.starts_with("hostile") { " hostile" } else { "" };
        println!("     cargo run -p mailbearer-simulation -- {}{kind}", problem.seed);
    }
    broken.is_empty() && as_drawn
}

/// The table of phases is the source of the diagram in the documentation: nothing else happens, and all of it does. What
/// leads to `GaveUp` is a fault of the configuration, of which a world has none: see `core/tests/session.rs`.
fn phases_are_those_of_the_table(
    seen: &BTreeSet<(SessionPhase, SessionPhase)>,
    worlds: u64,
) -> bool {
    let unknown: Vec<_> = seen.iter().filter(|pair| !SESSION_TRANSITIONS.contains(pair)).collect();
    let of_configuration =
        |pair: &&(SessionPhase, SessionPhase)| [pair.0, pair.1].contains(&SessionPhase::GaveUp);
    let expected = SESSION_TRANSITIONS.iter().filter(|pair| !of_configuration(pair));
    let never: Vec<_> = expected.filter(|pair| !seen.contains(pair)).collect();
    if !unknown.is_empty() {
        println!("FAIL not in the table of phases: {unknown:?}");
    }
    // A few worlds do not meet everything.
    let complete = never.is_empty() || worlds < 100_000;
    if !complete {
        println!("FAIL in the table of phases, and never met: {never:?}");
    }
    unknown.is_empty() && complete
}
