//! Rules of the machine that no case of `tests/cases/discover/` says.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::{
    Answer, Discovery, DiscoveryState, Lookup, MxRecord, Outcome, Question, Seen, Trouble,
};
use crate::limits::{FILE_WITHIN_MS, RECORDS_WITHIN_MS};
use crate::{ConfigError, Protocol, Provider};

fn answer_all(discovery: &mut Discovery, lookups: &[Lookup], answer: &Answer) -> Vec<Lookup> {
    let more = lookups.iter().flat_map(|one| discovery.answer(one.id, answer.clone()));
    more.collect()
}

#[test]
fn a_domain_that_is_built_in_is_not_looked_up() {
    for name in Provider::NAMES {
        for domain in Provider::named(name).unwrap().domains {
            let mut discovery = Discovery::new(&format!("joe@{domain}")).unwrap();
            assert!(discovery.start().is_empty());
            let found = discovery.found().unwrap();
            assert_eq!(found.provider.as_deref(), Some(name), "{domain}");
            assert!(found.services.iter().all(|one| one.leads_to.is_none()));
        }
    }
}

#[test]
fn all_rounds_are_over_in_fifteen_seconds() {
    assert_eq!(RECORDS_WITHIN_MS + 3 * FILE_WITHIN_MS, 15_000);
}

#[test]
fn it_goes_on_when_the_last_answer_of_a_round_is_there() {
    let mut discovery = Discovery::new("joe@example.org").unwrap();
    let records = discovery.start();
    assert_eq!(records.len(), 7);
    assert!(discovery.start().is_empty());
    assert!(answer_all(&mut discovery, &records[1..], &Answer::NoRecord).is_empty());
    assert_eq!(discovery.state(), DiscoveryState::Records);
    let files = answer_all(&mut discovery, &records[..1], &Answer::NoRecord);
    assert_eq!((discovery.state(), files.len()), (DiscoveryState::Domain, 2));
    // Others hear of the domain only where it has said nothing itself.
    assert!(!format!("{files:?}").contains("thunderbird"));
    let others = answer_all(&mut discovery, &files, &Answer::Failed(Trouble::NoHost));
    assert_eq!((discovery.state(), others.len()), (DiscoveryState::Others, 1));
    assert!(answer_all(&mut discovery, &others, &Answer::Failed(Trouble::TimedOut)).is_empty());
    let found = discovery.found().unwrap();
    assert_eq!((found.outcome, found.looks.len()), (Outcome::Nothing, 10));
}

#[test]
fn the_time_that_is_over_leaves_what_is_known() {
    let mut discovery = Discovery::new("joe@example.org").unwrap();
    let lookups = discovery.start();
    discovery.end();
    assert!(discovery.answer(lookups[0].id, Answer::NoRecord).is_empty());
    let found = discovery.found().unwrap();
    assert_eq!((found.outcome, found.looks.len()), (Outcome::Unreachable, 7));
    assert!(found.to_string().contains("network"), "{found}");
    let error = found.login(Protocol::Imap).unwrap_err();
    assert!(
        matches!(&error, ConfigError::NotDiscovered { sentence } if sentence.contains("network"))
    );
}

#[test]
fn the_local_part_is_told_to_nobody() {
    let mut discovery = Discovery::new("very.secret@example.org").unwrap();
    let mut lookups = discovery.start();
    while !lookups.is_empty() {
        assert!(!format!("{lookups:?}").contains("secret"));
        let get = |one: &Lookup| matches!(one.question, Question::Get { .. });
        assert!(lookups.iter().all(get) || !lookups.iter().any(get));
        lookups = answer_all(&mut discovery, &lookups, &Answer::NoRecord);
    }
}

fn file_of(host: &str) -> Answer {
    let body = format!(
        "<clientConfig><emailProvider><incomingServer type=\"imap\"><hostname>{host}</hostname><port>993</port><socketType>SSL</socketType><authentication>OAuth2</authentication></incomingServer></emailProvider></clientConfig>"
    );
    Answer::Http { status: 200, location: None, body: body.into_bytes() }
}

#[test]
fn whoever_answers_first_the_first_source_is_believed() {
    for is_reversed in [false, true] {
        let mut discovery = Discovery::new("joe@example.org").unwrap();
        let mut records = discovery.start();
        if is_reversed {
            records.reverse();
        }
        let mut files = answer_all(&mut discovery, &records, &Answer::NoRecord);
        if is_reversed {
            files.reverse();
        }
        for lookup in &files {
            let is_first = format!("{lookup:?}").contains("https://autoconfig.");
            let host = if is_first { "a.example.org" } else { "b.example.org" };
            assert!(discovery.answer(lookup.id, file_of(host)).is_empty());
        }
        let found = discovery.found().unwrap();
        assert_eq!(found.service(Protocol::Imap).unwrap().endpoint.host, "a.example.org");
        // And what was looked at is told in the order in which it was asked.
        assert_eq!(found.looks[0].what, "MX example.org");
        assert_eq!(found.looks[1].what, "SRV _imaps._tcp.example.org");
        assert!(found.looks[7].what.starts_with("https://autoconfig.example.org/"));
    }
}

#[test]
fn a_database_that_is_not_there_was_not_asked() {
    let mut discovery = Discovery::new("joe@example.org").unwrap();
    let records = discovery.start();
    let files = answer_all(&mut discovery, &records, &Answer::NoRecord);
    let others = answer_all(&mut discovery, &files, &Answer::Failed(Trouble::NoHost));
    answer_all(&mut discovery, &others, &Answer::Failed(Trouble::NoHost));
    let found = discovery.found().unwrap();
    let seen: Vec<Seen> = found.looks.iter().skip(7).map(|look| look.seen).collect();
    assert_eq!(seen, [Seen::Nothing, Seen::Nothing, Seen::Failed]);
    assert!(!found.to_string().contains("Thunderbird"), "{found}");
}

#[test]
fn a_person_sees_what_leads_to_another_domain() {
    let mut discovery = Discovery::new("joe@example.org").unwrap();
    for lookup in discovery.start() {
        let answer = match lookup.question {
            Question::Mx { .. } => {
                let exchange = "smtp.google.com".to_string();
                Answer::Mx(Vec::from([MxRecord { preference: 1, exchange }]))
            }
            Question::Srv { .. } | Question::Get { .. } => Answer::NoRecord,
        };
        assert!(discovery.answer(lookup.id, answer).is_empty());
    }
    let lines = discovery.found().unwrap().lines();
    let elsewhere = lines.iter().filter(|line| line.contains("of another domain")).count();
    assert_eq!(elsewhere, 4, "three servers, and the authorization server: {lines:?}");
    let mut known = Discovery::new("joe@gmail.com").unwrap();
    known.start();
    assert!(!known.found().unwrap().lines().join("").contains("another domain"));
}
