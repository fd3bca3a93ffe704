//! A message as it goes over the wire (RFC 5321 sections 2.3.8 and 4.5.2).

use alloc::vec::Vec;

/// With CRLF for each line end, whatever it was, with a second dot where a line begins with one, and with the end. A lone CR or
/// LF in it could be seen as a line end by another server behind this one, which then finds an end of the message in its middle
/// (VU#302671).
pub(super) fn on_the_wire(message: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(message.len().saturating_add(message.len() / 32 + 8));
    let mut rest = message;
    while !rest.is_empty() {
        if rest.first() == Some(&b'.') {
            octets.push(b'.');
        }
        let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        octets.extend_from_slice(line);
        octets.extend_from_slice(b"\r\n");
        rest = after
            .strip_prefix(b"\r\n")
            .or_else(|| after.split_first().map(|(_, after)| after))
            .unwrap_or_default();
    }
    octets.extend_from_slice(b".\r\n");
    octets
}

#[cfg(test)]
mod tests {
    use super::on_the_wire;

    #[test]
    fn every_line_end_is_one_and_the_same_and_there_is_one_end() {
        for (message, expected) in [
            (&b""[..], &b".\r\n"[..]),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b"a", b"a\r\n.\r\n"),
            (b"a\n.\nMAIL FROM:<x>", b"a\r\n..\r\nMAIL FROM:<x>\r\n.\r\n"),
            (b"a\r.\r\nb", b"a\r\n..\r\nb\r\n.\r\n"),
            (b".\r\n..\r\n\n", b"..\r\n...\r\n\r\n.\r\n"),
            (b"a\r\r\nb", b"a\r\n\r\nb\r\n.\r\n"),
        ] {
            assert_eq!(on_the_wire(message), expected, "{:?}", message.escape_ascii());
        }
    }
}
