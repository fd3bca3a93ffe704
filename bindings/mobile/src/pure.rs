//! Pure functions, tokens and providers.

use std::sync::Arc;

use mailbearer::{
    AccessToken as CoreToken, Cause, Endpoint, Identity, Mechanism, Names, Phase,
    Protocol as MailProtocol, Provider, Rejection, Said, Tls,
};

use crate::errors::{CoreError, guard};
use crate::records::{Failure, NegotiationConfig, Verdict};

/// An access token that is checked once, never shown, and wiped when it is freed.
#[derive(uniffi::Object)]
pub struct AccessToken(pub(crate) CoreToken);

#[uniffi::export]
impl AccessToken {
    /// Checks a token. The error names the offset of the first octet that RFC 6750 does not allow, and never the value.
    #[uniffi::constructor]
    pub fn new(token: &str) -> Result<Arc<Self>, CoreError> {
        guard(|| Ok(Arc::new(Self(CoreToken::new(token)?))))
    }

    /// Whether another one is the same.
    pub fn is_same(&self, other: &Self) -> Result<bool, CoreError> {
        guard(|| Ok(self.0 == other.0))
    }
}

/// What the lines of one reply mean: as they came, without line ends, all lines of an SMTP reply, and the untagged `NO` and
/// the error challenge before it. `user` and `host` are names that the reply may hold: they are no words of the server.
#[uniffi::export(default(user = "", host = ""))]
pub fn classify(
    protocol: MailProtocol,
    phase: Phase,
    reply_lines: Vec<String>,
    user: &str,
    host: &str,
) -> Result<Verdict, CoreError> {
    guard(|| {
        let lines: Vec<&str> = reply_lines.iter().map(String::as_str).collect();
        Ok(mailbearer::classify_named(protocol, phase, &lines, &Names { user, host }).into())
    })
}

/// The failure that a reply stands for which a mail library took apart.
///
/// `status` is `NO`, `BAD`, `BYE`, `-ERR` or the reply code of SMTP, `code` the response code or the enhanced status code
/// without brackets, `text` the rest, or all that there is. What was not seen is not claimed: without a status the answer is
/// never `NoFault`, and never `Stated`. `user` and `host` are as in `classify`.
#[uniffi::export(default(status = None, code = None, user = "", host = ""))]
pub fn explain(
    protocol: MailProtocol,
    phase: Phase,
    text: &str,
    status: Option<String>,
    code: Option<String>,
    user: &str,
    host: &str,
) -> Result<Failure, CoreError> {
    guard(|| {
        let said = Said { status: status.as_deref(), code: code.as_deref(), text };
        Ok(mailbearer::explain(protocol, phase, &said, &Names { user, host }).into())
    })
}

/// What the server's error challenge says: base64 of a JSON object, with or without the `+ ` or `334 ` in front.
#[uniffi::export]
pub fn read_rejection(challenge: &str) -> Result<Rejection, CoreError> {
    guard(|| Ok(mailbearer::read_rejection(challenge)))
}

/// What a token source says of its failure, made fit to be shown: in one line, of at most 512 characters, with `<secret>` in
/// place of what has the name or the look of a secret.
///
/// It is a guess: what is short and has no name is not found. A token that is known is masked by `redact` of the machine
/// that has it.
#[uniffi::export]
pub fn redact_source(text: &str) -> Result<String, CoreError> {
    guard(|| Ok(mailbearer::redact_source(text)))
}

/// The one SASL message that carries the token, before base64.
#[uniffi::export]
pub fn initial_response(
    mechanism: Mechanism,
    identity: &Identity,
    endpoint: &Endpoint,
    token: &AccessToken,
) -> Result<Vec<u8>, CoreError> {
    guard(|| Ok(mailbearer::initial_response(mechanism, identity, endpoint, &token.0)?))
}

/// The one answer to an error challenge, before base64.
#[uniffi::export]
pub fn acknowledgement(mechanism: Mechanism) -> Result<Vec<u8>, CoreError> {
    guard(|| Ok(mailbearer::acknowledgement(mechanism).to_vec()))
}

/// The registered port of a protocol.
#[uniffi::export]
pub fn default_port(protocol: MailProtocol, tls: Tls) -> Result<u16, CoreError> {
    guard(|| Ok(protocol.default_port(tls)))
}

/// The client's name in `EHLO` with this configuration: for a mail library that says it by itself.
#[uniffi::export]
pub fn ehlo_name_of(config: NegotiationConfig) -> Result<String, CoreError> {
    guard(|| Ok(mailbearer::NegotiationConfig::from(config).ehlo_name))
}

/// A failure that the host saw: of TLS, of a deadline, of the connection. `detail` is put into its sentence.
#[uniffi::export]
pub fn failure_of_host(cause: Cause, detail: String) -> Result<Failure, CoreError> {
    guard(|| Ok(mailbearer::Failure::of_host(cause, detail).into()))
}

/// A connection that could not be opened. `error` is the system's name for it (`ECONNREFUSED`, `EAI_NONAME`, …; any other,
/// and none, is `Unreachable`), `words` is what the system says.
#[uniffi::export]
pub fn failure_of_connect(error: &str, words: &str) -> Result<Failure, CoreError> {
    guard(|| Ok(mailbearer::Failure::of_connect(error, words).into()))
}

/// A TLS handshake that failed. `error` is the TLS library's name or text for it, `words` is what is told: the reason, and the
/// issuer and names of the certificate where there was one.
#[uniffi::export]
pub fn failure_of_tls(error: &str, words: &str) -> Result<Failure, CoreError> {
    guard(|| Ok(mailbearer::Failure::of_tls(error, words).into()))
}

/// A certificate that was not taken: `reason` is what the TLS library says, `certificate` is the DER of the server's own. Who
/// issued it, its names and its dates are told; of DER that cannot be read, the reason alone.
#[uniffi::export]
pub fn failure_of_certificate(reason: &str, certificate: Vec<u8>) -> Result<Failure, CoreError> {
    guard(|| Ok(mailbearer::Failure::of_certificate(reason, &certificate).into()))
}

/// How TLS begins at a port: as asked; else as the port is registered; else with the first octet. A port that is registered
/// for the other way of TLS, or for another protocol, is an error unless the server is known to use it in this unusual way.
#[uniffi::export(default(asked = None, unusual_port = false))]
pub fn tls_at_port(
    protocol: MailProtocol,
    port: u16,
    asked: Option<Tls>,
    unusual_port: bool,
) -> Result<Tls, CoreError> {
    guard(|| Ok(Tls::at_port(protocol, port, asked, unusual_port)?))
}

/// What the host has found out about the end of a session.
#[uniffi::export]
pub fn verdict_of_host(cause: Cause) -> Result<Verdict, CoreError> {
    guard(|| Ok(mailbearer::Verdict::of_host(cause).into()))
}

/// Names of the profiles that are built in.
#[uniffi::export]
pub fn provider_names() -> Result<Vec<String>, CoreError> {
    guard(|| Ok(Provider::NAMES.iter().map(ToString::to_string).collect()))
}

/// The profile of a name, in any case.
#[uniffi::export]
pub fn provider_named(name: &str) -> Result<Provider, CoreError> {
    guard(|| Provider::named(name).ok_or_else(|| CoreError::Unknown(Provider::unknown(name))))
}

/// The provider of a mail address, where its domain makes that certain.
#[uniffi::export]
pub fn provider_of_address(address: &str) -> Result<Option<Provider>, CoreError> {
    guard(|| Ok(Provider::of_address(address)))
}

/// A server of which nothing is known but its host.
#[uniffi::export]
pub fn provider_generic(host: &str) -> Result<Provider, CoreError> {
    guard(|| Ok(Provider::generic(host)))
}
