//! What an account holds: mailboxes, messages, and how a message is read.

mod account;
mod date;
mod encoded;
mod header;
mod mailbox;
mod name;
mod part;

pub(super) use account::{Account, MAILBOXES_MAX, uid_validity};
pub(super) use date::{day, internal_date, read_day, read_header_date, read_internal_date};
pub(super) use encoded::{body_text, header_text};
pub(super) use header::{addresses, field, lines_of, split, without_folds};
pub(super) use mailbox::{KEYWORDS_MAX, Mailbox, Message, flag};
pub(super) use name::{from_wire, to_wire};
pub(super) use part::{Part, Structure, typed};
