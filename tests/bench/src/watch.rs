//! Speed of the watch on what servers send, in reads of 16 KiB, beside memcpy and a memchr scan for line ends.

use std::hint::black_box;

use mailbearer::{Protocol, Watch};
use mailbearer_bench::thread_cpu;
use serde_json::json;

const READ_OCTETS: usize = 16 * 1024;
const ROUNDS: usize = 15;

struct Load {
    name: &'static str,
    protocol: Protocol,
    question: &'static [u8],
    octets: Vec<u8>,
    /// Whether the host honours what the watch says need not be shown.
    skips: bool,
}

/// A way to look at a load.
type Work = fn(&Load);

/// A line for each load and each way to look at it, in GB/s.
pub(crate) fn report() {
    eprintln!("Watch, in reads of 16 KiB, beside memcpy and a memchr scan for line ends");
    for load in loads() {
        let works: [(&str, Work); 3] = [("watch", watch), ("memcpy", copy), ("memchr", scan)];
        let mut speeds = works.map(|_| Vec::with_capacity(ROUNDS));
        for _ in 0..ROUNDS {
            for ((_, work), speeds) in works.iter().zip(&mut speeds) {
                speeds.push(speed(&load, *work));
            }
        }
        for ((measure, _), runs) in works.iter().zip(speeds) {
            let line = json!({
                "part": "watch", "language": "rust", "client": load.name, "protocol": load.protocol.as_str(),
                "measure": measure, "runs": runs,
            });
            println!("{line}");
        }
    }
}

fn loads() -> [Load; 5] {
    let message = |text: &[u8]| text.repeat(64 * 1024 / text.len());
    let body = message(b"The quick brown fox jumps over the lazy dog, and again over it.\r\n");
    let literal = |body: &[u8]| {
        [format!("* 1 FETCH (BODY[] {{{}}}\r\n", body.len()).as_bytes(), body, b")\r\n"].concat()
    };
    let literals = literal(&body).repeat(256);
    let flags = b"* 12345 FETCH (UID 67890 FLAGS (\\Seen))\r\n".repeat(400_000);
    let retrieval = [b"+OK\r\n".as_slice(), &body.repeat(256)].concat();
    let replies = b"250-PIPELINING\r\n".repeat(1_000_000);
    let imap = |name, octets, skips| Load {
        name,
        protocol: Protocol::Imap,
        question: b"T1 FETCH 1:* (FLAGS)\r\n",
        octets,
        skips,
    };
    [
        imap("IMAP, literals of 64 KiB", literals.clone(), false),
        imap("IMAP, literals of 64 KiB, skipped", literals, true),
        imap("IMAP, lines of 41 octets", flags, false),
        Load {
            name: "POP3, a retrieval of 16 MiB",
            protocol: Protocol::Pop3,
            question: b"RETR 1\r\n",
            octets: retrieval,
            skips: false,
        },
        Load {
            name: "SMTP, replies of 16 octets",
            protocol: Protocol::Smtp,
            question: b"EHLO x\r\n",
            octets: replies,
            skips: false,
        },
    ]
}

fn speed(load: &Load, work: Work) -> f64 {
    // Of this thread: what else the machine does is not in it.
    let begun = thread_cpu();
    work(load);
    load.octets.len() as f64 / (thread_cpu() - begun).as_secs_f64() / 1e9
}

fn watch(load: &Load) {
    let mut watch = Watch::new(load.protocol);
    watch.sent(load.question);
    let mut skip = 0;
    for read in load.octets.chunks(READ_OCTETS) {
        let (passed, shown) = read.split_at(skip.min(read.len()));
        skip -= passed.len();
        watch.skipped(passed.len() as u64);
        if shown.is_empty() {
            continue;
        }
        let sighting = black_box(watch.received(black_box(shown)));
        assert!(sighting.ending.is_none(), "content ends nothing");
        if load.skips {
            skip = usize::try_from(sighting.skip).expect("a literal that fits");
        }
    }
}

fn copy(load: &Load) {
    let mut buffer = [0; READ_OCTETS];
    for read in load.octets.chunks(READ_OCTETS) {
        let target = buffer.get_mut(..read.len()).expect("a read that fits");
        target.copy_from_slice(black_box(read));
        black_box(&buffer);
    }
}

fn scan(load: &Load) {
    for read in load.octets.chunks(READ_OCTETS) {
        black_box(memchr::memchr_iter(b'\n', black_box(read)).fold(0, |sum, at| sum ^ at));
    }
}
