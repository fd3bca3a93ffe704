//! What was found, in words: one sentence, the lines of the command, and JSON. All languages show the same.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Value, json};

use super::found::{Discovered, FoundOAuth, FoundService, Look, Offer, Outcome, Seen, Source};
use crate::config::{Protocol, Tls};
use crate::provider::OAuth;

/// What to do where nothing helps.
const REMEDY: &str = "give host (with port and tls where they are unusual) or provider";

/// One sentence, of one protocol or of all.
pub(super) fn sentence(found: &Discovered, protocol: Option<Protocol>) -> String {
    let of = |service: &&FoundService| protocol.is_none_or(|one| service.endpoint.protocol == one);
    let services: Vec<&FoundService> = found.services.iter().filter(of).collect();
    let domain = &found.domain;
    match (found.outcome, services.as_slice()) {
        (Outcome::Unreachable, _) => format!(
            "{domain} could not be looked up: neither a resolver nor a server has answered. Look whether there is a network, or {REMEDY}"
        ),
        (Outcome::Nothing, _) if found.takes_no_mail => format!(
            "{domain} takes no mail: its MX record is \".\" (RFC 7505). Look whether the address is right"
        ),
        (Outcome::Nothing, _) => format!(
            "no mail server is known for {domain}: {}. Ask whoever runs it, and {REMEDY}",
            in_vain(found)
        ),
        (Outcome::NoOAuth, _) => without_tokens(found),
        (Outcome::Found | Outcome::ToConfirm, []) => format!(
            "for {domain} no {} server was found: choose another protocol, or {REMEDY}",
            protocol.map_or("mail", Protocol::as_str)
        ),
        (Outcome::Found | Outcome::ToConfirm, [first, ..]) => {
            // Of all protocols the one that counts.
            let best = services.iter().find(|service| service.is_usable()).unwrap_or(first);
            with_server(found, best, protocol)
        }
    }
}

fn with_server(found: &Discovered, first: &FoundService, protocol: Option<Protocol>) -> String {
    let (domain, source) = (&found.domain, who_says(found, first.source));
    let place = format!("{}:{}", first.endpoint.host, first.endpoint.port);
    if first.offer == Offer::PasswordOnly && protocol.is_some() {
        return format!("{domain} offers no OAuth at {place}, {source}: it takes passwords only");
    }
    if !first.is_usable() && (protocol.is_some() || found.outcome == Outcome::ToConfirm) {
        return format!(
            "{domain} seems to have its mail at {place}, {source}; that is another domain, and DNS is not signed: if it is right, give {} as host",
            first.endpoint.host
        );
    }
    let owner = match (&found.hoster, &found.provider) {
        (Some(hoster), _) => format!("{domain} is hosted by {hoster}"),
        (None, Some(provider)) => format!("{domain} has its mail at {provider}"),
        (None, None) => format!("{domain} has its mail at {}", first.endpoint.host),
    };
    let tokens = match first.offer {
        Offer::OAuth if found.oauth.is_none() => "; where its tokens come from is not said",
        Offer::OAuth | Offer::PasswordOnly => "",
        Offer::Unknown => "; whether it takes tokens is not said, its greeting will tell",
    };
    format!("{owner}, {source} ({}){tokens}", first.sureness)
}

fn without_tokens(found: &Discovered) -> String {
    let domain = &found.domain;
    if let Some(instead) = &found.instead {
        return format!("{domain} offers no OAuth: {instead}");
    }
    let Some(first) = found.services.first() else { return format!("{domain} offers no OAuth") };
    format!(
        "{domain} offers no OAuth: {} takes passwords only, {}",
        first.endpoint.host,
        who_says(found, first.source)
    )
}

/// As it stands at the end of a sentence.
fn who_says(found: &Discovered, source: Source) -> String {
    let domain = &found.domain;
    match source {
        Source::BuiltIn => "as mailbearer has it built in".to_string(),
        Source::Exchangers => "as its MX records say".to_string(),
        Source::Autoconfig => format!("as {domain} says itself in its autoconfig file"),
        Source::Srv => "as its SRV records say".to_string(),
        Source::Ispdb => "as Thunderbird's database has it".to_string(),
        Source::HosterAutoconfig => "as the autoconfig file of its hoster says".to_string(),
        Source::HosterIspdb => "as Thunderbird's database has it for its hoster".to_string(),
    }
}

/// What was looked at, in few words.
fn in_vain(found: &Discovered) -> String {
    let exchangers =
        found.looks.iter().find(|look| look.what.starts_with("MX ") && look.seen == Seen::Found);
    let mx = match exchangers {
        Some(look) => format!("its MX records ({}) are of no hoster known here", look.text),
        None => "it has no MX record".to_string(),
    };
    let refused = found.looks.iter().find(|look| look.seen == Seen::Ignored);
    let ignored = refused.map(|look| format!("; {} was not used: {}", look.what, look.text));
    let of_database = |look: &&Look| look.what.starts_with(super::ISPDB);
    let was_asked = found.looks.iter().filter(of_database).any(|look| look.seen != Seen::Failed);
    let database = if was_asked { ", nor an entry in Thunderbird's database" } else { "" };
    let failed = found.looks.iter().filter(|look| look.seen == Seen::Failed).count();
    let failed = match failed {
        0 => String::new(),
        1 => "; one lookup had no answer".to_string(),
        count => format!("; {count} lookups had no answer"),
    };
    let ignored = ignored.unwrap_or_default();
    format!(
        "{mx}, and there is neither an SRV record nor an autoconfig file{database}{ignored}{failed}"
    )
}

/// For a terminal.
pub(super) fn lines(found: &Discovered) -> Vec<String> {
    let mut lines = Vec::from([sentence(found, None)]);
    if !found.services.is_empty() {
        lines.push(String::new());
        lines.extend(found.services.iter().map(service_line));
    }
    if let Some(oauth) = &found.oauth {
        lines.push(String::new());
        lines.extend(oauth_lines(oauth));
    }
    if !found.notes.is_empty() {
        lines.push(String::new());
        lines.extend(found.notes.iter().map(|note| format!("note   {note}")));
    }
    if !found.looks.is_empty() {
        lines.push(String::new());
        lines.push("looked at".to_string());
        lines.extend(
            found
                .looks
                .iter()
                .map(|look| format!("  {:<8} {}: {}", look.seen.as_str(), look.what, look.text)),
        );
    }
    lines
}

fn service_line(service: &FoundService) -> String {
    let endpoint = &service.endpoint;
    let tls = match endpoint.tls {
        Tls::Implicit => "TLS",
        Tls::StartTls => "STARTTLS",
    };
    let offer = match service.offer {
        Offer::OAuth => "OAuth",
        Offer::PasswordOnly => "passwords only",
        Offer::Unknown => "OAuth not known",
    };
    let elsewhere = if service.leads_to.is_some() { ", of another domain" } else { "" };
    let (host, port) = (&endpoint.host, endpoint.port);
    format!(
        "{:<6} {host}:{port} ({tls}), user {}, {offer}; {}, {}{elsewhere}",
        endpoint.protocol.as_str(),
        service.user,
        service.source,
        service.sureness
    )
}

fn oauth_lines(oauth: &FoundOAuth) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |name: &str, value: &str| lines.push(format!("oauth  {name}: {value}"));
    if let Some(issuer) = &oauth.issuer {
        line("issuer", issuer);
    }
    if let Some(server) = &oauth.server {
        for (name, value) in endpoints(server) {
            if let Some(value) = value {
                line(name, value);
            }
        }
    }
    if !oauth.scopes.is_empty() {
        line("scopes", &oauth.scopes.join(" "));
    }
    if let Some(client_id) = &oauth.client_id {
        line("client_id", client_id);
    }
    let metadata = if oauth.has_metadata { ", and the issuer's metadata" } else { "" };
    let elsewhere = if oauth.leads_to.is_empty() {
        String::new()
    } else {
        format!(", of another domain: {}", oauth.leads_to.join(", "))
    };
    line("from", &format!("{}, {}{metadata}{elsewhere}", oauth.source, oauth.sureness));
    lines
}

fn endpoints(server: &OAuth) -> [(&'static str, Option<&str>); 5] {
    [
        ("authorization_endpoint", Some(&server.authorization_endpoint)),
        ("token_endpoint", Some(&server.token_endpoint)),
        ("device_authorization_endpoint", server.device_authorization_endpoint.as_deref()),
        ("revocation_endpoint", server.revocation_endpoint.as_deref()),
        ("registration_endpoint", server.registration_endpoint.as_deref()),
    ]
}

/// For programs.
pub(super) fn json(found: &Discovered) -> Value {
    json!({
        "address": found.address,
        "domain": found.domain,
        "outcome": found.outcome.as_str(),
        "sentence": sentence(found, None),
        "hoster": found.hoster,
        "provider": found.provider,
        "instead": found.instead,
        "services": found.services.iter().map(service_json).collect::<Vec<_>>(),
        "oauth": found.oauth.as_ref().map(oauth_json),
        "notes": found.notes,
        "looks": found.looks.iter().map(look_json).collect::<Vec<_>>(),
    })
}

fn service_json(service: &FoundService) -> Value {
    let endpoint = &service.endpoint;
    json!({
        "protocol": endpoint.protocol.as_str(),
        "host": endpoint.host,
        "port": endpoint.port,
        "tls": endpoint.tls.as_str(),
        "user": service.user,
        "user_pattern": service.user_pattern,
        "offer": service.offer.as_str(),
        "source": service.source.as_str(),
        "sureness": service.sureness.as_str(),
        "leads_to": service.leads_to,
    })
}

fn oauth_json(oauth: &FoundOAuth) -> Value {
    let server = oauth.server.as_ref();
    let endpoint = |name: &str| {
        let named = server.map(endpoints).into_iter().flatten();
        named.into_iter().find(|(one, _)| *one == name).and_then(|(_, value)| value)
    };
    json!({
        "issuer": oauth.issuer,
        "authorization_endpoint": endpoint("authorization_endpoint"),
        "token_endpoint": endpoint("token_endpoint"),
        "device_authorization_endpoint": endpoint("device_authorization_endpoint"),
        "revocation_endpoint": endpoint("revocation_endpoint"),
        "registration_endpoint": endpoint("registration_endpoint"),
        "needs_client_secret": server.map(|server| server.needs_client_secret),
        "scopes": oauth.scopes,
        "client_id": oauth.client_id,
        "source": oauth.source.as_str(),
        "sureness": oauth.sureness.as_str(),
        "has_metadata": oauth.has_metadata,
        "leads_to": oauth.leads_to,
    })
}

fn look_json(look: &Look) -> Value {
    json!({ "what": look.what, "seen": look.seen.as_str(), "text": look.text })
}
