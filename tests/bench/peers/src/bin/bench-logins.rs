//! Measures every client in Rust against `bench-server`, and prints a line of JSON for each figure: see `tests/bench/README.md`.
//!
//! Server and client are processes of their own, so that CPU and memory are the client's alone.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};

use mailbearer::Protocol;
use mailbearer_bench_peers::clients::{CLIENTS, Failed, Row};
use serde_json::{Value, json};

/// Runs of which the median is taken; those of all clients are interleaved.
const ROUNDS: usize = 5;

/// Logins of a run that measures CPU.
const LOGINS: usize = 400;

/// The same, for a client that waits 40 ms or more for every one of them.
const LOGINS_OF_THE_STALLED: usize = 20;

/// Logins with an emulated round trip.
const DISTANT_LOGINS: usize = 9;

const ROUND_TRIP_MS: &str = "50";

fn main() -> ExitCode {
    match round_trips().and_then(|()| distance()).and_then(|()| cpu()).and_then(|()| behaviour()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-logins: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Round trips and octets, as the server counts them.
fn round_trips() -> Result<(), Failed> {
    let mut server = Server::start(&[])?;
    for (row, protocol) in rows(&["floor", "mailbearer", "peer"]) {
        client(&server, row, protocol, "tls", "logins", 1)?;
        // The first login is the one that warms up.
        server.report()?;
        let report = server.report()?;
        if report["outcome"] != "authenticated" {
            return Err(format!("{} did not log in: {report}", row.name).into());
        }
        print(
            "login",
            row,
            protocol,
            json!({ "measure": "round_trips", "runs": [report["flights"]] }),
        );
        print("login", row, protocol, json!({ "measure": "octets", "runs": [report["octets"]] }));
    }
    Ok(())
}

/// Time until logged in, over a link on which a round trip takes 50 ms.
fn distance() -> Result<(), Failed> {
    let server = Server::start(&["--quiet", "--delay-ms", ROUND_TRIP_MS])?;
    for (row, protocol) in rows(&["bare", "floor", "mailbearer", "peer"]) {
        let figures = client(&server, row, protocol, "tls", "logins", DISTANT_LOGINS)?;
        print(
            "login",
            row,
            protocol,
            json!({ "measure": "ready_ms", "runs": figures["ready_ms"] }),
        );
    }
    Ok(())
}

/// CPU of a login with and without TLS, and the memory of a process that does nothing else.
fn cpu() -> Result<(), Failed> {
    let server = Server::start(&["--quiet"])?;
    let rows: Vec<_> = rows(&["bare", "floor", "mailbearer", "peer"]).collect();
    let mut figures = vec![[const { Vec::new() }; 4]; rows.len()];
    for round in 1..=ROUNDS {
        eprintln!("CPU of a login in Rust: run {round} of {ROUNDS}");
        for ((row, protocol), [tls, plain, peak, local]) in rows.iter().zip(&mut figures) {
            let count = if row.stalls { LOGINS_OF_THE_STALLED } else { LOGINS };
            let figures = client(&server, row, *protocol, "tls", "logins", count)?;
            tls.push(figures["cpu_us"].clone());
            peak.push(figures["peak_kib"].clone());
            local.push(middle(&figures["ready_ms"]));
            plain
                .push(client(&server, row, *protocol, "plain", "logins", count)?["cpu_us"].clone());
        }
    }
    for ((row, protocol), [tls, plain, peak, local]) in rows.into_iter().zip(figures) {
        print("login", row, protocol, json!({ "measure": "cpu_us", "runs": tls }));
        print("login", row, protocol, json!({ "measure": "cpu_plain_us", "runs": plain }));
        print("login", row, protocol, json!({ "measure": "peak_kib", "runs": peak }));
        print("login", row, protocol, json!({ "measure": "local_ms", "runs": local }));
    }
    Ok(())
}

/// The median of what was measured.
fn middle(runs: &Value) -> Value {
    let mut runs: Vec<f64> =
        runs.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    runs.sort_by(f64::total_cmp);
    json!(runs.get(runs.len() / 2))
}

/// What the user sees of a refused token, of a long one, and of a session that the server ends.
fn behaviour() -> Result<(), Failed> {
    let cases: [(&str, &[&str]); 3] = [
        ("refused", &["--refuse"]),
        ("long_token", &["--token-octets", "2000"]),
        ("ended", &["--end-after"]),
    ];
    for (measure, arguments) in cases {
        let mut server = Server::start(arguments)?;
        for (row, protocol) in rows(&["mailbearer", "peer"]) {
            let seen = client(&server, row, protocol, "tls", "behaviour", 1)?;
            let report = server.report()?;
            let figures = json!({
                "measure": measure, "says": seen["says"], "ms": seen["ms"], "auths": report["auths"],
            });
            print("behaviour", row, protocol, figures);
        }
    }
    Ok(())
}

/// The clients of these roles, once for each of their protocols.
fn rows(roles: &'static [&'static str]) -> impl Iterator<Item = (&'static Row, Protocol)> {
    let rows = CLIENTS.iter().filter(|row| roles.contains(&row.role));
    rows.flat_map(|row| row.protocols.iter().map(move |protocol| (row, *protocol)))
}

fn print(part: &str, row: &Row, protocol: Protocol, figures: Value) {
    let mut line = json!({
        "part": part, "language": "rust", "client": row.name, "version": row.version, "role": row.role,
        "protocol": protocol.as_str(),
    });
    if let (Value::Object(line), Value::Object(figures)) = (&mut line, figures) {
        line.extend(figures);
    }
    println!("{line}");
}

/// Runs a client to its end.
fn client(
    server: &Server,
    row: &Row,
    protocol: Protocol,
    tls: &str,
    task: &str,
    count: usize,
) -> Result<Value, Failed> {
    let mut process = Command::new(beside("bench-client")?)
        .args([row.name, protocol.as_str(), tls, task, &count.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = process.stdin.take() {
        writeln!(input, "{}", server.ready)?;
    }
    let output = process.wait_with_output()?;
    if !output.status.success() {
        return Err(format!(
            "bench-client {} {protocol} {tls} {task}: {}",
            row.name, output.status
        )
        .into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// A program that was built with this one.
fn beside(name: &str) -> Result<PathBuf, Failed> {
    Ok(std::env::current_exe()?.with_file_name(name))
}

/// A server in a process of its own, which ends with its standard input.
struct Server {
    process: Child,
    lines: BufReader<ChildStdout>,
    ready: Value,
}

impl Server {
    fn start(arguments: &[&str]) -> Result<Self, Failed> {
        let mut process = Command::new(beside("bench-server")?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or("the server has no output")?;
        let mut server = Self { process, lines: BufReader::new(output), ready: Value::Null };
        server.ready = server.report()?;
        Ok(server)
    }

    /// The next line that it prints.
    fn report(&mut self) -> Result<Value, Failed> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
