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
    rate: Pace,
}

/// A rate that is the pace of every order.
#[derive(Debug)]
struct Pace(Rate);

impl Default for Pace {
    fn default() -> Self {
        Self(Rate::pace())
    }
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
    /// It was asked for past the source's cache.
    pub(super) forced: bool,
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
        self.rate.0.next_ms(now_ms).max(self.cooling_until_ms)
    }

    pub(super) fn is_cooling(&self, now_ms: u64) -> bool {
        self.cooling_until_ms > now_ms
    }

    /// Whether the next request bypasses the cache. What a cache holds is not newer than the token in use.
    pub(super) fn would_force(&self, why: TokenNeed) -> bool {
        self.force || why == TokenNeed::Renewal
    }

    /// How long tokens from this source live, where that is known.
    pub(super) fn life_ms(&self) -> Option<u64> {
        self.longest_life_ms
    }

    /// What failed for the network may work now.
    pub(super) fn network_is_back(&mut self) {
        self.cooling_until_ms = 0;
    }

    pub(super) fn ask(
        &mut self,
        now_ms: u64,
        why: TokenNeed,
        config: &SessionConfig,
        plan: &mut Plan,
    ) {
        let forced = self.would_force(why);
        let why = if self.force && why == TokenNeed::Login { TokenNeed::Replacement } else { why };
        self.requests = self.requests.saturating_add(1);
        self.rate.0.take(now_ms);
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
            State::Held(Held { token, received_at_ms: now_ms, expires_at_ms, fingerprint, forced });
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
        self.cool(now_ms, config.backoff_base_ms, config, rng);
    }

    /// The source works, and has no newer token yet: a few more questions fit into the time before the end.
    pub(super) fn not_newer(
        &mut self,
        now_ms: u64,
        config: &SessionConfig,
        rng: &mut fastrand::Rng,
    ) {
        let base_ms = config.backoff_base_ms.max(config.lead_ms / 10).min(config.backoff_max_ms);
        self.cool(now_ms, base_ms, config, rng);
    }

    fn cool(&mut self, now_ms: u64, base_ms: u64, config: &SessionConfig, rng: &mut fastrand::Rng) {
        self.state = State::Empty;
        self.failures = self.failures.saturating_add(1);
        let backoff = Backoff { base_ms, max_ms: config.backoff_max_ms, at_least_half: false };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Identity, Protocol};
    use crate::provider::Provider;

    fn config() -> SessionConfig {
        let identity = Identity::new("joe@gmail.com");
        SessionConfig::for_provider(&Provider::gmail(), Protocol::Imap, identity).unwrap()
    }

    fn ask(region: &mut TokenRegion, now_ms: u64) -> (u64, TokenNeed, bool) {
        let mut plan = Plan::default();
        region.ask(now_ms, TokenNeed::Login, &config(), &mut plan);
        match plan.actions.last() {
            Some(Action::FetchToken { request, why, force_refresh }) => {
                (*request, *why, *force_refresh)
            }
            _ => panic!("{plan:?}"),
        }
    }

    fn give(region: &mut TokenRegion, text: &str, life_ms: u64, config: &SessionConfig) -> Worth {
        let (request, _, _) = ask(region, 0);
        let token = AccessToken::new(text).unwrap();
        region.came(0, request, token, Some(life_ms), None, config)
    }

    #[test]
    fn a_token_with_less_than_a_minute_or_half_of_its_usual_life_is_replaced() {
        for (usual_ms, least_ms) in [(3_600_000, 60_000), (80_000, 40_000)] {
            let config = SessionConfig { token_lifetime_ms: Some(usual_ms), ..config() };
            let worth = give(&mut TokenRegion::default(), "a", least_ms, &config);
            assert_eq!(worth, Worth::Usable, "{least_ms} of {usual_ms}");
            let worth = give(&mut TokenRegion::default(), "a", least_ms - 1, &config);
            assert_eq!(worth, Worth::Replaced, "less than {least_ms} of {usual_ms}");
        }
    }

    #[test]
    fn a_token_is_stale_in_the_last_tenth_of_its_life_and_in_the_last_seconds() {
        let held = |life_ms: u64| Held {
            token: AccessToken::new("a").unwrap(),
            received_at_ms: 1_000,
            expires_at_ms: Some(1_000 + life_ms),
            fingerprint: 0,
            forced: false,
        };
        for (life_ms, stale_ms) in [(50_000, 45_000), (100_000, 90_000), (3_600_000, 3_590_000)] {
            assert!(!held(life_ms).is_stale(1_000 + stale_ms - 1), "{life_ms}");
            assert!(held(life_ms).is_stale(1_000 + stale_ms), "{life_ms}");
        }
        assert!(!Held { expires_at_ms: None, ..held(1) }.is_stale(u64::MAX));
    }

    #[test]
    fn a_stale_token_is_dropped_and_a_good_one_kept() {
        let mut region = TokenRegion::default();
        assert_eq!(give(&mut region, "a", 100_000, &config()), Worth::Usable);
        assert!(!region.drop_stale(89_999));
        assert!(region.held().is_some());
        assert!(region.drop_stale(90_000));
        assert!(region.held().is_none());
    }

    #[test]
    fn only_the_open_request_is_awaited() {
        let mut region = TokenRegion::default();
        assert!(!region.awaits(1));
        let (request, _, _) = ask(&mut region, 0);
        assert!(region.awaits(request));
        assert!(!region.awaits(request + 1));
        let token = AccessToken::new("a").unwrap();
        assert_eq!(region.came(0, request + 1, token, None, None, &config()), Worth::Late);
        assert!(region.awaits(request));
    }

    #[test]
    fn the_deadline_of_a_request_wakes_once() {
        let mut region = TokenRegion::default();
        assert_eq!(region.wake(0), None);
        ask(&mut region, 5);
        let deadline_ms = region.deadline_ms().unwrap();
        assert_eq!(deadline_ms, 5 + config().token_timeout_ms);
        assert_eq!(region.wake(5), Some((deadline_ms, WakeReason::TokenDeadline)));
        assert_eq!(region.wake(deadline_ms), None);
    }

    #[test]
    fn what_is_forced_bypasses_the_cache_until_a_token_is_good() {
        let mut region = TokenRegion::default();
        assert_eq!(ask(&mut region, 0), (1, TokenNeed::Login, false));
        region.force();
        assert_eq!(ask(&mut region, 0), (2, TokenNeed::Replacement, true));
        assert_eq!(give(&mut region, "a", 3_600_000, &config()), Worth::Usable);
        assert_eq!(ask(&mut region, 0), (4, TokenNeed::Login, false));
    }

    #[test]
    fn a_person_who_has_acted_is_forgiven_refusals_and_waits() {
        let mut region = TokenRegion::default();
        region.refuse(AccessToken::new("a").unwrap().fingerprint());
        assert_eq!(give(&mut region, "a", 3_600_000, &config()), Worth::RefusedBefore);
        region.failed(0, &config(), &mut fastrand::Rng::with_seed(1));
        assert!(region.is_cooling(0));
        let until_ms = region.cooling_until_ms;
        assert!(region.is_cooling(until_ms - 1) && !region.is_cooling(until_ms));
        region.forgive();
        assert!(!region.is_cooling(0));
        assert_eq!(give(&mut region, "a", 3_600_000, &config()), Worth::Usable);
    }

    #[test]
    fn a_token_is_put_back_only_where_none_is() {
        let mut region = TokenRegion::default();
        assert_eq!(give(&mut region, "a", 3_600_000, &config()), Worth::Usable);
        let held = region.take().unwrap();
        assert!(region.take().is_none());
        let (request, _, _) = ask(&mut region, 0);
        region.put_back(held.clone());
        assert!(region.awaits(request), "what is asked for is newer");
        region.clear();
        region.put_back(held);
        assert!(region.held().is_some());
    }
}
