#if os(Linux)
import COpenSSL
import Foundation

/// Connects over TCP, with TLS by the system's OpenSSL: for Linux.
public struct OpenSSLConnector: Connector {
    private let trust: Trust

    /// - Parameter trust: whom TLS trusts.
    public init(trust: Trust = .system) {
        self.trust = trust
    }

    /// Connects, with TLS where it is implicit.
    public func open(_ endpoint: Endpoint) async throws -> any Transport {
        // First, so that authorities that cannot be read are no fault of the server.
        let tls = try TlsEngine(host: endpoint.host, trust: trust)
        let transport = OpenSSLTransport(try await Socket.connect(host: endpoint.host, port: endpoint.port), tls)
        if endpoint.tls == .implicit {
            try await transport.startTls()
        }
        return transport
    }
}

/// A socket, and TLS over it once that has begun.
package actor OpenSSLTransport: Transport {
    private let socket: Socket
    private let engine: TlsEngine
    /// The engine, once it has begun.
    private var tls: TlsEngine?
    /// What is to be written and has found no room yet.
    private var outgoing = Data()

    package init(_ socket: Socket, _ engine: sending TlsEngine) {
        self.socket = socket
        self.engine = engine
    }

    deinit {
        socket.hangUp()
    }

    package func startTls() async throws {
        tls = engine
        while try !engine.shakeHands() {
            try await flush()
            let data = try await receive()
            guard !data.isEmpty else { throw TransportError.connection("it ended in the TLS handshake") }
            engine.feed(data)
            try await giveWay()
        }
        try await flush()
    }

    package func read() async throws -> Data {
        guard let tls else { return try await receive() }
        while true {
            let data = try tls.read()
            // To read may be to answer, as with a new key.
            try await flush()
            if let data {
                return data
            }
            let encrypted = try await receive()
            if encrypted.isEmpty {
                return Data()
            }
            tls.feed(encrypted)
            try await giveWay()
        }
    }

    /// A peer that asks for new keys without end always has more to read: whoever keeps the time needs a thread too, and is heard
    /// (issue 13).
    private func giveWay() async throws {
        await Task.yield()
        try Task.checkCancellation()
    }

    package func write(_ data: Data) async throws {
        if let tls {
            try tls.write(data)
        } else {
            outgoing += data
        }
        try await flush()
    }

    package func close() {
        if let tls {
            tls.sayGoodbye()
            // If there is no room for it now, the peer does without.
            _ = try? socket.send(outgoing + tls.takeEncrypted())
        }
        socket.hangUp()
    }

    package nonisolated func abort() {
        socket.hangUp()
    }

    private func receive() async throws -> Data {
        while true {
            if let data = try socket.receive() {
                return data
            }
            try await socket.wait(.read)
        }
    }

    /// Writes all there is. Whoever comes here in the meantime sends what is first in order, too.
    private func flush() async throws {
        outgoing += tls?.takeEncrypted() ?? Data()
        while !outgoing.isEmpty {
            let sent = try socket.send(outgoing)
            outgoing = Data(outgoing.dropFirst(sent))
            if sent == 0 {
                try await socket.wait(.write)
            }
            outgoing += tls?.takeEncrypted() ?? Data()
        }
    }
}

/// OpenSSL without a socket: octets of the network in and out on one side, those of the program on the other.
///
/// Only the transport, which is an actor, uses it.
package final class TlsEngine {
    /// Who must be verified; `nil`: this is the server, which asks for no certificate.
    private let host: String?
    private let ssl: OpaquePointer
    private let fromPeer: OpaquePointer
    private let toPeer: OpaquePointer
    private let refused = Refused()

    convenience init(host: String, trust: Trust) throws {
        let context = try Self.context(trust)
        defer { SSL_CTX_free(context) }
        try self.init(host: host, context: context)
    }

    /// A client's.
    convenience init(host: String, context: OpaquePointer) throws {
        try self.init(of: host, context)
        SSL_set_connect_state(ssl)
        guard mailbearer_set_host(ssl, host) == 1 else { throw TransportError.tls("the host name cannot be verified") }
    }

    /// A server's, with the certificate of the context: for the testing server.
    package convenience init(serving context: OpaquePointer) throws {
        try self.init(of: nil, context)
        SSL_set_accept_state(ssl)
    }

    private init(of host: String?, _ context: OpaquePointer) throws {
        guard let ssl = SSL_new(context), let fromPeer = BIO_new(BIO_s_mem()), let toPeer = BIO_new(BIO_s_mem()) else {
            throw TransportError.tls("OpenSSL has no memory")
        }
        (self.host, self.ssl, self.fromPeer, self.toPeer) = (host, ssl, fromPeer, toPeer)
        SSL_set_bio(ssl, fromPeer, toPeer)
        SSL_set_ex_data(ssl, 0, Unmanaged.passUnretained(refused).toOpaque())
    }

    deinit {
        // Frees both BIOs as well.
        SSL_free(ssl)
    }

    private static func context(_ trust: Trust) throws -> OpaquePointer {
        guard let context = SSL_CTX_new(TLS_client_method()) else { throw TransportError.tls("OpenSSL has no memory") }
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, onVerified)
        let isTrusting =
            switch trust {
            case .system: SSL_CTX_set_default_verify_paths(context)
            case .file(let path): SSL_CTX_load_verify_locations(context, path, nil)
            case .pem(let text): trustAuthorities(context, text)
            }
        guard isTrusting == 1, mailbearer_require_tls_1_2(context) == 1 else {
            SSL_CTX_free(context)
            ERR_clear_error()
            throw trust.unreadable
        }
        return context
    }

    /// 1 where all of the text was read, and there was something.
    private static func trustAuthorities(_ context: OpaquePointer, _ text: String) -> Int32 {
        let store = SSL_CTX_get_cert_store(context)
        guard let source = BIO_new(BIO_s_mem()) else { return 0 }
        defer { BIO_free(source) }
        BIO_write(source, text, Int32(text.utf8.count))
        var count: Int32 = 0
        while let certificate = PEM_read_bio_X509(source, nil, nil, nil) {
            defer { X509_free(certificate) }
            guard X509_STORE_add_cert(store, certificate) == 1 else { return 0 }
            count += 1
        }
        // What ends the text is told as an error.
        ERR_clear_error()
        return count > 0 ? 1 : 0
    }

    /// Goes on with the handshake; false: it needs what the peer says next.
    func shakeHands() throws -> Bool {
        ERR_clear_error()
        let result = SSL_do_handshake(ssl)
        if result == 1 {
            // Whatever became of the context and of OpenSSL's configuration: nothing is sent to who was not verified.
            guard host.map({ mailbearer_is_verified(ssl, $0) == 1 }) ?? true else {
                throw TransportError.tls("no certificate of this host was verified")
            }
            return true
        }
        guard SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ else { throw handshakeProblem() }
        return false
    }

    func feed(_ encrypted: Data) {
        _ = encrypted.withUnsafeBytes { BIO_write(fromPeer, $0.baseAddress, Int32($0.count)) }
    }

    /// Returns what has come; nothing at the end, and `nil` where it needs what the peer says next.
    func read() throws -> Data? {
        ERR_clear_error()
        var buffer = Data(count: Socket.readOctets)
        let count = buffer.withUnsafeMutableBytes { SSL_read(ssl, $0.baseAddress, Int32($0.count)) }
        if count > 0 {
            return buffer.prefix(Int(count))
        }
        switch SSL_get_error(ssl, count) {
        case SSL_ERROR_WANT_READ: return nil
        case SSL_ERROR_ZERO_RETURN: return Data()
        default: throw TransportError.connection(reason())
        }
    }

    func write(_ data: Data) throws {
        guard !data.isEmpty else { return }
        ERR_clear_error()
        // All of it: there is always room in memory.
        let count = data.withUnsafeBytes { SSL_write(ssl, $0.baseAddress, Int32($0.count)) }
        guard count == data.count else { throw TransportError.connection(reason()) }
    }

    func takeEncrypted() -> Data {
        var data = Data(count: mailbearer_pending(toPeer))
        guard !data.isEmpty else { return data }
        let count = data.withUnsafeMutableBytes { BIO_read(toPeer, $0.baseAddress, Int32($0.count)) }
        return data.prefix(Int(max(0, count)))
    }

    func sayGoodbye() {
        ERR_clear_error()
        SSL_shutdown(ssl)
        ERR_clear_error()
    }

    /// Why the handshake failed.
    private func handshakeProblem() -> TransportError {
        let verified = SSL_get_verify_result(ssl)
        guard verified != Int(X509_V_OK) else {
            let words = reason()
            return .tls(words, error: words)
        }
        ERR_clear_error()
        let reason = String(cString: X509_verify_cert_error_string(verified))
        return .certificate(reason, certificate: refused.certificate ?? Data())
    }

    /// OpenSSL's reason in words, as in `wrong version number`.
    private func reason() -> String {
        let error = ERR_get_error()
        ERR_clear_error()
        return ERR_reason_error_string(error).map { String(cString: $0) } ?? "the peer ended the connection"
    }
}

/// The certificate that was refused. OpenSSL forgets it with the handshake.
private final class Refused {
    var certificate: Data?
}

/// Lets the verdict stand, and keeps the certificate where it is a bad one: that of the server, whichever of its chain fails.
private func onVerified(_ isFine: Int32, _ store: OpaquePointer?) -> Int32 {
    guard isFine == 0, let ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()),
        let refused = SSL_get_ex_data(OpaquePointer(ssl), 0),
        let certificate = X509_STORE_CTX_get0_cert(store)
    else { return isFine }
    var octets: UnsafeMutablePointer<UInt8>?
    let count = i2d_X509(certificate, &octets)
    if let octets, count > 0 {
        Unmanaged<Refused>.fromOpaque(refused).takeUnretainedValue().certificate = Data(bytes: octets, count: Int(count))
        mailbearer_free(octets)
    }
    return isFine
}
#endif
