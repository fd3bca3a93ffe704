//! What a person must mend: raised after at most three logins, with the words of the server or the source, and to the next
//! who asks; behind it nothing is tried.

use mailbearer::{
    AccessToken, Account, AccountConfig, AccountPlan, Cause, Delivery, Fact, Identity, NoToken,
    Order, Protocol, Provider, Raise, RaiseKind, SessionConfig, SessionKey,
};

use crate::world::MINUTE_MS;

const DISABLED: &str = "-ERR [SYS/PERM] Your account is not enabled for POP access. Please visit your Gmail settings page and enable your account for POP access.\r\n";
const WEB_LOGIN: &str = "* BYE [ALERT] Web login required\r\n";
const REVOKED: &str = "invalid_grant: Token has been expired or revoked.";

/// What becomes of the program's connection after the login.
#[derive(Clone, Copy)]
enum Then {
    /// The server answers a first command so, and goes.
    Answers(&'static str),
    /// The server says so by itself, while the program holds the connection.
    Says(&'static str),
    Lives,
}

/// A program that wants a connection again and again, whatever it is told; how often it logged in, and what was raised.
struct Program {
    account: Account,
    session: SessionKey,
    protocol: Protocol,
    then: Then,
    now_ms: u64,
    /// From this request on the source says that a person must act.
    permanent_from: u64,
    lives_ms: Option<u64>,
    tokens: u64,
    logins: u64,
    asked: u64,
    raised: Vec<Raise>,
    held: Option<u64>,
    /// It was not answered yet.
    waits: bool,
    wake_at_ms: Option<u64>,
    pending: Vec<Step>,
}

enum Step {
    Fact(Fact),
    Octets(u64, &'static str),
    Sent(u64, &'static str),
}

impl Program {
    fn new(protocol: Protocol, then: Then) -> Self {
        let (provider, identity) = (Provider::gmail(), Identity::new("joe@gmail.com"));
        let policy = AccountConfig::for_provider(&provider);
        let mut account = Account::new(policy, 3).expect("a configuration");
        let config = SessionConfig::for_provider(&provider, protocol, identity);
        let session = account.add(config.expect("a profile")).expect("a session");
        Self {
            account,
            session,
            protocol,
            then,
            now_ms: 0,
            permanent_from: u64::MAX,
            lives_ms: Some(3_599_000),
            tokens: 0,
            logins: 0,
            asked: 0,
            raised: Vec::new(),
            held: None,
            waits: false,
            wake_at_ms: None,
            pending: Vec::new(),
        }
    }

    /// It asks each second for so many minutes, while it has no connection and is not answered.
    fn insists(&mut self, minutes: u64) {
        let end_ms = self.now_ms + minutes * MINUTE_MS;
        while self.now_ms < end_ms {
            if self.held.is_none() && !self.waits {
                self.waits = true;
                self.tell(Step::Fact(Fact::Want { session: self.session }));
            }
            self.run();
            self.now_ms += 1_000;
            if self.wake_at_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
                self.tell(Step::Fact(Fact::Tick));
                self.run();
            }
        }
    }

    fn run(&mut self) {
        while !self.pending.is_empty() {
            let step = self.pending.remove(0);
            self.tell(step);
        }
    }

    fn tell(&mut self, step: Step) {
        let plan = match step {
            Step::Fact(fact) => self.account.handle(self.now_ms, fact),
            Step::Octets(ticket, octets) => {
                self.account.receive(self.now_ms, ticket, octets.as_bytes())
            }
            Step::Sent(ticket, octets) => {
                self.account.sent(ticket, octets.as_bytes());
                return;
            }
        };
        self.carry_out(plan.expect("a right call"));
    }

    fn carry_out(&mut self, plan: AccountPlan) {
        self.wake_at_ms = plan.wake_at_ms;
        for order in plan.orders {
            match order {
                Order::FetchToken { request, .. } => self.fetch(request),
                Order::Open { ticket, .. } => {
                    self.pending.push(Step::Fact(Fact::Opened { ticket }));
                    self.pending.push(Step::Octets(ticket, self.greeting()));
                }
                Order::Send { ticket, sensitive: true, .. } => {
                    self.logins += 1;
                    self.pending.push(Step::Octets(ticket, self.accepts()));
                }
                Order::Send { ticket, .. } => {
                    self.pending.push(Step::Octets(ticket, "+OK\r\nSASL XOAUTH2\r\n.\r\n"));
                }
                Order::StartTls { .. }
                | Order::Pause { .. }
                | Order::KeepAlive { .. }
                | Order::Probe { .. }
                | Order::Close { .. } => {}
            }
        }
        for delivery in plan.deliveries {
            match delivery {
                Delivery::Give(given) => self.given(given.ticket),
                Delivery::Renew { ticket, .. } => {
                    self.held = None;
                    self.pending.push(Step::Fact(Fact::LetGo { ticket }));
                }
                Delivery::Over { .. } => self.held = None,
                Delivery::Raise(raise) => {
                    self.waits = false;
                    self.raised.push(*raise);
                }
                Delivery::End { .. } | Delivery::Event(_) => {}
            }
        }
    }

    fn greeting(&self) -> &'static str {
        match self.protocol {
            Protocol::Imap => "* OK Gimap ready\r\n",
            Protocol::Pop3 => "+OK Gpop ready\r\n",
            Protocol::Smtp => "220 smtp.gmail.com ESMTP\r\n",
        }
    }

    fn accepts(&self) -> &'static str {
        match self.protocol {
            Protocol::Imap => "A0001 OK in\r\n",
            Protocol::Pop3 => "+OK Welcome.\r\n",
            Protocol::Smtp => "235 2.7.0 Accepted\r\n",
        }
    }

    fn fetch(&mut self, request: u64) {
        self.asked += 1;
        if request >= self.permanent_from {
            let (why, text) = (NoToken::Permanent, REVOKED.to_owned());
            self.pending.push(Step::Fact(Fact::NoToken { request, why, text }));
            return;
        }
        self.tokens += 1;
        let token = AccessToken::new(&format!("token-{}", self.tokens)).expect("a token");
        self.pending.push(Step::Fact(Fact::Token { request, token, lives_ms: self.lives_ms }));
    }

    fn given(&mut self, ticket: u64) {
        self.held = Some(ticket);
        self.waits = false;
        match self.then {
            Then::Answers(words) => {
                self.pending.push(Step::Sent(ticket, "STAT\r\n"));
                self.pending.push(Step::Octets(ticket, words));
                self.pending.push(Step::Fact(Fact::Ended { ticket, failure: None }));
            }
            Then::Says(words) => self.pending.push(Step::Octets(ticket, words)),
            Then::Lives => {}
        }
    }

    /// All that was raised is the stop, with these words; after a few logins and no more, however long the program insists.
    fn is_stopped_with(&mut self, cause: Cause, words: &str, logins: u64) {
        assert_eq!(self.logins, logins);
        assert!(self.raised.len() > 100, "each time that it is wanted: {}", self.raised.len());
        for raise in &self.raised {
            assert_eq!((raise.kind, raise.failure.cause), (RaiseKind::NeedsUser, cause));
            let sentence = raise.failure.to_string();
            assert!(sentence.contains(words), "{sentence}");
        }
        let asked = self.asked;
        // Also after a restart.
        let snapshot = self.account.snapshot(self.now_ms);
        let config = AccountConfig::for_provider(&Provider::gmail());
        let restored = Account::restore(config, &snapshot, self.now_ms, self.now_ms, 4);
        self.account = restored.expect("its own snapshot");
        let identity = Identity::new("joe@gmail.com");
        let config = SessionConfig::for_provider(&Provider::gmail(), self.protocol, identity);
        self.session = self.account.add(config.expect("a profile")).expect("a session");
        self.insists(5);
        assert_eq!((self.logins, self.asked), (logins, asked), "nothing is tried behind a stop");
        assert!(self.raised.iter().all(|raise| raise.failure.to_string().contains(words)));
    }
}

#[test]
fn pop3_switched_off_behind_a_login_that_works() {
    let mut program = Program::new(Protocol::Pop3, Then::Answers(DISABLED));
    program.insists(10);
    program.is_stopped_with(Cause::ProtocolDisabled, "not enabled for POP access", 1);
}

#[test]
fn a_web_login_that_is_asked_for_while_the_program_holds_the_connection() {
    let mut program = Program::new(Protocol::Imap, Then::Says(WEB_LOGIN));
    program.insists(10);
    program.is_stopped_with(Cause::InteractionRequired, "Web login required", 1);
}

#[test]
fn a_refresh_token_that_was_revoked_before_the_first_login() {
    let mut program = Program::new(Protocol::Imap, Then::Lives);
    program.permanent_from = 1;
    program.insists(10);
    assert_eq!(program.asked, 1);
    program.is_stopped_with(Cause::TokenUnavailable, REVOKED, 0);
}

#[test]
fn a_source_that_fails_for_good_while_a_connection_lives_is_asked_once_more() {
    let mut program = Program::new(Protocol::Imap, Then::Lives);
    program.permanent_from = 2;
    program.insists(50);
    let ticket = program.held.expect("a connection");
    program.insists(8);
    assert_eq!((program.logins, program.asked), (1, 3), "two answers to the renewal");
    assert_eq!(program.held, Some(ticket), "what works is not ended for it");
    assert!(program.raised.is_empty());
    // Google ends it with its token.
    program.tell(Step::Octets(ticket, "* BYE Session expired, please login again.\r\n"));
    program.insists(10);
    assert_eq!(program.asked, 3);
    program.is_stopped_with(Cause::TokenUnavailable, REVOKED, 1);
}
