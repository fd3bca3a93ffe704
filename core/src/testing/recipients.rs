//! Recipients that are refused, and messages that are too large, in the words of each flavour.

use alloc::string::{String, ToString};

use super::{Flavour, Server};
use crate::failure::spelled_enum;

spelled_enum! {
    /// Why a recipient is refused.
    RecipientRefusal {
        /// There is no such mailbox: for good (550).
        Unknown = "unknown",
        /// Its mailbox is full: for now (452).
        Full = "full",
        /// The server does not take mail for it from this user: for good (550, 554).
        Denied = "denied",
        /// It gets too much at once: for now (450, 451).
        RateLimited = "rate_limited",
    }
}

/// Pairs of a user and a recipient whose first try is remembered.
const GREYLISTED_MAX: usize = 10_000;

impl Server {
    /// Refuses a recipient; `None` ends that.
    pub fn refuse_recipient(&mut self, address: &str, why: Option<RecipientRefusal>) {
        let address = address.to_lowercase();
        match why {
            Some(why) => drop(self.recipients.insert(address, why)),
            None => drop(self.recipients.remove(&address)),
        }
    }

    /// What RCPT is refused with.
    pub(super) fn refuses(&mut self, now_ms: u64, user: &str, recipient: &str) -> Option<String> {
        let flavour = self.config.flavour;
        let address = recipient.to_lowercase();
        if let Some(why) = self.recipients.get(&address) {
            return Some(refused(flavour, *why).replace('%', recipient));
        }
        let wait_ms = self.config.greylist_ms?;
        let pair = (user.to_string(), address);
        if !self.greylisted.contains_key(&pair) && self.greylisted.len() >= GREYLISTED_MAX {
            self.greylisted.clear();
        }
        let first_ms = *self.greylisted.entry(pair).or_insert(now_ms);
        let is_early = now_ms < first_ms.saturating_add(wait_ms);
        is_early.then(|| greylisted(flavour).replace('%', recipient))
    }
}

fn refused(flavour: Flavour, why: RecipientRefusal) -> &'static str {
    match (why, flavour) {
        (RecipientRefusal::Unknown, Flavour::Gmail) => {
            "550-5.1.1 The email account that you tried to reach does not exist. Please try\r\n\
             550-5.1.1 double-checking the recipient's email address for typos or\r\n\
             550-5.1.1 unnecessary spaces. Learn more at\r\n\
             550 5.1.1  https://support.google.com/mail/?p=NoSuchUser - gsmtp"
        }
        (RecipientRefusal::Unknown, Flavour::Outlook) => {
            "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"
        }
        (RecipientRefusal::Unknown, Flavour::Dovecot) => {
            "550 5.1.1 <%>: Recipient address rejected: User unknown in virtual mailbox table"
        }
        (RecipientRefusal::Full, Flavour::Gmail) => {
            "452-4.2.2 The recipient's inbox is out of storage space. Please direct the\r\n\
             452-4.2.2 recipient to\r\n\
             452 4.2.2  https://support.google.com/mail/?p=OverQuotaTemp - gsmtp"
        }
        (RecipientRefusal::Full, Flavour::Outlook) => "452 4.2.2 mailbox full",
        (RecipientRefusal::Full, Flavour::Dovecot) => {
            "452 4.2.2 <%> Quota exceeded (mailbox for user is full)"
        }
        (RecipientRefusal::Denied, Flavour::Gmail) => {
            "550 5.7.1 Relaying denied: https://support.google.com/a/answer/3726730 - gsmtp"
        }
        (RecipientRefusal::Denied, Flavour::Outlook) => {
            "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain"
        }
        (RecipientRefusal::Denied, Flavour::Dovecot) => "554 5.7.1 <%>: Relay access denied",
        (RecipientRefusal::RateLimited, Flavour::Gmail) => {
            "450-4.2.1 The user you are trying to contact is receiving mail at a rate that\r\n\
             450-4.2.1 prevents additional messages from being delivered. For more\r\n\
             450-4.2.1 information, go to\r\n\
             450 4.2.1  https://support.google.com/mail/?p=ReceivingRate - gsmtp"
        }
        (RecipientRefusal::RateLimited, Flavour::Outlook) => {
            "451 4.7.500 Server busy. Please try again later"
        }
        (RecipientRefusal::RateLimited, Flavour::Dovecot) => {
            "450 4.7.1 <%>: Recipient address rejected: too many messages, try again later"
        }
    }
}

/// Only Postfix with Postgrey, in front of Dovecot, says what it is.
fn greylisted(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::Gmail => "451 4.7.1 Try again later: greylisted - gsmtp",
        Flavour::Outlook => "451 4.7.1 Greylisted, please try again later",
        Flavour::Dovecot => {
            "450 4.2.0 <%>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/localhost.html"
        }
    }
}

/// RFC 1870 section 6.2.
pub(super) fn too_large(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::Gmail => {
            "552-5.3.4 Your message exceeded Google's message size limits. To view our\r\n\
             552-5.3.4 message size guidelines, go to\r\n\
             552 5.3.4  https://support.google.com/mail/?p=MaxSizeError - gsmtp"
        }
        Flavour::Outlook => "552 5.3.4 Message size exceeds fixed maximum message size",
        Flavour::Dovecot => "552 5.3.4 Message size exceeds fixed limit",
    }
}
