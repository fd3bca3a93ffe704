//! The world around a session.
#![allow(
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "choices among constants; a world that cannot go on ends the test"
)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use mailbearer::testing::{
    Cut, Fault, FaultKind, Flavour, Output, Server, ServerConfig, Stage, Then, TokenRequest,
};
use mailbearer::{
    AccessToken, Action, Cause, Endpoint, Identity, Input, Login, NegotiationConfig, Plan,
    Protocol, Renewal, Session, SessionConfig, SessionLimits, SessionPhase, Tls, WakeReason,
};

use crate::checks::{Broken, Checks};

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// What a world lives for.
const LIFE_MS: u64 = 30 * HOUR_MS;
/// From then on nothing fails any more.
const FAULTS_END_MS: u64 = 24 * HOUR_MS;
/// The longest time to come back once nothing fails: the longest back-off of all, eight times five minutes.
const BACK_ONLINE_MS: u64 = 50 * MINUTE_MS;

/// A session does the same with a longer token, and more slowly.
const TOKEN_OCTETS: usize = 32;

const USER: &str = "joe@gmail.com";

/// A mistake that is made on purpose, to see that a check finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// The deadline of a login is forgotten.
    NoLoginDeadline,
    /// The deadline of a token is forgotten.
    NoTokenDeadline,
    /// The back-off is not waited for.
    NoBackOff,
    /// The first token is used for ever.
    OldToken,
    /// After a refusal the session goes on by itself.
    NoStop,
    /// Sockets are not closed.
    NoClose,
    /// The time to wake is the time that it is.
    WakesAtOnce,
    /// The login interval is a millisecond.
    NoBudget,
    /// Each session begins with what a new process knows: nothing.
    NoMemory,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::NoLoginDeadline,
        Self::NoTokenDeadline,
        Self::NoBackOff,
        Self::OldToken,
        Self::NoStop,
        Self::NoClose,
        Self::WakesAtOnce,
        Self::NoBudget,
        Self::NoMemory,
    ];
}

/// What happened in a world.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Inputs of the session.
    pub inputs: u64,
    /// Sessions that were logged in.
    pub sessions: u64,
    /// Times that something failed on purpose.
    pub faults: u64,
    /// A number that tells two transcripts apart.
    pub hash: u64,
    /// Pairs of phases that followed each other.
    pub phases: Vec<(SessionPhase, SessionPhase)>,
}

/// What is going to happen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Token {
        request: u64,
    },
    TokenFailed {
        request: u64,
        permanent: bool,
    },
    Connected {
        ticket: u64,
    },
    TlsEstablished {
        ticket: u64,
    },
    Ended {
        ticket: u64,
    },
    Deliver {
        ticket: u64,
        bytes: Vec<u8>,
    },
    Drained {
        ticket: u64,
    },
    Start,
    /// The mail client does something.
    Work {
        ticket: u64,
    },
    Trouble,
    FaultsEnd,
}

/// What is wrong with the world at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    NetworkDown,
    BlackHole,
    TokensDown,
    TokensHang,
    TokensExpired,
    SameToken,
    Refuses(Cause),
    Restart,
    Suspended,
}

const TROUBLES: [Trouble; 12] = [
    Trouble::NetworkDown,
    Trouble::BlackHole,
    Trouble::TokensDown,
    Trouble::TokensHang,
    Trouble::TokensExpired,
    Trouble::SameToken,
    Trouble::Refuses(Cause::Unavailable),
    Trouble::Refuses(Cause::RateLimited),
    Trouble::Refuses(Cause::TooManyConnections),
    Trouble::Refuses(Cause::TokenRejected),
    Trouble::Restart,
    Trouble::Suspended,
];

/// What a hostile server does for a whole day, so that a session learns the wrong thing, or comes back too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hostile {
    /// It ends each session for its time after so long.
    Ends(u64),
    /// The same after a different time in each session.
    EndsAnyTime,
    /// It states a limit after so long.
    Limits(u64),
    /// It names a wait of a millisecond.
    NamesWait(u64),
    /// It takes a token and refuses the next, in turn.
    Alternates,
    /// It cuts without a word.
    Cuts(u64),
}

const HOSTILE: [Hostile; 10] = [
    Hostile::Ends(SECOND_MS),
    Hostile::Ends(5 * MINUTE_MS),
    Hostile::Ends(11 * MINUTE_MS),
    Hostile::EndsAnyTime,
    Hostile::Limits(61 * SECOND_MS),
    Hostile::Limits(6 * MINUTE_MS),
    Hostile::NamesWait(SECOND_MS),
    Hostile::Alternates,
    Hostile::Cuts(0),
    Hostile::Cuts(61 * SECOND_MS),
];

/// The connection that the host has, if any; an overlapping one besides.
#[derive(Debug, Clone, Copy)]
struct Socket {
    ticket: u64,
    /// The server's number for it.
    peer: u64,
    secure: bool,
    dead: bool,
}

/// A session and everything around it.
#[derive(Debug)]
pub struct World {
    seed: u64,
    rng: fastrand::Rng,
    now_ms: u64,
    session: Session,
    protocol: Protocol,
    tls: Tls,
    host_logs_in: bool,
    overlaps: bool,
    server: Server,
    token_life_ms: u64,
    says_life: bool,
    cached: Option<(String, u64)>,
    given: Option<String>,
    trouble: Trouble,
    sockets: Vec<Socket>,
    /// Connections on their way that the session has given up since.
    given_up: Vec<u64>,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    numbered: u64,
    wake: Option<(u64, Option<WakeReason>)>,
    checks: Checks,
    report: Report,
    last_online_ms: u64,
    bug: Option<Bug>,
    hostile: Option<Hostile>,
    /// The budget is in milliseconds, so that tokens of seconds make many sessions.
    quick: bool,
    config: SessionConfig,
    traced: bool,
}

impl World {
    /// The world of a seed, with a mistake or without.
    #[must_use]
    pub fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let protocol = Protocol::ALL[rng.usize(0..3)];
        let tls = Tls::ALL[rng.usize(0..2)];
        // Short lives make most of the sessions: a token of five seconds makes twenty thousand in a world, one of five
        // minutes four hundred, one of an hour thirty. They are rare, as they are in life.
        let token_life_ms = match rng.u16(0..10_000) {
            0 => 5 * SECOND_MS,
            1..100 => 5 * MINUTE_MS,
            100..2_000 => 75 * MINUTE_MS,
            2_000..4_000 => 90 * MINUTE_MS,
            _ => HOUR_MS,
        };
        let session_limit_ms = match rng.u8(0..20) {
            0 => Some(20 * MINUTE_MS),
            1..6 => Some(2 * HOUR_MS),
            6..13 => Some(24 * HOUR_MS),
            _ => None,
        };
        let server_config = ServerConfig {
            flavour: Flavour::ALL[rng.usize(0..3)],
            token_lifetime_ms: token_life_ms,
            session_limit_ms,
            cut: [Cut::Words, Cut::Words, Cut::Silent, Cut::Vanish, Cut::Never][rng.usize(0..5)],
            ..ServerConfig::default()
        };
        let mut config = session_config(&mut rng, protocol, tls);
        let quick = token_life_ms < MINUTE_MS;
        if quick || bug == Some(Bug::NoBudget) {
            config.login_interval_ms = 1;
        }
        let host_logs_in = config.login == Login::Host;
        let overlaps = config.renewal == Renewal::Overlap;
        let session =
            Session::new(config.clone(), rng.u64(..)).expect("a configuration that works");
        let server = Server::new(server_config, rng.u64(..));
        let says_life = rng.u8(0..4) > 0;
        let mut world = Self {
            seed,
            rng,
            now_ms: 1,
            session,
            protocol,
            tls,
            host_logs_in,
            overlaps,
            server,
            token_life_ms,
            says_life,
            cached: None,
            given: None,
            trouble: Trouble::None,
            sockets: Vec::new(),
            given_up: Vec::new(),
            events: BinaryHeap::new(),
            numbered: 0,
            wake: None,
            checks: Checks::default(),
            report: Report::default(),
            last_online_ms: 0,
            bug,
            hostile: None,
            quick,
            config,
            traced: false,
        };
        world.at(1, Event::Start);
        world.at(FAULTS_END_MS, Event::FaultsEnd);
        let first_ms = world.rng.u64(MINUTE_MS..4 * HOUR_MS);
        world.at(first_ms, Event::Trouble);
        world
    }

    /// The same with a server, or tokens, that lead to as many logins as they can: the budget holds all the same.
    #[must_use]
    pub fn hostile(seed: u64, bug: Option<Bug>) -> Self {
        let mut world = Self::new(seed, bug);
        let short_tokens = world.rng.u8(0..6) == 0;
        if short_tokens {
            world.token_life_ms = [SECOND_MS, 20 * SECOND_MS][world.rng.usize(0..2)];
            world.server.config.token_lifetime_ms = world.token_life_ms;
        } else {
            world.hostile = Some(HOSTILE[world.rng.usize(0..HOSTILE.len())]);
        }
        world
    }

    /// Prints what happens.
    pub fn trace(&mut self, on: bool) {
        self.traced = on;
    }

    /// Lives the world to its end.
    ///
    /// # Errors
    /// The first rule that was broken.
    pub fn run(mut self) -> Result<Report, Broken> {
        while self.now_ms < LIFE_MS {
            let outcome = self.next();
            if let Err(rule) = outcome {
                return Err(Broken { rule, at_ms: self.now_ms, seed: self.seed });
            }
        }
        Ok(self.report)
    }

    fn next(&mut self) -> Result<(), &'static str> {
        let event_ms = self.events.peek().map(|Reverse((at_ms, _, _))| *at_ms);
        let wake_ms = self.wake.map(|(at_ms, _)| at_ms);
        let server_ms = self.server.next_wake_ms();
        let next_ms = [event_ms, wake_ms, server_ms].into_iter().flatten().min().unwrap_or(LIFE_MS);
        self.now_ms = self.now_ms.max(next_ms);
        if self.now_ms >= LIFE_MS {
            return Ok(());
        }
        self.check_liveness()?;
        if server_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
            let outputs = self.server.tick(self.now_ms);
            for (peer, output) in outputs {
                self.serve(peer, &output);
            }
            return Ok(());
        }
        if wake_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
            return self.wake_up();
        }
        let Some(Reverse((_, _, event))) = self.events.pop() else { return Ok(()) };
        self.happen(event)
    }

    /// A host whose mail client lets a session die without a word finds out when it works: see `Event::Work`.
    fn check_liveness(&mut self) -> Result<(), &'static str> {
        if matches!(self.session.phase(), SessionPhase::Online | SessionPhase::Renewing) {
            self.last_online_ms = self.now_ms;
        }
        let late =
            self.now_ms > FAULTS_END_MS + BACK_ONLINE_MS && self.last_online_ms < FAULTS_END_MS;
        if late { Err("not online again although nothing fails any more") } else { Ok(()) }
    }

    fn at(&mut self, at_ms: u64, event: Event) {
        self.numbered += 1;
        self.events.push(Reverse((at_ms, self.numbered, event)));
    }

    fn after(&mut self, least_ms: u64, most_ms: u64, event: Event) {
        let wait_ms = self.rng.u64(least_ms..=most_ms);
        self.at(self.now_ms + wait_ms, event);
    }

    // ---- The session ---------------------------------------------------------------------------------------------

    fn wake_up(&mut self) -> Result<(), &'static str> {
        let reason = self.wake.take().and_then(|(_, reason)| reason);
        let forgotten = match self.bug {
            Some(Bug::NoLoginDeadline) => reason == Some(WakeReason::LoginDeadline),
            Some(Bug::NoTokenDeadline) => reason == Some(WakeReason::TokenDeadline),
            Some(_) | None => false,
        };
        if forgotten { Ok(()) } else { self.input(Input::Tick) }
    }

    fn input(&mut self, input: Input) -> Result<(), &'static str> {
        if self.traced {
            println!("{:>12} > {input:?}", self.now_ms);
        }
        let before = self.session.phase();
        let plan = self
            .session
            .handle(self.now_ms, input)
            .map_err(|_| "a right call was called misuse")?;
        self.follow(plan, before)
    }

    fn follow(&mut self, mut plan: Plan, before: SessionPhase) -> Result<(), &'static str> {
        self.report.inputs += 1;
        self.note_phase(before);
        if self.bug == Some(Bug::WakesAtOnce) {
            plan.wake_at_ms = plan.wake_at_ms.map(|_| self.now_ms);
        }
        if self.bug == Some(Bug::NoBackOff) && plan.wake_reason == Some(WakeReason::BackOff) {
            // A host that does not wait: its clock leaps.
            self.now_ms = plan.wake_at_ms.unwrap_or(self.now_ms);
            plan.wake_at_ms = Some(self.now_ms + 1);
            self.checks_clock_back();
        }
        let short_lives = self.quick;
        let most_open = if self.overlaps { 2 } else { 1 };
        if self.bug == Some(Bug::NoClose) {
            plan.actions.retain(|action| !matches!(action, Action::Close { .. }));
        }
        if self.bug == Some(Bug::NoStop) {
            let stops = plan.actions.iter().any(|action| matches!(action, Action::NeedsUser(_)));
            plan.actions.retain(|action| !matches!(action, Action::NeedsUser(_)));
            if stops {
                self.after(0, SECOND_MS, Event::Start);
            }
        }
        // What the server refused and nobody heard, a session cannot know.
        let heard = plan
            .actions
            .iter()
            .any(|action| matches!(action, Action::Close { cause: Cause::TokenRejected, .. }));
        if heard && let Some(token) = self.given.clone() {
            self.checks.refused(&token);
        }
        self.checks.plan(&plan, self.now_ms, short_lives, most_open)?;
        self.wake = plan.wake_at_ms.map(|at_ms| (at_ms, plan.wake_reason));
        self.hash(&plan);
        for action in plan.actions {
            self.obey(action)?;
        }
        Ok(())
    }

    /// The planted host compresses its waits into no time, as far as the checks can see.
    fn checks_clock_back(&mut self) {
        self.checks.asked_to_wait(u64::MAX / 2);
    }

    fn hash(&mut self, plan: &Plan) {
        for action in &plan.actions {
            let number = match action {
                Action::FetchToken { request, .. } => 1 + request * 16,
                Action::Connect { ticket, .. } => 2 + ticket * 16,
                Action::Send { bytes, .. } => 3 + bytes.len() as u64 * 16,
                Action::StartTls { ticket } => 4 + ticket * 16,
                Action::Online { generation, .. } => 5 + generation * 16,
                Action::Renew { by_ms, .. } => 6 + by_ms * 16,
                Action::Close { ticket, .. } => 7 + ticket * 16,
                Action::NeedsUser(_) => 8,
                Action::GiveUp(_) => 9,
            };
            self.report.hash =
                (self.report.hash ^ number ^ self.now_ms).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn note_phase(&mut self, before: SessionPhase) {
        let after = self.session.phase();
        if matches!(after, SessionPhase::Online | SessionPhase::Renewing) {
            self.last_online_ms = self.now_ms;
        }
        if before != after && !self.report.phases.contains(&(before, after)) {
            self.report.phases.push((before, after));
        }
    }

    // ---- The host ------------------------------------------------------------------------------------------------

    fn obey(&mut self, action: Action) -> Result<(), &'static str> {
        if self.traced {
            println!("{:>12} < {action:?}", self.now_ms);
        }
        match action {
            Action::FetchToken { request, force_refresh, .. } => {
                self.fetch_token(request, force_refresh)
            }
            Action::Connect { ticket, .. } => {
                // After a restart tickets begin anew.
                self.given_up.retain(|one| *one != ticket);
                self.connect(ticket);
            }
            Action::Send { ticket, bytes, sensitive } => {
                return self.send(ticket, &bytes, sensitive);
            }
            Action::StartTls { ticket } => self.after(10, 200, Event::TlsEstablished { ticket }),
            Action::Online { ticket, .. } => {
                self.report.sessions += 1;
                self.checks.accepted();
                self.last_online_ms = self.now_ms;
                self.after(SECOND_MS, 20 * MINUTE_MS, Event::Work { ticket });
                self.be_hostile(ticket);
            }
            Action::Renew { ticket, .. } => {
                // One host in ten is too busy, and is closed.
                if self.rng.u8(0..10) > 0 {
                    self.after(0, 20 * SECOND_MS, Event::Drained { ticket });
                }
            }
            Action::Close { ticket, .. } => {
                if !self.sockets.iter().any(|socket| socket.ticket == ticket) {
                    self.given_up.push(ticket);
                }
                self.close(ticket);
            }
            Action::NeedsUser(_) | Action::GiveUp(_) => {
                self.sockets.clear();
                let most_ms = if self.now_ms < FAULTS_END_MS { 3 * HOUR_MS } else { 2 * MINUTE_MS };
                self.after(MINUTE_MS, most_ms, Event::Start);
            }
        }
        Ok(())
    }

    /// A session has begun with a server that is hostile until the faults end.
    fn be_hostile(&mut self, ticket: u64) {
        let Some(hostile) = self.hostile.filter(|_| self.now_ms < FAULTS_END_MS) else { return };
        let (after_ms, words) = match hostile {
            Hostile::Ends(after_ms) => (after_ms, "Session expired, please login again."),
            Hostile::EndsAnyTime => {
                (self.rng.u64(0..30 * MINUTE_MS), "Session expired, please login again.")
            }
            Hostile::Limits(after_ms) => (after_ms, "Too many simultaneous connections."),
            Hostile::NamesWait(after_ms) => {
                (after_ms, "Request is throttled. Suggested Backoff Time: 1 milliseconds")
            }
            Hostile::Alternates => (SECOND_MS, "Session expired, please login again."),
            Hostile::Cuts(after_ms) => {
                return self.after(after_ms, after_ms, Event::Ended { ticket });
            }
        };
        let line = match self.protocol {
            Protocol::Imap => format!("* BYE {words}\r\n"),
            Protocol::Pop3 => format!("-ERR {words}\r\n"),
            Protocol::Smtp => format!("421 4.7.0 {words}\r\n"),
        };
        self.after(after_ms, after_ms, Event::Deliver { ticket, bytes: line.into_bytes() });
        let cut_ms = after_ms + SECOND_MS;
        self.after(cut_ms, cut_ms, Event::Ended { ticket });
    }

    fn refuse(&mut self, cause: Option<Cause>) {
        self.server.refuse(cause).expect("every flavour has words for these");
    }

    /// Whether this login is refused by a server that refuses every other one.
    fn refuses_in_turn(&self) -> bool {
        self.hostile == Some(Hostile::Alternates)
            && self.now_ms < FAULTS_END_MS
            && self.checks.logins().is_multiple_of(2)
    }

    fn fetch_token(&mut self, request: u64, force_refresh: bool) {
        match self.trouble {
            Trouble::TokensDown => {
                let permanent = self.rng.u8(0..20) == 0;
                self.after(10, SECOND_MS, Event::TokenFailed { request, permanent });
            }
            Trouble::TokensHang => {}
            Trouble::SameToken => self.after(10, SECOND_MS, Event::Token { request }),
            Trouble::None
            | Trouble::NetworkDown
            | Trouble::BlackHole
            | Trouble::TokensExpired
            | Trouble::Refuses(_)
            | Trouble::Restart
            | Trouble::Suspended => {
                let fresh =
                    self.cached.as_ref().is_some_and(|(_, over_at_ms)| *over_at_ms > self.now_ms);
                if force_refresh || !fresh {
                    self.cached = None;
                }
                self.after(10, 2 * SECOND_MS, Event::Token { request });
            }
        }
    }

    fn give_token(&mut self, request: u64) -> Result<(), &'static str> {
        if self.cached.is_none() {
            let request = TokenRequest { octets: Some(TOKEN_OCTETS), ..TokenRequest::default() };
            let token = self.server.issue_token(self.now_ms, USER, request);
            self.cached = Some((token, self.now_ms + self.token_life_ms));
        }
        let (token, over_at_ms) = self.cached.clone().expect("a token");
        let left_ms = over_at_ms.saturating_sub(self.now_ms);
        let left_ms = if self.trouble == Trouble::TokensExpired { 0 } else { left_ms };
        let expires_in_ms = self.says_life.then_some(left_ms);
        self.checks.token_given(&token, self.now_ms, expires_in_ms);
        let token = match (&self.bug, &self.given) {
            (Some(Bug::OldToken), Some(first)) => first.clone(),
            (_, _) => token,
        };
        self.given.get_or_insert_with(|| token.clone());
        if self.bug != Some(Bug::OldToken) {
            self.given = Some(token.clone());
        }
        let token = AccessToken::new(&token).expect("a token of the server");
        self.input(Input::Token { request, token, expires_in_ms })
    }

    fn connect(&mut self, ticket: u64) {
        match self.trouble {
            Trouble::NetworkDown => self.after(10, 5 * SECOND_MS, Event::Ended { ticket }),
            Trouble::BlackHole => {}
            Trouble::None
            | Trouble::TokensDown
            | Trouble::TokensHang
            | Trouble::TokensExpired
            | Trouble::SameToken
            | Trouble::Refuses(_)
            | Trouble::Restart
            | Trouble::Suspended => self.after(20, 500, Event::Connected { ticket }),
        }
    }

    fn connected(&mut self, ticket: u64) -> Result<(), &'static str> {
        let (peer, output) = self.server.open(self.now_ms, self.protocol, self.tls);
        self.sockets.push(Socket { ticket, peer, secure: self.tls == Tls::Implicit, dead: false });
        self.input(Input::Connected { ticket })?;
        // The token may be over by now: then the session has closed the connection again.
        if !self.sockets.iter().any(|socket| socket.ticket == ticket) {
            return Ok(());
        }
        if self.host_logs_in {
            return self.log_in_as_host(ticket);
        }
        self.serve(peer, &output);
        Ok(())
    }

    /// A host with a mail library of its own: only the verdict reaches the session.
    fn log_in_as_host(&mut self, ticket: u64) -> Result<(), &'static str> {
        let _ = self.server.take_events();
        let token = self.given.clone().unwrap_or_default();
        self.checks.login(&token, self.now_ms, self.quick)?;
        let refused = match self.trouble {
            Trouble::Refuses(cause) => Some(cause),
            Trouble::None
            | Trouble::NetworkDown
            | Trouble::BlackHole
            | Trouble::TokensDown
            | Trouble::TokensHang
            | Trouble::TokensExpired
            | Trouble::SameToken
            | Trouble::Restart
            | Trouble::Suspended => self.refuses_in_turn().then_some(Cause::TokenRejected),
        };
        match refused {
            None => self.input(Input::Authenticated { ticket }),
            Some(cause) => {
                self.report.faults += 1;
                let reply = match cause {
                    Cause::Unavailable => "NO [UNAVAILABLE] later",
                    Cause::RateLimited => {
                        "BAD Request is throttled. Suggested Backoff Time: 92415 milliseconds"
                    }
                    Cause::TooManyConnections => {
                        "NO [ALERT] Too many simultaneous connections. (Failure)"
                    }
                    _ => "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
                };
                let reply = match self.protocol {
                    Protocol::Imap => reply.to_owned(),
                    Protocol::Pop3 => format!("-ERR {reply}"),
                    Protocol::Smtp if cause == Cause::TokenRejected => "535 5.7.8 no".to_owned(),
                    Protocol::Smtp => format!("454 4.7.0 {reply}"),
                };
                if cause == Cause::RateLimited {
                    self.checks.asked_to_wait(self.now_ms + 92_415);
                }
                self.input(Input::Refused { ticket, reply })
            }
        }
    }

    fn send(&mut self, ticket: u64, bytes: &[u8], sensitive: bool) -> Result<(), &'static str> {
        let Some(socket) = self.sockets.iter().copied().find(|socket| socket.ticket == ticket)
        else {
            return Ok(());
        };
        if sensitive {
            if !socket.secure {
                return Err("the token left without TLS");
            }
            let token = self.given.clone().unwrap_or_default();
            self.checks.login(&token, self.now_ms, self.quick)?;
        }
        if socket.dead || self.trouble == Trouble::BlackHole {
            return Ok(());
        }
        let in_turn = sensitive && self.refuses_in_turn();
        if in_turn && self.server.refusal(self.protocol).is_none() {
            self.refuse(Some(Cause::TokenRejected));
        }
        let output = self.server.receive(self.now_ms, socket.peer, bytes);
        if in_turn && !matches!(self.trouble, Trouble::Refuses(_)) {
            self.refuse(None);
        }
        let refused = self.server.take_events().iter().any(|event| event.what == "refused");
        if refused {
            self.report.faults += 1;
            if self.server.refusal(self.protocol) == Some(Cause::RateLimited)
                && (self.protocol, self.server.config.flavour) == (Protocol::Imap, Flavour::Outlook)
            {
                self.checks.asked_to_wait(self.now_ms + 92_415);
            }
        }
        self.serve(socket.peer, &output);
        Ok(())
    }

    /// What the server does with a connection, after a time on the network.
    fn serve(&mut self, peer: u64, output: &Output) {
        let Some(socket) = self.sockets.iter_mut().find(|socket| socket.peer == peer) else {
            return;
        };
        let ticket = socket.ticket;
        if output.next == Then::Vanish {
            socket.dead = true;
        }
        if output.next == Then::StartTls {
            socket.secure = true;
        }
        if !output.send.is_empty() {
            self.after(5, 300, Event::Deliver { ticket, bytes: output.send.clone() });
        }
        if output.next == Then::Close {
            self.after(301, 600, Event::Ended { ticket });
        }
    }

    fn close(&mut self, ticket: u64) {
        if let Some(at) = self.sockets.iter().position(|socket| socket.ticket == ticket) {
            let socket = self.sockets.remove(at);
            self.server.closed(self.now_ms, socket.peer);
        }
    }

    // ---- What happens --------------------------------------------------------------------------------------------

    fn happen(&mut self, event: Event) -> Result<(), &'static str> {
        match event {
            Event::Token { request } => self.give_token(request),
            Event::TokenFailed { request, permanent } => {
                self.input(Input::TokenFailed { request, permanent })
            }
            Event::Connected { ticket } => {
                if self.session_wants(ticket) {
                    self.connected(ticket)
                } else {
                    Ok(())
                }
            }
            Event::TlsEstablished { ticket } => self.tls_established(ticket),
            Event::Ended { ticket } => {
                self.close(ticket);
                self.checks.ended(ticket);
                self.input(Input::Ended { ticket, last_line: None, cause: None })?;
                self.forget()
            }
            Event::Deliver { ticket, bytes } => self.deliver(ticket, &bytes),
            Event::Drained { ticket } => self.input(Input::Drained { ticket }),
            Event::Start => {
                // Nobody has acted where the planted host goes on by itself.
                if self.bug != Some(Bug::NoStop) {
                    self.checks.started(self.now_ms);
                }
                self.input(Input::Start)
            }
            Event::Work { ticket } => self.work(ticket),
            Event::Trouble => self.make_trouble(),
            Event::FaultsEnd => {
                self.trouble = Trouble::None;
                self.refuse(None);
                self.server.set_fault(None);
                // A token of a second is often over before the login.
                if self.token_life_ms < MINUTE_MS && !self.quick {
                    self.token_life_ms = HOUR_MS;
                    self.server.config.token_lifetime_ms = HOUR_MS;
                }
                if matches!(self.session.phase(), SessionPhase::NeedsUser | SessionPhase::GaveUp) {
                    self.checks.started(self.now_ms);
                    return self.input(Input::Start);
                }
                Ok(())
            }
        }
    }

    /// A connection that opens after the session has given it up is closed by the host.
    fn session_wants(&self, ticket: u64) -> bool {
        let is_new = !self.sockets.iter().any(|one| one.ticket == ticket)
            && !self.given_up.contains(&ticket);
        is_new && (self.overlaps || self.session.phase() == SessionPhase::Connecting)
    }

    fn tls_established(&mut self, ticket: u64) -> Result<(), &'static str> {
        let Some(socket) = self.sockets.iter().copied().find(|socket| socket.ticket == ticket)
        else {
            return Ok(());
        };
        let _ = self.server.tls_established(socket.peer);
        self.input(Input::TlsEstablished { ticket })
    }

    /// The planted host keeps no session: each end is the end of its process, which had no time for a snapshot.
    fn forget(&mut self) -> Result<(), &'static str> {
        let offline = matches!(self.session.phase(), SessionPhase::Waiting);
        if self.bug != Some(Bug::NoMemory) || !offline {
            return Ok(());
        }
        let snapshot = Session::new(self.config.clone(), 1).expect("a configuration").snapshot();
        let restored = Session::restore(self.config.clone(), &snapshot, self.now_ms, self.seed);
        self.session = restored.expect("a snapshot");
        self.input(Input::Start)
    }

    fn deliver(&mut self, ticket: u64, bytes: &[u8]) -> Result<(), &'static str> {
        if !self.sockets.iter().any(|socket| socket.ticket == ticket)
            || self.trouble == Trouble::BlackHole
        {
            return Ok(());
        }
        if self.host_logs_in {
            let line = String::from_utf8_lossy(bytes).trim().to_owned();
            return self.input(Input::Line { ticket, line });
        }
        let before = self.session.phase();
        let plan = self
            .session
            .receive(self.now_ms, ticket, bytes)
            .map_err(|_| "a right call was called misuse")?;
        self.follow(plan, before)
    }

    /// The mail client asks something; where no answer comes, it gives up after a minute.
    fn work(&mut self, ticket: u64) -> Result<(), &'static str> {
        let Some(socket) = self.sockets.iter().copied().find(|socket| socket.ticket == ticket)
        else {
            return Ok(());
        };
        let command: &[u8] =
            if self.protocol == Protocol::Imap { b"w1 NOOP\r\n" } else { b"NOOP\r\n" };
        if !self.host_logs_in {
            self.session.sent(ticket, command);
            if socket.dead
                || self.trouble == Trouble::BlackHole
                || self.trouble == Trouble::NetworkDown
            {
                self.after(MINUTE_MS, MINUTE_MS, Event::Ended { ticket });
                return Ok(());
            }
            let output = self.server.receive(self.now_ms, socket.peer, command);
            let vanished = output.next == Then::Vanish;
            self.serve(socket.peer, &output);
            if vanished {
                self.after(MINUTE_MS, MINUTE_MS, Event::Ended { ticket });
                return Ok(());
            }
        }
        self.after(MINUTE_MS, HOUR_MS, Event::Work { ticket });
        Ok(())
    }

    fn make_trouble(&mut self) -> Result<(), &'static str> {
        if self.now_ms >= FAULTS_END_MS {
            return Ok(());
        }
        self.report.faults += 1;
        // Trouble and quiet take turns: a session must also be seen to live long.
        if self.trouble == Trouble::None {
            self.trouble = TROUBLES[self.rng.usize(0..TROUBLES.len())];
            self.after(MINUTE_MS, 2 * HOUR_MS, Event::Trouble);
        } else {
            self.trouble = Trouble::None;
            self.after(MINUTE_MS, 4 * HOUR_MS, Event::Trouble);
        }
        if self.traced {
            println!("{:>12}   {:?}", self.now_ms, self.trouble);
        }
        let refused = match self.trouble {
            Trouble::Refuses(cause) => Some(cause),
            Trouble::None
            | Trouble::NetworkDown
            | Trouble::BlackHole
            | Trouble::TokensDown
            | Trouble::TokensHang
            | Trouble::TokensExpired
            | Trouble::SameToken
            | Trouble::Restart
            | Trouble::Suspended => None,
        };
        self.refuse(refused);
        match self.trouble {
            Trouble::NetworkDown => self.drop_all(),
            Trouble::Restart => {
                let outputs = self.server.restart(self.now_ms);
                for (peer, output) in outputs {
                    self.serve(peer, &output);
                }
            }
            Trouble::Suspended => return self.suspend(),
            Trouble::None
            | Trouble::BlackHole
            | Trouble::TokensDown
            | Trouble::TokensHang
            | Trouble::TokensExpired
            | Trouble::SameToken
            | Trouble::Refuses(_) => {
                let stage = Stage::ALL[self.rng.usize(0..6)];
                let kind =
                    [FaultKind::Drop, FaultKind::Vanish, FaultKind::Garbage][self.rng.usize(0..3)];
                self.server.set_fault(Some(Fault { stage, kind }));
            }
        }
        Ok(())
    }

    fn drop_all(&mut self) {
        let tickets: Vec<u64> = self.sockets.iter().map(|socket| socket.ticket).collect();
        for ticket in tickets {
            self.after(0, 100, Event::Ended { ticket });
        }
    }

    /// The machine sleeps: all that was to happen happens late, and only some hosts know why.
    fn suspend(&mut self) -> Result<(), &'static str> {
        let slept_ms = self.rng.u64(MINUTE_MS..3 * HOUR_MS);
        self.now_ms = (self.now_ms + slept_ms).min(FAULTS_END_MS);
        let _ = self.server.tick(self.now_ms);
        self.trouble = Trouble::None;
        if self.rng.bool() { self.input(Input::Woke) } else { Ok(()) }
    }
}

fn session_config(rng: &mut fastrand::Rng, protocol: Protocol, tls: Tls) -> SessionConfig {
    let endpoint = Endpoint::new(protocol, tls, "mail.example.test");
    let negotiation = NegotiationConfig::new(endpoint, Identity::new(USER));
    let login = if rng.u8(0..4) == 0 { Login::Host } else { Login::Session };
    let renewal = match rng.u8(0..4) {
        0 => Renewal::AtEnd,
        1 if protocol == Protocol::Imap => Renewal::Overlap,
        _ => Renewal::Ahead,
    };
    let limits = SessionLimits {
        session_ms: [None, Some(24 * HOUR_MS)][rng.usize(0..2)],
        ends_with_token: rng.bool(),
        ..SessionLimits::default()
    };
    let token_lifetime_ms = [None, Some(HOUR_MS)][rng.usize(0..2)];
    SessionConfig { login, renewal, limits, token_lifetime_ms, ..SessionConfig::new(negotiation) }
}
