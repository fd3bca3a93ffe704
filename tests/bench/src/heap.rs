//! Heap of one session that is online, with its watch, besides its token; alone, and as one of twenty of an account.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use mailbearer::{
    AccessToken, Account, AccountConfig, Fact, Identity, Input, Protocol, Provider, Session,
    SessionConfig,
};
use serde_json::json;

const SESSIONS: usize = 100_000;
const TOKEN_OCTETS: usize = 1_000;

struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Brings many sessions online and says what each holds.
pub(crate) fn report() {
    eprintln!("Heap of one session that is online, of {SESSIONS}, the session itself included");
    for protocol in Protocol::ALL {
        let line = json!({
            "part": "heap", "language": "rust", "client": "Session", "protocol": protocol.as_str(),
            "measure": "octets", "runs": [of_one(protocol, SESSIONS)], "sessions": SESSIONS, "token_octets": TOKEN_OCTETS,
        });
        println!("{line}");
    }
    for (client, sessions) in [("Account of one", 1), ("one of twenty of an Account", 20)] {
        for protocol in Protocol::ALL {
            let octets = of_account(protocol, sessions);
            eprintln!("{client}, {protocol}: {octets} octets, its token included");
        }
    }
}

/// Octets of one session, of so many that are in the middle of their work.
fn of_one(protocol: Protocol, count: usize) -> usize {
    let before = IN_USE.load(Ordering::Relaxed);
    let sessions: Vec<Session> = (0..count).map(|seed| online(protocol, seed)).collect();
    let held = IN_USE.load(Ordering::Relaxed).saturating_sub(before);
    held / sessions.len()
}

/// What a mail client writes, and the answer.
type Exchange = (&'static [u8], &'static [u8]);

pub(crate) fn online(protocol: Protocol, seed: usize) -> Session {
    let identity = Identity::new("joe@gmail.com");
    let config = SessionConfig::for_provider(&Provider::gmail(), protocol, identity);
    let mut session =
        Session::new(config.expect("a configuration"), seed as u64).expect("a session");
    let token = AccessToken::new(&"t".repeat(TOKEN_OCTETS)).expect("a token");
    let inputs = [
        Input::Start,
        Input::Token { request: 1, token, expires_in_ms: Some(3_600_000) },
        Input::Connected { ticket: 1 },
    ];
    for input in inputs {
        let _plan = session.handle(0, input).expect("an answer that fits");
    }
    let (replies, work) = dialogue(protocol);
    for reply in replies {
        let _plan = session.receive(0, 1, reply).expect("a read");
    }
    for (question, answer) in work {
        session.sent(1, question);
        let _plan = session.receive(0, 1, answer).expect("a read");
    }
    assert_eq!(session.status().generation, 1, "{protocol} is online");
    session
}

/// What a server says for a login, and what is asked and answered then.
fn dialogue(protocol: Protocol) -> (&'static [&'static [u8]], &'static [Exchange]) {
    match protocol {
        Protocol::Imap => (
            &[b"* OK Gimap ready\r\n", b"A0001 OK in\r\n"],
            &[
                (b"T1 SELECT INBOX\r\n", b"* OK [UIDVALIDITY 1] x\r\nT1 OK [READ-WRITE] in\r\n"),
                (b"T2 IDLE\r\n", b"+ idling\r\n* 4 EXISTS\r\n"),
            ],
        ),
        Protocol::Pop3 => (
            &[b"+OK Gpop ready\r\n", b"+ \r\n", b"+OK Welcome.\r\n"],
            &[(b"STAT\r\n", b"+OK 2 320\r\n"), (b"DELE 1\r\n", b"+OK\r\n")],
        ),
        Protocol::Smtp => (
            &[
                b"220 smtp.gmail.com ESMTP\r\n",
                b"250-smtp.gmail.com\r\n250-AUTH XOAUTH2 OAUTHBEARER\r\n250 SMTPUTF8\r\n",
                b"334 \r\n",
                b"235 2.7.0 Accepted\r\n",
            ],
            &[(b"NOOP\r\n", b"250 OK\r\n")],
        ),
    }
}

/// Octets of one session of an account with so many of them that are in the middle of their work, the account and its
/// one token included.
fn of_account(protocol: Protocol, sessions: u32) -> usize {
    const ACCOUNTS: usize = 500;
    let before = IN_USE.load(Ordering::Relaxed);
    let accounts: Vec<Account> =
        (0..ACCOUNTS).map(|seed| account_online(protocol, sessions, seed)).collect();
    let held = IN_USE.load(Ordering::Relaxed).saturating_sub(before);
    held / accounts.len() / sessions as usize
}

pub(crate) fn account_online(protocol: Protocol, sessions: u32, seed: usize) -> Account {
    let gmail = Provider::gmail();
    let mut account =
        Account::new(AccountConfig::for_provider(&gmail), seed as u64).expect("an account");
    for _ in 0..sessions {
        let identity = Identity::new("joe@gmail.com");
        let mut config =
            SessionConfig::for_provider(&gmail, protocol, identity).expect("a configuration");
        config.limits.connections = None;
        let session = account.add(config).expect("a session");
        let _plan = account.handle(0, Fact::Want { session }).expect("a fact that fits");
    }
    let token = AccessToken::new(&"t".repeat(TOKEN_OCTETS)).expect("a token");
    let fact = Fact::Token { request: 1, token, lives_ms: Some(3_599_000) };
    let _plan = account.handle(0, fact).expect("a fact that fits");
    let (replies, work) = dialogue(protocol);
    for ticket in 1..=u64::from(sessions) {
        let _plan = account.handle(5_000, Fact::Opened { ticket }).expect("a fact that fits");
        for reply in replies {
            let _plan = account.receive(5_000, ticket, reply).expect("a read");
        }
        for (question, answer) in work {
            account.sent(ticket, question);
            let _plan = account.receive(5_000, ticket, answer).expect("a read");
        }
    }
    let online = account.status().sessions.iter().filter(|one| one.given.is_some()).count();
    assert_eq!(online, sessions as usize, "{protocol}: all are online");
    account
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;

    /// One counter counts for all threads: only one test may measure at a time.
    static MEASURING: Mutex<()> = Mutex::new(());

    #[test]
    fn a_session_takes_no_more_than_in_0_1_0_besides_its_token() {
        let _alone = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
        for protocol in Protocol::ALL {
            let octets = of_one(protocol, 1_000);
            println!("{protocol}: {octets} octets");
            // What the benchmarks of 0.1.0 measured.
            let most = match protocol {
                Protocol::Imap => 1_801,
                Protocol::Pop3 => 1_525,
                Protocol::Smtp => 1_448,
            };
            assert!((500..=most).contains(&octets), "{protocol}: {octets} octets");
        }
    }

    #[test]
    fn a_session_of_an_account_takes_no_more() {
        let _alone = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
        for protocol in Protocol::ALL {
            let (alone, shared) = (of_account(protocol, 1), of_account(protocol, 20));
            println!(
                "{protocol}: alone {alone}, one of twenty {shared}, bare {}",
                of_one(protocol, 1_000)
            );
            assert!(shared < of_one(protocol, 1_000) + 64, "{protocol}: {shared} octets");
            assert!(alone < 4_096, "{protocol}: an account of one takes {alone} octets");
        }
    }
}
