//! When a connection that is idle is kept alive: before the idle limit of each provider and of NAT, at random.

use std::collections::BTreeSet;

use mailbearer::{
    AccessToken, Account, AccountConfig, AccountPlan, Delivery, Fact, Identity, Order, Protocol,
    Provider, SessionConfig, Tls,
};

use crate::world::{DAY_MS, MINUTE_MS};

/// An account of one session in its day, whose program sleeps, and says NOOP where it is asked to.
struct Sleeper {
    account: Account,
    protocol: Protocol,
    ticket: u64,
    now_ms: u64,
    wake_at_ms: Option<u64>,
    /// How long it was silent before each keep-alive.
    silences: Vec<u64>,
    heard_at_ms: u64,
    is_given: bool,
}

impl Sleeper {
    /// Logs in; `None`: the provider does not speak this protocol.
    fn new(provider: &Provider, protocol: Protocol, keep_alive: bool, seed: u64) -> Option<Self> {
        provider.service(protocol).filter(|_| provider.instead.is_none())?;
        let identity = Identity::new("joe@example.org");
        let mut config =
            SessionConfig::for_provider(provider, protocol, identity).expect("a profile");
        config.negotiation.endpoint.tls = Tls::Implicit;
        // It is a day of one connection: neither its token nor a limit ends it.
        config.limits.session_ms = None;
        config.limits.ends_with_token = false;
        let policy = AccountConfig { keep_alive, ..AccountConfig::for_provider(provider) };
        let mut account = Account::new(policy, seed).expect("an account");
        let session = account.add(config).expect("a session");
        let mut sleeper = Self {
            account,
            protocol,
            ticket: 0,
            now_ms: 1,
            wake_at_ms: None,
            silences: Vec::new(),
            heard_at_ms: 1,
            is_given: false,
        };
        sleeper.tell(Fact::Want { session });
        assert!(sleeper.is_given, "{provider:?} {protocol:?}");
        Some(sleeper)
    }

    fn tell(&mut self, fact: Fact) {
        let plan = self.account.handle(self.now_ms, fact).expect("a right call");
        self.carry_out(plan);
    }

    fn hear(&mut self, words: &str) {
        self.heard_at_ms = self.now_ms;
        let plan = self.account.receive(self.now_ms, self.ticket, words.as_bytes());
        self.carry_out(plan.expect("a right call"));
    }

    fn carry_out(&mut self, plan: AccountPlan) {
        self.wake_at_ms = plan.wake_at_ms;
        self.is_given |= plan.deliveries.iter().any(|one| matches!(one, Delivery::Give(_)));
        let is_over = plan.deliveries.iter().any(|one| matches!(one, Delivery::Over { .. }));
        assert!(!is_over, "{:?}: {:?}", self.protocol, plan.deliveries);
        for order in plan.orders {
            match order {
                Order::FetchToken { request, .. } => {
                    let token = AccessToken::new("a-token").expect("a token");
                    self.tell(Fact::Token { request, token, lives_ms: Some(2 * DAY_MS) });
                }
                Order::Open { ticket, .. } => {
                    self.ticket = ticket;
                    self.tell(Fact::Opened { ticket });
                    self.hear(match self.protocol {
                        Protocol::Imap => {
                            "* OK [CAPABILITY SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER] x\r\n"
                        }
                        Protocol::Pop3 => "+OK x\r\n",
                        Protocol::Smtp => "220 x\r\n",
                    });
                }
                Order::Send { bytes, .. } => self.answer(&String::from_utf8_lossy(&bytes)),
                Order::KeepAlive { .. } => self.keep_alive(),
                Order::Close { .. }
                | Order::StartTls { .. }
                | Order::Pause { .. }
                | Order::Probe { .. } => {}
            }
        }
    }

    /// What the server says in the login.
    fn answer(&mut self, said: &str) {
        let answer = match (self.protocol, said.split(' ').next().unwrap_or_default()) {
            (Protocol::Imap, tag) => format!("{tag} OK in\r\n"),
            (Protocol::Pop3, "CAPA\r\n") => "+OK\r\nSASL XOAUTH2 OAUTHBEARER\r\n.\r\n".to_owned(),
            (Protocol::Pop3, "AUTH") if said.split(' ').count() < 3 => "+ \r\n".to_owned(),
            (Protocol::Pop3, _) => "+OK in\r\n".to_owned(),
            (Protocol::Smtp, "EHLO") => "250-x\r\n250 AUTH XOAUTH2 OAUTHBEARER\r\n".to_owned(),
            (Protocol::Smtp, "AUTH") if said.split(' ').count() < 3 => "334 \r\n".to_owned(),
            (Protocol::Smtp, _) => "235 in\r\n".to_owned(),
        };
        self.hear(&answer);
    }

    fn keep_alive(&mut self) {
        self.silences.push(self.now_ms - self.heard_at_ms);
        let (said, answer) = match self.protocol {
            Protocol::Imap => ("K1 NOOP\r\n", "K1 OK done\r\n"),
            Protocol::Pop3 => ("NOOP\r\n", "+OK\r\n"),
            Protocol::Smtp => ("NOOP\r\n", "250 ok\r\n"),
        };
        self.account.sent(self.ticket, said.as_bytes());
        self.hear(answer);
    }

    fn live_until(&mut self, end_ms: u64) {
        while let Some(at_ms) = self.wake_at_ms.filter(|at_ms| *at_ms <= end_ms) {
            self.now_ms = at_ms;
            self.tell(Fact::Tick);
        }
        self.now_ms = end_ms;
    }
}

const PROTOCOLS: [Protocol; 3] = [Protocol::Imap, Protocol::Pop3, Protocol::Smtp];

#[test]
fn an_idle_connection_is_kept_alive_each_four_to_nine_minutes_and_below_every_idle_limit() {
    let providers: Vec<_> = Provider::NAMES
        .iter()
        .filter_map(|name| Provider::named(name))
        .chain([Provider::generic("mail.example.org")])
        .collect();
    let mut tried = 0;
    for (provider, protocol) in
        providers.iter().flat_map(|provider| PROTOCOLS.map(|protocol| (provider, protocol)))
    {
        let Some(mut sleeper) = Sleeper::new(provider, protocol, true, tried) else { continue };
        sleeper.live_until(DAY_MS);
        // What the profile says, else the least that the RFCs allow a server.
        let known = provider.service(protocol).and_then(|service| service.limits.idle_ms);
        let idle_ms = known.unwrap_or(match protocol {
            Protocol::Imap => 30 * MINUTE_MS,
            Protocol::Pop3 => 10 * MINUTE_MS,
            Protocol::Smtp => 5 * MINUTE_MS,
        });
        let name = format!("{} {protocol:?}: {:?}", provider.name, sleeper.silences);
        let most_ms = (9 * MINUTE_MS).min(idle_ms / 4 * 3);
        assert!(sleeper.silences.iter().all(|ms| *ms <= most_ms && *ms < idle_ms), "{name}");
        let least_ms = (4 * MINUTE_MS).min(idle_ms / 2);
        assert!(sleeper.silences.iter().all(|ms| *ms >= least_ms), "{name}");
        // A day has no less of them than that.
        assert!(sleeper.silences.len() as u64 >= DAY_MS / most_ms, "{name}");
        let different: BTreeSet<_> = sleeper.silences.iter().collect();
        assert!(different.len() > sleeper.silences.len() / 2, "{name}");
        tried += 1;
    }
    assert!(tried > 20, "{tried}");
}

#[test]
fn it_can_be_switched_off() {
    let sleeper = Sleeper::new(&Provider::gmail(), Protocol::Imap, false, 1);
    let mut sleeper = sleeper.expect("a service");
    sleeper.live_until(DAY_MS);
    assert!(sleeper.silences.is_empty());
}

#[test]
fn a_fleet_that_began_together_does_not_speak_together() {
    let firsts: BTreeSet<_> = (0..100)
        .filter_map(|seed| {
            let mut sleeper = Sleeper::new(&Provider::gmail(), Protocol::Imap, true, seed)?;
            sleeper.live_until(10 * MINUTE_MS);
            sleeper.silences.first().copied()
        })
        .collect();
    assert!(firsts.len() > 90, "{}", firsts.len());
}
