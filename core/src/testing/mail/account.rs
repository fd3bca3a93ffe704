//! The mailboxes of a user. Names are kept as IMAP writes them (RFC 3501 section 5.1.3).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Mailbox, Message};

/// Mailboxes that one account may have: more than a test needs.
pub(in crate::testing) const MAILBOXES_MAX: usize = 1_000;

/// The least UIDVALIDITY.
const UID_VALIDITY: u32 = 1_700_000_000;

/// UIDVALIDITY of a user's first mailbox: another one at each server, so that what was kept of one is not taken for another's. Each
/// mailbox that is made later has a greater one.
#[allow(clippy::cast_possible_truncation, reason = "below a million")]
pub(in crate::testing) const fn uid_validity(seed: u64) -> u32 {
    UID_VALIDITY.saturating_add((seed % 1_000_000) as u32 * MAILBOXES_MAX as u32)
}

/// What a user has.
#[derive(Debug, Clone)]
pub(in crate::testing) struct Account {
    mailboxes: BTreeMap<String, Mailbox>,
    pub(in crate::testing) subscribed: BTreeSet<String>,
    uid_validity: u32,
}

impl Account {
    /// An account with an INBOX, and with the mailboxes of a flavour: their names and special uses (RFC 6154).
    pub(in crate::testing) fn new(special: &[(&str, &'static str)], uid_validity: u32) -> Self {
        let mut account =
            Self { mailboxes: BTreeMap::new(), subscribed: BTreeSet::new(), uid_validity };
        for (name, attribute) in [("INBOX", "")].iter().chain(special) {
            account.add(name, attribute);
            account.subscribed.insert((*name).to_string());
        }
        account
    }

    fn add(&mut self, name: &str, attribute: &'static str) {
        self.mailboxes.insert(name.to_string(), Mailbox::new(self.uid_validity, attribute));
        self.uid_validity = self.uid_validity.saturating_add(1);
    }

    /// Makes a mailbox, and those above it that are missing; `None` where it is there.
    pub(in crate::testing) fn create(&mut self, name: &str) -> Option<()> {
        if self.get(name).is_some() {
            return None;
        }
        for (at, _) in name.match_indices('/') {
            let above = name.get(..at).unwrap_or_default();
            if !self.mailboxes.contains_key(above) {
                self.add(above, "");
            }
        }
        self.add(name, "");
        Some(())
    }

    /// RFC 9051 section 6.3.5: one with others below it stays as a name.
    pub(in crate::testing) fn delete(&mut self, name: &str) -> Option<()> {
        self.get(name)?;
        if self.has_children(name) {
            self.add(name, "\\Noselect");
        } else {
            self.mailboxes.remove(name);
        }
        Some(())
    }

    /// RFC 9051 section 6.3.6: those below it go with it, and INBOX stays, without its messages.
    pub(in crate::testing) fn rename(&mut self, from: &str, to: &str) -> Option<()> {
        self.mailboxes.get(from)?;
        self.create(to)?;
        if from == "INBOX" {
            let messages = self.get_mut(from)?.take_all();
            let target = self.get_mut(to)?;
            messages.into_iter().for_each(|message| target.keep(message));
            return Some(());
        }
        let below = format!("{from}/");
        let names: Vec<String> = self
            .mailboxes
            .keys()
            .filter(|name| *name == from || name.starts_with(&below))
            .cloned()
            .collect();
        for name in names {
            let rest = name.get(from.len()..).unwrap_or_default();
            let moved = self.mailboxes.remove(&name)?;
            self.mailboxes.insert(format!("{to}{rest}"), moved);
        }
        Some(())
    }

    /// A mailbox that can be selected.
    pub(in crate::testing) fn get(&self, name: &str) -> Option<&Mailbox> {
        self.mailboxes.get(name).filter(|mailbox| mailbox.is_selectable())
    }

    pub(in crate::testing) fn get_mut(&mut self, name: &str) -> Option<&mut Mailbox> {
        self.mailboxes.get_mut(name).filter(|mailbox| mailbox.is_selectable())
    }

    /// All of them, by name; also names that cannot be selected.
    pub(in crate::testing) fn all(&self) -> impl Iterator<Item = (&String, &Mailbox)> {
        self.mailboxes.iter()
    }

    pub(in crate::testing) fn len(&self) -> usize {
        self.mailboxes.len()
    }

    pub(in crate::testing) fn has_children(&self, name: &str) -> bool {
        let below = format!("{name}/");
        self.mailboxes.range(below.clone()..).next().is_some_and(|(one, _)| one.starts_with(&below))
    }

    /// Memory that all its mailboxes take.
    pub(in crate::testing) fn weight(&self) -> usize {
        self.mailboxes.values().map(Mailbox::weight).sum()
    }

    pub(in crate::testing) fn messages(
        &self,
        name: &str,
    ) -> impl Iterator<Item = (&u32, &Message)> {
        self.mailboxes.get(name).into_iter().flat_map(|mailbox| mailbox.messages.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(account: &Account) -> Vec<&str> {
        account.all().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn a_mailbox_is_made_with_those_above_it_and_goes_alone() {
        let mut account = Account::new(&[], UID_VALIDITY);
        account.create("a/b/c").unwrap();
        assert_eq!(names(&account), ["INBOX", "a", "a/b", "a/b/c"]);
        assert_eq!(account.create("a/b"), None);
        account.delete("a/b").unwrap();
        assert_eq!((account.get("a/b").is_none(), account.len()), (true, 4));
        account.delete("a/b/c").unwrap();
        assert_eq!(account.delete("nowhere"), None);
    }

    #[test]
    fn a_rename_takes_along_what_is_below_it() {
        let mut account = Account::new(&[], UID_VALIDITY);
        account.create("a/b").unwrap();
        account.create("ab").unwrap();
        account.rename("a", "c").unwrap();
        assert_eq!(names(&account), ["INBOX", "ab", "c", "c/b"]);
        account.get_mut("INBOX").unwrap().deliver(b"x", 0);
        account.rename("INBOX", "old").unwrap();
        assert_eq!((account.messages("old").count(), account.messages("INBOX").count()), (1, 0));
        assert_eq!(account.rename("nowhere", "d"), None);
    }

    #[test]
    fn what_is_made_anew_has_another_uid_validity() {
        let mut account = Account::new(&[], UID_VALIDITY);
        account.create("a").unwrap();
        let before = account.get("a").unwrap().uid_validity;
        account.delete("a").unwrap();
        account.create("a").unwrap();
        assert!(account.get("a").unwrap().uid_validity > before);
    }

    #[test]
    fn each_server_has_a_uid_validity_of_its_own() {
        assert_eq!(uid_validity(0), UID_VALIDITY);
        assert_eq!(uid_validity(7), uid_validity(7));
        assert!(uid_validity(1) > uid_validity(0).saturating_add(999));
        assert!(uid_validity(u64::MAX) > UID_VALIDITY && uid_validity(999_999) < u32::MAX);
    }
}
