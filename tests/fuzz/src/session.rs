//! Facts in any order against a [`Session`]: answers that fit, that are late, doubled or wrong, octets of servers, and time
//! that jumps.
//!
//! Every input is given to two sessions of one seed, which must give the same plans.
//!
//! Input: the configuration, the seed, then facts: an octet for the kind, and what the kind needs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mailbearer::{
    AccessToken, Action, Cause, Endpoint, Identity, Input, Login, Mechanism, Misuse,
    NegotiationConfig, Plan, Protocol, Renewal, Session, SessionConfig, SessionLimits,
    SessionPhase, Status, Tls, initial_response,
};

use crate::octets::{Octets, contains};

/// Facts in one input.
const FACTS_MAX: usize = 400;

/// Greatest number of one kind of order in a minute: a burst, and one each second.
const ORDERS_PER_MINUTE: usize = 66;

/// Actions of one plan: closing, telling, asking and connecting at once are fewer.
const ACTIONS_MAX: usize = 8;

/// What servers say: the dictionary of this target, since a line that means something is not found by chance.
const LINES: &[&str] = &[
    "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER STARTTLS] ready",
    "* OK ready",
    "* CAPABILITY IMAP4rev1 STARTTLS AUTH=XOAUTH2",
    "A0001 OK done",
    "A0002 OK done",
    "A0003 OK done",
    "A0001 NO [AUTHENTICATIONFAILED] no",
    "A0002 NO [AUTHENTICATIONFAILED] no",
    "A0001 NO [UNAVAILABLE] later",
    "A0001 NO [LIMIT] Too many login attempts",
    "A0001 BAD User is authenticated but not connected.",
    "+ ",
    "+ eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiQmVhcmVyIn0=",
    "* BYE Session expired, please login again.",
    "* BYE Session invalidated - AccessTokenExpired",
    "* BYE",
    "* PREAUTH hello",
    "* 1 FETCH (BODY[] {9}",
    "+OK ready",
    "SASL XOAUTH2 OAUTHBEARER",
    "STLS",
    ".",
    "-ERR [AUTH] no",
    "-ERR [SYS/TEMP] later",
    "-ERR [SYS/PERM] Your account is not enabled for POP access.",
    "-ERR Disconnected for inactivity.",
    "220 ready",
    "250-mail.example.test",
    "250-STARTTLS",
    "250 AUTH XOAUTH2 OAUTHBEARER",
    "334 ",
    "334 eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiQmVhcmVyIn0=",
    "235 2.7.0 in",
    "250 ok",
    "354 go",
    "454 4.7.0 later",
    "500 5.5.2 Line too long",
    "534 5.7.14 <https://accounts.example.test/x> Please log in via your web browser",
    "535 5.7.8 no",
    "421 4.7.0 Connection expired, try reconnecting.",
];

/// What mail clients say.
const COMMANDS: &[&str] = &[
    "a SELECT INBOX\r\n",
    "b IDLE\r\n",
    "DONE\r\n",
    "c LOGOUT\r\n",
    "d FETCH 1:* FLAGS\r\n",
    "DELE 1\r\n",
    "STAT\r\n",
    "RETR 1\r\n",
    "QUIT\r\n",
    "MAIL FROM:<a@b>\r\n",
    "RCPT TO:<c@d>\r\n",
    "DATA\r\n",
    "x\r\n.\r\n",
    "e CLOSE\r\n",
];

/// Times that something happens at: token lives, limits, back-off, deadlines, sleep.
const WAITS_MS: &[u64] = &[
    0,
    1,
    10,
    999,
    1_000,
    5_000,
    29_999,
    60_000,
    61_000,
    300_000,
    1_799_999,
    3_300_000,
    3_600_000,
    86_400_000,
    604_800_000,
    40_000_000_000,
];

const LIVES_MS: &[Option<u64>] = &[
    None,
    Some(0),
    Some(1),
    Some(1_000),
    Some(9_999),
    Some(59_999),
    Some(60_000),
    Some(600_000),
    Some(3_599_000),
    Some(86_400_000),
    Some(u64::MAX),
];

/// No clock comes so far: beyond it there is no future to wake in.
const END_OF_TIME_MS: u64 = u64::MAX / 2;

/// Holds the session against the rules.
pub fn check(data: &[u8]) {
    let mut octets = Octets::new(data);
    let Some(config) = config(&mut octets) else { return };
    let seed = u64::from(octets.octet());
    let Ok(session) = Session::new(config.clone(), seed) else { return };
    let twin = Session::new(config.clone(), seed).expect("the same configuration");
    let mut host = Host::new(config, session, twin);
    for _ in 0..FACTS_MAX {
        if octets.is_empty() {
            break;
        }
        host.fact(&mut octets);
    }
    host.snapshot();
}

fn config(octets: &mut Octets<'_>) -> Option<SessionConfig> {
    let protocol = octets.one_of(&Protocol::ALL);
    let endpoint = Endpoint::new(protocol, octets.one_of(&Tls::ALL), "mail.example.test");
    let mut negotiation = NegotiationConfig::new(endpoint, Identity::new("user@example.test"));
    negotiation.mechanisms = vec![octets.one_of(&Mechanism::ALL)];
    let mut config = SessionConfig::new(negotiation);
    let choice = octets.octet();
    config.login = if choice & 1 == 1 { Login::Host } else { Login::Session };
    config.renewal =
        [Renewal::Ahead, Renewal::AtEnd, Renewal::Overlap][usize::from(choice >> 1) % 3];
    config.limits = SessionLimits {
        session_ms: octets.one_of(&[
            None,
            Some(1),
            Some(60_000),
            Some(86_400_000),
            Some(604_800_000),
        ]),
        ends_with_token: choice & 0x40 == 0,
        ..SessionLimits::default()
    };
    config.token_lifetime_ms = octets.one_of(LIVES_MS);
    if choice & 0x80 != 0 {
        config.lead_ms = octets.one_of(&[1, 1_000, 86_400_000]);
        config.token_life_least_ms = octets.one_of(&[0, 1, 60_000, 86_400_000]);
        config.token_timeout_ms = octets.one_of(&[1, 1_000, 60_000]);
        config.login_timeout_ms = octets.one_of(&[1, 1_000, 60_000]);
        config.backoff_base_ms = octets.one_of(&[1, 1_000]);
        config.backoff_max_ms = octets.one_of(&[1, 1_000, 300_000]);
        config.stable_after_ms = octets.one_of(&[1, 60_000, 86_400_000]);
        config.login_interval_ms = [1, 60_000][usize::from(choice & 1)];
    }
    Some(config)
}

/// Carries out the orders, or does not, and judges them.
struct Host {
    config: SessionConfig,
    session: Session,
    twin: Session,
    now_ms: u64,
    request: u64,
    ticket: u64,
    generation: u64,
    wake_at_ms: Option<u64>,
    stopped: bool,
    open: BTreeSet<u64>,
    /// Connections on which nobody speaks but the server.
    in_tls: BTreeSet<u64>,
    /// Tokens given; the last one that each ticket can have sent.
    tokens: Vec<String>,
    sent_by: BTreeMap<u64, String>,
    refused: BTreeSet<String>,
    orders: BTreeMap<&'static str, VecDeque<u64>>,
}

impl Host {
    fn new(config: SessionConfig, session: Session, twin: Session) -> Self {
        Self {
            config,
            session,
            twin,
            now_ms: 0,
            request: 0,
            ticket: 0,
            generation: 0,
            wake_at_ms: None,
            stopped: true,
            open: BTreeSet::new(),
            in_tls: BTreeSet::new(),
            tokens: Vec::new(),
            sent_by: BTreeMap::new(),
            refused: BTreeSet::new(),
            orders: BTreeMap::new(),
        }
    }

    fn fact(&mut self, octets: &mut Octets<'_>) {
        let kind = octets.octet();
        // The upper bits: an answer to an old order, or to none.
        let ticket = match kind >> 6 {
            0 | 1 => self.ticket,
            2 => self.ticket.saturating_sub(1),
            _ => u64::from(octets.octet()),
        };
        let request = match kind >> 6 {
            0 | 1 => self.request,
            2 => self.request.saturating_sub(1),
            _ => u64::from(octets.octet()),
        };
        match kind % 21 {
            0 => self.handle(Input::Start),
            1 => self.handle(Input::Stop),
            2 => {
                self.now_ms =
                    self.wake_at_ms.filter(|at_ms| *at_ms < END_OF_TIME_MS).unwrap_or(self.now_ms);
                self.handle(Input::Tick);
            }
            3 => self.handle(Input::Tick),
            4 => self.handle(Input::Woke),
            5 | 6 => self.token(request, octets),
            7 => self.handle(Input::TokenFailed { request, permanent: octets.flag() }),
            8 => self.handle(Input::Connected { ticket }),
            9 => {
                self.in_tls.insert(ticket);
                self.handle(Input::TlsEstablished { ticket });
            }
            10 => {
                let choice = octets.octet();
                let last_line = (choice & 1 == 1).then(|| octets.one_of(LINES).to_owned());
                let cause = (choice & 2 == 2).then(|| octets.one_of(Cause::ALL));
                self.open.remove(&ticket);
                self.handle(Input::Ended { ticket, last_line, cause });
            }
            11 => self.handle(Input::Authenticated { ticket }),
            12 => self.handle(Input::Refused { ticket, reply: octets.one_of(LINES).to_owned() }),
            13 => self.handle(Input::Line { ticket, line: octets.one_of(LINES).to_owned() }),
            14 => self.handle(Input::Drained { ticket }),
            15 | 16 => {
                let lines =
                    (0..=octets.octet() % 4).map(|_| octets.one_of(LINES)).collect::<Vec<_>>();
                self.receive(ticket, format!("{}\r\n", lines.join("\r\n")).as_bytes());
            }
            17 => self.receive(ticket, octets.some()),
            18 => self.sent(ticket, octets.one_of(COMMANDS).as_bytes()),
            19 => {
                let octets = u64::from(octets.octet());
                self.session.skipped(ticket, octets);
                self.twin.skipped(ticket, octets);
            }
            _ => {
                let wait_ms = octets.one_of(WAITS_MS);
                self.now_ms = self.now_ms.saturating_add(wait_ms);
            }
        }
    }

    fn token(&mut self, request: u64, octets: &mut Octets<'_>) {
        let choice = octets.octet();
        // Most often another one; else one from a cache.
        let number = if choice < 0xd0 { self.tokens.len() } else { usize::from(choice & 3) };
        let text = format!("ya29.CANARY-{number:06}-CANARY");
        if !self.tokens.contains(&text) {
            self.tokens.push(text.clone());
        }
        let token = AccessToken::new(&text).expect("a token");
        self.handle(Input::Token { request, token, expires_in_ms: octets.one_of(LIVES_MS) });
    }

    fn handle(&mut self, input: Input) {
        let before = (self.session.status(), self.session.snapshot());
        if input == Input::Start {
            self.stopped = false;
            self.refused.clear();
        }
        let stops = input == Input::Stop;
        let plan = self.session.handle(self.now_ms, input.clone());
        assert_eq!(plan, self.twin.handle(self.now_ms, input), "two sessions of one seed differ");
        let taken = self.judge(plan, &before);
        self.stopped |= stops;
        if stops {
            assert!(self.open.is_empty(), "a stop leaves {:?} open", self.open);
        }
        if taken {
            self.at_rest();
        }
    }

    fn receive(&mut self, ticket: u64, bytes: &[u8]) {
        let before = (self.session.status(), self.session.snapshot());
        let plan = self.session.receive(self.now_ms, ticket, bytes);
        assert_eq!(
            plan,
            self.twin.receive(self.now_ms, ticket, bytes),
            "two sessions of one seed differ"
        );
        if let Ok(plan) = &plan
            && !self.in_tls.contains(&ticket)
            && self.config.renewal != Renewal::Overlap
        {
            let stop = |action: &Action| matches!(action, Action::NeedsUser(_) | Action::GiveUp(_));
            assert!(!plan.actions.iter().any(stop), "stopped before TLS: {:?}", plan.actions);
        }
        let misuse = matches!(plan, Err(Misuse::Finished));
        assert!(!misuse, "a negotiation that is over is still asked");
        if self.judge(plan, &before) {
            self.at_rest();
        }
    }

    fn sent(&mut self, ticket: u64, bytes: &[u8]) {
        self.session.sent(ticket, bytes);
        self.twin.sent(ticket, bytes);
    }

    /// False where the call was wrong.
    fn judge(&mut self, plan: Result<Plan, Misuse>, before: &(Status, Vec<u8>)) -> bool {
        let Ok(plan) = plan else {
            assert_eq!(
                (self.session.status(), self.session.snapshot()),
                *before,
                "a misuse changes the session"
            );
            return false;
        };
        assert!(plan.actions.len() <= ACTIONS_MAX, "a plan without bound: {:?}", plan.actions);
        assert!(plan.wake_at_ms.is_none_or(|at_ms| at_ms > self.now_ms), "a wake in the past");
        assert_eq!(
            plan.wake_at_ms.is_some(),
            plan.wake_reason.is_some(),
            "a wake without a reason"
        );
        let shown = format!("{plan:?} {:?} {:?}", self.session, self.session.status());
        assert!(!shown.contains("CANARY"), "a token in the debug output: {shown}");
        self.wake_at_ms = plan.wake_at_ms;
        for action in &plan.actions {
            self.action(action);
        }
        let waits = matches!(
            self.session.phase(),
            SessionPhase::Waiting
                | SessionPhase::FetchingToken
                | SessionPhase::Connecting
                | SessionPhase::LoggingIn
                | SessionPhase::Renewing
        );
        assert!(!waits || plan.wake_at_ms.is_some(), "{} for ever", self.session.phase());
        true
    }

    /// An early tick is harmless: nothing is left to be ordered.
    fn at_rest(&mut self) {
        let plan = self.session.handle(self.now_ms, Input::Tick).expect("no misuse");
        assert_eq!(Ok(&plan), self.twin.handle(self.now_ms, Input::Tick).as_ref());
        assert!(plan.actions.is_empty(), "not at rest: {:?}", plan.actions);
        assert_eq!(plan.wake_at_ms, self.wake_at_ms, "an early tick changes the wake");
    }

    fn action(&mut self, action: &Action) {
        let name = match action {
            Action::FetchToken { request, .. } => {
                assert_eq!(*request, self.request + 1, "requests are counted");
                self.request = *request;
                "FetchToken"
            }
            Action::Connect { ticket, .. } => {
                assert_eq!(*ticket, self.ticket + 1, "tickets are counted");
                self.ticket = *ticket;
                self.open.insert(*ticket);
                let of_host = self.config.login == Login::Host;
                if of_host || self.config.negotiation.endpoint.tls == Tls::Implicit {
                    self.in_tls.insert(*ticket);
                }
                let most = if self.config.renewal == Renewal::Overlap { 2 } else { 1 };
                assert!(self.open.len() <= most, "too many connections: {:?}", self.open);
                "Connect"
            }
            Action::Send { ticket, bytes, sensitive } => {
                assert!(self.open.contains(ticket), "sends on a connection that is closed");
                self.send(*ticket, bytes, *sensitive);
                "Send"
            }
            Action::StartTls { ticket } => {
                assert!(self.open.contains(ticket));
                "StartTls"
            }
            Action::Online { ticket, generation, .. } => {
                assert!(self.open.contains(ticket));
                assert_eq!(*generation, self.generation + 1, "generations are counted");
                self.generation = *generation;
                "Online"
            }
            Action::Renew { ticket, by_ms, .. } => {
                assert!(self.open.contains(ticket));
                assert!(*by_ms > self.now_ms, "no time to let go");
                "Renew"
            }
            Action::Close { ticket, cause } => {
                assert!(self.open.remove(ticket), "closes what is not open");
                if *cause == Cause::TokenRejected {
                    self.refused.extend(self.sent_by.get(ticket).cloned());
                }
                "Close"
            }
            Action::NeedsUser(failure) | Action::GiveUp(failure) => {
                assert_ne!(failure.cause, Cause::NoFault);
                self.stopped = true;
                assert!(self.open.is_empty(), "a stop leaves {:?} open", self.open);
                return;
            }
        };
        assert!(!self.stopped || name == "Close", "{name} after a stop");
        if matches!(name, "FetchToken" | "Connect") {
            self.count(name);
        }
    }

    fn send(&mut self, ticket: u64, bytes: &[u8], sensitive: bool) {
        let negotiation = &self.config.negotiation;
        let message = |text: &String| {
            let token = AccessToken::new(text).expect("a token");
            let mechanism = negotiation.mechanisms[0];
            initial_response(mechanism, &negotiation.identity, &negotiation.endpoint, &token)
                .expect("a message")
        };
        let sent = self
            .tokens
            .iter()
            .find(|text| contains(bytes, STANDARD.encode(message(text)).as_bytes()));
        assert_eq!(sensitive, sent.is_some(), "sensitive is not told rightly");
        let Some(text) = sent.cloned() else { return };
        assert!(!self.refused.contains(&text), "a refused token is sent again");
        let before = self.sent_by.insert(ticket, text);
        // The one more try in two steps, which POP3 does not have.
        assert!(
            before.is_none() || negotiation.endpoint.protocol != Protocol::Pop3,
            "a token is sent twice"
        );
    }

    fn count(&mut self, name: &'static str) {
        let times = self.orders.entry(name).or_default();
        times.push_back(self.now_ms);
        while times.front().is_some_and(|at_ms| at_ms.saturating_add(60_000) < self.now_ms) {
            times.pop_front();
        }
        assert!(times.len() <= ORDERS_PER_MINUTE, "{name} comes too often");
    }

    /// What outlives the process holds no secret, and can be restored.
    fn snapshot(&self) {
        let written = self.session.snapshot();
        assert!(!contains(&written, b"CANARY"), "a token in the snapshot");
        let restored = Session::restore(self.config.clone(), &written, self.now_ms, 1)
            .expect("its own snapshot");
        let again = Session::restore(self.config.clone(), &restored.snapshot(), self.now_ms, 1)
            .expect("its own");
        assert_eq!(restored.snapshot(), again.snapshot(), "a snapshot that changes");
    }
}
