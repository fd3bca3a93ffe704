//! What crosses the border arrives whole. What the account decides is tested in the core.

use mailbearer::{Cause, Endpoint, Identity, RaiseKind, Tls};

use super::*;
use crate::plan::{Delivery, Order};
use crate::pure::{failure_of_connect, failure_of_host};
use crate::records::NegotiationConfig;

fn account_config() -> AccountConfig {
    AccountConfig {
        first_ms: Some(60_000),
        later_ms: None,
        token_lifetime_ms: None,
        token_life_least_ms: None,
        token_timeout_ms: None,
        backoff_base_ms: None,
        backoff_max_ms: None,
        keep_alive: true,
        answer_ms: None,
        unprobed_nap_ms: None,
    }
}

fn session_config() -> SessionConfig {
    let endpoint = Endpoint {
        protocol: MailProtocol::Imap,
        tls: Tls::Implicit,
        host: "mail.example.test".into(),
        port: 993,
    };
    SessionConfig {
        negotiation: NegotiationConfig {
            endpoint,
            identity: Identity::new("joe@example.test"),
            mechanisms: None,
            initial_response: None,
            ehlo_name: None,
            assumed_capabilities: None,
        },
        limits: None,
        token_lifetime_ms: None,
        login: None,
        renewal: None,
        lead_ms: None,
        token_life_least_ms: None,
        token_timeout_ms: None,
        login_timeout_ms: None,
        backoff_base_ms: None,
        backoff_max_ms: None,
        stable_after_ms: None,
        login_interval_ms: None,
    }
}

fn token(text: &str) -> Arc<AccessToken> {
    AccessToken::new(text).unwrap()
}

fn account() -> (Arc<AccountMachine>, u32) {
    let account = AccountMachine::new(account_config(), 1).unwrap();
    let session = account.add(session_config()).unwrap();
    (account, session)
}

/// Wants a connection, and brings it to where the server is to speak.
fn opened(account: &AccountMachine, session: u32) {
    let plan = account.want(0, session).unwrap();
    assert!(matches!(
        plan.orders[..],
        [Order::FetchToken { request: 1, force: false, refused: None }]
    ));
    let plan = account.token(10, 1, &token("a-token"), Some(3_600_000)).unwrap();
    assert!(matches!(plan.orders[..], [Order::Open { ticket: 1, session: 1, attempt: 1 }]));
    account.opened(20, 1).unwrap();
    let plan = account.receive(30, 1, b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n");
    assert!(matches!(plan.unwrap().orders[..], [Order::Send { sensitive: true, .. }]));
}

fn raised(plan: AccountPlan) -> (RaiseKind, Failure) {
    let raise = plan.deliveries.into_iter().find_map(|delivery| {
        if let Delivery::Raise { kind, failure, .. } = delivery {
            Some((kind, failure))
        } else {
            None
        }
    });
    raise.expect("nothing was raised")
}

#[test]
fn what_is_absent_is_the_default_of_the_core() {
    assert_eq!(
        mailbearer::AccountConfig::from(account_config()),
        mailbearer::AccountConfig::default()
    );
}

#[test]
fn a_connection_is_given_watched_and_over() {
    let (account, session) = account();
    opened(&account, session);
    let plan = account
        .receive(40, 1, b"A0001 OK [CAPABILITY IMAP4rev1 IDLE] in\r\n* 1 EXISTS\r\n")
        .unwrap();
    assert!(matches!(plan.orders[..], [Order::Pause { ticket: 1 }]));
    let given = plan.deliveries.into_iter().find_map(|delivery| {
        if let Delivery::Give { ticket: 1, generation: 1, capabilities, leftover, .. } = delivery {
            Some((capabilities, leftover))
        } else {
            None
        }
    });
    let (capabilities, leftover) = given.expect("it was not given");
    assert_eq!(capabilities, ["IMAP4rev1", "IDLE"]);
    assert_eq!(leftover, b"* 1 EXISTS\r\n");
    account.sent(1, b"A1 NOOP\r\n").unwrap();
    assert!(!account.is_quiet(1).unwrap());
    assert_eq!(account.standing(session).unwrap(), Some(Standing::Given));
    let plan = account.receive(50, 1, b"* BYE Server shutting down\r\n").unwrap();
    assert!(matches!(plan.orders[..], [Order::Close { ticket: 1 }]));
    let over = plan.deliveries.iter().find_map(|delivery| {
        if let Delivery::Over { session: 1, ticket: 1, verdict, aftermath } = delivery {
            Some((verdict.cause, aftermath.is_some()))
        } else {
            None
        }
    });
    assert_eq!(over, Some((Cause::Shutdown, true)));
}

#[test]
fn the_hosts_own_failure_goes_in_and_comes_out_whole() {
    let (account, session) = account();
    account.want(0, session).unwrap();
    account.token(0, 1, &token("a-token"), None).unwrap();
    let failure = failure_of_connect("EAI_NONAME", "mail.example.test has no address").unwrap();
    let (kind, raised) = raised(account.ended(10, 1, Some(failure.clone())).unwrap());
    assert_eq!(kind, RaiseKind::GaveUp);
    assert_eq!((raised.cause, &raised.detail), (Cause::HostNotFound, &failure.detail));
    assert!(raised.sentence.contains("mail.example.test has no address"), "{}", raised.sentence);
}

#[test]
fn the_sources_words_come_out_and_a_stop_outlives_the_process() {
    let (account, session) = account();
    account.want(0, session).unwrap();
    let words = "invalid_grant: Token has been expired or revoked".to_owned();
    let (kind, failure) =
        raised(account.no_token(10, 1, NoToken::Permanent, words.clone()).unwrap());
    assert_eq!(kind, RaiseKind::NeedsUser);
    assert!(failure.sentence.contains(&words), "{}", failure.sentence);

    let snapshot = account.snapshot(1_000).unwrap();
    let account = AccountMachine::restore(account_config(), snapshot, 0, 90_000, 2).unwrap();
    let session = account.add(session_config()).unwrap();
    let plan = account.want(0, session).unwrap();
    assert!(plan.orders.is_empty(), "a stop was not honoured");
    assert_eq!(raised(plan).0, RaiseKind::NeedsUser);
    assert_eq!(account.status().unwrap().stops.len(), 1);
    account.retry(1).unwrap();
    let plan = account.want(2, session).unwrap();
    assert!(matches!(plan.orders[..], [Order::FetchToken { .. }]));
}

#[test]
fn the_refused_token_is_handed_back() {
    let (account, session) = account();
    opened(&account, session);
    let plan =
        account.receive(40, 1, b"A0001 NO [AUTHENTICATIONFAILED] Invalid credentials\r\n").unwrap();
    let refused = plan.orders.into_iter().find_map(|order| {
        if let Order::FetchToken { refused, .. } = order { refused } else { None }
    });
    assert!(refused.expect("no token is named").is_same(&token("a-token")).unwrap());
    let text = account.redact("the server said a-token").unwrap();
    assert!(!text.contains("a-token"), "{text}");
}

#[test]
fn a_wrong_call_is_a_misuse_and_a_wrong_setting_a_config_error() {
    let (account, session) = account();
    account.want(0, session).unwrap();
    assert!(matches!(account.want(1, session), Err(CoreError::Misuse(_))));
    assert!(matches!(account.opened(1, 77), Err(CoreError::Misuse(_))));
    assert!(matches!(account.want(1, 9), Err(CoreError::Misuse(_))));
    let config = AccountConfig { answer_ms: Some(0), ..account_config() };
    assert!(matches!(AccountMachine::new(config, 1), Err(CoreError::Config(_))));
}

#[test]
fn who_waits_is_told_of_the_end() {
    let (account, session) = account();
    account.want(0, session).unwrap();
    let plan = account.close_all(1).unwrap();
    assert!(plan.deliveries.iter().any(|one| matches!(one, Delivery::End { session: 1 })));
    assert!(account.no_longer(2, session).unwrap().orders.is_empty());
    let lost = failure_of_host(Cause::ConnectionLost, "late".into()).unwrap();
    assert!(matches!(account.ended(3, 1, Some(lost)), Err(CoreError::Misuse(_))));
}
