//! Records that the machines hand out.

use mailbearer::{Aftermath, Authenticated, Failure, Mailbox, Rejection, Verdict};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::cause;

macro_rules! record {
    ($(#[$meta:meta])* $rust:ident as $python:literal { $($field:ident : $type:ty,)* }) => {
        $(#[$meta])*
        #[pyclass(frozen, get_all, eq, name = $python, module = "mailbearer")]
        #[derive(PartialEq, Clone)]
        pub(crate) struct $rust { $(pub(crate) $field: $type,)* }

        #[pymethods]
        impl $rust {
            fn __repr__(&self) -> String {
                let mut fields: Vec<String> = Vec::new();
                $(fields.push(format!(concat!(stringify!($field), "={}"), Show::show(&self.$field)));)*
                format!(concat!($python, "({})"), fields.join(", "))
            }

            /// Its fields as a dict, for JSON.
            fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, pyo3::types::PyDict>> {
                let dict = pyo3::types::PyDict::new(py);
                $(dict.set_item(stringify!($field), Plain::plain(&self.$field, py)?)?;)*
                Ok(dict)
            }
        }

        impl Show for $rust {
            fn show(&self) -> String {
                self.__repr__()
            }
        }

        impl Plain for $rust {
            fn plain(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
                Ok(self.to_dict(py)?.into_any().unbind())
            }
        }
    };
}

/// How a field looks in a `repr`.
trait Show {
    fn show(&self) -> String;
}

/// A field in the types of JSON.
trait Plain {
    fn plain(&self, py: Python<'_>) -> PyResult<Py<PyAny>>;
}

impl Show for String {
    fn show(&self) -> String {
        format!("'{}'", self.replace('\\', "\\\\").replace('\'', "\\'"))
    }
}

impl Show for &'static str {
    fn show(&self) -> String {
        format!("'{self}'")
    }
}

impl Show for bool {
    fn show(&self) -> String {
        if *self { "True" } else { "False" }.to_owned()
    }
}

macro_rules! plain_by_conversion {
    ($($type:ty),*) => {
        $(impl Plain for $type {
            fn plain(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
                Ok(self.into_pyobject(py)?.into_any().unbind())
            }
        })*
    };
}

macro_rules! show_number {
    ($($type:ty),*) => {
        $(impl Show for $type {
            fn show(&self) -> String {
                self.to_string()
            }
        })*
    };
}

show_number!(u32, u64);
plain_by_conversion!(String, &'static str, u32, u64);

impl Plain for bool {
    fn plain(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(pyo3::types::PyBool::new(py, *self).to_owned().into_any().unbind())
    }
}

impl<T: Show> Show for Option<T> {
    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "None".to_owned(), Show::show)
    }
}

impl<T: Plain> Plain for Option<T> {
    fn plain(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.as_ref().map_or_else(|| Ok(py.None()), |value| value.plain(py))
    }
}

impl<T: Show> Show for Vec<T> {
    fn show(&self) -> String {
        format!("[{}]", self.iter().map(Show::show).collect::<Vec<_>>().join(", "))
    }
}

impl<T: Plain> Plain for Vec<T> {
    fn plain(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let items = self.iter().map(|one| one.plain(py)).collect::<PyResult<Vec<_>>>()?;
        Ok(pyo3::types::PyList::new(py, items)?.into_any().unbind())
    }
}

record! {
    /// What the server's error challenge said: untrusted, and only a hint.
    ///
    /// * `status`: `invalid_token`, `400`, …; `scope`: scopes that the server wants, separated by spaces;
    /// * `schemes`: token types, of XOAUTH2 only;
    /// * `openid_configuration`: an address that must not be followed: a counterfeit server sends a victim to its own.
    PyRejection as "Rejection" {
        status: Option<String>,
        scope: Option<String>,
        schemes: Option<String>,
        openid_configuration: Option<String>,
    }
}

record! {
    /// Why something did not work.
    ///
    /// * `cause`, `advice`: one word each; all of them are listed in the documentation of causes;
    /// * `certainty`: `stated` by the server, `inferred` from what it said, or `guessed`;
    /// * `server_text`, `code`: what the server said, made safe to show; empty and `None` where it said nothing;
    /// * `rejection`: what its error challenge said;
    /// * `wait_ms`: how long the server asks to wait; `url`: where it says that a person must act;
    /// * `detail`: what exactly was wrong, in words of this library, the system or the token source; empty where there are none;
    /// * `sentence`: all of it for a person, with what to do.
    PyFailure as "Failure" {
        cause: &'static str,
        advice: &'static str,
        certainty: &'static str,
        server_text: String,
        code: Option<String>,
        rejection: Option<PyRejection>,
        wait_ms: Option<u64>,
        url: Option<String>,
        detail: String,
        sentence: String,
    }
}

record! {
    /// What a reply of the server, or the end of a session, means.
    ///
    /// * `cause`, `advice`, `certainty`, `wait_ms`, `url`: as in `Failure`;
    /// * `rule`: the name of the row in the table of causes that decided.
    PyVerdict as "Verdict" {
        cause: &'static str,
        advice: &'static str,
        certainty: &'static str,
        rule: &'static str,
        wait_ms: Option<u64>,
        url: Option<String>,
    }
}

record! {
    /// The mailbox that an IMAP session had selected, as the server had told last: `None` where it had not.
    ///
    /// * `name`: as it was selected; `read_only`: by EXAMINE, or because the server allows no more;
    /// * `uid_validity`, `uid_next`, `highest_mod_seq`: RFC 9051 section 2.3.1, RFC 7162 section 3.1.
    PyMailbox as "Mailbox" {
        name: String,
        read_only: bool,
        uid_validity: Option<u32>,
        uid_next: Option<u32>,
        highest_mod_seq: Option<u64>,
    }
}

record! {
    /// What was in flight when a session ended. Fields of other protocols are `None`.
    ///
    /// * `protocol`: `imap`, `pop3` or `smtp`;
    /// * IMAP: `selected`, a `Mailbox`; `idling`, whether IDLE was on; `unanswered`, commands without a reply, as `tag name`:
    ///   what they did is unknown;
    /// * POP3: `uncommitted_deletes`, numbers of messages that are there still (RFC 1939 section 6). The numbers are those of
    ///   the session that ended: find the messages again by UIDL;
    /// * SMTP: `submission`: `idle`, `not_accepted` (send it again), or `unknown` (the message was sent, and its reply was
    ///   not heard: it may have been delivered).
    PyAftermath as "Aftermath" {
        protocol: &'static str,
        selected: Option<PyMailbox>,
        idling: Option<bool>,
        unanswered: Option<Vec<String>>,
        uncommitted_deletes: Option<Vec<u32>>,
        submission: Option<&'static str>,
    }
}

/// A login that worked.
///
/// * `mechanism`: `XOAUTH2` or `OAUTHBEARER`; `capabilities`: what the server said that it can do now, empty where it said nothing;
/// * `leftover`: octets that came behind the login. They belong to the mail client.
#[pyclass(frozen, get_all, name = "Authenticated", module = "mailbearer")]
pub(crate) struct PyAuthenticated {
    mechanism: &'static str,
    capabilities: Vec<String>,
    leftover: Py<PyBytes>,
}

impl PyAuthenticated {
    pub(crate) fn new(py: Python<'_>, authenticated: Authenticated) -> Self {
        Self {
            mechanism: authenticated.mechanism.as_str(),
            capabilities: authenticated.capabilities,
            leftover: PyBytes::new(py, &authenticated.leftover).unbind(),
        }
    }
}

impl From<Rejection> for PyRejection {
    fn from(rejection: Rejection) -> Self {
        Self {
            status: rejection.status,
            scope: rejection.scope,
            schemes: rejection.schemes,
            openid_configuration: rejection.openid_configuration,
        }
    }
}

impl From<Failure> for PyFailure {
    fn from(failure: Failure) -> Self {
        Self {
            sentence: failure.to_string(),
            cause: failure.cause.as_str(),
            advice: failure.advice.as_str(),
            certainty: failure.certainty.as_str(),
            server_text: failure.server_text,
            code: failure.code,
            rejection: failure.rejection.map(Into::into),
            wait_ms: failure.wait_ms,
            url: failure.url,
            detail: failure.detail.into_owned(),
        }
    }
}

impl PyFailure {
    /// What a host says of an end: a failure that it made itself.
    pub(crate) fn of_host(&self) -> PyResult<Failure> {
        Ok(Failure::of_host(cause(self.cause)?, self.detail.clone()))
    }
}

impl From<Verdict> for PyVerdict {
    fn from(verdict: Verdict) -> Self {
        Self {
            cause: verdict.cause.as_str(),
            advice: verdict.advice.as_str(),
            certainty: verdict.certainty.as_str(),
            rule: verdict.rule,
            wait_ms: verdict.wait_ms,
            url: verdict.url,
        }
    }
}

impl From<Mailbox> for PyMailbox {
    fn from(mailbox: Mailbox) -> Self {
        Self {
            name: mailbox.name,
            read_only: mailbox.read_only,
            uid_validity: mailbox.uid_validity,
            uid_next: mailbox.uid_next,
            highest_mod_seq: mailbox.highest_mod_seq,
        }
    }
}

impl From<Aftermath> for PyAftermath {
    fn from(aftermath: Aftermath) -> Self {
        let none = Self {
            protocol: "imap",
            selected: None,
            idling: None,
            unanswered: None,
            uncommitted_deletes: None,
            submission: None,
        };
        match aftermath {
            Aftermath::Imap { selected, idling, unanswered } => Self {
                selected: selected.map(Into::into),
                idling: Some(idling),
                unanswered: Some(unanswered),
                ..none
            },
            Aftermath::Pop3 { uncommitted_deletes } => {
                Self { protocol: "pop3", uncommitted_deletes: Some(uncommitted_deletes), ..none }
            }
            Aftermath::Smtp { submission } => {
                Self { protocol: "smtp", submission: Some(submission.as_str()), ..none }
            }
        }
    }
}
