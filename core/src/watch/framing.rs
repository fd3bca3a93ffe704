//! Cuts streams that carry message content: lines of any length, of which only the start is kept, and the lone dot.

use alloc::vec::Vec;

use crate::limits::WATCHED_LINE_OCTETS_MAX;

/// Octets at the end of a line that are enough for the size of a literal: `{18446744073709551615+}`.
const TAIL_OCTETS: usize = 24;

/// Octets of CRLF: they are kept with a line and not shown.
const LINE_END_OCTETS: usize = 2;

/// A line, or as much of it as matters.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// The first octets, without the line end.
    pub(super) start: &'a [u8],
    /// The last octets, without the line end.
    pub(super) end: &'a [u8],
}

/// Octets of a start that are kept, and of what is behind them: a line end may be among them.
const START_OCTETS_MAX: usize = WATCHED_LINE_OCTETS_MAX.saturating_add(LINE_END_OCTETS);
const TAIL_OCTETS_MAX: usize = TAIL_OCTETS.saturating_add(LINE_END_OCTETS);

/// Keeps the start of a line whose end has not come, and the last octets of one that is longer.
#[derive(Debug, Clone, Default)]
pub(super) struct LongLines {
    kept: Vec<u8>,
}

impl LongLines {
    /// Takes a line off the front of `input` and shows it; `None` when its end has not come.
    ///
    /// Lines end in LF: after login, mail clients live with servers that leave out the CR, and so must this.
    pub(super) fn take<T>(
        &mut self,
        input: &mut &[u8],
        show: impl FnOnce(Line<'_>) -> T,
    ) -> Option<T> {
        let Some(end) = memchr::memchr(b'\n', input) else {
            self.keep(input);
            *input = &[];
            return None;
        };
        let (piece, rest) = input.split_at(end.saturating_add(1));
        *input = rest;
        let kept;
        let line = if self.kept.is_empty() {
            piece
        } else {
            self.keep(piece);
            kept = core::mem::take(&mut self.kept);
            &kept
        };
        // Called in one place, so that it is made part of this loop.
        Some(show(Line::of(line)))
    }

    /// Whether a line has begun.
    pub(super) fn is_within(&self) -> bool {
        !self.kept.is_empty()
    }

    fn keep(&mut self, piece: &[u8]) {
        let room = START_OCTETS_MAX.saturating_sub(self.kept.len());
        let (into_start, beyond) = piece.split_at(room.min(piece.len()));
        self.kept.extend_from_slice(into_start);
        let from = beyond.len().saturating_sub(TAIL_OCTETS_MAX);
        self.kept.extend_from_slice(beyond.get(from..).unwrap_or_default());
        let tail_octets = self.kept.len().saturating_sub(START_OCTETS_MAX);
        if let Some(excess) = tail_octets.checked_sub(TAIL_OCTETS_MAX) {
            self.kept.drain(START_OCTETS_MAX..START_OCTETS_MAX.saturating_add(excess));
        }
    }
}

impl<'a> Line<'a> {
    /// The same of a line that came in one read as of one that came in many.
    fn of(line: &'a [u8]) -> Self {
        let line = without_line_end(line);
        match line.get(..WATCHED_LINE_OCTETS_MAX) {
            Some(start) if start.len() < line.len() => Self { start, end: last(line) },
            Some(_) | None => Self { start: line, end: line },
        }
    }
}

fn last(line: &[u8]) -> &[u8] {
    line.get(line.len().saturating_sub(TAIL_OCTETS)..).unwrap_or_default()
}

fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// What ends message content in POP3 and SMTP.
const END: &[u8] = b"\r\n.\r\n";

/// Finds the lone dot at the end of message content (RFC 1939 section 3, RFC 5321 section 4.1.1.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DotEnd {
    /// How much of `END` the octets so far end in.
    matched: usize,
}

impl DotEnd {
    /// Content starts at the beginning of a line: the CRLF before it counts.
    pub(super) const fn new() -> Self {
        Self { matched: 2 }
    }

    /// Takes content off the front of `input`; true when its end was found.
    pub(super) fn take(&mut self, input: &mut &[u8]) -> bool {
        while self.matched > 0 {
            let Some((&octet, rest)) = input.split_first() else { return false };
            *input = rest;
            self.step(octet);
            if self.matched == END.len() {
                return true;
            }
        }
        if let Some(at) = memchr::memmem::find(input, END) {
            let (_, rest) = input.split_at(at.saturating_add(END.len()));
            *input = rest;
            return true;
        }
        let from = input.len().saturating_sub(END.len());
        for &octet in input.get(from..).unwrap_or_default() {
            self.step(octet);
        }
        *input = &[];
        false
    }

    /// Where the pattern breaks off, it can begin anew with this octet only: it has no other CR that CRLF does not follow.
    fn step(&mut self, octet: u8) {
        self.matched = if END.get(self.matched) == Some(&octet) {
            self.matched.saturating_add(1)
        } else {
            usize::from(octet == b'\r')
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts_and_ends(pieces: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut lines = LongLines::default();
        let mut found = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            while let Some(line) =
                lines.take(&mut input, |line| (line.start.to_vec(), line.end.to_vec()))
            {
                found.push(line);
            }
        }
        found
    }

    #[test]
    fn of_a_line_in_many_reads_no_more_is_kept_than_its_start_and_its_end() {
        let mut lines = LongLines::default();
        for piece in [&b"0123456789"[..], &[b'x'; 700]].into_iter().cycle().take(400) {
            let mut input = piece;
            assert!(lines.take(&mut input, |_| ()).is_none());
            assert!(lines.kept.len() <= START_OCTETS_MAX + TAIL_OCTETS_MAX);
        }
        let mut input = &b"{310}\r\n"[..];
        let end = lines.take(&mut input, |line| line.end.to_vec()).unwrap();
        assert!(end.ends_with(b"x{310}"), "{end:?}");
    }

    #[test]
    fn a_line_is_the_same_at_every_cut() {
        let text = b"one\r\ntwo\nthree {5}\r\n";
        let whole = starts_and_ends(&[text]);
        for cut in 0..=text.len() {
            assert_eq!(starts_and_ends(&[&text[..cut], &text[cut..]]), whole);
        }
    }

    #[test]
    fn a_long_line_keeps_its_start_and_its_end() {
        let mut text = alloc::vec![b'a'; WATCHED_LINE_OCTETS_MAX * 3];
        text.extend_from_slice(b" {123}\r\n");
        for cut in [
            1,
            WATCHED_LINE_OCTETS_MAX - 1,
            WATCHED_LINE_OCTETS_MAX,
            WATCHED_LINE_OCTETS_MAX + 1,
            text.len() - 3,
        ] {
            let found = starts_and_ends(&[&text[..cut], &text[cut..]]);
            assert_eq!(found.len(), 1);
            assert!(found[0].1.ends_with(b" {123}"), "{cut}");
        }
    }

    #[test]
    fn a_line_about_as_long_as_is_kept_is_the_same_at_every_cut() {
        for octets in WATCHED_LINE_OCTETS_MAX - 3..=WATCHED_LINE_OCTETS_MAX + 30 {
            for end in [b"\n".as_slice(), b"\r\n", b" {18446744073709551615+}\r\n"] {
                let text = [&alloc::vec![b'a'; octets], end].concat();
                let whole = starts_and_ends(&[&text]);
                assert!(whole[0].0.len() <= WATCHED_LINE_OCTETS_MAX);
                assert_eq!(whole[0].1.ends_with(b"{18446744073709551615+}"), end.len() > 2);
                for cut in (0..=text.len()).filter(|cut| *cut < 3 || *cut + 60 > octets) {
                    let found = starts_and_ends(&[&text[..cut], &text[cut..]]);
                    assert_eq!(found, whole, "{octets} octets, cut at {cut}");
                }
            }
        }
    }

    /// Octets up to and with the end, by hand.
    fn slow(text: &[u8]) -> Option<usize> {
        let all = [b"\r\n".as_slice(), text].concat();
        all.windows(5).position(|window| window == END).map(|at| at + 5 - 2)
    }

    #[test]
    fn finds_the_lone_dot_at_every_cut() {
        for text in [
            b".\r\nrest".as_slice(),
            b"a\r\n.\r\nrest",
            b"a\r\n..\r\nb\r\n.\r\n",
            b"\r\n\r\n.\r\r\n.\r\n",
            b"a.\r\n\r\n.\r\n",
            b"\r\n.\n.\r\n\r\n.\r\n",
            b"never",
            b"\r\n.\r",
        ] {
            for cut in 0..=text.len() {
                let mut end = DotEnd::new();
                let mut consumed = 0;
                let mut found = None;
                for piece in [&text[..cut], &text[cut..]] {
                    let mut input = piece;
                    if found.is_none() {
                        let hit = end.take(&mut input);
                        consumed += piece.len() - input.len();
                        found = hit.then_some(consumed);
                    }
                }
                assert_eq!(found, slow(text), "{:?} at {cut}", core::str::from_utf8(text));
            }
        }
    }

    #[test]
    fn a_dot_that_is_not_alone_ends_nothing() {
        for (text, ended) in [
            ("\r\n.\r\n", true),
            (".\r\n", true),
            ("\r\n.\r\r\n.\r\n", true),
            ("\r\r\n.\r\n", true),
            ("\r\n\r\n.\r\n", true),
            ("..\r\n", false),
            ("a.\r\n", false),
            ("\n.\n", false),
            ("\r\n.\r.\r\n", false),
            ("\r\n.\n\r\n", false),
        ] {
            for cut in 0..=text.len() {
                let mut end = DotEnd::new();
                let (mut first, mut second) = text.as_bytes().split_at(cut);
                let found = end.take(&mut first) || end.take(&mut second);
                assert_eq!(found, ended, "{text:?} cut at {cut}");
                assert!(second.is_empty());
            }
        }
    }
}
