//! Cuts a stream of octets into lines that end in CRLF, without rescanning and with a bound.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::limits::LINE_OCTETS_MAX;

/// Why octets are no line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineFault {
    /// Longer than [`LINE_OCTETS_MAX`].
    TooLong,
    /// A line that ends in LF alone, or a CR inside a line. RFC 5321 section 2.3.8 and RFC 9051 section 2.2 allow
    /// neither, and readers that differ here can be made to see different lines (VU#302671).
    BareLineEnd,
    /// NUL, or a control character at the start: no text protocol speaks so.
    Binary,
    /// The first octet is that of a TLS record (RFC 8446 section 5.1): the peer is in TLS already.
    TlsRecord,
}

/// Keeps the start of a line whose end has not come.
#[derive(Debug, Default)]
pub(crate) struct LineReader {
    partial: Vec<u8>,
}

impl LineReader {
    /// Takes the next line off the front of `input`, without its CRLF; `None` when its end has not come yet, and all of
    /// `input` is kept then.
    pub(crate) fn take<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<Cow<'a, [u8]>>, LineFault> {
        let (piece, rest, ended) = match memchr::memchr(b'\n', input) {
            Some(end) => {
                let (piece, rest) = input.split_at(end.saturating_add(1));
                (piece, rest, true)
            }
            None => (*input, [].as_slice(), false),
        };
        let room = LINE_OCTETS_MAX.saturating_sub(self.partial.len());
        if let Some((within, [_, ..])) = piece.split_at_checked(room) {
            // The fault that comes first counts, at any cut.
            self.partial.extend_from_slice(within);
            check_start(&self.partial)?;
            return Err(LineFault::TooLong);
        }
        *input = rest;
        let line = if self.partial.is_empty() && ended {
            Cow::Borrowed(piece)
        } else {
            self.partial.extend_from_slice(piece);
            if !ended {
                check_start(&self.partial)?;
                return Ok(None);
            }
            Cow::Owned(core::mem::take(&mut self.partial))
        };
        check_start(&line)?;
        without_line_end(line).map(Some)
    }
}

/// Judged on the first octets already, since a peer that speaks TLS or another protocol may never send a line end.
fn check_start(line: &[u8]) -> Result<(), LineFault> {
    if line.first().is_some_and(|octet| matches!(octet, 20..=23)) {
        return Err(LineFault::TlsRecord);
    }
    let starts_binary =
        line.first().is_some_and(|octet| *octet < b' ' && !matches!(octet, b'\r' | b'\n' | b'\t'));
    if starts_binary || memchr::memchr(0, line).is_some() {
        return Err(LineFault::Binary);
    }
    Ok(())
}

fn without_line_end(line: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, LineFault> {
    let length = line.strip_suffix(b"\r\n").ok_or(LineFault::BareLineEnd)?.len();
    let line = match line {
        Cow::Borrowed(octets) => Cow::Borrowed(octets.get(..length).unwrap_or_default()),
        Cow::Owned(mut octets) => {
            octets.truncate(length);
            Cow::Owned(octets)
        }
    };
    if memchr::memchr(b'\r', &line).is_some() {
        return Err(LineFault::BareLineEnd);
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, LineFault> {
        let mut reader = LineReader::default();
        let mut found = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            while let Some(line) = reader.take(&mut input)? {
                found.push(line.into_owned());
            }
        }
        Ok(found)
    }

    #[test]
    fn gives_the_same_lines_at_every_cut() {
        let text = b"* OK one\r\n\r\nthree \xe2\x80\xa8 \x85\x0b\r\n";
        let whole = lines(&[text]).unwrap();
        assert_eq!(whole.len(), 3);
        for cut in 0..text.len() {
            assert_eq!(lines(&[&text[..cut], &text[cut..]]).unwrap(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn refuses_every_line_end_but_crlf() {
        for bad in [b"a\n".as_slice(), b"a\rb\r\n", b"a\r\r\n", b"\n"] {
            assert_eq!(lines(&[bad]), Err(LineFault::BareLineEnd), "{bad:?}");
        }
    }

    #[test]
    fn refuses_binary_before_a_line_end_comes() {
        assert_eq!(lines(&[b"\x01\x03\x01"]), Err(LineFault::Binary));
        assert_eq!(lines(&[b"+OK a\0b"]), Err(LineFault::Binary));
    }

    #[test]
    fn knows_a_tls_record_by_its_first_octet() {
        for octet in 0..=0x1f_u8 {
            let fault = match octet {
                b'\t' | b'\r' | b'\n' => continue,
                20..=23 => LineFault::TlsRecord,
                _ => LineFault::Binary,
            };
            assert_eq!(lines(&[&[octet, 3, 1]]), Err(fault), "{octet}");
        }
        assert_eq!(lines(&[b"a\x16\r\n"]).unwrap(), [b"a\x16"]);
    }

    #[test]
    fn names_the_fault_that_comes_first_at_any_cut() {
        for (at, fault) in
            [(0, LineFault::Binary), (9, LineFault::Binary), (LINE_OCTETS_MAX, LineFault::TooLong)]
        {
            let mut text = [b'a'; LINE_OCTETS_MAX + 9];
            text[at] = 0;
            for cut in [0, 1, 10, LINE_OCTETS_MAX, LINE_OCTETS_MAX + 1] {
                assert_eq!(
                    lines(&[&text[..cut], &text[cut..]]),
                    Err(fault),
                    "NUL at {at}, cut at {cut}"
                );
            }
        }
    }

    #[test]
    fn is_bounded_to_the_octet() {
        let mut most = [b'a'; LINE_OCTETS_MAX];
        most[LINE_OCTETS_MAX - 2] = b'\r';
        most[LINE_OCTETS_MAX - 1] = b'\n';
        assert!(lines(&[&most]).is_ok());
        assert_eq!(lines(&[b"b", &most]), Err(LineFault::TooLong));
        assert_eq!(lines(&[&[b'a'; LINE_OCTETS_MAX], b"b"]), Err(LineFault::TooLong));
    }

    #[test]
    fn a_line_may_begin_with_a_space_or_a_tab() {
        assert_eq!(lines(&[b" a\r\n\tb\r\n"]).unwrap(), [b" a", b"\tb"]);
        assert_eq!(lines(&[b"\x1fa\r\n"]), Err(LineFault::Binary));
    }
}
