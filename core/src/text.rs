//! Server text made safe to show.

use alloc::string::String;

use crate::limits::SERVER_TEXT_CHARS_MAX;

/// Text of a server as it may reach logs, errors and screens: lossy UTF-8, no control characters, no characters that
/// turn the direction of writing (they can hide what follows), bounded.
pub(crate) fn displayable(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    text.chars()
        .map(|one| if is_hidden(one) { ' ' } else { one })
        .take(SERVER_TEXT_CHARS_MAX)
        .collect()
}

/// C0, DEL, C1, and the characters of Unicode's bidirectional algorithm and line separation.
fn is_hidden(one: char) -> bool {
    one.is_control()
        || matches!(one, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_what_a_terminal_or_a_screen_would_obey() {
        assert_eq!(
            displayable(b"\x1b[31;1mAccount locked\x1b[0m\x07 call \xe2\x80\xae0800"),
            " [31;1mAccount locked [0m  call  0800"
        );
        assert_eq!(displayable(b"caf\xc3\xa9 \xff"), "caf\u{e9} \u{fffd}");
    }

    #[test]
    fn is_bounded() {
        assert_eq!(displayable(&[b'a'; 5_000]).chars().count(), SERVER_TEXT_CHARS_MAX);
    }
}
