//! Keeps one mailbox connection logged in for ever: facts and time in, a [`Plan`] out.
//!
//! Two small machines run side by side. The *token region* (`token.rs`) asks for tokens and judges them; the *link*
//! (`attempt.rs`, `failures.rs`, `ending.rs`) connects, logs in, watches and waits. Every input goes to one of them; then both
//! are settled: rules that depend on the state of both (`joint.rs`) are applied until none applies any more (at most
//! [`SETTLE_ROUNDS_MAX`] rounds).
//!
//! | joint state | then |
//! |---|---|
//! | no connection, the wait is over, no token | order `FetchToken` |
//! | no connection, a token too near its end | drop it |
//! | no connection, a token | order `Connect` |
//! | a token, a connection or a login past its deadline | that failed |
//! | online, the end is near, no newer token, a login in the budget | order `FetchToken` |
//! | online, the end is near, a newer token, a quiet moment | order `Renew`; or `Connect`, where sessions overlap |
//! | let go past its deadline | order `Close` |
//! | online for long enough | forget the failures |
//!
//! Rules (each is a test below, in `tests/cases/` or in `tests/simulation/`):
//!
//! 1. A token is used for one login. A refused one is never sent again; a second refusal in a row, or the refused token
//!    handed back, ends in `NeedsUser`.
//! 2. Limits, outages and policies of the server never cause a refresh, and never count as a refusal; but for an outage whose
//!    challenge said `invalid_token`, after which the next token is a fresh one.
//! 3. `wake_at_ms` is in the future, time never runs backwards, an early tick is harmless.
//! 4. Every order has a greatest rate, and a greatest number in an hour and in a day (`budget.rs`).
//! 5. The same inputs and the same seed give the same plans.
//! 6. What fails before the TLS of STARTTLS is waited out as a lost connection is: no stop, no refresh, no wait that the server
//!    asked for.
//! 7. A limit or an outage that the server stated is not forgotten for a session that lasted a minute (`limited.rs`).
//! 8. One ending teaches nothing (`learning.rs`).

mod attempt;
mod backoff;
mod budget;
mod config;
mod ending;
mod failures;
mod joint;
mod learning;
mod limited;
mod misuse;
mod plan;
pub(crate) mod snapshot;
mod stopping;
mod supply;
mod token;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;

pub(crate) use backoff::{Backoff, Rate};
pub use config::{Login, Renewal, SessionConfig};
pub use plan::{
    Action, Input, Learnt, Plan, RenewWhy, SESSION_TRANSITIONS, SessionPhase, Status, TokenNeed,
    WakeReason,
};
pub(crate) use supply::{Supply, Wish};

use crate::config::ConfigError;
use crate::failure::{Advice, Cause, Certainty, Failure, Misuse, Verdict};
use crate::negotiation::Negotiation;
use crate::redact::Secrets;
use crate::token::AccessToken;
use crate::watch::{Aftermath, Watch};
use budget::Budget;
use learning::Learning;
use limited::{Limited, Refusals};
use token::{Held, TokenRegion};

/// Rounds in which the joint rules come to rest: each rule leads to a state in which it does not apply.
const SETTLE_ROUNDS_MAX: usize = 12;

/// What clocks differ by, and hosts are late by.
const LATE_MS: u64 = 60_000;

/// Least wait after a failure that a person in the middle could have caused: nothing is gained by haste.
const SUSPICIOUS_WAIT_MS: u64 = 60_000;

/// Sessions in a row that Exchange logs in and does not connect before a person is asked.
const NOT_CONNECTED_MAX: u32 = 3;

/// Keeps one mailbox connection logged in. It has no clock, no socket and no token of its own: the host carries out its
/// orders and reports what became of them.
///
/// | [`Action`] | the host does | and answers exactly one of |
/// |---|---|---|
/// | `FetchToken` | gets an access token; bypasses its cache if `force_refresh` | `Token`, `TokenFailed` |
/// | `Connect` | opens TCP, and TLS when implicit | `Connected`, `Ended` |
/// | `Send` | writes all of it, in order; never logs it if `sensitive` | nothing, or `Ended` |
/// | `StartTls` | TLS handshake on this socket, with an empty read buffer | `TlsEstablished`, `Ended` |
/// | `Online` | gives the stream and `leftover` to the mail client | later `Ended`, `Line` as seen |
/// | `Renew` | finishes the current command or transaction, lets go | `Drained`, `Ended` (else closed at `by_ms`) |
/// | `Close` | closes the socket | nothing |
/// | `NeedsUser`, `GiveUp` | tells the application | `Start`, once it has acted |
///
/// Every connection attempt has a ticket; an answer with an old ticket is ignored. What is read from a connection goes to
/// [`Session::receive`], before and after the login.
///
/// ```
/// use mailbearer::{AccessToken, Action, Identity, Input, Protocol, Provider, Session, SessionConfig};
/// let config = SessionConfig::for_provider(&Provider::gmail(), Protocol::Imap, Identity::new("joe@gmail.com"))?;
/// let mut session = Session::new(config, 42)?;
///
/// let plan = session.handle(0, Input::Start)?;
/// assert!(matches!(plan.actions[..], [Action::FetchToken { request: 1, force_refresh: false, .. }]));
/// let token = AccessToken::new("ya29.token")?;
/// let plan = session.handle(10, Input::Token { request: 1, token, expires_in_ms: Some(3_599_000) })?;
/// assert!(matches!(plan.actions[..], [Action::Connect { ticket: 1, attempt: 1 }]));
/// let plan = session.handle(20, Input::Connected { ticket: 1 })?;
/// let plan = session.receive(30, 1, b"* OK Gimap ready\r\n")?;
/// assert!(matches!(plan.actions[..], [Action::Send { sensitive: true, .. }]));
/// let plan = session.receive(40, 1, b"A0001 OK joe@gmail.com authenticated (Success)\r\n")?;
/// assert!(matches!(plan.actions[..], [Action::Online { generation: 1, .. }]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Session {
    /// The sessions of an account share what is the same.
    config: Arc<SessionConfig>,
    rng: fastrand::Rng,
    now_ms: u64,
    /// When to come back, and why.
    wake: Option<(u64, WakeReason)>,
    run: Run,
    token: TokenRegion,
    /// The token of the last login that failed, or that the host made: what is said of it may hold it.
    spent: Option<AccessToken>,
    /// These three are rare, and sessions many: they are not kept room for.
    attempt: Option<Box<Attempt>>,
    live: Option<Live>,
    /// A session that a successor has replaced, and that the host has not let go yet.
    leaving: Option<Leaving>,
    /// No attempt before this time.
    wait_until_ms: u64,
    /// Nor before this one, for which the server asked, or which its limits lead to.
    server_wait_until_ms: u64,
    connects: Rate,
    budget: Budget,
    limited: Limited,
    /// Attempts that failed, and sessions that did not last, in a row.
    failures: u32,
    /// Tokens refused in a row.
    rejections: u32,
    /// And in a day.
    refusals: Refusals,
    /// Sessions in a row that were logged in and not connected to the mailbox.
    not_connected: u32,
    tickets: u64,
    generation: u64,
    resumed: Option<Box<Aftermath>>,
    learning: Learning,
    last_failure: Option<Box<Failure>>,
    last_ending: Option<Box<Verdict>>,
    /// What a person must mend, and need not while the session that is online lasts.
    stop_at_end: Option<Box<Failure>>,
    /// A stop from before a restart has to be told again.
    announce: bool,
    /// It is one of an account, which gives the tokens: see `supply.rs`.
    supplied: bool,
    /// The account has a token for the next connection.
    renewable: bool,
    /// It was said that logins are held back for the short life of tokens.
    warned: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    Stopped,
    Running,
    /// For what is in `last_failure`.
    NeedsUser,
    /// Likewise.
    GaveUp,
}

/// What came of a read.
pub(crate) enum Read {
    /// Content, and nothing to decide: of it, so much that comes next need not be shown.
    Content {
        skip: u64,
    },
    Decided(Plan),
}

/// A connection on its way.
#[derive(Debug)]
struct Attempt {
    ticket: u64,
    stage: Stage,
    deadline_ms: u64,
    held: Held,
    /// Its login was counted.
    counted: bool,
}

#[derive(Debug)]
enum Stage {
    Connecting,
    LoggingIn(Box<Negotiation>),
    /// The host logs in by itself.
    HostLogin,
}

/// A connection that is logged in.
#[derive(Debug)]
struct Live {
    ticket: u64,
    since_ms: u64,
    watch: Watch,
    token_expires_at_ms: Option<u64>,
    fingerprint: u64,
    /// Its token was asked for past the source's cache.
    forced: bool,
    ends: Option<Ends>,
    /// Why, as far as lines told that the host showed: the last refusal before which nothing has worked since.
    refused: Option<Box<Verdict>>,
    /// When it is closed, if the host has not let it go.
    renewing_until_ms: Option<u64>,
    /// It has lasted: what fails from now on is its successor's failure, and is not forgotten for its sake.
    lasted: bool,
}

/// When a session is expected to end, and what is done before.
#[derive(Debug, Clone, Copy)]
struct Ends {
    at_ms: u64,
    why: RenewWhy,
    prepare_at_ms: u64,
    let_go_by_ms: u64,
}

#[derive(Debug)]
struct Leaving {
    ticket: u64,
    by_ms: u64,
}

impl Session {
    /// A session that waits for [`Input::Start`]. The seed decides all that is left to chance: give each session another.
    ///
    /// # Errors
    /// [`ConfigError`] when a setting cannot work.
    pub fn new(config: SessionConfig, seed: u64) -> Result<Self, ConfigError> {
        config.validate()?;
        let budget = Budget::new(config.login_interval_ms);
        Ok(Self {
            config: Arc::new(config),
            rng: fastrand::Rng::with_seed(seed),
            now_ms: 0,
            wake: None,
            run: Run::Stopped,
            token: TokenRegion::default(),
            spent: None,
            attempt: None,
            live: None,
            leaving: None,
            wait_until_ms: 0,
            server_wait_until_ms: 0,
            connects: Rate::pace(),
            budget,
            limited: Limited::default(),
            failures: 0,
            rejections: 0,
            refusals: Refusals::default(),
            not_connected: 0,
            tickets: 0,
            generation: 0,
            resumed: None,
            learning: Learning::default(),
            last_failure: None,
            last_ending: None,
            stop_at_end: None,
            announce: false,
            supplied: false,
            renewable: false,
            warned: false,
        })
    }

    /// Takes a fact. `now_ms` is milliseconds on any clock that goes on while the machine sleeps.
    ///
    /// # Errors
    /// [`Misuse`] when the calling code is wrong; the session is unharmed. Whatever a server does is a [`Plan`].
    pub fn handle(&mut self, now_ms: u64, input: Input) -> Result<Plan, Misuse> {
        self.check(&input)?;
        let mut plan = Plan::default();
        if self.clock(now_ms) && input != Input::Stop {
            self.woke(&mut plan);
        }
        match input {
            Input::Start => self.start(),
            Input::Stop => self.stop(&mut plan),
            Input::Tick => {}
            Input::Woke => self.woke(&mut plan),
            Input::Token { request, token, expires_in_ms } => {
                let in_use = self.live.as_ref().map(|live| live.fingerprint);
                let worth = self.token.came(
                    self.now_ms,
                    request,
                    token,
                    expires_in_ms,
                    in_use,
                    &self.config,
                );
                self.token_came(&worth, &mut plan);
            }
            Input::TokenFailed { request, permanent } => {
                self.token_failed(request, permanent, &mut plan)
            }
            Input::Connected { ticket } => self.connected(ticket, &mut plan),
            Input::TlsEstablished { ticket } => self.tls_established(ticket, &mut plan),
            Input::Ended { ticket, last_line, cause } => {
                self.ended(ticket, last_line.as_deref(), cause, &mut plan)
            }
            Input::Authenticated { ticket } => self.host_logged_in(ticket, &mut plan),
            Input::Refused { ticket, reply } => self.host_refused(ticket, &reply, &mut plan),
            Input::Line { ticket, line } => self.line(ticket, &line, &mut plan),
            Input::Drained { ticket } => self.drained(ticket, &mut plan),
        }
        Ok(self.settle(plan))
    }

    /// Takes what one read of a connection brought, before or after the login. One call for each read.
    ///
    /// # Errors
    /// [`Misuse`] when the calling code is wrong.
    pub fn receive(&mut self, now_ms: u64, ticket: u64, bytes: &[u8]) -> Result<Plan, Misuse> {
        match self.read(now_ms, ticket, bytes)? {
            Read::Decided(plan) => Ok(plan),
            Read::Content { skip } => {
                let mut plan = Plan { skip, ..Plan::default() };
                self.say_wake(&mut plan);
                Ok(plan)
            }
        }
    }

    /// The same, for who reads much and is seldom told anything.
    pub(crate) fn read(&mut self, now_ms: u64, ticket: u64, bytes: &[u8]) -> Result<Read, Misuse> {
        self.check_ticket(ticket, "receive")?;
        if bytes.is_empty() {
            return Err(Misuse::EmptyRead);
        }
        let mut plan = Plan::default();
        if self.clock(now_ms) {
            self.woke(&mut plan);
        }
        let now_ms = self.now_ms;
        if let Some(live) = self.live.as_mut().filter(|live| live.ticket == ticket) {
            let sighting = live.watch.received(bytes);
            plan.skip = sighting.skip;
            if let Some(verdict) = sighting.ending {
                self.close_live(verdict, &mut plan);
            } else if !self.is_due(now_ms) && !self.may_renew() {
                // The common case.
                return Ok(Read::Content { skip: sighting.skip });
            }
        } else if let Some(Attempt { stage: Stage::LoggingIn(negotiation), .. }) =
            self.attempt.as_deref_mut().filter(|attempt| attempt.ticket == ticket)
        {
            let step = negotiation.receive(bytes)?;
            self.on_step(ticket, step, &mut plan);
        }
        Ok(Read::Decided(self.settle(plan)))
    }

    /// Octets of message content that the host passed by without showing them, at most the last [`Plan::skip`].
    pub fn skipped(&mut self, ticket: u64, octets: u64) {
        if let Some(live) = self.live.as_mut().filter(|live| live.ticket == ticket) {
            live.watch.skipped(octets);
        }
    }

    /// Octets that the mail client wrote after the login: they tell what is in flight when the session ends.
    pub fn sent(&mut self, ticket: u64, bytes: &[u8]) {
        if let Some(live) = self.live.as_mut().filter(|live| live.ticket == ticket) {
            live.watch.sent(bytes);
        }
    }

    /// Masks every token that the session holds, and the one of the last login, in text that is to be logged: the errors of a
    /// mail library that logs in by itself may repeat it.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let held = self.token.held().map(|held| &held.token);
        let in_use = self.attempt.as_ref().map(|attempt| &attempt.held.token);
        let tokens = [held, in_use, self.spent.as_ref()].into_iter().flatten();
        tokens.fold(text.to_string(), |text, token| Secrets::of(token).redact(text))
    }

    /// How the session stands.
    #[must_use]
    pub fn status(&self) -> Status {
        let waits = self.phase() == SessionPhase::Waiting;
        Status {
            phase: self.phase(),
            generation: self.generation,
            ticket: self.live.as_ref().map(|live| live.ticket),
            online_since_ms: self.live.as_ref().map(|live| live.since_ms),
            ends_at_ms: self.live.as_ref().and_then(|live| live.ends).map(|ends| ends.at_ms),
            retry_at_ms: waits.then_some(self.next_attempt_ms()),
            failures: self.failures,
            learnt: self.learning.learnt(),
            last_failure: self.last_failure.as_deref().cloned(),
            last_ending: self.last_ending.as_deref().cloned(),
        }
    }

    /// What was in flight in the session that is online, or in the last one.
    #[must_use]
    pub fn aftermath(&self) -> Option<Aftermath> {
        self.live
            .as_ref()
            .map(|live| self.aftermath_of(&live.watch))
            .or_else(|| self.resumed.as_deref().cloned())
    }

    /// Whether the mail client waits for no answer, and writes nothing: IDLE is quiet. True where nothing is online.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.live.as_ref().is_none_or(|live| live.watch.is_quiet())
    }

    /// What the session does: the part of [`Session::status`] that costs nothing.
    #[must_use]
    pub fn phase(&self) -> SessionPhase {
        match self.run {
            Run::Stopped => return SessionPhase::Stopped,
            Run::NeedsUser => return SessionPhase::NeedsUser,
            Run::GaveUp => return SessionPhase::GaveUp,
            Run::Running => {}
        }
        if let Some(live) = &self.live {
            return if live.renewing_until_ms.is_some() {
                SessionPhase::Renewing
            } else {
                SessionPhase::Online
            };
        }
        match self.attempt.as_ref().map(|attempt| &attempt.stage) {
            Some(Stage::Connecting) => SessionPhase::Connecting,
            Some(Stage::LoggingIn(_) | Stage::HostLogin) => SessionPhase::LoggingIn,
            None if self.token.is_asked() => SessionPhase::FetchingToken,
            None => SessionPhase::Waiting,
        }
    }

    // ---- Time ----------------------------------------------------------------------------------------------------

    /// Moves the clock, never backwards. True when the machine must have slept, and for more than a nap.
    fn clock(&mut self, now_ms: u64) -> bool {
        self.now_ms = self.now_ms.max(now_ms);
        // An account knows by itself whether the machine slept.
        !self.supplied
            && self.wake.is_some_and(|(wake_at_ms, _)| {
                self.now_ms > wake_at_ms.saturating_add(self.config.nap_ms)
            })
    }

    /// The link is not to be trusted, and what was wrong with the network may be over: begin anew, without counting it as a
    /// failure. What the server asked for still holds.
    fn woke(&mut self, plan: &mut Plan) {
        self.wake = None;
        self.wait_until_ms = self.now_ms;
        self.token.network_is_back();
        if let Some(attempt) = self.end_attempt() {
            plan.actions
                .push(Action::Close { ticket: attempt.ticket, cause: Cause::ConnectionLost });
            if matches!(attempt.stage, Stage::Connecting) {
                self.put_back(attempt.held);
            }
        }
        if let Some(live) = self.live.take() {
            // How much of it was sleep is not known: it is paid for, and teaches nothing.
            self.settle_account(&live, false);
            plan.actions.push(Action::Close { ticket: live.ticket, cause: Cause::ConnectionLost });
            self.resumed = Some(Box::new(self.aftermath_of(&live.watch)));
            self.last_ending = Some(Box::new(Verdict::new(
                Cause::ConnectionLost,
                Advice::Reconnect,
                Certainty::Inferred,
                "woke",
            )));
        }
    }

    /// A token that was not used is used for the next login; an account gives it anew.
    fn put_back(&mut self, held: Held) {
        if !self.supplied {
            self.token.put_back(held);
        }
    }

    /// The attempt is over.
    fn end_attempt(&mut self) -> Option<Attempt> {
        let attempt = self.attempt.take()?;
        self.spent = Some(attempt.held.token.clone());
        Some(*attempt)
    }

    fn is_due(&self, now_ms: u64) -> bool {
        self.wake.is_some_and(|(wake_at_ms, _)| now_ms >= wake_at_ms)
    }
}
