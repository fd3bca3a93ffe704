//! What a login, a session and an account are told.

use mailbearer::{
    AccountConfig, ConfigError, Endpoint, Field, Identity, InitialResponse, Login, Mechanism,
    NegotiationConfig, Protocol, Renewal, SessionConfig, SessionLimits, Tls,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::convert::{self, config_error, named, optional_text, text, texts};

/// The settings of a login as Python gives them.
pub(crate) struct Settings<'a, 'py> {
    pub(crate) protocol: &'a Bound<'py, PyAny>,
    pub(crate) user: &'a Bound<'py, PyAny>,
    pub(crate) host: &'a Bound<'py, PyAny>,
    pub(crate) port: Option<&'a Bound<'py, PyAny>>,
    pub(crate) tls: Option<&'a Bound<'py, PyAny>>,
    pub(crate) authzid: Option<&'a Bound<'py, PyAny>>,
    pub(crate) mechanisms: Option<&'a Bound<'py, PyAny>>,
    pub(crate) initial_response: Option<&'a Bound<'py, PyAny>>,
    pub(crate) ehlo_name: Option<&'a Bound<'py, PyAny>>,
    pub(crate) assumed_capabilities: Option<&'a Bound<'py, PyAny>>,
}

impl Settings<'_, '_> {
    pub(crate) fn read(&self) -> PyResult<NegotiationConfig> {
        let protocol: Protocol = named(self.protocol, "protocol")?;
        let tls: Tls = self.tls.map_or(Ok(Tls::Implicit), |tls| named(tls, "tls"))?;
        let mut endpoint = Endpoint::new(protocol, tls, &text(self.host, "host")?);
        if let Some(port) = self.port {
            endpoint.port = convert::port(port)?;
        }
        let identity = Identity {
            user: text(self.user, "user")?,
            authzid: optional_text(self.authzid, "authzid")?,
        };
        let mut config = NegotiationConfig::new(endpoint, identity);
        if let Some(names) = texts(self.mechanisms, "mechanisms")? {
            let parsed: Result<Vec<Mechanism>, ConfigError> =
                names.iter().map(|name| name.parse()).collect();
            config.mechanisms = parsed.map_err(|error| config_error(&error))?;
            if config.mechanisms.is_empty() {
                return Err(config_error(&ConfigError::Empty { field: Field::Mechanisms }));
            }
        }
        if let Some(name) = self.initial_response {
            config.initial_response = named::<InitialResponse>(name, "initial_response")?;
        }
        if let Some(name) = optional_text(self.ehlo_name, "ehlo_name")? {
            config.ehlo_name = name;
        }
        if let Some(list) = texts(self.assumed_capabilities, "assumed_capabilities")? {
            config.assumed_capabilities = list;
        }
        Ok(config)
    }
}

/// Reads limits and times by their names. A name that is not known is an error, not a wish.
pub(crate) fn read_session_policy(
    policy: &Bound<'_, PyDict>,
    config: &mut SessionConfig,
) -> PyResult<()> {
    let mut limits = SessionLimits::default();
    for (name, value) in policy.iter() {
        let name = text(&name, "policy")?;
        match name.as_str() {
            "session_ms" => limits.session_ms = value.extract()?,
            "ends_with_token" => limits.ends_with_token = value.extract()?,
            "idle_ms" => limits.idle_ms = value.extract()?,
            "connections" => limits.connections = value.extract()?,
            "token_lifetime_ms" => config.token_lifetime_ms = value.extract()?,
            "lead_ms" => config.lead_ms = value.extract()?,
            "token_life_least_ms" => config.token_life_least_ms = value.extract()?,
            "token_timeout_ms" => config.token_timeout_ms = value.extract()?,
            "login_timeout_ms" => config.login_timeout_ms = value.extract()?,
            "backoff_base_ms" => config.backoff_base_ms = value.extract()?,
            "backoff_max_ms" => config.backoff_max_ms = value.extract()?,
            "stable_after_ms" => config.stable_after_ms = value.extract()?,
            "login_interval_ms" => config.login_interval_ms = value.extract()?,
            "login" => {
                config.login = match text(&value, "login")?.as_str() {
                    "session" => Login::Session,
                    "host" => Login::Host,
                    _ => {
                        return Err(PyValueError::new_err("login is neither 'session' nor 'host'"));
                    }
                }
            }
            "renewal" => {
                config.renewal = match text(&value, "renewal")?.as_str() {
                    "ahead" => Renewal::Ahead,
                    "at_end" => Renewal::AtEnd,
                    "overlap" => Renewal::Overlap,
                    _ => {
                        return Err(PyValueError::new_err(
                            "renewal is none of 'ahead', 'at_end' and 'overlap'",
                        ));
                    }
                }
            }
            _ => return Err(PyValueError::new_err(format!("policy has no setting {name}"))),
        }
    }
    config.limits = limits;
    Ok(())
}

/// The same for what is of the whole account.
pub(crate) fn read_account_policy(
    policy: &Bound<'_, PyDict>,
    config: &mut AccountConfig,
) -> PyResult<()> {
    for (name, value) in policy.iter() {
        let name = text(&name, "policy")?;
        match name.as_str() {
            "first_ms" => config.first_ms = value.extract()?,
            "later_ms" => config.later_ms = value.extract()?,
            "token_lifetime_ms" => config.token_lifetime_ms = value.extract()?,
            "token_life_least_ms" => config.token_life_least_ms = value.extract()?,
            "token_timeout_ms" => config.token_timeout_ms = value.extract()?,
            "backoff_base_ms" => config.backoff_base_ms = value.extract()?,
            "backoff_max_ms" => config.backoff_max_ms = value.extract()?,
            "keep_alive" => config.keep_alive = value.extract()?,
            "answer_ms" => config.answer_ms = value.extract()?,
            "unprobed_nap_ms" => config.unprobed_nap_ms = value.extract()?,
            _ => {
                return Err(PyValueError::new_err(format!("an account has no setting {name}")));
            }
        }
    }
    Ok(())
}
