//! Domains, hosts and addresses of others: which of them may be looked at, and which lead elsewhere.

use alloc::string::{String, ToString};

use crate::a_label::a_label;
use crate::config::{ConfigError, Field};
use crate::mistakes;

/// RFC 9110 section 4.1 asks for 8,000 octets; no well-known address comes near.
const URL_OCTETS_MAX: usize = 2_000;

/// The domain of a mail address as DNS has it (RFC 5890), in lower case.
pub(super) fn domain_of(address: &str) -> Result<String, ConfigError> {
    mistakes::check_name(Field::User, address)?;
    let mistaken = |wrong, remedy| ConfigError::Mistaken { field: Field::User, wrong, remedy };
    let (local, domain) = address
        .rsplit_once('@')
        .filter(|(local, _)| !local.is_empty())
        .ok_or_else(|| mistaken("is no mail address", "give it whole, as in joe@example.org"))?;
    let domain = a_label(domain).ok_or_else(|| {
        mistaken(
            "has a domain whose name in DNS is not known here",
            "give it with its A-label, which begins with xn--",
        )
    })?;
    if local.contains('@') || !is_public_name(&domain) {
        return Err(mistaken(
            "has no domain that can be looked up",
            "give it as in joe@example.org",
        ));
    }
    Ok(domain)
}

/// A host name as certificates have it, with a dot in it, and no address in figures: what others name is never of this machine.
pub(super) fn host_name(text: &str) -> Option<String> {
    let host = a_label(text.trim_end_matches('.'))?;
    is_public_name(&host).then_some(host)
}

fn is_public_name(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    // RFC 6761 section 6.3; the last label of a name is no number (RFC 3696 section 2).
    let is_of_machine = last == "localhost" || last.bytes().all(|one| one.is_ascii_digit());
    host.contains('.')
        && !is_of_machine
        && !host.contains(':')
        && mistakes::check_host(host).is_ok()
}

/// Whether a host is the domain or below it.
pub(super) fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// An address that begins with `https://`, taken apart as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HttpsUrl {
    pub(super) host: String,
    /// With its colon; empty: 443.
    port: String,
    /// With its slash and its query; may be empty.
    pub(super) path: String,
}

impl HttpsUrl {
    /// `None` for anything else than https, and for what hides where it leads: a user name, a fragment, an address in figures.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > URL_OCTETS_MAX || !text.bytes().all(|one| (b'!'..=b'~').contains(&one)) {
            return None;
        }
        let rest = text.get(..8).filter(|start| start.eq_ignore_ascii_case("https://"));
        let rest = rest.and_then(|_| text.get(8..))?;
        if rest.contains(['#', '\\']) {
            return None;
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        if path.starts_with('?') {
            return None;
        }
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, port.parse::<u16>().ok().filter(|port| *port > 0)?),
            None => (authority, 443),
        };
        let port = if port == 443 { String::new() } else { [":", &port.to_string()].concat() };
        let host = host_name(host).filter(|_| !host.ends_with('.'))?;
        Some(Self { host, port, path: path.to_string() })
    }

    /// The same place with another path.
    pub(super) fn with_path(&self, path: &str) -> String {
        ["https://", &self.host, &self.port, path].concat()
    }

    pub(super) fn text(&self) -> String {
        self.with_path(&self.path)
    }
}

/// Where a redirect may be followed to, once: https, at the usual port, at the same host or at a host of the domain that was
/// asked about. Whoever answers for the domain cannot lead anywhere else by it.
pub(super) fn redirect(from: &str, location: &str, domain: &str) -> Option<String> {
    let from = HttpsUrl::parse(from)?;
    if location.starts_with('/') && !location.starts_with("//") {
        return HttpsUrl::parse(&from.with_path(location)).map(|url| url.text());
    }
    let to = HttpsUrl::parse(location)?;
    let is_of_same_site = to.host == from.host || is_within(&to.host, domain);
    (is_of_same_site && to.port == from.port).then(|| to.text())
}

/// The parents of a mail exchanger under which its hoster may be known, the longest first: without the list of public suffixes
/// two are tried that have at least two labels. A suffix such as co.uk is in no database.
pub(super) fn parents(host: &str) -> impl Iterator<Item = &str> {
    let full = host.split_once('.').map(|(_, rest)| rest);
    let second = host.rmatch_indices('.').nth(1).map(|(at, _)| at.saturating_add(1));
    let base = second.and_then(|at| host.get(at..)).or(Some(host));
    let first = full.filter(|name| name.contains('.'));
    first.into_iter().chain(base.filter(|name| name.contains('.') && Some(*name) != full))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn a_domain_is_looked_up_by_its_a_label() {
        assert_eq!(domain_of("joe@M\u{fc}nchen.Example").unwrap(), "xn--mnchen-3ya.example");
        assert_eq!(domain_of("joe@mail.example.co.uk").unwrap(), "mail.example.co.uk");
        for address in [
            "joe",
            "@example.org",
            "joe@",
            "joe@localhost",
            "joe@host.localhost",
            "joe@192.0.2.1",
            "joe@[192.0.2.1]",
            "joe@example.org.",
            "a@b@example.org",
            "joe@exa mple.org",
            "joe@\u{627}\u{644}.example",
            "joe@a..example",
            "",
        ] {
            assert!(domain_of(address).is_err(), "{address}");
        }
    }

    #[test]
    fn hosts_of_others_are_names_with_a_dot() {
        assert_eq!(host_name("IMAP.Example.org.").as_deref(), Some("imap.example.org"));
        for host in [
            " mx.example.org",
            "mx.example.org\r\n",
            "localhost",
            "a.localhost",
            "mail",
            "127.0.0.1",
            "::1",
            "[::1]",
            "a b.example",
            "",
            ".",
            "a/b.example",
        ] {
            assert_eq!(host_name(host), None, "{host}");
        }
    }

    #[test]
    fn takes_https_alone_and_nothing_that_hides_where_it_leads() {
        let url = HttpsUrl::parse("https://Login.example.org:8443/realms/x?y").unwrap();
        assert_eq!(url.text(), "https://login.example.org:8443/realms/x?y");
        for text in [
            "http://login.example.org/",
            "https://",
            "https:///x",
            "https://joe@login.example.org/",
            "https://login.example.org@evil.example/",
            "https://evil.example\\@login.example.org/",
            "https://login.example.org/#x",
            "https://10.0.0.1/",
            "https://[::1]/",
            "https://localhost/",
            "https://login.example.org:0/",
            "https://login.example.org:x/",
            "https://login.example.org /",
            "https://login.example.org./",
            "https://login.example.org?x",
            "//login.example.org/",
            "https://l\u{f6}gin.example.org/",
        ] {
            assert_eq!(HttpsUrl::parse(text), None, "{text}");
        }
        assert_eq!(HttpsUrl::parse(&["https://example.org/", &"a".repeat(2_000)].concat()), None);
    }

    #[test]
    fn a_redirect_stays_where_it_was_asked() {
        let from = "https://example.org/.well-known/x";
        for (location, to) in [
            ("https://www.example.org/y", Some("https://www.example.org/y")),
            ("/y", Some("https://example.org/y")),
            ("http://www.example.org/y", None),
            ("https://example.org.evil.example/y", None),
            ("https://notexample.org/y", None),
            ("https://evil.example/y", None),
            ("//evil.example/y", None),
            ("https://www.example.org:8443/y", None),
            ("https://10.0.0.1/y", None),
            ("y", None),
        ] {
            assert_eq!(redirect(from, location, "example.org").as_deref(), to, "{location}");
        }
    }

    #[test]
    fn the_hoster_is_looked_for_below_two_names() {
        let of = |host| parents(host).collect::<Vec<_>>();
        assert_eq!(
            of("mx.premium.europe.example.com"),
            ["premium.europe.example.com", "example.com"]
        );
        assert_eq!(of("mx.example.com"), ["example.com"]);
        assert_eq!(of("example.com"), ["example.com"]);
        assert_eq!(of("mx.example.co.uk"), ["example.co.uk", "co.uk"]);
    }
}
