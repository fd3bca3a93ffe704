//! Providers whose users are many and that take no tokens from programs: it is said at once, with what to do instead, and
//! not after a login that cannot work.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::{Provider, SessionLimits};
use crate::config::{Endpoint, InitialResponse, Protocol, Tls};

/// A provider that takes no tokens from programs.
pub(super) struct Without {
    pub(super) name: &'static str,
    /// With a space between them.
    pub(super) domains: &'static str,
    /// Under the ports for implicit TLS.
    hosts: &'static [(Protocol, &'static str)],
    instead: &'static str,
}

impl Without {
    pub(super) fn to_provider(&self) -> Provider {
        let service = |(protocol, host): &(Protocol, &str)| super::Service {
            endpoint: Endpoint::new(*protocol, Tls::Implicit, host),
            mechanisms: Vec::new(),
            scopes: Vec::new(),
            initial_response: InitialResponse::Auto,
            assumed_capabilities: Vec::new(),
            limits: SessionLimits::default(),
        };
        Provider {
            name: self.name.to_string(),
            domains: self.domains.split_whitespace().map(ToString::to_string).collect(),
            token_lifetime_ms: None,
            services: self.hosts.iter().map(service).collect(),
            oauth: None,
            instead: Some(self.instead.to_string()),
        }
    }
}

pub(super) const WITHOUT: [Without; 5] = [
    // hilfe.gmx.net, "POP3 & IMAP": to be switched on; with two factors an application's own password.
    Without {
        name: "gmx",
        domains: "gmx.net gmx.de gmx.at gmx.ch gmx.com gmx.co.uk gmx.us",
        hosts: &[
            (Protocol::Imap, "imap.gmx.net"),
            (Protocol::Pop3, "pop.gmx.net"),
            (Protocol::Smtp, "mail.gmx.net"),
        ],
        instead: "GMX gives no tokens for mail to other programs: switch IMAP and POP3 on in its settings, and log in \
                  with the password, or with an application's own password where two factors are in use",
    },
    // hilfe.web.de, as GMX.
    Without {
        name: "webde",
        domains: "web.de",
        hosts: &[
            (Protocol::Imap, "imap.web.de"),
            (Protocol::Pop3, "pop3.web.de"),
            (Protocol::Smtp, "smtp.web.de"),
        ],
        instead: "WEB.DE gives no tokens for mail to other programs: switch IMAP and POP3 on in its settings, and log in \
                  with the password, or with an application's own password where two factors are in use",
    },
    // help.mail.163.com: the authorization code takes the password's place, and IMAP wants an ID command.
    Without {
        name: "netease",
        domains: "163.com 126.com yeah.net",
        hosts: &[
            (Protocol::Imap, "imap.163.com"),
            (Protocol::Pop3, "pop.163.com"),
            (Protocol::Smtp, "smtp.163.com"),
        ],
        instead: "NetEase takes no tokens: switch IMAP and POP3 on in the settings of the mailbox, and log in with the \
                  authorization code that is shown there in place of the password",
    },
    // service.mail.qq.com: the same.
    Without {
        name: "qq",
        domains: "qq.com foxmail.com",
        hosts: &[
            (Protocol::Imap, "imap.qq.com"),
            (Protocol::Pop3, "pop.qq.com"),
            (Protocol::Smtp, "smtp.qq.com"),
        ],
        instead: "QQ Mail takes no tokens: switch IMAP and POP3 on in the settings of the mailbox, and log in with the \
                  authorization code that is shown there in place of the password",
    },
    // proton.me/support/imap-smtp-and-pop3-setup: the bridge on one's own machine, with a password of its own.
    Without {
        name: "proton",
        domains: "proton.me protonmail.com protonmail.ch pm.me",
        hosts: &[],
        instead: "Proton Mail has no IMAP or SMTP but through Proton Mail Bridge on the user's own machine, which has \
                  passwords of its own and takes no tokens",
    },
];
