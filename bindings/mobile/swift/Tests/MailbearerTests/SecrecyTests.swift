import Foundation
import Testing

@testable import Mailbearer

/// Whatever of this package is printed, dumped or mirrored: it shows no token.
@Suite(.timeLimit(.minutes(3)))
struct SecrecyTests {
    /// Short, so that the octets that carry it are few enough to be shown one by one.
    private static let secret = "Canary0Token1"
    private static let config = NegotiationConfig(
        endpoint: Endpoint(protocol: .imap, tls: .implicit, host: "mail.example.org", port: 993),
        identity: Identity(user: "joe@example.org")
    )

    /// What is shown of a value, in each way in which Swift shows one.
    private static func shown(_ value: Any) -> String {
        var dumped = ""
        dump(value, to: &dumped)
        return [String(describing: value), String(reflecting: value), dumped, mirrored(value, 0)].joined(separator: "\n")
    }

    private static func mirrored(_ value: Any, _ depth: Int) -> String {
        guard depth < 12 else { return "" }
        return Mirror(reflecting: value).children.map { "\($0.value) \(mirrored($0.value, depth + 1))" }.joined(separator: "\n")
    }

    /// Whether a text holds the secret: as it is, in base64 at any place of its three, or octet by octet.
    private static func leaks(_ text: String) -> Bool {
        let secret = Array(Self.secret.utf8)
        let forms = (0..<3).map { place in
            let encoded = Data(Array(repeating: 0, count: place) + secret).base64EncodedString()
            return String(encoded.dropFirst(place == 0 ? 0 : 4).prefix(8))
        }
        // `dump` puts each octet on a line of its own.
        let octets = text.split(whereSeparator: { !$0.isNumber }).compactMap { UInt8($0) }
        let isOctets = octets.indices.contains { octets[$0...].starts(with: secret.prefix(6)) }
        let isEncoded = octets.indices.contains { start in
            forms.contains { octets[start...].starts(with: Array($0.utf8)) }
        }
        return isOctets || isEncoded || text.contains("Canary0T") || forms.contains { text.contains($0) }
    }

    private func expectNoLeak(_ value: Any, sourceLocation: SourceLocation = #_sourceLocation) {
        let text = Self.shown(value)
        #expect(Self.leaks(text) == false, "\(text)", sourceLocation: sourceLocation)
    }

    @Test func theTestFindsALeak() {
        struct Leaking {
            let token: Any
        }
        #expect(Self.leaks(Self.shown(Leaking(token: Self.secret))))
        #expect(Self.leaks(Self.shown(Leaking(token: Data(Self.secret.utf8)))))
        for place in 0..<3 {
            let message = Data((String(repeating: "x", count: place) + Self.secret).utf8).base64EncodedString()
            #expect(Self.leaks(Self.shown(Leaking(token: message))))
            #expect(Self.leaks(Self.shown(Leaking(token: Data(message.utf8)))))
        }
    }

    @Test func tokensAndSourcesShowNone() async throws {
        expectNoLeak(try Token(Self.secret, expiresIn: .seconds(3600)))
        expectNoLeak(try AccessToken(token: Self.secret))
        expectNoLeak(try TokenSource.fixed(Self.secret))
        let secret = Self.secret
        let source = TokenSource { _ in try Token(secret) }
        _ = try await source.token(forceRefresh: false)
        expectNoLeak(source)
        let token = try AccessToken(token: Self.secret)
        expectNoLeak(Input.token(request: 1, token: token, expiresInMs: nil))
    }

    @Test func stepsOfALoginShowNone() throws {
        for initialResponse: InitialResponse in [.always, .never] {
            let config = NegotiationConfig(
                endpoint: Self.config.endpoint, identity: Identity(user: "j"), initialResponse: initialResponse)
            let negotiation = try Negotiation(config: config, token: AccessToken(token: Self.secret))
            var step = try negotiation.receive(bytes: Data("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n".utf8))
            expectNoLeak(step)
            if initialResponse == .never {
                step = try negotiation.receive(bytes: Data("+ \r\n".utf8))
            }
            #expect(step.sensitive)
            #expect(step.send.count < 90)
            expectNoLeak(step)
            expectNoLeak(Action.send(ticket: 1, bytes: step.send, sensitive: true))
            expectNoLeak(negotiation)
        }
    }

    @Test func whatIsNoSecretIsShown() throws {
        let negotiation = try Negotiation(config: Self.config, token: AccessToken(token: Self.secret))
        let step = try negotiation.receive(bytes: Data("* OK hi\r\n".utf8))
        #expect(Self.shown(step).contains("sensitive: false"))
        let actions: [Action] = [
            .fetchToken(request: 1, why: .login, forceRefresh: true), .connect(ticket: 7, attempt: 1),
            .send(ticket: 7, bytes: step.send, sensitive: false), .startTls(ticket: 7),
            .online(ticket: 7, generation: 1, mechanism: nil, capabilities: [], leftover: Data(), resumed: nil),
            .renew(ticket: 7, byMs: 1, why: .tokenExpiry), .close(ticket: 7, cause: .shutdown),
            .needsUser(failure: try failureOfHost(cause: .tlsFailed, detail: "why")),
            .giveUp(failure: try failureOfHost(cause: .tlsFailed, detail: "why")),
        ]
        for action in actions {
            #expect(Self.shown(action).contains("7") || Self.shown(action).contains("why"))
        }
    }

    @Test func liveSessionsAndTheirErrorsShowNone() async throws {
        struct Holding: Error {
            let token = SecrecyTests.secret
        }
        let server = try await TestingServer()
        let source = TokenSource { _ in try Token(try await server.issueToken()) }
        let all = try sessions(.imap, user: TestingServer.user, token: source, options: try server.options(.imap))
        let connection = try #require(try await all.makeAsyncIterator().next())
        // Half of a token that the server says is not taken in by anything that can be shown.
        try await connection.write(Data("a1 \(Self.secret)\r\n".utf8))
        _ = try await connection.answer()
        expectNoLeak(connection)
        expectNoLeak(all)
        expectNoLeak(connection.login)
        expectNoLeak(try all.status())
        await all.close()
        let failure = try failureOfHost(cause: .tokenUnavailable, detail: words(of: Holding()))
        expectNoLeak(NeedsUser(failure: failure, underlying: Holding()))
        expectNoLeak(LoginFailed(failure, underlying: Holding()))
        expectNoLeak(GaveUp(failure: failure, underlying: Holding()))
    }

    @Test func aServerThatEchoesTheTokenPutsItIntoNoFailure() async throws {
        let secret = String(repeating: Self.secret, count: 4)
        for said in [secret, Data("user=j\u{1}auth=Bearer \(secret)\u{1}\u{1}".utf8).base64EncodedString()] {
            let negotiation = try Negotiation(config: Self.config, token: AccessToken(token: secret))
            let step = try negotiation.receive(bytes: Data("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n".utf8))
            let tag = String(decoding: step.send.prefix { $0 != UInt8(ascii: " ") }, as: UTF8.self)
            // In pieces of seven octets.
            let reply = Array("* BAD \(said)\r\n\(tag) NO \(said)\r\n".utf8)
            var last = step
            for start in stride(from: 0, to: reply.count, by: 7) {
                last = try negotiation.receive(bytes: Data(reply[start..<min(start + 7, reply.count)]))
            }
            guard case .failed = last.next else {
                Issue.record("\(last.next)")
                return
            }
            expectNoLeak(last)
        }
    }

    // MARK: - Traces

    /// Reads seven octets at a time.
    private struct Cutting: Connector {
        struct Cut: Transport {
            let whole: any Transport
            let inbox = Inbox()

            func read() async throws -> Data {
                if inbox.isEmpty {
                    let more = try await whole.read()
                    more.isEmpty ? inbox.finish(nil) : inbox.put(more)
                }
                let data = try await inbox.read()
                inbox.put(Data(data.dropFirst(7)))
                return data.prefix(7)
            }

            func write(_ data: Data) async throws { try await whole.write(data) }
            func startTls() async throws { try await whole.startTls() }
            func close() async { await whole.close() }
            func abort() { whole.abort() }
        }

        let connector: any Connector

        func open(_ endpoint: Endpoint) async throws -> any Transport { Cut(whole: try await connector.open(endpoint)) }
    }

    private final class Lines: @unchecked Sendable {
        private let lock = NSLock()
        private var lines: [TraceLine] = []

        @Sendable func add(_ line: TraceLine) { lock.withLock { lines.append(line) } }
        var all: [TraceLine] { lock.withLock { lines } }
        func of(_ side: Side) -> [String] { all.filter { $0.side == side }.map(\.text) }
    }

    @Test(arguments: [MailProtocol.imap, .pop3, .smtp])
    func aTraceShowsWholeLinesAndNoToken(_ mailProtocol: MailProtocol) async throws {
        let server = try await TestingServer()
        let lines = Lines()
        var options = try server.options(mailProtocol, .startTls)
        (options.connector, options.trace) = (Cutting(connector: options.connector), lines.add)
        let token = try await server.issueToken()
        let source = try TokenSource.fixed(token)
        let connection = try await connect(mailProtocol, user: TestingServer.user, token: source, options: options)
        await connection.close()
        let (said, heard) = (lines.of(.client), lines.of(.server))
        #expect(said.contains { $0.hasSuffix("STARTTLS") || $0 == "STLS" }, "\(said)")
        #expect(said.contains { $0.contains("XOAUTH2 <token") || $0.hasPrefix("<token") }, "\(said)")
        #expect(heard.contains { $0.hasPrefix("* OK ") || $0.hasPrefix("+OK ") || $0.hasPrefix("220 ") }, "\(heard)")
        // What came in pieces of seven octets is lines again.
        #expect(heard.allSatisfy { $0.count != 7 || $0.hasPrefix("334") || $0.hasPrefix("+OK") || $0.hasPrefix("250") }, "\(heard)")
        let shown = "\(lines.all)"
        #expect((0..<token.count - 8).allSatisfy { !shown.contains(String(token.dropFirst($0).prefix(8))) })
    }

    @Test func sessionsAreTracedAsWell() async throws {
        let server = try await TestingServer()
        let lines = Lines()
        var options = try server.options(.imap)
        options.trace = lines.add
        let source = TokenSource { _ in try Token(try await server.issueToken()) }
        let all = try sessions(.imap, user: TestingServer.user, token: source, options: options)
        let connection = try #require(try await all.makeAsyncIterator().next())
        let count = lines.all.count
        #expect(lines.of(.client).contains { $0.contains("XOAUTH2 <token") })
        // The login is traced, and not what the program says after it.
        _ = try await connection.ask("a1 NOOP")
        #expect(lines.all.count == count)
        await all.close()
    }

    @Test func anEchoOfTheTokenIsMaskedHoweverItIsCut() throws {
        let secret = "ya29.\(Self.secret)IsLongEnough"
        let message = Data("user=j\u{1}auth=Bearer \(secret)\u{1}\u{1}".utf8).base64EncodedString()
        for said in [secret, message] {
            for size in 1...9 {
                let transcript = try Transcript(token: AccessToken(token: secret))
                let reply = Array("A1 BAD what is \(said)?\r\n".utf8)
                var lines: [TraceLine] = []
                for start in stride(from: 0, to: reply.count, by: size) {
                    lines += try transcript.received(bytes: Data(reply[start..<min(start + size, reply.count)]))
                }
                expectNoLeak(lines)
                #expect(lines.count == 1)
                #expect(lines[0].text.hasPrefix("A1 BAD what is "))
            }
        }
    }
}
