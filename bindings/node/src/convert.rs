//! JavaScript's values to the core's, and the core's errors to JavaScript's.

use std::str::FromStr;

use mailbearer::{Cause, ConfigError, Field, Misuse};
use napi::bindgen_prelude::BufferSlice;
use napi::{Env, Error, Result, Status};

/// The text of every error begins with the name of its class and a colon.
pub(crate) fn config_error(error: &ConfigError) -> Error {
    Error::new(Status::InvalidArg, format!("ConfigError: {error}"))
}

pub(crate) fn config_text(text: &str) -> Error {
    Error::new(Status::InvalidArg, format!("ConfigError: {text}"))
}

pub(crate) fn misuse(misuse: &Misuse) -> Error {
    Error::new(Status::GenericFailure, format!("Misuse: {misuse}"))
}

/// A name of one of the core's enums.
pub(crate) fn named<T: FromStr<Err = ConfigError>>(name: &str) -> Result<T> {
    name.parse().map_err(|error| config_error(&error))
}

/// One of a list of known values, by its name.
pub(crate) fn one_of<T: Copy>(
    all: &[T],
    spell: impl Fn(T) -> &'static str,
    name: &str,
    field: &str,
) -> Result<T> {
    all.iter().copied().find(|one| spell(*one) == name).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|one| spell(*one)).collect();
        config_text(&format!("{field} is none of the known values: {}", names.join(", ")))
    })
}

/// A cause, by its name.
pub(crate) fn cause(name: &str) -> Result<Cause> {
    one_of(Cause::ALL, |one| one.as_str(), name, "cause")
}

pub(crate) fn port(number: f64) -> Result<u16> {
    whole(number, "port").ok().and_then(|number| u16::try_from(number).ok()).ok_or_else(|| {
        config_error(&ConfigError::OutOfRange { field: Field::Port, least: 1, most: 65_535 })
    })
}

/// The greatest whole number that JavaScript holds exactly.
const WHOLE_MAX: f64 = 9_007_199_254_740_991.0;

/// A whole number from zero on: a time, or the number of a connection.
pub(crate) fn whole(number: f64, field: &str) -> Result<u64> {
    if number.fract() == 0.0 && (0.0..=WHOLE_MAX).contains(&number) {
        // Checked just before: nothing is cut off.
        return Ok(number as u64);
    }
    Err(config_text(&format!("{field} must be a whole number, from zero on")))
}

pub(crate) fn optional_whole(number: Option<f64>, field: &str) -> Result<Option<u64>> {
    number.map(|number| whole(number, field)).transpose()
}

/// A number for JavaScript: times and counters stay far below 2^53.
pub(crate) fn number(value: u64) -> f64 {
    value as f64
}

/// Octets for JavaScript: copied, for external memory costs more than a copy where it is small.
pub(crate) fn octets<'env>(env: &'env Env, octets: &[u8]) -> Result<BufferSlice<'env>> {
    BufferSlice::copy_from(env, octets)
}
