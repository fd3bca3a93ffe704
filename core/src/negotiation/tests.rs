//! The machine against its own rules: the table of edges, the token, the calls. Dialogues are in `tests/cases/`.

#![allow(clippy::string_slice, reason = "ASCII that the test wrote itself")]

use super::*;
use crate::config::{Endpoint, Identity};
use crate::provider::Provider;
use std::collections::BTreeSet;
use std::println;

const TOKEN: &str = "CanaryTokenThatMustNotBeSeen0123456789";

fn negotiation(protocol: Protocol, tls: Tls, initial_response: InitialResponse) -> Negotiation {
    let endpoint = Endpoint::new(protocol, tls, "mail.example.test");
    let config = NegotiationConfig {
        initial_response,
        ..NegotiationConfig::new(endpoint, Identity::new("user@example.test"))
    };
    Negotiation::new(config, AccessToken::new(TOKEN).unwrap()).unwrap()
}

fn of_provider(provider: &Provider, protocol: Protocol) -> Negotiation {
    let config = provider.negotiation(protocol, Identity::new("user@example.test")).unwrap();
    Negotiation::new(config, AccessToken::new(TOKEN).unwrap()).unwrap()
}

/// What a server could say, sensible or not. `%` is the tag.
fn lines(protocol: Protocol) -> &'static [&'static str] {
    match protocol {
        Protocol::Imap => &[
            "* OK [CAPABILITY IMAP4rev1 STARTTLS SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER] hi\r\n",
            "* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=XOAUTH2] hi\r\n",
            "* OK hi\r\n",
            "* OK [CAPABILITY IMAP4rev1] hi\r\n",
            "* CAPABILITY IMAP4rev1 STARTTLS AUTH=OAUTHBEARER\r\n",
            "* 1 EXISTS\r\n",
            "* NO [ALERT] careful\r\n",
            "* PREAUTH in\r\n",
            "* BYE bye\r\n",
            "% OK done\r\n",
            "% NO [AUTHENTICATIONFAILED] no\r\n",
            "% BAD what\r\n",
            "+ \r\n",
            "+ eyJzdGF0dXMiOiI0MDAifQ==\r\n",
            "garbage\r\n",
        ],
        Protocol::Pop3 => &[
            "+OK hi\r\n",
            "+OK\r\nSTLS\r\nSASL XOAUTH2 OAUTHBEARER\r\n.\r\n",
            "-ERR [AUTH] no\r\n",
            "-ERR [SYS/TEMP] later\r\n",
            "+ \r\n",
            "+ eyJzdGF0dXMiOiI0MDAifQ==\r\n",
            "garbage\r\n",
        ],
        Protocol::Smtp => &[
            "220 hi\r\n",
            "250-hi\r\n250-STARTTLS\r\n250 AUTH XOAUTH2 OAUTHBEARER\r\n",
            "250 hi\r\n",
            "334 \r\n",
            "334 Go ahead.\r\n",
            "334 5.7.8 no\r\n",
            "334 eyJzdGF0dXMiOiI0MDAifQ==\r\n",
            "235 2.7.0 in\r\n",
            "535 5.7.8 no\r\n",
            "500 5.5.2 Line too long\r\n",
            "421 4.3.2 bye\r\n",
            "garbage\r\n",
        ],
    }
}

/// What a sensible server says in a state, so that dialogues go far enough.
fn sensible(protocol: Protocol, state: State) -> &'static str {
    match (state, protocol) {
        (State::Greeting, Protocol::Imap) => "* OK hi\r\n",
        (State::Greeting, Protocol::Pop3) => "+OK hi\r\n",
        (State::Greeting, Protocol::Smtp) => "220 hi\r\n",
        (State::Capabilities, Protocol::Imap) => {
            "* CAPABILITY IMAP4rev1 STARTTLS SASL-IR AUTH=XOAUTH2\r\n% OK\r\n"
        }
        (State::Capabilities, Protocol::Pop3) => "+OK\r\nSTLS\r\nSASL XOAUTH2 OAUTHBEARER\r\n.\r\n",
        (State::Capabilities, Protocol::Smtp) => {
            "250-hi\r\n250-STARTTLS\r\n250 AUTH XOAUTH2 OAUTHBEARER\r\n"
        }
        (State::Upgrade, Protocol::Imap) => "% OK go\r\n",
        (State::Upgrade, Protocol::Pop3) => "+OK go\r\n",
        (State::Upgrade, Protocol::Smtp) => "220 go\r\n",
        (_, Protocol::Imap | Protocol::Pop3) => "+ \r\n",
        (_, Protocol::Smtp) => "334 \r\n",
    }
}

/// One dialogue with a server that says anything, and the checks that hold in every one.
fn wander(rng: &mut fastrand::Rng, seen: &mut BTreeSet<(State, Event, State)>) {
    let protocol = Protocol::ALL[rng.usize(0..3)];
    let tls = Tls::ALL[rng.usize(0..2)];
    let initial_response = InitialResponse::ALL[rng.usize(0..3)];
    let mut machine = negotiation(protocol, tls, initial_response);
    let mut secure = tls == Tls::Implicit;
    let mut exchanges = 0;
    let mut tokens = 0;
    for _ in 0..12 {
        let step = if machine.state() == State::Handshake && rng.u8(0..8) > 1 {
            secure = true;
            machine.tls_established().unwrap()
        } else if rng.u8(0..20) == 0 {
            machine.closed().unwrap()
        } else if rng.bool() {
            let text = sensible(protocol, machine.state());
            machine.receive(text.replace('%', &machine.tag).as_bytes()).unwrap()
        } else {
            let text: String =
                (0..rng.usize(1..3)).map(|_| *rng.choice(lines(protocol)).unwrap()).collect();
            machine.receive(text.replace('%', &machine.tag).as_bytes()).unwrap()
        };
        let sent = String::from_utf8(step.send.clone()).unwrap();
        exchanges += sent.matches("AUTH").count();
        if step.sensitive {
            tokens += 1;
            assert!(secure, "the token left without TLS");
        }
        assert!(tokens <= exchanges, "the token left twice in one exchange");
        match &step.next {
            Next::Failed(_) => assert!(step.send.is_empty(), "a step that fails sends nothing"),
            Next::Done(_) | Next::StartTls | Next::Read => {}
        }
        if matches!(step.next, Next::Failed(_) | Next::Done(_)) {
            assert_eq!(machine.receive(b"x"), Err(Misuse::Finished));
            assert_eq!(machine.closed(), Err(Misuse::Finished));
            break;
        }
    }
    for edge in &machine.trail {
        assert!(TRANSITIONS.contains(edge), "{edge:?} is not in the table");
        seen.insert(*edge);
    }
}

#[test]
fn every_edge_is_in_the_table_and_every_row_is_met() {
    let mut rng = fastrand::Rng::with_seed(11);
    let mut seen = BTreeSet::new();
    for _ in 0..60_000 {
        wander(&mut rng, &mut seen);
    }
    let missing: Vec<_> = TRANSITIONS.iter().filter(|edge| !seen.contains(edge)).collect();
    for edge in &missing {
        println!("never met: {edge:?}");
    }
    assert!(missing.is_empty());
}

#[test]
fn no_dialogue_shows_the_token() {
    let mut machine = negotiation(Protocol::Imap, Tls::Implicit, InitialResponse::Auto);
    let step = machine.receive(lines(Protocol::Imap)[0].as_bytes()).unwrap();
    let sent = String::from_utf8(step.send.clone()).unwrap();
    let payload = sent.trim().rsplit(' ').next().unwrap();
    // Servers repeat what they refuse: whole, cut off, and decoded.
    for echo in [payload, &payload[..40], &payload[17..60], TOKEN, &TOKEN[3..20]] {
        let mut machine = negotiation(Protocol::Imap, Tls::Implicit, InitialResponse::Auto);
        let step = machine.receive(lines(Protocol::Imap)[0].as_bytes()).unwrap();
        let refusal = format!(
            "{} NO [{echo}] unknown command: {echo} https://x.test/{echo}\r\n",
            machine.tag
        );
        let failed = machine.receive(refusal.as_bytes()).unwrap();
        let Next::Failed(failure) = &failed.next else { panic!("{failed:?}") };
        let shown = format!("{step:?} {failed:?} {failure} {machine:?}");
        assert!(!shown.contains(&echo[..12]), "{shown}");
        assert!(failure.server_text.contains("unknown command: <token>"), "{shown}");
    }
}

#[test]
fn no_list_of_capabilities_shows_the_token() {
    for echo in [TOKEN, &TOKEN[3..20]] {
        let mut machine = negotiation(Protocol::Imap, Tls::Implicit, InitialResponse::Auto);
        let _ = machine.receive(lines(Protocol::Imap)[0].as_bytes()).unwrap();
        let end = format!("{} OK [CAPABILITY IMAP4rev1 X-{echo} IDLE] hi\r\n", machine.tag);
        let step = machine.receive(end.as_bytes()).unwrap();
        let Next::Done(authenticated) = step.next else { panic!("{step:?}") };
        assert_eq!(authenticated.capabilities, ["IMAP4rev1", "<token>", "IDLE"]);
    }
}

#[test]
fn what_was_heard_in_the_clear_is_not_shown() {
    let mut machine = negotiation(Protocol::Smtp, Tls::StartTls, InitialResponse::Auto);
    let _ = machine.receive(b"220 hi\r\n").unwrap();
    let _ = machine.receive(b"250-hi\r\n250 STARTTLS\r\n").unwrap();
    let step = machine.receive(b"454 4.7.0 call this number\r\n").unwrap();
    let Next::Failed(failure) = step.next else { panic!("{step:?}") };
    assert_eq!((failure.cause, failure.server_text.as_str()), (Cause::TlsRefused, ""));
    assert_eq!(failure.code.as_deref(), Some("454 4.7.0"));
}

#[test]
fn a_call_that_does_not_fit_is_misuse_and_harms_nothing() {
    let mut machine = negotiation(Protocol::Imap, Tls::Implicit, InitialResponse::Auto);
    assert_eq!(machine.tls_established(), Err(Misuse::NoHandshakeExpected));
    assert_eq!(machine.receive(b""), Err(Misuse::EmptyRead));
    assert_eq!(machine.state(), State::Greeting);
    let step = machine.receive(b"* OK hi\r\n").unwrap();
    assert_eq!(step.send, b"A0001 CAPABILITY\r\n");
}

/// Writes until the login is done: the round trips from the greeting on.
fn round_trips(mut machine: Negotiation, script: &[&str]) -> usize {
    let mut count = 0;
    for line in script {
        let step = if *line == "<tls>" {
            machine.tls_established().unwrap()
        } else {
            machine.receive(line.replace('%', &machine.tag).as_bytes()).unwrap()
        };
        count += usize::from(!step.send.is_empty());
        if let Next::Done(_) = step.next {
            return count;
        }
    }
    panic!("the login is not done: {machine:?}")
}

#[test]
fn round_trips_are_as_few_as_the_protocols_allow() {
    let gmail = Provider::gmail();
    assert_eq!(
        round_trips(of_provider(&gmail, Protocol::Imap), &["* OK Gimap\r\n", "% OK in\r\n"]),
        1
    );
    assert_eq!(
        round_trips(of_provider(&gmail, Protocol::Pop3), &["+OK Gpop\r\n", "+OK in\r\n"]),
        1
    );
    let ehlo = "250-hi\r\n250 AUTH XOAUTH2\r\n";
    assert_eq!(
        round_trips(of_provider(&gmail, Protocol::Smtp), &["220 hi\r\n", ehlo, "235 in\r\n"]),
        2
    );
    let unknown = |protocol| negotiation(protocol, Tls::Implicit, InitialResponse::Auto);
    let listed = "* CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2\r\n% OK\r\n";
    assert_eq!(round_trips(unknown(Protocol::Imap), &["* OK\r\n", listed, "% OK in\r\n"]), 2);
    let upgraded = negotiation(Protocol::Imap, Tls::StartTls, InitialResponse::Auto);
    let greeting = "* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n";
    assert_eq!(
        round_trips(upgraded, &[greeting, "% OK go\r\n", "<tls>", listed, "% OK in\r\n"]),
        3
    );
}

#[test]
fn what_a_profile_assumes_is_not_assumed_after_an_upgrade() {
    let endpoint = Endpoint::new(Protocol::Imap, Tls::StartTls, "mail.example.test");
    let mut config = NegotiationConfig::new(endpoint, Identity::new("user@example.test"));
    config.assumed_capabilities =
        Vec::from(["SASL-IR".into(), "AUTH=XOAUTH2".into(), "STARTTLS".into()]);
    let mut machine = Negotiation::new(config, AccessToken::new(TOKEN).unwrap()).unwrap();
    assert_eq!(machine.receive(b"* OK hi\r\n").unwrap().send, b"A0001 CAPABILITY\r\n");
    let _ = machine.receive(b"* CAPABILITY STARTTLS\r\nA0001 OK\r\n").unwrap();
    let _ = machine.receive(b"A0002 OK\r\n").unwrap();
    assert_eq!(machine.tls_established().unwrap().send, b"A0003 CAPABILITY\r\n");
}

#[test]
fn a_line_of_exactly_the_limit_still_travels_inline() {
    for (protocol, limit, greeting) in [
        (Protocol::Smtp, 512, "220 hi\r\n250-hi\r\n250 AUTH XOAUTH2\r\n"),
        (Protocol::Pop3, 255, "+OK hi\r\n+OK\r\nSASL XOAUTH2\r\n.\r\n"),
    ] {
        let longest = (16..600).rev().find(|octets| {
            let endpoint = Endpoint::new(protocol, Tls::Implicit, "mail.example.test");
            let config = NegotiationConfig::new(endpoint, Identity::new("user@example.test"));
            let mut machine =
                Negotiation::new(config, AccessToken::new(&"t".repeat(*octets)).unwrap()).unwrap();
            let (first, second) = greeting.split_once("\r\n").unwrap();
            let _ = machine.receive(format!("{first}\r\n").as_bytes()).unwrap();
            let step = machine.receive(second.as_bytes()).unwrap();
            assert_eq!(step.sensitive, step.send.len() > "AUTH XOAUTH2\r\n".len());
            assert!(step.send.len() <= limit);
            step.sensitive
        });
        // Base64 grows in steps of four octets: the longest line misses the limit by less than that.
        assert!(longest.is_some(), "{protocol}");
    }
}

#[test]
fn masks_the_token_in_base64_at_every_alignment() {
    for before in ["", "x", "xx", "Bearer ", "auth=Bearer "] {
        let sent_back = sasl::encode(format!("{before}{TOKEN}").as_bytes());
        let mut machine = negotiation(Protocol::Imap, Tls::Implicit, InitialResponse::Auto);
        let _step =
            machine.receive(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n").unwrap();
        let tag = machine.tag.clone();
        let step = machine.receive(format!("{tag} NO bad: {sent_back}\r\n").as_bytes()).unwrap();
        let Next::Failed(failure) = step.next else { panic!("{step:?}") };
        assert_eq!(failure.server_text, "bad: <token>", "behind {before:?}");
    }
}
