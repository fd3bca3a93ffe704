import Foundation

/// Something changed in the mailbox that is selected.
public struct MailboxChange: Sendable, Equatable {
    /// How many messages there are, where the server said it.
    public let exists: UInt32?
    /// Sequence numbers of messages that were expunged, in the server's order.
    public let expunged: [UInt32]
    /// Sequence numbers of messages whose flags the server told.
    public let flagged: [UInt32]
}

/// Messages that were not told yet.
public struct NewMessages: Sendable, Equatable {
    /// UIDs, ascending. A message may be gone by the time that it is fetched.
    public let uids: [UInt32]
    /// Where the program stands once it has done with them: to be stored then, and given as `since` the next time.
    public let cursor: String
    /// The mailbox was made anew: UIDs of before mean nothing any more, and it goes on from what there is now.
    public let isReset: Bool
}

/// The mailbox cannot be selected, or the server does not search it.
public struct MailboxRefused: MailbearerError, CustomStringConvertible {
    /// RFC 5530 code, such as `NONEXISTENT`.
    public let code: String?
    /// What the server said: untrusted, without control characters.
    public let serverText: String

    /// A sentence with the server's words.
    public var description: String { "The server refused the mailbox: \(serverText)" }
    /// The same.
    public var errorDescription: String? { description }
}

extension SessionConnection {
    /// Waits in IMAP's IDLE (RFC 2177) for what changes in the mailbox that is selected: where none is, a server tells of nothing. It
    /// ends when the connection is due to be let go: the next one goes on.
    ///
    ///     for try await connection in inbox {
    ///         try await connection.use { connection in
    ///             try await select("INBOX", connection)
    ///             for try await change in connection.idle() {
    ///                 if let count = change.exists { try await fetch(upTo: count, connection) }
    ///             }
    ///         }
    ///     }
    ///
    /// IDLE is ended before a change is given, and begun again when the next one is asked for: the body may speak on the
    /// connection, and may leave the loop. A task that is cancelled in the wait leaves the connection in IDLE: let it go, or ask
    /// for the next change. Where the server has no IDLE, it is asked with NOOP once a minute.
    ///
    /// - Parameters:
    ///   - reissue: IDLE is begun anew after so long, so that a server or a path that is mute is noticed: with 90 seconds,
    ///     within two minutes. Each is a wake of the device.
    ///   - answer: how long IDLE may take to begin and to end.
    /// - Throws: ``SessionEnded`` at the end of the connection, which ``use(isolation:_:)`` catches; ``CoreError`` where the session
    ///   is not of IMAP.
    public func idle(
        reissue: Duration = .seconds(90), answer: Duration = .seconds(20)
    ) -> Followed<MailboxChange> {
        Followed(connection: self, config: config(nil, nil, false, false, reissue, answer), waits: true) { event in
            guard case .changed(let exists, let expunged, let flagged) = event else { return nil }
            return MailboxChange(exists: exists, expunged: expunged, flagged: flagged)
        }
    }

    /// Selects a mailbox of IMAP, and waits for its new messages, by UID. What came between two connections, or two runs of the
    /// program, is told once. It ends when the connection is due to be let go.
    ///
    ///     for try await connection in inbox {
    ///         try await connection.use { connection in
    ///             for try await new in connection.newMessages(in: "INBOX", since: store.cursor) {
    ///                 try await fetch(new.uids, connection)
    ///                 store.cursor = new.cursor
    ///             }
    ///         }
    ///     }
    ///
    /// In the body the connection may be used, as with ``idle(reissue:answer:)``, and another mailbox must not be selected.
    ///
    /// - Parameters:
    ///   - mailbox: as people write it.
    ///   - since: where the program stands; `nil`: only what comes from now on is told.
    ///   - readOnly: the mailbox is opened so that nothing is marked as read.
    ///   - reissue: as for ``idle(reissue:answer:)``.
    ///   - answer: how long an answer may take; a search has ten times as long.
    ///   - waits: `false`: it ends when all was told that there is, for one pass in the background.
    /// - Throws: ``MailboxRefused``, and ``SessionEnded`` at the end of the connection, which ``use(isolation:_:)`` catches;
    ///   ``CoreError`` where `since` is no cursor, and where the session is not of IMAP.
    public func newMessages(
        in mailbox: String = "INBOX", since: String? = nil, readOnly: Bool = false, reissue: Duration = .seconds(90),
        answer: Duration = .seconds(20), waits: Bool = true
    ) -> Followed<NewMessages> {
        Followed(connection: self, config: config(mailbox, since, readOnly, true, reissue, answer), waits: waits) { event in
            switch event {
            case .messages(let uids, let cursor): NewMessages(uids: uids, cursor: cursor, isReset: false)
            case .reset(let cursor): NewMessages(uids: [], cursor: cursor, isReset: true)
            case .changed, .free, .refused, .late: nil
            }
        }
    }

    private func config(
        _ mailbox: String?, _ since: String?, _ readOnly: Bool, _ tellsMessages: Bool, _ reissue: Duration, _ answer: Duration
    ) -> FollowConfig {
        FollowConfig(
            mailbox: mailbox,
            since: since,
            readOnly: readOnly,
            tellsMessages: tellsMessages,
            reissueMs: reissue.milliseconds,
            answerMs: answer.milliseconds
        )
    }
}

/// What is told of one mailbox, one after the other: what ``SessionConnection/idle(reissue:answer:)`` and
/// ``SessionConnection/newMessages(in:since:readOnly:reissue:answer:waits:)`` give.
///
/// One task at a time waits: a second one throws ``CoreError`` and does not disturb the first.
public struct Followed<Element: Sendable>: AsyncSequence, Sendable {
    let connection: SessionConnection
    let config: FollowConfig
    /// Whether it waits for more when all was told.
    let waits: Bool
    let read: @Sendable (FollowEvent) -> Element?

    /// An iteration of its own: it goes on where the mailbox is.
    public func makeAsyncIterator() -> Iterator {
        Iterator(followed: self, number: connection.follower.newNumber())
    }

    /// Of one iteration.
    public struct Iterator: AsyncIteratorProtocol {
        let followed: Followed
        let number: Int

        /// Waits for what is told next; `nil` when the connection is due to be let go, or was closed.
        public func next() async throws -> Element? {
            let connection = followed.connection
            while let event = try await connection.follower.next(connection, followed, number) {
                if let element = followed.read(event) {
                    return element
                }
            }
            return nil
        }
    }
}

/// Reads, writes and wakes for the ``Follow`` of one connection.
actor Follower {
    private var follow: Follow?
    private var config: FollowConfig?
    /// The iteration whose that is.
    private var number = 0
    private var events: [FollowEvent] = []
    private var wakeAtMs: UInt64?
    /// Somebody waits.
    private var isTaken = false
    /// No command is under way.
    private var isFree = true
    /// The connection is due, and that was told.
    private var isLeaving = false
    private nonisolated let numbers = Numbers()
    private nonisolated let asked = Asked()

    nonisolated func newNumber() -> Int { numbers.next() }

    /// Says something, where somebody waits.
    nonisolated func probe() {
        asked.ask()
    }

    /// Waits for what is told next; `nil` where the connection is due to be let go, or was closed. No command is under way then.
    func next<Element>(
        _ connection: SessionConnection, _ followed: Followed<Element>, _ number: Int
    ) async throws -> FollowEvent? {
        guard connection.login.endpoint.protocol == .imap else {
            throw CoreError.Config(message: "only IMAP has mailboxes that can be followed")
        }
        guard !isTaken else {
            throw CoreError.Misuse(message: "somebody follows a mailbox on this connection already: wait in one task at a time")
        }
        isTaken = true
        defer { isTaken = false }
        var hasAsked = false
        if number != self.number {
            try await begin(connection, followed.config, number)
            hasAsked = true
            try await hurry(connection, followed.waits)
        }
        while true {
            if isFree, !events.isEmpty {
                return events.removeFirst()
            }
            if isFree {
                if connection.isDue || hasAsked && !followed.waits {
                    return nil
                }
                try await carryOut(connection) { try $0.resume(nowMs: $1) }
                hasAsked = true
                try await hurry(connection, followed.waits)
            }
            // It may have become due while something was written, when nobody waited for that.
            if !isFree, !isLeaving, connection.isDue, connection.verdict == nil {
                isLeaving = true
                try await carryOut(connection) { try $0.interrupt(nowMs: $1) }
            }
            if !isFree, try await !step(connection) {
                return nil
            }
        }
    }

    /// Where nobody wants to wait, the wait is ended before it begins.
    private func hurry(_ connection: SessionConnection, _ waits: Bool) async throws {
        if !waits, !isFree {
            try await carryOut(connection) { try $0.interrupt(nowMs: $1) }
        }
    }

    /// Takes up the wait for changes that an iteration before was cancelled in, or ends what it has left.
    private func begin(_ connection: SessionConnection, _ config: FollowConfig, _ number: Int) async throws {
        self.number = number
        // New messages are told again by the cursor.
        if !isFree, config == self.config, !config.tellsMessages {
            return
        }
        if !isFree {
            try await carryOut(connection) { try $0.interrupt(nowMs: $1) }
        }
        while !isFree, try await step(connection) {}
        follow = try Follow(config: config, firstTag: follow?.tags() ?? 0)
        (self.config, events) = (config, [])
        try await carryOut(connection) { try $0.start(nowMs: $1) }
    }

    /// Waits for one thing, and tells it; false where the connection was closed.
    private func step(_ connection: SessionConnection) async throws -> Bool {
        switch try await wait(connection) {
        case .read(let data):
            guard !data.isEmpty else { return false }
            try await carryOut(connection) { try $0.receive(nowMs: $1, bytes: data) }
        case .time: try await carryOut(connection) { try $0.tick(nowMs: $1) }
        // Where the connection has ended, what came before that is read first.
        case .asked:
            if connection.verdict == nil {
                try await carryOut(connection) { try $0.interrupt(nowMs: $1) }
            }
        }
        return true
    }

    private func carryOut(
        _ connection: SessionConnection, _ tell: (Follow, _ nowMs: UInt64) throws -> FollowPlan
    ) async throws {
        guard let follow else { return }
        isFree = false
        let plan = try tell(follow, Clock.nowMs)
        wakeAtMs = plan.wakeAtMs
        for event in plan.events {
            switch event {
            case .messages, .reset, .changed: events.append(event)
            case .free: (isFree, isLeaving) = (true, false)
            case .late: await connection.isMute()
            case .refused(let code, let text):
                isFree = true
                throw MailboxRefused(code: code, serverText: text)
            }
        }
        if !plan.bytes.isEmpty {
            try await connection.write(plan.bytes)
        }
    }

    private enum Woken {
        case read(Data)
        case time
        /// To be let go, or to be probed.
        case asked
    }

    private func wait(_ connection: SessionConnection) async throws -> Woken {
        let (asked, due) = (asked.next(), connection.verdict == nil && !connection.isDue ? connection.state.due : nil)
        let wakeAt = wakeAtMs.map(Clock.instant)
        return try await withThrowingTaskGroup(of: Woken.self) { group in
            group.addTask { .read(try await connection.read()) }
            group.addTask {
                try await asked.value()
                return .asked
            }
            if let due {
                group.addTask {
                    try await due.value()
                    return .asked
                }
            }
            if let wakeAt {
                group.addTask {
                    await Clock.nap(until: wakeAt)
                    try Task.checkCancellation()
                    return .time
                }
            }
            return try await Self.first(&group)
        }
    }

    /// The first, but for what was read meanwhile: it is not lost.
    private static func first(_ group: inout ThrowingTaskGroup<Woken, any Error>) async throws -> Woken {
        var (woken, problem): (Woken?, (any Error)?) = (nil, nil)
        while let result = await group.nextResult() {
            group.cancelAll()
            switch result {
            case .success(.read(let data)): return .read(data)
            case .success(let other): woken = woken ?? other
            case .failure(is CancellationError) where woken != nil: break
            case .failure(let error): problem = problem ?? error
            }
        }
        if let woken, problem == nil {
            return woken
        }
        throw problem ?? CancellationError()
    }
}

/// Numbers of iterations.
private final class Numbers: @unchecked Sendable {
    private let lock = NSLock()
    private var last = 0

    func next() -> Int {
        lock.withLock {
            last += 1
            return last
        }
    }
}

/// Whether somebody has asked for a sign of life.
private final class Asked: @unchecked Sendable {
    private let lock = NSLock()
    private var pending = Pending<Void>()

    func ask() {
        lock.withLock { pending }.resolve(.success(()))
    }

    /// The next time, from now on.
    func next() -> Pending<Void> {
        lock.withLock {
            pending = Pending()
            return pending
        }
    }
}
