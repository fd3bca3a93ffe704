//! Every word of the core's enums, for the test that holds Python's `Literal` types to them.

use mailbearer::discover::{Offer, Outcome, Seen, Source, Sureness, Trouble};
use mailbearer::{
    Advice, Cause, Certainty, EventKind, InitialResponse, Mechanism, Phase, Protocol, Provider,
    SessionPhase, Side, Standing, Submission, Tls,
};
use pyo3::prelude::*;
use pyo3::types::PyDict;

macro_rules! words {
    ($py:expr, $($name:literal: $kind:ty,)+) => {{
        let dict = PyDict::new($py);
        $(dict.set_item($name, <$kind>::ALL.iter().map(|one| one.as_str()).collect::<Vec<_>>())?;)+
        dict
    }};
}

/// The words of each type, by the name that it has in Python.
pub(crate) fn words(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let dict = words!(py,
        "Advice": Advice,
        "Cause": Cause,
        "Certainty": Certainty,
        "EventKind": EventKind,
        "FactSource": Source,
        "InitialResponse": InitialResponse,
        "MailProtocol": Protocol,
        "Mechanism": Mechanism,
        "Offer": Offer,
        "Outcome": Outcome,
        "Phase": Phase,
        "Seen": Seen,
        "SessionPhase": SessionPhase,
        "Side": Side,
        "Standing": Standing,
        "Submission": Submission,
        "Sureness": Sureness,
        "Tls": Tls,
        "Trouble": Trouble,
    );
    dict.set_item("ProviderName", Provider::NAMES.to_vec())?;
    Ok(dict)
}
