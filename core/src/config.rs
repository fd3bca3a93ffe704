//! What a caller says before any I/O: protocol, endpoint, identity, and how they are checked.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::mistakes;

/// A mail protocol. In Swift and Kotlin its name is `MailProtocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// RFC 9051, and RFC 3501 before it.
    Imap,
    /// RFC 1939.
    Pop3,
    /// RFC 5321, or submission (RFC 6409), which differs only in its port.
    Smtp,
}

impl Protocol {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Imap, Self::Pop3, Self::Smtp];

    /// `imap`, `pop3` or `smtp`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Smtp => "smtp",
        }
    }

    /// The registered port (RFC 8314 section 7; RFC 3501, RFC 1939 and RFC 6409 for STARTTLS).
    #[must_use]
    pub const fn default_port(self, tls: Tls) -> u16 {
        match (self, tls) {
            (Self::Imap, Tls::Implicit) => 993,
            (Self::Imap, Tls::StartTls) => 143,
            (Self::Pop3, Tls::Implicit) => 995,
            (Self::Pop3, Tls::StartTls) => 110,
            (Self::Smtp, Tls::Implicit) => 465,
            (Self::Smtp, Tls::StartTls) => 587,
        }
    }
}

/// A SASL mechanism that carries an OAuth 2.0 access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mechanism {
    /// `XOAUTH2`, Google's mechanism, which Microsoft, Yahoo and others took over.
    XOAuth2,
    /// `OAUTHBEARER`, RFC 7628.
    OAuthBearer,
}

impl Mechanism {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::XOAuth2, Self::OAuthBearer];

    /// The name on the wire: `XOAUTH2` or `OAUTHBEARER`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::XOAuth2 => "XOAUTH2",
            Self::OAuthBearer => "OAUTHBEARER",
        }
    }
}

/// When TLS begins. There is no plaintext mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tls {
    /// With the first octet (RFC 8314).
    Implicit,
    /// By `STARTTLS` or `STLS` before anything else; a server that does not offer it is a failure.
    StartTls,
}

impl Tls {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Implicit, Self::StartTls];

    /// `implicit` or `starttls`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Implicit => "implicit",
            Self::StartTls => "starttls",
        }
    }

    /// How TLS begins at a port: as asked; else as the port is registered; else with the first octet.
    ///
    /// `unusual_port` says that a server of the caller's own uses a registered port in another way.
    ///
    /// # Errors
    /// [`ConfigError::Conflict`] where the port is registered for the other way of TLS, or for another protocol, and
    /// `unusual_port` is false.
    ///
    /// ```
    /// use mailbearer::{Protocol, Tls};
    /// assert_eq!(Tls::at_port(Protocol::Smtp, 587, None, false), Ok(Tls::StartTls));
    /// assert_eq!(Tls::at_port(Protocol::Smtp, 2465, None, false), Ok(Tls::Implicit));
    /// assert!(Tls::at_port(Protocol::Imap, 993, Some(Tls::StartTls), false).is_err());
    /// assert!(Tls::at_port(Protocol::Imap, 993, Some(Tls::StartTls), true).is_ok());
    /// ```
    pub fn at_port(
        protocol: Protocol,
        port: u16,
        asked: Option<Self>,
        unusual_port: bool,
    ) -> Result<Self, ConfigError> {
        let registered = REGISTERED_PORTS.iter().find(|one| one.0 == port);
        let Some(&(_, of, tls)) = registered else { return Ok(asked.unwrap_or(Self::Implicit)) };
        if unusual_port {
            return Ok(asked.unwrap_or(tls));
        }
        let conflict = |reason| Err(ConfigError::Conflict { field: Field::Port, reason });
        match (asked, tls) {
            _ if of != protocol => conflict(
                "it is registered for another mail protocol; if your server really uses it, say unusual_port",
            ),
            (Some(Self::StartTls), Self::Implicit) => conflict(
                "TLS begins with the first octet there: leave out tls, or use 143, 110 or 587; if your server really differs, say unusual_port",
            ),
            (Some(Self::Implicit), Self::StartTls) => conflict(
                "TLS begins by STARTTLS there: leave out tls, or use 993, 995 or 465; if your server really differs, say unusual_port",
            ),
            (Some(asked), _) => Ok(asked),
            (None, registered) => Ok(registered),
        }
    }
}

/// RFC 8314 section 7 and RFC 6409; RFC 5321 for port 25.
const REGISTERED_PORTS: [(u16, Protocol, Tls); 7] = [
    (993, Protocol::Imap, Tls::Implicit),
    (143, Protocol::Imap, Tls::StartTls),
    (995, Protocol::Pop3, Tls::Implicit),
    (110, Protocol::Pop3, Tls::StartTls),
    (465, Protocol::Smtp, Tls::Implicit),
    (587, Protocol::Smtp, Tls::StartTls),
    (25, Protocol::Smtp, Tls::StartTls),
];

/// Whether the token travels in the same line as the `AUTH` command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum InitialResponse {
    /// Where the server allows it and the line fits the protocol's limit; else in two steps.
    #[default]
    Auto,
    /// Always in two steps, which every server must take (RFC 4959 section 3).
    Never,
    /// Always in one line: only for servers that ask for it.
    Always,
}

impl InitialResponse {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Never, Self::Always];

    /// `auto`, `never` or `always`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Never => "never",
            Self::Always => "always",
        }
    }
}

macro_rules! spelled {
    ($type:ty, $field:expr, $known:expr) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = ConfigError;

            fn from_str(name: &str) -> Result<Self, ConfigError> {
                Self::ALL
                    .into_iter()
                    .find(|one| one.as_str().eq_ignore_ascii_case(name))
                    .ok_or(ConfigError::Unknown { field: $field, known: $known })
            }
        }
    };
}

spelled!(Protocol, Field::Protocol, "imap, pop3, smtp");
spelled!(Mechanism, Field::Mechanisms, "XOAUTH2, OAUTHBEARER");
spelled!(Tls, Field::Tls, "implicit, starttls");
spelled!(InitialResponse, Field::InitialResponse, "auto, never, always");

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The mail protocol.
    pub protocol: Protocol,
    /// When TLS begins.
    pub tls: Tls,
    /// Host name or IP address. It is the name that TLS verifies, and the `host` of OAUTHBEARER.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Endpoint {
    /// An endpoint on the registered port.
    #[must_use]
    pub fn new(protocol: Protocol, tls: Tls, host: &str) -> Self {
        Self { protocol, tls, host: host.to_string(), port: protocol.default_port(tls) }
    }

    /// The same endpoint on another port.
    #[must_use]
    pub fn with_port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        mistakes::check_host(&self.host)?;
        if self.port == 0 {
            return Err(ConfigError::OutOfRange { field: Field::Port, least: 1, most: 65_535 });
        }
        Ok(())
    }
}

/// Who logs in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The mailbox, most often a mail address. For a shared mailbox at Microsoft: the shared address, with the token
    /// of its delegate.
    pub user: String,
    /// The identity to act as, where it differs from the user. OAUTHBEARER sends it (`a=`); XOAUTH2 has one field only
    /// and sends it in place of the user.
    pub authzid: Option<String>,
}

impl Identity {
    /// An identity that acts for itself.
    #[must_use]
    pub fn new(user: &str) -> Self {
        Self { user: user.to_string(), authzid: None }
    }

    /// The name that goes on the wire.
    pub(crate) fn name(&self) -> &str {
        self.authzid.as_deref().unwrap_or(&self.user)
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        mistakes::check_name(Field::User, &self.user)?;
        match &self.authzid {
            Some(authzid) => mistakes::check_name(Field::Authzid, authzid),
            None => Ok(()),
        }
    }
}

/// All that a [`Negotiation`](crate::Negotiation) is told, apart from the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NegotiationConfig {
    /// Where the connection goes.
    pub endpoint: Endpoint,
    /// Who logs in.
    pub identity: Identity,
    /// Mechanisms that may be used, the preferred one first.
    pub mechanisms: Vec<Mechanism>,
    /// Whether the token may travel in the `AUTH` line.
    pub initial_response: InitialResponse,
    /// The client's name in `EHLO`: a domain or an address literal (RFC 5321 section 4.1.1.1). The default is the domain of
    /// the user's mail address, and `[127.0.0.1]` where there is none.
    pub ehlo_name: String,
    /// Capabilities that the server is known to have under TLS, which saves the question. Empty: always ask.
    pub assumed_capabilities: Vec<String>,
}

impl NegotiationConfig {
    /// The defaults for a server of which nothing is known.
    ///
    /// ```
    /// use mailbearer::{Endpoint, Identity, NegotiationConfig, Protocol, Tls};
    /// let endpoint = Endpoint::new(Protocol::Imap, Tls::Implicit, "imap.example.org");
    /// let config = NegotiationConfig::new(endpoint, Identity::new("joe@example.org"));
    /// assert_eq!(config.endpoint.port, 993);
    /// ```
    #[must_use]
    pub fn new(endpoint: Endpoint, identity: Identity) -> Self {
        Self {
            ehlo_name: usual_ehlo_name(&identity.user),
            endpoint,
            identity,
            // The standard first; no server has been met that has both and dislikes either (docs/servers.md).
            mechanisms: Vec::from([Mechanism::OAuthBearer, Mechanism::XOAuth2]),
            initial_response: InitialResponse::Auto,
            assumed_capabilities: Vec::new(),
        }
    }

    /// Checks all of it, for hosts that want to know before a token is asked for and a connection opened.
    ///
    /// # Errors
    /// [`ConfigError`] when a setting cannot work.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.endpoint.validate()?;
        self.identity.validate()?;
        validate_ehlo_name(&self.ehlo_name)?;
        if self.mechanisms.is_empty() {
            return Err(ConfigError::Empty { field: Field::Mechanisms });
        }
        for capability in &self.assumed_capabilities {
            validate_visible(Field::AssumedCapabilities, capability)?;
        }
        Ok(())
    }
}

/// A setting that a [`ConfigError`] speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// [`Endpoint::protocol`].
    Protocol,
    /// [`Endpoint::tls`].
    Tls,
    /// [`Endpoint::host`].
    Host,
    /// [`Endpoint::port`].
    Port,
    /// [`Identity::user`].
    User,
    /// [`Identity::authzid`].
    Authzid,
    /// The access token.
    Token,
    /// [`NegotiationConfig::mechanisms`].
    Mechanisms,
    /// [`NegotiationConfig::initial_response`].
    InitialResponse,
    /// [`NegotiationConfig::ehlo_name`].
    EhloName,
    /// [`NegotiationConfig::assumed_capabilities`].
    AssumedCapabilities,
    /// The sender of an envelope.
    Sender,
    /// A recipient of an envelope.
    Recipient,
    /// A number of a session's configuration, by its name.
    Session(&'static str),
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Protocol => "protocol",
            Self::Tls => "tls",
            Self::Host => "host",
            Self::Port => "port",
            Self::User => "user",
            Self::Authzid => "authzid",
            Self::Token => "token",
            Self::Mechanisms => "mechanisms",
            Self::InitialResponse => "initial_response",
            Self::EhloName => "ehlo_name",
            Self::AssumedCapabilities => "assumed_capabilities",
            Self::Sender => "sender",
            Self::Recipient => "recipient",
            Self::Session(name) => name,
        })
    }
}

/// A setting that cannot work. It names the field and the place, never the value, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Nothing was given.
    #[error("{field} is empty: a value is needed")]
    Empty {
        /// The setting.
        field: Field,
    },
    /// More octets than any server takes.
    #[error("{field} is too long: at most {max} octets are allowed")]
    TooLong {
        /// The setting.
        field: Field,
        /// The most octets it may have.
        max: usize,
    },
    /// A control character, a space or another octet that would break the dialogue.
    #[error("{field} has an octet that is not allowed at offset {offset}: remove it")]
    ForbiddenOctet {
        /// The setting.
        field: Field,
        /// Octets before the one at fault.
        offset: usize,
    },
    /// A name that is none of the known ones.
    #[error("{field} is none of the known values: {known}")]
    Unknown {
        /// The setting.
        field: Field,
        /// The known ones.
        known: &'static str,
    },
    /// A number outside its range.
    #[error("{field} is out of range: it must lie between {least} and {most}")]
    OutOfRange {
        /// The setting.
        field: Field,
        /// The smallest value allowed.
        least: u64,
        /// The greatest value allowed.
        most: u64,
    },
    /// `Bearer ` was pasted in front of the token.
    #[error("token begins with \"Bearer \": give the bare token, the prefix is added here")]
    BearerPrefix,
    /// Something else than the setting, or the setting with something around it.
    #[error("{field} {wrong}: {remedy}")]
    Mistaken {
        /// The setting.
        field: Field,
        /// What was given, as in `is a URL`.
        wrong: &'static str,
        /// What to give.
        remedy: &'static str,
    },
    /// A host name in Unicode: TLS and DNS know it by its A-label (RFC 5890).
    #[error("host is not ASCII: give {a_label}, the name that DNS and certificates have for it")]
    NotAscii {
        /// The name to give.
        a_label: String,
    },
    /// Settings that do not go together.
    #[error("{field} does not go together with the other settings: {reason}")]
    Conflict {
        /// The setting.
        field: Field,
        /// What it would need.
        reason: &'static str,
    },
    /// The provider does not have this protocol.
    #[error(
        "the provider has no {protocol} service: choose another protocol, or give host and port"
    )]
    NoService {
        /// The protocol asked for.
        protocol: Protocol,
    },
    /// The provider takes no tokens from programs.
    #[error("{provider} cannot be logged in to with OAuth. {instead}")]
    NoOAuth {
        /// The provider's name.
        provider: String,
        /// What its users do instead.
        instead: String,
    },
    /// Nothing was found for the mail address that a program may use unasked.
    #[error("{sentence}")]
    NotDiscovered {
        /// What was looked at, and what to do.
        sentence: String,
    },
    /// A snapshot that cannot be restored.
    #[error("snapshot cannot be restored, {problem}: start a new session instead")]
    Snapshot {
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// RFC 5321 section 4.5.3.1: 64 octets before the `@`, 255 behind it.
pub(crate) const NAME_OCTETS_MAX: usize = 320;
/// RFC 1035 section 2.3.4.
pub(crate) const HOST_OCTETS_MAX: usize = 253;

/// `Domain / address-literal` of RFC 5321 section 4.1.2, by its characters.
fn validate_ehlo_name(name: &str) -> Result<(), ConfigError> {
    let field = Field::EhloName;
    if name.is_empty() {
        return Err(ConfigError::Empty { field });
    }
    if name.len() > HOST_OCTETS_MAX {
        return Err(ConfigError::TooLong { field, max: HOST_OCTETS_MAX });
    }
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b".-_:[]".contains(&octet);
    match name.bytes().position(|octet| !allowed(octet)) {
        Some(offset) => Err(ConfigError::ForbiddenOctet { field, offset }),
        None => Ok(()),
    }
}

/// A name that strict servers take from a client that knows none of its own.
///
/// Google's relay closes on `[127.0.0.1]` and on names without a dot (issues nodemailer #1742 and mailtrain #1002), and its
/// guide asks for a domain of the organisation (support.google.com/a/answer/2956491); Postfix can ask for a full name that is
/// in the DNS (`reject_non_fqdn_helo_hostname`, `reject_unknown_helo_hostname`). The domain that the user's mail goes to is all
/// of these. A user name without one is left with an address literal (RFC 5321 section 4.1.4), which Postfix and Exchange take.
fn usual_ehlo_name(user: &str) -> String {
    let domain = user.rsplit_once('@').map(|(_, domain)| domain);
    let domain = domain.filter(|domain| is_full_domain(domain));
    domain.unwrap_or("[127.0.0.1]").to_string()
}

/// RFC 5321 section 4.1.2: labels of letters, digits and hyphens, and more than one of them. The last is no number.
fn is_full_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|one| one.is_ascii_alphanumeric() || one == b'-')
    };
    let has_name =
        domain.rsplit('.').next().is_some_and(|last| !last.bytes().all(|one| one.is_ascii_digit()));
    domain.len() <= HOST_OCTETS_MAX
        && domain.contains('.')
        && domain.split('.').all(is_label)
        && has_name
}

fn validate_visible(field: Field, text: &str) -> Result<(), ConfigError> {
    match text.bytes().position(|octet| !(b' '..=b'~').contains(&octet)) {
        Some(offset) => Err(ConfigError::ForbiddenOctet { field, offset }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn config() -> NegotiationConfig {
        let endpoint = Endpoint::new(Protocol::Smtp, Tls::Implicit, "mail.example.test");
        NegotiationConfig::new(endpoint, Identity::new("user@example.test"))
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(config().validate(), Ok(()));
    }

    #[test]
    fn the_client_is_named_by_the_domain_of_its_user() {
        let name = |user: &str| {
            let endpoint = Endpoint::new(Protocol::Smtp, Tls::Implicit, "mail.example.test");
            let config = NegotiationConfig::new(endpoint, Identity::new(user));
            if Identity::new(user).validate().is_ok() {
                assert_eq!(config.validate(), Ok(()), "{user}");
            }
            config.ehlo_name
        };
        for (user, domain) in [
            ("joe@example.org", "example.org"),
            ("\"a@b\"@mail.example.org", "mail.example.org"),
            ("joe@xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(name(user), domain);
        }
        for user in [
            "joe",
            "",
            "joe@",
            "joe@localhost",
            "joe@b\u{fc}cher.example",
            "joe@-a.test",
            "joe@a-.test",
            "joe@a..test",
            "joe@.test",
            "joe@test.",
            "joe@a_b.test",
            "joe@192.0.2.1",
            "joe@[192.0.2.1]",
            "joe@a b.test",
            "joe@a.test\r\nMAIL",
        ] {
            assert_eq!(name(user), "[127.0.0.1]", "{user}");
        }
        assert_eq!(name(&["joe@", &"a".repeat(64), ".test"].concat()), "[127.0.0.1]");
        assert_eq!(name(&["joe@", &"a.".repeat(126), "test"].concat()), "[127.0.0.1]");
    }

    #[test]
    fn names_the_field_and_the_offset_but_not_the_value() {
        let mut broken = config();
        broken.identity.user = "secret\u{1}name".to_string();
        let error = broken.validate().unwrap_err();
        assert_eq!(error, ConfigError::ForbiddenOctet { field: Field::User, offset: 6 });
        assert!(!format!("{error} {error:?}").contains("secret"));
    }

    #[test]
    fn refuses_controls_in_every_text() {
        for bad in ["a\0b", "a\u{1}b", "a\rb", "a\nb", "a\u{7f}b"] {
            let mut one = config();
            one.endpoint.host = bad.to_string();
            let mut two = config();
            two.ehlo_name = bad.to_string();
            let mut three = config();
            three.identity.user = bad.to_string();
            let mut four = config();
            four.identity.authzid = Some(bad.to_string());
            let mut five = config();
            five.assumed_capabilities = Vec::from([bad.to_string()]);
            for broken in [one, two, three, four, five] {
                assert!(
                    matches!(broken.validate(), Err(ConfigError::ForbiddenOctet { offset: 1, .. })),
                    "{broken:?}"
                );
            }
        }
    }

    #[test]
    fn refuses_empty_and_overlong_settings() {
        let mut broken = config();
        broken.endpoint.port = 0;
        assert_eq!(
            broken.validate(),
            Err(ConfigError::OutOfRange { field: Field::Port, least: 1, most: 65_535 })
        );
        let mut broken = config();
        broken.mechanisms.clear();
        assert_eq!(broken.validate(), Err(ConfigError::Empty { field: Field::Mechanisms }));
        let mut broken = config();
        broken.identity.user = "a".repeat(NAME_OCTETS_MAX + 1);
        assert_eq!(
            broken.validate(),
            Err(ConfigError::TooLong { field: Field::User, max: NAME_OCTETS_MAX })
        );
    }

    #[test]
    fn takes_names_that_need_escaping_or_utf8() {
        let mut fine = config();
        fine.identity.user = "a,b=c@\u{fc}n\u{ef}.example".to_string();
        assert_eq!(fine.validate(), Ok(()));
    }

    #[test]
    fn a_registered_port_says_how_tls_begins_unless_it_is_unusual() {
        use Protocol::{Imap, Pop3, Smtp};
        for (protocol, port, tls) in [
            (Imap, 993, Tls::Implicit),
            (Imap, 143, Tls::StartTls),
            (Pop3, 995, Tls::Implicit),
            (Pop3, 110, Tls::StartTls),
            (Smtp, 465, Tls::Implicit),
            (Smtp, 587, Tls::StartTls),
            (Smtp, 25, Tls::StartTls),
        ] {
            let other = if tls == Tls::Implicit { Tls::StartTls } else { Tls::Implicit };
            assert_eq!(Tls::at_port(protocol, port, None, false), Ok(tls), "{port}");
            assert_eq!(Tls::at_port(protocol, port, Some(tls), false), Ok(tls), "{port}");
            let conflict = Tls::at_port(protocol, port, Some(other), false).unwrap_err();
            assert!(conflict.to_string().contains("unusual_port"), "{conflict}");
            assert_eq!(Tls::at_port(protocol, port, Some(other), true), Ok(other), "{port}");
        }
        assert!(Tls::at_port(Imap, 465, None, false).is_err());
        assert_eq!(Tls::at_port(Imap, 465, None, true), Ok(Tls::Implicit));
        assert_eq!(Tls::at_port(Imap, 10_993, None, false), Ok(Tls::Implicit));
        assert_eq!(Tls::at_port(Imap, 10_143, Some(Tls::StartTls), false), Ok(Tls::StartTls));
    }

    #[test]
    fn spellings_are_read_in_any_case() {
        assert_eq!("IMAP".parse(), Ok(Protocol::Imap));
        assert_eq!("oauthbearer".parse(), Ok(Mechanism::OAuthBearer));
        assert_eq!("starttls".parse(), Ok(Tls::StartTls));
        assert_eq!("never".parse(), Ok(InitialResponse::Never));
    }

    #[test]
    fn a_spelling_that_is_none_is_told_which_there_are() {
        fn told<T: FromStr<Err = ConfigError> + fmt::Debug>() -> String {
            let error = "none".parse::<T>().unwrap_err().to_string();
            error.rsplit_once(": ").unwrap().1.to_string()
        }
        assert_eq!(told::<Protocol>(), Protocol::ALL.map(Protocol::as_str).join(", "));
        assert_eq!(told::<Mechanism>(), Mechanism::ALL.map(Mechanism::as_str).join(", "));
        assert_eq!(told::<Tls>(), Tls::ALL.map(Tls::as_str).join(", "));
        let known = InitialResponse::ALL.map(InitialResponse::as_str).join(", ");
        assert_eq!(told::<InitialResponse>(), known);
    }

    #[test]
    fn an_error_names_its_field() {
        for (field, name) in [
            (Field::Protocol, "protocol"),
            (Field::Tls, "tls"),
            (Field::Host, "host"),
            (Field::Port, "port"),
            (Field::User, "user"),
            (Field::Authzid, "authzid"),
            (Field::Token, "token"),
            (Field::Mechanisms, "mechanisms"),
            (Field::InitialResponse, "initial_response"),
            (Field::EhloName, "ehlo_name"),
            (Field::AssumedCapabilities, "assumed_capabilities"),
            (Field::Sender, "sender"),
            (Field::Recipient, "recipient"),
            (Field::Session("lead_ms"), "lead_ms"),
        ] {
            assert!(ConfigError::Empty { field }.to_string().contains(name), "{name}");
        }
    }

    #[test]
    fn hosts_and_client_names_are_neither_empty_nor_longer_than_a_domain_name() {
        for (octets, right) in
            [(0, false), (1, true), (HOST_OCTETS_MAX, true), (HOST_OCTETS_MAX + 1, false)]
        {
            let mut one = config();
            one.endpoint.host = "h.".repeat(octets / 2) + "h".repeat(octets % 2).as_str();
            assert_eq!(one.validate().is_ok(), right, "a host of {octets} octets");
            let mut one = config();
            one.ehlo_name = "h".repeat(octets);
            assert_eq!(one.validate().is_ok(), right, "a client name of {octets} octets");
        }
        let mut one = config();
        one.identity.user.clear();
        assert_eq!(one.validate(), Err(ConfigError::Empty { field: Field::User }));
    }
}
