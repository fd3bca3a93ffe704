//! `Account`.

use mailbearer::{
    Account, AccountStatus, Fact, Failure, NoToken, SessionConfig, SessionKey, SessionStatus,
};
use napi::bindgen_prelude::{BigInt, BufferSlice};
use napi::{Env, Result};
use napi_derive::napi;

use crate::convert::{cause, config_error, misuse, number, octets, one_of, optional_whole, whole};
use crate::plan::JsAccountPlan;
use crate::pure::JsAccessToken;
use crate::session::JsStatus;
use crate::settings::{JsAccountPolicy, JsPolicy, JsSettings};
use crate::types::JsFailure;

/// What the host itself saw of an end: the cause and the words of a failure of its own.
#[napi(object, object_to_js = false)]
pub struct JsProblem {
    pub cause: String,
    pub detail: String,
}

/// Keeps one mailbox connected for a program.
#[napi(js_name = "NativeAccount")]
pub struct JsAccount(Account);

#[napi]
impl JsAccount {
    #[napi(constructor, catch_unwind)]
    pub fn new(
        policy: JsAccountPolicy,
        seed: BigInt,
        now_ms: f64,
        wall_ms: f64,
        snapshot: Option<&[u8]>,
    ) -> Result<Self> {
        let (_, seed, _) = seed.get_u64();
        let (now_ms, wall_ms) = (whole(now_ms, "nowMs")?, whole(wall_ms, "wallMs")?);
        let account = match snapshot {
            Some(snapshot) => Account::restore(policy.read()?, snapshot, now_ms, wall_ms, seed),
            None => Account::new(policy.read()?, seed),
        };
        Ok(Self(account.map_err(|error| config_error(&error))?))
    }

    /// Adds a session, and gives its key.
    #[napi(catch_unwind)]
    pub fn add(&mut self, settings: JsSettings, policy: JsPolicy) -> Result<u32> {
        let mut config = SessionConfig::new(settings.read()?);
        policy.apply(&mut config)?;
        let key = self.0.add(config).map_err(|error| config_error(&error))?;
        Ok(key.number())
    }

    #[napi(catch_unwind)]
    pub fn want<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        session: f64,
    ) -> Result<JsAccountPlan<'env>> {
        let session = key(session)?;
        self.handle(env, now_ms, Fact::Want { session })
    }

    #[napi(catch_unwind)]
    pub fn no_longer<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        session: f64,
    ) -> Result<JsAccountPlan<'env>> {
        let session = key(session)?;
        self.handle(env, now_ms, Fact::NoLonger { session })
    }

    #[napi(catch_unwind)]
    pub fn let_go<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        ticket: f64,
    ) -> Result<JsAccountPlan<'env>> {
        let ticket = whole(ticket, "ticket")?;
        self.handle(env, now_ms, Fact::LetGo { ticket })
    }

    #[napi(catch_unwind)]
    pub fn remove<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        session: f64,
    ) -> Result<JsAccountPlan<'env>> {
        let session = key(session)?;
        self.handle(env, now_ms, Fact::Remove { session })
    }

    #[napi(catch_unwind)]
    pub fn close<'env>(&mut self, env: &'env Env, now_ms: f64) -> Result<JsAccountPlan<'env>> {
        self.handle(env, now_ms, Fact::Close)
    }

    #[napi(catch_unwind)]
    pub fn retry<'env>(&mut self, env: &'env Env, now_ms: f64) -> Result<JsAccountPlan<'env>> {
        self.handle(env, now_ms, Fact::Retry)
    }

    #[napi(catch_unwind)]
    pub fn network_lost<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
    ) -> Result<JsAccountPlan<'env>> {
        self.handle(env, now_ms, Fact::NetworkLost)
    }

    #[napi(catch_unwind)]
    pub fn network_back<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
    ) -> Result<JsAccountPlan<'env>> {
        self.handle(env, now_ms, Fact::NetworkBack)
    }

    #[napi(catch_unwind)]
    pub fn slept<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        ms: f64,
    ) -> Result<JsAccountPlan<'env>> {
        let ms = whole(ms, "ms")?;
        self.handle(env, now_ms, Fact::Slept { ms })
    }

    #[napi(catch_unwind)]
    pub fn tick<'env>(&mut self, env: &'env Env, now_ms: f64) -> Result<JsAccountPlan<'env>> {
        self.handle(env, now_ms, Fact::Tick)
    }

    #[napi(catch_unwind)]
    pub fn opened<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        ticket: f64,
    ) -> Result<JsAccountPlan<'env>> {
        let ticket = whole(ticket, "ticket")?;
        self.handle(env, now_ms, Fact::Opened { ticket })
    }

    #[napi(catch_unwind)]
    pub fn secured<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        ticket: f64,
    ) -> Result<JsAccountPlan<'env>> {
        let ticket = whole(ticket, "ticket")?;
        self.handle(env, now_ms, Fact::Secured { ticket })
    }

    #[napi(catch_unwind)]
    pub fn ended<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        ticket: f64,
        problem: Option<JsProblem>,
    ) -> Result<JsAccountPlan<'env>> {
        let ticket = whole(ticket, "ticket")?;
        let failure = problem
            .map(|problem| {
                Ok::<_, napi::Error>(Failure::of_host(cause(&problem.cause)?, problem.detail))
            })
            .transpose()?;
        self.handle(env, now_ms, Fact::Ended { ticket, failure })
    }

    #[napi(catch_unwind)]
    pub fn answered<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        ticket: f64,
    ) -> Result<JsAccountPlan<'env>> {
        let ticket = whole(ticket, "ticket")?;
        self.handle(env, now_ms, Fact::Answered { ticket })
    }

    #[napi(catch_unwind)]
    pub fn token<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        request: f64,
        token: &JsAccessToken,
        lives_ms: Option<f64>,
    ) -> Result<JsAccountPlan<'env>> {
        let request = whole(request, "request")?;
        let lives_ms = optional_whole(lives_ms, "livesMs")?;
        self.handle(env, now_ms, Fact::Token { request, token: token.0.clone(), lives_ms })
    }

    #[napi(catch_unwind)]
    pub fn no_token<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        request: f64,
        why: String,
        text: String,
    ) -> Result<JsAccountPlan<'env>> {
        let request = whole(request, "request")?;
        let why = one_of(NoToken::ALL, |one| one.as_str(), &why, "why")?;
        self.handle(env, now_ms, Fact::NoToken { request, why, text })
    }

    /// Takes what one read of a connection brought.
    #[napi(catch_unwind)]
    pub fn receive<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        ticket: f64,
        data: &[u8],
    ) -> Result<JsAccountPlan<'env>> {
        let (now_ms, ticket) = (whole(now_ms, "nowMs")?, whole(ticket, "ticket")?);
        let plan = self.0.receive(now_ms, ticket, data).map_err(|error| misuse(&error))?;
        JsAccountPlan::new(env, plan)
    }

    /// Octets of content that were passed by.
    #[napi(catch_unwind)]
    pub fn skipped(&mut self, ticket: f64, octets: f64) -> Result<()> {
        self.0.skipped(whole(ticket, "ticket")?, whole(octets, "octets")?);
        Ok(())
    }

    /// Octets that the mail client wrote.
    #[napi(catch_unwind)]
    pub fn sent(&mut self, ticket: f64, data: &[u8]) -> Result<()> {
        self.0.sent(whole(ticket, "ticket")?, data);
        Ok(())
    }

    #[napi(catch_unwind)]
    pub fn redact(&self, text: String) -> String {
        self.0.redact(&text)
    }

    #[napi(catch_unwind)]
    pub fn is_quiet(&self, ticket: f64) -> Result<bool> {
        Ok(self.0.is_quiet(whole(ticket, "ticket")?))
    }

    #[napi(catch_unwind)]
    pub fn is_delivering(&self, ticket: f64) -> Result<bool> {
        Ok(self.0.is_delivering(whole(ticket, "ticket")?))
    }

    #[napi(catch_unwind)]
    pub fn standing(&self, session: f64) -> Result<Option<&'static str>> {
        Ok(self.0.standing(key(session)?).map(|standing| standing.as_str()))
    }

    #[napi(catch_unwind)]
    pub fn status(&self) -> JsAccountStatus {
        self.0.status().into()
    }

    #[napi(catch_unwind)]
    pub fn snapshot<'env>(&self, env: &'env Env, wall_ms: f64) -> Result<BufferSlice<'env>> {
        octets(env, &self.0.snapshot(whole(wall_ms, "wallMs")?))
    }
}

impl JsAccount {
    fn handle<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        fact: Fact,
    ) -> Result<JsAccountPlan<'env>> {
        let now_ms = whole(now_ms, "nowMs")?;
        let plan = self.0.handle(now_ms, fact).map_err(|error| misuse(&error))?;
        JsAccountPlan::new(env, plan)
    }
}

/// What no key reaches is no session's.
fn key(session: f64) -> Result<SessionKey> {
    let number = whole(session, "session")?;
    Ok(SessionKey::new(u32::try_from(number).unwrap_or(u32::MAX)))
}

/// How an account stands.
#[napi(object, object_from_js = false)]
pub struct JsAccountStatus {
    pub sessions: Vec<JsSessionStatus>,
    pub asks_for_token: bool,
    pub token_failure: Option<JsFailure>,
    pub token_retry_at_ms: Option<f64>,
    pub stops: Vec<JsFailure>,
}

impl From<AccountStatus> for JsAccountStatus {
    fn from(status: AccountStatus) -> Self {
        Self {
            sessions: status.sessions.into_iter().map(Into::into).collect(),
            asks_for_token: status.asks_for_token,
            token_failure: status.token_failure.map(Into::into),
            token_retry_at_ms: status.token_retry_at_ms.map(number),
            stops: status.stops.into_iter().map(Into::into).collect(),
        }
    }
}

/// How one session of an account stands.
#[napi(object, object_from_js = false)]
pub struct JsSessionStatus {
    pub session: u32,
    pub protocol: &'static str,
    pub standing: &'static str,
    pub is_wanted: bool,
    pub given: Option<f64>,
    pub status: JsStatus,
}

impl From<SessionStatus> for JsSessionStatus {
    fn from(status: SessionStatus) -> Self {
        Self {
            session: status.session.number(),
            protocol: status.protocol.as_str(),
            standing: status.standing.as_str(),
            is_wanted: status.is_wanted,
            given: status.given.map(number),
            status: status.status.into(),
        }
    }
}
