//! Snapshots that somebody has written: whatever is restored is a session that keeps the rules, and writes itself again.
//!
//! Input: an octet that chooses; then either a snapshot, or a JSON object whose members replace those of a real one, with
//! its checksum made right.

use mailbearer::{Identity, Input, Protocol, Provider, Session, SessionConfig};
use serde_json::Value;

use crate::octets::Octets;

/// Holds what is restored against the rules.
pub fn check(data: &[u8]) {
    let mut octets = Octets::new(data);
    let protocol = octets.one_of(&Protocol::ALL);
    let raw = octets.flag();
    let config = || {
        let identity = Identity::new("joe@gmail.com");
        SessionConfig::for_provider(&Provider::gmail(), protocol, identity)
            .expect("a configuration")
    };
    let now_ms = 1_000_000;
    let rest = octets.rest();
    let written = if raw { rest.to_vec() } else { forged(config(), rest) };
    let Ok(session) = Session::restore(config(), &written, now_ms, 1) else { return };
    let again = session.snapshot();
    let twin = Session::restore(config(), &again, now_ms, 1).expect("its own snapshot");
    assert_eq!(twin.snapshot(), again, "a snapshot that changes");
    for input in [Input::Tick, Input::Start, Input::Stop] {
        let (mut session, mut twin) = (restore(config(), &again), restore(config(), &again));
        let plan = session.handle(now_ms, input.clone()).expect("no misuse");
        assert_eq!(twin.handle(now_ms, input).expect("no misuse"), plan, "not the same plan");
        assert!(plan.wake_at_ms.is_none_or(|at_ms| at_ms > now_ms), "a wake in the past");
        let settled = session.handle(now_ms, Input::Tick).expect("no misuse");
        assert!(settled.actions.is_empty(), "not at rest: {:?}", settled.actions);
    }
}

fn restore(config: SessionConfig, written: &[u8]) -> Session {
    Session::restore(config, written, 1_000_000, 1).expect("its own snapshot")
}

fn forged(config: SessionConfig, members: &[u8]) -> Vec<u8> {
    let real = Session::new(config, 1).expect("a session").snapshot();
    let real = String::from_utf8(real).expect("text");
    let (first, content) = real.split_once('\n').expect("two lines");
    let mut content: Value = serde_json::from_str(content).expect("JSON");
    if let (Value::Object(object), Ok(Value::Object(members))) =
        (&mut content, serde_json::from_slice(members))
    {
        object.extend(members);
    }
    let content = content.to_string();
    let sum = content.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let header = first.rsplit_once(' ').expect("a checksum").0;
    format!("{header} {sum:016x}\n{content}").into_bytes()
}
