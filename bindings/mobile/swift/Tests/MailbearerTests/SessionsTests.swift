import Foundation
import Testing

@testable import Mailbearer

/// Sessions against the testing server: expiry, renewal, refusals, sources that fail, and what programs see of it.
@Suite(.timeLimit(.minutes(3)))
struct SessionsTests {
    private static let user = TestingServer.user

    /// Sessions with a source that says how many seconds its tokens live. Where the server cuts sessions with their token,
    /// that must be less than the truth: on a busy machine a token is on its way for a while.
    private func open(
        _ server: TestingServer, _ mailProtocol: MailProtocol = .imap, says seconds: Double = 0.5,
        renewal: Renewal = .atEnd, snapshot: Data? = nil, timeout: Duration = .seconds(60), log: Log? = nil,
        source: TokenSource? = nil
    ) throws -> Sessions {
        let fresh = TokenSource { _ in try Token(try await server.issueToken(), expiresIn: .seconds(seconds)) }
        var policy = SessionPolicy(renewal: renewal)
        policy.backoffBase = .milliseconds(50)
        policy.backoffMax = .milliseconds(200)
        policy.loginInterval = .milliseconds(1)
        var options = try server.options(mailProtocol)
        options.timeout = timeout
        return try sessions(
            mailProtocol, user: Self.user, token: source ?? fresh, options: options, policy: policy, snapshot: snapshot,
            onEvent: log?.add)
    }

    /// Gets the next connection, which must come.
    private func next(_ sessions: Sessions) async throws -> SessionConnection {
        try #require(try await sessions.makeAsyncIterator().next())
    }

    @Test func deletionsThatQuitDidNotCommitAreTold() async throws {
        let server = try await TestingServer()
        let sessions = try open(server, .pop3, says: 60)
        let first = try await next(sessions)
        #expect(try await first.ask("DELE 1").hasPrefix("+OK"))
        try await server.setFault("command", "drop")
        try await first.use { _ = try await $0.ask("QUIT") }
        #expect(first.verdict?.cause == .connectionLost)
        guard case .pop3(let uncommitted) = try await next(sessions).resumed else {
            Issue.record("nothing is told")
            return
        }
        #expect(uncommitted == [1])
        await sessions.close()
        // RFC 1939 section 6: the server may answer QUIT with -ERR, where some were not removed.
        let watch = try Watch(protocol: .pop3)
        try watch.sent(bytes: Data("DELE 2\r\nQUIT\r\n".utf8))
        _ = try watch.received(bytes: Data("+OK\r\n-ERR some deleted messages not removed\r\n".utf8))
        #expect(try watch.aftermath() == .pop3(uncommittedDeletes: [2]))
        #expect(try watch.closed().cause != .noFault)
    }

    // MARK: - Through many expiries

    /// The server cuts the session each time that its token expires; the body sees that as its end.
    @Test(arguments: [MailProtocol.imap, .pop3, .smtp])
    func twentyExpiriesWithTheServersWords(_ mailProtocol: MailProtocol) async throws {
        let server = try await TestingServer(tokenLifetime: 1)
        let log = Log()
        var generations: [UInt64] = []
        for try await connection in try open(server, mailProtocol, log: log) {
            generations.append(connection.generation)
            if connection.generation == 21 {
                break
            }
            try await connection.use { connection in
                while true {
                    _ = try await connection.ask(mailProtocol == .imap ? "a1 NOOP" : "NOOP")
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
            #expect(connection.verdict?.cause == .tokenExpired)
        }
        #expect(generations == Array(1...21))
        #expect(log.of(.ended).count >= 20)
        // On a busy machine half a second may be over before the token is sent.
        #expect(log.of(.loginFailed).allSatisfy { $0.cause == .tokenExpired })
    }

    /// Each session is let go before its token expires, and the server never cuts one.
    @Test(arguments: [MailProtocol.imap, .pop3, .smtp])
    func twentyRenewalsAheadOfExpiry(_ mailProtocol: MailProtocol) async throws {
        let server = try await TestingServer(tokenLifetime: 6)
        let log = Log()
        var count = 0
        for try await connection in try open(server, mailProtocol, says: 1.6, renewal: .ahead, log: log) {
            count += 1
            if count == 21 {
                break
            }
            try await connection.use { connection in
                #expect(try await connection.wait())
                #expect(connection.renewBy != nil)
                _ = try await connection.ask(mailProtocol == .imap ? "a1 NOOP" : "NOOP")
            }
        }
        #expect(count == 21)
        // On a busy machine one may not be let go in the half second that it has; then it is closed.
        // The last one is closed with the sessions.
        let causes = log.of(.ended).prefix(20).map(\.cause)
        #expect(causes.allSatisfy { $0 == .noFault || $0 == .sessionLimit }, "\(causes)")
        #expect(log.of(.renewing).count >= 20)
        #expect(log.of(.renewing).allSatisfy { $0.text == "token_expiry" })
        #expect(try await server.events().contains { $0.what == "cut" } == false)
    }

    // MARK: - The end of a session, as the program sees it

    @Test func whatCameIsReadBeforeTheEnd() async throws {
        let server = try await TestingServer(tokenLifetime: 1)
        let sessions = try open(server)
        let connection = try await next(sessions)
        #expect(try await connection.ask("a1 SELECT INBOX").hasPrefix("*"))
        #expect(try await connection.wait())
        let verdict = try #require(connection.verdict)
        #expect(verdict.cause == .tokenExpired)
        var last = ""
        let end = try await thrown(SessionEnded.self) {
            while true {
                last = try await connection.answer()
            }
        }
        #expect(last.hasPrefix("* BYE"))
        #expect(end.verdict == verdict)
        #expect(end.localizedDescription.isEmpty == false)
        await #expect(throws: SessionEnded.self) { try await connection.write(Data("a2 NOOP\r\n".utf8)) }
        await sessions.close()
    }

    @Test func whatWasInFlightIsHandedOn() async throws {
        let server = try await TestingServer(tokenLifetime: 1)
        let sessions = try open(server)
        let first = try await next(sessions)
        #expect(first.resumed == nil)
        _ = try await first.ask("a1 SELECT INBOX")
        while try await first.answer().hasPrefix("a1 ") == false {}
        _ = try await first.ask("a2 IDLE")
        #expect(try await first.wait())
        let second = try await next(sessions)
        #expect(second.generation == 2)
        guard case .imap(let selected, let idling, _) = second.resumed else {
            Issue.record("came \(second.resumed as Any)")
            return
        }
        #expect(selected?.name == "INBOX")
        #expect(idling)
        await sessions.close()
    }

    @Test(arguments: ["silent", "vanish"])
    func aServerThatEndsWithoutAWordIsNoticed(_ cut: String) async throws {
        let server = try await TestingServer(tokenLifetime: 1, cut: cut)
        let sessions = try open(server, timeout: .seconds(3))
        try await next(sessions).use { connection in
            while true {
                _ = try await connection.ask("a1 NOOP")
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        #expect(try await next(sessions).generation == 2)
        await sessions.close()
    }

    @Test func aWriteThatFailsIsTheEndOfTheSession() async throws {
        let server = try await TestingServer()
        try await server.deliver("Subject: long\r\n\r\n" + String(repeating: "0123456789abcde\r\n", count: 200_000))
        let sessions = try open(server, says: 60)
        let connection = try await next(sessions)
        _ = try await connection.ask("a1 SELECT INBOX")
        while try await connection.answer().hasPrefix("a1 ") == false {}
        // More than is kept for a program that does not read: the session does not see how the connection ends.
        _ = try await connection.ask("a2 FETCH \(try await server.messageCount()) BODY[]")
        try await server.restart()
        await #expect(throws: SessionEnded.self) {
            while true {
                try await connection.write(Data("a3 NOOP\r\n".utf8))
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        await sessions.close()
    }

    @Test func otherErrorsAreNotSwallowed() async throws {
        struct OfTheProgram: Error {}
        let server = try await TestingServer()
        let sessions = try open(server, says: 60)
        let connection = try await next(sessions)
        await #expect(throws: OfTheProgram.self) {
            try await connection.use { _ in throw OfTheProgram() }
        }
        await sessions.close()
    }

    @Test func messagesThatComeInIdleAreRead() async throws {
        let server = try await TestingServer()
        let sessions = try open(server, says: 60)
        let connection = try await next(sessions)
        _ = try await connection.ask("a1 SELECT INBOX")
        while try await connection.answer().hasPrefix("a1 ") == false {}
        #expect(try await connection.ask("a2 IDLE").hasPrefix("+"))
        try await server.deliver("Subject: hello\r\n\r\nhello\r\n")
        #expect(try await connection.answer().hasSuffix("EXISTS\r\n"))
        await sessions.close()
    }

    @Test func literalsAndLongLinesAreRead() async throws {
        let server = try await TestingServer()
        let message = "Subject: long\r\n\r\n" + String(repeating: "0123456789abcde\r\n", count: 20_000)
        try await server.deliver(message)
        let sessions = try open(server, says: 60)
        let connection = try await next(sessions)
        _ = try await connection.ask("a1 SELECT INBOX")
        while try await connection.answer().hasPrefix("a1 ") == false {}
        let count = try await server.messageCount()
        let start = try await connection.ask("a2 FETCH \(count) BODY[]")
        let size = try #require(Int(start.split(separator: "{").last?.prefix { $0.isNumber } ?? ""))
        #expect(try await connection.read(exactly: size).count == size)
        #expect(size >= message.utf8.count)
        while try await connection.answer().hasPrefix("a2 OK") == false {}
        #expect(try await connection.ask("a3 NOOP").hasPrefix("a3 OK"))
        // The session has not lost step behind the content that it need not see: it knows the server's last words.
        try await server.restart()
        #expect(try await connection.wait())
        #expect(connection.verdict?.cause == .shutdown)
        await sessions.close()
    }

    // MARK: - Renewal

    @Test func whoIgnoresARenewalIsCutBeforeTheServerDoesIt() async throws {
        let server = try await TestingServer(tokenLifetime: 6)
        let sessions = try open(server, .smtp, says: 1.6, renewal: .ahead)
        let connection = try await next(sessions)
        let end = try await thrown(SessionEnded.self) {
            while true {
                _ = try await connection.ask("NOOP")
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        #expect(end.verdict.cause == .sessionLimit)
        #expect(try await server.events().contains { $0.what == "cut" } == false)
        await sessions.close()
    }

    @Test func withOverlapTheNextIsThereBeforeTheLastIsGone() async throws {
        let server = try await TestingServer(tokenLifetime: 8)
        let sessions = try open(server, says: 4, renewal: .overlap)
        let first = try await next(sessions)
        #expect(try await first.wait())
        #expect(try await eventually { try await server.sessionCount() == 2 })
        #expect(try await first.ask("a1 NOOP").hasPrefix("a1 OK"))
        #expect(try await next(sessions).generation == 2)
        await sessions.close()
    }

    @Test func anotherNetworkLeavesAConnectionThatWorks() async throws {
        let server = try await TestingServer()
        let sessions = try open(server, says: 60)
        let first = try await next(sessions)
        await sessions.networkBack()
        // It works, and so it stays.
        #expect(try await first.ask("a1 NOOP").hasPrefix("a1 OK"))
        #expect(first.verdict == nil)
        await sessions.close()
    }

    @Test func aRestartOfTheServerIsSurvived() async throws {
        let server = try await TestingServer()
        let sessions = try open(server, says: 60)
        let first = try await next(sessions)
        try await server.restart()
        #expect(try await first.wait())
        #expect(first.verdict?.cause == .shutdown)
        #expect(try await next(sessions).generation == 2)
        await sessions.close()
    }

    // MARK: - Tokens that are refused, and sources that fail

    @Test func twoRefusalsAskTheUserAndNoThirdIsMade() async throws {
        let server = try await TestingServer()
        let isGood = Flag()
        let log = Log()
        let source = TokenSource { _ in
            let token = try await server.issueToken()
            if !isGood.isSet {
                try await server.revoke(token)
            }
            return try Token(token)
        }
        let sessions = try open(server, log: log, source: source)
        let error = try await thrown(NeedsUser.self) { try await next(sessions) }
        #expect(error.failure.cause == .tokenRejected)
        #expect(try await server.events().filter { $0.what == "refused" }.count == 2)
        #expect(log.of(.needsUser).count == 1)
        isGood.set()
        // A stop holds until it is lifted.
        #expect(try await thrown(NeedsUser.self) { try await next(sessions) }.failure == error.failure)
        await sessions.retry()
        #expect(try await next(sessions).generation == 1)
        await sessions.close()
    }

    @Test func aSourceThatNeedsTheUserSaysSo() async throws {
        let server = try await TestingServer()
        let source = TokenSource { _ in throw TokenSourceFailed("invalid_grant", isPermanent: true) }
        let sessions = try open(server, source: source)
        let error = try await thrown(NeedsUser.self) { try await next(sessions) }
        #expect(error.failure.cause == .tokenUnavailable)
        #expect((error.underlying as? TokenSourceFailed)?.reason == "invalid_grant")
        #expect((error.errorUserInfo[NSUnderlyingErrorKey] as? TokenSourceFailed)?.isPermanent == true)
        #expect(error.localizedDescription.contains("invalid_grant"))
    }

    @Test func aFixedTokenThatIsRefusedAsksForAFunction() async throws {
        let server = try await TestingServer()
        let token = try await server.issueToken()
        try await server.revoke(token)
        let sessions = try open(server, source: try .fixed(token))
        let error = try await thrown(NeedsUser.self) { try await next(sessions) }
        #expect(error.failure.sentence.hasSuffix("give a function that gets a fresh one."))
    }

    @Test func anOutageOfTheSourceIsWaitedFor() async throws {
        struct Offline: LocalizedError {
            let secret = "secret"
            let errorDescription: String? = "the network is down, ya29.a0AfFakeTokenThatIsMasked3"
        }
        let server = try await TestingServer()
        let calls = Counter()
        let log = Log()
        let source = TokenSource { _ in
            if calls.next() < 3 { throw Offline() }
            return try Token(try await server.issueToken())
        }
        let sessions = try open(server, log: log, source: source)
        #expect(try await next(sessions).generation == 1)
        #expect(log.of(.tokenFailed).count == 2)
        #expect(log.of(.tokenFailed).allSatisfy { $0.text == "Offline: the network is down, <secret>" })
        await sessions.close()
    }

    @Test func settingsThatCannotWorkGiveUp() async throws {
        let server = try await TestingServer()
        var options = try server.options(.imap)
        options.connector = systemConnector()
        let source = try TokenSource.fixed(try await server.issueToken())
        let sessions = try sessions(.imap, user: Self.user, token: source, options: options)
        let error = try await thrown(GaveUp.self) { try await next(sessions) }
        #expect(error.failure.cause == .tlsFailed)
        #expect(error.localizedDescription.contains("certificate"))
    }

    // MARK: - Ends, and uses after them

    @Test func afterCloseThereIsNothing() async throws {
        let server = try await TestingServer()
        let sessions = try open(server, says: 60)
        let connection = try await next(sessions)
        await sessions.close()
        #expect(try await sessions.makeAsyncIterator().next() == nil)
        await #expect(throws: SessionEnded.self) { try await connection.write(Data("a1 NOOP\r\n".utf8)) }
        await #expect(throws: SessionEnded.self) { try await connection.read() }
        await sessions.close()
        #expect(try await eventually { try await server.sessionCount() == 0 })
    }

    @Test func aConnectionThatWasClosedRefusesWork() async throws {
        let server = try await TestingServer()
        let sessions = try open(server, says: 60)
        let connection = try await next(sessions)
        await connection.close()
        await #expect(throws: CoreError.self) { try await connection.write(Data("a1 NOOP\r\n".utf8)) }
        #expect(try await connection.read().isEmpty)
        await connection.close()
        #expect(try await next(sessions).generation == 2)
        await sessions.close()
    }

    @Test func sessionsThatNobodyRefersToAreClosed() async throws {
        let server = try await TestingServer()
        for try await _ in try open(server, says: 60) {
            break
        }
        #expect(try await eventually { try await server.sessionCount() == 0 })
    }

    @Test func whoGoesNoFurtherLogsInOnce() async throws {
        let server = try await TestingServer()
        let sessions = try open(server, says: 60)
        let connection = try await next(sessions)
        await connection.close()
        try await Task.sleep(for: .milliseconds(200))
        await sessions.close()
        #expect(try await server.events().filter { $0.what == "connected" }.count == 1)
    }

    @Test func nothingIsLeftBehind() async throws {
        let server = try await TestingServer()
        weak var driver: Driver?
        weak var connection: SessionConnection?
        do {
            let sessions = try open(server, says: 60)
            driver = sessions.account.driver
            connection = try await next(sessions)
            await sessions.close()
        }
        #expect(try await eventually { driver == nil && connection == nil })
    }

    @Test func aWaitThatIsCancelledEndsAtOnce() async throws {
        let server = try await TestingServer()
        try await server.setFault("verdict", "vanish")
        let sessions = try open(server, says: 60)
        let waiting = Task { try await sessions.makeAsyncIterator().next()?.generation }
        #expect(try await eventually { try await server.events().contains { $0.what == "connected" } })
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        await sessions.close()
    }

    @Test func aReadThatIsCancelledLosesNothing() async throws {
        let server = try await TestingServer()
        let sessions = try open(server, says: 60)
        let connection = try await next(sessions)
        let reading = Task { try await connection.readLine() }
        reading.cancel()
        await #expect(throws: CancellationError.self) { try await reading.value }
        #expect(try await connection.ask("a1 NOOP").hasPrefix("a1 OK"))
        await sessions.close()
    }

    @Test func aSnapshotGoesOn() async throws {
        let server = try await TestingServer(tokenLifetime: 1)
        let before = try open(server)
        _ = try await next(before)
        #expect(try await next(before).generation == 2)
        let snapshot = try before.snapshot()
        await before.close()
        let after = try open(server, snapshot: snapshot)
        #expect(try await next(after).generation == 3)
        #expect(try after.status().standing == .given)
        await after.close()
        #expect(throws: CoreError.self) { try open(server, snapshot: Data("no snapshot".utf8)) }
    }
}

/// Keeps the events.
final class Log: @unchecked Sendable {
    private let lock = NSLock()
    private var events: [SessionEvent] = []

    @Sendable func add(_ event: SessionEvent) {
        lock.withLock { events.append(event) }
    }

    func of(_ kind: EventKind) -> [SessionEvent] {
        lock.withLock { events.filter { $0.kind == kind } }
    }
}

final class Counter: @unchecked Sendable {
    private let lock = NSLock()
    private var count = 0

    var value: Int { lock.withLock { count } }

    @discardableResult
    func next() -> Int {
        lock.withLock {
            count += 1
            return count
        }
    }
}

final class Flag: @unchecked Sendable {
    private let counter = Counter()

    var isSet: Bool { counter.value > 0 }

    func set() {
        counter.next()
    }
}
