//! `Session`.

use mailbearer::{Action, Input, Misuse, Plan, SessionConfig, Status};
use napi::bindgen_prelude::{BigInt, BufferSlice};
use napi::{Env, Result};
use napi_derive::napi;

use crate::convert::{cause, config_error, misuse, number, octets, optional_whole, whole};
use crate::pure::JsAccessToken;
use crate::settings::{JsPolicy, JsSettings};
use crate::types::{JsAftermath, JsFailure, JsVerdict};

/// Orders, and when to come back.
#[napi(object, object_from_js = false)]
pub struct JsPlan<'env> {
    pub actions: Vec<JsAction<'env>>,
    pub wake_at_ms: Option<f64>,
    pub wake_reason: Option<&'static str>,
    pub skip: f64,
}

/// An order. Fields of other orders are left out.
#[napi(object, object_from_js = false)]
pub struct JsAction<'env> {
    pub kind: &'static str,
    pub ticket: Option<f64>,
    pub request: Option<f64>,
    pub why: Option<&'static str>,
    pub force_refresh: Option<bool>,
    pub attempt: Option<u32>,
    pub bytes: Option<BufferSlice<'env>>,
    pub sensitive: Option<bool>,
    pub generation: Option<f64>,
    pub mechanism: Option<&'static str>,
    pub capabilities: Option<Vec<String>>,
    pub leftover: Option<BufferSlice<'env>>,
    pub resumed: Option<JsAftermath>,
    pub by_ms: Option<f64>,
    pub cause: Option<&'static str>,
    pub failure: Option<JsFailure>,
}

impl<'env> JsAction<'env> {
    fn new(env: &'env Env, action: Action) -> Result<Self> {
        let none = |kind| Self {
            kind,
            ticket: None,
            request: None,
            why: None,
            force_refresh: None,
            attempt: None,
            bytes: None,
            sensitive: None,
            generation: None,
            mechanism: None,
            capabilities: None,
            leftover: None,
            resumed: None,
            by_ms: None,
            cause: None,
            failure: None,
        };
        Ok(match action {
            Action::FetchToken { request, why, force_refresh } => Self {
                request: Some(number(request)),
                why: Some(why.as_str()),
                force_refresh: Some(force_refresh),
                ..none("fetch_token")
            },
            Action::Connect { ticket, attempt } => {
                Self { ticket: Some(number(ticket)), attempt: Some(attempt), ..none("connect") }
            }
            Action::Send { ticket, bytes, sensitive } => Self {
                ticket: Some(number(ticket)),
                bytes: Some(octets(env, &bytes)?),
                sensitive: Some(sensitive),
                ..none("send")
            },
            Action::StartTls { ticket } => {
                Self { ticket: Some(number(ticket)), ..none("start_tls") }
            }
            Action::Online { ticket, generation, mechanism, capabilities, leftover, resumed } => {
                Self {
                    ticket: Some(number(ticket)),
                    generation: Some(number(generation)),
                    mechanism: mechanism.map(|mechanism| mechanism.as_str()),
                    capabilities: Some(capabilities),
                    leftover: Some(octets(env, &leftover)?),
                    resumed: resumed.map(Into::into),
                    ..none("online")
                }
            }
            Action::Renew { ticket, by_ms, why } => Self {
                ticket: Some(number(ticket)),
                by_ms: Some(number(by_ms)),
                why: Some(why.as_str()),
                ..none("renew")
            },
            Action::Close { ticket, cause } => {
                Self { ticket: Some(number(ticket)), cause: Some(cause.as_str()), ..none("close") }
            }
            Action::NeedsUser(failure) => {
                Self { failure: Some(failure.into()), ..none("needs_user") }
            }
            Action::GiveUp(failure) => Self { failure: Some(failure.into()), ..none("give_up") },
        })
    }
}

/// Keeps one mailbox connection logged in.
#[napi(js_name = "NativeSession")]
pub struct JsSession(mailbearer::Session);

#[napi]
impl JsSession {
    #[napi(constructor, catch_unwind)]
    pub fn new(
        settings: JsSettings,
        policy: JsPolicy,
        seed: BigInt,
        now_ms: f64,
        snapshot: Option<&[u8]>,
    ) -> Result<Self> {
        let mut config = SessionConfig::new(settings.read()?);
        policy.apply(&mut config)?;
        let (_, seed, _) = seed.get_u64();
        let session = match snapshot {
            Some(snapshot) => {
                mailbearer::Session::restore(config, snapshot, whole(now_ms, "nowMs")?, seed)
            }
            None => mailbearer::Session::new(config, seed),
        };
        Ok(Self(session.map_err(|error| config_error(&error))?))
    }

    #[napi(catch_unwind)]
    pub fn start<'env>(&mut self, env: &'env Env, now_ms: f64) -> Result<JsPlan<'env>> {
        self.handle(env, now_ms, Input::Start)
    }

    #[napi(catch_unwind)]
    pub fn stop<'env>(&mut self, env: &'env Env, now_ms: f64) -> Result<JsPlan<'env>> {
        self.handle(env, now_ms, Input::Stop)
    }

    #[napi(catch_unwind)]
    pub fn tick<'env>(&mut self, env: &'env Env, now_ms: f64) -> Result<JsPlan<'env>> {
        self.handle(env, now_ms, Input::Tick)
    }

    #[napi(catch_unwind)]
    pub fn woke<'env>(&mut self, env: &'env Env, now_ms: f64) -> Result<JsPlan<'env>> {
        self.handle(env, now_ms, Input::Woke)
    }

    #[napi(catch_unwind)]
    pub fn token<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        request: f64,
        token: &JsAccessToken,
        expires_in_ms: Option<f64>,
    ) -> Result<JsPlan<'env>> {
        let request = whole(request, "request")?;
        let expires_in_ms = optional_whole(expires_in_ms, "expiresInMs")?;
        self.handle(env, now_ms, Input::Token { request, token: token.0.clone(), expires_in_ms })
    }

    #[napi(catch_unwind)]
    pub fn token_failed<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        request: f64,
        permanent: bool,
    ) -> Result<JsPlan<'env>> {
        let request = whole(request, "request")?;
        self.handle(env, now_ms, Input::TokenFailed { request, permanent })
    }

    #[napi(catch_unwind)]
    pub fn connected<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        ticket: f64,
    ) -> Result<JsPlan<'env>> {
        let ticket = whole(ticket, "ticket")?;
        self.handle(env, now_ms, Input::Connected { ticket })
    }

    #[napi(catch_unwind)]
    pub fn tls_established<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        ticket: f64,
    ) -> Result<JsPlan<'env>> {
        let ticket = whole(ticket, "ticket")?;
        self.handle(env, now_ms, Input::TlsEstablished { ticket })
    }

    #[napi(catch_unwind)]
    pub fn ended<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        ticket: f64,
        last_line: Option<String>,
        cause_name: Option<String>,
    ) -> Result<JsPlan<'env>> {
        let ticket = whole(ticket, "ticket")?;
        let cause = cause_name.as_deref().map(cause).transpose()?;
        self.handle(env, now_ms, Input::Ended { ticket, last_line, cause })
    }

    #[napi(catch_unwind)]
    pub fn authenticated<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        ticket: f64,
    ) -> Result<JsPlan<'env>> {
        let ticket = whole(ticket, "ticket")?;
        self.handle(env, now_ms, Input::Authenticated { ticket })
    }

    #[napi(catch_unwind)]
    pub fn refused<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        ticket: f64,
        reply: String,
    ) -> Result<JsPlan<'env>> {
        let ticket = whole(ticket, "ticket")?;
        self.handle(env, now_ms, Input::Refused { ticket, reply })
    }

    #[napi(catch_unwind)]
    pub fn line<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        ticket: f64,
        line: String,
    ) -> Result<JsPlan<'env>> {
        let ticket = whole(ticket, "ticket")?;
        self.handle(env, now_ms, Input::Line { ticket, line })
    }

    #[napi(catch_unwind)]
    pub fn drained<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        ticket: f64,
    ) -> Result<JsPlan<'env>> {
        let ticket = whole(ticket, "ticket")?;
        self.handle(env, now_ms, Input::Drained { ticket })
    }

    /// Takes what one read of a connection brought.
    #[napi(catch_unwind)]
    pub fn receive<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        ticket: f64,
        data: &[u8],
    ) -> Result<JsPlan<'env>> {
        let (now_ms, ticket) = (whole(now_ms, "nowMs")?, whole(ticket, "ticket")?);
        plan(env, self.0.receive(now_ms, ticket, data))
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
    pub fn aftermath(&self) -> Option<JsAftermath> {
        self.0.aftermath().map(Into::into)
    }

    #[napi(catch_unwind)]
    pub fn redact(&self, text: String) -> String {
        self.0.redact(&text)
    }

    #[napi(catch_unwind)]
    pub fn is_quiet(&self) -> bool {
        self.0.is_quiet()
    }

    #[napi(catch_unwind)]
    pub fn snapshot<'env>(&self, env: &'env Env) -> Result<BufferSlice<'env>> {
        octets(env, &self.0.snapshot())
    }

    #[napi(catch_unwind)]
    pub fn status(&self) -> JsStatus {
        self.0.status().into()
    }
}

impl JsSession {
    fn handle<'env>(&mut self, env: &'env Env, now_ms: f64, input: Input) -> Result<JsPlan<'env>> {
        let now_ms = whole(now_ms, "nowMs")?;
        plan(env, self.0.handle(now_ms, input))
    }
}

fn plan(env: &Env, plan: std::result::Result<Plan, Misuse>) -> Result<JsPlan<'_>> {
    let plan = plan.map_err(|error| misuse(&error))?;
    let actions = plan.actions.into_iter().map(|action| JsAction::new(env, action));
    Ok(JsPlan {
        actions: actions.collect::<Result<Vec<_>>>()?,
        wake_at_ms: plan.wake_at_ms.map(number),
        wake_reason: plan.wake_reason.map(|reason| reason.as_str()),
        skip: number(plan.skip),
    })
}

/// How a session stands.
#[napi(object, object_from_js = false)]
pub struct JsStatus {
    pub phase: &'static str,
    pub generation: f64,
    pub ticket: Option<f64>,
    pub online_since_ms: Option<f64>,
    pub ends_at_ms: Option<f64>,
    pub retry_at_ms: Option<f64>,
    pub failures: u32,
    pub learnt_session_ms: Option<f64>,
    pub learnt_ends_with_token: Option<bool>,
    pub last_failure: Option<JsFailure>,
    pub last_ending: Option<JsVerdict>,
}

impl From<Status> for JsStatus {
    fn from(status: Status) -> Self {
        Self {
            phase: status.phase.as_str(),
            generation: number(status.generation),
            ticket: status.ticket.map(number),
            online_since_ms: status.online_since_ms.map(number),
            ends_at_ms: status.ends_at_ms.map(number),
            retry_at_ms: status.retry_at_ms.map(number),
            failures: status.failures,
            learnt_session_ms: status.learnt.session_ms.map(number),
            learnt_ends_with_token: status.learnt.ends_with_token,
            last_failure: status.last_failure.map(Into::into),
            last_ending: status.last_ending.map(Into::into),
        }
    }
}
