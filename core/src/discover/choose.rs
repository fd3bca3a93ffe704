//! Which of the facts are believed: for each protocol the first source that speaks of it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::autoconfig::{Config, ConfigOAuth, filled};
use super::found::{FoundOAuth, FoundService, Offer, Outcome, Source, Sureness};
use super::metadata::{self, Metadata};
use super::places::{HttpsUrl, host_name, is_within};
use super::plan::SrvRecord;
use crate::config::{Endpoint, Protocol, Tls};
use crate::limits::RECORDS_MAX;
use crate::provider::{OAuth, Provider};

/// Contradictions that are told.
const NOTES_MAX: usize = 16;

/// What one source says of one protocol.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) protocol: Protocol,
    pub(super) source: Source,
    /// `None`: the domain says that it does not have it.
    pub(super) service: Option<FoundService>,
}

/// Of whom the claims are.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) address: &'a str,
    pub(super) domain: &'a str,
}

impl About<'_> {
    fn service(self, endpoint: Endpoint, offer: Offer, source: Source) -> FoundService {
        let leads_to = (!is_within(&endpoint.host, self.domain)).then(|| endpoint.host.clone());
        FoundService {
            sureness: sureness(source, leads_to.is_some()),
            user: self.address.to_string(),
            user_pattern: "%EMAILADDRESS%".to_string(),
            // What is built in says it of the domain itself.
            leads_to: leads_to.filter(|_| source != Source::BuiltIn),
            endpoint,
            offer,
            source,
        }
    }

    /// What a built-in profile says.
    pub(super) fn of_provider(self, provider: &Provider, source: Source) -> Vec<Claim> {
        let claim = |endpoint: &Endpoint| Claim {
            protocol: endpoint.protocol,
            source,
            service: Some(self.service(endpoint.clone(), offer_of(provider), source)),
        };
        provider.services.iter().map(|service| claim(&service.endpoint)).collect()
    }

    /// What an autoconfig file says.
    pub(super) fn of_config(self, config: &Config, source: Source) -> Vec<Claim> {
        let claim = |protocol| {
            let server = config.server(protocol)?;
            let offer = if server.takes_tokens { Offer::OAuth } else { Offer::PasswordOnly };
            let service = FoundService {
                user: filled(&server.user_pattern, self.address)?,
                user_pattern: server.user_pattern.clone(),
                ..self.service(server.endpoint.clone(), offer, source)
            };
            Some(Claim { protocol, source, service: Some(service) })
        };
        Protocol::ALL.into_iter().filter_map(claim).collect()
    }

    /// What the SRV records of a protocol say: RFC 8314 section 5.1 prefers TLS from the start.
    pub(super) fn of_srv(
        self,
        protocol: Protocol,
        implicit: &[SrvRecord],
        starttls: &[SrvRecord],
    ) -> Option<Claim> {
        let target = |records, tls| {
            let (host, port) = best(records)?;
            Some(self.service(Endpoint { protocol, tls, host, port }, Offer::Unknown, Source::Srv))
        };
        let service = target(implicit, Tls::Implicit).or_else(|| target(starttls, Tls::StartTls));
        let is_refused = |records: &[SrvRecord]| {
            !records.is_empty() && records.iter().all(|one| is_none(&one.target))
        };
        if service.is_none() && !is_refused(implicit) && !is_refused(starttls) {
            return None;
        }
        Some(Claim { protocol, source: Source::Srv, service })
    }

    /// Where tokens come from, by a file and by the issuer's own metadata.
    pub(super) fn of_oauth(
        self,
        config: &ConfigOAuth,
        metadata: Option<&Metadata>,
        source: Source,
    ) -> FoundOAuth {
        let named = || {
            Some(OAuth {
                issuer: config.issuer.as_deref().map(metadata::issuer_url),
                authorization_endpoint: config.authorization_endpoint.clone()?,
                token_endpoint: config.token_endpoint.clone()?,
                device_authorization_endpoint: None,
                revocation_endpoint: None,
                registration_endpoint: None,
                needs_client_secret: false,
                parameters: Vec::new(),
                takes_login_hint: false,
            })
        };
        let server = metadata.map(|metadata| metadata.server.clone()).or_else(named);
        let issuer = metadata.map(|metadata| metadata.issuer.clone());
        let of_metadata = metadata.map(|metadata| metadata.scopes.clone());
        let mut found = FoundOAuth {
            issuer: issuer.or_else(|| config.issuer.as_deref().map(metadata::issuer_url)),
            server,
            scopes: Some(config.scopes.clone())
                .filter(|scopes| !scopes.is_empty())
                .or(of_metadata)
                .unwrap_or_default(),
            client_id: config.client_id.clone(),
            source,
            sureness: Sureness::Certain,
            has_metadata: metadata.is_some(),
            leads_to: Vec::new(),
        };
        found.leads_to = self.elsewhere(&found);
        found.sureness = sureness(source, !found.leads_to.is_empty());
        found
    }

    /// Where tokens of a built-in profile come from.
    pub(super) fn of_profile(self, provider: &Provider, source: Source) -> Option<FoundOAuth> {
        let server = provider.oauth.clone()?;
        let mut scopes: Vec<String> = Vec::new();
        for scope in provider.services.iter().flat_map(|service| &service.scopes) {
            if !scopes.contains(scope) {
                scopes.push(scope.clone());
            }
        }
        let mut found = FoundOAuth {
            issuer: server.issuer.clone(),
            server: Some(server),
            scopes,
            client_id: None,
            source,
            // The profile is built in, whoever has led to it.
            sureness: sureness(source, false).min(Sureness::Likely),
            has_metadata: false,
            leads_to: Vec::new(),
        };
        if source != Source::BuiltIn {
            found.leads_to = self.elsewhere(&found);
        }
        Some(found)
    }

    fn elsewhere(self, oauth: &FoundOAuth) -> Vec<String> {
        let server = oauth.server.as_ref();
        let mut hosts: Vec<String> = oauth
            .issuer
            .as_deref()
            .into_iter()
            .chain(server.map(|one| one.authorization_endpoint.as_str()))
            .chain(server.map(|one| one.token_endpoint.as_str()))
            .filter_map(HttpsUrl::parse)
            .map(|url| url.host)
            .filter(|host| !is_within(host, self.domain))
            .collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }
}

/// How sure a source is of a server.
fn sureness(source: Source, is_elsewhere: bool) -> Sureness {
    match source {
        Source::BuiltIn | Source::Autoconfig => Sureness::Certain,
        Source::Exchangers | Source::Ispdb => Sureness::Likely,
        // DNS is not signed: RFC 6186 section 6.
        Source::Srv if !is_elsewhere => Sureness::Likely,
        Source::Srv | Source::HosterAutoconfig | Source::HosterIspdb => Sureness::Guess,
    }
}

fn offer_of(provider: &Provider) -> Offer {
    match (&provider.instead, &provider.oauth) {
        (Some(_), _) => Offer::PasswordOnly,
        (None, Some(_)) => Offer::OAuth,
        (None, None) => Offer::Unknown,
    }
}

fn is_none(target: &str) -> bool {
    target.trim_end_matches('.').is_empty()
}

/// RFC 2782, but for the dice: of the lowest priority the greatest weight, so that the same answer always leads to the same server.
fn best(records: &[SrvRecord]) -> Option<(String, u16)> {
    let usable = records.iter().take(RECORDS_MAX).filter_map(|one| {
        let host = host_name(&one.target).filter(|_| one.port > 0)?;
        Some((one.priority, u16::MAX.saturating_sub(one.weight), host, one.port))
    });
    usable.min().map(|(_, _, host, port)| (host, port))
}

/// The claims that are believed, and in words what contradicts them.
pub(super) fn choose(claims: &[Claim]) -> (Vec<FoundService>, Vec<String>) {
    let (mut services, mut notes) = (Vec::new(), Vec::new());
    for protocol in Protocol::ALL {
        let mut of_protocol = claims.iter().filter(|claim| claim.protocol == protocol);
        let Some(first) = of_protocol.next() else { continue };
        match &first.service {
            Some(service) => services.push(service.clone()),
            None => {
                notes.push(format!("the domain says in DNS that it has no {protocol} (SRV \".\")"))
            }
        }
        let differs = |claim: &&Claim| {
            let place = |claim: &Claim| claim.service.as_ref().map(|one| one.endpoint.clone());
            place(claim) != place(first)
        };
        notes.extend(of_protocol.filter(differs).map(|claim| contradiction(claim, first)));
    }
    notes.truncate(NOTES_MAX);
    (services, notes)
}

fn contradiction(claim: &Claim, first: &Claim) -> String {
    let says = match &claim.service {
        Some(FoundService { endpoint, .. }) => format!("names {}:{}", endpoint.host, endpoint.port),
        None => "says that there is none".to_string(),
    };
    let (protocol, source) = (claim.protocol, claim.source);
    if source == first.source {
        return format!(
            "for {protocol}, another file of the same {source} {says}, which is not followed"
        );
    }
    format!("for {protocol}, {source} {says}, which is not followed: {} comes first", first.source)
}

/// The built-in profile whose hosts these are: all of them, but for those that take passwords only.
pub(super) fn profile_of(services: &[FoundService]) -> Option<Provider> {
    let with_tokens = || services.iter().filter(|one| one.offer != Offer::PasswordOnly);
    let mut profiles = Provider::NAMES.iter().filter_map(|name| Provider::named(name));
    profiles.find(|one| {
        services.iter().any(|found| has(one, found)) && with_tokens().all(|found| has(one, found))
    })
}

fn has(provider: &Provider, found: &FoundService) -> bool {
    let service = provider.service(found.endpoint.protocol);
    service.is_some_and(|one| one.endpoint.host.eq_ignore_ascii_case(&found.endpoint.host))
}

/// What a built-in profile knows of servers that others have named: whether they take tokens, and that they are no stranger's.
pub(super) fn recognize(services: &mut [FoundService], provider: &Provider) {
    for service in services.iter_mut().filter(|service| has(provider, service)) {
        service.offer = offer_of(provider);
        service.sureness = service.sureness.min(Sureness::Likely);
    }
}

/// What came of it all, by the servers.
pub(super) fn outcome(
    services: &[FoundService],
    takes_no_tokens: bool,
    had_answer: bool,
) -> Outcome {
    if services.iter().any(FoundService::is_usable) {
        Outcome::Found
    } else if services.iter().any(|one| one.offer != Offer::PasswordOnly) {
        Outcome::ToConfirm
    } else if takes_no_tokens || !services.is_empty() {
        Outcome::NoOAuth
    } else if had_answer {
        Outcome::Nothing
    } else {
        Outcome::Unreachable
    }
}
