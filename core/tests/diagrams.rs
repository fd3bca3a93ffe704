//! The diagrams in the documentation are made from the tables that the tests hold the machines against.
//!
//! `UPDATE_DOCS=1 cargo test -p mailbearer --test diagrams` writes them anew.
#![allow(clippy::expect_used, clippy::panic, reason = "a test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use mailbearer::{ACCOUNT_TRANSITIONS, SESSION_TRANSITIONS, TRANSITIONS};

fn page(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs")).join(name)
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
    diagram("greeting", lines)
}

fn session() -> String {
    let lines = SESSION_TRANSITIONS.iter().map(|(from, to)| format!("    {from} --> {to}\n"));
    diagram("stopped", lines)
}

fn account() -> String {
    let lines = ACCOUNT_TRANSITIONS.iter().map(|(from, to)| format!("    {from} --> {to}\n"));
    diagram("unwanted", lines)
}

fn diagram(first: &str, lines: impl Iterator<Item = String>) -> String {
    let lines: String = lines.collect();
    format!("```mermaid\nstateDiagram-v2\n    [*] --> {first}\n{lines}```\n")
}

/// Puts a diagram between its marks.
fn replaced(text: &str, name: &str, diagram: &str) -> String {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let (before, rest) = text.split_once(&begin).expect("the mark before the diagram");
    let (_, after) = rest.split_once(&end).expect("the mark behind the diagram");
    format!("{before}{begin}{diagram}{end}{after}")
}

fn hold(name: &str, diagrams: &[(&str, String)]) {
    let text = fs::read_to_string(page(name)).expect("the page");
    let fresh =
        diagrams.iter().fold(text.clone(), |text, (mark, diagram)| replaced(&text, mark, diagram));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(page(name), fresh).expect("the page can be written");
    } else {
        assert!(text == fresh, "docs/{name} is stale: UPDATE_DOCS=1 cargo test --test diagrams");
    }
}

#[test]
fn the_diagrams_are_those_of_the_tables() {
    hold("life-of-a-session.md", &[("negotiation", negotiation()), ("session", session())]);
    hold("life-of-an-account.md", &[("account", account())]);
}
