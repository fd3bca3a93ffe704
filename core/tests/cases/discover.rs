//! Cases of the kind `discover`: what is answered to which lookup, and what is found.

use mailbearer::discover::{
    Answer, Discovered, Discovery, Lookup, MxRecord, Question, SrvRecord, Trouble,
};
use mailbearer::{ConfigError, Protocol};
use serde_json::{Map, Value};

use super::text;

/// It has a host, also where it has no entry.
const DATABASE: &str = "https://autoconfig.thunderbird.net/";

pub(crate) fn run(case: &Value) -> Option<String> {
    let discovery = Discovery::new(text(case, "address"));
    if text(case, "outcome") == "config_error" {
        return match discovery {
            Err(error) => says(case, &error.to_string()),
            Ok(_) => Some("it is looked up".to_owned()),
        };
    }
    let mut discovery = discovery.expect("an address");
    let mut lookups = discovery.start();
    let mut rounds: Vec<Value> = Vec::new();
    let mut asked: Vec<String> = Vec::new();
    let mut public_only: Vec<Value> = Vec::new();
    while !lookups.is_empty() {
        asked.extend(lookups.iter().map(key));
        rounds.push(lookups.iter().map(|one| Value::from(key(one))).collect());
        let is_guarded =
            |one: &&Lookup| matches!(one.question, Question::Get { public_only: true, .. });
        public_only.extend(lookups.iter().filter(is_guarded).map(|one| Value::from(key(one))));
        lookups =
            lookups.iter().flat_map(|one| discovery.answer(one.id, answer(case, one))).collect();
    }
    let answers = case["answers"].as_object().expect("answers");
    if let Some(unused) = answers.keys().find(|one| !asked.contains(one)) {
        // Of a redirect that must not be followed.
        let id = text(case, "id");
        if !id.contains("redirect") {
            return Some(format!("{unused} was not asked for"));
        }
    }
    let found = discovery.found().expect("it is over");
    let differs = |what: &str, came: &Value| {
        (!case[what].is_null() && case[what] != *came)
            .then(|| format!("{what}: expected {}, came {came}", case[what]))
    };
    differs("asked", &Value::Array(rounds))
        .or_else(|| differs("public_only", &Value::Array(public_only)))
        .or_else(|| compare(case, found))
}

/// As the case names what is looked up.
fn key(lookup: &Lookup) -> String {
    match &lookup.question {
        Question::Mx { domain } => format!("MX {domain}"),
        Question::Srv { name } => format!("SRV {name}"),
        Question::Get { url, .. } => url.clone(),
    }
}

fn answer(case: &Value, lookup: &Lookup) -> Answer {
    let answer = &case["answers"][key(lookup)];
    if let Some(failed) = answer["failed"].as_str() {
        let trouble = Trouble::ALL.iter().find(|one| one.as_str() == failed);
        return Answer::Failed(*trouble.expect("a trouble"));
    }
    let number = |value: &Value| u16::try_from(value.as_u64().expect("a number")).expect("16 bits");
    let name = |value: &Value| value.as_str().expect("a name").to_owned();
    match (&lookup.question, answer) {
        (Question::Get { url, .. }, Value::Null) if url.starts_with(DATABASE) => {
            Answer::Http { status: 404, location: None, body: Vec::new() }
        }
        (Question::Get { .. }, Value::Null) => Answer::Failed(Trouble::NoHost),
        (Question::Get { .. }, answer) => Answer::Http {
            status: number(&answer["status"]),
            location: answer["location"].as_str().map(str::to_owned),
            body: body(answer),
        },
        (_, Value::Null) => Answer::NoRecord,
        (Question::Mx { .. }, records) => Answer::Mx(
            records
                .as_array()
                .expect("records")
                .iter()
                .map(|one| MxRecord { preference: number(&one[0]), exchange: name(&one[1]) })
                .collect(),
        ),
        (Question::Srv { .. }, records) => Answer::Srv(
            records
                .as_array()
                .expect("records")
                .iter()
                .map(|one| SrvRecord {
                    priority: number(&one[0]),
                    weight: number(&one[1]),
                    port: number(&one[2]),
                    target: name(&one[3]),
                })
                .collect(),
        ),
    }
}

/// Strings that hold octets are Latin-1.
fn body(answer: &Value) -> Vec<u8> {
    let times = usize::try_from(answer["repeat"][1].as_u64().unwrap_or(0)).expect("a count");
    let repeated = answer["repeat"][0].as_str().unwrap_or_default().repeat(times);
    let whole =
        [text(answer, "body"), text(answer, "before"), &repeated, text(answer, "after")].concat();
    whole.chars().map(|one| u8::try_from(u32::from(one)).expect("Latin-1")).collect()
}

fn compare(case: &Value, found: &Discovered) -> Option<String> {
    let json: Value = serde_json::from_str(&found.to_json()).expect("JSON");
    if json["outcome"] != case["outcome"] {
        return Some(format!("expected {}, came {}: {found}", case["outcome"], json["outcome"]));
    }
    let services: Value =
        json["services"].as_array().expect("services").iter().map(service).collect();
    if services != case["services"] {
        return Some(format!("services: expected {}, came {services}", case["services"]));
    }
    let expected: &Map<String, Value> = case.as_object().expect("a case");
    for name in ["provider", "hoster", "notes"] {
        if expected.get(name).is_some_and(|value| *value != json[name]) {
            return Some(format!("{name}: expected {}, came {}", case[name], json[name]));
        }
    }
    match expected.get("oauth") {
        Some(Value::Object(members)) => {
            for (name, value) in members {
                if json["oauth"][name] != *value {
                    return Some(format!("oauth: expected {name} {value}, came {}", json["oauth"]));
                }
            }
        }
        Some(value) if *value != json["oauth"] => {
            return Some(format!("oauth: came {}", json["oauth"]));
        }
        Some(_) | None => {}
    }
    says(case, &found.to_string()).or_else(|| refusals(case, found))
}

fn says(case: &Value, sentence: &str) -> Option<String> {
    let mut words = case["says"].as_array().into_iter().flatten().filter_map(Value::as_str);
    words
        .find(|word| !sentence.contains(word))
        .map(|word| format!("{word:?} is not in {sentence:?}"))
}

/// What a login over a protocol says that nothing usable was found for.
fn refusals(case: &Value, found: &Discovered) -> Option<String> {
    let refuses = case["refuses"].as_object();
    for protocol in Protocol::ALL {
        let words = refuses.and_then(|words| words.get(protocol.as_str())).and_then(Value::as_str);
        match (found.login(protocol), words) {
            (Ok((provider, _)), None) if provider.service(protocol).is_some() => {}
            (Err(ConfigError::NotDiscovered { sentence }), Some(word))
                if sentence.contains(word) => {}
            (Err(ConfigError::NotDiscovered { .. }), None) => {}
            (login, _) => return Some(format!("the login over {protocol} is {login:?}")),
        }
    }
    None
}

/// A service in one line: protocol, place, TLS, user, offer, source, sureness, and where else it leads.
fn service(one: &Value) -> Value {
    let words = ["protocol", "host", "tls", "user", "offer", "source", "sureness", "leads_to"].map(
        |name| match name {
            "host" => format!("{}:{}", text(one, "host"), one["port"]),
            name => text(one, name).to_owned(),
        },
    );
    Value::from(words.join(" ").trim_end().to_owned())
}
