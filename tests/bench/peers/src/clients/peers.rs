//! The libraries that users would pick, each as its own documentation has it.

use std::io::{BufRead, BufReader, Write};
use std::sync::Arc;

use async_imap::Session;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    Certificate, CertificateStore, SmtpConnection, TlsParameters,
};
use lettre::transport::smtp::commands::Noop;
use lettre::transport::smtp::extension::ClientId;
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::config::SASLConfig;
use rsasl::mechname::Mechname;
use rsasl::prelude::{SASLClient, SessionError};
use rsasl::property::{AuthId, OAuthBearerToken};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use super::{Client, Failed, LoggedIn, Setup, Stream, TIMEOUT};

// ---- imap --------------------------------------------------------------------------------------------------------

struct Imap(Setup);

struct ImapSession(imap::Session<Stream>);

/// The authenticator of its documentation: the same answer to every challenge.
struct Same(String);

impl imap::Authenticator for Same {
    type Response = String;

    fn process(&self, _challenge: &[u8]) -> String {
        self.0.clone()
    }
}

pub(super) fn imap(setup: Setup) -> Result<Box<dyn Client>, Failed> {
    Ok(Box::new(Imap(setup)))
}

impl Client for Imap {
    fn login(&self) -> Result<Box<dyn LoggedIn + '_>, Failed> {
        let mut client = imap::Client::new(self.0.connect()?);
        client.read_greeting()?;
        let session = client.authenticate("XOAUTH2", &Same(self.0.message()));
        Ok(Box::new(ImapSession(session.map_err(|(error, _)| error)?)))
    }
}

impl LoggedIn for ImapSession {
    fn noop(&mut self) -> Result<String, Failed> {
        self.0.noop()?;
        Ok("Ok(())".to_owned())
    }
}

// ---- async-imap --------------------------------------------------------------------------------------------------

struct AsyncImap {
    setup: Setup,
    runtime: Runtime,
    nodelay: bool,
}

struct AsyncImapSession<'a, S: AsyncRead + AsyncWrite + Unpin + std::fmt::Debug + Send> {
    runtime: &'a Runtime,
    session: Session<S>,
}

impl async_imap::Authenticator for Same {
    type Response = String;

    fn process(&mut self, _challenge: &[u8]) -> String {
        self.0.clone()
    }
}

pub(super) fn async_imap(setup: Setup) -> Result<Box<dyn Client>, Failed> {
    async_imap_with(setup, false)
}

pub(super) fn async_imap_nodelay(setup: Setup) -> Result<Box<dyn Client>, Failed> {
    async_imap_with(setup, true)
}

fn async_imap_with(setup: Setup, nodelay: bool) -> Result<Box<dyn Client>, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    Ok(Box::new(AsyncImap { setup, runtime, nodelay }))
}

impl Client for AsyncImap {
    fn login(&self) -> Result<Box<dyn LoggedIn + '_>, Failed> {
        let (setup, runtime) = (&self.setup, &self.runtime);
        runtime.block_on(async {
            let socket = TcpStream::connect(setup.address).await?;
            socket.set_nodelay(self.nodelay)?;
            let Some(tls) = &setup.tls else { return login(runtime, socket, setup).await };
            let connector = TlsConnector::from(Arc::clone(tls));
            login(runtime, connector.connect(setup.server_name()?, socket).await?, setup).await
        })
    }
}

async fn login<'a, S>(
    runtime: &'a Runtime,
    stream: S,
    setup: &Setup,
) -> Result<Box<dyn LoggedIn + 'a>, Failed>
where
    S: AsyncRead + AsyncWrite + Unpin + std::fmt::Debug + Send + 'a,
{
    let mut client = async_imap::Client::new(stream);
    client.read_response().await?.ok_or("no greeting")?;
    let session = client.authenticate("XOAUTH2", Same(setup.message())).await;
    Ok(Box::new(AsyncImapSession { runtime, session: session.map_err(|(error, _)| error)? }))
}

impl<S: AsyncRead + AsyncWrite + Unpin + std::fmt::Debug + Send> LoggedIn
    for AsyncImapSession<'_, S>
{
    fn noop(&mut self) -> Result<String, Failed> {
        self.runtime.block_on(self.session.noop())?;
        Ok("Ok(())".to_owned())
    }
}

// ---- rsasl, over POP3 --------------------------------------------------------------------------------------------

struct Rsasl {
    setup: Setup,
    config: Arc<SASLConfig>,
}

struct Pop3(BufReader<Stream>);

/// Gives rsasl what it asks for.
struct Properties {
    user: String,
    token: String,
}

impl SessionCallback for Properties {
    fn callback(
        &self,
        _: &SessionData,
        _: &Context<'_>,
        request: &mut Request<'_>,
    ) -> Result<(), SessionError> {
        request.satisfy::<AuthId>(&self.user)?.satisfy::<OAuthBearerToken>(&self.token)?;
        Ok(())
    }
}

pub(super) fn rsasl(setup: Setup) -> Result<Box<dyn Client>, Failed> {
    let properties = Properties { user: setup.user.clone(), token: setup.token.clone() };
    let config = SASLConfig::builder().with_defaults().with_callback(properties)?;
    Ok(Box::new(Rsasl { setup, config }))
}

impl Client for Rsasl {
    fn login(&self) -> Result<Box<dyn LoggedIn + '_>, Failed> {
        let mut pop3 = Pop3(BufReader::new(self.setup.connect()?));
        pop3.read_line()?;
        let client = SASLClient::new(Arc::clone(&self.config));
        let mut session = client.start_suggested([&Mechname::parse(b"XOAUTH2")?])?;
        let mut line = pop3.ask("AUTH XOAUTH2")?;
        loop {
            let Some(challenge) = line.strip_prefix("+ ") else {
                return if line.starts_with("+OK") { Ok(Box::new(pop3)) } else { Err(line.into()) };
            };
            let challenge = STANDARD.decode(challenge)?;
            let mut response = Vec::new();
            session.step(Some(&challenge), &mut response)?;
            line = pop3.ask(&STANDARD.encode(response))?;
        }
    }
}

impl Pop3 {
    fn ask(&mut self, line: &str) -> Result<String, Failed> {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes())?;
        self.read_line()
    }

    fn read_line(&mut self) -> Result<String, Failed> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err("the connection was closed".into());
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

impl LoggedIn for Pop3 {
    fn noop(&mut self) -> Result<String, Failed> {
        self.ask("NOOP")
    }
}

// ---- lettre ------------------------------------------------------------------------------------------------------

struct Lettre {
    setup: Setup,
    tls: Option<TlsParameters>,
    credentials: Credentials,
}

struct LettreSession(SmtpConnection);

pub(super) fn lettre(setup: Setup) -> Result<Box<dyn Client>, Failed> {
    let tls = match setup.tls {
        Some(_) => {
            let parameters = TlsParameters::builder(setup.host.clone())
                .certificate_store(CertificateStore::None)
                .add_root_certificate(Certificate::from_pem(&setup.ca)?);
            Some(parameters.build()?)
        }
        None => None,
    };
    let credentials = Credentials::new(setup.user.clone(), setup.token.clone());
    Ok(Box::new(Lettre { setup, tls, credentials }))
}

impl Client for Lettre {
    fn login(&self) -> Result<Box<dyn LoggedIn + '_>, Failed> {
        let hello = ClientId::Domain("localhost".to_owned());
        let mut connection = SmtpConnection::connect(
            self.setup.address,
            Some(TIMEOUT),
            &hello,
            self.tls.as_ref(),
            None,
        )?;
        connection.auth(&[Mechanism::Xoauth2], &self.credentials)?;
        Ok(Box::new(LettreSession(connection)))
    }
}

impl LoggedIn for LettreSession {
    fn noop(&mut self) -> Result<String, Failed> {
        let response = self.0.command(Noop)?;
        Ok(format!("{} {}", response.code(), response.first_line().unwrap_or_default()))
    }
}
