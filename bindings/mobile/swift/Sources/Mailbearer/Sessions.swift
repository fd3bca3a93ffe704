import Foundation

/// Stays logged in: iterate, and get a connection each time that one is due.
///
///     let source = TokenSource { forceRefresh in try await myAuth.token(forceRefresh: forceRefresh) }
///     for try await connection in try sessions(.imap, user: "joe@gmail.com", token: source) {
///         try await connection.use { connection in
///             try await connection.write(Data("a1 SELECT INBOX\r\n".utf8))
///             // … until connection.wait() says that it is due to be let go
///         }
///     }
///
/// The iteration throws ``NeedsUser`` or ``GaveUp`` where nothing goes on by itself; to go on after that, iterate again.
/// It ends when the sessions are closed, which also happens when nobody refers to them any more.
///
/// - Parameters:
///   - snapshot: of the sessions before, as ``Sessions/snapshot()`` gave it.
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
    let config = policy.config(settings)
    let seed = UInt64.random(in: .min ... .max)
    let session = try snapshot.map {
        try Session.restore(config: config, snapshot: $0, nowMs: Clock.nowMs, seed: seed)
    } ?? Session(config: config, seed: seed)
    return Sessions(Driver(session, settings, source, onEvent))
}

/// The connections of ``sessions(_:user:token:options:policy:snapshot:onEvent:)``, one after the other.
public final class Sessions: AsyncSequence, Sendable {
    public typealias Element = SessionConnection

    let driver: Driver

    init(_ driver: Driver) {
        self.driver = driver
    }

    deinit {
        Task { [driver] in await driver.close() }
    }

    public func makeAsyncIterator() -> Iterator {
        Iterator(sessions: self)
    }

    public struct Iterator: AsyncIteratorProtocol {
        let sessions: Sessions

        /// Closes the last connection, if it is there still, and waits for the next.
        public func next() async throws -> SessionConnection? {
            try await sessions.driver.next()
        }
    }

    /// How the session stands: phase, generation, failures, what was learnt, the last failure and ending.
    public func status() throws -> Status {
        try driver.session.status()
    }

    /// What must outlive the process: generation, learnt limits, back-off, a stop, what was in flight. It holds no secret.
    public func snapshot() throws -> Data {
        try driver.session.snapshot()
    }

    /// Says that the network has changed: the connection is not trusted, and made anew.
    public func woke() async {
        await driver.woke()
    }

    /// Ends it: connections are closed, and no task is left.
    public func close() async {
        await driver.close()
    }
}

/// Something that happened to a session, for logs and metrics. It never carries a token.
public struct SessionEvent: Sendable {
    public enum Kind: Sendable {
        case fetchingToken, tokenFailed, connecting, loginFailed, online, renewing, ended, waiting, needsUser, gaveUp
    }

    /// What happened.
    public let kind: Kind
    /// Whose session.
    public let mailProtocol: MailProtocol
    public let user: String
    /// The number of the connection attempt.
    public var ticket: UInt64?
    /// The number of the session that is online.
    public var generation: UInt64?
    /// Why something failed or ended.
    public var cause: Cause?
    /// More, in words: why a token is asked for, or a sentence about the failure.
    public var text: String?
    /// How long it waits, or until when it is to be let go.
    public var duration: Duration?
}
