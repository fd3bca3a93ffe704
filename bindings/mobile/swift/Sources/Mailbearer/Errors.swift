import Foundation

/// What the errors have in common that tell why a login does not work: ``LoginFailed``, ``NeedsUser``, ``GaveUp``, ``Misuse``.
///
/// Their description is a sentence that a person can act on. As `NSError` they have the underlying error under
/// `NSUnderlyingErrorKey`.
public protocol FailedLogin: LocalizedError, CustomNSError, CustomStringConvertible, CustomReflectable, Sendable {
    /// Why, and what to do.
    var failure: Failure { get }

    /// What the system, TLS or the token source threw, as a `POSIXError`; `nil` where the server said no.
    var underlying: (any Error)? { get }
}

extension FailedLogin {
    public var description: String { failure.sentence }
    public var errorDescription: String? { failure.sentence }
    public var errorUserInfo: [String: Any] {
        let userInfo: [String: Any] = [NSLocalizedDescriptionKey: failure.sentence]
        return userInfo.merging(underlying.map { [NSUnderlyingErrorKey: $0] } ?? [:]) { _, underlying in underlying }
    }

    /// It goes to logs: what the program's own error holds does not.
    public var customMirror: Mirror {
        let underlying = underlying.map { "\(type(of: $0))" }
        return Mirror(self, children: ["failure": failure, "underlying": underlying as Any], displayStyle: .struct)
    }
}

/// The login did not work.
public struct LoginFailed: FailedLogin {
    public let failure: Failure
    public let underlying: (any Error)?

    init(_ failure: Failure, underlying: (any Error)? = nil) {
        self.failure = failure
        self.underlying = underlying
    }

    /// What the host itself has found.
    init(_ cause: Cause, _ detail: String) throws {
        self.init(try failureOfHost(cause: cause, detail: detail))
    }

    /// A connection that did not come about.
    init(_ error: TransportError, at endpoint: Endpoint) throws {
        self.init(try error.failure(at: endpoint), underlying: error.underlying ?? error)
    }
}

/// A person must act before it makes sense to go on. Then say ``Sessions/retry()``, and ask for the next connection: before that,
/// each request is answered by this error at once, also after a restart.
public struct NeedsUser: FailedLogin {
    public let failure: Failure
    public let underlying: (any Error)?
}

/// The program's own settings cannot work (then ``Sessions/retry()`` is needed, too), or it did not work in the time that it
/// had.
public struct GaveUp: FailedLogin {
    public let failure: Failure
    public let underlying: (any Error)?
}

/// The program's code is wrong: its token source gave what is no token. ``underlying`` is what it threw.
public struct Misuse: FailedLogin {
    public let failure: Failure
    public let underlying: (any Error)?
}

extension RaiseKind {
    func error(_ failure: Failure, _ underlying: (any Error)?) -> any FailedLogin {
        switch self {
        case .needsUser: NeedsUser(failure: failure, underlying: underlying)
        case .gaveUp: GaveUp(failure: failure, underlying: underlying)
        case .mistake: Misuse(failure: failure, underlying: underlying)
        }
    }
}

/// The session is over, in the middle of what the program did with it. The next one follows.
public struct SessionEnded: LocalizedError, CustomNSError, CustomStringConvertible, CustomReflectable, Sendable {
    /// Why.
    public let verdict: Verdict
    /// What the system threw, as a `POSIXError`; `nil` where the server ended it.
    public let underlying: (any Error)?

    init(verdict: Verdict, underlying: (any Error)? = nil) {
        (self.verdict, self.underlying) = (verdict, underlying)
    }

    public var description: String { errorDescription ?? "\(verdict.cause)" }
    public var errorDescription: String? {
        try? failureOfHost(cause: verdict.cause, detail: "").sentence
    }
    public var errorUserInfo: [String: Any] {
        underlying.map { [NSUnderlyingErrorKey: $0] } ?? [:]
    }

    /// What the program's own error holds is not shown.
    public var customMirror: Mirror { Mirror(self, children: ["verdict": verdict], displayStyle: .struct) }
}

/// A token source throws it where it has no token: `isPermanent` says that asking again is in vain until the user acts.
///
///     let source = TokenSource { forceRefresh in
///         guard let grant = await store.grant else { throw TokenSourceFailed("nobody has signed in", isPermanent: true) }
///         return try await grant.token(forceRefresh: forceRefresh)
///     }
///
/// Where a source throws a ``CoreError``, as ``Token/init(_:expiresIn:)`` does for what is no token, its code is wrong: that is
/// thrown to the program at once, as a ``Misuse``. Whatever else a source throws is taken for an outage, and it is asked again
/// later.
public struct TokenSourceFailed: LocalizedError, CustomStringConvertible, Sendable {
    /// What went wrong. It must not hold a secret.
    public let reason: String
    public let isPermanent: Bool

    public var description: String { reason }
    public var errorDescription: String? { reason }

    public init(_ reason: String, isPermanent: Bool = false) {
        self.reason = reason
        self.isPermanent = isPermanent
    }
}

extension CoreError: LocalizedError, CustomStringConvertible {
    /// What is wrong, where, and what to do; never a value.
    public var errorDescription: String? { description }

    public var description: String {
        switch self {
        case .Config(let message), .Misuse(let message), .Unknown(let message), .Internal(let message): message
        }
    }
}

extension TransportError {
    func failure(at endpoint: Endpoint?) throws -> Failure {
        let place = endpoint.map { "\($0.place): " } ?? ""
        return switch self {
        case .notConnected(let words, let error, _): try failureOfConnect(error: error, words: place + words)
        case .connection(let words, _): try failureOfHost(cause: .connectionLost, detail: place + words)
        case .tls(let words, let error, _): try failureOfTls(error: error, words: place + words)
        case .certificate(let reason, let certificate, _):
            try failureOfCertificate(reason: place + reason, certificate: certificate)
        case .plaintextInjected: try failureOfHost(cause: .plaintextInjected, detail: "before the handshake")
        }
    }
}

extension Endpoint {
    /// Host and port, as URLs write them.
    var place: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

extension Failure {
    /// The same failure, with one more sentence.
    func adding(_ more: String) -> Failure {
        Failure(
            cause: cause, advice: advice, certainty: certainty, serverText: serverText, code: code, rejection: rejection,
            waitMs: waitMs, url: url, sentence: "\(sentence) \(more)", detail: detail)
    }
}
