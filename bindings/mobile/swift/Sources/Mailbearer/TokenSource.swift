/// An access token, and how long it still lives, where that is known.
public struct Token: Sendable {
    let accessToken: AccessToken
    let expiresIn: Duration?
    /// For a source that must be told which of its tokens was refused.
    fileprivate let text: String

    /// - Throws: ``CoreError`` where it is no token; the error names the place, never the value.
    public init(_ token: String, expiresIn: Duration? = nil) throws {
        accessToken = try AccessToken(token: token)
        (text, self.expiresIn) = (token, expiresIn)
    }
}

/// Somebody who is signed in: what a login library such as AppAuth, MSAL or Google Sign-In is wrapped in, and what a test puts in its
/// place.
///
///     struct Fake: SignedIn {
///         func accessToken(forceRefresh: Bool) async throws -> Token { try Token(forceRefresh ? "fresh" : "cached") }
///     }
///     let source = TokenSource(Fake())
///
/// The refresh token stays in the library's hands: this package never sees it, and stores nothing.
public protocol SignedIn: Sendable {
    /// A token, from the library's cache or refreshed; past the cache where `forceRefresh` says so.
    ///
    /// - Throws: ``TokenSourceFailed``, permanent where the user must sign in again. Anything else is an outage.
    func accessToken(forceRefresh: Bool) async throws -> Token

    /// A server has refused this token: it is of no use to anybody. A library whose cache cannot be bypassed drops it here. Nothing is
    /// done where this is left out.
    func clearToken(_ refused: String) async
}

extension SignedIn {
    /// Nothing: `forceRefresh` of the call that follows is enough.
    public func clearToken(_ refused: String) async {}
}

/// Asked for a token at every login.
///
/// One source may serve any number of sessions. Its calls do not overlap: requests that come while one runs are joined to it,
/// but not one that bypasses the cache to one that does not. A call that nobody waits for any more is cancelled. Nobody is
/// joined to a call that somebody gave up: it may never answer.
public actor TokenSource {
    /// A call that is under way.
    private final class Call {
        let forceRefresh: Bool
        let token = Pending<Token>()
        var task: Task<Void, Never>?
        var waiting = 0

        init(_ forceRefresh: Bool) {
            self.forceRefresh = forceRefresh
        }
    }

    nonisolated let canRefresh: Bool
    private let fetch: @Sendable (_ forceRefresh: Bool, _ refused: String?) async throws -> Token
    private var call: Call?
    /// What the function gave last.
    private var last: Token?

    /// A function of the program. It bypasses its cache where `forceRefresh` says so: the server has refused the last token.
    /// Where there will be no token before the user acts, it throws a ``TokenSourceFailed`` that is permanent.
    public init(_ fetch: @escaping @Sendable (_ forceRefresh: Bool) async throws -> Token) {
        self.fetch = { forceRefresh, _ in try await fetch(forceRefresh) }
        canRefresh = true
    }

    /// The same, for a cache that must be told which token to drop: `refused` is the last one, where a server has refused it.
    ///
    ///     let source = TokenSource { forceRefresh, refused in
    ///         if let refused { await cache.drop(refused) }
    ///         return try Token(await cache.token(forceRefresh))
    ///     }
    public init(_ fetch: @escaping @Sendable (_ forceRefresh: Bool, _ refused: String?) async throws -> Token) {
        self.fetch = fetch
        canRefresh = true
    }

    /// Somebody who is signed in with a login library. A token that a server has refused is cleared before another one is asked for.
    public init(_ signedIn: some SignedIn) {
        fetch = { forceRefresh, refused in
            if let refused { await signedIn.clearToken(refused) }
            return try await signedIn.accessToken(forceRefresh: forceRefresh)
        }
        canRefresh = true
    }

    private init(fixed token: Token) {
        fetch = { _, _ in token }
        canRefresh = false
    }

    /// Always the same token, which ends with its hour.
    public static func fixed(_ token: String) throws -> TokenSource {
        TokenSource(fixed: try Token(token))
    }

    /// Who waits for the call that is under way.
    var waiting: Int { call?.waiting ?? 0 }

    /// What a refusal of the token means where it is a string: to ask for another one is in vain.
    nonisolated func hinted(_ failure: Failure) -> Failure {
        let isOfToken = failure.cause == .tokenRejected || failure.cause == .tokenExpired
        guard isOfToken, !canRefresh else { return failure }
        return failure.adding("The token is a fixed string, which ends with its hour: give a function that gets a fresh one.")
    }

    /// Gets a token, by the call that is under way or by another one.
    func token(forceRefresh: Bool, refused: AccessToken? = nil) async throws -> Token {
        let joined = join(forceRefresh, refused)
        defer { leave(joined) }
        return try await joined.token.value()
    }

    /// Gets a token within this time.
    nonisolated func token(forceRefresh: Bool, within timeout: Duration) async throws -> Token {
        let token = try await withDeadline(.now + timeout) { try await self.token(forceRefresh: forceRefresh) }
        guard let token else { throw TokenSourceFailed("the token source did not answer in time") }
        return token
    }

    private func join(_ forceRefresh: Bool, _ refused: AccessToken?) -> Call {
        let joined = call.flatMap { forceRefresh && !$0.forceRefresh ? nil : $0 } ?? begin(forceRefresh, refused, after: call)
        joined.waiting += 1
        call = joined
        return joined
    }

    private func begin(_ forceRefresh: Bool, _ refused: AccessToken?, after before: Call?) -> Call {
        let call = Call(forceRefresh)
        let (token, before) = (call.token, before?.token)
        call.task = Task { [fetch] in
            _ = try? await before?.value()
            do {
                try Task.checkCancellation()
                let came = try await fetch(forceRefresh, try text(of: refused))
                last = came
                token.resolve(.success(came))
            } catch {
                token.resolve(.failure(error))
            }
            ended(token)
        }
        return call
    }

    private func text(of refused: AccessToken?) throws -> String? {
        guard let refused, let last, try last.accessToken.isSame(other: refused) else { return nil }
        return last.text
    }

    private func ended(_ token: Pending<Token>) {
        if call?.token === token {
            call = nil
        }
    }

    private func leave(_ left: Call) {
        left.waiting -= 1
        guard !left.token.isResolved else { return }
        if call === left {
            call = nil
        }
        if left.waiting == 0 {
            left.task?.cancel()
            // Also where the function does not mind: a call that was to come after it goes on.
            left.token.resolve(.failure(CancellationError()))
        }
    }
}

extension NoToken {
    /// What a source means by an error: what is no token does not get better by asking again.
    init(_ error: any Error) {
        switch error {
        case let error as TokenSourceFailed: self = error.isPermanent ? .permanent : .outage
        case is CoreError: self = .mistake
        default: self = .outage
        }
    }
}
