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
    /// - Throws: ``TransportError`` where it does not work.
    func open(_ endpoint: Endpoint) async throws -> any Transport
}

/// Why there is no connection.
public enum TransportError: Error, Sendable, Equatable {
    /// The host has no address, does not accept the connection, or it broke.
    case connection(String)
    /// The handshake failed, or the certificate is not of this host.
    case tls(String)
    /// Octets came in the clear, behind the reply that starts TLS.
    case plaintextInjected
}

/// Whom TLS trusts. Chain and host name are always verified.
public enum Trust: Sendable, Equatable {
    /// The certificate authorities of the system.
    case system
    /// The certificate authorities in a PEM file, and no others.
    case file(String)
}
