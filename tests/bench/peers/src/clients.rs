//! The clients in Rust, behind one trait: each logs in once, and then asks the server for nothing.
//!
//! | client | what it is |
//! |---|---|
//! | `bare` | TCP, TLS handshake, close |
//! | `floor` | the least code that can log in on that socket: it reads no capabilities, and keeps the line limits |
//! | `mailbearer` | [`mailbearer::Negotiation`] on that socket, with Gmail's profile |
//! | `rsasl` | the SASL library for POP3, for which no mail library in Rust has XOAUTH2; lines by hand |
//! | `imap`, `async-imap`, `lettre` | the mail libraries, as their own examples use them |
//!
//! All of them share the TLS library (rustls, ring) and its configuration. TCP_NODELAY is set wherever the program opens the
//! socket, but for `async-imap as in its examples`: it writes one line in several parts, and Nagle's algorithm holds back all but
//! the first.

mod floor;
mod ours;
mod peers;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use mailbearer::Protocol;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

/// What a client gives up after.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// What went wrong, as the user of the client sees it.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;

/// A client that can log in as often as it is told.
pub trait Client {
    /// Connects and logs in.
    ///
    /// # Errors
    /// What the client says.
    fn login(&self) -> Result<Box<dyn LoggedIn + '_>, Failed>;
}

/// A session.
pub trait LoggedIn {
    /// Asks for nothing, and says what came.
    ///
    /// # Errors
    /// What the client says.
    fn noop(&mut self) -> Result<String, Failed>;
}

/// A client by its name, for the protocols that it has.
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Its version in `Cargo.lock`.
    pub version: &'static str,
    /// `bare`, `floor`, `mailbearer`, `peer`.
    pub role: &'static str,
    /// What it speaks.
    pub protocols: &'static [Protocol],
    /// Whether each login waits for a delayed ACK (Nagle's algorithm), 40 ms or more.
    pub stalls: bool,
    /// Sets it up.
    pub open: fn(Setup) -> Result<Box<dyn Client>, Failed>,
}

/// Every client.
pub const CLIENTS: [Row; 8] = [
    Row {
        name: "bare connect",
        version: "",
        role: "bare",
        protocols: &Protocol::ALL,
        stalls: false,
        open: floor::bare,
    },
    Row {
        name: "floor",
        version: "",
        role: "floor",
        protocols: &Protocol::ALL,
        stalls: false,
        open: floor::floor,
    },
    Row {
        name: "mailbearer",
        version: "0.1.0",
        role: "mailbearer",
        protocols: &Protocol::ALL,
        stalls: false,
        open: ours::mailbearer,
    },
    Row {
        name: "imap",
        version: "3.0.0-alpha.15",
        role: "peer",
        protocols: &[Protocol::Imap],
        stalls: false,
        open: peers::imap,
    },
    Row {
        name: "async-imap",
        version: "0.12.0",
        role: "peer",
        protocols: &[Protocol::Imap],
        stalls: false,
        open: peers::async_imap_nodelay,
    },
    Row {
        name: "async-imap as in its examples",
        version: "0.12.0",
        role: "peer",
        protocols: &[Protocol::Imap],
        stalls: true,
        open: peers::async_imap,
    },
    Row {
        name: "rsasl",
        version: "2.3.1",
        role: "peer",
        protocols: &[Protocol::Pop3],
        stalls: false,
        open: peers::rsasl,
    },
    Row {
        name: "lettre",
        version: "0.11.23",
        role: "peer",
        protocols: &[Protocol::Smtp],
        stalls: false,
        open: peers::lettre,
    },
];

/// Where to log in, as whom, and with what.
pub struct Setup {
    protocol: Protocol,
    address: SocketAddr,
    host: String,
    user: String,
    token: String,
    ca: Vec<u8>,
    tls: Option<Arc<ClientConfig>>,
}

/// A socket, with TLS or without.
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Setup {
    /// Takes what the server printed when it began to listen.
    ///
    /// # Errors
    /// Where something is missing in it.
    pub fn new(ready: &Value, protocol: Protocol, secure: bool) -> Result<Self, Failed> {
        let text = |name: &str| {
            let value = ready.get(name).and_then(Value::as_str).map(str::to_owned);
            value.ok_or_else(|| format!("the server did not print {name:?}"))
        };
        let name = if secure { protocol.as_str().to_owned() } else { format!("{protocol}_plain") };
        let port =
            ready.get(&name).and_then(Value::as_u64).ok_or("the server did not print its port")?;
        let ca = std::fs::read(text("ca")?)?;
        let tls = if secure { Some(Arc::new(tls_config(&ca)?)) } else { None };
        Ok(Self {
            protocol,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port)?)),
            host: text("host")?,
            user: text("user")?,
            token: text("token")?,
            ca,
            tls,
        })
    }

    /// The SASL message of XOAUTH2.
    fn message(&self) -> String {
        format!("user={}\x01auth=Bearer {}\x01\x01", self.user, self.token)
    }

    fn server_name(&self) -> Result<ServerName<'static>, Failed> {
        Ok(ServerName::try_from(self.host.clone())?)
    }

    fn connect_tcp(&self) -> io::Result<TcpStream> {
        let socket = TcpStream::connect_timeout(&self.address, TIMEOUT)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        Ok(socket)
    }

    /// A socket whose TLS handshake is done.
    fn connect(&self) -> Result<Stream, Failed> {
        let mut socket = self.connect_tcp()?;
        let Some(tls) = &self.tls else { return Ok(Stream::Plain(socket)) };
        let mut session = ClientConnection::new(Arc::clone(tls), self.server_name()?)?;
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        Ok(Stream::Tls(Box::new(StreamOwned::new(session, socket))))
    }
}

fn tls_config(ca: &[u8]) -> Result<ClientConfig, Failed> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(octets),
            Self::Tls(stream) => stream.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// Reads up to the end of a reply that is awaited: one line, or for SMTP the last of its lines, or the one with the tag.
fn read_reply(
    stream: &mut Stream,
    buffer: &mut [u8],
    is_end: impl Fn(&[u8]) -> bool,
) -> Result<usize, Failed> {
    let mut filled = 0;
    loop {
        let count = stream.read(&mut buffer[filled..])?;
        if count == 0 {
            return Err("the connection was closed".into());
        }
        filled += count;
        let octets = &buffer[..filled];
        let Some(lines) = octets.strip_suffix(b"\r\n") else { continue };
        let last = lines.rsplit(|octet| *octet == b'\n').next().unwrap_or_default();
        if is_end(last) {
            return Ok(filled);
        }
    }
}

/// The NOOP of those that have none of their own.
fn noop_by_hand(stream: &mut Stream, protocol: Protocol) -> Result<String, Failed> {
    stream.write_all(noop_line(protocol))?;
    let mut buffer = [0; 1024];
    let count = read_reply(stream, &mut buffer, |_| true)?;
    Ok(String::from_utf8_lossy(&buffer[..count]).trim_end().to_owned())
}

fn noop_line(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Imap => b"Z1 NOOP\r\n",
        Protocol::Pop3 | Protocol::Smtp => b"NOOP\r\n",
    }
}
