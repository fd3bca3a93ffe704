// NOT COMPILED WHERE THE PROJECT IS TESTED: there is no Apple SDK there. Written after the documentation of Network.framework.
#if canImport(Network)
import Foundation
import Network
import Security

/// Connects by Network.framework: for Apple systems.
public struct NetworkConnector: Connector {
    private let trust: Trust

    public init(trust: Trust = .system) {
        self.trust = trust
    }

    public func open(_ endpoint: Endpoint) async throws -> any Transport {
        let transport = NetworkTransport(endpoint, try TlsSettings(host: endpoint.host, trust: trust))
        do {
            try await transport.start()
        } catch {
            transport.abort()
            throw error
        }
        return transport
    }
}

/// An `NWConnection`. Before STARTTLS its octets pass through an ``UpgradeFramer``.
final class NetworkTransport: Transport {
    private static let queue = DispatchQueue(label: "mailbearer.network")
    private static let readOctets = 16_384

    private let connection: NWConnection
    private let tls: TlsSettings
    private let inbox = Inbox()
    private let states = AsyncStream<NWConnection.State>.makeStream()
    private let upgrade: Upgrade?

    init(_ endpoint: Endpoint, _ tls: TlsSettings) {
        self.tls = tls
        let tcp = NWProtocolTCP.Options()
        // A login is short lines and answers: Nagle's algorithm would hold each second line back.
        tcp.noDelay = true
        let parameters: NWParameters
        if endpoint.tls == .implicit {
            parameters = NWParameters(tls: tls.options(), tcp: tcp)
            upgrade = nil
        } else {
            let upgrade = Upgrade(inbox)
            let options = NWProtocolFramer.Options(definition: UpgradeFramer.definition)
            options[UpgradeFramer.key] = upgrade
            parameters = NWParameters(tls: nil, tcp: tcp)
            parameters.defaultProtocolStack.applicationProtocols.insert(options, at: 0)
            self.upgrade = upgrade
        }
        let port = NWEndpoint.Port(rawValue: endpoint.port) ?? .any
        connection = NWConnection(host: NWEndpoint.Host(endpoint.host), port: port, using: parameters)
    }

    deinit {
        connection.forceCancel()
    }

    /// Returns when TCP is there, and TLS where it is implicit.
    func start() async throws {
        let states = states.continuation
        connection.stateUpdateHandler = { state in
            _ = states.yield(state)
        }
        connection.start(queue: Self.queue)
        if let upgrade {
            // The connection itself is ready only after the upgrade.
            try await withTaskCancellationHandler {
                for await isConnected in upgrade.connected.stream where isConnected {
                    return
                }
                throw CancellationError()
            } onCancel: {
                connection.forceCancel()
            }
        } else {
            try await ready()
        }
    }

    private func ready() async throws {
        for await state in states.stream {
            switch state {
            case .ready: return
            case .waiting(let error), .failed(let error): throw transportError(error)
            case .cancelled: throw TransportError.connection("the connection was closed")
            case .setup, .preparing: continue
            @unknown default: continue
            }
        }
        throw CancellationError()
    }

    func startTls() async throws {
        guard let upgrade else { throw TransportError.tls("TLS is there already") }
        guard inbox.isEmpty else { throw TransportError.plaintextInjected }
        upgrade.startTls(tls.options())
        try await ready()
        inbox.isRaw = false
    }

    func read() async throws -> Data {
        if !inbox.isRaw, inbox.isToFill() {
            connection.receive(minimumIncompleteLength: 1, maximumLength: Self.readOctets) { [inbox] data, _, isAtEnd, error in
                inbox.filled(data ?? Data(), isAtEnd: isAtEnd, error: error.map(transportError))
            }
        }
        return try await inbox.read()
    }

    func write(_ data: Data) async throws {
        if let upgrade, inbox.isRaw {
            upgrade.write(data)
            return
        }
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            connection.send(content: data, completion: .contentProcessed { error in
                continuation.resume(with: error.map { .failure(transportError($0)) } ?? .success(()))
            })
        }
    }

    func close() async {
        connection.cancel()
        inbox.filled(Data(), isAtEnd: true, error: nil)
    }

    func abort() {
        connection.forceCancel()
        inbox.filled(Data(), isAtEnd: true, error: nil)
    }
}

/// What has come and nobody has read. A read can be cancelled, and loses nothing.
private final class Inbox: @unchecked Sendable {
    private let lock = NSLock()
    private var data = Data()
    private var isAtEnd = false
    private var error: TransportError?
    private var isFilling = false
    private var raw = true
    private var waiter: AsyncStream<Void>.Continuation?

    /// Whether octets come from the framer, as before STARTTLS, and not from the connection.
    var isRaw: Bool {
        get { lock.withLock { raw } }
        set { lock.withLock { raw = newValue } }
    }

    var isEmpty: Bool {
        lock.withLock { data.isEmpty }
    }

    /// Whether the connection is to be asked for octets: it is, once at a time.
    func isToFill() -> Bool {
        lock.withLock {
            defer { isFilling = true }
            return !isFilling && data.isEmpty && !isAtEnd
        }
    }

    func filled(_ more: Data, isAtEnd: Bool, error: TransportError?) {
        let waiter = lock.withLock {
            data += more
            isFilling = false
            self.isAtEnd = self.isAtEnd || isAtEnd || error != nil
            self.error = self.error ?? error
            return self.waiter
        }
        waiter?.yield()
    }

    func read() async throws -> Data {
        let (stream, waiter) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        lock.withLock { self.waiter = waiter }
        waiter.yield()
        for await _ in stream {
            let (data, isAtEnd, error) = lock.withLock {
                defer { self.data = Data() }
                return (self.data, self.isAtEnd, self.error)
            }
            if !data.isEmpty || isAtEnd {
                if data.isEmpty, let error { throw error }
                return data
            }
        }
        throw CancellationError()
    }
}

/// What the transport and its framer say to each other before STARTTLS.
private final class Upgrade: @unchecked Sendable {
    let inbox: Inbox
    let connected = AsyncStream<Bool>.makeStream()
    private let lock = NSLock()
    private var framer: NWProtocolFramer.Instance?

    init(_ inbox: Inbox) {
        self.inbox = inbox
    }

    func isConnected(_ framer: NWProtocolFramer.Instance) {
        lock.withLock { self.framer = framer }
        _ = connected.continuation.yield(true)
    }

    func write(_ data: Data) {
        let framer = lock.withLock { self.framer }
        framer?.async {
            framer?.writeOutput(data: data)
        }
    }

    /// Puts TLS above the framer, which from now on lets everything through.
    func startTls(_ options: NWProtocolTLS.Options) {
        let framer = lock.withLock { self.framer }
        framer?.async {
            try? framer?.prependApplicationProtocol(options: options)
            framer?.passThroughInput()
            framer?.passThroughOutput()
            framer?.markReady()
        }
    }
}

/// Speaks in the clear until STARTTLS: an `NWConnection` can begin TLS later only above a framer that is not ready yet.
private final class UpgradeFramer: NWProtocolFramerImplementation {
    static let label = "mailbearer STARTTLS"
    static let key = "upgrade"
    static let definition = NWProtocolFramer.Definition(implementation: UpgradeFramer.self)

    private let upgrade: Upgrade?

    init(framer: NWProtocolFramer.Instance) {
        upgrade = framer.options[Self.key] as? Upgrade
    }

    func start(framer: NWProtocolFramer.Instance) -> NWProtocolFramer.StartResult {
        upgrade?.isConnected(framer)
        return .willMarkReady
    }

    func handleInput(framer: NWProtocolFramer.Instance) -> Int {
        _ = framer.parseInput(minimumIncompleteLength: 1, maximumLength: 16_384) { buffer, isAtEnd in
            upgrade?.inbox.filled(buffer.map { Data($0) } ?? Data(), isAtEnd: isAtEnd, error: nil)
            return buffer?.count ?? 0
        }
        return 0
    }

    func handleOutput(
        framer: NWProtocolFramer.Instance, message: NWProtocolFramer.Message, messageLength: Int, isComplete: Bool
    ) {}

    func wakeup(framer: NWProtocolFramer.Instance) {}

    func stop(framer: NWProtocolFramer.Instance) -> Bool {
        upgrade?.inbox.filled(Data(), isAtEnd: true, error: nil)
        return true
    }

    func cleanup(framer: NWProtocolFramer.Instance) {}
}

/// TLS that verifies chain and host name: by the system, or by the certificate authorities of a file.
struct TlsSettings: Sendable {
    private let host: String
    private let anchors: [Data]?

    init(host: String, trust: Trust) throws {
        self.host = host
        switch trust {
        case .system: anchors = nil
        case .file(let path): anchors = try certificates(path)
        }
    }

    func options() -> NWProtocolTLS.Options {
        let options = NWProtocolTLS.Options()
        let security = options.securityProtocolOptions
        sec_protocol_options_set_min_tls_protocol_version(security, .TLSv12)
        sec_protocol_options_set_tls_server_name(security, host)
        if let anchors {
            let host = host
            let verify: sec_protocol_verify_t = { _, peer, answer in
                let trust = sec_trust_copy_ref(peer).takeRetainedValue()
                let certificates = anchors.compactMap { SecCertificateCreateWithData(nil, $0 as CFData) }
                SecTrustSetPolicies(trust, SecPolicyCreateSSL(true, host as CFString))
                SecTrustSetAnchorCertificates(trust, certificates as CFArray)
                SecTrustSetAnchorCertificatesOnly(trust, true)
                answer(SecTrustEvaluateWithError(trust, nil))
            }
            sec_protocol_options_set_verify_block(security, verify, DispatchQueue(label: "mailbearer.trust"))
        }
        return options
    }
}

/// The certificates of a PEM file, as DER.
private func certificates(_ path: String) throws -> [Data] {
    let text = try? String(contentsOfFile: path, encoding: .utf8)
    let blocks = text?.components(separatedBy: "-----BEGIN CERTIFICATE-----").dropFirst() ?? []
    let found = blocks.compactMap { block in
        let lines = block.components(separatedBy: "-----END CERTIFICATE-----").first
        return lines.flatMap { Data(base64Encoded: $0, options: .ignoreUnknownCharacters) }
    }
    guard !found.isEmpty else { throw TransportError.tls("the certificate authorities cannot be read") }
    return found
}

private func transportError(_ error: NWError) -> TransportError {
    switch error {
    case .tls(let status): .tls(SecCopyErrorMessageString(status, nil) as String? ?? "handshake failed")
    case .posix, .dns: .connection(error.localizedDescription)
    @unknown default: .connection(error.localizedDescription)
    }
}
#endif
