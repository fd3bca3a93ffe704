//! Records that go in and come out.

use mailbearer::{
    Advice, Aftermath, Cause, Certainty, Endpoint, Identity, InitialResponse, Mailbox, Mechanism,
    OAuth, OAuthParameter, Protocol as MailProtocol, Provider, Rejection, Service, SessionLimits,
    Submission, Tls,
};

use crate::errors::spelled;

/// Where a server listens.
#[uniffi::remote(Record)]
pub struct Endpoint {
    /// The mail protocol.
    pub protocol: MailProtocol,
    /// When TLS begins.
    pub tls: Tls,
    /// Host name or IP address. It is the name that TLS verifies, and the `host` of OAUTHBEARER.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Who logs in.
#[uniffi::remote(Record)]
pub struct Identity {
    /// The mailbox, most often a mail address. For a shared mailbox at Microsoft: the shared address, with the token of its
    /// delegate.
    pub user: String,
    /// The identity to act as, where it differs from the user.
    #[uniffi(default = None)]
    pub authzid: Option<String>,
}

/// All that a login is told, apart from the token. What is left out has the default that is right for most.
#[derive(Debug, Clone, uniffi::Record)]
pub struct NegotiationConfig {
    /// Where the connection goes.
    pub endpoint: Endpoint,
    /// Who logs in.
    pub identity: Identity,
    /// Mechanisms that may be used, the preferred one first.
    #[uniffi(default = None)]
    pub mechanisms: Option<Vec<Mechanism>>,
    /// Whether the token may travel in the `AUTH` line.
    #[uniffi(default = None)]
    pub initial_response: Option<InitialResponse>,
    /// The client's name in `EHLO`: a domain or an address literal.
    #[uniffi(default = None)]
    pub ehlo_name: Option<String>,
    /// Capabilities that the server is known to have under TLS, which saves the question.
    #[uniffi(default = None)]
    pub assumed_capabilities: Option<Vec<String>>,
}

impl From<NegotiationConfig> for mailbearer::NegotiationConfig {
    fn from(config: NegotiationConfig) -> Self {
        let defaults = Self::new(config.endpoint, config.identity);
        Self {
            mechanisms: config.mechanisms.unwrap_or(defaults.mechanisms),
            initial_response: config.initial_response.unwrap_or(defaults.initial_response),
            ehlo_name: config.ehlo_name.unwrap_or(defaults.ehlo_name),
            assumed_capabilities: config
                .assumed_capabilities
                .unwrap_or(defaults.assumed_capabilities),
            ..defaults
        }
    }
}

/// How long a session may live.
#[uniffi::remote(Record)]
pub struct SessionLimits {
    /// Milliseconds after which the server ends a session of any kind.
    #[uniffi(default = None)]
    pub session_ms: Option<u64>,
    /// Whether a session ends with the access token that it was opened with.
    #[uniffi(default = false)]
    pub ends_with_token: bool,
    /// Milliseconds without a command after which the server ends a session.
    #[uniffi(default = None)]
    pub idle_ms: Option<u64>,
    /// Most connections at a time for one mailbox.
    #[uniffi(default = None)]
    pub connections: Option<u32>,
}

/// One protocol of a provider.
#[uniffi::remote(Record)]
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

/// What is known of a mail provider.
#[uniffi::remote(Record)]
pub struct Provider {
    /// Short name, in lower case.
    pub name: String,
    /// Domains of mail addresses that are certainly this provider's.
    pub domains: Vec<String>,
    /// Milliseconds that an access token lives, as a hint for where `expires_in` is missing.
    pub token_lifetime_ms: Option<u64>,
    /// The protocols that it has.
    pub services: Vec<Service>,
    /// Where its tokens come from; absent where that is not known, or it takes none.
    pub oauth: Option<OAuth>,
    /// Where a provider takes no tokens from programs: what its users do instead, as a sentence.
    pub instead: Option<String>,
}

/// Where a provider's tokens come from. It configures an OAuth library, such as AppAuth or MSAL; nothing here is opened.
#[uniffi::remote(Record)]
pub struct OAuth {
    /// Issuer identifier (RFC 8414), where the server publishes metadata under it.
    pub issuer: Option<String>,
    /// Where a person gives consent, in a browser.
    pub authorization_endpoint: String,
    /// Where a code, or a refresh token, is exchanged for an access token.
    pub token_endpoint: String,
    /// Where a device asks for a code to show (RFC 8628); absent where none may be used for mail.
    pub device_authorization_endpoint: Option<String>,
    /// Where a token is revoked (RFC 7009).
    pub revocation_endpoint: Option<String>,
    /// Where a program registers itself (RFC 7591).
    pub registration_endpoint: Option<String>,
    /// Whether the token endpoint asks for a client secret, also from programs on people's machines.
    pub needs_client_secret: bool,
    /// What the authorization request carries beyond the standard's parameters.
    pub parameters: Vec<OAuthParameter>,
    /// Whether it takes the mail address as `login_hint`.
    pub takes_login_hint: bool,
}

/// A parameter of the authorization request.
#[uniffi::remote(Record)]
pub struct OAuthParameter {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// What the server's error challenge said. All of it is untrusted, and only a hint; nothing here is ever followed.
#[uniffi::remote(Record)]
pub struct Rejection {
    /// `invalid_token`, `400`, …: absent where the challenge has none that can be read.
    pub status: Option<String>,
    /// Scopes that the server wants, separated by spaces.
    pub scope: Option<String>,
    /// Token types, of XOAUTH2 only.
    pub schemes: Option<String>,
    /// Where the server says that its OpenID configuration lies. Untrusted.
    pub openid_configuration: Option<String>,
}

/// The mailbox that an IMAP session had selected.
#[uniffi::remote(Record)]
pub struct Mailbox {
    /// Its name as the client wrote it, in modified UTF-7 or UTF-8.
    pub name: String,
    /// Whether it was opened with EXAMINE, or the server said READ-ONLY.
    pub read_only: bool,
    /// UIDVALIDITY: while it is the same, UIDs still mean the same messages.
    pub uid_validity: Option<u32>,
    /// UIDNEXT at the time of the selection.
    pub uid_next: Option<u32>,
    /// HIGHESTMODSEQ at the time of the selection (RFC 7162).
    pub highest_mod_seq: Option<u64>,
}

/// What was in flight when a session ended, for the program that goes on with a new one.
#[uniffi::remote(Enum)]
pub enum Aftermath {
    /// IMAP.
    Imap {
        /// The mailbox that was selected.
        selected: Option<Mailbox>,
        /// Whether the client was waiting in IDLE.
        idling: bool,
        /// Commands without a tagged reply, as `tag name`: what they did is unknown.
        unanswered: Vec<String>,
    },
    /// POP3.
    Pop3 {
        /// Numbers of messages whose deletion was asked for and not committed by QUIT: a cut undoes it.
        uncommitted_deletes: Vec<u32>,
    },
    /// SMTP.
    Smtp {
        /// The message that was being sent.
        submission: Submission,
    },
}

/// A login or a session that did not work.
#[derive(Debug, Clone, uniffi::Record)]
pub struct Failure {
    /// What happened.
    pub cause: Cause,
    /// What to do.
    pub advice: Advice,
    /// How sure that is.
    pub certainty: Certainty,
    /// What the server said: untrusted, without control characters; empty for what came outside TLS.
    pub server_text: String,
    /// RFC 5530 or POP3 response code, or the SMTP reply and enhanced status code, as in `535 5.7.8`.
    pub code: Option<String>,
    /// What the server's error challenge said.
    pub rejection: Option<Rejection>,
    /// Milliseconds that the server asked to wait.
    pub wait_ms: Option<u64>,
    /// Address where the user must go. It comes from the server: show it, and never open it unasked.
    pub url: Option<String>,
    /// All of it as a sentence that a person can act on.
    pub sentence: String,
    /// What exactly was wrong, in words of this library or of the host: a part of the sentence.
    #[uniffi(default = "")]
    pub detail: String,
}

impl From<mailbearer::Failure> for Failure {
    fn from(failure: mailbearer::Failure) -> Self {
        Self {
            sentence: spelled(failure.to_string()),
            detail: failure.detail.into_owned(),
            cause: failure.cause,
            advice: failure.advice,
            certainty: failure.certainty,
            server_text: failure.server_text,
            code: failure.code,
            rejection: failure.rejection,
            wait_ms: failure.wait_ms,
            url: failure.url,
        }
    }
}

/// A host's own failure goes in as it came out of `failureOfConnect` and its siblings; the core makes the sentence anew.
impl From<Failure> for mailbearer::Failure {
    fn from(failure: Failure) -> Self {
        Self {
            cause: failure.cause,
            advice: failure.advice,
            certainty: failure.certainty,
            server_text: failure.server_text,
            code: failure.code,
            rejection: failure.rejection,
            wait_ms: failure.wait_ms,
            url: failure.url,
            detail: failure.detail.into(),
        }
    }
}

/// What a reply of the server means.
#[derive(Debug, Clone, uniffi::Record)]
pub struct Verdict {
    /// What happened.
    pub cause: Cause,
    /// What to do.
    pub advice: Advice,
    /// How sure that is.
    pub certainty: Certainty,
    /// Name of the rule that decided, for reports of wrong verdicts.
    pub rule: String,
    /// Milliseconds that the server asked to wait.
    pub wait_ms: Option<u64>,
    /// Address where the user must go. It comes from the server: show it, and never open it unasked.
    pub url: Option<String>,
}

impl From<mailbearer::Verdict> for Verdict {
    fn from(verdict: mailbearer::Verdict) -> Self {
        Self {
            cause: verdict.cause,
            advice: verdict.advice,
            certainty: verdict.certainty,
            rule: verdict.rule.to_owned(),
            wait_ms: verdict.wait_ms,
            url: verdict.url,
        }
    }
}
