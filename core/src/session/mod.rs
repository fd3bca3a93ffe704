//! Keeps one mailbox connection logged in for ever: facts and time in, a [`Plan`] out.
//!
//! Two small machines run side by side. The *token region* (`token.rs`) asks for tokens and judges them; the *link* (this
//! file) connects, logs in, watches, renews and waits. Every input goes to one of them; then both are settled: rules
//! that depend on the state of both are applied until none applies any more (at most [`SETTLE_ROUNDS_MAX`] rounds).
//!
//! | joint state | then |
//! |---|---|
//! | no connection, the wait is over, no token | order `FetchToken` |
//! | no connection, a token too near its end | drop it |
//! | no connection, a token | order `Connect` |
//! | a token, a connection or a login past its deadline | that failed |
//! | online, the end is near, no newer token | order `FetchToken` |
//! | online, the end is near, a newer token, a quiet moment | order `Renew`; or `Connect`, where sessions overlap |
//! | let go past its deadline | order `Close` |
//! | online for long enough | forget the failures |
//!
//! Rules (each is a test below, in `tests/cases/` or in `tests/simulation/`):
//!
//! 1. A token is used for one login. A refused one is never sent again; a second refusal in a row, or the refused token
//!    handed back, ends in `NeedsUser`.
//! 2. Limits, outages and policies of the server never cause a refresh, and never count as a refusal.
//! 3. `wake_at_ms` is in the future, time never runs backwards, an early tick is harmless.
//! 4. Every order has a greatest rate.
//! 5. The same inputs and the same seed give the same plans.

mod backoff;
mod config;
mod plan;
pub(crate) mod snapshot;
mod supply;
mod token;

use alloc::boxed::Box;
use alloc::vec::Vec;

pub use config::{Login, Renewal, SessionConfig};
pub use plan::{
    Action, Input, Learnt, Plan, RenewWhy, SESSION_TRANSITIONS, SessionPhase, Status, TokenNeed,
    WakeReason,
};
pub(crate) use supply::{Supply, Wish, backoff_ms};

use crate::classify::{Phase, classify, text_and_code};
use crate::config::{ConfigError, InitialResponse, Protocol};
use crate::failure::{Advice, Cause, Certainty, Failure, Misuse, Verdict};
use crate::negotiation::{Authenticated, Negotiation, Next, Step};
use crate::watch::{Aftermath, Watch};
use backoff::{Backoff, Rate};
use token::{Held, TokenRegion, Worth};

/// Rounds in which the joint rules come to rest: each rule leads to a state in which it does not apply.
const SETTLE_ROUNDS_MAX: usize = 12;

/// A plan that comes this much later than it asked for was slept through.
const LATE_MS: u64 = 60_000;

/// Least wait after a failure that a person in the middle could have caused: nothing is gained by haste.
const SUSPICIOUS_WAIT_MS: u64 = 60_000;

/// Sessions in a row that Exchange logs in and does not connect before a person is asked.
const NOT_CONNECTED_MAX: u32 = 3;

/// Lengths of sessions that are remembered.
const LENGTHS_MAX: usize = 4;

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
    config: SessionConfig,
    rng: fastrand::Rng,
    now_ms: u64,
    wake_at_ms: Option<u64>,
    run: Run,
    token: TokenRegion,
    attempt: Option<Attempt>,
    live: Option<Live>,
    /// A session that a successor has replaced, and that the host has not let go yet.
    leaving: Option<Leaving>,
    /// No attempt before this time.
    wait_until_ms: u64,
    /// Nor before this one, for which the server asked.
    server_wait_until_ms: u64,
    connects: Rate,
    /// Attempts that failed, and sessions that did not last, in a row.
    failures: u32,
    /// Tokens refused in a row.
    rejections: u32,
    /// Sessions in a row that were logged in and not connected to the mailbox.
    not_connected: u32,
    tickets: u64,
    generation: u64,
    resumed: Option<Aftermath>,
    /// Lengths at which the server ended sessions while their token was good, the last ones.
    lengths_ms: Vec<u64>,
    ends_with_token: Option<bool>,
    last_failure: Option<Box<Failure>>,
    last_ending: Option<Verdict>,
    /// What a person must mend, and need not while the session that is online lasts.
    stop_at_end: Option<Box<Failure>>,
    /// A stop from before a restart has to be told again.
    announce: bool,
    /// It is one of an account, which gives the tokens: see `supply.rs`.
    supplied: bool,
    /// The account has a token for the next connection.
    renewable: bool,
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

/// A connection on its way.
#[derive(Debug)]
struct Attempt {
    ticket: u64,
    stage: Stage,
    deadline_ms: u64,
    held: Held,
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
    ends: Option<Ends>,
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
        Ok(Self {
            config,
            rng: fastrand::Rng::with_seed(seed),
            now_ms: 0,
            wake_at_ms: None,
            run: Run::Stopped,
            token: TokenRegion::default(),
            attempt: None,
            live: None,
            leaving: None,
            wait_until_ms: 0,
            server_wait_until_ms: 0,
            connects: Rate::default(),
            failures: 0,
            rejections: 0,
            not_connected: 0,
            tickets: 0,
            generation: 0,
            resumed: None,
            lengths_ms: Vec::new(),
            ends_with_token: None,
            last_failure: None,
            last_ending: None,
            stop_at_end: None,
            announce: false,
            supplied: false,
            renewable: false,
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
                // The common case: content, and nothing to decide.
                let wake = self.next_wake();
                plan.wake_at_ms = self.wake_at_ms;
                plan.wake_reason = wake.map(|(_, reason)| reason);
                return Ok(plan);
            }
        } else if let Some(Attempt { stage: Stage::LoggingIn(negotiation), .. }) =
            self.attempt.as_mut().filter(|attempt| attempt.ticket == ticket)
        {
            let step = negotiation.receive(bytes)?;
            self.on_step(ticket, step, &mut plan);
        }
        Ok(self.settle(plan))
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
            retry_at_ms: waits
                .then_some(self.wait_until_ms.max(self.token.next_ask_ms(self.now_ms))),
            failures: self.failures,
            learnt: self.learnt(),
            last_failure: self.last_failure.as_deref().cloned(),
            last_ending: self.last_ending.clone(),
        }
    }

    /// What was in flight in the session that is online, or in the last one.
    #[must_use]
    pub fn aftermath(&self) -> Option<Aftermath> {
        self.live.as_ref().map(|live| live.watch.aftermath()).or_else(|| self.resumed.clone())
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

    fn learnt(&self) -> Learnt {
        Learnt {
            session_ms: self.lengths_ms.iter().copied().min(),
            ends_with_token: self.ends_with_token,
        }
    }

    // ---- Calls that are wrong ------------------------------------------------------------------------------------

    /// Answers to orders that were never given, and answers that do not fit. An answer to an old order is none of these.
    fn check(&self, input: &Input) -> Result<(), Misuse> {
        let answer = input.name();
        let misuse = Err(Misuse::UnexpectedAnswer { answer });
        let stage = |ticket: u64| {
            self.attempt
                .as_ref()
                .filter(|attempt| attempt.ticket == ticket)
                .map(|attempt| &attempt.stage)
        };
        match input {
            Input::Start | Input::Stop | Input::Tick | Input::Woke => Ok(()),
            Input::Token { request, .. } | Input::TokenFailed { request, .. } => {
                if self.token.knows(*request) { Ok(()) } else { misuse }
            }
            Input::Connected { ticket } => {
                self.check_ticket(*ticket, answer)?;
                match stage(*ticket) {
                    Some(Stage::LoggingIn(_) | Stage::HostLogin) => misuse,
                    Some(Stage::Connecting) | None => Ok(()),
                }
            }
            Input::TlsEstablished { ticket } => {
                self.check_ticket(*ticket, answer)?;
                match stage(*ticket) {
                    Some(Stage::LoggingIn(negotiation)) if negotiation.awaits_tls() => Ok(()),
                    Some(Stage::LoggingIn(_) | Stage::Connecting | Stage::HostLogin) => misuse,
                    None => Ok(()),
                }
            }
            Input::Authenticated { ticket } | Input::Refused { ticket, .. } => {
                self.check_ticket(*ticket, answer)?;
                match stage(*ticket) {
                    Some(Stage::LoggingIn(_) | Stage::Connecting) => misuse,
                    Some(Stage::HostLogin) | None => Ok(()),
                }
            }
            Input::Ended { ticket, .. }
            | Input::Line { ticket, .. }
            | Input::Drained { ticket } => self.check_ticket(*ticket, answer),
        }
    }

    fn check_ticket(&self, ticket: u64, answer: &'static str) -> Result<(), Misuse> {
        if (1..=self.tickets).contains(&ticket) {
            Ok(())
        } else {
            Err(Misuse::UnexpectedAnswer { answer })
        }
    }

    // ---- Time ----------------------------------------------------------------------------------------------------

    /// Moves the clock, never backwards. True when the machine must have slept.
    fn clock(&mut self, now_ms: u64) -> bool {
        self.now_ms = self.now_ms.max(now_ms);
        // An account knows by itself whether the machine slept.
        !self.supplied
            && self
                .wake_at_ms
                .is_some_and(|wake_at_ms| self.now_ms > wake_at_ms.saturating_add(LATE_MS))
    }

    /// The link is not to be trusted: begin anew, without counting it as a failure.
    fn woke(&mut self, plan: &mut Plan) {
        self.wake_at_ms = None;
        if let Some(attempt) = self.attempt.take() {
            plan.actions
                .push(Action::Close { ticket: attempt.ticket, cause: Cause::ConnectionLost });
            if matches!(attempt.stage, Stage::Connecting) {
                self.put_back(attempt.held);
            }
        }
        if let Some(live) = self.live.take() {
            plan.actions.push(Action::Close { ticket: live.ticket, cause: Cause::ConnectionLost });
            self.resumed = Some(live.watch.aftermath());
            self.last_ending = Some(Verdict::new(
                Cause::ConnectionLost,
                Advice::Reconnect,
                Certainty::Inferred,
                "woke",
            ));
        }
    }

    fn is_due(&self, now_ms: u64) -> bool {
        self.wake_at_ms.is_some_and(|wake_at_ms| now_ms >= wake_at_ms)
    }

    // ---- Start and stop ------------------------------------------------------------------------------------------

    fn start(&mut self) {
        if self.stop_at_end.take().is_some() {
            self.rejections = 0;
            self.token.forgive();
        }
        match self.run {
            Run::Running => {}
            Run::Stopped | Run::NeedsUser | Run::GaveUp => {
                self.run = Run::Running;
                self.failures = 0;
                self.rejections = 0;
                self.not_connected = 0;
                self.wait_until_ms = self.now_ms;
                self.token.forgive();
            }
        }
    }

    fn stop(&mut self, plan: &mut Plan) {
        self.close_all(plan);
        self.run = Run::Stopped;
    }

    fn close_all(&mut self, plan: &mut Plan) {
        if let Some(live) = &self.live {
            self.resumed = Some(live.watch.aftermath());
        }
        let open = self.attempt.take().map(|attempt| attempt.ticket);
        let live = self.live.take().map(|live| live.ticket);
        let leaving = self.leaving.take().map(|leaving| leaving.ticket);
        for ticket in open.into_iter().chain(live).chain(leaving) {
            plan.actions.push(Action::Close { ticket, cause: Cause::Cancelled });
        }
        self.token.clear();
    }

    fn note_failure(&mut self, failure: Failure) {
        self.last_failure = Some(Box::new(failure));
    }

    fn needs_user(&mut self, failure: Failure, plan: &mut Plan) {
        self.close_all(plan);
        self.note_failure(failure.clone());
        self.run = Run::NeedsUser;
        plan.actions.push(Action::NeedsUser(failure));
    }

    fn give_up(&mut self, failure: Failure, plan: &mut Plan) {
        self.close_all(plan);
        self.note_failure(failure.clone());
        self.run = Run::GaveUp;
        plan.actions.push(Action::GiveUp(failure));
    }

    // ---- Tokens --------------------------------------------------------------------------------------------------

    fn token_came(&mut self, worth: &Worth, plan: &mut Plan) {
        match worth {
            Worth::Usable | Worth::Replaced | Worth::Late => {}
            Worth::NotNewer => self.token.failed(self.now_ms, &self.config, &mut self.rng),
            Worth::RefusedBefore => {
                let detail = "the token source gave back the token that the server had refused";
                let failure = Failure {
                    advice: Advice::AskUser,
                    ..Failure::of_host(Cause::TokenRejected, detail)
                };
                self.needs_user(failure, plan);
            }
            Worth::Expired if self.live.is_some() => {
                self.token.failed(self.now_ms, &self.config, &mut self.rng)
            }
            Worth::Expired => {
                let detail = "the token source gives tokens whose time is over";
                let failure = Failure {
                    advice: Advice::AskUser,
                    ..Failure::of_host(Cause::TokenExpired, detail)
                };
                self.needs_user(failure, plan);
            }
        }
    }

    fn token_failed(&mut self, request: u64, permanent: bool, plan: &mut Plan) {
        if !self.token.awaits(request) {
            return;
        }
        if permanent {
            self.token.clear();
            let failure =
                Failure::of_host(Cause::TokenUnavailable, "the token source failed for good");
            self.needs_user_unless_live(failure, plan);
            return;
        }
        self.token.failed(self.now_ms, &self.config, &mut self.rng);
        self.note_failure(Failure {
            advice: Advice::BackOff,
            ..Failure::of_host(Cause::TokenUnavailable, "the token source failed")
        });
    }

    // ---- A connection on its way ---------------------------------------------------------------------------------

    fn connect(&mut self, plan: &mut Plan) {
        let Some(held) = self.token.take() else { return };
        if let Some(live) = &mut self.live {
            live.lasted = true;
        }
        self.tickets = self.tickets.saturating_add(1);
        self.connects.take(self.now_ms);
        let deadline_ms = self.now_ms.saturating_add(self.config.login_timeout_ms);
        let ticket = self.tickets;
        self.attempt = Some(Attempt { ticket, stage: Stage::Connecting, deadline_ms, held });
        plan.actions.push(Action::Connect { ticket, attempt: self.failures.saturating_add(1) });
    }

    /// A token that was not used is used for the next login; an account gives it anew.
    fn put_back(&mut self, held: Held) {
        if !self.supplied {
            self.token.put_back(held);
        }
    }

    fn connected(&mut self, ticket: u64, plan: &mut Plan) {
        if self.attempt.as_ref().is_none_or(|attempt| attempt.ticket != ticket) {
            return;
        }
        if self.token_is_over() {
            self.drop_expired(plan);
            return;
        }
        let Some(attempt) = self.attempt.as_mut() else { return };
        match self.config.login {
            Login::Host => attempt.stage = Stage::HostLogin,
            Login::Session => {
                match Negotiation::new(self.config.negotiation.clone(), attempt.held.token.clone())
                {
                    Ok(negotiation) => attempt.stage = Stage::LoggingIn(Box::new(negotiation)),
                    // The configuration was checked when the session was made.
                    Err(_) => {
                        let failure =
                            Failure::of_host(Cause::Cancelled, "the configuration cannot work");
                        self.give_up(failure, plan);
                    }
                }
            }
        }
    }

    fn tls_established(&mut self, ticket: u64, plan: &mut Plan) {
        let attempt = self.attempt.as_mut().filter(|attempt| attempt.ticket == ticket);
        if let Some(Attempt { stage: Stage::LoggingIn(negotiation), .. }) = attempt
            && let Ok(step) = negotiation.tls_established()
        {
            self.on_step(ticket, step, plan);
        }
    }

    fn on_step(&mut self, ticket: u64, step: Step, plan: &mut Plan) {
        if step.sensitive && self.token_is_over() {
            self.drop_expired(plan);
            return;
        }
        if !step.send.is_empty() {
            plan.actions.push(Action::Send { ticket, bytes: step.send, sensitive: step.sensitive });
        }
        match step.next {
            Next::Read => {}
            Next::StartTls => plan.actions.push(Action::StartTls { ticket }),
            Next::Done(authenticated) => self.logged_in(ticket, Some(authenticated), plan),
            Next::Failed(failure) => self.attempt_failed(failure, plan),
        }
    }

    /// Whether the token's announced life ended on the way to the login.
    fn token_is_over(&self) -> bool {
        let expires_at_ms = self.attempt.as_ref().and_then(|attempt| attempt.held.expires_at_ms);
        expires_at_ms.is_some_and(|expires_at_ms| self.now_ms >= expires_at_ms)
    }

    /// An expired token is not sent: another one is asked for, and another connection made.
    fn drop_expired(&mut self, plan: &mut Plan) {
        let Some(attempt) = self.attempt.take() else { return };
        let failure = Failure::of_host(Cause::TokenExpired, "before it could be sent");
        plan.actions.push(Action::Close { ticket: attempt.ticket, cause: failure.cause });
        self.token.force();
        self.wait(&failure, 0);
        self.note_failure(failure);
    }

    fn host_logged_in(&mut self, ticket: u64, plan: &mut Plan) {
        if self.attempt.as_ref().is_some_and(|attempt| attempt.ticket == ticket) {
            self.logged_in(ticket, None, plan);
        }
    }

    fn host_refused(&mut self, ticket: u64, reply: &str, plan: &mut Plan) {
        if self.attempt.as_ref().is_none_or(|attempt| attempt.ticket != ticket) {
            return;
        }
        let lines: Vec<&str> = reply.lines().collect();
        let protocol = self.protocol();
        let verdict = classify(protocol, Phase::AuthFail, &lines);
        let (server_text, code) = text_and_code(protocol, &lines);
        let advice =
            if verdict.advice == Advice::Proceed { Advice::Reconnect } else { verdict.advice };
        let failure = Failure { server_text, code, advice, ..Failure::from_verdict(verdict) };
        self.attempt_failed(failure, plan);
    }

    /// `authenticated` is `None` where the host has logged in by itself.
    fn logged_in(&mut self, ticket: u64, authenticated: Option<Authenticated>, plan: &mut Plan) {
        let Some(attempt) = self.attempt.take() else { return };
        let mechanism = authenticated.as_ref().map(|authenticated| authenticated.mechanism);
        let (capabilities, leftover) = authenticated
            .map(|authenticated| (authenticated.capabilities, authenticated.leftover))
            .unwrap_or_default();
        self.rejections = 0;
        self.generation = self.generation.saturating_add(1);
        let resumed = match self.live.take() {
            Some(predecessor) => Some(self.leave(predecessor, plan)),
            None => self.resumed.take(),
        };
        let mut watch = Watch::new(self.protocol());
        let ending = watch.received(&leftover).ending;
        let ends = self.expected_end(attempt.held.expires_at_ms);
        self.live = Some(Live {
            ticket,
            since_ms: self.now_ms,
            watch,
            token_expires_at_ms: attempt.held.expires_at_ms,
            fingerprint: attempt.held.fingerprint,
            ends,
            renewing_until_ms: None,
            lasted: false,
        });
        let generation = self.generation;
        plan.actions.push(Action::Online {
            ticket,
            generation,
            mechanism,
            capabilities,
            leftover,
            resumed,
        });
        if let Some(verdict) = ending {
            self.close_live(verdict, plan);
        }
    }

    /// The successor is logged in: the host lets the predecessor go.
    fn leave(&mut self, predecessor: Live, plan: &mut Plan) -> Aftermath {
        let (why, by_ms) = match predecessor.ends {
            Some(ends) => (ends.why, self.grace(ends)),
            None => (RenewWhy::SessionLimit, self.now_ms.saturating_add(self.config.lead_ms)),
        };
        self.leaving = Some(Leaving { ticket: predecessor.ticket, by_ms });
        plan.actions.push(Action::Renew { ticket: predecessor.ticket, by_ms, why });
        predecessor.watch.aftermath()
    }

    // ---- Failures ------------------------------------------------------------------------------------------------

    fn attempt_failed(&mut self, failure: Failure, plan: &mut Plan) {
        let Some(attempt) = self.attempt.take() else { return };
        plan.actions.push(Action::Close { ticket: attempt.ticket, cause: failure.cause });
        self.note_failure(failure.clone());
        if matches!(attempt.stage, Stage::Connecting) {
            self.put_back(attempt.held);
        } else if matches!(failure.cause, Cause::TokenRejected | Cause::TokenExpired)
            || failure.advice == Advice::RefreshToken
        {
            self.refused(attempt.held.fingerprint, failure, plan);
            return;
        }
        self.react(failure, plan);
    }

    /// Rule 8 of the design: once more with a fresh token, and then a person is asked.
    fn refused(&mut self, fingerprint: u64, failure: Failure, plan: &mut Plan) {
        self.token.refuse(fingerprint);
        self.rejections = self.rejections.saturating_add(1);
        if self.rejections >= 2 || failure.advice == Advice::AskUser {
            let failure = Failure { advice: Advice::AskUser, ..failure };
            self.needs_user_unless_live(failure, plan);
        } else if failure.advice == Advice::BackOff {
            // Servers that lock out for a while say that the credentials are wrong.
            self.wait(&failure, self.config.backoff_max_ms);
        }
    }

    /// A successor that cannot log in does not cost the session that still works: the stop comes at its end.
    fn needs_user_unless_live(&mut self, failure: Failure, plan: &mut Plan) {
        if self.live.is_some() {
            self.stop_at_end = Some(Box::new(failure));
        } else {
            self.needs_user(failure, plan);
        }
    }

    /// What follows from a failure that is not the token's.
    fn react(&mut self, failure: Failure, plan: &mut Plan) {
        let of_the_line =
            matches!(failure.cause, Cause::LineTooLong | Cause::InitialResponseRefused);
        if of_the_line && self.config.negotiation.initial_response != InitialResponse::Never {
            // Learnt for good: two steps work with every server.
            self.config.negotiation.initial_response = InitialResponse::Never;
            return;
        }
        match failure.advice {
            Advice::BackOff | Advice::Reconnect | Advice::Proceed | Advice::RefreshToken => {
                self.wait(&failure, 0)
            }
            Advice::AskUser => self.needs_user_unless_live(failure, plan),
            // It worked before: a captive portal, or somebody in the middle. It may pass, but not soon.
            Advice::FixConfiguration if self.generation > 0 => {
                self.wait(&failure, SUSPICIOUS_WAIT_MS)
            }
            Advice::FixConfiguration | Advice::GiveUp => self.give_up(failure, plan),
        }
    }

    /// Counts a failure and waits, at least for as long as the server asked.
    fn wait(&mut self, failure: &Failure, least_ms: u64) {
        self.failures = self.failures.saturating_add(1);
        let factor = if matches!(failure.cause, Cause::TooManyConnections | Cause::RateLimited) {
            8
        } else {
            1
        };
        let backoff = Backoff {
            base_ms: self.config.backoff_base_ms.saturating_mul(factor),
            max_ms: self.config.backoff_max_ms.saturating_mul(factor),
        };
        let least_ms = failure.wait_ms.unwrap_or(0).max(least_ms);
        let wait_ms = backoff.wait_ms(self.failures, least_ms, &mut self.rng);
        self.wait_until_ms = self.now_ms.saturating_add(wait_ms);
        if failure.wait_ms.is_some() {
            self.server_wait_until_ms = self.wait_until_ms;
        }
    }

    // ---- The end of a session ------------------------------------------------------------------------------------

    fn ended(
        &mut self,
        ticket: u64,
        last_line: Option<&str>,
        cause: Option<Cause>,
        plan: &mut Plan,
    ) {
        if self.leaving.as_ref().is_some_and(|leaving| leaving.ticket == ticket) {
            self.leaving = None;
            return;
        }
        if self.attempt.as_ref().is_some_and(|attempt| attempt.ticket == ticket) {
            let failure = self.failure_at_end(last_line, cause);
            self.attempt_failed(failure, plan);
        } else if let Some(live) = self.live.take_if(|live| live.ticket == ticket) {
            let verdict = self.verdict_at_end(live, last_line, cause, plan);
            self.last_ending = Some(verdict);
        }
        // The connection is gone already: also where the machine slept, and this is how the host found out.
        plan.actions.retain(
            |action| !matches!(action, Action::Close { ticket: closed, .. } if *closed == ticket),
        );
    }

    /// Why an attempt ended: the negotiation knows, or the host.
    fn failure_at_end(&mut self, last_line: Option<&str>, cause: Option<Cause>) -> Failure {
        if let Some(cause) = cause {
            return Failure::of_host(cause, "");
        }
        if let Some(Attempt { stage: Stage::LoggingIn(negotiation), .. }) = &mut self.attempt
            && let Ok(Step { next: Next::Failed(failure), .. }) = negotiation.closed()
        {
            return failure;
        }
        match last_line {
            Some(line) => {
                let protocol = self.protocol();
                let (server_text, code) = text_and_code(protocol, &[line]);
                let verdict = classify(protocol, Phase::Disconnect, &[line]);
                Failure { server_text, code, ..Failure::from_verdict(verdict) }
            }
            None => Failure::of_host(Cause::ConnectionLost, "before the login was done"),
        }
    }

    fn verdict_at_end(
        &mut self,
        mut live: Live,
        last_line: Option<&str>,
        cause: Option<Cause>,
        plan: &mut Plan,
    ) -> Verdict {
        let seen = live.watch.closed();
        let verdict = match (last_line, cause) {
            (Some(line), _) if seen.cause == Cause::ConnectionLost => {
                classify(self.protocol(), Phase::Disconnect, &[line])
            }
            (_, Some(cause)) if seen.cause == Cause::ConnectionLost => {
                Verdict::new(cause, Advice::Reconnect, Certainty::Inferred, "host")
            }
            (Some(_) | None, Some(_) | None) => seen,
        };
        self.session_over(live, verdict, plan)
    }

    /// The server announced the end: close, and go on.
    fn close_live(&mut self, verdict: Verdict, plan: &mut Plan) {
        let Some(live) = self.live.take() else { return };
        let (ticket, at) = (live.ticket, plan.actions.len());
        let verdict = self.session_over(live, verdict, plan);
        // The socket is closed before anybody is told.
        plan.actions.insert(at, Action::Close { ticket, cause: verdict.cause });
        self.last_ending = Some(verdict);
    }

    fn line(&mut self, ticket: u64, line: &str, plan: &mut Plan) {
        if self.live.as_ref().is_none_or(|live| live.ticket != ticket) {
            return;
        }
        let mut octets = Vec::from(line.trim_end().as_bytes());
        octets.extend_from_slice(b"\r\n");
        // A watch of its own: the host shows lines and not the stream, so that framing has no say in it.
        let ending = Watch::new(self.protocol()).received(&octets).ending;
        if let Some(verdict) = ending.filter(|verdict| verdict.cause != Cause::ProtocolViolation) {
            self.close_live(verdict, plan);
        }
    }

    fn drained(&mut self, ticket: u64, plan: &mut Plan) {
        if self.leaving.take_if(|leaving| leaving.ticket == ticket).is_some() {
            plan.actions.push(Action::Close { ticket, cause: Cause::NoFault });
            return;
        }
        let Some(live) = self.live.take_if(|live| live.ticket == ticket) else { return };
        plan.actions.push(Action::Close { ticket, cause: Cause::NoFault });
        self.resumed = Some(live.watch.aftermath());
        self.last_ending =
            Some(Verdict::new(Cause::NoFault, Advice::Proceed, Certainty::Inferred, "drained"));
        self.wait_until_ms = self.now_ms;
    }

    /// A session is over that nobody had let go: learn from it, and decide how soon to come back.
    fn session_over(&mut self, live: Live, verdict: Verdict, plan: &mut Plan) -> Verdict {
        self.resumed = Some(live.watch.aftermath());
        let verdict = self.with_clock(&live, verdict);
        let lived_ms = self.now_ms.saturating_sub(live.since_ms);
        let lasted = lived_ms >= self.config.stable_after_ms;
        let at_expiry = self.is_at_expiry(&live);
        self.learn(&live, &verdict, lived_ms);
        if lasted {
            self.failures = 0;
            self.not_connected = 0;
        }
        self.wait_until_ms = self.now_ms;
        let words: Vec<&str> = live.watch.words().into_iter().collect();
        let (server_text, code) = text_and_code(self.protocol(), &words);
        let failure = Failure { server_text, code, ..Failure::from_verdict(verdict.clone()) };
        if verdict.cause == Cause::NotConnected {
            self.not_connected = self.not_connected.saturating_add(1);
            self.token.force();
            if self.not_connected < NOT_CONNECTED_MAX {
                self.wait(&failure, 0);
                return verdict;
            }
        }
        let capacity = matches!(verdict.cause, Cause::RateLimited | Cause::TooManyConnections);
        // What was to be expected is no failure.
        let expected = lasted || at_expiry || verdict.cause == Cause::NoFault;
        if verdict.advice == Advice::AskUser {
            self.needs_user(failure, plan);
        } else if capacity || !expected {
            self.wait(&failure, 0);
        }
        let stated = verdict.certainty == Certainty::Stated;
        if verdict.cause == Cause::TokenExpired && (stated || !expected) {
            // The server says that this token is over, whatever clocks and caches say.
            self.token.refuse(live.fingerprint);
        }
        verdict
    }

    /// Where the server gave no reason, the clock may know it; and Gmail has the same words for the limit of a session and
    /// the life of its token.
    fn with_clock(&self, live: &Live, verdict: Verdict) -> Verdict {
        let vague = matches!(
            verdict.cause,
            Cause::SessionEnded | Cause::ConnectionLost | Cause::SessionLimit
        );
        if !vague {
            return verdict;
        }
        let lived_ms = self.now_ms.saturating_sub(live.since_ms);
        let at_limit = self
            .config
            .limits
            .session_ms
            .is_some_and(|limit_ms| lived_ms >= limit_ms - limit_ms / 50);
        if self.is_at_expiry(live) {
            Verdict::new(
                Cause::TokenExpired,
                Advice::RefreshToken,
                Certainty::Inferred,
                "clock-expiry",
            )
        } else if at_limit && verdict.cause != Cause::SessionLimit {
            Verdict::new(Cause::SessionLimit, Advice::Reconnect, Certainty::Inferred, "clock-limit")
        } else {
            verdict
        }
    }

    /// Whether the token's time is over, within what clocks differ by.
    fn is_at_expiry(&self, live: &Live) -> bool {
        live.token_expires_at_ms.is_some_and(|expires_at_ms| {
            let tolerance_ms = (expires_at_ms.saturating_sub(live.since_ms) / 20).min(LATE_MS);
            self.now_ms.saturating_add(tolerance_ms) >= expires_at_ms
        })
    }

    fn learn(&mut self, live: &Live, verdict: &Verdict, lived_ms: u64) {
        if lived_ms < self.config.stable_after_ms {
            return;
        }
        let of_time = matches!(verdict.cause, Cause::SessionLimit | Cause::TokenExpired);
        if self.is_at_expiry(live) {
            let past_it = live
                .token_expires_at_ms
                .is_some_and(|at_ms| self.now_ms > at_ms.saturating_add(LATE_MS));
            if of_time || past_it {
                self.ends_with_token = Some(!past_it);
            }
        } else if of_time {
            self.lengths_ms.push(lived_ms);
            let excess = self.lengths_ms.len().saturating_sub(LENGTHS_MAX);
            self.lengths_ms.drain(..excess);
        }
    }

    // ---- What is expected ----------------------------------------------------------------------------------------

    /// When a session that begins now is expected to end.
    fn expected_end(&mut self, token_expires_at_ms: Option<u64>) -> Option<Ends> {
        let limits = self.config.limits;
        let with_token = limits.ends_with_token || self.ends_with_token == Some(true);
        let at_expiry =
            token_expires_at_ms.filter(|_| with_token).map(|at_ms| (at_ms, RenewWhy::TokenExpiry));
        let after = |life_ms: u64| self.now_ms.saturating_add(life_ms);
        let at_limit = limits.session_ms.map(|life_ms| (after(life_ms), RenewWhy::SessionLimit));
        let learnt =
            self.learnt().session_ms.map(|life_ms| (after(life_ms), RenewWhy::LearntLimit));
        let (at_ms, why) =
            at_expiry.into_iter().chain(at_limit).chain(learnt).min_by_key(|(at_ms, _)| *at_ms)?;
        let life_ms = at_ms.saturating_sub(self.now_ms);
        let usual_ms = self.config.lead_ms.min(life_ms / 4);
        // At random, so that a fleet that began together does not come back together.
        let lead_ms = (usual_ms / 2).saturating_add(self.rng.u64(0..=usual_ms));
        Some(Ends {
            at_ms,
            why,
            prepare_at_ms: at_ms.saturating_sub(lead_ms),
            let_go_by_ms: at_ms.saturating_sub(lead_ms / 4),
        })
    }

    /// When a session that is to be let go is closed: before its end, and not at once if that has passed already.
    fn grace(&self, ends: Ends) -> u64 {
        let lead_ms = ends.at_ms.saturating_sub(ends.prepare_at_ms);
        ends.let_go_by_ms.max(self.now_ms.saturating_add((lead_ms / 4).clamp(1, LATE_MS)))
    }

    fn protocol(&self) -> Protocol {
        self.config.negotiation.endpoint.protocol
    }

    // ---- The joint rules -----------------------------------------------------------------------------------------

    fn settle(&mut self, mut plan: Plan) -> Plan {
        if core::mem::take(&mut self.announce)
            && let Some(failure) = self.last_failure.as_deref().cloned()
        {
            match self.run {
                Run::NeedsUser => plan.actions.push(Action::NeedsUser(failure)),
                Run::GaveUp => plan.actions.push(Action::GiveUp(failure)),
                Run::Stopped | Run::Running => {}
            }
        }
        for _ in 0..SETTLE_ROUNDS_MAX {
            if !self.round(&mut plan) {
                break;
            }
        }
        let wake = self.next_wake();
        self.wake_at_ms = wake.map(|(at_ms, _)| at_ms.max(self.now_ms.saturating_add(1)));
        plan.wake_at_ms = self.wake_at_ms;
        plan.wake_reason = wake.map(|(_, reason)| reason);
        plan
    }

    /// Applies one rule; false when none applies.
    fn round(&mut self, plan: &mut Plan) -> bool {
        self.close_leaving(plan)
            || (self.run == Run::Running
                && (self.stop_late(plan)
                    || self.fail_late(plan)
                    || self.close_late(plan)
                    || self.note_stable()
                    || self.go_on(plan)))
    }

    fn stop_late(&mut self, plan: &mut Plan) -> bool {
        if self.live.is_some() || self.attempt.is_some() {
            return false;
        }
        let Some(failure) = self.stop_at_end.take() else { return false };
        self.needs_user(*failure, plan);
        true
    }

    fn close_leaving(&mut self, plan: &mut Plan) -> bool {
        let now_ms = self.now_ms;
        let Some(leaving) = self.leaving.take_if(|leaving| now_ms >= leaving.by_ms) else {
            return false;
        };
        plan.actions.push(Action::Close { ticket: leaving.ticket, cause: Cause::NoFault });
        true
    }

    fn fail_late(&mut self, plan: &mut Plan) -> bool {
        if self.attempt.as_ref().is_some_and(|attempt| self.now_ms >= attempt.deadline_ms) {
            self.attempt_failed(Failure::of_host(Cause::TimedOut, "in connection or login"), plan);
            return true;
        }
        if self.token.deadline_ms().is_some_and(|deadline_ms| self.now_ms >= deadline_ms) {
            self.token.failed(self.now_ms, &self.config, &mut self.rng);
            self.note_failure(Failure {
                advice: Advice::BackOff,
                ..Failure::of_host(
                    Cause::TokenUnavailable,
                    "the token source did not answer in time",
                )
            });
            return true;
        }
        false
    }

    fn close_late(&mut self, plan: &mut Plan) -> bool {
        let now_ms = self.now_ms;
        let late =
            |live: &mut Live| live.renewing_until_ms.is_some_and(|until_ms| now_ms >= until_ms);
        let Some(live) = self.live.take_if(late) else { return false };
        plan.actions.push(Action::Close { ticket: live.ticket, cause: Cause::SessionLimit });
        self.resumed = Some(live.watch.aftermath());
        self.last_ending = Some(Verdict::new(
            Cause::SessionLimit,
            Advice::Reconnect,
            Certainty::Inferred,
            "renewal",
        ));
        self.wait_until_ms = now_ms;
        true
    }

    fn note_stable(&mut self) -> bool {
        let stable = self.stable_at_ms().is_some_and(|at_ms| self.now_ms >= at_ms);
        if stable {
            self.failures = 0;
            self.not_connected = 0;
            if let Some(live) = &mut self.live {
                live.lasted = true;
            }
        }
        stable
    }

    /// When the session that is online has lasted, if that changes anything. Sessions that were not connected count as
    /// failures too.
    fn stable_at_ms(&self) -> Option<u64> {
        let live = self.live.as_ref().filter(|live| !live.lasted && self.failures > 0)?;
        Some(live.since_ms.saturating_add(self.config.stable_after_ms))
    }

    /// Towards the next connection.
    fn go_on(&mut self, plan: &mut Plan) -> bool {
        if self.attempt.is_some() || self.token.is_asked() {
            return false;
        }
        let Some(why) = self.need() else { return false };
        if self.token.drop_stale(self.now_ms) {
            return true;
        }
        let renews = why == TokenNeed::Renewal && self.config.renewal == Renewal::Ahead;
        let is_at_hand = self.token.held().is_some() || self.renewable;
        if is_at_hand && renews {
            return self.renew_at_ms() <= self.now_ms && self.renew(plan);
        }
        if self.token.held().is_some() {
            if self.next_connect_ms() > self.now_ms {
                return false;
            }
            self.connect(plan);
            return true;
        }
        if self.supplied || self.next_ask_ms() > self.now_ms {
            return false;
        }
        self.token.ask(self.now_ms, why, &self.config, plan);
        true
    }

    /// What a token is needed for now.
    fn need(&self) -> Option<TokenNeed> {
        let Some(live) = &self.live else { return Some(TokenNeed::Login) };
        let due = live.ends.is_some_and(|ends| self.now_ms >= ends.prepare_at_ms);
        let open = live.renewing_until_ms.is_none()
            && self.leaving.is_none()
            && self.stop_at_end.is_none();
        (due && open && self.config.renewal != Renewal::AtEnd).then_some(TokenNeed::Renewal)
    }

    /// Whether a renewal that waited for a quiet moment has come to one.
    fn may_renew(&self) -> bool {
        self.need() == Some(TokenNeed::Renewal) && self.renew_at_ms() <= self.now_ms
    }

    /// A renewal waits for a quiet moment, but for no more than half of the time that there is for it.
    fn renew_at_ms(&self) -> u64 {
        let busy = self.live.as_ref().filter(|live| !live.watch.is_quiet());
        busy.and_then(|live| live.ends)
            .map_or(self.now_ms, |ends| ends.prepare_at_ms.midpoint(ends.let_go_by_ms))
    }

    fn renew(&mut self, plan: &mut Plan) -> bool {
        let Some((ticket, ends)) =
            self.live.as_ref().and_then(|live| Some((live.ticket, live.ends?)))
        else {
            return false;
        };
        let by_ms = self.grace(ends);
        if let Some(live) = &mut self.live {
            live.renewing_until_ms = Some(by_ms);
        }
        plan.actions.push(Action::Renew { ticket, by_ms, why: ends.why });
        true
    }

    /// A connection waits for the back-off, and keeps the greatest rate.
    fn next_connect_ms(&self) -> u64 {
        self.connects.next_ms(self.now_ms).max(self.waits_until_ms())
    }

    fn waits_until_ms(&self) -> u64 {
        self.wait_until_ms.max(self.server_wait_until_ms)
    }

    /// A token is not asked for before it can be used.
    fn next_ask_ms(&self) -> u64 {
        self.token.next_ask_ms(self.now_ms).max(self.waits_until_ms())
    }

    // ---- The next wake -------------------------------------------------------------------------------------------

    fn next_wake(&self) -> Option<(u64, WakeReason)> {
        let leaving =
            self.leaving.as_ref().map(|leaving| (leaving.by_ms, WakeReason::RenewDeadline));
        if self.run != Run::Running {
            return leaving;
        }
        let attempt =
            self.attempt.as_ref().map(|attempt| (attempt.deadline_ms, WakeReason::LoginDeadline));
        let candidates =
            [leaving, attempt, self.token.wake(self.now_ms), self.live_wake(), self.go_on_wake()];
        candidates.into_iter().flatten().min_by_key(|(at_ms, _)| *at_ms)
    }

    fn live_wake(&self) -> Option<(u64, WakeReason)> {
        let live = self.live.as_ref()?;
        let deadline = live.renewing_until_ms.map(|at_ms| (at_ms, WakeReason::RenewDeadline));
        let prepares = self.config.renewal != Renewal::AtEnd && live.renewing_until_ms.is_none();
        let prepare = live.ends.filter(|ends| prepares && ends.prepare_at_ms > self.now_ms);
        let prepare = prepare.map(|ends| (ends.prepare_at_ms, WakeReason::Prefetch));
        let stable = self.stable_at_ms().map(|at_ms| (at_ms, WakeReason::Stable));
        deadline.into_iter().chain(prepare).chain(stable).min_by_key(|(at_ms, _)| *at_ms)
    }

    fn go_on_wake(&self) -> Option<(u64, WakeReason)> {
        if self.attempt.is_some() || self.token.is_asked() {
            return None;
        }
        let need = self.need()?;
        let renews = need == TokenNeed::Renewal && self.config.renewal == Renewal::Ahead;
        if renews && (self.token.held().is_some() || self.renewable) {
            return Some((self.renew_at_ms(), WakeReason::QuietMoment));
        }
        let waits = self.waits_until_ms() > self.now_ms;
        if self.token.held().is_some() {
            let reason = if waits { WakeReason::BackOff } else { WakeReason::Rate };
            return Some((self.next_connect_ms(), reason));
        }
        if self.supplied {
            return None;
        }
        let reason = match (waits, self.token.is_cooling(self.now_ms)) {
            (true, _) => WakeReason::BackOff,
            (false, true) => WakeReason::TokenBackOff,
            (false, false) => WakeReason::Rate,
        };
        Some((self.next_ask_ms(), reason))
    }
}
