//! SMTP submission (RFC 5321, RFC 4954, RFC 6409).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::connection::{Connection, Exchange, say};
use super::{Output, Server, Stage, Submitted, Then};

impl Connection {
    pub(super) fn smtp(&mut self, server: &mut Server, now_ms: u64, line: &str) -> Output {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        let name = name.trim().to_ascii_uppercase();
        server.note(now_ms, self, &name);
        match (name.as_str(), self.user().map(ToString::to_string)) {
            ("EHLO", _) => {
                self.envelope = None;
                let list = self.smtp_capabilities(server);
                self.or_fault(server, Stage::Capabilities, say(&list))
            }
            ("HELO", _) => say("250 localhost"),
            ("NOOP" | "VRFY", _) => say("250 2.0.0 OK"),
            ("RSET", _) => {
                self.envelope = None;
                say("250 2.0.0 OK")
            }
            ("QUIT", _) => Output { next: Then::Close, ..say("221 2.0.0 closing connection") },
            ("STARTTLS", None) if !self.is_secure() => {
                self.upgrade(server, "220 2.0.0 Ready to start TLS")
            }
            ("AUTH", Some(_)) => say("503 5.7.0 No identity changes permitted."),
            ("AUTH", None) => {
                let mut words = rest.split_ascii_whitespace();
                let mechanism = words.next().unwrap_or_default();
                let begun = self.begin_login(server, now_ms, "", mechanism, words.next());
                begun.unwrap_or_else(|| say("504 5.7.4 Unrecognized Authentication Type."))
            }
            ("MAIL" | "RCPT" | "DATA", None) => say("530 5.7.0 Authentication Required."),
            (name, Some(_)) => self.transaction(name, rest),
            (_, None) => say("502 5.5.1 Unrecognized command."),
        }
    }

    fn smtp_capabilities(&self, server: &Server) -> String {
        let login = if self.is_secure() {
            format!("250-AUTH {}", server.config.flavour.sasl_list())
        } else {
            "250-STARTTLS".to_string()
        };
        format!(
            "250-localhost at your service\r\n250-SIZE 35882577\r\n250-8BITMIME\r\n{login}\r\n\
             250-ENHANCEDSTATUSCODES\r\n250-PIPELINING\r\n250 SMTPUTF8"
        )
    }

    fn transaction(&mut self, name: &str, rest: &str) -> Output {
        match (name, &mut self.envelope) {
            ("MAIL", None) => {
                self.envelope = Some((address(rest), Vec::new()));
                say("250 2.1.0 OK")
            }
            ("RCPT", Some((_, recipients))) => {
                recipients.push(address(rest));
                say("250 2.1.5 OK")
            }
            ("DATA", Some((_, recipients))) if !recipients.is_empty() => {
                self.text.clear();
                self.expect(Exchange::Text);
                say("354 Go ahead")
            }
            ("MAIL" | "RCPT" | "DATA", _) => say("503 5.5.1 Bad sequence of commands."),
            (_, _) => say("502 5.5.1 Unrecognized command."),
        }
    }

    pub(super) fn text_line(&mut self, server: &mut Server, line: &[u8]) -> Output {
        if line != b"." {
            self.text.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
            self.text.extend_from_slice(b"\r\n");
            self.expect(Exchange::Text);
            return Output { send: Vec::new(), next: Then::Read };
        }
        let (sender, recipients) = self.envelope.take().unwrap_or_default();
        let content = core::mem::take(&mut self.text);
        let user = self.user().unwrap_or_default().to_string();
        for recipient in &recipients {
            if server.mailboxes.contains_key(recipient) {
                server.deliver(recipient, &content);
            }
        }
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
