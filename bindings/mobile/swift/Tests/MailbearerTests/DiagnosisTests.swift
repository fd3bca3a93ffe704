import Foundation
import Testing

@testable import Mailbearer

/// A login that does not come about says the true reason, with the system's own words, at every front door.
@Suite(.timeLimit(.minutes(3)))
struct DiagnosisTests {
    /// A login finds its reason within 6 seconds, where the machine is not shared with a dozen others.
    private static let limit = Duration.seconds(6 + 4)

    /// How a login fails, once by `connect` and once by `sessions`, which say the same.
    private func fails(
        _ options: LoginOptions, _ mailProtocol: MailProtocol = .imap
    ) async throws -> (failure: Failure, underlying: (any Error)?) {
        let begun = ContinuousClock.now
        let error = try await thrown(LoginFailed.self) {
            try await connect(mailProtocol, user: "joe@example.org", token: .fixed("token"), options: options)
        }
        #expect(ContinuousClock.now - begun < Self.limit)
        let log = Log()
        let sessions = try sessions(
            mailProtocol, user: "joe@example.org", token: .fixed("token"), options: options, onEvent: log.add)
        let iterating = Task { try await sessions.makeAsyncIterator().next() }
        #expect(try await eventually { !log.of(.loginFailed).isEmpty })
        let told = try #require(log.of(.loginFailed).first)
        #expect(told.cause == error.failure.cause)
        #expect(told.text == error.failure.sentence)
        if error.failure.cause == .wrongTlsMode, options.tls == .startTls {
            // Before TLS nobody is believed: it is told, waited for and tried again.
            #expect(try await eventually { !log.of(.waiting).isEmpty })
            #expect(log.of(.gaveUp).isEmpty)
            iterating.cancel()
        } else if error.failure.advice == .fixConfiguration {
            let gaveUp = try await thrown(GaveUp.self) { try await iterating.value }
            #expect(gaveUp.failure == error.failure)
            #expect("\(gaveUp.underlying as Any)" == "\(error.underlying as Any)")
        }
        await sessions.close()
        return (error.failure, error.underlying)
    }

    // MARK: - Never connected

    @Test func aHostWithoutAddressIsNotFound() async throws {
        let (failure, underlying) = try await fails(LoginOptions(host: "no-such-host.invalid"))
        let resolver = try #require(underlying as? ResolverError)
        // Without a name server nobody knows.
        #expect(failure.cause == (resolver.name == "EAI_AGAIN" ? .unreachable : .hostNotFound))
        #expect(failure.sentence.contains("no-such-host.invalid:993: \(resolver.localizedDescription)"))
    }

    @Test func aPortWhereNobodyListensIsRefused() async throws {
        let (failure, underlying) = try await fails(LoginOptions(host: "localhost", port: 1))
        #expect(failure.cause == .connectionRefused)
        #expect(failure.advice == .backOff)
        #expect(failure.sentence.contains("localhost:1: Connection refused"))
        #expect((underlying as? POSIXError)?.code == .ECONNREFUSED)
    }

    @Test func aHostWithoutAWayIsUnreachable() async throws {
        // TCP does not go to a broadcast address: the system says so at once.
        let (failure, underlying) = try await fails(LoginOptions(host: "255.255.255.255"))
        #expect(failure.cause == .unreachable)
        #expect(failure.sentence.contains("255.255.255.255:993: Network is unreachable"))
        #expect((underlying as? POSIXError)?.code == .ENETUNREACH)
    }

    @Test func foundationFindsTheSystemsErrorUnderOurs() async throws {
        let error = try await thrown(LoginFailed.self) {
            try await connect(
                .imap, user: "joe@example.org", token: .fixed("token"), options: LoginOptions(host: "localhost", port: 1))
        }
        #expect((error.errorUserInfo[NSUnderlyingErrorKey] as? POSIXError)?.code == .ECONNREFUSED)
        #expect(error.localizedDescription == error.failure.sentence)
        #expect("\(error)" == error.failure.sentence)
    }

    @Test func whatAConnectorOfTheProgramThrowsIsToldAsWell() async throws {
        struct Refusing: Connector {
            let error: any Error

            func open(_ endpoint: Endpoint) async throws -> any Transport { throw error }
        }
        struct Mine: Error {}
        for (error, cause): (any Error, Cause) in [
            (POSIXError(.ECONNREFUSED), .connectionRefused), (POSIXError(.EHOSTUNREACH), .unreachable),
            (POSIXError(.ECONNRESET), .connectionLost),
            (TransportError.notConnected("no route"), .unreachable),
            (TransportError.tls("", error: "wrong version number"), .wrongTlsMode),
        ] {
            let (failure, _) = try await fails(LoginOptions(host: "localhost", connector: Refusing(error: error)))
            #expect(failure.cause == cause)
        }
        _ = try await thrown(Mine.self) {
            let options = LoginOptions(host: "localhost", connector: Refusing(error: Mine()))
            return try await connect(.imap, user: "joe@example.org", token: .fixed("token"), options: options)
        }
    }

    // MARK: - Connected, and lost in the handshake

    @Test(arguments: [false, true])
    func anEndInTheFirstHandshakeIsALostConnection(isReset: Bool) async throws {
        let server = RawServer { peer, _ in
            _ = peer.hear()
            if isReset {
                peer.reset()
            }
        }
        let (failure, underlying) = try await fails(LoginOptions(host: "127.0.0.1", port: server.port))
        #expect(failure.cause == .connectionLost)
        #expect(failure.sentence.contains("127.0.0.1:\(server.port)"))
        #expect((underlying as? POSIXError)?.code == (isReset ? .ECONNRESET : nil))
    }

    @Test func aResetBehindTheGreetingKeepsTheSystemsError() async throws {
        let server = RawServer { peer, _ in
            peer.say("* OK IMAP4rev1 ready\r\n")
            _ = peer.hear()
            peer.reset()
        }
        let options = LoginOptions(host: "127.0.0.1", port: server.port, tls: .startTls)
        let error = try await thrown(LoginFailed.self) {
            try await connect(.imap, user: "joe@example.org", token: .fixed("token"), options: options)
        }
        #expect(error.failure.cause == .connectionLost)
        #expect((error.underlying as? POSIXError)?.code == .ECONNRESET)
    }

    // MARK: - The wrong way of TLS

    @Test(arguments: [
        (MailProtocol.imap, "* OK IMAP4rev1 ready\r\n"), (.pop3, "+OK ready\r\n"), (.smtp, "220 mail.example.org ESMTP\r\n"),
        (.imap, "HTTP/1.1 400 Bad Request\r\n\r\n"), (.smtp, "554 5.7.1 no\r\n"),
    ])
    func aServerInTheClearUnderImplicitTlsIsTold(_ mailProtocol: MailProtocol, _ greeting: String) async throws {
        let server = RawServer { peer, _ in
            peer.say(greeting)
            peer.hearOut()
        }
        let (failure, _) = try await fails(LoginOptions(host: "127.0.0.1", port: server.port), mailProtocol)
        #expect(failure.cause == .wrongTlsMode, "\(failure.sentence)")
        #expect(failure.sentence.contains("127.0.0.1:\(server.port)"))
    }

    @Test(arguments: [MailProtocol.imap, .pop3, .smtp])
    func aTlsPortUnderStartTlsIsFoundOut(_ mailProtocol: MailProtocol) async throws {
        let server = try await TestingServer()
        var options = try server.options(mailProtocol, .implicit)
        options.tls = .startTls
        let (failure, _) = try await fails(options, mailProtocol)
        #expect(failure.cause == .wrongTlsMode)
        #expect(failure.sentence.contains("localhost:\(options.port ?? 0)"))
        #expect(try await server.events().contains { $0.what == "login" } == false)
    }

    @Test func aTlsPortIsFoundOutWhateverItsCertificate() async throws {
        let server = try await TestingServer()
        var options = try server.options(.imap, .implicit)
        (options.tls, options.connector) = (.startTls, systemConnector())
        #expect(try await fails(options).failure.cause == .wrongTlsMode)
    }

    @Test func aSlowServerIsNotDisturbed() async throws {
        let server = try await TestingServer()
        var options = try server.options(.imap, .startTls)
        let slow = try #require(options.port)
        let relay = RawServer { peer, _ in
            Thread.sleep(forTimeInterval: 6.5)
            peer.relay(to: slow)
        }
        options.port = relay.port
        let source = try TokenSource.fixed(try await server.issueToken())
        let connection = try await connect(.imap, user: TestingServer.user, token: source, options: options)
        #expect(try await connection.ask("a1 NOOP").hasPrefix("a1 OK"))
        // It was looked at once.
        #expect(relay.connections.value == 2)
        await connection.close()
    }

    @Test func aSilentServerThatSpeaksNoTlsTimesOut() async throws {
        let server = RawServer { peer, _ in peer.hearOut() }
        let options = LoginOptions(host: "127.0.0.1", port: server.port, tls: .startTls, timeout: .seconds(8))
        let error = try await thrown(LoginFailed.self) {
            try await connect(.imap, user: "joe@example.org", token: .fixed("token"), options: options)
        }
        #expect(error.failure.cause == .timedOut)
        #expect(server.connections.value == 2)
    }

    @Test func aSecondConnectionThatDoesNotComeAboutChangesNothing() async throws {
        struct Once: Connector {
            struct Mine: Error {}

            let connector: any Connector
            let count = Counter()

            func open(_ endpoint: Endpoint) async throws -> any Transport {
                guard count.next() == 1 else { throw Mine() }
                return try await connector.open(endpoint)
            }
        }
        let server = RawServer { peer, _ in
            Thread.sleep(forTimeInterval: 6)
            peer.say("* OK IMAP4rev1 ready\r\n")
            peer.say(peer.hearLine().prefix { $0 != " " } + " BAD\r\n")
            peer.hearOut()
        }
        let once = Once(connector: systemConnector())
        let options = LoginOptions(host: "127.0.0.1", port: server.port, tls: .startTls, connector: once)
        let error = try await thrown(LoginFailed.self) {
            try await connect(.imap, user: "joe@example.org", token: .fixed("token"), options: options)
        }
        #expect(error.failure.cause != .wrongTlsMode)
        #expect(once.count.value == 2)
        #expect(server.connections.value == 1)
    }

    @Test func authoritiesThatCannotBeReadAreNoFaultOfASilentServer() async throws {
        let server = RawServer { peer, _ in peer.hearOut() }
        let connector = systemConnector(trust: .file("/no/such/file"))
        let options = LoginOptions(host: "127.0.0.1", port: server.port, tls: .startTls, connector: connector)
        #expect(try await fails(options).failure.cause == .tlsFailed)
        #expect(server.connections.value == 0)
    }

    // MARK: - Ports and names that cannot work

    @Test func aPortOfTheOtherWayIsRefusedUnlessItIsMeant() async throws {
        for (port, tls): (UInt16, Tls) in [(993, .startTls), (143, .implicit)] {
            var options = LoginOptions(host: "localhost", port: port, tls: tls)
            let error = try await thrown(CoreError.self) { try Settings(.imap, "joe@example.org", options) }
            #expect(error.localizedDescription.contains("port"))
            #expect(error.localizedDescription.contains("unusualPort"))
            options.unusualPort = true
            #expect(try Settings(.imap, "joe@example.org", options).endpoint.tls == tls)
        }
        #expect(throws: CoreError.self) {
            try Settings(.imap, "joe@example.org", LoginOptions(host: "localhost", port: 465))
        }
    }

    @Test func aPortSaysHowTlsBegins() throws {
        for (port, tls): (UInt16, Tls) in [(143, .startTls), (993, .implicit), (10_143, .implicit)] {
            let options = LoginOptions(host: "localhost", port: port)
            #expect(try Settings(.imap, "joe@example.org", options).endpoint.tls == tls)
        }
        let submission = try Settings(.smtp, "joe@outlook.com", LoginOptions(port: 587)).endpoint
        #expect(submission.tls == .startTls)
        #expect(submission.host == "smtp-mail.outlook.com" || submission.host == "smtp.office365.com")
    }

    @Test func theNameInEhloIsTheOneThatWasGiven() async throws {
        let heard = Pending<String>()
        let server = RawServer { peer, _ in
            peer.say("220 ready\r\n")
            heard.resolve(.success(peer.hearLine()))
        }
        let options = LoginOptions(host: "127.0.0.1", port: server.port, tls: .startTls, ehloName: "client.example.org")
        _ = try await thrown(LoginFailed.self) {
            try await connect(.smtp, user: "joe@example.org", token: .fixed("token"), options: options)
        }
        #expect(try await heard.value() == "EHLO client.example.org\r\n")
    }

    @Test func whatIsWrongWithASettingIsSaidInItsDescription() async throws {
        let error = try await thrown(CoreError.self) {
            try Settings(.imap, "joe@example.org", LoginOptions(host: "mail.example.org:993"))
        }
        for shown in [error.localizedDescription, "\(error)"] {
            #expect(shown.contains("host"))
            #expect(shown.contains("CoreError") == false)
        }
    }

    // MARK: - Certificates

    private func refuses(_ server: TlsServer, _ trust: Trust, host: String = "localhost") async throws -> String {
        let options = LoginOptions(host: host, port: server.port, connector: systemConnector(trust: trust))
        let (failure, _) = try await fails(options)
        #expect(failure.cause == .tlsFailed)
        return failure.sentence
    }

    @Test func whoIssuedTheCertificateIsTold() async throws {
        let server = try await TlsServer.start(names: "DNS:localhost,DNS:*.example.org,IP:127.0.0.1,IP:2001:db8::1")
        let sentence = try await refuses(server, .system)
        #expect(sentence.contains("localhost:\(server.port): unable to get local issuer certificate"), "\(sentence)")
        #expect(sentence.contains("localhost, *.example.org, 127.0.0.1, 2001:db8::1"), "\(sentence)")
        #expect(sentence.contains("Example Shield"), "\(sentence)")
    }

    @Test func aCertificateThatIsOverIsToldWithItsLastDay() async throws {
        let server = try await TlsServer.start(names: "DNS:localhost", until: "2020-02-03")
        let sentence = try await refuses(server, .file(server.caFile))
        #expect(sentence.contains("certificate has expired"), "\(sentence)")
        #expect(sentence.contains("2020-02-03"), "\(sentence)")
        #expect(sentence.contains("Example Shield"), "\(sentence)")
    }

    @Test func aCertificateOfAnotherHostIsToldWithItsNames() async throws {
        let server = try await TlsServer.start(issuer: "/O=Example Shield", names: "DNS:mail.example.org,DNS:imap.example.org")
        let sentence = try await refuses(server, .file(server.caFile))
        #expect(sentence.contains("hostname mismatch"), "\(sentence)")
        #expect(sentence.contains("mail.example.org, imap.example.org"), "\(sentence)")
        #expect(sentence.contains("Example Shield"), "\(sentence)")
    }

    // MARK: - What servers say

    @Test(arguments: [
        "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname", "501 5.5.4 Invalid domain name",
    ])
    func aRefusedNameInEhloIsTold(_ reply: String) async throws {
        let server = try await TlsServer.start { line in
            line.isEmpty ? "220 mail.example.org ESMTP" : line.hasPrefix("EHLO ") || line.hasPrefix("HELO ") ? reply : nil
        }
        let options = LoginOptions(
            host: "localhost", port: server.port, connector: systemConnector(trust: .file(server.caFile)))
        let (failure, _) = try await fails(options, .smtp)
        #expect(failure.cause == .clientNameRefused)
        #expect(failure.sentence.contains(reply.dropFirst(10)), "\(failure.sentence)")
        #expect(failure.sentence.contains("ehloName"), "\(failure.sentence)")
    }

    @Test(arguments: [
        (MailProtocol.imap, "220 mail.example.org ESMTP"), (.pop3, "* OK IMAP4rev1 ready"), (.smtp, "+OK POP3 ready"),
    ])
    func anotherServiceIsTold(_ mailProtocol: MailProtocol, _ greeting: String) async throws {
        let server = try await TlsServer.start { $0.isEmpty ? greeting : nil }
        let options = LoginOptions(
            host: "localhost", port: server.port, connector: systemConnector(trust: .file(server.caFile)))
        #expect(try await fails(options, mailProtocol).failure.cause == .wrongService)
    }

    @Test func aPop3ThatIsOffIsTold() async throws {
        let server = try await TlsServer.start { line in
            switch line {
            case "": "+OK ready"
            case "CAPA": "+OK\r\nSASL XOAUTH2\r\n."
            case _ where line.hasPrefix("AUTH "): "-ERR [SYS/PERM] Your account is not enabled for POP access."
            default: nil
            }
        }
        let options = LoginOptions(
            host: "localhost", port: server.port, connector: systemConnector(trust: .file(server.caFile)))
        let (failure, _) = try await fails(options, .pop3)
        #expect(failure.cause == .protocolDisabled)
        #expect(failure.sentence.contains("not enabled for POP"))
    }
}
