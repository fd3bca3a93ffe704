//! Plays the script of a case: the server's octets in, the machine's lines out, whole, octet by octet and at every cut.

use mailbearer::{
    AccessToken, Endpoint, Identity, Mechanism, Negotiation, NegotiationConfig, Next, Protocol,
    Step, Tls, Watch,
};
use regex::Regex;
use serde_json::Value;

/// Cases of at most so many octets are also played at every cut.
const CUT_OCTETS_MAX: usize = 4096;

/// How the server's octets are dealt out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    Whole,
    EveryOctet,
    /// The server's message of this step, cut once at this position.
    Once {
        step: usize,
        at: usize,
    },
}

/// The first way of dealing in which the case does not hold.
pub(crate) fn run(case: &Value) -> Option<String> {
    let patterns = match patterns(case) {
        Ok(patterns) => patterns,
        Err(problem) => return Some(problem),
    };
    at_every_cut(case, |case, cut| play(case, &patterns, cut))
}

/// What each step expects the machine to send; compiled once, for a case is played thousands of times.
fn patterns(case: &Value) -> Result<Vec<Option<Regex>>, String> {
    let steps = case["steps"].as_array().expect("steps");
    let pattern = |step: &Value| step["client"].as_str().map(Regex::new).transpose();
    steps.iter().map(pattern).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// Plays a case whole, octet by octet, and once at every cut of every message; the first problem. `MAILBEARER_CUTS=few`
/// leaves out the last, for runs that repeat the cases often.
pub(crate) fn at_every_cut(
    case: &Value,
    play: impl Fn(&Value, Cut) -> Option<String>,
) -> Option<String> {
    if let Some(problem) = play(case, Cut::Whole) {
        return Some(problem);
    }
    let sizes = server_sizes(case);
    if sizes.iter().map(|(_, size)| size).sum::<usize>() > CUT_OCTETS_MAX {
        return None;
    }
    let few = std::env::var_os("MAILBEARER_CUTS").is_some_and(|cuts| cuts == "few");
    let once = sizes
        .into_iter()
        .filter(|_| !few)
        .flat_map(|(step, size)| (1..size).map(move |at| Cut::Once { step, at }));
    std::iter::once(Cut::EveryOctet)
        .chain(once)
        .find_map(|cut| play(case, cut).map(|problem| format!("{problem} ({cut:?})")))
}

fn server_sizes(case: &Value) -> Vec<(usize, usize)> {
    let steps = case["steps"].as_array().expect("steps");
    let size = |step: &Value| {
        let repeat = step["repeat"].as_u64().unwrap_or(1) as usize;
        step["server"].as_str().map(|text| text.chars().count() * repeat)
    };
    steps.iter().enumerate().filter_map(|(index, step)| Some((index, size(step)?))).collect()
}

fn play(case: &Value, patterns: &[Option<Regex>], cut: Cut) -> Option<String> {
    let mut player = match Player::new(case) {
        Ok(player) => player,
        Err(problem) => return Some(problem),
    };
    let steps = case["steps"].as_array().expect("steps");
    for (index, (step, pattern)) in steps.iter().zip(patterns).enumerate() {
        if let Err(problem) = player.step(index, step, pattern.as_ref(), cut) {
            return Some(format!("step {}: {problem}", index + 1));
        }
    }
    player.judge(case).err()
}

/// Where a connection is.
enum Stage {
    NotConfigured,
    Login(Box<Negotiation>),
    Session(Box<Watch>),
    Over,
}

struct Player {
    protocol: Protocol,
    token: String,
    stage: Stage,
    next: &'static str,
    secure: bool,
    cause: Option<&'static str>,
    authenticated: bool,
    /// Lines of the machine that no step has looked at.
    lines: Vec<String>,
    tag: String,
    greeting: String,
    tokens_in_tls: usize,
    tokens_in_clear: usize,
}

impl Player {
    fn new(case: &Value) -> Result<Self, String> {
        let protocol: Protocol =
            case["protocol"].as_str().unwrap_or_default().parse().map_err(|_| "no protocol")?;
        let tls: Tls =
            case["tls"].as_str().unwrap_or("implicit").parse().map_err(|_| "no TLS mode")?;
        let token = match case["token"].as_str() {
            None => a_token(600),
            Some("short") => a_token(16),
            Some(token) => token.to_owned(),
        };
        let machine = configure(case, protocol, tls, &token);
        Ok(Self {
            protocol,
            token,
            stage: machine.map_or(Stage::NotConfigured, |machine| Stage::Login(Box::new(machine))),
            next: "read",
            secure: tls == Tls::Implicit,
            cause: None,
            authenticated: false,
            lines: Vec::new(),
            tag: String::new(),
            greeting: String::new(),
            tokens_in_tls: 0,
            tokens_in_clear: 0,
        })
    }

    fn step(
        &mut self,
        index: usize,
        step: &Value,
        pattern: Option<&Regex>,
        cut: Cut,
    ) -> Result<(), String> {
        if self.cause.is_some() && matches!(self.stage, Stage::Over) {
            return Ok(());
        }
        if let Some(text) = step["server"].as_str() {
            return self.server(index, step, text, cut);
        }
        if let Some(pattern) = pattern {
            return self.client(pattern);
        }
        if let Some(expected) = step["expect"].as_str() {
            let met = self.next == expected || (expected == "read" && self.authenticated);
            return if met {
                Ok(())
            } else {
                Err(format!("expected {expected}, came {}", self.next))
            };
        }
        if let Some(text) = step["sent"].as_str() {
            let bytes = latin1(text);
            self.note_tag(text);
            let Stage::Session(watch) = &mut self.stage else { return Err("not logged in".into()) };
            watch.sent(&bytes);
            return Ok(());
        }
        if step["tls"].as_str() == Some("established") {
            let Stage::Login(machine) = &mut self.stage else { return Err("no login".into()) };
            self.secure = true;
            let step = machine.tls_established().map_err(|misuse| misuse.to_string())?;
            return self.take(step);
        }
        if step["closed"].as_bool() == Some(true) {
            return self.closed();
        }
        Err(format!("a step that is not known: {step}"))
    }

    fn server(&mut self, index: usize, step: &Value, text: &str, cut: Cut) -> Result<(), String> {
        // A line without a secret may come where the file does not foresee it: the runner follows the machine.
        self.lines.clear();
        let bytes = latin1(&text.replace("%TAG%", &self.tag));
        if self.greeting.is_empty() {
            self.greeting = text.to_owned();
        }
        let repeat = step["repeat"].as_u64().unwrap_or(1);
        for piece in deal(&bytes, repeat, index, step, cut) {
            if matches!(self.stage, Stage::Over) {
                return Ok(());
            }
            self.receive(&piece)?;
        }
        Ok(())
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<(), String> {
        match &mut self.stage {
            Stage::Login(machine) => {
                let step = machine.receive(bytes).map_err(|misuse| misuse.to_string())?;
                self.check_leaks(&step)?;
                self.take(step)
            }
            Stage::Session(watch) => {
                if let Some(verdict) = watch.received(bytes).ending {
                    self.end(verdict.cause.as_str());
                }
                Ok(())
            }
            Stage::NotConfigured | Stage::Over => Ok(()),
        }
    }

    fn closed(&mut self) -> Result<(), String> {
        match &mut self.stage {
            Stage::Login(machine) => {
                let step = machine.closed().map_err(|misuse| misuse.to_string())?;
                self.take(step)
            }
            Stage::Session(watch) => {
                let cause = watch.closed().cause;
                self.end(cause.as_str());
                Ok(())
            }
            Stage::NotConfigured | Stage::Over => Ok(()),
        }
    }

    fn end(&mut self, cause: &'static str) {
        self.cause = Some(cause);
        self.stage = Stage::Over;
    }

    fn take(&mut self, step: Step) -> Result<(), String> {
        let sent = String::from_utf8(step.send).map_err(|_| "the machine sent no text")?;
        for line in sent.split_terminator("\r\n") {
            self.note_tag(line);
            let tokens = tokens_in(line, &self.token);
            *(if self.secure { &mut self.tokens_in_tls } else { &mut self.tokens_in_clear }) +=
                tokens;
            if (tokens > 0) != step.sensitive {
                return Err(format!("the mark for sensitive octets is wrong: {}", step.sensitive));
            }
            self.lines.push(line.to_owned());
        }
        match step.next {
            Next::Read => self.next = "read",
            Next::StartTls => self.next = "start_tls",
            Next::Done(authenticated) => {
                self.next = "done";
                self.authenticated = true;
                let mut watch = Watch::new(self.protocol);
                let sighting = watch.received(&authenticated.leftover);
                self.stage = Stage::Session(Box::new(watch));
                if let Some(verdict) = sighting.ending {
                    self.end(verdict.cause.as_str());
                }
            }
            Next::Failed(failure) => {
                self.next = "failed";
                let shown = format!("{failure} {failure:?}");
                check_leak(&shown, &self.token)?;
                self.end(failure.cause.as_str());
            }
        }
        Ok(())
    }

    fn client(&mut self, pattern: &Regex) -> Result<(), String> {
        if matches!(self.stage, Stage::Over | Stage::NotConfigured) {
            return Ok(());
        }
        if self.lines.is_empty() {
            return Err(format!("expected a line like {pattern}, came none"));
        }
        let line = self.lines.remove(0);
        if pattern.is_match(&line) {
            return Ok(());
        }
        if self.repeat_greeting(&line, pattern)? {
            self.client(pattern)
        } else {
            Err(format!("expected a line like {pattern}, came {line}"))
        }
    }

    /// A machine that asks for capabilities where the file expects the upgrade gets the greeting's list again.
    fn repeat_greeting(&mut self, line: &str, pattern: &Regex) -> Result<bool, String> {
        let upgrade = format!("{} STARTTLS", self.tag);
        let list =
            self.greeting.split_once("[CAPABILITY ").and_then(|(_, rest)| rest.split_once(']'));
        let Some((list, _)) =
            list.filter(|_| line.ends_with(" CAPABILITY") && pattern.is_match(&upgrade))
        else {
            return Ok(false);
        };
        let reply = format!("* CAPABILITY {list}\r\n{} OK\r\n", self.tag);
        self.receive(reply.as_bytes())?;
        Ok(true)
    }

    fn note_tag(&mut self, line: &str) {
        if self.protocol == Protocol::Imap
            && let Some((tag, _)) = line.split_once(' ')
        {
            self.tag = tag.to_owned();
        }
    }

    fn check_leaks(&self, step: &Step) -> Result<(), String> {
        let shown = match &self.stage {
            Stage::Login(machine) => format!("{step:?} {machine:?}"),
            Stage::NotConfigured | Stage::Session(_) | Stage::Over => format!("{step:?}"),
        };
        check_leak(&shown, &self.token)
    }

    fn judge(&self, case: &Value) -> Result<(), String> {
        let actual = match (&self.stage, self.cause) {
            (Stage::NotConfigured, _) => "config_error",
            (_, Some(cause)) => cause,
            (_, None) if self.authenticated => "authenticated",
            (_, None) => "open",
        };
        let expected: Vec<&str> = match &case["outcome"] {
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect(),
        };
        let goes_on =
            actual == "authenticated" && case["kind"] == "watch" && expected.contains(&"open");
        let any_failure = expected.contains(&"*") && self.cause.is_some();
        if !expected.contains(&actual) && !goes_on && !any_failure {
            return Err(format!("expected {}, came {actual}", expected.join(" or ")));
        }
        self.judge_token(case["token_on_wire"].as_str().unwrap_or("tls-only"))
    }

    fn judge_token(&self, allowed: &str) -> Result<(), String> {
        let (in_tls, in_clear) = (self.tokens_in_tls, self.tokens_in_clear);
        let holds = |rule: &str| match rule {
            "never" => in_tls == 0,
            "once" => in_tls == 1,
            "at-most-once" => in_tls <= 1,
            "tls-only" => true,
            other => {
                let most = other.strip_prefix("at-most-").and_then(|number| number.parse().ok());
                most.is_some_and(|most: usize| in_tls <= most)
            }
        };
        if in_clear == 0 && allowed.split('|').any(holds) {
            return Ok(());
        }
        Err(format!(
            "the token must be on the wire {allowed}, and was {in_tls} times in TLS, {in_clear} times in the clear"
        ))
    }
}

fn configure(case: &Value, protocol: Protocol, tls: Tls, token: &str) -> Option<Negotiation> {
    let field = |key: &str, default: &str| match case[key].as_str() {
        Some(text) => String::from_utf8(latin1(text)).ok(),
        None => Some(default.to_owned()),
    };
    let port = match &case["port"] {
        Value::Null => protocol.default_port(tls),
        Value::String(port) => port.parse().ok()?,
        port => u16::try_from(port.as_u64()?).ok()?,
    };
    let endpoint =
        Endpoint::new(protocol, tls, &field("host", "mail.example.test")?).with_port(port);
    let identity = Identity::new(&field("user", "user@example.test")?);
    let mut config = NegotiationConfig::new(endpoint, identity);
    config.ehlo_name = field("ehlo_name", "client.example.test")?;
    if let Some(names) = case["mechanisms"].as_array() {
        let mechanisms =
            names.iter().map(|name| name.as_str().unwrap_or_default().parse::<Mechanism>());
        config.mechanisms = mechanisms.collect::<Result<_, _>>().ok()?;
    }
    if let Some(name) = case["initial_response"].as_str() {
        config.initial_response = name.parse().ok()?;
    }
    let token = String::from_utf8(latin1(token)).ok()?;
    Negotiation::new(config, AccessToken::new(&token).ok()?).ok()
}

/// Characters that do not repeat soon, so that a part of it is not found by chance.
fn a_token(length: usize) -> String {
    let alphabet = "Canary0Token1Must2Never3Be4Seen5Anywhere6Outside7Tls8-9._~+/xyz";
    alphabet.chars().cycle().take(length).collect()
}

pub(crate) fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|one| u8::try_from(one as u32).expect("Latin-1")).collect()
}

/// The server's message in the pieces in which it arrives.
pub(crate) fn deal(
    bytes: &[u8],
    repeat: u64,
    index: usize,
    step: &Value,
    cut: Cut,
) -> Box<dyn Iterator<Item = Vec<u8>>> {
    if repeat > 1 {
        let per_piece = (65_536 / bytes.len().max(1) as u64).clamp(1, repeat);
        let piece = bytes.repeat(usize::try_from(per_piece).expect("a small number"));
        let count = usize::try_from(repeat.div_ceil(per_piece)).expect("a number of pieces");
        return Box::new(std::iter::repeat_n(piece, count));
    }
    let pieces: Vec<Vec<u8>> = match cut {
        Cut::EveryOctet => bytes.chunks(1).map(<[u8]>::to_vec).collect(),
        Cut::Once { step, at } if step == index && at < bytes.len() => {
            vec![bytes[..at].to_vec(), bytes[at..].to_vec()]
        }
        Cut::Once { .. } | Cut::Whole => match step["split"].as_u64() {
            Some(size) => bytes.chunks(size.max(1) as usize).map(<[u8]>::to_vec).collect(),
            None => vec![bytes.to_vec()],
        },
    };
    Box::new(pieces.into_iter().filter(|piece| !piece.is_empty()))
}

/// How often the token stands in a line, plain or in base64.
fn tokens_in(line: &str, token: &str) -> usize {
    if token.is_empty() {
        return 0;
    }
    let plain = line.matches(token).count();
    let decoded = line
        .split(' ')
        .filter_map(decode)
        .filter(|bytes| contains(bytes, token.as_bytes()))
        .count();
    plain + decoded
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Base64, written apart from the core, so that both cannot share a mistake.
fn decode(text: &str) -> Option<Vec<u8>> {
    let digit = |one: u8| match one {
        b'A'..=b'Z' => Some(one - b'A'),
        b'a'..=b'z' => Some(one - b'a' + 26),
        b'0'..=b'9' => Some(one - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let digits: Option<Vec<u32>> =
        text.trim_end_matches('=').bytes().map(|one| digit(one).map(u32::from)).collect();
    let bits: Vec<u32> =
        digits?.iter().flat_map(|digit| (0..6).rev().map(move |bit| digit >> bit & 1)).collect();
    Some(
        bits.chunks_exact(8)
            .map(|byte| byte.iter().fold(0, |value, bit| value << 1 | *bit as u8))
            .collect(),
    )
}

fn encode(bytes: &[u8]) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    bits.chunks_exact(6)
        .map(|digit| {
            alphabet[digit.iter().fold(0, |value, bit| value << 1 | *bit as usize)] as char
        })
        .collect()
}

/// The token must not be readable: not plain, and not in base64 at any of the three alignments.
fn check_leak(shown: &str, token: &str) -> Result<(), String> {
    if token.len() < 12 {
        return Ok(());
    }
    let aligned = (0..3).map(|skip| encode(&token.as_bytes()[skip..token.len().min(skip + 12)]));
    let forms = aligned.chain([token[..12].to_owned()]);
    for form in forms {
        if shown.contains(&form) {
            return Err(format!("the token is readable in: {shown}"));
        }
    }
    Ok(())
}
