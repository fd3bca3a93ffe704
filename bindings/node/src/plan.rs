//! What comes out of an `Account`: orders, deliveries and events, as plain objects. Fields of other kinds are left out.

use mailbearer::{AccountEvent, AccountPlan, Delivery, Given, Order, Raise};
use napi::bindgen_prelude::BufferSlice;
use napi::{Env, Result};
use napi_derive::napi;

use crate::convert::{number, octets};
use crate::pure::JsAccessToken;
use crate::types::{JsAftermath, JsFailure, JsVerdict};

/// What the host does, what it shows to the program, and when it comes back. Lists with nothing in them are left out:
/// most reads bring nothing, and an empty array costs as much as the call.
#[napi(object, object_from_js = false)]
pub struct JsAccountPlan<'env> {
    pub orders: Option<Vec<JsOrder<'env>>>,
    pub deliveries: Option<Vec<JsDelivery<'env>>>,
    pub wake_at_ms: Option<f64>,
    pub skip: f64,
}

impl<'env> JsAccountPlan<'env> {
    pub(crate) fn new(env: &'env Env, plan: AccountPlan) -> Result<Self> {
        let AccountPlan { orders, deliveries, wake_at_ms, skip } = plan;
        let orders = (!orders.is_empty())
            .then(|| orders.into_iter().map(|order| JsOrder::new(env, order)).collect())
            .transpose()?;
        let deliveries = (!deliveries.is_empty())
            .then(|| deliveries.into_iter().map(|one| JsDelivery::new(env, one)).collect())
            .transpose()?;
        Ok(Self { orders, deliveries, wake_at_ms: wake_at_ms.map(number), skip: number(skip) })
    }
}

/// An order.
#[napi(object, object_from_js = false)]
pub struct JsOrder<'env> {
    pub kind: &'static str,
    pub request: Option<f64>,
    pub force: Option<bool>,
    pub refused: Option<JsAccessToken>,
    pub ticket: Option<f64>,
    pub session: Option<u32>,
    pub attempt: Option<u32>,
    pub bytes: Option<BufferSlice<'env>>,
    pub sensitive: Option<bool>,
    pub by_ms: Option<f64>,
}

impl<'env> JsOrder<'env> {
    fn new(env: &'env Env, order: Order) -> Result<Self> {
        let none = |kind| Self {
            kind,
            request: None,
            force: None,
            refused: None,
            ticket: None,
            session: None,
            attempt: None,
            bytes: None,
            sensitive: None,
            by_ms: None,
        };
        let of = |kind, ticket| Self { ticket: Some(number(ticket)), ..none(kind) };
        Ok(match order {
            Order::FetchToken { request, force, refused } => Self {
                request: Some(number(request)),
                force: Some(force),
                refused: refused.map(JsAccessToken),
                ..none("fetch_token")
            },
            Order::Open { ticket, session, attempt } => Self {
                session: Some(session.number()),
                attempt: Some(attempt),
                ..of("open", ticket)
            },
            Order::StartTls { ticket } => of("start_tls", ticket),
            Order::Send { ticket, bytes, sensitive } => Self {
                bytes: Some(octets(env, &bytes)?),
                sensitive: Some(sensitive),
                ..of("send", ticket)
            },
            Order::Pause { ticket } => of("pause", ticket),
            Order::KeepAlive { ticket, by_ms } => {
                Self { by_ms: Some(number(by_ms)), ..of("keep_alive", ticket) }
            }
            Order::Probe { ticket, by_ms } => {
                Self { by_ms: Some(number(by_ms)), ..of("probe", ticket) }
            }
            Order::Close { ticket } => of("close", ticket),
        })
    }
}

/// What the program sees. The `kind` of a failure that is raised, or of an event, is its `what`.
#[napi(object, object_from_js = false)]
pub struct JsDelivery<'env> {
    pub kind: &'static str,
    pub what: Option<&'static str>,
    pub session: Option<u32>,
    pub ticket: Option<f64>,
    pub generation: Option<f64>,
    pub mechanism: Option<&'static str>,
    pub capabilities: Option<Vec<String>>,
    pub leftover: Option<BufferSlice<'env>>,
    pub resumed: Option<JsAftermath>,
    pub by_ms: Option<f64>,
    pub why: Option<&'static str>,
    pub verdict: Option<JsVerdict>,
    pub aftermath: Option<JsAftermath>,
    pub failure: Option<JsFailure>,
    pub request: Option<f64>,
    pub cause: Option<&'static str>,
    pub text: Option<String>,
    pub wait_ms: Option<f64>,
}

impl<'env> JsDelivery<'env> {
    const fn none(kind: &'static str) -> Self {
        Self {
            kind,
            what: None,
            session: None,
            ticket: None,
            generation: None,
            mechanism: None,
            capabilities: None,
            leftover: None,
            resumed: None,
            by_ms: None,
            why: None,
            verdict: None,
            aftermath: None,
            failure: None,
            request: None,
            cause: None,
            text: None,
            wait_ms: None,
        }
    }

    fn new(env: &'env Env, delivery: Delivery) -> Result<Self> {
        Ok(match delivery {
            Delivery::Give(given) => Self::give(env, *given)?,
            Delivery::Raise(raise) => Self::raise(*raise),
            Delivery::End { session } => {
                Self { session: Some(session.number()), ..Self::none("end") }
            }
            Delivery::Renew { session, ticket, by_ms, why } => Self {
                session: Some(session.number()),
                ticket: Some(number(ticket)),
                by_ms: Some(number(by_ms)),
                why: Some(why.as_str()),
                ..Self::none("renew")
            },
            Delivery::Over { session, ticket, verdict, aftermath } => Self {
                session: Some(session.number()),
                ticket: Some(number(ticket)),
                verdict: Some(verdict.into()),
                aftermath: aftermath.map(Into::into),
                ..Self::none("over")
            },
            Delivery::Event(event) => Self::event(*event),
        })
    }

    fn give(env: &'env Env, given: Given) -> Result<Self> {
        Ok(Self {
            session: Some(given.session.number()),
            ticket: Some(number(given.ticket)),
            generation: Some(number(given.generation)),
            mechanism: given.mechanism.map(|mechanism| mechanism.as_str()),
            leftover: Some(octets(env, &given.leftover)?),
            capabilities: Some(given.capabilities),
            resumed: given.resumed.map(Into::into),
            ..Self::none("give")
        })
    }

    fn raise(raise: Raise) -> Self {
        Self {
            what: Some(raise.kind.as_str()),
            session: Some(raise.session.number()),
            request: raise.request.map(number),
            ticket: raise.ticket.map(number),
            failure: Some(raise.failure.into()),
            ..Self::none("raise")
        }
    }

    fn event(event: AccountEvent) -> Self {
        Self {
            what: Some(event.kind.as_str()),
            session: event.session.map(mailbearer::SessionKey::number),
            ticket: event.ticket.map(number),
            request: event.request.map(number),
            generation: event.generation.map(number),
            cause: event.cause.map(|cause| cause.as_str()),
            text: Some(event.text).filter(|text| !text.is_empty()),
            wait_ms: event.wait_ms.map(number),
            ..Self::none("event")
        }
    }
}
