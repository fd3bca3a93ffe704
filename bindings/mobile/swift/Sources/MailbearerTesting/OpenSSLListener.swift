#if os(Linux) && !canImport(Network)
import COpenSSL
import Foundation
import Mailbearer

/// Listens at a free port, with TLS by the system's OpenSSL: for Linux.
func listen(_ place: Place, _ welcome: @escaping @Sendable (Arrival) -> Void) async throws -> any Listening {
    try OpenSSLListener(place, welcome)
}

private final class OpenSSLListener: Listening {
    let port: UInt16
    private let accepting: Task<Void, Never>

    init(_ place: Place, _ welcome: @escaping @Sendable (Arrival) -> Void) throws {
        let (socket, identity) = (try Socket.listening(), try Identity())
        port = socket.port
        accepting = Task {
            // It ends when it is cancelled.
            while let peer = try? await socket.accept() {
                guard let transport = try? identity.transport(peer) else { continue }
                welcome(Arrival(transport: transport) { if place.tls == .implicit { try await transport.startTls() } })
            }
        }
    }

    func close() {
        accepting.cancel()
    }

    func closed() async {
        await accepting.value
    }
}

/// The certificate of localhost, and its key.
private final class Identity: @unchecked Sendable {
    private let context: OpaquePointer

    init() throws {
        guard let context = SSL_CTX_new(TLS_server_method()) else { throw TransportError.tls("OpenSSL has no memory") }
        self.context = context
        guard let certificate = Self.read(Certificates.localhost, { PEM_read_bio_X509($0, nil, nil, nil) }),
            let key = Self.read(Certificates.localhost, { PEM_read_bio_PrivateKey($0, nil, nil, nil) }),
            SSL_CTX_use_certificate(context, certificate) == 1, SSL_CTX_use_PrivateKey(context, key) == 1
        else {
            throw TransportError.tls("the certificate of the testing server cannot be read")
        }
        X509_free(certificate)
        EVP_PKEY_free(key)
    }

    deinit {
        SSL_CTX_free(context)
    }

    func transport(_ peer: Socket) throws -> OpenSSLTransport {
        // OpenSSL counts who refers to a context, and locks it itself.
        nonisolated(unsafe) let context = context
        return OpenSSLTransport(peer, try TlsEngine(serving: context))
    }

    private static func read(_ pem: String, _ read: (OpaquePointer) -> OpaquePointer?) -> OpaquePointer? {
        guard let source = BIO_new(BIO_s_mem()) else { return nil }
        defer { BIO_free(source) }
        BIO_write(source, pem, Int32(pem.utf8.count))
        return read(source)
    }
}
#endif
