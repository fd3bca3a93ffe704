import Foundation

/// A connection to a mail server: TCP, and TLS from its start or later.
///
/// One task reads at a time; writes may come from any task, and are sent in the order in which they come.
public protocol Transport: Sendable {
    /// Returns the octets that came, as soon as some are there; none at the end of the stream.
    func read() async throws -> Data

    /// Returns when all of it is written.
    func write(_ data: Data) async throws

    /// Does the TLS handshake, with the chain and the host name of the certificate verified.
    func startTls() async throws

    /// Says goodbye, waits for no answer, and closes.
    func close() async

    /// Closes at once: whoever waits for octets finds the end.
    func abort()
}

/// Opens connections. A program with a network stack of its own brings a connector of its own.
public protocol Connector: Sendable {
    /// Connects, with TLS where it is implicit. It can be cancelled.
    ///
    /// - Throws: ``TransportError`` where it does not work. What systems throw (`POSIXError`, `NWError`, `URLError`) is
    ///   understood as well.
    func open(_ endpoint: Endpoint) async throws -> any Transport
}

/// Why there is no connection. Each says so in words; a program with a ``Connector`` of its own throws these.
///
///     throw TransportError.notConnected("Connection refused", error: "ECONNREFUSED", underlying: error)
public enum TransportError: Error, Sendable {
    /// There never was one: the host has no address, nothing listens there, or the network does not lead to it. `error` is
    /// the system's name for that, as in `EAI_NONAME`, `ECONNREFUSED` or `EHOSTUNREACH`.
    case notConnected(_ words: String, error: String = "", underlying: (any Error)? = nil)
    /// It was there, and broke.
    case connection(_ words: String, underlying: (any Error)? = nil)
    /// The handshake failed. `error` is the TLS library's name or text for that, as in `wrong version number`: it tells a peer
    /// that does not speak TLS.
    case tls(_ words: String, error: String = "", underlying: (any Error)? = nil)
    /// The certificate is not to be trusted, or not of this host: `reason` is what the TLS library says, `certificate` is the
    /// DER of the server's own. Its issuer, names and dates are told.
    case certificate(_ reason: String, certificate: Data, underlying: (any Error)? = nil)
    /// Octets came in the clear, behind the reply that starts TLS.
    case plaintextInjected

    /// What the system threw, where it did.
    public var underlying: (any Error)? {
        switch self {
        case .notConnected(_, _, let underlying), .connection(_, let underlying), .tls(_, _, let underlying),
            .certificate(_, _, let underlying):
            underlying
        case .plaintextInjected: nil
        }
    }
}

/// Whom TLS trusts. Chain and host name are always verified.
public enum Trust: Sendable, Equatable {
    /// The certificate authorities of the system.
    case system
    /// The certificate authorities in a PEM file, and no others.
    case file(String)
    /// The certificate authorities in this text of a PEM file, and no others.
    case pem(String)

    /// Says which file it was; the system's own, or a text, has no name.
    var unreadable: TransportError {
        switch self {
        case .system, .pem: .tls("the certificate authorities cannot be read")
        case .file(let path): .tls("the certificate authorities in \(path) cannot be read")
        }
    }
}

/// How TCP finds out that a peer is gone: within two minutes.
enum KeepAlive {
    /// Silence before the first question.
    static let idleSeconds: Int32 = 60
    /// Between questions.
    static let intervalSeconds: Int32 = 15
    /// Questions without an answer.
    static let count: Int32 = 4
    /// How long octets may stay without acknowledgement.
    static let unansweredSeconds: Int32 = 120
}
