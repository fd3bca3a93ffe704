//! What is given in place of a token, a host or a user name by mistake, told so that the mistake can be seen. Never the value.

use alloc::string::String;
use core::net::Ipv6Addr;

use zeroize::Zeroizing;

use crate::a_label::a_label;
use crate::config::{ConfigError, Field, HOST_OCTETS_MAX, NAME_OCTETS_MAX};
use crate::sasl;
use crate::text::is_hidden;

/// RFC 1035 section 2.3.4, for one label.
const LABEL_OCTETS_MAX: usize = 63;

/// Characters of base64 in which a SASL message says what it is: a user name, a host and `auth=Bearer` fit in.
const MESSAGE_START_MAX: usize = 1_024;

/// Looks for what is no token, before its characters are looked at.
pub(crate) fn check_token(token: &str) -> Result<(), ConfigError> {
    let field = Field::Token;
    let inner = token.trim().trim_start_matches('\u{feff}');
    let starts = |start: &str| starts_with(inner, start);
    let behind_bearer = inner.get(6..).filter(|_| starts("bearer")).map(|rest| rest.chars().next());
    if matches!(behind_bearer, Some(None | Some(' ' | '\t' | '\r' | '\n'))) {
        return Err(ConfigError::BearerPrefix);
    }
    let (wrong, remedy) = if starts("authorization:") {
        ("is a header line of HTTP", "give what stands behind \"Bearer\"")
    } else if is_message(inner) {
        ("is a whole SASL message", "give the access token alone, the message is made here")
    } else if is_message_in_base64(inner) {
        (
            "is a whole SASL message in base64",
            "give the access token alone, the message is made here",
        )
    } else if is_token_response(inner) {
        ("is a whole token response", "give the value of its access_token alone")
    } else if is_nothing(inner) {
        ("is the text of a value that is nothing, as None or undefined", "look where it comes from")
    } else if is_object(inner) {
        (
            "is the text of an object of the program, as of a promise",
            "give the string in it; await what must be awaited",
        )
    } else if is_quoted(inner) {
        ("stands in quotation marks", "give what is between them")
    } else {
        return check_ends(field, token);
    };
    Err(ConfigError::Mistaken { field, wrong, remedy })
}

/// A user name: UTF-8 without control characters. `,` and `=` are legal and escaped where they are sent.
pub(crate) fn check_name(field: Field, name: &str) -> Result<(), ConfigError> {
    check_length(field, name, NAME_OCTETS_MAX)?;
    check_ends(field, name)?;
    let (wrong, remedy) = if starts_with(name, "mailto:") {
        ("begins with \"mailto:\"", "give the address alone")
    } else if name.contains('<') && name.ends_with('>') {
        ("has an address in angle brackets", "give what is between them alone")
    } else if is_wrapped(name) {
        ("is the text of an object of the program", "give the string in it")
    } else {
        // Joiners belong to some scripts (RFC 5892 appendix A).
        let forbidden = |one: char| is_hidden(one) && !matches!(one, '\u{200c}' | '\u{200d}');
        return match name.find(forbidden) {
            Some(offset) => Err(ConfigError::ForbiddenOctet { field, offset }),
            None => Ok(()),
        };
    };
    Err(ConfigError::Mistaken { field, wrong, remedy })
}

/// A host name as it goes into a certificate check (an A-label), or an IP address.
pub(crate) fn check_host(host: &str) -> Result<(), ConfigError> {
    let field = Field::Host;
    check_ends(field, host)?;
    let mistaken = |wrong, remedy| Err(ConfigError::Mistaken { field, wrong, remedy });
    if host.contains("://") {
        return mistaken("is a URL", "give the host name alone, as in imap.example.org");
    }
    if host.contains('@') {
        return mistaken("is a mail address", "give the name of the mail server");
    }
    let unbracketed = host.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match unbracketed.filter(|(address, _)| is_ipv6(address)) {
        Some((_, "")) => {
            return mistaken("has brackets around it", "give the address without them");
        }
        Some(_) => {
            return mistaken(
                "has brackets and a port",
                "give the address alone, and the port by itself",
            );
        }
        None => {}
    }
    if is_ipv6(host) {
        return Ok(());
    }
    if let Some((_, port)) = host.split_once(':')
        && port.bytes().all(|octet| octet.is_ascii_digit())
    {
        return mistaken("has a port behind a colon", "give the port by itself");
    }
    if host.contains('/') {
        return mistaken("has a path", "give the host name alone, as in imap.example.org");
    }
    check_host_name(host)
}

fn check_host_name(host: &str) -> Result<(), ConfigError> {
    let field = Field::Host;
    let mistaken = |wrong, remedy| Err(ConfigError::Mistaken { field, wrong, remedy });
    let control = host.find(|one: char| one.is_control() || one == ' ');
    if let Some(offset) = control {
        return Err(ConfigError::ForbiddenOctet { field, offset });
    }
    // An A-label has no fewer characters than the name that it stands for.
    if host.chars().count() > HOST_OCTETS_MAX {
        return Err(ConfigError::TooLong { field, max: HOST_OCTETS_MAX });
    }
    if !host.is_ascii() {
        return match a_label(host) {
            Some(a_label) => Err(ConfigError::NotAscii { a_label }),
            None => mistaken(
                "is not ASCII",
                "give the name that DNS and certificates have for it, which begins with xn--",
            ),
        };
    }
    check_length(field, host, HOST_OCTETS_MAX)?;
    // `_` is met in private names.
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b".-_".contains(&octet);
    if let Some(offset) = host.bytes().position(|octet| !allowed(octet)) {
        return Err(ConfigError::ForbiddenOctet { field, offset });
    }
    if host.ends_with('.') {
        return mistaken("ends in a dot", "leave it out, as certificates do");
    }
    if host.split('.').any(|label| label.is_empty() || label.len() > LABEL_OCTETS_MAX) {
        return mistaken("is no host name", "between its dots there must be 1 to 63 octets");
    }
    Ok(())
}

fn check_length(field: Field, text: &str, max: usize) -> Result<(), ConfigError> {
    match text.len() {
        0 => Err(ConfigError::Empty { field }),
        octets if octets > max => Err(ConfigError::TooLong { field, max }),
        _ => Ok(()),
    }
}

/// White space around a text is never meant.
fn check_ends(field: Field, text: &str) -> Result<(), ConfigError> {
    let (wrong, remedy) = if text.starts_with('\u{feff}') {
        ("begins with a byte order mark", "take it away, as what is read from a file may have one")
    } else if text.starts_with(char::is_whitespace) {
        ("begins with white space", "take it away")
    } else if text.ends_with(['\r', '\n']) {
        ("ends in a line end", "take it away, as what is read from a file has one")
    } else if text.ends_with(char::is_whitespace) {
        ("ends in white space", "take it away")
    } else {
        return Ok(());
    };
    Err(ConfigError::Mistaken { field, wrong, remedy })
}

/// A message of XOAUTH2 or OAUTHBEARER, whatever became of its 0x01.
fn is_message(text: &str) -> bool {
    let start = ["user=", "n,a=", "n,,", "y,a=", "y,,"];
    start.iter().any(|start| starts_with(text, start)) || text.contains("\x01auth=")
}

fn is_message_in_base64(text: &str) -> bool {
    // Python's `base64.encodebytes` breaks lines.
    let characters = text.chars().filter(|one| !one.is_whitespace()).take(MESSAGE_START_MAX);
    let start = Zeroizing::new(characters.collect::<String>());
    let message = sasl::decode_lenient(&start).map(Zeroizing::new);
    message.is_some_and(|message| memchr::memmem::find(&message, b"auth=Bearer ").is_some())
}

/// RFC 6749 section 5.1, and the form encoding in which some old servers answer.
fn is_token_response(text: &str) -> bool {
    text.starts_with(['{', '[']) && !is_object(text)
        || starts_with(text, "access_token=")
        || text.contains("&access_token=")
}

/// What languages write for no value, and what this library writes in place of a token.
fn is_nothing(text: &str) -> bool {
    let words = [
        "none",
        "null",
        "(null)",
        "nil",
        "undefined",
        "nan",
        "true",
        "false",
        "kotlin.Unit",
        "<token>",
    ];
    words.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// What languages write for an object, a function or a promise that was not awaited. None of these is made of the characters of
/// a token alone.
fn is_object(text: &str) -> bool {
    let starts = ["function ", "function(", "async ", "() =>", "Promise {", "AccessToken("];
    // `java.lang.Object@1b6d3586`
    let of_java = text.split_once('@').is_some_and(|(class, address)| {
        let hash = address.split('[').next().unwrap_or_default();
        class.contains('.') && !hash.is_empty() && hash.bytes().all(|one| one.is_ascii_hexdigit())
    });
    is_wrapped(text)
        || of_java
        || starts.iter().any(|start| text.starts_with(start))
        || (text.starts_with('<') && text.ends_with('>'))
}

/// Those that no user is called.
fn is_wrapped(text: &str) -> bool {
    ["[object ", "Optional(", "Some("].iter().any(|start| text.starts_with(start))
}

/// Also as Python writes octets: `b'…'`.
fn is_quoted(text: &str) -> bool {
    let quoted = text.strip_prefix('b').unwrap_or(text);
    ["\"", "'", "`"].iter().any(|mark| quoted.starts_with(mark) && quoted.ends_with(mark))
}

/// An address of RFC 4291 section 2.2, with a zone or without (RFC 4007 section 11).
fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "0"));
    let visible = |octet: u8| octet.is_ascii_alphanumeric() || b".-_".contains(&octet);
    address.parse::<Ipv6Addr>().is_ok()
        && !zone.is_empty()
        && zone.len() <= LABEL_OCTETS_MAX
        && zone.bytes().all(visible)
}

fn starts_with(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    /// What a text is told to be, as in `is a URL`.
    fn wrong(result: Result<(), ConfigError>) -> &'static str {
        match result {
            Err(ConfigError::Mistaken { wrong, .. }) => wrong,
            Err(ConfigError::BearerPrefix) => "Bearer",
            Err(ConfigError::ForbiddenOctet { .. }) => "forbidden",
            Err(ConfigError::NotAscii { .. }) => "A-label",
            Ok(()) => "",
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn says_what_was_given_in_place_of_a_token() {
        let message = "user=joe@example.test\x01auth=Bearer ya29.SECRET\x01\x01";
        let bearer = "n,a=joe@example.test,\x01host=imap.example.test\x01port=993\x01auth=Bearer ya29.SECRET\x01\x01";
        let base64 = sasl::encode(message.as_bytes());
        let url_safe = sasl::encode(bearer.as_bytes()).replace('+', "-").replace('/', "_");
        let (first, rest) = base64.split_at(40);
        for (token, told) in [
            (message.into(), "is a whole SASL message"),
            (bearer.into(), "is a whole SASL message"),
            ("n,,\x01auth=Bearer ya29.SECRET\x01\x01".into(), "is a whole SASL message"),
            ("user=joe^Aauth=Bearer ya29.SECRET^A^A".into(), "is a whole SASL message"),
            (format!("{message}\n"), "is a whole SASL message"),
            (base64.clone(), "is a whole SASL message in base64"),
            (base64.trim_end_matches('=').into(), "is a whole SASL message in base64"),
            (url_safe, "is a whole SASL message in base64"),
            (format!("{first}\n{rest}\n"), "is a whole SASL message in base64"),
            (
                sasl::encode(format!("{bearer}{}", "x".repeat(9_000)).as_bytes()),
                "is a whole SASL message in base64",
            ),
            ("Bearer ya29.SECRET".into(), "Bearer"),
            ("bearer\tya29.SECRET".into(), "Bearer"),
            (" BEARER ya29.SECRET".into(), "Bearer"),
            ("\nBearer  ya29.SECRET\n".into(), "Bearer"),
            ("Bearer".into(), "Bearer"),
            ("Authorization: Bearer ya29.SECRET".into(), "is a header line of HTTP"),
            (
                "{\"access_token\":\"ya29.SECRET\",\"expires_in\":3599}".into(),
                "is a whole token response",
            ),
            (" {'access_token': 'ya29.SECRET'}".into(), "is a whole token response"),
            ("access_token=ya29.SECRET&token_type=bearer".into(), "is a whole token response"),
            ("token_type=bearer&access_token=ya29.SECRET".into(), "is a whole token response"),
            ("\"ya29.SECRET\"".into(), "stands in quotation marks"),
            ("b'ya29.SECRET'".into(), "stands in quotation marks"),
            (" ya29.SECRET".into(), "begins with white space"),
            ("\u{feff}ya29.SECRET".into(), "begins with a byte order mark"),
            ("ya29.SECRET\n".into(), "ends in a line end"),
            ("ya29.SECRET\r\n".into(), "ends in a line end"),
            ("ya29.SECRET \t".into(), "ends in white space"),
            ("ya29.SECRET\u{a0}".into(), "ends in white space"),
        ] {
            let result = check_token(&token);
            let shown = format!("{result:?} {}", result.clone().unwrap_err());
            assert!(!shown.contains("SECRET") && !shown.contains("joe"), "{shown}");
            assert_eq!(wrong(result), told, "{token:?}");
        }
    }

    #[test]
    fn says_that_a_token_is_the_text_of_nothing_or_of_an_object() {
        for nothing in [
            "None",
            "null",
            "NULL",
            "undefined",
            "nil",
            "(null)",
            "NaN",
            "True",
            "<token>",
            "kotlin.Unit",
            " None\n",
        ] {
            assert!(
                wrong(check_token(nothing)).starts_with("is the text of a value that is nothing"),
                "{nothing}"
            );
        }
        for object in [
            "[object Promise]",
            "[object Object]",
            "<coroutine object get_token at 0x7f2c3a1b>",
            "<function get_token at 0x7f2c3a1b>",
            "<bound method Source.token of <Source object at 0x7f>>",
            "function () { return token }",
            "async () => token",
            "() => token",
            "Promise { <pending> }",
            "Optional(\"ya29.SECRET\")",
            "Some(\"ya29.SECRET\")",
            "AccessToken(218 octets)",
            "java.util.concurrent.CompletableFuture@6d06d69c[Not completed]",
            "org.example.Token@1b6d3586",
        ] {
            assert!(wrong(check_token(object)).starts_with("is the text of an object"), "{object}");
        }
    }

    #[test]
    fn a_token_of_any_look_is_no_mistake() {
        for token in [
            "ya29.a0AfH6SMB",
            "EwB4A8l6BAAU",
            "eyJ0eXAiOiJKV1QifQ.eyJhIjoxfQ.c2ln",
            "bearer",
            "Bearerx",
            "user",
            "n",
            "NoneSuch",
            "nullx",
            "java.lang.Object",
            "dXNlcj1qb2U",
            "asyncx",
            "function",
            "b",
            "access_token",
        ] {
            let told = wrong(check_token(token));
            assert_eq!(told, if token == "bearer" { "Bearer" } else { "" }, "{token}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_host() {
        for (host, told) in [
            ("imap.example.org", ""),
            ("localhost", ""),
            ("my_host-1.lan", ""),
            ("192.0.2.1", ""),
            ("2001:db8::1", ""),
            ("fe80::1%eth0", ""),
            ("xn--mnchen-3ya.example", ""),
            ("imap.example.org:993", "has a port behind a colon"),
            ("imap.example.org:", "has a port behind a colon"),
            ("m\u{fc}nchen.example:993", "has a port behind a colon"),
            ("imaps://imap.example.org", "is a URL"),
            ("https://imap.example.org/path:1", "is a URL"),
            ("imap.example.org/inbox", "has a path"),
            ("joe@example.org", "is a mail address"),
            ("[2001:db8::1]", "has brackets around it"),
            ("[2001:db8::1]:993", "has brackets and a port"),
            ("[example.org]", "forbidden"),
            (" imap.example.org", "begins with white space"),
            ("imap.example.org\n", "ends in a line end"),
            ("imap.example.org ", "ends in white space"),
            ("imap.example.org.", "ends in a dot"),
            ("imap..example.org", "is no host name"),
            (".example.org", "is no host name"),
            ("imap example.org", "forbidden"),
            ("imap,example.org", "forbidden"),
            ("a:b:c", "forbidden"),
            ("fe80::1%", "forbidden"),
            ("imap%2eexample.org", "forbidden"),
            ("m\u{fc}nchen.example", "A-label"),
            ("\u{1f4e7}.example", "is not ASCII"),
            ("imap\u{200b}.example.org", "is not ASCII"),
        ] {
            assert_eq!(wrong(check_host(host)), told, "{host:?}");
        }
        let named = check_host("imap.M\u{fc}nchen.example").unwrap_err().to_string();
        assert!(named.contains(" imap.xn--mnchen-3ya.example,"), "{named}");
        for (octets, right) in [(LABEL_OCTETS_MAX, true), (LABEL_OCTETS_MAX + 1, false)] {
            assert_eq!(check_host(&"h".repeat(octets)).is_ok(), right);
        }
        let long = format!("{}.{}", "h.".repeat(126), "h");
        assert_eq!(
            check_host(&long),
            Err(ConfigError::TooLong { field: Field::Host, max: HOST_OCTETS_MAX })
        );
        for name in ["\u{fc}".repeat(254), ('\u{4e00}'..='\u{9fff}').collect()] {
            assert_eq!(
                check_host(&name),
                Err(ConfigError::TooLong { field: Field::Host, max: HOST_OCTETS_MAX })
            );
        }
        assert_eq!(check_host(""), Err(ConfigError::Empty { field: Field::Host }));
    }

    #[test]
    fn says_what_is_wrong_with_a_user_name() {
        let check = |name: &str| wrong(check_name(Field::User, name));
        for (name, told) in [
            ("joe@example.org", ""),
            ("joe", ""),
            ("EXAMPLE\\joe", ""),
            ("Joe User", ""),
            ("a,b=c@\u{fc}n\u{ef}.example", ""),
            ("\u{646}\u{200c}\u{645}@example.org", ""),
            ("null", ""),
            (" joe@example.org", "begins with white space"),
            ("joe@example.org ", "ends in white space"),
            ("joe@example.org\r\n", "ends in a line end"),
            ("mailto:joe@example.org", "begins with \"mailto:\""),
            ("MAILTO:joe@example.org", "begins with \"mailto:\""),
            ("Joe <joe@example.org>", "has an address in angle brackets"),
            ("<joe@example.org>", "has an address in angle brackets"),
            ("[object Object]", "is the text of an object of the program"),
            ("joe\u{200b}@example.org", "forbidden"),
            ("joe\u{ad}@example.org", "forbidden"),
            ("joe\u{202e}@example.org", "forbidden"),
            ("a\0b", "forbidden"),
        ] {
            assert_eq!(check(name), told, "{name:?}");
        }
        let authzid = check_name(Field::Authzid, "mailto:joe@example.org").unwrap_err().to_string();
        assert_eq!(authzid, "authzid begins with \"mailto:\": give the address alone");
    }
}
