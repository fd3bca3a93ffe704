//! Every cause that servers have words for can be refused, and the core reads it back as that cause.

use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::tests::{Login, USER};
use super::*;
use crate::config::Mechanism;
use crate::{Phase, classify};

/// Causes that no words of a server give: the host, the clock, the token source or a cut tell them, or they are no refusals.
const WITHOUT_WORDS: &[Cause] = &[
    Cause::NoFault,
    Cause::TokenUnavailable,
    Cause::TlsFailed,
    // Octets that are no words: the fault `inject`, and a port of the other kind.
    Cause::WrongTlsMode,
    Cause::PlaintextInjected,
    Cause::ConnectionLost,
    Cause::HostNotFound,
    Cause::ConnectionRefused,
    Cause::Unreachable,
    // A proxy says it, and no server.
    Cause::ProxyFailed,
    Cause::TimedOut,
    // The fault `flood`.
    Cause::LimitExceeded,
    // What a server says when the client itself has given up.
    Cause::Cancelled,
    // A session that ends without a reason is cut: `Cut::Silent`.
    Cause::SessionEnded,
];

fn read_back(flavour: Flavour, protocol: Protocol, cause: Cause) -> Cause {
    let mut server = Server::new(ServerConfig { flavour, ..ServerConfig::default() }, 7);
    server.refuse_over(&[protocol], Some(cause)).unwrap();
    let token = server.issue_token(0, USER, TokenRequest::default());
    let login = Login { protocol, tls: Tls::Implicit, mechanism: Mechanism::XOAuth2 };
    let (id, outcome) = login.run(&mut server, &token);
    let Err(failure) = outcome else {
        // Some refuse only what comes after the login, or only the token in the command.
        let (phase, line) = if cause == Cause::InitialResponseRefused {
            let (id, _) = server.open(0, protocol, Tls::Implicit);
            let _ = server.receive(0, id, b"EHLO example.org\r\n");
            (Phase::AuthFail, server.receive(0, id, b"AUTH XOAUTH2 dGVzdA==\r\n"))
        } else {
            (Phase::MidSession, server.receive(0, id, b"STAT x\r\n"))
        };
        let reply = String::from_utf8(line.send).unwrap();
        return classify(protocol, phase, &[reply.trim_end()]).cause;
    };
    failure.cause
}

#[test]
fn every_refusal_is_read_back_as_its_cause() {
    let mut wrong = Vec::new();
    for &flavour in Flavour::ALL {
        for protocol in Protocol::ALL {
            for cause in flavour.refusals(protocol) {
                let read = read_back(flavour, protocol, cause);
                if read != cause {
                    wrong.push(std::format!("{flavour} {protocol} {cause}: {read}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_cause_that_servers_have_words_for_can_be_refused() {
    let mut can: BTreeSet<Cause> = BTreeSet::new();
    for &flavour in Flavour::ALL {
        for protocol in Protocol::ALL {
            let causes = flavour.refusals(protocol);
            for needed in [
                Cause::TokenRejected,
                Cause::TooManyConnections,
                Cause::RateLimited,
                Cause::Unavailable,
                Cause::InteractionRequired,
                Cause::AppPasswordRequired,
                Cause::AccountDisabled,
                Cause::ProtocolDisabled,
                Cause::WrongService,
            ] {
                assert!(causes.contains(&needed), "{flavour} {protocol} {needed}");
            }
            can.extend(causes);
        }
    }
    let missing: Vec<Cause> = Cause::ALL
        .iter()
        .copied()
        .filter(|cause| !can.contains(cause) && !WITHOUT_WORDS.contains(cause))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn what_a_flavour_cannot_say_is_an_error_that_tells_what_it_can() {
    let mut server = Server::new(ServerConfig::default(), 7);
    server.refuse(Some(Cause::Unavailable)).unwrap();
    let error = server.refuse(Some(Cause::MailboxLocked)).unwrap_err();
    assert_eq!(server.refusal(Protocol::Pop3), Some(Cause::Unavailable));
    assert_eq!(error.missing[0].1, Flavour::Gmail.refusals(Protocol::Imap));
    let text = error.to_string();
    assert!(
        text.starts_with(
            "gmail has no words for mailbox_locked over imap and smtp (refuse it over pop3 alone); over imap gmail can say: \
             token_rejected, "
        ),
        "{text}"
    );
    server.refuse_over(&[Protocol::Pop3], Some(Cause::MailboxLocked)).unwrap();
    server.refuse_over(&[Protocol::Imap, Protocol::Smtp], None).unwrap();
    assert_eq!(server.refusal(Protocol::Pop3), Some(Cause::MailboxLocked));
    assert_eq!(server.refusal(Protocol::Imap), None);
    let scope = server.refuse_over(&[Protocol::Imap], Some(Cause::InsufficientScope)).unwrap_err();
    assert!(scope.to_string().contains("; dovecot has;"), "{scope}");
    assert!(!scope.to_string().contains("alone"), "{scope}");
    let none = Flavour::Gmail.no_such_cause(&[Protocol::Imap, Protocol::Pop3]);
    assert!(
        none.starts_with(
            "cause is none of the known values; over imap gmail can say: token_rejected, "
        ),
        "{none}"
    );
    assert!(
        none.contains("; over pop3 gmail can say: token_rejected, ") && !none.contains("smtp"),
        "{none}"
    );
}

#[test]
fn a_refusal_over_starttls_comes_when_it_is_due() {
    for (protocol, cause) in
        [(Protocol::Imap, Cause::TlsRefused), (Protocol::Smtp, Cause::Shutdown)]
    {
        let mut server =
            Server::new(ServerConfig { flavour: Flavour::Dovecot, ..ServerConfig::default() }, 7);
        server.refuse_over(&[protocol], Some(cause)).unwrap();
        let token = server.issue_token(0, USER, TokenRequest::default());
        let login = Login { protocol, tls: Tls::StartTls, mechanism: Mechanism::XOAuth2 };
        assert_eq!(login.run(&mut server, &token).1.unwrap_err().cause, cause);
    }
}

#[test]
fn a_refusal_ends_when_it_is_taken_back() {
    let mut server = Server::new(ServerConfig::default(), 7);
    server.refuse(Some(Cause::AccountDisabled)).unwrap();
    server.refuse(None).unwrap();
    let token = server.issue_token(0, USER, TokenRequest::default());
    for protocol in Protocol::ALL {
        let login = Login { protocol, tls: Tls::Implicit, mechanism: Mechanism::XOAuth2 };
        assert!(login.run(&mut server, &token).1.is_ok());
    }
}
