//! SELECT, EXAMINE and CLOSE, and what a client knows of the mailbox that it has selected.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::parse::{Arguments, Set};
use super::{Answer, Answered};
use crate::testing::Server;
use crate::testing::connection::Connection;
use crate::testing::mail::{Account, Mailbox};

const FLAGS: &str = "\\Answered \\Flagged \\Draft \\Deleted \\Seen";

/// The mailbox that a client has selected.
#[derive(Debug, Clone)]
pub(in crate::testing) struct Selected {
    pub(super) name: String,
    uid_validity: u32,
    pub(super) read_only: bool,
    /// By sequence number: the UID of a message, and the change of it that the client knows of.
    view: Vec<(u32, u64)>,
}

impl Selected {
    fn new(name: &str, mailbox: &Mailbox, read_only: bool) -> Self {
        let view = mailbox.messages.iter().map(|(uid, message)| (*uid, message.changed)).collect();
        Self { name: name.into(), uid_validity: mailbox.uid_validity, read_only, view }
    }

    fn find<'a>(&self, account: &'a Account) -> Option<&'a Mailbox> {
        account.get(&self.name).filter(|mailbox| mailbox.uid_validity == self.uid_validity)
    }

    /// The client learns of a message's flags with this answer.
    pub(super) fn knows(&mut self, uid: u32, changed: u64) {
        if let Ok(at) = self.view.binary_search_by_key(&uid, |(uid, _)| *uid)
            && let Some(known) = self.view.get_mut(at)
        {
            known.1 = changed;
        }
    }

    /// Messages that are there, by sequence number and UID.
    pub(super) fn numbered(&self, mailbox: &Mailbox) -> Vec<(u32, u32)> {
        let numbered = (1..).zip(&self.view).map(|(number, (uid, _))| (number, *uid));
        numbered.filter(|(_, uid)| mailbox.messages.contains_key(uid)).collect()
    }

    /// EXPUNGE for what is gone, each with the number that it has then (RFC 9051 section 7.5.1).
    pub(super) fn gone(&mut self, mailbox: &Mailbox) -> String {
        let mut lines = String::new();
        let mut number = 1_u32;
        self.view.retain(|(uid, _)| {
            let is_there = mailbox.messages.contains_key(uid);
            if is_there {
                number = number.saturating_add(1);
            } else {
                lines.push_str(&format!("* {number} EXPUNGE\r\n"));
            }
            is_there
        });
        lines
    }

    /// EXISTS for what came, and FETCH for flags that others changed.
    fn news(&mut self, mailbox: &Mailbox) -> String {
        let mut lines = String::new();
        for (number, known) in (1_usize..).zip(&mut self.view) {
            if let Some(message) = mailbox.messages.get(&known.0)
                && message.changed > known.1
            {
                known.1 = message.changed;
                let flags = message.flag_list();
                lines.push_str(&format!("* {number} FETCH (UID {} FLAGS ({flags}))\r\n", known.0));
            }
        }
        let last = self.view.last().map_or(0, |(uid, _)| *uid);
        let new = mailbox.messages.range(last.saturating_add(1)..);
        let count = self.view.len();
        self.view.extend(new.map(|(uid, message)| (*uid, message.changed)));
        if self.view.len() > count {
            lines.push_str(&format!("* {} EXISTS\r\n", self.view.len()));
        }
        lines
    }
}

impl Connection {
    pub(super) fn select(
        &mut self,
        server: &mut Server,
        verb: &str,
        mut arguments: Arguments,
    ) -> Answered {
        let name = arguments.mailbox()?;
        arguments.end()?;
        // RFC 9051 section 6.3.2: also where it fails, no mailbox is selected any more.
        self.selected = None;
        let flavour = self.flavour(server);
        let Some(mailbox) = self.account(server).get(&name) else {
            return Ok(Answer::nonexistent(flavour));
        };
        let read_only = verb == "EXAMINE";
        let selected = Selected::new(&name, mailbox, read_only);
        let first_unseen = selected
            .numbered(mailbox)
            .into_iter()
            .find(|(_, uid)| mailbox.messages.get(uid).is_some_and(|one| !one.has("\\Seen")))
            .map(|(number, _)| format!("* OK [UNSEEN {number}] First unseen.\r\n"));
        let permanent =
            if read_only { "" } else { "\\Answered \\Flagged \\Draft \\Deleted \\Seen \\*" };
        let untagged = format!(
            "* FLAGS ({FLAGS})\r\n* OK [PERMANENTFLAGS ({permanent})] Flags permitted.\r\n\
             * OK [UIDVALIDITY {}] UIDs valid.\r\n* {} EXISTS\r\n* 0 RECENT\r\n{}\
             * OK [UIDNEXT {}] Predicted next UID.\r\n",
            mailbox.uid_validity,
            mailbox.messages.len(),
            first_unseen.unwrap_or_default(),
            mailbox.uid_next,
        );
        self.selected = Some(selected);
        let mode = if read_only { "READ-ONLY" } else { "READ-WRITE" };
        Ok(Answer::ok(untagged).with(format!("OK [{mode}] {name} selected. (Success)")))
    }

    /// RFC 9051 section 6.4.1: what is marked goes, and nothing is said of it.
    pub(super) fn close_mailbox(&mut self, server: &mut Server) {
        if let Some(selected) = self.selected.take().filter(|selected| !selected.read_only)
            && let Some(mailbox) = self.account(server).get_mut(&selected.name)
        {
            let marked = mailbox.messages.iter().filter(|(_, message)| message.has("\\Deleted"));
            let uids: Vec<u32> = marked.map(|(uid, _)| *uid).collect();
            mailbox.remove(&uids);
            server.news = true;
        }
    }

    /// The selected mailbox was deleted, or is another one of this name.
    pub(super) fn is_gone(&self, server: &mut Server) -> bool {
        let account = self.account(server);
        self.selected.as_ref().is_some_and(|selected| selected.find(account).is_none())
    }

    /// What has happened in the selected mailbox. Where numbers must not change, nothing of what is gone.
    pub(in crate::testing) fn imap_news(
        &mut self,
        server: &mut Server,
        with_gone: bool,
    ) -> Vec<u8> {
        let Some(mut selected) = self.selected.take() else { return Vec::new() };
        let mut lines = String::new();
        if let Some(mailbox) = selected.find(self.account(server)) {
            if with_gone {
                lines = selected.gone(mailbox);
            }
            lines.push_str(&selected.news(mailbox));
        }
        self.selected = Some(selected);
        lines.into_bytes()
    }

    /// What a set names, by sequence number and UID, in the selected mailbox.
    pub(super) fn chosen(&self, server: &mut Server, set: &Set, by_uid: bool) -> Vec<(u32, u32)> {
        let Some(selected) = &self.selected else { return Vec::new() };
        let Some(mailbox) = selected.find(self.account(server)) else { return Vec::new() };
        let numbered = selected.numbered(mailbox);
        let last = last_number(&numbered, by_uid);
        let is_in =
            |(number, uid): &(u32, u32)| set.contains(if by_uid { *uid } else { *number }, last);
        numbered.into_iter().filter(is_in).collect()
    }

    /// The selected mailbox.
    pub(super) fn mailbox<'a>(&self, server: &'a mut Server) -> Option<&'a mut Mailbox> {
        let name = self.selected.as_ref().map(|selected| selected.name.clone())?;
        self.account(server).get_mut(&name)
    }
}

/// What `*` stands for.
pub(super) fn last_number(numbered: &[(u32, u32)], by_uid: bool) -> u32 {
    numbered.last().map_or(0, |(number, uid)| if by_uid { *uid } else { *number })
}
