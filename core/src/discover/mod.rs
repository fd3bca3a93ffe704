//! Finds the servers of a mail address, and where their tokens come from: MX and SRV records, autoconfig files and metadata of
//! authorization servers. Questions come out and answers go in; what is asked, in which order, and what is believed how far is
//! in `docs/discovery.md`.
//!
//! | state | asked at the same time | next |
//! |---|---|---|
//! | `Records` | MX, and six SRV names | `Done` where the exchangers are of a hoster that is built in, or the domain takes no mail; else `Domain` |
//! | `Domain` | the domain's autoconfig file, at its two addresses | `Others` where neither it nor SRV has said anything; else `Issuer` |
//! | `Others` | Thunderbird's database, and the hoster's autoconfig file | `Issuer` |
//! | `Issuer` | the metadata of the issuer that was named, if one was | `Done` |
//! | `Done` | nothing | [`Discovery::found`] has it |
//!
//! | file | what |
//! |---|---|
//! | `plan.rs` | what is asked, and what is answered |
//! | `found.rs` | what came of it |
//! | `choose.rs` | which facts are believed |
//! | `exchangers.rs` | hosters by their mail exchangers |
//! | `autoconfig.rs` | the XML of autoconfig files |
//! | `metadata.rs` | the JSON of authorization servers |
//! | `places.rs` | which hosts and addresses may be looked at |
//! | `report.rs` | sentences, lines and JSON |

mod autoconfig;
mod choose;
mod client_steps;
mod exchangers;
mod found;
mod metadata;
mod places;
mod plan;
#[cfg(test)]
mod properties;
mod report;
#[cfg(test)]
mod tests;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use autoconfig::{Config, ConfigOAuth};
use choose::About;
pub use client_steps::client_steps;
use exchangers::Exchangers;
pub use found::{
    Discovered, FoundOAuth, FoundService, Look, Offer, Outcome, Seen, Source, Sureness,
};
use metadata::Metadata;
pub use plan::{Answer, Lookup, MxRecord, Question, SrvRecord, Trouble};

use crate::config::{ConfigError, Protocol};
use crate::failure::spelled_enum;
use crate::limits::{
    AUTOCONFIG_OCTETS_MAX, FILE_WITHIN_MS, LOOKUPS_MAX, METADATA_OCTETS_MAX, RECORDS_MAX,
    RECORDS_WITHIN_MS,
};
use crate::provider::Provider;
use crate::text::displayable;

/// Thunderbird's database: wiki.mozilla.org/Thunderbird:Autoconfiguration. The name of the domain is all that it hears.
const ISPDB: &str = "https://autoconfig.thunderbird.net/v1.1/";

spelled_enum! {
    /// Where a [`Discovery`] stands.
    DiscoveryState {
        /// DNS is asked.
        Records = "records",
        /// The domain is asked.
        Domain = "domain",
        /// Others are asked: Thunderbird's database, and the hoster.
        Others = "others",
        /// The authorization server is asked.
        Issuer = "issuer",
        /// All is known.
        Done = "done",
    }
}

/// Finds the servers of one mail address. It has no socket, no resolver and no clock: lookups come out, answers go in.
///
/// ```
/// use mailbearer::discover::{Answer, Discovery, MxRecord, Outcome, Question};
/// let mut discovery = Discovery::new("joe@company.example")?;
/// let lookups = discovery.start();
/// for lookup in lookups {
///     let answer = match lookup.question {
///         Question::Mx { .. } => Answer::Mx(vec![MxRecord { preference: 1, exchange: "smtp.google.com.".into() }]),
///         Question::Srv { .. } | Question::Get { .. } => Answer::NoRecord,
///     };
///     let more = discovery.answer(lookup.id, answer);
///     assert!(more.is_empty());
/// }
/// let found = discovery.found().unwrap();
/// assert_eq!((found.outcome, found.provider.as_deref()), (Outcome::Found, Some("gmail")));
/// # Ok::<(), mailbearer::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Discovery {
    address: String,
    domain: String,
    state: DiscoveryState,
    /// Lookups that have no answer yet.
    open: Vec<(u32, Asked)>,
    /// As many were given.
    lookups: u32,
    had_answer: bool,
    exchangers: Exchangers,
    srv: Vec<(SrvName, Vec<SrvRecord>)>,
    configs: Vec<(Place, Config)>,
    metadata: Vec<Metadata>,
    /// With the number of its lookup.
    looks: Vec<(u32, Look)>,
    found: Option<Discovered>,
}

/// A lookup under way.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    Mx,
    Srv(SrvName),
    File { place: Place, url: String, is_redirected: bool },
    Metadata { issuer: String, url: String },
}

/// A name below which SRV records stand, in the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SrvName {
    protocol: Protocol,
    is_implicit: bool,
    label: &'static str,
}

/// RFC 6186 section 3, and RFC 8314 section 5.1 for submissions.
const SRV_NAMES: [SrvName; 6] = [
    SrvName { protocol: Protocol::Imap, is_implicit: true, label: "_imaps._tcp" },
    SrvName { protocol: Protocol::Imap, is_implicit: false, label: "_imap._tcp" },
    SrvName { protocol: Protocol::Pop3, is_implicit: true, label: "_pop3s._tcp" },
    SrvName { protocol: Protocol::Pop3, is_implicit: false, label: "_pop3._tcp" },
    SrvName { protocol: Protocol::Smtp, is_implicit: true, label: "_submissions._tcp" },
    SrvName { protocol: Protocol::Smtp, is_implicit: false, label: "_submission._tcp" },
];

/// Where an autoconfig file stands, in the order in which they are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Draft section 4.1, 1.1.
    Subdomain,
    /// 1.2.
    WellKnown,
    /// 2.1.
    Ispdb,
    /// 3.1.
    Hoster,
    /// 3.3 and 3.4.
    HosterIspdb(u8),
}

impl Place {
    const fn source(self) -> Source {
        match self {
            Self::Subdomain | Self::WellKnown => Source::Autoconfig,
            Self::Ispdb => Source::Ispdb,
            Self::Hoster => Source::HosterAutoconfig,
            Self::HosterIspdb(_) => Source::HosterIspdb,
        }
    }
}

impl Discovery {
    /// For one mail address.
    ///
    /// # Errors
    /// [`ConfigError`] where it is none, or its domain has no name that DNS can be asked for.
    pub fn new(address: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            address: address.to_string(),
            domain: places::domain_of(address)?,
            state: DiscoveryState::Records,
            open: Vec::new(),
            lookups: 0,
            had_answer: false,
            exchangers: Exchangers::default(),
            srv: Vec::new(),
            configs: Vec::new(),
            metadata: Vec::new(),
            looks: Vec::new(),
            found: None,
        })
    }

    /// Begins. There are no lookups where the domain is one that is built in: all is known then.
    pub fn start(&mut self) -> Vec<Lookup> {
        if self.lookups > 0 || self.found.is_some() {
            return Vec::new();
        }
        if self.built_in().is_some() {
            return self.go(DiscoveryState::Done);
        }
        self.go(DiscoveryState::Records)
    }

    /// Takes what came of a lookup, and gives what is to be looked up next: most often nothing. An answer to what was not asked,
    /// or was answered before, is left aside.
    pub fn answer(&mut self, id: u32, answer: Answer) -> Vec<Lookup> {
        let Some(at) = self.open.iter().position(|(open, _)| *open == id) else {
            return Vec::new();
        };
        let (id, asked) = self.open.swap_remove(at);
        let failed = match &answer {
            Answer::Failed(trouble) => trouble.may_be_of_network(),
            Answer::Mx(_) | Answer::Srv(_) | Answer::NoRecord | Answer::Http { .. } => false,
        };
        self.had_answer |= !failed;
        let again = self.take(id, asked, answer);
        if !again.is_empty() || !self.open.is_empty() {
            return again;
        }
        let next = self.next();
        self.go(next)
    }

    /// The time is over: what has no answer counts as not answered, and what is known is all.
    pub fn end(&mut self) {
        for (id, asked) in core::mem::take(&mut self.open) {
            let what = (id, asked.what(&self.domain));
            self.look(what, Seen::Failed, Trouble::TimedOut.words());
        }
        self.go(DiscoveryState::Done);
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> DiscoveryState {
        self.state
    }

    /// What came of it, once nothing is left to look up.
    #[must_use]
    pub fn found(&self) -> Option<&Discovered> {
        self.found.as_ref()
    }

    // ---- What is asked -------------------------------------------------------------------------------------------

    fn next(&self) -> DiscoveryState {
        match self.state {
            DiscoveryState::Records if self.hosted().is_some() => DiscoveryState::Done,
            DiscoveryState::Records if self.exchangers.takes_no_mail && self.srv.is_empty() => {
                DiscoveryState::Done
            }
            DiscoveryState::Records => DiscoveryState::Domain,
            // Others do not hear of a domain that has spoken for itself.
            DiscoveryState::Domain if self.claims().is_empty() => DiscoveryState::Others,
            DiscoveryState::Domain | DiscoveryState::Others => DiscoveryState::Issuer,
            DiscoveryState::Issuer | DiscoveryState::Done => DiscoveryState::Done,
        }
    }

    /// Enters a state; one in which there is nothing to ask is left at once.
    fn go(&mut self, state: DiscoveryState) -> Vec<Lookup> {
        self.state = state;
        let asked = match state {
            DiscoveryState::Records => self.records(),
            DiscoveryState::Domain => self.files_of_domain(),
            DiscoveryState::Others => self.files_of_others(),
            DiscoveryState::Issuer => self.documents_of_issuer(),
            DiscoveryState::Done => {
                if self.found.is_none() {
                    self.found = Some(self.settle());
                }
                return Vec::new();
            }
        };
        let lookups: Vec<Lookup> = asked.into_iter().filter_map(|one| self.ask(one)).collect();
        if lookups.is_empty() {
            let next = self.next();
            return self.go(next);
        }
        lookups
    }

    fn ask(&mut self, asked: Asked) -> Option<Lookup> {
        let id = self
            .lookups
            .checked_add(1)
            .filter(|id| usize::try_from(*id).is_ok_and(|id| id <= LOOKUPS_MAX))?;
        self.lookups = id;
        let (question, within_ms) = self.question(&asked);
        self.open.push((id, asked));
        Some(Lookup { id, question, within_ms })
    }

    fn question(&self, asked: &Asked) -> (Question, u64) {
        match asked {
            Asked::Mx => (Question::Mx { domain: self.domain.clone() }, RECORDS_WITHIN_MS),
            Asked::Srv(name) => {
                let name = format!("{}.{}", name.label, self.domain);
                (Question::Srv { name }, RECORDS_WITHIN_MS)
            }
            Asked::File { place, url, is_redirected } => {
                // Of a hoster that DNS has named, as of a redirect, nobody says that it is meant.
                let public_only = *is_redirected || *place >= Place::Hoster;
                let octets_max = AUTOCONFIG_OCTETS_MAX;
                (Question::Get { url: url.clone(), public_only, octets_max }, FILE_WITHIN_MS)
            }
            Asked::Metadata { url, .. } => {
                let host = places::HttpsUrl::parse(url).map(|url| url.host).unwrap_or_default();
                let public_only = !places::is_within(&host, &self.domain);
                let octets_max = METADATA_OCTETS_MAX;
                (Question::Get { url: url.clone(), public_only, octets_max }, FILE_WITHIN_MS)
            }
        }
    }

    fn records(&self) -> Vec<Asked> {
        core::iter::once(Asked::Mx).chain(SRV_NAMES.map(Asked::Srv)).collect()
    }

    /// The address's local part is nobody's business: the draft's parameter `emailaddress` is left out.
    fn files_of_domain(&self) -> Vec<Asked> {
        let domain = &self.domain;
        Vec::from([
            file(Place::Subdomain, format!("https://autoconfig.{domain}/mail/config-v1.1.xml")),
            file(
                Place::WellKnown,
                format!("https://{domain}/.well-known/autoconfig/mail/config-v1.1.xml"),
            ),
        ])
    }

    fn files_of_others(&self) -> Vec<Asked> {
        let mut files = Vec::from([file(Place::Ispdb, [ISPDB, &self.domain].concat())]);
        let is_filter = self.exchangers.hoster().is_some_and(|hoster| hoster.is_filter);
        let first = self.exchangers.first.first().filter(|_| !is_filter);
        let parents = first.into_iter().flat_map(|host| places::parents(host));
        for (number, parent) in (0_u8..).zip(parents.filter(|parent| *parent != self.domain)) {
            if number == 0 {
                let url = format!("https://autoconfig.{parent}/mail/config-v1.1.xml");
                files.push(file(Place::Hoster, url));
            }
            files.push(file(Place::HosterIspdb(number), [ISPDB, parent].concat()));
        }
        files
    }

    fn documents_of_issuer(&self) -> Vec<Asked> {
        let Some((_, ConfigOAuth { issuer: Some(issuer), .. })) = self.named_oauth() else {
            return Vec::new();
        };
        let addresses = metadata::addresses(issuer).into_iter().flatten();
        addresses.map(|url| Asked::Metadata { issuer: issuer.clone(), url }).collect()
    }

    // ---- What is answered ----------------------------------------------------------------------------------------

    fn take(&mut self, id: u32, asked: Asked, answer: Answer) -> Vec<Lookup> {
        let what = (id, asked.what(&self.domain));
        match (asked, answer) {
            // The database has a host: where there is none the network hides it.
            (
                Asked::File { place: Place::Ispdb | Place::HosterIspdb(_), .. },
                Answer::Failed(trouble @ Trouble::NoHost),
            ) => self.look(what, Seen::Failed, trouble.words()),
            (_, Answer::Failed(trouble)) => {
                self.look(what, trouble.seen(), trouble.words());
            }
            (Asked::Mx, Answer::Mx(records)) => self.take_mx(what, records),
            (Asked::Srv(name), Answer::Srv(records)) => self.take_srv(what, name, records),
            (Asked::Mx | Asked::Srv(_), _) => self.look(what, Seen::Nothing, "no record"),
            (
                Asked::File { place, url, is_redirected },
                Answer::Http { status, location, body },
            ) => {
                if (300..400).contains(&status) {
                    return self.redirected(what, place, &url, is_redirected, location.as_deref());
                }
                self.take_file(what, place, status, &body);
            }
            (Asked::Metadata { issuer, .. }, Answer::Http { status: 200, body, .. }) => {
                match Metadata::read(&body, &issuer) {
                    Ok(metadata) => {
                        self.look(what, Seen::Found, "metadata of the issuer");
                        self.metadata.push(metadata);
                    }
                    Err(problem) => self.look(what, Seen::Ignored, problem),
                }
            }
            (Asked::Metadata { .. }, Answer::Http { status, .. }) => {
                self.look(what, Seen::Nothing, &format!("HTTP {status}"));
            }
            (
                Asked::File { .. } | Asked::Metadata { .. },
                Answer::Mx(_) | Answer::Srv(_) | Answer::NoRecord,
            ) => self.look(what, Seen::Failed, Trouble::Malformed.words()),
        }
        Vec::new()
    }

    fn take_mx(&mut self, what: Looked, records: Vec<MxRecord>) {
        self.exchangers = Exchangers::of(records);
        let text = match (self.exchangers.hoster(), self.exchangers.first.as_slice()) {
            (_, []) if self.exchangers.takes_no_mail => {
                "the domain takes no mail (RFC 7505)".to_string()
            }
            (_, []) => return self.look(what, Seen::Nothing, "no usable record"),
            (Some(hoster), hosts) if hoster.is_filter => {
                format!(
                    "{}: {}, a filter, behind which the mailboxes may be anywhere",
                    hosts.join(", "),
                    hoster.name
                )
            }
            (Some(hoster), hosts) => format!("{}: {}", hosts.join(", "), hoster.name),
            (None, hosts) => hosts.join(", "),
        };
        self.look(what, Seen::Found, &text);
    }

    fn take_srv(&mut self, what: Looked, name: SrvName, mut records: Vec<SrvRecord>) {
        records.truncate(RECORDS_MAX);
        let places: Vec<String> =
            records.iter().map(|one| format!("{}:{}", one.target, one.port)).collect();
        if places.is_empty() {
            return self.look(what, Seen::Nothing, "no record");
        }
        self.look(what, Seen::Found, &places.join(", "));
        self.srv.push((name, records));
    }

    fn redirected(
        &mut self,
        what: Looked,
        place: Place,
        url: &str,
        is_redirected: bool,
        location: Option<&str>,
    ) -> Vec<Lookup> {
        let to = location.and_then(|to| places::redirect(url, to, &self.domain));
        let to = to.filter(|_| !is_redirected);
        let text = match (&to, location) {
            (Some(to), _) => format!("redirects to {to}"),
            (None, Some(to)) => format!("redirects to {to}, which is not followed"),
            (None, None) => "redirects nowhere".to_string(),
        };
        self.look(what, Seen::Ignored, &text);
        let again = to.and_then(|url| self.ask(Asked::File { place, url, is_redirected: true }));
        again.into_iter().collect()
    }

    fn take_file(&mut self, what: Looked, place: Place, status: u16, body: &[u8]) {
        if status != 200 {
            return self.look(what, Seen::Nothing, &format!("HTTP {status}"));
        }
        match Config::read(body, &self.domain) {
            Ok(config) if config.servers.is_empty() && config.without_tls.is_empty() => {
                self.look(what, Seen::Ignored, "it names no server of IMAP, POP3 or SMTP");
            }
            Ok(config) => {
                let count = config.servers.len();
                let plain = if config.without_tls.is_empty() {
                    ""
                } else {
                    ", and some without TLS, which are not used"
                };
                self.look(what, Seen::Found, &format!("{count} servers{plain}"));
                self.configs.push((place, config));
                self.configs.sort_by_key(|(place, _)| *place);
            }
            Err(problem) => self.look(what, Seen::Ignored, problem),
        }
    }

    fn look(&mut self, (id, what): Looked, seen: Seen, text: &str) {
        let look = Look { what, seen, text: displayable(text.as_bytes()) };
        self.looks.push((id, look));
    }

    // ---- What is believed ----------------------------------------------------------------------------------------

    fn about(&self) -> About<'_> {
        About { address: &self.address, domain: &self.domain }
    }

    fn built_in(&self) -> Option<Provider> {
        Provider::of_address(&["@", &self.domain].concat())
    }

    /// The built-in profile of the hoster that the exchangers name.
    fn hosted(&self) -> Option<Provider> {
        self.exchangers.hoster()?.profile.and_then(Provider::named)
    }

    /// What all sources say, the first ones first: others than the domain are asked only where SRV has said nothing.
    fn claims(&self) -> Vec<choose::Claim> {
        let about = self.about();
        if let Some(provider) = self.built_in() {
            return about.of_provider(&provider, Source::BuiltIn);
        }
        let mut claims = Vec::new();
        if let Some(provider) = self.hosted() {
            claims.extend(about.of_provider(&provider, Source::Exchangers));
        }
        for (place, config) in &self.configs {
            claims.extend(about.of_config(config, place.source()));
        }
        let records = |protocol, is_implicit| {
            let of = |name: &SrvName| name.protocol == protocol && name.is_implicit == is_implicit;
            let found = self.srv.iter().find(|(name, _)| of(name));
            found.map(|(_, records)| records.as_slice()).unwrap_or_default()
        };
        claims.extend(Protocol::ALL.into_iter().filter_map(|protocol| {
            about.of_srv(protocol, records(protocol, true), records(protocol, false))
        }));
        claims
    }

    /// The authorization server that the first file names which is believed.
    fn named_oauth(&self) -> Option<(Source, &ConfigOAuth)> {
        let (services, _) = choose::choose(&self.claims());
        if choose::profile_of(&services).is_some() {
            return None;
        }
        let believed =
            |source| services.iter().any(|one| one.source == source && one.offer == Offer::OAuth);
        let mut named = self
            .configs
            .iter()
            .filter_map(|(place, config)| Some((place.source(), config.oauth.as_ref()?)));
        named.find(|(source, _)| believed(*source))
    }

    fn settle(&self) -> Discovered {
        let mut looks = self.looks.clone();
        looks.sort_by_key(|(id, _)| *id);
        let looks = looks.into_iter().map(|(_, look)| look).collect();
        let about = self.about();
        let (mut services, notes) = choose::choose(&self.claims());
        let hosted = self.hosted();
        if hosted.is_some() {
            // A hoster has no protocol but those of its profile, whatever a record says that was left behind.
            services.retain(|service| service.source == Source::Exchangers);
        }
        let provider = self.built_in().or(hosted).or_else(|| choose::profile_of(&services));
        let source = services.first().map_or(Source::BuiltIn, |service| service.source);
        let oauth = if let Some(provider) = &provider {
            choose::recognize(&mut services, provider);
            about.of_profile(provider, source)
        } else {
            self.named_oauth()
                .map(|(source, oauth)| about.of_oauth(oauth, self.metadata.first(), source))
        };
        let instead = provider.as_ref().and_then(|provider| provider.instead.clone());
        Discovered {
            address: self.address.clone(),
            domain: self.domain.clone(),
            outcome: choose::outcome(&services, instead.is_some(), self.had_answer),
            hoster: self
                .exchangers
                .hoster()
                .filter(|one| !one.is_filter)
                .map(|one| one.name.to_string()),
            provider: provider.map(|provider| provider.name),
            services,
            oauth,
            instead,
            notes,
            looks,
            takes_no_mail: self.exchangers.takes_no_mail,
        }
    }
}

/// The number of a lookup, and what it was of.
type Looked = (u32, String);

impl Asked {
    /// As it is shown.
    fn what(&self, domain: &str) -> String {
        match self {
            Self::Mx => format!("MX {domain}"),
            Self::Srv(name) => format!("SRV {}.{domain}", name.label),
            Self::File { url, .. } | Self::Metadata { url, .. } => url.clone(),
        }
    }
}

fn file(place: Place, url: String) -> Asked {
    Asked::File { place, url, is_redirected: false }
}
