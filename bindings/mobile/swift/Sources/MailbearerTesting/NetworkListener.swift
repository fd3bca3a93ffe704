// NOT RUN WHERE THE PROJECT IS TESTED: there is no Apple SDK there. Written after the documentation of Network.framework, and
// type-checked against stand-ins for its declarations: Tests/StandIns.
#if canImport(Network)
import Foundation
import Mailbearer
import Network
import Security

/// Listens at a free port, by Network.framework: for Apple systems.
func listen(_ place: Place, _ welcome: @escaping @Sendable (Arrival) -> Void) async throws -> any Listening {
    let listener = try NetworkListener(place)
    try await listener.start(welcome)
    return listener
}

private final class NetworkListener: Listening {
    private static let queue = DispatchQueue(label: "mailbearer.testing")

    private let listener: NWListener
    private let tls: TlsSettings
    /// Of connections that begin in the clear.
    private let upgrades: Upgrades?
    private let isReady = Pending<Void>()
    private let isClosed = Pending<Void>()

    var port: UInt16 { listener.port?.rawValue ?? 0 }

    init(_ place: Place) throws {
        tls = TlsSettings(presenting: try identity())
        let parameters: NWParameters
        switch place.tls {
        case .implicit:
            parameters = NWParameters(tls: tls.options())
            upgrades = nil
        case .startTls:
            let upgrades = Upgrades()
            parameters = NWParameters(tls: nil)
            parameters.defaultProtocolStack.applicationProtocols.insert(UpgradeFramer.options(upgrades), at: 0)
            self.upgrades = upgrades
        }
        parameters.requiredLocalEndpoint = .hostPort(host: "127.0.0.1", port: .any)
        listener = try NWListener(using: parameters)
    }

    func start(_ welcome: @escaping @Sendable (Arrival) -> Void) async throws {
        listener.newConnectionHandler = { [tls, upgrades] connection in
            let upgrade = upgrades?.make(for: connection.endpoint)
            let transport = NetworkTransport(accepted: connection, tls, upgrade)
            welcome(Arrival(transport: transport) { try await transport.start() })
        }
        listener.stateUpdateHandler = { [isReady, isClosed] state in
            switch state {
            case .ready: isReady.resolve(.success(()))
            case .failed(let error), .waiting(let error): isReady.resolve(.failure(error))
            case .cancelled: isClosed.resolve(.success(()))
            case .setup: break
            @unknown default: break
            }
        }
        listener.start(queue: Self.queue)
        try await isReady.value()
    }

    func close() {
        listener.cancel()
    }

    func closed() async {
        _ = try? await isClosed.value()
    }
}

/// The certificate of localhost, and its key.
private func identity() throws -> SecIdentity {
    let archive = Data(base64Encoded: Certificates.archive, options: .ignoreUnknownCharacters) ?? Data()
    var items: CFArray?
    let status = SecPKCS12Import(archive as CFData, [kSecImportExportPassphrase: "mailbearer"] as CFDictionary, &items)
    let found = (items as? [[String: Any]])?.first?[kSecImportItemIdentity as String]
    guard status == errSecSuccess, let found else {
        throw TransportError.tls("the certificate of the testing server cannot be read: status \(status)")
    }
    // What is under this key is an identity: Core Foundation's types cannot be asked.
    return found as! SecIdentity
}
#endif
