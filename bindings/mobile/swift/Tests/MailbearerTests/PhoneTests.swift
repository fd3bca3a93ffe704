import Foundation
import Testing

@testable import Mailbearer

/// What an app on a phone needs of the package: errors for its reports, lines for its log, and the system's network.
@Suite(.timeLimit(.minutes(3)))
struct PhoneTests {
    private static let user = TestingServer.user

    // MARK: - Errors

    @Test func errorsSayWhatLiesUnderThemAsNSErrors() throws {
        let system = POSIXError(.ECONNREFUSED)
        let failure = try failureOfHost(cause: .connectionRefused, detail: "")
        let verdict = try verdictOfHost(cause: .connectionLost)
        let all: [(any MailbearerError, String)] = [
            (LoginFailed(failure, underlying: system), "LoginFailed"),
            (NeedsUser(failure: failure, underlying: system), "NeedsUser"),
            (GaveUp(failure: failure, underlying: system), "GaveUp"),
            (Misuse(failure: failure, underlying: system), "Misuse"),
            (SessionEnded(verdict: verdict, underlying: system), "SessionEnded"),
            (TokenSourceFailed("no grant", underlying: system), "TokenSourceFailed"),
            (TransportError.connection("reset", underlying: system), "TransportError"),
        ]
        for (error, name) in all {
            let bridged = error as NSError
            #expect(bridged.domain == "org.mailbearer.\(name)")
            #expect(bridged.userInfo[NSUnderlyingErrorKey] as? POSIXError == system, "\(name)")
            #expect(!error.localizedDescription.isEmpty && error.localizedDescription == error.errorDescription, "\(name)")
        }
        let others: [any MailbearerError] = [
            CoreError.Config(message: "port: none"), MailboxRefused(code: nil, serverText: "no such mailbox"), ResolverError(code: EAI_AGAIN),
            TransportError.plaintextInjected,
        ]
        for error in others {
            #expect((error as NSError).userInfo[NSUnderlyingErrorKey] == nil)
            #expect(error.errorDescription?.isEmpty == false)
        }
    }

    @Test func theErrorUnderATokenSourcesIsNotShown() throws {
        struct Secretive: Error { let refreshToken = "1//Canary" }
        let error = TokenSourceFailed("nobody has signed in", isPermanent: true, underlying: Secretive())
        var shown = "\(error) \(String(reflecting: error))"
        dump(error, to: &shown)
        #expect(!shown.contains("Canary"), "\(shown)")
        #expect(error.underlying is Secretive)
    }

    // MARK: - Lines for a log

    private final class Lines: EventLogger, @unchecked Sendable {
        private let lock = NSLock()
        private var lines: [(EventLevel, String)] = []

        var all: [(level: EventLevel, line: String)] { lock.withLock { lines } }
        func log(_ level: EventLevel, _ line: String) { lock.withLock { lines.append((level, line)) } }
    }

    @Test func noTokenAndNoUserIsInALog() async throws {
        struct Leaky: LocalizedError {
            let errorDescription: String? = "refresh_token=1//0Canary0Refresh was refused for ya29.Canary0Access0Token0Long"
        }
        let server = try await TestingServer()
        let (calls, lines, issued) = (Counter(), Lines(), Counter())
        let source = TokenSource { _ in
            if calls.next() == 1 { throw Leaky() }
            issued.next()
            return try Token(try await server.issueToken(), expiresIn: .seconds(60))
        }
        var policy = SessionPolicy(renewal: .atEnd)
        (policy.backoffBase, policy.backoffMax, policy.loginInterval) = (.milliseconds(20), .milliseconds(50), .milliseconds(1))
        let account = try Account(user: Self.user, token: source, policy: policy, onEvent: lines.log)
        let inbox = try account.sessions(.imap, options: try server.options(.imap))
        for try await connection in inbox {
            if connection.generation == 2 { break }
            try await server.restart()
            _ = try await connection.wait()
        }
        try await server.refuse("account_disabled")
        try await server.restart()
        await #expect(throws: NeedsUser.self) {
            for try await connection in inbox { _ = try await connection.wait() }
        }
        await account.close()
        let text = lines.all.map(\.line).joined(separator: "\n")
        #expect(!text.contains("Canary") && !text.contains("ya29") && !text.contains(Self.user), "\(text)")
        #expect(issued.value > 0)
        for line in ["account: fetchingToken", "account: tokenFailed", "imap 1: online", "imap 1: ended"] {
            #expect(lines.all.contains { $0.line.hasPrefix(line) }, "\(line) in\n\(text)")
        }
        let levels = Set(lines.all.map { "\($0.level)" })
        #expect(levels == ["debug", "info", "warning", "error"], "\(text)")
    }

    @Test func anEventSaysOfWhichSessionItIs() async throws {
        let (server, log) = (try await TestingServer(), Log())
        let source = TokenSource { _ in try Token(try await server.issueToken(), expiresIn: .seconds(60)) }
        let account = try Account(user: Self.user, token: source, onEvent: log.add)
        let all = try [MailProtocol.imap, .imap, .smtp].map { try account.sessions($0, options: try server.options($0)) }
        for one in all {
            _ = try await one.makeAsyncIterator().next()
        }
        let sessions = try account.status().sessions.map { Optional($0.session) }
        #expect(log.of(.online).map(\.session) == sessions)
        #expect(log.of(.fetchingToken).map(\.session) == [nil])
        await account.close()
    }

    // MARK: - The network

    @Test func whatTheSystemSaysOfItsNetworkIsTold() async throws {
        let (server, log) = (try await TestingServer(), Log())
        let source = TokenSource { _ in try Token(try await server.issueToken(), expiresIn: .seconds(60)) }
        let account = try Account(user: Self.user, token: source, onEvent: log.add)
        let inbox = try account.sessions(.imap, options: try server.options(.imap))
        let (states, say) = AsyncStream.makeStream(of: NetworkState.self)
        let following = Task { await account.follow(states) }
        say.yield(NetworkState(isThere: false))
        let waiting = Task { try await inbox.makeAsyncIterator().next()?.generation }
        // Nothing is opened without a network.
        #expect(try await eventually { !log.of(.waiting).isEmpty })
        #expect(try await server.events().isEmpty)
        say.yield(NetworkState(isThere: true, way: ["en0"]))
        #expect(try await waiting.value == 1)
        following.cancel()
        await following.value
        await account.close()
    }

    @Test func onlyAnotherNetworkIsNews() {
        let wifi = NetworkState(isThere: true, way: ["en0", "192.168.1.1"])
        let cell = NetworkState(isThere: true, way: ["pdp_ip0"])
        let none = NetworkState(isThere: false)
        let rows: [([NetworkState], [NetworkNews.Kind?])] = [
            ([wifi, wifi, cell], [nil, nil, .back]), ([none, none, wifi], [.lost, nil, .back]),
            ([wifi, none, NetworkState(isThere: false, way: ["x"]), wifi, cell], [nil, .lost, nil, .back, .back]),
        ]
        for (states, expected) in rows {
            var news = NetworkNews()
            #expect(states.map { news.of($0) } == expected, "\(states)")
        }
    }

    // MARK: - One at a time

    @Test func aSecondWhoFollowsAtOnceIsRefused() async throws {
        let server = try await TestingServer()
        let source = TokenSource { _ in try Token(try await server.issueToken(), expiresIn: .seconds(60)) }
        let inbox = try sessions(.imap, user: Self.user, token: source, options: try server.options(.imap))
        for try await connection in inbox {
            let found = Counter()
            let first = Task {
                for try await new in connection.newMessages() where !new.uids.isEmpty {
                    found.next()
                    return
                }
            }
            #expect(try await eventually { try await server.events().contains { $0.what == "IDLE" } })
            let error = try await thrown(CoreError.self) { try await connection.newMessages().makeAsyncIterator().next() }
            #expect(error.description.contains("one task at a time"))
            // The first does not notice.
            try await server.deliver("Subject: news\r\n\r\nnews\r\n")
            try await first.value
            #expect(found.value == 1)
            break
        }
        await inbox.close()
    }

    // MARK: - One pass

    @Test func onePassTellsWhatThereIsAndEnds() async throws {
        let server = try await TestingServer()
        let source = TokenSource { _ in try Token(try await server.issueToken(), expiresIn: .seconds(60)) }
        let inbox = try sessions(.imap, user: Self.user, token: source, options: try server.options(.imap))
        for try await connection in inbox {
            var (cursor, told): (String?, [[UInt32]]) = (nil, [])
            for delivered in [0, 2, 0, 1] {
                for _ in 0..<delivered { try await server.deliver("Subject: news\r\n\r\nnews\r\n") }
                for try await new in connection.newMessages(since: cursor, waits: false) {
                    cursor = new.cursor
                    told.append(new.uids)
                }
                // The connection is the program's.
                #expect(try await connection.ask("a1 NOOP").contains("OK"))
            }
            let first = try await server.messageCount() - 3
            #expect(told.flatMap { $0 } == (1...3).map { UInt32(first + $0) }, "\(told)")
            #expect(try await server.events().contains { $0.what == "IDLE" } == false)
            break
        }
        await inbox.close()
    }

    // MARK: - Who is signed in

    @Test func aTokenThatWasRefusedIsCleared() async throws {
        actor Fake: SignedIn {
            var cached: String
            var cleared: [String] = []
            let server: TestingServer

            init(_ cached: String, _ server: TestingServer) { (self.cached, self.server) = (cached, server) }

            func accessToken(forceRefresh: Bool) async throws -> Token {
                // Its cache cannot be bypassed.
                if cached.isEmpty { cached = try await server.issueToken() }
                return try Token(cached)
            }

            func clearToken(_ refused: String) {
                cleared.append(refused)
                if cached == refused { cached = "" }
            }
        }
        let server = try await TestingServer()
        let stale = try await server.issueToken()
        try await server.revoke(stale)
        let fake = Fake(stale, server)
        let inbox = try sessions(.imap, user: Self.user, token: TokenSource(fake), options: try server.options(.imap))
        #expect(try await inbox.makeAsyncIterator().next()?.generation == 1)
        #expect(await fake.cleared == [stale])
        await inbox.close()
    }
}
