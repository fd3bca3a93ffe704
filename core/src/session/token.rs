//! The token region: asks for tokens, judges what comes, and remembers which one was refused.

use super::SessionConfig;
use super::backoff::{Backoff, Rate};
use super::plan::{Action, Plan, TokenNeed, WakeReason};
use crate::token::AccessToken;

/// What is known of the token that the next login will use.
#[derive(Debug, Default)]
pub(super) struct TokenRegion {
    state: State,
    /// The next request bypasses every cache: the last token was refused, or near its end.
    force: bool,
    /// Fingerprint of the token that the server refused.
    refused: Option<u64>,
    /// The longest life that a token from this source had.
    longest_life_ms: Option<u64>,
    /// Failures of the source in a row.
    failures: u32,
    /// No request before this time.
    cooling_until_ms: u64,
    requests: u64,
    rate: Rate,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Empty,
    Asked {
        request: u64,
        deadline_ms: u64,
        why: TokenNeed,
        forced: bool,
    },
    Held(Held),
}

/// A token that has not been used.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) token: AccessToken,
    pub(super) received_at_ms: u64,
    pub(super) expires_at_ms: Option<u64>,
    pub(super) fingerprint: u64,
}

/// What a token that came is worth.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// It is held for the next login.
    Usable,
    /// It is near its end, or over it: another one is asked for.
    Replaced,
    /// The source gives back the token that the server refused.
    RefusedBefore,
    /// The source, asked to bypass its cache, gave a token that has expired.
    Expired,
    /// The source has none that is newer than the one in use.
    NotNewer,
    /// It answers no request that is open.
    Late,
}

impl TokenRegion {
    /// Whether the request was made by this session.
    pub(super) fn knows(&self, request: u64) -> bool {
        (1..=self.requests).contains(&request)
    }

    pub(super) fn held(&self) -> Option<&Held> {
        match &self.state {
            State::Held(held) => Some(held),
            State::Empty | State::Asked { .. } => None,
        }
    }

    pub(super) fn is_asked(&self) -> bool {
        matches!(self.state, State::Asked { .. })
    }

    /// Takes the token out: it is used for one login, so that an old one is never sent.
    pub(super) fn take(&mut self) -> Option<Held> {
        let held = self.held().cloned();
        if held.is_some() {
            self.state = State::Empty;
        }
        held
    }

    /// A login that never came to use its token gives it back.
    pub(super) fn put_back(&mut self, held: Held) {
        if matches!(self.state, State::Empty) {
            self.state = State::Held(held);
        }
    }

    /// Forgets what is held and asked for: the session stops.
    pub(super) fn clear(&mut self) {
        self.state = State::Empty;
    }

    /// Drops a token that is too near its end for a login. True when it did.
    pub(super) fn drop_stale(&mut self, now_ms: u64) -> bool {
        let stale = self.held().is_some_and(|held| held.is_stale(now_ms));
        if stale {
            self.state = State::Empty;
        }
        stale
    }

    /// When the next request may be made.
    pub(super) fn next_ask_ms(&self, now_ms: u64) -> u64 {
        self.rate.next_ms(now_ms).max(self.cooling_until_ms)
    }

    pub(super) fn is_cooling(&self, now_ms: u64) -> bool {
        self.cooling_until_ms > now_ms
    }

    pub(super) fn ask(
        &mut self,
        now_ms: u64,
        why: TokenNeed,
        config: &SessionConfig,
        plan: &mut Plan,
    ) {
        let why = if self.force && why == TokenNeed::Login { TokenNeed::Replacement } else { why };
        // What a cache holds is not newer than the token in use.
        let forced = self.force || why == TokenNeed::Renewal;
        self.requests = self.requests.saturating_add(1);
        self.rate.take(now_ms);
        let deadline_ms = now_ms.saturating_add(config.token_timeout_ms);
        self.state = State::Asked { request: self.requests, deadline_ms, why, forced };
        plan.actions.push(Action::FetchToken {
            request: self.requests,
            why,
            force_refresh: forced,
        });
    }

    /// Judges a token that came. `in_use` is the fingerprint of the token that the session online was opened with.
    pub(super) fn came(
        &mut self,
        now_ms: u64,
        request: u64,
        token: AccessToken,
        expires_in_ms: Option<u64>,
        in_use: Option<u64>,
        config: &SessionConfig,
    ) -> Worth {
        let State::Asked { request: asked, why, forced, .. } = self.state else {
            return Worth::Late;
        };
        if asked != request {
            return Worth::Late;
        }
        self.state = State::Empty;
        let fingerprint = token.fingerprint();
        if self.refused == Some(fingerprint) {
            return Worth::RefusedBefore;
        }
        if why == TokenNeed::Renewal && in_use == Some(fingerprint) {
            return Worth::NotNewer;
        }
        let life_ms = expires_in_ms.or(config.token_lifetime_ms);
        if let Some(life_ms) = life_ms
            && let Some(worth) = self.judge_life(life_ms, forced, config)
        {
            return worth;
        }
        self.force = false;
        self.failures = 0;
        let expires_at_ms = life_ms.map(|life_ms| now_ms.saturating_add(life_ms));
        self.state =
            State::Held(Held { token, received_at_ms: now_ms, expires_at_ms, fingerprint });
        Worth::Usable
    }

    /// A cached token near its end is worth one request that bypasses the cache; what that brings is taken as it is.
    fn judge_life(&mut self, life_ms: u64, forced: bool, config: &SessionConfig) -> Option<Worth> {
        if life_ms == 0 && forced {
            return Some(Worth::Expired);
        }
        let longest_ms = self.longest_life_ms.or(config.token_lifetime_ms).unwrap_or(0);
        let least_ms = config.token_life_least_ms.min(longest_ms / 2);
        self.longest_life_ms = if forced {
            Some(life_ms)
        } else {
            Some(self.longest_life_ms.unwrap_or(0).max(life_ms))
        };
        if life_ms == 0 || (!forced && life_ms < least_ms) {
            self.force = true;
            return Some(Worth::Replaced);
        }
        None
    }

    /// The source has none for now, or did not answer in time: wait.
    pub(super) fn failed(&mut self, now_ms: u64, config: &SessionConfig, rng: &mut fastrand::Rng) {
        self.state = State::Empty;
        self.failures = self.failures.saturating_add(1);
        let backoff = Backoff { base_ms: config.backoff_base_ms, max_ms: config.backoff_max_ms };
        self.cooling_until_ms = now_ms.saturating_add(backoff.wait_ms(self.failures, 0, rng));
    }

    /// Whether this answers the open request.
    pub(super) fn awaits(&self, request: u64) -> bool {
        matches!(self.state, State::Asked { request: asked, .. } if asked == request)
    }

    /// The deadline of the open request.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        match self.state {
            State::Asked { deadline_ms, .. } => Some(deadline_ms),
            State::Empty | State::Held(_) => None,
        }
    }

    /// The server refused this token: it is never sent again, and the next one must be another.
    pub(super) fn refuse(&mut self, fingerprint: u64) {
        self.refused = Some(fingerprint);
        self.force = true;
    }

    /// The next request bypasses every cache.
    pub(super) fn force(&mut self) {
        self.force = true;
    }

    /// A person has acted: what was refused before may be good now.
    pub(super) fn forgive(&mut self) {
        self.refused = None;
        self.failures = 0;
        self.cooling_until_ms = 0;
    }

    /// When something happens here by itself.
    pub(super) fn wake(&self, now_ms: u64) -> Option<(u64, WakeReason)> {
        self.deadline_ms().filter(|at| *at > now_ms).map(|at| (at, WakeReason::TokenDeadline))
    }
}

impl Held {
    /// A login takes seconds: a token that ends sooner, or in the last tenth of its life, is refused as often as not.
    pub(super) fn is_stale(&self, now_ms: u64) -> bool {
        self.expires_at_ms.is_some_and(|expires_at_ms| {
            let margin_ms =
                (expires_at_ms.saturating_sub(self.received_at_ms) / 10).min(LOGIN_MARGIN_MS);
            now_ms.saturating_add(margin_ms) >= expires_at_ms
        })
    }
}

/// Longest time before its expiry in which a token is not used for a login any more.
const LOGIN_MARGIN_MS: u64 = 10_000;
