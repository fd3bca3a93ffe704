// A stand-in for Apple's Network.framework, for type checks alone: the declarations that NetworkTransport.swift,
// NetworkListener.swift and NetworkState.swift use, after Apple's documentation.
import Dispatch
import Foundation
import Security

public typealias DNSServiceErrorType = Int32

public enum NWError: Error {
    case posix(POSIXErrorCode)
    case dns(DNSServiceErrorType)
    case tls(OSStatus)
}

public enum NWEndpoint: Hashable, Sendable {
    public struct Host: Hashable, Sendable, ExpressibleByStringLiteral {
        public init(_ string: String) {}
        public init(stringLiteral: String) {}
    }

    public struct Port: Hashable, Sendable {
        public static var any: Port { Port() }
        public var rawValue: UInt16 { 0 }
        public init?(rawValue: UInt16) {}
        init() {}
    }

    case hostPort(host: Host, port: Port)
    case unix(path: String)
}

public struct NWInterface: Hashable, Sendable {
    public let name: String
}

public struct NWPath: Equatable, Sendable {
    public enum Status: Sendable {
        case satisfied
        case unsatisfied
        case requiresConnection
    }

    public let status: Status
    public let availableInterfaces: [NWInterface]
    public let gateways: [NWEndpoint]
}

public final class NWPathMonitor: @unchecked Sendable {
    public init() {}
    public var pathUpdateHandler: (@Sendable (_ newPath: NWPath) -> Void)?
    public func start(queue: DispatchQueue) {}
    public func cancel() {}
}

public final class NWListener: @unchecked Sendable {
    public enum State: Sendable {
        case setup
        case waiting(NWError)
        case ready
        case failed(NWError)
        case cancelled
    }

    public init(using: NWParameters, on port: NWEndpoint.Port = .any) throws {}
    public var port: NWEndpoint.Port? { nil }
    public var stateUpdateHandler: (@Sendable (_ newState: State) -> Void)?
    public var newConnectionHandler: (@Sendable (_ connection: NWConnection) -> Void)?
    public func start(queue: DispatchQueue) {}
    public func cancel() {}
}

open class NWProtocolOptions {
    init() {}
}

public final class NWProtocolTCP {
    public final class Options: NWProtocolOptions {
        public var noDelay = false
        public var enableKeepalive = false
        public var keepaliveCount = 0
        public var keepaliveIdle = 0
        public var keepaliveInterval = 0
        public var connectionTimeout = 0
        public var connectionDropTime = 0
        public override init() {}
    }
}

public final class NWProtocolTLS {
    public final class Options: NWProtocolOptions {
        public var securityProtocolOptions: sec_protocol_options_t { fatalError() }
        public override init() {}
    }
}

public final class NWParameters {
    public final class ProtocolStack {
        public var applicationProtocols: [NWProtocolOptions] = []
    }

    public let defaultProtocolStack = ProtocolStack()
    public var requiredLocalEndpoint: NWEndpoint?
    public init(tls: NWProtocolTLS.Options?, tcp: NWProtocolTCP.Options = NWProtocolTCP.Options()) {}
}

public final class NWConnection: @unchecked Sendable {
    public enum State: Sendable {
        case setup
        case waiting(NWError)
        case preparing
        case ready
        case failed(NWError)
        case cancelled
    }

    public final class ContentContext: Sendable {
        public static let defaultMessage = ContentContext()
        init() {}
    }

    public enum SendCompletion {
        case contentProcessed(@Sendable (_ error: NWError?) -> Void)
        case idempotent
    }

    public var stateUpdateHandler: (@Sendable (_ state: State) -> Void)?

    public let endpoint: NWEndpoint = .unix(path: "")
    public init(host: NWEndpoint.Host, port: NWEndpoint.Port, using: NWParameters) {}
    public func start(queue: DispatchQueue) {}
    public func send(
        content: Data?, contentContext: ContentContext = .defaultMessage, isComplete: Bool = true, completion: SendCompletion
    ) {}
    public func receive(
        minimumIncompleteLength: Int, maximumLength: Int,
        completion: @escaping @Sendable (
            _ content: Data?, _ contentContext: ContentContext?, _ isComplete: Bool, _ error: NWError?
        ) -> Void
    ) {}
    public func cancel() {}
    public func forceCancel() {}
}

public final class NWProtocolFramer {
    public final class Definition: Sendable {
        public init(implementation: any NWProtocolFramerImplementation.Type) {}
    }

    public final class Options: NWProtocolOptions {
        public init(definition: Definition) {}

        public subscript(key: String) -> Any? {
            get { nil }
            set {}
        }
    }

    public final class Message {}

    public enum StartResult: Sendable {
        case ready
        case willMarkReady
    }

    public final class Instance: @unchecked Sendable {
        init() {}
        public var options: Options { fatalError() }
        public var remote: NWEndpoint { fatalError() }
        public func writeOutput(data: Data) {}
        public func async(execute: @escaping () -> Void) {}
        public func prependApplicationProtocol(options: NWProtocolOptions) throws {}
        public func passThroughInput() {}
        public func passThroughOutput() {}
        public func markReady() {}
        public func markFailed(error: NWError?) {}
        public func parseInput(
            minimumIncompleteLength: Int, maximumLength: Int,
            parse: (_ buffer: UnsafeMutableRawBufferPointer?, _ isComplete: Bool) -> Int
        ) -> Bool { false }
    }
}

public protocol NWProtocolFramerImplementation: AnyObject {
    static var label: String { get }
    init(framer: NWProtocolFramer.Instance)
    func start(framer: NWProtocolFramer.Instance) -> NWProtocolFramer.StartResult
    func handleInput(framer: NWProtocolFramer.Instance) -> Int
    func handleOutput(
        framer: NWProtocolFramer.Instance, message: NWProtocolFramer.Message, messageLength: Int, isComplete: Bool)
    func wakeup(framer: NWProtocolFramer.Instance)
    func stop(framer: NWProtocolFramer.Instance) -> Bool
    func cleanup(framer: NWProtocolFramer.Instance)
}
