//! The world around an account: two to twenty sessions of one mailbox over IMAP, POP3 and SMTP, a server that refuses, evicts
//! or is hostile, a token endpoint, a network, and a person who comes back late.
//!
//! | file | what |
//! |---|---|
//! | `rules.rs` | what must hold, and the mistakes that are planted |
//! | `host.rs` | the host: orders |
//! | `server.rs` | server and network, and what goes wrong |
//! | `program.rs` | the program and its person |
#![allow(
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a world that cannot go on ends the test"
)]

mod host;
mod program;
mod rules;
mod server;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use mailbearer::testing::{Cut, Flavour, Server, ServerConfig};
use mailbearer::{
    Account, AccountConfig, Cause, Endpoint, Fact, Identity, NegotiationConfig, Protocol,
    SessionConfig, SessionKey, SessionLimits, Tls,
};

pub use rules::{MailboxBug, Rule};

use crate::checks::Broken;
use server::{HOSTILE, Hostile};

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// What a world lives for.
const LIFE_MS: u64 = 24 * HOUR_MS;
/// From then on nothing fails any more.
const FAULTS_END_MS: u64 = 16 * HOUR_MS;

const USER: &str = "joe@gmail.com";

/// Until then a connection that has silently died was noticed: 9 minutes of silence, and the time for an answer.
const NOTICED_MS: u64 = 10 * MINUTE_MS;

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
    /// What is online dies, and nobody says so.
    Vanishes,
}

const TROUBLES: [Trouble; 10] = [
    Trouble::NetworkDown,
    Trouble::NetworkSaidDown,
    Trouble::TokensDown,
    Trouble::Revoked,
    Trouble::Refuses(Cause::RateLimited),
    Trouble::Refuses(Cause::TokenRejected),
    Trouble::Refuses(Cause::Unavailable),
    Trouble::Slept,
    Trouble::Restart,
    Trouble::Vanishes,
];

#[derive(Debug, Clone, Copy, Default)]
struct Socket {
    /// The server's number for it.
    peer: u64,
    session: usize,
    logged_in_at_ms: Option<u64>,
    given: bool,
    /// Its login was counted.
    counted: bool,
    /// Since when nothing gets through any more.
    dead_since_ms: Option<u64>,
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
    /// The token source needs a person: nothing is opened for anybody.
    is_called: bool,
    retried_at_ms: Vec<u64>,
    /// Of each session.
    logins: Vec<Vec<u64>>,
    hostile: Option<Hostile>,
    /// The server asked that no login over IMAP comes before this time.
    throttled_until_ms: u64,
    /// When the server last began to refuse.
    limited_at_ms: u64,
    /// The machine has just slept, and not for long.
    naps: bool,
    /// When something must have been tried, for the network is back.
    due_ms: Option<u64>,
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
        // POP3 allows one session at a time, and two of SMTP are many.
        let pop3 = rng.usize(0..2);
        let smtp = rng.usize(0..3).min(count - 1 - pop3.min(count - 1));
        let protocols: Vec<Protocol> = (0..count)
            .map(|at| match at {
                0 => Protocol::Imap,
                at if at <= pop3 => Protocol::Pop3,
                at if at <= pop3 + smtp => Protocol::Smtp,
                _ => Protocol::Imap,
            })
            .collect();
        let most = rng.u32(1..=16);
        let limits = [Limit::None, Limit::Refuses(most), Limit::Evicts(most)];
        // The server of the tests counts all protocols together when it refuses.
        let limit = match limits[rng.usize(0..3)] {
            Limit::Refuses(most) if pop3 + smtp > 0 => Limit::Evicts(most),
            limit => limit,
        };
        let known_limit = rng.bool().then_some(most);
        let mut world = Self::with(seed, &protocols, limit, known_limit, true, bug);
        let ends = Event::FaultsEnd;
        world.at(FAULTS_END_MS, ends);
        let first_ms = world.rng.u64(MINUTE_MS..2 * HOUR_MS);
        world.at(first_ms, Event::Trouble);
        world.server.config.flavour = Flavour::ALL[world.rng.usize(0..Flavour::ALL.len())];
        if world.rng.u8(0..4) == 0 {
            world.hostile = Some(HOSTILE[world.rng.usize(0..HOSTILE.len())]);
        }
        world
    }

    /// A world without troubles, whose sessions outlive their tokens: so many at a server that does this with one too many.
    #[must_use]
    pub fn quiet(seed: u64, count: usize, limit: Limit) -> Self {
        Self::with(seed, &vec![Protocol::Imap; count], limit, None, false, None)
    }

    fn with(
        seed: u64,
        protocols: &[Protocol],
        limit: Limit,
        known_limit: Option<u32>,
        ends_with_token: bool,
        bug: Option<MailboxBug>,
    ) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x5eed);
        let shares = !matches!(bug, Some(MailboxBug::Apart(_)));
        let count = protocols.len();
        let accounts = if shares { 1 } else { count };
        let config = account_config(bug);
        let new = |seed| Account::new(config.clone(), seed).expect("a configuration that works");
        let mut accounts: Vec<Account> = (0..accounts).map(|_| new(rng.u64(..))).collect();
        let sessions: Vec<_> = protocols
            .iter()
            .enumerate()
            .map(|(at, protocol)| {
                let account = if shares { 0 } else { at };
                let config = session_config(*protocol, known_limit, ends_with_token, bug);
                let key = accounts.get_mut(account).expect("one").add(config);
                (account, key.expect("a configuration that works"), *protocol)
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
            is_called: false,
            retried_at_ms: Vec::new(),
            logins: vec![Vec::new(); sessions.len()],
            hostile: None,
            throttled_until_ms: 0,
            limited_at_ms: 0,
            naps: false,
            due_ms: None,
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
        let imap = self.sessions.iter().filter(|one| one.2 == Protocol::Imap).count();
        let expected = match self.hostile {
            // A server that stated limits all day is not tried with more than it let live.
            Some(Hostile::Limits(_)) => 1,
            Some(_) | None => allowed.min(imap) + self.sessions.len() - imap,
        };
        let under_way = self.sockets.values().filter(|socket| !socket.given).count();
        let resting =
            self.events.iter().filter(|Reverse((_, _, event))| matches!(event, Event::Want(_)));
        let there = self.report.online + under_way + resting.count();
        // One place is left for an hour where the limit was met in a bad moment.
        if there + 1 >= expected {
            Ok(())
        } else {
            self.breaks_another("not online again although nothing fails any more")
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
        self.see_silence()?;
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

fn account_config(bug: Option<MailboxBug>) -> AccountConfig {
    let default = AccountConfig { first_ms: None, ..AccountConfig::default() };
    AccountConfig {
        keep_alive: bug != Some(MailboxBug::NoKeepAlive),
        unprobed_nap_ms: if bug == Some(MailboxBug::NapsKill) {
            1
        } else {
            default.unprobed_nap_ms
        },
        ..default
    }
}

fn session_config(
    protocol: Protocol,
    known_limit: Option<u32>,
    ends_with_token: bool,
    bug: Option<MailboxBug>,
) -> SessionConfig {
    let endpoint = Endpoint::new(protocol, Tls::Implicit, "mail.example.test");
    let negotiation = NegotiationConfig::new(endpoint, Identity::new(USER));
    let connections = known_limit.filter(|_| protocol == Protocol::Imap);
    let limits = SessionLimits { ends_with_token, connections, ..SessionLimits::default() };
    let mut config = SessionConfig { limits, ..SessionConfig::new(negotiation) };
    if bug == Some(MailboxBug::NoBudget) {
        config.login_interval_ms = 1;
    }
    config
}
