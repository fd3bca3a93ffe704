//! The examples in `docs/diagnosis.md` are what the core says: for each cause what a server says, and the sentence that a user reads.
//!
//! `UPDATE_DOCS=1 cargo test -p mailbearer --test diagnosis` writes them anew.
#![allow(clippy::expect_used, clippy::panic, reason = "a test")]

use std::fs;
use std::path::PathBuf;

use mailbearer::{Cause, Failure, Names, Phase, Protocol, Said, explain};

/// What leads to a cause.
enum Example {
    /// A reply.
    Reply(Protocol, Phase, &'static str),
    /// What the host or the machine saw, and its detail.
    Seen(&'static str, &'static str),
}

/// One example for each cause: a new cause does not compile without one.
#[allow(clippy::too_many_lines, reason = "a table")]
fn example(cause: Cause) -> Option<Example> {
    use Example::{Reply, Seen};
    use Phase::{AuthFail, Capability, Disconnect, MidSession};
    use Protocol::{Imap, Pop3, Smtp};
    Some(match cause {
        // Nothing failed.
        Cause::NoFault => return None,
        Cause::TokenRejected => {
            Reply(Imap, AuthFail, "A1 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)")
        }
        Cause::TokenExpired => {
            Reply(Imap, Disconnect, "* BYE Session invalidated - AccessTokenExpired")
        }
        Cause::TokenUnavailable => Seen(
            "the token source says that its grant is over",
            "invalid_grant: Token has been expired or revoked",
        ),
        Cause::InsufficientScope => {
            Reply(Imap, AuthFail, "A1 NO The token lacks the scope for imap")
        }
        Cause::MechanismUnavailable => Reply(
            Imap,
            AuthFail,
            "A1 NO AUTHENTICATE failed. Provided authentication mechanism is not supported.",
        ),
        Cause::InitialResponseRefused => {
            Reply(Smtp, AuthFail, "535 5.5.4 Optional Argument not permitted for that AUTH mode.")
        }
        Cause::TlsRefused => {
            Seen("no `STARTTLS` among the capabilities", "the server does not offer the upgrade")
        }
        Cause::TlsFailed => Seen(
            "a certificate of another issuer",
            "unable to get local issuer certificate; it is issued by Example Shield to imap.example.org",
        ),
        Cause::WrongService => {
            Seen("`220 mail.example.org ESMTP` on the port of IMAP", "an SMTP server greets")
        }
        Cause::WrongTlsMode => {
            Seen("a TLS record where a greeting was due", "it speaks TLS from the first octet")
        }
        Cause::PlaintextInjected => {
            Seen("octets behind the reply that starts TLS", "behind the reply that starts TLS")
        }
        Cause::Preauthenticated => {
            Seen("`* PREAUTH`", "the session would belong to whoever it says")
        }
        Cause::ProtocolDisabled => {
            Reply(Pop3, MidSession, "-ERR [SYS/PERM] Your account is not enabled for POP access.")
        }
        Cause::AccountDisabled => {
            Reply(Imap, AuthFail, "A1 NO [CONTACTADMIN] Login disabled for this user")
        }
        Cause::PolicyBlocked => Reply(
            Smtp,
            AuthFail,
            "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy.",
        ),
        Cause::AppPasswordRequired => {
            Reply(Smtp, AuthFail, "535 Login Fail. Please enter your authorization code to login.")
        }
        Cause::InteractionRequired => Reply(
            Pop3,
            AuthFail,
            "-ERR [AUTH] Web login required: https://support.google.com/mail/answer/78754",
        ),
        Cause::UserNameRefused => Reply(
            Smtp,
            AuthFail,
            "501 5.5.124 Invalid XOAUTH2 auth data - User address provided is not valid.",
        ),
        Cause::ClientNameRefused => Reply(
            Smtp,
            Capability,
            "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname",
        ),
        Cause::TooManyConnections => {
            Reply(Imap, AuthFail, "A1 NO [ALERT] Too many simultaneous connections. (Failure)")
        }
        Cause::RateLimited => Reply(
            Imap,
            MidSession,
            "A5 BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds",
        ),
        Cause::Unavailable => {
            Reply(Imap, AuthFail, "A1 NO [UNAVAILABLE] Temporary authentication failure.")
        }
        Cause::MailboxLocked => Reply(Pop3, AuthFail, "-ERR [IN-USE] Unable to lock maildrop"),
        Cause::NotConnected => {
            Reply(Imap, MidSession, "A3 BAD User is authenticated but not connected.")
        }
        Cause::LineTooLong => Reply(Smtp, AuthFail, "500 5.5.2 Line too long"),
        Cause::SessionLimit => {
            Reply(Imap, Disconnect, "* BYE Session expired, please login again.")
        }
        Cause::IdleTimeout => Reply(Imap, Disconnect, "* BYE Disconnected for inactivity."),
        Cause::SessionEnded => Reply(Imap, Disconnect, "* BYE"),
        Cause::Shutdown => Reply(Imap, Disconnect, "* BYE Server shutting down."),
        Cause::ConnectionLost => {
            Seen("the connection ends without a word", "before the login was done")
        }
        Cause::HostNotFound => Seen("the system knows no address", "Name or service not known"),
        Cause::ConnectionRefused => Seen("the system says `ECONNREFUSED`", "Connection refused"),
        Cause::Unreachable => Seen("the system says `ENETUNREACH`", "Network is unreachable"),
        Cause::ProxyFailed => Seen(
            "the proxy says no",
            "the proxy socks5://proxy.example:1080 wants a user name and password",
        ),
        Cause::TimedOut => Seen("nothing, until the deadline", "no reply to the login within 60 s"),
        Cause::LimitExceeded => Seen("a line of 20,000 octets", "a line is too long"),
        Cause::ProtocolViolation => Reply(Imap, AuthFail, "A1 BAD Invalid SASL argument"),
        Cause::Cancelled => Reply(Imap, AuthFail, "A1 BAD Authentication aborted by client."),
        Cause::Unrecognized => Reply(Imap, MidSession, "A5 NO what"),
    })
}

fn row(cause: Cause, example: &Example) -> String {
    let (said, failure) = match example {
        Example::Reply(protocol, phase, line) => {
            let said = Said { text: line, ..Said::default() };
            let failure = explain(*protocol, *phase, &said, &Names::default());
            (format!("`{line}`"), failure)
        }
        Example::Seen(what, detail) => ((*what).to_owned(), Failure::of_host(cause, *detail)),
    };
    assert_eq!(failure.cause, cause, "{said}");
    format!("| `{cause}` | {said} | {failure} |\n")
}

#[test]
fn the_examples_are_what_the_core_says() {
    let page = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/diagnosis.md"));
    let text = fs::read_to_string(&page).expect("the page");
    let (begin, end) = ("<!-- examples -->\n", "<!-- end of examples -->");
    let (before, rest) = text.split_once(begin).expect("the mark before the examples");
    let (_, after) = rest.split_once(end).expect("the mark behind the examples");
    let head = "| cause | for example | what a user reads |\n|---|---|---|\n";
    let rows: String = Cause::ALL
        .iter()
        .filter_map(|&cause| example(cause).map(|example| row(cause, &example)))
        .collect();
    let fresh = [before, begin, head, &rows, end, after].concat();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(page, fresh).expect("the page can be written");
    } else {
        assert!(
            text == fresh,
            "docs/diagnosis.md is stale: UPDATE_DOCS=1 cargo test -p mailbearer --test diagnosis"
        );
    }
}
