//! The sockets of the server: ports, TLS, delay; what it says is the machine of `mailbearer::testing`.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, thread};

use mailbearer::testing::{Cut, Server, ServerConfig, Then, TokenRequest};
use mailbearer::{Cause, Protocol, Tls};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConnection, StreamOwned};
use serde_json::{Map, Value, json};

use crate::report::{Outcome, Report};

/// Who logs in.
pub const USER: &str = "joe@gmail.com";

/// Where.
pub const HOST: &str = "localhost";

/// How long a client may take to close a connection that the server has ended.
const LINGER: Duration = Duration::from_secs(5);

/// How the server behaves: see the arguments of `bench-server`.
#[derive(Debug, Clone)]
pub struct Options {
    /// What a round trip takes.
    pub delay: Duration,
    /// Length of the token.
    pub token_octets: usize,
    /// Every token is refused.
    pub refuse: bool,
    /// The first command after the login ends the session.
    pub end_after: bool,
    /// One connection at a time on each port.
    pub single_thread: bool,
    /// No line for each connection.
    pub quiet: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            token_octets: 200,
            refuse: false,
            end_after: false,
            single_thread: false,
            quiet: false,
        }
    }
}

impl Options {
    /// Reads the arguments of the command.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let value = arguments.next().unwrap_or_default();
                value
                    .parse::<u32>()
                    .map_err(|_| format!("{argument} needs a number, not {value:?}"))
            };
            match argument.as_str() {
                "--delay-ms" => options.delay = Duration::from_millis(number()?.into()),
                "--token-octets" => options.token_octets = number()? as usize,
                "--refuse" => options.refuse = true,
                "--end-after" => options.end_after = true,
                "--single-thread" => options.single_thread = true,
                "--quiet" => options.quiet = true,
                _ => {
                    return Err(format!(
                        "unknown argument {argument:?}; they are listed in bench-server.rs"
                    ));
                }
            }
        }
        Ok(options)
    }
}

/// What all connections share.
struct Shared {
    machine: Mutex<Server>,
    tls: Arc<rustls::ServerConfig>,
    token: String,
    options: Options,
}

/// The server while it runs. Its certificates are removed when it is dropped.
pub struct Running {
    directory: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Running {
    /// Listens on six ports, and prints what a client has to know.
    ///
    /// # Errors
    /// Where there is no port, or no place for the certificate.
    pub fn start(options: &Options) -> io::Result<Self> {
        let directory =
            std::env::temp_dir().join(format!("mailbearer-bench-{}", std::process::id()));
        fs::create_dir_all(&directory)?;
        let running = Self { directory };
        let (tls, ca) = certificates().map_err(io::Error::other)?;
        let ca_path = running.directory.join("ca.pem");
        fs::write(&ca_path, ca)?;

        let mut machine = Server::new(
            ServerConfig {
                // The clock of the machine stands at 0, and at 1 after a login.
                session_limit_ms: options.end_after.then_some(1),
                cut: if options.end_after { Cut::Words } else { Cut::Never },
                ..ServerConfig::default()
            },
            u64::from(std::process::id()),
        );
        machine.refuse(options.refuse.then_some(Cause::TokenRejected)).map_err(io::Error::other)?;
        let request =
            TokenRequest { octets: Some(options.token_octets), ..TokenRequest::default() };
        let token = machine.issue_token(0, USER, request);
        let shared = Arc::new(Shared {
            machine: Mutex::new(machine),
            tls: Arc::new(tls),
            token,
            options: options.clone(),
        });

        let mut ready = Map::new();
        for (suffix, secure) in [("", true), ("_plain", false)] {
            for protocol in Protocol::ALL {
                let listener = TcpListener::bind("127.0.0.1:0")?;
                let port = listener.local_addr()?.port();
                ready.insert(format!("{protocol}{suffix}"), json!(port));
                let shared = Arc::clone(&shared);
                thread::spawn(move || accept(&listener, &shared, protocol, secure));
            }
        }
        ready.insert("ca".to_owned(), json!(ca_path));
        ready.insert("token".to_owned(), json!(shared.token));
        ready.insert("user".to_owned(), json!(USER));
        ready.insert("host".to_owned(), json!(HOST));
        print_line(&Value::Object(ready))?;
        Ok(running)
    }
}

/// One line of JSON, and nothing held back.
fn print_line(line: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// A certificate for `localhost` of an authority of its own, which is returned in PEM.
fn certificates() -> Result<(rustls::ServerConfig, String), Box<dyn std::error::Error + Send + Sync>>
{
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name.push(DnType::CommonName, "mailbearer's benchmarks");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let mut leaf = CertificateParams::new(vec![HOST.to_owned(), "127.0.0.1".to_owned()])?;
    leaf.distinguished_name.push(DnType::CommonName, HOST);
    // Python since 3.13 asks for it.
    leaf.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let leaf = leaf.signed_by(&key, &authority)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)?;
    config.send_tls13_tickets = 0;
    Ok((config, authority.pem()))
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, protocol: Protocol, secure: bool) {
    for socket in listener.incoming().flatten() {
        if shared.options.single_thread {
            connection(socket, shared, protocol, secure);
        } else {
            let shared = Arc::clone(shared);
            thread::spawn(move || connection(socket, &shared, protocol, secure));
        }
    }
}

fn connection(socket: TcpStream, shared: &Shared, protocol: Protocol, secure: bool) {
    let mut report = Report::new(protocol, secure, &shared.token);
    let wire = match Wire::new(socket, shared.options.delay) {
        Ok(wire) => wire,
        Err(_) => return,
    };
    // A client that breaks the connection is a client of the benchmark like any other: its line tells.
    let ended = if secure {
        let Ok(session) = ServerConnection::new(Arc::clone(&shared.tls)) else { return };
        let mut stream = StreamOwned::new(session, wire);
        let ended = dialogue(&mut stream, shared, protocol, &mut report);
        stream.conn.send_close_notify();
        ended.and_then(|()| stream.flush()).map(|()| stream.sock)
    } else {
        let mut wire = wire;
        dialogue(&mut wire, shared, protocol, &mut report).map(|()| wire)
    };
    if !shared.options.quiet {
        let _ = print_line(&report.to_json());
    }
    if let Ok(wire) = ended {
        wire.linger();
    }
}

/// From the greeting to the end of the connection, by whichever side.
fn dialogue(
    stream: &mut (impl Read + Write),
    shared: &Shared,
    protocol: Protocol,
    report: &mut Report,
) -> io::Result<()> {
    let (id, mut output, mut events) =
        shared.with(|machine| machine.open(0, protocol, Tls::Implicit));
    let mut buffer = vec![0; 16 * 1024];
    loop {
        report.said(&output.send, &events);
        stream.write_all(&output.send)?;
        stream.flush()?;
        if output.next != Then::Read {
            break;
        }
        let count = match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        let read = buffer.get(..count).unwrap_or_default();
        report.received(read);
        let now_ms = u64::from(report.outcome() == Outcome::Authenticated);
        (_, output, events) = shared.with(|machine| (id, machine.receive(now_ms, id, read)));
    }
    let _events = shared.with(|machine| (id, machine.closed(0, id)));
    Ok(())
}

impl Shared {
    /// Asks the machine; with what it noted meanwhile, for nobody else asked it.
    fn with<T>(&self, ask: impl FnOnce(&mut Server) -> (u64, T)) -> (u64, T, Vec<String>) {
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        let (id, output) = ask(&mut machine);
        let events = machine.take_events().into_iter().map(|event| event.what).collect();
        (id, output, events)
    }
}

/// A socket that holds back what is written until the delay after the last read has passed.
struct Wire {
    socket: TcpStream,
    delay: Duration,
    heard: Instant,
}

impl Wire {
    fn new(socket: TcpStream, delay: Duration) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        Ok(Self { socket, delay, heard: Instant::now() })
    }

    fn hold(&self) {
        let rest = (self.heard + self.delay).saturating_duration_since(Instant::now());
        if !rest.is_zero() {
            thread::sleep(rest);
        }
    }

    /// Lets the client read the last words: a socket that is closed with unread input resets the connection.
    fn linger(mut self) {
        let ends = Instant::now() + LINGER;
        let _ = self.socket.shutdown(Shutdown::Write);
        let _ = self.socket.set_read_timeout(Some(LINGER));
        let mut rest = [0; 1024];
        while Instant::now() < ends && matches!(self.socket.read(&mut rest), Ok(1..)) {}
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.socket.read(buffer)?;
        self.heard = Instant::now();
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.hold();
        self.socket.write(octets)
    }

    fn write_vectored(&mut self, octets: &[IoSlice<'_>]) -> io::Result<usize> {
        self.hold();
        self.socket.write_vectored(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}
