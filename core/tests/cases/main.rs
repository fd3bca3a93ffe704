//! Runs the language-neutral cases of `tests/cases/` (or of the folder in `MAILBEARER_CASES`) against the core.
//!
//! It prints a line for each failure and one for each kind, and ends with status 0 only when all cases passed. The format is
//! described in `tests/cases/README.md`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::wildcard_enum_match_arm,
    reason = "a test: a case file that is broken ends it"
)]

mod account;
#[cfg(feature = "discover")]
mod discover;
mod script;
mod session;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use mailbearer::{Phase, Protocol, classify};
use serde_json::Value;

fn main() -> ExitCode {
    let cases = load();
    let exceptions = exceptions();
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut failed = 0;
    for case in &cases {
        let id = text(case, "id");
        let kind = text(case, "kind");
        let problem = run(case, kind);
        if let Some(reading) = exceptions.get(id) {
            let outcome =
                if problem.is_some() { "as argued" } else { "no longer needed: remove it" };
            println!("EXCEPTION rust {id}: {outcome}: {reading}");
            failed += usize::from(problem.is_none());
            continue;
        }
        let (passed, total) = counts.entry(kind.to_owned()).or_default();
        *total += 1;
        match problem {
            None => *passed += 1,
            Some(problem) => {
                println!("FAIL rust {id}: {problem}");
                failed += 1;
            }
        }
    }
    for (kind, (passed, total)) in &counts {
        println!("rust {kind} {passed}/{total}");
    }
    let passed: usize = counts.values().map(|(passed, _)| passed).sum();
    println!("cases: {passed} passed, {failed} failed");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(case: &Value, kind: &str) -> Option<String> {
    match kind {
        "classify" => run_classify(case),
        "negotiation" | "watch" | "config" => script::run(case),
        "session" => session::run(case),
        "account" => account::run(case),
        #[cfg(feature = "discover")]
        "discover" => discover::run(case),
        other => Some(format!("the kind {other} is not known")),
    }
}

fn run_classify(case: &Value) -> Option<String> {
    let protocol: Protocol = text(case, "protocol").parse().expect("a protocol");
    let phase =
        Phase::ALL.iter().find(|phase| phase.as_str() == text(case, "phase")).expect("a phase");
    let lines: Vec<&str> =
        case["lines"].as_array().expect("lines").iter().filter_map(Value::as_str).collect();
    let verdict = classify(protocol, *phase, &lines);
    let expected = text(case, "advice");
    (verdict.advice.as_str() != expected).then(|| {
        format!(
            "expected {expected}, came {} ({}, rule {})",
            verdict.advice, verdict.cause, verdict.rule
        )
    })
}

fn folder() -> PathBuf {
    let ours = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/cases"));
    std::env::var_os("MAILBEARER_CASES").map_or(ours, PathBuf::from)
}

/// All cases of all files, but for the list of exceptions.
fn load() -> Vec<Value> {
    // Cases of the account stand apart until every language has it, and those of discovery for the phones, which have none.
    let folders = [folder(), folder().join("account"), folder().join("discover")];
    let mut files: Vec<PathBuf> = folders
        .iter()
        .filter(|folder| {
            folder.is_dir() && (cfg!(feature = "discover") || !folder.ends_with("discover"))
        })
        .flat_map(|folder| std::fs::read_dir(folder).expect("the folder of the cases"))
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter(|path| path.file_name().is_some_and(|name| name != "exceptions.json"))
        .collect();
    files.sort();
    files.iter().flat_map(read_array).collect()
}

fn exceptions() -> BTreeMap<String, String> {
    let file =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/cases/exceptions.json"));
    let pair = |one: &Value| (text(one, "id").to_owned(), text(one, "reading").to_owned());
    read_array(&file).iter().map(pair).collect()
}

fn read_array(file: &PathBuf) -> Vec<Value> {
    let content = std::fs::read_to_string(file).expect("a readable file");
    let Ok(Value::Array(cases)) = serde_json::from_str(&content) else {
        panic!("{} is no array", file.display())
    };
    cases
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
