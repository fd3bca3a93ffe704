//! Python's values to the core's, and the core's errors to Python's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mailbearer::{Cause, ConfigError, Field, Misuse};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

mod errors {
    pyo3::import_exception!(mailbearer.errors, ConfigError);
    pyo3::import_exception!(mailbearer.errors, InternalError);
    pyo3::import_exception!(mailbearer.errors, Misuse);
}

/// Runs an entry. A panic is a bug of this library, and becomes an exception that `except Exception` sees.
pub(crate) fn guard<T>(entry: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(entry)).unwrap_or_else(|_| {
        Err(errors::InternalError::new_err(
            "mailbearer broke in its core: please report it; no secret is in this text",
        ))
    })
}

pub(crate) fn config_error(error: &ConfigError) -> PyErr {
    errors::ConfigError::new_err(error.to_string())
}

pub(crate) fn misuse(misuse: &Misuse) -> PyErr {
    errors::Misuse::new_err(misuse.to_string())
}

/// A text. What is none is named by its type, never by its value.
pub(crate) fn text(value: &Bound<'_, PyAny>, field: &str) -> PyResult<String> {
    let Ok(string) = value.cast::<PyString>() else {
        let kind = value.get_type().name()?;
        return Err(PyTypeError::new_err(format!("{field} must be a str, not {kind}")));
    };
    match string.to_str() {
        Ok(text) => Ok(text.to_owned()),
        // A lone surrogate: it has no octets to send. Python's own error would carry the value.
        Err(_) => Err(errors::ConfigError::new_err(format!(
            "{field} has a character that cannot be sent: remove it"
        ))),
    }
}

pub(crate) fn optional_text(
    value: Option<&Bound<'_, PyAny>>,
    field: &str,
) -> PyResult<Option<String>> {
    value.map(|value| text(value, field)).transpose()
}

pub(crate) fn named<T: FromStr<Err = ConfigError>>(
    value: &Bound<'_, PyAny>,
    field: &str,
) -> PyResult<T> {
    text(value, field)?.parse().map_err(|error| config_error(&error))
}

/// A port, as a number.
pub(crate) fn port(value: &Bound<'_, PyAny>) -> PyResult<u16> {
    let number: i64 = value.extract().map_err(|_| PyTypeError::new_err("port must be an int"))?;
    u16::try_from(number).map_err(|_| {
        config_error(&ConfigError::OutOfRange { field: Field::Port, least: 1, most: 65_535 })
    })
}

/// A list of texts.
pub(crate) fn texts(
    value: Option<&Bound<'_, PyAny>>,
    field: &str,
) -> PyResult<Option<Vec<String>>> {
    let Some(value) = value else { return Ok(None) };
    if value.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err(format!("{field} must be a list of str, not a str")));
    }
    value.try_iter()?.map(|one| text(&one?, field)).collect::<PyResult<Vec<_>>>().map(Some)
}

/// One of the causes, by its name.
pub(crate) fn cause(name: &str) -> PyResult<Cause> {
    let found = Cause::ALL.iter().copied().find(|cause| cause.as_str() == name);
    found.ok_or_else(|| {
        PyValueError::new_err("cause is none of the known values: see mailbearer.CAUSES")
    })
}

/// A machine is usable after a panic of another call: it holds no invariant that a panic breaks half-way.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
