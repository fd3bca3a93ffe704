//! ENVELOPE, BODY and BODYSTRUCTURE (RFC 9051 section 7.5.2).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::nstring;
use crate::testing::mail::{Part, Structure, addresses, field, typed};

/// The envelope of a message, from its header.
pub(super) fn envelope(content: &[u8]) -> Vec<u8> {
    let text = |name: &str| nstring(field(content, name).as_deref());
    let list = |name: &str| field(content, name).map(|value| address_list(&value));
    let nil = || b"NIL".to_vec();
    let from = list("From").unwrap_or_else(nil);
    let fields = [
        text("Date"),
        text("Subject"),
        from.clone(),
        // Who sends and who is answered is the author, where nobody else is named.
        list("Sender").unwrap_or_else(|| from.clone()),
        list("Reply-To").unwrap_or(from),
        list("To").unwrap_or_else(nil),
        list("Cc").unwrap_or_else(nil),
        list("Bcc").unwrap_or_else(nil),
        text("In-Reply-To"),
        text("Message-ID"),
    ];
    [b"(".as_slice(), &fields.join(&b' '), b")"].concat()
}

fn address_list(value: &[u8]) -> Vec<u8> {
    let each: Vec<Vec<u8>> = addresses(value)
        .into_iter()
        .map(|one| {
            let name = nstring(one.name.as_deref().map(str::as_bytes));
            let (local, domain) =
                (nstring(Some(one.local.as_bytes())), nstring(Some(one.domain.as_bytes())));
            [b"(".as_slice(), &name, b" NIL ", &local, b" ", &domain, b")"].concat()
        })
        .collect();
    if each.is_empty() { b"NIL".to_vec() } else { [b"(".as_slice(), &each.concat(), b")"].concat() }
}

/// The structure of a part; with `extended`, as BODYSTRUCTURE has it.
pub(super) fn structure(part: &Part<'_>, extended: bool) -> Vec<u8> {
    let mut fields: Vec<Vec<u8>> = Vec::new();
    if let Structure::Multipart(parts) = &part.inner {
        fields.push(parts.iter().flat_map(|inner| structure(inner, extended)).collect());
        fields.push(quoted(&part.subtype));
        if extended {
            fields.push(parameters(&part.parameters));
            fields.extend(extension(part));
        }
        return [b"(".as_slice(), &fields.join(&b' '), b")"].concat();
    }
    let is_broken = part.kind == "MULTIPART";
    let (kind, subtype) =
        if is_broken { ("TEXT", "PLAIN") } else { (part.kind.as_str(), part.subtype.as_str()) };
    fields.extend([quoted(kind), quoted(subtype), parameters(&part.parameters)]);
    fields.push(nstring(part.field("Content-ID").as_deref().map(str::as_bytes)));
    fields.push(nstring(part.field("Content-Description").as_deref().map(str::as_bytes)));
    fields.extend([quoted(&part.encoding()), number(part.body.len())]);
    if let Structure::Message(message) = &part.inner {
        fields.extend([envelope(part.body), structure(message, extended)]);
    }
    if kind == "TEXT" || matches!(part.inner, Structure::Message(_)) {
        fields.push(number(part.body.iter().filter(|octet| **octet == b'\n').count()));
    }
    if extended {
        fields.push(nstring(part.field("Content-MD5").as_deref().map(str::as_bytes)));
        fields.extend(extension(part));
    }
    [b"(".as_slice(), &fields.join(&b' '), b")"].concat()
}

/// Disposition, language and location.
fn extension(part: &Part<'_>) -> [Vec<u8>; 3] {
    let disposition = part.field("Content-Disposition").and_then(|value| typed(&value));
    let disposition = disposition.map(|(name, values)| {
        [b"(".as_slice(), &quoted(&name), b" ", &parameters(&values), b")"].concat()
    });
    [
        disposition.unwrap_or_else(|| b"NIL".to_vec()),
        nstring(part.field("Content-Language").as_deref().map(str::as_bytes)),
        nstring(part.field("Content-Location").as_deref().map(str::as_bytes)),
    ]
}

fn parameters(parameters: &[(String, String)]) -> Vec<u8> {
    if parameters.is_empty() {
        return b"NIL".to_vec();
    }
    let each: Vec<Vec<u8>> =
        parameters.iter().flat_map(|(name, value)| [quoted(name), quoted(value)]).collect();
    [b"(".as_slice(), &each.join(&b' '), b")"].concat()
}

fn quoted(text: &str) -> Vec<u8> {
    nstring(Some(text.as_bytes()))
}

fn number(number: usize) -> Vec<u8> {
    format!("{number}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(octets: Vec<u8>) -> String {
        String::from_utf8(octets).unwrap()
    }

    #[test]
    fn an_envelope_has_its_ten_fields() {
        let mail =
            b"Date: D\r\nSubject: a \"b\"\r\nFrom: Joe <joe@a.org>\r\nTo: x@b.org, y@b.org\r\n\r\n";
        assert_eq!(
            text(envelope(mail)),
            "(\"D\" \"a \\\"b\\\"\" ((\"Joe\" NIL \"joe\" \"a.org\")) ((\"Joe\" NIL \"joe\" \"a.org\")) \
             ((\"Joe\" NIL \"joe\" \"a.org\")) ((NIL NIL \"x\" \"b.org\")(NIL NIL \"y\" \"b.org\")) NIL NIL NIL NIL)"
        );
    }

    #[test]
    fn a_structure_tells_its_parts() {
        let mail = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: image/png; name=x.png\r\n\
            Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"x.png\"\r\n\r\nAAAA\r\n--b--\r\n";
        assert_eq!(
            text(structure(&Part::read(mail), true)),
            "((\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 3 0 NIL NIL NIL NIL)(\"IMAGE\" \"PNG\" (\"NAME\" \"x.png\") NIL NIL \"BASE64\" \
             4 NIL (\"ATTACHMENT\" (\"FILENAME\" \"x.png\")) NIL NIL) \"MIXED\" (\"BOUNDARY\" \"b\") NIL NIL NIL)"
        );
        assert_eq!(
            text(structure(&Part::read(b"\r\nx"), false)),
            "(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 1 0)"
        );
    }
}
