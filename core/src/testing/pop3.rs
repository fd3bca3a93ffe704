//! POP3 (RFC 1939, RFC 2449, RFC 5034).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::connection::{Connection, say};
use super::mail::{Message, split};
use super::{Output, Server, Stage, Then};

impl Connection {
    pub(super) fn pop3(&mut self, server: &mut Server, now_ms: u64, line: &str) -> Output {
        let mut words = line.split_ascii_whitespace();
        let name = words.next().unwrap_or_default().to_ascii_uppercase();
        let arguments: Vec<&str> = words.collect();
        server.note_command(now_ms, self, &name);
        match (name.as_str(), self.user().map(ToString::to_string)) {
            ("CAPA", _) => {
                let list = self.pop3_capabilities(server);
                self.or_fault(server, Stage::Capabilities, say(&list))
            }
            ("QUIT", user) => self.pop3_quit(server, user.as_deref()),
            ("STLS", None) if !self.is_secure() => {
                self.upgrade(server, "", "+OK Begin TLS negotiation now.")
            }
            ("AUTH", None) => {
                let mechanism = arguments.first().copied().unwrap_or_default();
                let initial = arguments.get(1).copied();
                let begun = self.begin_login(server, now_ms, "", mechanism, initial);
                begun.unwrap_or_else(|| say("-ERR Unsupported authentication mechanism."))
            }
            (_, None) => say("-ERR Unknown command."),
            ("NOOP", Some(_)) => say("+OK"),
            (name, Some(user)) => self.maildrop(server, name, &arguments, &user),
        }
    }

    fn pop3_capabilities(&self, server: &Server) -> String {
        let login = match (self.is_secure(), self.user()) {
            (false, _) => "STLS\r\n".to_string(),
            (true, None) => format!("SASL {}\r\n", server.config.flavour.sasl_list()),
            (true, Some(_)) => "PIPELINING\r\n".to_string(),
        };
        format!("+OK Capability list follows\r\nUSER\r\nRESP-CODES\r\nTOP\r\nUIDL\r\n{login}.")
    }

    fn pop3_quit(&mut self, server: &mut Server, user: Option<&str>) -> Output {
        if let Some(user) = user {
            // RFC 1939 section 6: deletions happen now, and only now.
            let uids = core::mem::take(&mut self.deleted);
            if let Some(inbox) = server.account(user).get_mut("INBOX") {
                inbox.remove(&uids);
            }
            server.news = true;
        }
        Output { next: Then::Close, ..say("+OK Farewell.") }
    }

    fn maildrop(
        &mut self,
        server: &mut Server,
        name: &str,
        arguments: &[&str],
        user: &str,
    ) -> Output {
        let number = arguments.first().and_then(|text| text.parse::<usize>().ok());
        let drop = self.drop_view(server, user);
        let one = number.and_then(|number| drop.iter().find(|(at, _)| *at == number));
        match (name, one) {
            ("STAT", _) => {
                let octets: usize = drop.iter().map(|(_, one)| one.octets()).sum();
                say(&format!("+OK {} {octets}", drop.len()))
            }
            ("LIST", _) if number.is_none() => listing(&drop, |one| one.octets().to_string()),
            ("UIDL", _) if number.is_none() => listing(&drop, |one| one.uid.to_string()),
            ("RSET", _) => {
                self.deleted.clear();
                say("+OK")
            }
            ("LIST" | "UIDL" | "RETR" | "TOP" | "DELE", None) => {
                say("-ERR Message number out of range.")
            }
            ("LIST", Some((at, one))) => say(&format!("+OK {at} {}", one.octets())),
            ("UIDL", Some((at, one))) => say(&format!("+OK {at} {}", one.uid)),
            ("RETR", Some((_, one))) => body(&one.message.content),
            ("TOP", Some((_, one))) => {
                let lines = arguments.get(1).and_then(|text| text.parse().ok()).unwrap_or(0);
                body(&top(&one.message, lines))
            }
            ("DELE", Some((_, one))) => {
                self.deleted.push(one.uid);
                say("+OK Marked to be deleted.")
            }
            (_, _) => say("-ERR Unknown command."),
        }
    }

    /// Messages by their numbers in this session, without those that are marked.
    fn drop_view(&self, server: &mut Server, user: &str) -> Vec<(usize, Held)> {
        let Some(inbox) = server.account(user).get("INBOX") else { return Vec::new() };
        let numbered = (1..).zip(&self.view).filter(|(_, uid)| !self.deleted.contains(uid));
        let find = |uid: &u32| inbox.messages.get(uid).cloned();
        numbered
            .filter_map(|(at, uid)| Some((at, Held { uid: *uid, message: find(uid)? })))
            .collect()
    }
}

/// A message of the maildrop.
struct Held {
    uid: u32,
    message: Message,
}

impl Held {
    fn octets(&self) -> usize {
        self.message.content.len()
    }
}

fn listing(drop: &[(usize, Held)], show: impl Fn(&Held) -> String) -> Output {
    let lines: String = drop.iter().map(|(at, one)| format!("{at} {}\r\n", show(one))).collect();
    say(&format!("+OK {} messages\r\n{lines}.", drop.len()))
}

fn top(message: &Message, lines: usize) -> Vec<u8> {
    let (header, text) = split(&message.content);
    let kept = text.split_inclusive(|octet| *octet == b'\n').take(lines).flatten();
    header.iter().chain(kept).copied().collect()
}

/// With dot-stuffing (RFC 1939 section 3).
fn body(content: &[u8]) -> Output {
    let mut send = format!("+OK {} octets\r\n", content.len()).into_bytes();
    for line in content.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            send.push(b'.');
        }
        send.extend_from_slice(line);
    }
    if !send.ends_with(b"\r\n") {
        send.extend_from_slice(b"\r\n");
    }
    send.extend_from_slice(b".\r\n");
    Output { send, next: Then::Read }
}
