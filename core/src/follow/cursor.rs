//! Where a program stands in a mailbox.

use core::fmt;
use core::str::FromStr;

use crate::config::{ConfigError, Field};

/// Where a program stands in a mailbox: messages from here on are new to it. It is text to be stored, as `3857529045:4392`.
///
/// ```
/// use mailbearer::Cursor;
/// let cursor: Cursor = "3857529045:4392".parse()?;
/// assert_eq!((cursor.uid_validity, cursor.uid_next), (3857529045, 4392));
/// assert_eq!(cursor.to_string(), "3857529045:4392");
/// # Ok::<(), mailbearer::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// UIDVALIDITY of the mailbox (RFC 9051 section 2.3.1.1): with another one, UIDs mean other messages.
    pub uid_validity: u32,
    /// The first UID that was not told.
    pub uid_next: u32,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uid_validity, self.uid_next)
    }
}

impl FromStr for Cursor {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| {
            let digits = text.bytes().all(|octet| octet.is_ascii_digit());
            text.parse().ok().filter(|_| digits)
        };
        let parts = text.split_once(':').and_then(|(validity, next)| {
            Some(Self { uid_validity: number(validity)?, uid_next: number(next)? })
        });
        parts.filter(|cursor| cursor.uid_next > 0).ok_or(ConfigError::Mistaken {
            field: Field::Session("cursor"),
            wrong: "is none",
            remedy: "give back what was told as a cursor, as 3857529045:4392",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_cursor_is_refused_with_the_form_that_it_has() {
        for text in ["", ":", "1:", ":1", "1:0", "1:-1", "+1:1", "1:1:1", "1 : 2", "4294967296:1"] {
            let error = text.parse::<Cursor>().unwrap_err();
            assert!(alloc::format!("{error}").contains("3857529045:4392"), "{text:?}");
        }
        assert_eq!("0:1".parse::<Cursor>(), Ok(Cursor { uid_validity: 0, uid_next: 1 }));
    }
}
