//! Lines and literals of an IMAP server, and the few responses that matter to who follows a mailbox.

use alloc::string::String;
use alloc::vec::Vec;

use crate::limits::{FOLLOWED_LINE_OCTETS_MAX, UIDS_MAX};
use crate::reply::{LiteralEnd, literal_at_end};
use crate::text::displayable;

/// A response that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// `* 23 EXISTS`.
    Exists(u32),
    /// `* 44 EXPUNGE`.
    Expunge(u32),
    /// `* 23 FETCH (…)`.
    Fetch(u32),
    /// `* OK [UIDVALIDITY 3857529045]`.
    UidValidity(u32),
    /// `* OK [UIDNEXT 4392]`.
    UidNext(u32),
    /// `* SEARCH 2 84 882`, `* ESEARCH (TAG "A282") UID ALL 17,900`.
    Found(Vec<u32>),
    /// `+ idling`.
    Continue,
    /// The command's own answer.
    Done { ok: bool, code: Option<String>, text: String },
    /// A line that does not end.
    TooLong,
}

/// Puts lines together across reads and literals.
#[derive(Debug, Default)]
pub(super) struct Reader {
    line: Vec<u8>,
    /// Octets of a literal that are passed by.
    literal: u64,
}

impl Reader {
    /// Takes responses off the front of `input` up to one that matters; `None` when all is read.
    pub(super) fn take(&mut self, input: &mut &[u8], tag: &str) -> Option<Heard> {
        while !input.is_empty() {
            if self.literal > 0 {
                self.pass_by(input);
                continue;
            }
            let (piece, ended) = match memchr::memchr(b'\n', input) {
                Some(end) => {
                    let (piece, rest) = input.split_at(end.saturating_add(1));
                    *input = rest;
                    (piece, true)
                }
                None => (core::mem::take(input), false),
            };
            if self.line.len().saturating_add(piece.len()) > FOLLOWED_LINE_OCTETS_MAX {
                *input = &[];
                return Some(Heard::TooLong);
            }
            self.line.extend_from_slice(piece);
            if !ended {
                return None;
            }
            if let Some(heard) = self.line_ended(tag) {
                return Some(heard);
            }
        }
        None
    }

    fn pass_by(&mut self, input: &mut &[u8]) {
        let room = usize::try_from(self.literal).unwrap_or(usize::MAX).min(input.len());
        *input = input.get(room..).unwrap_or_default();
        self.literal = self.literal.saturating_sub(room as u64);
    }

    fn line_ended(&mut self, tag: &str) -> Option<Heard> {
        while matches!(self.line.last(), Some(b'\r' | b'\n')) {
            self.line.pop();
        }
        match literal_at_end(&self.line) {
            LiteralEnd::Octets(octets) => {
                // The rest of the response follows it.
                self.literal = octets;
                return None;
            }
            LiteralEnd::None | LiteralEnd::Malformed => {}
        }
        let line = core::mem::take(&mut self.line);
        read(&line, tag)
    }
}

/// What a whole response says.
fn read(line: &[u8], tag: &str) -> Option<Heard> {
    if let Some(untagged) = line.strip_prefix(b"* ") {
        return read_untagged(&String::from_utf8_lossy(untagged));
    }
    if line.first() == Some(&b'+') {
        return Some(Heard::Continue);
    }
    let rest = line.strip_prefix(tag.as_bytes()).filter(|_| !tag.is_empty())?;
    let rest = String::from_utf8_lossy(rest.strip_prefix(b" ")?);
    let (status, text) = rest.split_once(' ').unwrap_or((&rest, ""));
    let code = text.strip_prefix('[').and_then(|code| code.split([']', ' ']).next());
    Some(Heard::Done {
        ok: status.eq_ignore_ascii_case("OK"),
        code: code.map(|code| displayable(code.as_bytes()).to_ascii_uppercase()),
        text: displayable(text.as_bytes()),
    })
}

fn read_untagged(line: &str) -> Option<Heard> {
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    if let Ok(number) = first.parse() {
        let word = rest.split(' ').next().unwrap_or_default();
        return match word {
            _ if word.eq_ignore_ascii_case("EXISTS") => Some(Heard::Exists(number)),
            _ if word.eq_ignore_ascii_case("EXPUNGE") => Some(Heard::Expunge(number)),
            _ if word.eq_ignore_ascii_case("FETCH") => Some(Heard::Fetch(number)),
            _ => None,
        };
    }
    if first.eq_ignore_ascii_case("SEARCH") {
        // RFC 7162 puts (MODSEQ n) behind the numbers.
        let numbers = rest.split(' ').map_while(|word| word.parse().ok());
        return Some(Heard::Found(numbers.take(UIDS_MAX).collect()));
    }
    if first.eq_ignore_ascii_case("ESEARCH") {
        return Some(Heard::Found(read_esearch(rest)));
    }
    if first.eq_ignore_ascii_case("OK") {
        return read_code(rest);
    }
    None
}

/// `[UIDVALIDITY 3857529045] UIDs valid`.
fn read_code(text: &str) -> Option<Heard> {
    let (code, _) = text.strip_prefix('[')?.split_once(']')?;
    let (name, value) = code.split_once(' ')?;
    let number = value.trim().parse().ok()?;
    if name.eq_ignore_ascii_case("UIDVALIDITY") {
        return Some(Heard::UidValidity(number));
    }
    name.eq_ignore_ascii_case("UIDNEXT").then_some(Heard::UidNext(number))
}

/// The set behind `ALL` (RFC 9051 section 7.3.4).
fn read_esearch(rest: &str) -> Vec<u32> {
    let mut words = rest.split(' ').skip_while(|word| !word.eq_ignore_ascii_case("ALL"));
    let set = words.nth(1).unwrap_or_default();
    let mut uids = Vec::new();
    for range in set.split(',') {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) else { continue };
        let room = UIDS_MAX.saturating_sub(uids.len());
        uids.extend((first.min(last)..=first.max(last)).take(room));
    }
    uids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]]) -> Vec<Heard> {
        let mut reader = Reader::default();
        let mut heard = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            while let Some(one) = reader.take(&mut input, "MBF7") {
                heard.push(one);
            }
        }
        heard
    }

    #[test]
    fn what_matters_is_heard_and_nothing_else_at_every_cut() {
        let text = "* 23 EXISTS\r\n* 3 RECENT\r\n* FLAGS (\\Seen)\r\n* OK [UIDVALIDITY 3857529045] ok\r\n\
                    * OK [UIDNEXT 4392] ok\r\n* OK still here\r\n* 5 EXPUNGE\r\n* 1 FETCH (FLAGS (\\Seen))\r\n\
                    * 2 FETCH (BODY[] {21}\r\n* 9 EXISTS\r\nMBF7 OK\r\n UID 4)\r\n* SEARCH 2 84 (MODSEQ 9)\r\n\
                    * ESEARCH (TAG \"MBF7\") UID ALL 4:6,9\r\n* search\r\n+ idling\r\nX1 OK not ours\r\n\
                    * NO [ALERT] full\r\nMBF7 NO [NONEXISTENT] no \u{1b}such\r\n"
            .as_bytes();
        let heard = [
            Heard::Exists(23),
            Heard::UidValidity(3_857_529_045),
            Heard::UidNext(4392),
            Heard::Expunge(5),
            Heard::Fetch(1),
            Heard::Fetch(2),
            Heard::Found(Vec::from([2, 84])),
            Heard::Found(Vec::from([4, 5, 6, 9])),
            Heard::Found(Vec::new()),
            Heard::Continue,
            Heard::Done {
                ok: false,
                code: Some("NONEXISTENT".into()),
                text: "[NONEXISTENT] no  such".into(),
            },
        ];
        for cut in 0..=text.len() {
            let (first, second) = text.split_at(cut);
            assert_eq!(all(&[first, second]), heard, "cut at {cut}");
        }
    }

    #[test]
    fn a_hostile_server_is_bounded() {
        assert_eq!(all(&[b"* ESEARCH UID ALL 1:4294967295\r\n"]).len(), 1);
        let Heard::Found(uids) = &all(&[b"* ESEARCH UID ALL 1:4294967295,7\r\n"])[0] else {
            panic!()
        };
        assert_eq!(uids.len(), UIDS_MAX);
        let endless = alloc::vec![b'a'; FOLLOWED_LINE_OCTETS_MAX + 1];
        assert_eq!(all(&[&endless]), [Heard::TooLong]);
        assert_eq!(all(&[b"* 1 FETCH (BODY[] {99999999999}\r\n* 5 EXISTS\r\n"]), []);
    }
}
