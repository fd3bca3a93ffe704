//! An INBOX.

use alloc::format;
use alloc::vec::Vec;

/// A message, with what IMAP and POP3 need to know of it.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) uid: u32,
    pub(super) content: Vec<u8>,
    pub(super) seen: bool,
    pub(super) deleted: bool,
}

/// The INBOX of a user.
#[derive(Debug, Clone)]
pub(super) struct Mailbox {
    pub(super) messages: Vec<Message>,
    pub(super) uid_next: u32,
}

/// It never changes: mailboxes live as long as the server.
pub(super) const UID_VALIDITY: u32 = 1_700_000_000;

impl Mailbox {
    pub(super) fn new(user: &str, count: usize) -> Self {
        let mut mailbox = Self { messages: Vec::new(), uid_next: 1 };
        for number in 1..=count {
            let message = format!(
                "From: sender{number}@example.org\r\nTo: {user}\r\nSubject: Message {number}\r\n\
                 Date: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{number}@example.org>\r\n\r\n\
                 This is message {number}.\r\n* BYE this is not an ending\r\n.\r\n-ERR nor this\r\n"
            );
            mailbox.deliver(message.as_bytes());
        }
        mailbox
    }

    pub(super) fn deliver(&mut self, content: &[u8]) {
        let uid = self.uid_next;
        self.uid_next = self.uid_next.saturating_add(1);
        self.messages.push(Message { uid, content: content.to_vec(), seen: false, deleted: false });
    }

    pub(super) fn contents(&self) -> Vec<Vec<u8>> {
        self.messages.iter().map(|message| message.content.clone()).collect()
    }

    /// Removes the messages with these UIDs.
    pub(super) fn remove(&mut self, uids: &[u32]) {
        self.messages.retain(|message| !uids.contains(&message.uid));
    }
}

impl Message {
    /// Everything up to and with the empty line, and what is behind it.
    pub(super) fn split(&self) -> (&[u8], &[u8]) {
        let end = memchr::memmem::find(&self.content, b"\r\n\r\n")
            .map_or(self.content.len(), |at| at.saturating_add(4));
        self.content.split_at(end)
    }

    /// The value of a header field.
    pub(super) fn field(&self, name: &str) -> Option<&[u8]> {
        let (header, _) = self.split();
        header.split(|octet| *octet == b'\n').find_map(|line| {
            let (field, value) = line.split_at_checked(name.len())?;
            let value =
                value.strip_prefix(b":").filter(|_| field.eq_ignore_ascii_case(name.as_bytes()))?;
            Some(value.trim_ascii())
        })
    }
}
