//! Whatever is answered: it ends, within its bounds, and says only what may be said. `MAILBEARER_SEEDS` tries more.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use std::vec;

use fastrand::Rng;

use super::{
    Answer, Discovery, DiscoveryState, Lookup, MxRecord, Outcome, Question, SrvRecord, Sureness,
    Trouble,
};
use crate::Protocol;
use crate::limits::LOOKUPS_MAX;

const WORDS: &[&str] = &[
    "<clientConfig version=\"1.1\">",
    "</clientConfig>",
    "<emailProvider id=\"x\">",
    "</emailProvider>",
    "<incomingServer type=\"imap\">",
    "</incomingServer>",
    "<outgoingServer type=\"smtp\">",
    "</outgoingServer>",
    "<hostname>",
    "</hostname>",
    "<port>993</port>",
    "<port>0</port>",
    "<port>99999</port>",
    "<socketType>SSL</socketType>",
    "<socketType>plain</socketType>",
    "<authentication>OAuth2</authentication>",
    "<username>%EMAILLOCALPART%</username>",
    "<username>%X%</username>",
    "imap.example.org",
    "localhost",
    "10.0.0.1",
    "imap.gmail.com",
    "<oAuth2>",
    "</oAuth2>",
    "<issuer>login.example.net</issuer>",
    "<issuer>https://login.example.org/x</issuer>",
    "<scope>a b</scope>",
    "<authURL>https://login.example.org/a</authURL>",
    "<tokenURL>javascript:x</tokenURL>",
    "<!DOCTYPE x [<!ENTITY a \"b\">]>",
    "&a;",
    "&#0;",
    "&#x202e;",
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "<?xml version=\"1.0\"?>",
    "\u{feff}",
    "xmlns=\"x\"",
    "\"",
    "<",
    ">",
    "{\"issuer\":\"https://login.example.net\",",
    "\"authorization_endpoint\":\"https://login.example.net/a\",",
    "\"token_endpoint\":\"https://login.example.net/t\"}",
    "{",
    "}",
    "[",
    "null",
    "\u{0}",
    "\u{202e}",
    "%",
];

const HOSTS: &[&str] = &[
    ".",
    "",
    "smtp.google.com",
    "x.mail.protection.outlook.com.",
    "mx.example.org",
    "localhost",
    "10.0.0.1",
    "mx.hoster.example",
    "a..b",
    "\u{fc}.example",
    "mail.protonmail.ch",
    "mx.pphosted.com",
    "imap.example.org.",
    "evil.example\r\n",
    "imap.gmail.com",
    "-",
    "mx",
    "xn--",
    "a.localhost",
];

fn one<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.usize(..of.len())]
}

fn soup(rng: &mut Rng) -> Vec<u8> {
    if rng.u8(..) < 20 {
        return (0..rng.usize(..400)).map(|_| rng.u8(..)).collect();
    }
    let words: String = (0..rng.usize(..60)).map(|_| one(rng, WORDS)).collect();
    words.into_bytes()
}

/// A file that is right as a whole, with parts that may be anything: what soup never is.
fn file(rng: &mut Rng) -> Vec<u8> {
    let server = |rng: &mut Rng| {
        let (kind, side) = *rng
            .choice(&[("imap", "incoming"), ("pop3", "incoming"), ("smtp", "outgoing")])
            .unwrap();
        let parts = [
            "<port>993</port>",
            "<socketType>SSL</socketType>",
            "<authentication>OAuth2</authentication>",
            "<username>%EMAILLOCALPART%</username>",
        ];
        let inside: String = parts.into_iter().filter(|_| rng.u8(..) < 220).collect();
        format!(
            "<{side}Server type=\"{kind}\"><hostname>{}</hostname>{inside}</{side}Server>",
            one(rng, HOSTS).replace('\r', "")
        )
    };
    let servers: String = (0..rng.usize(..6)).map(|_| server(rng)).collect();
    let oauth = if rng.bool() { "<oAuth2><issuer>login.example.net</issuer></oAuth2>" } else { "" };
    format!("<clientConfig><emailProvider>{servers}</emailProvider>{oauth}</clientConfig>")
        .into_bytes()
}

fn metadata() -> Vec<u8> {
    b"{\"issuer\":\"https://login.example.net\",\"authorization_endpoint\":\"https://login.example.net/a\",\"token_endpoint\":\"https://login.example.net/t\"}".to_vec()
}

fn any_answer(rng: &mut Rng) -> Answer {
    let many = rng.usize(..40);
    match rng.u8(..12) {
        0 => Answer::Mx(
            (0..many)
                .map(|_| MxRecord {
                    preference: rng.u16(..3),
                    exchange: one(rng, HOSTS).to_string(),
                })
                .collect(),
        ),
        1 => Answer::Mx(vec![MxRecord { preference: 0, exchange: one(rng, HOSTS).to_string() }]),
        2 | 3 => Answer::Srv(
            (0..many % 4)
                .map(|_| SrvRecord {
                    priority: rng.u16(..3),
                    weight: rng.u16(..),
                    port: rng.u16(..),
                    target: one(rng, HOSTS).to_string(),
                })
                .collect(),
        ),
        4 => Answer::NoRecord,
        5 => Answer::Failed(Trouble::ALL[rng.usize(..Trouble::ALL.len())]),
        6 => Answer::Http {
            status: 301,
            location: Some(
                one(
                    rng,
                    &[
                        "/x",
                        "https://www.example.org/x",
                        "https://redirect.example/",
                        "http://example.org/",
                        "\u{0}",
                        "",
                    ],
                )
                .to_string(),
            ),
            body: Vec::new(),
        },
        7 => Answer::Http { status: rng.u16(..), location: None, body: soup(rng) },
        8 => Answer::Http { status: 200, location: None, body: soup(rng) },
        9 => Answer::Http { status: 200, location: None, body: metadata() },
        _ => Answer::Http { status: 200, location: None, body: file(rng) },
    }
}

/// An answer that fits most often.
fn answer(rng: &mut Rng, question: &Question) -> Answer {
    for _ in 0..rng.usize(..12) {
        let answer = any_answer(rng);
        let fits = matches!(
            (question, &answer),
            (Question::Mx { .. }, Answer::Mx(_))
                | (Question::Srv { .. }, Answer::Srv(_))
                | (Question::Get { .. }, Answer::Http { .. })
        );
        if fits {
            return answer;
        }
    }
    any_answer(rng)
}

fn check(discovery: &Discovery, asked: &[Lookup], seed: u64) -> Outcome {
    let found = discovery.found().unwrap();
    assert!(asked.len() <= LOOKUPS_MAX, "seed {seed}");
    for lookup in asked {
        let Question::Get { url, .. } = &lookup.question else { continue };
        // No local part, no plain http, no address in figures.
        assert!(
            url.starts_with("https://")
                && !url.contains("secret-local")
                && !url.contains("10.0.0.1"),
            "seed {seed}: {url}"
        );
        assert!(!url.contains("redirect.example"), "seed {seed}: {url}");
    }
    assert!(found.services.len() <= 3, "seed {seed}");
    for service in &found.services {
        let host = &service.endpoint.host;
        assert!(
            host.contains('.') && host != "10.0.0.1" && !host.ends_with("localhost"),
            "seed {seed}: {host}"
        );
        let is_elsewhere = *host != "example.org" && !host.ends_with(".example.org");
        assert_eq!(service.leads_to.is_some(), is_elsewhere, "seed {seed}: {host}");
        assert!(service.sureness != Sureness::Guess || !service.is_usable(), "seed {seed}");
    }
    let text = format!("{}{}{found}", found.lines().join("\n"), found.to_json());
    assert!(!text.contains(['\u{0}', '\r', '\u{202e}']), "seed {seed}: {text:?}");
    assert!(serde_json::from_str::<serde_json::Value>(&found.to_json()).is_ok());
    for protocol in Protocol::ALL {
        let usable = found.service(protocol).is_some_and(super::FoundService::is_usable);
        match found.login(protocol) {
            Ok((provider, user)) => {
                let config = provider.negotiation(protocol, crate::Identity::new(&user));
                assert!(usable && config.is_ok(), "seed {seed}: {config:?}");
            }
            Err(error) => assert!(
                !usable && error.to_string().contains("example.org"),
                "seed {seed}: {error}"
            ),
        }
    }
    found.outcome
}

#[test]
fn whatever_is_answered_it_ends_and_keeps_its_rules() {
    let seeds = std::env::var("MAILBEARER_SEEDS")
        .ok()
        .and_then(|seeds| seeds.parse().ok())
        .unwrap_or(5_000_u64);
    let mut outcomes = Vec::new();
    for seed in 0..seeds {
        let mut rng = Rng::with_seed(seed);
        let mut discovery = Discovery::new("secret-local@example.org").unwrap();
        let mut open = discovery.start();
        let mut asked = open.clone();
        while !open.is_empty() {
            let lookup = open.swap_remove(rng.usize(..open.len()));
            let answer = answer(&mut rng, &lookup.question);
            let more = discovery.answer(lookup.id, answer.clone());
            // An answer twice changes nothing.
            assert!(discovery.answer(lookup.id, answer).is_empty());
            asked.extend(more.iter().cloned());
            open.extend(more);
            if rng.u16(..) < 300 {
                discovery.end();
                break;
            }
        }
        assert_eq!(discovery.state(), DiscoveryState::Done, "seed {seed}");
        outcomes.push(check(&discovery, &asked, seed));
        assert!(discovery.start().is_empty() && discovery.answer(1, Answer::NoRecord).is_empty());
    }
    // The soup reaches all of it.
    for outcome in Outcome::ALL {
        assert!(outcomes.contains(outcome) || *outcome == Outcome::Unreachable, "{outcome}");
    }
}
