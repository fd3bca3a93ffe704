//! A short history of an account: a world of moves, each of which is one fact. Whoever explores chooses among the moves
//! that can come next; the rules are held in every state.
#![allow(
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "two sessions, and text that the machine wrote"
)]

use std::collections::{BTreeMap, BTreeSet};

use mailbearer::{
    AccessToken, Account, AccountConfig, AccountPlan, Delivery, Endpoint, Fact, Failure, Identity,
    NegotiationConfig, NoToken, Order, Protocol, RaiseKind, Renewal, SessionConfig, SessionKey,
    SessionLimits, Standing, Tls,
};

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

const USER: &str = "joe@example.test";

/// The longest time in which a world that answers well brings every session online: two doubled waits for a place, and
/// the longest wait for a limit of the rate.
const GOOD_WORLD_MS: u64 = 8 * HOUR_MS;

/// Facts of a world that answers well, from any state.
const GOOD_WORLD_STEPS: usize = 400;

const IMAP_GREETING: &str =
    "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER] ready\r\n";

/// What an account is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// IMAP and POP3.
    TwoProtocols,
    /// Two IMAP sessions where one connection is allowed.
    OnePlace,
    /// IMAP that overlaps, and another IMAP session, where three connections are allowed.
    Overlap,
}

impl Setting {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::TwoProtocols, Self::OnePlace, Self::Overlap];

    fn sessions(self) -> [(Protocol, Renewal); 2] {
        match self {
            Self::TwoProtocols => {
                [(Protocol::Imap, Renewal::Ahead), (Protocol::Pop3, Renewal::Ahead)]
            }
            Self::OnePlace => [(Protocol::Imap, Renewal::Ahead), (Protocol::Imap, Renewal::Ahead)],
            Self::Overlap => [(Protocol::Imap, Renewal::Overlap), (Protocol::Imap, Renewal::Ahead)],
        }
    }

    fn limit(self) -> u32 {
        match self {
            Self::TwoProtocols | Self::OnePlace => 1,
            Self::Overlap => 3,
        }
    }
}

/// Where histories begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// Nothing has happened yet.
    Nothing,
    /// The first login is under way, and has sent its token.
    UnderWay,
    /// It was refused, and the next one has sent another token.
    Refused,
    /// The program has its connections, as far as there is a place for them.
    Online,
    /// The same, and a token for a renewal is asked for.
    NearTheEnd,
    /// That token has come, and the renewal is under way.
    Renewing,
}

impl Opening {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Nothing,
        Self::UnderWay,
        Self::Refused,
        Self::Online,
        Self::NearTheEnd,
        Self::Renewing,
    ];
}

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Move {
    /// The program.
    Want(u32),
    /// Likewise.
    NoLonger(u32),
    /// Likewise.
    LetGo(u64),
    /// Likewise.
    Retry,
    /// A person, or the system.
    Slept,
    /// Likewise.
    NetworkLost,
    /// Likewise.
    NetworkBack,
    /// The timer.
    Tick,
    /// The token source.
    NewToken,
    /// Likewise: the one that it gave last.
    SameToken,
    /// Likewise.
    NoToken(NoToken),
    /// The network.
    Opened(u64),
    /// Likewise.
    Failed(u64, Fault),
    /// The server.
    Says(u64, Word),
}

impl Move {
    fn is_welcome(self) -> bool {
        matches!(self, Self::Says(_, Word::Welcome))
    }
}

/// What goes wrong with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Nothing listens.
    Refused,
    /// The network does not lead there.
    Unreachable,
    /// The certificate is wrong.
    Certificate,
    /// The stream ends.
    End,
}

/// What a server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// The greeting, and in POP3 the capabilities.
    Hello,
    /// The login worked.
    Welcome,
    /// The token is refused.
    Refusal,
    /// There are too many connections.
    TooMany,
    /// The rate is limited, and a wait asked for.
    Throttled,
    /// The session's time is over.
    Expired,
    /// A person is needed in a browser.
    WebLogin,
    /// An older connection makes place for a newer.
    Evicted,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Link {
    Opening,
    Opened,
    TokenSent,
    Online,
}

/// An account, and what can be known of it from outside.
#[derive(Debug)]
pub struct History {
    setting: Setting,
    account: Account,
    keys: [SessionKey; 2],
    now_ms: u64,
    wake_at_ms: Option<u64>,
    links: BTreeMap<u64, (usize, Link)>,
    given: BTreeMap<u64, usize>,
    wanted: [bool; 2],
    /// A person was called for, and nobody has said `Retry` since.
    called: [bool; 2],
    request: Option<u64>,
    tokens: u32,
    refused: BTreeSet<String>,
    refused_in_a_row: BTreeSet<String>,
    /// When the announced life of each token is over.
    over_at_ms: BTreeMap<String, u64>,
    /// What each connection was opened with, as far as it was sent.
    sent: BTreeMap<u64, String>,
    /// What was seen.
    pub transitions: BTreeSet<(Standing, Standing)>,
}

type Outcome = Result<(), String>;

impl History {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(setting: Setting) -> Self {
        let config = AccountConfig { keep_alive: false, ..AccountConfig::default() };
        let mut account = Account::new(config, 7).expect("a configuration that works");
        let keys = setting.sessions().map(|(protocol, renewal)| {
            let endpoint = Endpoint::new(protocol, Tls::Implicit, "mail.example.test");
            let negotiation = NegotiationConfig::new(endpoint, Identity::new(USER));
            let limits = SessionLimits {
                ends_with_token: true,
                connections: Some(setting.limit()),
                ..SessionLimits::default()
            };
            let session = SessionConfig { renewal, limits, ..SessionConfig::new(negotiation) };
            account.add(session).expect("a configuration that works")
        });
        Self {
            setting,
            account,
            keys,
            now_ms: 1,
            wake_at_ms: None,
            links: BTreeMap::new(),
            given: BTreeMap::new(),
            wanted: [false; 2],
            called: [false; 2],
            request: None,
            tokens: 0,
            refused: BTreeSet::new(),
            refused_in_a_row: BTreeSet::new(),
            over_at_ms: BTreeMap::new(),
            sent: BTreeMap::new(),
            transitions: BTreeSet::new(),
        }
    }

    /// The moves that lead to where a history begins.
    #[must_use]
    pub fn prelude(setting: Setting, opening: Opening) -> Vec<Move> {
        let mut history = Self::new(setting);
        let mut moves = Vec::new();
        while let Some(one) = history.towards(opening) {
            history.play(one).expect("a prelude keeps the rules");
            moves.push(one);
        }
        moves
    }

    /// The next move on that way.
    fn towards(&self, opening: Opening) -> Option<Move> {
        let good = self.good_move([false; 2]);
        // Where there is one place, the other waits.
        let most = if self.setting == Setting::OnePlace { 1 } else { 2 };
        let is_online = self.given.len() == most;
        match opening {
            Opening::Nothing => None,
            Opening::UnderWay => good.filter(|one| !one.is_welcome()),
            Opening::Refused => match good {
                Some(Move::Says(ticket, Word::Welcome)) if self.refused.is_empty() => {
                    Some(Move::Says(ticket, Word::Refusal))
                }
                other => other.filter(|one| !one.is_welcome()),
            },
            Opening::Online | Opening::NearTheEnd | Opening::Renewing if !is_online => good,
            Opening::Online => None,
            Opening::NearTheEnd => self.request.is_none().then_some(Move::Tick),
            Opening::Renewing if self.tokens < 2 => {
                Some(if self.request.is_none() { Move::Tick } else { Move::NewToken })
            }
            // What overlaps opens a third connection.
            Opening::Renewing if self.setting == Setting::Overlap => {
                let next = self.good_move([true; 2]).unwrap_or(Move::Tick);
                Some(next).filter(|one| !one.is_welcome())
            }
            Opening::Renewing => None,
        }
    }

    /// Everything that can come next.
    #[must_use]
    pub fn moves(&self) -> Vec<Move> {
        let mut moves = vec![Move::Retry, Move::Slept, Move::NetworkLost, Move::NetworkBack];
        for (at, wanted) in (0..).zip(self.wanted) {
            moves.push(if wanted { Move::NoLonger(at) } else { Move::Want(at) });
        }
        moves.extend(self.given.keys().map(|ticket| Move::LetGo(*ticket)));
        moves.extend(self.wake_at_ms.map(|_| Move::Tick));
        if self.request.is_some() {
            moves.push(Move::NewToken);
            moves.extend((self.tokens > 0).then_some(Move::SameToken));
            moves.extend(NoToken::ALL.iter().map(|why| Move::NoToken(*why)));
        }
        for (ticket, (_, link)) in &self.links {
            let says = |word: Word| Move::Says(*ticket, word);
            let fails = |fault: Fault| Move::Failed(*ticket, fault);
            match link {
                Link::Opening => {
                    moves.push(Move::Opened(*ticket));
                    moves.extend([Fault::Refused, Fault::Unreachable].map(fails));
                    moves.push(fails(Fault::Certificate));
                }
                Link::Opened => moves.extend([says(Word::Hello), fails(Fault::End)]),
                Link::TokenSent => {
                    moves.push(fails(Fault::End));
                    moves.extend([Word::Welcome, Word::Refusal].map(says));
                    moves.extend([Word::TooMany, Word::Throttled].map(says));
                }
                Link::Online => {
                    moves.push(fails(Fault::End));
                    if self.given.contains_key(ticket) {
                        moves.extend([Word::Expired, Word::WebLogin, Word::Evicted].map(says));
                    }
                }
            }
        }
        moves
    }

    /// Lets one thing happen.
    ///
    /// # Errors
    /// The rule that was broken.
    pub fn play(&mut self, one: Move) -> Outcome {
        match one {
            Move::Want(at) => {
                self.wanted[at as usize] = true;
                self.tell(Fact::Want { session: self.keys[at as usize] })
            }
            Move::NoLonger(at) => {
                self.wanted[at as usize] = false;
                self.tell(Fact::NoLonger { session: self.keys[at as usize] })
            }
            Move::LetGo(ticket) => {
                self.given.remove(&ticket);
                self.tell(Fact::LetGo { ticket })
            }
            Move::Retry => {
                self.called = [false; 2];
                self.refused.clear();
                self.refused_in_a_row.clear();
                self.tell(Fact::Retry)
            }
            Move::Slept => {
                self.now_ms += 2 * MINUTE_MS;
                self.tell(Fact::Slept { ms: 2 * MINUTE_MS })
            }
            Move::NetworkLost => self.tell(Fact::NetworkLost),
            Move::NetworkBack => self.tell(Fact::NetworkBack),
            Move::Tick => {
                self.now_ms = self.wake_at_ms.unwrap_or(self.now_ms).max(self.now_ms);
                self.tell(Fact::Tick)
            }
            Move::NewToken => {
                self.tokens += 1;
                self.give_token()
            }
            Move::SameToken => self.give_token(),
            Move::NoToken(why) => {
                let request = self.request.take().ok_or("nobody asked")?;
                self.tell(Fact::NoToken { request, why, text: "invalid_grant".into() })
            }
            Move::Opened(ticket) => {
                self.set(ticket, Link::Opened);
                self.tell(Fact::Opened { ticket })
            }
            Move::Failed(ticket, fault) => {
                self.links.remove(&ticket);
                self.tell(Fact::Ended { ticket, failure: failure(fault) })
            }
            Move::Says(ticket, word) => self.say(ticket, word),
        }
    }

    fn give_token(&mut self) -> Outcome {
        let request = self.request.take().ok_or("nobody asked")?;
        let text = format!("token{}", self.tokens);
        let over_at_ms =
            *self.over_at_ms.entry(text.clone()).or_insert(self.now_ms.saturating_add(HOUR_MS));
        let token = AccessToken::new(&text).expect("a token");
        let lives_ms = Some(over_at_ms.saturating_sub(self.now_ms));
        self.tell(Fact::Token { request, token, lives_ms })
    }

    fn set(&mut self, ticket: u64, link: Link) {
        if let Some(one) = self.links.get_mut(&ticket) {
            one.1 = link;
        }
    }

    fn say(&mut self, ticket: u64, word: Word) -> Outcome {
        let (at, _) = *self.links.get(&ticket).ok_or("no such connection")?;
        let (protocol, _) = self.setting.sessions()[at];
        if matches!(word, Word::Refusal)
            && let Some(token) = self.sent.get(&ticket)
        {
            self.refused.insert(token.clone());
            self.refused_in_a_row.insert(token.clone());
        }
        for octets in spoken(protocol, word) {
            let before = self.standings();
            let plan = self.account.receive(self.now_ms, ticket, octets.as_bytes());
            self.follow(plan.map_err(|misuse| misuse.to_string())?)?;
            self.note_transitions(before)?;
        }
        Ok(())
    }

    fn tell(&mut self, fact: Fact) -> Outcome {
        let before = self.standings();
        let plan = self.account.handle(self.now_ms, fact).map_err(|misuse| misuse.to_string())?;
        self.follow(plan)?;
        self.note_transitions(before)
    }

    fn standings(&self) -> [Option<Standing>; 2] {
        self.keys.map(|key| self.account.standing(key))
    }

    fn note_transitions(&mut self, before: [Option<Standing>; 2]) -> Outcome {
        for (before, after) in before.into_iter().zip(self.standings()) {
            let (Some(before), Some(after)) = (before, after) else { continue };
            if before != after {
                self.transitions.insert((before, after));
                if !mailbearer::ACCOUNT_TRANSITIONS.contains(&(before, after)) {
                    return Err(format!("{before} to {after} is not in the table"));
                }
            }
        }
        Ok(())
    }

    // ---- The rules -----------------------------------------------------------------------------------------------

    fn follow(&mut self, plan: AccountPlan) -> Outcome {
        for order in &plan.orders {
            self.order(order)?;
        }
        for delivery in &plan.deliveries {
            self.deliver(delivery)?;
        }
        if plan.wake_at_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
            return Err("a plan wakes in the past".into());
        }
        self.wake_at_ms = plan.wake_at_ms;
        if self.wanted.contains(&true) && plan.wake_at_ms.is_none() {
            self.somebody_waits_for_something()?;
        }
        Ok(())
    }

    /// Who waits without a timer waits for an answer of the host, or for another to let go.
    fn somebody_waits_for_something(&self) -> Outcome {
        if self.request.is_some() || !self.links.is_empty() {
            return Ok(());
        }
        Err("somebody waits, and nothing is ever done about it".into())
    }

    fn order(&mut self, order: &Order) -> Outcome {
        match order {
            Order::FetchToken { request, .. } => {
                // One that did not answer in time is given up.
                self.request = Some(*request);
                Ok(())
            }
            Order::Open { ticket, session, .. } => self.opens(*ticket, *session),
            Order::Send { ticket, bytes, sensitive } => {
                if *sensitive {
                    self.token_leaves(*ticket, bytes)
                } else {
                    Ok(())
                }
            }
            Order::Pause { ticket } => {
                self.refused_in_a_row.clear();
                self.set(*ticket, Link::Online);
                Ok(())
            }
            Order::Close { ticket } => {
                let known = self.links.remove(ticket).is_some();
                if known { Ok(()) } else { Err("what is not open is closed".into()) }
            }
            Order::StartTls { .. } => Err("an upgrade where TLS is implicit".into()),
            Order::KeepAlive { ticket, .. } | Order::Probe { ticket, .. } => {
                let given = self.given.contains_key(ticket);
                if given { Ok(()) } else { Err("what the program has not is probed".into()) }
            }
        }
    }

    fn opens(&mut self, ticket: u64, session: SessionKey) -> Outcome {
        let at = self.at(session);
        let (protocol, renewal) = self.setting.sessions()[at];
        let held = self.given.values().any(|owner| *owner == at);
        let renews = renewal == Renewal::Overlap && held;
        if !(self.wanted[at] || renews) {
            return Err("a connection is opened that nobody wants".into());
        }
        if self.called[at] {
            return Err("a connection is opened behind a stop".into());
        }
        self.links.insert(ticket, (at, Link::Opening));
        let open = self.links.values();
        let open = open.filter(|(owner, _)| self.setting.sessions()[*owner].0 == protocol).count();
        if open > self.setting.limit() as usize {
            return Err("more connections than are allowed".into());
        }
        let of_session = self.links.values().filter(|(owner, _)| *owner == at).count();
        let most = if renewal == Renewal::Overlap { 2 } else { 1 };
        if of_session > most {
            return Err("a second connection of one session".into());
        }
        Ok(())
    }

    fn token_leaves(&mut self, ticket: u64, bytes: &[u8]) -> Outcome {
        let said = from_base64(bytes);
        let carries = |text: &&String| said.contains(&format!("auth=Bearer {text}\u{1}"));
        let token = self.over_at_ms.keys().find(carries).ok_or("a token that nobody gave")?.clone();
        if self.refused.contains(&token) {
            return Err("a refused token was sent".into());
        }
        if self.refused_in_a_row.len() >= 2 {
            return Err("a third login after two refusals".into());
        }
        if self.over_at_ms.get(&token).is_some_and(|at_ms| self.now_ms >= *at_ms) {
            return Err("a token was sent whose life is over".into());
        }
        self.sent.insert(ticket, token);
        self.set(ticket, Link::TokenSent);
        Ok(())
    }

    fn deliver(&mut self, delivery: &Delivery) -> Outcome {
        match delivery {
            Delivery::Give(given) => {
                let at = self.at(given.session);
                if !std::mem::take(&mut self.wanted[at]) {
                    return Err("given, and nobody wanted it".into());
                }
                if !matches!(self.links.get(&given.ticket), Some((_, Link::Online))) {
                    return Err("given, and not alive".into());
                }
                let others = self.given.values().filter(|owner| **owner == at).count();
                if others > usize::from(self.setting.sessions()[at].1 == Renewal::Overlap) {
                    return Err("given a second time".into());
                }
                self.given.insert(given.ticket, at);
                Ok(())
            }
            Delivery::Raise(raise) => {
                let at = self.at(raise.session);
                if raise.kind == RaiseKind::NeedsUser {
                    self.called[at] = true;
                }
                if std::mem::take(&mut self.wanted[at]) {
                    Ok(())
                } else {
                    Err("raised, and nobody wanted anything".into())
                }
            }
            Delivery::Over { ticket, .. } => {
                if self.given.remove(ticket).is_none() {
                    return Err("over, and not given".into());
                }
                if self.links.contains_key(ticket) {
                    return Err("over, and open still".into());
                }
                Ok(())
            }
            Delivery::Renew { ticket, .. } => {
                let given = self.given.contains_key(ticket);
                if given { Ok(()) } else { Err("renewed, and not given".into()) }
            }
            Delivery::End { .. } => Err("an end that nobody asked for".into()),
            Delivery::Event(_) => Ok(()),
        }
    }

    fn at(&self, session: SessionKey) -> usize {
        usize::from(session == self.keys[1])
    }

    // ---- A world that answers well -------------------------------------------------------------------------------

    /// From here on everything works, a program wants a connection of each session, and a person acts when called: each
    /// gets one, and all is closed in the end.
    ///
    /// # Errors
    /// Which session does not get there, or a rule that was broken.
    pub fn good_world(mut self) -> Outcome {
        let until_ms = self.now_ms + GOOD_WORLD_MS;
        let mut served = [false; 2];
        for _ in 0..GOOD_WORLD_STEPS {
            for (ticket, at) in self.given.clone() {
                served[at] = true;
                self.play(Move::LetGo(ticket))?;
            }
            if served == [true; 2] {
                return self.close();
            }
            if let Some(one) = self.good_move(served) {
                self.play(one)?;
            } else if self.wake_at_ms.is_some_and(|at_ms| at_ms <= until_ms) {
                self.play(Move::Tick)?;
            } else {
                break;
            }
        }
        Err(format!("a good world does not serve all: {served:?}"))
    }

    fn good_move(&self, served: [bool; 2]) -> Option<Move> {
        if self.called.contains(&true) || self.standings().contains(&Some(Standing::Stopped)) {
            return Some(Move::Retry);
        }
        let unwanted = (0..2_u32).find(|at| {
            let at = *at as usize;
            !self.wanted[at] && !served[at] && !self.given.values().any(|owner| *owner == at)
        });
        if let Some(at) = unwanted {
            return Some(Move::Want(at));
        }
        if self.request.is_some() {
            return Some(Move::NewToken);
        }
        self.links.iter().find_map(|(ticket, (_, link))| match link {
            Link::Opening => Some(Move::Opened(*ticket)),
            Link::Opened => Some(Move::Says(*ticket, Word::Hello)),
            Link::TokenSent => Some(Move::Says(*ticket, Word::Welcome)),
            Link::Online => None,
        })
    }

    fn close(mut self) -> Outcome {
        let plan =
            self.account.handle(self.now_ms, Fact::Close).map_err(|misuse| misuse.to_string())?;
        for order in &plan.orders {
            self.order(order)?;
        }
        if plan.wake_at_ms.is_some() {
            return Err("closed, and wants to be woken".into());
        }
        if self.links.is_empty() { Ok(()) } else { Err("closed, and something is open".into()) }
    }

    // ---- Equal states --------------------------------------------------------------------------------------------

    /// A text that is the same for two states that differ in nothing but chance: numbers are counted from the last one,
    /// times from now, and to within a factor of two, for waits are at random.
    #[must_use]
    pub fn key(&self) -> String {
        let mut names = Names::default();
        let account = names.without_chance(&format!("{:?}", self.account), self.now_ms);
        let tickets: Vec<_> = self.links.values().collect();
        let given: Vec<_> = self.given.values().collect();
        let refused: Vec<u32> = (0..=self.tokens)
            .rev()
            .filter(|one| self.refused.contains(&format!("token{one}")))
            .map(|one| self.tokens - one)
            .collect();
        format!(
            "{account} {tickets:?} {given:?} {:?} {:?} {} {refused:?} {}",
            self.wanted,
            self.called,
            self.request.is_some(),
            self.refused_in_a_row.len()
        )
    }
}

/// What the last word of a line says in base64.
fn from_base64(line: &[u8]) -> String {
    let word = line.trim_ascii_end().rsplit(|octet| *octet == b' ').next().unwrap_or_default();
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = word.iter().filter_map(|octet| alphabet.iter().position(|one| one == octet));
    let (mut bits, mut count, mut octets) = (0_usize, 0_u32, Vec::new());
    for digit in digits {
        bits = (bits << 6 | digit) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            octets.push((bits >> count & 0xff) as u8);
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}

fn failure(fault: Fault) -> Option<Failure> {
    match fault {
        Fault::Refused => Some(Failure::of_connect("ECONNREFUSED", "")),
        Fault::Unreachable => Some(Failure::of_connect("ENETUNREACH", "")),
        Fault::Certificate => Some(Failure::of_tls("CERTIFICATE_VERIFY_FAILED", "")),
        Fault::End => None,
    }
}

fn spoken(protocol: Protocol, word: Word) -> &'static [&'static str] {
    let is_imap = protocol == Protocol::Imap;
    match word {
        Word::Hello if is_imap => &[IMAP_GREETING],
        Word::Hello => &["+OK ready\r\n", "+OK\r\nSASL XOAUTH2 OAUTHBEARER\r\n.\r\n"],
        Word::Welcome if is_imap => &["A0001 OK in\r\n"],
        Word::Welcome => &["+OK in\r\n"],
        Word::Refusal if is_imap => &["A0001 NO [AUTHENTICATIONFAILED] Invalid credentials\r\n"],
        Word::Refusal => &["-ERR [AUTH] Invalid credentials\r\n"],
        Word::TooMany if is_imap => &["A0001 NO [ALERT] Too many simultaneous connections.\r\n"],
        Word::TooMany => &["-ERR [IN-USE] Too many simultaneous connections\r\n"],
        Word::Throttled if is_imap => {
            &["A0001 BAD Request is throttled. Suggested Backoff Time: 92415 milliseconds\r\n"]
        }
        Word::Throttled => {
            &["-ERR Request is throttled. Suggested Backoff Time: 92415 milliseconds\r\n"]
        }
        Word::Expired if is_imap => &["* BYE Session expired, please login again.\r\n"],
        Word::Expired => &["-ERR Session expired, please login again.\r\n"],
        Word::WebLogin if is_imap => &["* BYE [ALERT] Web login required\r\n"],
        Word::WebLogin => &["-ERR [ALERT] Web login required\r\n"],
        Word::Evicted if is_imap => &["* BYE Too many simultaneous connections\r\n"],
        Word::Evicted => &["-ERR Too many simultaneous connections\r\n"],
    }
}

/// Fields that hold a time on the host's clock.
const TIMES: [&str; 12] = [
    "now_ms",
    "wake_at_ms",
    "full_at_ms",
    "cooling_until_ms",
    "wait_until_ms",
    "until_ms",
    "server_wait_until_ms",
    "throttled_until_ms",
    "struck_at_ms",
    "retry_at_ms",
    "by_ms",
    "deadline_ms",
];

/// Likewise, further ones.
const MORE_TIMES: [&str; 13] = [
    "since_ms",
    "at_ms",
    "prepare_at_ms",
    "let_go_by_ms",
    "renewing_until_ms",
    "received_at_ms",
    "expires_at_ms",
    "token_expires_at_ms",
    "lost_until_ms",
    "back_at_ms",
    "heard_at_ms",
    "next_at_ms",
    "told_ms",
];

/// Fields that hold a number which only grows.
const COUNTERS: [&str; 7] =
    ["ticket", "tickets", "request", "requests", "turn", "turns", "generation"];

/// Fields that hold a number which names a token.
const FINGERPRINTS: [&str; 3] = ["fingerprint", "refused", "other_than"];

/// Numbers in the order in which they are first met.
#[derive(Debug, Default)]
struct Names(Vec<u64>);

impl Names {
    fn without_chance(&mut self, text: &str, now_ms: u64) -> String {
        let mut plain = String::with_capacity(text.len());
        let mut field = "";
        let mut rest = text;
        while let Some(at) = rest.find(|one: char| one.is_ascii_alphanumeric() || one == '_') {
            plain.push_str(&rest[..at]);
            rest = &rest[at..];
            let end = rest
                .find(|one: char| !(one.is_ascii_alphanumeric() || one == '_'))
                .unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            rest = behind;
            if let Ok(number) = word.parse::<u64>() {
                plain.push_str(&self.spelled(field, number, now_ms));
            } else {
                plain.push_str(word);
                if behind.starts_with(": ") {
                    field = word;
                }
            }
        }
        plain.push_str(rest);
        plain
    }

    fn spelled(&mut self, field: &str, number: u64, now_ms: u64) -> String {
        if TIMES.contains(&field) || MORE_TIMES.contains(&field) {
            return match number.checked_sub(now_ms) {
                Some(left_ms) => format!("+{}", u64::BITS - left_ms.leading_zeros()),
                None if number == 0 => "0".into(),
                None => format!("-{}", u64::from(now_ms - number >= MINUTE_MS)),
            };
        }
        if field == "generation" {
            return u64::from(number > 0).to_string();
        }
        if COUNTERS.contains(&field) {
            return "n".into();
        }
        if FINGERPRINTS.contains(&field) {
            let known = self.0.iter().position(|one| *one == number);
            let at = known.unwrap_or_else(|| {
                self.0.push(number);
                self.0.len() - 1
            });
            return format!("f{at}");
        }
        match field {
            "rng" | "seed" | "of_day" => "?".into(),
            "failures" | "strikes" => number.min(4).to_string(),
            _ => number.to_string(),
        }
    }
}
