//! `Account`.

use std::borrow::Cow;
use std::sync::Mutex;

use mailbearer::{
    Account, AccountConfig, AccountPlan, AccountStatus, Fact, Misuse, NoToken, SessionConfig,
    SessionKey,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::account_plan::PyAccountPlan;
use crate::convert::{config_error, guard, lock, misuse, text};
use crate::session::status_dict;
use crate::settings::{Settings, read_account_policy, read_session_policy};
use crate::token::token as token_of;
use crate::types::PyFailure;

/// Keeps the sessions of one mailbox connected.
#[pyclass(frozen, name = "Account", module = "mailbearer._core")]
pub(crate) struct PyAccount {
    user: String,
    machine: Mutex<Account>,
}

#[pymethods]
impl PyAccount {
    #[new]
    #[pyo3(signature = (user, *, seed, policy=None, snapshot=None, now_ms=0, wall_ms=0))]
    fn new(
        user: &Bound<'_, PyAny>,
        seed: u64,
        policy: Option<&Bound<'_, PyDict>>,
        snapshot: Option<Cow<'_, [u8]>>,
        now_ms: u64,
        wall_ms: u64,
    ) -> PyResult<Self> {
        guard(|| {
            let mut config = AccountConfig::default();
            if let Some(policy) = policy {
                read_account_policy(policy, &mut config)?;
            }
            let machine = match snapshot {
                Some(snapshot) => Account::restore(config, &snapshot, now_ms, wall_ms, seed),
                None => Account::new(config, seed),
            };
            let machine = Mutex::new(machine.map_err(|error| config_error(&error))?);
            Ok(Self { user: text(user, "user")?, machine })
        })
    }

    /// Adds a session: its key.
    #[pyo3(signature = (protocol, *, host, port=None, tls=None, authzid=None, mechanisms=None, initial_response=None,
        ehlo_name=None, assumed_capabilities=None, policy=None))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments are Python's way to configure")]
    fn add(
        &self,
        py: Python<'_>,
        protocol: &Bound<'_, PyAny>,
        host: &Bound<'_, PyAny>,
        port: Option<&Bound<'_, PyAny>>,
        tls: Option<&Bound<'_, PyAny>>,
        authzid: Option<&Bound<'_, PyAny>>,
        mechanisms: Option<&Bound<'_, PyAny>>,
        initial_response: Option<&Bound<'_, PyAny>>,
        ehlo_name: Option<&Bound<'_, PyAny>>,
        assumed_capabilities: Option<&Bound<'_, PyAny>>,
        policy: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<u32> {
        guard(|| {
            let user = pyo3::types::PyString::new(py, &self.user).into_any();
            let settings = Settings {
                protocol,
                user: &user,
                host,
                port,
                tls,
                authzid,
                mechanisms,
                initial_response,
                ehlo_name,
                assumed_capabilities,
            };
            let mut config = SessionConfig::new(settings.read()?);
            if let Some(policy) = policy {
                read_session_policy(policy, &mut config)?;
            }
            let key = lock(&self.machine).add(config).map_err(|error| config_error(&error))?;
            Ok(key.number())
        })
    }

    // ---- Facts of the program ------------------------------------------------------------------------------------

    fn want(&self, py: Python<'_>, now_ms: u64, session: u32) -> PyResult<PyAccountPlan> {
        self.handle(py, now_ms, Fact::Want { session: SessionKey::new(session) })
    }

    fn no_longer(&self, py: Python<'_>, now_ms: u64, session: u32) -> PyResult<PyAccountPlan> {
        self.handle(py, now_ms, Fact::NoLonger { session: SessionKey::new(session) })
    }

    fn let_go(&self, py: Python<'_>, now_ms: u64, ticket: u64) -> PyResult<PyAccountPlan> {
        self.handle(py, now_ms, Fact::LetGo { ticket })
    }

    fn remove(&self, py: Python<'_>, now_ms: u64, session: u32) -> PyResult<PyAccountPlan> {
        self.handle(py, now_ms, Fact::Remove { session: SessionKey::new(session) })
    }

    fn close(&self, py: Python<'_>, now_ms: u64) -> PyResult<PyAccountPlan> {
        self.handle(py, now_ms, Fact::Close)
    }

    fn retry(&self, py: Python<'_>, now_ms: u64) -> PyResult<PyAccountPlan> {
        self.handle(py, now_ms, Fact::Retry)
    }

    fn network_lost(&self, py: Python<'_>, now_ms: u64) -> PyResult<PyAccountPlan> {
        self.handle(py, now_ms, Fact::NetworkLost)
    }

    fn network_back(&self, py: Python<'_>, now_ms: u64) -> PyResult<PyAccountPlan> {
        self.handle(py, now_ms, Fact::NetworkBack)
    }

    fn slept(&self, py: Python<'_>, now_ms: u64, ms: u64) -> PyResult<PyAccountPlan> {
        self.handle(py, now_ms, Fact::Slept { ms })
    }

    fn tick(&self, py: Python<'_>, now_ms: u64) -> PyResult<PyAccountPlan> {
        self.handle(py, now_ms, Fact::Tick)
    }

    // ---- Facts of the host ---------------------------------------------------------------------------------------

    fn opened(&self, py: Python<'_>, now_ms: u64, ticket: u64) -> PyResult<PyAccountPlan> {
        self.handle(py, now_ms, Fact::Opened { ticket })
    }

    fn secured(&self, py: Python<'_>, now_ms: u64, ticket: u64) -> PyResult<PyAccountPlan> {
        self.handle(py, now_ms, Fact::Secured { ticket })
    }

    #[pyo3(signature = (now_ms, ticket, failure=None))]
    fn ended(
        &self,
        py: Python<'_>,
        now_ms: u64,
        ticket: u64,
        failure: Option<&PyFailure>,
    ) -> PyResult<PyAccountPlan> {
        let failure = failure.map(PyFailure::of_host).transpose()?;
        self.handle(py, now_ms, Fact::Ended { ticket, failure })
    }

    fn answered(&self, py: Python<'_>, now_ms: u64, ticket: u64) -> PyResult<PyAccountPlan> {
        self.handle(py, now_ms, Fact::Answered { ticket })
    }

    #[pyo3(signature = (now_ms, request, token, lives_ms=None))]
    fn token(
        &self,
        py: Python<'_>,
        now_ms: u64,
        request: u64,
        token: &Bound<'_, PyAny>,
        lives_ms: Option<u64>,
    ) -> PyResult<PyAccountPlan> {
        let token = guard(|| token_of(token))?;
        self.handle(py, now_ms, Fact::Token { request, token, lives_ms })
    }

    fn no_token(
        &self,
        py: Python<'_>,
        now_ms: u64,
        request: u64,
        why: &str,
        text: String,
    ) -> PyResult<PyAccountPlan> {
        let found = NoToken::ALL.iter().copied().find(|one| one.as_str() == why);
        let why = found.ok_or_else(|| {
            PyValueError::new_err("why is none of 'outage', 'permanent' and 'mistake'")
        })?;
        self.handle(py, now_ms, Fact::NoToken { request, why, text })
    }

    /// Takes what one read of a connection brought.
    fn receive(
        &self,
        py: Python<'_>,
        now_ms: u64,
        ticket: u64,
        data: Cow<'_, [u8]>,
    ) -> PyResult<PyAccountPlan> {
        self.plan(py, |account| account.receive(now_ms, ticket, &data))
    }

    /// Octets that the mail client wrote.
    fn sent(&self, ticket: u64, data: Cow<'_, [u8]>) -> PyResult<()> {
        guard(|| {
            lock(&self.machine).sent(ticket, &data);
            Ok(())
        })
    }

    /// Octets of content that were passed by.
    fn skipped(&self, ticket: u64, octets: u64) -> PyResult<()> {
        guard(|| {
            lock(&self.machine).skipped(ticket, octets);
            Ok(())
        })
    }

    // ---- How it stands -------------------------------------------------------------------------------------------

    /// Masks the tokens of this account in text that is to be logged.
    fn redact(&self, text: &Bound<'_, PyAny>) -> PyResult<String> {
        guard(|| Ok(lock(&self.machine).redact(&crate::convert::text(text, "text")?)))
    }

    /// Whether the mail client waits for no answer on this connection.
    fn is_quiet(&self, ticket: u64) -> bool {
        lock(&self.machine).is_quiet(ticket)
    }

    /// Whether the end of a message was written on this connection, and no answer to it has come.
    fn is_delivering(&self, ticket: u64) -> bool {
        lock(&self.machine).is_delivering(ticket)
    }

    /// How one session stands, in one word; `None`: there is none with this key.
    fn standing(&self, session: u32) -> Option<&'static str> {
        let standing = lock(&self.machine).standing(SessionKey::new(session));
        standing.map(|standing| standing.as_str())
    }

    /// How it stands, as a dict.
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        guard(|| {
            let status = lock(&self.machine).status();
            account_dict(py, status)
        })
    }

    /// What must outlive the process.
    fn snapshot<'py>(&self, py: Python<'py>, wall_ms: u64) -> PyResult<Bound<'py, PyBytes>> {
        guard(|| Ok(PyBytes::new(py, &lock(&self.machine).snapshot(wall_ms))))
    }

    fn __repr__(&self) -> String {
        let status = lock(&self.machine).status();
        let sessions: Vec<String> = status
            .sessions
            .iter()
            .map(|one| format!("{} {} {}", one.session, one.protocol, one.standing))
            .collect();
        format!("<Account [{}]>", sessions.join(", "))
    }
}

impl PyAccount {
    fn handle(&self, py: Python<'_>, now_ms: u64, fact: Fact) -> PyResult<PyAccountPlan> {
        self.plan(py, |account| account.handle(now_ms, fact))
    }

    fn plan(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&mut Account) -> Result<AccountPlan, Misuse>,
    ) -> PyResult<PyAccountPlan> {
        guard(|| {
            let plan = call(&mut lock(&self.machine)).map_err(|error| misuse(&error))?;
            PyAccountPlan::new(py, plan)
        })
    }
}

fn account_dict(py: Python<'_>, status: AccountStatus) -> PyResult<Bound<'_, PyDict>> {
    let sessions = PyList::empty(py);
    for one in status.sessions {
        let dict = status_dict(py, one.status)?;
        dict.set_item("session", one.session.number())?;
        dict.set_item("protocol", one.protocol.as_str())?;
        dict.set_item("standing", one.standing.as_str())?;
        dict.set_item("is_wanted", one.is_wanted)?;
        dict.set_item("given", one.given)?;
        sessions.append(dict)?;
    }
    let dict = PyDict::new(py);
    dict.set_item("sessions", sessions)?;
    dict.set_item("asks_for_token", status.asks_for_token)?;
    dict.set_item("token_failure", status.token_failure.map(PyFailure::from))?;
    dict.set_item("token_retry_at_ms", status.token_retry_at_ms)?;
    let stops: Vec<PyFailure> = status.stops.into_iter().map(Into::into).collect();
    dict.set_item("stops", stops)?;
    Ok(dict)
}
