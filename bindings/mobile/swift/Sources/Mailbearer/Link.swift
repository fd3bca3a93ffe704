import Foundation

/// A transport on its way to be logged in. The caller keeps the deadline.
///
/// What fails in opening and in the handshake is a ``LoginFailed``; a connection that broke is one that ended.
actor Link {
    /// How long a greeting in the clear is waited for before it is asked whether the port speaks TLS.
    private static let silence = Duration.seconds(5)
    /// And how long that may take. Meanwhile the greeting may still come.
    private static let look = Duration.seconds(5)

    private let settings: Settings
    private let transcript: Transcript?
    private let redact: @Sendable (String) throws -> String
    private let begun = ContinuousClock.now
    private var transport: (any Transport)?
    /// Whether the server has said something.
    private var hasGreeted = false
    private(set) var roundTrips = 0
    /// What was thrown where it broke.
    private(set) var broke: (any Error)?

    /// - Parameters:
    ///   - token: that of the login, for its trace.
    ///   - redact: masks what else is secret.
    init(_ settings: Settings, _ token: AccessToken?, redact: @escaping @Sendable (String) throws -> String = { $0 }) {
        (self.settings, self.redact) = (settings, redact)
        transcript = settings.trace == nil ? nil : token.flatMap { try? Transcript(token: $0) }
    }

    /// How long this has taken so far.
    var duration: Duration { ContinuousClock.now - begun }

    /// Connects, with TLS where it is implicit: in the time of the login, and where that is over it tells what was late.
    func open() async throws {
        let (settings, deadline) = (settings, begun + settings.timeout)
        do {
            transport = try await asLoginFailed {
                try await untilDeadline(deadline) { try await settings.connector.open(settings.endpoint) }
            }
        } catch is CancellationError where !Task.isCancelled {
            throw try LoginFailed(.timedOut, "\(settings.endpoint.place): no TLS in \(settings.timeout)")
        } catch let error as LoginFailed {
            try Task.checkCancellation()
            throw error
        }
    }

    func startTls() async throws {
        trace { try $0.flush() }
        try await asLoginFailed { try await transport?.startTls() }
    }

    /// Returns what has come; nothing at the end.
    func read() async throws -> Data {
        guard let transport else { return Data() }
        do {
            let isSuspect = settings.endpoint.tls == .startTls && !hasGreeted
            let data = isSuspect ? try await greeting(transport) : try await transport.read()
            hasGreeted = true
            trace { try data.isEmpty ? $0.flush() : $0.received(bytes: data) }
            return data
        } catch let error as TransportError {
            broke = error.underlying ?? error
            return Data()
        }
    }

    /// Where a server that is to speak first in the clear says nothing, it may wait for TLS to begin: it is asked on a
    /// connection of its own, so that one that is only slow is not disturbed.
    nonisolated private func greeting(_ transport: any Transport) async throws -> Data {
        try await withThrowingTaskGroup(of: Data?.self) { group in
            group.addTask { try await transport.read() }
            group.addTask {
                try await Task.sleep(for: Self.silence)
                guard try await self.speaksTls() else { return nil }
                throw try LoginFailed(
                    .wrongTlsMode, "\(self.settings.endpoint.place) says nothing in the clear, and takes a TLS handshake")
            }
            defer { group.cancelAll() }
            while let read = try await group.next() {
                if let read {
                    return read
                }
            }
            return Data()
        }
    }

    /// Whether the port answers a TLS handshake, with whatever certificate. Nothing is sent in it.
    private func speaksTls() async throws -> Bool {
        let endpoint = settings.endpoint
        let implicit = Endpoint(protocol: endpoint.protocol, tls: .implicit, host: endpoint.host, port: endpoint.port)
        let connector = settings.connector
        do {
            let opened = try await withDeadline(.now + Self.look) { try await connector.open(implicit) }
            opened?.abort()
            return opened != nil
        } catch {
            try Task.checkCancellation()
            switch TransportError(error) {
            case .certificate: return true
            case .tls(let words, let error, _): return try failureOfTls(error: error, words: words).cause == .tlsFailed
            case .notConnected, .connection, .plaintextInjected, nil: return false
            }
        }
    }

    /// Writes all of it. Where that fails, the server may have said why before it closed: the next read tells.
    func write(_ data: Data, sensitive: Bool) async throws {
        roundTrips += 1
        trace { try $0.sent(bytes: data, sensitive: sensitive) }
        do {
            try await transport?.write(data)
        } catch let error as TransportError {
            broke = error.underlying ?? error
        }
    }

    /// Returns the transport, which belongs to somebody else from now on.
    func loggedIn() throws -> any Transport {
        guard let transport else { throw CoreError.Misuse(message: "the link is not open") }
        self.transport = nil
        trace { try $0.flush() }
        return transport
    }

    func abort() {
        trace { try $0.flush() }
        transport?.abort()
        transport = nil
    }

    private func trace(_ lines: (Transcript) throws -> [TraceLine]) {
        guard let transcript, let trace = settings.trace, let lines = try? lines(transcript) else { return }
        for line in lines {
            if let text = try? redact(line.text) {
                trace(TraceLine(side: line.side, text: text))
            }
        }
    }

    private func asLoginFailed<Value: Sendable>(
        isolation: isolated (any Actor)? = #isolation, _ operation: () async throws -> Value
    ) async throws -> Value {
        do {
            return try await operation()
        } catch {
            throw try TransportError(error).map { try LoginFailed($0, at: settings.endpoint) } ?? error
        }
    }
}
