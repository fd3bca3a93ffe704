import Foundation
import Testing

@testable import Mailbearer

/// The machines as programs use them that have sockets of their own: errors, panics, many tasks.
@Suite(.timeLimit(.minutes(3)))
struct MachineTests {
    private static let config = NegotiationConfig(
        endpoint: Endpoint(protocol: .imap, tls: .implicit, host: "mail.example.org", port: 993),
        identity: Identity(user: "joe@example.org")
    )

    @Test func aPanicInRustIsAnError() throws {
        #expect(throws: CoreError.self) { try provokePanic() }
        do {
            try provokePanic()
        } catch CoreError.Internal(let message) {
            #expect(message.contains("report"))
        }
    }

    @Test func aCallThatDoesNotFitIsAMisuse() throws {
        let negotiation = try Negotiation(config: Self.config, token: AccessToken(token: "token"))
        do {
            _ = try negotiation.tlsEstablished()
            Issue.record("the call went through")
        } catch CoreError.Misuse {}
    }

    @Test func aProviderThatTakesNoTokensSaysWhatToDoInstead() throws {
        #expect(try providerNamed(name: "gmail").oauth?.tokenEndpoint == "https://oauth2.googleapis.com/token")
        let instead = try #require(try providerOfAddress(address: "joe@gmx.net")?.instead)
        do {
            _ = try Settings(.imap, "joe@gmx.net", LoginOptions())
            Issue.record("the settings were taken")
        } catch CoreError.Config(let message) {
            #expect(message == "gmx cannot be logged in to with OAuth. \(instead)")
        }
    }

    @Test func errorsNameTheFieldAndNotTheValue() throws {
        let secret = "secret\u{1}token"
        do {
            _ = try AccessToken(token: secret)
            Issue.record("the token was taken")
        } catch CoreError.Config(let message) {
            #expect(message.contains("offset 6"))
            #expect(message.contains("secret") == false)
        }
    }

    @Test func manyTasksMayUseOneMachine() async throws {
        let watch = try Watch(protocol: .imap)
        let session = try Session(config: SessionConfig(negotiation: Self.config), seed: 1)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    for number in 0..<500 {
                        try watch.sent(bytes: Data("a\(task)x\(number) NOOP\r\n".utf8))
                        _ = try watch.received(bytes: Data("a\(task)x\(number) OK\r\n".utf8))
                        _ = try watch.aftermath()
                        _ = try session.handle(nowMs: UInt64(number), input: number % 2 == 0 ? .start : .stop)
                        _ = try session.snapshot()
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try watch.isQuiet())
        #expect(try session.handle(nowMs: 1000, input: .stop).wakeAtMs == nil)
        #expect(try session.status().phase == .stopped)
    }

    @Test func manyTasksMayLogInAtOnce() async throws {
        let server = try await TestingServer()
        let calls = Counter()
        let source = TokenSource { _ in
            calls.next()
            return try Token(try await server.issueToken())
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<20 {
                group.addTask {
                    let options = try server.options(.imap, number % 2 == 0 ? .implicit : .startTls)
                    let connection = try await connect(.imap, user: TestingServer.user, token: source, options: options)
                    for tag in 0..<10 {
                        #expect(try await connection.ask("a\(tag) NOOP").hasPrefix("a\(tag) OK"))
                    }
                    await connection.close()
                }
            }
            try await group.waitForAll()
        }
        #expect(calls.value <= 20)
    }

    @Test func manyTasksMayWriteToOneConnection() async throws {
        let server = try await TestingServer()
        let source = try TokenSource.fixed(try await server.issueToken())
        let sessions = try sessions(.imap, user: TestingServer.user, token: source, options: try server.options(.imap))
        let connection = try #require(try await sessions.makeAsyncIterator().next())
        let answers = Task {
            var tags: Set<Substring> = []
            while tags.count < 400 {
                let line = try await connection.answer()
                tags.insert(line.prefix { $0 != " " })
            }
            return tags
        }
        await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    for number in 0..<50 {
                        try await connection.write(Data("a\(task)x\(number) NOOP\r\n".utf8))
                    }
                }
            }
        }
        #expect(try await answers.value.count == 400)
        await sessions.close()
    }

    @Test func aLargeMessageIsWrittenWhole() async throws {
        let server = try await TestingServer()
        let source = try TokenSource.fixed(try await server.issueToken())
        let options = try server.options(.smtp)
        let connection = try await connect(.smtp, user: TestingServer.user, token: source, options: options)
        #expect(try await connection.ask("MAIL FROM:<joe@gmail.com>").hasPrefix("250"))
        #expect(try await connection.ask("RCPT TO:<eve@example.org>").hasPrefix("250"))
        #expect(try await connection.ask("DATA").hasPrefix("354"))
        // More than the buffers of both sides hold.
        let line = String(repeating: "0123456789", count: 7) + "\r\n"
        try await connection.write(Data(String(repeating: line, count: 100_000).utf8))
        #expect(try await connection.ask(".").hasPrefix("250"))
        #expect(try await server.submittedOctets() >= 100_000 * 72)
        await connection.close()
    }
}
