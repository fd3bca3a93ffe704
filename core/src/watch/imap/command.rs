//! A command of a client, as far as it is looked at.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};

use super::super::refusal::Words;
use super::Mailbox;
use crate::limits::WATCHED_LINE_OCTETS_MAX;
use crate::reply::{LiteralEnd, literal_at_end};

#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) tag: String,
    pub(super) name: String,
    pub(super) kind: Kind,
    /// What its refusal may repeat of it; `None` where that is not known.
    pub(super) words: Option<Words>,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// SELECT or EXAMINE, with what the server said of the mailbox so far.
    Select(Box<Mailbox>),
    /// CLOSE or UNSELECT.
    Deselect,
    Idle(Idling),
    Logout,
    /// APPEND or REPLACE (RFC 8508): its literal is a message.
    Append,
    /// What follows a continuation request is not a command.
    Authenticate,
    /// COMPRESS (RFC 4978), STARTTLS, UNAUTHENTICATE (RFC 8437): what follows its success is no session as it was.
    Switch,
    Other,
}

/// How far an IDLE has come (RFC 2177). It is quiet only while the server waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idling {
    /// The server has not said `+` yet.
    Asked,
    Waiting,
    /// DONE was written.
    Over,
}

/// A literal that a client announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) octets: u64,
    /// The client waits for leave to write it: `{n}`, and not `{n+}`.
    pub(super) waits: bool,
}

impl Command {
    /// `None` for the DONE that ends IDLE.
    pub(super) fn parse(line: &[u8], idling: bool) -> Option<Self> {
        let text = String::from_utf8_lossy(line);
        if idling && text.trim().eq_ignore_ascii_case("DONE") {
            return None;
        }
        let (tag, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let (name, arguments) = rest.split_once(' ').unwrap_or((rest, ""));
        let mut name = name.trim().to_ascii_uppercase();
        if name == "UID" {
            let verb = arguments.split(' ').next().unwrap_or_default();
            name = format!("UID {}", verb.to_ascii_uppercase());
        }
        let kind = match name.as_str() {
            "SELECT" | "EXAMINE" => Kind::Select(Box::new(Mailbox {
                name: mailbox_name(arguments),
                read_only: name == "EXAMINE",
                ..Mailbox::default()
            })),
            "CLOSE" | "UNSELECT" => Kind::Deselect,
            "IDLE" => Kind::Idle(Idling::Asked),
            "LOGOUT" => Kind::Logout,
            "APPEND" | "REPLACE" | "UID REPLACE" => Kind::Append,
            "AUTHENTICATE" => Kind::Authenticate,
            "COMPRESS" | "STARTTLS" | "UNAUTHENTICATE" => Kind::Switch,
            _ => Kind::Other,
        };
        // A name that comes in a literal, and what of a long line is not looked at, is not known; a password shall not be.
        let whole = line.len() < WATCHED_LINE_OCTETS_MAX
            && !arguments.starts_with('{')
            && !matches!(name.as_str(), "LOGIN" | "AUTHENTICATE");
        let words = if whole { Words::of(arguments) } else { None };
        // What a client writes may be secret or long: only the words of the protocol are kept.
        let name =
            name.chars().filter(|one| one.is_ascii_alphabetic() || *one == ' ').take(24).collect();
        Some(Self { tag: tag.chars().take(64).collect(), name, kind, words })
    }
}

/// An atom or a quoted string; a literal follows in its own octets, and the name is empty until then.
fn mailbox_name(arguments: &str) -> String {
    let arguments = arguments.trim_start();
    let Some(quoted) = arguments.strip_prefix('"') else {
        let atom = arguments.split([' ', '\r']).next().unwrap_or_default();
        return if atom.starts_with('{') { String::new() } else { atom.to_string() };
    };
    let mut name = String::new();
    let mut characters = quoted.chars();
    while let Some(one) = characters.next() {
        match one {
            '"' => break,
            '\\' => name.extend(characters.next()),
            other => name.push(other),
        }
    }
    name
}

/// RFC 9051 section 4.3 and RFC 7888: `{n}` and `{n+}`.
pub(super) fn announced_by_client(end: &[u8]) -> Option<Announced> {
    let plain = end.strip_suffix(b"+}").map(|start| [start, b"}"].concat());
    match literal_at_end(plain.as_deref().unwrap_or(end)) {
        LiteralEnd::Octets(octets) => Some(Announced { octets, waits: plain.is_none() }),
        LiteralEnd::None | LiteralEnd::Malformed => None,
    }
}
