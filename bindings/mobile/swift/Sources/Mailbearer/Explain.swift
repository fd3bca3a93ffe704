import Foundation

/// Explains an error that a program caught: the failure that it stands for, with cause, advice and a sentence for a person.
///
/// It knows what this package throws, what systems throw where a connection does not come about or breaks (`POSIXError`,
/// `NWError`, `URLError`, `NSError` of these), and what lies under an error (`NSUnderlyingErrorKey`). `nil` stands for
/// everything else.
///
///     do {
///         try await mail.send(message)
///     } catch {
///         show(explain(error)?.sentence ?? error.localizedDescription)
///     }
///
/// What a server said through a mail library of another kind is explained by its reply:
///
///     let failure = try explain(protocol: .imap, phase: .authFail, text: "Invalid credentials (Failure)",
///                               status: "NO", code: "AUTHENTICATIONFAILED", user: "joe@gmail.com")
public func explain(_ error: any Error) -> Failure? {
    switch error {
    case let error as any FailedLogin: error.failure
    case let error as SessionEnded: try? failureOfHost(cause: error.verdict.cause, detail: "")
    case let error as TokenSourceFailed: try? failureOfHost(cause: .tokenUnavailable, detail: error.reason)
    case is CancellationError: try? failureOfHost(cause: .cancelled, detail: "")
    default: ofNetwork(error, depth: 0)
    }
}

/// Errors that lie under one another, as deep as anybody puts them.
private let depthMax = 8

private func ofNetwork(_ error: any Error, depth: Int) -> Failure? {
    if let known = TransportError(error) {
        return try? known.failure(at: nil)
    }
    guard depth < depthMax, let underlying = Origin(error).underlying else { return nil }
    return ofNetwork(underlying, depth: depth + 1)
}
