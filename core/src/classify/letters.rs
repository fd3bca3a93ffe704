//! Letters without their marks: servers write `gesperrt`, `geändert` and `geaendert`, with and without, as their charset allows.

/// The letters from U+00DF to U+017F, `-` where one is no Latin letter.
const LATIN: &str = "\
    saaaaaaaceeeeiiiidnooooo-ouuuuytyaaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkklllllll\
    lllnnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";

/// From U+1E00 to U+1EFF, which Vietnamese needs.
const LATIN_ADDITIONAL: &str = "\
    aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmmmmmmnnnnnnnnoooooooopppprrrrrrrrssssssssssttttttttuuuuuu\
    uuuuvvvvwwwwwwwwwwxxxxyyzzzzzzhtwyas--s-aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeeeeeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuu\
    uuyyyyyyyy------";

/// A letter in lower case without its marks, where it has any.
pub(super) fn plain(letter: char) -> char {
    let code = letter as usize;
    let of = |letters: &str, from: usize| {
        letters.as_bytes().get(code.wrapping_sub(from)).map(|octet| char::from(*octet))
    };
    let found = match letter {
        // Behind the tables: Vietnamese and Romanian.
        '\u{1a1}' => Some('o'),
        '\u{1b0}' => Some('u'),
        '\u{219}' => Some('s'),
        '\u{21b}' => Some('t'),
        '\u{451}' => Some('\u{435}'),
        _ => of(LATIN, 0xdf).or_else(|| of(LATIN_ADDITIONAL, 0x1e00)),
    };
    found.filter(|found| *found != '-').unwrap_or(letter)
}

/// A mark that is written behind its letter (U+0300 to U+036F).
pub(super) const fn is_mark(one: char) -> bool {
    matches!(one, '\u{300}'..='\u{36f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_taken_off() {
        for (letter, shown) in [
            ('\u{e9}', 'e'),
            ('\u{df}', 's'),
            ('\u{142}', 'l'),
            ('\u{17e}', 'z'),
            ('\u{17f}', 's'),
            ('\u{1ea3}', 'a'),
            ('\u{1ef9}', 'y'),
            ('\u{1b0}', 'u'),
            ('\u{21b}', 't'),
            ('\u{451}', '\u{435}'),
        ] {
            assert_eq!(plain(letter), shown);
        }
        for letter in ['a', '\u{f7}', '\u{180}', '\u{43d}', '\u{1dff}', '\u{1f00}', '\u{5bc6}'] {
            assert_eq!(plain(letter), letter);
        }
        assert_eq!(LATIN.len(), 0x180 - 0xdf);
        assert_eq!(LATIN_ADDITIONAL.len(), 0x100);
        assert!(is_mark('\u{301}') && !is_mark('\u{370}'));
    }
}
