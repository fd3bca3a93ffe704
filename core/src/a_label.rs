//! The A-label of a host name in Unicode, for the text that asks for it (RFC 5890 section 2.3.2.1).
//!
//! The `idna` crate would make every name, and a phone's library by 161 KB larger, a fifth of it (measured on 2026-11-27 with
//! idna 1.1.0). Here are the names that need no table of Unicode: of characters that normalization leaves as they are.

use alloc::string::String;
use alloc::vec::Vec;

/// The name with its A-labels; `None` where a label has characters of which this is not known for sure.
pub(crate) fn a_label(host: &str) -> Option<String> {
    let labels: Option<Vec<String>> = host.split('.').map(one_label).collect();
    labels.map(|labels| labels.join("."))
}

fn one_label(label: &str) -> Option<String> {
    let lower: String = label.chars().flat_map(char::to_lowercase).collect();
    if lower.is_ascii() {
        return Some(lower);
    }
    // RFC 5891 section 4.2.3.1.
    let hyphens = lower.starts_with('-')
        || lower.ends_with('-')
        || lower.chars().skip(2).take(2).eq(['-', '-']);
    if hyphens
        || !lower.chars().all(|one| one.is_ascii_alphanumeric() || one == '-' || is_stable(one))
    {
        return None;
    }
    let encoded = punycode(&lower)?;
    // RFC 1035 section 2.3.4.
    (encoded.len() <= 59).then(|| ["xn--", &encoded].concat())
}

/// Letters that are valid in a label and that NFKC leaves alone, in any neighbourhood: of Latin, Greek, Cyrillic, Kana, Han
/// and Hangul.
const fn is_stable(one: char) -> bool {
    matches!(one,
        '\u{df}'..='\u{f6}' | '\u{f8}'..='\u{ff}'
        | '\u{100}'..='\u{131}' | '\u{134}'..='\u{13e}' | '\u{141}'..='\u{148}' | '\u{14a}'..='\u{17e}'
        | '\u{1a1}' | '\u{1b0}' | '\u{218}'..='\u{21b}' | '\u{1ea1}'..='\u{1ef9}'
        | '\u{390}' | '\u{3ac}'..='\u{3ce}'
        | '\u{430}'..='\u{45f}' | '\u{491}' | '\u{493}' | '\u{49b}' | '\u{4a3}' | '\u{4af}' | '\u{4d9}' | '\u{4e9}'
        | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{30fc}'
        | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}')
}

/// RFC 3492 section 6.3. `None` where a number overflows.
fn punycode(label: &str) -> Option<String> {
    let mut encoded: String = label.chars().filter(char::is_ascii).collect();
    let basic = u32::try_from(encoded.len()).ok()?;
    if basic > 0 {
        encoded.push('-');
    }
    let all = u32::try_from(label.chars().count()).ok()?;
    let (mut next, mut delta, mut bias, mut handled) = (0x80_u32, 0_u32, 72_u32, basic);
    while handled < all {
        let least = label.chars().map(u32::from).filter(|one| *one >= next).min()?;
        let steps = least.checked_sub(next)?.checked_mul(handled.checked_add(1)?)?;
        delta = delta.checked_add(steps)?;
        next = least;
        for one in label.chars().map(u32::from) {
            if one < next {
                delta = delta.checked_add(1)?;
            }
            if one == next {
                push_number(&mut encoded, delta, bias);
                bias = adapted(delta, handled.checked_add(1)?, handled == basic);
                delta = 0;
                handled = handled.checked_add(1)?;
            }
        }
        delta = delta.checked_add(1)?;
        next = next.checked_add(1)?;
    }
    Some(encoded)
}

/// A generalized variable-length integer.
fn push_number(encoded: &mut String, mut number: u32, bias: u32) {
    for place in 1_u32.. {
        let threshold = place.saturating_mul(36).saturating_sub(bias).clamp(1, 26);
        let Some(above) = number.checked_sub(threshold) else { break };
        let base = 36_u32.saturating_sub(threshold);
        encoded.push(digit(threshold.saturating_add(above % base)));
        number = above / base;
    }
    encoded.push(digit(number));
}

fn digit(value: u32) -> char {
    let letter =
        |octet: u8, value: u32| u8::try_from(value).map(|value| octet.saturating_add(value));
    let octet =
        if value < 26 { letter(b'a', value) } else { letter(b'0', value.saturating_sub(26)) };
    octet.map_or('-', char::from)
}

/// RFC 3492 section 6.1.
fn adapted(delta: u32, handled: u32, first: bool) -> u32 {
    let mut delta = if first { delta / 700 } else { delta / 2 };
    delta = delta.saturating_add(delta.checked_div(handled).unwrap_or_default());
    let mut places = 0_u32;
    while delta > 455 {
        delta /= 35;
        places = places.saturating_add(36);
    }
    places.saturating_add(36_u32.saturating_mul(delta) / delta.saturating_add(38))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_the_samples_of_rfc_3492_section_7_1() {
        for (label, encoded) in [
            (
                "\u{4ed6}\u{4eec}\u{4e3a}\u{4ec0}\u{4e48}\u{4e0d}\u{8bf4}\u{4e2d}\u{6587}",
                "ihqwcrb4cv8a8dqg056pqjye",
            ),
            (
                "\u{306a}\u{305c}\u{307f}\u{3093}\u{306a}\u{65e5}\u{672c}\u{8a9e}\u{3092}\u{8a71}\u{3057}\u{3066}\u{304f}\u{308c}\u{306a}\u{3044}\u{306e}\u{304b}",
                "n8jok5ay5dzabd5bym9f0cm5685rrjetr6pdxa",
            ),
            (
                "\u{43f}\u{43e}\u{447}\u{435}\u{43c}\u{443}\u{436}\u{435}\u{43e}\u{43d}\u{438}\u{43d}\u{435}\u{433}\u{43e}\u{432}\u{43e}\u{440}\u{44f}\u{442}\u{43f}\u{43e}\u{440}\u{443}\u{441}\u{441}\u{43a}\u{438}",
                "b1abfaaepdrnnbgefbadotcwatmq2g4l",
            ),
            ("3\u{5e74}b\u{7d44}\u{91d1}\u{516b}\u{5148}\u{751f}", "3b-ww4c5e180e575a65lsy2b"),
            ("\u{305d}\u{306e}\u{30b9}\u{30d4}\u{30fc}\u{30c9}\u{3067}", "d9juau41awczczp"),
        ] {
            assert_eq!(punycode(label).as_deref(), Some(encoded));
        }
    }

    #[test]
    fn makes_the_names_that_registries_have() {
        for (host, label) in [
            ("imap.m\u{fc}nchen.example", "imap.xn--mnchen-3ya.example"),
            ("IMAP.M\u{dc}NCHEN.Example", "imap.xn--mnchen-3ya.example"),
            ("b\u{fc}cher.example", "xn--bcher-kva.example"),
            ("stra\u{df}e.example", "xn--strae-oqa.example"),
            ("\u{43f}\u{43e}\u{447}\u{442}\u{430}.\u{440}\u{444}", "xn--80a1acny.xn--p1ai"),
            ("\u{4f8b}\u{5b50}.example", "xn--fsqu00a.example"),
            ("ma\u{f1}ana.example", "xn--maana-pta.example"),
        ] {
            assert_eq!(a_label(host).as_deref(), Some(label), "{host}");
        }
    }

    #[test]
    fn makes_none_where_it_might_be_wrong() {
        // Not composed, a full-width letter, a ligature, two dots that are none, an emoji, a script with rules of its own.
        for host in [
            "mu\u{308}nchen.example",
            "\u{ff41}.example",
            "\u{133}.example",
            "a\u{3002}example",
            "\u{1f4e7}.example",
            "\u{627}\u{644}.example",
            "\u{130}.example",
            "m\u{fc}nchen_.example",
            "-m\u{fc}nchen.example",
            "xn--m\u{fc}nchen.example",
        ] {
            assert_eq!(a_label(host), None, "{host}");
        }
        assert_eq!(a_label(&"\u{fc}".repeat(80)), None);
    }
}
