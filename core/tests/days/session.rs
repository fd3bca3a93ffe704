//! A bare session.

use mailbearer::limits::{self, Allowance};
use mailbearer::{
    AccessToken, Action, Cause, Identity, Input, Plan, Protocol, Provider, Renewal, Session,
    SessionConfig, SessionPhase,
};

use crate::world::{Answer, BYE, Counts, DAY_MS, HOUR_MS, LIMIT, MINUTE_MS, REFUSED, Source};

/// A session, its host, and what was ordered when.
struct Day {
    session: Session,
    now_ms: u64,
    source: Source,
    answer: Box<dyn FnMut(u64) -> Answer>,
    tokens: u64,
    logins: u64,
    ticket: u64,
    /// When the session that is online is ended by the server, and how.
    ends: Option<(u64, Option<&'static str>)>,
    orders: Counts,
    online_ms: u64,
    online_since_ms: Option<u64>,
    lives_ms: u64,
}

impl Day {
    fn new(source: Source, answer: impl FnMut(u64) -> Answer + 'static) -> Self {
        Self::of(|config| config, source, answer)
    }

    fn of(
        set: impl FnOnce(SessionConfig) -> SessionConfig,
        source: Source,
        answer: impl FnMut(u64) -> Answer + 'static,
    ) -> Self {
        let identity = Identity::new("joe@gmail.com");
        let config = SessionConfig::for_provider(&Provider::gmail(), Protocol::Imap, identity);
        let config = set(config.expect("a profile"));
        Self {
            session: Session::new(config, 7).expect("a configuration"),
            now_ms: 1,
            source,
            answer: Box::new(answer),
            tokens: 0,
            logins: 0,
            ticket: 0,
            ends: None,
            orders: Counts::default(),
            online_ms: 0,
            online_since_ms: None,
            lives_ms: DAY_MS,
        }
    }

    /// Lives it to its end, or until the session stops: what stopped it.
    fn live(&mut self) -> Option<Cause> {
        let mut plan = self.handle(Input::Start);
        loop {
            for action in plan.actions.clone() {
                match self.obey(&action) {
                    Some(next) => plan = next,
                    None => continue,
                }
                break;
            }
            if let SessionPhase::NeedsUser | SessionPhase::GaveUp = self.session.phase() {
                return self.session.status().last_failure.map(|failure| failure.cause);
            }
            if !plan.actions.is_empty() && plan.actions.iter().any(is_to_do) {
                continue;
            }
            let wake_ms = plan.wake_at_ms.unwrap_or(u64::MAX);
            let end_ms = self.ends.map_or(u64::MAX, |(at_ms, _)| at_ms);
            self.now_ms = wake_ms.min(end_ms).max(self.now_ms);
            if self.now_ms > self.lives_ms {
                self.note_offline();
                return None;
            }
            plan = if end_ms <= wake_ms { self.end() } else { self.handle(Input::Tick) };
        }
    }

    fn handle(&mut self, input: Input) -> Plan {
        self.session.handle(self.now_ms, input).expect("a right call")
    }

    /// Carries an order out; the plan that its answer leads to.
    fn obey(&mut self, action: &Action) -> Option<Plan> {
        match action {
            Action::FetchToken { request, force_refresh, .. } => {
                self.count("token");
                if *force_refresh {
                    self.count("refresh");
                }
                Some(self.give(*request))
            }
            Action::Connect { ticket, .. } => {
                self.count("connect");
                self.ticket = *ticket;
                Some(self.log_in(*ticket))
            }
            Action::Renew { ticket, .. } => {
                self.note_offline();
                Some(self.handle(Input::Drained { ticket: *ticket }))
            }
            Action::Close { .. } => {
                self.note_offline();
                None
            }
            Action::Send { .. }
            | Action::StartTls { .. }
            | Action::Online { .. }
            | Action::NeedsUser(_)
            | Action::GiveUp(_) => None,
        }
    }

    fn give(&mut self, request: u64) -> Plan {
        self.now_ms += 100;
        let (text, life_ms) = match self.source {
            Source::New(life_ms) => {
                self.tokens += 1;
                (format!("token-{}", self.tokens), life_ms)
            }
            Source::Same(life_ms) => ("same".to_owned(), life_ms),
            Source::Fails => return self.handle(Input::TokenFailed { request, permanent: false }),
        };
        let token = AccessToken::new(&text).expect("a token");
        self.handle(Input::Token { request, token, expires_in_ms: Some(life_ms) })
    }

    fn log_in(&mut self, ticket: u64) -> Plan {
        self.now_ms += 100;
        let answer = (self.answer)(self.logins);
        if let Answer::Unreachable = answer {
            let cause = Some(Cause::Unreachable);
            return self.handle(Input::Ended { ticket, last_line: None, cause });
        }
        let _ = self.handle(Input::Connected { ticket });
        let plan = self.receive("* OK Gimap ready\r\n");
        if !plan.actions.iter().any(|action| matches!(action, Action::Send { sensitive: true, .. }))
        {
            return plan;
        }
        self.logins += 1;
        self.count("login");
        if let Answer::Refuses(line) = answer {
            return self.receive(&format!("A0001 {line}\r\n"));
        }
        self.online_since_ms = Some(self.now_ms);
        self.ends = match answer {
            Answer::Ends(after_ms, words) => Some((self.now_ms + after_ms, Some(words))),
            Answer::Cuts(after_ms) => Some((self.now_ms + after_ms, None)),
            Answer::Lives | Answer::Refuses(_) | Answer::Unreachable => None,
        };
        self.receive("A0001 OK in\r\n")
    }

    fn end(&mut self) -> Plan {
        let (_, words) = self.ends.take().expect("an end");
        self.note_offline();
        match words {
            Some(words) => self.receive(words),
            None => {
                let ticket = self.ticket;
                self.handle(Input::Ended { ticket, last_line: None, cause: None })
            }
        }
    }

    fn receive(&mut self, text: &str) -> Plan {
        self.session.receive(self.now_ms, self.ticket, text.as_bytes()).expect("a right call")
    }

    fn note_offline(&mut self) {
        self.ends = None;
        let since_ms = self.online_since_ms.take();
        self.online_ms += since_ms.map_or(0, |since_ms| self.now_ms - since_ms);
    }

    fn count(&mut self, order: &'static str) {
        self.orders.add(order, self.now_ms);
    }

    fn most_in(&self, order: &str, window_ms: u64) -> u64 {
        self.orders.most_in(order, window_ms)
    }

    fn keeps(&self, name: &str) {
        self.orders.keep(name);
    }

    fn is_gentle(&self, name: &str) {
        self.orders.are_gentle(name);
    }
}

fn is_to_do(action: &Action) -> bool {
    matches!(action, Action::FetchToken { .. } | Action::Connect { .. } | Action::Renew { .. })
}

#[test]
fn one_early_ending_costs_one_login() {
    let mut day = Day::new(Source::New(HOUR_MS), |login| {
        if login == 0 { Answer::Ends(2 * MINUTE_MS, BYE) } else { Answer::Lives }
    });
    assert_eq!(day.live(), None);
    day.is_gentle("one early BYE");
    assert!(day.most_in("login", DAY_MS) <= 30, "{:?}", day.orders);
    assert!(day.online_ms > DAY_MS / 100 * 99, "{}", day.online_ms);
}

#[test]
fn a_limit_after_a_minute_is_not_forgiven_each_time() {
    let mut day = Day::new(Source::New(HOUR_MS), |_| Answer::Ends(61_000, LIMIT));
    assert_eq!(day.live(), None);
    day.is_gentle("[LIMIT] at 61 s");
}

#[test]
fn a_wait_of_a_millisecond_is_not_taken_at_its_word() {
    let throttled = "BAD Request is throttled. Suggested Backoff Time: 1 milliseconds";
    let mut day = Day::new(Source::New(HOUR_MS), move |_| Answer::Refuses(throttled));
    assert_eq!(day.live(), None);
    day.is_gentle("try again in 1 ms");
    let mut day =
        Day::new(Source::New(HOUR_MS), |_| Answer::Refuses("NO [UNAVAILABLE] try again in 1 ms"));
    assert_eq!(day.live(), None);
    day.is_gentle("unavailable, try again in 1 ms");
}

#[test]
fn tokens_of_a_second_lead_to_a_login_a_minute_and_then_to_fewer_and_to_a_warning() {
    for (name, answer) in [("cut", Answer::Cuts(1_000)), ("not enforced", Answer::Lives)] {
        let mut day = Day::new(Source::New(1_000), move |_| answer);
        assert_eq!(day.live(), None);
        day.is_gentle(name);
        assert!(day.most_in("login", 10 * MINUTE_MS) <= 4 + 10, "{name}");
        let failure = day.session.status().last_failure.expect("a warning");
        assert_eq!(failure.cause, Cause::TokenExpired);
        assert_eq!(
            failure.detail,
            "tokens live for 1000 ms here: logins are held back to one in 60000 ms, and then to fewer"
        );
    }
}

#[test]
fn tokens_of_a_second_are_renewed_at_once_where_a_test_says_so() {
    let quick = |config| SessionConfig { login_interval_ms: 1, ..config };
    let mut day = Day::of(quick, Source::New(1_000), |_| Answer::Cuts(1_000));
    day.lives_ms = HOUR_MS / 6;
    assert_eq!(day.live(), None);
    assert!(day.most_in("login", MINUTE_MS) >= 40, "{}", day.most_in("login", MINUTE_MS));
    assert_eq!(day.session.status().last_failure, None);
}

#[test]
fn refusals_with_logins_between_them_stop_after_six_in_a_day() {
    let mut day = Day::new(Source::New(HOUR_MS), |login| {
        if login % 2 == 0 { Answer::Ends(61_000, BYE) } else { Answer::Refuses(REFUSED) }
    });
    assert_eq!(day.live(), Some(Cause::TokenRejected));
    day.is_gentle("OK, BYE, NO in turn");
    assert_eq!(day.most_in("login", DAY_MS), 12);
    let detail = day.session.status().last_failure.expect("a stop").detail;
    assert!(detail.contains("the sixth one in a day"), "{detail}");
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
            let _ = day.live();
            day.is_gentle(name);
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
    for renewal in [Renewal::Ahead, Renewal::AtEnd, Renewal::Overlap] {
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
                let _ = day.live();
                day.keeps(name);
            }
        }
    }
}

#[test]
fn the_budget_is_what_the_documentation_says() {
    let most = |allowance: Allowance| {
        (allowance.most_without_sessions(60), allowance.most_without_sessions(24 * 60))
    };
    assert_eq!(most(limits::LOGINS), (21, 60));
    assert_eq!(most(limits::REFRESHES), (21, 60));
    assert_eq!((limits::LOGINS.most(60), limits::LOGINS.most(24 * 60)), (34, 349));
    assert_eq!((limits::CONNECTIONS.most(60), limits::CONNECTIONS.most(24 * 60)), (54, 744));
}

#[test]
fn a_server_that_ends_sessions_after_twenty_minutes_is_learnt_tried_again_and_unlearnt() {
    let mut day = Day::new(Source::New(HOUR_MS), |login| {
        if login < 12 { Answer::Ends(20 * MINUTE_MS, BYE) } else { Answer::Lives }
    });
    assert_eq!(day.live(), None);
    day.keeps("twenty minutes");
    assert_eq!(day.session.status().learnt.session_ms, None, "a trial outlived it");
}

#[test]
fn the_budget_outlives_the_process() {
    let mut day = Day::new(Source::New(1_000), |_| Answer::Cuts(1_000));
    assert_eq!(day.live(), None);
    let snapshot = day.session.snapshot();
    let identity = Identity::new("joe@gmail.com");
    let config = SessionConfig::for_provider(&Provider::gmail(), Protocol::Imap, identity);
    let mut again =
        Session::restore(config.expect("a profile"), &snapshot, 5, 1).expect("its own snapshot");
    let plan = again.handle(5, Input::Tick).expect("a right call");
    assert!(plan.actions.is_empty(), "a process that crashes begins with no new budget: {plan:?}");
    assert!(plan.wake_at_ms.is_some_and(|at_ms| at_ms > MINUTE_MS), "{plan:?}");
}
