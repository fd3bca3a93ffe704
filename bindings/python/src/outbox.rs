//! `Outbox` and `Submit`.

use std::borrow::Cow;
use std::sync::Mutex;

use mailbearer::{
    Answer, Envelope, Outbox, OutboxConfig, Outcome, Settled, Submission, Submit, SubmitPlan,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::{config_error, guard, lock, text, texts};
use crate::types::PyFailure;

/// What became of a message for one recipient.
#[pyclass(frozen, get_all, name = "Answer", module = "mailbearer._core")]
pub(crate) struct PyAnswer {
    fate: &'static str,
    code: Option<u16>,
    failure: Option<PyFailure>,
}

impl From<Answer> for PyAnswer {
    fn from(answer: Answer) -> Self {
        let Answer { fate, code, failure } = answer;
        Self { fate: fate.as_str(), code, failure: failure.map(Into::into) }
    }
}

/// What became of one transaction.
#[pyclass(frozen, name = "Outcome", module = "mailbearer._core")]
pub(crate) struct PyOutcome(Outcome);

/// What the host does next in a transaction.
#[pyclass(frozen, get_all, name = "SubmitPlan", module = "mailbearer._core")]
pub(crate) struct PySubmitPlan {
    data: Py<PyBytes>,
    wants_message: bool,
    is_over: bool,
}

/// Sends one message over one SMTP connection that is logged in.
#[pyclass(frozen, name = "Submit", module = "mailbearer._core")]
pub(crate) struct PySubmit(Mutex<Submit>);

#[pymethods]
impl PySubmit {
    #[new]
    #[pyo3(signature = (sender, recipients, capabilities, *, octets, is_8bit=false, is_utf8=false))]
    fn new(
        sender: &Bound<'_, PyAny>,
        recipients: &Bound<'_, PyAny>,
        capabilities: &Bound<'_, PyAny>,
        octets: u64,
        is_8bit: bool,
        is_utf8: bool,
    ) -> PyResult<Self> {
        guard(|| {
            let envelope = Envelope {
                sender: text(sender, "sender")?,
                recipients: texts(Some(recipients), "recipients")?.unwrap_or_default(),
                octets,
                is_8bit,
                is_utf8,
            };
            let capabilities = texts(Some(capabilities), "capabilities")?.unwrap_or_default();
            let submit = Submit::new(envelope, &capabilities);
            Ok(Self(Mutex::new(submit.map_err(|error| config_error(&error))?)))
        })
    }

    fn start(&self, py: Python<'_>) -> PyResult<PySubmitPlan> {
        guard(|| Ok(plan(py, lock(&self.0).start())))
    }

    fn receive(&self, py: Python<'_>, data: Cow<'_, [u8]>) -> PyResult<PySubmitPlan> {
        guard(|| Ok(plan(py, lock(&self.0).receive(&data))))
    }

    fn message<'py>(
        &self,
        py: Python<'py>,
        message: Cow<'_, [u8]>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        guard(|| Ok(PyBytes::new(py, &lock(&self.0).message(&message))))
    }

    /// The session has ended, and left this behind: the `submission` of its aftermath.
    #[pyo3(signature = (submission=None))]
    fn ended(&self, submission: Option<&str>) -> PyResult<()> {
        guard(|| {
            let submission = match submission {
                None => None,
                Some("idle") => Some(Submission::Idle),
                Some("not_accepted") => Some(Submission::NotAccepted),
                Some("unknown") => Some(Submission::Unknown),
                Some(_) => {
                    return Err(PyValueError::new_err("submission is none of the known values"));
                }
            };
            lock(&self.0).ended(submission);
            Ok(())
        })
    }

    fn outcome(&self) -> PyResult<PyOutcome> {
        guard(|| Ok(PyOutcome(lock(&self.0).outcome())))
    }
}

fn plan(py: Python<'_>, plan: SubmitPlan) -> PySubmitPlan {
    PySubmitPlan {
        data: PyBytes::new(py, &plan.bytes).unbind(),
        wants_message: plan.wants_message,
        is_over: plan.is_over,
    }
}

/// Answers, each with the place of its recipient.
type PyAnswers = Vec<(usize, PyAnswer)>;

/// Messages that wait to be sent.
#[pyclass(frozen, name = "Outbox", module = "mailbearer._core")]
pub(crate) struct PyOutbox(Mutex<Outbox>);

#[pymethods]
impl PyOutbox {
    #[new]
    #[pyo3(signature = (*, limits, retry_ms, retry_max_ms, give_up_ms, seed))]
    fn new(
        limits: Vec<(u32, u64)>,
        retry_ms: u64,
        retry_max_ms: u64,
        give_up_ms: u64,
        seed: u64,
    ) -> PyResult<Self> {
        guard(|| {
            let config = OutboxConfig { limits, retry_ms, retry_max_ms, give_up_ms };
            Ok(Self(Mutex::new(Outbox::new(config, seed))))
        })
    }

    fn add(&self, now_ms: u64, recipients: usize) -> PyResult<u64> {
        guard(|| Ok(lock(&self.0).add(now_ms, recipients)))
    }

    /// A message's number, and the places of its recipients.
    fn take(&self, now_ms: u64) -> PyResult<Option<(u64, Vec<usize>)>> {
        guard(|| Ok(lock(&self.0).take(now_ms).map(|job| (job.message, job.recipients))))
    }

    fn take_back(&self, message: u64) -> PyResult<bool> {
        guard(|| Ok(lock(&self.0).take_back(message)))
    }

    fn next_ms(&self, now_ms: u64) -> PyResult<Option<u64>> {
        guard(|| Ok(lock(&self.0).next_ms(now_ms)))
    }

    fn due(&self, now_ms: u64) -> PyResult<usize> {
        guard(|| Ok(lock(&self.0).due(now_ms)))
    }

    /// The last answers, by the places of the recipients, and when it is sent again.
    fn settle(
        &self,
        now_ms: u64,
        message: u64,
        outcome: &PyOutcome,
    ) -> PyResult<(PyAnswers, Option<u64>)> {
        guard(|| {
            let settled = lock(&self.0).settle(now_ms, message, &outcome.0);
            let Settled { answers, again_at_ms } = settled;
            Ok((answers.into_iter().map(|(at, one)| (at, one.into())).collect(), again_at_ms))
        })
    }

    fn __len__(&self) -> usize {
        lock(&self.0).len()
    }
}
