//! `Follow`.

use mailbearer::{Cursor, Follow, FollowConfig, FollowEvent, FollowPlan};
use napi::bindgen_prelude::BufferSlice;
use napi::{Env, Result};
use napi_derive::napi;

use crate::convert::{config_error, number, octets, optional_whole, whole};

/// How a mailbox is followed.
#[napi(object, object_to_js = false)]
pub struct JsFollowOptions {
    pub mailbox: Option<String>,
    pub since: Option<String>,
    pub read_only: Option<bool>,
    pub tells_messages: Option<bool>,
    pub has_idle: Option<bool>,
    pub reissue_ms: Option<f64>,
    pub poll_ms: Option<f64>,
    pub answer_ms: Option<f64>,
    pub first_tag: Option<u32>,
}

/// What to write, what happened, and when to come back.
#[napi(object, object_from_js = false)]
pub struct JsFollowPlan<'env> {
    pub data: BufferSlice<'env>,
    pub events: Vec<JsFollowEvent>,
    pub wake_at_ms: Option<f64>,
}

/// Something that happened in the mailbox.
#[napi(object, object_from_js = false)]
pub struct JsFollowEvent {
    pub kind: &'static str,
    pub uids: Option<Vec<u32>>,
    pub cursor: Option<String>,
    pub exists: Option<u32>,
    pub expunged: Option<Vec<u32>>,
    pub flagged: Option<Vec<u32>>,
    pub code: Option<String>,
    pub text: Option<String>,
}

impl From<FollowEvent> for JsFollowEvent {
    fn from(event: FollowEvent) -> Self {
        let none = |kind| Self {
            kind,
            uids: None,
            cursor: None,
            exists: None,
            expunged: None,
            flagged: None,
            code: None,
            text: None,
        };
        match event {
            FollowEvent::Messages { uids, cursor } => {
                Self { uids: Some(uids), cursor: Some(cursor.to_string()), ..none("messages") }
            }
            FollowEvent::Reset { cursor } => {
                Self { cursor: Some(cursor.to_string()), ..none("reset") }
            }
            FollowEvent::Changed { exists, expunged, flagged } => {
                Self { exists, expunged: Some(expunged), flagged: Some(flagged), ..none("changed") }
            }
            FollowEvent::Free => none("free"),
            FollowEvent::Refused { code, text } => {
                Self { code, text: Some(text), ..none("refused") }
            }
            FollowEvent::Late => none("late"),
        }
    }
}

/// Follows one mailbox of an IMAP connection that is logged in.
#[napi(js_name = "NativeFollow")]
pub struct JsFollow(Follow);

#[napi]
impl JsFollow {
    #[napi(constructor, catch_unwind)]
    pub fn new(options: JsFollowOptions) -> Result<Self> {
        let since = options.since.map(|text| text.parse::<Cursor>()).transpose();
        let usual = FollowConfig::changes();
        let config = FollowConfig {
            mailbox: options.mailbox,
            read_only: options.read_only.unwrap_or(usual.read_only),
            since: since.map_err(|error| config_error(&error))?,
            tells_messages: options.tells_messages.unwrap_or(usual.tells_messages),
            has_idle: options.has_idle.unwrap_or(usual.has_idle),
            reissue_ms: optional_whole(options.reissue_ms, "reissueMs")?
                .unwrap_or(usual.reissue_ms),
            poll_ms: optional_whole(options.poll_ms, "pollMs")?.unwrap_or(usual.poll_ms),
            answer_ms: optional_whole(options.answer_ms, "answerMs")?.unwrap_or(usual.answer_ms),
        };
        Ok(Self(Follow::new(config, options.first_tag.unwrap_or(0))))
    }

    #[napi(catch_unwind)]
    pub fn start<'env>(&mut self, env: &'env Env, now_ms: f64) -> Result<JsFollowPlan<'env>> {
        plan(env, self.0.start(whole(now_ms, "nowMs")?))
    }

    #[napi(catch_unwind)]
    pub fn receive<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        data: &[u8],
    ) -> Result<JsFollowPlan<'env>> {
        plan(env, self.0.receive(whole(now_ms, "nowMs")?, data))
    }

    #[napi(catch_unwind)]
    pub fn resume<'env>(&mut self, env: &'env Env, now_ms: f64) -> Result<JsFollowPlan<'env>> {
        plan(env, self.0.resume(whole(now_ms, "nowMs")?))
    }

    #[napi(catch_unwind)]
    pub fn interrupt<'env>(&mut self, env: &'env Env, now_ms: f64) -> Result<JsFollowPlan<'env>> {
        plan(env, self.0.interrupt(whole(now_ms, "nowMs")?))
    }

    #[napi(catch_unwind)]
    pub fn tick<'env>(&mut self, env: &'env Env, now_ms: f64) -> Result<JsFollowPlan<'env>> {
        plan(env, self.0.tick(whole(now_ms, "nowMs")?))
    }

    #[napi(getter, catch_unwind)]
    pub fn state(&self) -> &'static str {
        self.0.state().as_str()
    }

    #[napi(getter, catch_unwind)]
    pub fn tags(&self) -> u32 {
        self.0.tags()
    }

    #[napi(getter, catch_unwind)]
    pub fn cursor(&self) -> Option<String> {
        self.0.cursor().map(|cursor| cursor.to_string())
    }
}

fn plan(env: &Env, plan: FollowPlan) -> Result<JsFollowPlan<'_>> {
    Ok(JsFollowPlan {
        data: octets(env, &plan.bytes)?,
        events: plan.events.into_iter().map(Into::into).collect(),
        wake_at_ms: plan.wake_at_ms.map(number),
    })
}
