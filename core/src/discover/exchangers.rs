//! Mail exchangers by whose name it is known who hosts a domain, each with its source.

use alloc::string::String;
use alloc::vec::Vec;

use super::places::{host_name, is_within};
use super::plan::MxRecord;
use crate::limits::RECORDS_MAX;

/// Who stands behind a mail exchanger.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hoster {
    /// As people call it.
    pub(super) name: &'static str,
    /// The built-in profile of its mailboxes.
    pub(super) profile: Option<&'static str>,
    /// The exchangers are these, or below them.
    hosts: &'static [&'static str],
    /// It hands mail on: the mailboxes may be anywhere.
    pub(super) is_filter: bool,
}

const fn mailboxes(
    name: &'static str,
    profile: &'static str,
    hosts: &'static [&'static str],
) -> Hoster {
    Hoster { name, profile: Some(profile), hosts, is_filter: false }
}

const fn filter(name: &'static str, hosts: &'static [&'static str]) -> Hoster {
    Hoster { name, profile: None, hosts, is_filter: true }
}

const HOSTERS: &[Hoster] = &[
    // support.google.com/a/answer/174125: smtp.google.com, and before 2023 aspmx.l.google.com, alt1 to alt4 of it, and
    // aspmx2.googlemail.com to aspmx5.
    mailboxes(
        "Google Workspace",
        "gmail",
        &["smtp.google.com", "aspmx.l.google.com", "gmail-smtp-in.l.google.com", "googlemail.com"],
    ),
    // learn.microsoft.com/microsoft-365/enterprise/external-domain-name-system-records: <domain>.mail.protection.outlook.com;
    // learn.microsoft.com/purview/how-smtp-dane-works: <domain>.<letters>-v1.mx.microsoft. Those of Outlook.com itself are below
    // olc.protection.outlook.com.
    mailboxes(
        "Microsoft 365",
        "microsoft",
        &["mail.protection.outlook.com", "mx.microsoft", "olc.protection.outlook.com"],
    ),
    // learn.microsoft.com/microsoft-365/enterprise/microsoft-365-u-s-government-gcc-high-endpoints.
    mailboxes(
        "Microsoft 365 for the US government",
        "microsoft-us",
        &["mail.protection.office365.us"],
    ),
    // learn.microsoft.com/microsoft-365/enterprise/urls-and-ip-address-ranges-21vianet.
    mailboxes(
        "Microsoft 365 of 21Vianet",
        "microsoft-china",
        &["mail.protection.partner.outlook.cn"],
    ),
    // fastmail.help, "Manual DNS configuration": in1-smtp.messagingengine.com and in2-smtp.
    mailboxes("Fastmail", "fastmail", &["messagingengine.com"]),
    // yandex.com/support/yandex-360/business: mx.yandex.net.
    mailboxes("Yandex 360", "yandex", &["mx.yandex.net", "mx.yandex.ru"]),
    // biz.mail.ru/help, "MX-record": emx.mail.ru.
    mailboxes("VK WorkSpace of Mail.ru", "mailru", &["emx.mail.ru", "mxs.mail.ru"]),
    // support.apple.com/102374: mx01.mail.icloud.com and mx02.
    mailboxes("iCloud", "icloud", &["mail.icloud.com"]),
    // proton.me/support/custom-domain: mail.protonmail.ch and mailsec.protonmail.ch.
    mailboxes("Proton Mail", "proton", &["mail.protonmail.ch", "mailsec.protonmail.ch"]),
    // zoho.com/mail/help/adminconsole/configure-email-delivery.html: mx.zoho.com, mx2 and mx3, in each data centre's domain.
    // Its hosts differ by data centre and plan, and no authorization server for IMAP was found: there is no profile.
    Hoster {
        name: "Zoho Mail",
        profile: None,
        hosts: &[
            "zoho.com",
            "zoho.eu",
            "zoho.in",
            "zoho.com.au",
            "zoho.jp",
            "zoho.sa",
            "zohocloud.ca",
        ],
        is_filter: false,
    },
    // Each maker's guide for MX records, under its name: they hand mail on to where the mailboxes are.
    filter("Proofpoint", &["pphosted.com", "ppe-hosted.com"]),
    filter("Mimecast", &["mimecast.com", "mimecast.co.za"]),
    filter("Barracuda", &["barracudanetworks.com"]),
    filter("Cisco Secure Email", &["iphmx.com"]),
    filter("Symantec Email Security", &["messagelabs.com"]),
    filter("Forcepoint", &["mailcontrol.com"]),
    filter("Trend Micro", &["in.tmes.trendmicro.com", "in.tmes.trendmicro.eu"]),
    filter("SpamExperts", &["antispamcloud.com"]),
];

/// What the MX records of a domain say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Exchangers {
    /// The hosts that are tried first, in alphabetical order.
    pub(super) first: Vec<String>,
    /// The domain takes no mail (RFC 7505).
    pub(super) takes_no_mail: bool,
}

impl Exchangers {
    pub(super) fn of(mut records: Vec<MxRecord>) -> Self {
        records.truncate(RECORDS_MAX);
        let is_null = |one: &MxRecord| one.exchange.trim_end_matches('.').is_empty();
        let takes_no_mail = !records.is_empty() && records.iter().all(is_null);
        let named: Vec<(u16, String)> = records
            .iter()
            .filter_map(|one| Some((one.preference, host_name(&one.exchange)?)))
            .collect();
        let best = named.iter().map(|(preference, _)| *preference).min();
        let mut first: Vec<String> = named
            .into_iter()
            .filter(|(preference, _)| Some(*preference) == best)
            .map(|(_, host)| host)
            .collect();
        first.sort_unstable();
        first.dedup();
        Self { first, takes_no_mail }
    }

    /// Who hosts the domain, where all exchangers that are tried first are of one.
    pub(super) fn hoster(&self) -> Option<&'static Hoster> {
        let mut hosters = self.first.iter().map(|host| hoster_of(host));
        let first = hosters.next().flatten()?;
        hosters.all(|one| one == Some(first)).then_some(first)
    }
}

fn hoster_of(host: &str) -> Option<&'static Hoster> {
    HOSTERS.iter().find(|one| one.hosts.iter().any(|known| is_within(host, known)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Provider;
    use alloc::string::ToString;

    fn records(of: &[(u16, &str)]) -> Vec<MxRecord> {
        let record = |(preference, exchange): &(u16, &str)| MxRecord {
            preference: *preference,
            exchange: exchange.to_string(),
        };
        of.iter().map(record).collect()
    }

    fn name(of: &[(u16, &str)]) -> Option<&'static str> {
        Exchangers::of(records(of)).hoster().map(|hoster| hoster.name)
    }

    #[test]
    fn every_profile_of_a_hoster_is_built_in() {
        for hoster in HOSTERS {
            assert!(
                hoster.profile.is_none_or(|name| Provider::named(name).is_some()),
                "{hoster:?}"
            );
            assert!(!hoster.hosts.is_empty(), "{hoster:?}");
            assert!(!hoster.is_filter || hoster.profile.is_none(), "{hoster:?}");
        }
    }

    #[test]
    fn the_exchangers_that_are_tried_first_decide() {
        assert_eq!(name(&[(1, "SMTP.google.com.")]), Some("Google Workspace"));
        assert_eq!(
            name(&[
                (10, "mx.backup.example"),
                (1, "aspmx.l.google.com"),
                (5, "alt1.aspmx.l.google.com")
            ]),
            Some("Google Workspace")
        );
        assert_eq!(
            name(&[(0, "company-example.mail.protection.outlook.com")]),
            Some("Microsoft 365")
        );
        assert_eq!(name(&[(0, "company-example.a-v1.mx.microsoft")]), Some("Microsoft 365"));
        assert_eq!(name(&[(1, "smtp.google.com"), (1, "mx.company.example")]), None);
        assert_eq!(name(&[(1, "notsmtp.google.com.evil.example")]), None);
        assert_eq!(name(&[(1, "xmx.microsoft")]), None);
        assert_eq!(name(&[]), None);
    }

    #[test]
    fn a_null_record_is_no_exchanger() {
        assert!(Exchangers::of(records(&[(0, ".")])).takes_no_mail);
        assert!(!Exchangers::of(records(&[])).takes_no_mail);
        assert!(!Exchangers::of(records(&[(0, "."), (1, "mx.example.org")])).takes_no_mail);
    }
}
