//! The machine against its own rules: the table of edges, the token, the calls. Dialogues are in `tests/cases/`.

#![allow(clippy::string_slice, reason = "ASCII that the test wrote itself")]

use super::*;
use crate::config::{Endpoint, Identity, InitialResponse, Protocol};
use crate::failure::{Advice, Cause, Certainty, Failure, default_advice};
use crate::provider::Provider;
use crate::sasl;
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
            "+ XOAUTH2 supported\r\n",
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
    // Runs that repeat the tests often are content with fewer.
    let dialogues = std::env::var("MAILBEARER_DIALOGUES").map_or(60_000, |n| n.parse().unwrap());
    for _ in 0..dialogues {
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
    let message = sasl::decode_strict(payload).unwrap();
    let start = memchr::memmem::find(&message, TOKEN.as_bytes()).unwrap();
    let (public, secret) = payload.split_at(start.div_ceil(3) * 4);
    // Servers repeat what they refuse: whole, cut off, and decoded.
    for (echo, part) in [
        (payload, secret),
        (&payload[20..public.len() + 20], secret),
        (&secret[..16], secret),
        (TOKEN, TOKEN),
        (&TOKEN[3..20], &TOKEN[3..]),
    ] {
        let mut machine = negotiation(Protocol::Imap, Tls::Implicit, InitialResponse::Auto);
        let step = machine.receive(lines(Protocol::Imap)[0].as_bytes()).unwrap();
        let refusal = format!(
            "{} NO [{echo}] unknown command: {echo} https://x.test/{echo}\r\n",
            machine.tag
        );
        let failed = machine.receive(refusal.as_bytes()).unwrap();
        let Next::Failed(failure) = &failed.next else { panic!("{failed:?}") };
        let shown = format!("{step:?} {failed:?} {failure} {machine:?}");
        assert!(!shown.contains(&part[..8]), "{shown}");
        assert_eq!(failure.server_text.matches("<token>").count(), 2, "{shown}");
        assert!(failure.code.as_deref().unwrap().contains("<token>"), "{shown}");
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
        assert_eq!(authenticated.capabilities, ["IMAP4rev1", "X-<token>", "IDLE"]);
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
    // Behind another octet than our message has, the character in which the token begins is shown: two bits of it.
    for (before, public) in [
        ("", ""),
        ("x", "e"),
        ("xx", "eHh"),
        ("Bearer ", "QmVhcmVyI"),
        ("auth=Bearer ", "YXV0aD1CZWFyZXIg"),
    ] {
        let sent_back = sasl::encode(format!("{before}{TOKEN}").as_bytes());
        let mut machine = negotiation(Protocol::Imap, Tls::Implicit, InitialResponse::Auto);
        let _step =
            machine.receive(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n").unwrap();
        let tag = machine.tag.clone();
        let step = machine.receive(format!("{tag} NO bad: {sent_back}\r\n").as_bytes()).unwrap();
        let Next::Failed(failure) = step.next else { panic!("{step:?}") };
        assert_eq!(failure.server_text, format!("bad: {public}<token>"), "behind {before:?}");
    }
}

/// What a login fails with when the server says these things, one read each.
fn failure_of(mut machine: Negotiation, script: &[&str]) -> Failure {
    for text in script {
        let step = machine.receive(text.replace('%', &machine.tag).as_bytes()).unwrap();
        if let Next::Failed(failure) = step.next {
            return failure;
        }
    }
    panic!("the login did not fail: {machine:?}")
}

fn over_tls(protocol: Protocol, initial_response: InitialResponse) -> Negotiation {
    negotiation(protocol, Tls::Implicit, initial_response)
}

#[test]
fn a_server_that_does_not_say_what_it_offers_is_told_from_one_that_is_down() {
    let refused = |protocol, greeting, reply| {
        let failure = failure_of(over_tls(protocol, InitialResponse::Auto), &[greeting, reply]);
        (failure.cause, failure.certainty, failure.detail.to_string())
    };
    let silent = (
        Cause::MechanismUnavailable,
        Certainty::Inferred,
        "the server does not say what it offers".to_string(),
    );
    assert_eq!(refused(Protocol::Imap, "* OK hi\r\n", "% BAD what\r\n"), silent);
    assert_eq!(refused(Protocol::Pop3, "+OK hi\r\n", "-ERR unknown command\r\n"), silent);
    let down = refused(Protocol::Pop3, "+OK hi\r\n", "-ERR [SYS/TEMP] later\r\n");
    assert_eq!((down.0, down.1), (Cause::Unavailable, Certainty::Stated));
    let many = "% NO Too many simultaneous connections\r\n";
    assert_eq!(refused(Protocol::Imap, "* OK hi\r\n", many).0, Cause::TooManyConnections);
    let often = "-ERR [LOGIN-DELAY] minimum time between mail checks\r\n";
    assert_eq!(refused(Protocol::Pop3, "+OK hi\r\n", often).0, Cause::RateLimited);
    let machine = over_tls(Protocol::Imap, InitialResponse::Auto);
    let failure = failure_of(machine, &["* OK hi\r\n", "% BAD what\r\n"]);
    assert_eq!(failure.advice, default_advice(Cause::MechanismUnavailable));
    assert_eq!(failure.server_text, "what");
}

#[test]
fn a_refusal_before_the_token_is_one_of_the_mechanism() {
    let machine = over_tls(Protocol::Imap, InitialResponse::Never);
    let greeting = "* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] hi\r\n";
    let failure = failure_of(machine, &[greeting, "% NO no\r\n"]);
    assert_eq!(failure.cause, Cause::MechanismUnavailable);
    assert_eq!(failure.advice, default_advice(Cause::MechanismUnavailable));
    assert_eq!(failure.certainty, Certainty::Inferred);
    assert_eq!(failure.detail, "the server refused the mechanism before it was given a token");
    assert_eq!(failure.server_text, "no");
}

#[test]
fn a_second_question_for_the_token_is_worth_another_token() {
    let machine = over_tls(Protocol::Imap, InitialResponse::Never);
    let greeting = "* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] hi\r\n";
    let failure = failure_of(machine, &[greeting, "+ \r\n", "+ \r\n"]);
    assert_eq!(failure.cause, Cause::ProtocolViolation);
    assert_eq!((failure.advice, failure.certainty), (Advice::RefreshToken, Certainty::Guessed));
}

#[test]
fn exchanges_one_text_for_two_faults_is_read_by_the_way_the_token_went() {
    let text = "-ERR Protocol error. Connection is closed. 10\r\n";
    let greeting = ["+OK hi\r\n", "+OK\r\nSASL XOAUTH2\r\n.\r\n"];
    let in_the_line = over_tls(Protocol::Pop3, InitialResponse::Always);
    let failure = failure_of(in_the_line, &[greeting[0], greeting[1], text]);
    assert_eq!((failure.cause, failure.advice), (Cause::LineTooLong, Advice::Reconnect));
    let of_the_command = over_tls(Protocol::Pop3, InitialResponse::Never);
    let failure = failure_of(of_the_command, &[greeting[0], greeting[1], text]);
    assert_eq!((failure.cause, failure.advice), (Cause::LineTooLong, Advice::Reconnect));
    let in_two_steps = over_tls(Protocol::Pop3, InitialResponse::Never);
    let failure = failure_of(in_two_steps, &[greeting[0], greeting[1], "+ \r\n", text]);
    assert_eq!((failure.cause, failure.advice), (Cause::LineTooLong, Advice::AskUser));
}

#[test]
fn a_failure_carries_the_servers_code_its_address_and_its_challenge() {
    let greeting = "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n";
    let alert = "% NO [WEBALERT https://x.test/a] Web login required.\r\n";
    let failure = failure_of(over_tls(Protocol::Imap, InitialResponse::Auto), &[greeting, alert]);
    assert_eq!(failure.code.as_deref(), Some("WEBALERT"));
    assert_eq!(failure.url.as_deref(), Some("https://x.test/a"));
    assert_eq!(failure.rejection, None);
    let challenge = "+ eyJzdGF0dXMiOiI0MDAifQ==\r\n";
    let script = [greeting, challenge, "% NO no\r\n"];
    let failure = failure_of(over_tls(Protocol::Imap, InitialResponse::Auto), &script);
    assert_eq!(failure.rejection.unwrap().status.as_deref(), Some("400"));
}

#[test]
fn a_list_from_before_the_login_holds_for_smtp_only() {
    let capabilities = |mut machine: Negotiation, script: &[&str]| {
        for text in script {
            let step = machine.receive(text.replace('%', &machine.tag).as_bytes()).unwrap();
            if let Next::Done(authenticated) = step.next {
                return authenticated.capabilities;
            }
        }
        panic!("the login is not done: {machine:?}")
    };
    let greeting = "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n";
    for (way, prompt) in [(InitialResponse::Always, ""), (InitialResponse::Never, "+ \r\n")] {
        let machine = over_tls(Protocol::Imap, way);
        let script = [greeting, prompt, "% OK in\r\n"];
        let script: Vec<&str> = script.into_iter().filter(|text| !text.is_empty()).collect();
        assert!(capabilities(machine, &script).is_empty(), "{way:?}");
        let machine = over_tls(Protocol::Imap, way);
        let script = [greeting, prompt, "* CAPABILITY IDLE\r\n% OK in\r\n"];
        let script: Vec<&str> = script.into_iter().filter(|text| !text.is_empty()).collect();
        assert_eq!(capabilities(machine, &script), ["IDLE"], "{way:?}");
    }
    let machine = over_tls(Protocol::Smtp, InitialResponse::Auto);
    let script = ["220 hi\r\n", "250-hi\r\n250-SIZE 9\r\n250 AUTH XOAUTH2\r\n", "235 in\r\n"];
    assert_eq!(capabilities(machine, &script), ["SIZE 9", "AUTH XOAUTH2"]);
}

#[test]
fn a_list_that_nobody_asked_for_is_asked_again() {
    let mut machine = over_tls(Protocol::Imap, InitialResponse::Auto);
    let step = machine.receive(b"* OK hi\r\n* CAPABILITY SASL-IR AUTH=XOAUTH2\r\n").unwrap();
    assert_eq!(step.send, b"A0001 CAPABILITY\r\n");
    let failure = failure_of(machine, &["% OK done\r\n"]);
    assert_eq!(failure.cause, Cause::MechanismUnavailable);
}

#[test]
fn masks_the_token_in_what_a_host_logs() {
    let machine = over_tls(Protocol::Imap, InitialResponse::Auto);
    assert_eq!(machine.redact(&format!("x {TOKEN} y")), "x <token> y");
    assert_eq!(machine.redact("nothing of it"), "nothing of it");
}

#[test]
fn debug_output_shows_what_is_sent_and_where_it_stands_but_no_token() {
    let mut machine = over_tls(Protocol::Imap, InitialResponse::Never);
    let step = machine.receive(b"* OK hi\r\n").unwrap();
    assert!(format!("{step:?}").contains("A0001 CAPABILITY"), "{step:?}");
    let _ = machine.receive(b"* CAPABILITY AUTH=XOAUTH2\r\nA0001 OK\r\n").unwrap();
    let step = machine.receive(b"+ \r\n").unwrap();
    let shown = format!("{step:?}");
    assert!(shown.contains(&format!("<{} octets with the token>", step.send.len())), "{shown}");
    let shown = format!("{machine:?}");
    assert!(shown.contains("mail.example.test") && shown.contains("Verdict"), "{shown}");
}

#[test]
fn tells_the_mechanisms_on_offer_where_ours_are_missing() {
    let detail = |protocol, script: &[&str]| {
        let failure = failure_of(over_tls(protocol, InitialResponse::Auto), script);
        assert_eq!(failure.cause, Cause::MechanismUnavailable);
        failure.detail.to_string()
    };
    let list = "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=LOGIN] hi\r\n";
    assert_eq!(
        detail(Protocol::Imap, &[list]),
        "OAUTHBEARER or XOAUTH2 is wanted, and it offers PLAIN, LOGIN"
    );
    let none = "OAUTHBEARER or XOAUTH2 is wanted, and it offers no mechanism at all";
    assert_eq!(detail(Protocol::Pop3, &["+OK hi\r\n", "+OK\r\nUSER\r\n.\r\n"]), none);
    let ours = ["220 hi\r\n", "250-hi\r\n250 AUTH PLAIN \u{202e}\u{1b}[1m\r\n"];
    assert!(!detail(Protocol::Smtp, &ours).contains(['\u{202e}', '\u{1b}']));
    let long = format!("* OK [CAPABILITY{}] hi\r\n", " AUTH=LONGNAME".repeat(100));
    assert!(detail(Protocol::Imap, &[&long]).chars().count() < 250);
    let leak = format!("* OK [CAPABILITY AUTH={TOKEN}] hi\r\n");
    assert!(detail(Protocol::Imap, &[&leak]).ends_with("it offers <token>"));
}

#[test]
fn shows_the_line_that_broke_the_protocol_but_not_from_the_clear() {
    let shown = |tls, script: &[&str]| {
        let machine = negotiation(Protocol::Imap, tls, InitialResponse::Auto);
        let failure = failure_of(machine, script);
        assert_eq!(failure.cause, Cause::ProtocolViolation);
        failure.server_text
    };
    let greeting = "* OK [CAPABILITY IMAP4rev1 STARTTLS SASL-IR AUTH=XOAUTH2] hi\r\n";
    let ours = |tls| shown(tls, &[greeting, "what \u{1b}is this\r\n"]);
    assert_eq!((ours(Tls::Implicit).as_str(), ours(Tls::StartTls).as_str()), ("what  is this", ""));
    assert_eq!(shown(Tls::Implicit, &[greeting, &format!("{TOKEN}\r\n")]), "<token>");
    let long = shown(Tls::Implicit, &[greeting, &format!("{}\r\n", "x ".repeat(300))]);
    assert!(long.ends_with('\u{2026}') && long.chars().count() < 200, "{long}");
    // What could be read, and does not belong there.
    assert_eq!(shown(Tls::Implicit, &[greeting, "* PREAUTH in\r\n"]), "* PREAUTH in");
}

#[test]
fn names_the_other_service_and_shows_its_greeting_in_tls_only() {
    for (tls, text) in [(Tls::Implicit, "220 mail ESMTP"), (Tls::StartTls, "")] {
        let machine = negotiation(Protocol::Imap, tls, InitialResponse::Auto);
        let failure = failure_of(machine, &["220 mail ESMTP\r\n"]);
        assert_eq!((failure.cause, failure.server_text.as_str()), (Cause::WrongService, text));
        assert_eq!(
            (failure.advice, &*failure.detail),
            (Advice::FixConfiguration, "an SMTP server greets")
        );
    }
}

#[test]
fn what_is_said_in_the_clear_is_a_guess_without_wait_and_address() {
    let clear = || negotiation(Protocol::Imap, Tls::StartTls, InitialResponse::Auto);
    let line = "* BYE [LIMIT] Request is throttled. Suggested Backoff Time: 86400000 milliseconds, see https://x.test/\r\n";
    let failure = failure_of(clear(), &[line]);
    assert_eq!((failure.cause, failure.advice), (Cause::RateLimited, Advice::BackOff));
    assert_eq!((failure.certainty, failure.wait_ms), (Certainty::Guessed, None));
    assert_eq!((failure.url.as_deref(), failure.server_text.as_str()), (None, ""));
    assert_eq!(failure.code.as_deref(), Some("LIMIT"));
    for code in ["CALL-THIS-NUMBER-NOW", "0800-1234567", "EVIL.EXAMPLE", "C4LL"] {
        let line = format!("* BYE [{code}] x\r\n");
        assert_eq!(failure_of(clear(), &[&line]).code, None, "{code}");
    }
    // The same in TLS is believed.
    let failure = failure_of(over_tls(Protocol::Imap, InitialResponse::Auto), &[line]);
    assert_eq!(failure.wait_ms, Some(86_400_000));
}

#[test]
fn an_upgrade_that_is_refused_for_now_is_waited_out() {
    let refused = |reply: &str| {
        let machine = negotiation(Protocol::Smtp, Tls::StartTls, InitialResponse::Auto);
        failure_of(machine, &["220 hi\r\n", "250-hi\r\n250 STARTTLS\r\n", reply])
    };
    let temporary = "454 4.7.0 TLS not available due to temporary reason\r\n";
    let local = "454 4.7.0 TLS not available due to local problem\r\n";
    for (reply, cause, advice) in [
        (temporary, Cause::Unavailable, Advice::BackOff),
        (local, Cause::TlsRefused, Advice::BackOff),
        ("502 5.5.1 no\r\n", Cause::TlsRefused, Advice::FixConfiguration),
    ] {
        let failure = refused(reply);
        assert_eq!((failure.cause, failure.advice), (cause, advice), "{reply}");
    }
    let failure = refused("451 4.3.0 no\r\n");
    assert_eq!(failure.detail, "it does not start TLS for now");
    assert_eq!(failure.code.as_deref(), Some("451 4.3.0"));
}

#[test]
fn tells_the_name_that_the_server_does_not_take() {
    let machine = over_tls(Protocol::Smtp, InitialResponse::Auto);
    let failure = failure_of(machine, &["220 hi\r\n", "501 5.5.4 Invalid domain name\r\n"]);
    assert_eq!(
        (failure.cause, &*failure.detail),
        (Cause::ClientNameRefused, "it was example.test")
    );
    assert!(failure.to_string().contains("ehlo_name"), "{failure}");
}

#[test]
fn names_the_setting_where_the_way_of_the_token_is_refused() {
    let script = |way, reply: &'static str| {
        let ehlo = "250-hi\r\n250 AUTH XOAUTH2\r\n";
        failure_of(over_tls(Protocol::Smtp, way), &["220 hi\r\n", ehlo, reply])
    };
    let failure = script(InitialResponse::Never, "501 5.5.4 argument missing\r\n");
    assert_eq!(failure.advice, Advice::FixConfiguration);
    assert!(failure.to_string().contains("set initial_response to auto"), "{failure}");
}

#[test]
fn tells_how_long_the_line_was() {
    let endpoint = Endpoint::new(Protocol::Pop3, Tls::Implicit, "mail.example.test");
    let config = NegotiationConfig {
        initial_response: InitialResponse::Always,
        ..NegotiationConfig::new(endpoint, Identity::new("user@example.test"))
    };
    let token = AccessToken::new(&"ab".repeat(200)).unwrap();
    let mut machine = Negotiation::new(config, token).unwrap();
    let _ = machine.receive(b"+OK hi\r\n").unwrap();
    let octets = machine.receive(b"+OK\r\nSASL XOAUTH2\r\n.\r\n").unwrap().send.len();
    let failure = failure_of(machine, &["-ERR what\r\n"]);
    assert_eq!((failure.cause, failure.advice), (Cause::LineTooLong, Advice::Reconnect));
    assert_eq!(failure.detail, format!("{octets} octets, and every server takes 255"));
    assert_eq!(failure.server_text, "what");
}

#[test]
fn a_user_or_a_host_is_no_word_of_the_server() {
    let endpoint = Endpoint::new(Protocol::Imap, Tls::Implicit, "shutdown");
    let config = NegotiationConfig::new(endpoint, Identity::new("locked"));
    let machine = Negotiation::new(config, AccessToken::new(TOKEN).unwrap()).unwrap();
    let greeting = "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n";
    let failure = failure_of(machine, &[greeting, "% NO shutdown says no for user locked\r\n"]);
    assert_eq!(failure.cause, Cause::TokenRejected);
}

#[test]
fn a_server_that_says_nothing_before_tls_may_want_it_at_once() {
    let mut machine = negotiation(Protocol::Imap, Tls::StartTls, InitialResponse::Auto);
    let Next::Failed(failure) = machine.closed().unwrap().next else { panic!("no end") };
    assert_eq!(failure.cause, Cause::ConnectionLost);
    assert!(failure.to_string().contains("tls: implicit"), "{failure}");
}

#[test]
fn a_token_that_is_ordered_in_the_clear_does_not_leave() {
    for protocol in Protocol::ALL {
        for order in [Order::Login { inline: true }, Order::Respond] {
            let mut machine = negotiation(protocol, Tls::StartTls, InitialResponse::Always);
            machine.order = Some((Event::Positive, order));
            let step = machine.perform();
            assert!(step.send.is_empty() && !step.sensitive, "{protocol}: {step:?}");
            assert!(matches!(step.next, Next::Failed(_)), "{protocol}: {step:?}");
        }
    }
}

#[test]
fn a_line_that_is_refused_after_both_ways_were_tried_is_for_a_person() {
    let is_for_a_person = |step: Step| {
        let Next::Failed(failure) = step.next else { panic!("{step:?}") };
        assert_eq!((failure.cause, failure.advice), (Cause::LineTooLong, Advice::AskUser));
        assert!(failure.detail.contains("neither"), "{failure}");
    };
    // Longer than the line may be, so that the bare command is the first way.
    let endpoint = Endpoint::new(Protocol::Smtp, Tls::Implicit, "mail.example.test");
    let config = NegotiationConfig::new(endpoint, Identity::new("user@example.test"));
    let long = AccessToken::new(&"t".repeat(600)).unwrap();
    let mut machine = Negotiation::new(config, long).unwrap();
    let _ = machine.receive(b"220 hi\r\n").unwrap();
    let bare = machine.receive(b"250-hi\r\n250 AUTH XOAUTH2\r\n").unwrap();
    assert_eq!(bare.send, b"AUTH XOAUTH2\r\n");
    let inline = machine.receive(b"501 5.5.4 missing argument\r\n").unwrap();
    assert!(inline.sensitive && inline.send.starts_with(b"AUTH XOAUTH2 "), "{inline:?}");
    is_for_a_person(machine.receive(b"535 5.5.4 Optional argument not permitted\r\n").unwrap());
    // Short, at a server without SASL-IR.
    let mut machine = negotiation(Protocol::Imap, Tls::Implicit, InitialResponse::Auto);
    let bare = machine.receive(b"* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] hi\r\n").unwrap();
    assert_eq!(bare.send, b"A0001 AUTHENTICATE XOAUTH2\r\n");
    let inline = machine.receive(b"A0001 BAD missing argument\r\n").unwrap();
    assert!(inline.sensitive, "{inline:?}");
    is_for_a_person(machine.receive(b"A0002 BAD Command line too long\r\n").unwrap());
}
