//! The session through its public calls: rules 7 to 11 of the design, one test each.
#![allow(clippy::expect_used, clippy::panic, reason = "a test")]

use mailbearer::{
    AccessToken, Action, Advice, Aftermath, Cause, Endpoint, Identity, Input, Learnt, Login,
    Misuse, NegotiationConfig, Plan, Protocol, Provider, RenewWhy, Renewal, Session, SessionConfig,
    SessionPhase, Tls, TokenNeed, WakeReason,
};

const HOUR_MS: u64 = 3_600_000;

/// A session and the host that carries out its orders, with a clock of its own.
struct World {
    session: Session,
    now_ms: u64,
    tokens: u32,
}

fn config(protocol: Protocol) -> SessionConfig {
    SessionConfig::for_provider(&Provider::gmail(), protocol, Identity::new("joe@gmail.com"))
        .expect("a profile")
}

impl World {
    fn new(config: SessionConfig) -> Self {
        Self {
            session: Session::new(config, 7).expect("a configuration"),
            now_ms: 1_000,
            tokens: 0,
        }
    }

    fn handle(&mut self, input: Input) -> Plan {
        let plan = self.session.handle(self.now_ms, input).expect("a right call");
        assert!(plan.wake_at_ms.is_none_or(|at_ms| at_ms > self.now_ms), "{plan:?}");
        plan
    }

    fn receive(&mut self, ticket: u64, text: &str) -> Plan {
        self.session.receive(self.now_ms, ticket, text.as_bytes()).expect("a right call")
    }

    /// Goes on to the time that the plan asks for.
    fn sleep(&mut self, plan: &Plan) -> Plan {
        self.now_ms = plan.wake_at_ms.expect("a time to wake");
        self.handle(Input::Tick)
    }

    /// Answers the order for a token with a new one.
    fn token(&mut self, plan: &Plan) -> Plan {
        self.tokens += 1;
        let text = format!("token-{}", self.tokens);
        self.give(plan, &text, Some(HOUR_MS))
    }

    fn give(&mut self, plan: &Plan, text: &str, expires_in_ms: Option<u64>) -> Plan {
        let token = AccessToken::new(text).expect("a token");
        self.handle(Input::Token { request: request(plan), token, expires_in_ms })
    }

    /// A session that has a token, and has ordered a connection.
    fn connecting(config: SessionConfig) -> (Self, u64) {
        let mut world = Self::new(config);
        let plan = world.handle(Input::Start);
        let plan = world.token(&plan);
        (world, connect(&plan))
    }

    /// From an order for a token to online.
    fn log_in(&mut self, plan: &Plan) -> (u64, Plan) {
        let plan = self.token(plan);
        let ticket = connect(&plan);
        (ticket, self.accept(ticket))
    }

    fn accept(&mut self, ticket: u64) -> Plan {
        let _ = self.handle(Input::Connected { ticket });
        let _ = self.receive(ticket, "* OK Gimap ready\r\n");
        self.receive(ticket, "A0001 OK in\r\n")
    }

    fn refuse(&mut self, ticket: u64, line: &str) -> Plan {
        let _ = self.handle(Input::Connected { ticket });
        let _ = self.receive(ticket, "* OK Gimap ready\r\n");
        self.receive(ticket, &format!("A0001 {line}\r\n"))
    }

    fn online(protocol: Protocol) -> (Self, u64, Plan) {
        let mut world = Self::new(config(protocol));
        let plan = world.handle(Input::Start);
        let (ticket, plan) = world.log_in(&plan);
        (world, ticket, plan)
    }
}

fn request(plan: &Plan) -> u64 {
    match plan.actions.last() {
        Some(Action::FetchToken { request, .. }) => *request,
        _ => panic!("no order for a token: {plan:?}"),
    }
}

fn connect(plan: &Plan) -> u64 {
    match plan.actions.last() {
        Some(Action::Connect { ticket, .. }) => *ticket,
        _ => panic!("no order to connect: {plan:?}"),
    }
}

fn needs_user(plan: &Plan) -> Cause {
    match plan.actions.last() {
        Some(Action::NeedsUser(failure)) => failure.cause,
        _ => panic!("no order for the user: {plan:?}"),
    }
}

const REFUSED: &str = "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)";

#[test]
fn a_refused_token_is_dropped_and_a_fresh_one_tried_once() {
    let mut world = World::new(config(Protocol::Imap));
    let plan = world.handle(Input::Start);
    let plan = world.token(&plan);
    let plan = world.refuse(connect(&plan), REFUSED);
    let Some(Action::FetchToken { why, force_refresh, .. }) = plan.actions.last() else {
        panic!("{plan:?}")
    };
    assert_eq!((*why, *force_refresh), (TokenNeed::Replacement, true));
    let plan = world.token(&plan);
    let plan = world.refuse(connect(&plan), REFUSED);
    assert_eq!(needs_user(&plan), Cause::TokenRejected);
    assert_eq!(world.session.status().phase, SessionPhase::NeedsUser);
    world.now_ms += 24 * HOUR_MS;
    assert!(world.handle(Input::Tick).actions.is_empty());
    assert!(matches!(world.handle(Input::Start).actions[..], [Action::FetchToken { .. }]));
}

#[test]
fn the_same_token_handed_back_asks_the_user_without_another_login() {
    let mut world = World::new(config(Protocol::Imap));
    let plan = world.handle(Input::Start);
    let plan = world.give(&plan, "same", None);
    let plan = world.refuse(connect(&plan), REFUSED);
    let plan = world.give(&plan, "same", None);
    assert_eq!(needs_user(&plan), Cause::TokenRejected);
}

#[test]
fn limits_and_outages_neither_refresh_nor_count_as_refusals() {
    for (line, cause) in [
        ("NO [UNAVAILABLE] Temporary System Problem (Failure)", Cause::Unavailable),
        ("NO [ALERT] Too many simultaneous connections. (Failure)", Cause::TooManyConnections),
        ("NO [ALERT] Account exceeded command or bandwidth limits. (Failure)", Cause::RateLimited),
    ] {
        let mut world = World::new(config(Protocol::Imap));
        let mut plan = world.handle(Input::Start);
        for _ in 0..20 {
            let Some(Action::FetchToken { force_refresh: false, .. }) = plan.actions.last() else {
                panic!("{plan:?}")
            };
            plan = world.token(&plan);
            plan = world.refuse(connect(&plan), line);
            assert_eq!(
                world.session.status().last_failure.map(|failure| failure.cause),
                Some(cause)
            );
            while !matches!(plan.actions.last(), Some(Action::FetchToken { .. })) {
                plan = world.sleep(&plan);
            }
        }
    }
}

#[test]
fn waits_at_least_as_long_as_the_server_asked() {
    let mut world = World::new(config(Protocol::Imap));
    let plan = world.handle(Input::Start);
    let plan = world.token(&plan);
    let refused_at_ms = world.now_ms;
    let plan = world.refuse(
        connect(&plan),
        "BAD Request is throttled. Suggested Backoff Time: 92415 milliseconds",
    );
    assert!(plan.wake_at_ms.is_some_and(|at_ms| at_ms >= refused_at_ms + 92_415), "{plan:?}");
}

#[test]
fn back_off_grows_and_is_forgotten_after_a_minute_online() {
    let mut world = World::new(config(Protocol::Imap));
    let mut plan = world.handle(Input::Start);
    let mut waits = Vec::new();
    for _ in 0..12 {
        plan = world.token(&plan);
        let ticket = connect(&plan);
        let failed_at_ms = world.now_ms;
        plan = world.handle(Input::Ended {
            ticket,
            last_line: None,
            cause: Some(Cause::ConnectionLost),
        });
        while !matches!(
            plan.actions.last(),
            Some(Action::FetchToken { .. } | Action::Connect { .. })
        ) {
            plan = world.sleep(&plan);
        }
        waits.push(world.now_ms - failed_at_ms);
        // The token was not used, and is used for the next attempt while it is fresh.
        if let Some(Action::Connect { ticket, .. }) = plan.actions.last() {
            let ticket = *ticket;
            plan = world.handle(Input::Ended { ticket, last_line: None, cause: None });
            while !matches!(plan.actions.last(), Some(Action::FetchToken { .. })) {
                plan = world.sleep(&plan);
                if let Some(Action::Connect { ticket, .. }) = plan.actions.last() {
                    let ticket = *ticket;
                    plan = world.handle(Input::Ended { ticket, last_line: None, cause: None });
                }
            }
        }
    }
    assert!(waits.iter().all(|wait_ms| *wait_ms <= 300_000 + 1_000), "{waits:?}");
    let (_, plan) = world.log_in(&plan);
    assert!(world.session.status().failures > 0);
    let _ = world.sleep(&plan);
    assert_eq!(world.session.status().failures, 0);
}

#[test]
fn renews_before_the_token_expires_with_a_newer_one() {
    let (mut world, ticket, plan) = World::online(Protocol::Imap);
    let began_ms = world.now_ms;
    let plan = world.sleep(&plan);
    let Some(Action::FetchToken { why: TokenNeed::Renewal, force_refresh: true, .. }) =
        plan.actions.last()
    else {
        panic!("{plan:?}")
    };
    let lead_ms = began_ms + HOUR_MS - world.now_ms;
    assert!((150_000..=450_000).contains(&lead_ms), "{lead_ms}");
    let plan = world.token(&plan);
    let Some(Action::Renew { ticket: renewed, by_ms, .. }) = plan.actions.last() else {
        panic!("{plan:?}")
    };
    assert_eq!(*renewed, ticket);
    assert!(*by_ms < began_ms + HOUR_MS && *by_ms > world.now_ms);
    let plan = world.handle(Input::Drained { ticket });
    let Some(Action::Close { .. }) = plan.actions.first() else { panic!("{plan:?}") };
    let plan = world.accept(connect(&plan));
    assert!(matches!(plan.actions[..], [Action::Online { generation: 2, .. }]), "{plan:?}");
}

#[test]
fn a_session_that_is_not_let_go_is_closed_and_its_aftermath_kept() {
    let (mut world, ticket, plan) = World::online(Protocol::Imap);
    world.session.sent(ticket, b"a SELECT INBOX\r\n");
    let _ = world.receive(ticket, "a OK [READ-WRITE] in\r\n");
    let plan = world.sleep(&plan);
    let plan = world.token(&plan);
    let plan = world.sleep(&plan);
    let Some(Action::Close { cause: Cause::SessionLimit, .. }) = plan.actions.first() else {
        panic!("{plan:?}")
    };
    let plan = world.accept(connect(&plan));
    let Some(Action::Online { resumed: Some(Aftermath::Imap { selected, .. }), .. }) =
        plan.actions.last()
    else {
        panic!("{plan:?}")
    };
    assert_eq!(selected.as_ref().map(|mailbox| mailbox.name.as_str()), Some("INBOX"));
}

#[test]
fn a_healthy_session_is_not_cut_when_no_token_can_be_had() {
    let (mut world, _, plan) = World::online(Protocol::Imap);
    let mut plan = world.sleep(&plan);
    for _ in 0..50 {
        if let Some(Action::FetchToken { request, .. }) = plan.actions.last() {
            plan = world.handle(Input::TokenFailed { request: *request, permanent: false });
        } else {
            plan = world.sleep(&plan);
        }
        assert_eq!(world.session.status().phase, SessionPhase::Online);
    }
}

#[test]
fn what_a_person_must_mend_is_told_when_the_session_that_works_is_over() {
    let (mut world, ticket, plan) = World::online(Protocol::Imap);
    let plan = world.sleep(&plan);
    let plan = world.handle(Input::TokenFailed { request: request(&plan), permanent: true });
    assert!(plan.actions.is_empty(), "the source is not asked again: {plan:?}");
    assert_eq!(world.session.status().phase, SessionPhase::Online);
    let plan = world.handle(Input::Ended { ticket, last_line: None, cause: None });
    assert_eq!(needs_user(&plan), Cause::TokenUnavailable);
}

#[test]
fn a_successor_is_refused_twice_and_not_a_third_time() {
    let mut world =
        World::new(SessionConfig { renewal: Renewal::Overlap, ..config(Protocol::Imap) });
    let plan = world.handle(Input::Start);
    let (first, plan) = world.log_in(&plan);
    let mut plan = world.sleep(&plan);
    for _ in 0..2 {
        plan = world.token(&plan);
        plan = world.refuse(connect(&plan), REFUSED);
    }
    assert!(!matches!(plan.actions.last(), Some(Action::FetchToken { .. })), "{plan:?}");
    assert_eq!(world.session.status().phase, SessionPhase::Online);
    let plan = world.handle(Input::Ended { ticket: first, last_line: None, cause: None });
    assert_eq!(needs_user(&plan), Cause::TokenRejected);
}

#[test]
fn nor_when_the_policy_says_so() {
    let mut world = World::new(SessionConfig { renewal: Renewal::AtEnd, ..config(Protocol::Imap) });
    let plan = world.handle(Input::Start);
    let (_, plan) = world.log_in(&plan);
    assert_eq!(plan.wake_at_ms, None);
}

#[test]
fn an_overlapping_successor_is_online_before_the_session_is_let_go() {
    let mut world =
        World::new(SessionConfig { renewal: Renewal::Overlap, ..config(Protocol::Imap) });
    let plan = world.handle(Input::Start);
    let (first, plan) = world.log_in(&plan);
    let plan = world.sleep(&plan);
    let plan = world.token(&plan);
    let second = connect(&plan);
    let plan = world.accept(second);
    let [Action::Renew { ticket, .. }, Action::Online { ticket: online, generation: 2, .. }] =
        plan.actions[..]
    else {
        panic!("{plan:?}")
    };
    assert_eq!((ticket, online), (first, second));
    let plan = world.handle(Input::Drained { ticket: first });
    assert!(matches!(plan.actions[..], [Action::Close { cause: Cause::NoFault, .. }]), "{plan:?}");
}

#[test]
fn a_successor_that_fails_backs_off_although_the_session_lasts() {
    let mut world =
        World::new(SessionConfig { renewal: Renewal::Overlap, ..config(Protocol::Imap) });
    let plan = world.handle(Input::Start);
    let (_, plan) = world.log_in(&plan);
    let mut plan = world.sleep(&plan);
    for attempt in 1..=12 {
        assert!(matches!(plan.actions.last(), Some(Action::FetchToken { .. })), "{plan:?}");
        plan = world.token(&plan);
        plan =
            world.refuse(connect(&plan), "NO [ALERT] Too many simultaneous connections. (Failure)");
        assert_eq!(world.session.status().failures, attempt);
        assert_eq!(world.session.status().phase, SessionPhase::Online);
        while !matches!(plan.actions.last(), Some(Action::FetchToken { .. })) {
            plan = world.sleep(&plan);
        }
    }
}

#[test]
fn overlap_is_for_imap_and_two_connections() {
    let pop3 = SessionConfig { renewal: Renewal::Overlap, ..config(Protocol::Pop3) };
    assert!(Session::new(pop3, 1).is_err());
}

#[test]
fn the_clock_explains_an_end_without_a_word() {
    for (after_ms, cause) in
        [(HOUR_MS - 30_000, Cause::TokenExpired), (HOUR_MS / 2, Cause::ConnectionLost)]
    {
        let mut world =
            World::new(SessionConfig { renewal: Renewal::AtEnd, ..config(Protocol::Imap) });
        let plan = world.handle(Input::Start);
        let (ticket, _) = world.log_in(&plan);
        world.now_ms += after_ms;
        let plan = world.handle(Input::Ended { ticket, last_line: None, cause: None });
        assert_eq!(world.session.status().last_ending.map(|ending| ending.cause), Some(cause));
        assert!(matches!(plan.actions.last(), Some(Action::FetchToken { .. })), "{plan:?}");
    }
}

#[test]
fn the_words_of_the_server_end_it_and_it_comes_back_at_once() {
    let (mut world, ticket, _) = World::online(Protocol::Imap);
    world.now_ms += 20 * 60_000;
    let plan = world.receive(ticket, "* BYE Session expired, please login again.\r\n");
    assert!(matches!(
        plan.actions[..],
        [Action::Close { cause: Cause::SessionLimit, .. }, Action::FetchToken { .. }]
    ));
    let (_, _) = world.log_in(&plan);
    let ends_at_ms = world.session.status().ends_at_ms.expect("an end");
    assert_eq!(ends_at_ms, world.now_ms + HOUR_MS, "nothing is learnt from one ending");
}

#[test]
fn a_token_that_the_server_calls_expired_too_early_counts_as_refused() {
    let (mut world, ticket, _) = World::online(Protocol::Imap);
    world.now_ms += 1_000;
    let mut plan = world.receive(ticket, "* BYE Session invalidated - AccessTokenExpired\r\n");
    while !matches!(plan.actions.last(), Some(Action::FetchToken { .. })) {
        plan = world.sleep(&plan);
    }
    let plan = world.give(&plan, "token-1", None);
    assert_eq!(needs_user(&plan), Cause::TokenRejected);
}

#[test]
fn not_connected_is_tried_three_times_and_then_a_person_is_asked() {
    let mut world = World::new(config(Protocol::Imap));
    let mut plan = world.handle(Input::Start);
    for round in 1..=3 {
        let (ticket, _) = world.log_in(&plan);
        let line = "a BAD User is authenticated but not connected.\r\n";
        let _ = world.receive(ticket, line);
        plan = world.receive(ticket, line);
        if round < 3 {
            while !matches!(plan.actions.last(), Some(Action::FetchToken { .. })) {
                plan = world.sleep(&plan);
            }
        }
    }
    assert_eq!(needs_user(&plan), Cause::NotConnected);
}

#[test]
fn a_token_near_its_end_is_replaced_once() {
    let mut world = World::new(config(Protocol::Imap));
    let plan = world.handle(Input::Start);
    let plan = world.give(&plan, "old", Some(20_000));
    let Some(Action::FetchToken { force_refresh: true, .. }) = plan.actions.last() else {
        panic!("{plan:?}")
    };
    let plan = world.give(&plan, "short", Some(20_000));
    connect(&plan);
}

#[test]
fn a_token_that_expires_on_the_way_to_the_login_is_not_sent() {
    let mut world = World::new(config(Protocol::Smtp));
    let plan = world.handle(Input::Start);
    let plan = world.give(&plan, "old", Some(500));
    let plan = world.give(&plan, "short", Some(500));
    let ticket = connect(&plan);
    let _ = world.handle(Input::Connected { ticket });
    let _ = world.receive(ticket, "220 hi\r\n");
    world.now_ms += 500;
    let plan = world.receive(ticket, "250-hi\r\n250 AUTH XOAUTH2\r\n");
    assert!(
        matches!(plan.actions[..], [Action::Close { cause: Cause::TokenExpired, .. }, ..]),
        "{plan:?}"
    );
    assert!(!plan.actions.iter().any(|action| matches!(action, Action::Send { .. })), "{plan:?}");
}

#[test]
fn a_source_that_gives_expired_tokens_asks_the_user() {
    let mut world = World::new(config(Protocol::Imap));
    let plan = world.handle(Input::Start);
    let plan = world.give(&plan, "old", Some(0));
    let plan = world.give(&plan, "old", Some(0));
    assert_eq!(needs_user(&plan), Cause::TokenExpired);
}

#[test]
fn a_source_that_fails_for_good_asks_the_user_and_one_that_hangs_is_asked_again() {
    let mut world = World::new(config(Protocol::Imap));
    let plan = world.handle(Input::Start);
    let plan = world.handle(Input::TokenFailed { request: request(&plan), permanent: true });
    assert_eq!(needs_user(&plan), Cause::TokenUnavailable);

    let mut world = World::new(config(Protocol::Imap));
    let mut plan = world.handle(Input::Start);
    let mut asked = Vec::new();
    for _ in 0..40 {
        if matches!(plan.actions.last(), Some(Action::FetchToken { .. })) {
            asked.push(world.now_ms);
        }
        plan = world.sleep(&plan);
    }
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] >= 60_000), "{asked:?}");
}

#[test]
fn a_connection_that_does_not_open_meets_its_deadline() {
    let mut world = World::new(config(Protocol::Imap));
    let plan = world.handle(Input::Start);
    let plan = world.token(&plan);
    let ticket = connect(&plan);
    let plan = world.sleep(&plan);
    let Some(Action::Close { ticket: closed, cause: Cause::TimedOut }) = plan.actions.first()
    else {
        panic!("{plan:?}")
    };
    assert_eq!(*closed, ticket);
}

#[test]
fn a_configuration_that_cannot_work_gives_up_and_start_goes_on() {
    let (mut world, ticket) = World::connecting(config(Protocol::Imap));
    let plan =
        world.handle(Input::Ended { ticket, last_line: None, cause: Some(Cause::TlsFailed) });
    assert!(matches!(plan.actions[..], [Action::GiveUp(_)]), "{plan:?}");
    assert_eq!((world.session.phase(), plan.wake_at_ms), (SessionPhase::GaveUp, None));
    let plan = world.handle(Input::Start);
    let plan = world.token(&plan);
    let ticket = connect(&plan);
    let _ = world.handle(Input::Connected { ticket });
    let plan = world.receive(ticket, "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n");
    assert!(matches!(plan.actions[..], [Action::Close { .. }, Action::GiveUp(_)]), "{plan:?}");
    // Once it has worked, the same is taken for trouble on the way: a captive portal, say.
    let (mut world, ticket, _) = World::online(Protocol::Imap);
    let plan = world.handle(Input::Ended { ticket, last_line: None, cause: None });
    assert_eq!(world.session.phase(), SessionPhase::Waiting, "{plan:?}");
    let mut plan = plan;
    while !matches!(plan.actions.last(), Some(Action::FetchToken { .. })) {
        plan = world.sleep(&plan);
    }
    let plan = world.token(&plan);
    let ticket = connect(&plan);
    let failed_at_ms = world.now_ms;
    let plan =
        world.handle(Input::Ended { ticket, last_line: None, cause: Some(Cause::TlsFailed) });
    assert!(plan.wake_at_ms.is_some_and(|at_ms| at_ms >= failed_at_ms + 60_000), "{plan:?}");
}

#[test]
fn answers_with_an_old_ticket_change_nothing_and_made_up_ones_are_misuse() {
    let (mut world, ticket, _) = World::online(Protocol::Imap);
    let _ = world.handle(Input::Ended { ticket, last_line: None, cause: None });
    let before = world.session.status();
    let _ = world.handle(Input::Ended { ticket, last_line: None, cause: None });
    let _ = world.handle(Input::Drained { ticket });
    let _ = world.receive(ticket, "* BYE late\r\n");
    assert_eq!(world.session.status(), before);
    for input in
        [Input::Connected { ticket: 99 }, Input::TokenFailed { request: 99, permanent: true }]
    {
        let misuse = world.session.handle(world.now_ms, input);
        assert!(matches!(misuse, Err(Misuse::UnexpectedAnswer { .. })), "{misuse:?}");
    }
    assert_eq!(world.session.status(), before);
}

#[test]
fn a_machine_that_slept_begins_anew_without_back_off() {
    for told in [true, false] {
        let (mut world, _, plan) = World::online(Protocol::Imap);
        world.now_ms = plan.wake_at_ms.expect("a time") + 9 * HOUR_MS;
        let plan = world.handle(if told { Input::Woke } else { Input::Tick });
        let [Action::Close { cause: Cause::ConnectionLost, .. }, Action::FetchToken { .. }] =
            plan.actions[..]
        else {
            panic!("{plan:?}")
        };
        assert_eq!(world.session.status().failures, 0);
    }
}

#[test]
fn time_never_runs_backwards_and_an_early_tick_is_harmless() {
    let (mut world, _, plan) = World::online(Protocol::Imap);
    let wake_at_ms = plan.wake_at_ms;
    for now_ms in [0, 5, world.now_ms + 1, world.now_ms] {
        let plan = world.session.handle(now_ms, Input::Tick).expect("a right call");
        assert_eq!((plan.actions.len(), plan.wake_at_ms), (0, wake_at_ms));
    }
}

#[test]
fn the_same_inputs_and_seed_give_the_same_plans() {
    let run = |seed| {
        let mut world = World {
            session: Session::new(config(Protocol::Imap), seed).expect("one"),
            now_ms: 5,
            tokens: 0,
        };
        let mut text = String::new();
        let mut plan = world.handle(Input::Start);
        for round in 0..60 {
            text.push_str(&format!("{plan:?}\n"));
            plan = match plan.actions.last() {
                Some(Action::FetchToken { .. }) => world.token(&plan),
                Some(Action::Connect { ticket, .. }) if round % 3 == 0 => world.accept(*ticket),
                Some(Action::Connect { ticket, .. }) => {
                    world.handle(Input::Ended { ticket: *ticket, last_line: None, cause: None })
                }
                _ => world.sleep(&plan),
            };
        }
        text
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4), "the jitter comes from the seed");
}

#[test]
fn orders_keep_their_greatest_rate_whatever_the_host_answers() {
    let mut world = World::new(SessionConfig { login: Login::Host, ..config(Protocol::Imap) });
    let mut plan = world.handle(Input::Start);
    let mut orders = Vec::new();
    for round in 0..2_000_u64 {
        if let Some(Action::FetchToken { .. } | Action::Connect { .. }) = plan.actions.last() {
            orders.push(world.now_ms);
        }
        plan = match plan.actions.last() {
            // Tokens that live a second, and sessions that end at once.
            Some(Action::FetchToken { .. }) => world.give(&plan, &format!("t{round}"), Some(1_000)),
            Some(Action::Connect { ticket, .. }) => {
                let ticket = *ticket;
                let _ = world.handle(Input::Connected { ticket });
                let _ = world.handle(Input::Authenticated { ticket });
                world.now_ms += 960;
                world.handle(Input::Line {
                    ticket,
                    line: "* BYE Session expired, please login again.".into(),
                })
            }
            _ => world.sleep(&plan),
        };
    }
    let minute = |at: &usize| {
        orders.iter().filter(|ms| (orders[*at]..orders[*at] + 60_000).contains(*ms)).count()
    };
    let most = (0..orders.len()).map(|at| minute(&at)).max();
    assert!(most.is_some_and(|most| most <= 140), "{most:?} orders in a minute");
}

#[test]
fn stop_closes_what_is_open_and_start_goes_on() {
    let (mut world, ticket, _) = World::online(Protocol::Imap);
    let plan = world.handle(Input::Stop);
    assert!(matches!(plan.actions[..], [Action::Close { ticket: closed, .. }] if closed == ticket));
    assert_eq!(plan.wake_at_ms, None);
    assert!(matches!(world.handle(Input::Start).actions[..], [Action::FetchToken { .. }]));
}

#[test]
fn pop3_tells_which_deletions_were_lost() {
    let (mut world, ticket) = World::connecting(config(Protocol::Pop3));
    let _ = world.handle(Input::Connected { ticket });
    let _ = world.receive(ticket, "+OK Gpop ready\r\n");
    let _ = world.receive(ticket, "+OK Welcome.\r\n");
    world.session.sent(ticket, b"DELE 3\r\n");
    let _ = world.receive(ticket, "+OK\r\n");
    let _ = world.handle(Input::Ended { ticket, last_line: None, cause: None });
    assert_eq!(world.session.aftermath(), Some(Aftermath::Pop3 { uncommitted_deletes: vec![3] }));
}

#[test]
fn no_token_shows_in_any_debug_output() {
    let mut world = World::new(config(Protocol::Imap));
    let plan = world.handle(Input::Start);
    let plan = world.give(&plan, "CANARYCANARYCANARY", None);
    let ticket = connect(&plan);
    let mut shown = format!("{plan:?} {:?}", world.session);
    let _ = world.handle(Input::Connected { ticket });
    let plan = world.receive(ticket, "* OK Gimap ready\r\n");
    shown.push_str(&format!("{plan:?} {:?} {:?}", world.session, world.session.status()));
    assert!(
        !shown.contains("CANARY") && !shown.contains("Q0FOQVJZ") && !shown.contains("NBTkFSW"),
        "{shown}"
    );
}

#[test]
fn a_wrong_call_is_misuse_and_the_login_goes_on() {
    let mut world = World::new(config(Protocol::Imap));
    assert!(world.session.receive(1, 1, b"x").is_err(), "no ticket was given out yet");
    let plan = world.handle(Input::Start);
    let plan = world.token(&plan);
    let ticket = connect(&plan);
    let misuse = |world: &mut World, input: Input| {
        let before = world.session.status();
        let answer = world.session.handle(world.now_ms, input);
        assert!(matches!(answer, Err(Misuse::UnexpectedAnswer { .. })), "{answer:?}");
        assert_eq!(world.session.status(), before);
    };
    misuse(&mut world, Input::TlsEstablished { ticket });
    misuse(&mut world, Input::Authenticated { ticket });
    misuse(&mut world, Input::Refused { ticket, reply: REFUSED.into() });
    misuse(&mut world, Input::Connected { ticket: ticket + 1 });
    misuse(&mut world, Input::Connected { ticket: 0 });
    let _ = world.handle(Input::Connected { ticket });
    misuse(&mut world, Input::Connected { ticket });
    misuse(&mut world, Input::TlsEstablished { ticket });
    misuse(&mut world, Input::Authenticated { ticket });
    assert_eq!(world.session.receive(world.now_ms, ticket, b""), Err(Misuse::EmptyRead));
    let _ = world.receive(ticket, "* OK Gimap ready\r\n");
    let plan = world.receive(ticket, "A0001 OK in\r\n");
    assert!(matches!(plan.actions[..], [Action::Online { .. }]), "{plan:?}");
}

#[test]
fn content_may_be_passed_by_and_what_follows_it_is_read() {
    let (mut world, ticket, _) = World::online(Protocol::Imap);
    world.session.sent(ticket, b"a FETCH 1 BODY[]\r\n");
    assert!(!world.session.is_quiet());
    let plan = world.receive(ticket, "* 1 FETCH (BODY[] {1000}\r\nabc");
    assert_eq!(plan.skip, 997);
    world.session.skipped(ticket + 1, 997);
    assert_eq!(world.receive(ticket, "d").skip, 996, "another connection's content");
    world.session.skipped(ticket, 996);
    let plan = world.receive(ticket, ")\r\na OK done\r\n");
    assert_eq!(plan.skip, 0);
    assert!(world.session.is_quiet());
    let plan = world.receive(ticket, "* BYE Session expired, please login again.\r\n");
    assert!(matches!(plan.actions.first(), Some(Action::Close { .. })), "{plan:?}");
}

#[test]
fn a_read_after_a_long_sleep_begins_anew() {
    let (mut world, ticket, plan) = World::online(Protocol::Imap);
    world.now_ms = plan.wake_at_ms.expect("a time") + HOUR_MS;
    let plan = world.receive(ticket, "* 1 EXISTS\r\n");
    let [Action::Close { cause: Cause::ConnectionLost, .. }, Action::FetchToken { .. }] =
        plan.actions[..]
    else {
        panic!("{plan:?}")
    };
}

#[test]
fn a_token_survives_the_sleep_of_a_connection_that_never_opened() {
    let mut world = World::new(config(Protocol::Imap));
    let plan = world.handle(Input::Start);
    let plan = world.token(&plan);
    let first = connect(&plan);
    let plan = world.handle(Input::Woke);
    assert!(matches!(plan.actions.first(), Some(Action::Close { ticket, .. }) if *ticket == first));
    let second = connect(&plan);
    assert_ne!(first, second);
    let _ = world.handle(Input::Connected { ticket: second });
    let plan = world.handle(Input::Woke);
    let needed = matches!(plan.actions.last(), Some(Action::FetchToken { .. }));
    assert!(needed, "a token of a login that had begun is not used again: {plan:?}");
}

#[test]
fn start_forgives_a_stop_that_waits_for_the_end_of_the_session() {
    let (mut world, ticket, plan) = World::online(Protocol::Imap);
    let plan = world.sleep(&plan);
    let _ = world.handle(Input::TokenFailed { request: request(&plan), permanent: true });
    world.now_ms += 1_000;
    let plan = world.handle(Input::Start);
    assert!(matches!(plan.actions[..], [Action::FetchToken { .. }]), "asked again: {plan:?}");
    let plan = world.token(&plan);
    assert!(matches!(plan.actions[..], [Action::Renew { .. }]), "{plan:?}");
    let plan = world.handle(Input::Ended { ticket, last_line: None, cause: None });
    assert!(matches!(plan.actions[..], [Action::Connect { .. }]), "no stop: {plan:?}");
}

#[test]
fn an_expired_token_for_a_renewal_leaves_the_session_online() {
    let (mut world, _, plan) = World::online(Protocol::Imap);
    let plan = world.sleep(&plan);
    let plan = world.give(&plan, "over", Some(0));
    assert!(plan.actions.is_empty(), "{plan:?}");
    assert_eq!(world.session.status().phase, SessionPhase::Online);
    assert_eq!(world.session.phase(), SessionPhase::Online);
}

#[test]
fn the_host_tells_how_its_own_login_was_refused() {
    for (reply, cause, advice) in [
        ("A1 NO [AUTHENTICATIONFAILED] no", Cause::TokenRejected, Advice::RefreshToken),
        ("A1 NO client aborted the login", Cause::Cancelled, Advice::Reconnect),
        ("A1 NO [UNAVAILABLE] later", Cause::Unavailable, Advice::BackOff),
    ] {
        let (mut world, ticket) =
            World::connecting(SessionConfig { login: Login::Host, ..config(Protocol::Imap) });
        let _ = world.handle(Input::Connected { ticket });
        assert_eq!(world.session.phase(), SessionPhase::LoggingIn);
        let plan = world.handle(Input::Refused { ticket, reply: reply.into() });
        assert!(matches!(plan.actions.first(), Some(Action::Close { .. })), "{plan:?}");
        let failure = world.session.status().last_failure.expect("a failure");
        assert_eq!((failure.cause, failure.advice), (cause, advice), "{reply}");
        assert_eq!(failure.code.is_some(), reply.contains('['), "{reply}");
        assert!(!failure.server_text.is_empty());
        let before = world.session.status();
        let _ = world.handle(Input::Refused { ticket, reply: reply.into() });
        let _ = world.handle(Input::Authenticated { ticket });
        let _ = world.handle(Input::Connected { ticket });
        assert_eq!(world.session.status(), before, "an old ticket changes nothing");
    }
}

#[test]
fn the_last_line_that_the_host_saw_tells_why_a_login_or_a_session_ended() {
    let line = "* BYE [ALERT] Session invalidated - AccessTokenExpired";
    let (mut world, ticket) =
        World::connecting(SessionConfig { login: Login::Host, ..config(Protocol::Imap) });
    let _ = world.handle(Input::Connected { ticket });
    let _ = world.handle(Input::Ended { ticket, last_line: Some(line.into()), cause: None });
    let failure = world.session.status().last_failure.expect("a failure");
    assert_eq!(failure.cause, Cause::TokenExpired);
    assert_eq!(failure.server_text, "Session invalidated - AccessTokenExpired");
    assert_eq!(failure.code.as_deref(), Some("ALERT"));

    let ended = |last_line: Option<&str>, cause| {
        let (mut world, ticket, _) = World::online(Protocol::Imap);
        let last_line = last_line.map(String::from);
        let _ = world.handle(Input::Ended { ticket, last_line, cause });
        world.session.status().last_ending.expect("an ending").cause
    };
    assert_eq!(ended(Some(line), None), Cause::TokenExpired);
    assert_eq!(ended(Some("* BYE Logging out for inactivity"), None), Cause::IdleTimeout);
    assert_eq!(ended(None, Some(Cause::TimedOut)), Cause::TimedOut);
    assert_eq!(ended(None, None), Cause::ConnectionLost);
}

#[test]
fn a_login_that_the_server_cuts_is_told_by_its_state_or_by_the_host() {
    let cut = |greeted: bool, cause| {
        let (mut world, ticket) = World::connecting(config(Protocol::Imap));
        if greeted {
            let _ = world.handle(Input::Connected { ticket });
            let _ = world.receive(ticket, "* OK Gimap ready\r\n");
        }
        let _ = world.handle(Input::Ended { ticket, last_line: None, cause });
        let failure = world.session.status().last_failure.expect("a failure");
        (failure.cause, failure.detail.to_string())
    };
    assert_eq!(
        cut(true, None),
        (Cause::ConnectionLost, "the server closed it without an answer to the token".into())
    );
    assert_eq!(cut(false, None), (Cause::ConnectionLost, "before the login was done".into()));
    let (mut world, ticket) = World::connecting(config(Protocol::Imap));
    let last_line = Some("* BYE [CONTACTADMIN] Account disabled".into());
    let _ = world.handle(Input::Ended { ticket, last_line, cause: None });
    assert_eq!(world.session.phase(), SessionPhase::Waiting, "of a connection that never opened");
    assert_eq!(cut(true, Some(Cause::TimedOut)), (Cause::TimedOut, String::new()));
}

#[test]
fn an_ending_behind_the_login_is_seen_at_once() {
    let (mut world, ticket) = World::connecting(config(Protocol::Imap));
    let _ = world.handle(Input::Connected { ticket });
    let _ = world.receive(ticket, "* OK Gimap ready\r\n");
    let plan = world.receive(ticket, "A0001 OK in\r\n* BYE Server is shutting down\r\n");
    let [Action::Online { .. }, Action::Close { cause, .. }, ..] = plan.actions[..] else {
        panic!("{plan:?}")
    };
    assert_eq!(world.session.status().last_ending.map(|ending| ending.cause), Some(cause));
}

#[test]
fn an_overlapped_session_that_is_not_let_go_is_closed() {
    let mut world =
        World::new(SessionConfig { renewal: Renewal::Overlap, ..config(Protocol::Imap) });
    let plan = world.handle(Input::Start);
    let (first, plan) = world.log_in(&plan);
    let plan = world.sleep(&plan);
    let (_, plan) = world.log_in(&plan);
    let Some(Action::Renew { by_ms, .. }) = plan.actions.first() else { panic!("{plan:?}") };
    assert_eq!(plan.wake_at_ms, Some(*by_ms));
    let plan = world.sleep(&plan);
    assert!(
        matches!(plan.actions[..], [Action::Close { ticket, cause: Cause::NoFault }] if ticket == first),
        "{plan:?}"
    );
    assert_eq!(world.session.phase(), SessionPhase::Online);
}

#[test]
fn a_session_that_reached_its_limit_without_a_word_is_told_by_the_clock() {
    let mut config = config(Protocol::Imap);
    config.renewal = Renewal::AtEnd;
    config.limits.session_ms = Some(HOUR_MS);
    config.limits.ends_with_token = false;
    for (after_ms, cause) in [
        (HOUR_MS - HOUR_MS / 50, Cause::SessionLimit),
        (HOUR_MS - HOUR_MS / 50 - 1, Cause::ConnectionLost),
    ] {
        let mut world = World::new(config.clone());
        let plan = world.handle(Input::Start);
        let plan = world.give(&plan, "long-lived", Some(24 * HOUR_MS));
        let ticket = connect(&plan);
        let _ = world.accept(ticket);
        world.now_ms += after_ms;
        let _ = world.handle(Input::Ended { ticket, last_line: None, cause: None });
        assert_eq!(world.session.status().last_ending.map(|ending| ending.cause), Some(cause));
    }
}

#[test]
fn the_end_of_a_session_teaches_whether_it_lives_as_long_as_its_token() {
    let bye = "* BYE Session expired, please login again.";
    for (after_ms, last_line, learnt) in [
        (HOUR_MS - 30_000, Some(bye), Some(true)),
        (HOUR_MS + 60_000, Some(bye), Some(true)),
        (HOUR_MS + 60_001, Some(bye), Some(false)),
        (HOUR_MS + 60_001, None, Some(false)),
        (HOUR_MS - 60_001, Some(bye), None),
        (30_000, None, None),
    ] {
        let mut world =
            World::new(SessionConfig { renewal: Renewal::AtEnd, ..config(Protocol::Imap) });
        let mut plan = world.handle(Input::Start);
        for round in 0..2 {
            let known = world.session.status().learnt.ends_with_token;
            assert_eq!(known, None, "one is an accident, round {round}");
            let (ticket, _) = world.log_in(&plan);
            world.now_ms += after_ms;
            let last_line = last_line.map(String::from);
            plan = world.handle(Input::Ended { ticket, last_line, cause: None });
            while !matches!(plan.actions.last(), Some(Action::FetchToken { .. })) {
                plan = world.sleep(&plan);
            }
        }
        let ends_with_token = world.session.status().learnt.ends_with_token;
        assert_eq!(ends_with_token, learnt, "after {after_ms} ms");
    }
}

#[test]
fn a_server_that_locks_out_and_blames_the_credentials_is_given_time() {
    let (mut world, ticket) = World::connecting(config(Protocol::Smtp));
    let _ = world.handle(Input::Connected { ticket });
    let _ = world.receive(ticket, "220 hi\r\n");
    let _ = world.receive(ticket, "250-hi\r\n250 AUTH XOAUTH2\r\n");
    let plan =
        world.receive(ticket, "454 4.7.0 Too many login attempts, please try again later.\r\n");
    assert!(
        !plan.actions.iter().any(|action| matches!(action, Action::FetchToken { .. })),
        "no refresh: {plan:?}"
    );
    assert_eq!(world.session.phase(), SessionPhase::Waiting);
}

#[test]
fn orders_in_debug_output_show_no_token_and_no_more_than_they_must() {
    let send = |sensitive| Action::Send { ticket: 1, bytes: b"A1 secret\r\n".to_vec(), sensitive };
    assert_eq!(
        format!("{:?}", send(true)),
        "Send { ticket: 1, bytes: <11 octets with the token> }"
    );
    assert_eq!(format!("{:?}", send(false)), "Send { ticket: 1, bytes: \"A1 secret\\r\\n\" }");
    let shown = [
        format!(
            "{:?}",
            Action::FetchToken { request: 4, why: TokenNeed::Login, force_refresh: true }
        ),
        format!("{:?}", Action::StartTls { ticket: 2 }),
        format!("{:?}", Action::Renew { ticket: 3, by_ms: 5, why: RenewWhy::SessionLimit }),
        format!("{:?}", Action::Close { ticket: 3, cause: Cause::NoFault }),
    ];
    let expected = [
        "FetchToken { request: 4, why: login, force_refresh: true }",
        "StartTls { ticket: 2 }",
        "Renew { ticket: 3, by_ms: 5, why: session_limit }",
        "Close { ticket: 3, cause: no_fault }",
    ];
    assert_eq!(shown, expected);
    let mut world = World::new(config(Protocol::Imap));
    let plan = world.handle(Input::Start);
    let plan = world.handle(Input::TokenFailed { request: request(&plan), permanent: true });
    assert!(format!("{plan:?}").contains("NeedsUser(Failure"), "{plan:?}");
}

#[test]
fn octets_that_come_when_something_is_due_do_not_hold_it_back() {
    let (mut world, ticket, plan) = World::online(Protocol::Imap);
    let prepare_at_ms = plan.wake_at_ms.expect("a time");
    // A client that is busy: the renewal waits for a quiet moment, and the token for it does not.
    world.session.sent(ticket, b"a FETCH 1:9 FLAGS\r\n");
    world.now_ms = prepare_at_ms - 1;
    assert!(world.receive(ticket, "* 1 FETCH (FLAGS ())\r\n").actions.is_empty());
    world.now_ms = prepare_at_ms;
    let plan = world.receive(ticket, "* 2 FETCH (FLAGS ())\r\n");
    assert!(matches!(plan.actions[..], [Action::FetchToken { .. }]), "{plan:?}");
}

#[test]
fn the_status_names_the_next_attempt_only_while_it_waits() {
    let mut world = World::new(config(Protocol::Imap));
    let plan = world.handle(Input::Start);
    assert_eq!(world.session.phase(), SessionPhase::FetchingToken);
    assert_eq!(world.session.status().retry_at_ms, None);
    let plan = world.handle(Input::TokenFailed { request: request(&plan), permanent: false });
    assert_eq!(world.session.phase(), SessionPhase::Waiting);
    assert_eq!(world.session.status().retry_at_ms, plan.wake_at_ms);
    assert_eq!(plan.wake_reason, Some(WakeReason::TokenBackOff));
    let (world, _, _) = World::online(Protocol::Imap);
    assert_eq!(world.session.status().retry_at_ms, None);
}

#[test]
fn a_wait_is_said_to_be_for_a_failure_or_for_the_rate() {
    let (mut world, ticket) = World::connecting(config(Protocol::Imap));
    let plan = world.handle(Input::Ended { ticket, last_line: None, cause: None });
    assert_eq!(plan.wake_reason, Some(WakeReason::BackOff), "the token is there still: {plan:?}");

    let mut world = World::new(config(Protocol::Imap));
    let plan = world.handle(Input::Start);
    let mut plan = world.token(&plan);
    while plan.actions.iter().any(|action| matches!(action, Action::Connect { .. })) {
        plan = world.handle(Input::Woke);
    }
    assert_eq!(plan.wake_reason, Some(WakeReason::Rate), "{plan:?}");
}

#[test]
fn five_minutes_late_is_a_nap_and_a_millisecond_more_is_sleep() {
    for (late_ms, slept) in [(300_000, false), (300_001, true)] {
        let (mut world, _, plan) = World::online(Protocol::Imap);
        world.now_ms = plan.wake_at_ms.expect("a time") + late_ms;
        let plan = world.handle(Input::Tick);
        let closed = matches!(plan.actions.first(), Some(Action::Close { .. }));
        assert_eq!(closed, slept, "{plan:?}");
    }
}

#[test]
fn how_long_a_nap_may_be_is_a_setting() {
    for (late_ms, slept) in [(20_000, false), (20_001, true)] {
        let mut world = World::new(SessionConfig { nap_ms: 20_000, ..config(Protocol::Imap) });
        let plan = world.handle(Input::Start);
        let (_, plan) = world.log_in(&plan);
        world.now_ms = plan.wake_at_ms.expect("a time") + late_ms;
        let plan = world.handle(Input::Tick);
        let closed = matches!(plan.actions.first(), Some(Action::Close { .. }));
        assert_eq!(closed, slept, "{plan:?}");
    }
    let wrong = SessionConfig { nap_ms: 0, ..config(Protocol::Imap) };
    assert!(Session::new(wrong, 1).is_err());
}

#[test]
fn each_failure_of_a_token_comes_with_its_advice() {
    let mut world = World::new(config(Protocol::Imap));
    let plan = world.handle(Input::Start);
    let plan = world.give(&plan, "same", None);
    let plan = world.refuse(connect(&plan), REFUSED);
    let plan = world.give(&plan, "same", None);
    let Some(Action::NeedsUser(failure)) = plan.actions.last() else { panic!("{plan:?}") };
    assert_eq!((failure.cause, failure.advice), (Cause::TokenRejected, Advice::AskUser));

    let mut world = World::new(config(Protocol::Imap));
    let plan = world.handle(Input::Start);
    let plan = world.give(&plan, "over", Some(0));
    let plan = world.give(&plan, "over", Some(0));
    let Some(Action::NeedsUser(failure)) = plan.actions.last() else { panic!("{plan:?}") };
    assert_eq!((failure.cause, failure.advice), (Cause::TokenExpired, Advice::AskUser));

    let mut world = World::new(config(Protocol::Imap));
    let mut plan = world.handle(Input::Start);
    for _ in 0..2 {
        plan = world.token(&plan);
        plan = world.refuse(connect(&plan), REFUSED);
    }
    let Some(Action::NeedsUser(failure)) = plan.actions.last() else { panic!("{plan:?}") };
    assert_eq!((failure.cause, failure.advice), (Cause::TokenRejected, Advice::AskUser));

    let advice = |world: &World| world.session.status().last_failure.map(|one| one.advice);
    let mut world = World::new(config(Protocol::Imap));
    let plan = world.handle(Input::Start);
    let _ = world.handle(Input::TokenFailed { request: request(&plan), permanent: false });
    assert_eq!(advice(&world), Some(Advice::BackOff), "a source that fails");
    let mut world = World::new(config(Protocol::Imap));
    let plan = world.handle(Input::Start);
    let _ = world.sleep(&plan);
    assert_eq!(advice(&world), Some(Advice::BackOff), "a source that does not answer");
}

#[test]
fn a_failure_of_another_cause_that_advises_a_fresh_token_gets_one() {
    let (mut world, ticket) = World::connecting(SessionConfig::new(NegotiationConfig::new(
        Endpoint::new(Protocol::Imap, Tls::Implicit, "mail.example.test"),
        Identity::new("user@example.test"),
    )));
    let _ = world.handle(Input::Connected { ticket });
    let _ = world.receive(ticket, "* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] hi\r\n");
    let _ = world.receive(ticket, "+ \r\n");
    let plan = world.receive(ticket, "+ \r\n");
    let [
        Action::Close { cause: Cause::ProtocolViolation, .. },
        Action::FetchToken { force_refresh: true, why: TokenNeed::Replacement, .. },
    ] = plan.actions[..]
    else {
        panic!("{plan:?}")
    };
}

#[test]
fn a_lockout_that_blames_the_credentials_waits_the_greatest_back_off() {
    let mut world = World::new(config(Protocol::Imap));
    let plan = world.handle(Input::Start);
    let plan = world.token(&plan);
    let plan = world.refuse(
        connect(&plan),
        "NO [AUTHENTICATIONFAILED] Incorrect username or password. (#YMP001)",
    );
    assert!(matches!(plan.actions[..], [Action::Close { .. }]), "{plan:?}");
    assert!(plan.wake_at_ms.is_some_and(|at_ms| at_ms >= world.now_ms + 300_000), "{plan:?}");
    let plan = world.sleep(&plan);
    assert!(matches!(plan.actions[..], [Action::FetchToken { force_refresh: true, .. }]));
}

#[test]
fn a_line_that_the_server_cannot_take_leads_to_two_steps_for_good() {
    let mut world = World::new(SessionConfig::new(NegotiationConfig::new(
        Endpoint::new(Protocol::Pop3, Tls::Implicit, "mail.example.test"),
        Identity::new("user@example.test"),
    )));
    let mut plan = world.handle(Input::Start);
    for inline in [true, false, false] {
        plan = world.token(&plan);
        let ticket = connect(&plan);
        let _ = world.handle(Input::Connected { ticket });
        let _ = world.receive(ticket, "+OK hi\r\n");
        plan = world.receive(ticket, "+OK\r\nSASL XOAUTH2\r\n.\r\n");
        assert!(
            matches!(plan.actions[..], [Action::Send { sensitive, .. }] if sensitive == inline),
            "{plan:?}"
        );
        plan = world.receive(ticket, "-ERR Protocol error. Connection is closed. 10\r\n");
        assert!(matches!(plan.actions.first(), Some(Action::Close { .. })), "{plan:?}");
        // The way was at fault, and is another now: no reason to wait. After that there is.
        assert_eq!(plan.actions.len() > 1, inline, "{plan:?}");
        while !matches!(plan.actions.last(), Some(Action::FetchToken { .. })) {
            plan = world.sleep(&plan);
        }
    }
}

#[test]
fn of_two_overlapping_sessions_each_ends_by_itself() {
    let overlapping = || {
        let mut world =
            World::new(SessionConfig { renewal: Renewal::Overlap, ..config(Protocol::Imap) });
        let plan = world.handle(Input::Start);
        let (first, plan) = world.log_in(&plan);
        let plan = world.sleep(&plan);
        let (second, _) = world.log_in(&plan);
        (world, first, second)
    };
    let (mut world, first, second) = overlapping();
    let plan = world.handle(Input::Ended { ticket: first, last_line: None, cause: None });
    assert!(plan.actions.is_empty(), "{plan:?}");
    assert_eq!(world.session.status().ticket, Some(second));
    assert_eq!(plan.wake_reason, Some(WakeReason::Prefetch), "nothing is left to close");
    let (mut world, _, second) = overlapping();
    let plan = world.handle(Input::Ended { ticket: second, last_line: None, cause: None });
    assert_eq!(world.session.status().ticket, None);
    assert_eq!(world.session.phase(), SessionPhase::Waiting, "it did not last: {plan:?}");
}

#[test]
fn a_goodbye_is_no_failure_whatever_the_host_adds() {
    let login = |protocol| {
        let (mut world, ticket) = World::connecting(config(protocol));
        let _ = world.handle(Input::Connected { ticket });
        let _ = world.receive(ticket, "+OK Gpop ready\r\n");
        let _ = world.receive(ticket, "+OK Welcome.\r\n");
        (world, ticket)
    };
    for (last_line, cause) in
        [(Some("-ERR going down".to_string()), None), (None, Some(Cause::TimedOut)), (None, None)]
    {
        let (mut world, ticket) = login(Protocol::Pop3);
        world.session.sent(ticket, b"QUIT\r\n");
        world.now_ms += 5;
        let _ = world.handle(Input::Ended { ticket, last_line, cause });
        let status = world.session.status();
        assert_eq!(status.last_ending.map(|ending| ending.cause), Some(Cause::NoFault));
        assert_eq!(status.failures, 0);
    }
}

#[test]
fn the_end_of_a_short_token_is_no_failure_and_an_end_before_it_is_one() {
    for (life_ms, after_ms, cause) in [
        (30_000, 29_000, Cause::TokenExpired),
        (30_000, 28_000, Cause::ConnectionLost),
        (600_000, 570_000, Cause::TokenExpired),
        (600_000, 569_999, Cause::ConnectionLost),
    ] {
        let mut world =
            World::new(SessionConfig { renewal: Renewal::AtEnd, ..config(Protocol::Imap) });
        let plan = world.handle(Input::Start);
        let plan = world.give(&plan, "short", Some(life_ms));
        // A cached token with little life is asked for anew; what comes then is taken as it is.
        let plan = if matches!(plan.actions[..], [Action::FetchToken { .. }]) {
            world.give(&plan, "short", Some(life_ms))
        } else {
            plan
        };
        let ticket = connect(&plan);
        let _ = world.accept(ticket);
        world.now_ms += after_ms;
        let _ = world.handle(Input::Ended { ticket, last_line: None, cause: None });
        let status = world.session.status();
        assert_eq!(status.last_ending.map(|ending| ending.cause), Some(cause), "{life_ms}");
        let failed = cause == Cause::ConnectionLost && after_ms < 60_000;
        assert_eq!(status.failures, u32::from(failed), "{life_ms} ms, after {after_ms}");
    }
}

/// Sessions that the server ends for their time, each after so long.
fn ended_after(lives_ms: &[u64]) -> World {
    let mut world = World::new(SessionConfig { renewal: Renewal::AtEnd, ..config(Protocol::Imap) });
    let mut plan = world.handle(Input::Start);
    for life_ms in lives_ms {
        let (ticket, _) = world.log_in(&plan);
        world.now_ms += life_ms;
        plan = world.receive(ticket, "* BYE Session expired, please login again.\r\n");
        while !matches!(plan.actions.last(), Some(Action::FetchToken { .. })) {
            plan = world.sleep(&plan);
        }
    }
    world
}

#[test]
fn learns_a_length_from_three_sessions_of_ten_minutes_or_more() {
    let learnt = |lives_ms: &[u64]| ended_after(lives_ms).session.status().learnt.session_ms;
    assert_eq!(learnt(&[20 * 60_000]), None, "one early ending is an accident");
    assert_eq!(learnt(&[20 * 60_000; 2]), None);
    assert_eq!(learnt(&[20 * 60_000; 3]), Some(20 * 60_000));
    assert_eq!(learnt(&[599_999; 5]), None);
    assert_eq!(learnt(&[600_000; 3]), Some(600_000));
    assert_eq!(learnt(&[1_200_000, 1_200_000, 1_200_000, 2_400_000]), None, "outlived");
}

#[test]
fn what_is_said_of_a_token_teaches_nothing_of_sessions() {
    let mut world = World::new(config(Protocol::Imap));
    let mut plan = world.handle(Input::Start);
    for _ in 0..4 {
        let (ticket, _) = world.log_in(&plan);
        world.now_ms += 20 * 60_000;
        plan = world.receive(ticket, "* BYE Session invalidated - AccessTokenExpired\r\n");
    }
    assert_eq!(world.session.status().learnt, Learnt::default());
}

#[test]
fn a_short_life_has_a_short_lead_and_a_late_token_some_time_to_let_go() {
    let life_ms = 80_001;
    let online = || {
        let mut config = config(Protocol::Imap);
        config.token_life_least_ms = 0;
        let mut world = World::new(config);
        let plan = world.handle(Input::Start);
        let plan = world.give(&plan, "first", Some(life_ms));
        let plan = world.accept(connect(&plan));
        let end_ms = world.session.status().ends_at_ms.expect("an end");
        assert_eq!(end_ms, world.now_ms + life_ms);
        let lead_ms = end_ms - plan.wake_at_ms.expect("a time");
        assert!((10_000..=30_000).contains(&lead_ms), "{lead_ms}");
        let plan = world.sleep(&plan);
        (world, plan, end_ms, lead_ms)
    };
    let by = |plan: &Plan| match plan.actions[..] {
        [Action::Renew { by_ms, .. }] => by_ms,
        _ => panic!("{plan:?}"),
    };
    let (mut world, plan, end_ms, lead_ms) = online();
    let plan = world.give(&plan, "second", Some(life_ms));
    assert_eq!(by(&plan), end_ms - lead_ms / 4);
    let (mut world, plan, end_ms, lead_ms) = online();
    world.now_ms = end_ms - 1;
    let plan = world.give(&plan, "second", Some(life_ms));
    assert_eq!(by(&plan), world.now_ms + lead_ms / 4);
}

#[test]
fn the_settings_of_a_session_have_their_bounds() {
    const YEAR_MS: u64 = 365 * 24 * HOUR_MS;
    type Set = fn(&mut SessionConfig, u64);
    let settings: [(&str, u64, Set); 8] = [
        ("lead_ms", 1, |config, value| config.lead_ms = value),
        ("token_life_least_ms", 0, |config, value| config.token_life_least_ms = value),
        ("token_timeout_ms", 1, |config, value| config.token_timeout_ms = value),
        ("login_timeout_ms", 1, |config, value| config.login_timeout_ms = value),
        ("backoff_base_ms", 1, |config, value| {
            config.backoff_base_ms = value;
            config.backoff_max_ms = config.backoff_max_ms.max(value).min(YEAR_MS);
        }),
        ("backoff_max_ms", 1_000, |config, value| config.backoff_max_ms = value),
        ("stable_after_ms", 1, |config, value| config.stable_after_ms = value),
        ("login_interval_ms", 1, |config, value| config.login_interval_ms = value),
    ];
    for (name, least, set) in settings {
        let works = |value| {
            let mut config = config(Protocol::Imap);
            set(&mut config, value);
            Session::new(config, 1).map(drop).map_err(|problem| problem.to_string())
        };
        assert_eq!(works(least), Ok(()), "{name}");
        assert_eq!(works(YEAR_MS), Ok(()), "{name}");
        assert!(works(YEAR_MS + 1).is_err_and(|problem| problem.contains(name)), "{name}");
        if let Some(less) = least.checked_sub(1) {
            assert!(works(less).is_err_and(|problem| problem.contains(name)), "{name}");
        }
    }
}

#[test]
fn overlap_needs_a_second_connection() {
    for (protocol, connections, works) in [
        (Protocol::Imap, None, true),
        (Protocol::Imap, Some(2), true),
        (Protocol::Imap, Some(1), false),
        (Protocol::Smtp, Some(2), false),
    ] {
        let mut config = SessionConfig { renewal: Renewal::Overlap, ..config(protocol) };
        config.limits.connections = connections;
        assert_eq!(Session::new(config, 1).is_ok(), works, "{protocol} {connections:?}");
    }
}

#[test]
fn the_lead_is_at_random_between_an_eighth_and_three_eighths_of_a_short_life() {
    let leads_ms: Vec<u64> = (1..=40)
        .map(|seed| {
            let session = Session::new(config(Protocol::Imap), seed).expect("a configuration");
            let mut world = World { session, now_ms: 1_000, tokens: 0 };
            let plan = world.handle(Input::Start);
            let plan = world.give(&plan, "first", Some(80_001));
            let plan = world.accept(connect(&plan));
            world.now_ms + 80_001 - plan.wake_at_ms.expect("a time")
        })
        .collect();
    assert!(leads_ms.iter().all(|lead_ms| (10_000..=30_000).contains(lead_ms)), "{leads_ms:?}");
    assert!(leads_ms.iter().any(|lead_ms| *lead_ms < 15_000), "{leads_ms:?}");
    assert!(leads_ms.iter().any(|lead_ms| *lead_ms > 25_000), "{leads_ms:?}");
}

/// A token as real ones are, and the base64 that a mail library sends of it.
const CANARY: &str = "ya29.CanaryTokenThatMustNotBeSeen";
const CANARY_SENT: &str =
    "dXNlcj1qb2VAZ21haWwuY29tAWF1dGg9QmVhcmVyIHlhMjkuQ2FuYXJ5VG9rZW5UaGF0TXVzdE5vdEJlU2VlbgEB";

fn host_login() -> (World, u64) {
    let mut world = World::new(SessionConfig { login: Login::Host, ..config(Protocol::Imap) });
    let plan = world.handle(Input::Start);
    let plan = world.give(&plan, CANARY, Some(HOUR_MS));
    let ticket = connect(&plan);
    let _ = world.handle(Input::Connected { ticket });
    (world, ticket)
}

fn shows_no_token(shown: &str) {
    assert!(!shown.contains("Canary") && !shown.contains("yVG9rZW5UaGF0"), "{shown}");
    assert!(shown.contains("<token>"), "{shown}");
}

#[test]
fn what_a_host_tells_of_its_own_login_is_kept_without_the_token() {
    for reply in [
        format!("A1 NO [ALERT] unknown: {CANARY}"),
        format!("A1 BAD unknown: AUTHENTICATE XOAUTH2 {CANARY_SENT}"),
        format!("A1 NO [WEBALERT https://x.test/{CANARY}] Web login required"),
        format!("A1 NO [CONTACTADMIN] account of {CANARY_SENT}\x1b is disabled"),
    ] {
        let (mut world, ticket) = host_login();
        let plan = world.handle(Input::Refused { ticket, reply: reply.clone() });
        let status = world.session.status();
        let snapshot = String::from_utf8(world.session.snapshot()).expect("text");
        shows_no_token(&format!("{plan:?} {status:?} {snapshot} <token>"));
        shows_no_token(&format!("{}", status.last_failure.expect("a failure")));
        assert!(!snapshot.replace('\n', "").contains(char::is_control), "{snapshot:?}");
        // The library's own error is logged when the attempt is over.
        shows_no_token(&world.session.redact(&reply));
        let (mut world, ticket) = host_login();
        let _ = world.handle(Input::Ended { ticket, last_line: Some(reply.clone()), cause: None });
        let status = world.session.status();
        shows_no_token(&format!("{status:?}"));
        shows_no_token(&world.session.redact(&reply));
    }
}

#[test]
fn a_session_masks_the_tokens_that_it_holds_and_the_last_one() {
    let mut world = World::new(SessionConfig { login: Login::Host, ..config(Protocol::Imap) });
    let log = format!("sent {CANARY_SENT}: {CANARY}");
    assert_eq!(world.session.redact(&log), log, "it knows of none");
    let plan = world.handle(Input::Start);
    let plan = world.give(&plan, CANARY, Some(HOUR_MS));
    let ticket = connect(&plan);
    shows_no_token(&world.session.redact(&log));
    let _ = world.handle(Input::Connected { ticket });
    shows_no_token(&world.session.redact(&log));
    let _ = world.handle(Input::Authenticated { ticket });
    shows_no_token(&world.session.redact(&log));
    world.session.sent(ticket, format!("{CANARY} SELECT \"{CANARY}\"\r\n").as_bytes());
    shows_no_token(&format!("{:?}", world.session.aftermath()));
    let _ = world.handle(Input::Ended { ticket, last_line: None, cause: None });
    shows_no_token(&format!("{:?}", world.session.aftermath()));
    shows_no_token(&String::from_utf8_lossy(&world.session.snapshot()));
    shows_no_token(&world.session.redact(&log));
    let _ = world.handle(Input::Stop);
    assert_eq!(world.session.redact(&log), log, "a session that was stopped keeps no token");
}

#[test]
fn a_session_that_logged_in_by_itself_keeps_no_token() {
    let mut world = World::new(config(Protocol::Imap));
    let plan = world.handle(Input::Start);
    let plan = world.give(&plan, CANARY, Some(HOUR_MS));
    let ticket = connect(&plan);
    let _ = world.handle(Input::Connected { ticket });
    shows_no_token(&world.session.redact(CANARY));
    let _ = world.receive(ticket, "* OK Gimap ready\r\n");
    let _ = world.receive(ticket, "A0001 OK in\r\n");
    assert_eq!(world.session.redact(CANARY), CANARY);
    let (mut world, ticket) = World::connecting(config(Protocol::Imap));
    let _ = world.refuse(ticket, REFUSED);
    assert_eq!(world.session.redact("token-1"), "<token>", "one that failed is still spoken of");
}

/// What a person is told.
fn told(plan: &Plan) -> String {
    match plan.actions.last() {
        Some(Action::NeedsUser(failure) | Action::GiveUp(failure)) => failure.to_string(),
        _ => panic!("nobody is told: {plan:?}"),
    }
}

#[test]
fn a_second_refusal_names_the_user_and_what_may_be_wrong_with_it() {
    let mut world = World::new(config(Protocol::Imap));
    let plan = world.handle(Input::Start);
    let plan = world.token(&plan);
    let plan = world.refuse(connect(&plan), REFUSED);
    let first = world.session.status().last_failure.expect("a failure").to_string();
    assert!(!first.contains("joe@gmail.com"), "{first}");
    let plan = world.token(&plan);
    let text = told(&world.refuse(connect(&plan), REFUSED));
    assert!(text.contains("for joe@gmail.com") && text.contains("of another user"), "{text}");
    assert!(text.contains("Invalid credentials"), "{text}");
}

#[test]
fn a_fixed_token_whose_time_is_over_is_told_what_to_give_in_its_place() {
    let mut world = World::new(config(Protocol::Imap));
    let plan = world.handle(Input::Start);
    let plan = world.give(&plan, "fixed", None);
    let plan = world.refuse(connect(&plan), REFUSED);
    let text = told(&world.give(&plan, "fixed", None));
    assert!(text.contains("give a function"), "{text}");

    let mut world = World::new(config(Protocol::Imap));
    let plan = world.handle(Input::Start);
    let plan = world.give(&plan, "fixed", Some(0));
    let text = told(&world.give(&plan, "fixed", Some(0)));
    assert!(text.contains("give a function"), "{text}");
}

#[test]
fn a_token_that_a_server_repeats_to_a_host_is_not_shown() {
    let secret = "SECRETSECRETSECRET";
    let last_failure = |input: fn(u64) -> Input| {
        let mut world = World::new(SessionConfig { login: Login::Host, ..config(Protocol::Smtp) });
        let plan = world.handle(Input::Start);
        let plan = world.give(&plan, secret, None);
        let ticket = connect(&plan);
        let _ = world.handle(Input::Connected { ticket });
        let _ = world.handle(input(ticket));
        world.session.status().last_failure.expect("a failure").server_text
    };
    let refused = |ticket| {
        let reply = "500 5.5.2 what is AUTH XOAUTH2 SECRETSECRETSECRET".into();
        Input::Refused { ticket, reply }
    };
    let ended = |ticket| {
        let last_line = Some("421 4.7.0 SECRETSECRET is not good".into());
        Input::Ended { ticket, last_line, cause: None }
    };
    assert_eq!(last_failure(refused), "what is AUTH XOAUTH2 <token>");
    assert_eq!(last_failure(ended), "<token> is not good");
}

#[test]
fn a_token_that_was_not_sent_before_tls_is_kept() {
    let endpoint = Endpoint::new(Protocol::Imap, Tls::StartTls, "mail.example.test");
    let negotiation = NegotiationConfig::new(endpoint, Identity::new("user@example.test"));
    let (mut world, ticket) = World::connecting(SessionConfig::new(negotiation));
    let _ = world.handle(Input::Connected { ticket });
    let plan = world.receive(ticket, "* BYE [ALERT] Your account is disabled\r\n");
    assert!(
        matches!(plan.actions[..], [Action::Close { cause: Cause::Unavailable, .. }]),
        "{plan:?}"
    );
    let written = String::from_utf8(world.session.snapshot()).expect("text");
    assert!(!written.contains("disabled") && !written.contains("unavailable"), "{written}");
    let plan = world.sleep(&plan);
    assert!(matches!(plan.actions[..], [Action::Connect { attempt: 2, .. }]), "{plan:?}");
}
