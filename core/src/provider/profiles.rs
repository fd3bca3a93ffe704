//! The providers that take tokens from programs: hosts, mechanisms, scopes and limits.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::domains;
use super::oauth::{self, Server};
use super::{Provider, Service, SessionLimits};
use crate::config::{Endpoint, InitialResponse, Mechanism, Protocol, Tls};

const HOUR_MS: u64 = 60 * 60 * 1000;
const MINUTE_MS: u64 = 60 * 1000;

/// A profile as it is written down here.
pub(super) struct Profile {
    pub(super) name: &'static str,
    /// With a space between them.
    pub(super) domains: &'static str,
    token_lifetime_ms: Option<u64>,
    services: &'static [Row],
    oauth: Option<&'static Server>,
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
    pub(super) fn to_provider(&self) -> Provider {
        Provider {
            name: self.name.to_string(),
            domains: self.domains.split_whitespace().map(ToString::to_string).collect(),
            token_lifetime_ms: self.token_lifetime_ms,
            services: self.services.iter().map(Row::to_service).collect(),
            oauth: self.oauth.map(Server::to_oauth),
            instead: None,
        }
    }
}

impl Row {
    const fn plain(
        protocol: Protocol,
        host: &'static str,
        mechanisms: &'static [Mechanism],
        scopes: &'static [&'static str],
    ) -> Self {
        Self {
            protocol,
            tls: Tls::Implicit,
            host,
            mechanisms,
            scopes,
            assumed_capabilities: &[],
            limits: NO_LIMITS,
        }
    }

    /// What Microsoft's clouds have in common: STARTTLS for SMTP alone, and limits by protocol.
    const fn microsoft(
        protocol: Protocol,
        host: &'static str,
        scopes: &'static [&'static str],
    ) -> Self {
        let session = SessionLimits {
            session_ms: None,
            ends_with_token: true,
            idle_ms: Some(30 * MINUTE_MS),
            connections: None,
        };
        let plain = Self::plain(protocol, host, XOAUTH2_ONLY, scopes);
        match protocol {
            Protocol::Imap => Self {
                assumed_capabilities: &["IMAP4rev1", "SASL-IR", "AUTH=XOAUTH2"],
                limits: SessionLimits { connections: Some(16), ..session },
                ..plain
            },
            Protocol::Pop3 => Self {
                assumed_capabilities: &["SASL PLAIN XOAUTH2"],
                limits: SessionLimits { connections: Some(1), ..session },
                ..plain
            },
            Protocol::Smtp => Self {
                tls: Tls::StartTls,
                limits: SessionLimits { connections: Some(3), ..NO_LIMITS },
                ..plain
            },
        }
    }

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

pub(super) fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

const XOAUTH2_FIRST: &[Mechanism] = &[Mechanism::XOAuth2, Mechanism::OAuthBearer];
const XOAUTH2_ONLY: &[Mechanism] = &[Mechanism::XOAuth2];
const STANDARD_FIRST: &[Mechanism] = &[Mechanism::OAuthBearer, Mechanism::XOAuth2];
const NO_LIMITS: SessionLimits =
    SessionLimits { session_ms: None, ends_with_token: false, idle_ms: None, connections: None };

pub(super) const PROFILES: [&Profile; 11] = [
    &GMAIL,
    &MICROSOFT,
    &MICROSOFT_US,
    &MICROSOFT_CHINA,
    &YAHOO,
    &AOL,
    &FASTMAIL,
    &YANDEX,
    &MAILRU,
    &ICLOUD,
    &COMCAST,
];

/// Hosts, ports, scope and session limits: developers.google.com/gmail/imap/imap-smtp. Capabilities: MailKit's recordings
/// (UnitTests/Net/*/Resources/gmail) and id 29469537764. Fifteen connections: support.google.com/mail/answer/7126229.
/// XOAUTH2 first: it is the mechanism that Google documents. Tokens live 3,599 s.
pub(super) const GMAIL: Profile = Profile {
    name: "gmail",
    domains: "gmail.com googlemail.com",
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
    oauth: Some(&oauth::GOOGLE),
};

/// Hosts, ports and scopes: learn.microsoft.com, "Authenticate an IMAP, POP or SMTP connection using OAuth". Sessions end
/// with the token: aioimaplib #83 and four more reports. Idle times and connections: Set-ImapSettings. Tokens live 60 to
/// 90 minutes at random; the shorter end is the hint. Capabilities: MailKit's recordings (exchange).
pub(super) const MICROSOFT: Profile = Profile {
    name: "microsoft",
    domains: domains::MICROSOFT,
    token_lifetime_ms: Some(HOUR_MS),
    services: &[
        Row::microsoft(
            Protocol::Imap,
            "outlook.office365.com",
            &["https://outlook.office.com/IMAP.AccessAsUser.All", "offline_access"],
        ),
        Row::microsoft(
            Protocol::Pop3,
            "outlook.office365.com",
            &["https://outlook.office.com/POP.AccessAsUser.All", "offline_access"],
        ),
        Row::microsoft(
            Protocol::Smtp,
            "smtp.office365.com",
            &["https://outlook.office.com/SMTP.Send", "offline_access"],
        ),
    ],
    oauth: Some(&oauth::MICROSOFT),
};

/// The cloud of the United States' government (GCC High and DoD): hosts as in Microsoft's tables of endpoints for national
/// deployments, scopes of the same names at its own resource. No domain is its own.
const MICROSOFT_US: Profile = Profile {
    name: "microsoft-us",
    domains: "",
    token_lifetime_ms: Some(HOUR_MS),
    services: &[
        Row::microsoft(
            Protocol::Imap,
            "outlook.office365.us",
            &["https://outlook.office365.us/IMAP.AccessAsUser.All", "offline_access"],
        ),
        Row::microsoft(
            Protocol::Pop3,
            "outlook.office365.us",
            &["https://outlook.office365.us/POP.AccessAsUser.All", "offline_access"],
        ),
        Row::microsoft(
            Protocol::Smtp,
            "smtp.office365.us",
            &["https://outlook.office365.us/SMTP.Send", "offline_access"],
        ),
    ],
    oauth: Some(&oauth::MICROSOFT_US),
};

/// The cloud that 21Vianet runs in China: as above.
const MICROSOFT_CHINA: Profile = Profile {
    name: "microsoft-china",
    domains: "",
    token_lifetime_ms: Some(HOUR_MS),
    services: &[
        Row::microsoft(
            Protocol::Imap,
            "partner.outlook.cn",
            &["https://partner.outlook.cn/IMAP.AccessAsUser.All", "offline_access"],
        ),
        Row::microsoft(
            Protocol::Pop3,
            "partner.outlook.cn",
            &["https://partner.outlook.cn/POP.AccessAsUser.All", "offline_access"],
        ),
        Row::microsoft(
            Protocol::Smtp,
            "smtp.partner.outlook.cn",
            &["https://partner.outlook.cn/SMTP.Send", "offline_access"],
        ),
    ],
    oauth: Some(&oauth::MICROSOFT_CHINA),
};

/// Hosts: help.yahoo.com SLN4075. Scopes: Thunderbird's OAuth2Providers. Capabilities: MailKit's recordings (yahoo) and
/// enough_mail #245, whose greeting lists none.
const YAHOO: Profile = Profile {
    name: "yahoo",
    domains: domains::YAHOO,
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
        Row::plain(Protocol::Pop3, "pop.mail.yahoo.com", XOAUTH2_FIRST, &["mail-w"]),
        Row::plain(Protocol::Smtp, "smtp.mail.yahoo.com", XOAUTH2_FIRST, &["mail-w"]),
    ],
    oauth: Some(&oauth::YAHOO),
};

/// As Yahoo, whose servers it shares; a BYE about hourly: imapfilter #316.
const AOL: Profile = Profile {
    name: "aol",
    domains: domains::AOL,
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
        Row::plain(Protocol::Pop3, "pop.aol.com", XOAUTH2_FIRST, &["mail-w"]),
        Row::plain(Protocol::Smtp, "smtp.aol.com", XOAUTH2_FIRST, &["mail-w"]),
    ],
    oauth: Some(&oauth::AOL),
};

/// Hosts: fastmail.help "Server names and ports". Scopes: Thunderbird's OAuth2Providers. OAUTHBEARER first: the standard.
const FASTMAIL: Profile = Profile {
    name: "fastmail",
    domains: domains::FASTMAIL,
    token_lifetime_ms: None,
    services: &[
        Row::plain(
            Protocol::Imap,
            "imap.fastmail.com",
            STANDARD_FIRST,
            &["https://www.fastmail.com/dev/protocol-imap"],
        ),
        Row::plain(
            Protocol::Pop3,
            "pop.fastmail.com",
            STANDARD_FIRST,
            &["https://www.fastmail.com/dev/protocol-pop"],
        ),
        Row::plain(
            Protocol::Smtp,
            "smtp.fastmail.com",
            STANDARD_FIRST,
            &["https://www.fastmail.com/dev/protocol-smtp"],
        ),
    ],
    oauth: Some(&oauth::FASTMAIL),
};

/// Yandex' OAuth document (id 39737718201) shows one line although its list has no SASL-IR: two steps are safe. It answers
/// BAD to OAUTHBEARER: go-imap #539.
const YANDEX: Profile = Profile {
    name: "yandex",
    domains: domains::YANDEX,
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
        Row::plain(Protocol::Pop3, "pop.yandex.com", XOAUTH2_ONLY, &["mail:imap_full"]),
        Row::plain(Protocol::Smtp, "smtp.yandex.com", XOAUTH2_ONLY, &["mail:smtp"]),
    ],
    oauth: Some(&oauth::YANDEX),
};

/// Hosts: help.mail.ru. Scope: Thunderbird's OAuth2Providers.
const MAILRU: Profile = Profile {
    name: "mailru",
    domains: domains::MAILRU,
    token_lifetime_ms: Some(HOUR_MS),
    services: &[
        Row::plain(Protocol::Imap, "imap.mail.ru", XOAUTH2_ONLY, &["mail.imap"]),
        Row::plain(Protocol::Pop3, "pop.mail.ru", XOAUTH2_ONLY, &["mail.imap"]),
        Row::plain(Protocol::Smtp, "smtp.mail.ru", XOAUTH2_ONLY, &["mail.imap"]),
    ],
    oauth: Some(&oauth::MAILRU),
};

/// Hosts: support.apple.com/102525; there is no POP3. It lists AUTH=XOAUTH2, and no public scope was found: most logins
/// need an app password.
const ICLOUD: Profile = Profile {
    name: "icloud",
    domains: "icloud.com me.com mac.com",
    token_lifetime_ms: None,
    services: &[
        Row::plain(Protocol::Imap, "imap.mail.me.com", XOAUTH2_ONLY, &[]),
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
    oauth: None,
};

/// Hosts and scopes: Thunderbird's OAuth2Providers and its provider database. Comcast moves mailboxes to Yahoo, whose
/// hosts are another profile.
const COMCAST: Profile = Profile {
    name: "comcast",
    domains: "comcast.net",
    token_lifetime_ms: None,
    services: &[
        Row::plain(Protocol::Imap, "imap.comcast.net", XOAUTH2_ONLY, COMCAST_SCOPES),
        Row::plain(Protocol::Pop3, "pop.comcast.net", XOAUTH2_ONLY, COMCAST_SCOPES),
        Row::plain(Protocol::Smtp, "smtp.comcast.net", XOAUTH2_ONLY, COMCAST_SCOPES),
    ],
    oauth: Some(&oauth::COMCAST),
};

const COMCAST_SCOPES: &[&str] = &["https://email.comcast.net/", "profile", "openid"];
