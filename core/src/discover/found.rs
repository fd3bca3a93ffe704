//! What came of a discovery: facts, each with where it comes from and how sure it is.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::report;
use crate::config::{ConfigError, Endpoint, Mechanism, Protocol};
use crate::failure::spelled_enum;
use crate::provider::{OAuth, Provider, Service};

spelled_enum! {
    /// Where a fact comes from, in the order in which they are believed.
    Source {
        /// The profile that mailbearer has of the domain.
        BuiltIn = "built_in",
        /// The profile that mailbearer has of the hoster that the MX records name.
        Exchangers = "mx",
        /// The autoconfig file of the domain itself.
        Autoconfig = "autoconfig",
        /// SRV records of the domain (RFC 6186, RFC 8314).
        Srv = "srv",
        /// Thunderbird's database (ISPDB), under the domain.
        Ispdb = "ispdb",
        /// The autoconfig file of the hoster that the MX records name.
        HosterAutoconfig = "hoster_autoconfig",
        /// Thunderbird's database, under the hoster that the MX records name.
        HosterIspdb = "hoster_ispdb",
    }
}

spelled_enum! {
    /// How sure a fact is.
    Sureness {
        /// mailbearer has it built in, or the domain has said it itself, over TLS.
        Certain = "certain",
        /// Unsigned DNS has said it of the domain's own hosts, or of a hoster that is built in; or a database that people keep.
        Likely = "likely",
        /// Unsigned DNS leads to another domain: a person confirms it before a token goes there (RFC 6186 section 6).
        Guess = "guess",
    }
}

spelled_enum! {
    /// Whether a server takes access tokens.
    Offer {
        /// It does.
        OAuth = "oauth",
        /// It takes passwords, and no tokens.
        PasswordOnly = "password_only",
        /// That is not said anywhere: its greeting will.
        Unknown = "unknown",
    }
}

spelled_enum! {
    /// What came of it all.
    Outcome {
        /// There is a server to log in to.
        Found = "found",
        /// There is one, at another domain, and unsigned DNS has named it: a person must say that it is right.
        ToConfirm = "to_confirm",
        /// There are servers, and they take no tokens.
        NoOAuth = "no_oauth",
        /// Nothing is known of the domain.
        Nothing = "nothing",
        /// Nothing could be looked up: there seems to be no network.
        Unreachable = "unreachable",
    }
}

spelled_enum! {
    /// What came of one lookup.
    Seen {
        /// It says something.
        Found = "found",
        /// There is no such record or file.
        Nothing = "nothing",
        /// There was no answer.
        Failed = "failed",
        /// What it says is not followed.
        Ignored = "ignored",
    }
}

/// A server of a protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundService {
    /// Where it is.
    pub endpoint: Endpoint,
    /// The user name to log in with.
    pub user: String,
    /// The same before the address was filled in, as in `%EMAILADDRESS%` or `%EMAILLOCALPART%`.
    pub user_pattern: String,
    /// Whether it takes tokens.
    pub offer: Offer,
    /// Who says so.
    pub source: Source,
    /// How sure it is.
    pub sureness: Sureness,
    /// The host, where it is not of the address's domain: a person should see it.
    pub leads_to: Option<String>,
}

impl FoundService {
    /// Whether a program may log in to it that has asked nobody.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.offer != Offer::PasswordOnly && self.sureness != Sureness::Guess
    }
}

/// Where tokens come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundOAuth {
    /// The issuer, where one is named.
    pub issuer: Option<String>,
    /// Its endpoints: of the built-in profile, of its metadata (RFC 8414), or of the autoconfig file. The registration endpoint
    /// (RFC 7591) is among them where one is offered.
    pub server: Option<OAuth>,
    /// The scopes to ask for.
    pub scopes: Vec<String>,
    /// A client id that everybody may use, where the provider publishes one.
    pub client_id: Option<String>,
    /// Who names it.
    pub source: Source,
    /// How sure it is.
    pub sureness: Sureness,
    /// Whether the issuer has said it itself, in metadata whose issuer is the one that was asked.
    pub has_metadata: bool,
    /// Its hosts that are not of the address's domain: a person should see them.
    pub leads_to: Vec<String>,
}

/// One lookup, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// What was looked up, as in `MX example.org` or an address.
    pub what: String,
    /// What came of it.
    pub seen: Seen,
    /// More, in words. What others have said in it is untrusted, without control characters, and bounded.
    pub text: String,
}

/// All that was found for a mail address. `Display` is one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// The address that was asked about.
    pub address: String,
    /// Its domain, in A-labels.
    pub domain: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Who hosts the domain, as people call it.
    pub hoster: Option<String>,
    /// The built-in profile, by name.
    pub provider: Option<String>,
    /// At most one of each protocol.
    pub services: Vec<FoundService>,
    /// Where tokens come from.
    pub oauth: Option<FoundOAuth>,
    /// What the users of a provider do that takes no tokens.
    pub instead: Option<String>,
    /// What contradicts what was chosen, and what was refused.
    pub notes: Vec<String>,
    /// All that was looked at, also what had nothing.
    pub looks: Vec<Look>,
    /// The domain says that it takes no mail (RFC 7505).
    pub(super) takes_no_mail: bool,
}

impl Discovered {
    /// What was found of a protocol.
    #[must_use]
    pub fn service(&self, protocol: Protocol) -> Option<&FoundService> {
        self.services.iter().find(|service| service.endpoint.protocol == protocol)
    }

    /// What a login needs that asks nobody: the profile, and the user name.
    ///
    /// # Errors
    /// [`ConfigError::NotDiscovered`], with a sentence, where nothing was found that a program may use unasked.
    pub fn login(&self, protocol: Protocol) -> Result<(Provider, String), ConfigError> {
        let service = self.service(protocol).filter(|service| service.is_usable());
        match service {
            Some(service) => Ok((self.to_provider(), service.user.clone())),
            None => Err(ConfigError::NotDiscovered { sentence: self.sentence(Some(protocol)) }),
        }
    }

    /// The profile: the built-in one, or one that is made of what was found.
    #[must_use]
    pub fn to_provider(&self) -> Provider {
        let built_in = self.provider.as_deref().and_then(Provider::named);
        built_in.unwrap_or_else(|| Provider {
            name: self.domain.clone(),
            domains: Vec::new(),
            services: self.services.iter().map(|service| self.profiled(service)).collect(),
            oauth: self.oauth.as_ref().and_then(|oauth| oauth.server.clone()),
            ..Provider::generic(&self.domain)
        })
    }

    fn profiled(&self, service: &FoundService) -> Service {
        let scopes = self.oauth.as_ref().map(|oauth| oauth.scopes.clone());
        Service {
            endpoint: service.endpoint.clone(),
            mechanisms: Vec::from([Mechanism::OAuthBearer, Mechanism::XOAuth2]),
            scopes: scopes.unwrap_or_default(),
            initial_response: crate::config::InitialResponse::Auto,
            assumed_capabilities: Vec::new(),
            limits: crate::provider::SessionLimits::default(),
        }
    }

    /// One sentence on what was found, and what to do where that does not suffice; of one protocol, or of all.
    #[must_use]
    pub fn sentence(&self, protocol: Option<Protocol>) -> String {
        report::sentence(self, protocol)
    }

    /// All of it for a terminal, line by line: what, from where, how sure, and what was looked at.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        report::lines(self)
    }

    /// All of it as JSON, for programs: an object with the fields of this type.
    #[must_use]
    pub fn to_json(&self) -> String {
        report::json(self).to_string()
    }
}

impl core::fmt::Display for Discovered {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.sentence(None))
    }
}
