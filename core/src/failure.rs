//! Why something did not work, how sure that is, and what to do: [`Failure`], [`Verdict`], [`Cause`], [`Advice`].

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

use crate::sasl::Rejection;
use crate::text::displayable;

macro_rules! spelled_enum {
    ($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$inner])* $variant,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its spelling in JSON, Python and Node: `snake_case`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use spelled_enum;

spelled_enum! {
    /// What happened.
    Cause {
        /// Nothing is wrong: the reply says that all is well.
        NoFault = "no_fault",
        /// The token was refused: expired, revoked, malformed or of another user. At login servers do not say which.
        TokenRejected = "token_rejected",
        /// The token's time is over: the server or the clock says so.
        TokenExpired = "token_expired",
        /// The program's token source has no token to give.
        TokenUnavailable = "token_unavailable",
        /// The token lacks the scope for mail.
        InsufficientScope = "insufficient_scope",
        /// The server offers no mechanism that takes a token, or refuses the one that it offered.
        MechanismUnavailable = "mechanism_unavailable",
        /// The server does not take the token in the line of the `AUTH` command.
        InitialResponseRefused = "initial_response_refused",
        /// STARTTLS is not offered or was refused, or the server says that TLS is missing.
        TlsRefused = "tls_refused",
        /// The TLS handshake failed, or the certificate is not of this host.
        TlsFailed = "tls_failed",
        /// Another service answers at this port: SMTP where IMAP was meant, a web server, …
        WrongService = "wrong_service",
        /// TLS begins in another way at this port: with the first octet where STARTTLS was meant, or the other way round.
        WrongTlsMode = "wrong_tls_mode",
        /// Bytes came behind the reply that starts TLS: somebody in the middle may have put them there.
        PlaintextInjected = "plaintext_injected",
        /// The server greeted with PREAUTH: the session would be of whoever the server says.
        Preauthenticated = "preauthenticated",
        /// IMAP, POP or SMTP AUTH is switched off for this mailbox or its domain.
        ProtocolDisabled = "protocol_disabled",
        /// The account is locked or closed.
        AccountDisabled = "account_disabled",
        /// A policy of the organisation or the provider stands against this login.
        PolicyBlocked = "policy_blocked",
        /// The server wants an app password: it does not take this login as OAuth.
        AppPasswordRequired = "app_password_required",
        /// The user must act in a browser first; see the failure's `url`.
        InteractionRequired = "interaction_required",
        /// The server does not take the user name: no token changes that.
        UserNameRefused = "user_name_refused",
        /// The server does not take the name that the client gives in `EHLO`.
        ClientNameRefused = "client_name_refused",
        /// More connections than the server allows for one mailbox.
        TooManyConnections = "too_many_connections",
        /// Too much in too short a time; see `wait_ms` where the server named a time.
        RateLimited = "rate_limited",
        /// The server, or a part of it, is down for now.
        Unavailable = "unavailable",
        /// Another session holds the mailbox.
        MailboxLocked = "mailbox_locked",
        /// Microsoft's "User is authenticated but not connected": the login worked and the mailbox cannot be reached.
        NotConnected = "not_connected",
        /// The line that carries the token is longer than the server takes.
        LineTooLong = "line_too_long",
        /// The session reached the provider's limit.
        SessionLimit = "session_limit",
        /// The session was idle for too long.
        IdleTimeout = "idle_timeout",
        /// The server ended the session and gave no reason.
        SessionEnded = "session_ended",
        /// The server is being shut down.
        Shutdown = "shutdown",
        /// The connection was closed or broke without a word.
        ConnectionLost = "connection_lost",
        /// There was no connection: the host name has no address.
        HostNotFound = "host_not_found",
        /// There was no connection: nothing listens at this port.
        ConnectionRefused = "connection_refused",
        /// There was no connection: the network does not lead to the host, or a firewall stands before it.
        Unreachable = "unreachable",
        /// The proxy does not lead to the server: it cannot be reached, does not take the user, or does not connect. The server
        /// was not spoken to.
        ProxyFailed = "proxy_failed",
        /// A deadline passed.
        TimedOut = "timed_out",
        /// The server sent more than the limits of this library allow.
        LimitExceeded = "limit_exceeded",
        /// One side said what the protocol does not allow there: the server; or the client, as the server says, where the
        /// advice is `fix_configuration` or `proceed`.
        ProtocolViolation = "protocol_violation",
        /// The exchange was cancelled, or the host asked to stop.
        Cancelled = "cancelled",
        /// A refusal that none of the rules knows.
        Unrecognized = "unrecognized",
    }
}

spelled_enum! {
    /// What to do next.
    Advice {
        /// Get a new token past every cache and log in again, once.
        RefreshToken = "refresh_token",
        /// Connect again.
        Reconnect = "reconnect",
        /// Wait, at least for `wait_ms` where it is given, and connect again.
        BackOff = "back_off",
        /// A person must act: consent, an administrator, a setting of the account.
        AskUser = "ask_user",
        /// The program's own configuration is wrong.
        FixConfiguration = "fix_configuration",
        /// Nothing that the program or the user does will help.
        GiveUp = "give_up",
        /// Go on: nothing is wrong, or what failed is one command, and not the login nor the connection.
        Proceed = "proceed",
    }
}

spelled_enum! {
    /// How sure a verdict is.
    Certainty {
        /// The server said so.
        Stated = "stated",
        /// A code, the order of events or the clock implies it.
        Inferred = "inferred",
        /// The default where nothing else is known.
        Guessed = "guessed",
    }
}

/// What a reply of the server means: the answer of [`classify`](crate::classify).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What happened.
    pub cause: Cause,
    /// What to do.
    pub advice: Advice,
    /// How sure that is.
    pub certainty: Certainty,
    /// Name of the rule that decided, for reports of wrong verdicts.
    pub rule: &'static str,
    /// Milliseconds that the server asked to wait.
    pub wait_ms: Option<u64>,
    /// Address where the user must go. It comes from the server: show it, and never open it unasked.
    pub url: Option<String>,
}

impl Verdict {
    pub(crate) const fn new(
        cause: Cause,
        advice: Advice,
        certainty: Certainty,
        rule: &'static str,
    ) -> Self {
        Self { cause, advice, certainty, rule, wait_ms: None, url: None }
    }

    /// What a reply means that ends a login badly: "go on" is no advice there, and what the server does not take once it does not
    /// take for ever.
    pub(crate) fn of_login(self) -> Self {
        let advice = match (self.advice, self.cause) {
            (Advice::Proceed, Cause::ProtocolViolation) => Advice::FixConfiguration,
            (Advice::Proceed, _) => Advice::Reconnect,
            (advice, _) => advice,
        };
        Self { advice, ..self }
    }

    /// What the host itself has found out about a session: that the connection was lost, that a deadline passed.
    #[must_use]
    pub const fn of_host(cause: Cause) -> Self {
        Self::new(cause, default_advice(cause), Certainty::Inferred, "host")
    }
}

/// A login or a session that did not work. Its `Display` is one sentence that a person can act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What happened.
    pub cause: Cause,
    /// What to do.
    pub advice: Advice,
    /// How sure that is.
    pub certainty: Certainty,
    /// What the server said: untrusted, without control characters, at most
    /// [`SERVER_TEXT_CHARS_MAX`](crate::limits::SERVER_TEXT_CHARS_MAX) characters; empty for what came outside TLS.
    pub server_text: String,
    /// RFC 5530 or POP3 response code, or the SMTP reply and enhanced status code, as in `535 5.7.8`.
    pub code: Option<String>,
    /// What the server's error challenge said.
    pub rejection: Option<Rejection>,
    /// Milliseconds that the server asked to wait.
    pub wait_ms: Option<u64>,
    /// Address where the user must go. It comes from the server: show it, and never open it unasked.
    pub url: Option<String>,
    /// What exactly was wrong, in words of this library or of the host.
    pub detail: Cow<'static, str>,
}

impl Failure {
    pub(crate) fn from_verdict(verdict: Verdict) -> Self {
        Self {
            cause: verdict.cause,
            advice: verdict.advice,
            certainty: verdict.certainty,
            server_text: String::new(),
            code: None,
            rejection: None,
            wait_ms: verdict.wait_ms,
            url: verdict.url,
            detail: Cow::Borrowed(""),
        }
    }

    /// Alters what came from the server.
    pub(crate) fn mask(&mut self, redact: impl Fn(String) -> String) {
        self.server_text = redact(core::mem::take(&mut self.server_text));
        self.code = self.code.take().map(&redact);
        self.url = self.url.take().map(&redact);
    }

    pub(crate) fn new(cause: Cause, advice: Advice, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self { detail, ..Self::from_verdict(Verdict::new(cause, advice, Certainty::Inferred, "")) }
    }

    /// A failure that the host saw and this library could not: of TLS, of a deadline, of the connection.
    ///
    /// ```
    /// use mailbearer::{Cause, Failure};
    /// let failure = Failure::of_host(Cause::TlsFailed, "the certificate is of another host");
    /// assert!(failure.to_string().starts_with("TLS failed"));
    /// ```
    #[must_use]
    pub fn of_host(cause: Cause, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(cause, default_advice(cause), detail)
    }

    /// A connection that could not be opened. `error` is the system's name for it (`ECONNREFUSED`, `EAI_NONAME`,
    /// `ENOTFOUND`, `WSAECONNREFUSED`; any other, and none, is [`Cause::Unreachable`]), `words` is what the system says.
    ///
    /// ```
    /// use mailbearer::{Cause, Failure};
    /// let failure = Failure::of_connect("ECONNREFUSED", "Connection refused");
    /// assert_eq!(failure.cause, Cause::ConnectionRefused);
    /// assert!(failure.to_string().contains("(Connection refused)"));
    /// assert_eq!(Failure::of_connect("ECONNRESET", "Connection reset by peer").cause, Cause::ConnectionLost);
    /// ```
    #[must_use]
    pub fn of_connect(error: &str, words: &str) -> Self {
        let cause = match error.strip_prefix("WSA").unwrap_or(error) {
            // Windows leaves out the E: WSAHOST_NOT_FOUND. ENODATA and ENONAME are its and c-ares' forms.
            "EAI_NONAME" | "EAI_NODATA" | "ENOTFOUND" | "ENODATA" | "ENONAME"
            | "HOST_NOT_FOUND" | "NO_DATA" => Cause::HostNotFound,
            "ECONNREFUSED" => Cause::ConnectionRefused,
            // It was there, and hung up before the system had said so.
            "ECONNRESET" | "ECONNABORTED" => Cause::ConnectionLost,
            _ => Cause::Unreachable,
        };
        Self::of_host(cause, displayable(words.as_bytes()))
    }

    /// A TLS handshake that failed. `error` is the TLS library's name or text for it, `words` is what is told: the reason,
    /// and the issuer and names of the certificate where there was one. A handshake that the other side ended or reset is
    /// [`Cause::ConnectionLost`]: it says nothing of certificates.
    ///
    /// ```
    /// use mailbearer::{Cause, Failure};
    /// assert_eq!(Failure::of_tls("WRONG_VERSION_NUMBER", "").cause, Cause::WrongTlsMode);
    /// assert_eq!(Failure::of_tls("ECONNRESET", "Connection reset by peer").cause, Cause::ConnectionLost);
    /// assert_eq!(Failure::of_tls("Remote host terminated the handshake", "").cause, Cause::ConnectionLost);
    /// assert_eq!(Failure::of_tls("CERTIFICATE_VERIFY_FAILED", "issued by Example Shield").cause, Cause::TlsFailed);
    /// ```
    #[must_use]
    pub fn of_tls(error: &str, words: &str) -> Self {
        let error = error.to_ascii_lowercase().replace('_', " ");
        // What OpenSSL and the JDK call a peer that answers a TLS record with plain text.
        let plain = [
            "wrong version number",
            "packet length too long",
            "record layer failure",
            "http request",
            "unrecognized ssl message",
            "unsupported or unrecognized",
        ];
        // What systems, OpenSSL and the JDK call an end.
        let ends = [
            "econnreset",
            "epipe",
            "econnaborted",
            "eof",
            "reset",
            "closed",
            "abort",
            "terminated the handshake",
            "shut down incorrectly",
        ];
        let cause = if plain.iter().any(|text| error.contains(text)) {
            Cause::WrongTlsMode
        } else if ends.iter().any(|text| error.contains(text)) {
            Cause::ConnectionLost
        } else {
            Cause::TlsFailed
        };
        Self::of_host(cause, displayable(words.as_bytes()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(sentence(self.cause, self.advice))?;
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        match (&self.code, self.server_text.is_empty()) {
            (_, false) => {
                write!(f, "; the server said: {}", self.server_text.trim_end_matches('.'))?
            }
            (Some(code), true) => write!(f, "; the server's code: {code}")?,
            (None, true) => {}
        }
        f.write_str(". ")?;
        f.write_str(counsel(self.cause, self.advice))?;
        // It may stand in what the server said already.
        if let Some(url) = self.url.as_ref().filter(|url| !self.server_text.contains(*url)) {
            write!(f, " The server names this address: {url}")?;
        }
        if let Some(wait_ms) = self.wait_ms {
            write!(f, " The server asks for a wait of {} s.", wait_ms.div_ceil(1000))?;
        }
        Ok(())
    }
}

impl core::error::Error for Failure {}

/// The calling code is wrong: a call that does not fit the state. The machine's state is unharmed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misuse {
    /// A call after the end.
    #[error("the negotiation is over: make a new one for a new connection")]
    Finished,
    /// `tls_established` where no upgrade was asked for.
    #[error(
        "tls_established was called, but no TLS handshake was asked for: call it only after StartTls"
    )]
    NoHandshakeExpected,
    /// A read of zero bytes.
    #[error("no bytes were given: call closed() at the end of file, and receive() only with bytes")]
    EmptyRead,
    /// An answer that fits no order that is open.
    #[error("{answer} does not answer any open order: see the table of orders and answers")]
    UnexpectedAnswer {
        /// The input's name.
        answer: &'static str,
    },
    /// A session that the account does not have, or has no more.
    #[error("the account has no session {session}: use what add() gave, until it is removed")]
    UnknownSession {
        /// Its number.
        session: u32,
    },
    /// Somebody waits for a connection of this session already.
    #[error("a connection of this session is waited for already: one wait at a time")]
    WantedAlready,
    /// A token that is no `b64token`.
    #[error("the token given is not valid, {0}")]
    Token(crate::config::ConfigError),
}

/// What a cause is called in a sentence.
const fn sentence(cause: Cause, advice: Advice) -> &'static str {
    match cause {
        Cause::NoFault => "Nothing is wrong",
        Cause::TokenRejected => "The server refused the access token",
        Cause::TokenExpired => "The access token has expired",
        Cause::TokenUnavailable => "No access token can be had",
        Cause::InsufficientScope => "The access token does not have the scope for mail",
        Cause::MechanismUnavailable => "The server offers no login with an access token",
        Cause::InitialResponseRefused => "The server does not take the token in the AUTH line",
        Cause::TlsRefused => "The server does not offer TLS here",
        Cause::TlsFailed => "TLS failed",
        Cause::WrongService => "Another service answers at this port",
        Cause::WrongTlsMode => "TLS begins in another way at this port",
        Cause::PlaintextInjected => "Bytes were put in front of the TLS handshake",
        Cause::Preauthenticated => "The server skips the login (PREAUTH)",
        Cause::ProtocolDisabled => "This protocol is switched off for the mailbox",
        Cause::AccountDisabled => "The account is disabled",
        Cause::PolicyBlocked => "A policy forbids this login",
        Cause::AppPasswordRequired => "The server asks for an app password",
        Cause::InteractionRequired => "The user must log in with a browser first",
        Cause::UserNameRefused => "The server does not take the user name",
        Cause::ClientNameRefused => {
            "The server does not take the name that the client gives in EHLO"
        }
        Cause::TooManyConnections => "Too many connections are open for this mailbox",
        Cause::RateLimited => "The server limits the rate",
        Cause::Unavailable => "The server is unavailable for now",
        Cause::MailboxLocked => "Another session holds the mailbox",
        Cause::NotConnected => {
            "The login worked, but the server does not connect it to the mailbox"
        }
        Cause::LineTooLong => "The line with the token is longer than the server takes",
        Cause::SessionLimit => "The session reached the provider's limit",
        Cause::IdleTimeout => "The session was idle for too long",
        Cause::SessionEnded => "The server ended the session",
        Cause::Shutdown => "The server is shutting down",
        Cause::ConnectionLost => "The connection was lost",
        Cause::HostNotFound => "The host name has no address",
        Cause::ConnectionRefused => "Nothing listens at this host and port",
        Cause::Unreachable => "The host cannot be reached",
        Cause::ProxyFailed => "The proxy does not lead to the server",
        Cause::TimedOut => "The server did not answer in time",
        Cause::LimitExceeded => "The server sent more than is allowed",
        Cause::ProtocolViolation => match advice {
            // The server says so: it does not know the command, or could not read our message.
            Advice::FixConfiguration | Advice::Proceed => {
                "The server does not take what the client says"
            }
            Advice::RefreshToken
            | Advice::Reconnect
            | Advice::BackOff
            | Advice::AskUser
            | Advice::GiveUp => "The server broke the protocol",
        },
        Cause::Cancelled => "The login was cancelled",
        Cause::Unrecognized if matches!(advice, Advice::Proceed) => "The server refused a command",
        Cause::Unrecognized => "The server refused the login",
    }
}

/// What a person is told to do, by cause where that says more than the advice.
const fn counsel(cause: Cause, advice: Advice) -> &'static str {
    match (cause, advice) {
        (Cause::TokenRejected, Advice::RefreshToken) => {
            "Get a new access token for this user, with the provider's mail scope, and log in again."
        }
        (Cause::TokenRejected | Cause::TokenExpired, Advice::AskUser) => {
            "The user must log in with a browser again; or the function that gives the token must give new ones."
        }
        (Cause::InsufficientScope, _) => {
            "Ask the user to consent again, with the provider's mail scope."
        }
        (Cause::MechanismUnavailable, _) => {
            "Check host and port, and whether the provider takes XOAUTH2 or OAUTHBEARER there."
        }
        (Cause::TlsRefused, _) => {
            "Use the port for implicit TLS, or check host and port; nothing secret was sent in the clear."
        }
        (Cause::TlsFailed, _) => {
            "Check the host name and the certificate authority; the token was not sent."
        }
        (Cause::PlaintextInjected, _) => {
            "Do not trust this network: use the port for implicit TLS; the token was not sent."
        }
        (Cause::Preauthenticated, _) => "Check host and port; the token was not sent.",
        (Cause::WrongService, _) => "Check port and protocol; the token was not sent.",
        (Cause::WrongTlsMode, _) => {
            "Use the other way of TLS here, or another port; the token was not sent."
        }
        (Cause::UserNameRefused, _) => {
            "Check the user name: most servers want the whole mail address of the mailbox."
        }
        (Cause::ClientNameRefused, Advice::FixConfiguration) => {
            "Set the client's name (ehlo_name) to this machine's full domain name, as in client.example.org."
        }
        (Cause::TokenUnavailable, Advice::AskUser) => {
            "The user must log in with a browser again, and allow the program to use the mailbox."
        }
        (Cause::TokenUnavailable, Advice::FixConfiguration) => {
            "Mend the function that gives the token."
        }
        (Cause::HostNotFound, _) => {
            "Check the host name, and whether this machine is online; then connect again."
        }
        (Cause::ConnectionRefused, _) => {
            "Check host and port, and whether the server runs; then connect again."
        }
        (Cause::Unreachable, _) => {
            "Check the network, a firewall, host and port; then connect again."
        }
        (Cause::ProxyFailed, _) => {
            "Check the proxy: address, user name and password, and whether it may connect to this host and port. The mail \
             server was not spoken to."
        }
        (Cause::ProtocolDisabled, _) => {
            "Switch the protocol on in the settings of the account, or ask its administrator."
        }
        (Cause::AppPasswordRequired, _) => {
            "This provider wants an app password here in place of OAuth."
        }
        (Cause::NotConnected, _) => {
            "Check that the mailbox exists, that the protocol is on for it, and that token and user name belong together."
        }
        (
            Cause::LineTooLong | Cause::InitialResponseRefused,
            Advice::FixConfiguration | Advice::Reconnect,
        ) => "Log in again in two steps (initial_response: never).",
        (Cause::LineTooLong, Advice::AskUser) => {
            "Ask the provider for a shorter token: with fewer scopes or claims."
        }
        (_, Advice::RefreshToken) => "Get a new access token and log in again.",
        (_, Advice::Reconnect) => "Connect again.",
        (_, Advice::BackOff) => "Wait, then connect again.",
        (_, Advice::AskUser) => "The user or the administrator of the account must act.",
        (_, Advice::FixConfiguration) => {
            "Check the configuration: host, port, protocol, user name and mechanisms."
        }
        (_, Advice::GiveUp) => "Trying again will not help.",
        (Cause::Unrecognized | Cause::ProtocolViolation, Advice::Proceed) => {
            "Only what was asked failed: the login and the connection are good."
        }
        (_, Advice::Proceed) => "Go on.",
    }
}

/// The advice for a cause where no reply says more.
pub(crate) const fn default_advice(cause: Cause) -> Advice {
    match cause {
        Cause::NoFault | Cause::Cancelled => Advice::Proceed,
        Cause::TokenRejected | Cause::TokenExpired => Advice::RefreshToken,
        Cause::TokenUnavailable
        | Cause::InsufficientScope
        | Cause::ProtocolDisabled
        | Cause::AccountDisabled
        | Cause::PolicyBlocked
        | Cause::AppPasswordRequired
        | Cause::InteractionRequired
        | Cause::NotConnected => Advice::AskUser,
        Cause::MechanismUnavailable
        | Cause::TlsRefused
        | Cause::TlsFailed
        | Cause::PlaintextInjected
        | Cause::Preauthenticated
        | Cause::WrongService
        | Cause::WrongTlsMode
        | Cause::UserNameRefused
        | Cause::ClientNameRefused => Advice::FixConfiguration,
        Cause::TooManyConnections
        | Cause::RateLimited
        | Cause::Unavailable
        | Cause::MailboxLocked
        | Cause::HostNotFound
        | Cause::ConnectionRefused
        | Cause::Unreachable
        | Cause::ProxyFailed
        | Cause::TimedOut
        | Cause::LimitExceeded
        | Cause::ProtocolViolation
        | Cause::Unrecognized => Advice::BackOff,
        Cause::InitialResponseRefused
        | Cause::LineTooLong
        | Cause::SessionLimit
        | Cause::IdleTimeout
        | Cause::SessionEnded
        | Cause::Shutdown
        | Cause::ConnectionLost => Advice::Reconnect,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn every_failure_reads_as_a_sentence_with_a_counsel() {
        for &cause in Cause::ALL {
            for &advice in Advice::ALL {
                let text = Failure::new(cause, advice, "a detail").to_string();
                assert!(text.contains("(a detail). "), "{text}");
                assert!(text.ends_with('.'), "{text}");
            }
        }
    }

    #[test]
    fn the_spellings_are_distinct() {
        for (index, cause) in Cause::ALL.iter().enumerate() {
            assert!(Cause::ALL[index + 1..].iter().all(|other| other.as_str() != cause.as_str()));
        }
    }

    #[test]
    fn tells_what_the_server_said_or_its_code_and_where_to_go_and_how_long_to_wait() {
        let failure = Failure::of_host(Cause::RateLimited, "");
        let plain = failure.to_string();
        assert!(!plain.contains('(') && !plain.contains(';'), "{plain}");
        let code = Failure { code: Some("LIMIT".into()), ..failure.clone() };
        assert!(code.to_string().contains("; the server's code: LIMIT. "), "{code}");
        let said = Failure { server_text: "Too fast.".into(), ..code };
        assert!(said.to_string().contains("; the server said: Too fast. "), "{said}");
        assert!(!said.to_string().contains("LIMIT"), "{said}");
        let where_to = Failure { url: Some("https://x.test".into()), ..failure.clone() };
        assert!(where_to.to_string().ends_with(" The server names this address: https://x.test"));
        let wait = Failure { wait_ms: Some(1_001), ..failure };
        assert!(wait.to_string().ends_with(" The server asks for a wait of 2 s."), "{wait}");
    }

    #[test]
    fn a_verdict_of_the_host_has_the_advice_of_its_cause() {
        let verdict = Verdict::of_host(Cause::TokenExpired);
        assert_eq!(
            (verdict.advice, verdict.certainty),
            (Advice::RefreshToken, Certainty::Inferred)
        );
        assert_eq!(Verdict::of_host(Cause::TimedOut).advice, default_advice(Cause::TimedOut));
    }
}
