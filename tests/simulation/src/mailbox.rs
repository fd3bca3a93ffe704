//! The world around an account: two to twenty sessions of one mailbox, a server that refuses or evicts, a token endpoint, a
//! network, and a person who comes back late.
#![allow(
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a world that cannot go on ends the test"
)]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use mailbearer::limits;
use mailbearer::testing::{Cut, Output, Server, ServerConfig, Then, TokenRequest};
use mailbearer::{
    AccessToken, Account, AccountConfig, AccountPlan, Cause, Delivery, Endpoint, Fact, Failure,
    Identity, NegotiationConfig, NoToken, Order, Protocol, RaiseKind, SessionConfig, SessionKey,
    SessionLimits, Tls,
};

use crate::checks::Broken;

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// What a world lives for.
const LIFE_MS: u64 = 24 * HOUR_MS;
/// From then on nothing fails any more.
const FAULTS_END_MS: u64 = 16 * HOUR_MS;

const USER: &str = "joe@gmail.com";

/// Greatest numbers in any hour: see `limits.rs`. What the program lets go by itself costs nothing.
const OPENS_PER_HOUR: usize = limits::CONNECTIONS.most(60) as usize;
const ASKS_PER_HOUR: usize = (limits::TOKENS.most(60) + limits::REFRESHES.most(60)) as usize;

/// A mistake that is made on purpose, to see that a check finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailboxBug {
    /// Each session has an account of its own: nothing is shared.
    NothingShared,
    /// A session is wanted again as soon as it was raised to, and `Retry` said: no person is waited for.
    NobodyCalled,
    /// What is opened is never closed.
    NoClose,
}

impl MailboxBug {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NothingShared, Self::NobodyCalled, Self::NoClose];
}

/// What a server does with one connection too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// It refuses the login.
    Refuses(u32),
    /// It ends the oldest, in words.
    Evicts(u32),
    /// It allows any number.
    None,
}

/// What happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailboxReport {
    /// Facts that the account was told.
    pub facts: u64,
    /// Connections that were given.
    pub given: u64,
    /// When a connection was opened.
    pub opened_at_ms: Vec<u64>,
    /// When a token was asked for.
    pub asked_at_ms: Vec<u64>,
    /// How many connections the program has at the end.
    pub online: usize,
    /// Times that a person was called.
    pub called: u64,
}

/// What is going to happen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Want(usize),
    LetGo(u64),
    Retry,
    Opened(u64),
    Ended(u64),
    Deliver(u64, Vec<u8>),
    Token(usize, u64),
    NoToken(usize, u64, bool),
    Trouble,
    FaultsEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    NetworkDown,
    NetworkSaidDown,
    TokensDown,
    Revoked,
    Refuses(Cause),
    Slept,
    Restart,
}

const TROUBLES: [Trouble; 9] = [
    Trouble::NetworkDown,
    Trouble::NetworkSaidDown,
    Trouble::TokensDown,
    Trouble::Revoked,
    Trouble::Refuses(Cause::RateLimited),
    Trouble::Refuses(Cause::TokenRejected),
    Trouble::Refuses(Cause::Unavailable),
    Trouble::Slept,
    Trouble::Restart,
];

#[derive(Debug, Clone, Copy)]
struct Socket {
    /// The server's number for it.
    peer: u64,
    session: usize,
    logged_in_at_ms: Option<u64>,
    given: bool,
}

/// An account and everything around it.
#[derive(Debug)]
pub struct Mailbox {
    seed: u64,
    rng: fastrand::Rng,
    now_ms: u64,
    /// One; each session has its own where that is the mistake.
    accounts: Vec<Account>,
    /// Of each session: its account, its key there, its protocol.
    sessions: Vec<(usize, SessionKey, Protocol)>,
    wakes: Vec<Option<u64>>,
    server: Server,
    limit: Limit,
    known_limit: Option<u32>,
    cached: Option<(String, u64)>,
    trouble: Trouble,
    /// By account and ticket.
    sockets: BTreeMap<(usize, u64), Socket>,
    wanted: Vec<bool>,
    called: Vec<bool>,
    /// A person is on the way.
    retry_is_near: bool,
    refused: BTreeSet<String>,
    refused_in_a_row: BTreeSet<String>,
    /// When the token was asked for that is not there yet.
    asked_at_ms: Option<u64>,
    ends_with_token: bool,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    numbered: u64,
    report: MailboxReport,
    bug: Option<MailboxBug>,
    traced: bool,
}

type Outcome = Result<(), &'static str>;

impl Mailbox {
    /// The world of a seed, with a mistake or without.
    #[must_use]
    pub fn new(seed: u64, bug: Option<MailboxBug>) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let count = rng.usize(2..=20);
        let most = rng.u32(1..=16);
        let limit = [Limit::None, Limit::Refuses(most), Limit::Evicts(most)][rng.usize(0..3)];
        let known_limit = rng.bool().then_some(most);
        let mut world = Self::with(seed, count, limit, known_limit, true, bug);
        world.at(FAULTS_END_MS, Event::FaultsEnd);
        let first_ms = world.rng.u64(MINUTE_MS..2 * HOUR_MS);
        world.at(first_ms, Event::Trouble);
        world
    }

    /// A world without troubles, whose sessions outlive their tokens: so many at a server that does this with one too many.
    #[must_use]
    pub fn quiet(seed: u64, count: usize, limit: Limit) -> Self {
        Self::with(seed, count, limit, None, false, None)
    }

    fn with(
        seed: u64,
        count: usize,
        limit: Limit,
        known_limit: Option<u32>,
        ends_with_token: bool,
        bug: Option<MailboxBug>,
    ) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x5eed);
        let shares = bug != Some(MailboxBug::NothingShared);
        let accounts = if shares { 1 } else { count };
        let config = AccountConfig { first_ms: None, ..AccountConfig::default() };
        let new = |seed| Account::new(config.clone(), seed).expect("a configuration that works");
        let mut accounts: Vec<Account> = (0..accounts).map(|_| new(rng.u64(..))).collect();
        let sessions: Vec<_> = (0..count)
            .map(|at| {
                let account = if shares { 0 } else { at };
                let key = accounts
                    .get_mut(account)
                    .expect("one")
                    .add(session_config(known_limit, ends_with_token));
                (account, key.expect("a configuration that works"), Protocol::Imap)
            })
            .collect();
        let server_config = ServerConfig {
            connections_max: match limit {
                Limit::Refuses(most) => Some(most as usize),
                Limit::Evicts(_) | Limit::None => None,
            },
            cut: if ends_with_token { Cut::Words } else { Cut::Never },
            ..ServerConfig::default()
        };
        let mut world = Self {
            seed,
            now_ms: 1,
            wakes: vec![None; accounts.len()],
            accounts,
            server: Server::new(server_config, rng.u64(..)),
            rng,
            limit,
            known_limit,
            cached: None,
            trouble: Trouble::None,
            sockets: BTreeMap::new(),
            wanted: vec![false; sessions.len()],
            called: vec![false; sessions.len()],
            retry_is_near: false,
            sessions,
            refused: BTreeSet::new(),
            refused_in_a_row: BTreeSet::new(),
            asked_at_ms: None,
            ends_with_token,
            events: BinaryHeap::new(),
            numbered: 0,
            report: MailboxReport::default(),
            bug,
            traced: false,
        };
        for at in 0..count {
            world.after(0, 5 * SECOND_MS, Event::Want(at));
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
    pub fn run(mut self) -> Result<MailboxReport, Broken> {
        while self.now_ms < LIFE_MS {
            if let Err(rule) = self.next() {
                return Err(Broken { rule, at_ms: self.now_ms, seed: self.seed });
            }
        }
        self.report.online = self.sockets.values().filter(|socket| socket.given).count();
        match self.all_are_online() {
            Ok(()) => Ok(self.report),
            Err(rule) => Err(Broken { rule, at_ms: self.now_ms, seed: self.seed }),
        }
    }

    /// Eight hours after the last fault all are online that the server and the program's own setting allow, but for those
    /// that are just being renewed.
    fn all_are_online(&self) -> Outcome {
        let most = match self.limit {
            Limit::None => u32::MAX,
            Limit::Refuses(most) | Limit::Evicts(most) => most,
        };
        let allowed = most.min(self.known_limit.unwrap_or(u32::MAX)) as usize;
        let under_way = self.sockets.values().filter(|socket| !socket.given).count();
        let resting =
            self.events.iter().filter(|Reverse((_, _, event))| matches!(event, Event::Want(_)));
        let there = self.report.online + under_way + resting.count();
        // One place is left for an hour where the limit was met in a bad moment.
        if there + 1 >= allowed.min(self.sessions.len()) {
            Ok(())
        } else {
            Err("not online again although nothing fails any more")
        }
    }

    fn next(&mut self) -> Outcome {
        let event_ms = self.events.peek().map(|Reverse((at_ms, _, _))| *at_ms);
        let wake =
            self.wakes.iter().enumerate().filter_map(|(at, wake)| Some(((*wake)?, at))).min();
        let server_ms = self.server.next_wake_ms();
        let next_ms =
            [event_ms, wake.map(|(at_ms, _)| at_ms), server_ms].into_iter().flatten().min();
        self.now_ms = self.now_ms.max(next_ms.unwrap_or(LIFE_MS));
        if self.now_ms >= LIFE_MS {
            return Ok(());
        }
        if server_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
            for (peer, output) in self.server.tick(self.now_ms) {
                self.serve(peer, &output);
            }
            return Ok(());
        }
        if let Some((at_ms, account)) = wake
            && at_ms <= self.now_ms
        {
            self.wakes[account] = None;
            return self.tell(account, Fact::Tick);
        }
        let Some(Reverse((_, _, event))) = self.events.pop() else { return Ok(()) };
        self.happen(event)
    }

    fn at(&mut self, at_ms: u64, event: Event) {
        self.numbered += 1;
        self.events.push(Reverse((at_ms, self.numbered, event)));
    }

    fn after(&mut self, least_ms: u64, most_ms: u64, event: Event) {
        let wait_ms = self.rng.u64(least_ms..=most_ms);
        self.at(self.now_ms + wait_ms, event);
    }
}

impl Mailbox {
    // ---- The account ---------------------------------------------------------------------------------------------

    fn tell(&mut self, account: usize, fact: Fact) -> Outcome {
        if self.traced {
            println!("{:>12} {account} > {fact:?}", self.now_ms);
        }
        let plan = self.accounts[account]
            .handle(self.now_ms, fact)
            .map_err(|_| "a right call was called misuse")?;
        self.follow(account, plan)
    }

    fn follow(&mut self, account: usize, plan: AccountPlan) -> Outcome {
        self.report.facts += 1;
        if plan.wake_at_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
            return Err("a plan wakes in the past");
        }
        self.wakes[account] = plan.wake_at_ms;
        for order in plan.orders {
            self.obey(account, order)?;
        }
        for delivery in plan.deliveries {
            self.deliver(account, delivery)?;
        }
        Ok(())
    }

    fn session(&self, account: usize, key: SessionKey) -> usize {
        let at = self.sessions.iter().position(|one| (one.0, one.1) == (account, key));
        at.expect("a session of this account")
    }

    fn obey(&mut self, account: usize, order: Order) -> Outcome {
        if self.traced {
            println!("{:>12} {account} < {order:?}", self.now_ms);
        }
        match order {
            Order::FetchToken { request, force, .. } => self.fetch_token(account, request, force),
            Order::Open { ticket, session, .. } => self.open(account, ticket, session),
            Order::Send { ticket, bytes, sensitive } => {
                self.send(account, ticket, &bytes, sensitive)
            }
            Order::Pause { .. } => {
                self.refused_in_a_row.clear();
                Ok(())
            }
            Order::StartTls { .. } => Err("an upgrade where TLS is implicit"),
            Order::KeepAlive { ticket, .. } | Order::Probe { ticket, .. } => {
                self.ask(account, ticket)
            }
            Order::Close { ticket } => {
                if self.bug != Some(MailboxBug::NoClose) {
                    self.hang_up(account, ticket);
                }
                Ok(())
            }
        }
    }

    fn fetch_token(&mut self, account: usize, request: u64, force: bool) -> Outcome {
        self.report.asked_at_ms.push(self.now_ms);
        held_to(
            &self.report.asked_at_ms,
            self.now_ms,
            ASKS_PER_HOUR,
            "tokens are asked for too often",
        )?;
        // One that has no answer after a minute is given up.
        let open = self.asked_at_ms.is_some_and(|at_ms| self.now_ms < at_ms + MINUTE_MS);
        if open {
            return Err("a second request for a token");
        }
        self.asked_at_ms = Some(self.now_ms);
        let fresh = self.cached.as_ref().is_some_and(|(_, over_at_ms)| *over_at_ms > self.now_ms);
        if force || !fresh {
            self.cached = None;
        }
        match self.trouble {
            Trouble::TokensDown => {
                self.after(10, SECOND_MS, Event::NoToken(account, request, false))
            }
            Trouble::Revoked => self.after(10, SECOND_MS, Event::NoToken(account, request, true)),
            _ => self.after(10, 2 * SECOND_MS, Event::Token(account, request)),
        }
        Ok(())
    }

    fn give_token(&mut self, account: usize, request: u64) -> Outcome {
        self.asked_at_ms = None;
        if self.cached.is_none() {
            let wish = TokenRequest { octets: Some(32), ..TokenRequest::default() };
            let token = self.server.issue_token(self.now_ms, USER, wish);
            self.cached = Some((token, self.now_ms + HOUR_MS));
        }
        let (text, over_at_ms) = self.cached.clone().expect("a token");
        let token = AccessToken::new(&text).expect("a token of the server");
        let lives_ms = Some(over_at_ms.saturating_sub(self.now_ms));
        self.tell(account, Fact::Token { request, token, lives_ms })
    }

    fn open(&mut self, account: usize, ticket: u64, key: SessionKey) -> Outcome {
        let session = self.session(account, key);
        self.report.opened_at_ms.push(self.now_ms);
        let most = OPENS_PER_HOUR * self.sessions.len();
        held_to(&self.report.opened_at_ms, self.now_ms, most, "connections are opened too often")?;
        if !self.wanted[session] {
            return Err("a connection is opened that nobody wants");
        }
        if self.called[session] {
            return Err("a connection is opened although a person was called");
        }
        if self.known_limit.is_some_and(|most| self.sockets.len() >= most as usize) {
            return Err("more connections than are allowed");
        }
        if self.refused_in_a_row.len() >= 2 {
            return Err("a third login after two refusals");
        }
        let (peer, output) = self.server.open(self.now_ms, Protocol::Imap, Tls::Implicit);
        let socket = Socket { peer, session, logged_in_at_ms: None, given: false };
        self.sockets.insert((account, ticket), socket);
        if self.is_network_down() {
            self.after(10, 5 * SECOND_MS, Event::Ended(self.number(account, ticket)));
        } else {
            self.after(20, 300, Event::Opened(self.number(account, ticket)));
            if !output.send.is_empty() {
                let number = self.number(account, ticket);
                self.at(self.now_ms + 301, Event::Deliver(number, output.send));
            }
        }
        Ok(())
    }

    /// Account and ticket in one number, for events.
    fn number(&self, account: usize, ticket: u64) -> u64 {
        ticket * self.accounts.len() as u64 + account as u64
    }

    fn of_number(&self, number: u64) -> (usize, u64) {
        let count = self.accounts.len() as u64;
        ((number % count) as usize, number / count)
    }

    fn is_network_down(&self) -> bool {
        matches!(self.trouble, Trouble::NetworkDown | Trouble::NetworkSaidDown)
    }

    fn send(&mut self, account: usize, ticket: u64, bytes: &[u8], sensitive: bool) -> Outcome {
        let Some(socket) = self.sockets.get(&(account, ticket)).copied() else { return Ok(()) };
        let token = self.cached.as_ref().map(|(token, _)| token.clone()).unwrap_or_default();
        if sensitive && self.refused.contains(&token) {
            return Err("a refused token was sent");
        }
        if self.is_network_down() {
            return Ok(());
        }
        let output = self.server.receive(self.now_ms, socket.peer, bytes);
        let events = self.server.take_events();
        if events.iter().any(|event| event.what == "refused")
            && self.server.config.refuse == Some(Cause::TokenRejected)
        {
            self.refused_in_a_row.insert(token);
        }
        self.serve(socket.peer, &output);
        self.evict();
        Ok(())
    }

    /// A keep-alive or a probe: the mail client says NOOP.
    fn ask(&mut self, account: usize, ticket: u64) -> Outcome {
        let command = b"w1 NOOP\r\n";
        self.accounts[account].sent(ticket, command);
        self.send(account, ticket, command, false)
    }

    /// What the server does with a connection, after a time on the network.
    fn serve(&mut self, peer: u64, output: &Output) {
        let found = self.sockets.iter().find(|(_, socket)| socket.peer == peer);
        let Some((&(account, ticket), _)) = found else { return };
        let number = self.number(account, ticket);
        if !output.send.is_empty() {
            self.after(5, 300, Event::Deliver(number, output.send.clone()));
        }
        if output.next == Then::Close {
            self.after(301, 600, Event::Ended(number));
        }
    }

    /// One connection too many costs the oldest.
    fn evict(&mut self) {
        let Limit::Evicts(most) = self.limit else { return };
        let logged_in = |socket: &Socket| socket.logged_in_at_ms.is_some();
        while self.sockets.values().filter(|socket| logged_in(socket)).count() > most as usize {
            let oldest = self
                .sockets
                .iter()
                .filter(|(_, socket)| logged_in(socket))
                .min_by_key(|(_, socket)| socket.logged_in_at_ms)
                .map(|(key, _)| *key);
            let Some((account, ticket)) = oldest else { return };
            if let Some(socket) = self.sockets.get_mut(&(account, ticket)) {
                socket.logged_in_at_ms = None;
            }
            let words = b"* BYE Too many simultaneous connections\r\n".to_vec();
            self.after(5, 50, Event::Deliver(self.number(account, ticket), words));
        }
    }

    fn hang_up(&mut self, account: usize, ticket: u64) {
        if let Some(socket) = self.sockets.remove(&(account, ticket)) {
            self.server.closed(self.now_ms, socket.peer);
        }
    }

    // ---- The program ---------------------------------------------------------------------------------------------

    fn deliver(&mut self, account: usize, delivery: Delivery) -> Outcome {
        match delivery {
            Delivery::Give(given) => {
                let session = self.session(account, given.session);
                self.report.given += 1;
                let Some(socket) = self.sockets.get_mut(&(account, given.ticket)) else {
                    return Err("given, and not open");
                };
                socket.given = true;
                socket.logged_in_at_ms = Some(self.now_ms);
                self.evict();
                if std::mem::take(&mut self.wanted[session]) {
                    Ok(())
                } else {
                    Err("given, and nobody wanted it")
                }
            }
            Delivery::Renew { ticket, .. } => {
                self.after(0, 20 * SECOND_MS, Event::LetGo(self.number(account, ticket)));
                Ok(())
            }
            Delivery::Over { session, ticket, .. } => {
                let session = self.session(account, session);
                self.hang_up(account, ticket);
                self.after(0, SECOND_MS, Event::Want(session));
                Ok(())
            }
            Delivery::Raise(raise) => self.raised(account, raise.session, raise.kind),
            Delivery::End { .. } => Err("an end that nobody asked for"),
            Delivery::Event(event) => {
                if self.traced {
                    println!("{:>12} {account}   {event:?}", self.now_ms);
                }
                Ok(())
            }
        }
    }

    fn raised(&mut self, account: usize, key: SessionKey, kind: RaiseKind) -> Outcome {
        let session = self.session(account, key);
        if !std::mem::take(&mut self.wanted[session]) {
            return Err("raised, and nobody wanted anything");
        }
        if kind == RaiseKind::NeedsUser {
            self.report.called += 1;
            self.called[session] = true;
            if self.bug == Some(MailboxBug::NobodyCalled) {
                self.refused.clear();
                self.tell(account, Fact::Retry)?;
                self.after(0, SECOND_MS, Event::Want(session));
                return Ok(());
            }
            // The person comes late; the program asks now and then.
            let late_ms = if self.now_ms < FAULTS_END_MS { 6 * HOUR_MS } else { 10 * MINUTE_MS };
            if !std::mem::replace(&mut self.retry_is_near, true) {
                self.after(MINUTE_MS, late_ms, Event::Retry);
            }
            self.after(MINUTE_MS, 2 * HOUR_MS, Event::Want(session));
            return Ok(());
        }
        self.after(SECOND_MS, MINUTE_MS, Event::Want(session));
        Ok(())
    }

    // ---- What happens --------------------------------------------------------------------------------------------

    fn happen(&mut self, event: Event) -> Outcome {
        match event {
            Event::Want(session) => {
                let holds = self.sockets.values().any(|one| one.session == session && one.given);
                if self.wanted[session] || holds {
                    return Ok(());
                }
                self.wanted[session] = true;
                let (account, key, _) = self.sessions[session];
                self.tell(account, Fact::Want { session: key })
            }
            Event::LetGo(number) => {
                let (account, ticket) = self.of_number(number);
                let Some(socket) = self.sockets.get(&(account, ticket)).copied() else {
                    return Ok(());
                };
                self.tell(account, Fact::LetGo { ticket })?;
                self.hang_up(account, ticket);
                self.after(0, SECOND_MS, Event::Want(socket.session));
                Ok(())
            }
            Event::Retry => self.retry(),
            Event::Opened(number) => {
                let (account, ticket) = self.of_number(number);
                if !self.sockets.contains_key(&(account, ticket)) {
                    return Ok(());
                }
                self.tell(account, Fact::Opened { ticket })
            }
            Event::Ended(number) => {
                let (account, ticket) = self.of_number(number);
                let known = self.sockets.get(&(account, ticket)).copied();
                self.hang_up(account, ticket);
                let Some(socket) = known else { return Ok(()) };
                let is_new = socket.logged_in_at_ms.is_none() && !socket.given;
                let failure = (self.is_network_down() && is_new)
                    .then(|| Failure::of_connect("ENETUNREACH", "Network is unreachable"));
                self.tell(account, Fact::Ended { ticket, failure })
            }
            Event::Deliver(number, bytes) => self.came(number, &bytes),
            Event::Token(account, request) => self.give_token(account, request),
            Event::NoToken(account, request, permanent) => {
                self.asked_at_ms = None;
                let why = if permanent { NoToken::Permanent } else { NoToken::Outage };
                self.tell(account, Fact::NoToken { request, why, text: "invalid_grant".into() })
            }
            Event::Trouble => self.make_trouble(),
            Event::FaultsEnd => {
                self.trouble = Trouble::None;
                self.server.config.refuse = None;
                self.retry()
            }
        }
    }

    fn retry(&mut self) -> Outcome {
        self.called.fill(false);
        self.retry_is_near = false;
        self.refused_in_a_row.clear();
        for account in 0..self.accounts.len() {
            self.tell(account, Fact::Retry)?;
        }
        for session in 0..self.sessions.len() {
            self.after(0, SECOND_MS, Event::Want(session));
        }
        Ok(())
    }

    fn came(&mut self, number: u64, bytes: &[u8]) -> Outcome {
        let (account, ticket) = self.of_number(number);
        if !self.sockets.contains_key(&(account, ticket)) || self.is_network_down() {
            return Ok(());
        }
        let plan = self.accounts[account]
            .receive(self.now_ms, ticket, bytes)
            .map_err(|_| "a right call was called misuse")?;
        self.follow(account, plan)
    }

    fn make_trouble(&mut self) -> Outcome {
        if self.now_ms >= FAULTS_END_MS {
            return Ok(());
        }
        let before = self.trouble;
        if self.trouble == Trouble::None {
            self.trouble = TROUBLES[self.rng.usize(0..TROUBLES.len())];
            self.after(MINUTE_MS, 2 * HOUR_MS, Event::Trouble);
        } else {
            self.trouble = Trouble::None;
            self.after(MINUTE_MS, 3 * HOUR_MS, Event::Trouble);
        }
        if self.traced {
            println!("{:>12}   {:?}", self.now_ms, self.trouble);
        }
        self.server.config.refuse = match self.trouble {
            Trouble::Refuses(cause) => Some(cause),
            _ => None,
        };
        if before == Trouble::NetworkSaidDown {
            for account in 0..self.accounts.len() {
                self.tell(account, Fact::NetworkBack)?;
            }
        }
        self.strike()
    }

    fn strike(&mut self) -> Outcome {
        match self.trouble {
            Trouble::NetworkDown | Trouble::NetworkSaidDown => {
                if self.trouble == Trouble::NetworkSaidDown {
                    for account in 0..self.accounts.len() {
                        self.tell(account, Fact::NetworkLost)?;
                    }
                }
                let open: Vec<(usize, u64)> = self.sockets.keys().copied().collect();
                for (account, ticket) in open {
                    self.after(0, 30 * SECOND_MS, Event::Ended(self.number(account, ticket)));
                }
                Ok(())
            }
            Trouble::Slept => {
                let slept_ms = self.rng.u64(MINUTE_MS..3 * HOUR_MS);
                self.now_ms = (self.now_ms + slept_ms).min(FAULTS_END_MS);
                let _ = self.server.tick(self.now_ms);
                self.trouble = Trouble::None;
                for account in 0..self.accounts.len() {
                    self.tell(account, Fact::Slept { ms: slept_ms })?;
                }
                Ok(())
            }
            Trouble::Restart => self.restart(),
            Trouble::None | Trouble::TokensDown | Trouble::Revoked | Trouble::Refuses(_) => Ok(()),
        }
    }

    /// The program dies, and comes back with a snapshot.
    fn restart(&mut self) -> Outcome {
        self.trouble = Trouble::None;
        let open: Vec<(usize, u64)> = self.sockets.keys().copied().collect();
        for (account, ticket) in open {
            self.hang_up(account, ticket);
        }
        self.events = std::mem::take(&mut self.events)
            .into_iter()
            .filter(|Reverse((_, _, event))| {
                matches!(event, Event::Trouble | Event::FaultsEnd | Event::Retry)
            })
            .collect();
        self.asked_at_ms = None;
        let snapshots: Vec<Vec<u8>> =
            self.accounts.iter().map(|account| account.snapshot(self.now_ms)).collect();
        let dead_ms = self.rng.u64(SECOND_MS..HOUR_MS);
        self.now_ms += dead_ms;
        let config = AccountConfig { first_ms: None, ..AccountConfig::default() };
        self.accounts.clear();
        for snapshot in snapshots {
            let seed = self.rng.u64(..);
            let restored =
                Account::restore(config.clone(), &snapshot, self.now_ms, self.now_ms, seed);
            self.accounts.push(restored.expect("a snapshot of this program"));
        }
        for at in 0..self.sessions.len() {
            let account = self.sessions[at].0;
            let key =
                self.accounts[account].add(session_config(self.known_limit, self.ends_with_token));
            self.sessions[at].1 = key.expect("a configuration that works");
            self.wanted[at] = false;
            self.after(0, 5 * SECOND_MS, Event::Want(at));
        }
        self.wakes.fill(None);
        Ok(())
    }
}

/// At most so many in the last hour.
fn held_to(times: &[u64], now_ms: u64, most: usize, rule: &'static str) -> Outcome {
    let since = times.iter().rev().take_while(|at_ms| **at_ms + HOUR_MS >= now_ms).count();
    if since > most { Err(rule) } else { Ok(()) }
}

fn session_config(known_limit: Option<u32>, ends_with_token: bool) -> SessionConfig {
    let endpoint = Endpoint::new(Protocol::Imap, Tls::Implicit, "imap.example.test");
    let negotiation = NegotiationConfig::new(endpoint, Identity::new(USER));
    let limits =
        SessionLimits { ends_with_token, connections: known_limit, ..SessionLimits::default() };
    SessionConfig { limits, ..SessionConfig::new(negotiation) }
}
