//! The Gmail-like server as a machine: sockets and clock are Node's.

use mailbearer::testing::{
    Cut, Delivery, Fault, FaultKind, Flavour, Output, RecipientRefusal, Server, ServerConfig,
    Stage, TokenRequest,
};
use mailbearer::{Cause, Protocol};
use napi::bindgen_prelude::{BigInt, BufferSlice};
use napi::{Env, Result};
use napi_derive::napi;

use crate::convert::{config_text, named, number, octets, one_of, optional_whole, whole};

/// How the server behaves.
#[napi(object, object_to_js = false)]
pub struct JsServerSettings {
    pub flavour: String,
    pub cut: String,
    pub token_lifetime_ms: f64,
    pub session_limit_ms: Option<f64>,
    pub connections_max: Option<f64>,
    pub messages: f64,
    pub message_octets_max: f64,
    pub greylist_ms: Option<f64>,
    pub unix_epoch_ms: f64,
}

/// A message in a mailbox.
#[napi(object, object_from_js = false)]
pub struct JsStoredMessage<'env> {
    pub uid: f64,
    pub flags: Vec<String>,
    pub date_ms: f64,
    pub content: BufferSlice<'env>,
}

/// A connection's number, what to write, and what to do then.
#[napi(object, object_from_js = false)]
pub struct JsReply<'env> {
    pub connection: f64,
    pub send: BufferSlice<'env>,
    pub then: &'static str,
}

/// What was accepted over SMTP.
#[napi(object, object_from_js = false)]
pub struct JsSubmitted<'env> {
    pub user: String,
    pub sender: String,
    pub recipients: Vec<String>,
    pub content: BufferSlice<'env>,
}

/// What happened at the server.
#[napi(object, object_from_js = false)]
pub struct JsServerEvent {
    pub at_ms: f64,
    pub connection: f64,
    pub protocol: &'static str,
    pub what: String,
}

#[napi(js_name = "NativeServer")]
pub struct JsServer(Server);

#[napi]
impl JsServer {
    #[napi(constructor, catch_unwind)]
    pub fn new(settings: JsServerSettings, seed: BigInt) -> Result<Self> {
        let config = ServerConfig {
            flavour: one_of(Flavour::ALL, |one| one.as_str(), &settings.flavour, "flavour")?,
            cut: one_of(Cut::ALL, |one| one.as_str(), &settings.cut, "cut")?,
            token_lifetime_ms: whole(settings.token_lifetime_ms, "tokenLifetime")?,
            session_limit_ms: optional_whole(settings.session_limit_ms, "sessionLimit")?,
            messages: count(settings.messages, "messages")?,
            connections_max: settings
                .connections_max
                .map(|max| count(max, "connectionsMax"))
                .transpose()?,
            message_octets_max: count(settings.message_octets_max, "messageOctetsMax")?,
            greylist_ms: optional_whole(settings.greylist_ms, "greylist")?,
            unix_epoch_ms: Some(whole(settings.unix_epoch_ms, "unixEpochMs")?),
        };
        let (_, seed, _) = seed.get_u64();
        Ok(Self(Server::new(config, seed)))
    }

    /// Refuses every login for a cause, over one protocol or all; without one, that ends.
    #[napi(catch_unwind)]
    pub fn refuse(&mut self, cause_name: Option<String>, protocol: Option<String>) -> Result<()> {
        let protocols = match protocol {
            Some(name) => Vec::from([named(&name)?]),
            None => Protocol::ALL.to_vec(),
        };
        let cause = cause_name.map(|name| {
            let found = Cause::ALL.iter().copied().find(|cause| cause.as_str() == name);
            found.ok_or_else(|| config_text(&self.0.config.flavour.no_such_cause(&protocols)))
        });
        let cause = cause.transpose()?;
        let refused = self.0.refuse_over(&protocols, cause);
        refused.map_err(|error| config_text(&error.to_string()))
    }

    /// Refuses a recipient; without a reason, that ends.
    #[napi(catch_unwind)]
    pub fn refuse_recipient(&mut self, address: String, why: Option<String>) -> Result<()> {
        let all = RecipientRefusal::ALL;
        let why = why.map(|why| one_of(all, |one| one.as_str(), &why, "why")).transpose()?;
        self.0.refuse_recipient(&address, why);
        Ok(())
    }

    /// Sets a fault that strikes once.
    #[napi(catch_unwind)]
    pub fn set_fault(&mut self, stage: String, kind: String) -> Result<()> {
        let stage = one_of(Stage::ALL, |one| one.as_str(), &stage, "stage")?;
        let kind = one_of(FaultKind::ALL, |one| one.as_str(), &kind, "kind")?;
        self.0.set_fault(Some(Fault { stage, kind }));
        Ok(())
    }

    #[napi(catch_unwind)]
    pub fn clear_fault(&mut self) {
        self.0.set_fault(None);
    }

    #[napi(catch_unwind)]
    pub fn issue_token(
        &mut self,
        now_ms: f64,
        user: String,
        lifetime_ms: Option<f64>,
        scope: Option<String>,
        octets: Option<f64>,
    ) -> Result<String> {
        let request = TokenRequest {
            lifetime_ms: optional_whole(lifetime_ms, "lifetime")?,
            scope,
            octets: octets.map(|octets| count(octets, "octets")).transpose()?,
        };
        Ok(self.0.issue_token(whole(now_ms, "nowMs")?, &user, request))
    }

    #[napi(catch_unwind)]
    pub fn revoke_token(&mut self, token: String) {
        self.0.revoke_token(&token);
    }

    #[napi(catch_unwind)]
    pub fn open<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        protocol: String,
        tls: String,
    ) -> Result<JsReply<'env>> {
        let (protocol, tls) = (named(&protocol)?, named(&tls)?);
        let (id, output) = self.0.open(whole(now_ms, "nowMs")?, protocol, tls);
        reply(env, id, &output)
    }

    #[napi(catch_unwind)]
    pub fn receive<'env>(
        &mut self,
        env: &'env Env,
        now_ms: f64,
        connection: f64,
        data: &[u8],
    ) -> Result<JsReply<'env>> {
        let id = whole(connection, "connection")?;
        let output = self.0.receive(whole(now_ms, "nowMs")?, id, data);
        reply(env, id, &output)
    }

    #[napi(catch_unwind)]
    pub fn tls_established<'env>(
        &mut self,
        env: &'env Env,
        connection: f64,
    ) -> Result<JsReply<'env>> {
        let id = whole(connection, "connection")?;
        let output = self.0.tls_established(id);
        reply(env, id, &output)
    }

    #[napi(catch_unwind)]
    pub fn closed(&mut self, now_ms: f64, connection: f64) -> Result<()> {
        self.0.closed(whole(now_ms, "nowMs")?, whole(connection, "connection")?);
        Ok(())
    }

    #[napi(catch_unwind)]
    pub fn tick<'env>(&mut self, env: &'env Env, now_ms: f64) -> Result<Vec<JsReply<'env>>> {
        let outputs = self.0.tick(whole(now_ms, "nowMs")?);
        outputs.iter().map(|(id, output)| reply(env, *id, output)).collect()
    }

    #[napi(catch_unwind)]
    pub fn next_wake_ms(&self) -> Option<f64> {
        self.0.next_wake_ms().map(number)
    }

    #[napi(catch_unwind)]
    pub fn restart<'env>(&mut self, env: &'env Env, now_ms: f64) -> Result<Vec<JsReply<'env>>> {
        let outputs = self.0.restart(whole(now_ms, "nowMs")?);
        outputs.iter().map(|(id, output)| reply(env, *id, output)).collect()
    }

    #[napi(catch_unwind)]
    pub fn add_user(&mut self, user: String) {
        self.0.add_user(&user);
    }

    #[napi(catch_unwind)]
    pub fn users(&self) -> Vec<String> {
        self.0.users()
    }

    #[napi(catch_unwind)]
    pub fn mailboxes(&self, user: String) -> Vec<String> {
        self.0.mailboxes(&user)
    }

    #[napi(catch_unwind)]
    pub fn create_mailbox(&mut self, user: String, name: String) {
        self.0.create_mailbox(&user, &name);
    }

    #[napi(catch_unwind)]
    pub fn delete_mailbox(&mut self, user: String, name: String) -> Result<()> {
        self.0.delete_mailbox(&user, &name).map_err(|error| config_text(&error.to_string()))
    }

    #[napi(catch_unwind)]
    pub fn deliver(
        &mut self,
        user: String,
        message: &[u8],
        mailbox: Option<String>,
        flags: Vec<String>,
        date_ms: Option<f64>,
    ) -> Result<()> {
        let date_ms = optional_whole(date_ms, "date")?;
        let date_ms = date_ms.and_then(|date_ms| i64::try_from(date_ms).ok());
        self.0.deliver_to(&user, &Delivery { mailbox, flags, date_ms }, message);
        Ok(())
    }

    #[napi(catch_unwind)]
    pub fn messages_in<'env>(
        &mut self,
        env: &'env Env,
        user: String,
        mailbox: String,
    ) -> Result<Vec<JsStoredMessage<'env>>> {
        let stored = self.0.messages_in(&user, &mailbox).into_iter().map(|one| {
            Ok(JsStoredMessage {
                uid: f64::from(one.uid),
                flags: one.flags,
                date_ms: one.date_ms as f64,
                content: octets(env, &one.content)?,
            })
        });
        stored.collect()
    }

    #[napi(catch_unwind)]
    pub fn submitted<'env>(&self, env: &'env Env) -> Result<Vec<JsSubmitted<'env>>> {
        let submitted = self.0.submitted().iter().map(|one| {
            Ok(JsSubmitted {
                user: one.user.clone(),
                sender: one.sender.clone(),
                recipients: one.recipients.clone(),
                content: octets(env, &one.content)?,
            })
        });
        submitted.collect()
    }

    #[napi(catch_unwind)]
    pub fn take_events(&mut self) -> Vec<JsServerEvent> {
        let events = self.0.take_events().into_iter().map(|one| JsServerEvent {
            at_ms: number(one.at_ms),
            connection: number(one.connection),
            protocol: one.protocol.as_str(),
            what: one.what,
        });
        events.collect()
    }

    #[napi(catch_unwind)]
    pub fn sessions(&self) -> f64 {
        number(self.0.sessions() as u64)
    }
}

fn reply<'env>(env: &'env Env, id: u64, output: &Output) -> Result<JsReply<'env>> {
    Ok(JsReply {
        connection: number(id),
        send: octets(env, &output.send)?,
        then: output.next.as_str(),
    })
}

fn count(number: f64, field: &str) -> Result<usize> {
    Ok(usize::try_from(whole(number, field)?).unwrap_or(usize::MAX))
}
