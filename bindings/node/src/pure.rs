//! Pure functions, tokens and providers.

use std::collections::BTreeMap;

use mailbearer::{
    AccessToken, Endpoint, Identity, Mechanism, Names, OAuth, Phase, Protocol, Provider, Said,
    Service, Tls,
};
use napi::bindgen_prelude::BufferSlice;
use napi::{Env, Result};
use napi_derive::napi;

use crate::convert::{self, config_error, config_text, named, number, octets, one_of};
use crate::types::{JsFailure, JsRejection, JsVerdict};

/// An access token that is checked and never shown.
#[napi(js_name = "NativeAccessToken")]
pub struct JsAccessToken(pub(crate) AccessToken);

#[napi]
impl JsAccessToken {
    #[napi(constructor, catch_unwind)]
    pub fn new(token: String) -> Result<Self> {
        Ok(Self(AccessToken::new(&token).map_err(|error| config_error(&error))?))
    }

    #[napi(catch_unwind)]
    pub fn equals(&self, other: &JsAccessToken) -> bool {
        self.0 == other.0
    }

    /// Without the token.
    #[napi(catch_unwind)]
    pub fn description(&self) -> String {
        self.0.to_string()
    }
}

/// Names that a reply may hold: no words of the server.
#[napi(object, object_to_js = false)]
#[derive(Default)]
pub struct JsNames {
    pub user: Option<String>,
    pub host: Option<String>,
}

impl JsNames {
    fn read(&self) -> Names<'_> {
        Names {
            user: self.user.as_deref().unwrap_or_default(),
            host: self.host.as_deref().unwrap_or_default(),
        }
    }
}

/// What a reply means.
#[napi(catch_unwind)]
pub fn classify(
    protocol: String,
    phase: String,
    lines: Vec<String>,
    names: JsNames,
) -> Result<JsVerdict> {
    let (protocol, phase) = (named(&protocol)?, phase_named(&phase)?);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    Ok(mailbearer::classify_named(protocol, phase, &lines, &names.read()).into())
}

/// A reply as a mail library hands it on.
#[napi(object, object_to_js = false)]
pub struct JsSaid {
    pub status: Option<String>,
    pub code: Option<String>,
    pub text: String,
}

/// What a reply means that a mail library hands on.
#[napi(catch_unwind)]
pub fn explain(protocol: String, phase: String, said: JsSaid, names: JsNames) -> Result<JsFailure> {
    let (protocol, phase) = (named(&protocol)?, phase_named(&phase)?);
    let JsSaid { status, code, text } = &said;
    let said = Said { status: status.as_deref(), code: code.as_deref(), text };
    Ok(mailbearer::explain(protocol, phase, &said, &names.read()).into())
}

fn phase_named(name: &str) -> Result<Phase> {
    one_of(Phase::ALL, |one| one.as_str(), name, "phase")
}

/// How TLS begins at a port.
#[napi(catch_unwind)]
pub fn tls_at_port(
    protocol: String,
    port: f64,
    tls: Option<String>,
    unusual_port: bool,
) -> Result<&'static str> {
    let asked = tls.map(|tls| named(&tls)).transpose()?;
    Tls::at_port(named(&protocol)?, convert::port(port)?, asked, unusual_port)
        .map(Tls::as_str)
        .map_err(|error| config_error(&error))
}

/// What an error challenge says.
#[napi(catch_unwind)]
pub fn read_rejection(challenge: String) -> JsRejection {
    mailbearer::read_rejection(&challenge).into()
}

/// What a token source says, without what may be a secret.
#[napi(catch_unwind)]
pub fn redact_source(text: String) -> String {
    mailbearer::redact_source(&text)
}

/// What to do to have a client id.
#[napi(catch_unwind)]
pub fn client_steps(user: String, provider: Option<String>, issuer: Option<String>) -> String {
    mailbearer::discover::client_steps(&user, provider.as_deref(), issuer.as_deref())
}

/// The one SASL message, before base64.
#[napi(catch_unwind)]
pub fn initial_response<'env>(
    env: &'env Env,
    mechanism: String,
    user: String,
    token: &JsAccessToken,
    host: Option<String>,
    port: Option<f64>,
    authzid: Option<String>,
) -> Result<BufferSlice<'env>> {
    let mechanism: Mechanism = named(&mechanism)?;
    // XOAUTH2 names no host; OAUTHBEARER does, and servers check it (RFC 7628 section 3.2).
    let host = match (host, mechanism) {
        (Some(host), Mechanism::XOAuth2 | Mechanism::OAuthBearer) => host,
        (None, Mechanism::XOAuth2) => "localhost".to_owned(),
        (None, Mechanism::OAuthBearer) => String::new(),
    };
    let mut endpoint = Endpoint::new(Protocol::Imap, Tls::Implicit, &host);
    if let Some(number) = port {
        endpoint.port = convert::port(number)?;
    }
    let identity = Identity { user, authzid };
    let message = mailbearer::initial_response(mechanism, &identity, &endpoint, &token.0)
        .map_err(|error| config_error(&error))?;
    octets(env, &message)
}

/// The answer to an error challenge, before base64.
#[napi(catch_unwind)]
pub fn acknowledgement<'env>(env: &'env Env, mechanism: String) -> Result<BufferSlice<'env>> {
    octets(env, mailbearer::acknowledgement(named(&mechanism)?))
}

/// What is known of a mail provider.
#[napi(object, object_from_js = false)]
pub struct JsProvider {
    pub name: String,
    pub domains: Vec<String>,
    pub token_lifetime_ms: Option<f64>,
    pub services: Vec<JsService>,
    pub oauth: Option<JsOAuth>,
    pub instead: Option<String>,
}

/// Where a provider's tokens come from.
#[napi(object, object_from_js = false)]
pub struct JsOAuth {
    pub issuer: Option<String>,
    pub authorization_endpoint: String,
    pub token_endpoint: String,
    pub device_authorization_endpoint: Option<String>,
    pub revocation_endpoint: Option<String>,
    pub registration_endpoint: Option<String>,
    pub needs_client_secret: bool,
    pub parameters: BTreeMap<String, String>,
    pub takes_login_hint: bool,
}

/// What a provider has of a protocol.
#[napi(object, object_from_js = false)]
pub struct JsService {
    pub protocol: &'static str,
    pub host: String,
    pub port: f64,
    pub tls: &'static str,
    pub mechanisms: Vec<&'static str>,
    pub scopes: Vec<String>,
    pub initial_response: &'static str,
    pub assumed_capabilities: Vec<String>,
    pub session_ms: Option<f64>,
    pub ends_with_token: bool,
    pub idle_ms: Option<f64>,
    pub connections: Option<u32>,
}

#[napi(catch_unwind)]
pub fn provider_names() -> Vec<String> {
    Provider::NAMES.iter().map(|name| (*name).to_owned()).collect()
}

/// The profile of a name.
#[napi(catch_unwind)]
pub fn provider_named(name: String) -> Result<JsProvider> {
    let found = Provider::named(&name).map(|provider| JsProvider::new(&provider));
    found.ok_or_else(|| config_text(&Provider::unknown(&name)))
}

/// The provider of a mail address, where that is certain.
#[napi(catch_unwind)]
pub fn provider_of_address(address: String) -> Option<JsProvider> {
    Provider::of_address(&address).map(|provider| JsProvider::new(&provider))
}

/// A server of which nothing is known but its host.
#[napi(catch_unwind)]
pub fn provider_generic(host: String) -> JsProvider {
    JsProvider::new(&Provider::generic(&host))
}

impl JsProvider {
    pub(crate) fn new(provider: &Provider) -> Self {
        Self {
            name: provider.name.clone(),
            domains: provider.domains.clone(),
            token_lifetime_ms: provider.token_lifetime_ms.map(number),
            services: provider.services.iter().map(JsService::new).collect(),
            oauth: provider.oauth.as_ref().map(JsOAuth::new),
            instead: provider.instead.clone(),
        }
    }
}

impl JsOAuth {
    fn new(oauth: &OAuth) -> Self {
        let parameters = oauth.parameters.iter();
        let parameters = parameters.map(|one| (one.name.clone(), one.value.clone())).collect();
        Self {
            issuer: oauth.issuer.clone(),
            authorization_endpoint: oauth.authorization_endpoint.clone(),
            token_endpoint: oauth.token_endpoint.clone(),
            device_authorization_endpoint: oauth.device_authorization_endpoint.clone(),
            revocation_endpoint: oauth.revocation_endpoint.clone(),
            registration_endpoint: oauth.registration_endpoint.clone(),
            needs_client_secret: oauth.needs_client_secret,
            parameters,
            takes_login_hint: oauth.takes_login_hint,
        }
    }
}

impl JsService {
    fn new(service: &Service) -> Self {
        Self {
            protocol: service.endpoint.protocol.as_str(),
            host: service.endpoint.host.clone(),
            port: f64::from(service.endpoint.port),
            tls: service.endpoint.tls.as_str(),
            mechanisms: service.mechanisms.iter().map(|one| one.as_str()).collect(),
            scopes: service.scopes.clone(),
            initial_response: service.initial_response.as_str(),
            assumed_capabilities: service.assumed_capabilities.clone(),
            session_ms: service.limits.session_ms.map(number),
            ends_with_token: service.limits.ends_with_token,
            idle_ms: service.limits.idle_ms.map(number),
            connections: service.limits.connections,
        }
    }
}
