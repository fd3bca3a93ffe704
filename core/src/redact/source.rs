//! What a token source says, made fit to be shown: it may hold secrets that nobody knows beforehand, as in the text of an
//! HTTP request.

use alloc::string::String;
use alloc::vec::Vec;

use crate::limits::SERVER_TEXT_CHARS_MAX;
use crate::text::is_hidden;

/// What stands in place of what may be a secret.
const MASK: &str = "<secret>";

/// Octets of a text that are read: far more than are shown.
const READ_OCTETS_MAX: usize = 16 << 10;

/// Ends of the names of members whose value is a secret, in queries, headers and JSON (RFC 6749, RFC 7521, RFC 7636, RFC 8628).
const SECRET_NAMES: [&str; 9] = [
    "secret",
    "password",
    "passwd",
    "pwd",
    "apikey",
    "api_key",
    "authorization",
    "code_verifier",
    "device_code",
];

/// The same, which stand before plain words too: `token: expired`.
const NAMES_IN_PROSE: [&str; 4] = ["token", "assertion", "credential", "signature"];

/// Shortest run of capitals, small letters and digits that is taken for a secret.
const MIXED_LEAST: usize = 16;

/// Shortest run of letters alone: below are names of classes.
const LETTERS_LEAST: usize = 40;

/// Makes a text of others fit to be shown, as what a token source says of its failure: in one line, in short, and with
/// `<secret>` in place of what may be one.
///
/// A secret is what a name says to be one (`refresh_token=…`, `"client_secret": "…"`, `Authorization: …`, `Bearer …`), and what
/// looks like one: sixteen letters and digits in a row and more. Addresses of servers, dates, codes of errors and the ids
/// of requests are none. It is a guess: what is short and without a name is not found. A token that is known is masked by
/// [`Account::redact`](crate::Account::redact).
///
/// ```
/// let said = "400 from https://oauth2.example.com/token: grant_type=refresh_token&refresh_token=1//0gAbc-dEf";
/// assert_eq!(
///     mailbearer::redact_source(said),
///     "400 from https://oauth2.example.com/token: grant_type=refresh_token&refresh_token=<secret>"
/// );
/// assert_eq!(
///     mailbearer::redact_source("invalid_grant: Token has been\n expired or revoked."),
///     "invalid_grant: Token has been expired or revoked."
/// );
/// ```
#[must_use]
pub fn redact_source(text: &str) -> String {
    let line = one_line(text);
    let mut shown = String::with_capacity(line.len());
    let mut rest = line.as_str();
    while !rest.is_empty() {
        rest = match named(rest, &shown) {
            Some((kept, behind)) => {
                shown.push_str(kept);
                shown.push_str(MASK);
                behind
            }
            None => unnamed(rest, &mut shown),
        };
    }
    shortened(shown)
}

/// In one line, and bounded. What was cut in two by the bound is left out: half a secret looks like none.
fn one_line(text: &str) -> String {
    let ends = text.char_indices().map(|(at, _)| at);
    let end = ends.take_while(|at| *at <= READ_OCTETS_MAX).last().unwrap_or(0);
    let end = if text.len() <= READ_OCTETS_MAX { text.len() } else { end };
    let (read, cut) = text.split_at(end);
    let mut words: Vec<&str> = read
        .split(|one: char| one.is_whitespace() || is_hidden(one))
        .filter(|word| !word.is_empty())
        .collect();
    if !cut.is_empty() {
        words.pop();
    }
    words.join(" ")
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(SERVER_TEXT_CHARS_MAX) {
        Some((end, _)) => text.get(..end).unwrap_or_default().into(),
        None => text,
    }
}

/// Where the text begins with the value of a member that is a secret: what stands before it, and what behind. `before` is what
/// was shown so far, which ends with the name.
fn named<'a>(text: &'a str, before: &str) -> Option<(&'a str, &'a str)> {
    let name = name_at_end(before);
    if name.is_empty() {
        return None;
    }
    let is_of_path = before.strip_suffix(name).is_some_and(|before| before.ends_with('/'));
    if is_of_path && text.starts_with(':') {
        // `https://…/token: 400`
        return None;
    }
    let value = after_separator(text, name)?;
    let kept = text.len().saturating_sub(value.len());
    let end = value.find(|one: char| one == ' ' || "\"'&,;)}]<".contains(one));
    let (secret, behind) = value.split_at(end.unwrap_or(value.len()));
    let separator = text.get(..kept).unwrap_or_default();
    // The code of a redirect (RFC 6749 section 4.1.2); the code of an error is a number.
    let is_of_query = before.strip_suffix(name).is_some_and(|before| before.ends_with(['?', '&']));
    let is_code = is_of_query && name == "code" && separator == "=" && !is_number(secret);
    (is_code || is_secret(name, separator, secret)).then_some((separator, behind))
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|one| one.is_ascii_digit())
}

fn name_at_end(text: &str) -> &str {
    let is_of_name = |one: char| one.is_ascii_alphanumeric() || one == '_' || one == '-';
    text.get(text.trim_end_matches(is_of_name).len()..).unwrap_or_default()
}

fn is_bearer(name: &str) -> bool {
    name.eq_ignore_ascii_case("bearer")
}

/// The value behind `=`, `:`, `": "` and the like; behind `Bearer` a space.
fn after_separator<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    if is_bearer(name)
        && let Some(value) = text.strip_prefix(' ')
    {
        return Some(value);
    }
    let value = text.trim_start_matches(['"', '\'', ' ']);
    let value = value.strip_prefix(['=', ':'])?;
    let value = value.trim_start_matches(['"', '\'', ' ']);
    // `Authorization: Bearer …`: the scheme is no secret.
    let (scheme, behind) = value.split_once(' ').unwrap_or((value, ""));
    let is_scheme = is_bearer(scheme) || scheme.eq_ignore_ascii_case("basic");
    Some(if is_scheme { behind } else { value })
}

/// Prose is none: `token: expired`, `Bearer error="invalid_token"`.
fn is_secret(name: &str, separator: &str, value: &str) -> bool {
    if value.is_empty() {
        return false;
    }
    let is_word = value.len() < MIXED_LEAST && value.bytes().all(|one| one.is_ascii_alphabetic());
    if is_bearer(name) {
        return !is_word && !value.contains("=\"") && !value.ends_with('=');
    }
    let folded = name.to_ascii_lowercase().replace('-', "_");
    let is_data = separator.contains(['=', '"', '\'']);
    SECRET_NAMES.iter().any(|secret| folded.ends_with(secret))
        || (NAMES_IN_PROSE.iter().any(|secret| folded.ends_with(secret)) && (is_data || !is_word))
}

/// Shows the text up to where a name may end, without what looks like a secret; the rest.
fn unnamed<'a>(text: &'a str, shown: &mut String) -> &'a str {
    let is_of_run = |one: char| one.is_ascii_alphanumeric() || "+/_.~-".contains(one);
    let end = text.find(|one: char| !is_of_run(one)).unwrap_or(text.len());
    if end == 0 {
        let first = text.chars().next().map_or(text.len(), char::len_utf8);
        let (kept, behind) = text.split_at(first);
        shown.push_str(kept);
        return behind;
    }
    let (run, behind) = text.split_at(end);
    if run.starts_with("//") && shown.ends_with(':') {
        // Of an address the parts that look like one.
        let parts: Vec<&str> =
            run.split('/').map(|part| if looks_random(part) { MASK } else { part }).collect();
        shown.push_str(&parts.join("/"));
    } else if looks_random(run) {
        shown.push_str(MASK);
        return behind.trim_start_matches('=');
    } else {
        shown.push_str(run);
    }
    behind
}

/// Whether a part of it has the look of a token, of a key, or of a piece of one.
fn looks_random(run: &str) -> bool {
    let of_token = |one: char| one.is_ascii_alphanumeric() || "_~+-".contains(one);
    run.split(|one| !of_token(one)).any(|part| is_mixed(part) && !is_id(part))
        || run.split(|one: char| !one.is_ascii_alphanumeric()).any(is_dense)
}

/// Capitals, small letters and digits.
fn is_mixed(part: &str) -> bool {
    let has = |is: fn(&u8) -> bool| part.as_bytes().iter().any(is);
    part.len() >= MIXED_LEAST
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_digit)
}

/// Letters and digits, or very many letters, with nothing between them.
fn is_dense(part: &str) -> bool {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    let is_mixture = digits > 0 && digits < part.len();
    part.len() >= LETTERS_LEAST || (part.len() >= MIXED_LEAST && is_mixture)
}

/// The id of a request (RFC 9562): five groups of hexadecimal digits.
fn is_id(part: &str) -> bool {
    let groups = part.split('-').map(|group| {
        let is_hexadecimal = group.bytes().all(|one| one.is_ascii_hexdigit());
        if is_hexadecimal { group.len() } else { 0 }
    });
    groups.eq([8, 4, 4, 4, 12])
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    const TOKEN: &str = "ya29.a0AfH6SMBx-Zq7_kP3wQ9RtLmNuVbC2d";

    #[test]
    fn what_a_source_says_in_words_is_shown_as_it_is() {
        for said in [
            "invalid_grant: Token has been expired or revoked.",
            "AADSTS700082: The refresh token has expired due to inactivity.",
            "Trace ID: 3f2504e0-4f89-41d3-9a0c-0305e82c3301 Timestamp: 2026-11-27 10:00:00Z",
            "Correlation ID: 3F2504E0-4f89-41d3-9a0c-0305e82c3301",
            "cannot reach https://login.microsoftonline.com/common/oauth2/v2.0/token?api-version=1.0",
            "HTTPSConnectionPool(host='oauth2.googleapis.com', port=443): Max retries exceeded",
            "google.auth.exceptions.RefreshError: 503 Service Unavailable",
            "the token: expired",
            "WWW-Authenticate: Bearer error=\"invalid_token\", realm=\"x\"",
            "Bearer token expected",
            "token_type=Bearer&expires_in=3599",
            "{\"error\": \"invalid_client\", \"error_code\": 7000215}",
            "https://app.example.test/errors?code=404 and code=EAUTH",
            "NameError: name 'tokn' is not defined (line 12 in get_token)",
            "caf\u{e9} \u{26a0}\u{fe0f}",
            "",
        ] {
            assert_eq!(redact_source(said), said);
        }
    }

    #[test]
    fn what_a_name_says_to_be_a_secret_is_masked() {
        for (said, shown) in [
            ("refresh_token=1//0gab&x=1", "refresh_token=<secret>&x=1"),
            (
                "{\"client_secret\": \"abc\", \"a\": 1}",
                "{\"client_secret\": \"<secret>\", \"a\": 1}",
            ),
            ("{'access_token': 'abc'}", "{'access_token': '<secret>'}"),
            ("password: hunter", "password: <secret>"),
            ("Client-Secret=x", "Client-Secret=<secret>"),
            ("Authorization: Bearer abc123", "Authorization: Bearer <secret>"),
            ("Authorization: Basic dXNlcjpw", "Authorization: Basic <secret>"),
            ("authorization: opaque7", "authorization: <secret>"),
            ("sent Bearer abc.d-f", "sent Bearer <secret>"),
            ("&client_assertion=abc&", "&client_assertion=<secret>&"),
            ("code_verifier=abc", "code_verifier=<secret>"),
            ("refreshToken: a1", "refreshToken: <secret>"),
            ("pwd=a b", "pwd=<secret> b"),
            ("https://a.test/back?code=Zq7&x=1", "https://a.test/back?code=<secret>&x=1"),
        ] {
            assert_eq!(redact_source(said), shown);
        }
    }

    #[test]
    fn what_looks_like_a_secret_is_masked_whole() {
        for secret in [
            TOKEN,
            "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqb2UifQ.c2lnbmF0dXJl",
            "1//0gAbCdEfGhIjKlMnOpQr",
            "4/0AX4XfWhAbCdEf01234",
            "0123456789abcdef0123456789abcdef",
            "EwBwA8l6BAAUO9chh8cJscQLmU+LSWpbnr0vmwwAAQ/f+gH==",
            "GOCSPX-AbCdEfGhIjKl0123",
            "AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGhIjKlMnOpQr",
        ] {
            assert_eq!(redact_source(&format!("no: {secret}, it said")), "no: <secret>, it said");
        }
        let address = "https://example.test/keys/a0AfH6SMBxZq7kP3wQ9?x=y";
        assert_eq!(redact_source(address), "https://example.test/keys/<secret>?x=y");
    }

    #[test]
    fn it_is_one_short_line() {
        assert_eq!(redact_source("\ta\r\n  b\u{202e}c\u{0} "), "a b c");
        assert_eq!(redact_source(&"word ".repeat(10_000)).chars().count(), SERVER_TEXT_CHARS_MAX);
        assert_eq!(redact_source(&"\u{1f600}".repeat(9_000)), "");
    }

    #[test]
    fn the_bound_shows_no_half_of_a_secret() {
        // So many masks that the cut comes near the end of what is shown.
        for spaces in 0..TOKEN.len() {
            let text = " ".repeat(spaces) + &format!("{TOKEN} ").repeat(600);
            let shown = redact_source(&text);
            assert!(!shown.contains("ya29"), "{spaces}: {shown}");
            let line = one_line(&text);
            assert!(line.ends_with(TOKEN), "{spaces}");
        }
    }

    /// No secret of any shape is left where chance puts it, and it takes no panic.
    #[test]
    fn no_long_secret_is_left_anywhere() {
        let mut rng = fastrand::Rng::with_seed(3);
        let letters: Vec<char> =
            ('a'..='z').chain('A'..='Z').chain('0'..='9').chain("-._~+/".chars()).collect();
        let around = [" ", "\"", "'", "=", ": ", "(", "&", "://", "token ", "Bearer ", "\n", "<"];
        for round in 0..5_000 {
            let dense: alloc::string::String =
                (0..rng.usize(16..60)).map(|_| letters[rng.usize(..62)]).collect();
            let loose: alloc::string::String =
                (0..rng.usize(0..60)).map(|_| letters[rng.usize(..letters.len())]).collect();
            let secret = format!("Aa0{dense}");
            let (before, behind) = (rng.choice(around).unwrap(), rng.choice(around).unwrap());
            let text = format!("{loose}{before}{secret}{behind}{loose}");
            let shown = redact_source(&text);
            assert!(!shown.contains(&secret), "round {round}: {text:?} {shown:?}");
        }
    }
}
