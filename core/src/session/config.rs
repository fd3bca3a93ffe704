//! What a [`Session`](super::Session) is told.

use crate::config::Identity;
use crate::config::{ConfigError, Field, NegotiationConfig, Protocol};
use crate::provider::{Provider, SessionLimits};

/// Who speaks in the login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Login {
    /// The session: it gives orders to send, and is shown what comes.
    #[default]
    Session,
    /// The host, with a mail library of its own: it answers with `Authenticated` or `Refused`.
    Host,
}

/// Whether a session that still works is let go before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Renewal {
    /// Before the earlier of the token's expiry and the session limit.
    #[default]
    Ahead,
    /// Never: only what the server ends is replaced.
    AtEnd,
    /// As [`Renewal::Ahead`], and the successor is logged in before the session is let go. IMAP only, and only where the
    /// provider allows a second connection.
    Overlap,
}

/// All that a session is told, apart from tokens. Every number has a default that is right for most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// How to log in.
    pub negotiation: NegotiationConfig,
    /// How long sessions may live there.
    pub limits: SessionLimits,
    /// Milliseconds that a token lives whose source does not say.
    pub token_lifetime_ms: Option<u64>,
    /// Who speaks in the login.
    pub login: Login,
    /// Whether a session that still works is let go before its end.
    pub renewal: Renewal,
    /// Milliseconds before the end of a session at which a new token is asked for and the session renewed: at most this,
    /// and at most a quarter of what it lives; then by half less or more, at random. Default: 5 minutes.
    pub lead_ms: u64,
    /// Milliseconds that a token from a cache must still live to be used, where the source has better ones. Default: 1
    /// minute.
    pub token_life_least_ms: u64,
    /// Milliseconds for a token to come. Default: 1 minute.
    pub token_timeout_ms: u64,
    /// Milliseconds for connection and login. Default: 1 minute: Exchange was seen to take 30 s.
    pub login_timeout_ms: u64,
    /// Greatest wait after a first failure; it doubles with each. Default: 1 second.
    pub backoff_base_ms: u64,
    /// Greatest wait of all. Where the server limits rate or connections it is eight times as long, and the wait at least half
    /// of it. Default: 5 minutes.
    pub backoff_max_ms: u64,
    /// Milliseconds after which a session has lasted, and the failures before it are forgotten. Default: 1 minute.
    pub stable_after_ms: u64,
    /// Least milliseconds between logins of which none lasts, after the first four; and the unit of the budget that
    /// [`limits`](crate::limits) states. Default: 1 minute. Tests of short tokens lower it, and nothing else should.
    pub login_interval_ms: u64,
    /// A tick that comes this much later than it was asked for was slept through for so long that the connection is given
    /// up; a shorter nap changes nothing. Default: 5 minutes, for NAT of mobile networks drops idle ones after 4 minutes and
    /// more. An [`Account`](crate::Account) probes instead, and has a setting of its own
    /// ([`unprobed_nap_ms`](crate::AccountConfig::unprobed_nap_ms)).
    pub nap_ms: u64,
}

impl SessionConfig {
    /// The defaults for a login.
    #[must_use]
    pub fn new(negotiation: NegotiationConfig) -> Self {
        Self {
            negotiation,
            limits: SessionLimits::default(),
            token_lifetime_ms: None,
            login: Login::Session,
            renewal: Renewal::Ahead,
            lead_ms: 5 * MINUTE_MS,
            token_life_least_ms: MINUTE_MS,
            token_timeout_ms: MINUTE_MS,
            login_timeout_ms: MINUTE_MS,
            backoff_base_ms: 1_000,
            backoff_max_ms: 5 * MINUTE_MS,
            stable_after_ms: MINUTE_MS,
            login_interval_ms: MINUTE_MS,
            nap_ms: 5 * MINUTE_MS,
        }
    }

    /// The configuration for a protocol of a provider.
    ///
    /// # Errors
    /// As [`Provider::negotiation`].
    pub fn for_provider(
        provider: &Provider,
        protocol: Protocol,
        identity: Identity,
    ) -> Result<Self, ConfigError> {
        let negotiation = provider.negotiation(protocol, identity)?;
        let limits = provider.service(protocol).map(|service| service.limits).unwrap_or_default();
        Ok(Self { limits, token_lifetime_ms: provider.token_lifetime_ms, ..Self::new(negotiation) })
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        self.negotiation.validate()?;
        let times = [
            ("lead_ms", self.lead_ms, 1),
            ("token_life_least_ms", self.token_life_least_ms, 0),
            ("token_timeout_ms", self.token_timeout_ms, 1),
            ("login_timeout_ms", self.login_timeout_ms, 1),
            ("backoff_base_ms", self.backoff_base_ms, 1),
            ("backoff_max_ms", self.backoff_max_ms, self.backoff_base_ms),
            ("stable_after_ms", self.stable_after_ms, 1),
            ("login_interval_ms", self.login_interval_ms, 1),
            ("nap_ms", self.nap_ms, 1),
        ];
        for (name, value, least) in times {
            if value < least || value > TIME_MS_MAX {
                return Err(ConfigError::OutOfRange {
                    field: Field::Session(name),
                    least,
                    most: TIME_MS_MAX,
                });
            }
        }
        let second_connection = self.limits.connections.is_none_or(|connections| connections > 1);
        match self.renewal {
            Renewal::Overlap
                if self.negotiation.endpoint.protocol != Protocol::Imap || !second_connection =>
            {
                Err(ConfigError::Conflict {
                    field: Field::Session("renewal"),
                    reason: "overlap needs IMAP and a server that allows two connections",
                })
            }
            Renewal::Overlap | Renewal::Ahead | Renewal::AtEnd => Ok(()),
        }
    }
}

const MINUTE_MS: u64 = 60 * 1000;

/// A year: longer times are a mistake of units.
const TIME_MS_MAX: u64 = 365 * 24 * 60 * MINUTE_MS;
