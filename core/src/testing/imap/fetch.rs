//! FETCH (RFC 9051 section 6.4.5).

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::parse::{Arguments, Malformed, Set};
use super::structure::{envelope, structure};
use super::{Answer, Answered};
use crate::testing::Server;
use crate::testing::connection::Connection;
use crate::testing::mail::{Message, Part, internal_date, lines_of, split};

/// Items of one FETCH, and octets of its answer: what is more is refused, and kept in memory by nobody.
const ITEMS_MAX: usize = 50;
const ANSWER_OCTETS_MAX: usize = 256 << 20;

/// Something that a FETCH asks for.
#[derive(Debug)]
enum Item {
    Flags,
    InternalDate,
    Size,
    Envelope,
    Body,
    BodyStructure,
    Uid,
    Section(Section),
}

/// Octets of a message.
#[derive(Debug)]
struct Section {
    /// How the answer names it.
    label: String,
    peeks: bool,
    numbers: Vec<usize>,
    text: Text,
    partial: Option<(usize, usize)>,
}

#[derive(Debug)]
enum Text {
    All,
    Header,
    Fields { names: BTreeSet<String>, are_left_out: bool },
    Body,
    Mime,
}

impl Section {
    /// `BODY.PEEK[1.2.HEADER.FIELDS (FROM TO)]<0.100>`, in capitals.
    fn read(atom: &str) -> Result<Self, Malformed> {
        let (name, rest) = atom.split_once('[').ok_or(Malformed)?;
        let peeks = match name {
            "BODY" => false,
            "BODY.PEEK" => true,
            _ => return Err(Malformed),
        };
        let (inside, behind) = rest.rsplit_once(']').ok_or(Malformed)?;
        let (numbers, text) = inner(inside)?;
        let partial = if behind.is_empty() { None } else { Some(partial(behind)?) };
        let origin = partial.map_or_else(String::new, |(from, _)| format!("<{from}>"));
        Ok(Self { label: format!("BODY[{inside}]{origin}"), peeks, numbers, text, partial })
    }

    fn whole(label: &str, peeks: bool, text: Text) -> Self {
        Self { label: label.to_string(), peeks, numbers: Vec::new(), text, partial: None }
    }

    fn octets(&self, message: &Message) -> Option<Vec<u8>> {
        let content = &message.content;
        let octets = if self.numbers.is_empty() {
            let (header, body) = split(content);
            match &self.text {
                Text::All => content.to_vec(),
                Text::Header | Text::Mime => header.to_vec(),
                Text::Fields { names, are_left_out } => fields(header, names, *are_left_out),
                Text::Body => body.to_vec(),
            }
        } else {
            let whole = Part::read(content);
            let part = whole.at(&self.numbers)?;
            match (&self.text, &part.inner) {
                (Text::All, _) => part.body.to_vec(),
                (Text::Mime, _) => part.header.to_vec(),
                // RFC 9051 section 6.4.5: these are of a message within the message.
                (Text::Header, _) => split(part.body).0.to_vec(),
                (Text::Body, _) => split(part.body).1.to_vec(),
                (Text::Fields { names, are_left_out }, _) => {
                    fields(split(part.body).0, names, *are_left_out)
                }
            }
        };
        let Some((from, count)) = self.partial else { return Some(octets) };
        let end = from.saturating_add(count).min(octets.len());
        Some(octets.get(from..end).unwrap_or_default().to_vec())
    }
}

fn inner(inside: &str) -> Result<(Vec<usize>, Text), Malformed> {
    let mut numbers = Vec::new();
    let mut rest = inside;
    while rest.starts_with(|first: char| first.is_ascii_digit()) {
        let (number, behind) = rest.split_once('.').unwrap_or((rest, ""));
        numbers.push(number.parse().ok().filter(|number| *number > 0).ok_or(Malformed)?);
        rest = behind;
    }
    let text = match rest {
        "" => Text::All,
        "HEADER" => Text::Header,
        "TEXT" => Text::Body,
        "MIME" if !numbers.is_empty() => Text::Mime,
        rest => field_names(rest)?,
    };
    Ok((numbers, text))
}

fn field_names(text: &str) -> Result<Text, Malformed> {
    let rest = text.strip_prefix("HEADER.FIELDS").ok_or(Malformed)?;
    let (list, are_left_out) = match rest.strip_prefix(".NOT") {
        Some(list) => (list, true),
        None => (rest, false),
    };
    let mut arguments = Arguments::read(list.as_bytes())?;
    let mut list = arguments.list()?;
    arguments.end()?;
    let mut names = BTreeSet::new();
    while !list.is_empty() {
        names.insert(list.text()?);
    }
    Ok(Text::Fields { names, are_left_out })
}

fn partial(text: &str) -> Result<(usize, usize), Malformed> {
    let inside = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).ok_or(Malformed)?;
    let (from, count) = inside.split_once('.').ok_or(Malformed)?;
    Ok((from.parse().map_err(|_| Malformed)?, count.parse().map_err(|_| Malformed)?))
}

/// The lines of these fields, or of all others, and the empty line.
fn fields(header: &[u8], names: &BTreeSet<String>, are_left_out: bool) -> Vec<u8> {
    let is_named =
        |name: &[u8]| names.contains(&String::from_utf8_lossy(name).to_ascii_uppercase());
    let lines = lines_of(header).into_iter().filter(|(_, line)| !line.trim_ascii().is_empty());
    let kept = lines.filter(|(name, _)| is_named(name) != are_left_out).map(|(_, line)| line);
    kept.chain([b"\r\n".as_slice()]).collect::<Vec<_>>().concat()
}

fn items(mut arguments: Arguments) -> Result<Vec<Item>, Malformed> {
    let mut list = arguments.list_or_one()?;
    arguments.end()?;
    let mut items = Vec::new();
    while !list.is_empty() {
        let atom = list.keyword()?;
        let all = [Item::Flags, Item::InternalDate, Item::Size];
        match atom.as_str() {
            "FAST" => items.extend(all),
            "ALL" => items.extend(all.into_iter().chain([Item::Envelope])),
            "FULL" => items.extend(all.into_iter().chain([Item::Envelope, Item::Body])),
            "FLAGS" => items.push(Item::Flags),
            "INTERNALDATE" => items.push(Item::InternalDate),
            "RFC822.SIZE" => items.push(Item::Size),
            "ENVELOPE" => items.push(Item::Envelope),
            "BODY" => items.push(Item::Body),
            "BODYSTRUCTURE" => items.push(Item::BodyStructure),
            "UID" => items.push(Item::Uid),
            "RFC822" => items.push(Item::Section(Section::whole("RFC822", false, Text::All))),
            "RFC822.HEADER" => {
                items.push(Item::Section(Section::whole("RFC822.HEADER", true, Text::Header)));
            }
            "RFC822.TEXT" => {
                items.push(Item::Section(Section::whole("RFC822.TEXT", false, Text::Body)));
            }
            atom => items.push(Item::Section(Section::read(atom)?)),
        }
    }
    if items.is_empty() || items.len() > ITEMS_MAX { Err(Malformed) } else { Ok(items) }
}

impl Connection {
    pub(super) fn fetch(
        &mut self,
        server: &mut Server,
        mut arguments: Arguments,
        by_uid: bool,
    ) -> Answered {
        let set = Set::read(&arguments.text()?)?;
        let mut items = items(arguments)?;
        if by_uid && !items.iter().any(|item| matches!(item, Item::Uid)) {
            items.insert(0, Item::Uid);
        }
        let sections = items.iter().filter(|item| matches!(item, Item::Section(_))).count();
        let reads = items.iter().any(|item| matches!(item, Item::Section(one) if !one.peeks));
        let reads = reads && self.selected.as_ref().is_some_and(|selected| !selected.read_only);
        let mut untagged = Vec::new();
        for (number, uid) in self.chosen(server, &set, by_uid) {
            let Some(mailbox) = self.mailbox(server) else { continue };
            let Some(message) = mailbox.messages.get(&uid) else { continue };
            let most =
                untagged.len().saturating_add(message.content.len().saturating_mul(sections));
            if most > ANSWER_OCTETS_MAX {
                return Ok(Answer::status("NO [LIMIT] Too much at once. (Failure)"));
            }
            let mut parts: Vec<Vec<u8>> = items.iter().map(|item| item.of(message, uid)).collect();
            // RFC 9051 section 6.4.5: reading sets \Seen, and the answer says so.
            if reads && !message.has("\\Seen") {
                let mut flags = message.flags.clone();
                flags.insert("\\Seen".to_string());
                mailbox.set_flags(uid, flags);
                server.news = true;
                let Some(message) = self.mailbox(server).and_then(|one| one.messages.get(&uid))
                else {
                    continue;
                };
                let (changed, flags) = (message.changed, Item::Flags.of(message, uid));
                if let Some(selected) = &mut self.selected {
                    selected.knows(uid, changed);
                }
                match items.iter().position(|item| matches!(item, Item::Flags)) {
                    Some(at) => {
                        parts.get_mut(at).into_iter().for_each(|part| *part = flags.clone())
                    }
                    None => parts.push(flags),
                }
            }
            untagged.extend(format!("* {number} FETCH (").into_bytes());
            untagged.extend(parts.join(&b' '));
            untagged.extend_from_slice(b")\r\n");
        }
        Ok(Answer::ok(untagged))
    }
}

impl Item {
    fn of(&self, message: &Message, uid: u32) -> Vec<u8> {
        let content = &message.content;
        match self {
            Self::Flags => format!("FLAGS ({})", message.flag_list()).into_bytes(),
            Self::InternalDate => {
                format!("INTERNALDATE \"{}\"", internal_date(message.date_ms)).into_bytes()
            }
            Self::Size => format!("RFC822.SIZE {}", content.len()).into_bytes(),
            Self::Envelope => [b"ENVELOPE ".as_slice(), &envelope(content)].concat(),
            Self::Body => [b"BODY ".as_slice(), &structure(&Part::read(content), false)].concat(),
            Self::BodyStructure => {
                [b"BODYSTRUCTURE ".as_slice(), &structure(&Part::read(content), true)].concat()
            }
            Self::Uid => format!("UID {uid}").into_bytes(),
            Self::Section(section) => match section.octets(message) {
                Some(octets) => {
                    let head = format!("{} {{{}}}\r\n", section.label, octets.len());
                    [head.as_bytes(), &octets].concat()
                }
                None => format!("{} NIL", section.label).into_bytes(),
            },
        }
    }
}
