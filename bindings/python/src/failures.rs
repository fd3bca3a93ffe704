//! What the host itself has found, as failures and verdicts.

use mailbearer::{Failure, Verdict};
use pyo3::prelude::*;

use crate::convert::cause as cause_of;
use crate::types::{PyFailure, PyRejection, PyVerdict};

/// A failure from the fields that `to_dict` gives: for pickling.
#[pyfunction]
#[pyo3(signature = (*, cause, advice, certainty, server_text, code, rejection, wait_ms, url, sentence, detail=""))]
#[allow(clippy::too_many_arguments, reason = "one for each field")]
pub(crate) fn failure_of_fields(
    cause: &str,
    advice: &str,
    certainty: &str,
    server_text: String,
    code: Option<String>,
    rejection: Option<&Bound<'_, pyo3::types::PyDict>>,
    wait_ms: Option<u64>,
    url: Option<String>,
    sentence: String,
    detail: &str,
) -> PyResult<PyFailure> {
    let unknown = || pyo3::exceptions::PyValueError::new_err("a name is none of the known values");
    let cause = cause_of(cause)?.as_str();
    let advice = mailbearer::Advice::ALL
        .iter()
        .find(|one| one.as_str() == advice)
        .ok_or_else(unknown)?
        .as_str();
    let certainty = mailbearer::Certainty::ALL.iter().find(|one| one.as_str() == certainty);
    let certainty = certainty.ok_or_else(unknown)?.as_str();
    let field = |dict: &Bound<'_, pyo3::types::PyDict>, name: &str| -> PyResult<Option<String>> {
        dict.get_item(name)?.map_or(Ok(None), |value| value.extract())
    };
    let rejection = rejection
        .map(|dict| -> PyResult<PyRejection> {
            Ok(PyRejection {
                status: field(dict, "status")?,
                scope: field(dict, "scope")?,
                schemes: field(dict, "schemes")?,
                openid_configuration: field(dict, "openid_configuration")?,
            })
        })
        .transpose()?;
    Ok(PyFailure {
        cause,
        advice,
        certainty,
        server_text,
        code,
        rejection,
        wait_ms,
        url,
        detail: detail.to_owned(),
        sentence,
    })
}

/// A failure that the host saw: of TLS, of a deadline, of the connection.
#[pyfunction]
pub(crate) fn failure_of_host(cause: &str, detail: String) -> PyResult<PyFailure> {
    Ok(Failure::of_host(cause_of(cause)?, detail).into())
}

/// A connection that could not be opened: the system's name for the error, and its words.
#[pyfunction]
pub(crate) fn failure_of_connect(error: &str, words: &str) -> PyFailure {
    Failure::of_connect(error, words).into()
}

/// A TLS handshake that failed: the library's name for the error, and what is told of it.
#[pyfunction]
pub(crate) fn failure_of_tls(error: &str, words: &str) -> PyFailure {
    Failure::of_tls(error, words).into()
}

/// A certificate that was not accepted: why, and its DER.
#[pyfunction]
pub(crate) fn failure_of_certificate(reason: &str, certificate: &[u8]) -> PyFailure {
    Failure::of_certificate(reason, certificate).into()
}

/// What the host saw of the end of a session.
#[pyfunction]
pub(crate) fn verdict_of_host(cause: &str) -> PyResult<PyVerdict> {
    Ok(Verdict::of_host(cause_of(cause)?).into())
}
