//! What goes into an [`Account`](super::Account).

use alloc::string::String;

use super::SessionKey;
use crate::failure::{Cause, Failure, spelled_enum};
use crate::token::AccessToken;

/// A fact that the program or its host reports. See the tables in [`Account`](super::Account).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// Somebody waits for a connection of this session. One at a time.
    Want {
        /// The session.
        session: SessionKey,
    },
    /// Nobody waits any more: the wait was cancelled.
    NoLonger {
        /// The session.
        session: SessionKey,
    },
    /// The program is done with a connection that it was given.
    LetGo {
        /// The connection.
        ticket: u64,
    },
    /// Ends one session, and closes what it has open.
    Remove {
        /// The session.
        session: SessionKey,
    },
    /// Ends all of them.
    Close,
    /// A person, or the program, has acted: every stop is lifted.
    Retry,
    /// The system says that there is no network.
    NetworkLost,
    /// The system says that there is one again, or another one.
    NetworkBack,
    /// The machine slept.
    Slept {
        /// For so many milliseconds.
        ms: u64,
    },
    /// The time of [`AccountPlan::wake_at_ms`](super::AccountPlan::wake_at_ms) has come. An early one is harmless.
    Tick,
    /// Answers [`Order::Open`](super::Order::Open): the connection is there, with TLS where it is implicit.
    Opened {
        /// The connection.
        ticket: u64,
    },
    /// Answers [`Order::StartTls`](super::Order::StartTls).
    Secured {
        /// The connection.
        ticket: u64,
    },
    /// The connection could not be opened, or has ended.
    Ended {
        /// The connection.
        ticket: u64,
        /// What the system or TLS said; `None` at a plain end of the stream.
        problem: Option<Problem>,
    },
    /// A probe or a keep-alive was answered. Only for hosts that do not show octets: see
    /// [`Account::receive`](super::Account::receive).
    Answered {
        /// The connection.
        ticket: u64,
    },
    /// Answers [`Order::FetchToken`](super::Order::FetchToken).
    Token {
        /// The number of the request.
        request: u64,
        /// The token.
        token: AccessToken,
        /// Milliseconds that it still lives, where that is known.
        lives_ms: Option<u64>,
    },
    /// Answers [`Order::FetchToken`](super::Order::FetchToken): there is none.
    NoToken {
        /// The number of the request.
        request: u64,
        /// Why.
        why: NoToken,
        /// What the source said, as `invalid_grant: Token has been expired or revoked`. It must not hold a token.
        text: String,
    },
}

impl Fact {
    /// Its name, for texts.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Want { .. } => "Want",
            Self::NoLonger { .. } => "NoLonger",
            Self::LetGo { .. } => "LetGo",
            Self::Remove { .. } => "Remove",
            Self::Close => "Close",
            Self::Retry => "Retry",
            Self::NetworkLost => "NetworkLost",
            Self::NetworkBack => "NetworkBack",
            Self::Slept { .. } => "Slept",
            Self::Tick => "Tick",
            Self::Opened { .. } => "Opened",
            Self::Secured { .. } => "Secured",
            Self::Ended { .. } => "Ended",
            Self::Answered { .. } => "Answered",
            Self::Token { .. } => "Token",
            Self::NoToken { .. } => "NoToken",
        }
    }
}

spelled_enum! {
    /// Why a token source has no token.
    NoToken {
        /// It cannot be reached, or has none for now: it is asked again.
        Outage = "outage",
        /// A person must act, as with OAuth's `invalid_grant`: asking again is in vain.
        Permanent = "permanent",
        /// The program's code is wrong: it raised what it should not, or gave what is no token.
        Mistake = "mistake",
    }
}

spelled_enum! {
    /// Where in the life of a connection a problem came.
    Stage {
        /// The host name was looked up.
        Name = "name",
        /// TCP was opened.
        Connect = "connect",
        /// The TLS handshake.
        Tls = "tls",
        /// Octets were read.
        Read = "read",
        /// Octets were written.
        Write = "write",
        /// A deadline of the host's passed.
        Late = "late",
    }
}

/// What the system or the TLS library said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it came.
    pub stage: Stage,
    /// Its name for the error, as [`Failure::of_connect`] and [`Failure::of_tls`] take it.
    pub error: String,
    /// Its words.
    pub words: String,
}

impl Problem {
    /// The failure that it stands for.
    pub(super) fn failure(&self) -> Failure {
        match self.stage {
            Stage::Name | Stage::Connect => Failure::of_connect(&self.error, &self.words),
            Stage::Tls if is_end(&self.error) => self.of_host(Cause::ConnectionLost),
            Stage::Tls => Failure::of_tls(&self.error, &self.words),
            Stage::Read | Stage::Write => self.of_host(Cause::ConnectionLost),
            Stage::Late => self.of_host(Cause::TimedOut),
        }
    }

    fn of_host(&self, cause: Cause) -> Failure {
        Failure::of_host(cause, crate::text::displayable(self.words.as_bytes()))
    }
}

/// A handshake that the other side ended says nothing of certificates.
fn is_end(error: &str) -> bool {
    let error = error.to_ascii_lowercase().replace('_', " ");
    ["econnreset", "epipe", "econnaborted", "eof", "reset", "closed"]
        .iter()
        .any(|end| error.contains(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_named_by_its_stage_and_keeps_its_words() {
        let cause = |stage, error: &str| {
            let problem = Problem { stage, error: error.into(), words: "so it is\u{7}".into() };
            let failure = problem.failure();
            assert_eq!(failure.detail, "so it is ", "{stage} {error}");
            failure.cause
        };
        assert_eq!(cause(Stage::Name, "EAI_NONAME"), Cause::HostNotFound);
        assert_eq!(cause(Stage::Connect, "ECONNREFUSED"), Cause::ConnectionRefused);
        assert_eq!(cause(Stage::Connect, "EHOSTUNREACH"), Cause::Unreachable);
        assert_eq!(cause(Stage::Tls, "CERTIFICATE_VERIFY_FAILED"), Cause::TlsFailed);
        assert_eq!(cause(Stage::Tls, "WRONG_VERSION_NUMBER"), Cause::WrongTlsMode);
        assert_eq!(cause(Stage::Tls, "UNEXPECTED_EOF_WHILE_READING"), Cause::ConnectionLost);
        assert_eq!(cause(Stage::Tls, "ECONNRESET"), Cause::ConnectionLost);
        assert_eq!(cause(Stage::Read, "ECONNRESET"), Cause::ConnectionLost);
        assert_eq!(cause(Stage::Write, "EPIPE"), Cause::ConnectionLost);
        assert_eq!(cause(Stage::Late, ""), Cause::TimedOut);
    }
}
