import Foundation

/// Stays logged in: iterate, and get a connection each time that one is due. It is an ``Account`` of one session.
///
///     let source = TokenSource { forceRefresh in try await myAuth.token(forceRefresh: forceRefresh) }
///     for try await connection in try sessions(.imap, user: "joe@gmail.com", token: source) {
///         try await connection.use { connection in
///             try await connection.write(Data("a1 SELECT INBOX\r\n".utf8))
///             // … until connection.wait() says that it is due to be let go
///         }
///     }
///
/// The iteration throws ``NeedsUser`` or ``GaveUp`` where nothing goes on by itself, and ``Misuse`` where the token source is
/// wrong. After ``NeedsUser`` each iteration throws it again, at once and without I/O, until ``Sessions/retry()`` is called. It
/// ends when the sessions are closed, which also happens when nobody refers to them any more.
///
/// - Parameters:
///   - mailProtocol: what is spoken.
///   - user: the login's user name, as a rule the mail address.
///   - source: asked for a token when one is needed.
///   - options: where and how to log in, where the mail address does not tell it.
///   - policy: limits and times.
///   - snapshot: of the sessions before, as ``Sessions/snapshot()`` gave it. A stop of it holds until ``Sessions/retry()``.
///   - onEvent: told what happens, for logs and metrics.
/// - Throws: ``CoreError`` for settings that cannot work, before any I/O.
public func sessions(
    _ mailProtocol: MailProtocol,
    user: String,
    token source: TokenSource,
    options: LoginOptions = LoginOptions(),
    policy: SessionPolicy = SessionPolicy(),
    snapshot: Data? = nil,
    onEvent: (@Sendable (SessionEvent) -> Void)? = nil
) throws -> Sessions {
    let settings = try Settings(mailProtocol, user, options)
    let account = try Account(user, source, policy, settings.tokenLifetimeMs, snapshot, onEvent)
    return try account.sessions(settings, nil, isAlone: true)
}

/// The connections of one session, one after the other.
///
/// One iterator at a time: a second one throws ``CoreError`` while the first is there. When an iteration is over, by an error or
/// by leaving its loop, another may begin.
public final class Sessions: AsyncSequence, Sendable {
    /// What is given: a connection that is logged in.
    public typealias Element = SessionConnection

    /// Whose they are.
    public let account: Account
    let key: UInt32
    private let settings: Settings
    private let isAlone: Bool
    private let place = Place()

    init(_ account: Account, _ key: UInt32, _ settings: Settings, isAlone: Bool) {
        (self.account, self.key, self.settings, self.isAlone) = (account, key, settings, isAlone)
    }

    deinit {
        Task { [account, key] in await account.driver.remove(key) }
    }

    /// An iteration, one at a time.
    public func makeAsyncIterator() -> Iterator {
        Iterator(self)
    }

    /// Of one iteration.
    public struct Iterator: AsyncIteratorProtocol {
        private let sessions: Sessions
        private let mark = Mark()

        fileprivate init(_ sessions: Sessions) {
            self.sessions = sessions
        }

        /// Lets the last connection go, if it is there still, and waits for the next; `nil` when all is closed.
        public func next() async throws -> SessionConnection? {
            try sessions.place.take(mark)
            return try await sessions.account.driver.next(sessions.key, sessions.settings)
        }
    }

    /// How the session stands: whether somebody waits, what it has, and what was learnt of the server.
    ///
    /// - Throws: ``CoreError`` when it was closed.
    public func status() throws -> SessionStatus {
        let all = try account.status().sessions
        guard let own = all.first(where: { $0.session == key }) else {
            throw CoreError.Misuse(message: "the sessions were closed")
        }
        return own
    }

    /// What must outlive the process: that of the whole account. It holds no secret.
    public func snapshot() throws -> Data {
        try account.snapshot()
    }

    /// A person, or the program, has acted: every stop of the account is lifted.
    public func retry() async {
        await account.retry()
    }

    /// The system says that there is no network: see ``Account/networkLost()``.
    public func networkLost() async {
        await account.networkLost()
    }

    /// The system says that there is a network again, or another one: see ``Account/networkBack()``.
    public func networkBack() async {
        await account.networkBack()
    }

    /// Ends this session: its connection is closed, its iteration is over, and no task and no timer of it is left. Others of its
    /// account go on.
    public func close() async {
        await isAlone ? account.close() : account.driver.remove(key)
    }
}

/// Of an iterator.
private final class Mark: Sendable {}

/// Who iterates.
private final class Place: @unchecked Sendable {
    private let lock = NSLock()
    private weak var holder: Mark?

    func take(_ mark: Mark) throws {
        try lock.withLock {
            guard holder == nil || holder === mark else {
                throw CoreError.Misuse(message: "another iterator has these sessions: ask the account for sessions of its own")
            }
            holder = mark
        }
    }
}
