//! `Negotiation`, `Watch` and `Transcript`.

use mailbearer::{Misuse, Next, TraceLine, Transcript};
use napi::bindgen_prelude::BufferSlice;
use napi::{Env, Result};
use napi_derive::napi;

use crate::convert::{config_error, misuse, named, number, octets, whole};
use crate::pure::JsAccessToken;
use crate::settings::JsSettings;
use crate::types::{JsAftermath, JsAuthenticated, JsFailure, JsVerdict};

/// What the host does next.
#[napi(object, object_from_js = false)]
pub struct JsStep<'env> {
    pub send: BufferSlice<'env>,
    pub sensitive: bool,
    pub next: &'static str,
    pub authenticated: Option<JsAuthenticated<'env>>,
    pub failure: Option<JsFailure>,
}

impl<'env> JsStep<'env> {
    fn new(env: &'env Env, step: std::result::Result<mailbearer::Step, Misuse>) -> Result<Self> {
        let step = step.map_err(|error| misuse(&error))?;
        let send = octets(env, &step.send)?;
        let (next, authenticated, failure) = match step.next {
            Next::Read => ("read", None, None),
            Next::StartTls => ("start_tls", None, None),
            Next::Done(authenticated) => {
                ("done", Some(JsAuthenticated::new(env, authenticated)?), None)
            }
            Next::Failed(failure) => ("failed", None, Some(failure.into())),
        };
        Ok(Self { send, sensitive: step.sensitive, next, authenticated, failure })
    }
}

/// From the greeting to authenticated: octets in, one step out.
#[napi(js_name = "NativeNegotiation")]
pub struct JsNegotiation(mailbearer::Negotiation);

#[napi]
impl JsNegotiation {
    #[napi(constructor, catch_unwind)]
    pub fn new(settings: JsSettings, token: &JsAccessToken) -> Result<Self> {
        let negotiation = mailbearer::Negotiation::new(settings.read()?, token.0.clone());
        Ok(Self(negotiation.map_err(|error| config_error(&error))?))
    }

    #[napi(catch_unwind)]
    pub fn receive<'env>(&mut self, env: &'env Env, data: &[u8]) -> Result<JsStep<'env>> {
        JsStep::new(env, self.0.receive(data))
    }

    #[napi(catch_unwind)]
    pub fn tls_established<'env>(&mut self, env: &'env Env) -> Result<JsStep<'env>> {
        JsStep::new(env, self.0.tls_established())
    }

    #[napi(catch_unwind)]
    pub fn closed<'env>(&mut self, env: &'env Env) -> Result<JsStep<'env>> {
        JsStep::new(env, self.0.closed())
    }

    #[napi(catch_unwind)]
    pub fn redact(&self, text: String) -> String {
        self.0.redact(&text)
    }

    #[napi(catch_unwind)]
    pub fn state(&self) -> &'static str {
        self.0.state().as_str()
    }
}

#[napi(object, object_from_js = false)]
pub struct JsSighting {
    pub ending: Option<JsVerdict>,
    pub skip: f64,
}

/// After login: says when the server ends the session, and what was in flight.
#[napi(js_name = "NativeWatch")]
pub struct JsWatch(mailbearer::Watch);

#[napi]
impl JsWatch {
    #[napi(constructor, catch_unwind)]
    pub fn new(protocol: String) -> Result<Self> {
        Ok(Self(mailbearer::Watch::new(named(&protocol)?)))
    }

    #[napi(catch_unwind)]
    pub fn received(&mut self, data: &[u8]) -> JsSighting {
        let sighting = self.0.received(data);
        JsSighting { ending: sighting.ending.map(Into::into), skip: number(sighting.skip) }
    }

    #[napi(catch_unwind)]
    pub fn skipped(&mut self, octets: f64) -> Result<()> {
        self.0.skipped(whole(octets, "octets")?);
        Ok(())
    }

    #[napi(catch_unwind)]
    pub fn sent(&mut self, data: &[u8]) {
        self.0.sent(data);
    }

    #[napi(catch_unwind)]
    pub fn closed(&mut self) -> JsVerdict {
        self.0.closed().into()
    }

    #[napi(catch_unwind)]
    pub fn aftermath(&self) -> JsAftermath {
        self.0.aftermath().into()
    }

    #[napi(catch_unwind)]
    pub fn is_quiet(&self) -> bool {
        self.0.is_quiet()
    }
}

/// A line of a dialogue, without the token.
#[napi(object, object_from_js = false)]
pub struct JsTraceLine {
    pub side: &'static str,
    pub text: String,
}

impl From<TraceLine> for JsTraceLine {
    fn from(line: TraceLine) -> Self {
        Self { side: line.side.as_str(), text: line.text }
    }
}

/// The dialogue of one connection as lines to show.
#[napi(js_name = "NativeTranscript")]
pub struct JsTranscript(Transcript);

#[napi]
impl JsTranscript {
    #[napi(constructor, catch_unwind)]
    pub fn new(token: &JsAccessToken) -> Self {
        Self(Transcript::new(&token.0))
    }

    #[napi(catch_unwind)]
    pub fn sent(&mut self, data: &[u8], sensitive: bool) -> Vec<JsTraceLine> {
        self.0.sent(data, sensitive).into_iter().map(Into::into).collect()
    }

    #[napi(catch_unwind)]
    pub fn received(&mut self, data: &[u8]) -> Vec<JsTraceLine> {
        self.0.received(data).into_iter().map(Into::into).collect()
    }

    #[napi(catch_unwind)]
    pub fn flush(&mut self) -> Vec<JsTraceLine> {
        self.0.flush().into_iter().map(Into::into).collect()
    }
}
