//! The server against our own client, in memory.

use alloc::string::String;
use alloc::vec::Vec;

use super::*;
use crate::config::{Endpoint, Identity, Mechanism, NegotiationConfig};
use crate::failure::Failure;
use crate::negotiation::{Authenticated, Negotiation, Next};
use crate::token::AccessToken;

pub(super) const USER: &str = "joe@gmail.com";

pub(super) struct Login {
    pub(super) protocol: Protocol,
    pub(super) tls: Tls,
    pub(super) mechanism: Mechanism,
}

impl Login {
    pub(super) fn run(
        &self,
        server: &mut Server,
        token: &str,
    ) -> (u64, Result<Authenticated, Failure>) {
        let endpoint = Endpoint::new(self.protocol, self.tls, "localhost");
        let mut config = NegotiationConfig::new(endpoint, Identity::new(USER));
        config.mechanisms = Vec::from([self.mechanism]);
        let mut client = Negotiation::new(config, AccessToken::new(token).unwrap()).unwrap();
        let (id, mut output) = server.open(0, self.protocol, self.tls);
        loop {
            let step = if output.next == Then::StartTls {
                let first = client.receive(&output.send).unwrap();
                if first.next == Next::StartTls {
                    let _ = server.tls_established(id);
                    client.tls_established().unwrap()
                } else {
                    first
                }
            } else if output.send.is_empty() {
                client.closed().unwrap()
            } else {
                client.receive(&output.send).unwrap()
            };
            match step.next {
                Next::Done(authenticated) => return (id, Ok(authenticated)),
                Next::Failed(failure) => return (id, Err(failure)),
                Next::Read | Next::StartTls => output = server.receive(0, id, &step.send),
            }
        }
    }
}

fn every_login() -> Vec<Login> {
    let mut all = Vec::new();
    for protocol in Protocol::ALL {
        for tls in Tls::ALL {
            for mechanism in Mechanism::ALL {
                all.push(Login { protocol, tls, mechanism });
            }
        }
    }
    all
}

pub(super) fn server(flavour: Flavour) -> Server {
    Server::new(ServerConfig { flavour, ..ServerConfig::default() }, 7)
}

#[test]
fn every_login_works_with_tokens_of_every_length() {
    for &flavour in Flavour::ALL {
        for login in every_login() {
            if !flavour.mechanisms().contains(&login.mechanism) {
                continue;
            }
            for octets in [16, 200, 600, 2_000, 4_000] {
                let mut server = server(flavour);
                let request = TokenRequest { octets: Some(octets), ..TokenRequest::default() };
                let token = server.issue_token(0, USER, request);
                assert_eq!(token.len(), octets);
                let (_, outcome) = login.run(&mut server, &token);
                assert!(
                    outcome.is_ok(),
                    "{flavour} {} {} {octets}: {outcome:?}",
                    login.protocol,
                    login.tls
                );
            }
        }
    }
}

#[test]
fn a_token_that_is_not_good_is_refused_as_such() {
    for &flavour in Flavour::ALL {
        for login in every_login() {
            if !flavour.mechanisms().contains(&login.mechanism) {
                continue;
            }
            let mut server = server(flavour);
            let expired = server.issue_token(
                0,
                USER,
                TokenRequest { lifetime_ms: Some(0), ..TokenRequest::default() },
            );
            let foreign = server.issue_token(0, "eve@gmail.com", TokenRequest::default());
            let revoked = server.issue_token(0, USER, TokenRequest::default());
            server.revoke_token(&revoked);
            for token in [expired.as_str(), &foreign, &revoked, "ya29.made-up"] {
                let failure = login.run(&mut server, token).1.unwrap_err();
                assert_eq!(failure.cause, Cause::TokenRejected, "{flavour} {}", login.protocol);
            }
        }
    }
}

#[test]
fn dovecot_tells_a_missing_scope_and_gmail_does_not() {
    let login =
        Login { protocol: Protocol::Imap, tls: Tls::Implicit, mechanism: Mechanism::OAuthBearer };
    for (flavour, cause) in
        [(Flavour::Dovecot, Cause::InsufficientScope), (Flavour::Gmail, Cause::TokenRejected)]
    {
        let mut server = server(flavour);
        let request = TokenRequest { scope: Some("calendar".into()), ..TokenRequest::default() };
        let token = server.issue_token(0, USER, request);
        assert_eq!(login.run(&mut server, &token).1.unwrap_err().cause, cause);
    }
}

#[test]
fn faults_in_the_login_are_failures_and_not_hangs() {
    let stages =
        [Stage::Greeting, Stage::Capabilities, Stage::Upgrade, Stage::Login, Stage::Verdict];
    for login in every_login() {
        for stage in stages {
            for kind in [FaultKind::Drop, FaultKind::Garbage, FaultKind::Flood, FaultKind::Inject] {
                let mut server = server(Flavour::Gmail);
                let token = server.issue_token(0, USER, TokenRequest::default());
                server.set_fault(Some(Fault { stage, kind }));
                let outcome = login.run(&mut server, &token).1;
                let struck = server.fault.is_none();
                assert_eq!(
                    outcome.is_err(),
                    struck,
                    "{stage} {kind} {} {}",
                    login.protocol,
                    login.tls
                );
            }
        }
    }
}

#[test]
fn a_session_ends_with_its_token_in_the_providers_words() {
    for (flavour, protocol, cause) in [
        (Flavour::Gmail, Protocol::Imap, Cause::SessionLimit),
        (Flavour::Outlook, Protocol::Imap, Cause::TokenExpired),
        (Flavour::Gmail, Protocol::Pop3, Cause::SessionLimit),
        (Flavour::Gmail, Protocol::Smtp, Cause::SessionLimit),
    ] {
        let mut server = server(flavour);
        let token = server.issue_token(0, USER, TokenRequest::default());
        let login = Login { protocol, tls: Tls::Implicit, mechanism: Mechanism::XOAuth2 };
        let (id, outcome) = login.run(&mut server, &token);
        assert!(outcome.is_ok());
        assert_eq!(server.next_wake_ms(), Some(3_600_000));
        assert!(server.tick(3_599_999).is_empty());
        let outputs = server.tick(3_600_000);
        assert_eq!((outputs.len(), outputs[0].0, outputs[0].1.next), (1, id, Then::Close));
        let mut watch = crate::Watch::new(protocol);
        assert_eq!(watch.received(&outputs[0].1.send).ending.unwrap().cause, cause);
    }
}

pub(super) fn talk(server: &mut Server, id: u64, line: &str) -> String {
    String::from_utf8(server.receive(0, id, line.as_bytes()).send).unwrap()
}

pub(super) fn online(server: &mut Server, protocol: Protocol) -> u64 {
    let token = server.issue_token(0, USER, TokenRequest::default());
    let login = Login { protocol, tls: Tls::Implicit, mechanism: Mechanism::XOAuth2 };
    let (id, outcome) = login.run(server, &token);
    assert!(outcome.is_ok());
    id
}

#[test]
fn pop3_deletes_at_quit_and_only_then() {
    let mut server = server(Flavour::Gmail);
    let id = online(&mut server, Protocol::Pop3);
    assert!(talk(&mut server, id, "STAT\r\n").starts_with("+OK 3 "));
    assert!(talk(&mut server, id, "RETR 1\r\n").contains("\r\n..\r\n-ERR nor this\r\n.\r\n"));
    talk(&mut server, id, "DELE 2\r\n");
    server.closed(0, id);
    assert_eq!(server.messages(USER).len(), 3);
    let id = online(&mut server, Protocol::Pop3);
    talk(&mut server, id, "DELE 2\r\nQUIT\r\n");
    assert_eq!(server.messages(USER).len(), 2);
}

#[test]
fn smtp_takes_a_message_once_and_can_lose_the_reply() {
    let mut server = server(Flavour::Gmail);
    let id = online(&mut server, Protocol::Smtp);
    server.set_fault(Some(Fault { stage: Stage::AfterDot, kind: FaultKind::Drop }));
    talk(&mut server, id, "MAIL FROM:<a@b>\r\nRCPT TO:<joe@gmail.com>\r\nDATA\r\n");
    let output = server.receive(0, id, b"Subject: x\r\n\r\n..\r\n.\r\n");
    assert_eq!((output.send.len(), output.next), (0, Then::Close));
    assert_eq!(server.submitted()[0].content, b"Subject: x\r\n\r\n.\r\n");
    assert_eq!(server.messages(USER).len(), 4);
}

#[test]
fn what_is_delivered_ends_its_lines_in_crlf() {
    let mut server = server(Flavour::Gmail);
    server.deliver(USER, b"Subject: new\n\nHello!\r\n\n");
    assert_eq!(
        server.messages(USER).last().map(Vec::as_slice),
        Some(&b"Subject: new\r\n\r\nHello!\r\n\r\n"[..])
    );
}

#[test]
fn imap_selects_fetches_and_idles() {
    let mut server = server(Flavour::Gmail);
    let id = online(&mut server, Protocol::Imap);
    assert!(talk(&mut server, id, "a SELECT INBOX\r\n").contains("* 3 EXISTS\r\n"));
    assert!(
        talk(&mut server, id, "b UID FETCH 2 (FLAGS BODY.PEEK[])\r\n")
            .starts_with("* 2 FETCH (UID 2 FLAGS () BODY[] {")
    );
    assert_eq!(talk(&mut server, id, "c IDLE\r\n"), "+ idling\r\n");
    server.deliver(USER, b"Subject: new\r\n\r\n");
    let outputs = server.tick(1);
    assert_eq!(outputs[0].1.send, b"* 4 EXISTS\r\n");
    assert!(talk(&mut server, id, "DONE\r\n").starts_with("c OK"));
    assert_eq!(talk(&mut server, id, "d APPEND INBOX {5}\r\n"), "+ go ahead\r\n");
    assert!(talk(&mut server, id, "a\r\nb\n\r\n").contains("d OK"));
    assert_eq!(server.messages(USER)[4], b"a\r\nb\n");
}

#[test]
fn the_same_octets_at_every_cut() {
    let text = b"a SELECT INBOX\r\nb UID FETCH 1:* (FLAGS)\r\nc APPEND INBOX {3+}\r\nabc\r\nd SEARCH ALL\r\n";
    let run = |pieces: [&[u8]; 2]| {
        let mut server = server(Flavour::Gmail);
        let id = online(&mut server, Protocol::Imap);
        pieces.into_iter().flat_map(|piece| server.receive(0, id, piece).send).collect::<Vec<u8>>()
    };
    let whole = run([text, b""]);
    for cut in 0..=text.len() {
        assert_eq!(run([&text[..cut], &text[cut..]]), whole, "cut at {cut}");
    }
}

#[test]
fn survives_garbage() {
    let mut rng = fastrand::Rng::with_seed(3);
    for protocol in Protocol::ALL {
        let mut server = server(Flavour::Gmail);
        let id = online(&mut server, protocol);
        for _ in 0..2_000 {
            let words = [
                "a", " ", "\r\n", "FETCH", "{3}", "UID", "RETR", "9", "DATA", "\u{0}", "\u{e9}",
                ".", "*", "[", "TOP",
            ];
            let line: String =
                (0..rng.usize(0..12)).map(|_| words[rng.usize(0..words.len())]).collect();
            let _ = server.receive(0, id, line.as_bytes());
        }
    }
}
