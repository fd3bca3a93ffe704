//! What outlives the process: generation, what was learnt, back-off, a stop, and what was in flight. No secret.
//!
//! A snapshot is one line of header with a checksum, and a JSON object. It belongs to one user at one server: it cannot be
//! restored for another. One of version 1 is restored without what it had learnt, which was learnt from a single ending, and
//! without what it had counted of the budget, which was nothing.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde_json::{Map, Value, json};

use super::learning::{Learning, Lengths};
use super::limited::Refusals;
use super::{Run, Session, SessionConfig};
use crate::config::{ConfigError, InitialResponse};
use crate::failure::{Advice, Cause, Certainty, Failure};
use crate::limits::{AGREEING_LENGTHS, LEARNT_LENGTH_LEAST_MS};
use crate::watch::{Aftermath, Mailbox, Submission};

const HEADER: &str = "mailbearer-session 2 ";

const HEADER_OF_VERSION_1: &str = "mailbearer-session 1 ";

/// Octets of a snapshot: far above what one holds, whose deletions are bounded.
const SNAPSHOT_OCTETS_MAX: usize = 2 << 20;

impl Session {
    /// What must outlive the process. It holds no secret, and what servers said only where a stop is to be explained.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        let failure = self.last_failure.as_deref();
        let lengths = self.learning.lengths.as_deref().cloned().unwrap_or_default();
        let (run, failure) = match self.run {
            Run::Stopped => ("stopped", None),
            Run::Running => ("running", None),
            Run::NeedsUser => ("needs_user", failure),
            Run::GaveUp => ("gave_up", failure),
        };
        let content = json!({
            "owner": owner(&self.config),
            "run": run,
            "failure": failure.map(failure_to_json),
            "generation": self.generation,
            "failures": self.failures,
            "rejections": self.rejections,
            "not_connected": self.not_connected,
            "wait_ms": self.wait_until_ms.saturating_sub(self.now_ms),
            "server_wait_ms": self.server_wait_until_ms.saturating_sub(self.now_ms),
            "limits_stated": self.limited.stated,
            "limit_free_ms": self.limited.online_ms,
            "refused_ms_ago": self.refusals.ages_ms(self.now_ms),
            "budget_owed_ms": self.budget.owed_ms(self.now_ms),
            "two_steps": self.config.negotiation.initial_response == InitialResponse::Never,
            "lengths_ms": lengths.ended_ms,
            "session_ms": lengths.session_ms,
            "sessions_since_trial": lengths.untried,
            "expiry": self.learning.expiry.map(|(ended, in_a_row)| json!([ended, in_a_row])),
            "ends_with_token": self.learning.ends_with_token,
            "aftermath": self.aftermath().as_ref().map(aftermath_to_json),
        })
        .to_string();
        format!("{HEADER}{:016x}\n{content}", checksum(content.as_bytes())).into_bytes()
    }

    /// A session that goes on where the one of the snapshot was: send [`Input::Tick`](super::Input::Tick). One that had
    /// been stopped for a person gives that order again, and goes on with [`Input::Start`](super::Input::Start).
    ///
    /// # Errors
    /// [`ConfigError::Snapshot`] when it is damaged, of another version, or of another user or server.
    pub fn restore(
        config: SessionConfig,
        snapshot: &[u8],
        now_ms: u64,
        seed: u64,
    ) -> Result<Self, ConfigError> {
        let owner = owner(&config);
        let mut session = Self::new(config, seed)?;
        let content = Content::open(&[HEADER, HEADER_OF_VERSION_1], SNAPSHOT_OCTETS_MAX, snapshot)?;
        if content.text("owner")? != owner {
            return Err(ConfigError::Snapshot { problem: "it is of another user or server" });
        }
        session.now_ms = now_ms;
        session.generation = content.number("generation")?;
        session.failures = content.small("failures")?;
        session.rejections = content.small("rejections")?;
        session.not_connected = content.small("not_connected")?;
        session.wait_until_ms = now_ms.saturating_add(content.number("wait_ms")?);
        if content.age == 0 {
            session.restore_counts(&content)?;
            session.learning = learning(&content)?;
        }
        session.resumed = content.optional("aftermath", aftermath_from_json)?.map(Box::new);
        if content.flag("two_steps")? {
            let config = Arc::make_mut(&mut session.config);
            config.negotiation.initial_response = InitialResponse::Never;
        }
        let failure = content.optional("failure", failure_from_json)?;
        session.run = match (content.text("run")?, &failure) {
            ("stopped", None) => Run::Stopped,
            ("running", None) => Run::Running,
            ("needs_user", Some(_)) => Run::NeedsUser,
            ("gave_up", Some(_)) => Run::GaveUp,
            _ => return Err(DAMAGED),
        };
        session.announce = failure.is_some();
        session.last_failure = failure.map(Box::new);
        Ok(session)
    }

    fn restore_counts(&mut self, content: &Content) -> Result<(), ConfigError> {
        let now_ms = self.now_ms;
        self.server_wait_until_ms = now_ms.saturating_add(content.number("server_wait_ms")?);
        self.limited.stated = content.small("limits_stated")?;
        self.limited.online_ms = content.number("limit_free_ms")?;
        self.refusals = Refusals::from_ages(now_ms, &content.numbers("refused_ms_ago")?);
        self.budget.owe(now_ms, &content.numbers("budget_owed_ms")?);
        Ok(())
    }
}

fn learning(content: &Content) -> Result<Learning, ConfigError> {
    let mut ended_ms = content.numbers("lengths_ms")?;
    ended_ms.truncate(AGREEING_LENGTHS);
    let lengths = Lengths {
        ended_ms,
        // One that was learnt when less sufficed would be met by renewing ahead of it for ever.
        session_ms: content
            .optional("session_ms", Value::as_u64)?
            .filter(|length_ms| *length_ms >= LEARNT_LENGTH_LEAST_MS),
        untried: content.small("sessions_since_trial")?,
    };
    Ok(Learning {
        lengths: Some(lengths).filter(|known| *known != Lengths::default()).map(Box::new),
        expiry: content.optional("expiry", expiry_from_json)?,
        ends_with_token: content.optional("ends_with_token", Value::as_bool)?,
    })
}

fn expiry_from_json(value: &Value) -> Option<(bool, u32)> {
    match value.as_array()?.as_slice() {
        [ended, in_a_row] => Some((ended.as_bool()?, u32::try_from(in_a_row.as_u64()?).ok()?)),
        _ => None,
    }
}

pub(crate) const DAMAGED: ConfigError = ConfigError::Snapshot { problem: "it is damaged" };

/// FNV-1a: it finds damage, not malice. A snapshot holds nothing that is worth forging.
pub(crate) fn checksum(octets: &[u8]) -> u64 {
    octets.iter().fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
        (hash ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Whose session it is, without saying it.
pub(crate) fn owner(config: &SessionConfig) -> String {
    let endpoint = &config.negotiation.endpoint;
    let identity = &config.negotiation.identity;
    let parts =
        [endpoint.protocol.as_str(), &endpoint.host, &endpoint.port.to_string(), identity.name()];
    format!("{:016x}", checksum(parts.join("\n").as_bytes()))
}

/// Whose session this is a snapshot of; `None`: it is no session's.
pub(crate) fn owner_of(snapshot: &[u8]) -> Result<Option<String>, ConfigError> {
    let headers = [HEADER, HEADER_OF_VERSION_1];
    if !headers.iter().any(|header| snapshot.starts_with(header.as_bytes())) {
        return Ok(None);
    }
    let content = Content::open(&headers, SNAPSHOT_OCTETS_MAX, snapshot)?;
    Ok(Some(content.text("owner")?.to_string()))
}

/// The JSON object of a snapshot. Whatever is not as it was written is damage.
pub(crate) struct Content {
    members: Map<String, Value>,
    /// Versions that have come since: 0 for the present one.
    age: usize,
}

impl Content {
    /// `headers` are those that can be read, the present one first.
    pub(crate) fn open(
        headers: &[&str],
        octets_max: usize,
        snapshot: &[u8],
    ) -> Result<Self, ConfigError> {
        if snapshot.len() > octets_max {
            return Err(ConfigError::Snapshot { problem: "it is too long" });
        }
        let text = core::str::from_utf8(snapshot).map_err(|_| DAMAGED)?;
        let stripped = headers.iter().map(|header| text.strip_prefix(header));
        let Some((age, rest)) =
            stripped.enumerate().find_map(|(age, rest)| rest.map(|rest| (age, rest)))
        else {
            return Err(ConfigError::Snapshot { problem: "it is none, or of another version" });
        };
        let (sum, content) = rest.split_once('\n').ok_or(DAMAGED)?;
        if sum != format!("{:016x}", checksum(content.as_bytes())) {
            return Err(DAMAGED);
        }
        match serde_json::from_str(content) {
            Ok(Value::Object(members)) => Ok(Self { members, age }),
            Ok(_) | Err(_) => Err(DAMAGED),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Result<&Value, ConfigError> {
        self.members.get(key).ok_or(DAMAGED)
    }

    fn text(&self, key: &str) -> Result<&str, ConfigError> {
        self.get(key)?.as_str().ok_or(DAMAGED)
    }

    pub(crate) fn number(&self, key: &str) -> Result<u64, ConfigError> {
        self.get(key)?.as_u64().ok_or(DAMAGED)
    }

    fn small(&self, key: &str) -> Result<u32, ConfigError> {
        u32::try_from(self.number(key)?).map_err(|_| DAMAGED)
    }

    fn flag(&self, key: &str) -> Result<bool, ConfigError> {
        self.get(key)?.as_bool().ok_or(DAMAGED)
    }

    fn numbers(&self, key: &str) -> Result<Vec<u64>, ConfigError> {
        self.list(key, Value::as_u64)
    }

    pub(crate) fn list<T>(
        &self,
        key: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Vec<T>, ConfigError> {
        let list = self.get(key)?.as_array().ok_or(DAMAGED)?;
        list.iter().map(|one| read(one).ok_or(DAMAGED)).collect()
    }

    fn optional<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let value = self.get(key)?;
        if value.is_null() { Ok(None) } else { read(value).map(Some).ok_or(DAMAGED) }
    }
}

pub(crate) fn failure_to_json(failure: &Failure) -> Value {
    json!({
        "cause": failure.cause.as_str(),
        "advice": failure.advice.as_str(),
        "certainty": failure.certainty.as_str(),
        "server_text": failure.server_text,
        "code": failure.code,
        "wait_ms": failure.wait_ms,
        "url": failure.url,
    })
}

pub(crate) fn failure_from_json(value: &Value) -> Option<Failure> {
    let name = |key: &str| value.get(key).and_then(Value::as_str);
    let optional = |key: &str| name(key).map(ToString::to_string);
    Some(Failure {
        cause: Cause::ALL.iter().copied().find(|one| Some(one.as_str()) == name("cause"))?,
        advice: Advice::ALL.iter().copied().find(|one| Some(one.as_str()) == name("advice"))?,
        certainty: Certainty::ALL
            .iter()
            .copied()
            .find(|one| Some(one.as_str()) == name("certainty"))?,
        server_text: optional("server_text")?,
        code: optional("code"),
        rejection: None,
        wait_ms: value.get("wait_ms").and_then(Value::as_u64),
        url: optional("url"),
        detail: "before the restart".into(),
    })
}

fn aftermath_to_json(aftermath: &Aftermath) -> Value {
    match aftermath {
        Aftermath::Imap { selected, idling, unanswered } => json!({
            "protocol": "imap",
            "selected": selected.as_ref().map(|mailbox| json!({
                "name": mailbox.name,
                "read_only": mailbox.read_only,
                "uid_validity": mailbox.uid_validity,
                "uid_next": mailbox.uid_next,
                "highest_mod_seq": mailbox.highest_mod_seq,
            })),
            "idling": idling,
            "unanswered": unanswered,
        }),
        Aftermath::Pop3 { uncommitted_deletes } => {
            json!({ "protocol": "pop3", "uncommitted_deletes": uncommitted_deletes })
        }
        Aftermath::Smtp { submission } => {
            json!({ "protocol": "smtp", "submission": submission.as_str() })
        }
    }
}

fn aftermath_from_json(value: &Value) -> Option<Aftermath> {
    match value.get("protocol")?.as_str()? {
        "imap" => Some(Aftermath::Imap {
            selected: match value.get("selected").filter(|mailbox| !mailbox.is_null()) {
                None => None,
                Some(mailbox) => Some(mailbox_from_json(mailbox)?),
            },
            idling: value.get("idling")?.as_bool()?,
            unanswered: list(value.get("unanswered")?, |one| {
                one.as_str().map(ToString::to_string)
            })?,
        }),
        "pop3" => Some(Aftermath::Pop3 {
            uncommitted_deletes: list(value.get("uncommitted_deletes")?, |one| {
                one.as_u64()?.try_into().ok()
            })?,
        }),
        "smtp" => {
            let name = value.get("submission")?.as_str()?;
            let all = [Submission::Idle, Submission::NotAccepted, Submission::Unknown];
            Some(Aftermath::Smtp { submission: all.into_iter().find(|one| one.as_str() == name)? })
        }
        _ => None,
    }
}

fn mailbox_from_json(value: &Value) -> Option<Mailbox> {
    let small = |key: &str| {
        value.get(key).and_then(Value::as_u64).and_then(|number| number.try_into().ok())
    };
    Some(Mailbox {
        name: value.get("name")?.as_str()?.to_string(),
        read_only: value.get("read_only")?.as_bool()?,
        uid_validity: small("uid_validity"),
        uid_next: small("uid_next"),
        highest_mod_seq: value.get("highest_mod_seq").and_then(Value::as_u64),
    })
}

fn list<T>(value: &Value, read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    value.as_array()?.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Identity, Protocol};
    use crate::provider::Provider;
    use crate::session::{Action, Input, SessionPhase};
    use crate::token::AccessToken;

    fn config(user: &str) -> SessionConfig {
        SessionConfig::for_provider(&Provider::gmail(), Protocol::Pop3, Identity::new(user))
            .unwrap()
    }

    /// A session that is online, has deleted two messages, and has learnt something.
    fn online() -> Session {
        let mut session = Session::new(config("joe@gmail.com"), 1).unwrap();
        let _ = session.handle(0, Input::Start).unwrap();
        let token = AccessToken::new("CANARYCANARYCANARY").unwrap();
        let _ = session
            .handle(0, Input::Token { request: 1, token, expires_in_ms: Some(3_600_000) })
            .unwrap();
        let _ = session.handle(0, Input::Connected { ticket: 1 }).unwrap();
        let _ = session.receive(1, 1, b"+OK hi\r\n").unwrap();
        let _ = session.receive(3, 1, b"+OK Welcome.\r\n").unwrap();
        session.sent(1, b"DELE 4\r\nDELE 2\r\n");
        let lengths = Lengths {
            ended_ms: Vec::from([1_200_000, 1_210_000]),
            session_ms: Some(1_200_000),
            untried: 3,
        };
        session.learning = Learning {
            lengths: Some(Box::new(lengths)),
            expiry: Some((true, 2)),
            ends_with_token: Some(true),
        };
        session
    }

    #[test]
    fn goes_on_where_it_was() {
        let session = online();
        let restored =
            Session::restore(config("joe@gmail.com"), &session.snapshot(), 9_000, 2).unwrap();
        assert_eq!(restored.status().generation, 1);
        assert_eq!(restored.status().learnt, session.status().learnt);
        assert_eq!(
            restored.aftermath(),
            Some(Aftermath::Pop3 { uncommitted_deletes: Vec::from([2, 4]) })
        );
        assert_eq!(
            restored.snapshot(),
            Session::restore(config("joe@gmail.com"), &restored.snapshot(), 0, 3)
                .unwrap()
                .snapshot()
        );
        let mut restored = restored;
        let plan = restored.handle(9_000, Input::Tick).unwrap();
        assert!(matches!(plan.actions[..], [Action::FetchToken { .. }]), "{plan:?}");
    }

    #[test]
    fn holds_no_secret() {
        let text = String::from_utf8(online().snapshot()).unwrap();
        assert!(!text.contains("CANARY") && !text.contains("joe"), "{text}");
    }

    #[test]
    fn keeps_the_back_off_and_the_stop() {
        let mut session = online();
        session.wait_until_ms = 60_003;
        session.live = None;
        let mut restored =
            Session::restore(config("joe@gmail.com"), &session.snapshot(), 1_000_000, 2).unwrap();
        let plan = restored.handle(1_000_000, Input::Tick).unwrap();
        assert_eq!((plan.actions.len(), plan.wake_at_ms), (0, Some(1_060_000)));

        let failure = Failure::of_host(Cause::ProtocolDisabled, "");
        session.run = Run::NeedsUser;
        session.note_failure(failure);
        let mut restored =
            Session::restore(config("joe@gmail.com"), &session.snapshot(), 0, 2).unwrap();
        assert_eq!(restored.status().phase, SessionPhase::NeedsUser);
        let plan = restored.handle(1, Input::Tick).unwrap();
        let [Action::NeedsUser(failure)] = &plan.actions[..] else { panic!("{plan:?}") };
        assert_eq!(failure.cause, Cause::ProtocolDisabled);
        assert!(restored.handle(2, Input::Tick).unwrap().actions.is_empty());
        let plan = restored.handle(3, Input::Start).unwrap();
        assert!(matches!(plan.actions[..], [Action::FetchToken { .. }]), "{plan:?}");
    }

    #[test]
    fn damage_at_any_octet_and_a_foreign_snapshot_are_errors() {
        let snapshot = online().snapshot();
        for at in 0..snapshot.len() {
            let mut damaged = snapshot.clone();
            damaged[at] ^= 1;
            assert!(
                Session::restore(config("joe@gmail.com"), &damaged, 0, 1).is_err(),
                "octet {at}"
            );
            assert!(
                Session::restore(config("joe@gmail.com"), &snapshot[..at], 0, 1).is_err(),
                "cut at {at}"
            );
        }
        let foreign = Session::restore(config("eve@gmail.com"), &snapshot, 0, 1).unwrap_err();
        assert_eq!(foreign, ConfigError::Snapshot { problem: "it is of another user or server" });
    }

    fn open(snapshot: &[u8]) -> Content {
        Content::open(&[HEADER, HEADER_OF_VERSION_1], SNAPSHOT_OCTETS_MAX, snapshot).unwrap()
    }

    /// A snapshot with right checksum whose member is another, or left out.
    fn with_member(key: &str, value: Option<Value>) -> Vec<u8> {
        let snapshot = online().snapshot();
        let Content { mut members, .. } = open(&snapshot);
        match value {
            Some(value) => members.insert(key.into(), value),
            None => members.remove(key),
        };
        let content = Value::Object(members).to_string();
        format!("{HEADER}{:016x}\n{content}", checksum(content.as_bytes())).into_bytes()
    }

    fn restored(snapshot: &[u8]) -> Result<Session, ConfigError> {
        Session::restore(config("joe@gmail.com"), snapshot, 0, 1)
    }

    #[test]
    fn a_member_that_is_missing_or_of_another_kind_is_damage() {
        let failure = json!({
            "cause": "protocol_disabled", "advice": "ask_user", "certainty": "stated",
            "server_text": "off", "code": null, "wait_ms": null, "url": null,
        });
        assert_eq!(restored(&with_member("generation", Some(json!(7)))).unwrap().generation, 7);
        for key in [
            "owner",
            "run",
            "failure",
            "generation",
            "failures",
            "rejections",
            "not_connected",
            "wait_ms",
            "two_steps",
            "server_wait_ms",
            "limits_stated",
            "limit_free_ms",
            "refused_ms_ago",
            "budget_owed_ms",
            "lengths_ms",
            "session_ms",
            "sessions_since_trial",
            "expiry",
            "ends_with_token",
            "aftermath",
        ] {
            assert_eq!(restored(&with_member(key, None)).unwrap_err(), DAMAGED, "without {key}");
            let another = restored(&with_member(key, Some(json!([{}]))));
            assert_eq!(another.unwrap_err(), DAMAGED, "{key} of another kind");
        }
        for (key, value) in [
            ("failures", json!(1_u64 << 32)),
            ("generation", json!(-1)),
            ("lengths_ms", json!([1, "2"])),
            ("run", json!("needs_user")),
            ("run", json!("gave_up")),
            ("run", json!("asleep")),
            ("failure", failure.clone()),
        ] {
            let snapshot = with_member(key, Some(value.clone()));
            assert_eq!(restored(&snapshot).unwrap_err(), DAMAGED, "{key}: {value}");
        }
        for key in ["cause", "advice", "certainty", "server_text"] {
            let mut broken = failure.clone();
            broken[key] = json!(1);
            assert_eq!(failure_from_json(&broken), None, "{key}");
        }
        assert_eq!(failure_from_json(&failure).unwrap().server_text, "off");
    }

    #[test]
    fn what_is_no_snapshot_is_told_from_one_that_is_damaged() {
        let problem = |snapshot: &[u8]| {
            let error = restored(snapshot).unwrap_err();
            let ConfigError::Snapshot { problem } = error else { panic!("{error:?}") };
            problem
        };
        assert_eq!(problem(b""), "it is none, or of another version");
        assert_eq!(problem(b"mailbearer-session 3 x"), "it is none, or of another version");
        assert_eq!(problem(b"\xff"), "it is damaged");
        assert_eq!(problem(HEADER.as_bytes()), "it is damaged");
        let list = format!("{HEADER}{:016x}\n[]", checksum(b"[]"));
        assert_eq!(problem(list.as_bytes()), "it is damaged");
        let mut long = alloc::vec![b'x'; SNAPSHOT_OCTETS_MAX];
        assert_eq!(problem(&long), "it is none, or of another version");
        long.push(b'x');
        assert_eq!(problem(&long), "it is too long");
    }

    #[test]
    fn no_more_lengths_are_taken_than_are_remembered() {
        let snapshot = with_member("lengths_ms", Some(json!([6, 5, 4, 3, 2, 1])));
        assert_eq!(restored(&snapshot).unwrap().learning.lengths.unwrap().ended_ms, [6, 5, 4]);
    }

    #[test]
    fn a_length_that_is_too_short_to_be_learnt_is_not_believed() {
        for (length_ms, learnt) in [(599_999, None), (600_000, Some(600_000))] {
            let snapshot = with_member("session_ms", Some(json!(length_ms)));
            assert_eq!(restored(&snapshot).unwrap().learning.learnt().session_ms, learnt);
        }
    }

    #[test]
    fn one_of_version_1_is_restored_without_what_a_single_ending_had_taught() {
        let snapshot = online().snapshot();
        let Content { mut members, .. } = open(&snapshot);
        for key in ["server_wait_ms", "limits_stated", "session_ms", "expiry", "budget_owed_ms"] {
            members.remove(key);
        }
        members.insert("lengths_ms".into(), json!([70_000]));
        let content = Value::Object(members).to_string();
        let sum = checksum(content.as_bytes());
        let old = format!("{HEADER_OF_VERSION_1}{sum:016x}\n{content}");
        let session = restored(old.as_bytes()).unwrap();
        assert_eq!((session.generation, session.run), (1, Run::Running));
        assert_eq!(session.learning, Learning::default());
        assert!(session.snapshot().starts_with(HEADER.as_bytes()));
    }

    #[test]
    fn a_restart_forgets_no_limit_no_refusal_and_nothing_of_the_budget() {
        let mut session = online();
        session.limited.again();
        session.refusals.again(session.now_ms);
        session.server_wait_until_ms = 90_003;
        let again = restored(&session.snapshot()).unwrap();
        assert_eq!((again.limited, again.server_wait_until_ms), (session.limited, 90_000));
        assert_eq!(again.refusals.ages_ms(again.now_ms).len(), 1);
        assert_eq!(again.budget.owed_ms(0), session.budget.owed_ms(session.now_ms));
        assert!(again.budget.owed_ms(0).iter().take(4).all(|owed_ms| *owed_ms > 0));
        assert_eq!(again.learning, session.learning);
    }

    #[test]
    fn remembers_that_two_steps_are_needed_and_whether_it_ran() {
        assert_eq!(restored(&online().snapshot()).unwrap().run, Run::Running);
        let snapshot = with_member("two_steps", Some(json!(true)));
        let session = restored(&snapshot).unwrap();
        assert_eq!(session.config.negotiation.initial_response, InitialResponse::Never);
        let once_more = restored(&session.snapshot()).unwrap();
        assert_eq!(once_more.config.negotiation.initial_response, InitialResponse::Never);
        let stopped = Session::new(config("joe@gmail.com"), 1).unwrap();
        assert_eq!(restored(&stopped.snapshot()).unwrap().run, Run::Stopped);
    }

    #[test]
    fn gives_up_again_after_a_restart_with_all_that_was_said() {
        let mut session = online();
        session.run = Run::GaveUp;
        let failure = Failure {
            server_text: "go there".into(),
            code: Some("WEBALERT".into()),
            url: Some("https://example.test/".into()),
            wait_ms: Some(9),
            ..Failure::of_host(Cause::InteractionRequired, "x")
        };
        session.note_failure(failure.clone());
        let mut session = restored(&session.snapshot()).unwrap();
        let plan = session.handle(1, Input::Tick).unwrap();
        let [Action::GiveUp(told)] = &plan.actions[..] else { panic!("{plan:?}") };
        assert_eq!(*told, Failure { detail: "before the restart".into(), ..failure });
    }

    #[test]
    fn what_was_in_flight_comes_back_as_it_was_in_every_protocol() {
        let mailbox = Mailbox {
            name: "Sent".into(),
            read_only: true,
            uid_validity: Some(1),
            uid_next: Some(2),
            highest_mod_seq: Some(1 << 40),
        };
        let imap = |selected| Aftermath::Imap {
            selected,
            idling: true,
            unanswered: Vec::from(["a IDLE".to_string()]),
        };
        let submissions = [Submission::Idle, Submission::NotAccepted, Submission::Unknown];
        let smtp = submissions.map(|submission| Aftermath::Smtp { submission });
        let pop3 = Aftermath::Pop3 { uncommitted_deletes: Vec::from([1, u32::MAX]) };
        for aftermath in [imap(Some(mailbox)), imap(Some(Mailbox::default())), imap(None), pop3]
            .into_iter()
            .chain(smtp)
        {
            let json = aftermath_to_json(&aftermath);
            assert_eq!(aftermath_from_json(&json), Some(aftermath), "{json}");
        }
        for broken in [
            json!({}),
            json!({"protocol": 1}),
            json!({"protocol": "nntp"}),
            json!({"protocol": "imap", "selected": null, "idling": 1, "unanswered": []}),
            json!({"protocol": "imap", "selected": null, "unanswered": []}),
            json!({"protocol": "imap", "selected": null, "idling": true}),
            json!({"protocol": "imap", "selected": null, "idling": true, "unanswered": [1]}),
            json!({"protocol": "imap", "selected": {}, "idling": true, "unanswered": []}),
            json!({"protocol": "imap", "selected": {"name": 1, "read_only": true}, "idling": true, "unanswered": []}),
            json!({"protocol": "imap", "selected": {"name": "a"}, "idling": true, "unanswered": []}),
            json!({"protocol": "imap", "selected": {"name": "a", "read_only": 0}, "idling": true, "unanswered": []}),
            json!({"protocol": "pop3"}),
            json!({"protocol": "pop3", "uncommitted_deletes": 1}),
            json!({"protocol": "pop3", "uncommitted_deletes": ["1"]}),
            json!({"protocol": "pop3", "uncommitted_deletes": [1_u64 << 32]}),
            json!({"protocol": "smtp"}),
            json!({"protocol": "smtp", "submission": 0}),
            json!({"protocol": "smtp", "submission": "taken"}),
        ] {
            assert_eq!(aftermath_from_json(&broken), None, "{broken}");
        }
    }

    #[test]
    fn is_of_one_user_at_one_server() {
        let first = config("joe@gmail.com");
        let mut others = [first.clone(), first.clone(), first.clone(), first.clone()];
        others[0].negotiation.identity.user = "eve@gmail.com".into();
        others[1].negotiation.endpoint.host = "pop.example.test".into();
        others[2].negotiation.endpoint.port = 1995;
        others[3].negotiation.endpoint.protocol = Protocol::Imap;
        for other in &others {
            assert_ne!(owner(other), owner(&first), "{other:?}");
        }
    }
}
