//! What a login, a session and an account are told, as JavaScript gives it.

use mailbearer::{
    AccountConfig, ConfigError, Endpoint, Field, Identity, Login, Mechanism, NegotiationConfig,
    Protocol, Renewal, SessionConfig, SessionLimits, Tls,
};
use napi::Result;
use napi_derive::napi;

use crate::convert::{self, config_error, config_text, named, optional_whole, whole};

/// The settings of a login as JavaScript gives them.
#[napi(object, object_to_js = false)]
pub struct JsSettings {
    pub protocol: String,
    pub user: String,
    pub host: String,
    pub port: Option<f64>,
    pub tls: Option<String>,
    pub authzid: Option<String>,
    pub mechanisms: Option<Vec<String>>,
    pub initial_response: Option<String>,
    pub ehlo_name: Option<String>,
    pub assumed_capabilities: Option<Vec<String>>,
}

impl JsSettings {
    pub(crate) fn read(self) -> Result<NegotiationConfig> {
        let protocol: Protocol = named(&self.protocol)?;
        let tls: Tls = self.tls.map_or(Ok(Tls::Implicit), |tls| named(&tls))?;
        let mut endpoint = Endpoint::new(protocol, tls, &self.host);
        if let Some(port) = self.port {
            endpoint.port = convert::port(port)?;
        }
        let identity = Identity { user: self.user, authzid: self.authzid };
        let mut config = NegotiationConfig::new(endpoint, identity);
        if let Some(names) = self.mechanisms {
            config.mechanisms =
                names.iter().map(|name| named(name)).collect::<Result<Vec<Mechanism>>>()?;
            if config.mechanisms.is_empty() {
                return Err(config_error(&ConfigError::Empty { field: Field::Mechanisms }));
            }
        }
        if let Some(name) = self.initial_response {
            config.initial_response = named(&name)?;
        }
        if let Some(name) = self.ehlo_name {
            config.ehlo_name = name;
        }
        if let Some(list) = self.assumed_capabilities {
            config.assumed_capabilities = list;
        }
        Ok(config)
    }
}

/// Checks the settings of a login, and says the name that `EHLO` gives with them.
#[napi(catch_unwind)]
pub fn checked_ehlo_name(settings: JsSettings) -> Result<String> {
    let config = settings.read()?;
    config.validate().map_err(|error| config_error(&error))?;
    Ok(config.ehlo_name)
}

/// Limits and times, by their names.
#[napi(object, object_to_js = false)]
pub struct JsPolicy {
    pub session_ms: Option<f64>,
    pub ends_with_token: Option<bool>,
    pub idle_ms: Option<f64>,
    pub connections: Option<f64>,
    pub token_lifetime_ms: Option<f64>,
    pub lead_ms: Option<f64>,
    pub token_life_least_ms: Option<f64>,
    pub token_timeout_ms: Option<f64>,
    pub login_timeout_ms: Option<f64>,
    pub backoff_base_ms: Option<f64>,
    pub backoff_max_ms: Option<f64>,
    pub stable_after_ms: Option<f64>,
    pub login_interval_ms: Option<f64>,
    pub login: Option<String>,
    pub renewal: Option<String>,
}

impl JsPolicy {
    pub(crate) fn apply(self, config: &mut SessionConfig) -> Result<()> {
        config.limits = SessionLimits {
            session_ms: optional_whole(self.session_ms, "session_ms")?,
            ends_with_token: self.ends_with_token.unwrap_or_default(),
            idle_ms: optional_whole(self.idle_ms, "idle_ms")?,
            connections: optional_whole(self.connections, "connections")?
                .map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
        };
        config.token_lifetime_ms = optional_whole(self.token_lifetime_ms, "token_lifetime_ms")?;
        let times = [
            ("lead_ms", self.lead_ms, &mut config.lead_ms),
            ("token_life_least_ms", self.token_life_least_ms, &mut config.token_life_least_ms),
            ("token_timeout_ms", self.token_timeout_ms, &mut config.token_timeout_ms),
            ("login_timeout_ms", self.login_timeout_ms, &mut config.login_timeout_ms),
            ("backoff_base_ms", self.backoff_base_ms, &mut config.backoff_base_ms),
            ("backoff_max_ms", self.backoff_max_ms, &mut config.backoff_max_ms),
            ("stable_after_ms", self.stable_after_ms, &mut config.stable_after_ms),
            ("login_interval_ms", self.login_interval_ms, &mut config.login_interval_ms),
        ];
        for (name, given, setting) in times {
            if let Some(given) = given {
                *setting = whole(given, name)?;
            }
        }
        match self.login.as_deref() {
            None => {}
            Some("session") => config.login = Login::Session,
            Some("host") => config.login = Login::Host,
            Some(_) => return Err(config_text("login is none of the known values: session, host")),
        }
        match self.renewal.as_deref() {
            None => {}
            Some("ahead") => config.renewal = Renewal::Ahead,
            Some("at_end") => config.renewal = Renewal::AtEnd,
            Some("overlap") => config.renewal = Renewal::Overlap,
            Some(_) => {
                let text = "renewal is none of the known values: ahead, at_end, overlap";
                return Err(config_text(text));
            }
        }
        Ok(())
    }
}

/// Limits and times of an account, by their names. What is left out is as the core has it.
#[napi(object, object_to_js = false)]
pub struct JsAccountPolicy {
    pub first_ms: Option<f64>,
    pub later_ms: Option<f64>,
    pub token_lifetime_ms: Option<f64>,
    pub token_life_least_ms: Option<f64>,
    pub token_timeout_ms: Option<f64>,
    pub backoff_base_ms: Option<f64>,
    pub backoff_max_ms: Option<f64>,
    pub keep_alive: Option<bool>,
    pub answer_ms: Option<f64>,
    pub unprobed_nap_ms: Option<f64>,
}

impl JsAccountPolicy {
    pub(crate) fn read(self) -> Result<AccountConfig> {
        let mut config = AccountConfig::default();
        if let Some(first_ms) = self.first_ms {
            config.first_ms = unless_for_ever(first_ms, "first_ms")?;
        }
        if let Some(later_ms) = self.later_ms {
            config.later_ms = unless_for_ever(later_ms, "later_ms")?;
        }
        config.token_lifetime_ms = optional_whole(self.token_lifetime_ms, "token_lifetime_ms")?;
        let times = [
            ("token_life_least_ms", self.token_life_least_ms, &mut config.token_life_least_ms),
            ("token_timeout_ms", self.token_timeout_ms, &mut config.token_timeout_ms),
            ("backoff_base_ms", self.backoff_base_ms, &mut config.backoff_base_ms),
            ("backoff_max_ms", self.backoff_max_ms, &mut config.backoff_max_ms),
            ("answer_ms", self.answer_ms, &mut config.answer_ms),
            ("unprobed_nap_ms", self.unprobed_nap_ms, &mut config.unprobed_nap_ms),
        ];
        for (name, given, setting) in times {
            if let Some(given) = given {
                *setting = whole(given, name)?;
            }
        }
        config.keep_alive = self.keep_alive.unwrap_or(config.keep_alive);
        Ok(config)
    }
}

/// `Infinity` is for ever.
fn unless_for_ever(milliseconds: f64, field: &str) -> Result<Option<u64>> {
    optional_whole(Some(milliseconds).filter(|one| *one != f64::INFINITY), field)
}
