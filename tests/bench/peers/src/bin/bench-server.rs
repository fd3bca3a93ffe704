//! The one server that every client logs in to, in every language: `target/release/bench-server` (`make bench-server`).
//!
//! It listens on free ports of 127.0.0.1, with implicit TLS and in the clear, for IMAP, POP3 and SMTP. What it says is
//! `mailbearer::testing::Server` with the words of Gmail: no capabilities in IMAP's greeting, an error challenge in JSON, SMTP
//! command lines above 1000 octets refused by `555`. That machine takes some microseconds for a login and is not what
//! is measured; the sockets are blocking, one thread for each connection, TCP_NODELAY set, TLS 1.3 by rustls with ring,
//! without session tickets. In the clear it accepts what it accepts within TLS: that is for CPU without TLS only.
//!
//! # Arguments
//!
//! | argument | |
//! |---|---|
//! | `--delay-ms N` | every answer leaves N ms after the octets that it answers came: a round trip takes N ms |
//! | `--token-octets N` | length of the token; 200 if not given |
//! | `--refuse` | every token is refused as Gmail does: challenge, and then `NO`, `-ERR`, `535` |
//! | `--end-after` | the first command after the login is answered by `* BYE`, `-ERR` or `421`, and the close |
//! | `--single-thread` | one connection at a time on each port, without a thread of its own |
//! | `--quiet` | no line for each connection |
//!
//! What `--delay-ms` emulates: the round trips of the TLS handshake (one), of the greeting (one after the TCP handshake) and
//! of each flight of commands. What it does not: the TCP handshake (the same for all: add N), and the ACKs of the link, for
//! which Nagle's algorithm waits where a client without TCP_NODELAY writes a line in two parts. On loopback without a
//! delay that costs such a client the kernel's delayed ACK of 40 ms; over a real link it costs N ms and up to that.
//!
//! # Output
//!
//! One line of JSON when it listens:
//!
//! ```json
//! {"imap":1,"pop3":2,"smtp":3,"imap_plain":4,"pop3_plain":5,"smtp_plain":6,
//!  "ca":"/tmp/…/ca.pem","token":"ya29.…","user":"joe@gmail.com","host":"localhost"}
//! ```
//!
//! One line for each connection when it ends (flushed; read them all, or say `--quiet`: a full pipe stops the server):
//!
//! ```json
//! {"protocol":"imap","tls":true,"outcome":"authenticated","flights":1,"octets":310,"auths":1,
//!  "commands":["AUTHENTICATE+token"],"after":["LOGOUT"]}
//! ```
//!
//! | key | |
//! |---|---|
//! | `outcome` | `authenticated`, `refused`, or `none`: the connection ended without a verdict on a login |
//! | `flights` | flights of the client from the greeting to the first verdict: reads of the server that follow a write |
//! | `octets` | octets that the client sent up to the first verdict, TLS not counted |
//! | `auths` | how often the token came, until the connection ended |
//! | `commands` | what the client sent up to the first verdict; `+token` where the line carries it; `(token)` and `(answer)` are answers to a continuation request |
//! | `after` | the same, after the verdict |
//!
//! It ends when its standard input is closed.

use std::io::{self, Read};
use std::process::ExitCode;

use mailbearer_bench_peers::server::{Options, Running};

fn main() -> ExitCode {
    let options = match Options::from_arguments(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("bench-server: {error}");
            return ExitCode::FAILURE;
        }
    };
    match serve(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(options: &Options) -> io::Result<()> {
    let _running = Running::start(options)?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
