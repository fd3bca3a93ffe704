//! Access tokens.

use mailbearer::AccessToken;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::convert::{config_error, guard, text};

/// An access token that is checked and never shown.
#[pyclass(frozen, eq, name = "AccessToken", module = "mailbearer")]
#[derive(PartialEq)]
pub(crate) struct PyAccessToken(pub(crate) AccessToken);

#[pymethods]
impl PyAccessToken {
    #[new]
    fn new(token: &Bound<'_, PyAny>) -> PyResult<Self> {
        guard(|| self::token(token).map(Self))
    }

    fn __repr__(&self) -> String {
        format!("<{:?}>", self.0)
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }
}

/// A token: an `AccessToken`, or a text that becomes one.
pub(crate) fn token(value: &Bound<'_, PyAny>) -> PyResult<AccessToken> {
    if let Ok(token) = value.cast::<PyAccessToken>() {
        return Ok(token.get().0.clone());
    }
    if value.is_instance_of::<PyTuple>() {
        return Err(PyTypeError::new_err(
            "token must be a str, not tuple: of (token, seconds), as a token source returns it, give its first",
        ));
    }
    AccessToken::new(&text(value, "token")?).map_err(|error| config_error(&error))
}
