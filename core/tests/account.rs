//! An account by its public face: it shows no token, says how it stands, and takes no call that does not fit.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::indexing_slicing,
    reason = "a test"
)]

use mailbearer::{
    AccessToken, Account, AccountConfig, Delivery, EventKind, Fact, Identity, Login, Misuse,
    NoToken, Order, Protocol, Provider, SessionConfig, SessionKey,
};

const TOKEN: &str = "ya29.CanaryTokenThatMustNotBeSeen";

fn session_config() -> SessionConfig {
    let identity = Identity::new("joe@gmail.com");
    SessionConfig::for_provider(&Provider::gmail(), Protocol::Imap, identity)
        .expect("a configuration")
}

fn account() -> (Account, SessionKey) {
    let config = AccountConfig::for_provider(&Provider::gmail());
    let mut account = Account::new(config, 7).expect("an account");
    let session = account.add(session_config()).expect("a session");
    (account, session)
}

fn token() -> AccessToken {
    AccessToken::new(TOKEN).expect("a token")
}

/// A session on its way: the token is given and the connection is open.
fn logging_in() -> (Account, SessionKey) {
    let (mut account, session) = account();
    let _plan = account.handle(0, Fact::Want { session }).expect("a want");
    let fact = Fact::Token { request: 1, token: token(), lives_ms: Some(3_599_000) };
    let _plan = account.handle(0, fact).expect("a token");
    let _plan = account.handle(0, Fact::Opened { ticket: 1 }).expect("an open connection");
    (account, session)
}

fn online() -> (Account, SessionKey) {
    let (mut account, session) = logging_in();
    let _plan = account.receive(0, 1, b"* OK Gimap ready\r\n").expect("a read");
    let _plan = account.receive(0, 1, b"A0001 OK in\r\n").expect("a read");
    (account, session)
}

#[test]
fn no_order_shows_a_token() {
    let (mut account, _) = logging_in();
    let plan = account.receive(0, 1, b"* OK Gimap ready\r\n").expect("a read");
    assert!(matches!(plan.orders[..], [Order::Send { sensitive: true, .. }]), "{plan:?}");
    let orders = [
        Order::FetchToken { request: 2, force: true, refused: Some(token()) },
        Order::StartTls { ticket: 3 },
        Order::Send { ticket: 3, bytes: b"A1 CAPABILITY\r\n".into(), sensitive: false },
        Order::Pause { ticket: 3 },
        Order::KeepAlive { ticket: 3, by_ms: 4 },
        Order::Probe { ticket: 3, by_ms: 4 },
        Order::Close { ticket: 3 },
    ];
    let shown = format!("{plan:?} {orders:?} {account:?}");
    assert!(!shown.contains("Canary") && !shown.contains("eWEyOS5DYW5hcnk"), "{shown}");
    for part in ["octets with the token>", "force: true", "CAPABILITY", "StartTls { ticket: 3 }"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    for part in ["Pause { ticket: 3 }", "KeepAlive { ticket: 3, by_ms: 4 }", "Probe { ticket: 3"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn what_is_to_be_logged_is_masked() {
    let (account, _) = logging_in();
    let masked = account.redact(&format!("the server said {TOKEN} twice"));
    assert_eq!(masked, "the server said <token> twice");
}

/// Base64 as in RFC 4648 section 4, written apart from the crate's own.
fn base64(octets: &[u8]) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in octets.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, octet| bits << 8 | u32::from(*octet));
        let bits = bits << (8 * (3 - three.len()));
        for at in 0..=three.len() {
            text.push(char::from(alphabet[(bits >> (18 - 6 * at) & 63) as usize]));
        }
        text.push_str(&"=".repeat(3 - three.len()));
    }
    text
}

#[test]
fn the_token_is_masked_after_the_login_too_however_it_is_written() {
    assert_eq!(base64(b"ab"), "YWI=");
    let (mut account, session) = online();
    let masks = |account: &Account| {
        let message = format!("user=joe@gmail.com\x01auth=Bearer {TOKEN}\x01\x01");
        let long =
            format!("n,a=joe@gmail.com,\x01host=h\x01port=993\x01auth=Bearer {TOKEN}\x01\x01");
        let written = [
            TOKEN.to_owned(),
            base64(TOKEN.as_bytes()),
            base64(message.as_bytes()),
            base64(long.as_bytes()),
        ];
        written.iter().filter(|written| account.redact(written).contains("<token>")).count()
    };
    assert_eq!(masks(&account), 4);
    assert_eq!(account.redact(&base64(TOKEN.as_bytes())), "<token>");
    // While it is the account's, and not because a connection lives on it.
    let _plan = account.handle(1_000, Fact::LetGo { ticket: 1 }).expect("a connection");
    assert_eq!(masks(&account), 4);
    let _plan = account.handle(2_000, Fact::Want { session }).expect("a want");
    let _plan = account.handle(2_000, Fact::Close).expect("an end");
    assert_eq!(masks(&account), 0, "nothing is held");
}

#[test]
fn the_words_of_a_stop_hold_no_token() {
    let (mut account, session) = online();
    let bye =
        format!("* BYE [ALERT] Web login required: https://example.test/?{TOKEN} {TOKEN}\r\n");
    let plan = account.receive(10, 1, bye.as_bytes()).expect("a read");
    let shown = format!("{plan:?} {:?}", account.status());
    assert!(!shown.contains("Canary"), "{shown}");
    let snapshot = String::from_utf8(account.snapshot(0)).expect("text");
    assert!(!snapshot.contains("Canary") && snapshot.contains("Web login"), "{snapshot}");
    let plan = account.handle(20, Fact::Want { session }).expect("a want");
    let shown = format!("{plan:?}");
    assert!(shown.contains("Web login required: https://example.test/?<token> <token>"), "{shown}");
    assert!(!shown.contains("Canary"), "{shown}");
}

#[test]
fn a_refused_token_is_masked_until_the_account_is_closed() {
    let (mut account, _) = logging_in();
    let _plan = account.receive(0, 1, b"* OK Gimap ready\r\n").expect("a read");
    let no = b"A0001 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)\r\n";
    let _plan = account.receive(0, 1, no).expect("a read");
    assert_eq!(account.redact(TOKEN), "<token>");
    let _plan = account.handle(0, Fact::Close).expect("an end");
    assert_eq!(account.redact(TOKEN), TOKEN);
}

#[test]
fn says_how_it_stands() {
    let (account, session) = online();
    let status = account.status();
    assert_eq!(status.sessions.len(), 1);
    assert!(status.sessions.iter().all(|one| one.session == session && one.given == Some(1)));
    assert!(!status.asks_for_token && status.token_failure.is_none());
    assert!(status.stops.is_empty() && status.token_retry_at_ms.is_none());
    assert_eq!(account.standing(session), status.sessions.first().map(|one| one.standing));
    assert!(account.is_quiet(1) && account.is_quiet(99), "nothing is unanswered");
}

#[test]
fn a_command_without_its_answer_is_not_quiet() {
    let (mut account, _) = online();
    account.sent(1, b"T1 NOOP\r\n");
    assert!(!account.is_quiet(1));
    account.skipped(1, 0);
    let _plan = account.receive(10, 1, b"T1 OK done\r\n").expect("a read");
    assert!(account.is_quiet(1));
    // What comes for a connection that nobody knows any more does no harm.
    account.sent(99, b"T2 NOOP\r\n");
    account.skipped(99, 5);
}

#[test]
fn takes_no_call_that_does_not_fit() {
    let (mut account, session) = account();
    let wrong = [
        Fact::Token { request: 9, token: token(), lives_ms: None },
        Fact::Opened { ticket: 9 },
        Fact::Secured { ticket: 9 },
        Fact::Answered { ticket: 9 },
        Fact::Ended { ticket: 9, failure: None },
    ];
    for fact in wrong {
        let shown = format!("{fact:?}");
        let misuse = account.handle(0, fact).expect_err(&shown);
        assert!(matches!(misuse, Misuse::UnexpectedAnswer { .. }), "{shown}: {misuse}");
    }
    assert!(account.receive(0, 9, b"* OK\r\n").is_err());
    let _plan = account.handle(0, Fact::Want { session }).expect("a want");
    let again = account.handle(0, Fact::Want { session }).expect_err("it is wanted already");
    assert_eq!(again, Misuse::WantedAlready);
}

#[test]
fn a_host_cannot_log_in_by_itself_in_an_account() {
    let (mut account, _) = account();
    let config = SessionConfig { login: Login::Host, ..session_config() };
    let error = account.add(config).expect_err("a conflict");
    assert!(error.to_string().contains("leave it out"), "{error}");
}

#[test]
fn the_end_of_a_message_is_told_apart_until_the_server_has_taken_it() {
    let identity = Identity::new("joe@gmail.com");
    let config = SessionConfig::for_provider(&Provider::gmail(), Protocol::Smtp, identity);
    let mut account =
        Account::new(AccountConfig::for_provider(&Provider::gmail()), 7).expect("an account");
    let session = account.add(config.expect("a configuration")).expect("a session");
    let _plan = account.handle(0, Fact::Want { session }).expect("a want");
    let fact = Fact::Token { request: 1, token: token(), lives_ms: Some(3_599_000) };
    let _plan = account.handle(0, fact).expect("a token");
    let _plan = account.handle(0, Fact::Opened { ticket: 1 }).expect("an open connection");
    let login: [&[u8]; 3] =
        [b"220 mail ESMTP\r\n", b"250-mail\r\n250 AUTH XOAUTH2\r\n", b"235 2.7.0 Accepted\r\n"];
    for words in login {
        let _plan = account.receive(0, 1, words).expect("a read");
    }
    let dialogue: [(&[u8], &[u8]); 3] = [
        (b"MAIL FROM:<joe@gmail.com>\r\n", b"250 ok\r\n"),
        (b"RCPT TO:<ann@example.org>\r\n", b"250 ok\r\n"),
        (b"DATA\r\n", b"354 go on\r\n"),
    ];
    for (said, answer) in dialogue {
        account.sent(1, said);
        assert!(!account.is_delivering(1));
        let _plan = account.receive(0, 1, answer).expect("a read");
    }
    account.sent(1, b"Subject: hello\r\n\r\nworld\r\n");
    assert!(!account.is_delivering(1));
    account.sent(1, b".\r\n");
    assert!(account.is_delivering(1));
    let _plan = account.receive(0, 1, b"250 2.0.0 OK\r\n").expect("a read");
    assert!(!account.is_delivering(1) && !account.is_delivering(2));
    // RFC 3030: the last chunk is the end of a message, too, and no other is.
    account.sent(1, b"MAIL FROM:<joe@gmail.com>\r\nRCPT TO:<ann@example.org>\r\nBDAT 7\r\nSubject");
    let _plan = account.receive(0, 1, b"250 ok\r\n250 ok\r\n").expect("a read");
    assert!(!account.is_delivering(1));
    account.sent(1, b"BDAT 9 LAST\r\n: hello\r");
    assert!(!account.is_delivering(1));
    account.sent(1, b"\n");
    assert!(account.is_delivering(1));
    let _plan = account.receive(0, 1, b"250 ok\r\n250 2.0.0 OK\r\n").expect("a read");
    assert!(!account.is_delivering(1));
}

/// The source may be asked again in the same plan: the newest request is not the one that failed.
#[test]
fn an_event_of_the_source_says_which_request_it_is_about() {
    let asks_at_once = |seed| {
        let mut config = AccountConfig::for_provider(&Provider::gmail());
        config.backoff_base_ms = 2;
        let mut account = Account::new(config, seed).expect("an account");
        let session = account.add(session_config()).expect("a session");
        let plan = account.handle(0, Fact::Want { session }).expect("a want");
        assert_eq!(requests_told(&plan.deliveries, EventKind::FetchingToken), [Some(1)]);
        let text = "503".to_owned();
        let fact = Fact::NoToken { request: 1, why: NoToken::Outage, text };
        let plan = account.handle(10, fact).expect("an outage");
        assert_eq!(requests_told(&plan.deliveries, EventKind::TokenFailed), [Some(1)]);
        matches!(plan.orders[..], [Order::FetchToken { request: 2, .. }])
    };
    assert!((0..100).any(asks_at_once), "no seed leads to both in one plan");
}

fn requests_told(deliveries: &[Delivery], kind: EventKind) -> Vec<Option<u64>> {
    let told = deliveries.iter().filter_map(|delivery| match delivery {
        Delivery::Event(event) if event.kind == kind => Some(event.request),
        _ => None,
    });
    told.collect()
}
