//! The extension module `mailbearer._core`: the machines of the core for Python. What users see is in `python/src`.
//!
//! Octets come in as any bytes-like object and go out as `bytes`; names are `snake_case` strings; times are milliseconds.
//! A panic, which would be a bug of ours, becomes an ordinary exception.

// Each uses only those before it in this order: convert, token, types, failures, settings, provider, pure, machines, session,
// account_plan, account, follow, outbox, discover, testing, words.
mod account;
mod account_plan;
mod convert;
mod discover;
mod failures;
mod follow;
mod machines;
mod outbox;
mod provider;
mod pure;
mod session;
mod settings;
mod testing;
mod token;
mod types;
mod words;

use std::sync::OnceLock;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// The interpreter that has imported this first, by the address of its `sys.modules`: PyO3's types belong to it (PyO3 #576).
static OWNER: OnceLock<usize> = OnceLock::new();

fn refuse_other_interpreters(py: Python<'_>) -> PyResult<()> {
    let own = py.import("sys")?.getattr("modules")?.as_ptr().addr();
    if *OWNER.get_or_init(|| own) == own {
        return Ok(());
    }
    let text = "mailbearer does not support sub-interpreters, and another interpreter of this process has it already: import it \
                in one only, or use processes";
    Err(PyImportError::new_err(text))
}

#[pymodule(gil_used = false, name = "_core")]
mod core_module {
    #[pymodule_export]
    use crate::account::PyAccount;
    #[pymodule_export]
    use crate::account_plan::{PyAccountPlan, PyDelivery, PyOrder};
    #[pymodule_export]
    use crate::discover::{PyDiscovered, PyDiscovery, PyLookup};
    #[pymodule_export]
    use crate::failures::{
        failure_of_certificate, failure_of_connect, failure_of_fields, failure_of_host,
        failure_of_tls, verdict_of_host,
    };
    #[pymodule_export]
    use crate::follow::{PyFollow, PyFollowEvent, PyFollowPlan};
    #[pymodule_export]
    use crate::machines::{PyNegotiation, PyStep, PyTranscript, PyWatch};
    #[pymodule_export]
    use crate::outbox::{PyAnswer, PyOutbox, PyOutcome, PySubmit, PySubmitPlan};
    #[pymodule_export]
    use crate::provider::PyProvider;
    #[pymodule_export]
    use crate::pure::{
        acknowledgement, classify, client_steps, explain, initial_response, read_rejection,
        redact_source, tls_at_port,
    };
    #[pymodule_export]
    use crate::session::{PyAction, PyPlan, PySession};
    #[pymodule_export]
    use crate::testing::PyServer;
    #[pymodule_export]
    use crate::token::PyAccessToken;
    #[pymodule_export]
    use crate::types::{
        PyAftermath, PyAuthenticated, PyFailure, PyMailbox, PyRejection, PyVerdict,
    };

    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::refuse_other_interpreters(module.py())?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        let causes: Vec<&str> = mailbearer::Cause::ALL.iter().map(|cause| cause.as_str()).collect();
        module.add("CAUSES", causes)?;
        let advices: Vec<&str> =
            mailbearer::Advice::ALL.iter().map(|advice| advice.as_str()).collect();
        module.add("ADVICES", advices)?;
        module.add("WORDS", crate::words::words(module.py())?)
    }
}
