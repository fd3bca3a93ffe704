import Foundation
import Mailbearer
import MailbearerTesting
import Testing

/// The testing server in Swift Testing, as a program's own tests use it: nothing here is internal to the package.
@Suite(.timeLimit(.minutes(2)))
struct AsUsersTests {
    private static let user = "joe@gmail.com"

    private func source(_ server: Server, lifetime: Duration? = nil) -> TokenSource {
        TokenSource { _ in try Token(server.issueToken(for: Self.user, lifetime: lifetime)) }
    }

    /// Asks for one line, and returns the answer's first.
    private func ask(_ connection: Connection, _ line: String) async throws -> String {
        try await connection.write(Data("\(line)\r\n".utf8))
        return String(decoding: try await connection.readLine(), as: UTF8.self)
    }

    @Test(arguments: [MailProtocol.imap, .pop3, .smtp], [Tls.implicit, .startTls])
    func everyProtocolLogsInByEitherWayOfTls(_ mailProtocol: MailProtocol, _ tls: Tls) async throws {
        let server = try await Server()
        let connection = try await connect(
            mailProtocol, user: Self.user, token: source(server), options: server.at(mailProtocol, tls: tls))
        let answer = try await ask(connection, mailProtocol == .imap ? "a1 NOOP" : "NOOP")
        #expect(["a1 OK", "+OK", "250"].contains { answer.hasPrefix($0) }, "\(answer)")
        #expect(try server.sessionCount() == 1)
        #expect(try server.events().contains { $0.what == "logged_in" && $0.protocol == "\(mailProtocol)" })
        await connection.close()
        await server.close()
    }

    @Test func itsTokensAreNobodyElsesUnlessTheyHaveOneSeed() async throws {
        var tokens: [String] = []
        for seed: UInt64? in [nil, nil, 5, 5] {
            let server = try await Server(seed: seed)
            tokens.append(try server.issueToken(for: Self.user))
            await server.close()
        }
        #expect(Set(tokens).count == 3)
        #expect(tokens[2] == tokens[3])
    }

    @Test func whatIsDeliveredEndsItsLinesInCrlf() async throws {
        let server = try await Server(messages: 0)
        try server.deliver("Subject: hello\n\nHello!\n", to: Self.user)
        #expect(try server.messages(of: Self.user) == [Data("Subject: hello\r\n\r\nHello!\r\n".utf8)])
    }

    @Test func whatItCannotSayIsToldWithWhatItCan() async throws {
        let server = try await Server()
        do {
            try server.refuse(.insufficientScope)
            Issue.record("Gmail has no words for it")
        } catch let error as TestingError {
            #expect(error.localizedDescription.hasPrefix("gmail has no words for insufficient_scope"), "\(error.localizedDescription)")
            #expect("\(error)" == error.localizedDescription)
        }
        await server.close()
    }

    @Test func aMessageMayBeTooLargeOrTooEarly() async throws {
        let server = try await Server(messageOctetsMax: 2_000, greylist: .seconds(3_600))
        let connection = try await connect(.smtp, user: Self.user, token: source(server), options: server.at(.smtp))
        await #expect(throws: NotTaken.self) {
            try await send("Subject: early\r\n\r\n", from: Self.user, to: ["eve@example.org"], connection)
        }
        #expect(try await ask(connection, "RSET").hasPrefix("250"))
        #expect(try await ask(connection, "MAIL FROM:<\(Self.user)> SIZE=2001").hasPrefix("552"))
        await connection.close()
        await server.close()
    }

    @Test func aMessageHasTheDateThatATestGives() async throws {
        let server = try await Server(messages: 0)
        try server.deliver("Subject: now\r\n\r\n", to: Self.user)
        try server.deliver("Subject: then\r\n\r\n", to: Self.user, date: Date(timeIntervalSince1970: 1_000_000_000))
        let dates = try server.messages(of: Self.user, in: "INBOX").map(\.dateMs)
        #expect(abs(dates[0] - Int64(Date().timeIntervalSince1970 * 1000)) < 600_000)
        #expect(dates[1] == 1_000_000_000_000)
        await server.close()
    }

    @Test func aSecondTaskThatReadsIsRefused() async throws {
        let server = try await Server()
        let connection = try await connect(.imap, user: Self.user, token: source(server), options: server.at(.imap))
        let reading = Task { try await connection.readLine() }
        // Whichever of the two comes second.
        var refused = 0
        for _ in 0..<100 where refused == 0 {
            let second = Task { try await connection.readLine() }
            try await Task.sleep(for: .milliseconds(20))
            second.cancel()
            do { _ = try await second.value } catch let error as CoreError {
                refused += 1
                #expect("\(error)".contains("one task at a time"))
            } catch {}
        }
        #expect(refused == 1)
        try await connection.write(Data("a1 NOOP\r\n".utf8))
        #expect(try await reading.value.starts(with: Data("a1 OK".utf8)))
        await connection.close()
        await server.close()
    }

    @Test func authoritiesThatCannotBeReadAreNamed() async throws {
        let server = try await Server()
        let options = LoginOptions(
            host: "localhost", port: server.port(.imap), connector: systemConnector(trust: .file("/no/such.pem")))
        do {
            _ = try await connect(.imap, user: Self.user, token: source(server), options: options)
            Issue.record("nobody is to be trusted")
        } catch let error as LoginFailed {
            #expect(error.localizedDescription.contains("the certificate authorities in /no/such.pem cannot be read"))
        }
        await server.close()
    }

    @Test func itsCertificateIsTrustedByNobodyElse() async throws {
        let server = try await Server()
        let options = LoginOptions(host: "localhost", port: server.port(.imap), provider: try .named("gmail"))
        do {
            _ = try await connect(.imap, user: Self.user, token: source(server), options: options)
            Issue.record("it was trusted")
        } catch let error as LoginFailed {
            #expect(error.failure.cause == .tlsFailed)
        }
        await server.close()
    }

    @Test func aTokenOfElsewhereIsRefused() async throws {
        let server = try await Server(flavour: .outlook)
        let revoked = try server.issueToken(for: Self.user)
        try server.revokeToken(revoked)
        for token in ["not.of.this.server", revoked] {
            do {
                _ = try await connect(.imap, user: Self.user, token: try .fixed(token), options: server.at(.imap))
                Issue.record("it was let in")
            } catch let error as LoginFailed {
                #expect(error.failure.advice == .refreshToken)
            }
        }
        await server.close()
    }

    @Test(arguments: [Cause.protocolDisabled, .accountDisabled, .rateLimited, .tooManyConnections])
    func refusalsAreOfTheCauseThatATestWants(_ cause: Cause) async throws {
        let server = try await Server(refuse: cause)
        do {
            _ = try await connect(.imap, user: Self.user, token: source(server), options: server.at(.imap))
            Issue.record("it was let in")
        } catch let error as LoginFailed {
            #expect(error.failure.cause == cause)
        }
        try server.refuse(nil)
        await (try await connect(.imap, user: Self.user, token: source(server), options: server.at(.imap))).close()
        await server.close()
    }

    @Test func sessionsLiveThroughExpiriesRestartsAndFaults() async throws {
        let server = try await Server(tokenLifetime: .seconds(60))
        var policy = SessionPolicy(renewal: .atEnd)
        (policy.backoffBase, policy.loginInterval) = (.milliseconds(20), .milliseconds(1))
        try server.setFault(.login, .drop)
        for try await connection in try sessions(
            .imap, user: Self.user, token: source(server), options: server.at(.imap), policy: policy)
        {
            try await connection.use { connection in
                #expect(try await ask(connection, "a1 NOOP").hasPrefix("a1 OK"))
                if connection.generation == 1 {
                    try server.restart()
                    _ = try await connection.wait()
                }
            }
            if connection.generation == 2 { break }
            #expect(connection.verdict?.cause == .shutdown, "\(String(describing: connection.verdict))")
        }
        await server.close()
    }

    @Test func newMailIsToldInIdle() async throws {
        let server = try await Server(messages: 0)
        let inbox = try sessions(.imap, user: Self.user, token: source(server), options: server.at(.imap))
        var found: [UInt32] = []
        for try await connection in inbox {
            try await connection.use { connection in
                for try await new in connection.newMessages(in: "INBOX") {
                    found += new.uids
                    if found.count == 3 { return }
                    try server.deliver("Subject: \(found.count)\r\n\r\nnews\r\n", to: Self.user)
                }
            }
            break
        }
        #expect(found.count == 3)
        #expect(try server.messages(of: Self.user).count == 3)
        await inbox.close()
        await server.close()
    }

    @Test func whatWasSentIsThere() async throws {
        let server = try await Server()
        let connection = try await connect(.smtp, user: Self.user, token: source(server), options: server.at(.smtp))
        for line in ["MAIL FROM:<joe@gmail.com>", "RCPT TO:<ann@example.org>", "DATA", "Subject: hello\r\n\r\nhello\r\n."] {
            #expect(["2", "3"].contains(try await ask(connection, line).prefix(1)))
        }
        let sent = try server.submitted()
        #expect(sent.map(\.recipients) == [["ann@example.org"]])
        #expect(String(decoding: sent[0].content, as: UTF8.self).hasPrefix("Subject: hello"))
        await connection.close()
        await server.close()
    }

    @Test func accountsAndMailboxesAreATests() async throws {
        let server = try await Server(flavour: .dovecot, messages: 0)
        try server.addUser("ann@example.org")
        try server.createMailbox("Work", of: "ann@example.org")
        try server.deliver("Subject: hi\r\n\r\nhi\r\n", to: "ann@example.org", mailbox: "Work", flags: ["\\Seen"])
        #expect(try server.users() == ["ann@example.org"])
        #expect(try server.mailboxes(of: "ann@example.org").contains("Work"))
        #expect(try server.messages(of: "ann@example.org", in: "Work").count == 1)
        try server.deleteMailbox("Work", of: "ann@example.org")
        #expect(try server.messages(of: "ann@example.org", in: "Work").isEmpty)
        // A refusal of one protocol leaves the others.
        try server.refuse(.protocolDisabled, over: .pop3)
        let source = TokenSource { _ in try Token(server.issueToken(for: "ann@example.org")) }
        await (try await connect(.imap, user: "ann@example.org", token: source, options: server.at(.imap))).close()
        await #expect(throws: LoginFailed.self) {
            try await connect(.pop3, user: "ann@example.org", token: source, options: server.at(.pop3))
        }
        await server.close()
    }

    /// Whatever its clients are in the middle of: it ends, and so do they.
    @Test func aServerThatIsClosedLeavesNobodyWaiting() async throws {
        let server = try await Server()
        // It strikes the first, which so has come when that is told.
        try server.setFault(.greeting, .vanish)
        let waiting = Task {
            try await connect(.imap, user: Self.user, token: self.source(server), options: server.at(.imap))
        }
        while try !server.events().contains(where: { $0.what == "connected" }) {
            try await Task.sleep(for: .milliseconds(5))
        }
        let online = try await connect(.smtp, user: Self.user, token: source(server), options: server.at(.smtp, tls: .startTls))
        await server.close()
        await #expect(throws: LoginFailed.self) { try await waiting.value }
        #expect(((try? await online.read()) ?? Data()).isEmpty)
        // And again, which does nothing.
        await server.close()
    }

    @Test func aServerThatNobodyRefersToEnds() async throws {
        var server: Server? = try await Server()
        let connection = try await connect(.pop3, user: Self.user, token: source(server!), options: server!.at(.pop3))
        let port = server!.port(.pop3)
        server = nil
        #expect(((try? await connection.read()) ?? Data()).isEmpty)
        // Soon nothing listens there any more.
        let options = LoginOptions(host: "localhost", port: port, provider: try .named("gmail"), timeout: .seconds(1))
        var cause: Cause?
        for _ in 0..<100 where cause != .connectionRefused {
            do {
                _ = try await connect(.pop3, user: Self.user, token: try .fixed("token"), options: options)
            } catch let error as LoginFailed {
                cause = error.failure.cause
            }
        }
        #expect(cause == .connectionRefused)
    }
}
