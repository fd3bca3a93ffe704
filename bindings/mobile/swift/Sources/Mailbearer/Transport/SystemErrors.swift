import Foundation

#if canImport(Network)
import Network
#endif

/// What the system's resolver says where a host name has no address: Foundation has no error for that.
public struct ResolverError: MailbearerError, Equatable {
    /// As `getaddrinfo` returns it.
    public let code: Int32

    /// - Parameter code: as `getaddrinfo` returns it.
    public init(code: Int32) {
        self.code = code
    }

    /// As C spells it, for the codes that tell something.
    public var name: String {
        switch code {
        case EAI_NONAME: "EAI_NONAME"
        case Self.noData: "EAI_NODATA"
        case EAI_AGAIN: "EAI_AGAIN"
        case EAI_FAIL: "EAI_FAIL"
        default: "EAI_\(code)"
        }
    }

    /// The resolver's words.
    public var errorDescription: String? { String(cString: gai_strerror(code)) }

    #if canImport(Darwin)
    private static let noData = EAI_NODATA
    #else
    /// glibc shows its name to GNU programs alone.
    private static let noData: Int32 = -5
    #endif
}

extension TransportError {
    /// What a network stack threw; `nil` for what is none of a network's errors.
    init?(_ error: any Error) {
        if let error = error as? TransportError {
            self = error
            return
        }
        if let error = error as? ResolverError {
            self = .notConnected(error.localizedDescription, error: error.name, underlying: error)
            return
        }
        #if canImport(Network)
        if let error = error as? NWError {
            self.init(error)
            return
        }
        #endif
        let origin = Origin(error)
        switch origin.domain {
        case NSPOSIXErrorDomain: self = Self.ofPosix(Int32(truncatingIfNeeded: origin.code), error)
        case Origin.urlLoading:
            guard let known = Self.ofUrlLoading(origin, error) else { return nil }
            self = known
        default: return nil
        }
    }

    static func ofPosix(_ code: Int32, _ error: any Error) -> TransportError {
        let words = String(cString: strerror(code))
        return switch code {
        // These end a connection that was there. The others are of one that never was, or may be so.
        case ECONNRESET, ECONNABORTED, EPIPE, ENOTCONN: .connection(words, underlying: error)
        case ECONNREFUSED: .notConnected(words, error: "ECONNREFUSED", underlying: error)
        case ETIMEDOUT: .notConnected(words, error: "ETIMEDOUT", underlying: error)
        case ENETUNREACH: .notConnected(words, error: "ENETUNREACH", underlying: error)
        case EHOSTUNREACH: .notConnected(words, error: "EHOSTUNREACH", underlying: error)
        default: .notConnected(words, error: "errno \(code)", underlying: error)
        }
    }

    /// The codes are those of `URLError`, which on Linux is of a module that a mail program need not link.
    private static func ofUrlLoading(_ origin: Origin, _ error: any Error) -> TransportError? {
        let words = error.localizedDescription
        return switch origin.code {
        // cannotFindHost, dnsLookupFailed.
        case -1003, -1006: .notConnected(words, error: "EAI_NONAME", underlying: error)
        // cannotConnectToHost, timedOut: it says no more. notConnectedToInternet, callIsActive, dataNotAllowed.
        case -1004, -1001, -1009, -1019, -1020: .notConnected(words, underlying: error)
        // networkConnectionLost.
        case -1005: .connection(words, underlying: error)
        // secureConnectionFailed, and what is wrong with a certificate.
        case -1206 ... -1200: .tls(words, underlying: error)
        default: nil
        }
    }
}

/// Where an error comes from, as Foundation says it.
struct Origin {
    static let urlLoading = "NSURLErrorDomain"

    let domain: String
    let code: Int
    /// What lies under it.
    let underlying: (any Error)?

    init(_ error: any Error) {
        let error = error as NSError
        (domain, code) = (error.domain, error.code)
        underlying = error.userInfo[NSUnderlyingErrorKey] as? any Error
    }
}
