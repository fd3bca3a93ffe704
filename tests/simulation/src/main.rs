//! Replays one world, with its transcript.

use std::process::ExitCode;

use mailbearer_simulation::World;

fn main() -> ExitCode {
    let Some(seed) = std::env::args().nth(1).and_then(|text| text.parse().ok()) else {
        eprintln!("usage: cargo run -p mailbearer-simulation -- SEED [hostile]");
        return ExitCode::FAILURE;
    };
    let hostile = std::env::args().nth(2).as_deref() == Some("hostile");
    let mut world = if hostile { World::hostile(seed, None) } else { World::new(seed, None) };
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
