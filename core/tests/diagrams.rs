//! The diagrams in the documentation are made from the tables that the tests hold the machines against.
//!
//! `UPDATE_DOCS=1 cargo test -p mailbearer --test diagrams` writes them anew.
#![allow(clippy::expect_used, clippy::panic, reason = "a test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use mailbearer::limits::BUDGET;
use mailbearer::{SESSION_TRANSITIONS, TRANSITIONS};

fn page() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/life-of-a-session.md"))
}

/// One edge for each pair of states, with all that leads over it.
fn negotiation() -> String {
    let mut edges: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (from, event, to) in TRANSITIONS {
        edges.entry((from.as_str(), to.as_str())).or_default().push(event.as_str());
    }
    let lines = edges
        .iter()
        .map(|((from, to), events)| format!("    {from} --> {to}: {}\n", events.join(", ")));
    format!("```mermaid\nstateDiagram-v2\n    [*] --> greeting\n{}```\n", lines.collect::<String>())
}

fn session() -> String {
    let lines = SESSION_TRANSITIONS.iter().map(|(from, to)| format!("    {from} --> {to}\n"));
    format!("```mermaid\nstateDiagram-v2\n    [*] --> stopped\n{}```\n", lines.collect::<String>())
}

/// Greatest numbers of each order in an hour and in a day.
fn budget() -> String {
    const HOUR: u64 = 60;
    const DAY: u64 = 24 * HOUR;
    let rows = BUDGET.iter().map(|one| {
        format!(
            "| {} | {} | {} min | {} | {} | {} | {} |\n",
            one.order,
            one.at_once,
            one.every,
            one.most_without_sessions(HOUR),
            one.most_without_sessions(DAY),
            one.most(HOUR),
            one.most(DAY),
        )
    });
    let head = "| order | at once | one more each | in an hour | in a day | in an hour, with sessions that last | in a day |";
    format!("{head}\n|---|---|---|---|---|---|---|\n{}", rows.collect::<String>())
}

/// Puts a diagram between its marks.
fn replaced(text: &str, name: &str, diagram: &str) -> String {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let (before, rest) = text.split_once(&begin).expect("the mark before the diagram");
    let (_, after) = rest.split_once(&end).expect("the mark behind the diagram");
    format!("{before}{begin}{diagram}{end}{after}")
}

#[test]
fn the_diagrams_are_those_of_the_tables() {
    let text = fs::read_to_string(page()).expect("the page");
    let parts = [("negotiation", negotiation()), ("session", session()), ("budget", budget())];
    let fresh = parts.iter().fold(text.clone(), |text, (name, part)| replaced(&text, name, part));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(page(), fresh).expect("the page can be written");
    } else {
        assert!(
            text == fresh,
            "docs/life-of-a-session.md is stale: UPDATE_DOCS=1 cargo test --test diagrams"
        );
    }
}
