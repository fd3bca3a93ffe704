//! Texts from servers and hosts against the pure functions: `read_rejection`, `classify`, `AccessToken::new`,
//! `initial_response`.
//!
//! Input: an octet that chooses, then the text.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use mailbearer::limits::{REJECTION_OCTETS_MAX, SERVER_TEXT_CHARS_MAX};
use mailbearer::{
    AccessToken, Cause, ConfigError, Endpoint, Identity, Mechanism, Phase, Protocol, Rejection,
    TOKEN_OCTETS_MAX, Tls, classify, initial_response, read_rejection,
};

use crate::octets::{Octets, contains};

/// Holds the functions against the rules.
pub fn check(data: &[u8]) {
    let mut octets = Octets::new(data);
    match octets.octet() % 4 {
        0 => challenge_of_any_kind(&String::from_utf8_lossy(octets.rest())),
        1 => challenge_of_json(octets.rest()),
        2 => reply(octets),
        _ => message(octets),
    }
}

fn challenge_of_any_kind(challenge: &str) {
    shown_safely(&read_rejection(challenge));
}

/// However it is packed, a challenge says the same; and what it says is what its JSON says.
fn challenge_of_json(json: &[u8]) {
    let packed = STANDARD.encode(json);
    let rejection = read_rejection(&packed);
    shown_safely(&rejection);
    for other in [
        format!("334 {packed}"),
        format!("+ {packed}"),
        format!("+{packed}\r\n"),
        STANDARD_NO_PAD.encode(json),
    ] {
        // `+` and `334` are base64 themselves: only a challenge that does not begin with them can stand alone.
        if !packed.starts_with(['+', '3']) {
            assert_eq!(read_rejection(&other), rejection, "{other}");
        }
    }
    // Told apart from the standard alphabet by its own characters only.
    let url_safe = URL_SAFE.encode(json);
    if url_safe.contains(['-', '_']) {
        assert_eq!(
            read_rejection(&format!("+ {url_safe}")),
            read_rejection(&format!("+ {packed}"))
        );
    }
    let read: Option<serde_json::Map<String, serde_json::Value>> =
        serde_json::from_slice(json).ok();
    if read.is_none() {
        assert_eq!(rejection, Rejection::default(), "read out of no object");
        return;
    }
    if json.len() <= REJECTION_OCTETS_MAX
        && let Ok(text) = std::str::from_utf8(json)
    {
        for decoded in [text.to_owned(), format!("+ {text}\r\n"), format!("b'{text}'")] {
            assert_eq!(read_rejection(&decoded), rejection, "{decoded}");
        }
    }
    let said = |name: &str| read.as_ref()?.get(name)?.as_str().map(|text| text.trim().is_empty());
    if packed.len() <= 8 << 10 && !packed.starts_with(['+', '3']) {
        for (name, value) in [
            ("status", &rejection.status),
            ("scope", &rejection.scope),
            ("openid-configuration", &rejection.openid_configuration),
        ] {
            if said(name) == Some(false) {
                assert!(value.is_some(), "{name} is lost");
            }
        }
    }
}

fn shown_safely(rejection: &Rejection) {
    let Rejection { status, scope, schemes, openid_configuration } = rejection;
    for text in [status, scope, schemes, openid_configuration].into_iter().flatten() {
        shown(text);
    }
}

fn shown(text: &str) {
    assert!(text.chars().count() <= SERVER_TEXT_CHARS_MAX, "text without bound");
    assert!(!text.chars().any(char::is_control), "text with controls: {text:?}");
    assert!(
        !text.contains(['\u{202e}', '\u{2066}', '\u{2028}']),
        "text that turns around: {text:?}"
    );
}

fn reply(mut octets: Octets<'_>) {
    let protocol = octets.one_of(&Protocol::ALL);
    let phase = octets.one_of(Phase::ALL);
    let text = String::from_utf8_lossy(octets.rest()).into_owned();
    let lines: Vec<&str> = text.split('\n').collect();
    let verdict = classify(protocol, phase, &lines);
    assert!(!verdict.rule.is_empty());
    assert_eq!(verdict, classify(protocol, phase, &lines));
    if let Some(url) = &verdict.url {
        shown(url);
    }
    let limits = matches!(verdict.cause, Cause::RateLimited | Cause::TooManyConnections);
    assert!(verdict.wait_ms.is_none() || limits, "a wait without a limit");
    // Words in what reports no fault mean nothing.
    let positive = |line: &&str| match protocol {
        Protocol::Imap => line.starts_with("* OK ") || line.starts_with("A1 OK "),
        Protocol::Pop3 => line.starts_with("+OK "),
        Protocol::Smtp => line.starts_with("250 ") || line.starts_with("250-"),
    };
    if lines.iter().all(positive) {
        assert_eq!(verdict.cause, Cause::NoFault, "{lines:?}");
    }
}

fn message(mut octets: Octets<'_>) {
    let protocol = octets.one_of(&Protocol::ALL);
    let mechanism = octets.one_of(&Mechanism::ALL);
    let user = String::from_utf8_lossy(octets.some()).into_owned();
    let authzid = String::from_utf8_lossy(octets.some()).into_owned();
    let host = String::from_utf8_lossy(octets.some()).into_owned();
    let text = String::from_utf8_lossy(octets.rest()).into_owned();
    let token = AccessToken::new(&text);
    // `None`, and base64 of a whole message, are refused although their characters are right.
    let mistaken = matches!(token, Err(ConfigError::Mistaken { .. } | ConfigError::BearerPrefix));
    assert_eq!(token.is_ok() || mistaken, is_b64token(&text) || mistaken, "{} octets", text.len());
    let token = match token {
        Ok(token) => token,
        Err(error) => {
            let shown = format!("{error:?} {error}");
            assert!(text.len() < 40 || !shown.contains(&text), "an error shows the token");
            return;
        }
    };
    let identity = Identity { user, authzid: (!authzid.is_empty()).then_some(authzid) };
    let endpoint = Endpoint::new(protocol, Tls::Implicit, &host);
    let Ok(message) = initial_response(mechanism, &identity, &endpoint, &token) else { return };
    assert!(
        !message.iter().any(|octet| b"\0\r\n".contains(octet)),
        "a message that breaks its line"
    );
    let fields: Vec<&[u8]> = message.split(|octet| *octet == 1).collect();
    let bearer = format!("auth=Bearer {text}");
    let name = identity.authzid.as_ref().unwrap_or(&identity.user);
    match mechanism {
        Mechanism::XOAuth2 => {
            assert_eq!(fields, [format!("user={name}").as_bytes(), bearer.as_bytes(), b"", b""]);
        }
        Mechanism::OAuthBearer => {
            let header = String::from_utf8_lossy(fields[0]).into_owned();
            let escaped = header
                .strip_prefix("n,a=")
                .and_then(|rest| rest.strip_suffix(','))
                .expect("a GS2 header");
            assert!(!escaped.contains(','), "the name ends its field");
            assert_eq!(&escaped.replace("=2C", ",").replace("=3D", "="), name);
            assert_eq!(fields[1], format!("host={host}").as_bytes());
            assert_eq!(fields[3..], [bearer.as_bytes(), b"", b""]);
        }
    }
    assert!(text.len() < 8 || !contains(format!("{token:?} {token}").as_bytes(), text.as_bytes()));
}

/// RFC 6750 section 2.1.
fn is_b64token(text: &str) -> bool {
    let padded = text.find('=').unwrap_or(text.len());
    let (body, padding) = text.split_at(padded);
    !body.is_empty()
        && text.len() <= TOKEN_OCTETS_MAX
        && body.chars().all(|one| one.is_ascii_alphanumeric() || "-._~+/".contains(one))
        && padding.chars().all(|one| one == '=')
}
