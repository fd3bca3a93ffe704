//! What an [`Account`](super::Account) is told, and how its sessions are called.

use core::fmt;

use crate::config::{ConfigError, Field};
use crate::provider::Provider;

/// Names one session of an account. Keys count from one, and none is used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey(u32);

impl SessionKey {
    /// The key with this number: bindings carry numbers.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// All that an account is told besides its sessions. Every number has a default that is right for most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountConfig {
    /// Milliseconds for which failures are waited out before a session's first connection; then they are raised as
    /// [`RaiseKind::GaveUp`](super::RaiseKind::GaveUp). `None`: for ever. Default: 1 minute. What cannot get better is
    /// raised at once.
    pub first_ms: Option<u64>,
    /// The same, once a session has been connected. Default: for ever.
    pub later_ms: Option<u64>,
    /// Milliseconds that a token lives whose source does not say.
    pub token_lifetime_ms: Option<u64>,
    /// Milliseconds that a token must still live to be used, where the source has better ones. Default: 1 minute.
    pub token_life_least_ms: u64,
    /// Milliseconds for a token to come. Default: 1 minute.
    pub token_timeout_ms: u64,
    /// Greatest wait after a first failure of the token source, and after a first limit of the server; it doubles with
    /// each. Default: 1 second.
    pub backoff_base_ms: u64,
    /// Greatest wait of all for the token source; a limit of the server is waited for eight times as long. Default: 5
    /// minutes.
    pub backoff_max_ms: u64,
    /// Whether [`Order::KeepAlive`](super::Order::KeepAlive) is given for connections that are idle: every 4 to 9 minutes
    /// at random, and before the provider's idle limit. Default: yes.
    pub keep_alive: bool,
    /// Milliseconds in which a probe or a keep-alive is to be answered. Default: 20 seconds.
    pub answer_ms: u64,
    /// A nap of the machine of at least so many milliseconds ends its connections unprobed. Default: 30 minutes.
    pub unprobed_nap_ms: u64,
}

impl Default for AccountConfig {
    fn default() -> Self {
        Self {
            first_ms: Some(MINUTE_MS),
            later_ms: None,
            token_lifetime_ms: None,
            token_life_least_ms: MINUTE_MS,
            token_timeout_ms: MINUTE_MS,
            backoff_base_ms: 1_000,
            backoff_max_ms: 5 * MINUTE_MS,
            keep_alive: true,
            answer_ms: 20_000,
            unprobed_nap_ms: 30 * MINUTE_MS,
        }
    }
}

impl AccountConfig {
    /// The defaults, with what is known of the provider's tokens.
    #[must_use]
    pub fn for_provider(provider: &Provider) -> Self {
        Self { token_lifetime_ms: provider.token_lifetime_ms, ..Self::default() }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let times = [
            ("first_ms", self.first_ms.unwrap_or(1), 1),
            ("later_ms", self.later_ms.unwrap_or(1), 1),
            ("token_lifetime_ms", self.token_lifetime_ms.unwrap_or(1), 1),
            ("token_life_least_ms", self.token_life_least_ms, 0),
            ("token_timeout_ms", self.token_timeout_ms, 1),
            ("backoff_base_ms", self.backoff_base_ms, 1),
            ("backoff_max_ms", self.backoff_max_ms, self.backoff_base_ms),
            ("answer_ms", self.answer_ms, 1),
            ("unprobed_nap_ms", self.unprobed_nap_ms, 1),
        ];
        for (name, value, least) in times {
            if value < least || value > TIME_MS_MAX {
                let field = Field::Session(name);
                return Err(ConfigError::OutOfRange { field, least, most: TIME_MS_MAX });
            }
        }
        Ok(())
    }
}

const MINUTE_MS: u64 = 60 * 1000;

/// A year: longer times are a mistake of units.
const TIME_MS_MAX: u64 = 365 * 24 * 60 * MINUTE_MS;
