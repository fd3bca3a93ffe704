//! `Discovery`.

use std::borrow::Cow;
use std::sync::Mutex;

use mailbearer::discover::{
    Answer, Discovered, Discovery, Lookup, MxRecord, Question, SrvRecord, Trouble,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::convert::{config_error, guard, lock, named, text};
use crate::provider::PyProvider;

/// Something to look up. Fields of other kinds are `None`.
#[pyclass(frozen, get_all, name = "Lookup", module = "mailbearer._core")]
pub(crate) struct PyLookup {
    id: u32,
    kind: &'static str,
    name: String,
    within_ms: u64,
    public_only: Option<bool>,
    octets_max: Option<usize>,
}

impl From<Lookup> for PyLookup {
    fn from(lookup: Lookup) -> Self {
        let (kind, name, public_only, octets_max) = match lookup.question {
            Question::Mx { domain } => ("mx", domain, None, None),
            Question::Srv { name } => ("srv", name, None, None),
            Question::Get { url, public_only, octets_max } => {
                ("get", url, Some(public_only), Some(octets_max))
            }
        };
        Self { id: lookup.id, kind, name, within_ms: lookup.within_ms, public_only, octets_max }
    }
}

/// Finds the servers of one mail address.
#[pyclass(frozen, name = "Discovery", module = "mailbearer._core")]
pub(crate) struct PyDiscovery(Mutex<Discovery>);

#[pymethods]
impl PyDiscovery {
    #[new]
    fn new(address: &Bound<'_, PyAny>) -> PyResult<Self> {
        guard(|| {
            let discovery = Discovery::new(&text(address, "user")?);
            Ok(Self(Mutex::new(discovery.map_err(|error| config_error(&error))?)))
        })
    }

    fn start(&self) -> PyResult<Vec<PyLookup>> {
        guard(|| Ok(wrapped(lock(&self.0).start())))
    }

    /// To a lookup of the kind `mx`: preference and host of each record.
    fn answer_mx(&self, id: u32, records: Vec<(u16, String)>) -> PyResult<Vec<PyLookup>> {
        let record = |(preference, exchange)| MxRecord { preference, exchange };
        self.answer(id, Answer::Mx(records.into_iter().map(record).collect()))
    }

    /// To a lookup of the kind `srv`: priority, weight, port and target of each record.
    fn answer_srv(
        &self,
        id: u32,
        records: Vec<(u16, u16, u16, String)>,
    ) -> PyResult<Vec<PyLookup>> {
        let record =
            |(priority, weight, port, target)| SrvRecord { priority, weight, port, target };
        self.answer(id, Answer::Srv(records.into_iter().map(record).collect()))
    }

    /// To either: there is no such name, or it has no such record.
    fn answer_no_record(&self, id: u32) -> PyResult<Vec<PyLookup>> {
        self.answer(id, Answer::NoRecord)
    }

    /// To a lookup of the kind `get`.
    fn answer_http(
        &self,
        id: u32,
        status: u16,
        location: Option<String>,
        body: Cow<'_, [u8]>,
    ) -> PyResult<Vec<PyLookup>> {
        self.answer(id, Answer::Http { status, location, body: body.into_owned() })
    }

    /// To all: there was no answer, and why.
    fn answer_failed(&self, id: u32, trouble: &str) -> PyResult<Vec<PyLookup>> {
        let names = || Trouble::ALL.iter().map(|one| one.as_str()).collect::<Vec<_>>().join(", ");
        let found = Trouble::ALL.iter().find(|one| one.as_str() == trouble);
        let trouble = *found.ok_or_else(|| {
            PyValueError::new_err(format!("trouble is none of the known values: {}", names()))
        })?;
        self.answer(id, Answer::Failed(trouble))
    }

    /// The time is over.
    fn end(&self) -> PyResult<()> {
        guard(|| {
            lock(&self.0).end();
            Ok(())
        })
    }

    /// The state's name.
    #[getter]
    fn state(&self) -> &'static str {
        lock(&self.0).state().as_str()
    }

    /// What came of it; `None` as long as something is looked up.
    #[getter]
    fn found(&self) -> Option<PyDiscovered> {
        lock(&self.0).found().cloned().map(PyDiscovered)
    }
}

impl PyDiscovery {
    fn answer(&self, id: u32, answer: Answer) -> PyResult<Vec<PyLookup>> {
        guard(|| Ok(wrapped(lock(&self.0).answer(id, answer))))
    }
}

fn wrapped(lookups: Vec<Lookup>) -> Vec<PyLookup> {
    lookups.into_iter().map(PyLookup::from).collect()
}

/// All that was found for a mail address.
#[pyclass(frozen, name = "Discovered", module = "mailbearer._core")]
pub(crate) struct PyDiscovered(Discovered);

#[pymethods]
impl PyDiscovered {
    /// All of it, as JSON.
    fn to_json(&self) -> PyResult<String> {
        guard(|| Ok(self.0.to_json()))
    }

    /// All of it, for a terminal.
    fn lines(&self) -> PyResult<Vec<String>> {
        guard(|| Ok(self.0.lines()))
    }

    /// The profile: the built-in one, or one made of what was found.
    #[getter]
    fn provider(&self) -> PyProvider {
        PyProvider(self.0.to_provider())
    }

    /// The profile and the user name of a login that asks nobody.
    fn login(&self, protocol: &Bound<'_, PyAny>) -> PyResult<(PyProvider, String)> {
        guard(|| {
            let protocol = named(protocol, "protocol")?;
            let (provider, user) = self.0.login(protocol).map_err(|error| config_error(&error))?;
            Ok((PyProvider(provider), user))
        })
    }

    fn __repr__(&self) -> String {
        format!("Discovered('{}', {})", self.0.domain, self.0.outcome)
    }
}
