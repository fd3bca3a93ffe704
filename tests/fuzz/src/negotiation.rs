//! Server octets of any kind against a [`Negotiation`], in every protocol, TLS mode and mechanism.
//!
//! Two machines hear the same turns of a server, one in one read for each turn, the other cut at random. Both are held
//! against the rules, and against each other.
//!
//! Input: six octets of configuration, one for the cuts, then what the server says. In it these octets stand for what a
//! server knows or does: they are in no UTF-8, so that they are free.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mailbearer::limits::{
    LINE_OCTETS_MAX, PHASE_OCTETS_MAX, SERVER_TEXT_CHARS_MAX, TRANSCRIPT_LINE_OCTETS_MAX,
};
use mailbearer::{
    AccessToken, Advice, Cause, Endpoint, Failure, Identity, InitialResponse, Mechanism,
    Negotiation, NegotiationConfig, Next, Protocol, Side, State, Step, Tls, TraceLine, Transcript,
    initial_response,
};

use crate::octets::{Cuts, Octets, contains};

/// The end of a turn: the server waits for the client.
const TURN_END: u8 = 0xf8;
/// The tag of the client's last command.
const TAG: u8 = 0xf9;
/// The token, as a server repeats it.
const TOKEN: u8 = 0xfa;
/// The base64 of the client's message, as a server repeats it.
const PAYLOAD: u8 = 0xfb;
/// The line before this again, as many times as the next octet squared.
const AGAIN: u8 = 0xfc;

/// Octets of a secret that must not be readable in a row.
const FRAGMENT_OCTETS: usize = 8;

/// Octets of one turn, so that one input takes no more than milliseconds.
const TURN_OCTETS_MAX: usize = 2 << 20;

/// Holds the machine against the rules.
pub fn check(data: &[u8]) {
    let mut octets = Octets::new(data);
    let Some(setup) = Setup::read(&mut octets) else { return };
    let mut cuts = Cuts::new(octets.octet());
    let (mut whole, mut cut) = (Client::new(&setup), Client::new(&setup));
    let mut in_step = true;
    for turn in octets.rest().split(|octet| *octet == TURN_END) {
        let said = whole.expand(turn);
        if said.is_empty() || whole.is_over() {
            continue;
        }
        whole.hear(&said);
        in_step = in_step && cut.hear_cut(&cuts.pieces(&said), &whole);
        if whole.machine.awaits_tls() && setup.handshakes {
            whole.handshake();
            if in_step {
                cut.handshake();
            }
        }
    }
    whole.close();
    if in_step {
        assert!(whole.shown.starts_with(&cut.shown), "a cut changes the transcript");
        cut.close();
        assert_eq!(whole.end, cut.end, "a cut changes the end");
    }
    for client in [&mut whole, &mut cut] {
        let lines = client.transcript.flush();
        client.shows(lines);
    }
}

struct Setup {
    config: NegotiationConfig,
    token: String,
    payloads: Vec<String>,
    /// What must not be readable, for each mechanism.
    parts: Vec<HashSet<[u8; FRAGMENT_OCTETS]>>,
    /// Whether the host does its handshake; else the server speaks into it.
    handshakes: bool,
}

impl Setup {
    fn read(octets: &mut Octets<'_>) -> Option<Self> {
        let protocol = octets.one_of(&Protocol::ALL);
        let tls = octets.one_of(&Tls::ALL);
        let endpoint = Endpoint::new(protocol, tls, "mail.example.test");
        let mut config = NegotiationConfig::new(endpoint, Identity::new("user@example.test"));
        config.mechanisms = match octets.octet() % 4 {
            0 => vec![Mechanism::XOAuth2],
            1 => vec![Mechanism::OAuthBearer],
            2 => vec![Mechanism::XOAuth2, Mechanism::OAuthBearer],
            _ => vec![Mechanism::OAuthBearer, Mechanism::XOAuth2],
        };
        config.initial_response = octets.one_of(&InitialResponse::ALL);
        if octets.flag() {
            config.assumed_capabilities = match protocol {
                Protocol::Imap => vec!["SASL-IR".into(), "AUTH=XOAUTH2".into()],
                Protocol::Pop3 => vec!["SASL XOAUTH2 OAUTHBEARER".into()],
                Protocol::Smtp => vec!["AUTH XOAUTH2".into()],
            };
        }
        let lengths = octets.octet();
        let token =
            format!("ya29.{}", "Zq7-".repeat([4, 40, 150, 1_500][usize::from(lengths % 4)]));
        let handshakes = lengths < 0xf0;
        let payload = |mechanism: Mechanism| {
            let secret = AccessToken::new(&token).expect("a token");
            let message = initial_response(mechanism, &config.identity, &config.endpoint, &secret);
            STANDARD.encode(message.expect("a message"))
        };
        let payloads: Vec<String> = Mechanism::ALL.into_iter().map(payload).collect();
        let parts = payloads.iter().map(|payload| parts(&[&token, secret_part(payload, &token)]));
        let parts = parts.collect();
        Some(Self { config, token, payloads, parts, handshakes })
    }
}

/// A machine, and what is known of it from outside.
struct Client<'a> {
    setup: &'a Setup,
    machine: Negotiation,
    secure: bool,
    tag: Vec<u8>,
    /// Lines with the token, and whether it was in the line of the command.
    tokens_sent: Vec<bool>,
    /// Whether the command went out without a token.
    asked_bare: bool,
    acknowledged: bool,
    transcript: Transcript,
    /// What it showed of the server.
    shown: Vec<String>,
    /// Octets heard since anything was last sent.
    unanswered: usize,
    end: Option<End>,
}

#[derive(Debug, PartialEq)]
enum End {
    Done { mechanism: Mechanism, capabilities: Vec<String>, leftover: Vec<u8> },
    Failed(Failure),
}

impl<'a> Client<'a> {
    fn new(setup: &'a Setup) -> Self {
        let token = AccessToken::new(&setup.token).expect("a token");
        let transcript = Transcript::new(&token);
        let machine = Negotiation::new(setup.config.clone(), token).expect("a configuration");
        Self {
            setup,
            machine,
            secure: setup.config.endpoint.tls == Tls::Implicit,
            tag: Vec::new(),
            tokens_sent: Vec::new(),
            asked_bare: false,
            acknowledged: false,
            transcript,
            shown: Vec::new(),
            unanswered: 0,
            end: None,
        }
    }

    fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// What the server says, with what it knows put in.
    fn expand(&self, turn: &[u8]) -> Vec<u8> {
        let mut said = Vec::new();
        let mut octets = Octets::new(turn);
        while !octets.is_empty() && said.len() < TURN_OCTETS_MAX {
            match octets.octet() {
                TAG => said.extend_from_slice(&self.tag),
                TOKEN => said.extend_from_slice(self.setup.token.as_bytes()),
                PAYLOAD => said.extend_from_slice(self.setup.payloads[0].as_bytes()),
                AGAIN => {
                    let times = usize::from(octets.octet()).pow(2);
                    let line = said
                        .split_inclusive(|octet| *octet == b'\n')
                        .next_back()
                        .unwrap_or_default()
                        .to_vec();
                    let most = TURN_OCTETS_MAX / line.len().max(1);
                    said.extend(line.repeat(times.min(most)));
                }
                octet => said.push(octet),
            }
        }
        said
    }

    /// True when it said something, or asked for TLS.
    fn hear(&mut self, said: &[u8]) -> bool {
        let before = self.machine.state();
        self.unanswered += said.len();
        let lines = self.transcript.received(said);
        self.shows(lines);
        let step = self.machine.receive(said).expect("no misuse");
        let acts = !step.send.is_empty() || step.next == Next::StartTls;
        if acts {
            self.unanswered = 0;
        }
        if step.next == Next::Read && !acts {
            assert_eq!(self.machine.state(), before, "the state changed in silence");
            assert!(
                self.unanswered <= PHASE_OCTETS_MAX + LINE_OCTETS_MAX,
                "it listens without end"
            );
        }
        self.step(step, said);
        acts
    }

    /// Hears a turn in pieces; false when it cannot be compared with `whole` any further.
    fn hear_cut(&mut self, pieces: &[&[u8]], whole: &Client<'_>) -> bool {
        let mut early = false;
        for (at, piece) in pieces.iter().enumerate() {
            if let Some(End::Done { leftover, .. }) = &mut self.end {
                leftover.extend_from_slice(piece);
                continue;
            }
            if self.is_over() {
                continue;
            }
            early |= self.hear(piece) && at + 1 < pieces.len();
        }
        if early {
            // The server spoke before it was asked, which only a machine that sees it all in one read can know.
            let in_step = self.end == whole.end && self.machine.state() == whole.machine.state();
            let failed = matches!(whole.end, Some(End::Failed(_)));
            assert!(in_step || failed, "{:?} whole, {:?} cut", whole.end, self.end);
            // What was heard between two questions may belong to either.
            return false;
        }
        assert_eq!(whole.end, self.end, "a cut changes the end");
        assert_eq!(whole.machine.state(), self.machine.state(), "a cut changes the state");
        true
    }

    fn handshake(&mut self) {
        self.secure = true;
        self.unanswered = 0;
        let step = self.machine.tls_established().expect("no misuse");
        assert_eq!(self.machine.state(), State::Capabilities, "what was heard before TLS is kept");
        self.step(step, &[]);
    }

    fn close(&mut self) {
        if self.is_over() {
            assert!(self.machine.closed().is_err());
            return;
        }
        let step = self.machine.closed().expect("no misuse");
        assert!(matches!(step.next, Next::Failed(_)), "a login without an end");
        self.step(step, &[]);
    }

    fn step(&mut self, step: Step, said: &[u8]) {
        let shown = format!("{step:?}");
        assert!(!self.shows_token(&shown), "a token in the debug output");
        self.sends(&step);
        match step.next {
            Next::Read | Next::StartTls => {}
            Next::Done(done) => {
                assert!(!self.tokens_sent.is_empty(), "a login without a token");
                assert!(!self.acknowledged, "a login after its refusal");
                assert!(step.send.is_empty() && said.ends_with(&done.leftover));
                self.end = Some(End::Done {
                    mechanism: done.mechanism,
                    capabilities: done.capabilities,
                    leftover: done.leftover,
                });
            }
            Next::Failed(failure) => {
                assert!(step.send.is_empty(), "a failed step sends");
                self.fails(&failure);
                self.end = Some(End::Failed(failure));
            }
        }
    }

    fn sends(&mut self, step: &Step) {
        if step.send.is_empty() {
            assert!(!step.sensitive);
            return;
        }
        let lines = self.transcript.sent(&step.send, step.sensitive);
        assert_eq!(lines.len(), 1);
        self.shows(lines);
        let line = step.send.strip_suffix(b"\r\n").expect("a line");
        assert!(!line.iter().any(|octet| b"\r\n\0".contains(octet)), "more than one line");
        let carries = |secret: &String| contains(line, secret.as_bytes());
        let has_token = self.setup.payloads.iter().chain([&self.setup.token]).any(carries);
        assert_eq!(step.sensitive, has_token, "sensitive is not told rightly");
        let protocol = self.setup.config.endpoint.protocol;
        let mut words = line.split(|octet| *octet == b' ').collect::<Vec<_>>();
        if has_token {
            self.token_leaves(&step.send, words.len() > 1);
        }
        if protocol == Protocol::Imap && words.len() > 1 {
            self.tag = words.remove(0).to_vec();
        }
        let command: &[u8] = if has_token && words.len() == 1 { b"token" } else { words[0] };
        match (protocol, command) {
            (Protocol::Imap, b"CAPABILITY")
            | (Protocol::Pop3, b"CAPA")
            | (Protocol::Smtp, b"EHLO") => {}
            (Protocol::Imap | Protocol::Smtp, b"STARTTLS") | (Protocol::Pop3, b"STLS") => {
                assert!(!self.secure, "an upgrade inside TLS");
            }
            (Protocol::Imap, b"AUTHENTICATE") | (Protocol::Pop3 | Protocol::Smtp, b"AUTH") => {
                assert!(self.secure, "a login without TLS");
                assert!(matches!(words[1], b"XOAUTH2" | b"OAUTHBEARER"), "another mechanism");
                self.asked_bare |= !has_token;
            }
            (_, b"" | b"AQ==" | b"*") => {
                assert!(
                    !self.acknowledged && !self.tokens_sent.is_empty(),
                    "acknowledged for nothing"
                );
                self.acknowledged = true;
            }
            (_, b"token") => {}
            other => panic!("a command that no login needs: {other:?}"),
        }
    }

    fn token_leaves(&mut self, send: &[u8], inline: bool) {
        assert!(self.secure, "the token leaves without TLS");
        assert!(!self.acknowledged, "the token leaves after its refusal");
        let protocol = self.setup.config.endpoint.protocol;
        match self.tokens_sent.as_slice() {
            [] => {}
            // A refusal of the line leads to one more try in two steps, where the connection lives.
            [true] => assert!(protocol != Protocol::Pop3 && !inline, "the token leaves twice"),
            _ => panic!("the token leaves twice in one exchange"),
        }
        if inline {
            let response = self.setup.config.initial_response;
            // A server that refuses the command without it takes a longer line than it need (RFC 4954 section 4).
            let most = match protocol {
                Protocol::Pop3 | Protocol::Smtp if self.asked_bare => 12_288,
                Protocol::Imap | Protocol::Pop3 | Protocol::Smtp => inline_octets_max(protocol),
            };
            assert!(response != InitialResponse::Never, "a token in the line in spite of Never");
            assert!(
                response == InitialResponse::Always || send.len() <= most,
                "the line is too long"
            );
        }
        self.tokens_sent.push(inline);
    }

    fn fails(&self, failure: &Failure) {
        assert_ne!(failure.cause, Cause::NoFault);
        assert_ne!(failure.advice, Advice::Proceed, "a failed login does not go on");
        let is_quiet =
            failure.server_text.is_empty() && failure.url.is_none() && failure.wait_ms.is_none();
        assert!(self.secure || is_quiet, "text, an address or a wait from outside TLS");
        assert!(
            self.secure || !matches!(failure.advice, Advice::AskUser | Advice::RefreshToken),
            "condemned before TLS: {failure:?}"
        );
        assert!(!failure.detail.chars().any(char::is_control), "controls in the detail");
        let rejection = failure.rejection.clone().unwrap_or_default();
        let texts =
            [rejection.status, rejection.scope, rejection.schemes, rejection.openid_configuration];
        for text in texts.into_iter().flatten().chain([failure.server_text.clone()]) {
            assert!(text.chars().count() <= SERVER_TEXT_CHARS_MAX, "text without bound");
            assert!(!text.chars().any(char::is_control), "text with controls: {text:?}");
        }
        let shown = format!("{failure} {failure:?}");
        assert!(!self.shows_token(&shown), "a token in a failure: {failure:?}");
    }

    fn shows(&mut self, lines: Vec<TraceLine>) {
        for line in lines {
            assert!(!self.shows_token(&line.text), "a token in a transcript: {}", line.text);
            assert!(!line.text.chars().any(char::is_control), "a transcript with controls");
            // Each octet that is no UTF-8 is shown in three.
            assert!(line.text.len() <= TRANSCRIPT_LINE_OCTETS_MAX * 3 + 99, "a line without bound");
            if line.side == Side::Server {
                self.shown.push(line.text);
            }
        }
    }

    /// Whether any part of the token can be read.
    fn shows_token(&self, shown: &str) -> bool {
        let parts = &self.setup.parts[used(self.machine.mechanism())];
        windows(shown).any(|window| parts.contains(&window))
    }
}

/// The characters of the base64 that stand for octets of the token alone: what is around it is no secret.
fn secret_part<'a>(payload: &'a str, token: &str) -> &'a str {
    let message = STANDARD.decode(payload).expect("base64");
    let start = message.len() - 2 - token.len();
    &payload[start.div_ceil(3) * 4..(start + token.len()) / 3 * 4]
}

/// Every part of the secrets, once: a long token of the fuzzer repeats itself.
fn parts(secrets: &[&str]) -> HashSet<[u8; FRAGMENT_OCTETS]> {
    secrets.iter().flat_map(|secret| windows(secret)).collect()
}

fn windows(text: &str) -> impl Iterator<Item = [u8; FRAGMENT_OCTETS]> {
    text.as_bytes().windows(FRAGMENT_OCTETS).filter_map(|window| window.try_into().ok())
}

fn used(mechanism: Mechanism) -> usize {
    Mechanism::ALL.iter().position(|one| *one == mechanism).unwrap_or_default()
}

/// RFC 7162 section 4, RFC 5034 section 4, RFC 4954 section 4.
fn inline_octets_max(protocol: Protocol) -> usize {
    match protocol {
        Protocol::Imap => 8_192,
        Protocol::Pop3 => 255,
        Protocol::Smtp => 512,
    }
}
