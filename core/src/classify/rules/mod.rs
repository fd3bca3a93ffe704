//! The rules: what codes, statuses, phases and concepts mean together. The first row that fits wins.
//!
//! Codes with one meaning stand first, and words never overrule them; then what words mean, a special meaning above a
//! general one; last what the class of a code says where no word is known. What servers were seen to say, with the
//! sources, is in `docs/servers.md`.

mod causes;
mod codes;
mod rest;

use super::Phase;
use super::rule::Rule;

use Phase::{AuthFail, Capability, Disconnect, Greeting, MidSession};

/// The codes of a limit or an outage that passes: words tell them apart, and never make anything else of them.
pub(super) const PASSING: &str = "LIMIT|LOGIN-DELAY|UNAVAILABLE|SERVERBUG|SYS/TEMP|454";

/// Where a refusal may be of the account. After the login it is of a message, a folder or a command.
const OF_THE_LOGIN: &[Phase] = &[Greeting, Capability, AuthFail, Disconnect];

/// Where a line that nobody asked for, or the last one, may say why a session ends.
const OF_THE_SESSION: &[Phase] = &[MidSession, Disconnect];

const TABLES: [&[Rule]; 3] = [codes::RULES, causes::RULES, rest::RULES];

/// All rows, in order.
pub(super) fn rules() -> impl Iterator<Item = &'static Rule> + Clone {
    TABLES.into_iter().flatten()
}
