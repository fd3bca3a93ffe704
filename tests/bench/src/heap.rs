//! Heap of one session that is online, with its watch, besides its token.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use mailbearer::{AccessToken, Identity, Input, Protocol, Provider, Session, SessionConfig};
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

fn online(protocol: Protocol, seed: usize) -> Session {
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
    let (replies, work): (&[&[u8]], &[Exchange]) = match protocol {
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
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_takes_less_than_two_kibibytes_besides_its_token() {
        for protocol in Protocol::ALL {
            let octets = of_one(protocol, 1_000);
            assert!((500..2_048).contains(&octets), "{protocol}: {octets} octets");
        }
    }
}
