//! The autoconfig file: draft-ietf-mailmaint-autoconfig-06 section 3, and version 1.1 of it, which is everywhere.
//!
//! The reader is roxmltree, whose parser has no recursion and no unsafe code. A DTD is refused whole, so that there are no entities to
//! expand and none to fetch; octets and nodes are bounded.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::str;

use roxmltree::{Document, Node, ParsingOptions};

use super::places::{HttpsUrl, host_name};
use crate::config::{Endpoint, Field, Protocol, Tls};
use crate::limits::{AUTOCONFIG_NODES_MAX, AUTOCONFIG_OCTETS_MAX, AUTOCONFIG_SERVERS_MAX};
use crate::mistakes;

/// Scopes of an authorization server that are kept.
const SCOPES_MAX: usize = 32;

/// What a file says of IMAP, POP3 and SMTP.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Config {
    /// In the file's order.
    pub(super) servers: Vec<Server>,
    pub(super) oauth: Option<ConfigOAuth>,
    /// Protocols that it has without TLS, for which nothing is done.
    pub(super) without_tls: Vec<Protocol>,
}

/// A server section.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) endpoint: Endpoint,
    pub(super) takes_tokens: bool,
    pub(super) user_pattern: String,
}

/// The `oAuth2` element. Its `clientSecret` is not read: a secret that is published is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ConfigOAuth {
    /// A URL, or the bare host that version 1.1 has.
    pub(super) issuer: Option<String>,
    pub(super) authorization_endpoint: Option<String>,
    pub(super) token_endpoint: Option<String>,
    pub(super) scopes: Vec<String>,
    pub(super) client_id: Option<String>,
}

impl Config {
    /// Reads a file for the addresses of a domain. The error is a part of a sentence.
    pub(super) fn read(octets: &[u8], domain: &str) -> Result<Self, &'static str> {
        if octets.len() > AUTOCONFIG_OCTETS_MAX {
            return Err("it is larger than any such file");
        }
        let text = str::from_utf8(octets).map_err(|_| "it is not in UTF-8")?;
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let options = ParsingOptions {
            allow_dtd: false,
            nodes_limit: AUTOCONFIG_NODES_MAX,
            entity_resolver: None,
        };
        let document =
            Document::parse_with_options(text, options).map_err(|error| reason(&error))?;
        let root = document.root_element();
        if root.tag_name().name() != "clientConfig" {
            return Err("it is XML, and no autoconfig file");
        }
        let mut config = Self::default();
        let provider = child(root, "emailProvider");
        let sections = provider.into_iter().flat_map(|one| one.children().filter(Node::is_element));
        for section in sections.take(AUTOCONFIG_SERVERS_MAX) {
            config.take(section, domain);
        }
        // Files of version 1.1 are met that have it one level further in.
        let oauth = child(root, "oAuth2").or_else(|| provider.and_then(|one| child(one, "oAuth2")));
        config.oauth =
            oauth.map(ConfigOAuth::read).filter(|oauth| *oauth != ConfigOAuth::default());
        Ok(config)
    }

    fn take(&mut self, section: Node<'_, '_>, domain: &str) {
        let protocol = match (section.tag_name().name(), section.attribute("type")) {
            ("incomingServer", Some("imap")) => Protocol::Imap,
            ("incomingServer", Some("pop3")) => Protocol::Pop3,
            ("outgoingServer", Some("smtp")) => Protocol::Smtp,
            _ => return,
        };
        let tls = match value(section, "socketType").map(str::to_ascii_lowercase).as_deref() {
            Some("ssl" | "tls") => Tls::Implicit,
            Some("starttls") => Tls::StartTls,
            _ => return self.without_tls.push(protocol),
        };
        let host = value(section, "hostname").map(|host| host.replace("%EMAILDOMAIN%", domain));
        let Some(host) = host.as_deref().and_then(host_name) else { return };
        let port = match value(section, "port").map(str::parse::<u16>) {
            Some(Ok(port)) if port > 0 => port,
            Some(_) => return,
            None => protocol.default_port(tls),
        };
        let is_oauth = |method: &str| {
            // The draft's example and table spell it in two ways.
            method.eq_ignore_ascii_case("OAuth2") || method.eq_ignore_ascii_case("OAuth")
        };
        self.servers.push(Server {
            endpoint: Endpoint { protocol, tls, host, port },
            takes_tokens: values(section, "authentication").any(is_oauth),
            user_pattern: value(section, "username").unwrap_or("%EMAILADDRESS%").to_string(),
        });
    }

    /// The server that the file prefers for tokens; else the first one, which takes passwords.
    pub(super) fn server(&self, protocol: Protocol) -> Option<&Server> {
        let mut of_protocol = self.servers.iter().filter(|one| one.endpoint.protocol == protocol);
        let first = of_protocol.clone().next();
        of_protocol.find(|one| one.takes_tokens).or(first)
    }
}

impl ConfigOAuth {
    fn read(section: Node<'_, '_>) -> Self {
        let url = |name| value(section, name).and_then(HttpsUrl::parse).map(|url| url.text());
        let scopes = value(section, "scope").unwrap_or_default().split_ascii_whitespace();
        Self {
            issuer: value(section, "issuer").and_then(issuer),
            authorization_endpoint: url("authURL"),
            token_endpoint: url("tokenURL"),
            scopes: scopes
                .filter(|one| is_visible(one))
                .take(SCOPES_MAX)
                .map(ToString::to_string)
                .collect(),
            client_id: value(section, "clientID")
                .filter(|id| is_visible(id))
                .map(ToString::to_string),
        }
    }
}

/// An issuer is a URL (RFC 8414 section 2); version 1.1 has names of hosts.
fn issuer(text: &str) -> Option<String> {
    if text.contains("://") {
        return HttpsUrl::parse(text)
            .filter(|url| !url.path.contains('?'))
            .map(|_| text.to_string());
    }
    host_name(text)
}

/// Fills an address into the pattern of a user name, once; `None` where it holds what is not known here, or what no login takes.
pub(super) fn filled(pattern: &str, address: &str) -> Option<String> {
    let (local, domain) = address.rsplit_once('@')?;
    let (mut name, mut rest) = (String::new(), pattern);
    while let Some((before, behind)) = rest.split_once('%') {
        let (placeholder, after) = behind.split_once('%')?;
        name.push_str(before);
        name.push_str(match placeholder {
            "EMAILADDRESS" => address,
            "EMAILLOCALPART" => local,
            "EMAILDOMAIN" => domain,
            _ => return None,
        });
        rest = after;
    }
    name.push_str(rest);
    mistakes::check_name(Field::User, &name).is_ok().then_some(name)
}

fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|one| one.is_element() && one.tag_name().name() == name)
}

fn values<'a>(node: Node<'a, '_>, name: &'static str) -> impl Iterator<Item = &'a str> {
    let named = move |one: &Node<'_, '_>| one.is_element() && one.tag_name().name() == name;
    node.children().filter(named).filter_map(|one| one.text()).map(str::trim)
}

fn value<'a>(node: Node<'a, '_>, name: &'static str) -> Option<&'a str> {
    values(node, name).find(|text| !text.is_empty())
}

/// RFC 6749 appendices A.1 and A.4, without the space; bounded.
fn is_visible(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|one| (b'!'..=b'~').contains(&one))
}

fn reason(error: &roxmltree::Error) -> &'static str {
    if matches!(error, roxmltree::Error::DtdDetected) {
        "it has a DTD, which no autoconfig file needs and which is not read"
    } else if matches!(error, roxmltree::Error::NodesLimitReached) {
        "it has more elements than any such file"
    } else {
        "it is no XML, or its XML is wrong"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn file(inside: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<clientConfig version=\"1.2\"><emailProvider id=\"x\">{inside}</emailProvider></clientConfig>"
        )
    }

    fn server(host: &str, socket: &str, methods: &[&str]) -> String {
        let methods: String =
            methods.iter().map(|one| format!("<authentication>{one}</authentication>")).collect();
        format!(
            "<incomingServer type=\"imap\"><hostname>{host}</hostname><port>993</port><socketType>{socket}</socketType>{methods}<username>%EMAILLOCALPART%</username></incomingServer>"
        )
    }

    fn read(inside: &str) -> Config {
        Config::read(file(inside).as_bytes(), "example.org").unwrap()
    }

    #[test]
    fn the_first_server_with_tokens_is_preferred() {
        let config = read(
            &[
                server("a.example.org", "SSL", &["password-cleartext"]),
                server("%EMAILDOMAIN%", "SSL", &["password-cleartext", "OAuth2"]),
                server("c.example.org", "SSL", &["OAuth2"]),
            ]
            .concat(),
        );
        let chosen = config.server(Protocol::Imap).unwrap();
        assert_eq!((chosen.endpoint.host.as_str(), chosen.takes_tokens), ("example.org", true));
        assert_eq!(config.server(Protocol::Pop3), None);
        let config = read(&server("a.example.org", "STARTTLS", &["password-encrypted"]));
        assert!(!config.server(Protocol::Imap).unwrap().takes_tokens);
    }

    #[test]
    fn what_is_without_tls_or_of_this_machine_is_not_taken() {
        for (host, socket) in [
            ("localhost", "SSL"),
            ("127.0.0.1", "SSL"),
            ("a b", "SSL"),
            ("imap.example.org", "plain"),
        ] {
            assert!(read(&server(host, socket, &["OAuth2"])).servers.is_empty(), "{host} {socket}");
        }
        assert_eq!(
            read(&server("imap.example.org", "plain", &["OAuth2"])).without_tls,
            [Protocol::Imap]
        );
    }

    #[test]
    fn the_authorization_server_is_read_in_both_places_and_its_secret_not() {
        let inside = "<oAuth2><issuer>login.example.org</issuer><scope>mail  offline_access</scope><authURL>https://login.example.org/a</authURL><tokenURL>http://login.example.org/t</tokenURL><clientID>open</clientID><clientSecret>x</clientSecret></oAuth2>";
        let root = format!("<clientConfig>{inside}<emailProvider/></clientConfig>");
        let of_root = Config::read(root.as_bytes(), "example.org").unwrap().oauth.unwrap();
        assert_eq!(Some(&of_root), read(inside).oauth.as_ref());
        assert_eq!(of_root.issuer.as_deref(), Some("login.example.org"));
        assert_eq!(of_root.scopes, ["mail", "offline_access"]);
        assert_eq!(of_root.client_id.as_deref(), Some("open"));
        assert_eq!(of_root.token_endpoint, None);
        assert_eq!(read("<oAuth2><issuer>http://login.example.org</issuer></oAuth2>").oauth, None);
    }

    #[test]
    fn a_dtd_is_refused_whole() {
        for dtd in [
            "<!DOCTYPE clientConfig>",
            "<!DOCTYPE clientConfig SYSTEM \"https://evil.example/x.dtd\">",
            "<!DOCTYPE clientConfig [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>",
            "<!DOCTYPE clientConfig [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]>",
        ] {
            let text = format!("{dtd}<clientConfig><emailProvider/></clientConfig>");
            let problem = Config::read(text.as_bytes(), "example.org").unwrap_err();
            assert!(problem.contains("DTD"), "{dtd}: {problem}");
        }
    }

    #[test]
    fn what_is_large_or_deep_or_wrong_is_told_and_costs_nothing() {
        let deep = "<clientConfig>".repeat(4_600);
        let wide = file(&"<a/>".repeat(5_000));
        let long = file(&" ".repeat(AUTOCONFIG_OCTETS_MAX));
        for (text, word) in [
            (deep.as_str(), "elements"),
            (wide.as_str(), "elements"),
            (long.as_str(), "larger"),
            ("<html><body>404</body></html>", "no autoconfig"),
            ("<!doctype html><html>", "XML"),
            ("{}", "XML"),
            ("", "XML"),
            ("<clientConfig>&nbsp;</clientConfig>", "wrong"),
        ] {
            let problem = Config::read(text.as_bytes(), "example.org").unwrap_err();
            assert!(problem.contains(word), "{problem}");
        }
        assert!(Config::read(b"\xff\xfe<\0", "example.org").is_err());
    }

    #[test]
    fn of_many_servers_the_first_are_looked_at() {
        let one = server("imap.example.org", "SSL", &["OAuth2"]);
        assert_eq!(read(&one.repeat(70)).servers.len(), AUTOCONFIG_SERVERS_MAX);
    }

    #[test]
    fn a_user_name_is_filled_in_once() {
        assert_eq!(filled("%EMAILADDRESS%", "joe@example.org").as_deref(), Some("joe@example.org"));
        assert_eq!(
            filled("%EMAILLOCALPART%.%EMAILDOMAIN%", "joe@example.org").as_deref(),
            Some("joe.example.org")
        );
        assert_eq!(filled("joe", "joe@example.org").as_deref(), Some("joe"));
        assert_eq!(
            filled("%EMAILADDRESS%", "%EMAILDOMAIN%@example.org").as_deref(),
            Some("%EMAILDOMAIN%@example.org")
        );
        assert_eq!(filled("%REALNAME%", "joe@example.org"), None);
        assert_eq!(filled("a\u{1}b", "joe@example.org"), None);
    }
}
