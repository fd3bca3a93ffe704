//! The Gmail-like server.

use std::borrow::Cow;
use std::sync::Mutex;

use mailbearer::testing::{
    Cut, Delivery, Fault, FaultKind, Flavour, Output, RecipientRefusal, Server, ServerConfig,
    Stage, TokenRequest,
};
use mailbearer::{Cause, Protocol};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::convert::{guard, lock, named, text};

/// UID, flags, date and octets of a message.
type PyStored<'py> = (u32, Vec<String>, i64, Bound<'py, PyBytes>);

/// The server as a machine: sockets and clock are Python's.
#[pyclass(frozen, name = "Server", module = "mailbearer._core")]
pub(crate) struct PyServer(Mutex<Server>);

/// A connection's number, what to write, and what to do then.
type Reply<'py> = (u64, Bound<'py, PyBytes>, &'static str);

#[pymethods]
impl PyServer {
    #[new]
    fn new(seed: u64) -> PyResult<Self> {
        guard(|| Ok(Self(Mutex::new(Server::new(ServerConfig::default(), seed)))))
    }

    /// Changes how it behaves: `name` is a field of the configuration.
    fn set(&self, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        guard(|| {
            let mut server = lock(&self.0);
            let config = &mut server.config;
            match name {
                "flavour" => {
                    config.flavour = one_of(Flavour::ALL, |one| one.as_str(), value, name)?
                }
                "cut" => config.cut = one_of(Cut::ALL, |one| one.as_str(), value, name)?,
                "token_lifetime_ms" => config.token_lifetime_ms = value.extract()?,
                "session_limit_ms" => config.session_limit_ms = value.extract()?,
                "connections_max" => config.connections_max = value.extract()?,
                "messages" => config.messages = value.extract()?,
                "message_octets_max" => config.message_octets_max = value.extract()?,
                "greylist_ms" => config.greylist_ms = value.extract()?,
                "unix_epoch_ms" => config.unix_epoch_ms = value.extract()?,
                _ => {
                    return Err(PyValueError::new_err(format!("the server has no setting {name}")));
                }
            }
            Ok(())
        })
    }

    /// Refuses every login for a cause, over one protocol or all, or takes that back.
    #[pyo3(signature = (cause_name=None, protocol=None))]
    fn refuse(
        &self,
        cause_name: Option<&Bound<'_, PyAny>>,
        protocol: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        guard(|| {
            let protocols = match protocol {
                Some(one) => Vec::from([named(one, "protocol")?]),
                None => Protocol::ALL.to_vec(),
            };
            let name = cause_name.map(|name| text(name, "cause")).transpose()?;
            let mut server = lock(&self.0);
            let cause = name.map(|name| {
                let found = Cause::ALL.iter().copied().find(|cause| cause.as_str() == name);
                found.ok_or_else(|| server.config.flavour.no_such_cause(&protocols))
            });
            let cause = cause.transpose().map_err(PyValueError::new_err)?;
            let refused = server.refuse_over(&protocols, cause);
            refused.map_err(|error| PyValueError::new_err(error.to_string()))
        })
    }

    /// Refuses a recipient, or takes that back.
    #[pyo3(signature = (address, why=None))]
    fn refuse_recipient(&self, address: &str, why: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        guard(|| {
            let all = RecipientRefusal::ALL;
            let why = why.map(|why| one_of(all, |one| one.as_str(), why, "why")).transpose()?;
            lock(&self.0).refuse_recipient(address, why);
            Ok(())
        })
    }

    /// Sets a fault that strikes once, or takes it back.
    #[pyo3(signature = (stage=None, kind=None))]
    fn set_fault(
        &self,
        stage: Option<&Bound<'_, PyAny>>,
        kind: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        guard(|| {
            let fault = match (stage, kind) {
                (Some(stage), Some(kind)) => Some(Fault {
                    stage: one_of(Stage::ALL, |one| one.as_str(), stage, "stage")?,
                    kind: one_of(FaultKind::ALL, |one| one.as_str(), kind, "kind")?,
                }),
                (None, None) => None,
                (Some(_), None) | (None, Some(_)) => {
                    return Err(PyValueError::new_err("a fault needs a stage and a kind"));
                }
            };
            lock(&self.0).set_fault(fault);
            Ok(())
        })
    }

    #[pyo3(signature = (now_ms, user, lifetime_ms=None, scope=None, octets=None))]
    fn issue_token(
        &self,
        now_ms: u64,
        user: &str,
        lifetime_ms: Option<u64>,
        scope: Option<String>,
        octets: Option<usize>,
    ) -> PyResult<String> {
        guard(|| {
            Ok(lock(&self.0).issue_token(now_ms, user, TokenRequest { lifetime_ms, scope, octets }))
        })
    }

    fn revoke_token(&self, token: &str) -> PyResult<()> {
        guard(|| {
            lock(&self.0).revoke_token(token);
            Ok(())
        })
    }

    fn open<'py>(
        &self,
        py: Python<'py>,
        now_ms: u64,
        protocol: &Bound<'py, PyAny>,
        tls: &Bound<'py, PyAny>,
    ) -> PyResult<Reply<'py>> {
        guard(|| {
            let (protocol, tls) = (named(protocol, "protocol")?, named(tls, "tls")?);
            let (id, output) = lock(&self.0).open(now_ms, protocol, tls);
            Ok(reply(py, id, &output))
        })
    }

    fn receive<'py>(
        &self,
        py: Python<'py>,
        now_ms: u64,
        id: u64,
        data: Cow<'_, [u8]>,
    ) -> PyResult<Reply<'py>> {
        guard(|| {
            let output = lock(&self.0).receive(now_ms, id, &data);
            Ok(reply(py, id, &output))
        })
    }

    fn tls_established<'py>(&self, py: Python<'py>, id: u64) -> PyResult<Reply<'py>> {
        guard(|| {
            let output = lock(&self.0).tls_established(id);
            Ok(reply(py, id, &output))
        })
    }

    fn closed(&self, now_ms: u64, id: u64) -> PyResult<()> {
        guard(|| {
            lock(&self.0).closed(now_ms, id);
            Ok(())
        })
    }

    fn tick<'py>(&self, py: Python<'py>, now_ms: u64) -> PyResult<Vec<Reply<'py>>> {
        guard(|| {
            let outputs = lock(&self.0).tick(now_ms);
            Ok(outputs.iter().map(|(id, output)| reply(py, *id, output)).collect())
        })
    }

    fn next_wake_ms(&self) -> Option<u64> {
        lock(&self.0).next_wake_ms()
    }

    fn restart<'py>(&self, py: Python<'py>, now_ms: u64) -> PyResult<Vec<Reply<'py>>> {
        guard(|| {
            let outputs = lock(&self.0).restart(now_ms);
            Ok(outputs.iter().map(|(id, output)| reply(py, *id, output)).collect())
        })
    }

    fn add_user(&self, user: &str) -> PyResult<()> {
        guard(|| {
            lock(&self.0).add_user(user);
            Ok(())
        })
    }

    fn users(&self) -> PyResult<Vec<String>> {
        guard(|| Ok(lock(&self.0).users()))
    }

    fn mailboxes(&self, user: &str) -> PyResult<Vec<String>> {
        guard(|| Ok(lock(&self.0).mailboxes(user)))
    }

    fn create_mailbox(&self, user: &str, name: &str) -> PyResult<()> {
        guard(|| {
            lock(&self.0).create_mailbox(user, name);
            Ok(())
        })
    }

    fn delete_mailbox(&self, user: &str, name: &str) -> PyResult<()> {
        guard(|| {
            let deleted = lock(&self.0).delete_mailbox(user, name);
            deleted.map_err(|error| PyValueError::new_err(error.to_string()))
        })
    }

    #[pyo3(signature = (user, message, mailbox=None, flags=Vec::new(), date_ms=None))]
    fn deliver(
        &self,
        user: &str,
        message: Cow<'_, [u8]>,
        mailbox: Option<String>,
        flags: Vec<String>,
        date_ms: Option<i64>,
    ) -> PyResult<()> {
        guard(|| {
            lock(&self.0).deliver_to(user, &Delivery { mailbox, flags, date_ms }, &message);
            Ok(())
        })
    }

    /// UID, flags, date and octets of each message.
    fn messages_in<'py>(
        &self,
        py: Python<'py>,
        user: &str,
        mailbox: &str,
    ) -> PyResult<Vec<PyStored<'py>>> {
        guard(|| {
            let stored = lock(&self.0).messages_in(user, mailbox).into_iter();
            let each =
                stored.map(|one| (one.uid, one.flags, one.date_ms, PyBytes::new(py, &one.content)));
            Ok(each.collect())
        })
    }

    fn submitted<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        guard(|| {
            let server = lock(&self.0);
            let dicts = server.submitted().iter().map(|one| {
                let dict = PyDict::new(py);
                dict.set_item("user", &one.user)?;
                dict.set_item("sender", &one.sender)?;
                dict.set_item("recipients", &one.recipients)?;
                dict.set_item("content", PyBytes::new(py, &one.content))?;
                Ok(dict)
            });
            dicts.collect()
        })
    }

    fn take_events(&self) -> PyResult<Vec<(u64, u64, &'static str, String)>> {
        guard(|| {
            let events = lock(&self.0).take_events();
            Ok(events
                .into_iter()
                .map(|one| (one.at_ms, one.connection, one.protocol.as_str(), one.what))
                .collect())
        })
    }

    #[getter]
    fn sessions(&self) -> usize {
        lock(&self.0).sessions()
    }
}

fn reply<'py>(py: Python<'py>, id: u64, output: &Output) -> Reply<'py> {
    (id, PyBytes::new(py, &output.send), output.next.as_str())
}

fn one_of<T: Copy>(
    all: &[T],
    spell: impl Fn(T) -> &'static str,
    value: &Bound<'_, PyAny>,
    field: &str,
) -> PyResult<T> {
    let name = text(value, field)?;
    all.iter().copied().find(|one| spell(*one) == name).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|one| spell(*one)).collect();
        PyValueError::new_err(format!("{field} is none of {}", names.join(", ")))
    })
}
