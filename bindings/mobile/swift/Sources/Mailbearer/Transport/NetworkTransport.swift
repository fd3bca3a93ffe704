// NOT RUN WHERE THE PROJECT IS TESTED: there is no Apple SDK there. Written after the documentation of Network.framework, and
// type-checked against stand-ins for its declarations: Tests/StandIns.
#if canImport(Network)
import Foundation
import Network
import Security

/// Connects by Network.framework: for Apple systems.
public struct NetworkConnector: Connector {
    private let trust: Trust

    /// - Parameter trust: whom TLS trusts.
    public init(trust: Trust = .system) {
        self.trust = trust
    }

    /// Connects, with TLS where it is implicit.
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
package final class NetworkTransport: Transport {
    private static let queue = DispatchQueue(label: "mailbearer.network")
    private static let readOctets = 16_384

    private let connection: NWConnection
    private let tls: TlsSettings
    private let inbox: Inbox
    private let upgrade: Upgrade?
    /// Comes when TCP is there, and TLS where it is implicit.
    private let connected: Pending<Void>
    /// Comes when TLS is there.
    private let secured = Pending<Void>()

    /// Of somebody who has connected: for the testing server. `upgrade`: it begins in the clear.
    package init(accepted connection: NWConnection, _ tls: TlsSettings, _ upgrade: Upgrade?) {
        (self.connection, self.tls, self.upgrade) = (connection, tls, upgrade)
        (inbox, connected) = (upgrade?.inbox ?? Inbox(), upgrade?.connected ?? Pending())
    }

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
            (upgrade, inbox, connected) = (nil, Inbox(), Pending())
        case .startTls:
            let upgrade = Upgrade()
            let options = NWProtocolFramer.Options(definition: UpgradeFramer.definition)
            options[UpgradeFramer.key] = upgrade
            parameters = NWParameters(tls: nil, tcp: tcp)
            parameters.defaultProtocolStack.applicationProtocols.insert(options, at: 0)
            (self.upgrade, inbox, connected) = (upgrade, upgrade.inbox, upgrade.connected)
        }
        let port = NWEndpoint.Port(rawValue: endpoint.port) ?? .any
        connection = NWConnection(host: NWEndpoint.Host(endpoint.host), port: port, using: parameters)
    }

    deinit {
        connection.forceCancel()
    }

    /// Returns when TCP is there, and TLS where it is implicit.
    package func start() async throws {
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

    package func startTls() async throws {
        guard let upgrade else { throw TransportError.tls("TLS is there already") }
        guard inbox.isEmpty else { throw TransportError.plaintextInjected }
        upgrade.startTls(tls.options())
        try await secured.value()
        fill()
    }

    package func read() async throws -> Data {
        try await inbox.read()
    }

    package func write(_ data: Data) async throws {
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

    package func close() async {
        connection.cancel()
        inbox.finish(nil)
    }

    package func abort() {
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
package final class Upgrade: @unchecked Sendable {
    let inbox = Inbox()
    /// Comes when TCP is there.
    let connected = Pending<Void>()
    private let lock = NSLock()
    private var framer: NWProtocolFramer.Instance?
    private var hasBegun = false

    package init() {}

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

/// Where a server finds the framers of who has connected: by the address of their other end.
package final class Upgrades: @unchecked Sendable {
    private let lock = NSLock()
    private var waiting: [NWEndpoint: Upgrade] = [:]

    package init() {}

    /// That of a connection, which its framer finds when it starts.
    package func make(for peer: NWEndpoint) -> Upgrade {
        let upgrade = Upgrade()
        lock.withLock { waiting[peer] = upgrade }
        return upgrade
    }

    func take(_ peer: NWEndpoint) -> Upgrade? {
        lock.withLock { waiting.removeValue(forKey: peer) }
    }
}

/// Speaks in the clear until STARTTLS: an `NWConnection` can begin TLS later only above a framer that is not ready yet.
package final class UpgradeFramer: NWProtocolFramerImplementation {
    package static let label = "mailbearer STARTTLS"
    static let key = "upgrade"
    package static let definition = NWProtocolFramer.Definition(implementation: UpgradeFramer.self)

    private var upgrade: Upgrade?

    /// Options of a server: the framers of all who connect share them.
    package static func options(_ upgrades: Upgrades) -> NWProtocolFramer.Options {
        let options = NWProtocolFramer.Options(definition: definition)
        options[key] = upgrades
        return options
    }

    package init(framer: NWProtocolFramer.Instance) {
        upgrade = framer.options[Self.key] as? Upgrade
    }

    package func start(framer: NWProtocolFramer.Instance) -> NWProtocolFramer.StartResult {
        upgrade = upgrade ?? (framer.options[Self.key] as? Upgrades)?.take(framer.remote)
        upgrade?.isConnected(framer)
        return .willMarkReady
    }

    package func handleInput(framer: NWProtocolFramer.Instance) -> Int {
        _ = framer.parseInput(minimumIncompleteLength: 1, maximumLength: 16_384) { buffer, isAtEnd in
            upgrade?.received(buffer.map { Data($0) } ?? Data(), isAtEnd: isAtEnd)
            return buffer?.count ?? 0
        }
        return 0
    }

    package func handleOutput(
        framer: NWProtocolFramer.Instance, message: NWProtocolFramer.Message, messageLength: Int, isComplete: Bool
    ) {}

    package func wakeup(framer: NWProtocolFramer.Instance) {}

    package func stop(framer: NWProtocolFramer.Instance) -> Bool {
        upgrade?.received(Data(), isAtEnd: true)
        return true
    }

    package func cleanup(framer: NWProtocolFramer.Instance) {}
}

/// TLS that verifies chain and host name: by the system, or by the certificate authorities of a file. Or that of a server, with a
/// certificate.
package struct TlsSettings: @unchecked Sendable {
    private static let queue = DispatchQueue(label: "mailbearer.trust")

    private let host: String
    private let anchors: [Data]?
    /// Of a server, which asks for no certificate.
    private let identity: SecIdentity?
    private let judged = Judged()

    /// Whether a certificate of this host was judged, and found good; or there is none to judge.
    var isVerified: Bool { identity != nil || judged.wasVerified }

    /// For the testing server.
    package init(presenting identity: SecIdentity) {
        (host, anchors, self.identity) = ("", nil, identity)
    }

    init(host: String, trust: Trust) throws {
        (self.host, identity) = (host, nil)
        switch trust {
        case .system: anchors = nil
        case .file(let path): anchors = try certificates(try? String(contentsOfFile: path, encoding: .utf8), trust)
        case .pem(let text): anchors = try certificates(text, trust)
        }
    }

    package func options() -> NWProtocolTLS.Options {
        let options = NWProtocolTLS.Options()
        let security = options.securityProtocolOptions
        sec_protocol_options_set_min_tls_protocol_version(security, .TLSv12)
        if let identity = identity.flatMap({ sec_identity_create($0) }) {
            sec_protocol_options_set_local_identity(security, identity)
            return options
        }
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
private func certificates(_ text: String?, _ trust: Trust) throws -> [Data] {
    let blocks = text?.components(separatedBy: "-----BEGIN CERTIFICATE-----").dropFirst() ?? []
    let found = blocks.compactMap { block in
        let lines = block.components(separatedBy: "-----END CERTIFICATE-----").first
        return lines.flatMap { Data(base64Encoded: $0, options: .ignoreUnknownCharacters) }
    }
    guard !found.isEmpty else { throw trust.unreadable }
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
