//! `Discovery`.

use mailbearer::discover::{
    Answer, Discovered, Discovery, Lookup, MxRecord, Question, SrvRecord, Trouble,
};
use napi::Result;
use napi_derive::napi;

use crate::convert::{config_error, config_text, named, number, one_of};
use crate::pure::JsProvider;

/// Something to look up. Fields of other kinds are left out.
#[napi(object, object_from_js = false)]
pub struct JsLookup {
    pub id: u32,
    pub kind: &'static str,
    pub name: String,
    pub within_ms: f64,
    pub public_only: Option<bool>,
    pub octets_max: Option<u32>,
}

/// An MX record.
#[napi(object, object_to_js = false)]
pub struct JsMxRecord {
    pub preference: f64,
    pub exchange: String,
}

/// An SRV record.
#[napi(object, object_to_js = false)]
pub struct JsSrvRecord {
    pub priority: f64,
    pub weight: f64,
    pub port: f64,
    pub target: String,
}

/// What a login needs.
#[napi(object, object_from_js = false)]
pub struct JsDiscoveredLogin {
    pub provider: JsProvider,
    pub user: String,
}

/// Finds the servers of one mail address.
#[napi(js_name = "NativeDiscovery")]
pub struct JsDiscovery(Discovery);

#[napi]
impl JsDiscovery {
    #[napi(constructor, catch_unwind)]
    pub fn new(address: String) -> Result<Self> {
        Discovery::new(&address).map(Self).map_err(|error| config_error(&error))
    }

    #[napi(catch_unwind)]
    pub fn start(&mut self) -> Vec<JsLookup> {
        wrapped(self.0.start())
    }

    #[napi(catch_unwind)]
    pub fn answer_mx(&mut self, id: u32, records: Vec<JsMxRecord>) -> Result<Vec<JsLookup>> {
        let record = |one: JsMxRecord| {
            Ok(MxRecord {
                preference: small(one.preference, "preference")?,
                exchange: one.exchange,
            })
        };
        let records = records.into_iter().map(record).collect::<Result<_>>()?;
        Ok(wrapped(self.0.answer(id, Answer::Mx(records))))
    }

    #[napi(catch_unwind)]
    pub fn answer_srv(&mut self, id: u32, records: Vec<JsSrvRecord>) -> Result<Vec<JsLookup>> {
        let record = |one: JsSrvRecord| {
            Ok(SrvRecord {
                priority: small(one.priority, "priority")?,
                weight: small(one.weight, "weight")?,
                port: small(one.port, "port")?,
                target: one.target,
            })
        };
        let records = records.into_iter().map(record).collect::<Result<_>>()?;
        Ok(wrapped(self.0.answer(id, Answer::Srv(records))))
    }

    #[napi(catch_unwind)]
    pub fn answer_no_record(&mut self, id: u32) -> Vec<JsLookup> {
        wrapped(self.0.answer(id, Answer::NoRecord))
    }

    #[napi(catch_unwind)]
    pub fn answer_http(
        &mut self,
        id: u32,
        status: f64,
        location: Option<String>,
        body: &[u8],
    ) -> Result<Vec<JsLookup>> {
        let status = small(status, "status")?;
        Ok(wrapped(self.0.answer(id, Answer::Http { status, location, body: body.to_vec() })))
    }

    #[napi(catch_unwind)]
    pub fn answer_failed(&mut self, id: u32, trouble: String) -> Result<Vec<JsLookup>> {
        let trouble = one_of(Trouble::ALL, |one| one.as_str(), &trouble, "trouble")?;
        Ok(wrapped(self.0.answer(id, Answer::Failed(trouble))))
    }

    /// The time is over.
    #[napi(catch_unwind)]
    pub fn end(&mut self) {
        self.0.end();
    }

    #[napi(getter, catch_unwind)]
    pub fn state(&self) -> &'static str {
        self.0.state().as_str()
    }

    #[napi(getter, catch_unwind)]
    pub fn found(&self) -> Option<JsDiscovered> {
        self.0.found().cloned().map(JsDiscovered)
    }
}

/// All that was found for a mail address.
#[napi(js_name = "NativeDiscovered")]
pub struct JsDiscovered(Discovered);

#[napi]
impl JsDiscovered {
    #[napi(catch_unwind)]
    pub fn to_json(&self) -> String {
        self.0.to_json()
    }

    #[napi(catch_unwind)]
    pub fn lines(&self) -> Vec<String> {
        self.0.lines()
    }

    #[napi(catch_unwind)]
    pub fn provider(&self) -> JsProvider {
        JsProvider::new(&self.0.to_provider())
    }

    /// The profile and the user name of a login that asks nobody.
    #[napi(catch_unwind)]
    pub fn login(&self, protocol: String) -> Result<JsDiscoveredLogin> {
        let (provider, user) =
            self.0.login(named(&protocol)?).map_err(|error| config_error(&error))?;
        Ok(JsDiscoveredLogin { provider: JsProvider::new(&provider), user })
    }
}

fn wrapped(lookups: Vec<Lookup>) -> Vec<JsLookup> {
    lookups.into_iter().map(JsLookup::from).collect()
}

impl From<Lookup> for JsLookup {
    fn from(lookup: Lookup) -> Self {
        let (kind, name, public_only, octets_max) = match lookup.question {
            Question::Mx { domain } => ("mx", domain, None, None),
            Question::Srv { name } => ("srv", name, None, None),
            Question::Get { url, public_only, octets_max } => {
                ("get", url, Some(public_only), u32::try_from(octets_max).ok())
            }
        };
        let within_ms = number(lookup.within_ms);
        Self { id: lookup.id, kind, name, within_ms, public_only, octets_max }
    }
}

/// A number of 16 bits.
fn small(number: f64, field: &str) -> Result<u16> {
    let whole = crate::convert::whole(number, field)?;
    u16::try_from(whole).map_err(|_| config_text(&format!("{field} is above 65535")))
}
