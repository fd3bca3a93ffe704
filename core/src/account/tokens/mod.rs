//! The account's one token: asks the source for it, judges what comes, and counts what servers refuse.

mod memory;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

pub(super) use memory::Memory;

use super::{AccountConfig, NoToken};
use crate::failure::{Advice, Cause, Failure};
use crate::limits::{REFRESHES, REFUSALS_IN_A_DAY_MAX, REFUSALS_IN_A_ROW_MAX, TOKENS};
use crate::redact::{Secrets, redact_source};
use crate::session::{Backoff, Rate};
use crate::token::AccessToken;

const MINUTE_MS: u64 = 60 * 1_000;

const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

/// A source that has no newer token is asked again a few times before the end of the one that there is.
const NOT_NEWER_LEAST_MS: u64 = 30_000;

/// Refused tokens that are remembered: a source that goes round more of them is caught by the number of refusals.
const REFUSED_MAX: usize = 8;

/// Longest time before its end in which a token is not used for a login any more: what `Session` keeps too.
const LOGIN_MARGIN_MS: u64 = 10_000;

/// What is known of tokens.
#[derive(Debug)]
pub(super) struct Tokens {
    good: Option<Good>,
    asked: Option<Asked>,
    requests: u64,
    /// The next request bypasses every cache: a token was refused, or what the cache holds is near its end.
    force: bool,
    /// What the last answer was to, while somebody still needs another token.
    tried: Tried,
    /// Fingerprints, the last ones.
    refused: Vec<u64>,
    last_refused: Option<AccessToken>,
    longest_life_ms: Option<u64>,
    /// Failures of the source in a row, and those of them that it called permanent.
    failures: u32,
    permanent: u32,
    cooling_until_ms: u64,
    /// What the source said last, with the request.
    problem: Option<(u64, Box<Failure>)>,
    pace: Rate,
    /// The budget of `limits.rs`: requests that a cache may answer, and those past it.
    plain: Rate,
    refreshes: Rate,
    /// What a login costs in time: see [`SessionConfig`](crate::SessionConfig).
    login_interval_ms: u64,
    /// It was said that logins are held back for the short life of tokens.
    warned: bool,
    /// Tokens refused in a row, and when in the last day.
    in_a_row: usize,
    of_day: Vec<u64>,
}

/// A token that may be used.
#[derive(Debug, Clone)]
pub(super) struct Good {
    pub(super) token: AccessToken,
    pub(super) fingerprint: u64,
    pub(super) received_at_ms: u64,
    pub(super) expires_at_ms: Option<u64>,
    /// It was asked for past the source's cache.
    forced: bool,
    /// When a server first took it.
    taken_at_ms: Option<u64>,
}

#[derive(Debug)]
struct Asked {
    request: u64,
    force: bool,
    deadline_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tried {
    Nothing,
    Plain,
    Force,
}

/// What a token must be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Needed {
    /// Not this one.
    pub(super) other_than: Option<u64>,
    /// It must live longer than until then.
    pub(super) outlives_ms: Option<u64>,
}

/// What a source says that has no token.
#[derive(Debug)]
pub(super) struct Word<'a> {
    pub(super) request: u64,
    pub(super) why: NoToken,
    pub(super) text: &'a str,
    /// A connection lives: a person need not be called at the first word.
    pub(super) works: bool,
}

/// What became of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It goes on: a token is there, or another request follows.
    GoOn,
    /// It answers no open request.
    Late,
    /// A person must act.
    Stop(Failure),
    /// The program's token source is wrong.
    Mistake(Failure),
}

/// An order to ask the source.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) request: u64,
    pub(super) force: bool,
    pub(super) refused: Option<AccessToken>,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            good: None,
            asked: None,
            requests: 0,
            force: false,
            tried: Tried::Nothing,
            refused: Vec::new(),
            last_refused: None,
            longest_life_ms: None,
            failures: 0,
            permanent: 0,
            cooling_until_ms: 0,
            problem: None,
            pace: Rate::pace(),
            plain: Rate::of(TOKENS, MINUTE_MS),
            refreshes: Rate::of(REFRESHES, MINUTE_MS),
            login_interval_ms: MINUTE_MS,
            warned: false,
            in_a_row: 0,
            of_day: Vec::new(),
        }
    }
}

impl Tokens {
    /// Whether the request was made by this account.
    pub(super) fn knows(&self, request: u64) -> bool {
        (1..=self.requests).contains(&request)
    }

    /// The token, if it is as needed.
    pub(super) fn fit(&self, now_ms: u64, needed: Needed, config: &AccountConfig) -> Option<&Good> {
        let least_ms = self.least_ms(config);
        self.good.as_ref().filter(|good| {
            let newer = match (good.expires_at_ms, needed.outlives_ms) {
                (Some(ours_ms), Some(theirs_ms)) => ours_ms > theirs_ms,
                (None, _) | (_, None) => true,
            };
            newer
                && needed.other_than != Some(good.fingerprint)
                && !good.is_near_end(now_ms, least_ms)
        })
    }

    /// Nobody needs another token than there is.
    pub(super) fn satisfied(&mut self) {
        self.tried = Tried::Nothing;
    }

    /// Whether the source was asked past its cache, and still somebody needs another token than it gave.
    pub(super) fn has_no_newer(&self) -> bool {
        self.tried == Tried::Force && !self.force
    }

    /// Another token than there is, is needed: asks for it, or says when.
    pub(super) fn want(
        &mut self,
        now_ms: u64,
        config: &AccountConfig,
        rng: &mut fastrand::Rng,
    ) -> Result<Ask, u64> {
        if let Some(asked) = &self.asked {
            return Err(asked.deadline_ms);
        }
        if self.has_no_newer() {
            // The source works, and has no newer one.
            self.cool(now_ms, config.backoff_base_ms.max(NOT_NEWER_LEAST_MS), config, rng);
        }
        let at_ms = self.next_ask_ms(now_ms);
        if at_ms > now_ms {
            return Err(at_ms);
        }
        let force = self.would_force();
        self.requests = self.requests.saturating_add(1);
        self.pace.take(now_ms);
        if force {
            self.refreshes.take(now_ms);
        } else {
            self.plain.take(now_ms);
        }
        let deadline_ms = now_ms.saturating_add(config.token_timeout_ms);
        self.asked = Some(Asked { request: self.requests, force, deadline_ms });
        let refused = if force { self.last_refused.clone() } else { None };
        Ok(Ask { request: self.requests, force, refused })
    }

    /// When the source is asked for another, if that is not now.
    pub(super) fn next_ms(&self, now_ms: u64) -> Option<u64> {
        Some(self.next_ask_ms(now_ms)).filter(|at_ms| *at_ms > now_ms && self.asked.is_none())
    }

    fn next_ask_ms(&self, now_ms: u64) -> u64 {
        let budget = if self.would_force() { &self.refreshes } else { &self.plain };
        self.pace.next_ms(now_ms).max(budget.next_ms(now_ms)).max(self.cooling_until_ms)
    }

    fn would_force(&self) -> bool {
        self.force || self.tried == Tried::Plain
    }

    /// The unit of the budget, which sessions of tests have shorter.
    pub(super) fn keep_interval(&mut self, login_interval_ms: u64) {
        if self.login_interval_ms != login_interval_ms {
            self.login_interval_ms = login_interval_ms;
            self.plain = Rate::of(TOKENS, login_interval_ms);
            self.refreshes = Rate::of(REFRESHES, login_interval_ms);
        }
    }

    /// How long tokens live, where that is shorter than the time in which one login may follow another. Said once.
    pub(super) fn short_life_ms(&mut self, login_interval_ms: u64) -> Option<u64> {
        let life_ms = self.longest_life_ms.filter(|life_ms| *life_ms < login_interval_ms)?;
        (!core::mem::replace(&mut self.warned, true)).then_some(life_ms)
    }

    /// The use of the token is over: as far as it lasted it has paid for the refresh that it was.
    fn pay_back(&mut self, now_ms: u64) {
        let Some(good) = self.good.as_ref().filter(|good| good.forced) else { return };
        let Some(taken_at_ms) = good.taken_at_ms else { return };
        let until_ms = good.expires_at_ms.map_or(now_ms, |at_ms| at_ms.min(now_ms));
        self.refreshes.lasted(until_ms.saturating_sub(taken_at_ms), self.login_interval_ms);
    }

    /// A token that came.
    pub(super) fn came(
        &mut self,
        now_ms: u64,
        request: u64,
        token: AccessToken,
        lives_ms: Option<u64>,
        config: &AccountConfig,
    ) -> Answer {
        let Some(asked) = self.asked.take_if(|asked| asked.request == request) else {
            return Answer::Late;
        };
        self.tried = if asked.force { Tried::Force } else { Tried::Plain };
        let fingerprint = token.fingerprint();
        if self.refused.contains(&fingerprint) {
            return self.refused_again(asked.force);
        }
        let life_ms = lives_ms.or(config.token_lifetime_ms);
        if let Some(life_ms) = life_ms
            && let Some(answer) = self.judge_life(life_ms, asked.force, config)
        {
            return answer;
        }
        self.force = false;
        // The one that is held already is no newer one.
        let is_new = self.good.as_ref().is_none_or(|good| good.fingerprint != fingerprint);
        if is_new {
            self.failures = 0;
            self.pay_back(now_ms);
        }
        self.permanent = 0;
        self.problem = None;
        let expires_at_ms = life_ms.map(|life_ms| now_ms.saturating_add(life_ms));
        let forced = asked.force;
        let taken_at_ms = self.good.take().filter(|_| !is_new).and_then(|one| one.taken_at_ms);
        self.good = Some(Good {
            token,
            fingerprint,
            received_at_ms: now_ms,
            expires_at_ms,
            forced,
            taken_at_ms,
        });
        Answer::GoOn
    }

    /// A cache may not know that a token was refused; a source that was told so has no other.
    fn refused_again(&mut self, forced: bool) -> Answer {
        if !forced {
            self.force = true;
            return Answer::GoOn;
        }
        let detail = "the token source gave back the token that the server had refused: give a function that gets a new one";
        Answer::Stop(asks_user(Cause::TokenRejected, detail))
    }

    fn judge_life(&mut self, life_ms: u64, forced: bool, config: &AccountConfig) -> Option<Answer> {
        if life_ms == 0 && forced {
            let detail = "the token source gives tokens whose time is over";
            return Some(Answer::Stop(asks_user(Cause::TokenExpired, detail)));
        }
        let least_ms = self.least_ms(config);
        let longest_ms = self.longest_life_ms.unwrap_or(0).max(life_ms);
        self.longest_life_ms = Some(if forced { life_ms } else { longest_ms });
        self.warned &= life_ms < self.login_interval_ms;
        if life_ms == 0 || (!forced && life_ms < least_ms) {
            self.force = true;
            return Some(Answer::GoOn);
        }
        None
    }

    /// What a token must still live: less where this source has none that lives for long.
    fn least_ms(&self, config: &AccountConfig) -> u64 {
        let longest_ms = self.longest_life_ms.or(config.token_lifetime_ms).unwrap_or(0);
        config.token_life_least_ms.min(longest_ms / 2)
    }

    /// The source has none.
    pub(super) fn none(
        &mut self,
        now_ms: u64,
        word: &Word<'_>,
        config: &AccountConfig,
        rng: &mut fastrand::Rng,
    ) -> Answer {
        if self.asked.take_if(|asked| asked.request == word.request).is_none() {
            return Answer::Late;
        }
        let advice = self.advice_without(word);
        let failure = Failure { advice, ..self.of_source(word.text) };
        self.problem = Some((word.request, Box::new(failure.clone())));
        if advice == Advice::AskUser {
            return Answer::Stop(failure);
        }
        self.failed(now_ms, config, rng);
        match word.why {
            NoToken::Outage | NoToken::Permanent => Answer::GoOn,
            NoToken::Mistake => Answer::Mistake(failure),
        }
    }

    /// What helps; it counts how often the source said that it is for good: once, while a token works, may be a mistake.
    const fn advice_without(&mut self, word: &Word<'_>) -> Advice {
        match word.why {
            NoToken::Outage => Advice::BackOff,
            NoToken::Mistake => Advice::FixConfiguration,
            NoToken::Permanent => {
                self.permanent = self.permanent.saturating_add(1);
                if word.works && self.permanent < 2 { Advice::BackOff } else { Advice::AskUser }
            }
        }
    }

    /// What the source said, without a token and without what may be another secret.
    fn of_source(&self, text: &str) -> Failure {
        let text = redact_source(&self.redact(text.into()));
        let failure = Failure::of_host(Cause::TokenUnavailable, text);
        Failure { advice: Advice::BackOff, ..failure }
    }

    /// Masks the token, and the one that was refused last.
    pub(super) fn redact(&self, text: String) -> String {
        let good = self.good.as_ref().map(|good| &good.token);
        let tokens = good.into_iter().chain(&self.last_refused);
        tokens.fold(text, |text, token| Secrets::of(token).redact(text))
    }

    /// A source that does not answer is asked again later. True when one was given up.
    pub(super) fn late(
        &mut self,
        now_ms: u64,
        config: &AccountConfig,
        rng: &mut fastrand::Rng,
    ) -> Option<u64> {
        let asked = self.asked.take_if(|asked| now_ms >= asked.deadline_ms)?;
        let failure = self.of_source("the token source did not answer in time");
        self.problem = Some((asked.request, Box::new(failure)));
        self.failed(now_ms, config, rng);
        Some(asked.request)
    }

    fn failed(&mut self, now_ms: u64, config: &AccountConfig, rng: &mut fastrand::Rng) {
        self.cool(now_ms, config.backoff_base_ms, config, rng);
    }

    fn cool(&mut self, now_ms: u64, base_ms: u64, config: &AccountConfig, rng: &mut fastrand::Rng) {
        self.tried = Tried::Nothing;
        self.failures = self.failures.saturating_add(1);
        let backoff = Backoff { base_ms, max_ms: config.backoff_max_ms, at_least_half: false };
        let wait_ms = backoff.wait_ms(self.failures, 0, rng);
        self.cooling_until_ms = now_ms.saturating_add(wait_ms);
    }

    /// What failed for want of a network may work now.
    pub(super) fn network_is_back(&mut self) {
        if self.problem.is_some() && self.permanent == 0 {
            self.cooling_until_ms = 0;
        }
    }

    /// Why there is no token, and the request that says so.
    pub(super) fn problem(&self) -> Option<&(u64, Box<Failure>)> {
        self.problem.as_ref()
    }

    pub(super) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// A server took the token.
    pub(super) fn accepted(&mut self, now_ms: u64, fingerprint: u64) {
        self.in_a_row = 0;
        if let Some(good) = self.good.as_mut().filter(|good| good.fingerprint == fingerprint) {
            good.taken_at_ms.get_or_insert(now_ms);
        }
    }

    /// Whether the last login was refused: the next token is tried by one session first.
    pub(super) fn is_suspect(&self) -> bool {
        self.in_a_row > 0
    }

    /// A server refused the token: nobody uses it any more. Each token counts once. True when a person is needed.
    pub(super) fn refuse(&mut self, now_ms: u64, fingerprint: u64) -> bool {
        if self.refused.contains(&fingerprint) {
            return false;
        }
        self.force = true;
        self.retire(now_ms, fingerprint);
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.of_day.retain(|at_ms| at_ms.saturating_add(DAY_MS) > now_ms);
        self.of_day.push(now_ms);
        self.in_a_row >= REFUSALS_IN_A_ROW_MAX || self.of_day.len() >= REFUSALS_IN_A_DAY_MAX
    }

    /// A token is over, whatever clocks and caches say.
    pub(super) fn retire(&mut self, now_ms: u64, fingerprint: u64) {
        if self.refused.contains(&fingerprint) {
            return;
        }
        if self.good.as_ref().is_some_and(|good| good.fingerprint == fingerprint) {
            self.pay_back(now_ms);
        }
        self.refused.push(fingerprint);
        let excess = self.refused.len().saturating_sub(REFUSED_MAX);
        self.refused.drain(..excess);
        if let Some(good) = self.good.take_if(|good| good.fingerprint == fingerprint) {
            self.last_refused = Some(good.token);
        }
    }

    /// A person has acted: what was refused before may be good now.
    pub(super) fn forgive(&mut self) {
        self.refused.clear();
        self.last_refused = None;
        self.force = false;
        self.tried = Tried::Nothing;
        self.failures = 0;
        self.permanent = 0;
        self.problem = None;
        self.cooling_until_ms = 0;
        self.in_a_row = 0;
        self.of_day.clear();
    }

    /// The account is closed.
    pub(super) fn clear(&mut self) {
        self.good = None;
        self.asked = None;
        self.last_refused = None;
    }

    pub(super) fn deadline_ms(&self) -> Option<u64> {
        self.asked.as_ref().map(|asked| asked.deadline_ms)
    }

    pub(super) fn cooling_until_ms(&self) -> u64 {
        self.cooling_until_ms
    }
}

impl Good {
    fn is_near_end(&self, now_ms: u64, least_ms: u64) -> bool {
        self.expires_at_ms.is_some_and(|expires_at_ms| {
            let life_ms = expires_at_ms.saturating_sub(self.received_at_ms);
            let margin_ms = (life_ms / 10).min(LOGIN_MARGIN_MS).max(least_ms.min(life_ms / 2));
            now_ms.saturating_add(margin_ms) >= expires_at_ms
        })
    }
}

fn asks_user(cause: Cause, detail: &'static str) -> Failure {
    Failure { advice: Advice::AskUser, ..Failure::of_host(cause, detail) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 60 * 60 * 1_000;

    fn config() -> AccountConfig {
        AccountConfig::default()
    }

    fn rng() -> fastrand::Rng {
        fastrand::Rng::with_seed(1)
    }

    fn ask(tokens: &mut Tokens, now_ms: u64) -> Ask {
        tokens.want(now_ms, &config(), &mut rng()).unwrap()
    }

    /// Asks, and is given this one: whether the source was asked to bypass its cache.
    fn give(tokens: &mut Tokens, now_ms: u64, text: &str, lives_ms: Option<u64>) -> (bool, Answer) {
        let Ask { request, force, .. } = ask(tokens, now_ms);
        let token = AccessToken::new(text).unwrap();
        (force, tokens.came(now_ms, request, token, lives_ms, &config()))
    }

    fn fingerprint(text: &str) -> u64 {
        AccessToken::new(text).unwrap().fingerprint()
    }

    fn fits(tokens: &Tokens, now_ms: u64, needed: Needed) -> bool {
        tokens.fit(now_ms, needed, &config()).is_some()
    }

    #[test]
    fn one_request_at_a_time() {
        let mut tokens = Tokens::default();
        assert_eq!(ask(&mut tokens, 5).request, 1);
        assert_eq!(tokens.want(6, &config(), &mut rng()).unwrap_err(), 60_005);
        assert!(tokens.knows(1) && !tokens.knows(2) && !tokens.knows(0));
        let token = AccessToken::new("a").unwrap();
        assert_eq!(tokens.came(7, 2, token, None, &config()), Answer::Late);
        assert!(tokens.is_asked());
    }

    #[test]
    fn a_token_serves_until_it_is_near_its_end_or_refused() {
        let mut tokens = Tokens::default();
        assert_eq!(give(&mut tokens, 0, "a", Some(HOUR_MS)), (false, Answer::GoOn));
        let any = Needed::default();
        assert!(fits(&tokens, HOUR_MS - 60_001, any));
        assert!(!fits(&tokens, HOUR_MS - 60_000, any));
        assert!(!fits(&tokens, 0, Needed { other_than: Some(fingerprint("a")), ..any }));
        assert!(fits(&tokens, 0, Needed { outlives_ms: Some(HOUR_MS - 1), ..any }));
        assert!(!fits(&tokens, 0, Needed { outlives_ms: Some(HOUR_MS), ..any }));
        assert!(!tokens.refuse(1, fingerprint("a")));
        assert!(!fits(&tokens, 1, any));
    }

    #[test]
    fn force_follows_a_refusal_or_a_plain_request_that_brought_nothing_newer() {
        let mut tokens = Tokens::default();
        assert!(!give(&mut tokens, 0, "a", Some(HOUR_MS)).0);
        tokens.satisfied();
        // A renewal: plain, then forced, and then the source is left alone.
        assert!(!give(&mut tokens, 0, "a", Some(HOUR_MS)).0);
        assert!(give(&mut tokens, 0, "a", Some(HOUR_MS)).0);
        let until_ms = tokens.want(0, &config(), &mut rng()).unwrap_err();
        assert!(until_ms > 0);
        let Ask { force, refused, .. } = ask(&mut tokens, until_ms + 2_000);
        assert!(!force && refused.is_none());
        let now_ms = until_ms + 62_000;
        assert_eq!(tokens.late(now_ms, &config(), &mut rng()), Some(4));
        assert!(!tokens.refuse(now_ms, fingerprint("a")));
        let Ask { force, refused, .. } = ask(&mut tokens, now_ms + 5_000);
        assert!(force);
        assert_eq!(refused, Some(AccessToken::new("a").unwrap()));
    }

    #[test]
    fn a_refused_token_that_comes_back_is_asked_for_past_the_cache_and_then_a_person_is() {
        let mut tokens = Tokens::default();
        let _ = give(&mut tokens, 0, "a", None);
        tokens.satisfied();
        tokens.retire(0, fingerprint("a"));
        assert_eq!(give(&mut tokens, 0, "a", None), (false, Answer::GoOn));
        let (force, answer) = give(&mut tokens, 0, "a", None);
        assert!(force && matches!(answer, Answer::Stop(_)), "{answer:?}");
        tokens.forgive();
        assert_eq!(give(&mut tokens, 5_000, "a", None), (false, Answer::GoOn));
    }

    #[test]
    fn a_token_without_life_is_asked_for_past_the_cache_and_then_a_person_is() {
        let mut tokens = Tokens::default();
        assert_eq!(give(&mut tokens, 0, "a", Some(0)), (false, Answer::GoOn));
        assert!(!fits(&tokens, 0, Needed::default()));
        let (force, answer) = give(&mut tokens, 0, "a", Some(0));
        assert!(force && matches!(answer, Answer::Stop(_)), "{answer:?}");
    }

    #[test]
    fn a_source_whose_tokens_are_short_is_taken_as_it_is() {
        let mut tokens = Tokens::default();
        // A cache had long ones: this one is worth a request past it.
        let _ = give(&mut tokens, 0, "a", Some(HOUR_MS));
        tokens.satisfied();
        assert_eq!(give(&mut tokens, 0, "b", Some(20_000)), (false, Answer::GoOn));
        assert!(fits(&tokens, 0, Needed { other_than: Some(fingerprint("b")), outlives_ms: None }));
        assert_eq!(give(&mut tokens, 0, "c", Some(20_000)), (true, Answer::GoOn));
        assert!(fits(&tokens, 0, Needed::default()));
        assert!(!fits(&tokens, 10_000, Needed::default()));
    }

    #[test]
    fn refusals_count_each_token_once_in_a_row_and_over_a_day() {
        let mut tokens = Tokens::default();
        assert!(!tokens.refuse(0, 1) && !tokens.refuse(0, 1));
        assert!(tokens.is_suspect());
        assert!(tokens.refuse(0, 2));
        let mut tokens = Tokens::default();
        for one in 1..6 {
            assert!(!tokens.refuse(one * HOUR_MS, one), "{one}");
            tokens.accepted(0, 0);
        }
        assert!(tokens.refuse(23 * HOUR_MS, 6));
        let mut tokens = Tokens::default();
        for one in 0..20 {
            assert!(!tokens.refuse(one * 5 * HOUR_MS, one), "five in a day: {one}");
            tokens.accepted(0, 0);
        }
    }

    #[test]
    fn words_of_the_source_hold_no_token() {
        let mut tokens = Tokens::default();
        let _ = give(&mut tokens, 0, "CANARYCANARYCANARY", Some(HOUR_MS));
        let Ask { request, .. } = ask(&mut tokens, 0);
        let text = "CANARYCANARYCANARY\u{7} was cached, POST refresh_token=1//0gAb";
        let word = Word { request, why: NoToken::Permanent, text, works: false };
        let Answer::Stop(failure) = tokens.none(0, &word, &config(), &mut rng()) else { panic!() };
        assert_eq!(failure.advice, Advice::AskUser);
        assert_eq!(failure.detail, "<token> was cached, POST refresh_token=<secret>");
    }

    #[test]
    fn what_is_told_of_the_source_says_what_helps() {
        let mut tokens = Tokens::default();
        for (why, works, advice) in [
            (NoToken::Outage, false, Advice::BackOff),
            (NoToken::Mistake, false, Advice::FixConfiguration),
            (NoToken::Permanent, true, Advice::BackOff),
            (NoToken::Permanent, true, Advice::AskUser),
        ] {
            let Ask { request, .. } = ask(&mut tokens, 0);
            let _ = tokens.none(0, &Word { request, why, text: "", works }, &config(), &mut rng());
            assert_eq!(
                tokens.problem().map(|(_, failure)| failure.advice),
                Some(advice),
                "{why:?}"
            );
            tokens.cooling_until_ms = 0;
        }
    }

    #[test]
    fn what_outlives_the_process_ages_while_it_is_dead() {
        let mut tokens = Tokens::default();
        let _ = tokens.refuse(HOUR_MS, 1);
        let word = Word { request: 1, why: NoToken::Outage, text: "", works: false };
        let _ = ask(&mut tokens, HOUR_MS);
        let _ = tokens.none(HOUR_MS, &word, &config(), &mut rng());
        let memory = tokens.memory(2 * HOUR_MS);
        assert_eq!((memory.of_day_ms.as_slice(), memory.force), (&[HOUR_MS][..], true));
        let mut later = Tokens::default();
        later.remember(memory.clone(), 100 * HOUR_MS, 22 * HOUR_MS);
        assert_eq!(later.memory(100 * HOUR_MS).of_day_ms, [23 * HOUR_MS]);
        later.remember(memory, 100 * HOUR_MS, 23 * HOUR_MS);
        assert!(later.memory(100 * HOUR_MS).of_day_ms.is_empty());
        assert!(ask(&mut later, 100 * HOUR_MS).force);
    }
}
