//! Pure functions.

use std::borrow::Cow;

use mailbearer::{Endpoint, Identity, Mechanism, Names, Phase, Protocol, Said, Tls};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::{self, config_error, guard, named, optional_text, text, texts};
use crate::token::token;
use crate::types::{PyFailure, PyRejection, PyVerdict};

/// What a reply means. `user` and `host` are names that it may hold, and no words of the server.
#[pyfunction]
#[pyo3(signature = (protocol, phase, reply_lines, *, user="", host=""))]
pub(crate) fn classify(
    protocol: &Bound<'_, PyAny>,
    phase: &Bound<'_, PyAny>,
    reply_lines: &Bound<'_, PyAny>,
    user: &str,
    host: &str,
) -> PyResult<PyVerdict> {
    guard(|| {
        let lines = texts(Some(reply_lines), "reply_lines")?.unwrap_or_default();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let (protocol, phase) = (named(protocol, "protocol")?, self::phase(phase)?);
        Ok(mailbearer::classify_named(protocol, phase, &lines, &Names { user, host }).into())
    })
}

/// What a reply means that a mail library has taken apart.
#[pyfunction]
#[pyo3(signature = (protocol, phase, *, status=None, code=None, text="", user="", host=""))]
pub(crate) fn explain(
    protocol: &Bound<'_, PyAny>,
    phase: &Bound<'_, PyAny>,
    status: Option<&str>,
    code: Option<&str>,
    text: &str,
    user: &str,
    host: &str,
) -> PyResult<PyFailure> {
    guard(|| {
        let said = Said { status, code, text };
        let (protocol, phase) = (named(protocol, "protocol")?, self::phase(phase)?);
        Ok(mailbearer::explain(protocol, phase, &said, &Names { user, host }).into())
    })
}

fn phase(value: &Bound<'_, PyAny>) -> PyResult<Phase> {
    let name = text(value, "phase")?;
    let found = Phase::ALL.iter().copied().find(|phase| phase.as_str() == name);
    found.ok_or_else(|| PyValueError::new_err("phase is none of the known values"))
}

/// How TLS begins at a port.
#[pyfunction]
#[pyo3(signature = (protocol, port, tls=None, *, unusual_port=false))]
pub(crate) fn tls_at_port(
    protocol: &Bound<'_, PyAny>,
    port: &Bound<'_, PyAny>,
    tls: Option<&Bound<'_, PyAny>>,
    unusual_port: bool,
) -> PyResult<&'static str> {
    guard(|| {
        let asked = tls.map(|tls| named(tls, "tls")).transpose()?;
        let (protocol, port) = (named(protocol, "protocol")?, convert::port(port)?);
        let tls = Tls::at_port(protocol, port, asked, unusual_port);
        tls.map(Tls::as_str).map_err(|error| config_error(&error))
    })
}

/// What an error challenge says: as text or octets.
#[pyfunction]
pub(crate) fn read_rejection(challenge: &Bound<'_, PyAny>) -> PyResult<PyRejection> {
    guard(|| {
        let challenge = match challenge.extract::<Cow<'_, [u8]>>() {
            Ok(octets) => String::from_utf8_lossy(&octets).into_owned(),
            Err(_) => text(challenge, "challenge")?,
        };
        Ok(mailbearer::read_rejection(&challenge).into())
    })
}

/// What a token source says, without what may be a secret.
#[pyfunction]
pub(crate) fn redact_source(text: &str) -> PyResult<String> {
    guard(|| Ok(mailbearer::redact_source(text)))
}

/// What to do to have a client id.
#[pyfunction]
#[pyo3(signature = (user, provider=None, issuer=None))]
pub(crate) fn client_steps(
    user: &str,
    provider: Option<&str>,
    issuer: Option<&str>,
) -> PyResult<String> {
    guard(|| Ok(mailbearer::discover::client_steps(user, provider, issuer)))
}

/// The one SASL message, before base64.
#[pyfunction]
#[pyo3(signature = (mechanism, user, token, *, host="", port=None, authzid=None))]
pub(crate) fn initial_response<'py>(
    py: Python<'py>,
    mechanism: &Bound<'py, PyAny>,
    user: &Bound<'py, PyAny>,
    token: &Bound<'py, PyAny>,
    host: &str,
    port: Option<&Bound<'py, PyAny>>,
    authzid: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyBytes>> {
    guard(|| {
        let mechanism: Mechanism = named(mechanism, "mechanism")?;
        // XOAUTH2 names no host; OAUTHBEARER does, and servers check it (RFC 7628 section 3.2).
        let host =
            if host.is_empty() && mechanism == Mechanism::XOAuth2 { "localhost" } else { host };
        let mut endpoint = Endpoint::new(Protocol::Imap, Tls::Implicit, host);
        if let Some(number) = port {
            endpoint.port = convert::port(number)?;
        }
        let identity =
            Identity { user: text(user, "user")?, authzid: optional_text(authzid, "authzid")? };
        let message =
            mailbearer::initial_response(mechanism, &identity, &endpoint, &self::token(token)?)
                .map_err(|error| config_error(&error))?;
        Ok(PyBytes::new(py, &message))
    })
}

/// The answer to an error challenge, before base64.
#[pyfunction]
pub(crate) fn acknowledgement<'py>(
    py: Python<'py>,
    mechanism: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    guard(|| Ok(PyBytes::new(py, mailbearer::acknowledgement(named(mechanism, "mechanism")?))))
}
