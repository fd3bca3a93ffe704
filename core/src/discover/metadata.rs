//! What an authorization server says of itself: RFC 8414, and OpenID Connect Discovery 1.0, whose document is nearly the same.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::Value;

use super::places::HttpsUrl;
use crate::limits::METADATA_OCTETS_MAX;
use crate::provider::OAuth;

/// draft-ietf-mailmaint-oauth-public: one scope for all protocols of mail.
const SCOPE_OF_MAIL: &str = "urn:ietf:params:oauth:scope:mail";

/// Metadata whose issuer is the one that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) issuer: String,
    pub(super) server: OAuth,
    /// Of those that it supports, the ones that mail needs.
    pub(super) scopes: Vec<String>,
}

/// The issuer as a URL: version 1.1 of autoconfig has names of hosts.
pub(super) fn issuer_url(issuer: &str) -> String {
    if issuer.contains("://") { issuer.to_string() } else { ["https://", issuer].concat() }
}

/// Where metadata are: RFC 8414 section 3.1, and OpenID Connect Discovery 1.0 section 4.
pub(super) fn addresses(issuer: &str) -> Option<[String; 2]> {
    let url = HttpsUrl::parse(&issuer_url(issuer))?;
    let path = url.path.trim_end_matches('/');
    let rfc8414 = url.with_path(&["/.well-known/oauth-authorization-server", path].concat());
    let openid = url.with_path(&[path, "/.well-known/openid-configuration"].concat());
    Some([rfc8414, openid])
}

impl Metadata {
    /// Reads a document of the issuer that was asked. The error is a part of a sentence.
    pub(super) fn read(octets: &[u8], issuer: &str) -> Result<Self, &'static str> {
        if octets.len() > METADATA_OCTETS_MAX {
            return Err("it is larger than any such document");
        }
        let Ok(Value::Object(members)) = serde_json::from_slice(octets) else {
            return Err("it is no JSON object");
        };
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let url = |name| text(name).and_then(HttpsUrl::parse).map(|url| url.text());
        let said = text("issuer").unwrap_or_default();
        // RFC 8414 section 3.3: identical; of a host alone the slash is not known.
        let asked = issuer_url(issuer);
        let is_bare = !issuer.contains("://");
        if said != asked && !(is_bare && said.strip_suffix('/') == Some(asked.as_str())) {
            return Err("its issuer is another one");
        }
        let (Some(authorization_endpoint), Some(token_endpoint)) =
            (url("authorization_endpoint"), url("token_endpoint"))
        else {
            return Err("it has no endpoints at https");
        };
        let list = |name: &str| -> Option<Vec<&str>> {
            Some(members.get(name)?.as_array()?.iter().filter_map(Value::as_str).collect())
        };
        let methods = list("token_endpoint_auth_methods_supported");
        let supported = list("scopes_supported").unwrap_or_default();
        let of_mail = [SCOPE_OF_MAIL, "offline_access"];
        let has_scope = supported.contains(&SCOPE_OF_MAIL);
        Ok(Self {
            issuer: said.to_string(),
            server: OAuth {
                issuer: Some(said.to_string()),
                authorization_endpoint,
                token_endpoint,
                device_authorization_endpoint: url("device_authorization_endpoint"),
                revocation_endpoint: url("revocation_endpoint"),
                registration_endpoint: url("registration_endpoint"),
                // Left out it would be client_secret_basic, by RFC 8414; those that leave it out mean nothing by it.
                needs_client_secret: methods.is_some_and(|methods| !methods.contains(&"none")),
                parameters: Vec::new(),
                // OpenID Connect Core 1.0 section 3.1.2.1: servers that do not know it leave it aside.
                takes_login_hint: true,
            },
            scopes: of_mail
                .into_iter()
                .filter(|scope| has_scope && supported.contains(scope))
                .map(ToString::to_string)
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    const ISSUER: &str = "https://login.example.org/realms/x";

    fn document(issuer: &str, more: &str) -> String {
        format!(
            "{{\"issuer\":\"{issuer}\",\"authorization_endpoint\":\"https://login.example.org/a\",\"token_endpoint\":\"https://login.example.org/t\"{more}}}"
        )
    }

    #[test]
    fn is_asked_at_both_well_known_addresses() {
        assert_eq!(
            addresses(ISSUER).unwrap(),
            [
                "https://login.example.org/.well-known/oauth-authorization-server/realms/x",
                "https://login.example.org/realms/x/.well-known/openid-configuration",
            ]
        );
        assert_eq!(
            addresses("login.example.org").unwrap(),
            [
                "https://login.example.org/.well-known/oauth-authorization-server",
                "https://login.example.org/.well-known/openid-configuration",
            ]
        );
        assert_eq!(addresses("http://login.example.org"), None);
    }

    #[test]
    fn the_issuer_must_be_the_one_that_was_asked() {
        assert!(Metadata::read(document(ISSUER, "").as_bytes(), ISSUER).is_ok());
        for other in [
            "https://login.example.org/realms/x/",
            "https://evil.example",
            "",
            "https://LOGIN.example.org/realms/x",
        ] {
            assert!(Metadata::read(document(other, "").as_bytes(), ISSUER).is_err(), "{other}");
        }
        let bare = document("https://login.example.org/", "");
        assert!(Metadata::read(bare.as_bytes(), "login.example.org").is_ok());
        assert!(Metadata::read(bare.as_bytes(), "https://login.example.org").is_err());
    }

    #[test]
    fn reports_registration_and_the_scope_of_mail() {
        let more = ",\"registration_endpoint\":\"https://login.example.org/r\",\"revocation_endpoint\":\"http://x.example\",\"scopes_supported\":[\"openid\",\"offline_access\",\"urn:ietf:params:oauth:scope:mail\"],\"token_endpoint_auth_methods_supported\":[\"client_secret_basic\"]";
        let metadata = Metadata::read(document(ISSUER, more).as_bytes(), ISSUER).unwrap();
        assert_eq!(
            metadata.server.registration_endpoint.as_deref(),
            Some("https://login.example.org/r")
        );
        assert_eq!(metadata.server.revocation_endpoint, None);
        assert!(metadata.server.needs_client_secret);
        assert_eq!(metadata.scopes, [SCOPE_OF_MAIL, "offline_access"]);
        let none = Metadata::read(
            document(ISSUER, ",\"scopes_supported\":[\"offline_access\"]").as_bytes(),
            ISSUER,
        )
        .unwrap();
        assert!(none.scopes.is_empty() && !none.server.needs_client_secret);
    }

    #[test]
    fn what_is_no_such_document_is_told() {
        let large = document(ISSUER, &format!(",\"x\":\"{}\"", "a".repeat(METADATA_OCTETS_MAX)));
        for text in ["", "[]", "null", "{", &"[".repeat(60_000), "{\"issuer\":7}", &large] {
            assert!(Metadata::read(text.as_bytes(), ISSUER).is_err());
        }
        let plain = document(ISSUER, "")
            .replace("https://login.example.org/t", "http://login.example.org/t");
        assert!(Metadata::read(plain.as_bytes(), ISSUER).is_err());
    }
}
