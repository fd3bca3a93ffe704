//! The header of a mail: fields and addresses (RFC 5322).

use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Addresses of one field that are read.
const ADDRESSES_MAX: usize = 1_000;

/// Everything up to and with the empty line, and what is behind it.
pub(in crate::testing) fn split(content: &[u8]) -> (&[u8], &[u8]) {
    if let Some(body) = content.strip_prefix(b"\r\n") {
        return (content.get(..2).unwrap_or_default(), body);
    }
    let end =
        memchr::memmem::find(content, b"\r\n\r\n").map_or(content.len(), |at| at.saturating_add(4));
    content.split_at(end)
}

/// The fields of a header with their folds, each with the end of its line.
pub(in crate::testing) fn lines_of(header: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut fields = Vec::new();
    let mut begin = 0;
    let mut at = 0;
    while at < header.len() {
        let rest = header.get(at..).unwrap_or_default();
        at = memchr::memchr(b'\n', rest).map_or(header.len(), |end| at + end + 1);
        if !matches!(header.get(at), Some(b' ' | b'\t')) {
            let field = header.get(begin..at).unwrap_or_default();
            let name = field.split(|octet| *octet == b':').next().unwrap_or_default();
            fields.push((name.trim_ascii_end(), field));
            begin = at;
        }
    }
    fields
}

/// The value of a header field, without its folds.
pub(in crate::testing) fn field(content: &[u8], name: &str) -> Option<Vec<u8>> {
    let (header, _) = split(content);
    let found = lines_of(header)
        .into_iter()
        .find(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))?;
    Some(without_folds(found.1))
}

/// What is behind the colon of a field.
pub(in crate::testing) fn without_folds(field: &[u8]) -> Vec<u8> {
    let at = memchr::memchr(b':', field).map_or(field.len(), |at| at + 1);
    let value = field.get(at..).unwrap_or_default().trim_ascii();
    value.iter().copied().filter(|octet| !matches!(octet, b'\r' | b'\n')).collect()
}

/// A mailbox of a header: its name, and both sides of its address.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::testing) struct Address {
    pub(in crate::testing) name: Option<String>,
    pub(in crate::testing) local: String,
    pub(in crate::testing) domain: String,
}

/// The addresses of a field. Groups are read as their members.
pub(in crate::testing) fn addresses(value: &[u8]) -> Vec<Address> {
    let text = String::from_utf8_lossy(value);
    let mut found = Vec::new();
    let mut entry = Entry::default();
    let mut chars = text.chars();
    while let Some(one) = chars.next() {
        match one {
            '"' => entry.quoted(&mut chars),
            '(' => skip_comment(&mut chars),
            '<' => entry.angle = Some(chars.by_ref().take_while(|one| *one != '>').collect()),
            ',' | ';' => found.extend(core::mem::take(&mut entry).address()),
            // What stood before was the name of a group.
            ':' => entry = Entry::default(),
            one => entry.phrase.push(one),
        }
        if found.len() >= ADDRESSES_MAX {
            return found;
        }
    }
    found.extend(entry.address());
    found
}

fn skip_comment(chars: &mut impl Iterator<Item = char>) {
    let mut depth = 1_usize;
    while depth > 0 {
        match chars.next() {
            Some('(') => depth = depth.saturating_add(1),
            Some(')') => depth -= 1,
            Some('\\') => drop(chars.next()),
            Some(_) => {}
            None => return,
        }
    }
}

/// One entry of a list of addresses, while it is read.
#[derive(Default)]
struct Entry {
    phrase: String,
    angle: Option<String>,
}

impl Entry {
    fn quoted(&mut self, chars: &mut impl Iterator<Item = char>) {
        while let Some(one) = chars.next() {
            match one {
                '"' => return,
                '\\' => self.phrase.extend(chars.next()),
                one => self.phrase.push(one),
            }
        }
    }

    fn address(self) -> Option<Address> {
        let phrase = self.phrase.trim();
        let (name, address) = match &self.angle {
            Some(angle) => ((!phrase.is_empty()).then(|| phrase.to_string()), angle.trim()),
            None => (None, phrase),
        };
        let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
        let address = Address { name, local: local.to_string(), domain: domain.to_string() };
        (!address.local.is_empty() || !address.domain.is_empty()).then_some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<(Option<String>, String)> {
        let each = addresses(text.as_bytes()).into_iter();
        each.map(|one| (one.name, one.local + "@" + &one.domain)).collect()
    }

    #[test]
    fn addresses_are_read() {
        let text = "\"Doe, \\\"J\\\"\" <j@a.org>, Eve (of (b)) <e@b.org>, x@c.org, Team: y@d.org, z@d.org;";
        assert_eq!(
            list(text),
            [
                (Some("Doe, \"J\"".into()), "j@a.org".into()),
                (Some("Eve".into()), "e@b.org".into()),
                (None, "x@c.org".into()),
                (None, "y@d.org".into()),
                (None, "z@d.org".into()),
            ]
        );
        for text in ["", "(", "\"", "<", ",,;", "undisclosed-recipients:;", "\\"] {
            assert!(list(text).len() <= 1, "{text}");
        }
    }

    #[test]
    fn fields_are_unfolded() {
        let mail = b"A: 1\r\nSubject: one\r\n two\r\n\tthree\r\nB: 2\r\n\r\nSubject: no";
        assert_eq!(field(mail, "subject").unwrap(), b"one two\tthree");
        assert_eq!(field(mail, "C"), None);
        assert_eq!(split(mail).1, b"Subject: no");
        assert_eq!(split(b"\r\nbody"), (b"\r\n".as_slice(), b"body".as_slice()));
        assert_eq!(lines_of(split(mail).0).len(), 4);
    }
}
