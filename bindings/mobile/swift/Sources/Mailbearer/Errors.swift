import Foundation

/// What all errors of this package have in common: words for a person, and the error under them.
///
///     do {
///         try await work()
///     } catch let error as any MailbearerError {
///         show(error.localizedDescription)
///     }
///
/// As `NSError` each has a domain that begins with `org.mailbearer.`, and what the system threw under `NSUnderlyingErrorKey`.
public protocol MailbearerError: LocalizedError, CustomNSError, Sendable {
    /// What lies under it: what the system, TLS or the token source threw; `nil` where nothing was thrown.
    var underlying: (any Error)? { get }
}

extension MailbearerError {
    /// Nothing, where the error does not say otherwise.
    public var underlying: (any Error)? { nil }
    /// `org.mailbearer.` and the type's name.
    public static var errorDomain: String { "org.mailbearer.\(Self.self)" }
    /// The words, and what lies under them.
    public var errorUserInfo: [String: Any] {
        var userInfo: [String: Any] = [:]
        userInfo[NSLocalizedDescriptionKey] = errorDescription
        userInfo[NSUnderlyingErrorKey] = underlying
        return userInfo
    }
}

/// What the errors have in common that tell why a login does not work: ``LoginFailed``, ``NeedsUser``, ``GaveUp``, ``Misuse``.
///
/// Their description is a sentence that a person can act on. As `NSError` they have the underlying error under
/// `NSUnderlyingErrorKey`.
public protocol FailedLogin: MailbearerError, CustomStringConvertible, CustomReflectable {
    /// Why, and what to do.
    var failure: Failure { get }
}

extension FailedLogin {
    /// The failure's sentence.
    public var description: String { failure.sentence }
    /// The same.
    public var errorDescription: String? { failure.sentence }

    /// It goes to logs: what the program's own error holds does not.
    public var customMirror: Mirror {
        let underlying = underlying.map { "\(type(of: $0))" }
        return Mirror(self, children: ["failure": failure, "underlying": underlying as Any], displayStyle: .struct)
    }
}

/// The login did not work.
public struct LoginFailed: FailedLogin {
    /// Why, and what to do.
    public let failure: Failure
    /// What the system, TLS or the token source threw; `nil` where the server said no.
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
    /// Why, and what to do.
    public let failure: Failure
    /// What the system, TLS or the token source threw; `nil` where the server said no.
    public let underlying: (any Error)?
}

/// The program's own settings cannot work (then ``Sessions/retry()`` is needed, too), or it did not work in the time that it
/// had.
public struct GaveUp: FailedLogin {
    /// Why, and what to do.
    public let failure: Failure
    /// What the system, TLS or the token source threw; `nil` where the server said no.
    public let underlying: (any Error)?
}

/// The program's code is wrong: its token source gave what is no token. ``underlying`` is what it threw.
public struct Misuse: FailedLogin {
    /// Why, and what to do.
    public let failure: Failure
    /// What the system, TLS or the token source threw; `nil` where the server said no.
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
public struct SessionEnded: MailbearerError, CustomStringConvertible, CustomReflectable {
    /// Why.
    public let verdict: Verdict
    /// What the system threw, as a `POSIXError`; `nil` where the server ended it.
    public let underlying: (any Error)?

    init(verdict: Verdict, underlying: (any Error)? = nil) {
        (self.verdict, self.underlying) = (verdict, underlying)
    }

    /// A sentence about the cause.
    public var description: String { errorDescription ?? "\(verdict.cause)" }
    /// The same.
    public var errorDescription: String? {
        try? failureOfHost(cause: verdict.cause, detail: "").sentence
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
public struct TokenSourceFailed: MailbearerError, CustomStringConvertible, CustomReflectable {
    /// What went wrong. It must not hold a secret.
    public let reason: String
    /// Whether asking again is in vain until the user acts.
    public let isPermanent: Bool
    /// What the login library threw: for the program's own use. It is never shown.
    public let underlying: (any Error)?

    /// The reason.
    public var description: String { reason }
    /// The same.
    public var errorDescription: String? { reason }

    /// - Parameters:
    ///   - reason: what went wrong, for a person. It must not hold a secret.
    ///   - isPermanent: whether asking again is in vain until the user acts.
    ///   - underlying: what the login library threw.
    public init(_ reason: String, isPermanent: Bool = false, underlying: (any Error)? = nil) {
        (self.reason, self.isPermanent, self.underlying) = (reason, isPermanent, underlying)
    }

    /// What the library's own error holds is not shown.
    public var customMirror: Mirror {
        Mirror(self, children: ["reason": reason, "isPermanent": isPermanent], displayStyle: .struct)
    }
}

extension CoreError: MailbearerError, CustomStringConvertible {
    /// What is wrong, where, and what to do; never a value.
    public var errorDescription: String? { description }

    /// The same.
    public var description: String {
        switch self {
        case .Config(let message), .Misuse(let message), .Unknown(let message), .Internal(let message): message
        }
    }
}

extension TransportError: MailbearerError {
    /// What the system or TLS said.
    public var errorDescription: String? {
        switch self {
        case .notConnected(let words, _, _), .connection(let words, _), .tls(let words, _, _), .certificate(let words, _, _): words
        case .plaintextInjected: "octets came in the clear, behind the reply that starts TLS"
        }
    }

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
