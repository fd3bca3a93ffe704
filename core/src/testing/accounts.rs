//! The accounts of a server, as a test sees and fills them. Names of mailboxes are Unicode here.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use super::Server;
use super::mail::{Account, Message, field, flag, from_wire, read_header_date, to_wire};

/// Octets that clients may put into all mailboxes together, over SMTP, APPEND and COPY: more than any test needs.
const STORED_OCTETS_MAX: usize = 256 << 20;
/// The date of a message that has none, where nobody says what day it is: 24 November 2026.
const SOME_DATE_MS: i64 = 1_795_514_400_000;

/// How a message is put into a mailbox. The default is INBOX, without flags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The mailbox, in place of INBOX; it is made where it is missing.
    pub mailbox: Option<String>,
    /// Flags and keywords: `\Seen`, `$Forwarded`. What is no flag is left out.
    pub flags: Vec<String>,
    /// When it came, in milliseconds since 1970: its INTERNALDATE.
    pub date_ms: Option<i64>,
}

/// A message in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its UID.
    pub uid: u32,
    /// Its flags and keywords.
    pub flags: Vec<String>,
    /// When it came, in milliseconds since 1970.
    pub date_ms: i64,
    /// Its octets.
    pub content: Vec<u8>,
}

/// A mailbox that is not there, or that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoMailbox {
    /// Whose it would be.
    pub user: String,
    /// Its name.
    pub mailbox: String,
}

impl fmt::Display for NoMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has no mailbox {}", self.user, self.mailbox)
    }
}

impl core::error::Error for NoMailbox {}

impl Server {
    /// Makes an account, where there is none: an INBOX with messages, and the mailboxes of the flavour.
    pub fn add_user(&mut self, user: &str) {
        self.account(user);
    }

    /// The users that have an account.
    #[must_use]
    pub fn users(&self) -> Vec<String> {
        self.accounts.keys().cloned().collect()
    }

    /// The names of a user's mailboxes; those that cannot be selected are none.
    #[must_use]
    pub fn mailboxes(&self, user: &str) -> Vec<String> {
        let all = self.accounts.get(user).into_iter().flat_map(Account::all);
        let selectable = all.filter(|(_, mailbox)| mailbox.attribute != "\\Noselect");
        selectable.map(|(name, _)| from_wire(name)).collect()
    }

    /// Makes a mailbox; where it is there, nothing happens.
    pub fn create_mailbox(&mut self, user: &str, name: &str) {
        let name = to_wire(name);
        let account = self.account(user);
        if account.create(&name).is_some() {
            account.subscribed.insert(name);
        }
        self.news = true;
    }

    /// Removes a mailbox with its messages.
    ///
    /// # Errors
    /// Where it is not there, or is INBOX.
    pub fn delete_mailbox(&mut self, user: &str, name: &str) -> Result<(), NoMailbox> {
        let wire = to_wire(name);
        let missing = || NoMailbox { user: user.to_string(), mailbox: name.to_string() };
        let account =
            self.accounts.get_mut(user).filter(|_| wire != "INBOX").ok_or_else(missing)?;
        account.delete(&wire).ok_or_else(missing)?;
        self.news = true;
        Ok(())
    }

    /// Puts a message into a user's INBOX. Clients in IDLE are told at the next [`tick`](Self::tick), which is due at once.
    pub fn deliver(&mut self, user: &str, message: &[u8]) {
        self.deliver_to(user, &Delivery::default(), message);
    }

    /// Puts a message into a mailbox, with flags and a date. A line end of LF alone becomes CRLF, as every message has it.
    pub fn deliver_to(&mut self, user: &str, delivery: &Delivery, message: &[u8]) {
        let name = delivery.mailbox.as_deref().map_or_else(|| "INBOX".to_string(), to_wire);
        let message = &with_crlf(message)[..];
        let date_ms = delivery.date_ms.unwrap_or_else(|| date_in(message));
        let flags = delivery.flags.iter().filter_map(|text| flag(text)).collect();
        let account = self.account(user);
        if account.create(&name).is_some() {
            account.subscribed.insert(name.clone());
        }
        if let Some(mailbox) = account.get_mut(&name) {
            mailbox.keep(Message { flags, ..Message::new(message, date_ms) });
        }
        self.news = true;
    }

    /// The messages in a user's INBOX.
    #[must_use]
    pub fn messages(&self, user: &str) -> Vec<Vec<u8>> {
        self.messages_in(user, "INBOX").into_iter().map(|message| message.content).collect()
    }

    /// The messages in a mailbox, by their UIDs; none where it is not there.
    #[must_use]
    pub fn messages_in(&self, user: &str, mailbox: &str) -> Vec<StoredMessage> {
        let name = to_wire(mailbox);
        let messages = self.accounts.get(user).into_iter().flat_map(|one| one.messages(&name));
        let stored = messages.map(|(uid, message)| StoredMessage {
            uid: *uid,
            flags: message.flags.iter().cloned().collect(),
            date_ms: message.date_ms,
            content: message.content.to_vec(),
        });
        stored.collect()
    }

    // ---- For the connections -------------------------------------------------------------------------------------

    pub(super) fn account(&mut self, user: &str) -> &mut Account {
        let (count, special) = (self.config.messages, self.config.flavour.mailboxes());
        let uid_validity = self.uid_validity;
        self.accounts.entry(user.to_string()).or_insert_with(|| {
            let mut account = Account::new(special, uid_validity);
            if let Some(inbox) = account.get_mut("INBOX") {
                (1..=count)
                    .for_each(|number| inbox.deliver(&first_message(user, number), SOME_DATE_MS));
            }
            account
        })
    }

    /// A message that came over SMTP: who has an account gets it.
    pub(super) fn take_in(&mut self, now_ms: u64, recipient: &str, content: &[u8]) {
        let date_ms = self.date_of(now_ms, content);
        let known = self.accounts.iter_mut().find(|(user, _)| user.eq_ignore_ascii_case(recipient));
        if let Some(inbox) = known.and_then(|(_, account)| account.get_mut("INBOX")) {
            inbox.deliver(content, date_ms);
            self.news = true;
        }
    }

    /// A message that was submitted: where the flavour keeps what is sent, a copy, read already.
    pub(super) fn file_sent(&mut self, now_ms: u64, user: &str, content: &[u8]) {
        let date_ms = self.date_of(now_ms, content);
        let sent = self.config.flavour.sent_copies();
        let account = self.accounts.get_mut(user);
        if let Some(mailbox) = sent.and_then(|name| account?.get_mut(name)) {
            let flags = flag("\\Seen").into_iter().collect();
            mailbox.keep(Message { flags, ..Message::new(content, date_ms) });
            self.news = true;
        }
    }

    /// The date of a message that comes now.
    pub(super) fn date_of(&self, now_ms: u64, content: &[u8]) -> i64 {
        let arrival = self.config.unix_epoch_ms.map(|epoch_ms| epoch_ms.saturating_add(now_ms));
        arrival.and_then(|at_ms| i64::try_from(at_ms).ok()).unwrap_or_else(|| date_in(content))
    }

    pub(super) fn has_room(&self, octets: usize) -> bool {
        let stored: usize = self.accounts.values().map(Account::weight).sum();
        let submitted: usize = self.submitted.iter().map(|one| one.content.len()).sum();
        stored.saturating_add(submitted).saturating_add(octets) <= STORED_OCTETS_MAX
    }
}

fn date_in(content: &[u8]) -> i64 {
    let date = field(content, "Date");
    date.and_then(|value| read_header_date(&String::from_utf8_lossy(&value)))
        .unwrap_or(SOME_DATE_MS)
}

/// What a new INBOX holds: with lines that end a session elsewhere.
fn first_message(user: &str, number: usize) -> Vec<u8> {
    let message = format!(
        "From: sender{number}@example.org\r\nTo: {user}\r\nSubject: Message {number}\r\n\
         Date: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{number}@example.org>\r\n\r\n\
         This is message {number}.\r\n* BYE this is not an ending\r\n.\r\n-ERR nor this\r\n"
    );
    message.into_bytes()
}

/// RFC 5322 section 2.1: lines end in CRLF. What a test writes in its source ends them in LF.
fn with_crlf(message: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(message.len());
    for &octet in message {
        if octet == b'\n' && whole.last() != Some(&b'\r') {
            whole.push(b'\r');
        }
        whole.push(octet);
    }
    whole
}
