/// An access token, and how long it still lives, where that is known.
public struct Token: Sendable {
    let accessToken: AccessToken
    let expiresIn: Duration?

    /// - Throws: ``CoreError`` where it is no token; the error names the place, never the value.
    public init(_ token: String, expiresIn: Duration? = nil) throws {
        accessToken = try AccessToken(token: token)
        self.expiresIn = expiresIn
    }
}

/// Asked for a token at every login.
///
/// One source may serve any number of sessions. Its calls never overlap: requests that come while one runs are joined to it,
/// but not one that bypasses the cache to one that does not. A call that nobody waits for any more is cancelled.
public actor TokenSource {
    /// A call that is under way.
    private struct Call {
        let number: Int
        let forceRefresh: Bool
        let task: Task<Void, Never>
        let token: Pending<Token>
        var waiting = 0
    }

    nonisolated let canRefresh: Bool
    private let fetch: @Sendable (_ forceRefresh: Bool) async throws -> Token
    private var call: Call?
    private var lastNumber = 0

    /// A function of the program. It bypasses its cache where `forceRefresh` says so: the server has refused the last token.
    /// Where there will be no token before the user acts, it throws a ``TokenSourceFailed`` that is permanent.
    public init(_ fetch: @escaping @Sendable (_ forceRefresh: Bool) async throws -> Token) {
        self.fetch = fetch
        canRefresh = true
    }

    private init(fixed token: Token) {
        fetch = { _ in token }
        canRefresh = false
    }

    /// Always the same token, which ends with its hour.
    public static func fixed(_ token: String) throws -> TokenSource {
        TokenSource(fixed: try Token(token))
    }

    /// Who waits for the call that is under way.
    var waiting: Int { call?.waiting ?? 0 }

    /// Gets a token, by the call that is under way or by another one.
    func token(forceRefresh: Bool) async throws -> Token {
        let (number, token) = join(forceRefresh)
        defer { leave(number) }
        return try await token.value()
    }

    private func join(_ forceRefresh: Bool) -> (Int, Pending<Token>) {
        var joined = call.flatMap { forceRefresh && !$0.forceRefresh ? nil : $0 } ?? begin(forceRefresh, after: call)
        joined.waiting += 1
        call = joined
        return (joined.number, joined.token)
    }

    private func begin(_ forceRefresh: Bool, after before: Call?) -> Call {
        lastNumber += 1
        let (number, token) = (lastNumber, Pending<Token>())
        let task = Task { [fetch] in
            await before?.task.value
            do {
                token.resolve(.success(try await fetch(forceRefresh)))
            } catch {
                token.resolve(.failure(error))
            }
            ended(number)
        }
        return Call(number: number, forceRefresh: forceRefresh, task: task, token: token)
    }

    private func ended(_ number: Int) {
        if call?.number == number {
            call = nil
        }
    }

    private func leave(_ number: Int) {
        guard call?.number == number else { return }
        call?.waiting -= 1
        if call?.waiting == 0 {
            call?.task.cancel()
        }
    }
}
