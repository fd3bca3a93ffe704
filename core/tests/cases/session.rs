//! Plays a case of the kind `session`: facts and time in, orders out.

use mailbearer::{
    AccessToken, Action, Aftermath, Endpoint, Identity, Input, Login, NegotiationConfig, Plan,
    Protocol, Provider, Renewal, Session, SessionConfig, Tls,
};
use serde_json::{Value, json};

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
    session: Session,
    seed: u64,
    now_ms: u64,
    wake_at_ms: Option<u64>,
    /// Of the latest orders.
    ticket: u64,
    request: u64,
}

impl<'a> Player<'a> {
    fn new(case: &'a Value) -> Result<Self, String> {
        let seed = case["seed"].as_u64().unwrap_or(1);
        let session =
            Session::new(configure(case)?, seed).map_err(|problem| problem.to_string())?;
        Ok(Self { case, session, seed, now_ms: 0, wake_at_ms: None, ticket: 0, request: 0 })
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
        let actions: Vec<&Action> = plans.iter().flat_map(|plan| &plan.actions).collect();
        let orders: Vec<String> = actions.iter().map(|action| spelled(action)).collect();
        let expected: Vec<&str> =
            step["orders"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if orders != expected {
            return Err(format!("expected the orders {expected:?}, came {orders:?}"));
        }
        for action in actions {
            self.note(action);
        }
        if let Some(plan) = plans.last() {
            self.wake_at_ms = plan.wake_at_ms;
        }
        self.check(step, &plans)
    }

    /// Tells the session what the step says; what it planned.
    fn tell(&mut self, index: usize, step: &Value, cut: Cut) -> Result<Vec<Plan>, String> {
        let ticket = step["ticket"].as_u64().unwrap_or(self.ticket);
        let request = step["request"].as_u64().unwrap_or(self.request);
        let says = |key: &str| step[key] == true;
        let text = |key: &str| step[key].as_str();
        if let Some(octets) = text("server") {
            let pieces = deal(&latin1(octets), 1, index, step, cut);
            return pieces.map(|piece| self.receive(ticket, &piece)).collect();
        }
        if let Some(octets) = text("sent") {
            self.session.sent(ticket, &latin1(octets));
            return Ok(Vec::new());
        }
        if says("restart") {
            self.seed += 1;
            let snapshot = self.session.snapshot();
            let config = configure(self.case)?;
            self.session = Session::restore(config, &snapshot, self.now_ms, self.seed)
                .map_err(|problem| problem.to_string())?;
        }
        let input = if says("start") {
            Input::Start
        } else if says("stop") {
            Input::Stop
        } else if says("tick") || says("restart") {
            Input::Tick
        } else if says("woke") {
            Input::Woke
        } else if let Some(token) = text("token") {
            let token = AccessToken::new(token).expect("a token");
            Input::Token { request, token, expires_in_ms: step["lives_ms"].as_u64() }
        } else if let Some(permanent) = step["token_failed"].as_bool() {
            Input::TokenFailed { request, permanent }
        } else if says("connected") {
            Input::Connected { ticket }
        } else if text("tls") == Some("established") {
            Input::TlsEstablished { ticket }
        } else if says("authenticated") {
            Input::Authenticated { ticket }
        } else if let Some(reply) = text("refused") {
            Input::Refused { ticket, reply: reply.to_owned() }
        } else if let Some(line) = text("line") {
            Input::Line { ticket, line: line.to_owned() }
        } else if says("drained") {
            Input::Drained { ticket }
        } else if says("closed") {
            let cause = text("cause").map(|name| {
                let all = mailbearer::Cause::ALL;
                *all.iter().find(|cause| cause.as_str() == name).expect("a cause")
            });
            Input::Ended { ticket, last_line: text("last_line").map(ToOwned::to_owned), cause }
        } else {
            return Err(format!("a step that is not known: {step}"));
        };
        let plan = self.session.handle(self.now_ms, input).map_err(|misuse| misuse.to_string())?;
        Ok(vec![plan])
    }

    fn receive(&mut self, ticket: u64, piece: &[u8]) -> Result<Plan, String> {
        self.session.receive(self.now_ms, ticket, piece).map_err(|misuse| misuse.to_string())
    }

    fn note(&mut self, action: &Action) {
        match action {
            Action::Connect { ticket, .. } => self.ticket = *ticket,
            Action::FetchToken { request, .. } => self.request = *request,
            Action::Send { .. }
            | Action::StartTls { .. }
            | Action::Online { .. }
            | Action::Renew { .. }
            | Action::Close { .. }
            | Action::NeedsUser(_)
            | Action::GiveUp(_) => {}
        }
    }

    fn check(&self, step: &Value, plans: &[Plan]) -> Result<(), String> {
        if let Some(phase) = step["phase"].as_str()
            && self.session.phase().as_str() != phase
        {
            return Err(format!("expected the phase {phase}, came {}", self.session.phase()));
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
        let resumed = plans.iter().flat_map(|plan| &plan.actions).find_map(|action| match action {
            Action::Online { resumed, .. } => Some(resumed.as_ref().map_or(Value::Null, as_json)),
            Action::FetchToken { .. }
            | Action::Connect { .. }
            | Action::Send { .. }
            | Action::StartTls { .. }
            | Action::Renew { .. }
            | Action::Close { .. }
            | Action::NeedsUser(_)
            | Action::GiveUp(_) => None,
        });
        match (step.get("resumed"), resumed) {
            (Some(expected), Some(resumed)) if *expected == resumed => Ok(()),
            (Some(expected), resumed) => Err(format!("expected {expected}, came {resumed:?}")),
            (None, _) => Ok(()),
        }
    }
}

fn configure(case: &Value) -> Result<SessionConfig, String> {
    let protocol: Protocol =
        case["protocol"].as_str().unwrap_or_default().parse().map_err(|_| "no protocol")?;
    let identity = Identity::new("user@example.test");
    let mut config = match case["provider"].as_str() {
        Some(name) => {
            let provider = Provider::named(name).ok_or("no such provider")?;
            SessionConfig::for_provider(&provider, protocol, identity)
                .map_err(|problem| problem.to_string())?
        }
        None => {
            let tls: Tls =
                case["tls"].as_str().unwrap_or("implicit").parse().map_err(|_| "no TLS mode")?;
            let endpoint = Endpoint::new(protocol, tls, "mail.example.test");
            SessionConfig::new(NegotiationConfig::new(endpoint, identity))
        }
    };
    for (name, value) in case["policy"].as_object().into_iter().flatten() {
        set(&mut config, name, value)?;
    }
    Ok(config)
}

fn set(config: &mut SessionConfig, name: &str, value: &Value) -> Result<(), String> {
    let number = || value.as_u64().ok_or(format!("{name} is no number"));
    match name {
        "session_ms" => config.limits.session_ms = value.as_u64(),
        "ends_with_token" => config.limits.ends_with_token = value == true,
        "connections" => {
            config.limits.connections = value.as_u64().and_then(|number| number.try_into().ok());
        }
        "token_lifetime_ms" => config.token_lifetime_ms = value.as_u64(),
        "lead_ms" => config.lead_ms = number()?,
        "token_life_least_ms" => config.token_life_least_ms = number()?,
        "token_timeout_ms" => config.token_timeout_ms = number()?,
        "login_timeout_ms" => config.login_timeout_ms = number()?,
        "backoff_base_ms" => config.backoff_base_ms = number()?,
        "backoff_max_ms" => config.backoff_max_ms = number()?,
        "stable_after_ms" => config.stable_after_ms = number()?,
        "login_interval_ms" => config.login_interval_ms = number()?,
        "login" if value == "host" => config.login = Login::Host,
        "renewal" if value == "at_end" => config.renewal = Renewal::AtEnd,
        "renewal" if value == "overlap" => config.renewal = Renewal::Overlap,
        _ => return Err(format!("the policy {name}: {value} is not known")),
    }
    Ok(())
}

/// An order in the words of the case files.
fn spelled(action: &Action) -> String {
    match action {
        Action::FetchToken { why, force_refresh: false, .. } => format!("fetch_token {why}"),
        Action::FetchToken { why, force_refresh: true, .. } => format!("fetch_token {why} forced"),
        Action::Connect { attempt, .. } => format!("connect {attempt}"),
        Action::Send { sensitive: false, .. } => "send".to_owned(),
        Action::Send { sensitive: true, .. } => "send token".to_owned(),
        Action::StartTls { .. } => "start_tls".to_owned(),
        Action::Online { generation, .. } => format!("online {generation}"),
        Action::Renew { why, .. } => format!("renew {why}"),
        Action::Close { cause, .. } => format!("close {cause}"),
        Action::NeedsUser(failure) => format!("needs_user {}", failure.cause),
        Action::GiveUp(failure) => format!("give_up {}", failure.cause),
    }
}

fn as_json(aftermath: &Aftermath) -> Value {
    match aftermath {
        Aftermath::Imap { selected, idling, unanswered } => json!({
            "selected": selected.as_ref().map(|mailbox| &mailbox.name),
            "idling": idling,
            "unanswered": unanswered,
        }),
        Aftermath::Pop3 { uncommitted_deletes } => {
            json!({ "uncommitted_deletes": uncommitted_deletes })
        }
        Aftermath::Smtp { submission } => json!({ "submission": submission.as_str() }),
    }
}
