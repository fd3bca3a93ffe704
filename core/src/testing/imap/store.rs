//! STORE, EXPUNGE, COPY and MOVE (RFC 9051 section 6.4, RFC 4315, RFC 6851).

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::append::read_flags;
use super::parse::{Arguments, Malformed, Set, ranges};
use super::{Answer, Answered};
use crate::testing::Server;
use crate::testing::connection::Connection;
use crate::testing::mail::{KEYWORDS_MAX, Message};

const READ_ONLY: &str = "NO [READ-ONLY] The mailbox is selected read-only. (Failure)";

impl Connection {
    pub(super) fn store(
        &mut self,
        server: &mut Server,
        mut arguments: Arguments,
        by_uid: bool,
    ) -> Answered {
        let set = Set::read(&arguments.text()?)?;
        let item = arguments.keyword()?;
        let (verb, is_silent) = match item.strip_suffix(".SILENT") {
            Some(verb) => (verb, true),
            None => (item.as_str(), false),
        };
        let given = match arguments.peek() {
            Some(super::parse::Value::List(_)) => read_flags(arguments.list()?)?,
            // RFC 9051 section 9, `store-att-flags`: flags may stand without parentheses.
            _ => read_flags(core::mem::take(&mut arguments))?,
        };
        arguments.end()?;
        if self.is_read_only() {
            return Ok(Answer::status(READ_ONLY));
        }
        let mut untagged = String::new();
        for (number, uid) in self.chosen(server, &set, by_uid) {
            let Some(mailbox) = self.mailbox(server) else { continue };
            let Some(message) = mailbox.messages.get(&uid) else { continue };
            let flags: BTreeSet<String> = match verb {
                "FLAGS" => given.clone(),
                "+FLAGS" => message.flags.union(&given).cloned().collect(),
                "-FLAGS" => message.flags.difference(&given).cloned().collect(),
                _ => return Err(Malformed),
            };
            if flags.len() > KEYWORDS_MAX {
                return Ok(Answer::ok(untagged).with("NO [LIMIT] Too many keywords. (Failure)"));
            }
            mailbox.set_flags(uid, flags);
            let Some(message) = mailbox.messages.get(&uid) else { continue };
            let (flags, changed) = (message.flag_list(), message.changed);
            if let Some(selected) = &mut self.selected {
                selected.knows(uid, changed);
            }
            if !is_silent {
                let uid = if by_uid { format!("UID {uid} ") } else { String::new() };
                untagged.push_str(&format!("* {number} FETCH ({uid}FLAGS ({flags}))\r\n"));
            }
        }
        server.news = true;
        Ok(Answer::ok(untagged))
    }

    pub(super) fn expunge(
        &mut self,
        server: &mut Server,
        mut arguments: Arguments,
        by_uid: bool,
    ) -> Answered {
        // RFC 4315 section 2.1: only these.
        let set = if by_uid { Some(Set::read(&arguments.text()?)?) } else { None };
        arguments.end()?;
        if self.is_read_only() {
            return Ok(Answer::status(READ_ONLY));
        }
        let chosen = match &set {
            Some(set) => self.chosen(server, set, true),
            None => self.chosen(server, &Set::read("1:*")?, true),
        };
        let Some(mailbox) = self.mailbox(server) else { return Err(Malformed) };
        let is_marked =
            |uid: &u32| mailbox.messages.get(uid).is_some_and(|one| one.has("\\Deleted"));
        let marked: Vec<u32> = chosen.into_iter().map(|(_, uid)| uid).filter(is_marked).collect();
        mailbox.remove(&marked);
        server.news = true;
        // That they are gone is said with the news.
        Ok(Answer::ok(""))
    }

    pub(super) fn copy(
        &mut self,
        server: &mut Server,
        mut arguments: Arguments,
        by_uid: bool,
        moves: bool,
    ) -> Answered {
        let set = Set::read(&arguments.text()?)?;
        let target = arguments.mailbox()?;
        arguments.end()?;
        if moves && self.is_read_only() {
            return Ok(Answer::status(READ_ONLY));
        }
        let chosen = self.chosen(server, &set, by_uid);
        let uids: Vec<u32> = chosen.into_iter().map(|(_, uid)| uid).collect();
        let flavour = self.flavour(server);
        if self.account(server).get(&target).is_none() {
            return Ok(Answer::try_create(flavour));
        }
        let Some(source) = self.mailbox(server) else { return Err(Malformed) };
        let messages: Vec<Message> =
            uids.iter().filter_map(|uid| source.messages.get(uid).cloned()).collect();
        let octets = messages.iter().map(Message::weight).sum();
        if !server.has_room(octets) {
            return Ok(Answer::status("NO [OVERQUOTA] Quota exceeded. (Failure)"));
        }
        let Some(mailbox) = self.account(server).get_mut(&target) else { return Err(Malformed) };
        let (validity, first) = (mailbox.uid_validity, mailbox.uid_next);
        messages.into_iter().for_each(|message| mailbox.keep(message));
        let copied: Vec<u32> = (first..mailbox.uid_next).collect();
        server.news = true;
        if uids.is_empty() {
            return Ok(Answer::ok(""));
        }
        let code = format!("[COPYUID {validity} {} {}]", ranges(&uids), ranges(&copied));
        if !moves {
            return Ok(Answer::ok("").with(format!("OK {code} (Success)")));
        }
        if let Some(source) = self.mailbox(server) {
            source.remove(&uids);
        }
        // RFC 6851 section 4.3: the code comes before the messages go.
        Ok(Answer::ok(format!("* OK {code}\r\n")))
    }

    fn is_read_only(&self) -> bool {
        self.selected.as_ref().is_some_and(|selected| selected.read_only)
    }
}
