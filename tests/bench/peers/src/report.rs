//! What the server saw of one connection: flights, octets, commands, and how often the token came.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mailbearer::Protocol;
use serde_json::{Value, json};

/// Octets of an unfinished line that are kept.
const LINE_OCTETS_MAX: usize = 1 << 20;

/// How the first login of the connection went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// No verdict.
    None,
    /// Logged in.
    Authenticated,
    /// Refused.
    Refused,
}

/// One connection.
#[derive(Debug)]
pub struct Report {
    protocol: Protocol,
    tls: bool,
    token: Vec<u8>,
    outcome: Outcome,
    flights: u64,
    octets: usize,
    auths: u64,
    commands: Vec<String>,
    after: Vec<String>,
    line: Vec<u8>,
    /// Whether the server wrote since it last read.
    answered: bool,
    /// Whether the next line answers a continuation request.
    prompted: bool,
    /// The token was refused, and the words are still to come.
    refusing: bool,
}

impl Report {
    /// A connection that begins.
    #[must_use]
    pub fn new(protocol: Protocol, tls: bool, token: &str) -> Self {
        Self {
            protocol,
            tls,
            token: token.as_bytes().to_vec(),
            outcome: Outcome::None,
            flights: 0,
            octets: 0,
            auths: 0,
            commands: Vec::new(),
            after: Vec::new(),
            line: Vec::new(),
            answered: false,
            prompted: false,
            refusing: false,
        }
    }

    /// How the first login went.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Octets of the client, as one read brought them.
    pub fn received(&mut self, octets: &[u8]) {
        if self.outcome == Outcome::None {
            self.flights += u64::from(self.answered);
            self.octets += octets.len();
        }
        self.answered = false;
        for octet in octets {
            match octet {
                b'\n' => {
                    let line = std::mem::take(&mut self.line);
                    self.line(&String::from_utf8_lossy(&line));
                }
                octet if self.line.len() < LINE_OCTETS_MAX => self.line.push(*octet),
                _ => {}
            }
        }
    }

    /// What the server says, and what its machine noted meanwhile.
    pub fn said(&mut self, answer: &[u8], events: &[String]) {
        if answer.is_empty() {
            return;
        }
        self.answered = true;
        let last =
            answer.trim_ascii_end().rsplit(|octet| *octet == b'\n').next().unwrap_or_default();
        self.prompted = match self.protocol {
            Protocol::Imap => last.starts_with(b"+"),
            Protocol::Pop3 => last.starts_with(b"+") && !last.starts_with(b"+OK"),
            Protocol::Smtp => last.starts_with(b"334") || last.starts_with(b"354"),
        };
        let noted = |what: &str| events.iter().any(|event| event == what);
        self.refusing |= noted("refused");
        if self.outcome != Outcome::None {
            return;
        }
        if noted("logged_in") {
            self.outcome = Outcome::Authenticated;
        } else if self.refusing && !self.prompted {
            self.outcome = Outcome::Refused;
        }
    }

    fn line(&mut self, line: &str) {
        let line = line.trim_end();
        let carries = self.carries_token(line);
        self.auths += u64::from(carries);
        let mut words = line.split_ascii_whitespace();
        let name = match (self.prompted, carries) {
            (true, true) => "(token)".to_owned(),
            (true, false) => "(answer)".to_owned(),
            (false, carries) => {
                let at = usize::from(self.protocol == Protocol::Imap);
                let name = words.nth(at).unwrap_or("(line)").to_ascii_uppercase();
                if carries { name + "+token" } else { name }
            }
        };
        self.prompted = false;
        match self.outcome {
            Outcome::None => self.commands.push(name),
            Outcome::Authenticated | Outcome::Refused => self.after.push(name),
        }
    }

    fn carries_token(&self, line: &str) -> bool {
        let last = line.rsplit(' ').next().unwrap_or_default();
        let message = STANDARD.decode(last).unwrap_or_default();
        message.windows(self.token.len()).any(|part| part == self.token)
    }

    /// The line of JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let outcome = match self.outcome {
            Outcome::None => "none",
            Outcome::Authenticated => "authenticated",
            Outcome::Refused => "refused",
        };
        json!({
            "protocol": self.protocol.as_str(),
            "tls": self.tls,
            "outcome": outcome,
            "flights": self.flights,
            "octets": self.octets,
            "auths": self.auths,
            "commands": self.commands,
            "after": self.after,
        })
    }
}
