import Foundation

/// The login did not work. Its description is a sentence that a person can act on.
public struct LoginFailed: LocalizedError, Sendable {
    /// Why, and what to do.
    public let failure: Failure

    public var errorDescription: String? { failure.sentence }

    init(_ failure: Failure) {
        self.failure = failure
    }

    /// What the host itself has found.
    init(_ cause: Cause, _ detail: String) throws {
        failure = try failureOfHost(cause: cause, detail: detail)
    }
}

/// A person must act before it makes sense to go on. To go on then, ask the sessions for the next connection.
public struct NeedsUser: LocalizedError, Sendable {
    /// Why, and what to do.
    public let failure: Failure
    /// What the token source threw, where that was the reason.
    public let tokenError: (any Error)?

    public var errorDescription: String? { failure.sentence }
}

/// The program's own settings cannot work, or nothing helps.
public struct GaveUp: LocalizedError, Sendable {
    /// Why.
    public let failure: Failure

    public var errorDescription: String? { failure.sentence }
}

/// The session is over, in the middle of what the program did with it. The next one follows.
public struct SessionEnded: LocalizedError, Sendable {
    /// Why.
    public let verdict: Verdict

    public var errorDescription: String? {
        try? failureOfHost(cause: verdict.cause, detail: "").sentence
    }
}

/// A token source throws it where it has no token: `isPermanent` says that asking again is in vain until the user acts.
///
/// Whatever else a source throws is taken for an outage, and it is asked again later.
public struct TokenSourceFailed: LocalizedError, Sendable {
    /// What went wrong. It must not hold a secret.
    public let reason: String
    public let isPermanent: Bool

    public var errorDescription: String? { reason }

    public init(_ reason: String, isPermanent: Bool = false) {
        self.reason = reason
        self.isPermanent = isPermanent
    }
}
