//! Profiles of mail providers.

use mailbearer::{
    ConfigError, Endpoint, Mechanism, Protocol, Provider, Service, SessionLimits, Tls,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::convert::{self, config_error, guard, named, text, texts};

/// What is known of a mail provider.
///
/// * `name`: as in `gmail`; `domains`: mail domains that are certainly its own; `token_lifetime_ms`: how long its tokens live.
#[pyclass(frozen, eq, name = "Provider", module = "mailbearer")]
#[derive(PartialEq, Clone)]
pub(crate) struct PyProvider(pub(crate) Provider);

#[pymethods]
impl PyProvider {
    #[classattr]
    const NAMES: [&'static str; 16] = Provider::NAMES;

    #[new]
    #[pyo3(signature = (name, services, *, domains=None, token_lifetime_ms=None))]
    fn new(
        name: &Bound<'_, PyAny>,
        services: &Bound<'_, PyDict>,
        domains: Option<&Bound<'_, PyAny>>,
        token_lifetime_ms: Option<u64>,
    ) -> PyResult<Self> {
        guard(|| {
            let services = services.iter().map(|(protocol, facts)| {
                let facts = facts
                    .cast::<PyDict>()
                    .map_err(|_| PyTypeError::new_err("a service must be a dict"))?;
                service(named(&protocol, "protocol")?, facts)
            });
            Ok(Self(Provider {
                name: text(name, "name")?,
                domains: texts(domains, "domains")?.unwrap_or_default(),
                token_lifetime_ms,
                services: services.collect::<PyResult<Vec<_>>>()?,
                oauth: None,
                instead: None,
            }))
        })
    }

    /// The profile of a name.
    #[staticmethod]
    fn named(name: &Bound<'_, PyAny>) -> PyResult<Self> {
        guard(|| {
            let name = text(name, "provider")?;
            let found = Provider::named(&name);
            found.map(Self).ok_or_else(|| PyValueError::new_err(Provider::unknown(&name)))
        })
    }

    /// The provider of a mail address, where that is certain.
    #[staticmethod]
    fn of_address(address: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        guard(|| Ok(Provider::of_address(&text(address, "address")?).map(Self)))
    }

    /// A server of which nothing is known but its host.
    #[staticmethod]
    fn generic(host: &Bound<'_, PyAny>) -> PyResult<Self> {
        guard(|| Ok(Self(Provider::generic(&text(host, "host")?))))
    }

    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    #[getter]
    fn domains(&self) -> Vec<String> {
        self.0.domains.clone()
    }

    #[getter]
    fn token_lifetime_ms(&self) -> Option<u64> {
        self.0.token_lifetime_ms
    }

    /// Where its tokens come from, as a dict, or `None`.
    #[getter]
    fn oauth<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let Some(oauth) = &self.0.oauth else { return Ok(None) };
        let dict = PyDict::new(py);
        dict.set_item("issuer", &oauth.issuer)?;
        dict.set_item("authorization_endpoint", &oauth.authorization_endpoint)?;
        dict.set_item("token_endpoint", &oauth.token_endpoint)?;
        dict.set_item("device_authorization_endpoint", &oauth.device_authorization_endpoint)?;
        dict.set_item("revocation_endpoint", &oauth.revocation_endpoint)?;
        dict.set_item("registration_endpoint", &oauth.registration_endpoint)?;
        dict.set_item("needs_client_secret", oauth.needs_client_secret)?;
        let parameters = PyDict::new(py);
        for one in &oauth.parameters {
            parameters.set_item(&one.name, &one.value)?;
        }
        dict.set_item("parameters", parameters)?;
        dict.set_item("takes_login_hint", oauth.takes_login_hint)?;
        Ok(Some(dict))
    }

    /// What its users do instead, where it takes no tokens.
    #[getter]
    fn instead(&self) -> Option<&str> {
        self.0.instead.as_deref()
    }

    /// What it has of a protocol, as a dict, or `None`.
    fn service<'py>(
        &self,
        py: Python<'py>,
        protocol: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        guard(|| {
            let Some(service) = self.0.service(named(protocol, "protocol")?) else {
                return Ok(None);
            };
            let dict = PyDict::new(py);
            dict.set_item("host", &service.endpoint.host)?;
            dict.set_item("port", service.endpoint.port)?;
            dict.set_item("tls", service.endpoint.tls.as_str())?;
            dict.set_item(
                "mechanisms",
                service.mechanisms.iter().map(|one| one.as_str()).collect::<Vec<_>>(),
            )?;
            dict.set_item("scopes", &service.scopes)?;
            dict.set_item("initial_response", service.initial_response.as_str())?;
            dict.set_item("assumed_capabilities", &service.assumed_capabilities)?;
            dict.set_item("session_ms", service.limits.session_ms)?;
            dict.set_item("ends_with_token", service.limits.ends_with_token)?;
            dict.set_item("idle_ms", service.limits.idle_ms)?;
            dict.set_item("connections", service.limits.connections)?;
            Ok(Some(dict))
        })
    }

    fn __repr__(&self) -> String {
        format!("Provider('{}')", self.0.name)
    }
}

/// A service from the facts that `Provider.service` gives: `host` is needed, the others have defaults.
fn service(protocol: Protocol, facts: &Bound<'_, PyDict>) -> PyResult<Service> {
    let mut host = None;
    let mut port = None;
    let mut tls = Tls::Implicit;
    let generic = Provider::generic("localhost");
    let mut made = generic
        .service(protocol)
        .cloned()
        .ok_or_else(|| PyValueError::new_err("no such protocol"))?;
    let mut limits = SessionLimits::default();
    for (name, value) in facts.iter() {
        match text(&name, "service")?.as_str() {
            "host" => host = Some(text(&value, "host")?),
            "port" => port = Some(convert::port(&value)?),
            "tls" => tls = named(&value, "tls")?,
            "mechanisms" => {
                let names = texts(Some(&value), "mechanisms")?.unwrap_or_default();
                let parsed: Result<Vec<Mechanism>, ConfigError> =
                    names.iter().map(|name| name.parse()).collect();
                made.mechanisms = parsed.map_err(|error| config_error(&error))?;
            }
            "scopes" => made.scopes = texts(Some(&value), "scopes")?.unwrap_or_default(),
            "initial_response" => made.initial_response = named(&value, "initial_response")?,
            "assumed_capabilities" => {
                made.assumed_capabilities =
                    texts(Some(&value), "assumed_capabilities")?.unwrap_or_default();
            }
            "session_ms" => limits.session_ms = value.extract()?,
            "ends_with_token" => limits.ends_with_token = value.extract()?,
            "idle_ms" => limits.idle_ms = value.extract()?,
            "connections" => limits.connections = value.extract()?,
            other => return Err(PyValueError::new_err(format!("a service has no fact {other}"))),
        }
    }
    let host = host.ok_or_else(|| PyValueError::new_err("a service needs its host"))?;
    let endpoint = Endpoint::new(protocol, tls, &host);
    made.endpoint = match port {
        Some(port) => endpoint.with_port(port),
        None => endpoint,
    };
    made.limits = limits;
    Ok(made)
}
