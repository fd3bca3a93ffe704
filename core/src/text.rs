//! Server text made safe to show.

use alloc::string::String;

use crate::limits::SERVER_TEXT_CHARS_MAX;

/// Text of a server as it may reach logs, errors and screens: lossy UTF-8, nothing that is hidden or that turns the
/// direction of writing (it can hide what follows), bounded.
pub(crate) fn displayable(octets: &[u8]) -> String {
    visible(octets).chars().take(SERVER_TEXT_CHARS_MAX).collect()
}

/// The same without a bound, for octets that have one.
pub(crate) fn visible(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    text.chars().map(|one| if is_hidden(one) { ' ' } else { one }).collect()
}

/// C0, DEL, C1, line separation, annotation, and what Unicode has as `Default_Ignorable_Code_Point`: characters that turn the
/// direction, tags, fillers and joiners. The variation selectors U+FE00–FE0F are left: an emoji is no secret writing.
pub(crate) fn is_hidden(one: char) -> bool {
    one.is_control()
        || matches!(one,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn hides_what_a_terminal_or_a_screen_would_obey() {
        assert_eq!(
            displayable(b"\x1b[31;1mAccount locked\x1b[0m\x07 call \xe2\x80\xae0800"),
            " [31;1mAccount locked [0m  call  0800"
        );
        assert_eq!(displayable(b"caf\xc3\xa9 \xff"), "caf\u{e9} \u{fffd}");
    }

    #[test]
    fn hides_what_has_no_look_and_leaves_what_has_one() {
        let hidden = [
            0xad, 0x34f, 0x61c, 0x115f, 0x17b4, 0x180b, 0x180e, 0x200b, 0x200f, 0x2028, 0x202e,
            0x2060, 0x2064, 0x2065, 0x2066, 0x206a, 0x206f, 0x3164, 0xfeff, 0xffa0, 0xfff9, 0xfffb,
            0x1bca0, 0x1d173, 0xe0000, 0xe0001, 0xe0020, 0xe007f, 0xe0100, 0xe01ef,
        ];
        for one in hidden.map(|code| char::from_u32(code).unwrap()) {
            assert_eq!(visible(one.to_string().as_bytes()), " ", "U+{:04X}", u32::from(one));
        }
        let shown =
            "caf\u{e9} \u{26a0}\u{fe0f} \u{5bc6}\u{7801} \u{645}\u{62d} \u{fffd} a\u{301} \u{a0}";
        assert_eq!(visible(shown.as_bytes()), shown);
    }

    #[test]
    fn is_bounded() {
        assert_eq!(displayable(&[b'a'; 5_000]).chars().count(), SERVER_TEXT_CHARS_MAX);
    }
}
