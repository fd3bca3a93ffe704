//! LIST, LSUB, XLIST and STATUS (RFC 9051 section 6.3, RFC 5258, RFC 5819, RFC 6154).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::parse::{Arguments, Malformed, Value};
use super::{Answer, Answered, string};
use crate::testing::connection::Connection;
use crate::testing::mail::{Account, Mailbox};
use crate::testing::{Flavour, Server};

/// Octets of a pattern, so that no pattern costs much.
const PATTERN_OCTETS_MAX: usize = 256;
/// Patterns of one command.
const PATTERNS_MAX: usize = 20;

/// What a LIST asks for.
#[derive(Default)]
struct Wanted {
    patterns: Vec<String>,
    subscribed_only: bool,
    special_only: bool,
    returns: BTreeSet<String>,
    status: Option<Vec<String>>,
}

impl Wanted {
    fn read(mut arguments: Arguments) -> Result<Self, Malformed> {
        let mut wanted = Self::default();
        if matches!(arguments.peek(), Some(Value::List(_))) {
            let options = arguments.list()?.keywords()?;
            wanted.subscribed_only = options.iter().any(|option| option == "SUBSCRIBED");
            wanted.special_only = options.iter().any(|option| option == "SPECIAL-USE");
            wanted.returns.extend(options);
        }
        let reference = arguments.text()?;
        let mut patterns = arguments.list_or_one()?;
        while !patterns.is_empty() {
            wanted.patterns.push(format!("{reference}{}", patterns.text()?));
        }
        if arguments.takes("RETURN") {
            wanted.options(arguments.list()?)?;
        }
        arguments.end()?;
        let is_long = |pattern: &String| pattern.len() > PATTERN_OCTETS_MAX;
        match wanted.patterns.len() > PATTERNS_MAX || wanted.patterns.iter().any(is_long) {
            true => Err(Malformed),
            false => Ok(wanted),
        }
    }

    fn options(&mut self, mut options: Arguments) -> Result<(), Malformed> {
        while !options.is_empty() {
            match options.keyword()?.as_str() {
                "STATUS" => self.status = Some(options.list()?.keywords()?),
                option => drop(self.returns.insert(option.to_string())),
            }
        }
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        self.patterns.iter().any(|pattern| matches(pattern.as_bytes(), name.as_bytes()))
    }
}

impl Connection {
    pub(super) fn list(
        &mut self,
        server: &mut Server,
        verb: &str,
        arguments: Arguments,
    ) -> Answered {
        let wanted = Wanted::read(arguments)?;
        // RFC 9051 section 6.3.9: an empty name asks for the delimiter.
        if wanted.patterns.iter().all(String::is_empty) {
            return Ok(Answer::ok(format!("* {verb} (\\Noselect) \"/\" \"\"\r\n")));
        }
        let account = self.account(server);
        let mut untagged = Vec::new();
        for (name, mailbox) in candidates(account, &wanted, verb) {
            let attributes = attributes(account, name, mailbox, &wanted, verb).join(" ");
            untagged.extend(format!("* {verb} ({attributes}) \"/\" ").into_bytes());
            untagged.extend(string(name.as_bytes()));
            untagged.extend(b"\r\n");
            if let Some(items) = &wanted.status
                && let Some(mailbox) = mailbox.filter(|mailbox| mailbox.attribute != "\\Noselect")
            {
                untagged.extend(status_line(name, mailbox, items)?);
            }
        }
        Ok(Answer::ok(untagged))
    }

    pub(super) fn status(&mut self, server: &mut Server, name: &str, items: Arguments) -> Answered {
        let items = items.keywords()?;
        match self.account(server).get(name) {
            Some(mailbox) => Ok(Answer::ok(status_line(name, mailbox, &items)?)),
            None => Ok(Answer::nonexistent(server.config.flavour)),
        }
    }

    pub(super) fn account<'a>(&self, server: &'a mut Server) -> &'a mut Account {
        let user = self.user().unwrap_or_default().to_string();
        server.account(&user)
    }

    pub(super) fn flavour(&self, server: &Server) -> Flavour {
        server.config.flavour
    }
}

/// Names with their mailboxes; a subscription may outlive its mailbox.
fn candidates<'a>(
    account: &'a Account,
    wanted: &Wanted,
    verb: &str,
) -> BTreeMap<&'a str, Option<&'a Mailbox>> {
    let mut names: BTreeMap<&str, Option<&Mailbox>> = BTreeMap::new();
    let all: BTreeMap<&str, &Mailbox> =
        account.all().map(|(name, mailbox)| (name.as_str(), mailbox)).collect();
    if verb == "LSUB" || wanted.subscribed_only {
        let each =
            account.subscribed.iter().map(|name| (name.as_str(), all.get(name.as_str()).copied()));
        names.extend(each);
    } else {
        names.extend(all.into_iter().map(|(name, mailbox)| (name, Some(mailbox))));
    }
    let is_special = |mailbox: Option<&Mailbox>| {
        mailbox.is_some_and(|one| !matches!(one.attribute, "" | "\\Noselect"))
    };
    names
        .retain(|name, mailbox| wanted.has(name) && (!wanted.special_only || is_special(*mailbox)));
    names
}

fn attributes(
    account: &Account,
    name: &str,
    mailbox: Option<&Mailbox>,
    wanted: &Wanted,
    verb: &str,
) -> Vec<&'static str> {
    let mut attributes =
        Vec::from([if account.has_children(name) { "\\HasChildren" } else { "\\HasNoChildren" }]);
    match mailbox {
        Some(mailbox) if !mailbox.attribute.is_empty() => attributes.push(mailbox.attribute),
        Some(_) => {}
        None => attributes.push("\\NonExistent"),
    }
    if wanted.returns.contains("SUBSCRIBED") && account.subscribed.contains(name) {
        attributes.push("\\Subscribed");
    }
    if verb == "XLIST" && name == "INBOX" {
        attributes.push("\\Inbox");
    }
    attributes
}

fn status_line(name: &str, mailbox: &Mailbox, items: &[String]) -> Result<Vec<u8>, Malformed> {
    let each = items.iter().map(|item| {
        let value = match item.as_str() {
            "MESSAGES" => mailbox.messages.len(),
            "RECENT" => 0,
            "UIDNEXT" => mailbox.uid_next as usize,
            "UIDVALIDITY" => mailbox.uid_validity as usize,
            "UNSEEN" => mailbox.messages.len() - mailbox.count("\\Seen"),
            "DELETED" => mailbox.count("\\Deleted"),
            "SIZE" => mailbox.octets(),
            _ => return Err(Malformed),
        };
        Ok(format!("{item} {value}"))
    });
    let values = each.collect::<Result<Vec<_>, _>>()?.join(" ");
    Ok([b"* STATUS ".as_slice(), &string(name.as_bytes()), format!(" ({values})\r\n").as_bytes()]
        .concat())
}

/// RFC 9051 section 6.3.9: `*` is anything, `%` anything on one level.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    // Which beginnings of the name the pattern so far has taken.
    let mut taken: Vec<bool> = (0..=name.len()).map(|length| length == 0).collect();
    for one in pattern {
        let mut next = Vec::with_capacity(taken.len());
        let mut open = false;
        for (at, before) in taken.iter().enumerate() {
            let octet = at.checked_sub(1).and_then(|at| name.get(at));
            let took_last = next.last().copied().unwrap_or(false);
            open = match one {
                b'*' => *before || took_last,
                b'%' => *before || (took_last && octet != Some(&b'/')),
                one => open && octet == Some(one),
            };
            next.push(open);
            open = *before;
        }
        taken = next;
    }
    taken.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_imap_says() {
        for (pattern, name, is_match) in [
            ("*", "a/b", true),
            ("%", "a/b", false),
            ("%", "a", true),
            ("a/%", "a/b", true),
            ("a/%", "a/b/c", false),
            ("a*c", "a/b/c", true),
            ("%/%", "a/b", true),
            ("INBOX", "INBOX", true),
            ("INBOX", "INBOX2", false),
            ("a", "", false),
            ("", "", true),
            ("*b", "ab", true),
            ("*b", "ba", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), is_match, "{pattern} {name}");
        }
    }
}
