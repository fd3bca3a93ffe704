import Foundation
import Testing

@testable import Mailbearer

/// A login, from nothing to a connection that answers, and all the ways in which it does not work.
@Suite(.timeLimit(.minutes(3)))
struct ConnectTests {
    private static let ways: [(MailProtocol, Tls)] = [
        (.imap, .implicit), (.imap, .startTls), (.pop3, .implicit), (.pop3, .startTls), (.smtp, .implicit), (.smtp, .startTls),
    ]

    private static func noop(_ mailProtocol: MailProtocol) -> (String, String) {
        switch mailProtocol {
        case .imap: ("a1 NOOP", "a1 OK")
        case .pop3: ("NOOP", "+OK")
        case .smtp: ("NOOP", "250 ")
        }
    }

    private func fails(_ server: TestingServer, _ tls: Tls = .implicit, timeout: Duration = .seconds(60)) async throws -> Failure {
        let source = TokenSource { _ in try Token(try await server.issueToken()) }
        var options = try server.options(.imap, tls)
        options.timeout = timeout
        do {
            _ = try await connect(.imap, user: TestingServer.user, token: source, options: options)
        } catch let error as LoginFailed {
            return error.failure
        }
        throw TestingServer.Failed(reason: "the login worked")
    }

    @Test(arguments: ways)
    func logsIn(_ mailProtocol: MailProtocol, _ tls: Tls) async throws {
        let server = try await TestingServer()
        let source = try TokenSource.fixed(try await server.issueToken())
        let options = try server.options(mailProtocol, tls)
        let connection = try await connect(mailProtocol, user: TestingServer.user, token: source, options: options)
        let (question, answer) = Self.noop(mailProtocol)
        #expect(try await connection.ask(question).hasPrefix(answer))
        #expect(connection.login.mechanism == .xoauth2)
        #expect(connection.login.roundTrips > 0)
        #expect(connection.login.duration > .zero)
        await connection.close()
        #expect(try await eventually { try await server.sessionCount() == 0 })
    }

    @Test func aRefusedTokenIsReplacedOnce() async throws {
        let server = try await TestingServer()
        let old = try await server.issueToken()
        try await server.revoke(old)
        let source = TokenSource { try Token($0 ? try await server.issueToken() : old) }
        let options = try server.options(.imap)
        let connection = try await connect(.imap, user: TestingServer.user, token: source, options: options)
        #expect(try await connection.ask("a1 NOOP").hasPrefix("a1 OK"))
        await connection.close()
    }

    @Test func aFixedTokenThatIsRefusedIsAFailure() async throws {
        let server = try await TestingServer()
        let token = try await server.issueToken()
        try await server.revoke(token)
        let error = try await thrown(LoginFailed.self) {
            try await connect(
                .imap, user: TestingServer.user, token: try .fixed(token), options: try server.options(.imap))
        }
        #expect(error.failure.cause == .tokenRejected)
        #expect(error.failure.advice == .refreshToken)
        #expect(error.failure.sentence.hasSuffix("give a function that gets a fresh one."))
        #expect("\(error) \(error.localizedDescription)".contains(token) == false)
        #expect(try await server.events().filter { $0.what == "refused" }.count == 1)
    }

    @Test func aSourceThatGivesTheRefusedTokenAgainIsTold() async throws {
        let server = try await TestingServer()
        let token = try await server.issueToken()
        try await server.revoke(token)
        let source = TokenSource { _ in try Token(token) }
        let error = try await thrown(LoginFailed.self) {
            try await connect(.imap, user: TestingServer.user, token: source, options: try server.options(.imap))
        }
        #expect(error.failure.sentence.contains("gave the same token again"))
    }

    @Test func whatTheTokenSourceThrowsIsThrown() async throws {
        let server = try await TestingServer()
        let source = TokenSource { _ in throw TokenSourceFailed("no consent", isPermanent: true) }
        let error = try await thrown(TokenSourceFailed.self) {
            try await connect(.imap, user: TestingServer.user, token: source, options: try server.options(.imap))
        }
        #expect(error.reason == "no consent")
    }

    @Test func aRefusalIsToldByItsCause() async throws {
        let server = try await TestingServer()
        try await server.refuse("unavailable")
        #expect(try await fails(server).cause == .unavailable)
    }

    // MARK: - TLS

    @Test func aCertificateOfAnUnknownAuthorityIsRefused() async throws {
        let server = try await TestingServer()
        var options = try server.options(.imap)
        options.connector = systemConnector()
        let error = try await thrown(LoginFailed.self) {
            try await connect(.imap, user: TestingServer.user, token: try .fixed("token"), options: options)
        }
        #expect(error.failure.cause == .tlsFailed)
        #expect(error.failure.sentence.contains("certificate"))
    }

    @Test(arguments: ["mail.example.org", "192.0.2.1"])
    func aCertificateOfAnotherHostIsRefused(_ host: String) async throws {
        let server = try await TestingServer()
        let port = try #require(try server.options(.imap).port)
        let socket = try await Socket.connect(host: "localhost", port: port)
        let transport = OpenSSLTransport(socket, try TlsEngine(host: host, trust: .file(server.caFile)))
        let error = try await thrown(TransportError.self) { try await transport.startTls() }
        guard case .certificate(let reason, let certificate, _) = error else {
            Issue.record(error)
            return
        }
        #expect(reason.contains("mismatch"))
        #expect(certificate.isEmpty == false)
    }

    @Test func authoritiesThatCannotBeReadAreAFailure() async throws {
        let server = try await TestingServer()
        var options = try server.options(.imap)
        options.connector = systemConnector(trust: .file("/no/such/file"))
        let error = try await thrown(LoginFailed.self) {
            try await connect(.imap, user: TestingServer.user, token: try .fixed("token"), options: options)
        }
        #expect(error.failure.cause == .tlsFailed)
    }

    @Test func octetsBehindTheUpgradeAreInjected() async throws {
        let server = try await TestingServer()
        try await server.setFault("upgrade", "inject")
        #expect(try await fails(server, .startTls).cause == .plaintextInjected)
    }

    @Test func shortLinesAreNotHeldBack() async throws {
        let server = try await TestingServer()
        let socket = try await Socket.connect(host: "localhost", port: try #require(try server.options(.imap).port))
        var isOff: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        #expect(getsockopt(socket.descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &isOff, &size) == 0)
        #expect(isOff == 1)
    }

    // MARK: - Servers that break off

    @Test(arguments: [
        ("greeting", "drop", Cause.connectionLost), ("verdict", "drop", .connectionLost), ("verdict", "flood", .limitExceeded),
        ("greeting", "garbage", .protocolViolation),
    ])
    func faultsAreToldByTheirCause(_ stage: String, _ kind: String, _ cause: Cause) async throws {
        let server = try await TestingServer()
        try await server.setFault(stage, kind)
        #expect(try await fails(server).cause == cause)
    }

    @Test func aServerThatIsSilentTimesOut() async throws {
        let server = try await TestingServer()
        try await server.setFault("verdict", "vanish")
        #expect(try await fails(server, timeout: .seconds(2)).cause == .timedOut)
    }

    @Test func aCancelledLoginEndsAtOnceAndHangsUp() async throws {
        let server = try await TestingServer()
        try await server.setFault("greeting", "vanish")
        let begun = ContinuousClock.now
        let login = Task {
            try await connect(
                .imap, user: TestingServer.user, token: try .fixed("token"), options: try server.options(.imap))
        }
        #expect(try await eventually { try await server.events().contains { $0.what == "connected" } })
        login.cancel()
        await #expect(throws: CancellationError.self) { try await login.value }
        #expect(ContinuousClock.now - begun < .seconds(40))
        #expect(try await eventually { try await server.events().contains { $0.what == "closed" } })
    }

    // MARK: - Settings

    @Test func settingsAreCheckedBeforeAnyIO() async throws {
        let wrong = [
            LoginOptions(host: "bad host"), LoginOptions(host: "localhost", timeout: .zero), LoginOptions(host: "localhost", authzid: "a\u{1}"),
            LoginOptions(provider: Provider(name: "none", domains: [], tokenLifetimeMs: nil, services: [], oauth: nil, instead: nil)),
        ]
        for options in wrong {
            await #expect(throws: CoreError.self) {
                try await connect(.imap, user: TestingServer.user, token: try .fixed("token"), options: options)
            }
        }
        await #expect(throws: CoreError.self) {
            try await connect(.imap, user: "joe@example.org", token: try .fixed("token"))
        }
        #expect(throws: CoreError.self) { try Token("two words") }
    }
}
