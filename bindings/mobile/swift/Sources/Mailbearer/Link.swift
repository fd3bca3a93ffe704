import Foundation

/// A transport on its way to be logged in. The caller keeps the deadline.
///
/// What fails in opening and in the handshake is a ``LoginFailed``; a connection that broke is one that ended.
actor Link {
    private let settings: Settings
    private let begun = ContinuousClock.now
    private var transport: (any Transport)?
    private(set) var roundTrips = 0

    init(_ settings: Settings) {
        self.settings = settings
    }

    /// How long this has taken so far.
    var duration: Duration { ContinuousClock.now - begun }

    /// Connects, with TLS where it is implicit.
    func open() async throws {
        transport = try await asLoginFailed { try await settings.connector.open(settings.endpoint) }
    }

    func startTls() async throws {
        try await asLoginFailed { try await transport?.startTls() }
    }

    /// Returns what has come; nothing at the end.
    func read() async throws -> Data {
        do {
            return try await transport?.read() ?? Data()
        } catch is TransportError {
            return Data()
        }
    }

    /// Writes all of it. Where that fails, the server may have said why before it closed: the next read tells.
    func write(_ data: Data) async throws {
        roundTrips += 1
        do {
            try await transport?.write(data)
        } catch is TransportError {}
    }

    /// Returns the transport, which belongs to somebody else from now on.
    func loggedIn() throws -> any Transport {
        guard let transport else { throw CoreError.Misuse(message: "the link is not open") }
        self.transport = nil
        return transport
    }

    func abort() {
        transport?.abort()
        transport = nil
    }

    private func asLoginFailed<Value: Sendable>(
        isolation: isolated (any Actor)? = #isolation, _ operation: () async throws -> Value
    ) async throws -> Value {
        do {
            return try await operation()
        } catch let error as TransportError {
            switch error {
            case .connection(let reason):
                let endpoint = settings.endpoint
                throw try LoginFailed(.connectionLost, "\(endpoint.host):\(endpoint.port): \(reason)")
            case .tls(let reason): throw try LoginFailed(.tlsFailed, reason)
            case .plaintextInjected: throw try LoginFailed(.plaintextInjected, "before the handshake")
            }
        }
    }
}
