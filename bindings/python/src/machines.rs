//! `Negotiation` and `Watch`.

use std::borrow::Cow;
use std::sync::Mutex;

use mailbearer::{Misuse, Negotiation, Next, Step, TraceLine, Transcript, Watch};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::{self, config_error, guard, lock, misuse, named};
use crate::settings::Settings;
use crate::token::token as token_of;
use crate::types::{PyAftermath, PyAuthenticated, PyFailure, PyVerdict};

/// What the host does next.
///
/// * `send`: octets to write first, never to be logged if they are `sensitive`;
/// * `next`: `read`, `start_tls`, `done` or `failed`; with `done` there is `authenticated`, with `failed` there is `failure`.
#[pyclass(frozen, get_all, name = "Step", module = "mailbearer")]
pub(crate) struct PyStep {
    send: Py<PyBytes>,
    sensitive: bool,
    next: &'static str,
    authenticated: Option<Py<PyAuthenticated>>,
    failure: Option<PyFailure>,
}

#[pymethods]
impl PyStep {
    fn __repr__(&self, py: Python<'_>) -> String {
        let send = self.send.as_bytes(py);
        let shown = if self.sensitive {
            format!("<{} octets with the token>", send.len())
        } else {
            format!("{:?}", String::from_utf8_lossy(send))
        };
        format!("Step(next='{}', send={shown})", self.next)
    }
}

impl PyStep {
    fn new(py: Python<'_>, step: Step) -> PyResult<Self> {
        let send = PyBytes::new(py, &step.send).unbind();
        let (next, authenticated, failure) = match step.next {
            Next::Read => ("read", None, None),
            Next::StartTls => ("start_tls", None, None),
            Next::Done(authenticated) => {
                ("done", Some(Py::new(py, PyAuthenticated::new(py, authenticated))?), None)
            }
            Next::Failed(failure) => ("failed", None, Some(failure.into())),
        };
        Ok(Self { send, sensitive: step.sensitive, next, authenticated, failure })
    }
}

/// From the greeting to authenticated: octets in, one step out.
///
/// `state` is the name of the state in which it waits.
#[pyclass(frozen, name = "Negotiation", module = "mailbearer")]
pub(crate) struct PyNegotiation(Mutex<Negotiation>);

#[pymethods]
impl PyNegotiation {
    #[new]
    #[pyo3(signature = (protocol, user, token, *, host, port=None, tls=None, authzid=None, mechanisms=None,
        initial_response=None, ehlo_name=None, assumed_capabilities=None))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments are Python's way to configure")]
    fn new(
        protocol: &Bound<'_, PyAny>,
        user: &Bound<'_, PyAny>,
        token: &Bound<'_, PyAny>,
        host: &Bound<'_, PyAny>,
        port: Option<&Bound<'_, PyAny>>,
        tls: Option<&Bound<'_, PyAny>>,
        authzid: Option<&Bound<'_, PyAny>>,
        mechanisms: Option<&Bound<'_, PyAny>>,
        initial_response: Option<&Bound<'_, PyAny>>,
        ehlo_name: Option<&Bound<'_, PyAny>>,
        assumed_capabilities: Option<&Bound<'_, PyAny>>,
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
            let config = settings.read()?;
            let negotiation =
                Negotiation::new(config, token_of(token)?).map_err(|error| config_error(&error))?;
            Ok(Self(Mutex::new(negotiation)))
        })
    }

    /// Takes what one read of the socket brought.
    fn receive(&self, py: Python<'_>, data: Cow<'_, [u8]>) -> PyResult<PyStep> {
        self.step(py, |negotiation| negotiation.receive(&data))
    }

    /// The TLS handshake is done.
    fn tls_established(&self, py: Python<'_>) -> PyResult<PyStep> {
        self.step(py, Negotiation::tls_established)
    }

    /// The connection reached its end.
    fn closed(&self, py: Python<'_>) -> PyResult<PyStep> {
        self.step(py, Negotiation::closed)
    }

    /// Masks the token in text of the server that is to be logged.
    fn redact(&self, text: &Bound<'_, PyAny>) -> PyResult<String> {
        guard(|| Ok(lock(&self.0).redact(&convert::text(text, "text")?)))
    }

    #[getter]
    fn state(&self) -> &'static str {
        lock(&self.0).state().as_str()
    }

    fn __repr__(&self) -> String {
        format!("<{:?}>", lock(&self.0))
    }
}

impl PyNegotiation {
    fn step(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&mut Negotiation) -> Result<Step, Misuse>,
    ) -> PyResult<PyStep> {
        guard(|| {
            let step = call(&mut lock(&self.0)).map_err(|error| misuse(&error))?;
            PyStep::new(py, step)
        })
    }
}

/// After login: says when the server ends the session, and what was in flight.
///
/// `is_quiet`: whether nothing is unanswered, so that the connection can be let go.
#[pyclass(frozen, name = "Watch", module = "mailbearer")]
pub(crate) struct PyWatch(Mutex<Watch>);

#[pymethods]
impl PyWatch {
    #[new]
    fn new(protocol: &Bound<'_, PyAny>) -> PyResult<Self> {
        guard(|| Ok(Self(Mutex::new(Watch::new(named(protocol, "protocol")?)))))
    }

    /// Octets from the server: the verdict when they end the session, and the octets of content that may be skipped.
    fn received(&self, data: Cow<'_, [u8]>) -> PyResult<(Option<PyVerdict>, u64)> {
        guard(|| {
            let sighting = lock(&self.0).received(&data);
            Ok((sighting.ending.map(Into::into), sighting.skip))
        })
    }

    /// Octets of content that were passed by.
    fn skipped(&self, octets: u64) -> PyResult<()> {
        guard(|| {
            lock(&self.0).skipped(octets);
            Ok(())
        })
    }

    /// Octets that the client wrote.
    fn sent(&self, data: Cow<'_, [u8]>) -> PyResult<()> {
        guard(|| {
            lock(&self.0).sent(&data);
            Ok(())
        })
    }

    /// The connection reached its end: why, as far as the octets tell.
    fn closed(&self) -> PyResult<PyVerdict> {
        guard(|| Ok(lock(&self.0).closed().into()))
    }

    /// What was in flight.
    fn aftermath(&self) -> PyResult<PyAftermath> {
        guard(|| Ok(lock(&self.0).aftermath().into()))
    }

    #[getter]
    fn is_quiet(&self) -> bool {
        lock(&self.0).is_quiet()
    }
}

/// The dialogue of one login as lines that may be shown: `(side, text)` each.
#[pyclass(frozen, name = "Transcript", module = "mailbearer._core")]
pub(crate) struct PyTranscript(Mutex<Transcript>);

type Lines = Vec<(&'static str, String)>;

#[pymethods]
impl PyTranscript {
    #[new]
    fn new(token: &Bound<'_, PyAny>) -> PyResult<Self> {
        guard(|| Ok(Self(Mutex::new(Transcript::new(&token_of(token)?)))))
    }

    /// Octets that the client wrote.
    fn sent(&self, data: Cow<'_, [u8]>, sensitive: bool) -> PyResult<Lines> {
        guard(|| Ok(lines(lock(&self.0).sent(&data, sensitive))))
    }

    /// What one read brought.
    fn received(&self, data: Cow<'_, [u8]>) -> PyResult<Lines> {
        guard(|| Ok(lines(lock(&self.0).received(&data))))
    }

    /// Lines that have no end yet.
    fn flush(&self) -> PyResult<Lines> {
        guard(|| Ok(lines(lock(&self.0).flush())))
    }
}

fn lines(lines: Vec<TraceLine>) -> Lines {
    lines.into_iter().map(|line| (line.side.as_str(), line.text)).collect()
}
