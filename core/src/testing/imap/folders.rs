//! CREATE, DELETE, RENAME, SUBSCRIBE and UNSUBSCRIBE (RFC 9051 section 6.3).

use super::parse::Arguments;
use super::{Answer, Answered};
use crate::testing::connection::Connection;
use crate::testing::mail::MAILBOXES_MAX;
use crate::testing::{Flavour, Server};

/// Octets of the name of a mailbox.
const NAME_OCTETS_MAX: usize = 255;

impl Connection {
    pub(super) fn folder(
        &mut self,
        server: &mut Server,
        verb: &str,
        mut arguments: Arguments,
    ) -> Answered {
        let name = arguments.mailbox()?;
        let other = if verb == "RENAME" { arguments.mailbox()? } else { name.clone() };
        arguments.end()?;
        let flavour = self.flavour(server);
        let account = self.account(server);
        // RFC 9051 section 6.3.4: a delimiter at the end says only that there will be others below.
        let other = other.strip_suffix('/').unwrap_or(&other);
        let name = name.strip_suffix('/').unwrap_or(&name);
        let makes = matches!(verb, "CREATE" | "RENAME");
        if makes && !is_name(other) {
            return Ok(Answer::status("NO [CANNOT] Invalid folder name (Failure)"));
        }
        if makes && account.len().saturating_add(other.matches('/').count()) >= MAILBOXES_MAX {
            return Ok(Answer::status("NO [LIMIT] Too many mailboxes (Failure)"));
        }
        let done = match verb {
            "CREATE" => account.create(name),
            "RENAME" if account.get(other).is_some() => None,
            "RENAME" => account.rename(name, other),
            "DELETE" if name == "INBOX" => {
                return Ok(Answer::status("NO [CANNOT] INBOX can't be deleted."));
            }
            "DELETE" => account.delete(name),
            "SUBSCRIBE" if account.get(name).is_some() => {
                account.subscribed.insert(name.into());
                Some(())
            }
            "UNSUBSCRIBE" => {
                account.subscribed.remove(name);
                Some(())
            }
            _ => None,
        };
        Ok(match done {
            Some(()) => Answer::ok(""),
            None if verb == "CREATE" || account.get(other).is_some() => exists(flavour),
            None => Answer::nonexistent(flavour),
        })
    }
}

fn exists(flavour: Flavour) -> Answer {
    Answer::status(match flavour {
        Flavour::Gmail => "NO [ALREADYEXISTS] Duplicate folder name (Failure)",
        Flavour::Outlook => "NO Mailbox already exists.",
        Flavour::Dovecot => "NO [ALREADYEXISTS] Mailbox already exists",
    })
}

fn is_name(name: &str) -> bool {
    let parts_are_some = name.split('/').all(|part| !part.is_empty());
    let is_plain = name.chars().all(|one| !one.is_control() && !"%*".contains(one));
    parts_are_some && is_plain && name.len() <= NAME_OCTETS_MAX
}
