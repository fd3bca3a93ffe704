//! Holds an `Account` against the script of a case: facts and time in, orders and deliveries out.

use mailbearer::{
    AccessToken, Account, AccountConfig, AccountPlan, Cause, Delivery, Endpoint, Fact, Failure,
    Identity, NegotiationConfig, NoToken, Order, Protocol, Provider, Renewal, SessionConfig,
    SessionKey, Tls,
};
use serde_json::Value;

use crate::script::{Cut, at_every_cut, deal, latin1};

/// The first way of dealing in which the case does not hold.
pub(crate) fn run(case: &Value) -> Option<String> {
    at_every_cut(case, |case, cut| play(case, cut).err())
}

fn play(case: &Value, cut: Cut) -> Result<(), String> {
    let mut player = Player::new(case)?;
    for (index, step) in case["steps"].as_array().expect("steps").iter().enumerate() {
        player
            .step(index, step, cut)
            .map_err(|problem| format!("step {}: {problem}", index + 1))?;
    }
    Ok(())
}

struct Player<'a> {
    case: &'a Value,
    account: Account,
    protocols: Vec<Protocol>,
    seed: u64,
    now_ms: u64,
    wake_at_ms: Option<u64>,
    /// Of the latest orders, and the sessions of all tickets.
    ticket: u64,
    request: u64,
    owners: Vec<SessionKey>,
    /// Of the latest `Give`.
    given: u64,
}

impl<'a> Player<'a> {
    fn new(case: &'a Value) -> Result<Self, String> {
        let seed = case["seed"].as_u64().unwrap_or(1);
        let account =
            Account::new(configure(case)?, seed).map_err(|problem| problem.to_string())?;
        let mut player = Self {
            case,
            account,
            protocols: Vec::new(),
            seed,
            now_ms: 0,
            wake_at_ms: None,
            ticket: 0,
            request: 0,
            owners: Vec::new(),
            given: 0,
        };
        player.add_sessions()?;
        Ok(player)
    }

    fn add_sessions(&mut self) -> Result<(), String> {
        self.protocols.clear();
        for session in self.case["sessions"].as_array().expect("sessions") {
            let config = configure_session(session)?;
            self.protocols.push(config.negotiation.endpoint.protocol);
            self.account.add(config).map_err(|problem| problem.to_string())?;
        }
        Ok(())
    }

    fn step(&mut self, index: usize, step: &Value, cut: Cut) -> Result<(), String> {
        self.now_ms = match &step["at"] {
            Value::String(wake) if wake == "wake" => {
                self.wake_at_ms.ok_or("nothing is waited for")?
            }
            at => at.as_u64().unwrap_or(self.now_ms),
        };
        let plans = match self.tell(index, step, cut) {
            Err(_) if step["misuse"] == true => return Ok(()),
            Ok(_) if step["misuse"] == true => return Err("expected a misuse, came none".into()),
            told => told?,
        };
        let orders: Vec<&Order> = plans.iter().flat_map(|plan| &plan.orders).collect();
        let deliveries: Vec<&Delivery> = plans.iter().flat_map(|plan| &plan.deliveries).collect();
        for order in &orders {
            self.note(order);
        }
        compare(step, "orders", orders.iter().map(|order| spelled_order(order)).collect())?;
        let told = deliveries.iter().filter_map(|delivery| spelled_delivery(delivery));
        compare(step, "deliveries", told.collect())?;
        if step.get("events").is_some() {
            let events = deliveries.iter().filter_map(|delivery| spelled_event(delivery));
            compare(step, "events", events.collect())?;
        }
        for delivery in &deliveries {
            if let Delivery::Give(given) = delivery {
                self.given = given.ticket;
            }
        }
        if let Some(plan) = plans.last() {
            self.wake_at_ms = plan.wake_at_ms;
        }
        self.check(step, &plans, &deliveries)
    }

    /// Tells the account what the step says; what it planned.
    fn tell(&mut self, index: usize, step: &Value, cut: Cut) -> Result<Vec<AccountPlan>, String> {
        let ticket = step["ticket"].as_u64().unwrap_or(self.ticket);
        let text = |key: &str| step[key].as_str();
        if let Some(octets) = text("server") {
            let ticket = step["ticket"].as_u64().unwrap_or(self.ticket.max(self.given));
            let pieces = deal(&latin1(octets), 1, index, step, cut);
            return pieces.map(|piece| self.receive(ticket, &piece)).collect();
        }
        if let Some(octets) = text("sent") {
            let ticket = step["ticket"].as_u64().unwrap_or(self.given);
            self.account.sent(ticket, &latin1(octets));
            return Ok(Vec::new());
        }
        if step["logs_in"] == true {
            return self.log_in(ticket);
        }
        if let Some(dead_ms) = step["restart"].as_u64() {
            self.seed += 1;
            let snapshot = self.account.snapshot(self.now_ms);
            let config = configure(self.case)?;
            self.now_ms += dead_ms;
            self.account = Account::restore(config, &snapshot, self.now_ms, self.now_ms, self.seed)
                .map_err(|problem| problem.to_string())?;
            self.add_sessions()?;
            return self.handle(Fact::Tick);
        }
        let fact = self.fact(step, ticket)?;
        self.handle(fact)
    }

    fn fact(&self, step: &Value, ticket: u64) -> Result<Fact, String> {
        let request = step["request"].as_u64().unwrap_or(self.request);
        let given = step["ticket"].as_u64().unwrap_or(self.given);
        let says = |key: &str| step[key] == true;
        let text = |key: &str| step[key].as_str();
        let key = |key: &str| {
            let number = step[key].as_u64()?;
            Some(SessionKey::new(number.try_into().ok()?))
        };
        let fact = if let Some(session) = key("want") {
            Fact::Want { session }
        } else if let Some(session) = key("no_longer") {
            Fact::NoLonger { session }
        } else if let Some(session) = key("remove") {
            Fact::Remove { session }
        } else if says("let_go") {
            Fact::LetGo { ticket: given }
        } else if says("close") {
            Fact::Close
        } else if says("retry") {
            Fact::Retry
        } else if text("network") == Some("lost") {
            Fact::NetworkLost
        } else if text("network") == Some("back") {
            Fact::NetworkBack
        } else if let Some(ms) = step["slept"].as_u64() {
            Fact::Slept { ms }
        } else if says("tick") {
            Fact::Tick
        } else if says("opened") {
            Fact::Opened { ticket }
        } else if says("secured") {
            Fact::Secured { ticket }
        } else if says("ended") {
            Fact::Ended { ticket, failure: failure(&step["problem"]) }
        } else if says("answered") {
            Fact::Answered { ticket: given }
        } else if let Some(token) = text("token") {
            let token = AccessToken::new(token).expect("a token");
            Fact::Token { request, token, lives_ms: step["lives_ms"].as_u64() }
        } else if let Some(why) = text("no_token") {
            let why = *NoToken::ALL.iter().find(|one| one.as_str() == why).expect("a reason");
            Fact::NoToken { request, why, text: text("text").unwrap_or_default().to_owned() }
        } else {
            return Err(format!("a step that is not known: {step}"));
        };
        Ok(fact)
    }

    fn handle(&mut self, fact: Fact) -> Result<Vec<AccountPlan>, String> {
        let plan = self.account.handle(self.now_ms, fact).map_err(|misuse| misuse.to_string())?;
        Ok(vec![plan])
    }

    fn receive(&mut self, ticket: u64, piece: &[u8]) -> Result<AccountPlan, String> {
        self.account.receive(self.now_ms, ticket, piece).map_err(|misuse| misuse.to_string())
    }

    /// A login that works, in the words of the protocol.
    fn log_in(&mut self, ticket: u64) -> Result<Vec<AccountPlan>, String> {
        let owner = self.owners.get(ticket as usize - 1).ok_or("no such ticket")?;
        let words: &[&str] = match self.protocols[owner.number() as usize - 1] {
            Protocol::Imap => &[
                "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER] ready\r\n",
                "A0001 OK in\r\n",
            ],
            Protocol::Pop3 => {
                &["+OK ready\r\n", "+OK\r\nSASL XOAUTH2 OAUTHBEARER\r\n.\r\n", "+OK in\r\n"]
            }
            Protocol::Smtp => &[
                "220 mail.example.test ESMTP\r\n",
                "250-mail.example.test\r\n250-AUTH XOAUTH2 OAUTHBEARER\r\n250 ENHANCEDSTATUSCODES\r\n",
                "235 ok\r\n",
            ],
        };
        let mut plans = self.handle(Fact::Opened { ticket })?;
        for line in words {
            plans.push(self.receive(ticket, line.as_bytes())?);
        }
        Ok(plans)
    }

    fn note(&mut self, order: &Order) {
        match order {
            Order::Open { ticket, session, .. } => {
                self.ticket = *ticket;
                self.owners.resize(*ticket as usize, *session);
                self.owners[*ticket as usize - 1] = *session;
            }
            Order::FetchToken { request, .. } => self.request = *request,
            Order::StartTls { .. }
            | Order::Send { .. }
            | Order::Pause { .. }
            | Order::KeepAlive { .. }
            | Order::Probe { .. }
            | Order::Close { .. } => {}
        }
    }

    fn check(
        &self,
        step: &Value,
        plans: &[AccountPlan],
        deliveries: &[&Delivery],
    ) -> Result<(), String> {
        for (number, expected) in step["standing"].as_object().into_iter().flatten() {
            let session = SessionKey::new(number.parse().expect("a key"));
            let standing = self.account.standing(session).map(|standing| standing.as_str());
            if standing != expected.as_str() {
                return Err(format!("expected {number} to be {expected}, it is {standing:?}"));
            }
        }
        if self.wake_at_ms.is_some_and(|wake_at_ms| wake_at_ms <= self.now_ms) && !plans.is_empty()
        {
            return Err("a wake that is not in the future".into());
        }
        let wait_ms = self.wake_at_ms.map(|wake_at_ms| wake_at_ms.saturating_sub(self.now_ms));
        let holds = match step.get("wake") {
            None => true,
            Some(Value::Null) => wait_ms.is_none(),
            Some(range) => wait_ms.is_some_and(|wait_ms| {
                let bound = |index: usize| range[index].as_u64().expect("a bound");
                (bound(0)..=bound(1)).contains(&wait_ms)
            }),
        };
        if !holds {
            return Err(format!("expected a wake in {}, came {wait_ms:?}", step["wake"]));
        }
        let Some(says) = step["says"].as_str() else { return Ok(()) };
        let raised: Vec<String> = deliveries
            .iter()
            .filter_map(|delivery| match delivery {
                Delivery::Raise(raise) => Some(raise.failure.to_string()),
                Delivery::Give(_)
                | Delivery::Renew { .. }
                | Delivery::Over { .. }
                | Delivery::End { .. }
                | Delivery::Event(_) => None,
            })
            .collect();
        if raised.iter().any(|sentence| sentence.contains(says)) {
            Ok(())
        } else {
            Err(format!("expected {says:?} to be said, came {raised:?}"))
        }
    }
}

fn compare(step: &Value, key: &str, came: Vec<String>) -> Result<(), String> {
    let expected: Vec<&str> =
        step[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if came == expected {
        Ok(())
    } else {
        Err(format!("expected the {key} {expected:?}, came {came:?}"))
    }
}

fn configure(case: &Value) -> Result<AccountConfig, String> {
    // Most cases are not about silence.
    let mut config = AccountConfig { keep_alive: false, ..AccountConfig::default() };
    for (name, value) in case["account"].as_object().into_iter().flatten() {
        let number = || value.as_u64().ok_or(format!("{name} is no number"));
        match name.as_str() {
            "first_ms" => config.first_ms = value.as_u64(),
            "later_ms" => config.later_ms = value.as_u64(),
            "token_lifetime_ms" => config.token_lifetime_ms = value.as_u64(),
            "token_life_least_ms" => config.token_life_least_ms = number()?,
            "token_timeout_ms" => config.token_timeout_ms = number()?,
            "backoff_base_ms" => config.backoff_base_ms = number()?,
            "backoff_max_ms" => config.backoff_max_ms = number()?,
            "keep_alive" => config.keep_alive = value == true,
            "answer_ms" => config.answer_ms = number()?,
            "unprobed_nap_ms" => config.unprobed_nap_ms = number()?,
            _ => return Err(format!("the setting {name}: {value} is not known")),
        }
    }
    Ok(config)
}

/// `"imap"`, or an object with protocol, provider, tls and policy.
fn configure_session(session: &Value) -> Result<SessionConfig, String> {
    let name = session.as_str().or(session["protocol"].as_str()).unwrap_or_default();
    let protocol: Protocol = name.parse().map_err(|_| "no protocol")?;
    let identity = Identity::new("user@example.test");
    let mut config = match session["provider"].as_str() {
        Some(name) => {
            let provider = Provider::named(name).ok_or("no such provider")?;
            SessionConfig::for_provider(&provider, protocol, identity)
                .map_err(|problem| problem.to_string())?
        }
        None => {
            let tls: Tls =
                session["tls"].as_str().unwrap_or("implicit").parse().map_err(|_| "no TLS mode")?;
            let endpoint = Endpoint::new(protocol, tls, "mail.example.test");
            SessionConfig::new(NegotiationConfig::new(endpoint, identity))
        }
    };
    for (name, value) in session["policy"].as_object().into_iter().flatten() {
        match name.as_str() {
            "session_ms" => config.limits.session_ms = value.as_u64(),
            "idle_ms" => config.limits.idle_ms = value.as_u64(),
            "ends_with_token" => config.limits.ends_with_token = value == true,
            "connections" => {
                let number = value.as_u64().and_then(|number| number.try_into().ok());
                config.limits.connections = number;
            }
            "renewal" if value == "at_end" => config.renewal = Renewal::AtEnd,
            "renewal" if value == "overlap" => config.renewal = Renewal::Overlap,
            _ => return Err(format!("the policy {name}: {value} is not known")),
        }
    }
    Ok(config)
}

/// What a host makes of what its system says.
fn failure(value: &Value) -> Option<Failure> {
    let text = |key: &str| value[key].as_str().unwrap_or_default();
    let (error, words) = (text("error"), text("words"));
    Some(match text("stage") {
        "name" | "connect" => Failure::of_connect(error, words),
        "tls" => Failure::of_tls(error, words),
        "read" | "write" => Failure::of_host(Cause::ConnectionLost, words.to_owned()),
        "late" => Failure::of_host(Cause::TimedOut, words.to_owned()),
        _ => return None,
    })
}

/// An order in the words of the case files.
fn spelled_order(order: &Order) -> String {
    match order {
        Order::FetchToken { force: false, .. } => "fetch_token".to_owned(),
        Order::FetchToken { force: true, refused: None, .. } => "fetch_token forced".to_owned(),
        Order::FetchToken { force: true, refused: Some(_), .. } => {
            "fetch_token forced refused".to_owned()
        }
        Order::Open { session, attempt, .. } => format!("open {session} {attempt}"),
        Order::StartTls { .. } => "start_tls".to_owned(),
        Order::Send { sensitive: false, .. } => "send".to_owned(),
        Order::Send { sensitive: true, .. } => "send token".to_owned(),
        Order::Pause { ticket } => format!("pause {ticket}"),
        Order::KeepAlive { ticket, .. } => format!("keep_alive {ticket}"),
        Order::Probe { ticket, .. } => format!("probe {ticket}"),
        Order::Close { ticket } => format!("close {ticket}"),
    }
}

fn spelled_delivery(delivery: &Delivery) -> Option<String> {
    let text = match delivery {
        Delivery::Give(given) => format!("give {} {}", given.session, given.generation),
        Delivery::Renew { ticket, why, .. } => format!("renew {ticket} {why}"),
        Delivery::Over { ticket, verdict, .. } => format!("over {ticket} {}", verdict.cause),
        Delivery::Raise(raise) => {
            format!("raise {} {} {}", raise.session, raise.kind, raise.failure.cause)
        }
        Delivery::End { session } => format!("end {session}"),
        Delivery::Event(_) => return None,
    };
    Some(text)
}

fn spelled_event(delivery: &Delivery) -> Option<String> {
    let Delivery::Event(event) = delivery else { return None };
    let session = event.session.map_or(String::new(), |session| format!(" {session}"));
    let cause = event.cause.map_or(String::new(), |cause| format!(" {cause}"));
    Some(format!("{}{session}{cause}", event.kind))
}
