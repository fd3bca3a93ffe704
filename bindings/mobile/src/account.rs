//! `AccountMachine`: facts in; orders for the host and deliveries for the program out.
//!
//! It is the core's `Account`. Hosts keep that name for what programs use.

use std::sync::{Arc, Mutex};

use mailbearer::{Fact, NoToken, Protocol as MailProtocol, SessionKey, Standing};

use crate::errors::{CoreError, guard, locked};
use crate::plan::AccountPlan;
use crate::pure::AccessToken;
use crate::records::Failure;
use crate::session::{SessionConfig, Status};

/// All that an account is told besides its sessions. What is left out has the default that is right for most.
#[derive(Debug, Clone, uniffi::Record)]
pub struct AccountConfig {
    /// Milliseconds for which failures are waited out before a session's first connection; then they are raised as
    /// `GaveUp`. Absent: for ever. What cannot get better is raised at once.
    #[uniffi(default = Some(60000))]
    pub first_ms: Option<u64>,
    /// The same, once a session has been connected. Absent: for ever.
    #[uniffi(default = None)]
    pub later_ms: Option<u64>,
    /// Milliseconds that a token lives whose source does not say.
    #[uniffi(default = None)]
    pub token_lifetime_ms: Option<u64>,
    /// Milliseconds that a token must still live to be used, where the source has better ones. Absent: 1 minute.
    #[uniffi(default = None)]
    pub token_life_least_ms: Option<u64>,
    /// Milliseconds for a token to come. Absent: 1 minute.
    #[uniffi(default = None)]
    pub token_timeout_ms: Option<u64>,
    /// Greatest wait after a first failure of the token source, and after a first limit of the server; it doubles with
    /// each. Absent: 1 second.
    #[uniffi(default = None)]
    pub backoff_base_ms: Option<u64>,
    /// Greatest wait of all for the token source; a limit of the server is waited for eight times as long. Absent: 5
    /// minutes.
    #[uniffi(default = None)]
    pub backoff_max_ms: Option<u64>,
    /// Whether `KeepAlive` is ordered for connections that are idle: every 4 to 9 minutes at random, and before the
    /// provider's idle limit.
    #[uniffi(default = true)]
    pub keep_alive: bool,
    /// Milliseconds in which a probe or a keep-alive is to be answered. Absent: 20 seconds.
    #[uniffi(default = None)]
    pub answer_ms: Option<u64>,
    /// A nap of the machine of at least so many milliseconds ends its connections unprobed. Absent: 30 minutes.
    #[uniffi(default = None)]
    pub unprobed_nap_ms: Option<u64>,
}

impl From<AccountConfig> for mailbearer::AccountConfig {
    fn from(config: AccountConfig) -> Self {
        let defaults = Self::default();
        Self {
            first_ms: config.first_ms,
            later_ms: config.later_ms,
            token_lifetime_ms: config.token_lifetime_ms,
            token_life_least_ms: config.token_life_least_ms.unwrap_or(defaults.token_life_least_ms),
            token_timeout_ms: config.token_timeout_ms.unwrap_or(defaults.token_timeout_ms),
            backoff_base_ms: config.backoff_base_ms.unwrap_or(defaults.backoff_base_ms),
            backoff_max_ms: config.backoff_max_ms.unwrap_or(defaults.backoff_max_ms),
            keep_alive: config.keep_alive,
            answer_ms: config.answer_ms.unwrap_or(defaults.answer_ms),
            unprobed_nap_ms: config.unprobed_nap_ms.unwrap_or(defaults.unprobed_nap_ms),
        }
    }
}

/// How an account stands, for logs and screens.
#[derive(uniffi::Record)]
pub struct AccountStatus {
    /// Its sessions, in the order in which they were added.
    pub sessions: Vec<SessionStatus>,
    /// Whether the token source is being asked.
    pub asks_for_token: bool,
    /// Why there is no token, while there is none.
    pub token_failure: Option<Failure>,
    /// When the wait after a failure of the token source is over, on the host's clock.
    pub token_retry_at_ms: Option<u64>,
    /// What a person, or the program's author, must mend.
    pub stops: Vec<Failure>,
}

impl From<mailbearer::AccountStatus> for AccountStatus {
    fn from(status: mailbearer::AccountStatus) -> Self {
        Self {
            sessions: status.sessions.into_iter().map(Into::into).collect(),
            asks_for_token: status.asks_for_token,
            token_failure: status.token_failure.map(Into::into),
            token_retry_at_ms: status.token_retry_at_ms,
            stops: status.stops.into_iter().map(Into::into).collect(),
        }
    }
}

/// How one session of an account stands.
#[derive(uniffi::Record)]
pub struct SessionStatus {
    /// Which.
    pub session: u32,
    /// What it speaks.
    pub protocol: MailProtocol,
    /// How it stands, as the program sees it.
    pub standing: Standing,
    /// Whether somebody waits for a connection.
    pub is_wanted: bool,
    /// The connection that the program has.
    pub given: Option<u64>,
    /// The session's own.
    pub status: Status,
}

impl From<mailbearer::SessionStatus> for SessionStatus {
    fn from(status: mailbearer::SessionStatus) -> Self {
        Self {
            session: status.session.number(),
            protocol: status.protocol,
            standing: status.standing,
            is_wanted: status.is_wanted,
            given: status.given,
            status: status.status.into(),
        }
    }
}

/// Keeps one mailbox connected for a program: the sessions of one user, and all that is decided about them. Facts and
/// time in, plans out. Safe for use from many threads.
///
/// A session is named by the number that `add` gave, a connection by the `ticket` of its `Open`, a question to the token
/// source by its `request`. What is said of one that is over is ignored; of one that never was, it is a misuse.
#[derive(uniffi::Object)]
pub struct AccountMachine(Mutex<mailbearer::Account>);

impl AccountMachine {
    fn tell(&self, now_ms: u64, fact: Fact) -> Result<AccountPlan, CoreError> {
        locked(&self.0, |account| Ok(account.handle(now_ms, fact)?.into()))
    }
}

#[uniffi::export]
impl AccountMachine {
    /// An account without sessions. The seed decides all that is left to chance: give each account another.
    #[uniffi::constructor]
    pub fn new(config: AccountConfig, seed: u64) -> Result<Arc<Self>, CoreError> {
        guard(|| {
            let account = mailbearer::Account::new(config.into(), seed)?;
            Ok(Arc::new(Self(Mutex::new(account))))
        })
    }

    /// An account that goes on where the one of the snapshot was: add its sessions again. A stop holds until `retry`, and
    /// waits are over when they would have been. `wall_ms` is milliseconds on a clock that all processes share, as since
    /// 1970.
    #[uniffi::constructor]
    pub fn restore(
        config: AccountConfig,
        snapshot: Vec<u8>,
        now_ms: u64,
        wall_ms: u64,
        seed: u64,
    ) -> Result<Arc<Self>, CoreError> {
        guard(|| {
            let config = config.into();
            let account = mailbearer::Account::restore(config, &snapshot, now_ms, wall_ms, seed)?;
            Ok(Arc::new(Self(Mutex::new(account))))
        })
    }

    /// Adds a session, and gives its number: IMAP any number, POP3, SMTP. One that a snapshot knows goes on where it was.
    /// Nothing is opened before it is wanted.
    pub fn add(&self, session: SessionConfig) -> Result<u32, CoreError> {
        locked(&self.0, |account| Ok(account.add(session.into())?.number()))
    }

    // ---- Facts from the program ----

    /// Somebody waits for a connection of this session, one at a time. Answered by `Give`, `Raise` or `End`.
    pub fn want(&self, now_ms: u64, session: u32) -> Result<AccountPlan, CoreError> {
        self.tell(now_ms, Fact::Want { session: SessionKey::new(session) })
    }

    /// Nobody waits any more: the wait was cancelled.
    pub fn no_longer(&self, now_ms: u64, session: u32) -> Result<AccountPlan, CoreError> {
        self.tell(now_ms, Fact::NoLonger { session: SessionKey::new(session) })
    }

    /// The program is done with a connection that it was given.
    pub fn let_go(&self, now_ms: u64, ticket: u64) -> Result<AccountPlan, CoreError> {
        self.tell(now_ms, Fact::LetGo { ticket })
    }

    /// Ends one session, and closes what it has open.
    pub fn remove(&self, now_ms: u64, session: u32) -> Result<AccountPlan, CoreError> {
        self.tell(now_ms, Fact::Remove { session: SessionKey::new(session) })
    }

    /// Ends all sessions, and closes what is open. It is not `close`, which frees an object in Kotlin.
    pub fn close_all(&self, now_ms: u64) -> Result<AccountPlan, CoreError> {
        self.tell(now_ms, Fact::Close)
    }

    /// A person, or the program, has acted: every stop is lifted.
    pub fn retry(&self, now_ms: u64) -> Result<AccountPlan, CoreError> {
        self.tell(now_ms, Fact::Retry)
    }

    /// The system says that there is no network.
    pub fn network_lost(&self, now_ms: u64) -> Result<AccountPlan, CoreError> {
        self.tell(now_ms, Fact::NetworkLost)
    }

    /// The system says that there is a network again, or another one.
    pub fn network_back(&self, now_ms: u64) -> Result<AccountPlan, CoreError> {
        self.tell(now_ms, Fact::NetworkBack)
    }

    /// The machine slept for so many milliseconds.
    pub fn slept(&self, now_ms: u64, ms: u64) -> Result<AccountPlan, CoreError> {
        self.tell(now_ms, Fact::Slept { ms })
    }

    /// The time of `wakeAtMs` has come. An early one is harmless.
    pub fn tick(&self, now_ms: u64) -> Result<AccountPlan, CoreError> {
        self.tell(now_ms, Fact::Tick)
    }

    // ---- Facts from the host ----

    /// Answers `Open`: the connection is there, with TLS where it is implicit.
    pub fn opened(&self, now_ms: u64, ticket: u64) -> Result<AccountPlan, CoreError> {
        self.tell(now_ms, Fact::Opened { ticket })
    }

    /// Answers `StartTls`: TLS is there.
    pub fn secured(&self, now_ms: u64, ticket: u64) -> Result<AccountPlan, CoreError> {
        self.tell(now_ms, Fact::Secured { ticket })
    }

    /// The connection could not be opened, or has ended. `failure` is what the system or TLS said, as `failureOfConnect`
    /// and its siblings tell it; absent: a plain end of the stream.
    pub fn ended(
        &self,
        now_ms: u64,
        ticket: u64,
        failure: Option<Failure>,
    ) -> Result<AccountPlan, CoreError> {
        self.tell(now_ms, Fact::Ended { ticket, failure: failure.map(Into::into) })
    }

    /// A probe or a keep-alive was answered: only for hosts that do not give what comes to `receive`.
    pub fn answered(&self, now_ms: u64, ticket: u64) -> Result<AccountPlan, CoreError> {
        self.tell(now_ms, Fact::Answered { ticket })
    }

    /// Answers `FetchToken`. `lives_ms`: milliseconds that it still lives, where that is known.
    pub fn token(
        &self,
        now_ms: u64,
        request: u64,
        token: &AccessToken,
        lives_ms: Option<u64>,
    ) -> Result<AccountPlan, CoreError> {
        self.tell(now_ms, Fact::Token { request, token: token.0.clone(), lives_ms })
    }

    /// Answers `FetchToken`: there is none. `text` is what the source said, as `invalid_grant: Token has been expired or
    /// revoked`; it must not hold a token.
    pub fn no_token(
        &self,
        now_ms: u64,
        request: u64,
        why: NoToken,
        text: String,
    ) -> Result<AccountPlan, CoreError> {
        self.tell(now_ms, Fact::NoToken { request, why, text })
    }

    /// Takes what one read of a connection brought, before and after the login. One call for each read.
    pub fn receive(
        &self,
        now_ms: u64,
        ticket: u64,
        bytes: &[u8],
    ) -> Result<AccountPlan, CoreError> {
        locked(&self.0, |account| Ok(account.receive(now_ms, ticket, bytes)?.into()))
    }

    /// Octets that the mail client wrote: they tell what is in flight when the connection ends.
    pub fn sent(&self, ticket: u64, bytes: &[u8]) -> Result<(), CoreError> {
        locked(&self.0, |account| {
            account.sent(ticket, bytes);
            Ok(())
        })
    }

    /// Octets of message content that were passed by, at most the last `skip`.
    pub fn skipped(&self, ticket: u64, octets: u64) -> Result<(), CoreError> {
        locked(&self.0, |account| {
            account.skipped(ticket, octets);
            Ok(())
        })
    }

    // ---- For the host ----

    /// Masks every token that the account holds, and those of the last logins, in text that is to be logged.
    pub fn redact(&self, text: &str) -> Result<String, CoreError> {
        locked(&self.0, |account| Ok(account.redact(text)))
    }

    /// Whether the mail client waits for no answer on this connection, and writes nothing: IDLE is quiet.
    pub fn is_quiet(&self, ticket: u64) -> Result<bool, CoreError> {
        locked(&self.0, |account| Ok(account.is_quiet(ticket)))
    }

    /// Whether the end of a message was written on this connection, and the server has not said yet whether it takes it: a
    /// host waits 10 minutes for that (RFC 5321 section 4.5.3.2.6), however soon it wants other answers.
    pub fn is_delivering(&self, ticket: u64) -> Result<bool, CoreError> {
        locked(&self.0, |account| Ok(account.is_delivering(ticket)))
    }

    /// How it stands.
    pub fn status(&self) -> Result<AccountStatus, CoreError> {
        locked(&self.0, |account| Ok(account.status().into()))
    }

    /// How one session stands: the part of `status` that costs nothing. Absent: there is none with this number.
    pub fn standing(&self, session: u32) -> Result<Option<Standing>, CoreError> {
        locked(&self.0, |account| Ok(account.standing(SessionKey::new(session))))
    }

    /// What must outlive the process. `wall_ms` is milliseconds on a clock that all processes share, as since 1970. It
    /// holds no secret.
    pub fn snapshot(&self, wall_ms: u64) -> Result<Vec<u8>, CoreError> {
        locked(&self.0, |account| Ok(account.snapshot(wall_ms)))
    }
}

#[cfg(test)]
mod tests;
