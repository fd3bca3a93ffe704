//! `Follow`.

use std::borrow::Cow;
use std::sync::Mutex;

use mailbearer::{Cursor, Follow, FollowConfig, FollowEvent, FollowPlan};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::{config_error, guard, lock, optional_text};

/// What to write, what happened, and when to come back.
#[pyclass(frozen, get_all, name = "FollowPlan", module = "mailbearer._core")]
pub(crate) struct PyFollowPlan {
    data: Py<PyBytes>,
    events: Vec<Py<PyFollowEvent>>,
    wake_at_ms: Option<u64>,
}

/// Something that happened in the mailbox. Fields of other kinds are `None`.
#[pyclass(frozen, get_all, name = "FollowEvent", module = "mailbearer._core")]
pub(crate) struct PyFollowEvent {
    kind: &'static str,
    uids: Option<Vec<u32>>,
    cursor: Option<String>,
    exists: Option<u32>,
    expunged: Option<Vec<u32>>,
    flagged: Option<Vec<u32>>,
    code: Option<String>,
    text: Option<String>,
}

impl From<FollowEvent> for PyFollowEvent {
    fn from(event: FollowEvent) -> Self {
        let none = |kind| Self {
            kind,
            uids: None,
            cursor: None,
            exists: None,
            expunged: None,
            flagged: None,
            code: None,
            text: None,
        };
        match event {
            FollowEvent::Messages { uids, cursor } => {
                Self { uids: Some(uids), cursor: Some(cursor.to_string()), ..none("messages") }
            }
            FollowEvent::Reset { cursor } => {
                Self { cursor: Some(cursor.to_string()), ..none("reset") }
            }
            FollowEvent::Changed { exists, expunged, flagged } => {
                Self { exists, expunged: Some(expunged), flagged: Some(flagged), ..none("changed") }
            }
            FollowEvent::Free => none("free"),
            FollowEvent::Refused { code, text } => {
                Self { code, text: Some(text), ..none("refused") }
            }
            FollowEvent::Late => none("late"),
        }
    }
}

/// Follows one mailbox of an IMAP connection that is logged in.
#[pyclass(frozen, name = "Follow", module = "mailbearer._core")]
pub(crate) struct PyFollow(Mutex<Follow>);

#[pymethods]
impl PyFollow {
    #[new]
    #[pyo3(signature = (mailbox=None, *, since=None, read_only=false, tells_messages=false, has_idle=true, reissue_ms=None,
        poll_ms=None, answer_ms=None, first_tag=0))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments are Python's way to configure")]
    fn new(
        mailbox: Option<&Bound<'_, PyAny>>,
        since: Option<&Bound<'_, PyAny>>,
        read_only: bool,
        tells_messages: bool,
        has_idle: bool,
        reissue_ms: Option<u64>,
        poll_ms: Option<u64>,
        answer_ms: Option<u64>,
        first_tag: u32,
    ) -> PyResult<Self> {
        guard(|| {
            let since = optional_text(since, "since")?.map(|text| text.parse::<Cursor>());
            let usual = FollowConfig::changes();
            let config = FollowConfig {
                mailbox: optional_text(mailbox, "mailbox")?,
                read_only,
                since: since.transpose().map_err(|error| config_error(&error))?,
                tells_messages,
                has_idle,
                reissue_ms: reissue_ms.unwrap_or(usual.reissue_ms),
                poll_ms: poll_ms.unwrap_or(usual.poll_ms),
                answer_ms: answer_ms.unwrap_or(usual.answer_ms),
            };
            Ok(Self(Mutex::new(Follow::new(config, first_tag))))
        })
    }

    fn start(&self, py: Python<'_>, now_ms: u64) -> PyResult<PyFollowPlan> {
        self.plan(py, |follow| follow.start(now_ms))
    }

    fn receive(&self, py: Python<'_>, now_ms: u64, data: Cow<'_, [u8]>) -> PyResult<PyFollowPlan> {
        self.plan(py, |follow| follow.receive(now_ms, &data))
    }

    fn resume(&self, py: Python<'_>, now_ms: u64) -> PyResult<PyFollowPlan> {
        self.plan(py, |follow| follow.resume(now_ms))
    }

    fn interrupt(&self, py: Python<'_>, now_ms: u64) -> PyResult<PyFollowPlan> {
        self.plan(py, |follow| follow.interrupt(now_ms))
    }

    fn tick(&self, py: Python<'_>, now_ms: u64) -> PyResult<PyFollowPlan> {
        self.plan(py, |follow| follow.tick(now_ms))
    }

    /// The state's name.
    #[getter]
    fn state(&self) -> &'static str {
        lock(&self.0).state().as_str()
    }

    /// The last number of its tags.
    #[getter]
    fn tags(&self) -> u32 {
        lock(&self.0).tags()
    }

    /// Where the program stands.
    #[getter]
    fn cursor(&self) -> Option<String> {
        lock(&self.0).cursor().map(|cursor| cursor.to_string())
    }
}

impl PyFollow {
    fn plan(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&mut Follow) -> FollowPlan,
    ) -> PyResult<PyFollowPlan> {
        guard(|| {
            let plan = call(&mut lock(&self.0));
            let events =
                plan.events.into_iter().map(|event| Py::new(py, PyFollowEvent::from(event)));
            Ok(PyFollowPlan {
                data: PyBytes::new(py, &plan.bytes).unbind(),
                events: events.collect::<PyResult<_>>()?,
                wake_at_ms: plan.wake_at_ms,
            })
        })
    }
}
