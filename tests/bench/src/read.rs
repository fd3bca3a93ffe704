//! What one read costs in the common case, in which there is nothing to decide: of a bare session, and of an account of one
//! and of twenty.

use std::hint::black_box;

use mailbearer::Protocol;
use mailbearer_bench::thread_cpu;
use serde_json::json;

use crate::heap::{account_online, online};

/// A line that a server sends while the client waits in IDLE.
const LINE: &[u8] = b"* 12345 FETCH (UID 67890 FLAGS (\\Seen) MODSEQ (123))\r\n";

const ROUNDS: usize = 15;
const READS: u32 = 200_000;

/// A line for each, in nanoseconds for a read.
pub(crate) fn report() {
    eprintln!("A read of {} octets with nothing to decide", LINE.len());
    for (client, runs) in figures() {
        let line = json!({
            "part": "call", "language": "rust", "client": client, "measure": "ns", "runs": runs,
        });
        println!("{line}");
    }
}

fn figures() -> [(&'static str, Vec<f64>); 3] {
    let mut session = online(Protocol::Imap, 1);
    let mut one = account_online(Protocol::Imap, 1, 1);
    let mut twenty = account_online(Protocol::Imap, 20, 1);
    let (mut bare, mut alone, mut shared) = (Vec::new(), Vec::new(), Vec::new());
    // In turn, so that what the machine does meanwhile meets all of them.
    for _ in 0..ROUNDS {
        bare.push(nanoseconds(|| {
            let _ = black_box(session.receive(6_000, 1, black_box(LINE)).expect("a read"));
        }));
        alone.push(nanoseconds(|| {
            let _ = black_box(one.receive(6_000, 1, black_box(LINE)).expect("a read"));
        }));
        shared.push(nanoseconds(|| {
            let _ = black_box(twenty.receive(6_000, 20, black_box(LINE)).expect("a read"));
        }));
    }
    [
        ("Session.receive(a line of 54 octets)", bare),
        ("Account.receive(a line of 54 octets), of one session", alone),
        ("Account.receive(a line of 54 octets), the last of twenty", shared),
    ]
}

fn nanoseconds(mut read: impl FnMut()) -> f64 {
    let begun = thread_cpu();
    for _ in 0..READS {
        read();
    }
    (thread_cpu() - begun).as_secs_f64() * 1e9 / f64::from(READS)
}
