//! The arguments of a command (RFC 9051 section 9): atoms, strings, literals and lists.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// How deep lists may lie in lists.
const DEPTH_MAX: usize = 20;

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Also a number, a flag, a section with its brackets, a pattern.
    Atom(String),
    /// A quoted string or a literal.
    Text(Vec<u8>),
    /// What stands in parentheses.
    List(Arguments),
}

/// Arguments in their order; each is taken once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Arguments(VecDeque<Value>);

/// The command is not understood: its reply is BAD.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Arguments {
    /// Reads what stands behind the name of a command.
    pub(super) fn read(octets: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader { octets, at: 0 };
        let arguments = reader.list(0)?;
        if reader.at == octets.len() { Ok(arguments) } else { Err(Malformed) }
    }

    pub(super) fn next(&mut self) -> Result<Value, Malformed> {
        self.0.pop_front().ok_or(Malformed)
    }

    pub(super) fn peek(&self) -> Option<&Value> {
        self.0.front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Nothing is left.
    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(Malformed) }
    }

    /// An atom, in capitals.
    pub(super) fn keyword(&mut self) -> Result<String, Malformed> {
        match self.next()? {
            Value::Atom(atom) => Ok(atom.to_ascii_uppercase()),
            Value::Text(_) | Value::List(_) => Err(Malformed),
        }
    }

    /// The next atom, where it is this one.
    pub(super) fn takes(&mut self, keyword: &str) -> bool {
        let is_it =
            matches!(self.peek(), Some(Value::Atom(atom)) if atom.eq_ignore_ascii_case(keyword));
        if is_it {
            self.0.pop_front();
        }
        is_it
    }

    /// An atom or a string.
    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        match self.next()? {
            Value::Atom(atom) => Ok(atom),
            Value::Text(octets) => Ok(String::from_utf8_lossy(&octets).into_owned()),
            Value::List(_) => Err(Malformed),
        }
    }

    /// The name of a mailbox: INBOX is the same in every spelling.
    pub(super) fn mailbox(&mut self) -> Result<String, Malformed> {
        let name = self.text()?;
        Ok(if name.eq_ignore_ascii_case("INBOX") { "INBOX".to_string() } else { name })
    }

    pub(super) fn list(&mut self) -> Result<Self, Malformed> {
        match self.next()? {
            Value::List(list) => Ok(list),
            Value::Atom(_) | Value::Text(_) => Err(Malformed),
        }
    }

    /// A list, or one argument for a list of one.
    pub(super) fn list_or_one(&mut self) -> Result<Self, Malformed> {
        match self.next()? {
            Value::List(list) => Ok(list),
            one @ (Value::Atom(_) | Value::Text(_)) => Ok(Self(VecDeque::from([one]))),
        }
    }

    /// All that is left, as atoms in capitals.
    pub(super) fn keywords(mut self) -> Result<Vec<String>, Malformed> {
        let mut keywords = Vec::new();
        while !self.is_empty() {
            keywords.push(self.keyword()?);
        }
        Ok(keywords)
    }
}

struct Reader<'a> {
    octets: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.octets.get(self.at).copied()
    }

    fn rest(&self) -> &[u8] {
        self.octets.get(self.at..).unwrap_or_default()
    }

    /// Up to a closing parenthesis, or to the end.
    fn list(&mut self, depth: usize) -> Result<Arguments, Malformed> {
        let mut values = VecDeque::new();
        loop {
            match self.peek() {
                None | Some(b')') => return Ok(Arguments(values)),
                Some(b' ') => self.at += 1,
                Some(b'(') if depth < DEPTH_MAX => {
                    self.at += 1;
                    let inner = self.list(depth + 1)?;
                    if self.peek() != Some(b')') {
                        return Err(Malformed);
                    }
                    self.at += 1;
                    values.push_back(Value::List(inner));
                }
                Some(b'(') => return Err(Malformed),
                Some(b'"') => values.push_back(Value::Text(self.quoted()?)),
                Some(b'{') => values.push_back(Value::Text(self.literal()?)),
                Some(_) => values.push_back(Value::Atom(self.atom()?)),
            }
        }
    }

    fn quoted(&mut self) -> Result<Vec<u8>, Malformed> {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            let octet = self.peek().ok_or(Malformed)?;
            self.at += 1;
            match octet {
                b'"' => return Ok(text),
                b'\\' => {
                    text.push(self.peek().ok_or(Malformed)?);
                    self.at += 1;
                }
                b'\r' | b'\n' => return Err(Malformed),
                octet => text.push(octet),
            }
        }
    }

    fn literal(&mut self) -> Result<Vec<u8>, Malformed> {
        let end = memchr::memchr(b'}', self.rest()).ok_or(Malformed)?;
        let digits = self.rest().get(1..end).unwrap_or_default();
        let digits = digits.strip_suffix(b"+").unwrap_or(digits);
        let count = core::str::from_utf8(digits).ok().and_then(|text| text.parse::<usize>().ok());
        let behind = self.rest().get(end + 1..).unwrap_or_default();
        let line_end = if behind.starts_with(b"\r\n") { 2 } else { 1 };
        let count = count.ok_or(Malformed)?;
        let literal =
            behind.get(line_end..).and_then(|octets| octets.get(..count)).ok_or(Malformed)?;
        let literal = literal.to_vec();
        self.at += end + 1 + line_end + count;
        Ok(literal)
    }

    /// With a section in brackets, which may hold spaces and a list.
    fn atom(&mut self) -> Result<String, Malformed> {
        let begin = self.at;
        let mut in_brackets = false;
        while let Some(octet) = self.peek() {
            match octet {
                b'[' => in_brackets = true,
                b']' => in_brackets = false,
                b' ' | b'(' | b')' | b'"' | b'{' if in_brackets => {}
                b' ' | b'(' | b')' | b'"' | b'{' => break,
                0..=31 | 127 => return Err(Malformed),
                _ => {}
            }
            self.at += 1;
        }
        if in_brackets {
            return Err(Malformed);
        }
        let atom = self.octets.get(begin..self.at).unwrap_or_default();
        Ok(String::from_utf8_lossy(atom).into_owned())
    }
}

/// `sequence-set` (RFC 9051 section 9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set(Vec<(Bound, Bound)>);

/// A number, or `*`: `None`.
type Bound = Option<u32>;

impl Set {
    pub(super) fn read(text: &str) -> Result<Self, Malformed> {
        let bound = |text: &str| match text {
            "*" => Ok(None),
            text if text.starts_with('+') => Err(Malformed),
            text => text.parse().ok().filter(|number| *number > 0).map(Some).ok_or(Malformed),
        };
        let range = |range: &str| {
            let (from, to) = range.split_once(':').unwrap_or((range, range));
            Ok((bound(from)?, bound(to)?))
        };
        Ok(Self(text.split(',').map(range).collect::<Result<_, _>>()?))
    }

    /// Whether it holds a number, where `*` is `last`.
    pub(super) fn contains(&self, number: u32, last: u32) -> bool {
        self.0.iter().any(|(from, to)| {
            let (from, to) = (from.unwrap_or(last), to.unwrap_or(last));
            (from.min(to)..=from.max(to)).contains(&number)
        })
    }
}

/// Numbers as a `sequence-set`, in as few ranges as there are.
pub(super) fn ranges(numbers: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, to)) if to.checked_add(1) == Some(*number) => *to = *number,
            Some(_) | None => ranges.push((*number, *number)),
        }
    }
    let each = ranges.into_iter().map(|(from, to)| match from == to {
        true => from.to_string(),
        false => alloc::format!("{from}:{to}"),
    });
    each.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read() {
        let text =
            b"1:* (FLAGS BODY.PEEK[HEADER.FIELDS (FROM TO)]<0.9>) \"a\\\"b\" {3+}\r\na b \\Seen";
        let mut arguments = Arguments::read(text).unwrap();
        assert_eq!(arguments.text().unwrap(), "1:*");
        let items = arguments.list().unwrap().keywords().unwrap();
        assert_eq!(items, ["FLAGS", "BODY.PEEK[HEADER.FIELDS (FROM TO)]<0.9>"]);
        assert_eq!(arguments.text().unwrap(), "a\"b");
        assert_eq!(arguments.next(), Ok(Value::Text(b"a b".to_vec())));
        assert_eq!(arguments.keyword().unwrap(), "\\SEEN");
        assert_eq!(arguments.next(), Err(Malformed));
    }

    #[test]
    fn what_is_malformed_is_said_to_be() {
        let deep = "(".repeat(1_000_000);
        for text in ["(", ")", "\"", "\"\\", "{3}\r\nab", "{x}\r\n", "BODY[", "a\u{1}", "{", &deep]
        {
            assert_eq!(Arguments::read(text.as_bytes()), Err(Malformed));
        }
    }

    #[test]
    fn sets_are_read_and_written() {
        let set = Set::read("2,4:*,9:7").unwrap();
        let found: Vec<u32> = (1..12).filter(|number| set.contains(*number, 5)).collect();
        assert_eq!(found, [2, 4, 5, 7, 8, 9]);
        assert_eq!(ranges(&[1, 2, 3, 5, 7, 8]), "1:3,5,7:8");
        for text in ["", "0", "1,", "a", "+1", "1:2:3", "4294967296", ":"] {
            assert_eq!(Set::read(text), Err(Malformed), "{text}");
        }
    }
}
