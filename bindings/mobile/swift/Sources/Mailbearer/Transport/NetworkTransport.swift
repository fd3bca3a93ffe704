// NOT RUN WHERE THE PROJECT IS TESTED: there is no Apple SDK there. Written after the documentation of Network.framework, and
// type-checked against stand-ins for its declarations: Tests/StandIns.
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
    private let upgrade: Upgrade?
    /// Comes when TCP is there, and TLS where it is implicit.
    private let connected = Pending<Void>()
    /// Comes when TLS is there.
    private let secured = Pending<Void>()

    init(_ endpoint: Endpoint, _ tls: TlsSettings) {
        self.tls = tls
        let tcp = NWProtocolTCP.Options()
        // A login is short lines and answers: Nagle's algorithm would hold each second line back.
        tcp.noDelay = true
        tcp.enableKeepalive = true
        tcp.keepaliveIdle = Int(KeepAlive.idleSeconds)
        tcp.keepaliveInterval = Int(KeepAlive.intervalSeconds)
        tcp.keepaliveCount = Int(KeepAlive.count)
        tcp.connectionDropTime = Int(KeepAlive.unansweredSeconds)
        let parameters: NWParameters
        switch endpoint.tls {
        case .implicit:
            parameters = NWParameters(tls: tls.options(), tcp: tcp)
            upgrade = nil
        case .startTls:
            let upgrade = Upgrade(inbox, connected)
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
        connection.stateUpdateHandler = { [connected, secured, tls] state in
            let outcome: Result<Void, any Error>
            switch state {
            // Whatever was resumed or skipped: nothing is sent to who was not verified.
            case .ready where tls.isVerified: outcome = .success(())
            case .ready: outcome = .failure(TransportError.tls("no certificate of this host was verified"))
            // It would try again by itself, as soon as the network changes; the session knows better when.
            case .waiting(let error), .failed(let error): outcome = .failure(tls.refusal(error) ?? TransportError(error))
            case .cancelled: outcome = .failure(TransportError.connection("the connection was closed"))
            case .setup, .preparing: return
            @unknown default: return
            }
            connected.resolve(outcome)
            secured.resolve(outcome)
        }
        connection.start(queue: Self.queue)
        try await connected.value()
        if upgrade == nil {
            fill()
        }
    }

    func startTls() async throws {
        guard let upgrade else { throw TransportError.tls("TLS is there already") }
        guard inbox.isEmpty else { throw TransportError.plaintextInjected }
        upgrade.startTls(tls.options())
        try await secured.value()
        fill()
    }

    func read() async throws -> Data {
        try await inbox.read()
    }

    func write(_ data: Data) async throws {
        if let upgrade, upgrade.isInTheClear {
            upgrade.write(data)
            return
        }
        let written = Pending<Void>()
        connection.send(
            content: data,
            completion: .contentProcessed { error in
                written.resolve(error.map { .failure(TransportError.broken($0)) } ?? .success(()))
            })
        try await written.value()
    }

    func close() async {
        connection.cancel()
        inbox.finish(nil)
    }

    func abort() {
        connection.forceCancel()
        inbox.finish(nil)
    }

    /// Reads into the inbox, as long as there is room.
    private func fill() {
        connection.receive(minimumIncompleteLength: 1, maximumLength: Self.readOctets) { [weak self, inbox] data, _, isAtEnd, error in
            if let data {
                inbox.put(data)
            }
            if isAtEnd || error != nil {
                inbox.finish(error.map(TransportError.broken))
                return
            }
            Task { [weak self] in
                try await inbox.room()
                self?.fill()
            }
        }
    }
}

/// What the transport and its framer say to each other before STARTTLS.
private final class Upgrade: @unchecked Sendable {
    private let inbox: Inbox
    private let connected: Pending<Void>
    private let lock = NSLock()
    private var framer: NWProtocolFramer.Instance?
    private var hasBegun = false

    init(_ inbox: Inbox, _ connected: Pending<Void>) {
        self.inbox = inbox
        self.connected = connected
    }

    var isInTheClear: Bool { lock.withLock { !hasBegun } }

    func isConnected(_ framer: NWProtocolFramer.Instance) {
        lock.withLock { self.framer = framer }
        connected.resolve(.success(()))
    }

    func received(_ data: Data, isAtEnd: Bool) {
        inbox.put(data)
        if isAtEnd || inbox.isFull {
            inbox.finish(nil)
        }
    }

    func write(_ data: Data) {
        onFramer { $0.writeOutput(data: data) }
    }

    /// Puts TLS above the framer, which from now on lets everything through.
    func startTls(_ options: NWProtocolTLS.Options) {
        lock.withLock { hasBegun = true }
        onFramer { framer in
            do {
                try framer.prependApplicationProtocol(options: options)
                framer.passThroughInput()
                framer.passThroughOutput()
                framer.markReady()
            } catch {
                framer.markFailed(error: nil)
            }
        }
    }

    private func onFramer(_ work: @escaping (NWProtocolFramer.Instance) -> Void) {
        guard let framer = lock.withLock({ framer }) else { return }
        framer.async { work(framer) }
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
            upgrade?.received(buffer.map { Data($0) } ?? Data(), isAtEnd: isAtEnd)
            return buffer?.count ?? 0
        }
        return 0
    }

    func handleOutput(
        framer: NWProtocolFramer.Instance, message: NWProtocolFramer.Message, messageLength: Int, isComplete: Bool
    ) {}

    func wakeup(framer: NWProtocolFramer.Instance) {}

    func stop(framer: NWProtocolFramer.Instance) -> Bool {
        upgrade?.received(Data(), isAtEnd: true)
        return true
    }

    func cleanup(framer: NWProtocolFramer.Instance) {}
}

/// TLS that verifies chain and host name: by the system, or by the certificate authorities of a file.
struct TlsSettings: Sendable {
    private static let queue = DispatchQueue(label: "mailbearer.trust")

    private let host: String
    private let anchors: [Data]?
    private let judged = Judged()

    /// Whether a certificate of this host was judged, and found good.
    var isVerified: Bool { judged.wasVerified }

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
        // A session that is resumed is not judged anew.
        sec_protocol_options_set_tls_resumption_enabled(security, false)
        // Judged here also where the system's authorities are trusted: the framework's error does not say what was wrong.
        let verify: sec_protocol_verify_t = { [host, anchors, judged] _, peer, answer in
            let trust = sec_trust_copy_ref(peer).takeRetainedValue()
            SecTrustSetPolicies(trust, SecPolicyCreateSSL(true, host as CFString))
            if let anchors {
                let certificates = anchors.compactMap { SecCertificateCreateWithData(nil, $0 as CFData) }
                SecTrustSetAnchorCertificates(trust, certificates as CFArray)
                SecTrustSetAnchorCertificatesOnly(trust, true)
            }
            var error: CFError?
            let isFine = SecTrustEvaluateWithError(trust, &error)
            if isFine {
                judged.isVerified()
            } else {
                judged.refuse(trust, error)
            }
            answer(isFine)
        }
        sec_protocol_options_set_verify_block(security, verify, Self.queue)
        return options
    }

    /// Which certificate was refused, and why, where that is what the connection failed for.
    func refusal(_ error: NWError) -> TransportError? {
        judged.refused.map { .certificate($0.reason, certificate: $0.der, underlying: error) }
    }
}

/// What was found of the server's certificate.
private final class Judged: @unchecked Sendable {
    private let lock = NSLock()
    private var isGood = false
    private var bad: (reason: String, der: Data)?

    var wasVerified: Bool { lock.withLock { isGood } }
    /// The one that was refused, and why.
    var refused: (reason: String, der: Data)? { lock.withLock { bad } }

    func isVerified() {
        lock.withLock { isGood = true }
    }

    func refuse(_ trust: SecTrust, _ error: CFError?) {
        let reason = error.map { CFErrorCopyDescription($0) as String } ?? "it is not trusted"
        let own = (SecTrustCopyCertificateChain(trust) as? [SecCertificate])?.first
        let der = own.map { SecCertificateCopyData($0) as Data } ?? Data()
        lock.withLock { bad = (reason, der) }
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

extension TransportError {
    /// Of a connection that does not come about.
    init(_ error: NWError) {
        switch error {
        case .posix(let code): self = .ofPosix(code.rawValue, error)
        case .dns(let code):
            // kDNSServiceErr_NoSuchName and kDNSServiceErr_NoSuchRecord.
            let isMissing = [-65_538, -65_554].contains(code)
            self = .notConnected(error.localizedDescription, error: isMissing ? "EAI_NONAME" : "EAI_AGAIN", underlying: error)
        case .tls(let status): self = .ofHandshake(status, error)
        @unknown default: self = .notConnected(error.localizedDescription, underlying: error)
        }
    }

    /// Of a connection that was there.
    static func broken(_ error: NWError) -> TransportError {
        .connection(error.localizedDescription, underlying: error)
    }

    private static func ofHandshake(_ status: OSStatus, _ error: NWError) -> TransportError {
        let words = SecCopyErrorMessageString(status, nil) as String? ?? error.localizedDescription
        return switch status {
        case errSSLClosedAbort, errSSLClosedGraceful, errSSLClosedNoNotify: .connection(words, underlying: error)
        // What BoringSSL's WRONG_VERSION_NUMBER becomes: the peer answers in the clear, or speaks no TLS above 1.1.
        case errSSLPeerProtocolVersion: .tls(words, error: "wrong version number", underlying: error)
        default: .tls(words, error: words, underlying: error)
        }
    }
}
#endif
