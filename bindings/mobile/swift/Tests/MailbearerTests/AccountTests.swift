import Foundation
import Testing

@testable import Mailbearer

/// Accounts against the testing server: what their sessions share, and that a stop is told once, held, and never hammered at.
@Suite(.timeLimit(.minutes(3)))
struct AccountTests {
    private static let user = TestingServer.user

    private static var quick: SessionPolicy {
        var policy = SessionPolicy(renewal: .atEnd)
        policy.backoffBase = .milliseconds(50)
        policy.backoffMax = .milliseconds(200)
        policy.loginInterval = .milliseconds(1)
        return policy
    }

    private func fresh(_ server: TestingServer, says seconds: Double = 60) -> TokenSource {
        TokenSource { _ in try Token(try await server.issueToken(), expiresIn: .seconds(seconds)) }
    }

    private func next(_ sessions: Sessions) async throws -> SessionConnection {
        try #require(try await sessions.makeAsyncIterator().next())
    }

    /// Works as a program does: whatever ends, the next connection is asked for.
    private func work(_ sessions: Sessions, _ line: String) async throws {
        for try await connection in sessions {
            try await connection.use { connection in
                while true {
                    _ = try await connection.ask(line)
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
        }
    }

    private func logins(_ server: TestingServer) async throws -> Int {
        try await server.events().filter { $0.what == "connected" }.count
    }

    // MARK: - Stops

    @Test func aPop3ThatIsOffBehindALoginThatWorksNeedsTheUser() async throws {
        let server = try await TestingServer()
        try await server.refuse("protocol_disabled")
        let account = try Account(user: Self.user, token: fresh(server), policy: Self.quick)
        let pop3 = try account.sessions(.pop3, options: try server.options(.pop3))
        let error = try await thrown(NeedsUser.self) { try await work(pop3, "STAT") }
        #expect(error.failure.cause == .protocolDisabled)
        #expect(error.failure.sentence.contains("not enabled for POP"), "\(error)")
        #expect(try await logins(server) <= 3)
        // It is of POP3 alone, and held without any I/O.
        try await server.refuse(nil)
        #expect(try await thrown(NeedsUser.self) { try await next(pop3) }.failure == error.failure)
        #expect(try await next(try account.sessions(.imap, options: try server.options(.imap))).generation == 1)
        #expect(try await logins(server) == 1)
        await account.retry()
        #expect(try await next(pop3).generation > 0)
        await account.close()
    }

    @Test func aByeThatAsksForABrowserNeedsTheUser() async throws {
        let logins = Counter()
        let server = try await TlsServer.start { line in
            if line.isEmpty { return "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready" }
            let tag = line.split(separator: " ").first ?? ""
            if line.contains("AUTHENTICATE") {
                logins.next()
                return "\(tag) OK in"
            }
            return "* BYE [ALERT] Web login required: https://mail.example.org/login"
        }
        let options = LoginOptions(
            host: "localhost", port: server.port, connector: systemConnector(trust: .file(server.caFile)))
        let all = try sessions(
            .imap, user: "joe@example.org", token: TokenSource { _ in try Token("token") }, options: options,
            policy: Self.quick)
        let error = try await thrown(NeedsUser.self) { try await work(all, "a1 NOOP") }
        #expect(error.failure.cause == .interactionRequired)
        #expect(error.failure.sentence.contains("Web login required"), "\(error)")
        #expect(logins.value <= 3)
        await all.close()
    }

    @Test func aRefreshTokenThatIsRevokedNeedsTheUser() async throws {
        let server = try await TestingServer(tokenLifetime: 1)
        let calls = Counter()
        let source = TokenSource { _ in
            guard calls.next() == 1 else {
                throw TokenSourceFailed("invalid_grant: Token has been expired or revoked", isPermanent: true)
            }
            return try Token(try await server.issueToken(), expiresIn: .seconds(1))
        }
        let all = try sessions(
            .imap, user: Self.user, token: source, options: try server.options(.imap), policy: Self.quick)
        // It comes while the program holds a connection.
        let error = try await thrown(NeedsUser.self) { try await work(all, "a1 NOOP") }
        #expect(error.failure.cause == .tokenUnavailable)
        #expect(error.failure.sentence.contains("invalid_grant: Token has been expired or revoked"))
        #expect((error.underlying as? TokenSourceFailed)?.isPermanent == true)
        #expect(try await logins(server) <= 3)
        let before = calls.value
        #expect(try await thrown(NeedsUser.self) { try await next(all) }.underlying is TokenSourceFailed)
        #expect(calls.value == before)
        await all.close()
    }

    @Test func aStopOutlivesTheProcess() async throws {
        let server = try await TestingServer()
        let (calls, isGood) = (Counter(), Flag())
        let source = TokenSource { _ in
            calls.next()
            guard isGood.isSet else { throw TokenSourceFailed("invalid_grant", isPermanent: true) }
            return try Token(try await server.issueToken())
        }
        func open(_ snapshot: Data?) throws -> (Account, Sessions) {
            let account = try Account(user: Self.user, token: source, policy: Self.quick, snapshot: snapshot)
            return (account, try account.sessions(.imap, options: try server.options(.imap)))
        }
        let (before, ofBefore) = try open(nil)
        let error = try await thrown(NeedsUser.self) { try await next(ofBefore) }
        let (snapshot, asked) = (try before.snapshot(), calls.value)
        await before.close()
        isGood.set()
        let (after, ofAfter) = try open(snapshot)
        #expect(try await thrown(NeedsUser.self) { try await next(ofAfter) }.failure.sentence == error.failure.sentence)
        #expect(calls.value == asked)
        #expect(try after.status().stops.count == 1)
        await after.retry()
        #expect(try await next(ofAfter).generation == 1)
        await after.close()
    }

    // MARK: - What sessions share

    @Test func sessionsShareOneTokenAndOneStop() async throws {
        let server = try await TestingServer()
        let (calls, isGood) = (Counter(), Flag())
        isGood.set()
        let source = TokenSource { _ in
            calls.next()
            return try Token(try await server.issueToken(), expiresIn: .seconds(60))
        }
        let account = try Account(user: Self.user, token: source, policy: Self.quick)
        let kinds: [MailProtocol] = [.imap, .imap, .pop3, .smtp]
        let all = try kinds.map { try account.sessions($0, options: try server.options($0)) }
        for one in all {
            _ = try await next(one)
        }
        #expect(calls.value == 1)
        #expect(try await server.sessionCount() == 4)
        #expect(try account.status().sessions.map(\.standing) == Array(repeating: .given, count: 4))
        // The account is locked: the first who is told so stops all.
        try await server.refuse("account_disabled")
        try await server.restart()
        _ = try await server.events()
        for one in all {
            #expect(try await thrown(NeedsUser.self) { try await next(one) }.failure.cause == .accountDisabled)
        }
        #expect(try await logins(server) == 1)
        await account.close()
    }

    @Test func twentySessionsWaitForFifteenPlaces() async throws {
        let server = try await TestingServer(flavour: "dovecot", connectionsMax: 15)
        var options = try server.options(.imap)
        // Nothing is known of this server.
        options.provider = nil
        let account = try Account(user: Self.user, token: fresh(server), policy: Self.quick)
        let all = try (0..<20).map { _ in try account.sessions(.imap, options: options) }
        let held = Held()
        let waiting = all.map { one in
            Task {
                if let connection = try await one.makeAsyncIterator().next() {
                    held.add(connection)
                }
            }
        }
        #expect(try await eventually { held.all.count == 15 })
        try await Task.sleep(for: .seconds(2))
        #expect(held.all.count == 15)
        #expect(held.all.allSatisfy { $0.verdict == nil })
        #expect(try await logins(server) <= 30)
        await account.close()
        for task in waiting {
            try await task.value
        }
        #expect(try await eventually { try await server.sessionCount() == 0 })
    }

    @Test func oneThatIsClosedLeavesTheOthers() async throws {
        let server = try await TestingServer()
        let account = try Account(user: Self.user, token: fresh(server), policy: Self.quick)
        let (first, second) = (
            try account.sessions(.imap, options: try server.options(.imap)),
            try account.sessions(.imap, options: try server.options(.imap))
        )
        let (ofFirst, ofSecond) = (try await next(first), try await next(second))
        await first.close()
        #expect(ofFirst.verdict?.cause == .cancelled)
        #expect(try await first.makeAsyncIterator().next() == nil)
        #expect(throws: CoreError.self) { try first.status() }
        #expect(try await ofSecond.ask("a1 NOOP").hasPrefix("a1 OK"))
        await account.close()
        #expect(ofSecond.verdict?.cause == .cancelled)
        #expect(try await second.makeAsyncIterator().next() == nil)
    }

    // MARK: - Token sources

    @Test func aSourceThatGivesNoTokenIsAMistake() async throws {
        let server = try await TestingServer()
        let isGood = Flag()
        let source = TokenSource { _ in
            try Token(isGood.isSet ? try await server.issueToken() : "Bearer ya29.Canary")
        }
        let all = try sessions(.imap, user: Self.user, token: source, options: try server.options(.imap))
        let error = try await thrown(Misuse.self) { try await next(all) }
        #expect(error.underlying is CoreError)
        #expect(error.failure.sentence.contains("token"))
        #expect("\(error)".contains("Canary") == false)
        // It stops nothing else.
        isGood.set()
        #expect(try await next(all).generation == 1)
        await all.close()
    }

    @Test func theSourceIsToldWhichTokenWasRefused() async throws {
        let server = try await TestingServer()
        let dropped = Texts()
        let stale = try await server.issueToken()
        try await server.revoke(stale)
        let source = TokenSource { forceRefresh, refused in
            dropped.add(refused ?? "none")
            return try Token(forceRefresh ? try await server.issueToken() : stale)
        }
        let all = try sessions(.imap, user: Self.user, token: source, options: try server.options(.imap), policy: Self.quick)
        #expect(try await next(all).generation == 1)
        #expect(dropped.all.first == "none")
        #expect(dropped.all.last == stale)
        await all.close()
    }

    @Test func anOutageIsToldWithItsError() async throws {
        struct Offline: Error {}
        let server = try await TestingServer()
        let (calls, log) = (Counter(), Log())
        let source = TokenSource { _ in
            if calls.next() == 1 { throw Offline() }
            return try Token(try await server.issueToken())
        }
        let all = try sessions(
            .imap, user: Self.user, token: source, options: try server.options(.imap), policy: Self.quick, onEvent: log.add)
        _ = try await next(all)
        #expect(log.of(.tokenFailed).map { $0.underlying is Offline } == [true])
        #expect(log.of(.online).allSatisfy { $0.underlying == nil && $0.mailProtocol == .imap && $0.user == Self.user })
        await all.close()
    }

    // MARK: - Use that is wrong

    @Test func aSecondIteratorIsRefused() async throws {
        let server = try await TestingServer()
        let all = try sessions(.imap, user: Self.user, token: fresh(server), options: try server.options(.imap))
        for try await connection in all {
            let error = try await thrown(CoreError.self) { try await all.makeAsyncIterator().next() }
            #expect(error.description.contains("another iterator"))
            // It has not taken the connection away.
            #expect(try await connection.ask("a1 NOOP").hasPrefix("a1 OK"))
            break
        }
        // When the first is gone, another may begin.
        #expect(try await next(all).generation == 2)
        await all.close()
    }

    @Test func twoWhoWaitAtOnceAreRefused() async throws {
        let server = try await TestingServer()
        try await server.setFault("verdict", "vanish")
        let all = try sessions(.imap, user: Self.user, token: fresh(server), options: try server.options(.imap))
        let shared = Shared(iterator: all.makeAsyncIterator())
        let first = Task { try await shared.iterator.next()?.generation }
        #expect(try await eventually { try all.status().isWanted })
        let error = try await thrown(CoreError.self) { try await shared.iterator.next() }
        #expect(error.description.contains("waits"))
        first.cancel()
        await #expect(throws: CancellationError.self) { try await first.value }
        #expect(try all.status().isWanted == false)
        await all.close()
    }

    @Test func whatIsOfTheAccountIsNotSetForASession() throws {
        let account = try Account(user: Self.user, token: try .fixed("token"))
        let changes: [(inout SessionPolicy) -> Void] = [
            { $0.first = nil }, { $0.later = .seconds(1) }, { $0.tokenLifetime = .seconds(1) },
            { $0.tokenLifeLeast = .seconds(1) }, { $0.tokenTimeout = .seconds(1) }, { $0.keepAlive = false },
            { $0.answer = .seconds(1) }, { $0.unprobedNap = .seconds(1) },
        ]
        for change in changes {
            var policy = SessionPolicy()
            change(&policy)
            #expect {
                try account.sessions(.imap, policy: policy)
            } throws: {
                "\($0)".contains("of the whole account")
            }
        }
        var policy = SessionPolicy(renewal: .atEnd)
        (policy.lead, policy.connections) = (.seconds(60), 3)
        _ = try account.sessions(.imap, policy: policy)
    }

    // MARK: - What is left

    @Test func aClosedAccountLeavesNoTimer() async throws {
        weak var driver: Driver?
        weak var world: SystemWorld?
        do {
            var policy = Self.quick
            (policy.first, policy.backoffBase, policy.backoffMax) = (nil, .seconds(60), .seconds(60))
            let log = Log()
            // Nothing gets better here, and there is no hurry.
            struct Broken: Connector {
                func open(_ endpoint: Endpoint) async throws -> any Transport { throw POSIXError(.ENETUNREACH) }
            }
            let all = try sessions(
                .imap, user: "joe@example.org", token: .fixed("token"),
                options: LoginOptions(host: "localhost", connector: Broken()), policy: policy, onEvent: log.add)
            (driver, world) = (all.account.driver, all.account.driver.world as? SystemWorld)
            let waiting = Task { try await all.makeAsyncIterator().next()?.generation }
            #expect(try await eventually { !log.of(.waiting).isEmpty })
            #expect(world?.hasTimer == true)
            await all.close()
            #expect(try await waiting.value == nil)
            #expect(world?.hasTimer == false)
        }
        #expect(try await eventually { driver == nil && world == nil })
    }

    @Test func anAccountThatNobodyRefersToIsClosed() async throws {
        let server = try await TestingServer()
        do {
            let account = try Account(user: Self.user, token: fresh(server))
            _ = try await next(try account.sessions(.imap, options: try server.options(.imap)))
        }
        #expect(try await eventually { try await server.sessionCount() == 0 })
    }
}

/// An iterator that two tasks have, which the compiler would not let them.
private struct Shared: @unchecked Sendable {
    let iterator: Sessions.Iterator
}

/// Connections that are kept.
private final class Held: @unchecked Sendable {
    private let lock = NSLock()
    private var connections: [SessionConnection] = []

    var all: [SessionConnection] { lock.withLock { connections } }
    func add(_ connection: SessionConnection) { lock.withLock { connections.append(connection) } }
}

private final class Texts: @unchecked Sendable {
    private let lock = NSLock()
    private var texts: [String] = []

    var all: [String] { lock.withLock { texts } }
    func add(_ text: String) { lock.withLock { texts.append(text) } }
}
