import Foundation

/// What the server says of the mailbox that is selected.
public enum MailboxChange: Sendable, Equatable {
    /// So many messages are in the mailbox now.
    case exists(UInt32)
    /// The message of this number is gone, and those behind it count one less.
    case expunge(UInt32)
    /// Another untagged response, as it came, without its line end: `* 3 FETCH (FLAGS (\Seen))`.
    case other(String)

    init?(_ line: String) {
        let words = line.split(separator: " ", maxSplits: 3)
        guard words.count > 1, words[0] == "*" else { return nil }
        let number = UInt32(words[1])
        switch (number, words.count == 3 ? words[2].uppercased() : "") {
        case (let number?, "EXISTS"): self = .exists(number)
        case (let number?, "EXPUNGE"): self = .expunge(number)
        default:
            // `* OK Still here` says nothing, and `* BYE` is the end, which the session tells.
            guard !["OK", "BYE"].contains(words[1].uppercased()) else { return nil }
            self = .other(line)
        }
    }
}

/// The server refused IDLE: it does not have it, or no mailbox is selected.
public struct IdleRefused: LocalizedError, CustomStringConvertible, Sendable {
    /// The server's reply.
    public let reply: String

    public var description: String { "The server refused IDLE: \(reply)" }
    public var errorDescription: String? { description }
}

extension SessionConnection {
    /// Waits in IMAP's IDLE (RFC 2177) for what changes in the mailbox that is selected. It ends when the connection is due to be
    /// let go: the next one goes on.
    ///
    ///     for try await connection in inbox {
    ///         try await connection.use { connection in
    ///             _ = try await select("INBOX", connection)
    ///             for try await change in connection.idle() {
    ///                 if case .exists(let count) = change { await fetch(upTo: count, connection) }
    ///             }
    ///         }
    ///     }
    ///
    /// IDLE is ended before a change is given, and begun again when the next one is asked for: the body may speak on the
    /// connection, and may leave the loop. A task that is cancelled in the wait leaves the connection in IDLE: let it go, or ask
    /// for the next change.
    ///
    /// - Parameters:
    ///   - probeEvery: IDLE is begun anew after so long, so that a server or a path that is mute is noticed: with 90 seconds,
    ///     within two minutes. Each is a wake of the device; `nil` leaves it to the account (``SessionPolicy/keepAlive``, every 4
    ///     to 9 minutes), and to TCP where only the path is gone.
    ///   - answer: how long IDLE may take to begin and to end.
    /// - Throws: ``SessionEnded`` at the end of the connection, which ``use(isolation:_:)`` catches; ``IdleRefused``.
    public func idle(probeEvery: Duration? = .seconds(90), answer: Duration = .seconds(20)) -> MailboxChanges {
        MailboxChanges(connection: self, probeEvery: probeEvery, answer: answer)
    }
}

/// The changes of a mailbox, one after the other: see ``SessionConnection/idle(probeEvery:answer:)``.
public struct MailboxChanges: AsyncSequence, Sendable {
    public typealias Element = MailboxChange

    let connection: SessionConnection
    let probeEvery: Duration?
    let answer: Duration

    public func makeAsyncIterator() -> Iterator {
        Iterator(changes: self)
    }

    public struct Iterator: AsyncIteratorProtocol {
        let changes: MailboxChanges

        /// Waits for the next change; `nil` when the connection is due to be let go, or was closed.
        public func next() async throws -> MailboxChange? {
            try await changes.connection.idler.next(changes)
        }
    }
}

/// One connection's IDLE. It outlives an iteration that was cancelled in it.
actor Idler {
    private var number = 0
    private var isIdling = false
    private var changes: [MailboxChange] = []
    private nonisolated let asked = Asked()

    /// Ends IDLE and begins it anew, where somebody waits in it.
    nonisolated func probe() {
        asked.ask()
    }

    func next(_ wanted: MailboxChanges) async throws -> MailboxChange? {
        let connection = wanted.connection
        while true {
            if !changes.isEmpty {
                try await end(wanted)
                return changes.removeFirst()
            }
            if connection.isDue {
                try await end(wanted)
                return changes.isEmpty ? nil : changes.removeFirst()
            }
            guard try await begin(wanted) else { return nil }
            guard changes.isEmpty else { continue }
            switch try await wait(connection, wanted.probeEvery) {
            case .line(let line?): note(line)
            case .line(nil): return nil
            // Where it has ended, what came before that is read first.
            case .asked: if connection.verdict == nil { try await end(wanted) }
            }
        }
    }

    private enum Woken {
        /// `nil`: nothing comes any more.
        case line(String?)
        /// To be let go, or a probe, or time for one.
        case asked
    }

    /// Begins IDLE, unless it has begun; false where the connection was closed.
    private func begin(_ wanted: MailboxChanges) async throws -> Bool {
        guard !isIdling else { return true }
        number += 1
        try await wanted.connection.write(Data("\(tag) IDLE\r\n".utf8))
        isIdling = true
        while let line = try await answer(wanted) {
            if line.hasPrefix("+") {
                return true
            }
            note(line)
            if !isIdling {
                throw IdleRefused(reply: line)
            }
        }
        return false
    }

    /// Ends IDLE, and takes what comes until it has ended.
    private func end(_ wanted: MailboxChanges) async throws {
        guard isIdling else { return }
        try await wanted.connection.write(Data("DONE\r\n".utf8))
        while isIdling, let line = try await answer(wanted) {
            note(line)
        }
    }

    private var tag: String { "idle\(number)" }

    private func note(_ line: String) {
        if line.hasPrefix("\(tag) ") {
            isIdling = false
        } else if let change = MailboxChange(line) {
            changes.append(change)
        }
    }

    /// A line that must come in time; `nil` where the connection was closed.
    private func answer(_ wanted: MailboxChanges) async throws -> String? {
        let connection = wanted.connection
        if let line = try await withDeadline(.now + wanted.answer, { try await connection.line() }) {
            return line
        }
        await connection.isMute()
        return try await connection.line()
    }

    private func wait(_ connection: SessionConnection, _ probeEvery: Duration?) async throws -> Woken {
        let (asked, due) = (asked.next(), connection.verdict == nil ? connection.state.due : nil)
        return try await withThrowingTaskGroup(of: Woken.self) { group in
            group.addTask { .line(try await connection.line()) }
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
            if let probeEvery {
                group.addTask {
                    try await Task.sleep(for: probeEvery)
                    return .asked
                }
            }
            return try await Self.first(&group)
        }
    }

    /// The first, but for a line that came meanwhile: it is not lost.
    private static func first(_ group: inout ThrowingTaskGroup<Woken, any Error>) async throws -> Woken {
        var (woken, problem): (Woken?, (any Error)?) = (nil, nil)
        while let result = await group.nextResult() {
            group.cancelAll()
            switch result {
            case .success(.line(let line)): return .line(line)
            case .success(.asked): woken = woken ?? .asked
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

extension Connection {
    /// The next line without its end; `nil` where nothing comes any more.
    fileprivate func line() async throws -> String? {
        let line = try await readLine()
        return line.isEmpty ? nil : String(decoding: line, as: UTF8.self).trimmingCharacters(in: .newlines)
    }
}
