//! Lives many worlds around an account; then sees that planted mistakes are found, and what twenty sessions cost.
//!
//! `MAILBEARER_MAILBOXES` says how many worlds; `MAILBEARER_MAILBOX=SEED` prints the transcript of one.
#![allow(clippy::expect_used, reason = "a test")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use mailbearer_simulation::{Broken, Limit, Mailbox, MailboxBug, MailboxReport};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WORLDS: u64 = 1_000;

/// Seeds in which a planted mistake must be found.
const BUG_SEEDS: u64 = 200;

const HOUR_MS: u64 = 60 * 60_000;

fn main() -> ExitCode {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    if let Some(seed) = number("MAILBEARER_MAILBOX") {
        let mut world = Mailbox::new(seed, None);
        world.trace(true);
        println!("{:?}", world.run());
        return ExitCode::SUCCESS;
    }
    let checks = [
        run_worlds(number("MAILBEARER_MAILBOXES").unwrap_or(WORLDS)),
        reproduce(),
        find_bugs(),
        keep_to_fifteen("refuses", Limit::Refuses(15)),
        keep_to_fifteen("evicts", Limit::Evicts(15)),
    ];
    let failed = checks.iter().filter(|held| !**held).count();
    println!("mailboxes: {} passed, {failed} failed", checks.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_worlds(worlds: u64) -> bool {
    let begun = Instant::now();
    let next = AtomicU64::new(0);
    let work = || {
        let mut found = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= worlds {
                return found;
            }
            found.push(Mailbox::new(seed, None).run());
        }
    };
    let found: Vec<Result<MailboxReport, Broken>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|one| one.join().expect("a thread that ends")).collect()
    });
    let sum = |of: fn(&MailboxReport) -> u64| found.iter().flatten().map(of).sum::<u64>();
    println!(
        "{worlds} worlds of a day: {} facts, {} connections given, {} tokens asked for, {} calls for a person, {:.1} s",
        sum(|report| report.facts),
        sum(|report| report.given),
        sum(|report| report.asked_at_ms.len() as u64),
        sum(|report| report.called),
        begun.elapsed().as_secs_f64()
    );
    let broken: Vec<&Broken> = found.iter().filter_map(|one| one.as_ref().err()).collect();
    for problem in broken.iter().take(5) {
        println!("FAIL {problem}; MAILBEARER_MAILBOX={} prints it", problem.seed);
    }
    broken.is_empty()
}

fn reproduce() -> bool {
    let differing = (0..10).find(|seed| {
        let run = || Mailbox::new(*seed, None).run();
        run() != run()
    });
    if let Some(seed) = differing {
        println!("FAIL seed {seed} does not reproduce");
    }
    differing.is_none()
}

fn find_bugs() -> bool {
    let find = |bug| (0..BUG_SEEDS).find_map(|seed| Mailbox::new(seed, Some(bug)).run().err());
    let mut all = true;
    for bug in MailboxBug::ALL {
        match find(bug) {
            // Sessions that share nothing break one rule after the other: each is to be found by its own check.
            Some(broken) if matches!(bug, MailboxBug::Apart(rule) if broken.rule != rule.broken()) =>
            {
                println!("FAIL planted {bug:?}: found, but for another rule, {broken}");
                all = false;
            }
            Some(broken) => println!("planted {bug:?}: found, {broken}"),
            None => {
                println!("FAIL planted {bug:?}: not found in {BUG_SEEDS} seeds");
                all = false;
            }
        }
    }
    all
}

/// Twenty IMAP sessions where fifteen are allowed: at most 30 logins in the first hour, at most two in an hour after that,
/// 15 online.
fn keep_to_fifteen(name: &str, limit: Limit) -> bool {
    let report = Mailbox::quiet(1, 20, limit).run().expect("a quiet world keeps the rules");
    let opened = |from_ms: u64, to_ms: u64| {
        report.opened_at_ms.iter().filter(|at_ms| (from_ms..to_ms).contains(*at_ms)).count()
    };
    let hours: Vec<usize> =
        (0..24).map(|hour| opened(hour * HOUR_MS, (hour + 1) * HOUR_MS)).collect();
    println!(
        "20 sessions, a server that {name} the 16th: {hours:?} logins an hour, {} online, {} tokens",
        report.online,
        report.asked_at_ms.len()
    );
    let first = hours.first().copied().unwrap_or_default();
    first <= 30 && hours.iter().skip(1).all(|logins| *logins <= 2) && report.online == 15
}
