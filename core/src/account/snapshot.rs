//! What outlives the process: stops, waits, refusals, limits, and each session's own. No secret.
//!
//! One line of header with a checksum, and a JSON object, as a session's. Times are kept as what was left of them, with
//! the wall clock of the moment, so that the time for which the process was dead counts.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Value, json};

use super::stops::{Stop, is_of_account};
use super::{Account, AccountConfig, RaiseKind, places, tokens};
use crate::config::{ConfigError, Protocol};
use crate::session::snapshot::{
    Content, DAMAGED, checksum, failure_from_json, failure_to_json, owner, owner_of,
};
use crate::session::{Session, SessionConfig, SessionPhase};

const HEADER: &str = "mailbearer-account 1 ";

/// Octets of a snapshot, for each of its sessions: see `session/snapshot.rs`.
const SNAPSHOT_OCTETS_MAX: usize = 64 << 20;

/// Users of one account that are remembered: its own, and those of mailboxes that are shared.
const USERS_MAX: usize = 64;

const FOREIGN: &str = "it is of another user or server; one of a single session is for the session that is added first";

/// A session of a snapshot that was not added yet.
#[derive(Debug)]
pub(super) struct Remembered {
    owner: String,
    /// `None`: the snapshot was a session's, which does not say it.
    user: Option<String>,
    state: String,
}

impl Account {
    /// What must outlive the process. `wall_ms` is milliseconds on a clock that all processes share, as since 1970. It
    /// holds no secret, and what servers said only where a stop is to be explained.
    #[must_use]
    pub fn snapshot(&self, wall_ms: u64) -> Vec<u8> {
        let sessions: Vec<Value> = self
            .members
            .iter()
            .map(|member| {
                let config = member.session.config();
                let state = member.session.snapshot();
                json!({
                    "owner": owner(config),
                    "user": user(config),
                    "state": String::from_utf8_lossy(&state),
                })
            })
            .collect();
        let waiting = self
            .remembered
            .iter()
            .map(|one| json!({ "owner": one.owner, "user": one.user, "state": one.state }));
        let sessions: Vec<Value> = sessions.into_iter().chain(waiting).collect();
        let content = json!({
            "wall_ms": wall_ms,
            "users": self.users,
            "sessions": sessions,
            "stops": self.stops.all().iter().map(stop_to_json).collect::<Vec<_>>(),
            "tokens": tokens_to_json(&self.tokens.memory(self.now_ms)),
            "services": self.places.memory(self.now_ms).map(|one| service_to_json(&one)),
        })
        .to_string();
        format!("{HEADER}{:016x}\n{content}", checksum(content.as_bytes())).into_bytes()
    }

    /// An account that goes on where the one of the snapshot was: add its sessions again. A stop holds until
    /// [`Fact::Retry`](super::Fact::Retry), and waits are over when they would have been.
    ///
    /// What a bare [`Session`] wrote is taken too, also that of version 0.1.0: it is for the session that is added first, which
    /// must be the one that wrote it. It has no wall clock: its waits begin anew.
    ///
    /// # Errors
    /// [`ConfigError::Snapshot`] when it is damaged or of another version; and from [`Account::add`] when it is of another
    /// user, or a session's and another one is added first.
    pub fn restore(
        config: AccountConfig,
        snapshot: &[u8],
        now_ms: u64,
        wall_ms: u64,
        seed: u64,
    ) -> Result<Self, ConfigError> {
        let mut account = Self::new(config, seed)?;
        account.awaits_owner = true;
        if let Some(owner) = owner_of(snapshot)? {
            account.now_ms = now_ms;
            let state = String::from_utf8_lossy(snapshot).into_owned();
            account.remembered.push(Remembered { owner, user: None, state });
            return Ok(account);
        }
        let content = Content::open(&[HEADER], SNAPSHOT_OCTETS_MAX, snapshot)?;
        let dead_ms = wall_ms.saturating_sub(content.number("wall_ms")?);
        account.now_ms = now_ms;
        account.dead_ms = dead_ms;
        account.users = content.list("users", |user| user.as_str().map(ToString::to_string))?;
        account.remembered = content.list("sessions", remembered_from_json)?;
        for stop in content.list("stops", stop_from_json)? {
            account.stops.add(stop);
        }
        let memory = tokens_from_json(content.get("tokens")?).ok_or(DAMAGED)?;
        account.tokens.remember(memory, now_ms, dead_ms);
        let services = content.list("services", service_from_json)?;
        let services: [places::Memory; 3] = services.try_into().map_err(|_| DAMAGED)?;
        account.places.remember(services, now_ms, dead_ms);
        Ok(account)
    }

    /// The session of a snapshot, the first time that it is asked for.
    pub(super) fn recall(
        &mut self,
        config: &SessionConfig,
        seed: u64,
    ) -> Result<Option<Session>, ConfigError> {
        let (owner, user) = (owner(config), user(config));
        if self.awaits_owner && self.is_foreign(&owner, &user) {
            return Err(ConfigError::Snapshot { problem: FOREIGN });
        }
        let Some(at) = self.remembered.iter().position(|one| one.owner == owner) else {
            return Ok(None);
        };
        let one = self.remembered.remove(at);
        let (state, now_ms) = (one.state.as_bytes(), self.now_ms);
        let session = Session::restore_supplied(config.clone(), state, now_ms, self.dead_ms, seed)?;
        if one.user.is_none() {
            self.inherit(&session);
        }
        Ok(Some(session))
    }

    /// Whether the snapshot is of others. What a session wrote says of which server it is, and not of whom; of more users than
    /// are remembered, any may come.
    fn is_foreign(&self, owner: &str, user: &str) -> bool {
        match self.users.as_slice() {
            [] => self.remembered.iter().any(|one| one.user.is_none() && one.owner != owner),
            users => users.len() < USERS_MAX && !users.iter().any(|one| one == user),
        }
    }

    /// Notes whose session it has: another one of theirs may come back with the snapshot, also when none was there at the end.
    pub(super) fn belongs_to(&mut self, config: &SessionConfig) {
        let user = user(config);
        self.awaits_owner = false;
        if self.users.len() < USERS_MAX && !self.users.contains(&user) {
            self.users.push(user);
        }
    }

    /// What a bare session knew and an account knows for all: its stop, and the tokens that its server refused.
    fn inherit(&mut self, session: &Session) {
        let (in_a_row, of_day) = session.refusals();
        self.tokens.inherit(in_a_row, of_day);
        let kind = match session.phase() {
            SessionPhase::NeedsUser => RaiseKind::NeedsUser,
            SessionPhase::GaveUp => RaiseKind::GaveUp,
            SessionPhase::Stopped
            | SessionPhase::FetchingToken
            | SessionPhase::Waiting
            | SessionPhase::Connecting
            | SessionPhase::LoggingIn
            | SessionPhase::Online
            | SessionPhase::Renewing => return,
        };
        let Some(failure) = session.last_failure().cloned() else { return };
        let service = (!is_of_account(failure.cause)).then(|| session.service());
        self.stops.add(Stop { service, kind, failure, request: None, ticket: None });
    }
}

/// Of whom a session is, without saying it.
fn user(config: &SessionConfig) -> String {
    format!("{:016x}", checksum(config.negotiation.identity.name().as_bytes()))
}

fn remembered_from_json(value: &Value) -> Option<Remembered> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(ToString::to_string);
    let user = if value.get("user")?.is_null() { None } else { Some(text("user")?) };
    Some(Remembered { owner: text("owner")?, user, state: text("state")? })
}

fn stop_to_json(stop: &Stop) -> Value {
    json!({
        "service": stop.service.map(Protocol::as_str),
        "kind": stop.kind.as_str(),
        "failure": failure_to_json(&stop.failure),
        "detail": stop.failure.detail,
    })
}

fn stop_from_json(value: &Value) -> Option<Stop> {
    let service = match value.get("service")? {
        Value::Null => None,
        Value::String(name) => Some(name.parse().ok()?),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let name = value.get("kind")?.as_str()?;
    let kind = RaiseKind::ALL.iter().copied().find(|one| one.as_str() == name)?;
    let mut failure = failure_from_json(value.get("failure")?)?;
    let detail = value.get("detail")?.as_str()?;
    if !detail.is_empty() {
        failure.detail = detail.to_string().into();
    }
    Some(Stop { service, kind, failure, request: None, ticket: None })
}

fn tokens_to_json(memory: &tokens::Memory) -> Value {
    json!({
        "failures": memory.failures,
        "cooling_ms": memory.cooling_ms,
        "in_a_row": memory.in_a_row,
        "of_day_ms": memory.of_day_ms,
        "longest_life_ms": memory.longest_life_ms,
        "force": memory.force,
        "owed_ms": memory.owed_ms,
    })
}

fn tokens_from_json(value: &Value) -> Option<tokens::Memory> {
    let numbers = |key: &str| {
        let list = value.get(key)?.as_array()?;
        list.iter().map(Value::as_u64).collect::<Option<Vec<u64>>>()
    };
    let owed = numbers("owed_ms")?;
    Some(tokens::Memory {
        failures: value.get("failures")?.as_u64()?.try_into().ok()?,
        cooling_ms: value.get("cooling_ms")?.as_u64()?,
        in_a_row: value.get("in_a_row")?.as_u64()?,
        of_day_ms: numbers("of_day_ms")?,
        longest_life_ms: optional(value.get("longest_life_ms")?)?,
        force: value.get("force")?.as_bool()?,
        owed_ms: owed.try_into().ok()?,
    })
}

fn service_to_json(memory: &places::Memory) -> Value {
    json!({
        "limit": memory.limit,
        "retry_ms": memory.retry_ms,
        "patience_ms": memory.patience_ms,
        "throttled_ms": memory.throttled_ms,
        "strikes": memory.strikes,
    })
}

fn service_from_json(value: &Value) -> Option<places::Memory> {
    let limit = optional(value.get("limit")?)?;
    Some(places::Memory {
        limit: limit.map(TryInto::try_into).transpose().ok()?,
        retry_ms: value.get("retry_ms")?.as_u64()?,
        patience_ms: value.get("patience_ms")?.as_u64()?,
        throttled_ms: value.get("throttled_ms")?.as_u64()?,
        strikes: value.get("strikes")?.as_u64()?.try_into().ok()?,
    })
}

/// A number or nothing; anything else is damage.
fn optional(value: &Value) -> Option<Option<u64>> {
    if value.is_null() { Some(None) } else { value.as_u64().map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Delivery, Fact, NoToken, Order, SessionKey, Standing};
    use crate::config::Identity;
    use crate::provider::Provider;
    use crate::token::AccessToken;

    fn session(protocol: Protocol, user: &str) -> SessionConfig {
        SessionConfig::for_provider(&Provider::gmail(), protocol, Identity::new(user)).unwrap()
    }

    /// IMAP and SMTP; IMAP is on its way with a token.
    fn account() -> Account {
        let mut account = Account::new(AccountConfig::default(), 1).unwrap();
        let first = account.add(session(Protocol::Imap, "joe@gmail.com")).unwrap();
        account.add(session(Protocol::Smtp, "joe@gmail.com")).unwrap();
        let _ = account.handle(0, Fact::Want { session: first }).unwrap();
        let token = AccessToken::new("CANARYCANARYCANARY").unwrap();
        let _ = account.handle(0, Fact::Token { request: 1, token, lives_ms: None }).unwrap();
        account
    }

    fn restored(snapshot: &[u8], wall_ms: u64) -> Result<Account, ConfigError> {
        Account::restore(AccountConfig::default(), snapshot, 5, wall_ms, 2)
    }

    /// The members of a snapshot, changed, with a right checksum.
    fn with(change: impl Fn(&mut Value)) -> Vec<u8> {
        let snapshot = String::from_utf8(account().snapshot(0)).unwrap();
        let mut content: Value =
            serde_json::from_str(snapshot.split_once('\n').unwrap().1).unwrap();
        change(&mut content);
        let content = content.to_string();
        format!("{HEADER}{:016x}\n{content}", checksum(content.as_bytes())).into_bytes()
    }

    #[test]
    fn holds_no_secret() {
        let text = String::from_utf8(account().snapshot(0)).unwrap();
        assert!(!text.contains("CANARY") && !text.contains("joe"), "{text}");
    }

    #[test]
    fn damage_at_any_octet_is_an_error() {
        let snapshot = account().snapshot(0);
        for at in 0..snapshot.len() {
            let mut damaged = snapshot.clone();
            damaged[at] ^= 1;
            assert!(restored(&damaged, 0).is_err(), "octet {at}");
            assert!(restored(&snapshot[..at], 0).is_err(), "cut at {at}");
        }
        assert!(restored(b"mailbearer-session 1 ", 0).is_err());
    }

    #[test]
    fn a_member_that_is_missing_or_of_another_kind_is_damage() {
        for key in ["wall_ms", "users", "sessions", "stops", "tokens", "services"] {
            let without = with(|content| {
                content.as_object_mut().unwrap().remove(key);
            });
            assert_eq!(restored(&without, 0).unwrap_err(), DAMAGED, "without {key}");
            let another = with(|content| content[key] = json!("x"));
            assert_eq!(restored(&another, 0).unwrap_err(), DAMAGED, "{key} of another kind");
        }
        let numbers = ["failures", "cooling_ms", "in_a_row", "of_day_ms", "longest_life_ms"];
        for key in numbers.into_iter().chain(["force", "owed_ms"]) {
            let another = with(|content| content["tokens"][key] = json!("x"));
            assert_eq!(restored(&another, 0).unwrap_err(), DAMAGED, "tokens.{key}");
        }
        for key in ["limit", "retry_ms", "patience_ms", "throttled_ms", "strikes"] {
            let another = with(|content| content["services"][1][key] = json!("x"));
            assert_eq!(restored(&another, 0).unwrap_err(), DAMAGED, "services.{key}");
        }
        for key in ["owner", "user", "state"] {
            let another = with(|content| content["sessions"][0][key] = json!(1));
            assert_eq!(restored(&another, 0).unwrap_err(), DAMAGED, "sessions.{key}");
        }
        let stop = json!({"service": "imap", "kind": "needs_user", "detail": "", "failure": {}});
        let another = with(|content| content["stops"] = json!([stop]));
        assert_eq!(restored(&another, 0).unwrap_err(), DAMAGED);
        let fewer = with(|content| content["services"] = json!([]));
        assert_eq!(restored(&fewer, 0).unwrap_err(), DAMAGED);
    }

    #[test]
    fn a_session_is_known_again_by_its_server_and_user() {
        let snapshot = account().snapshot(0);
        let mut account = restored(&snapshot, 0).unwrap();
        let error = account.add(session(Protocol::Imap, "eve@gmail.com")).unwrap_err();
        assert_eq!(error, ConfigError::Snapshot { problem: FOREIGN });
        account.add(session(Protocol::Imap, "joe@gmail.com")).unwrap();
        // Another mailbox of the same account, as a shared one, is new.
        account.add(session(Protocol::Imap, "team@gmail.com")).unwrap();
        account.add(session(Protocol::Pop3, "joe@gmail.com")).unwrap();
    }

    #[test]
    fn what_was_not_added_again_stays_in_the_next_snapshot() {
        let mut first = restored(&account().snapshot(0), 0).unwrap();
        first.add(session(Protocol::Smtp, "joe@gmail.com")).unwrap();
        let mut second = restored(&first.snapshot(0), 0).unwrap();
        assert_eq!(second.remembered.len(), 2);
        second.add(session(Protocol::Imap, "joe@gmail.com")).unwrap();
        assert_eq!(second.remembered.len(), 1);
    }

    #[test]
    fn a_clock_that_went_back_does_not_make_waits_longer() {
        let mut account = account();
        let no = Fact::NoToken { request: 1, why: NoToken::Outage, text: String::new() };
        let _ = account.handle(0, no).unwrap();
        let snapshot = account.snapshot(1_000_000);
        let restored = restored(&snapshot, 5).unwrap();
        assert_eq!(restored.dead_ms, 0);
        assert_eq!(restored.standing(SessionKey::new(1)), None::<Standing>);
    }

    /// What a bare session of today writes, refused once and then stopped for a person.
    fn of_a_session(stopped: bool) -> Vec<u8> {
        use crate::session::Input;
        let mut session = Session::new(session(Protocol::Imap, "joe@gmail.com"), 1).unwrap();
        let _ = session.handle(0, Input::Start).unwrap();
        for ticket in 1..=if stopped { 2 } else { 1 } {
            let text = format!("token-{ticket}");
            let token = AccessToken::new(&text).unwrap();
            let came = Input::Token { request: ticket, token, expires_in_ms: None };
            let _ = session.handle(0, came).unwrap();
            let _ = session.handle(0, Input::Connected { ticket }).unwrap();
            let _ = session.receive(0, ticket, b"* OK Gimap ready\r\n").unwrap();
            let no = b"A0001 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)\r\n";
            let _ = session.receive(0, ticket, no).unwrap();
        }
        session.snapshot()
    }

    /// The same in the words of version 0.1.0, which had fewer members.
    fn of_version_1(snapshot: &[u8]) -> Vec<u8> {
        let text = core::str::from_utf8(snapshot).unwrap();
        let mut content: Value = serde_json::from_str(text.split_once('\n').unwrap().1).unwrap();
        for key in ["server_wait_ms", "limits_stated", "limit_free_ms", "refused_ms_ago"] {
            content.as_object_mut().unwrap().remove(key);
        }
        let content = content.to_string();
        let sum = checksum(content.as_bytes());
        format!("mailbearer-session 1 {sum:016x}\n{content}").into_bytes()
    }

    #[test]
    fn what_a_session_wrote_is_for_that_session_and_its_stop_holds() {
        for snapshot in [of_a_session(true), of_version_1(&of_a_session(true))] {
            let mut account = restored(&snapshot, 0).unwrap();
            let session = account.add(session(Protocol::Imap, "joe@gmail.com")).unwrap();
            let plan = account.handle(9, Fact::Want { session }).unwrap();
            assert!(plan.orders.is_empty(), "{plan:?}");
            let [Delivery::Raise(raise)] = &plan.deliveries[..] else { panic!("{plan:?}") };
            assert_eq!(raise.kind, RaiseKind::NeedsUser);
            assert_eq!(raise.failure.server_text, "Invalid credentials (Failure)");
            let _ = account.handle(10, Fact::Want { session }).unwrap();
            let _ = account.handle(11, Fact::Retry).unwrap();
            let plan = account.handle(12, Fact::Want { session }).unwrap();
            assert!(matches!(plan.orders[..], [Order::FetchToken { .. }]), "{plan:?}");
        }
    }

    #[test]
    fn a_refusal_that_a_session_wrote_down_is_the_accounts() {
        let mut account = restored(&of_a_session(false), 0).unwrap();
        let key = account.add(session(Protocol::Imap, "joe@gmail.com")).unwrap();
        let memory = account.tokens.memory(5);
        assert_eq!((memory.in_a_row, memory.of_day_ms.len(), memory.force), (1, 1, true));
        let plan = account.handle(9, Fact::Want { session: key }).unwrap();
        assert!(matches!(plan.orders[..], [Order::FetchToken { force: true, .. }]), "{plan:?}");
        // It is remembered once: the next one of the same kind is new.
        account.add(session(Protocol::Imap, "joe@gmail.com")).unwrap();
        assert_eq!(account.tokens.memory(5).of_day_ms.len(), 1);
    }

    #[test]
    fn an_account_without_a_session_is_still_its_users() {
        let mut account = Account::new(AccountConfig::default(), 1).unwrap();
        assert!(account.users.is_empty());
        let session_of = |user: &str| session(Protocol::Imap, user);
        for user in ["joe@gmail.com", "team@gmail.com", "joe@gmail.com"] {
            let key = account.add(session_of(user)).unwrap();
            let _ = account.handle(0, Fact::Remove { session: key }).unwrap();
        }
        assert_eq!(account.users.len(), 2);
        let snapshot = account.snapshot(0);
        let mut other = restored(&snapshot, 0).unwrap();
        let foreign = ConfigError::Snapshot { problem: FOREIGN };
        assert_eq!(other.add(session_of("eve@gmail.com")).unwrap_err(), foreign);
        other.add(session_of("team@gmail.com")).unwrap();
        // It is known now whose it is: whoever comes later is of the same account.
        other.add(session_of("eve@gmail.com")).unwrap();
        // Of more than are remembered, one that is not refuses nothing.
        let mut many = Account::new(AccountConfig::default(), 1).unwrap();
        let users = (0..=USERS_MAX).map(|number| format!("joe{number}@gmail.com"));
        for user in users {
            many.add(session_of(&user)).unwrap();
        }
        assert_eq!(many.users.len(), USERS_MAX);
        let last = format!("joe{USERS_MAX}@gmail.com");
        restored(&many.snapshot(0), 0).unwrap().add(session_of(&last)).unwrap();
        // Nobody's is anybody's.
        let nobodys = Account::new(AccountConfig::default(), 1).unwrap().snapshot(0);
        restored(&nobodys, 0).unwrap().add(session_of("eve@gmail.com")).unwrap();
    }

    #[test]
    fn what_a_session_wrote_is_of_no_other_and_is_checked_at_once() {
        let snapshot = of_a_session(false);
        for (protocol, user) in
            [(Protocol::Imap, "eve@gmail.com"), (Protocol::Smtp, "joe@gmail.com")]
        {
            let mut account = restored(&snapshot, 0).unwrap();
            let error = account.add(session(protocol, user)).unwrap_err();
            assert_eq!(error, ConfigError::Snapshot { problem: FOREIGN });
            // The right one is still known.
            account.add(session(Protocol::Imap, "joe@gmail.com")).unwrap();
            assert!(account.remembered.is_empty());
        }
        for at in 0..snapshot.len() {
            let mut damaged = snapshot.clone();
            damaged[at] ^= 1;
            assert!(restored(&damaged, 0).is_err(), "octet {at}");
        }
        // It outlives a process that adds nothing.
        let again = restored(&restored(&snapshot, 0).unwrap().snapshot(0), 0).unwrap();
        assert_eq!(again.remembered[0].user, None);
    }
}
