import Foundation

/// A connection for the program, as the machine gives it.
struct Given: Sendable {
    let session: UInt32
    let ticket: UInt64
    let generation: UInt64
    let mechanism: Mechanism
    let capabilities: [String]
    let leftover: Data
    let resumed: Aftermath?

    init(
        _ session: UInt32, _ ticket: UInt64, _ generation: UInt64, _ mechanism: Mechanism, _ capabilities: [String],
        _ leftover: Data, _ resumed: Aftermath?
    ) {
        (self.session, self.ticket, self.generation, self.mechanism) = (session, ticket, generation, mechanism)
        (self.capabilities, self.leftover, self.resumed) = (capabilities, leftover, resumed)
    }
}

/// A connection of a session. When it has ended, reads and writes throw ``SessionEnded``: reads only after all that came
/// before.
public final class SessionConnection: Connection, @unchecked Sendable {
    /// Counts the connections of the session, from one.
    public let generation: UInt64
    /// What was in flight in the connection before; `nil` at first.
    public let resumed: Aftermath?
    package let session: UInt32
    package let ticket: UInt64
    package let inbox = Inbox()
    let state: ConnectionState
    /// Of IMAP: follows the mailbox that is selected.
    let follower = Follower()
    private let driver: Driver

    init(_ given: Given, _ line: any Line, _ driver: Driver) {
        (session, ticket, generation, resumed) = (given.session, given.ticket, given.generation, given.resumed)
        (state, self.driver) = (ConnectionState(), driver)
        let login = LoginFacts(
            endpoint: line.login.endpoint,
            mechanism: given.mechanism,
            capabilities: given.capabilities,
            roundTrips: line.login.roundTrips,
            duration: line.login.duration
        )
        super.init(WatchedTransport(driver, line, state, inbox), login, leftover: given.leftover)
    }

    /// Why it ended; `nil` while it lives.
    public var verdict: Verdict? { state.ended?.verdict }

    /// What was in flight when it ended: the next connection has it as ``resumed``.
    public var aftermath: Aftermath? { state.ended?.aftermath }

    /// When it is closed, if it has not been let go until then; `nil`: it is not yet due.
    public var renewBy: ContinuousClock.Instant? { state.renewBy }

    /// Why it is to be let go.
    public var renewWhy: RenewWhy? { state.renewWhy }

    /// Sleeps, and wakes early when the connection is due to be let go, or has ended: true in these two cases.
    public func wait(_ duration: Duration? = nil) async throws -> Bool {
        let due = state.due
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

    /// Whether it is to be let go, and lives.
    var isDue: Bool { renewBy != nil && verdict == nil }

    // MARK: - What the driver says

    func renew(by instant: ContinuousClock.Instant, _ why: RenewWhy) {
        state.renew(by: instant, why)
    }

    func end(_ verdict: Verdict, _ aftermath: Aftermath?, _ underlying: (any Error)?) {
        state.end(verdict, aftermath, underlying)
        inbox.finish(SessionEnded(verdict: verdict, underlying: underlying))
    }

    func isLetGo() {
        state.isLetGo()
        inbox.finish(nil)
    }

    /// Where the program waits in ``idle(reissue:answer:)`` or ``newMessages(in:since:readOnly:reissue:answer:waits:)``, that says
    /// something. Else the program speaks on this connection, and nobody else may.
    func keepAlive() {
        follower.probe()
    }

    /// An answer did not come in time.
    func isMute() async {
        await driver.ended(ticket, try? failureOfHost(cause: .timedOut, detail: "no answer came"), nil)
    }
}

/// What the driver knows and a program may ask, from any task.
final class ConnectionState: @unchecked Sendable {
    private let lock = NSLock()
    private var renewal: (by: ContinuousClock.Instant, why: RenewWhy)?
    private var end: (verdict: Verdict, aftermath: Aftermath?, underlying: (any Error)?)?
    private var wasLetGo = false

    /// Comes when the connection is to be let go, or has ended.
    let due = Pending<Void>()
    /// Comes when it has ended.
    let over = Pending<Void>()

    var ended: (verdict: Verdict, aftermath: Aftermath?, underlying: (any Error)?)? { lock.withLock { end } }
    var renewBy: ContinuousClock.Instant? { lock.withLock { renewal?.by } }
    var renewWhy: RenewWhy? { lock.withLock { renewal?.why } }

    func renew(by instant: ContinuousClock.Instant, _ why: RenewWhy) {
        lock.withLock { renewal = (instant, why) }
        due.resolve(.success(()))
    }

    func end(_ verdict: Verdict, _ aftermath: Aftermath?, _ underlying: (any Error)?) {
        lock.withLock { end = (verdict, aftermath, underlying) }
        due.resolve(.success(()))
        over.resolve(.success(()))
    }

    func isLetGo() {
        lock.withLock { wasLetGo = true }
    }

    /// Throws where nothing can be written any more.
    func check() throws {
        let (end, wasLetGo) = lock.withLock { (self.end, self.wasLetGo) }
        if let end {
            throw SessionEnded(verdict: end.verdict, underlying: end.underlying)
        }
        if wasLetGo {
            throw CoreError.Misuse(message: "the connection was closed: ask the sessions for the next one")
        }
    }
}

/// Writes by the line, and gives what has come.
final class WatchedTransport: Transport {
    /// How long the words of the server are waited for, when a write failed.
    private static let lastWords = Duration.seconds(1)

    private let driver: Driver
    private let line: any Line
    private let state: ConnectionState
    private let inbox: Inbox

    init(_ driver: Driver, _ line: any Line, _ state: ConnectionState, _ inbox: Inbox) {
        (self.driver, self.line, self.state, self.inbox) = (driver, line, state, inbox)
    }

    func read() async throws -> Data {
        try await inbox.read()
    }

    func write(_ data: Data) async throws {
        try state.check()
        do {
            try await line.write(data)
        } catch let error as TransportError {
            // The server may have said why before it closed: whoever reads finds that.
            _ = try await withDeadline(ContinuousClock.now + Self.lastWords) { try await self.state.over.value() }
            await driver.ended(line.ticket, try error.failure(at: line.login.endpoint), error.underlying ?? error)
            try state.check()
            throw error
        }
    }

    func startTls() async throws {
        throw CoreError.Misuse(message: "TLS is there already")
    }

    func close() async {
        await driver.letGo(line.ticket)
    }

    func abort() {
        line.close()
    }
}
