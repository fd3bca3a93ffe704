//! Takes a token out of text that a server sent back, and nothing but the token.
//!
//! Servers were seen to repeat the line that they refuse: whole or cut short, folded, in upper case, with percent signs. So
//! a text is read as the characters that a token is written with, whatever stands between them, and where eight of them in
//! a row are a part of the token, plain or in base64, they are masked.

mod source;

use alloc::string::String;
use alloc::vec::Vec;

pub use source::redact_source;

use zeroize::Zeroizing;

use crate::sasl;
use crate::token::AccessToken;

/// Octets of a token that must not be readable in a row: fewer are found by chance.
const FRAGMENT_OCTETS: usize = 8;

/// What stands in place of a token.
const MASK: &str = "<token>";

/// A token in every form in which a server may send it back. The user, the host and the words around it in our own message
/// are no secret.
pub(crate) struct Secrets {
    /// Folded.
    forms: Vec<Zeroizing<Vec<u8>>>,
    /// The octets of a window that count: fewer than eight where the token has no more.
    significant: u64,
}

impl Secrets {
    pub(crate) fn of(token: &AccessToken) -> Self {
        let token = token.expose();
        let mut forms = Vec::from([folded(token)]);
        if token.len() >= FRAGMENT_OCTETS {
            forms.extend((0..3).map(|before| in_base64(token, before)));
        }
        let missing = FRAGMENT_OCTETS.saturating_sub(token.len());
        let significant = u64::MAX.checked_shr(8 * missing as u32).unwrap_or_default();
        Self { forms, significant }
    }

    /// Masks in one text.
    pub(crate) fn redact(&self, text: String) -> String {
        self.redact_all(Vec::from([text])).pop().unwrap_or_default()
    }

    /// Masks in each of the texts.
    pub(crate) fn redact_all(&self, texts: Vec<String>) -> Vec<String> {
        let spans = self.spans(&texts);
        if spans.is_empty() {
            return texts;
        }
        let texts = texts.iter().enumerate();
        texts.map(|(index, text)| masked(text, index, &spans, text.len())).collect()
    }

    /// Masks in a text that was cut off, and takes away its end, where a token may begin that cannot be told yet.
    pub(crate) fn redact_start(&self, text: &str) -> String {
        let units = units(text);
        let end = units.get(units.len().saturating_sub(FRAGMENT_OCTETS));
        let end = end.map_or(text.len(), |unit| unit.start);
        masked(text, 0, &self.spans(&[text]), end)
    }

    /// Where parts of the token stand, in order.
    fn spans(&self, texts: &[impl AsRef<str>]) -> Vec<Span> {
        let mut windows = Windows::of(texts, self.significant);
        for form in &self.forms {
            for value in values(form.iter().copied(), self.significant) {
                windows.mark(value);
            }
        }
        let mut spans: Vec<Span> =
            windows.sorted.into_iter().filter(|one| one.secret).map(|one| one.span).collect();
        spans.sort_unstable();
        spans
    }
}

/// Base64 of the token behind so many octets, as in `auth=Bearer TOKEN^A`: each character that holds a bit of it. The 0x01
/// behind it begins with the zeros that end a token with nothing behind it.
fn in_base64(token: &str, before: usize) -> Zeroizing<Vec<u8>> {
    let start = "r ".get(2_usize.saturating_sub(before)..).unwrap_or_default();
    let mut message = Zeroizing::new(Vec::with_capacity(token.len().saturating_add(before)));
    message.extend_from_slice(start.as_bytes());
    message.extend_from_slice(token.as_bytes());
    let encoded = Zeroizing::new(sasl::encode(&message));
    let first = before.saturating_mul(4) / 3;
    folded(encoded.trim_end_matches('=').get(first..).unwrap_or_default())
}

/// A part of a text, in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    text: usize,
    start: usize,
    end: usize,
}

/// The text up to an octet, with a mask in place of each run of spans.
fn masked(text: &str, index: usize, spans: &[Span], end: usize) -> String {
    let mut shown = String::new();
    let mut at = 0;
    for span in spans.iter().filter(|span| span.text == index && span.start < end) {
        if span.start > at || shown.is_empty() {
            shown.push_str(text.get(at..span.start).unwrap_or_default());
            shown.push_str(MASK);
        }
        // The padding of base64 belongs to it.
        let padding = text.get(span.end..).unwrap_or_default();
        let padding = padding.len().saturating_sub(padding.trim_start_matches('=').len());
        at = at.max(span.end.saturating_add(padding));
    }
    shown.push_str(text.get(at..end).unwrap_or_default());
    shown
}

/// A character that a token is written with, and where it stands.
#[derive(Clone, Copy)]
struct Unit {
    octet: u8,
    start: usize,
    end: usize,
}

/// The characters of a text that a token is written with; `%2B` is one of them.
fn units(text: &str) -> Vec<Unit> {
    let mut units = Vec::with_capacity(text.len());
    let mut start = 0;
    while let Some((&octet, rest)) = text.as_bytes().get(start..).and_then(<[u8]>::split_first) {
        let escaped = (octet == b'%').then(|| escaped(rest)).flatten();
        let end = start.saturating_add(if escaped.is_some() { 3 } else { 1 });
        let octet = escaped.unwrap_or(octet);
        if is_token_octet(octet) {
            units.push(Unit { octet, start, end });
        }
        start = end;
    }
    units
}

/// The octet of two hexadecimal digits (RFC 3986 section 2.1).
fn escaped(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| digits.get(at).and_then(|one| char::from(*one).to_digit(16));
    u8::try_from(digit(0)? << 4 | digit(1)?).ok()
}

/// Characters of base64 and of RFC 6750 tokens.
fn is_token_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-._~+/=".contains(&octet)
}

/// The same in any case, and in both alphabets of base64 (RFC 4648 section 5).
fn fold(octet: u8) -> u8 {
    match octet {
        b'-' => b'+',
        b'_' => b'/',
        other => other.to_ascii_lowercase(),
    }
}

fn folded(text: &str) -> Zeroizing<Vec<u8>> {
    let mut octets = Zeroizing::new(Vec::with_capacity(text.len()));
    octets.extend(text.bytes().map(fold));
    octets
}

/// Every window of folded octets, as a number.
fn values(octets: impl Iterator<Item = u8>, significant: u64) -> impl Iterator<Item = u64> {
    let all = octets.scan(0_u64, move |value, octet| {
        *value = (*value << 8 | u64::from(octet)) & significant;
        Some(*value)
    });
    all.skip(before_last(significant))
}

/// Octets of a window before its last one.
fn before_last(significant: u64) -> usize {
    (significant.count_ones() / 8).saturating_sub(1) as usize
}

/// The windows of texts. A token has thousands of them to be looked up: most are known to be missing by one bit.
struct Windows {
    sorted: Vec<Window>,
    bits: [u64; 16],
}

struct Window {
    value: u64,
    span: Span,
    secret: bool,
}

impl Windows {
    fn of(texts: &[impl AsRef<str>], significant: u64) -> Self {
        let mut sorted = Vec::new();
        for (text, content) in texts.iter().enumerate() {
            let units = units(content.as_ref());
            let values = values(units.iter().map(|unit| fold(unit.octet)), significant);
            let spans = units.iter().zip(units.iter().skip(before_last(significant)));
            sorted.extend(values.zip(spans).map(|(value, (first, last))| Window {
                value,
                span: Span { text, start: first.start, end: last.end },
                secret: false,
            }));
        }
        sorted.sort_unstable_by_key(|window: &Window| window.value);
        let mut bits = [0; 16];
        for window in &sorted {
            let (word, bit) = Self::place(window.value);
            if let Some(word) = bits.get_mut(word) {
                *word |= bit;
            }
        }
        Self { sorted, bits }
    }

    /// Marks the windows of this value.
    fn mark(&mut self, value: u64) {
        let (word, bit) = Self::place(value);
        if self.bits.get(word).is_none_or(|word| word & bit == 0) {
            return;
        }
        let first = self.sorted.partition_point(|window| window.value < value);
        let equal = self.sorted.iter_mut().skip(first).take_while(|window| window.value == value);
        // A token may repeat itself: once is enough.
        equal.take_while(|window| !window.secret).for_each(|window| window.secret = true);
    }

    const fn place(value: u64) -> (usize, u64) {
        let hash = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((hash >> 60) as usize, 1 << (hash >> 54 & 63))
    }
}

#[cfg(test)]
#[allow(clippy::string_slice, reason = "the texts are ASCII")]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    const TOKEN: &str = "ya29.a0AfH6SMBx-Zq7_kP3w~Q9+RtLmN/uVbC2d";

    fn secrets(token: &str) -> Secrets {
        Secrets::of(&AccessToken::new(token).unwrap())
    }

    fn redact(text: &str) -> String {
        secrets(TOKEN).redact(text.to_string())
    }

    #[test]
    fn masks_the_whole_and_the_parts() {
        assert_eq!(redact(&format!("AUTH {TOKEN}: no")), "AUTH <token>: no");
        let part = &TOKEN[9..17];
        assert_eq!(redact(&format!("no {part}, not this")), "no <token>, not this");
        assert_eq!(redact(&format!("{TOKEN}{TOKEN}|{TOKEN}")), "<token>|<token>");
        assert_eq!(redact(&format!("token={TOKEN}&a=b")), "token=<token>&a=b");
        let short = &TOKEN[9..16];
        assert_eq!(redact(short), short);
        assert_eq!(redact("nothing here"), "nothing here");
        assert_eq!(redact(""), "");
    }

    #[test]
    fn masks_however_it_is_written() {
        let upper = TOKEN.to_uppercase();
        let escaped = TOKEN.replace('+', "%2B").replace('/', "%2f").replace('~', "%7E");
        let url_safe = sasl::encode(TOKEN.as_bytes()).replace('+', "-").replace('/', "_");
        let lower = sasl::encode(TOKEN.as_bytes()).to_lowercase();
        let json = TOKEN.replace('/', "\\/");
        let apart = TOKEN.chars().map(|one| format!("{one} ")).collect::<String>();
        let folded = format!("{}\r\n {}", &TOKEN[..5], &TOKEN[5..]);
        for written in [&upper, &escaped, &url_safe, &lower, &json, apart.trim_end(), &folded] {
            assert_eq!(redact(&format!("no: {written}.")), "no: <token>.", "{written}");
        }
        let within = format!("%22{TOKEN}%22%0D");
        assert_eq!(redact(&within), "%22<token>%22%0D");
        assert_eq!(redact("100% of it %2 %"), "100% of it %2 %");
    }

    #[test]
    fn what_is_not_the_token_in_our_message_is_shown() {
        for user in ["", "j", "jo", "joe"] {
            let start = format!("user={user}\x01auth=Bearer ");
            let message = sasl::encode(format!("{start}{TOKEN}\x01\x01").as_bytes());
            let shown = redact(&message);
            let (before, behind) = shown.split_once("<token>").unwrap();
            // Whole octets only: the character in which the token begins belongs to it.
            assert_eq!(before.len(), start.len() * 4 / 3, "{shown}");
            assert!(["EB", "BAQ==", "AQE="].contains(&behind), "{shown}");
            let public = sasl::encode(start.as_bytes());
            let public = public.trim_end_matches('=');
            assert_eq!(redact(public), public);
        }
        // Gmail's challenge has `Bearer` where our message has it, for one address in three.
        let google = r#"{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}"#;
        for before in ["", " ", "  "] {
            let challenge = sasl::encode(format!("{before}{google}").as_bytes());
            assert_eq!(redact(&challenge), challenge);
        }
    }

    #[test]
    fn masks_in_whichever_text_it_stands() {
        let texts = ["IMAP4rev1".to_string(), TOKEN.to_string(), "IDLE".to_string()];
        for at in 0..texts.len() {
            let mut order = texts.to_vec();
            order.swap(1, at);
            let mut masked = order.clone();
            masked[at] = "<token>".to_string();
            assert_eq!(secrets(TOKEN).redact_all(order), masked);
        }
        // Two texts are no one text.
        let halves = Vec::from([TOKEN[..6].to_string(), TOKEN[6..12].to_string()]);
        assert_eq!(secrets(TOKEN).redact_all(halves.clone()), halves);
    }

    #[test]
    fn a_short_token_is_masked_where_it_stands_whole() {
        let redact = |token: &str, text: &str| secrets(token).redact(text.to_string());
        assert_eq!(redact("abc", "x abc y"), "x <token> y");
        assert_eq!(redact("abc", "ab c-c"), "<token>-c");
        assert_eq!(redact("abc", "ab cd"), "<token>d");
        assert_eq!(redact("abc", "ab"), "ab");
        assert_eq!(redact("a", "x a"), "x <token>");
        assert_eq!(redact("Zq7-Zq7-", "Zq7-Zq7-Zq7-!"), "<token>!");
        assert_eq!(redact("Zq7-Zq7-", "Zq7-Zq7"), "Zq7-Zq7");
    }

    #[test]
    fn a_token_that_repeats_itself_costs_no_more_than_another() {
        let token = "Zq7-".repeat(2_000);
        let text = "Zq7-".repeat(3_000);
        assert_eq!(secrets(&token).redact(text), "<token>");
    }

    /// Holds redaction against what can be read afterwards, for tokens, forms, surroundings and cuts that chance chose.
    #[test]
    fn no_part_of_any_token_is_left_in_any_form_at_any_cut() {
        let mut rng = fastrand::Rng::with_seed(11);
        let alphabet: Vec<char> = ('a'..='z').chain('A'..='Z').chain('0'..='9').collect();
        let any = |rng: &mut fastrand::Rng, most: usize, more: &str| -> String {
            let all: Vec<char> = alphabet.iter().copied().chain(more.chars()).collect();
            (0..rng.usize(..most)).map(|_| all[rng.usize(..all.len())]).collect()
        };
        for round in 0..3_000 {
            let token = any(&mut rng, 80, "-._~+/") + "Zz.9Yy-8";
            let secrets = secrets(&token);
            let (before, behind) = (any(&mut rng, 30, " =,:\x01"), any(&mut rng, 30, " \x01}\""));
            let plain = format!("{before} {token}\x01{behind}");
            let base64 = sasl::encode(plain.as_bytes());
            let url_safe = base64.replace('+', "-").replace('/', "_");
            let escape =
                |text: &str| text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
            let forms = [
                plain.to_uppercase(),
                escape(&plain),
                escape(&base64),
                base64.to_lowercase(),
                url_safe,
                base64,
                plain,
            ];
            for form in forms {
                let from = rng.usize(..form.len());
                let to = rng.usize(from..=form.len());
                let shown = secrets.redact(form[from..to].to_string());
                assert!(!readable(&shown, &token), "round {round}: {token} in {shown}");
                let shown = secrets.redact_start(&form[..to]);
                assert!(!readable(&shown, &token), "round {round}: {token} in {shown}");
            }
        }
    }

    /// Whether eight characters of a token can be read in a row: plain in any case, or decoded from base64. It knows nothing of
    /// how they are looked for above.
    fn readable(shown: &str, token: &str) -> bool {
        let shown = shown.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
        let token = token.to_lowercase();
        let parts: Vec<&[u8]> = token.as_bytes().windows(FRAGMENT_OCTETS).collect();
        let holds = |octets: &[u8]| {
            let octets = octets.to_ascii_lowercase();
            parts.iter().any(|part| memchr::memmem::find(&octets, part).is_some())
        };
        let runs = shown.split(|one: char| !(one.is_ascii_alphanumeric() || "+/-_".contains(one)));
        let decoded = runs.flat_map(|run| {
            let run = run.replace('-', "+").replace('_', "/");
            (0..4).filter_map(move |at| {
                let rest = run.get(at..)?;
                sasl::decode_strict(rest.get(..rest.len() / 4 * 4)?)
            })
        });
        holds(shown.as_bytes()) || decoded.into_iter().any(|octets| holds(&octets))
    }
}
