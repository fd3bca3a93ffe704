//! What is known of mail providers, as data: endpoints, mechanisms, scopes, limits, and where their tokens come from. Each
//! fact has its source beside it, and a program may replace every one of them.
//!
//! | file | what |
//! |---|---|
//! | `domains.rs` | the domains of the great providers |
//! | `oauth.rs` | the authorization servers |
//! | `profiles.rs` | the providers that take tokens from programs |
//! | `without.rs` | those that do not, and what to use instead |

mod domains;
mod oauth;
mod profiles;
mod unknown;
mod without;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

pub use oauth::{OAuth, OAuthParameter};
use profiles::PROFILES;
use without::WITHOUT;

use crate::config::{
    ConfigError, Endpoint, Identity, InitialResponse, Mechanism, NegotiationConfig, Protocol, Tls,
};

/// How long a session may live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionLimits {
    /// Milliseconds after which the server ends a session of any kind; `None`: none is known.
    pub session_ms: Option<u64>,
    /// Whether a session ends with the access token that it was opened with.
    pub ends_with_token: bool,
    /// Milliseconds without a command after which the server ends a session.
    pub idle_ms: Option<u64>,
    /// Most connections at a time for one mailbox.
    pub connections: Option<u32>,
}

/// One protocol of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Where to connect.
    pub endpoint: Endpoint,
    /// Mechanisms that the provider takes, the preferred one first.
    pub mechanisms: Vec<Mechanism>,
    /// OAuth scopes that the token needs.
    pub scopes: Vec<String>,
    /// Whether the token may travel in the `AUTH` line.
    pub initial_response: InitialResponse,
    /// Capabilities that the provider has under TLS although its greeting does not list them.
    pub assumed_capabilities: Vec<String>,
    /// How long a session may live.
    pub limits: SessionLimits,
}

/// A mail provider.
///
/// ```
/// use mailbearer::{Identity, Protocol, Provider};
/// let gmail = Provider::gmail();
/// let config = gmail.negotiation(Protocol::Imap, Identity::new("joe@gmail.com")).unwrap();
/// assert_eq!((config.endpoint.host.as_str(), config.endpoint.port), ("imap.gmail.com", 993));
///
/// assert_eq!(Provider::of_address("joe@hotmail.com").unwrap().name, "microsoft");
/// assert_eq!(Provider::of_address("joe@example.org"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Short name, in lower case.
    pub name: String,
    /// Domains of mail addresses that are certainly this provider's.
    pub domains: Vec<String>,
    /// Milliseconds that an access token lives, as a hint for where `expires_in` is missing.
    pub token_lifetime_ms: Option<u64>,
    /// The protocols that it has.
    pub services: Vec<Service>,
    /// Where its tokens come from; `None`: that is not known, or it takes none.
    pub oauth: Option<OAuth>,
    /// Where a provider takes no tokens from programs: what its users do instead, as a sentence.
    pub instead: Option<String>,
}

impl Provider {
    /// Names of the profiles that are built in.
    pub const NAMES: [&'static str; 16] = [
        "gmail",
        "microsoft",
        "microsoft-us",
        "microsoft-china",
        "yahoo",
        "aol",
        "fastmail",
        "yandex",
        "mailru",
        "icloud",
        "comcast",
        "gmx",
        "webde",
        "netease",
        "qq",
        "proton",
    ];

    /// Gmail and Google Workspace.
    #[must_use]
    pub fn gmail() -> Self {
        profiles::GMAIL.to_provider()
    }

    /// Microsoft 365 and Outlook.com.
    #[must_use]
    pub fn microsoft() -> Self {
        profiles::MICROSOFT.to_provider()
    }

    /// A server of which nothing is known but its host, under the registered ports for implicit TLS.
    #[must_use]
    pub fn generic(host: &str) -> Self {
        let service = |protocol| Service {
            endpoint: Endpoint::new(protocol, Tls::Implicit, host),
            mechanisms: Vec::from([Mechanism::OAuthBearer, Mechanism::XOAuth2]),
            scopes: Vec::new(),
            initial_response: InitialResponse::Auto,
            assumed_capabilities: Vec::new(),
            limits: SessionLimits::default(),
        };
        Self {
            name: "generic".to_string(),
            domains: Vec::new(),
            token_lifetime_ms: None,
            services: Protocol::ALL.into_iter().map(service).collect(),
            oauth: None,
            instead: None,
        }
    }

    /// The profile of a name in [`Provider::NAMES`], in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut profiles = PROFILES.iter().map(|profile| profile.name);
        if let Some(at) = profiles.position(|one| one.eq_ignore_ascii_case(name)) {
            return PROFILES.get(at).map(|profile| profile.to_provider());
        }
        let without = WITHOUT.iter().find(|one| one.name.eq_ignore_ascii_case(name))?;
        Some(without.to_provider())
    }

    /// The provider of a mail address, where its domain makes that certain. A domain of one's own at Google or Microsoft
    /// cannot be told from its name.
    #[must_use]
    pub fn of_address(address: &str) -> Option<Self> {
        let (_, domain) = address.rsplit_once('@')?;
        let owns =
            |domains: &str| domains.split_whitespace().any(|one| one.eq_ignore_ascii_case(domain));
        if let Some(profile) = PROFILES.iter().find(|profile| owns(profile.domains)) {
            return Some(profile.to_provider());
        }
        WITHOUT.iter().find(|one| owns(one.domains)).map(without::Without::to_provider)
    }

    /// What it has of a protocol.
    #[must_use]
    pub fn service(&self, protocol: Protocol) -> Option<&Service> {
        self.services.iter().find(|service| service.endpoint.protocol == protocol)
    }

    /// The configuration of a login.
    ///
    /// # Errors
    /// [`ConfigError`] when the provider does not have the protocol (iCloud has no POP3), takes no tokens from programs
    /// ([`Provider::instead`]), or the identity cannot work.
    pub fn negotiation(
        &self,
        protocol: Protocol,
        identity: Identity,
    ) -> Result<NegotiationConfig, ConfigError> {
        if let Some(instead) = &self.instead {
            let (provider, instead) = (self.name.clone(), instead.clone());
            return Err(ConfigError::NoOAuth { provider, instead });
        }
        let service = self.service(protocol).ok_or(ConfigError::NoService { protocol })?;
        let config = NegotiationConfig {
            mechanisms: service.mechanisms.clone(),
            initial_response: service.initial_response,
            assumed_capabilities: service.assumed_capabilities.clone(),
            ..NegotiationConfig::new(service.endpoint.clone(), identity)
        };
        config.validate()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_makes_a_valid_configuration() {
        for name in PROFILES.iter().map(|profile| profile.name) {
            let provider = Provider::named(name).unwrap();
            for service in &provider.services {
                let protocol = service.endpoint.protocol;
                assert!(
                    provider.negotiation(protocol, Identity::new("a@b.test")).is_ok(),
                    "{name} {protocol}"
                );
                assert!(!service.mechanisms.is_empty(), "{name} {protocol}");
            }
        }
    }

    #[test]
    fn a_domain_belongs_to_one_provider() {
        let profiles = PROFILES.iter().flat_map(|profile| profile.domains.split_whitespace());
        let without = WITHOUT.iter().flat_map(|one| one.domains.split_whitespace());
        let domains: Vec<&str> = profiles.chain(without).collect();
        for (index, domain) in domains.iter().enumerate() {
            assert!(!domains[index + 1..].contains(domain), "{domain}");
        }
        assert_eq!(Provider::of_address("x@GMAIL.com").unwrap().name, "gmail");
        assert_eq!(Provider::of_address("x@notgmail.com"), None);
        assert_eq!(Provider::of_address("gmail.com"), None);
        assert_eq!(Provider::of_address("x@"), None);
        assert_eq!(Provider::of_address("x@gmail.com googlemail.com"), None);
    }

    #[test]
    fn every_name_is_a_profile_and_every_profile_has_its_name() {
        let profiles = PROFILES.iter().map(|profile| profile.name);
        let names: Vec<&str> = profiles.chain(WITHOUT.iter().map(|one| one.name)).collect();
        assert_eq!(names, Provider::NAMES);
        for name in Provider::NAMES {
            assert_eq!(Provider::named(&name.to_ascii_uppercase()).unwrap().name, name);
        }
    }

    #[test]
    fn tokens_come_over_https_and_with_scopes_where_the_provider_has_them() {
        for provider in Provider::NAMES.map(|name| Provider::named(name).unwrap()) {
            let Some(oauth) = &provider.oauth else { continue };
            let endpoints = [
                Some(&oauth.authorization_endpoint),
                Some(&oauth.token_endpoint),
                oauth.issuer.as_ref(),
                oauth.device_authorization_endpoint.as_ref(),
                oauth.revocation_endpoint.as_ref(),
                oauth.registration_endpoint.as_ref(),
            ];
            for endpoint in endpoints.into_iter().flatten() {
                assert!(endpoint.starts_with("https://"), "{endpoint}");
            }
            assert!(
                provider.services.iter().all(|one| !one.scopes.is_empty()),
                "{}",
                provider.name
            );
        }
    }

    #[test]
    fn who_takes_no_tokens_says_what_to_do_instead() {
        let gmx = Provider::of_address("joe@gmx.de").unwrap();
        assert_eq!(gmx.service(Protocol::Imap).unwrap().endpoint.host, "imap.gmx.net");
        let error = gmx.negotiation(Protocol::Imap, Identity::new("joe@gmx.de")).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("gmx cannot be logged in to with OAuth. GMX gives no tokens"),
            "{text}"
        );
        let proton = Provider::of_address("joe@proton.me").unwrap();
        let error = proton.negotiation(Protocol::Imap, Identity::new("joe@proton.me")).unwrap_err();
        assert!(error.to_string().contains("Proton Mail Bridge"), "{error}");
    }

    #[test]
    fn says_which_protocol_is_missing() {
        let error = Provider::named("icloud")
            .unwrap()
            .negotiation(Protocol::Pop3, Identity::new("a"))
            .unwrap_err();
        assert_eq!(error, ConfigError::NoService { protocol: Protocol::Pop3 });
    }

    #[test]
    fn gmails_limits_are_those_of_its_document() {
        let gmail = Provider::gmail();
        let limits = |protocol| gmail.service(protocol).unwrap().limits;
        assert_eq!(limits(Protocol::Imap).session_ms, Some(86_400_000));
        assert_eq!(limits(Protocol::Pop3).session_ms, Some(604_800_000));
        assert!(Protocol::ALL.into_iter().all(|protocol| limits(protocol).ends_with_token));
    }

    #[test]
    fn a_server_of_which_nothing_is_known_gets_the_usual_ports_and_both_mechanisms() {
        let provider = Provider::generic("mail.example.test");
        for (protocol, port) in
            [(Protocol::Imap, 993), (Protocol::Pop3, 995), (Protocol::Smtp, 465)]
        {
            let service = provider.service(protocol).unwrap();
            assert_eq!((service.endpoint.tls, service.endpoint.port), (Tls::Implicit, port));
            assert_eq!(service.mechanisms, [Mechanism::OAuthBearer, Mechanism::XOAuth2]);
            assert!(service.assumed_capabilities.is_empty());
        }
        assert_eq!(Provider::microsoft().name, "microsoft");
    }
}
