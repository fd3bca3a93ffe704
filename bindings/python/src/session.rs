//! `Session`.

use std::borrow::Cow;
use std::sync::Mutex;

use mailbearer::{Action, Input, Misuse, Plan, Session, SessionConfig, Status};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::convert::{config_error, guard, lock, misuse};
use crate::settings::{Settings, read_session_policy};
use crate::token::token as token_of;
use crate::types::{PyAftermath, PyFailure, PyVerdict};

/// Orders, and when to come back.
#[pyclass(frozen, get_all, name = "Plan", module = "mailbearer")]
pub(crate) struct PyPlan {
    actions: Vec<Py<PyAction>>,
    wake_at_ms: Option<u64>,
    wake_reason: Option<&'static str>,
    skip: u64,
}

/// An order. Fields of other orders are `None`.
#[pyclass(frozen, get_all, name = "Action", module = "mailbearer")]
pub(crate) struct PyAction {
    kind: &'static str,
    ticket: Option<u64>,
    request: Option<u64>,
    why: Option<&'static str>,
    force_refresh: Option<bool>,
    attempt: Option<u32>,
    data: Option<Py<PyBytes>>,
    sensitive: Option<bool>,
    generation: Option<u64>,
    mechanism: Option<&'static str>,
    capabilities: Option<Vec<String>>,
    resumed: Option<PyAftermath>,
    by_ms: Option<u64>,
    cause: Option<&'static str>,
    failure: Option<PyFailure>,
}

#[pymethods]
impl PyAction {
    fn __repr__(&self) -> String {
        format!("Action(kind='{}', ticket={:?})", self.kind, self.ticket)
    }
}

impl PyAction {
    fn new(py: Python<'_>, action: Action) -> Self {
        let none = |kind| Self {
            kind,
            ticket: None,
            request: None,
            why: None,
            force_refresh: None,
            attempt: None,
            data: None,
            sensitive: None,
            generation: None,
            mechanism: None,
            capabilities: None,
            resumed: None,
            by_ms: None,
            cause: None,
            failure: None,
        };
        match action {
            Action::FetchToken { request, why, force_refresh } => Self {
                request: Some(request),
                why: Some(why.as_str()),
                force_refresh: Some(force_refresh),
                ..none("fetch_token")
            },
            Action::Connect { ticket, attempt } => {
                Self { ticket: Some(ticket), attempt: Some(attempt), ..none("connect") }
            }
            Action::Send { ticket, bytes, sensitive } => Self {
                ticket: Some(ticket),
                data: Some(PyBytes::new(py, &bytes).unbind()),
                sensitive: Some(sensitive),
                ..none("send")
            },
            Action::StartTls { ticket } => Self { ticket: Some(ticket), ..none("start_tls") },
            Action::Online { ticket, generation, mechanism, capabilities, leftover, resumed } => {
                Self {
                    ticket: Some(ticket),
                    generation: Some(generation),
                    mechanism: mechanism.map(|mechanism| mechanism.as_str()),
                    capabilities: Some(capabilities),
                    data: Some(PyBytes::new(py, &leftover).unbind()),
                    resumed: resumed.map(Into::into),
                    ..none("online")
                }
            }
            Action::Renew { ticket, by_ms, why } => Self {
                ticket: Some(ticket),
                by_ms: Some(by_ms),
                why: Some(why.as_str()),
                ..none("renew")
            },
            Action::Close { ticket, cause } => {
                Self { ticket: Some(ticket), cause: Some(cause.as_str()), ..none("close") }
            }
            Action::NeedsUser(failure) => {
                Self { failure: Some(failure.into()), ..none("needs_user") }
            }
            Action::GiveUp(failure) => Self { failure: Some(failure.into()), ..none("give_up") },
        }
    }
}

/// Keeps one mailbox connection logged in.
///
/// The host carries out what a plan says, and answers with exactly one fact: `start` and `stop` are the program's; `tick`: the time of
/// `wake_at_ms` has come; `woke`: another network, or a long sleep; `token`, `token_failed`: what the source gave; `connected`,
/// `tls_established`: TCP and TLS are there; `ended`: the connection is over; `drained`: it was let go. Hosts that do not show octets say
/// `authenticated`, `refused` and `line` of what they see.
#[pyclass(frozen, name = "Session", module = "mailbearer")]
pub(crate) struct PySession(Mutex<Session>);

#[pymethods]
impl PySession {
    #[new]
    #[pyo3(signature = (protocol, user, *, host, seed, port=None, tls=None, authzid=None, mechanisms=None,
        initial_response=None, ehlo_name=None, assumed_capabilities=None, policy=None, snapshot=None, now_ms=0))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments are Python's way to configure")]
    fn new(
        protocol: &Bound<'_, PyAny>,
        user: &Bound<'_, PyAny>,
        host: &Bound<'_, PyAny>,
        seed: u64,
        port: Option<&Bound<'_, PyAny>>,
        tls: Option<&Bound<'_, PyAny>>,
        authzid: Option<&Bound<'_, PyAny>>,
        mechanisms: Option<&Bound<'_, PyAny>>,
        initial_response: Option<&Bound<'_, PyAny>>,
        ehlo_name: Option<&Bound<'_, PyAny>>,
        assumed_capabilities: Option<&Bound<'_, PyAny>>,
        policy: Option<&Bound<'_, PyDict>>,
        snapshot: Option<Cow<'_, [u8]>>,
        now_ms: u64,
    ) -> PyResult<Self> {
        guard(|| {
            let settings = Settings {
                protocol,
                user,
                host,
                port,
                tls,
                authzid,
                mechanisms,
                initial_response,
                ehlo_name,
                assumed_capabilities,
            };
            let mut config = SessionConfig::new(settings.read()?);
            if let Some(policy) = policy {
                read_session_policy(policy, &mut config)?;
            }
            let session = match snapshot {
                Some(snapshot) => Session::restore(config, &snapshot, now_ms, seed),
                None => Session::new(config, seed),
            };
            Ok(Self(Mutex::new(session.map_err(|error| config_error(&error))?)))
        })
    }

    fn start(&self, py: Python<'_>, now_ms: u64) -> PyResult<PyPlan> {
        self.handle(py, now_ms, Input::Start)
    }

    fn stop(&self, py: Python<'_>, now_ms: u64) -> PyResult<PyPlan> {
        self.handle(py, now_ms, Input::Stop)
    }

    fn tick(&self, py: Python<'_>, now_ms: u64) -> PyResult<PyPlan> {
        self.handle(py, now_ms, Input::Tick)
    }

    fn woke(&self, py: Python<'_>, now_ms: u64) -> PyResult<PyPlan> {
        self.handle(py, now_ms, Input::Woke)
    }

    #[pyo3(signature = (now_ms, request, token, expires_in_ms=None))]
    fn token(
        &self,
        py: Python<'_>,
        now_ms: u64,
        request: u64,
        token: &Bound<'_, PyAny>,
        expires_in_ms: Option<u64>,
    ) -> PyResult<PyPlan> {
        let token = guard(|| token_of(token))?;
        self.handle(py, now_ms, Input::Token { request, token, expires_in_ms })
    }

    fn token_failed(
        &self,
        py: Python<'_>,
        now_ms: u64,
        request: u64,
        permanent: bool,
    ) -> PyResult<PyPlan> {
        self.handle(py, now_ms, Input::TokenFailed { request, permanent })
    }

    fn connected(&self, py: Python<'_>, now_ms: u64, ticket: u64) -> PyResult<PyPlan> {
        self.handle(py, now_ms, Input::Connected { ticket })
    }

    fn tls_established(&self, py: Python<'_>, now_ms: u64, ticket: u64) -> PyResult<PyPlan> {
        self.handle(py, now_ms, Input::TlsEstablished { ticket })
    }

    #[pyo3(signature = (now_ms, ticket, last_line=None, cause=None))]
    fn ended(
        &self,
        py: Python<'_>,
        now_ms: u64,
        ticket: u64,
        last_line: Option<String>,
        cause: Option<&str>,
    ) -> PyResult<PyPlan> {
        let cause = cause.map(crate::convert::cause).transpose()?;
        self.handle(py, now_ms, Input::Ended { ticket, last_line, cause })
    }

    fn authenticated(&self, py: Python<'_>, now_ms: u64, ticket: u64) -> PyResult<PyPlan> {
        self.handle(py, now_ms, Input::Authenticated { ticket })
    }

    fn refused(&self, py: Python<'_>, now_ms: u64, ticket: u64, reply: String) -> PyResult<PyPlan> {
        self.handle(py, now_ms, Input::Refused { ticket, reply })
    }

    fn line(&self, py: Python<'_>, now_ms: u64, ticket: u64, line: String) -> PyResult<PyPlan> {
        self.handle(py, now_ms, Input::Line { ticket, line })
    }

    fn drained(&self, py: Python<'_>, now_ms: u64, ticket: u64) -> PyResult<PyPlan> {
        self.handle(py, now_ms, Input::Drained { ticket })
    }

    /// Takes what one read of a connection brought.
    fn receive(
        &self,
        py: Python<'_>,
        now_ms: u64,
        ticket: u64,
        data: Cow<'_, [u8]>,
    ) -> PyResult<PyPlan> {
        self.plan(py, |session| session.receive(now_ms, ticket, &data))
    }

    /// Octets of content that were passed by.
    fn skipped(&self, ticket: u64, octets: u64) -> PyResult<()> {
        guard(|| {
            lock(&self.0).skipped(ticket, octets);
            Ok(())
        })
    }

    /// Octets that the mail client wrote.
    fn sent(&self, ticket: u64, data: Cow<'_, [u8]>) -> PyResult<()> {
        guard(|| {
            lock(&self.0).sent(ticket, &data);
            Ok(())
        })
    }

    /// What was in flight.
    fn aftermath(&self) -> PyResult<Option<PyAftermath>> {
        guard(|| Ok(lock(&self.0).aftermath().map(Into::into)))
    }

    /// Masks the tokens of this session in text that is to be logged.
    fn redact(&self, text: &Bound<'_, PyAny>) -> PyResult<String> {
        guard(|| Ok(lock(&self.0).redact(&crate::convert::text(text, "text")?)))
    }

    /// Whether the mail client waits for no answer.
    #[getter]
    fn is_quiet(&self) -> bool {
        lock(&self.0).is_quiet()
    }

    /// What must outlive the process.
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        guard(|| Ok(PyBytes::new(py, &lock(&self.0).snapshot())))
    }

    /// How the session stands, as a dict.
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        guard(|| {
            let status = lock(&self.0).status();
            status_dict(py, status)
        })
    }

    fn __repr__(&self) -> String {
        let status = lock(&self.0).status();
        format!("<Session {} generation={}>", status.phase, status.generation)
    }
}

impl PySession {
    fn handle(&self, py: Python<'_>, now_ms: u64, input: Input) -> PyResult<PyPlan> {
        self.plan(py, |session| session.handle(now_ms, input))
    }

    fn plan(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&mut Session) -> Result<Plan, Misuse>,
    ) -> PyResult<PyPlan> {
        guard(|| {
            let plan = call(&mut lock(&self.0)).map_err(|error| misuse(&error))?;
            let actions =
                plan.actions.into_iter().map(|action| Py::new(py, PyAction::new(py, action)));
            Ok(PyPlan {
                actions: actions.collect::<PyResult<Vec<_>>>()?,
                wake_at_ms: plan.wake_at_ms,
                wake_reason: plan.wake_reason.map(|reason| reason.as_str()),
                skip: plan.skip,
            })
        })
    }
}

/// How a session stands, by names.
pub(crate) fn status_dict(py: Python<'_>, status: Status) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("phase", status.phase.as_str())?;
    dict.set_item("generation", status.generation)?;
    dict.set_item("ticket", status.ticket)?;
    dict.set_item("online_since_ms", status.online_since_ms)?;
    dict.set_item("ends_at_ms", status.ends_at_ms)?;
    dict.set_item("retry_at_ms", status.retry_at_ms)?;
    dict.set_item("failures", status.failures)?;
    dict.set_item("learnt_session_ms", status.learnt.session_ms)?;
    dict.set_item("learnt_ends_with_token", status.learnt.ends_with_token)?;
    dict.set_item("last_failure", status.last_failure.map(PyFailure::from))?;
    dict.set_item("last_ending", status.last_ending.map(PyVerdict::from))?;
    Ok(dict)
}
