//! Explores all short histories of an account, breadth first: two sessions, every fact at every moment at which it can
//! come. Equal states are merged. In every state the rules hold, and a world that answers well from there on leads every
//! session to its connection.
//!
//! `MAILBEARER_HISTORIES_SECONDS` says for how long; it prints how deep that was.
#![allow(clippy::expect_used, reason = "a test")]

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mailbearer::{ACCOUNT_TRANSITIONS, Standing};
use mailbearer_simulation::{History, Move, Opening, Setting};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// For all settings together.
const SECONDS: u64 = 100;

/// So deep must it get.
const DEPTH_LEAST: usize = 3;

fn main() -> ExitCode {
    let seconds = std::env::var("MAILBEARER_HISTORIES_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(SECONDS);
    let beginnings: Vec<(Setting, Opening)> = Setting::ALL
        .into_iter()
        .flat_map(|setting| Opening::ALL.map(|opening| (setting, opening)))
        .collect();
    // Two threads: each takes the next beginning.
    let share = Duration::from_secs(seconds * 2) / beginnings.len() as u32;
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = Vec::new();
        while let Some((setting, opening)) = beginnings.get(next.fetch_add(1, Ordering::Relaxed)) {
            found.push(explore(*setting, *opening, share));
        }
        found
    };
    let found: Vec<Result<Explored, String>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|one| one.join().expect("a thread that ends")).collect()
    });
    let mut seen = BTreeSet::new();
    let mut failed = 0;
    for one in found {
        match one {
            Ok(explored) => {
                seen.extend(explored.transitions);
                if explored.depth < DEPTH_LEAST {
                    println!("FAIL only {} facts deep", explored.depth);
                    failed += 1;
                }
            }
            Err(broken) => {
                println!("FAIL {broken}");
                failed += 1;
            }
        }
    }
    let never: Vec<_> = ACCOUNT_TRANSITIONS.iter().filter(|pair| !seen.contains(*pair)).collect();
    if !never.is_empty() {
        println!("FAIL in the table of standings, and never met: {never:?}");
        failed += 1;
    }
    println!("histories: {} passed, {failed} failed", beginnings.len() + 1 - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What one beginning led to.
struct Explored {
    /// How deep it got, whole.
    depth: usize,
    transitions: BTreeSet<(Standing, Standing)>,
}

fn explore(setting: Setting, opening: Opening, time: Duration) -> Result<Explored, String> {
    let begun = Instant::now();
    let mut transitions = BTreeSet::new();
    let prelude = History::prelude(setting, opening);
    let mut known: BTreeSet<u64> = BTreeSet::from([hash(&replayed(setting, &prelude))]);
    let mut frontier: Vec<Vec<Move>> = vec![prelude];
    let (mut depth, mut whole, mut facts) = (0, 1, 0_u64);
    'deeper: while !frontier.is_empty() {
        let mut next = Vec::new();
        for path in &frontier {
            for one in replayed(setting, path).moves() {
                if begun.elapsed() > time {
                    break 'deeper;
                }
                let mut history = replayed(setting, path);
                facts += 1;
                let told =
                    |rule: String| format!("{setting:?}: {rule}, after {path:?} and {one:?}");
                history.play(one).map_err(told)?;
                transitions.extend(history.transitions.iter().copied());
                if known.insert(hash(&history)) {
                    let longer: Vec<Move> = path.iter().copied().chain([one]).collect();
                    history.good_world().map_err(told)?;
                    next.push(longer);
                }
            }
        }
        depth += 1;
        whole = known.len();
        frontier = next;
    }
    println!(
        "{setting:?} {opening:?}: {depth} facts deep whole, {whole} states; with the beginning of the next depth {} states, \
         {facts} facts, {:.0} s",
        known.len(),
        begun.elapsed().as_secs_f64()
    );
    Ok(Explored { depth, transitions })
}

fn replayed(setting: Setting, path: &[Move]) -> History {
    let mut history = History::new(setting);
    for one in path {
        history.play(*one).expect("it was played before");
    }
    history
}

fn hash(history: &History) -> u64 {
    let mut hasher = DefaultHasher::new();
    history.key().hash(&mut hasher);
    hasher.finish()
}
