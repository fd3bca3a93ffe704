//! IMAP (RFC 3501, RFC 9051), as much of it as mail libraries use in their ordinary calls.

mod append;
mod fetch;
mod folders;
mod list;
mod parse;
mod search;
mod select;
mod store;
mod structure;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::connection::{Connection, Exchange, say};
use super::{Flavour, Output, Server, Stage, Then};
use parse::{Arguments, Malformed};
pub(super) use select::Selected;

/// What a command is answered with: untagged lines, and the status behind the tag.
pub(super) struct Answer {
    untagged: Vec<u8>,
    status: String,
}

impl Answer {
    fn ok(untagged: impl Into<Vec<u8>>) -> Self {
        Self { untagged: untagged.into(), status: "OK Success".to_string() }
    }

    fn status(status: impl Into<String>) -> Self {
        Self { untagged: Vec::new(), status: status.into() }
    }

    fn with(mut self, status: impl Into<String>) -> Self {
        self.status = status.into();
        self
    }

    /// RFC 5530: the mailbox is not there.
    fn nonexistent(flavour: Flavour) -> Self {
        Self::status(match flavour {
            Flavour::Gmail => "NO [NONEXISTENT] Unknown Mailbox: (Failure)",
            Flavour::Outlook => "NO The requested mailbox doesn't exist.",
            Flavour::Dovecot => "NO [NONEXISTENT] Mailbox doesn't exist",
        })
    }

    /// RFC 9051 section 6.3.12: the client may make it.
    fn try_create(flavour: Flavour) -> Self {
        Self::status(match flavour {
            Flavour::Gmail => "NO [TRYCREATE] No folder (Failure)",
            Flavour::Outlook => "NO [TRYCREATE] The requested mailbox doesn't exist.",
            Flavour::Dovecot => "NO [TRYCREATE] Mailbox doesn't exist",
        })
    }
}

type Answered = Result<Answer, Malformed>;

impl Connection {
    pub(super) fn imap(&mut self, server: &mut Server, now_ms: u64, line: &[u8]) -> Output {
        let (tag, rest) = word(line);
        let (name, rest) = word(rest);
        let (tag, name) = (text(tag), text(name).to_ascii_uppercase());
        if tag.is_empty() || name.is_empty() {
            return say("* BAD [CLIENTBUG] Invalid tag");
        }
        server.note_command(now_ms, self, &name);
        let logged_in = self.user().is_some();
        match name.as_str() {
            "CAPABILITY" => {
                let list = server.config.flavour.imap_capabilities(self.is_secure(), logged_in);
                let reply = say(&format!("* CAPABILITY {list}\r\n{tag} OK Thats all she wrote!"));
                self.or_fault(server, Stage::Capabilities, reply)
            }
            "NOOP" | "CHECK" => self.answer(server, &tag, Ok(Answer::ok(""))),
            "LOGOUT" => Output {
                next: Then::Close,
                ..say(&format!("* BYE LOGOUT Requested\r\n{tag} OK done"))
            },
            "ID" => say(&format!("* ID (\"name\" \"mailbearer\")\r\n{tag} OK done")),
            "STARTTLS" if !self.is_secure() => {
                self.upgrade(server, &tag, &format!("{tag} OK Begin TLS negotiation now."))
            }
            "AUTHENTICATE" if !logged_in => {
                let arguments = text(rest);
                let mut words = arguments.split_ascii_whitespace();
                let mechanism = words.next().unwrap_or_default();
                let begun = self.begin_login(server, now_ms, &tag, mechanism, words.next());
                begun.unwrap_or_else(|| {
                    say(&format!("{tag} NO Unsupported authentication mechanism."))
                })
            }
            "IDLE" if logged_in => {
                self.expect(Exchange::Idle { tag });
                let mut output = say("+ idling");
                output.send.extend(self.imap_news(server, true));
                output
            }
            _ if logged_in => {
                let answered = Arguments::read(rest)
                    .and_then(|arguments| self.imap_session(server, now_ms, &name, arguments));
                // RFC 9051 section 7.5.1: numbers must not change under these.
                let is_quiet = matches!(name.as_str(), "FETCH" | "STORE" | "SEARCH");
                match is_quiet {
                    true => self.answer_quietly(server, &tag, answered),
                    false => self.answer(server, &tag, answered),
                }
            }
            _ => say(&format!("{tag} BAD Unknown command")),
        }
    }

    fn imap_session(
        &mut self,
        server: &mut Server,
        now_ms: u64,
        name: &str,
        mut arguments: Arguments,
    ) -> Answered {
        match name {
            "NAMESPACE" => Ok(Answer::ok("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n")),
            "ENABLE" => Ok(Answer::ok("* ENABLED\r\n")),
            "LIST" | "LSUB" | "XLIST" => self.list(server, name, arguments),
            "CREATE" | "DELETE" | "RENAME" | "SUBSCRIBE" | "UNSUBSCRIBE" => {
                self.folder(server, name, arguments)
            }
            "SELECT" | "EXAMINE" => self.select(server, name, arguments),
            "STATUS" => {
                let mailbox = arguments.mailbox()?;
                let items = arguments.list()?;
                arguments.end()?;
                self.status(server, &mailbox, items)
            }
            "APPEND" => self.append(server, now_ms, arguments),
            _ if self.selected.is_some() => self.imap_selected(server, name, arguments),
            _ => Ok(Answer::status("BAD Unknown command, or no mailbox is selected")),
        }
    }

    fn imap_selected(
        &mut self,
        server: &mut Server,
        name: &str,
        mut arguments: Arguments,
    ) -> Answered {
        if self.is_gone(server) {
            self.selected = None;
            return Ok(Answer::status("NO [NONEXISTENT] The selected mailbox is gone"));
        }
        match name {
            "CLOSE" => {
                self.close_mailbox(server);
                Ok(Answer::ok(""))
            }
            "UNSELECT" => {
                self.selected = None;
                Ok(Answer::ok(""))
            }
            "UID" => {
                let verb = arguments.keyword()?;
                self.on_messages(server, &verb, arguments, true)
            }
            _ => self.on_messages(server, name, arguments, false),
        }
    }

    fn on_messages(
        &mut self,
        server: &mut Server,
        verb: &str,
        arguments: Arguments,
        by_uid: bool,
    ) -> Answered {
        match verb {
            "SEARCH" => self.search(server, arguments, by_uid),
            "FETCH" => self.fetch(server, arguments, by_uid),
            "STORE" => self.store(server, arguments, by_uid),
            "COPY" | "MOVE" => self.copy(server, arguments, by_uid, verb == "MOVE"),
            "EXPUNGE" => self.expunge(server, arguments, by_uid),
            _ => Ok(Answer::status("BAD Unknown command")),
        }
    }

    /// A completion, with what is new before it.
    fn answer(&mut self, server: &mut Server, tag: &str, answered: Answered) -> Output {
        let Ok(mut answer) = answered else { return malformed(tag) };
        answer.untagged.extend(self.imap_news(server, true));
        completion(tag, answer)
    }

    /// A completion behind which sequence numbers are what they were.
    fn answer_quietly(&mut self, server: &mut Server, tag: &str, answered: Answered) -> Output {
        let Ok(mut answer) = answered else { return malformed(tag) };
        answer.untagged.extend(self.imap_news(server, false));
        completion(tag, answer)
    }

    pub(super) fn idle_line(&mut self, tag: &str, line: &[u8]) -> Output {
        if line.eq_ignore_ascii_case(b"DONE") {
            return say(&format!("{tag} OK IDLE terminated (Success)"));
        }
        say(&format!("{tag} BAD Expected DONE"))
    }
}

fn malformed(tag: &str) -> Output {
    say(&format!("{tag} BAD Could not parse command"))
}

fn completion(tag: &str, answer: Answer) -> Output {
    let mut send = answer.untagged;
    send.extend(format!("{tag} {}\r\n", answer.status).into_bytes());
    Output { send, next: Then::Read }
}

fn word(octets: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b' ', octets) {
        Some(at) => {
            (octets.get(..at).unwrap_or_default(), octets.get(at + 1..).unwrap_or_default())
        }
        None => (octets, b""),
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets.trim_ascii()).into_owned()
}

/// A string as it goes over the wire: quoted, or as a literal.
fn string(octets: &[u8]) -> Vec<u8> {
    let is_plain = octets.len() < 1_000 && octets.iter().all(|octet| (32..127).contains(octet));
    if !is_plain {
        return [format!("{{{}}}\r\n", octets.len()).as_bytes(), octets].concat();
    }
    let mut quoted = Vec::from(*b"\"");
    for octet in octets {
        if matches!(octet, b'"' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(*octet);
    }
    quoted.push(b'"');
    quoted
}

/// A string, or NIL.
fn nstring(text: Option<&[u8]>) -> Vec<u8> {
    text.map_or_else(|| b"NIL".to_vec(), string)
}
