//! A fleet of mailboxes for 24 simulated hours: what it costs, and how many of them reconnect at the same time.
//!
//! `bench-fleet SESSIONS jitter|same-seed`: every session is a `mailbearer::Session` for IMAP at Gmail, with tokens of an hour. All start within
//! the first minute, evenly, and the host obeys the plans: tokens come after 200 ms, connections after 100 ms, the login at once,
//! nothing fails, and a session that is to be renewed is let go at once. With the same seed for all sessions nothing is
//! left to chance: what jitter spreads stays together.
//!
//! Each core runs a part of the fleet, for sessions know nothing of each other.
#![allow(clippy::expect_used, reason = "a benchmark of known inputs")]

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::thread;
use std::time::Instant;

use mailbearer::{
    AccessToken, Action, Identity, Input, Plan, Protocol, Provider, Session, SessionConfig,
};
use mailbearer_bench::{peak_kib, process_cpu};
use serde_json::json;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
const START_MS: u64 = 60 * 1_000;
const TOKEN_MS: u64 = 200;
const CONNECT_MS: u64 = 100;
const TOKEN_LIFETIME_MS: u64 = 3_600_000;
const TOKEN_OCTETS: usize = 200;

/// Logins are counted in tenths of a second; ten of them in a row are a second.
const TICK_MS: u64 = 100;
const TICKS_OF_A_SECOND: usize = 10;

const GREETING: &[u8] = b"* OK Gimap ready for requests from 192.0.2.1 a1mb2\r\n";
const VERDICT: &[u8] = b"* CAPABILITY IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 UIDPLUS \
    COMPRESS=DEFLATE ENABLE MOVE CONDSTORE ESEARCH UTF8=ACCEPT LIST-EXTENDED LIST-STATUS LITERAL- SPECIAL-USE \
    APPENDLIMIT=35651584\r\nA0001 OK joe@gmail.com authenticated (Success)\r\n";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [sessions, seeds] = arguments.as_slice() else { usage() };
    let Ok(sessions) = sessions.parse() else { usage() };
    match seeds.as_str() {
        "jitter" => run("jitter", sessions, |number| number),
        "same-seed" => run("no jitter: the same seed for all", sessions, |_| 1),
        _ => usage(),
    }
}

fn usage() -> ! {
    eprintln!("usage: bench-fleet SESSIONS jitter|same-seed");
    std::process::exit(1)
}

/// Runs a fleet in parts, and prints what it cost.
fn run(name: &str, sessions: u64, seed: fn(u64) -> u64) {
    eprintln!("A day of {sessions} sessions, {name}");
    let parts = thread::available_parallelism().map_or(1, usize::from) as u64;
    let (begun, cpu_before) = (Instant::now(), process_cpu());
    let mut fleet = Tally::default();
    thread::scope(|scope| {
        let share = |part: u64| (0..sessions).filter(move |number| number % parts == part);
        let threads: Vec<_> = (0..parts)
            .map(|part| scope.spawn(move || Part::new(sessions, share(part), seed).live()))
            .collect();
        for thread in threads {
            fleet.add(thread.join().expect("a part that ends"));
        }
    });
    let line = json!({
        "part": "fleet", "language": "rust", "client": name, "measure": "day", "sessions": sessions,
        "online_at_end": fleet.online, "logins": fleet.logins,
        "ended_by_expiry": fleet.expired, "cpu_s": (process_cpu() - cpu_before).as_secs_f64(), "wall_s": begun.elapsed().as_secs_f64(),
        "peak_kib": peak_kib(), "start_per_second": fleet.busiest(0, START_MS + 2_000),
        "reconnects_per_second": fleet.busiest(START_MS + 2_000, DAY_MS),
        "mean_per_second": fleet.after(START_MS + 2_000) as f64 / ((DAY_MS - START_MS) as f64 / 1e3),
    });
    println!("{line}");
}

/// What a part of the fleet did.
#[derive(Default)]
struct Tally {
    online: u64,
    logins: u64,
    expired: u64,
    /// Logins in each tenth of a second of the day.
    ticks: Vec<u32>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.online += other.online;
        self.logins += other.logins;
        self.expired += other.expired;
        self.ticks.resize(other.ticks.len(), 0);
        for (sum, count) in self.ticks.iter_mut().zip(other.ticks) {
            *sum += count;
        }
    }

    fn between(&self, from_ms: u64, to_ms: u64) -> impl Iterator<Item = u32> {
        let (from, to) = ((from_ms / TICK_MS) as usize, (to_ms / TICK_MS) as usize);
        self.ticks.iter().copied().take(to).skip(from)
    }

    fn after(&self, from_ms: u64) -> u64 {
        self.between(from_ms, DAY_MS).map(u64::from).sum()
    }

    /// The greatest number of logins in any second.
    fn busiest(&self, from_ms: u64, to_ms: u64) -> u32 {
        let mut window: VecDeque<u32> = VecDeque::new();
        let (mut sum, mut most) = (0, 0);
        for count in self.between(from_ms, to_ms) {
            window.push_back(count);
            sum += count;
            if window.len() > TICKS_OF_A_SECOND {
                sum -= window.pop_front().unwrap_or_default();
            }
            most = most.max(sum);
        }
        most
    }
}

/// What is going to happen to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Start,
    Wake,
    Token(u64),
    Connected(u64),
}

type Event = (u64, usize, What);

struct Mailbox {
    session: Session,
    wake_at_ms: Option<u64>,
    /// When the server would end it.
    expires_at_ms: u64,
    /// Gives each token its own spelling.
    tokens: u32,
}

struct Part {
    mailboxes: Vec<Mailbox>,
    /// What happens in the second that is being lived through.
    now: BinaryHeap<Reverse<Event>>,
    /// What happens later, by its second.
    seconds: Vec<Vec<Event>>,
    second: usize,
    /// What all tokens begin with.
    padding: String,
    tally: Tally,
}

impl Part {
    fn new(sessions: u64, share: impl Iterator<Item = u64>, seed: fn(u64) -> u64) -> Self {
        let identity = Identity::new("joe@gmail.com");
        let config = SessionConfig::for_provider(&Provider::gmail(), Protocol::Imap, identity)
            .expect("a configuration");
        let mut part = Self {
            mailboxes: Vec::new(),
            now: BinaryHeap::new(),
            seconds: vec![Vec::new(); (DAY_MS / 1_000) as usize],
            second: 0,
            padding: "t".repeat(TOKEN_OCTETS - 8),
            tally: Tally { ticks: vec![0; (DAY_MS / TICK_MS) as usize], ..Tally::default() },
        };
        for (index, number) in share.enumerate() {
            let session = Session::new(config.clone(), seed(number)).expect("a session");
            part.mailboxes.push(Mailbox {
                session,
                wake_at_ms: None,
                expires_at_ms: u64::MAX,
                tokens: 0,
            });
            part.expect((number * START_MS / sessions, index, What::Start));
        }
        part
    }

    fn expect(&mut self, event: Event) {
        let second = (event.0 / 1_000) as usize;
        if second <= self.second {
            self.now.push(Reverse(event));
        } else if let Some(later) = self.seconds.get_mut(second) {
            later.push(event);
        }
    }

    fn live(mut self) -> Tally {
        for second in 0..self.seconds.len() {
            self.second = second;
            let events = self.seconds.get_mut(second).map(std::mem::take).unwrap_or_default();
            self.now.extend(events.into_iter().map(Reverse));
            while let Some(Reverse(event)) = self.now.pop() {
                self.happens(event);
            }
        }
        let online =
            |mailbox: &&Mailbox| mailbox.session.phase() == mailbearer::SessionPhase::Online;
        self.tally.online = self.mailboxes.iter().filter(online).count() as u64;
        self.tally
    }

    fn happens(&mut self, (now_ms, index, what): Event) {
        let Some(mailbox) = self.mailboxes.get_mut(index) else { return };
        let input = match what {
            What::Start => Input::Start,
            What::Wake if mailbox.wake_at_ms == Some(now_ms) => Input::Tick,
            // The plan was replaced by another.
            What::Wake => return,
            What::Token(request) => {
                mailbox.tokens += 1;
                let token = format!("{}{:08}", self.padding, mailbox.tokens);
                let token = AccessToken::new(&token).expect("a token");
                Input::Token { request, token, expires_in_ms: Some(TOKEN_LIFETIME_MS) }
            }
            What::Connected(ticket) => {
                let plan = self.tell(now_ms, index, Input::Connected { ticket });
                self.obey(now_ms, index, plan);
                for read in [GREETING, VERDICT] {
                    let plan = self.receive(now_ms, index, ticket, read);
                    self.obey(now_ms, index, plan);
                }
                return;
            }
        };
        let plan = self.tell(now_ms, index, input);
        self.obey(now_ms, index, plan);
    }

    fn tell(&mut self, now_ms: u64, index: usize, input: Input) -> Plan {
        let mailbox = self.mailboxes.get_mut(index).expect("a mailbox");
        mailbox.session.handle(now_ms, input).expect("an input that fits")
    }

    fn receive(&mut self, now_ms: u64, index: usize, ticket: u64, read: &[u8]) -> Plan {
        let mailbox = self.mailboxes.get_mut(index).expect("a mailbox");
        mailbox.session.receive(now_ms, ticket, read).expect("a read that fits")
    }

    /// Carries out a plan, and the one that replaces it where that is told something at once.
    fn obey(&mut self, now_ms: u64, index: usize, mut plan: Plan) {
        loop {
            let mut next = None;
            for action in std::mem::take(&mut plan.actions) {
                match action {
                    Action::FetchToken { request, .. } => {
                        self.expect((now_ms + TOKEN_MS, index, What::Token(request)));
                    }
                    Action::Connect { ticket, .. } => {
                        self.expect((now_ms + CONNECT_MS, index, What::Connected(ticket)));
                    }
                    Action::Renew { ticket, .. } => {
                        next = Some(self.tell(now_ms, index, Input::Drained { ticket }));
                    }
                    Action::Online { .. } => self.online(now_ms, index),
                    Action::Send { .. } | Action::Close { .. } => {}
                    Action::StartTls { .. } | Action::NeedsUser(_) | Action::GiveUp(_) => {
                        unreachable!("nothing fails")
                    }
                }
            }
            let Some(replaced) = next else { break };
            plan = replaced;
        }
        let mailbox = self.mailboxes.get_mut(index).expect("a mailbox");
        if mailbox.wake_at_ms != plan.wake_at_ms {
            mailbox.wake_at_ms = plan.wake_at_ms;
            if let Some(wake_at_ms) = plan.wake_at_ms {
                self.expect((wake_at_ms, index, What::Wake));
            }
        }
    }

    fn online(&mut self, now_ms: u64, index: usize) {
        self.tally.logins += 1;
        if let Some(count) = self.tally.ticks.get_mut((now_ms / TICK_MS) as usize) {
            *count += 1;
        }
        let mailbox = self.mailboxes.get_mut(index).expect("a mailbox");
        // The server would have ended the one before.
        self.tally.expired += u64::from(now_ms > mailbox.expires_at_ms);
        mailbox.expires_at_ms = now_ms + TOKEN_LIFETIME_MS;
    }
}
