//! One client of the benchmarks, in a process of its own: `bench-client CLIENT PROTOCOL tls|plain TASK COUNT`.
//!
//! The line that `bench-server` printed comes on the standard input; one line of JSON goes to the standard output.
//!
//! | task | |
//! |---|---|
//! | `logins` | `COUNT` logins after some to warm up: `cpu_us` of one login, `ready_ms` of each, `peak_kib` of the process |
//! | `behaviour` | one login and a NOOP: `says` what the user sees of what went wrong, or of what came; `ms` |

use std::io;
use std::process::ExitCode;
use std::time::Instant;

use mailbearer::Protocol;
use mailbearer_bench::{peak_kib, process_cpu};
use mailbearer_bench_peers::clients::{CLIENTS, Client, Failed, Setup};
use serde_json::{Value, json};

/// The part of the logins that go before those that are measured; one at least.
const WARM_PART: usize = 20;

fn main() -> ExitCode {
    match run() {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench-client: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<Value, Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, protocol, tls, task, count] = arguments.as_slice() else {
        return Err("usage: bench-client CLIENT PROTOCOL tls|plain TASK COUNT".into());
    };
    let row = CLIENTS.iter().find(|row| row.name == name).ok_or("no such client")?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let setup =
        Setup::new(&serde_json::from_str(&line)?, protocol.parse::<Protocol>()?, tls == "tls")?;
    let client = (row.open)(setup)?;
    match task.as_str() {
        "logins" => logins(client.as_ref(), count.parse()?),
        "behaviour" => Ok(behaviour(client.as_ref())),
        _ => Err(format!("no task {task:?}").into()),
    }
}

fn logins(client: &dyn Client, count: usize) -> Result<Value, Failed> {
    for _ in 0..count.div_ceil(WARM_PART) {
        client.login()?;
    }
    let mut ready_ms = Vec::with_capacity(count);
    let before = process_cpu();
    for _ in 0..count {
        let begun = Instant::now();
        let session = client.login()?;
        ready_ms.push(begun.elapsed().as_secs_f64() * 1e3);
        drop(session);
    }
    let cpu_us = (process_cpu() - before).as_secs_f64() * 1e6 / count as f64;
    Ok(json!({ "cpu_us": cpu_us, "ready_ms": ready_ms, "peak_kib": peak_kib() }))
}

fn behaviour(client: &dyn Client) -> Value {
    let begun = Instant::now();
    let says = match client.login() {
        Err(error) => format!("login: {error}"),
        Ok(mut session) => match session.noop() {
            Err(error) => format!("logged in; NOOP: {error}"),
            Ok(reply) => format!("logged in; NOOP succeeds: {reply}"),
        },
    };
    json!({ "says": says, "ms": begun.elapsed().as_secs_f64() * 1e3 })
}
