//! SEARCH (RFC 9051 section 6.4.4, RFC 4731).

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::parse::{Arguments, Malformed, Set, Value, ranges};
use super::select::last_number;
use super::{Answer, Answered};
use crate::testing::Server;
use crate::testing::connection::Connection;
use crate::testing::mail::{
    Message, Part, body_text, day, field, flag, header_text, lines_of, read_day, read_header_date,
    split, without_folds,
};

/// Keys of one search, and how deep they may lie in each other.
const KEYS_MAX: usize = 500;
const DEPTH_MAX: usize = 30;

/// A search key.
#[derive(Debug)]
enum Key {
    All,
    Never,
    Flag(String),
    Numbers(Set),
    Uids(Set),
    /// By the day on which it came.
    Came(Side, i64),
    /// By the day of its `Date` field.
    Sent(Side, i64),
    Larger(usize),
    Smaller(usize),
    Header(String, String),
    Body(String),
    Text(String),
    Not(Box<Key>),
    Or(Box<Key>, Box<Key>),
    And(Vec<Key>),
}

#[derive(Debug, Clone, Copy)]
enum Side {
    Before,
    On,
    Since,
}

impl Side {
    fn holds(self, day: i64, limit: i64) -> bool {
        match self {
            Self::Before => day < limit,
            Self::On => day == limit,
            Self::Since => day >= limit,
        }
    }
}

struct Reader {
    left: usize,
}

impl Reader {
    fn all(&mut self, arguments: &mut Arguments, depth: usize) -> Result<Key, Malformed> {
        let mut keys = Vec::new();
        while !arguments.is_empty() {
            keys.push(self.key(arguments, depth)?);
        }
        if keys.is_empty() { Err(Malformed) } else { Ok(Key::And(keys)) }
    }

    fn key(&mut self, arguments: &mut Arguments, depth: usize) -> Result<Key, Malformed> {
        self.left = self.left.checked_sub(1).ok_or(Malformed)?;
        if depth > DEPTH_MAX {
            return Err(Malformed);
        }
        let name = match arguments.next()? {
            Value::List(mut inner) => return self.all(&mut inner, depth + 1),
            Value::Atom(atom) => atom.to_ascii_uppercase(),
            Value::Text(_) => return Err(Malformed),
        };
        if name.starts_with(|first: char| first.is_ascii_digit() || first == '*') {
            return Ok(Key::Numbers(Set::read(&name)?));
        }
        if let Some(key) = of_flag(&name) {
            return Ok(key);
        }
        Ok(match name.as_str() {
            "NOT" => Key::Not(self.key(arguments, depth + 1)?.into()),
            "OR" => {
                let one = self.key(arguments, depth + 1)?;
                Key::Or(one.into(), self.key(arguments, depth + 1)?.into())
            }
            "UID" => Key::Uids(Set::read(&arguments.text()?)?),
            "KEYWORD" => Key::Flag(flag(&arguments.text()?).ok_or(Malformed)?),
            "UNKEYWORD" => Key::Not(Key::Flag(flag(&arguments.text()?).ok_or(Malformed)?).into()),
            "BEFORE" => Key::Came(Side::Before, date(arguments)?),
            "ON" => Key::Came(Side::On, date(arguments)?),
            "SINCE" => Key::Came(Side::Since, date(arguments)?),
            "SENTBEFORE" => Key::Sent(Side::Before, date(arguments)?),
            "SENTON" => Key::Sent(Side::On, date(arguments)?),
            "SENTSINCE" => Key::Sent(Side::Since, date(arguments)?),
            "LARGER" => Key::Larger(arguments.text()?.parse().map_err(|_| Malformed)?),
            "SMALLER" => Key::Smaller(arguments.text()?.parse().map_err(|_| Malformed)?),
            "BCC" | "CC" | "FROM" | "SUBJECT" | "TO" => Key::Header(name, words(arguments)?),
            "HEADER" => Key::Header(arguments.text()?, words(arguments)?),
            "BODY" => Key::Body(words(arguments)?),
            "TEXT" => Key::Text(words(arguments)?),
            _ => return Err(Malformed),
        })
    }
}

fn of_flag(name: &str) -> Option<Key> {
    let not = |flag: &str| Key::Not(Key::Flag(flag.to_string()).into());
    Some(match name {
        "ALL" | "OLD" => Key::All,
        // This server has no recent messages.
        "NEW" | "RECENT" => Key::Never,
        "ANSWERED" => Key::Flag("\\Answered".to_string()),
        "DELETED" => Key::Flag("\\Deleted".to_string()),
        "DRAFT" => Key::Flag("\\Draft".to_string()),
        "FLAGGED" => Key::Flag("\\Flagged".to_string()),
        "SEEN" => Key::Flag("\\Seen".to_string()),
        "UNANSWERED" => not("\\Answered"),
        "UNDELETED" => not("\\Deleted"),
        "UNDRAFT" => not("\\Draft"),
        "UNFLAGGED" => not("\\Flagged"),
        "UNSEEN" => not("\\Seen"),
        _ => return None,
    })
}

fn date(arguments: &mut Arguments) -> Result<i64, Malformed> {
    read_day(&arguments.text()?).ok_or(Malformed)
}

fn words(arguments: &mut Arguments) -> Result<String, Malformed> {
    Ok(arguments.text()?.to_lowercase())
}

/// A message that is looked at.
struct Candidate<'a> {
    number: u32,
    uid: u32,
    message: &'a Message,
    last_number: u32,
    last_uid: u32,
}

impl Candidate<'_> {
    fn is(&self, key: &Key) -> bool {
        let content = &self.message.content;
        match key {
            Key::All => true,
            Key::Never => false,
            Key::Flag(flag) => self.message.has(flag),
            Key::Numbers(set) => set.contains(self.number, self.last_number),
            Key::Uids(set) => set.contains(self.uid, self.last_uid),
            Key::Came(side, limit) => side.holds(day(self.message.date_ms), *limit),
            Key::Sent(side, limit) => {
                let date = field(content, "Date")
                    .and_then(|value| read_header_date(&String::from_utf8_lossy(&value)));
                date.is_some_and(|date| side.holds(day(date), *limit))
            }
            Key::Larger(octets) => content.len() > *octets,
            Key::Smaller(octets) => content.len() < *octets,
            Key::Header(name, words) => has_field(content, name, words),
            Key::Body(words) => body(content).contains(words),
            Key::Text(words) => header(content).contains(words) || body(content).contains(words),
            Key::Not(key) => !self.is(key),
            Key::Or(one, other) => self.is(one) || self.is(other),
            Key::And(keys) => keys.iter().all(|key| self.is(key)),
        }
    }
}

fn has_field(content: &[u8], name: &str, words: &str) -> bool {
    let fields = lines_of(split(content).0).into_iter();
    fields
        .filter(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))
        .any(|(_, line)| header_text(&without_folds(line)).to_lowercase().contains(words))
}

fn header(content: &[u8]) -> String {
    let lines = lines_of(split(content).0).into_iter();
    let each = lines.map(|(_, line)| header_text(line).to_lowercase());
    each.collect::<Vec<_>>().concat()
}

/// The text of all parts that are text, as a reader sees it.
fn body(content: &[u8]) -> String {
    let whole = Part::read(content);
    let parts = whole.leaves().into_iter().filter(|part| part.kind == "TEXT");
    let texts = parts.map(|part| {
        let charset = part.parameter("CHARSET").unwrap_or("utf-8");
        body_text(&part.encoding(), charset, part.body).to_lowercase()
    });
    texts.collect::<Vec<_>>().join("\n")
}

impl Connection {
    pub(super) fn search(
        &mut self,
        server: &mut Server,
        mut arguments: Arguments,
        by_uid: bool,
    ) -> Answered {
        let returns =
            if arguments.takes("RETURN") { Some(arguments.list()?.keywords()?) } else { None };
        if arguments.takes("CHARSET") {
            let charset = arguments.text()?.to_ascii_uppercase();
            if !matches!(charset.as_str(), "UTF-8" | "US-ASCII") {
                return Ok(Answer::status(
                    "NO [BADCHARSET (UTF-8 US-ASCII)] Unknown charset (Failure)",
                ));
            }
        }
        let key = Reader { left: KEYS_MAX }.all(&mut arguments, 0)?;
        let found = self.found(server, &key, by_uid);
        Ok(Answer::ok(match returns {
            Some(returns) => extended(&found, &returns, by_uid),
            None => {
                let list: String = found.iter().map(|number| format!(" {number}")).collect();
                format!("* SEARCH{list}\r\n").into_bytes()
            }
        }))
    }

    fn found(&self, server: &mut Server, key: &Key, by_uid: bool) -> Vec<u32> {
        let Some(selected) = &self.selected else { return Vec::new() };
        let Some(mailbox) = self.mailbox(server) else { return Vec::new() };
        let numbered = selected.numbered(mailbox);
        let (last, last_uid) = (last_number(&numbered, false), last_number(&numbered, true));
        let is_found = |(number, uid): &(u32, u32)| {
            let message = mailbox.messages.get(uid);
            message.is_some_and(|message| {
                Candidate { number: *number, uid: *uid, message, last_number: last, last_uid }
                    .is(key)
            })
        };
        let found = numbered.into_iter().filter(is_found);
        found.map(|(number, uid)| if by_uid { uid } else { number }).collect()
    }
}

/// ESEARCH (RFC 4731).
fn extended(found: &[u32], returns: &[String], by_uid: bool) -> Vec<u8> {
    let mut line = String::from(if by_uid { "* ESEARCH UID" } else { "* ESEARCH" });
    // Without a word of what is wanted: all.
    let wants = |what: &str| returns.iter().any(|one| one == what);
    if wants("MIN")
        && let Some(first) = found.first()
    {
        line.push_str(&format!(" MIN {first}"));
    }
    if wants("MAX")
        && let Some(last) = found.last()
    {
        line.push_str(&format!(" MAX {last}"));
    }
    if (wants("ALL") || returns.is_empty()) && !found.is_empty() {
        line.push_str(&format!(" ALL {}", ranges(found)));
    }
    if wants("COUNT") {
        line.push_str(&format!(" COUNT {}", found.len()));
    }
    line.push_str("\r\n");
    line.into_bytes()
}
