//! The parts of a message (RFC 2045, RFC 2046), as FETCH addresses them.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{field, split};

/// How deep parts may lie in parts; what lies deeper is one part.
const DEPTH_MAX: usize = 20;
/// Parts of one multipart that are read.
const PARTS_MAX: usize = 500;

/// A message, or a part of one.
#[derive(Debug)]
pub(in crate::testing) struct Part<'a> {
    pub(in crate::testing) header: &'a [u8],
    pub(in crate::testing) body: &'a [u8],
    pub(in crate::testing) kind: String,
    pub(in crate::testing) subtype: String,
    pub(in crate::testing) parameters: Vec<(String, String)>,
    pub(in crate::testing) inner: Structure<'a>,
}

/// What a part holds.
#[derive(Debug)]
pub(in crate::testing) enum Structure<'a> {
    Leaf,
    Multipart(Vec<Part<'a>>),
    /// `message/rfc822`.
    Message(alloc::boxed::Box<Part<'a>>),
}

impl<'a> Part<'a> {
    pub(in crate::testing) fn read(content: &'a [u8]) -> Self {
        Self::at_depth(content, 0, "text/plain")
    }

    fn at_depth(content: &'a [u8], depth: usize, default: &str) -> Self {
        let (header, body) = split(content);
        let value =
            field(header, "Content-Type").map(|value| String::from_utf8_lossy(&value).into_owned());
        let (kind, parameters) =
            value.as_deref().and_then(typed).or_else(|| typed(default)).unwrap_or_default();
        let (kind, subtype) =
            kind.split_once('/').map_or((kind.clone(), String::new()), |(kind, subtype)| {
                (kind.to_string(), subtype.to_string())
            });
        let mut part = Self { header, body, kind, subtype, parameters, inner: Structure::Leaf };
        if depth < DEPTH_MAX {
            part.inner = part.inside(depth);
        }
        part
    }

    fn inside(&self, depth: usize) -> Structure<'a> {
        let below = depth.saturating_add(1);
        match (self.kind.as_str(), self.subtype.as_str()) {
            ("MULTIPART", subtype) => {
                let default = if subtype == "DIGEST" { "message/rfc822" } else { "text/plain" };
                let Some(boundary) = self.parameter("BOUNDARY") else { return Structure::Leaf };
                let bodies = between(self.body, boundary);
                let parts: Vec<Self> =
                    bodies.into_iter().map(|body| Self::at_depth(body, below, default)).collect();
                if parts.is_empty() { Structure::Leaf } else { Structure::Multipart(parts) }
            }
            ("MESSAGE", "RFC822") => {
                Structure::Message(Self::at_depth(self.body, below, "text/plain").into())
            }
            (_, _) => Structure::Leaf,
        }
    }

    pub(in crate::testing) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    pub(in crate::testing) fn field(&self, name: &str) -> Option<String> {
        field(self.header, name).map(|value| String::from_utf8_lossy(&value).into_owned())
    }

    pub(in crate::testing) fn encoding(&self) -> String {
        let encoding = self.field("Content-Transfer-Encoding");
        encoding.map_or_else(|| "7BIT".to_string(), |value| value.to_ascii_uppercase())
    }

    /// RFC 9051 section 6.4.5: `1.2`; the first part of what is no multipart is itself.
    pub(in crate::testing) fn at(&self, numbers: &[usize]) -> Option<&Part<'a>> {
        let Some((number, rest)) = numbers.split_first() else { return Some(self) };
        match &self.inner {
            Structure::Multipart(parts) => parts.get(number.checked_sub(1)?)?.within(rest),
            Structure::Leaf | Structure::Message(_) if *number == 1 => self.within(rest),
            Structure::Leaf | Structure::Message(_) => None,
        }
    }

    fn within(&self, numbers: &[usize]) -> Option<&Part<'a>> {
        match &self.inner {
            _ if numbers.is_empty() => Some(self),
            Structure::Message(message) => message.at(numbers),
            Structure::Leaf | Structure::Multipart(_) => self.at(numbers),
        }
    }

    /// Every part that holds no other, in order.
    pub(in crate::testing) fn leaves(&self) -> Vec<&Part<'a>> {
        match &self.inner {
            Structure::Leaf => Vec::from([self]),
            Structure::Multipart(parts) => parts.iter().flat_map(Part::leaves).collect(),
            Structure::Message(message) => message.leaves(),
        }
    }
}

/// The bodies between the boundaries (RFC 2046 section 5.1.1). The line's end in front of a boundary is part of it.
fn between<'a>(body: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
    let mut bodies = Vec::new();
    let (mut begin, mut at) = (None, 0);
    while at < body.len() && bodies.len() < PARTS_MAX {
        let rest = body.get(at..).unwrap_or_default();
        let end = memchr::memchr(b'\n', rest).map_or(body.len(), |end| at + end + 1);
        let line = body.get(at..end).unwrap_or_default().trim_ascii_end();
        let delimiter =
            line.strip_prefix(b"--").and_then(|line| line.strip_prefix(boundary.as_bytes()));
        if let Some(behind) = delimiter.filter(|behind| matches!(*behind, b"" | b"--")) {
            if let Some(from) = begin {
                let inside = body.get(from..at).unwrap_or_default();
                let inside = inside.strip_suffix(b"\n").unwrap_or(inside);
                bodies.push(inside.strip_suffix(b"\r").unwrap_or(inside));
            }
            begin = Some(end);
            if behind == b"--" {
                return bodies;
            }
        }
        at = end;
    }
    if let Some(from) = begin.filter(|_| bodies.len() < PARTS_MAX) {
        bodies.push(body.get(from..).unwrap_or_default());
    }
    bodies
}

/// A type and its parameters: the type in capitals, and the parameters' names.
pub(in crate::testing) fn typed(value: &str) -> Option<(String, Vec<(String, String)>)> {
    let mut pieces = pieces(value).into_iter();
    let kind = pieces.next()?.trim().to_ascii_uppercase();
    let parameters = pieces.filter_map(|piece| {
        let (name, value) = piece.split_once('=')?;
        Some((name.trim().to_ascii_uppercase(), unquoted(value.trim())))
    });
    (!kind.is_empty() && kind.len() < 200).then(|| (kind, parameters.take(50).collect()))
}

fn unquoted(value: &str) -> String {
    match value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
        Some(inside) => inside.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => value.to_string(),
    }
}

/// Splits at semicolons that stand in no quotes.
fn pieces(value: &str) -> Vec<String> {
    let mut pieces = Vec::from([String::new()]);
    let (mut quoted, mut escaped) = (false, false);
    for one in value.chars() {
        match one {
            '"' if !escaped => quoted = !quoted,
            ';' if !quoted => {
                pieces.push(String::new());
                continue;
            }
            _ => {}
        }
        escaped = one == '\\' && !escaped;
        if let Some(last) = pieces.last_mut() {
            last.push(one);
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &[u8] = b"Content-Type: multipart/mixed; boundary=\"b;1\"\r\n\r\npreamble\r\n--b;1\r\n\r\nfirst\r\n\
        --b;1\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nContent-Type: multipart/alternative; boundary=x\r\n\
        \r\n--x\r\n\r\nplain\r\n--x\r\nContent-Type: TEXT/html; charset=utf-8\r\n\r\n<p>\r\n--x--\r\n--b;1--\r\nepilogue";

    #[test]
    fn parts_are_found_by_their_numbers() {
        let mail = Part::read(MAIL);
        assert_eq!(mail.at(&[1]).unwrap().body, b"first");
        assert_eq!(mail.at(&[2, 1]).unwrap().body, b"plain");
        let html = mail.at(&[2, 2]).unwrap();
        assert_eq!((html.body, html.subtype.as_str()), (b"<p>".as_slice(), "HTML"));
        assert_eq!(html.parameter("CHARSET"), Some("utf-8"));
        assert_eq!(mail.leaves().len(), 3);
        for numbers in [&[0][..], &[3], &[1, 2], &[2, 3], &[2, 2, 2]] {
            assert!(mail.at(numbers).is_none(), "{numbers:?}");
        }
        assert_eq!(Part::read(b"a: b\r\n\r\nbody").at(&[1]).unwrap().body, b"body");
    }

    #[test]
    fn what_is_broken_is_one_part() {
        for text in
            ["Content-Type: multipart/mixed\r\n\r\nx", "Content-Type: ;;;\r\n\r\n", "", "\r\n"]
        {
            assert_eq!(Part::read(text.as_bytes()).leaves().len(), 1, "{text}");
        }
        let nested = "Content-Type: message/rfc822\r\n\r\n".repeat(10_000);
        assert_eq!(Part::read(nested.as_bytes()).leaves().len(), 1);
    }
}
