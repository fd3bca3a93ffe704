import Foundation
import Testing

@testable import Mailbearer

/// `idle()`: what changes in a mailbox, through renewals, probes and servers that go mute.
@Suite(.timeLimit(.minutes(3)))
struct IdleTests {
    private func open(_ server: TestingServer, says seconds: Double = 60, renewal: Renewal = .atEnd) throws -> Sessions {
        let source = TokenSource { _ in try Token(try await server.issueToken(), expiresIn: .seconds(seconds)) }
        var policy = SessionPolicy(renewal: renewal)
        policy.loginInterval = .milliseconds(1)
        return try sessions(
            .imap, user: TestingServer.user, token: source, options: try server.options(.imap), policy: policy)
    }

    private func select(_ connection: SessionConnection) async throws {
        _ = try await connection.ask("a1 SELECT INBOX")
        while try await connection.answer().hasPrefix("a1 ") == false {}
    }

    @Test func whatComesIsToldAndTheBodyMaySpeak() async throws {
        let server = try await TestingServer()
        let sessions = try open(server)
        let connection = try #require(try await sessions.makeAsyncIterator().next())
        try await select(connection)
        let count = UInt32(try await server.messageCount())
        var seen: [UInt32?] = []
        Task { try await server.deliver("Subject: one\r\n\r\none\r\n") }
        for try await change in connection.idle() {
            seen.append(change.exists)
            #expect(try await connection.ask("a\(seen.count + 1) NOOP").hasPrefix("a"))
            if seen.count == 3 {
                break
            }
            try await server.deliver("Subject: more\r\n\r\nmore\r\n")
        }
        #expect(seen == [count + 1, count + 2, count + 3])
        // Left by the body, it is not in IDLE.
        #expect(try await connection.ask("b1 NOOP").hasPrefix("b1 OK"))
        await sessions.close()
    }

    @Test func itEndsWhenARenewalIsDueAndGoesOnInTheNext() async throws {
        let server = try await TestingServer(tokenLifetime: 8)
        var (ends, told) = (0, 0)
        let sessions = try open(server, says: 2, renewal: .ahead)
        for try await connection in sessions {
            try await connection.use { connection in
                try await select(connection)
                try await server.deliver("Subject: news\r\n\r\nnews\r\n")
                for try await change in connection.idle() {
                    told += change.exists == nil ? 0 : 1
                }
                ends += 1
                #expect(connection.renewBy != nil)
                #expect(try await connection.ask("b1 NOOP").hasPrefix("b1 OK"))
            }
            if ends == 3 {
                break
            }
        }
        #expect(told >= 2)
        #expect(try await server.events().contains { $0.what == "cut" } == false)
    }

    @Test func theEndOfTheSessionIsThrownBehindWhatCame() async throws {
        let server = try await TestingServer()
        let sessions = try open(server)
        let connection = try #require(try await sessions.makeAsyncIterator().next())
        try await select(connection)
        let waiting = Task { () -> Int in
            var count = 0
            for try await _ in connection.idle() { count += 1 }
            return count
        }
        try await Task.sleep(for: .milliseconds(200))
        try await server.restart()
        #expect(try await thrown(SessionEnded.self) { try await waiting.value }.verdict.cause == .shutdown)
        await sessions.close()
    }

    @Test func aWaitThatIsCancelledMayBeTakenUpAgain() async throws {
        let server = try await TestingServer()
        let sessions = try open(server)
        let connection = try #require(try await sessions.makeAsyncIterator().next())
        try await select(connection)
        let waiting = Task { try await connection.idle().first { _ in true } }
        try await Task.sleep(for: .milliseconds(200))
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        try await server.deliver("Subject: one\r\n\r\none\r\n")
        let count = UInt32(try await server.messageCount())
        #expect(try await connection.idle().first { _ in true }?.exists == count)
        await sessions.close()
    }

    // MARK: - Servers that go mute

    /// Counts what it is told, and answers so many `DONE`.
    private func server(_ said: Counter, answers: Int, idling: Counter = Counter()) async throws -> TlsServer {
        let tag = Tag()
        return try await TlsServer.start { line in
            if line.isEmpty { return "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 IDLE] ready" }
            let word = line.split(separator: " ").first.map(String.init) ?? ""
            if line == "DONE" { return said.next() <= answers ? "\(tag.text) OK done" : nil }
            guard line.hasSuffix(" IDLE") else { return line.contains(" AUTHENTICATE ") ? "\(word) OK in" : nil }
            tag.text = word
            _ = idling.next()
            return "+ idling"
        }
    }

    private func open(_ server: TlsServer, answer: Duration = .seconds(20)) throws -> Sessions {
        var policy = SessionPolicy()
        policy.answer = answer
        let options = LoginOptions(
            host: "localhost", port: server.port, connector: systemConnector(trust: .file(server.caFile)))
        return try sessions(.imap, user: "joe@example.org", token: .fixed("token"), options: options, policy: policy)
    }

    @Test func idleIsBegunAnewUntilTheServerIsMute() async throws {
        let said = Counter()
        let server = try await server(said, answers: 2)
        let sessions = try open(server)
        let connection = try #require(try await sessions.makeAsyncIterator().next())
        let end = try await thrown(SessionEnded.self) {
            try await connection.idle(reissue: .milliseconds(300), answer: .seconds(1)).first { _ in true }
        }
        #expect(end.verdict.cause == .timedOut)
        #expect(said.value == 3)
        await sessions.close()
    }

    @Test func anotherNetworkProbesByIdle() async throws {
        let said = Counter()
        let idling = Counter()
        let server = try await server(said, answers: 1, idling: idling)
        let sessions = try open(server, answer: .seconds(5))
        let connection = try #require(try await sessions.makeAsyncIterator().next())
        let waiting = Task { try await connection.idle(reissue: .seconds(600)).first { _ in true } }
        // Who does not wait yet says nothing: the server has heard of it, and a little later it waits.
        #expect(try await eventually { idling.value == 1 })
        try await Task.sleep(for: .milliseconds(300))
        #expect(try await probed(sessions) { said.value == 1 })
        // It was answered, and so it waits again, and lives.
        #expect(try await eventually { idling.value == 2 })
        #expect(connection.verdict == nil)
        // To be told so all day is no reason to ask all day.
        await sessions.networkBack()
        #expect(said.value == 1)
        #expect(try await probed(sessions) { said.value == 2 })
        #expect(try await thrown(SessionEnded.self) { try await waiting.value }.verdict.cause == .timedOut)
        #expect(said.value == 2)
        await sessions.close()
    }

    /// Tells the sessions that there is a network, again and again: one probe in ten seconds comes of it.
    private func probed(_ sessions: Sessions, _ condition: () -> Bool) async throws -> Bool {
        try await eventually {
            await sessions.networkBack()
            try await Task.sleep(for: .milliseconds(200))
            return condition()
        }
    }

    @Test(arguments: [MailProtocol.pop3, .smtp]) func onlyImapHasMailboxesToFollow(_ mailProtocol: MailProtocol) async throws {
        let server = try await TestingServer()
        let source = TokenSource { _ in try Token(try await server.issueToken()) }
        let all = try sessions(mailProtocol, user: TestingServer.user, token: source, options: try server.options(mailProtocol))
        let connection = try #require(try await all.makeAsyncIterator().next())
        #expect("\(try await thrown(CoreError.self) { try await connection.idle().first { _ in true } })".contains("only IMAP"))
        #expect("\(try await thrown(CoreError.self) { try await connection.newMessages().first { _ in true } })".contains("only IMAP"))
        await all.close()
    }

    // MARK: - New messages

    @Test func newMessagesAreToldOnceThroughExpiriesAndCuts() async throws {
        let server = try await TestingServer(tokenLifetime: 8)
        let sessions = try open(server, says: 2, renewal: .ahead)
        var (cursor, uids, connections): (String?, [UInt32], Int) = (nil, [], 0)
        let delivering = Task {
            for number in 1...12 {
                try await server.deliver("Subject: \(number)\r\n\r\nx\r\n")
                if number % 4 == 0 { try await server.restart() }
                try await Task.sleep(for: .milliseconds(300))
            }
        }
        for try await connection in sessions where uids.count < 12 {
            connections += 1
            try await connection.use { connection in
                // Behind the three messages that are there.
                let behind = "\(try await validity(connection)):4"
                for try await new in connection.newMessages(since: cursor ?? behind) {
                    #expect(try await connection.ask("b1 UID FETCH \(new.uids[0]) FLAGS").hasPrefix("* "))
                    while try await connection.answer().hasPrefix("b1 ") == false {}
                    (uids, cursor) = (uids + new.uids, new.cursor)
                    if uids.count >= 12 { break }
                }
            }
            if uids.count >= 12 { break }
        }
        #expect(uids == Array(4...15))
        #expect(connections > 1)
        try await delivering.value
        await sessions.close()
    }

    /// UIDVALIDITY of INBOX.
    private func validity(_ connection: SessionConnection) async throws -> String {
        var (line, found) = (try await connection.ask("v1 EXAMINE INBOX"), "")
        while !line.hasPrefix("v1 ") {
            if let number = line.firstMatch(of: #/UIDVALIDITY (\d+)/#) { found = String(number.output.1) }
            line = try await connection.answer()
        }
        return found
    }

    @Test func aMailboxThatIsNotThereIsRefused() async throws {
        let server = try await TestingServer()
        let sessions = try open(server)
        let connection = try #require(try await sessions.makeAsyncIterator().next())
        let refused = try await thrown(MailboxRefused.self) {
            try await connection.newMessages(in: "No such").first { _ in true }
        }
        #expect(!refused.serverText.isEmpty)
        await #expect(throws: CoreError.self) { try await connection.newMessages(since: "x").first { _ in true } }
        #expect(try await connection.ask("a1 NOOP").hasPrefix("a1 OK"))
        await sessions.close()
    }
}

private final class Tag: @unchecked Sendable {
    private let lock = NSLock()
    private var tag = ""

    var text: String {
        get { lock.withLock { tag } }
        set { lock.withLock { tag = newValue } }
    }
}
