//! A mailbox, and its messages by their UIDs.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Keywords that a message may have.
pub(in crate::testing) const KEYWORDS_MAX: usize = 50;

/// What a message takes beside its octets.
const MESSAGE_WEIGHT: usize = 1_024;

/// The system flags (RFC 9051 section 2.3.2), as they are written.
const SYSTEM_FLAGS: [&str; 5] = ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"];

/// A message, with what IMAP and POP3 need to know of it. A copy shares the octets.
#[derive(Debug, Clone)]
pub(in crate::testing) struct Message {
    pub(in crate::testing) content: Arc<[u8]>,
    pub(in crate::testing) flags: BTreeSet<String>,
    pub(in crate::testing) date_ms: i64,
    /// The mailbox' count of changes when this one last changed.
    pub(in crate::testing) changed: u64,
}

impl Message {
    pub(in crate::testing) fn new(content: &[u8], date_ms: i64) -> Self {
        Self { content: content.into(), flags: BTreeSet::new(), date_ms, changed: 0 }
    }

    /// Memory that it takes.
    pub(in crate::testing) fn weight(&self) -> usize {
        self.content.len().saturating_add(MESSAGE_WEIGHT)
    }

    pub(in crate::testing) fn has(&self, flag: &str) -> bool {
        self.flags.contains(flag)
    }

    pub(in crate::testing) fn flag_list(&self) -> String {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        flags.join(" ")
    }
}

/// A flag as it is kept: system flags are the same in every spelling. `None` for what is no flag.
pub(in crate::testing) fn flag(text: &str) -> Option<String> {
    if text.starts_with('\\') {
        let known = SYSTEM_FLAGS.iter().find(|flag| flag.eq_ignore_ascii_case(text));
        return known.map(ToString::to_string);
    }
    let is_atom = |one: char| one.is_ascii_graphic() && !"(){%*\"\\]".contains(one);
    (!text.is_empty() && text.len() <= 100 && text.chars().all(is_atom)).then(|| text.to_string())
}

/// A mailbox.
#[derive(Debug, Clone)]
pub(in crate::testing) struct Mailbox {
    pub(in crate::testing) messages: BTreeMap<u32, Message>,
    pub(in crate::testing) uid_next: u32,
    pub(in crate::testing) uid_validity: u32,
    /// `\Sent` and the like, `\Noselect`, or nothing.
    pub(in crate::testing) attribute: &'static str,
    changes: u64,
}

impl Mailbox {
    pub(super) fn new(uid_validity: u32, attribute: &'static str) -> Self {
        Self { messages: BTreeMap::new(), uid_next: 1, uid_validity, attribute, changes: 0 }
    }

    pub(super) fn is_selectable(&self) -> bool {
        self.attribute != "\\Noselect"
    }

    pub(in crate::testing) fn deliver(&mut self, content: &[u8], date_ms: i64) {
        self.keep(Message::new(content, date_ms));
    }

    /// Takes a message in, under a new UID.
    pub(in crate::testing) fn keep(&mut self, message: Message) {
        let changed = self.change();
        self.messages.insert(self.uid_next, Message { changed, ..message });
        self.uid_next = self.uid_next.saturating_add(1);
    }

    /// Changes the flags of a message.
    pub(in crate::testing) fn set_flags(&mut self, uid: u32, flags: BTreeSet<String>) {
        let changed = self.changes.saturating_add(1);
        if let Some(message) = self.messages.get_mut(&uid)
            && message.flags != flags
        {
            message.flags = flags;
            message.changed = changed;
            self.changes = changed;
        }
    }

    fn change(&mut self) -> u64 {
        self.changes = self.changes.saturating_add(1);
        self.changes
    }

    /// Removes the messages with these UIDs.
    pub(in crate::testing) fn remove(&mut self, uids: &[u32]) {
        for uid in uids {
            self.messages.remove(uid);
        }
    }

    pub(super) fn take_all(&mut self) -> Vec<Message> {
        core::mem::take(&mut self.messages).into_values().collect()
    }

    pub(in crate::testing) fn octets(&self) -> usize {
        self.messages.values().map(|message| message.content.len()).sum()
    }

    /// Memory that it takes.
    pub(super) fn weight(&self) -> usize {
        self.messages.values().map(Message::weight).sum()
    }

    /// How many messages have a flag.
    pub(in crate::testing) fn count(&self, flag: &str) -> usize {
        self.messages.values().filter(|message| message.has(flag)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_what_imap_allows() {
        assert_eq!(flag("\\SEEN").as_deref(), Some("\\Seen"));
        assert_eq!(flag("$Forwarded").as_deref(), Some("$Forwarded"));
        for text in ["", "\\Recent", "\\Foo", "a b", "a(", "\u{e9}"] {
            assert_eq!(flag(text), None, "{text}");
        }
    }

    #[test]
    fn only_what_changes_a_message_counts_as_a_change() {
        let mut mailbox = Mailbox::new(1, "");
        mailbox.deliver(b"x", 0);
        let seen: BTreeSet<String> = [String::from("\\Seen")].into();
        mailbox.set_flags(1, seen.clone());
        let changed = mailbox.messages[&1].changed;
        mailbox.set_flags(1, seen);
        mailbox.set_flags(2, BTreeSet::new());
        assert_eq!((changed, mailbox.messages[&1].changed), (2, 2));
    }
}
