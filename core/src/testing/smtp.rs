//! SMTP submission (RFC 5321, RFC 4954, RFC 6409).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::connection::{Connection, Exchange, say};
use super::recipients::too_large;
use super::refusal::Moment;
use super::{Output, Server, Stage, Submitted, Then};
use crate::config::Protocol;

/// Recipients of one message (RFC 5321 section 4.5.3.1.8 asks for 100 at least).
const RECIPIENTS_MAX: usize = 1_000;

/// A transaction.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    sender: String,
    recipients: Vec<String>,
    is_too_large: bool,
}

impl Connection {
    pub(super) fn smtp(&mut self, server: &mut Server, now_ms: u64, line: &str) -> Output {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        let name = name.trim().to_ascii_uppercase();
        server.note_command(now_ms, self, &name);
        match (name.as_str(), self.user().map(ToString::to_string)) {
            ("EHLO" | "HELO", _) => {
                self.envelope = None;
                if let Some(refused) = server.refused(Protocol::Smtp, Moment::Ehlo, "") {
                    return refused;
                }
                let list = self.smtp_capabilities(server);
                let reply = if name == "HELO" { say("250 localhost") } else { say(&list) };
                self.or_fault(server, Stage::Capabilities, reply)
            }
            ("NOOP" | "VRFY", _) => say("250 2.0.0 OK"),
            ("RSET", _) => {
                self.envelope = None;
                say("250 2.0.0 OK")
            }
            ("QUIT", _) => Output { next: Then::Close, ..say("221 2.0.0 closing connection") },
            ("STARTTLS", None) if !self.is_secure() => {
                self.upgrade(server, "", "220 2.0.0 Ready to start TLS")
            }
            ("AUTH", Some(_)) => say("503 5.7.0 No identity changes permitted."),
            ("AUTH", None) => {
                let mut words = rest.split_ascii_whitespace();
                let mechanism = words.next().unwrap_or_default();
                let begun = self.begin_login(server, now_ms, "", mechanism, words.next());
                begun.unwrap_or_else(|| say("504 5.7.4 Unrecognized Authentication Type."))
            }
            ("MAIL" | "RCPT" | "DATA", None) => say("530 5.7.0 Authentication Required."),
            (name, Some(user)) => self.transaction(server, now_ms, name, rest, &user),
            (_, None) => say("502 5.5.1 Unrecognized command."),
        }
    }

    fn smtp_capabilities(&self, server: &Server) -> String {
        let login = if self.is_secure() {
            format!("250-AUTH {}", server.config.flavour.sasl_list())
        } else {
            "250-STARTTLS".to_string()
        };
        let size = server.config.message_octets_max;
        format!(
            "250-localhost at your service\r\n250-SIZE {size}\r\n250-8BITMIME\r\n{login}\r\n\
             250-ENHANCEDSTATUSCODES\r\n250-PIPELINING\r\n250 SMTPUTF8"
        )
    }

    fn transaction(
        &mut self,
        server: &mut Server,
        now_ms: u64,
        name: &str,
        rest: &str,
        user: &str,
    ) -> Output {
        match (name, &mut self.envelope) {
            ("MAIL", None) => {
                if declared_size(rest).is_some_and(|size| size > server.config.message_octets_max) {
                    return say(too_large(server.config.flavour));
                }
                self.envelope = Some(Envelope { sender: address(rest), ..Envelope::default() });
                say("250 2.1.0 OK")
            }
            ("RCPT", Some(envelope)) => {
                let recipient = address(rest);
                if envelope.recipients.len() >= RECIPIENTS_MAX {
                    return say("452 4.5.3 Too many recipients");
                }
                if let Some(refused) = server.refuses(now_ms, user, &recipient) {
                    return say(&refused);
                }
                envelope.recipients.push(recipient);
                say("250 2.1.5 OK")
            }
            ("DATA", Some(envelope)) if !envelope.recipients.is_empty() => {
                self.text.clear();
                self.expect(Exchange::Text);
                say("354 Go ahead")
            }
            ("MAIL" | "RCPT" | "DATA", _) => say("503 5.5.1 Bad sequence of commands."),
            (_, _) => say("502 5.5.1 Unrecognized command."),
        }
    }

    pub(super) fn text_line(&mut self, server: &mut Server, now_ms: u64, line: &[u8]) -> Output {
        if line == b"." {
            return self.message(server, now_ms);
        }
        self.expect(Exchange::Text);
        let line = line.strip_prefix(b".").unwrap_or(line);
        let octets = self.text.len().saturating_add(line.len()).saturating_add(2);
        if octets > server.config.message_octets_max {
            // Read to its end, and kept no more.
            self.text.clear();
            self.envelope.iter_mut().for_each(|envelope| envelope.is_too_large = true);
        } else {
            self.text.extend_from_slice(line);
            self.text.extend_from_slice(b"\r\n");
        }
        Output { send: Vec::new(), next: Then::Read }
    }

    fn message(&mut self, server: &mut Server, now_ms: u64) -> Output {
        let Envelope { sender, recipients, is_too_large } =
            self.envelope.take().unwrap_or_default();
        let content = core::mem::take(&mut self.text);
        if is_too_large {
            return say(too_large(server.config.flavour));
        }
        // One for each, one that was submitted, and one among the sent.
        if !server.has_room(content.len().saturating_mul(recipients.len().saturating_add(2))) {
            return say("452 4.3.1 Insufficient system storage");
        }
        let user = self.user().unwrap_or_default().to_string();
        for recipient in &recipients {
            server.take_in(now_ms, recipient, &content);
        }
        server.file_sent(now_ms, &user, &content);
        server.submitted.push(Submitted { user, sender, recipients, content });
        let reply = format!("250 2.0.0 OK {} - gsmtp", server.submitted.len());
        self.or_fault(server, Stage::AfterDot, say(&reply))
    }
}

/// What stands between `<` and `>`.
fn address(text: &str) -> String {
    let inside = text.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map_or(text, |(inside, _)| inside).to_string()
}

/// RFC 1870 section 5: `SIZE=`.
fn declared_size(rest: &str) -> Option<usize> {
    let mut words = rest.split_ascii_whitespace();
    words.find_map(|word| {
        let (name, size) = word.split_once('=')?;
        // A number that is longer than any size is too large.
        let is_size =
            name.eq_ignore_ascii_case("SIZE") && size.bytes().all(|one| one.is_ascii_digit());
        is_size.then(|| size.parse().unwrap_or(usize::MAX))
    })
}
