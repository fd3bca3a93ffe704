import Foundation

/// A connection that a session keeps an eye on. When the session is over, reads and writes throw ``SessionEnded``: reads only
/// after all that came before.
public final class SessionConnection: Connection, @unchecked Sendable {
    /// Counts the sessions, from one.
    public let generation: UInt64
    /// What was in flight in the session before; `nil` at first.
    public let resumed: Aftermath?
    private let watched: WatchedTransport

    init(_ watched: WatchedTransport, _ login: LoginFacts, _ online: OnlineOrder) {
        self.watched = watched
        generation = online.generation
        resumed = online.resumed
        super.init(watched, login, leftover: online.leftover)
    }

    /// Why it ended; `nil` while it lives.
    public var verdict: Verdict? { watched.state.verdict }

    /// When it is closed, if it has not been let go until then; `nil`: it is not yet due.
    public var renewBy: ContinuousClock.Instant? { watched.state.renewBy }

    /// Sleeps, and wakes early when the connection is due to be let go, or has ended: true in these two cases.
    public func wait(_ duration: Duration? = nil) async throws -> Bool {
        let due = watched.state.due
        guard let duration else {
            try await due.value()
            return true
        }
        let isDue = try await withDeadline(ContinuousClock.now + duration) {
            try await due.value()
            return true
        }
        return isDue ?? false
    }

    /// Runs the body and closes the connection. The end of the session is the reason to leave the body, and no error.
    public func use(
        isolation: isolated (any Actor)? = #isolation, _ body: (SessionConnection) async throws -> Void
    ) async throws {
        do {
            try await body(self)
        } catch is SessionEnded where verdict != nil {
        } catch {
            await close()
            throw error
        }
        await close()
    }
}

/// What the driver knows and a program may ask, from any task.
final class ConnectionState: @unchecked Sendable {
    private let lock = NSLock()
    private var seen: (verdict: Verdict?, renewBy: ContinuousClock.Instant?)

    /// Comes when the connection is to be let go, or has ended.
    let due = Pending<Void>()
    /// Comes when it has ended.
    let over = Pending<Void>()

    var verdict: Verdict? { lock.withLock { seen.verdict } }
    var renewBy: ContinuousClock.Instant? { lock.withLock { seen.renewBy } }

    func renew(by instant: ContinuousClock.Instant) {
        lock.withLock { seen.renewBy = instant }
        due.resolve(.success(()))
    }

    func end(_ verdict: Verdict) {
        lock.withLock { seen.verdict = verdict }
        due.resolve(.success(()))
        over.resolve(.success(()))
    }
}

/// Shows to the session what is written, and gives what it has read.
final class WatchedTransport: Transport {
    /// How long the words of the server are waited for, when a write failed.
    private static let lastWords = Duration.seconds(1)

    let ticket: UInt64
    let state = ConnectionState()
    let inbox = Inbox()
    let inner: any Transport
    private let driver: Driver

    init(_ driver: Driver, _ ticket: UInt64, _ inner: any Transport) {
        self.driver = driver
        self.ticket = ticket
        self.inner = inner
    }

    func read() async throws -> Data {
        try await inbox.read()
    }

    func write(_ data: Data) async throws {
        try await driver.sent(self, data)
        do {
            try await inner.write(data)
        } catch let error as TransportError {
            // The server may have said why before it closed: whoever reads finds that.
            _ = try await withDeadline(ContinuousClock.now + Self.lastWords) { try await self.state.over.value() }
            await driver.lost(ticket, nil)
            throw state.verdict.map(SessionEnded.init) ?? error
        }
    }

    func startTls() async throws {
        throw CoreError.Misuse(message: "TLS is there already")
    }

    func close() async {
        await driver.letGo(self)
    }

    func abort() {
        inner.abort()
    }
}
