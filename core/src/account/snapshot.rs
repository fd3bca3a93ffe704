//! What outlives the process: stops, waits, refusals, limits, and each session's own. No secret.
//!
//! One line of header with a checksum, and a JSON object, as a session's. Times are kept as what was left of them, with
//! the wall clock of the moment, so that the time for which the process was dead counts.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Value, json};

use super::stops::Stop;
use super::{Account, AccountConfig, RaiseKind, places, tokens};
use crate::config::{ConfigError, Protocol};
use crate::session::SessionConfig;
use crate::session::snapshot::{
    Content, DAMAGED, checksum, failure_from_json, failure_to_json, owner,
};

const HEADER: &str = "mailbearer-account 1 ";

/// Octets of a snapshot, for each of its sessions: see `session/snapshot.rs`.
const SNAPSHOT_OCTETS_MAX: usize = 64 << 20;

/// A session of a snapshot that was not added yet.
#[derive(Debug)]
pub(super) struct Remembered {
    owner: String,
    user: String,
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
    /// # Errors
    /// [`ConfigError::Snapshot`] when it is damaged or of another version; and from [`Account::add`] when it is of another
    /// user.
    pub fn restore(
        config: AccountConfig,
        snapshot: &[u8],
        now_ms: u64,
        wall_ms: u64,
        seed: u64,
    ) -> Result<Self, ConfigError> {
        let mut account = Self::new(config, seed)?;
        let content = Content::open(HEADER, SNAPSHOT_OCTETS_MAX, snapshot)?;
        let dead_ms = wall_ms.saturating_sub(content.number("wall_ms")?);
        account.now_ms = now_ms;
        account.dead_ms = dead_ms;
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

    /// What a snapshot has of this session, the first time that it is asked for.
    pub(super) fn recall(
        &mut self,
        config: &SessionConfig,
    ) -> Result<Option<Vec<u8>>, ConfigError> {
        let (owner, user) = (owner(config), user(config));
        let foreign = !self.remembered.is_empty()
            && self.members.is_empty()
            && self.remembered.iter().all(|one| one.user != user);
        if foreign {
            return Err(ConfigError::Snapshot { problem: "it is of another user or server" });
        }
        let at = self.remembered.iter().position(|one| one.owner == owner);
        Ok(at.map(|at| self.remembered.remove(at).state.into_bytes()))
    }
}

/// Of whom a session is, without saying it.
fn user(config: &SessionConfig) -> String {
    format!("{:016x}", checksum(config.negotiation.identity.name().as_bytes()))
}

fn remembered_from_json(value: &Value) -> Option<Remembered> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(ToString::to_string);
    Some(Remembered { owner: text("owner")?, user: text("user")?, state: text("state")? })
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
    })
}

fn tokens_from_json(value: &Value) -> Option<tokens::Memory> {
    let of_day = value.get("of_day_ms")?.as_array()?;
    Some(tokens::Memory {
        failures: value.get("failures")?.as_u64()?.try_into().ok()?,
        cooling_ms: value.get("cooling_ms")?.as_u64()?,
        in_a_row: value.get("in_a_row")?.as_u64()?,
        of_day_ms: of_day.iter().map(Value::as_u64).collect::<Option<_>>()?,
        longest_life_ms: optional(value.get("longest_life_ms")?)?,
        force: value.get("force")?.as_bool()?,
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
    use crate::account::{Fact, NoToken, SessionKey, Standing};
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
        for key in ["wall_ms", "sessions", "stops", "tokens", "services"] {
            let without = with(|content| {
                content.as_object_mut().unwrap().remove(key);
            });
            assert_eq!(restored(&without, 0).unwrap_err(), DAMAGED, "without {key}");
            let another = with(|content| content[key] = json!("x"));
            assert_eq!(restored(&another, 0).unwrap_err(), DAMAGED, "{key} of another kind");
        }
        let numbers = ["failures", "cooling_ms", "in_a_row", "of_day_ms", "longest_life_ms"];
        for key in numbers.into_iter().chain(["force"]) {
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
        assert_eq!(error, ConfigError::Snapshot { problem: "it is of another user or server" });
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
}
