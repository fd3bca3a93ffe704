//! Replays one world, with its transcript.

use std::process::ExitCode;

use mailbearer_simulation::World;

fn main() -> ExitCode {
    let Some(seed) = std::env::args().nth(1).and_then(|text| text.parse().ok()) else {
        eprintln!("usage: cargo run -p mailbearer-simulation -- SEED");
        return ExitCode::FAILURE;
    };
    let mut world = World::new(seed, None);
    world.trace(true);
    match world.run() {
        Ok(report) => {
            println!("{report:?}");
            ExitCode::SUCCESS
        }
        Err(broken) => {
            println!("{broken}");
            ExitCode::FAILURE
        }
    }
}
