//! Keeps one mailbox connected for a program: facts and time in, an [`AccountPlan`] out.
//!
//! It owns the sessions of the mailbox and what they share. Each is a [`Session`](crate::Session) that is given a token each
//! time that it may open a connection; this file takes the facts to it, and turns what it orders into orders and
//! deliveries. Then the joint rules (`settle.rs`) are applied until none applies any more.
//!
//! | file | what |
//! |---|---|
//! | `program.rs` | what the program says, and its token source |
//! | `misuse.rs` | calls that are wrong |
//! | `tokens.rs` | the one token: asking, judging, counting refusals |
//! | `places.rs` | how many connections the server allows, and the waits that it asked for |
//! | `stops.rs` | what a person must mend before anything is tried again |
//! | `link.rs` | what becomes of a session's orders, and of its connections' ends |
//! | `settle.rs` | the joint rules, and when to come back |
//! | `doubt.rs` | probes and keep-alives |
//! | `snapshot.rs` | what outlives the process |
//!
//! The rules are those of `docs/life-of-an-account.md`; each is a case in `tests/cases/account.json` or held in every state
//! by `tests/simulation/tests/histories.rs`.

mod config;
mod doubt;
mod facts;
mod link;
mod member;
mod misuse;
mod places;
mod plan;
mod program;
mod settle;
mod snapshot;
mod stops;
mod tokens;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

pub use config::{AccountConfig, SessionKey};
pub use facts::{Fact, NoToken};
pub use plan::{
    ACCOUNT_TRANSITIONS, AccountEvent, AccountPlan, Delivery, EventKind, Given, Order, Raise,
    RaiseKind, Standing,
};

use crate::config::{ConfigError, Field, Protocol};
use crate::failure::{Failure, Misuse};
use crate::session::{Input, Login, Read, Session, SessionConfig, Status};
use crate::watch::{Aftermath, Submission};
use member::Member;
use places::Places;
use stops::Stops;
use tokens::Tokens;

/// A plan that comes this much later than it asked for was slept through.
const LATE_MS: u64 = 60_000;

/// Longest time in which nothing is opened because the system says that there is no network: it may be wrong.
const NETWORK_LOST_MS: u64 = 5 * 60_000;

/// "The network is back" ends waits at most once in this time: some systems say it all day.
const NETWORK_BACK_LEAST_MS: u64 = 10_000;

/// Keeps one mailbox connected for a program: the sessions of one user, and all that is decided about them. It has no
/// clock, no socket and no token source of its own.
///
/// | [`Order`] | the host does | and answers exactly one of |
/// |---|---|---|
/// | `FetchToken` | asks the token source; past its cache if `force` | `Token`, `NoToken` |
/// | `Open` | opens TCP, and TLS when implicit; gives what is read to [`Account::receive`] | `Opened`, `Ended` |
/// | `StartTls` | TLS handshake on this socket, with an empty read buffer | `Secured`, `Ended` |
/// | `Send` | writes all of it, in order; never logs it if `sensitive` | nothing, or `Ended` |
/// | `Pause` | reads no more: what comes next is the mail client's | nothing, or `Ended` |
/// | `KeepAlive`, `Probe` | lets the mail client say something harmless, if it can | nothing, or `Ended` |
/// | `Close` | closes the socket | nothing |
///
/// | [`Delivery`] | the program sees |
/// |---|---|
/// | `Give` | the connection that it waits for |
/// | `Raise` | the error in its place |
/// | `End` | that there is no other, for the session or the account was closed |
/// | `Renew` | that a connection is to be let go soon |
/// | `Over` | that a connection has ended, and why |
/// | `Event` | for logs and metrics |
///
/// ```
/// use mailbearer::{
///     AccessToken, Account, AccountConfig, Delivery, Fact, Identity, Order, Protocol, Provider, SessionConfig,
/// };
/// let gmail = Provider::gmail();
/// let mut account = Account::new(AccountConfig::for_provider(&gmail), 42)?;
/// let config = SessionConfig::for_provider(&gmail, Protocol::Imap, Identity::new("joe@gmail.com"))?;
/// let session = account.add(config)?;
///
/// // Nothing is opened that nobody wants.
/// assert!(account.handle(0, Fact::Tick)?.orders.is_empty());
/// let plan = account.handle(1, Fact::Want { session })?;
/// assert!(matches!(plan.orders[..], [Order::FetchToken { request: 1, force: false, .. }]));
/// let token = AccessToken::new("ya29.token")?;
/// let plan = account.handle(10, Fact::Token { request: 1, token, lives_ms: Some(3_599_000) })?;
/// assert!(matches!(plan.orders[..], [Order::Open { ticket: 1, attempt: 1, .. }]));
/// let plan = account.handle(20, Fact::Opened { ticket: 1 })?;
/// let plan = account.receive(30, 1, b"* OK Gimap ready\r\n")?;
/// assert!(matches!(plan.orders[..], [Order::Send { sensitive: true, .. }]));
/// let plan = account.receive(40, 1, b"A0001 OK joe@gmail.com authenticated (Success)\r\n")?;
/// assert!(matches!(plan.orders[..], [Order::Pause { ticket: 1 }]));
/// assert!(plan.deliveries.iter().any(|one| matches!(one, Delivery::Give(given) if given.generation == 1)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Account {
    config: AccountConfig,
    rng: fastrand::Rng,
    now_ms: u64,
    wake_at_ms: Option<u64>,
    members: Vec<Member>,
    keys: u32,
    tickets: u64,
    turns: u64,
    tokens: Tokens,
    places: Places,
    stops: Stops,
    /// What the program's token source did wrong, and nobody was told yet: with the request.
    mistake: Option<(u64, Box<Failure>)>,
    /// There is no network, says the system; believed until then.
    lost_until_ms: Option<u64>,
    back_at_ms: Option<u64>,
    closed: bool,
    /// Sessions of a snapshot that were not added yet.
    remembered: Vec<snapshot::Remembered>,
    /// Whose sessions it has had, without saying it.
    users: Vec<String>,
    /// It comes from a snapshot, and has no session yet that shows whose it is.
    awaits_owner: bool,
    dead_ms: u64,
    /// What the host said of the end that is being handled.
    problem: Option<Box<Failure>>,
}

/// How an account stands, for logs and screens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountStatus {
    /// Its sessions, in the order in which they were added.
    pub sessions: Vec<SessionStatus>,
    /// Whether the token source is being asked.
    pub asks_for_token: bool,
    /// Why there is no token, while there is none.
    pub token_failure: Option<Failure>,
    /// When the wait after a failure of the token source is over.
    pub token_retry_at_ms: Option<u64>,
    /// What a person, or the program's author, must mend.
    pub stops: Vec<Failure>,
}

/// How one session stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionStatus {
    /// Which.
    pub session: SessionKey,
    /// What it speaks.
    pub protocol: Protocol,
    /// How it stands, as the program sees it.
    pub standing: Standing,
    /// Whether somebody waits for a connection.
    pub is_wanted: bool,
    /// The connection that the program has.
    pub given: Option<u64>,
    /// The session's own.
    pub status: Status,
}

impl Account {
    /// An account without sessions. The seed decides all that is left to chance: give each account another.
    ///
    /// # Errors
    /// [`ConfigError`] when a setting cannot work.
    pub fn new(config: AccountConfig, seed: u64) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            config,
            rng: fastrand::Rng::with_seed(seed),
            now_ms: 0,
            wake_at_ms: None,
            members: Vec::new(),
            keys: 0,
            tickets: 0,
            turns: 0,
            tokens: Tokens::default(),
            places: Places::default(),
            stops: Stops::default(),
            mistake: None,
            lost_until_ms: None,
            back_at_ms: None,
            closed: false,
            remembered: Vec::new(),
            users: Vec::new(),
            awaits_owner: false,
            dead_ms: 0,
            problem: None,
        })
    }

    /// Adds a session: IMAP any number, POP3, SMTP. One that a snapshot knows goes on where it was. Nothing is opened
    /// before it is wanted.
    ///
    /// # Errors
    /// [`ConfigError`] when a setting cannot work. The host cannot log in by itself here ([`Login::Host`]).
    pub fn add(&mut self, session: SessionConfig) -> Result<SessionKey, ConfigError> {
        if session.login == Login::Host {
            let reason = "an account logs in by itself: leave it out";
            return Err(ConfigError::Conflict { field: Field::Session("login"), reason });
        }
        let seed = self.rng.u64(..);
        let mut session = match self.recall(&session, seed)? {
            None => Session::supplied(session, seed)?,
            Some(known) => known,
        };
        if self.stops.of(session.service()).is_none() {
            session.run_on();
        }
        for member in &self.members {
            session.share_config(&member.session);
        }
        self.belongs_to(session.config());
        self.keys = self.keys.saturating_add(1);
        let key = SessionKey::new(self.keys);
        // Accounts are many and sessions few: no room is kept for more.
        self.members.reserve_exact(1);
        self.members.push(Member::new(key, session));
        let intervals = self.members.iter().map(|one| one.session.config().login_interval_ms);
        if let Some(interval_ms) = intervals.min() {
            self.tokens.keep_interval(interval_ms);
        }
        Ok(key)
    }

    /// Takes a fact. `now_ms` is milliseconds on any clock that goes on while the machine sleeps.
    ///
    /// # Errors
    /// [`Misuse`] when the calling code is wrong; the account is unharmed. Whatever a server or a token source does is an
    /// [`AccountPlan`].
    pub fn handle(&mut self, now_ms: u64, fact: Fact) -> Result<AccountPlan, Misuse> {
        self.check(&fact)?;
        let mut plan = AccountPlan::default();
        self.clock(now_ms, matches!(fact, Fact::Slept { .. }), &mut plan);
        match fact {
            Fact::Want { session } => self.wanted(session, &mut plan),
            Fact::NoLonger { session } => self.no_longer(session),
            Fact::LetGo { ticket } => self.let_go(ticket, &mut plan),
            Fact::Remove { session } => self.remove(session, &mut plan),
            Fact::Close => self.close(&mut plan),
            Fact::Retry => self.retry(&mut plan),
            Fact::NetworkLost => {
                self.lost_until_ms = Some(self.now_ms.saturating_add(NETWORK_LOST_MS));
            }
            Fact::NetworkBack => self.network_back(&mut plan),
            Fact::Slept { ms } => self.slept(ms, &mut plan),
            Fact::Tick => {}
            Fact::Opened { ticket } => self.told(ticket, Input::Connected { ticket }, &mut plan),
            Fact::Secured { ticket } => {
                self.told(ticket, Input::TlsEstablished { ticket }, &mut plan);
            }
            Fact::Ended { ticket, failure } => self.ended(ticket, failure, &mut plan),
            Fact::Answered { ticket } => {
                if let Some(at) = self.place_of(ticket)
                    && let Some(member) = self.members.get_mut(at)
                {
                    member.doubt.heard(self.now_ms);
                }
            }
            Fact::Token { request, token, lives_ms } => {
                let answer = self.tokens.came(self.now_ms, request, token, lives_ms, &self.config);
                self.answered(request, answer, &mut plan);
            }
            Fact::NoToken { request, why, text } => self.no_token(request, why, &text, &mut plan),
        }
        Ok(self.settle(plan))
    }

    /// Takes what one read of a connection brought, before and after the login. One call for each read.
    ///
    /// # Errors
    /// [`Misuse`] when the calling code is wrong.
    pub fn receive(
        &mut self,
        now_ms: u64,
        ticket: u64,
        bytes: &[u8],
    ) -> Result<AccountPlan, Misuse> {
        self.check_ticket(ticket, "receive")?;
        if bytes.is_empty() {
            return Err(Misuse::EmptyRead);
        }
        let mut plan = AccountPlan::default();
        self.clock(now_ms, false, &mut plan);
        let now_ms = self.now_ms;
        let mut members = self.members.iter_mut().enumerate();
        let Some((at, member)) = members.find(|(_, member)| member.has(ticket)) else {
            return Ok(self.settle(plan));
        };
        member.doubt.heard(now_ms);
        match member.session.read(now_ms, ticket, bytes)? {
            Read::Content { skip } => {
                plan.skip = skip;
                if self.wake_at_ms.is_none_or(|at_ms| now_ms < at_ms) {
                    // The common case: nothing to decide.
                    plan.wake_at_ms = self.wake_at_ms;
                    return Ok(plan);
                }
            }
            Read::Decided(came) => {
                plan.skip = came.skip;
                self.obey(at, came, &mut plan);
            }
        }
        Ok(self.settle(plan))
    }

    /// Octets of message content that the host passed by without showing them, at most the last [`AccountPlan::skip`].
    pub fn skipped(&mut self, ticket: u64, octets: u64) {
        if let Some(member) = self.place_of(ticket).and_then(|at| self.members.get_mut(at)) {
            member.session.skipped(ticket, octets);
        }
    }

    /// Octets that the mail client wrote: they tell what is in flight when the connection ends, and whether an answer is
    /// due.
    pub fn sent(&mut self, ticket: u64, bytes: &[u8]) {
        if let Some(member) = self.place_of(ticket).and_then(|at| self.members.get_mut(at)) {
            member.session.sent(ticket, bytes);
            if let Some(asked) = &mut member.doubt.asked
                && !asked.wrote
                && member.session.owes_prompt_answer()
            {
                asked.wrote = true;
                asked.by_ms = asked.by_ms.max(self.now_ms.saturating_add(self.config.answer_ms));
            }
        }
    }

    /// Masks tokens in text that is to be logged: as they are, in base64, and in base64 of the SASL message, whole or in part.
    ///
    /// These are the current token, from when it came until a newer one comes, whatever connections live on it; the one that
    /// a server refused last; and those of logins under way and of the last one that failed. After
    /// [`Fact::Close`] nothing is held, and nothing masked: redact before.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let text = self.tokens.redact(text.into());
        self.members.iter().fold(text, |text, member| member.session.redact(&text))
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> AccountStatus {
        let of = |member: &Member| SessionStatus {
            session: member.key,
            protocol: member.session.service(),
            standing: self.standing_of(member),
            is_wanted: member.want.is_some(),
            given: member.given,
            status: member.session.status(),
        };
        let cooling_ms = self.tokens.cooling_until_ms();
        AccountStatus {
            sessions: self.members.iter().map(of).collect(),
            asks_for_token: self.tokens.is_asked(),
            token_failure: self.tokens.problem().map(|(_, failure)| (**failure).clone()),
            token_retry_at_ms: Some(cooling_ms).filter(|at_ms| *at_ms > self.now_ms),
            stops: self.stops.all().iter().map(|stop| stop.failure.clone()).collect(),
        }
    }

    /// How one session stands: the part of [`Account::status`] that costs nothing. `None`: there is none with this key.
    #[must_use]
    pub fn standing(&self, session: SessionKey) -> Option<Standing> {
        let member = self.members.iter().find(|member| member.key == session)?;
        Some(self.standing_of(member))
    }

    /// Whether the mail client waits for no answer on this connection, and writes nothing: IDLE is quiet.
    #[must_use]
    pub fn is_quiet(&self, ticket: u64) -> bool {
        let member = self.place_of(ticket).and_then(|at| self.members.get(at));
        member.is_none_or(|member| member.session.is_quiet())
    }

    /// Whether the end of a message was written on this connection, and the server has not said yet whether it takes it: a
    /// host waits 10 minutes for that (RFC 5321 section 4.5.3.2.6), however soon it wants other answers.
    #[must_use]
    pub fn is_delivering(&self, ticket: u64) -> bool {
        let member = self.place_of(ticket).and_then(|at| self.members.get(at));
        let aftermath = member.and_then(|member| member.session.aftermath());
        matches!(aftermath, Some(Aftermath::Smtp { submission: Submission::Unknown }))
    }

    fn standing_of(&self, member: &Member) -> Standing {
        member.standing(self.stops.of(member.session.service()).is_some())
    }
}
