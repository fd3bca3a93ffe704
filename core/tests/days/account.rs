//! An account of one, and a program that wants a connection whenever it has none.

use mailbearer::limits;
use mailbearer::{
    AccessToken, Account, AccountConfig, AccountPlan, Cause, Delivery, EventKind, Fact, Failure,
    Identity, NoToken, Order, Protocol, Provider, Raise, Renewal, SessionConfig, SessionKey,
};

use crate::world::{Answer, BYE, Counts, DAY_MS, HOUR_MS, LIMIT, MINUTE_MS, REFUSED, Source};

/// A program that is raised to asks again so soon.
const ASKS_AGAIN_MS: u64 = 1_000;

/// An account, its host, its program, and what was ordered when.
pub(crate) struct Day {
    pub(crate) account: Account,
    pub(crate) session: SessionKey,
    pub(crate) now_ms: u64,
    source: Source,
    answer: Box<dyn FnMut(u64) -> Answer>,
    tokens: u64,
    logins: u64,
    ticket: u64,
    ends: Option<(u64, Option<&'static str>)>,
    wants_at_ms: Option<u64>,
    wake_at_ms: Option<u64>,
    pub(crate) counts: Counts,
    pub(crate) raised: Vec<Raise>,
    warnings: Vec<String>,
    online_ms: u64,
    online_since_ms: Option<u64>,
    lives_ms: u64,
    /// What is still to be told.
    facts: Vec<Told>,
}

enum Told {
    Fact(Fact),
    Octets(String),
}

impl Day {
    pub(crate) fn new(source: Source, answer: impl FnMut(u64) -> Answer + 'static) -> Self {
        Self::of(|config| config, source, answer)
    }

    fn of(
        set: impl FnOnce(SessionConfig) -> SessionConfig,
        source: Source,
        answer: impl FnMut(u64) -> Answer + 'static,
    ) -> Self {
        let (provider, identity) = (Provider::gmail(), Identity::new("joe@gmail.com"));
        let config = SessionConfig::for_provider(&provider, Protocol::Imap, identity);
        let config = set(config.expect("a profile"));
        let policy = AccountConfig { keep_alive: false, ..AccountConfig::for_provider(&provider) };
        let mut account = Account::new(policy, 7).expect("a configuration");
        let session = account.add(config).expect("a configuration");
        Self {
            account,
            session,
            now_ms: 1,
            source,
            answer: Box::new(answer),
            tokens: 0,
            logins: 0,
            ticket: 0,
            ends: None,
            wants_at_ms: Some(1),
            wake_at_ms: None,
            counts: Counts::default(),
            raised: Vec::new(),
            warnings: Vec::new(),
            online_ms: 0,
            online_since_ms: None,
            lives_ms: DAY_MS,
            facts: Vec::new(),
        }
    }

    /// Lives it to its end, whatever is raised: the program asks again.
    pub(crate) fn live(&mut self) {
        while self.now_ms <= self.lives_ms {
            if !self.facts.is_empty() {
                let told = self.facts.remove(0);
                self.tell(told);
                continue;
            }
            let end_ms = self.ends.map_or(u64::MAX, |(at_ms, _)| at_ms);
            let (want_ms, wake_ms) =
                (self.wants_at_ms.unwrap_or(u64::MAX), self.wake_at_ms.unwrap_or(u64::MAX));
            let next_ms = end_ms.min(want_ms).min(wake_ms);
            if next_ms > self.lives_ms {
                break;
            }
            self.now_ms = next_ms.max(self.now_ms);
            let fact = if end_ms == next_ms {
                self.end()
            } else if want_ms == next_ms {
                self.wants_at_ms = None;
                Told::Fact(Fact::Want { session: self.session })
            } else {
                Told::Fact(Fact::Tick)
            };
            self.tell(fact);
        }
        self.now_ms = self.lives_ms;
        self.note_offline();
    }

    fn tell(&mut self, told: Told) {
        let plan = match told {
            Told::Fact(fact) => self.account.handle(self.now_ms, fact),
            Told::Octets(octets) => {
                self.account.receive(self.now_ms, self.ticket, octets.as_bytes())
            }
        };
        self.carry_out(plan.expect("a right call"));
    }

    fn carry_out(&mut self, plan: AccountPlan) {
        self.wake_at_ms = plan.wake_at_ms;
        for order in plan.orders {
            match order {
                Order::FetchToken { request, force, .. } => self.fetch(request, force),
                Order::Open { ticket, .. } => self.open(ticket),
                Order::Send { sensitive: true, .. } => self.log_in(),
                Order::Close { ticket } if ticket == self.ticket => {
                    self.note_offline();
                    self.facts.clear();
                }
                Order::Close { .. }
                | Order::Send { .. }
                | Order::StartTls { .. }
                | Order::Pause { .. }
                | Order::KeepAlive { .. }
                | Order::Probe { .. } => {}
            }
        }
        for delivery in plan.deliveries {
            match delivery {
                Delivery::Give(_) => self.online_since_ms = Some(self.now_ms),
                Delivery::Renew { ticket, .. } => {
                    self.note_offline();
                    self.facts.push(Told::Fact(Fact::LetGo { ticket }));
                    self.wants_at_ms = Some(self.now_ms);
                }
                Delivery::Over { .. } => {
                    self.note_offline();
                    self.wants_at_ms = Some(self.now_ms);
                }
                Delivery::Raise(raise) => {
                    self.raised.push(*raise);
                    self.wants_at_ms = Some(self.now_ms + ASKS_AGAIN_MS);
                }
                Delivery::Event(event) if event.kind == EventKind::Limited => {
                    self.warnings.push(event.text)
                }
                Delivery::End { .. } | Delivery::Event(_) => {}
            }
        }
    }

    fn fetch(&mut self, request: u64, force: bool) {
        self.now_ms += 100;
        self.counts.add("token", self.now_ms);
        if force {
            self.counts.add("refresh", self.now_ms);
        }
        let (text, life_ms) = match self.source {
            Source::New(life_ms) => {
                self.tokens += 1;
                (format!("token-{}", self.tokens), life_ms)
            }
            Source::Same(life_ms) => ("same".to_owned(), life_ms),
            Source::Fails => {
                let (why, text) = (NoToken::Outage, "no network".to_owned());
                self.facts.push(Told::Fact(Fact::NoToken { request, why, text }));
                return;
            }
        };
        let token = AccessToken::new(&text).expect("a token");
        self.facts.push(Told::Fact(Fact::Token { request, token, lives_ms: Some(life_ms) }));
    }

    fn open(&mut self, ticket: u64) {
        self.now_ms += 100;
        self.ticket = ticket;
        self.counts.add("connect", self.now_ms);
        if let Answer::Unreachable = (self.answer)(self.logins) {
            let failure = Some(Failure::of_host(Cause::Unreachable, "no route"));
            self.facts.push(Told::Fact(Fact::Ended { ticket, failure }));
            return;
        }
        self.facts.push(Told::Fact(Fact::Opened { ticket }));
        self.facts.push(Told::Octets("* OK Gimap ready\r\n".to_owned()));
    }

    fn log_in(&mut self) {
        let answer = (self.answer)(self.logins);
        self.logins += 1;
        self.counts.add("login", self.now_ms);
        if let Answer::Refuses(line) = answer {
            self.facts.push(Told::Octets(format!("A0001 {line}\r\n")));
            return;
        }
        self.ends = match answer {
            Answer::Ends(after_ms, words) => Some((self.now_ms + after_ms, Some(words))),
            Answer::Cuts(after_ms) => Some((self.now_ms + after_ms, None)),
            Answer::Lives | Answer::Refuses(_) | Answer::Unreachable => None,
        };
        self.facts.push(Told::Octets("A0001 OK in\r\n".to_owned()));
    }

    fn end(&mut self) -> Told {
        let (_, words) = self.ends.take().expect("an end");
        match words {
            Some(words) => Told::Octets(words.to_owned()),
            None => Told::Fact(Fact::Ended { ticket: self.ticket, failure: None }),
        }
    }

    fn note_offline(&mut self) {
        self.ends = None;
        let since_ms = self.online_since_ms.take();
        self.online_ms += since_ms.map_or(0, |since_ms| self.now_ms - since_ms);
    }

    pub(crate) fn most_in(&self, order: &str, window_ms: u64) -> u64 {
        self.counts.most_in(order, window_ms)
    }
}

#[test]
fn one_early_ending_costs_one_login() {
    let mut day = Day::new(Source::New(HOUR_MS), |login| {
        if login == 0 { Answer::Ends(2 * MINUTE_MS, BYE) } else { Answer::Lives }
    });
    day.live();
    day.counts.are_gentle("one early BYE");
    assert!(day.most_in("login", DAY_MS) <= 30, "{:?}", day.counts);
    assert!(day.online_ms > DAY_MS / 100 * 99, "{}", day.online_ms);
    assert!(day.raised.is_empty());
}

#[test]
fn a_limit_after_a_minute_is_not_forgiven_each_time() {
    let mut day = Day::new(Source::New(HOUR_MS), |_| Answer::Ends(61_000, LIMIT));
    day.live();
    day.counts.are_gentle("[LIMIT] at 61 s");
}

#[test]
fn a_wait_of_a_millisecond_is_not_taken_at_its_word() {
    for (name, words) in [
        ("throttled", "BAD Request is throttled. Suggested Backoff Time: 1 milliseconds"),
        ("unavailable", "NO [UNAVAILABLE] try again in 1 ms"),
    ] {
        let mut day = Day::new(Source::New(HOUR_MS), move |_| Answer::Refuses(words));
        day.live();
        day.counts.are_gentle(name);
    }
}

#[test]
fn tokens_of_a_second_lead_to_a_login_a_minute_and_then_to_fewer_and_to_a_warning() {
    for (name, answer) in [("cut", Answer::Cuts(1_000)), ("not enforced", Answer::Lives)] {
        let mut day = Day::new(Source::New(1_000), move |_| answer);
        day.live();
        day.counts.are_gentle(name);
        assert!(day.most_in("login", 10 * MINUTE_MS) <= 4 + 10, "{name}");
        let warning = "tokens live for 1000 ms here: logins are held back to one in 60000 ms, and then to fewer";
        assert_eq!(day.warnings, [warning], "{name}");
    }
}

#[test]
fn a_connection_that_works_is_not_let_go_for_a_login_that_cannot_be() {
    let mut day = Day::new(Source::New(1_000), |_| Answer::Lives);
    day.live();
    // The four at once and what their logins take.
    assert!(day.online_ms + MINUTE_MS > DAY_MS, "offline for {} ms", DAY_MS - day.online_ms);
}

#[test]
fn tokens_of_a_second_are_renewed_at_once_where_a_test_says_so() {
    let quick = |config| SessionConfig { login_interval_ms: 1, ..config };
    let mut day = Day::of(quick, Source::New(1_000), |_| Answer::Cuts(1_000));
    day.lives_ms = HOUR_MS / 6;
    day.live();
    assert!(day.most_in("login", MINUTE_MS) >= 40, "{}", day.most_in("login", MINUTE_MS));
    assert!(day.warnings.is_empty());
}

#[test]
fn refusals_with_logins_between_them_stop_after_six_in_a_day() {
    let mut day = Day::new(Source::New(HOUR_MS), |login| {
        if login % 2 == 0 { Answer::Ends(61_000, BYE) } else { Answer::Refuses(REFUSED) }
    });
    day.live();
    day.counts.are_gentle("OK, BYE, NO in turn");
    assert_eq!(day.most_in("login", DAY_MS), 12);
    let last = day.raised.last().expect("a stop");
    assert_eq!(last.failure.cause, Cause::TokenRejected);
    assert!(last.failure.detail.contains("the sixth one in a day"), "{}", last.failure);
}

#[test]
fn a_source_that_hands_back_the_same_token_is_asked_seldom() {
    let ends: [(&str, Answer); 4] = [
        ("lives", Answer::Lives),
        ("ended each hour", Answer::Ends(HOUR_MS, BYE)),
        ("ended early", Answer::Ends(61_000, BYE)),
        ("refused", Answer::Refuses(REFUSED)),
    ];
    for (name, answer) in ends {
        for life_ms in [1_000, HOUR_MS] {
            let mut day = Day::new(Source::Same(life_ms), move |_| answer);
            day.live();
            day.counts.are_gentle(name);
        }
    }
}

#[test]
fn no_server_and_no_source_leads_to_more_than_the_budget() {
    let answers: [(&str, Answer); 9] = [
        ("cut at once", Answer::Cuts(0)),
        ("cut after a minute", Answer::Cuts(61_000)),
        ("cut after five minutes", Answer::Cuts(5 * MINUTE_MS)),
        ("ended after five minutes", Answer::Ends(5 * MINUTE_MS, BYE)),
        ("ended after ten minutes", Answer::Ends(10 * MINUTE_MS, BYE)),
        ("unavailable after two minutes", Answer::Ends(2 * MINUTE_MS, "* BYE [UNAVAILABLE] x\r\n")),
        ("locked out", Answer::Refuses("NO [AUTHENTICATIONFAILED] x (#YMP001)")),
        ("refused", Answer::Refuses("NO [SERVERBUG] x")),
        ("unreachable", Answer::Unreachable),
    ];
    for renewal in [Renewal::Ahead, Renewal::AtEnd] {
        for source in [
            Source::New(1_000),
            Source::New(5 * MINUTE_MS),
            Source::New(HOUR_MS),
            Source::Same(5 * MINUTE_MS),
            Source::Fails,
        ] {
            for (name, answer) in answers {
                let set = |config| SessionConfig { renewal, ..config };
                let mut day = Day::of(set, source, move |_| answer);
                day.live();
                day.counts.keep(name);
            }
        }
    }
}

#[test]
fn the_budget_is_what_the_documentation_says() {
    let [hour, day] = [60, 24 * 60].map(|minutes| {
        [limits::CONNECTIONS, limits::LOGINS, limits::TOKENS, limits::REFRESHES]
            .map(|allowance| allowance.most(minutes))
    });
    let least = [60, 24 * 60].map(|minutes| limits::LOGINS.most_without_sessions(minutes));
    let text = include_str!("../../../docs/life-of-an-account.md");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for sentence in [
        format!(
            "{} connections and {} logins in an hour, {} and {} in a day",
            hour[0], hour[1], day[0], day[1]
        ),
        format!("{} and {} logins where no session lasts", least[0], least[1]),
        format!(
            "{} requests for tokens that a cache may answer and {} past it in an hour, {} and {} in a day",
            hour[2], hour[3], day[2], day[3]
        ),
    ] {
        assert!(text.contains(&sentence), "{sentence}");
    }
}

#[test]
fn the_budget_outlives_the_process() {
    let mut day = Day::new(Source::New(1_000), |_| Answer::Cuts(1_000));
    day.live();
    let snapshot = day.account.snapshot(day.now_ms);
    let restored = Account::restore(AccountConfig::default(), &snapshot, 5, day.now_ms, 1);
    let mut again = Day::new(Source::New(1_000), |_| Answer::Cuts(1_000));
    again.account = restored.expect("its own snapshot");
    let identity = Identity::new("joe@gmail.com");
    let config = SessionConfig::for_provider(&Provider::gmail(), Protocol::Imap, identity);
    again.session = again.account.add(config.expect("a profile")).expect("a session");
    again.lives_ms = HOUR_MS;
    again.live();
    assert!(again.most_in("login", HOUR_MS) <= 2, "{:?}", again.counts);
}
