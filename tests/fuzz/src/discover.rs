//! What strangers answer to a discovery: an autoconfig file, the metadata of an authorization server, or records of DNS.
//!
//! Input: an octet that chooses, then the answer; of records lines, each a number and a host.

use mailbearer::discover::{
    Answer, Discovered, Discovery, Lookup, MxRecord, Question, SrvRecord, Sureness,
};
use mailbearer::limits::LOOKUPS_MAX;
use mailbearer::{Identity, Protocol};

use crate::octets::Octets;

const FILE: &[u8] = b"<clientConfig><emailProvider><incomingServer type=\"imap\"><hostname>imap.example.org\
</hostname><port>993</port><socketType>SSL</socketType><authentication>OAuth2</authentication></incomingServer>\
</emailProvider><oAuth2><issuer>https://login.example.org</issuer></oAuth2></clientConfig>";

/// Holds the machine against its rules.
pub fn check(data: &[u8]) {
    let mut octets = Octets::new(data);
    let chosen = octets.octet() % 3;
    let rest = octets.rest();
    let mut discovery = Discovery::new("local-part@example.org").expect("an address");
    let mut lookups = discovery.start();
    let mut count = 0;
    while let Some(lookup) = lookups.pop() {
        count += 1;
        may_be_asked(&lookup);
        let more = discovery.answer(lookup.id, answer(&lookup.question, chosen, rest));
        lookups.extend(more);
    }
    assert!(count <= LOOKUPS_MAX, "lookups without bound");
    holds(discovery.found().expect("an end"));
}

fn answer(question: &Question, chosen: u8, rest: &[u8]) -> Answer {
    let http = |body: &[u8]| Answer::Http { status: 200, location: None, body: body.to_vec() };
    match (question, chosen) {
        (Question::Get { .. }, 0) => http(rest),
        (Question::Get { url, .. }, 1) if url.ends_with(".xml") => http(FILE),
        (Question::Get { .. }, 1) => http(rest),
        (Question::Get { .. }, _) => redirect(rest),
        (Question::Mx { .. } | Question::Srv { .. }, 0 | 1) => Answer::NoRecord,
        (Question::Mx { .. }, _) => {
            let record = |(preference, exchange)| MxRecord { preference, exchange };
            Answer::Mx(hosts(rest).map(record).collect())
        }
        (Question::Srv { .. }, _) => {
            let record = |(port, target)| SrvRecord { priority: 0, weight: port, port, target };
            Answer::Srv(hosts(rest).map(record).collect())
        }
    }
}

fn redirect(rest: &[u8]) -> Answer {
    let location = String::from_utf8_lossy(rest).into_owned();
    Answer::Http { status: 301, location: Some(location), body: Vec::new() }
}

fn hosts(rest: &[u8]) -> impl Iterator<Item = (u16, String)> {
    rest.split(|octet| *octet == b'\n').map(|line| {
        let number = line.first().copied().map_or(0, u16::from);
        (number, String::from_utf8_lossy(line.get(1..).unwrap_or_default()).into_owned())
    })
}

fn may_be_asked(lookup: &Lookup) {
    let shown = format!("{:?}", lookup.question);
    assert!(!shown.contains("local-part"), "the local part is told: {shown}");
    if let Question::Get { url, .. } = &lookup.question {
        let host = url.strip_prefix("https://").expect("https");
        let host = host.split(['/', ':']).next().unwrap_or_default();
        is_of_others(host);
    }
}

/// No host of this machine, and none in figures.
fn is_of_others(host: &str) {
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|one| one.is_ascii_digit());
    assert!(host.contains('.') && !is_number && last != "localhost", "{host}");
    assert!(host.is_ascii() && !host.contains(['@', '[', ' ']), "{host}");
}

fn holds(found: &Discovered) {
    let text = format!("{found}\n{}", found.lines().join("\n"));
    assert!(!text.replace('\n', "").contains(char::is_control), "text with controls: {text:?}");
    assert!(
        !text.contains(['\u{202e}', '\u{2066}', '\u{2028}']),
        "text that turns around: {text:?}"
    );
    let json: serde_json::Value = serde_json::from_str(&found.to_json()).expect("JSON");
    assert!(json["services"].as_array().is_some_and(|services| services.len() <= 3));
    for service in &found.services {
        let host = &service.endpoint.host;
        is_of_others(host);
        let is_elsewhere = host != "example.org" && !host.ends_with(".example.org");
        assert_eq!(service.leads_to.is_some(), is_elsewhere, "{host}");
        assert!(!service.is_usable() || service.sureness != Sureness::Guess, "a guess is used");
    }
    for protocol in Protocol::ALL {
        if let Ok((provider, user)) = found.login(protocol) {
            let config = provider.negotiation(protocol, Identity::new(&user));
            assert!(config.is_ok(), "what is found cannot be used: {config:?}");
        }
    }
}
