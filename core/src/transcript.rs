//! The dialogue with a server as lines to show, without the token.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use crate::failure::spelled_enum;
use crate::limits::TRANSCRIPT_LINE_OCTETS_MAX;
use crate::redact::Secrets;
use crate::text::visible;
use crate::token::AccessToken;

spelled_enum! {
    /// Who said a line.
    Side {
        /// The client.
        Client = "C",
        /// The server.
        Server = "S",
    }
}

/// A line of a [`Transcript`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceLine {
    /// Who said it.
    pub side: Side,
    /// What was said, without line end, token and hidden characters.
    pub text: String,
}

/// Turns the octets of one connection into lines that may be logged: the token of its login is masked wherever a server
/// repeats it, however the octets were cut on their way, and so are control characters.
///
/// A line comes out when its end has come. Of a line longer than [`TRANSCRIPT_LINE_OCTETS_MAX`] octets only the start is shown.
///
/// ```
/// use mailbearer::{AccessToken, Side, TraceLine, Transcript};
/// let mut transcript = Transcript::new(&AccessToken::new("ya29.a0AfH6SMB")?);
/// let sent = transcript.sent(b"A1 AUTHENTICATE XOAUTH2 dXNlcj1q\r\n", true);
/// assert_eq!(sent[0].text, "A1 AUTHENTICATE XOAUTH2 <token, 8 octets>");
/// assert_eq!(transcript.received(b"A1 BAD unknown: ya29.a0"), []);
/// let text = String::from("A1 BAD unknown: <token>");
/// assert_eq!(transcript.received(b"AfH6SMB\r\n"), [TraceLine { side: Side::Server, text }]);
/// # Ok::<(), mailbearer::ConfigError>(())
/// ```
pub struct Transcript {
    secrets: Secrets,
    client: Line,
    server: Line,
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcript").finish_non_exhaustive()
    }
}

impl Transcript {
    /// A transcript of one connection, whose login uses this token.
    #[must_use]
    pub fn new(token: &AccessToken) -> Self {
        Self { secrets: Secrets::of(token), client: Line::default(), server: Line::default() }
    }

    /// Takes what was written. Where it is `sensitive`, the last word of a line is the token.
    pub fn sent(&mut self, bytes: &[u8], sensitive: bool) -> Vec<TraceLine> {
        Self::take(&self.secrets, &mut self.client, Side::Client, bytes, sensitive)
    }

    /// Takes what one read brought.
    pub fn received(&mut self, bytes: &[u8]) -> Vec<TraceLine> {
        Self::take(&self.secrets, &mut self.server, Side::Server, bytes, false)
    }

    /// Gives out lines that have no end yet: before a TLS handshake, and when the dialogue is over.
    pub fn flush(&mut self) -> Vec<TraceLine> {
        let mut lines = Vec::new();
        for (side, line) in [(Side::Server, &mut self.server), (Side::Client, &mut self.client)] {
            if line.octets > 0 {
                let text = core::mem::take(line).shown(&self.secrets);
                lines.push(TraceLine { side, text });
            }
        }
        lines
    }

    fn take(
        secrets: &Secrets,
        line: &mut Line,
        side: Side,
        bytes: &[u8],
        sensitive: bool,
    ) -> Vec<TraceLine> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|octet| *octet == b'\n') {
            let content = piece.strip_suffix(b"\n");
            line.extend(content.unwrap_or(piece), sensitive);
            if content.is_some() {
                let mut whole = core::mem::take(line);
                whole.drop_return();
                lines.push(TraceLine { side, text: whole.shown(secrets) });
            }
        }
        lines
    }
}

/// A line, or as much of it as has come.
#[derive(Default)]
struct Line {
    /// Its first octets.
    start: Zeroizing<Vec<u8>>,
    /// All of them.
    octets: usize,
    /// The last one.
    last: Option<u8>,
    sensitive: bool,
}

impl Line {
    fn extend(&mut self, piece: &[u8], sensitive: bool) {
        let room = TRANSCRIPT_LINE_OCTETS_MAX.saturating_sub(self.start.len());
        self.start.extend_from_slice(piece.get(..room).unwrap_or(piece));
        self.octets = self.octets.saturating_add(piece.len());
        self.last = piece.last().copied().or(self.last);
        self.sensitive |= sensitive;
    }

    /// The CR of CRLF, which a cut may have parted from its LF.
    fn drop_return(&mut self) {
        if self.last == Some(b'\r') {
            self.octets = self.octets.saturating_sub(1);
            self.start.truncate(self.octets);
        }
    }

    fn shown(&self, secrets: &Secrets) -> String {
        if self.sensitive {
            let end = self.start.iter().rposition(|octet| *octet == b' ');
            let command = self.start.get(..=end.unwrap_or(0)).filter(|_| end.is_some());
            let command = command.unwrap_or_default();
            let shown = secrets.redact(visible(command));
            let octets = self.octets.saturating_sub(command.len());
            return format!("{shown}<token, {octets} octets>");
        }
        let text = visible(&self.start);
        if self.start.len() == self.octets {
            return secrets.redact(text);
        }
        let start = secrets.redact_start(&text);
        format!("{start} <cut: a line of {} octets>", self.octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sasl;
    use alloc::string::ToString;

    const TOKEN: &str = "ya29.a0AfH6SMBx-Zq7_kP3w~Q9+RtLmN/uVbC2d==";

    fn transcript() -> Transcript {
        Transcript::new(&AccessToken::new(TOKEN).unwrap())
    }

    fn texts(lines: &[TraceLine]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn an_echo_is_masked_at_every_cut() {
        let message = sasl::encode(format!("user=joe\x01auth=Bearer {TOKEN}\x01\x01").as_bytes());
        let said = format!("535-no: {TOKEN}\r\n\r\n535 no: AUTH XOAUTH2 {message}!\r\n");
        let mut whole = transcript().received(said.as_bytes());
        assert_eq!(
            texts(&whole),
            [
                "535-no: <token>",
                "",
                "535 no: AUTH XOAUTH2 dXNlcj1qb2UBYXV0aD1CZWFyZXIg<token>AQE=!"
            ]
        );
        whole.push(TraceLine { side: Side::Server, text: "rest".to_string() });
        for octets in 1..said.len() {
            let mut cut = transcript();
            let mut lines = Vec::new();
            for piece in [said.as_bytes(), b"rest"].concat().chunks(octets) {
                lines.extend(cut.received(piece));
            }
            lines.extend(cut.flush());
            assert_eq!(lines, whole, "in pieces of {octets}");
            assert_eq!(cut.flush(), []);
        }
    }

    #[test]
    fn what_the_client_sends_is_shown_but_for_the_token() {
        let mut transcript = transcript();
        let lines = transcript.sent(b"A1 CAPABILITY\r\nA2 NOOP\r\n", false);
        assert_eq!(texts(&lines), ["A1 CAPABILITY", "A2 NOOP"]);
        assert!(lines.iter().all(|line| line.side == Side::Client));
        for pieces in [&["AUTH XOAUTH2 c2VjcmV0\r\n"][..], &["AUTH XOAUTH2 c2V", "jcmV0\r", "\n"]] {
            let lines = pieces.iter().flat_map(|piece| transcript.sent(piece.as_bytes(), true));
            let lines: Vec<TraceLine> = lines.collect();
            assert_eq!(texts(&lines), ["AUTH XOAUTH2 <token, 8 octets>"]);
        }
        assert_eq!(texts(&transcript.sent(b"c2VjcmV0\r\n", true)), ["<token, 8 octets>"]);
        assert_eq!(texts(&transcript.sent(b"\r\n", false)), [""]);
        let twice = format!("AUTH {TOKEN} {}\r\n", "c2Vj".repeat(3_000));
        let lines = transcript.sent(twice.as_bytes(), true);
        assert_eq!(texts(&lines), ["AUTH <token> <token, 12000 octets>"]);
    }

    #[test]
    fn each_side_has_its_own_line() {
        let mut transcript = transcript();
        assert_eq!(transcript.received(b"+ "), []);
        assert_eq!(texts(&transcript.sent(b"AQ==\r\n", false)), ["AQ=="]);
        assert_eq!(transcript.sent(b"half", false), []);
        let lines = transcript.flush();
        assert_eq!(texts(&lines), ["+ ", "half"]);
        assert_eq!([lines[0].side, lines[1].side], [Side::Server, Side::Client]);
    }

    #[test]
    fn nothing_hidden_is_shown() {
        let lines = transcript().received(b"a\x1b[2J\0b\rc \xe2\x80\xae\xff\n");
        assert_eq!(texts(&lines), ["a [2J b c  \u{fffd}"]);
        // What stands between the characters of a token does not part it.
        let apart = TOKEN.chars().map(|one| format!("{one}\u{ad}")).collect::<String>();
        let lines = transcript().received(format!("{apart}\n").as_bytes());
        assert_eq!(texts(&lines), ["<token> "]);
    }

    #[test]
    fn a_long_line_is_cut_before_any_part_of_a_token() {
        for tokens in [TOKEN.to_string(), sasl::encode(TOKEN.as_bytes()), TOKEN.replace('+', "%2B")]
        {
            for start in TRANSCRIPT_LINE_OCTETS_MAX - 120..=TRANSCRIPT_LINE_OCTETS_MAX {
                let said = format!("{}{tokens}, and more\r\n", " ".repeat(start));
                let mut transcript = transcript();
                let mut lines = transcript.received(said.as_bytes());
                let text = lines.pop().unwrap().text;
                let shown = text.trim_start();
                assert!(
                    shown == format!("<token> <cut: a line of {} octets>", said.len() - 2)
                        || shown.starts_with("<cut: a line of ")
                        || shown.starts_with("<token>, <cut: ")
                        || shown == "<token>, and more",
                    "{start}: {shown}"
                );
            }
        }
    }

    #[test]
    fn is_bounded() {
        let mut transcript = transcript();
        for _ in 0..100 {
            assert_eq!(transcript.received(&[b'x'; 1_000]), []);
        }
        assert_eq!(transcript.server.start.len(), TRANSCRIPT_LINE_OCTETS_MAX);
        let lines = transcript.received(b"\r\n* OK\r\n");
        assert!(lines[0].text.ends_with("x <cut: a line of 100000 octets>"));
        assert_eq!(lines[0].text.find(' '), Some(TRANSCRIPT_LINE_OCTETS_MAX - 8));
        assert_eq!(lines[1].text, "* OK");
        let longest = [b'x'; TRANSCRIPT_LINE_OCTETS_MAX];
        let lines = transcript.received(&[&longest[..], b"\n"].concat());
        assert_eq!(lines[0].text.len(), TRANSCRIPT_LINE_OCTETS_MAX);
    }

    #[test]
    fn its_debug_output_holds_nothing() {
        let mut transcript = transcript();
        let _ = transcript.received(TOKEN.as_bytes());
        assert_eq!(format!("{transcript:?}"), "Transcript { .. }");
    }
}
