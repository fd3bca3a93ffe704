//! Records that the machines hand out, as plain objects.

use mailbearer::{Aftermath, Certainty, Failure, Mailbox, Rejection, Verdict};
use napi::bindgen_prelude::{BigInt, BufferSlice};
use napi::{Env, Result};
use napi_derive::napi;

use crate::convert::{cause, number, octets};

#[napi(object, object_from_js = false)]
pub struct JsRejection {
    pub status: Option<String>,
    pub scope: Option<String>,
    pub schemes: Option<String>,
    pub openid_configuration: Option<String>,
}

#[napi(object, object_from_js = false)]
pub struct JsFailure {
    pub cause: &'static str,
    pub advice: &'static str,
    pub certainty: &'static str,
    pub server_text: String,
    pub code: Option<String>,
    pub rejection: Option<JsRejection>,
    pub wait_ms: Option<f64>,
    pub url: Option<String>,
    pub detail: String,
    pub sentence: String,
}

#[napi(object, object_from_js = false)]
pub struct JsVerdict {
    pub cause: &'static str,
    pub advice: &'static str,
    pub certainty: &'static str,
    pub rule: &'static str,
    pub wait_ms: Option<f64>,
    pub url: Option<String>,
}

#[napi(object, object_from_js = false)]
pub struct JsMailbox {
    pub name: String,
    pub read_only: bool,
    pub uid_validity: Option<u32>,
    pub uid_next: Option<u32>,
    pub highest_mod_seq: Option<BigInt>,
}

#[napi(object, object_from_js = false)]
pub struct JsAftermath {
    pub protocol: &'static str,
    pub selected: Option<JsMailbox>,
    pub idling: Option<bool>,
    pub unanswered: Option<Vec<String>>,
    pub uncommitted_deletes: Option<Vec<u32>>,
    pub submission: Option<&'static str>,
}

#[napi(object, object_from_js = false)]
pub struct JsAuthenticated<'env> {
    pub mechanism: &'static str,
    pub capabilities: Vec<String>,
    pub leftover: BufferSlice<'env>,
}

impl<'env> JsAuthenticated<'env> {
    pub(crate) fn new(env: &'env Env, authenticated: mailbearer::Authenticated) -> Result<Self> {
        Ok(Self {
            mechanism: authenticated.mechanism.as_str(),
            leftover: octets(env, &authenticated.leftover)?,
            capabilities: authenticated.capabilities,
        })
    }
}

impl From<Rejection> for JsRejection {
    fn from(rejection: Rejection) -> Self {
        Self {
            status: rejection.status,
            scope: rejection.scope,
            schemes: rejection.schemes,
            openid_configuration: rejection.openid_configuration,
        }
    }
}

impl From<Failure> for JsFailure {
    fn from(failure: Failure) -> Self {
        Self {
            sentence: failure.to_string(),
            cause: failure.cause.as_str(),
            advice: failure.advice.as_str(),
            certainty: failure.certainty.as_str(),
            server_text: failure.server_text,
            code: failure.code,
            rejection: failure.rejection.map(Into::into),
            wait_ms: failure.wait_ms.map(number),
            url: failure.url,
            detail: failure.detail.into_owned(),
        }
    }
}

impl From<Verdict> for JsVerdict {
    fn from(verdict: Verdict) -> Self {
        Self {
            cause: verdict.cause.as_str(),
            advice: verdict.advice.as_str(),
            certainty: verdict.certainty.as_str(),
            rule: verdict.rule,
            wait_ms: verdict.wait_ms.map(number),
            url: verdict.url,
        }
    }
}

impl From<Mailbox> for JsMailbox {
    fn from(mailbox: Mailbox) -> Self {
        Self {
            name: mailbox.name,
            read_only: mailbox.read_only,
            uid_validity: mailbox.uid_validity,
            uid_next: mailbox.uid_next,
            highest_mod_seq: mailbox.highest_mod_seq.map(BigInt::from),
        }
    }
}

impl From<Aftermath> for JsAftermath {
    fn from(aftermath: Aftermath) -> Self {
        let none = Self {
            protocol: "imap",
            selected: None,
            idling: None,
            unanswered: None,
            uncommitted_deletes: None,
            submission: None,
        };
        match aftermath {
            Aftermath::Imap { selected, idling, unanswered } => Self {
                selected: selected.map(Into::into),
                idling: Some(idling),
                unanswered: Some(unanswered),
                ..none
            },
            Aftermath::Pop3 { uncommitted_deletes } => {
                Self { protocol: "pop3", uncommitted_deletes: Some(uncommitted_deletes), ..none }
            }
            Aftermath::Smtp { submission } => {
                Self { protocol: "smtp", submission: Some(submission.as_str()), ..none }
            }
        }
    }
}

/// A failure that the host saw: of a deadline, of the token source, of the connection.
#[napi(catch_unwind)]
pub fn failure_of_host(cause_name: String, detail: String) -> Result<JsFailure> {
    Ok(Failure::of_host(cause(&cause_name)?, detail).into())
}

/// A connection that could not be opened: the system's name for it, and its words.
#[napi(catch_unwind)]
pub fn failure_of_connect(error: String, words: String) -> JsFailure {
    Failure::of_connect(&error, &words).into()
}

/// A TLS handshake that failed: OpenSSL's name for it, and what is told.
#[napi(catch_unwind)]
pub fn failure_of_tls(error: String, words: String) -> JsFailure {
    Failure::of_tls(&error, &words).into()
}

/// A certificate that fails: OpenSSL's reason, and its DER.
#[napi(catch_unwind)]
pub fn failure_of_certificate(reason: String, certificate: &[u8]) -> JsFailure {
    Failure::of_certificate(&reason, certificate).into()
}

/// What the host saw of the end of a session.
#[napi(catch_unwind)]
pub fn verdict_of_host(cause_name: String) -> Result<JsVerdict> {
    Ok(Verdict::of_host(cause(&cause_name)?).into())
}

/// Every cause, advice and certainty that there is.
#[napi(catch_unwind)]
pub fn spellings() -> Spellings {
    Spellings {
        causes: mailbearer::Cause::ALL.iter().map(|one| one.as_str()).collect(),
        advices: mailbearer::Advice::ALL.iter().map(|one| one.as_str()).collect(),
        certainties: Certainty::ALL.iter().map(|one| one.as_str()).collect(),
        version: env!("CARGO_PKG_VERSION"),
    }
}

#[napi(object, object_from_js = false)]
pub struct Spellings {
    pub causes: Vec<&'static str>,
    pub advices: Vec<&'static str>,
    pub certainties: Vec<&'static str>,
    pub version: &'static str,
}
