//! The one secret of the crate: an access token that is checked once, never printed and wiped when it is dropped.

use alloc::string::String;
use core::fmt;

use zeroize::Zeroizing;

use crate::config::{ConfigError, Field};
use crate::mistakes;

/// Longest token taken, in octets. Entra ID tokens reach about 4.5 KB (docs/servers.md 6.1); RFC 4954 section 4 lets
/// no SASL line exceed 12,288 octets, so that nothing longer than this could be sent over SMTP.
pub const TOKEN_OCTETS_MAX: usize = 8_192;

/// An OAuth 2.0 access token, checked against RFC 6750 section 2.1 (`b64token`).
///
/// `Debug` and `Display` print a placeholder, and the memory is wiped on drop. The strings that a token was
/// made from belong to the caller and are not wiped.
///
/// ```
/// let token = mailbearer::AccessToken::new("ya29.a0AfH6SMB").unwrap();
/// assert_eq!(format!("{token:?} {token}"), "AccessToken(14 octets) <token>");
/// assert!(mailbearer::AccessToken::new("Bearer ya29.a0AfH6SMB").is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(Zeroizing<String>);

impl AccessToken {
    /// Checks a token.
    ///
    /// # Errors
    /// [`ConfigError`] says what was given in place of a token, where that can be seen: a SASL message, a token response, the text of
    /// an object, white space around it; else the offset of the first octet that RFC 6750 does not allow. Never the value.
    pub fn new(token: &str) -> Result<Self, ConfigError> {
        check(token)?;
        // One allocation of the exact size, so that no copy is left behind by growth.
        let mut owned = String::with_capacity(token.len());
        owned.push_str(token);
        Ok(Self(Zeroizing::new(owned)))
    }

    /// A number that tells tokens apart and says nothing of them (FNV-1a over at least a hundred random bits).
    pub(crate) fn fingerprint(&self) -> u64 {
        self.0.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }

    /// The secret itself, for the one place that writes it into a SASL message.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessToken({} octets)", self.0.len())
    }
}

impl fmt::Display for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<token>")
    }
}

/// `b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`
fn check(token: &str) -> Result<(), ConfigError> {
    if token.is_empty() {
        return Err(ConfigError::Empty { field: Field::Token });
    }
    mistakes::check_token(token)?;
    if token.len() > TOKEN_OCTETS_MAX {
        return Err(ConfigError::TooLong { field: Field::Token, max: TOKEN_OCTETS_MAX });
    }
    let body = token.trim_end_matches('=');
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~+/".contains(&octet);
    match body.bytes().position(|octet| !allowed(octet)) {
        Some(offset) => Err(ConfigError::ForbiddenOctet { field: Field::Token, offset }),
        None if body.is_empty() => {
            Err(ConfigError::ForbiddenOctet { field: Field::Token, offset: 0 })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn takes_what_rfc_6750_allows() {
        for token in ["a", "ya29.A-_~+/==", "eyJhbGciOi.eyJzdWIi.c2ln"] {
            assert!(AccessToken::new(token).is_ok(), "{token}");
        }
    }

    #[test]
    fn names_the_offset_of_the_first_forbidden_octet() {
        for (token, offset) in [
            ("tok\r\nA1", 3),
            ("t\u{f6}k", 1),
            ("=abc", 0),
            ("a=b", 1),
            ("\"tok", 0),
            ("==", 0),
            ("a b", 1),
        ] {
            let error = AccessToken::new(token).unwrap_err();
            assert_eq!(
                error,
                ConfigError::ForbiddenOctet { field: Field::Token, offset },
                "{token:?}"
            );
        }
    }

    #[test]
    fn says_that_the_bearer_prefix_is_too_much() {
        assert_eq!(AccessToken::new("bearer abc").unwrap_err(), ConfigError::BearerPrefix);
    }

    #[test]
    fn is_bounded_and_not_empty() {
        assert!(AccessToken::new(&"a".repeat(TOKEN_OCTETS_MAX)).is_ok());
        let error = AccessToken::new(&"a".repeat(TOKEN_OCTETS_MAX + 1)).unwrap_err();
        assert_eq!(error, ConfigError::TooLong { field: Field::Token, max: TOKEN_OCTETS_MAX });
        assert_eq!(AccessToken::new("").unwrap_err(), ConfigError::Empty { field: Field::Token });
    }

    #[test]
    fn never_prints_itself() {
        let token = AccessToken::new("CANARYCANARYCANARY").unwrap();
        assert!(!format!("{token:?} {token} {token:#?}").contains("CANARY"));
    }
}
