//! Words and bodies that are encoded (RFC 2045, RFC 2047), for searches. What cannot be decoded stays as it is.

use alloc::string::String;
use alloc::vec::Vec;

use crate::sasl::decode_lenient;

/// A header's value as a reader sees it.
pub(in crate::testing) fn header_text(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let mut read = String::new();
    let mut rest: &str = &text;
    let mut behind_word = false;
    while let Some((before, behind)) = rest.split_once("=?") {
        // RFC 2047 section 6.2: white space between two encoded words is none.
        if !(behind_word && before.trim().is_empty()) {
            read.push_str(before);
        }
        match word(behind) {
            Some((decoded, after)) => {
                read.push_str(&decoded);
                rest = after;
                behind_word = true;
            }
            None => {
                read.push_str("=?");
                rest = behind;
                behind_word = false;
            }
        }
    }
    read.push_str(rest);
    read
}

/// One encoded word, behind its `=?`, and what follows it.
fn word(text: &str) -> Option<(String, &str)> {
    let (charset, text) = text.split_once('?')?;
    let (encoding, text) = text.split_once('?')?;
    let (encoded, after) = text.split_once("?=")?;
    let octets = match encoding {
        "B" | "b" => decode_lenient(encoded)?,
        "Q" | "q" => quoted_printable(encoded.replace('_', "=20").as_bytes()),
        _ => return None,
    };
    Some((characters(charset, &octets), after))
}

fn characters(charset: &str, octets: &[u8]) -> String {
    let is_latin = ["iso-8859-1", "iso-8859-15", "windows-1252"]
        .iter()
        .any(|name| name.eq_ignore_ascii_case(charset));
    if is_latin {
        return octets.iter().map(|octet| char::from(*octet)).collect();
    }
    String::from_utf8_lossy(octets).into_owned()
}

/// The text of a body, by its transfer encoding and its charset.
pub(in crate::testing) fn body_text(encoding: &str, charset: &str, body: &[u8]) -> String {
    if encoding.eq_ignore_ascii_case("base64") {
        let digits: Vec<u8> =
            body.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
        let decoded = core::str::from_utf8(&digits).ok().and_then(decode_lenient);
        return characters(charset, decoded.as_deref().unwrap_or(body));
    }
    if encoding.eq_ignore_ascii_case("quoted-printable") {
        return characters(charset, &quoted_printable(body));
    }
    characters(charset, body)
}

/// RFC 2045 section 6.7; a line's end behind `=` is none.
fn quoted_printable(text: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'=' {
            octets.push(*first);
        } else if let Some(after) = behind.strip_prefix(b"\r\n").or(behind.strip_prefix(b"\n")) {
            rest = after;
        } else if let [high, low, after @ ..] = behind
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            octets.push(high << 4 | low);
            rest = after;
        } else {
            octets.push(b'=');
        }
    }
    octets
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words_are_read() {
        for (value, text) in [
            ("=?utf-8?q?Gr=C3=BC=C3=9Fe_an?= =?UTF-8?B?IGFsbGU=?=", "Grüße an alle"),
            ("Re: =?iso-8859-1?Q?caf=E9?= x", "Re: café x"),
            ("no =?word", "no =?word"),
            ("=?x?y?z?= =? ", "=?x?y?z?= =? "),
        ] {
            assert_eq!(header_text(value.as_bytes()), text);
        }
    }

    #[test]
    fn bodies_are_read() {
        assert_eq!(body_text("quoted-printable", "utf-8", b"a=C3=\r\n=BC=3 =XX="), "aü=3 =XX=");
        assert_eq!(body_text("BASE64", "utf-8", b"aGVs\r\nbG8="), "hello");
        assert_eq!(body_text("base64", "utf-8", b"!"), "!");
        assert_eq!(body_text("7bit", "latin-9", b"plain"), "plain");
    }
}
