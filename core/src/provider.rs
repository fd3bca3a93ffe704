//! What is known of mail providers, as data: endpoints, mechanisms, scopes, limits. Each fact has its source beside it,
//! and a program may replace every one of them.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

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
}

impl Provider {
    /// Names of the profiles that are built in.
    pub const NAMES: [&'static str; 8] =
        ["gmail", "microsoft", "yahoo", "aol", "fastmail", "yandex", "mailru", "icloud"];

    /// Gmail and Google Workspace.
    #[must_use]
    pub fn gmail() -> Self {
        GMAIL.to_provider()
    }

    /// Microsoft 365 and Outlook.com.
    #[must_use]
    pub fn microsoft() -> Self {
        MICROSOFT.to_provider()
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
        }
    }

    /// The profile of a name in [`Provider::NAMES`], in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        PROFILES
            .iter()
            .find(|profile| profile.name.eq_ignore_ascii_case(name))
            .map(|profile| profile.to_provider())
    }

    /// The provider of a mail address, where its domain makes that certain. A domain of one's own at Google or Microsoft
    /// cannot be told from its name.
    #[must_use]
    pub fn of_address(address: &str) -> Option<Self> {
        let (_, domain) = address.rsplit_once('@')?;
        let owns =
            |profile: &&Profile| profile.domains.iter().any(|one| one.eq_ignore_ascii_case(domain));
        PROFILES.iter().copied().find(|profile| owns(profile)).map(Profile::to_provider)
    }

    /// What it has of a protocol.
    #[must_use]
    pub fn service(&self, protocol: Protocol) -> Option<&Service> {
        self.services.iter().find(|service| service.endpoint.protocol == protocol)
    }

    /// The configuration of a login.
    ///
    /// # Errors
    /// [`ConfigError`] when the provider does not have the protocol (iCloud has no POP3) or the identity cannot work.
    pub fn negotiation(
        &self,
        protocol: Protocol,
        identity: Identity,
    ) -> Result<NegotiationConfig, ConfigError> {
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

const HOUR_MS: u64 = 60 * 60 * 1000;
const MINUTE_MS: u64 = 60 * 1000;

/// A profile as it is written down here.
struct Profile {
    name: &'static str,
    domains: &'static [&'static str],
    token_lifetime_ms: Option<u64>,
    services: &'static [Row],
}

/// A service as it is written down here.
struct Row {
    protocol: Protocol,
    tls: Tls,
    host: &'static str,
    mechanisms: &'static [Mechanism],
    scopes: &'static [&'static str],
    assumed_capabilities: &'static [&'static str],
    limits: SessionLimits,
}

impl Profile {
    fn to_provider(&self) -> Provider {
        Provider {
            name: self.name.to_string(),
            domains: owned(self.domains),
            token_lifetime_ms: self.token_lifetime_ms,
            services: self.services.iter().map(Row::to_service).collect(),
        }
    }
}

impl Row {
    fn to_service(&self) -> Service {
        Service {
            endpoint: Endpoint::new(self.protocol, self.tls, self.host),
            mechanisms: self.mechanisms.to_vec(),
            scopes: owned(self.scopes),
            initial_response: InitialResponse::Auto,
            assumed_capabilities: owned(self.assumed_capabilities),
            limits: self.limits,
        }
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

const XOAUTH2_FIRST: &[Mechanism] = &[Mechanism::XOAuth2, Mechanism::OAuthBearer];
const XOAUTH2_ONLY: &[Mechanism] = &[Mechanism::XOAuth2];
const STANDARD_FIRST: &[Mechanism] = &[Mechanism::OAuthBearer, Mechanism::XOAuth2];
const NO_LIMITS: SessionLimits =
    SessionLimits { session_ms: None, ends_with_token: false, idle_ms: None, connections: None };

const PROFILES: [&Profile; 8] =
    [&GMAIL, &MICROSOFT, &YAHOO, &AOL, &FASTMAIL, &YANDEX, &MAILRU, &ICLOUD];

/// Hosts, ports, scope and session limits: developers.google.com/gmail/imap/imap-smtp. Capabilities: MailKit's recordings
/// (UnitTests/Net/*/Resources/gmail) and id 29469537764. Fifteen connections: support.google.com/mail/answer/7126229.
/// XOAUTH2 first: it is the mechanism that Google documents. Tokens live 3,599 s.
const GMAIL: Profile = Profile {
    name: "gmail",
    domains: &["gmail.com", "googlemail.com"],
    token_lifetime_ms: Some(HOUR_MS),
    services: &[
        Row {
            protocol: Protocol::Imap,
            tls: Tls::Implicit,
            host: "imap.gmail.com",
            mechanisms: XOAUTH2_FIRST,
            scopes: &["https://mail.google.com/"],
            assumed_capabilities: &["IMAP4rev1", "SASL-IR", "AUTH=XOAUTH2", "AUTH=OAUTHBEARER"],
            limits: SessionLimits {
                session_ms: Some(24 * HOUR_MS),
                ends_with_token: true,
                idle_ms: Some(30 * MINUTE_MS),
                connections: Some(15),
            },
        },
        Row {
            protocol: Protocol::Pop3,
            tls: Tls::Implicit,
            host: "pop.gmail.com",
            mechanisms: XOAUTH2_FIRST,
            scopes: &["https://mail.google.com/"],
            assumed_capabilities: &["SASL PLAIN XOAUTH2 OAUTHBEARER"],
            limits: SessionLimits {
                session_ms: Some(7 * 24 * HOUR_MS),
                ends_with_token: true,
                // RFC 1939 section 3: at least ten minutes.
                idle_ms: Some(10 * MINUTE_MS),
                connections: Some(1),
            },
        },
        Row {
            protocol: Protocol::Smtp,
            tls: Tls::Implicit,
            host: "smtp.gmail.com",
            mechanisms: XOAUTH2_FIRST,
            scopes: &["https://mail.google.com/"],
            assumed_capabilities: &[],
            limits: SessionLimits { ends_with_token: true, ..NO_LIMITS },
        },
    ],
};

/// Hosts, ports and scopes: learn.microsoft.com, "Authenticate an IMAP, POP or SMTP connection using OAuth". Sessions end
/// with the token: aioimaplib #83 and four more reports. Idle times and connections: Set-ImapSettings. Tokens live 60 to
/// 90 minutes at random; the shorter end is the hint. Capabilities: MailKit's recordings (exchange).
const MICROSOFT: Profile = Profile {
    name: "microsoft",
    domains: &["outlook.com", "hotmail.com", "live.com", "msn.com"],
    token_lifetime_ms: Some(HOUR_MS),
    services: &[
        Row {
            protocol: Protocol::Imap,
            tls: Tls::Implicit,
            host: "outlook.office365.com",
            mechanisms: XOAUTH2_ONLY,
            scopes: &["https://outlook.office.com/IMAP.AccessAsUser.All", "offline_access"],
            assumed_capabilities: &["IMAP4rev1", "SASL-IR", "AUTH=XOAUTH2"],
            limits: SessionLimits {
                session_ms: None,
                ends_with_token: true,
                idle_ms: Some(30 * MINUTE_MS),
                connections: Some(16),
            },
        },
        Row {
            protocol: Protocol::Pop3,
            tls: Tls::Implicit,
            host: "outlook.office365.com",
            mechanisms: XOAUTH2_ONLY,
            scopes: &["https://outlook.office.com/POP.AccessAsUser.All", "offline_access"],
            assumed_capabilities: &["SASL PLAIN XOAUTH2"],
            limits: SessionLimits {
                session_ms: None,
                ends_with_token: true,
                idle_ms: Some(30 * MINUTE_MS),
                connections: Some(1),
            },
        },
        Row {
            protocol: Protocol::Smtp,
            tls: Tls::StartTls,
            host: "smtp.office365.com",
            mechanisms: XOAUTH2_ONLY,
            scopes: &["https://outlook.office.com/SMTP.Send", "offline_access"],
            assumed_capabilities: &[],
            limits: SessionLimits { connections: Some(3), ..NO_LIMITS },
        },
    ],
};

/// Hosts: help.yahoo.com SLN4075. Scopes: Thunderbird's OAuth2Providers. Capabilities: MailKit's recordings (yahoo) and
/// enough_mail #245, whose greeting lists none.
const YAHOO: Profile = Profile {
    name: "yahoo",
    domains: &["yahoo.com", "ymail.com", "rocketmail.com"],
    token_lifetime_ms: Some(HOUR_MS),
    services: &[
        Row {
            protocol: Protocol::Imap,
            tls: Tls::Implicit,
            host: "imap.mail.yahoo.com",
            mechanisms: XOAUTH2_FIRST,
            scopes: &["mail-w"],
            assumed_capabilities: &["IMAP4rev1", "SASL-IR", "AUTH=XOAUTH2", "AUTH=OAUTHBEARER"],
            limits: NO_LIMITS,
        },
        Row {
            protocol: Protocol::Pop3,
            tls: Tls::Implicit,
            host: "pop.mail.yahoo.com",
            mechanisms: XOAUTH2_FIRST,
            scopes: &["mail-w"],
            assumed_capabilities: &[],
            limits: NO_LIMITS,
        },
        Row {
            protocol: Protocol::Smtp,
            tls: Tls::Implicit,
            host: "smtp.mail.yahoo.com",
            mechanisms: XOAUTH2_FIRST,
            scopes: &["mail-w"],
            assumed_capabilities: &[],
            limits: NO_LIMITS,
        },
    ],
};

/// As Yahoo, whose servers it shares; a BYE about hourly: imapfilter #316.
const AOL: Profile = Profile {
    name: "aol",
    domains: &["aol.com"],
    token_lifetime_ms: Some(HOUR_MS),
    services: &[
        Row {
            protocol: Protocol::Imap,
            tls: Tls::Implicit,
            host: "imap.aol.com",
            mechanisms: XOAUTH2_FIRST,
            scopes: &["mail-w"],
            assumed_capabilities: &[],
            limits: SessionLimits {
                ends_with_token: true,
                idle_ms: Some(5 * MINUTE_MS),
                ..NO_LIMITS
            },
        },
        Row {
            protocol: Protocol::Pop3,
            tls: Tls::Implicit,
            host: "pop.aol.com",
            mechanisms: XOAUTH2_FIRST,
            scopes: &["mail-w"],
            assumed_capabilities: &[],
            limits: NO_LIMITS,
        },
        Row {
            protocol: Protocol::Smtp,
            tls: Tls::Implicit,
            host: "smtp.aol.com",
            mechanisms: XOAUTH2_FIRST,
            scopes: &["mail-w"],
            assumed_capabilities: &[],
            limits: NO_LIMITS,
        },
    ],
};

/// Hosts: fastmail.help "Server names and ports". Scopes: Thunderbird's OAuth2Providers. OAUTHBEARER first: the standard.
const FASTMAIL: Profile = Profile {
    name: "fastmail",
    domains: &["fastmail.com", "fastmail.fm"],
    token_lifetime_ms: None,
    services: &[
        Row {
            protocol: Protocol::Imap,
            tls: Tls::Implicit,
            host: "imap.fastmail.com",
            mechanisms: STANDARD_FIRST,
            scopes: &["https://www.fastmail.com/dev/protocol-imap"],
            assumed_capabilities: &[],
            limits: NO_LIMITS,
        },
        Row {
            protocol: Protocol::Pop3,
            tls: Tls::Implicit,
            host: "pop.fastmail.com",
            mechanisms: STANDARD_FIRST,
            scopes: &["https://www.fastmail.com/dev/protocol-pop"],
            assumed_capabilities: &[],
            limits: NO_LIMITS,
        },
        Row {
            protocol: Protocol::Smtp,
            tls: Tls::Implicit,
            host: "smtp.fastmail.com",
            mechanisms: STANDARD_FIRST,
            scopes: &["https://www.fastmail.com/dev/protocol-smtp"],
            assumed_capabilities: &[],
            limits: NO_LIMITS,
        },
    ],
};

/// Yandex' OAuth document (id 39737718201) shows one line although its list has no SASL-IR: two steps are safe. It answers
/// BAD to OAUTHBEARER: go-imap #539.
const YANDEX: Profile = Profile {
    name: "yandex",
    domains: &["yandex.com", "yandex.ru", "ya.ru"],
    token_lifetime_ms: None,
    services: &[
        Row {
            protocol: Protocol::Imap,
            tls: Tls::Implicit,
            host: "imap.yandex.com",
            mechanisms: XOAUTH2_ONLY,
            scopes: &["mail:imap_full"],
            assumed_capabilities: &["IMAP4rev1", "AUTH=XOAUTH2"],
            limits: NO_LIMITS,
        },
        Row {
            protocol: Protocol::Pop3,
            tls: Tls::Implicit,
            host: "pop.yandex.com",
            mechanisms: XOAUTH2_ONLY,
            scopes: &["mail:imap_full"],
            assumed_capabilities: &[],
            limits: NO_LIMITS,
        },
        Row {
            protocol: Protocol::Smtp,
            tls: Tls::Implicit,
            host: "smtp.yandex.com",
            mechanisms: XOAUTH2_ONLY,
            scopes: &["mail:smtp"],
            assumed_capabilities: &[],
            limits: NO_LIMITS,
        },
    ],
};

/// Hosts: help.mail.ru. Scope: Thunderbird's OAuth2Providers.
const MAILRU: Profile = Profile {
    name: "mailru",
    domains: &["mail.ru", "inbox.ru", "list.ru", "bk.ru"],
    token_lifetime_ms: Some(HOUR_MS),
    services: &[
        Row {
            protocol: Protocol::Imap,
            tls: Tls::Implicit,
            host: "imap.mail.ru",
            mechanisms: XOAUTH2_ONLY,
            scopes: &["mail.imap"],
            assumed_capabilities: &[],
            limits: NO_LIMITS,
        },
        Row {
            protocol: Protocol::Pop3,
            tls: Tls::Implicit,
            host: "pop.mail.ru",
            mechanisms: XOAUTH2_ONLY,
            scopes: &["mail.imap"],
            assumed_capabilities: &[],
            limits: NO_LIMITS,
        },
        Row {
            protocol: Protocol::Smtp,
            tls: Tls::Implicit,
            host: "smtp.mail.ru",
            mechanisms: XOAUTH2_ONLY,
            scopes: &["mail.imap"],
            assumed_capabilities: &[],
            limits: NO_LIMITS,
        },
    ],
};

/// Hosts: support.apple.com/102525; there is no POP3. It lists AUTH=XOAUTH2, and no public scope was found: most logins
/// need an app password.
const ICLOUD: Profile = Profile {
    name: "icloud",
    domains: &["icloud.com", "me.com", "mac.com"],
    token_lifetime_ms: None,
    services: &[
        Row {
            protocol: Protocol::Imap,
            tls: Tls::Implicit,
            host: "imap.mail.me.com",
            mechanisms: XOAUTH2_ONLY,
            scopes: &[],
            assumed_capabilities: &[],
            limits: NO_LIMITS,
        },
        Row {
            protocol: Protocol::Smtp,
            tls: Tls::StartTls,
            host: "smtp.mail.me.com",
            mechanisms: XOAUTH2_ONLY,
            scopes: &[],
            assumed_capabilities: &[],
            limits: NO_LIMITS,
        },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_makes_a_valid_configuration() {
        for name in Provider::NAMES {
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
        let domains: Vec<&str> =
            PROFILES.iter().flat_map(|profile| profile.domains.iter().copied()).collect();
        for (index, domain) in domains.iter().enumerate() {
            assert!(!domains[index + 1..].contains(domain), "{domain}");
        }
        assert_eq!(Provider::of_address("x@GMAIL.com").unwrap().name, "gmail");
        assert_eq!(Provider::of_address("x@notgmail.com"), None);
        assert_eq!(Provider::of_address("gmail.com"), None);
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
