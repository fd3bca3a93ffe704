//! POP3 (RFC 1939, RFC 2449, RFC 5034).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::connection::{Connection, say};
use super::mailbox::Message;
use super::{Output, Server, Stage, Then};

impl Connection {
    pub(super) fn pop3(&mut self, server: &mut Server, now_ms: u64, line: &str) -> Output {
        let mut words = line.split_ascii_whitespace();
        let name = words.next().unwrap_or_default().to_ascii_uppercase();
        let arguments: Vec<&str> = words.collect();
        server.note(now_ms, self, &name);
        match (name.as_str(), self.user().map(ToString::to_string)) {
            ("CAPA", _) => {
                let list = self.pop3_capabilities(server);
                self.or_fault(server, Stage::Capabilities, say(&list))
            }
            ("QUIT", user) => self.pop3_quit(server, user.as_deref()),
            ("STLS", None) if !self.is_secure() => {
                self.upgrade(server, "+OK Begin TLS negotiation now.")
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
            server.mailbox(user).remove(&uids);
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
                let octets: usize = drop.iter().map(|(_, message)| message.content.len()).sum();
                say(&format!("+OK {} {octets}", drop.len()))
            }
            ("LIST", _) if number.is_none() => {
                listing(&drop, |message| message.content.len().to_string())
            }
            ("UIDL", _) if number.is_none() => listing(&drop, |message| message.uid.to_string()),
            ("RSET", _) => {
                self.deleted.clear();
                say("+OK")
            }
            ("LIST" | "UIDL" | "RETR" | "TOP" | "DELE", None) => {
                say("-ERR Message number out of range.")
            }
            ("LIST", Some((at, message))) => say(&format!("+OK {at} {}", message.content.len())),
            ("UIDL", Some((at, message))) => say(&format!("+OK {at} {}", message.uid)),
            ("RETR", Some((_, message))) => body(&message.content),
            ("TOP", Some((_, message))) => {
                let lines = arguments.get(1).and_then(|text| text.parse().ok()).unwrap_or(0);
                body(&top(message, lines))
            }
            ("DELE", Some((_, message))) => {
                self.deleted.push(message.uid);
                say("+OK Marked to be deleted.")
            }
            (_, _) => say("-ERR Unknown command."),
        }
    }

    /// Messages by their numbers in this session, without those that are marked.
    fn drop_view(&self, server: &mut Server, user: &str) -> Vec<(usize, Message)> {
        let messages = &server.mailbox(user).messages;
        let numbered = self.view.iter().enumerate().filter(|(_, uid)| !self.deleted.contains(uid));
        let find = |uid: &u32| messages.iter().find(|message| message.uid == *uid).cloned();
        numbered.filter_map(|(index, uid)| Some((index.saturating_add(1), find(uid)?))).collect()
    }
}

fn listing(drop: &[(usize, Message)], show: impl Fn(&Message) -> String) -> Output {
    let lines: String =
        drop.iter().map(|(at, message)| format!("{at} {}\r\n", show(message))).collect();
    say(&format!("+OK {} messages\r\n{lines}.", drop.len()))
}

fn top(message: &Message, lines: usize) -> Vec<u8> {
    let (header, text) = message.split();
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
