//! Rules of the machine that no case of `tests/cases/discover/` says.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::{Answer, Discovery, DiscoveryState, Lookup, Outcome, Question, Trouble};
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
