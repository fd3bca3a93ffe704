//! The messages of XOAUTH2 and OAUTHBEARER, without the framing of any mail protocol.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::{Engine, alphabet};
use serde_json::{Map, Value};

use crate::config::{ConfigError, Endpoint, Identity, Mechanism};
use crate::limits::REJECTION_OCTETS_MAX;
use crate::text::displayable;
use crate::token::AccessToken;

/// The one message that carries the token, before base64.
///
/// XOAUTH2 (Google's "OAuth 2.0 Mechanism"): `user=` user 0x01 `auth=Bearer ` token 0x01 0x01.
/// OAUTHBEARER (RFC 7628 section 3.1): `n,a=` user `,` 0x01 `host=` host 0x01 `port=` port 0x01 `auth=Bearer ` token
/// 0x01 0x01, where `,` and `=` in the user are escaped (RFC 5801 section 4).
///
/// Identity and endpoint must have been checked.
pub(crate) fn message(
    mechanism: Mechanism,
    identity: &Identity,
    endpoint: &Endpoint,
    token: &AccessToken,
) -> Vec<u8> {
    let name = name(mechanism, identity);
    let port = endpoint.port.to_string();
    parts(mechanism, &name, &endpoint.host, &port, token).concat().into_bytes()
}

/// Octets of [`message`] in base64, without making it: a token is copied as rarely as can be.
pub(crate) fn encoded_octets(
    mechanism: Mechanism,
    identity: &Identity,
    endpoint: &Endpoint,
    token: &AccessToken,
) -> usize {
    let name = name(mechanism, identity);
    let port = endpoint.port.to_string();
    let parts = parts(mechanism, &name, &endpoint.host, &port, token);
    let octets = parts.iter().map(|part| part.len()).fold(0_usize, usize::saturating_add);
    octets.div_ceil(3).saturating_mul(4)
}

/// The name as the message carries it.
fn name(mechanism: Mechanism, identity: &Identity) -> Cow<'_, str> {
    match mechanism {
        Mechanism::XOAuth2 => Cow::Borrowed(identity.name()),
        Mechanism::OAuthBearer => Cow::Owned(escape_gs2(identity.name())),
    }
}

/// A message in parts; 0x01 is the `kvsep` of RFC 7628 section 3.1.
fn parts<'a>(
    mechanism: Mechanism,
    name: &'a str,
    host: &'a str,
    port: &'a str,
    token: &'a AccessToken,
) -> [&'a str; 9] {
    let token = token.expose();
    match mechanism {
        Mechanism::XOAuth2 => {
            ["user=", name, "", "", "", "", "\x01auth=Bearer ", token, "\x01\x01"]
        }
        Mechanism::OAuthBearer => [
            "n,a=",
            name,
            ",\x01host=",
            host,
            "\x01port=",
            port,
            "\x01auth=Bearer ",
            token,
            "\x01\x01",
        ],
    }
}

/// The one SASL message of a mechanism, before base64, for a mail library that does the rest itself.
///
/// The message carries the token: it must not be logged, and not be sent a second time in one exchange. A library that
/// asks again after this message has been sent was refused: see [`read_rejection`] and [`acknowledgement`].
///
/// # Errors
/// [`ConfigError`] when identity or endpoint cannot work.
///
/// ```
/// use mailbearer::{AccessToken, Endpoint, Identity, Mechanism, Protocol, Tls, initial_response};
/// let endpoint = Endpoint::new(Protocol::Imap, Tls::Implicit, "imap.gmail.com");
/// let token = AccessToken::new("ya29.token").unwrap();
/// let message = initial_response(Mechanism::XOAuth2, &Identity::new("joe@gmail.com"), &endpoint, &token).unwrap();
/// assert_eq!(message, b"user=joe@gmail.com\x01auth=Bearer ya29.token\x01\x01");
/// ```
pub fn initial_response(
    mechanism: Mechanism,
    identity: &Identity,
    endpoint: &Endpoint,
    token: &AccessToken,
) -> Result<Vec<u8>, ConfigError> {
    identity.validate()?;
    endpoint.validate()?;
    Ok(message(mechanism, identity, endpoint, token))
}

/// The answer to an error challenge, before base64: empty for XOAUTH2, 0x01 for OAUTHBEARER (RFC 7628 section 3.2.3).
#[must_use]
pub const fn acknowledgement(mechanism: Mechanism) -> &'static [u8] {
    match mechanism {
        Mechanism::XOAuth2 => b"",
        Mechanism::OAuthBearer => b"\x01",
    }
}

/// Base64 as RFC 4648 section 4 has it, with padding.
pub(crate) fn encode(message: &[u8]) -> String {
    STANDARD.encode(message)
}

/// Strict base64: RFC 4954 section 4 and RFC 5034 section 4 ask to reject any octet outside the alphabet.
pub(crate) fn decode_strict(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// What the server's error challenge said (RFC 7628 section 3.2.2). All of it is untrusted, and only a hint: 400 and 401
/// mean opposite things at Gmail and Dovecot. Nothing here is ever followed or fetched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rejection {
    /// `invalid_token`, `400`, …: `None` where the challenge has none that can be read.
    pub status: Option<String>,
    /// Scopes that the server wants, separated by spaces.
    pub scope: Option<String>,
    /// Token types, of XOAUTH2 only.
    pub schemes: Option<String>,
    /// Where the server says that its OpenID configuration lies. Untrusted: a counterfeit server sends a victim to its
    /// own (RFC 9700 section 4.4).
    pub openid_configuration: Option<String>,
}

impl Rejection {
    /// Whether the challenge speaks of a scope that is missing (RFC 6750 section 3.1; Dovecot says 403).
    pub(crate) fn means_scope(&self) -> bool {
        matches!(self.status.as_deref(), Some("insufficient_scope" | "403"))
    }

    /// Whether the challenge says in RFC 6750's own word (section 3.1) that the token is the reason. Numbers do not: 400 and 401
    /// mean opposite things at Gmail and Dovecot.
    pub(crate) fn means_token(&self) -> bool {
        self.status.as_deref() == Some("invalid_token")
    }

    /// Whether the challenge speaks of a fault of the server (Dovecot 2.4, RFC 6749 section 4.1.2.1).
    pub(crate) fn means_unavailable(&self) -> bool {
        let Some(status) = self.status.as_deref() else { return false };
        matches!(status, "internal_failure" | "temporarily_unavailable" | "server_error")
            || (status.len() == 3 && status.starts_with('5'))
    }
}

/// Reads an error challenge as servers send it and as mail libraries hand it on: a JSON object or its base64, with or without
/// `+ ` or `334 ` in front, in quotation marks, in Python's `b'…'`, or within an error's text.
///
/// Whatever cannot be read is left out: a challenge that is no base64, no JSON or cut short gives an empty
/// [`Rejection`], never an error.
///
/// ```
/// let rejection = mailbearer::read_rejection("334 eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIn0=");
/// assert_eq!(rejection.status.as_deref(), Some("400"));
/// assert_eq!(rejection.schemes.as_deref(), Some("Bearer"));
/// assert_eq!(mailbearer::read_rejection(r#"b'{"status":"400","schemes":"Bearer"}'"#), rejection);
/// assert_eq!(mailbearer::read_rejection("+ hello"), mailbearer::Rejection::default());
/// ```
#[must_use]
pub fn read_rejection(challenge: &str) -> Rejection {
    let Some(members) = json_of(challenge) else { return Rejection::default() };
    let member = |name: &str| match members.get(name) {
        Some(Value::String(text)) => Some(displayable(text.as_bytes())),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(_) | None => None,
    };
    Rejection {
        status: member("status"),
        scope: member("scope"),
        schemes: member("schemes"),
        openid_configuration: member("openid-configuration"),
    }
}

/// The JSON object in a challenge.
fn json_of(challenge: &str) -> Option<Map<String, Value>> {
    if challenge.len() > CHALLENGE_OCTETS_MAX {
        return None;
    }
    if let Some(json) = challenge.find('{').and_then(|start| challenge.get(start..)) {
        let json = json.get(..=json.rfind('}')?)?;
        // As it is, as a string of JSON has it, and as Python shows a dict.
        return object(json.as_bytes())
            .or_else(|| object(json.replace('\\', "").as_bytes()))
            .or_else(|| object(json.replace('\'', "\"").as_bytes()));
    }
    let one_line = challenge.replace(['\r', '\n'], "");
    let runs = one_line.split(|one: char| !(one.is_ascii_alphanumeric() || "+/-_=".contains(one)));
    let run = runs.max_by_key(|run| run.len())?;
    // `+` and `334` are base64 themselves.
    let starts = [Some(run), run.strip_prefix('+'), run.strip_prefix("334")];
    starts.into_iter().flatten().find_map(|base64| object(&decode_lenient(base64)?))
}

fn object(json: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(json) {
        Ok(Value::Object(members)) if json.len() <= REJECTION_OCTETS_MAX => Some(members),
        Ok(_) | Err(_) => None,
    }
}

/// Base64 of the longest JSON object, with as much around it.
const CHALLENGE_OCTETS_MAX: usize = REJECTION_OCTETS_MAX * 2;

/// Whether a prompt holds data, which a mechanism in which the client speaks first never does: JSON or readable text in
/// base64. A prompt in plain words is none (Stalwart says `334 Go ahead.`).
pub(crate) fn is_data(prompt: &str) -> bool {
    match decode_strict(prompt) {
        Some(data) => {
            !data.is_empty()
                && data.iter().all(|octet| matches!(octet, b' '..=b'~' | b'\r' | b'\n' | b'\t'))
        }
        None => false,
    }
}

/// Whether a continuation request after the token holds data, as an error challenge does: text in base64, or the start of a
/// JSON object in base64 that was cut.
pub(crate) fn is_challenge(prompt: &str) -> bool {
    // `{` and a quotation mark or a space, `{` and a line end.
    is_data(prompt) || prompt.starts_with("ey") || prompt.starts_with("ew")
}

/// Servers were seen with and without padding.
const ANY_PADDING: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const INDIFFERENT: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);
const INDIFFERENT_URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING);

/// Base64 of either alphabet (RFC 4648 sections 4 and 5), with padding or without.
pub(crate) fn decode_lenient(text: &str) -> Option<Vec<u8>> {
    INDIFFERENT.decode(text).or_else(|_| INDIFFERENT_URL_SAFE.decode(text)).ok()
}

/// RFC 5801 section 4: `=` becomes `=3D` and `,` becomes `=2C` in a `saslname`.
fn escape_gs2(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Protocol, Tls};
    use alloc::format;

    fn message_of(mechanism: Mechanism, user: &str, authzid: Option<&str>) -> Vec<u8> {
        let endpoint =
            Endpoint::new(Protocol::Imap, Tls::Implicit, "server.example.com").with_port(143);
        let identity = Identity { user: user.into(), authzid: authzid.map(Into::into) };
        let token = AccessToken::new("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==").unwrap();
        message(mechanism, &identity, &endpoint, &token)
    }

    #[test]
    fn oauthbearer_is_the_example_of_rfc_7628_section_4_1() {
        let expected = "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyI\
                        HZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB";
        assert_eq!(encode(&message_of(Mechanism::OAuthBearer, "user@example.com", None)), expected);
    }

    #[test]
    fn xoauth2_is_the_form_of_googles_document() {
        let message = message_of(Mechanism::XOAuth2, "someuser@example.com", None);
        assert_eq!(
            message,
            b"user=someuser@example.com\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
        );
    }

    #[test]
    fn gs2_escapes_comma_and_equals_sign_and_xoauth2_does_not() {
        let bearer = message_of(Mechanism::OAuthBearer, "a,b=c", None);
        assert!(bearer.starts_with(b"n,a=a=2Cb=3Dc,\x01host="));
        assert!(message_of(Mechanism::XOAuth2, "a,b=c", None).starts_with(b"user=a,b=c\x01"));
    }

    #[test]
    fn the_authzid_goes_out_where_there_is_one() {
        assert!(
            message_of(Mechanism::OAuthBearer, "me", Some("shared")).starts_with(b"n,a=shared,")
        );
        assert!(
            message_of(Mechanism::XOAuth2, "me", Some("shared")).starts_with(b"user=shared\x01")
        );
    }

    #[test]
    fn reads_what_servers_were_seen_to_send() {
        let google = "eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIG1hYyIsInNjb3BlIjoiaHR0cHM6Ly9tYWlsLmdvb2dsZS5jb20vIn0K";
        let rejection = read_rejection(google);
        assert_eq!(rejection.status.as_deref(), Some("401"));
        assert_eq!(rejection.scope.as_deref(), Some("https://mail.google.com/"));
        assert_eq!(read_rejection("+ eyJzdGF0dXMiOjQwMX0=").status.as_deref(), Some("401"));
    }

    #[test]
    fn reads_what_mail_libraries_hand_on() {
        let json = r#"{"status":"401","schemes":"bearer mac","scope":"https://mail.google.com/"}"#;
        let base64 = encode(json.as_bytes());
        let url_safe = base64.replace('+', "-").replace('/', "_");
        let (first, rest) = base64.split_at(40);
        let python =
            "{'status': '401', 'schemes': 'bearer mac', 'scope': 'https://mail.google.com/'}";
        let expected = read_rejection(&format!("+ {base64}"));
        assert_eq!(expected.scope.as_deref(), Some("https://mail.google.com/"));
        for handed_on in [
            json.into(),
            format!("{json}\n"),
            format!(" b'{json}\\n'"),
            format!("\"{}\"", json.replace('"', "\\\"")),
            python.into(),
            format!("334 {json}"),
            format!("+ {json}\r\n"),
            base64.clone(),
            base64.trim_end_matches('=').into(),
            url_safe,
            format!("+{base64}\r\n"),
            format!("334 {base64}\r\n"),
            format!("b'{base64}'"),
            format!("b'334 {base64}\\r\\n'"),
            format!("\"{base64}\""),
            format!("(334, b'{base64}')"),
            format!("334 {first}\r\n{rest}"),
            format!("AUTH command failed: 334 {base64}"),
        ] {
            assert_eq!(read_rejection(&handed_on), expected, "{handed_on}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        for challenge in [
            "",
            "+",
            "+ ",
            "====",
            "!!!",
            "W10=",
            "IjQwMSI=",
            "eyJzdGF0dXMiOm51bGx9",
            "eyJzdGF0dXMiOiI0",
            "{",
            "}{",
            "b'",
            "{'}",
            "\u{e9}{\u{e9}",
        ] {
            assert_eq!(read_rejection(challenge), Rejection::default(), "{challenge}");
        }
        let deep = encode("[".repeat(5_000).as_bytes());
        assert_eq!(read_rejection(&deep), Rejection::default());
        let of = |octets: usize| format!("{{\"status\":\"401\"{}}}", " ".repeat(octets - 16));
        for (octets, read) in [(REJECTION_OCTETS_MAX, true), (REJECTION_OCTETS_MAX + 1, false)] {
            let json = of(octets);
            assert_eq!(json.len(), octets);
            assert_eq!(read_rejection(&json).status.is_some(), read);
            assert_eq!(read_rejection(&encode(json.as_bytes())).status.is_some(), read);
        }
        let long = "{\"status\":\"401\"}".to_string() + &" ".repeat(CHALLENGE_OCTETS_MAX);
        assert_eq!(read_rejection(&long), Rejection::default());
    }

    #[test]
    fn tells_data_from_a_prompt_in_words() {
        assert!(is_data("eyJzdGF0dXMiOiI0MDEifQ=="));
        assert!(is_data("VXNlcm5hbWU6"));
        for prompt in ["", "Go ahead.", "XOAUTH2 supported", "continue"] {
            assert!(!is_data(prompt), "{prompt}");
        }
    }

    #[test]
    fn tells_an_error_challenge_from_a_prompt_in_words() {
        // Whole, cut, without padding, with a space or a line feed behind the brace.
        for challenge in [
            "eyJzdGF0dXMiOiI0MDEifQ==",
            "eyJzdGF0dXMiOiI0",
            "eyAic3RhdHVzIjo",
            "ewogInN0YXR1cyI6",
            "VXNlcm5hbWU6",
        ] {
            assert!(is_challenge(challenge), "{challenge}");
        }
        for prompt in ["XOAUTH2 supported", "Go ahead.", "continue", "OK"] {
            assert!(!is_challenge(prompt), "{prompt}");
        }
    }

    #[test]
    fn a_message_is_made_only_for_what_can_work() {
        let good = Endpoint::new(Protocol::Imap, Tls::Implicit, "imap.example.test");
        let bad = Endpoint::new(Protocol::Imap, Tls::Implicit, "imap\r\n.example.test");
        let token = AccessToken::new("token").unwrap();
        let make = |user: &str, endpoint: &Endpoint| {
            initial_response(Mechanism::XOAuth2, &Identity::new(user), endpoint, &token)
        };
        assert_eq!(make("joe", &good).unwrap(), b"user=joe\x01auth=Bearer token\x01\x01");
        assert!(make("joe\x01", &good).is_err());
        assert!(make("joe", &bad).is_err());
    }
}
