//! What an `Account` wants: orders, deliveries, and when to come back.

use mailbearer::{AccountPlan, Delivery, Order};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::token::PyAccessToken;
use crate::types::{PyAftermath, PyFailure, PyVerdict};

/// What the host does, what the program sees, and when to come back.
#[pyclass(frozen, get_all, name = "AccountPlan", module = "mailbearer")]
pub(crate) struct PyAccountPlan {
    orders: Vec<Py<PyOrder>>,
    deliveries: Vec<Py<PyDelivery>>,
    wake_at_ms: Option<u64>,
    skip: u64,
}

impl PyAccountPlan {
    pub(crate) fn new(py: Python<'_>, plan: AccountPlan) -> PyResult<Self> {
        let orders = plan.orders.into_iter().map(|order| Py::new(py, PyOrder::new(py, order)));
        let deliveries =
            plan.deliveries.into_iter().map(|one| Py::new(py, PyDelivery::new(py, one)));
        Ok(Self {
            orders: orders.collect::<PyResult<Vec<_>>>()?,
            deliveries: deliveries.collect::<PyResult<Vec<_>>>()?,
            wake_at_ms: plan.wake_at_ms,
            skip: plan.skip,
        })
    }
}

/// An order to the host. Fields of other orders are `None`.
#[pyclass(frozen, get_all, name = "Order", module = "mailbearer")]
pub(crate) struct PyOrder {
    kind: &'static str,
    ticket: Option<u64>,
    session: Option<u32>,
    attempt: Option<u32>,
    request: Option<u64>,
    force: Option<bool>,
    refused: Option<Py<PyAccessToken>>,
    data: Option<Py<PyBytes>>,
    sensitive: Option<bool>,
    by_ms: Option<u64>,
}

#[pymethods]
impl PyOrder {
    fn __repr__(&self) -> String {
        let Self { kind, ticket, request, .. } = self;
        format!("Order(kind='{kind}', ticket={ticket:?}, request={request:?})")
    }
}

impl PyOrder {
    fn new(py: Python<'_>, order: Order) -> Self {
        let none = |kind, ticket| Self {
            kind,
            ticket,
            session: None,
            attempt: None,
            request: None,
            force: None,
            refused: None,
            data: None,
            sensitive: None,
            by_ms: None,
        };
        match order {
            Order::FetchToken { request, force, refused } => Self {
                request: Some(request),
                force: Some(force),
                refused: refused.and_then(|token| Py::new(py, PyAccessToken(token)).ok()),
                ..none("fetch_token", None)
            },
            Order::Open { ticket, session, attempt } => Self {
                session: Some(session.number()),
                attempt: Some(attempt),
                ..none("open", Some(ticket))
            },
            Order::StartTls { ticket } => none("start_tls", Some(ticket)),
            Order::Send { ticket, bytes, sensitive } => Self {
                data: Some(PyBytes::new(py, &bytes).unbind()),
                sensitive: Some(sensitive),
                ..none("send", Some(ticket))
            },
            Order::Pause { ticket } => none("pause", Some(ticket)),
            Order::KeepAlive { ticket, by_ms } => {
                Self { by_ms: Some(by_ms), ..none("keep_alive", Some(ticket)) }
            }
            Order::Probe { ticket, by_ms } => {
                Self { by_ms: Some(by_ms), ..none("probe", Some(ticket)) }
            }
            Order::Close { ticket } => none("close", Some(ticket)),
        }
    }
}

/// What the program sees. Fields of other deliveries are `None`.
///
/// `why` is what a program can do about a `raise` (`needs_user`, `gave_up`, `mistake`), why a connection is to be renewed,
/// and what an `event` tells of.
#[pyclass(frozen, get_all, name = "Delivery", module = "mailbearer")]
pub(crate) struct PyDelivery {
    kind: &'static str,
    session: Option<u32>,
    ticket: Option<u64>,
    request: Option<u64>,
    generation: Option<u64>,
    mechanism: Option<&'static str>,
    capabilities: Option<Vec<String>>,
    leftover: Option<Py<PyBytes>>,
    resumed: Option<PyAftermath>,
    why: Option<&'static str>,
    by_ms: Option<u64>,
    verdict: Option<PyVerdict>,
    aftermath: Option<PyAftermath>,
    failure: Option<PyFailure>,
    cause: Option<&'static str>,
    text: Option<String>,
    wait_ms: Option<u64>,
}

#[pymethods]
impl PyDelivery {
    fn __repr__(&self) -> String {
        let Self { kind, session, ticket, why, .. } = self;
        format!("Delivery(kind='{kind}', session={session:?}, ticket={ticket:?}, why={why:?})")
    }
}

impl PyDelivery {
    fn new(py: Python<'_>, delivery: Delivery) -> Self {
        let none = |kind| Self {
            kind,
            session: None,
            ticket: None,
            request: None,
            generation: None,
            mechanism: None,
            capabilities: None,
            leftover: None,
            resumed: None,
            why: None,
            by_ms: None,
            verdict: None,
            aftermath: None,
            failure: None,
            cause: None,
            text: None,
            wait_ms: None,
        };
        match delivery {
            Delivery::Give(given) => Self {
                session: Some(given.session.number()),
                ticket: Some(given.ticket),
                generation: Some(given.generation),
                mechanism: given.mechanism.map(|mechanism| mechanism.as_str()),
                capabilities: Some(given.capabilities),
                leftover: Some(PyBytes::new(py, &given.leftover).unbind()),
                resumed: given.resumed.map(Into::into),
                ..none("give")
            },
            Delivery::Renew { session, ticket, by_ms, why } => Self {
                session: Some(session.number()),
                ticket: Some(ticket),
                by_ms: Some(by_ms),
                why: Some(why.as_str()),
                ..none("renew")
            },
            Delivery::Over { session, ticket, verdict, aftermath } => Self {
                session: Some(session.number()),
                ticket: Some(ticket),
                verdict: Some(verdict.into()),
                aftermath: aftermath.map(Into::into),
                ..none("over")
            },
            Delivery::Raise(raise) => Self {
                session: Some(raise.session.number()),
                ticket: raise.ticket,
                request: raise.request,
                why: Some(raise.kind.as_str()),
                failure: Some(raise.failure.into()),
                ..none("raise")
            },
            Delivery::End { session } => Self { session: Some(session.number()), ..none("end") },
            Delivery::Event(event) => Self {
                session: event.session.map(|session| session.number()),
                ticket: event.ticket,
                request: event.request,
                generation: event.generation,
                why: Some(event.kind.as_str()),
                cause: event.cause.map(|cause| cause.as_str()),
                text: Some(event.text).filter(|text| !text.is_empty()),
                wait_ms: event.wait_ms,
                ..none("event")
            },
        }
    }
}
