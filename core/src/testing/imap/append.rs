//! APPEND (RFC 9051 section 6.3.12, RFC 4315).

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;

use super::parse::{Arguments, Malformed, Value};
use super::{Answer, Answered};
use crate::testing::Server;
use crate::testing::connection::Connection;
use crate::testing::mail::{KEYWORDS_MAX, Message, flag, read_internal_date};

impl Connection {
    pub(super) fn append(
        &mut self,
        server: &mut Server,
        now_ms: u64,
        mut arguments: Arguments,
    ) -> Answered {
        let name = arguments.mailbox()?;
        let flags = match arguments.peek() {
            Some(Value::List(_)) => read_flags(arguments.list()?)?,
            Some(Value::Atom(_) | Value::Text(_)) | None => BTreeSet::new(),
        };
        let first = arguments.next()?;
        let (date, content) = match (first, arguments.is_empty()) {
            (content, true) => (None, content),
            (Value::Text(date), false) => {
                let date = read_internal_date(&String::from_utf8_lossy(&date)).ok_or(Malformed)?;
                (Some(date), arguments.next()?)
            }
            (Value::Atom(_) | Value::List(_), false) => return Err(Malformed),
        };
        arguments.end()?;
        let Value::Text(content) = content else { return Err(Malformed) };
        if content.len() > server.config.message_octets_max {
            return Ok(Answer::status("NO [TOOBIG] Message too large. (Failure)"));
        }
        if !server.has_room(content.len()) {
            return Ok(Answer::status("NO [OVERQUOTA] Quota exceeded. (Failure)"));
        }
        let date_ms = date.unwrap_or_else(|| server.date_of(now_ms, &content));
        let flavour = self.flavour(server);
        let Some(mailbox) = self.account(server).get_mut(&name) else {
            return Ok(Answer::try_create(flavour));
        };
        let uid = mailbox.uid_next;
        mailbox.keep(Message { flags, ..Message::new(&content, date_ms) });
        let status = format!("OK [APPENDUID {} {uid}] (Success)", mailbox.uid_validity);
        server.news = true;
        Ok(Answer::ok("").with(status))
    }
}

/// A list of flags; `\Recent` is the server's own.
pub(super) fn read_flags(mut list: Arguments) -> Result<BTreeSet<String>, Malformed> {
    let mut flags = BTreeSet::new();
    while !list.is_empty() {
        let text = list.text()?;
        if !text.eq_ignore_ascii_case("\\Recent") {
            flags.insert(flag(&text).ok_or(Malformed)?);
        }
    }
    if flags.len() > KEYWORDS_MAX { Err(Malformed) } else { Ok(flags) }
}
