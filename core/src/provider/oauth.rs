//! Authorization servers of providers (RFC 6749): where a program gets its tokens, and with which habits. Data only: no
//! OAuth is spoken here.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Where a provider's tokens come from. It configures an OAuth library; mailbearer itself opens none of these addresses.
///
/// ```
/// use mailbearer::Provider;
/// let oauth = Provider::gmail().oauth.unwrap();
/// assert_eq!(oauth.token_endpoint, "https://oauth2.googleapis.com/token");
/// // Google has a device grant, and does not allow the scope of mail in it.
/// assert_eq!(oauth.device_authorization_endpoint, None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth {
    /// Issuer identifier (RFC 8414), where the server publishes metadata under it.
    pub issuer: Option<String>,
    /// Where a person gives consent, in a browser.
    pub authorization_endpoint: String,
    /// Where a code, or a refresh token, is exchanged for an access token.
    pub token_endpoint: String,
    /// Where a device asks for a code to show (RFC 8628); `None`: there is none that may be used for mail.
    pub device_authorization_endpoint: Option<String>,
    /// Where a token is revoked (RFC 7009).
    pub revocation_endpoint: Option<String>,
    /// Where a program registers itself (RFC 7591).
    pub registration_endpoint: Option<String>,
    /// Whether the token endpoint asks for a client secret, also from programs on people's machines.
    pub needs_client_secret: bool,
    /// What the authorization request carries beyond the standard's parameters, such as `access_type=offline`.
    pub parameters: Vec<OAuthParameter>,
    /// Whether it takes the mail address as `login_hint`.
    pub takes_login_hint: bool,
}

/// A parameter of the authorization request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthParameter {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// An authorization server as it is written down here.
#[derive(Debug)]
pub(super) struct Server {
    issuer: Option<&'static str>,
    authorization_endpoint: &'static str,
    token_endpoint: &'static str,
    device_authorization_endpoint: Option<&'static str>,
    revocation_endpoint: Option<&'static str>,
    registration_endpoint: Option<&'static str>,
    needs_client_secret: bool,
    parameters: &'static [(&'static str, &'static str)],
    takes_login_hint: bool,
}

impl Server {
    pub(super) fn to_oauth(&self) -> OAuth {
        let owned = |text: Option<&str>| text.map(ToString::to_string);
        let parameter = |(name, value): &(&str, &str)| OAuthParameter {
            name: name.to_string(),
            value: value.to_string(),
        };
        OAuth {
            issuer: owned(self.issuer),
            authorization_endpoint: self.authorization_endpoint.to_string(),
            token_endpoint: self.token_endpoint.to_string(),
            device_authorization_endpoint: owned(self.device_authorization_endpoint),
            revocation_endpoint: owned(self.revocation_endpoint),
            registration_endpoint: owned(self.registration_endpoint),
            needs_client_secret: self.needs_client_secret,
            parameters: self.parameters.iter().map(parameter).collect(),
            takes_login_hint: self.takes_login_hint,
        }
    }
}

/// developers.google.com/identity/protocols/oauth2/native-app, and accounts.google.com's OpenID configuration. Without
/// `access_type` there is no refresh token, and without `prompt` only at the first consent. The device grant has no scope
/// of mail: developers.google.com/identity/protocols/oauth2/limited-input-device, "Allowed scopes". Desktop clients have a
/// secret, which is none, and the token endpoint asks for it.
pub(super) const GOOGLE: Server = Server {
    issuer: Some("https://accounts.google.com"),
    authorization_endpoint: "https://accounts.google.com/o/oauth2/v2/auth",
    token_endpoint: "https://oauth2.googleapis.com/token",
    device_authorization_endpoint: None,
    revocation_endpoint: Some("https://oauth2.googleapis.com/revoke"),
    registration_endpoint: None,
    needs_client_secret: true,
    parameters: &[("access_type", "offline"), ("prompt", "consent")],
    takes_login_hint: true,
};

/// learn.microsoft.com/entra/identity-platform: "OAuth 2.0 authorization code flow" and "device authorization grant".
/// Public clients have no secret. There is no revocation endpoint.
pub(super) const MICROSOFT: Server = Server {
    issuer: Some("https://login.microsoftonline.com/common/v2.0"),
    authorization_endpoint: "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
    token_endpoint: "https://login.microsoftonline.com/common/oauth2/v2.0/token",
    device_authorization_endpoint: Some(
        "https://login.microsoftonline.com/common/oauth2/v2.0/devicecode",
    ),
    revocation_endpoint: None,
    registration_endpoint: None,
    needs_client_secret: false,
    parameters: &[],
    takes_login_hint: true,
};

/// learn.microsoft.com/entra/identity-platform/authentication-national-cloud.
pub(super) const MICROSOFT_US: Server = Server {
    issuer: Some("https://login.microsoftonline.us/common/v2.0"),
    authorization_endpoint: "https://login.microsoftonline.us/common/oauth2/v2.0/authorize",
    token_endpoint: "https://login.microsoftonline.us/common/oauth2/v2.0/token",
    device_authorization_endpoint: Some(
        "https://login.microsoftonline.us/common/oauth2/v2.0/devicecode",
    ),
    ..MICROSOFT
};

/// learn.microsoft.com/entra/identity-platform/authentication-national-cloud.
pub(super) const MICROSOFT_CHINA: Server = Server {
    issuer: Some("https://login.partner.microsoftonline.cn/common/v2.0"),
    authorization_endpoint: "https://login.partner.microsoftonline.cn/common/oauth2/v2.0/authorize",
    token_endpoint: "https://login.partner.microsoftonline.cn/common/oauth2/v2.0/token",
    device_authorization_endpoint: Some(
        "https://login.partner.microsoftonline.cn/common/oauth2/v2.0/devicecode",
    ),
    ..MICROSOFT
};

/// api.login.yahoo.com's OpenID configuration; its token endpoint knows confidential clients only.
pub(super) const YAHOO: Server = Server {
    issuer: Some("https://api.login.yahoo.com"),
    authorization_endpoint: "https://api.login.yahoo.com/oauth2/request_auth",
    token_endpoint: "https://api.login.yahoo.com/oauth2/get_token",
    device_authorization_endpoint: None,
    revocation_endpoint: Some("https://api.login.yahoo.com/oauth2/revoke"),
    registration_endpoint: None,
    needs_client_secret: true,
    parameters: &[],
    takes_login_hint: true,
};

/// Endpoints: Thunderbird's OAuth2Providers. As Yahoo's, under names of its own.
pub(super) const AOL: Server = Server {
    issuer: None,
    authorization_endpoint: "https://api.login.aol.com/oauth2/request_auth",
    token_endpoint: "https://api.login.aol.com/oauth2/get_token",
    revocation_endpoint: None,
    ..YAHOO
};

/// fastmail.com/for-developers/oauth: PKCE without a secret, one endpoint for codes and refreshes, each refresh token works
/// once, programs register themselves.
pub(super) const FASTMAIL: Server = Server {
    issuer: None,
    authorization_endpoint: "https://api.fastmail.com/oauth/authorize",
    token_endpoint: "https://api.fastmail.com/oauth/refresh",
    device_authorization_endpoint: None,
    revocation_endpoint: Some("https://api.fastmail.com/oauth/revoke"),
    registration_endpoint: Some("https://api.fastmail.com/oauth/register"),
    needs_client_secret: false,
    parameters: &[],
    takes_login_hint: true,
};

/// yandex.com/dev/id/doc: "Requesting tokens" and "Token for devices". A secret is not needed with PKCE.
pub(super) const YANDEX: Server = Server {
    issuer: None,
    authorization_endpoint: "https://oauth.yandex.com/authorize",
    token_endpoint: "https://oauth.yandex.com/token",
    device_authorization_endpoint: Some("https://oauth.yandex.com/device/code"),
    revocation_endpoint: Some("https://oauth.yandex.com/revoke_token"),
    registration_endpoint: None,
    needs_client_secret: false,
    parameters: &[],
    takes_login_hint: true,
};

/// Endpoints, and that its clients have secrets: Thunderbird's OAuth2Providers.
pub(super) const MAILRU: Server = Server {
    issuer: None,
    authorization_endpoint: "https://o2.mail.ru/login",
    token_endpoint: "https://o2.mail.ru/token",
    device_authorization_endpoint: None,
    revocation_endpoint: None,
    registration_endpoint: None,
    needs_client_secret: true,
    parameters: &[],
    takes_login_hint: false,
};

/// Endpoints, and that its clients have secrets: Thunderbird's OAuth2Providers.
pub(super) const COMCAST: Server = Server {
    authorization_endpoint: "https://oauth.xfinity.com/oauth/authorize",
    token_endpoint: "https://oauth.xfinity.com/oauth/token",
    ..MAILRU
};
