import COpenSSL
import Foundation
import Glibc
import Testing

@testable import Mailbearer

/// Sockets, addresses, time-outs and what is verified.
@Suite(.timeLimit(.minutes(3)))
struct TransportTests {
    private func option(_ socket: Socket, _ level: Int32, _ name: Int32) -> Int32 {
        var (value, size) = (Int32(-1), socklen_t(MemoryLayout<Int32>.size))
        getsockopt(socket.descriptor, level, name, &value, &size)
        return value
    }

    @Test func aPeerThatIsGoneIsNoticedByTcp() async throws {
        let server = RawServer { peer, _ in peer.hearOut() }
        let socket = try await Socket.connect(host: "127.0.0.1", port: server.port)
        let tcp = Int32(IPPROTO_TCP)
        #expect(option(socket, SOL_SOCKET, SO_KEEPALIVE) == 1)
        let (idle, interval, count) = (
            option(socket, tcp, TCP_KEEPIDLE), option(socket, tcp, TCP_KEEPINTVL), option(socket, tcp, TCP_KEEPCNT)
        )
        #expect(idle > 0 && idle + interval * count <= 120)
        #expect(option(socket, tcp, TCP_USER_TIMEOUT) == 120_000)
    }

    // MARK: - Waiting

    /// How often the threads of a name have waited.
    private func waits(of name: String) throws -> Int {
        let tasks = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")
        func text(_ task: String, _ file: String) -> String {
            (try? String(contentsOfFile: "/proc/self/task/\(task)/\(file)", encoding: .utf8)) ?? ""
        }
        return tasks.filter { text($0, "comm") == "\(name)\n" }.reduce(0) { sum, task in
            let line = text(task, "status").split(separator: "\n").first { $0.hasPrefix("voluntary_ctxt_switches:") }
            return sum + (line.flatMap { Int($0.filter(\.isNumber)) } ?? 0)
        }
    }

    /// A phone, and a server with many accounts, pays for each wake.
    @Test func aSocketThatWaitsWakesNothing() async throws {
        let speaks = DispatchSemaphore(value: 0)
        let server = RawServer { peer, _ in
            speaks.wait()
            peer.say("hi")
            peer.hearOut()
        }
        let socket = try await Socket.connect(host: "127.0.0.1", port: server.port)
        let readiness = Readiness("waits alone")
        let number = readiness.number()
        let waiting = Task { try await readiness.wait(number, socket.descriptor, .read) }
        #expect(try await eventually { try waits(of: "waits alone") > 0 })
        let before = try waits(of: "waits alone")
        try await Task.sleep(for: .seconds(3))
        #expect(try waits(of: "waits alone") == before)
        speaks.signal()
        try await waiting.value
        #expect(try socket.receive() == Data("hi".utf8))
    }

    /// Dispatch's own sources were seen to miss this.
    @Test func aResetIsToldToAllWhoWait() async throws {
        let resets = DispatchSemaphore(value: 0)
        let server = RawServer { peer, _ in
            resets.wait()
            peer.reset()
        }
        let socket = try await Socket.connect(host: "127.0.0.1", port: server.port)
        while try socket.send(Data(count: 1 << 20)) > 0 {}
        let (reading, writing) = (Task { try await socket.wait(.read) }, Task { try await socket.wait(.write) })
        let givenUp = [Socket.Direction.read, .write].map { direction in Task { try await socket.wait(direction) } }
        try await Task.sleep(for: .milliseconds(100))
        for task in givenUp {
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
        resets.signal()
        try await reading.value
        try await writing.value
        #expect(throws: TransportError.self) { while try socket.receive() != nil {} }
    }

    // MARK: - Addresses

    private func loopback(_ port: UInt16) async throws -> [Address] {
        try await Address.of("127.0.0.1", port)
    }

    @Test func theNextAddressIsTriedWhereOneSaysNothing() async throws {
        let (swallower, server) = (Swallower(), RawServer { peer, _ in peer.hearOut() })
        let begun = ContinuousClock.now
        let (mute, good) = (try await loopback(swallower.port), try await loopback(server.port))
        let socket = try await Socket.connect(to: mute + mute + good)
        #expect(socket.descriptor >= 0)
        let took = ContinuousClock.now - begun
        #expect(took > .milliseconds(450), "\(took)")
    }

    @Test func theNextAddressIsTriedAtOnceWhereOneRefuses() async throws {
        let server = RawServer { peer, _ in peer.hearOut() }
        let begun = ContinuousClock.now
        let (closed, good) = (try await loopback(1), try await loopback(server.port))
        let all = Array(repeating: closed, count: 240).flatMap { $0 } + good
        _ = try await Socket.connect(to: all)
        // One after the other, with a quarter of a second between them, it would be a minute.
        #expect(ContinuousClock.now - begun < .seconds(50))
        // Where none answers, a refusal says most.
        let error = try await thrown(TransportError.self) { try await Socket.connect(to: closed + closed) }
        #expect((error.underlying as? POSIXError)?.code == .ECONNREFUSED)
    }

    @Test func aSlowAddressMayStillAnswer() async throws {
        let swallower = Swallower()
        let addresses = try await loopback(swallower.port) + loopback(1)
        let connecting = Task { try await Socket.connect(to: addresses) }
        try await Task.sleep(for: .milliseconds(600))
        // The second has refused by now; the first was not given up for it.
        swallower.open()
        #expect(try await connecting.value.descriptor >= 0)
    }

    @Test func familiesTakeTurns() async throws {
        let (six, four) = (try await Address.of("::1", 1), try await Address.of("127.0.0.1", 1))
        let (a, b) = (try #require(six.first), try #require(four.first))
        let (mostlySix, beginsWithFour) = (interleaved([a, a, a, b]), interleaved([b, a, a]))
        #expect(mostlySix == [a, b, a, a])
        #expect(beginsWithFour == [b, a, a])
        #expect(interleaved([]).isEmpty)
    }

    // MARK: - Time-outs

    @Test func aFirewallThatDropsIsToldAsUnreachable() async throws {
        let swallower = Swallower()
        let options = LoginOptions(host: "127.0.0.1", port: swallower.port, timeout: .seconds(2))
        let error = try await thrown(LoginFailed.self) {
            try await connect(.imap, user: "joe@example.org", token: .fixed("token"), options: options)
        }
        #expect(error.failure.cause == .unreachable)
        #expect(error.failure.sentence.contains("127.0.0.1:\(swallower.port): no answer"), "\(error)")
        #expect((error.underlying as? POSIXError)?.code == .ETIMEDOUT)
        let log = Log()
        let all = try sessions(
            .imap, user: "joe@example.org", token: .fixed("token"), options: options, onEvent: log.add)
        let waiting = Task { try await all.makeAsyncIterator().next()?.generation }
        #expect(try await eventually { !log.of(.loginFailed).isEmpty })
        #expect(log.of(.loginFailed).first?.text == error.failure.sentence)
        await all.close()
        #expect(try await waiting.value == nil)
    }

    @Test func aPeerThatBeginsNoTlsIsLate() async throws {
        let server = RawServer { peer, _ in peer.hearOut() }
        let options = LoginOptions(host: "127.0.0.1", port: server.port, timeout: .seconds(2))
        let error = try await thrown(LoginFailed.self) {
            try await connect(.imap, user: "joe@example.org", token: .fixed("token"), options: options)
        }
        #expect(error.failure.cause == .timedOut)
        #expect(error.failure.sentence.contains("no TLS"), "\(error)")
    }

    @Test func theEndOfAMessageMayTakeLongerThanAnotherAnswer() async throws {
        let server = try await TlsServer.start { line in
            switch line {
            case "": return "220 mail.example.org ESMTP"
            case _ where line.hasPrefix("EHLO "): return "250-mail.example.org\r\n250 AUTH XOAUTH2"
            case _ where line.hasPrefix("AUTH "): return "235 in"
            case "DATA": return "354 go on"
            case _ where line.hasPrefix("MAIL ") || line.hasPrefix("RCPT "): return "250 ok"
            // RFC 3030: the content is a line here, and its reply that to the end of a message.
            case ".", "chunk":
                Thread.sleep(forTimeInterval: 7)
                return "250 taken"
            case "NOOP":
                Thread.sleep(forTimeInterval: 20)
                return "250 late"
            default: return nil
            }
        }
        let options = LoginOptions(
            host: "localhost", port: server.port, connector: systemConnector(trust: .file(server.caFile)),
            answerTimeout: .seconds(5))
        let all = try sessions(.smtp, user: "joe@example.org", token: .fixed("token"), options: options)
        let connection = try #require(try await all.makeAsyncIterator().next())
        #expect(try await connection.ask("DATA") == "354 go on\r\n")
        try await connection.write(Data("Subject: x\r\n".utf8))
        let taken = try await connection.ask(".")
        #expect(taken == "250 taken\r\n", "\(connection.verdict as Any)")
        #expect(try await connection.ask("MAIL FROM:<joe@example.org>") == "250 ok\r\n")
        #expect(try await connection.ask("RCPT TO:<ann@example.org>") == "250 ok\r\n")
        let chunk = try await connection.ask("BDAT 7 LAST\r\nchunk")
        #expect(chunk == "250 taken\r\n", "\(connection.verdict as Any)")
        // Any other answer is due in time.
        let end = try await thrown(SessionEnded.self) { try await connection.ask("NOOP") }
        #expect(end.verdict.cause == .timedOut)
        await all.close()
    }

    @Test func timesThatCannotBeAreRefused() throws {
        for options in [
            LoginOptions(host: "localhost", timeout: .zero), LoginOptions(host: "localhost", answerTimeout: .zero),
            LoginOptions(host: "localhost", dataTimeout: .seconds(-1)),
        ] {
            #expect(throws: CoreError.self) { try sessions(.imap, user: "joe@example.org", token: .fixed("t"), options: options) }
        }
    }

    // MARK: - Verified

    @Test func aCommonNameIsNoHostName() async throws {
        let server = try await TlsServer.start(names: "email:joe@example.org", subject: "/CN=localhost")
        let options = LoginOptions(
            host: "localhost", port: server.port, connector: systemConnector(trust: .file(server.caFile)))
        let error = try await thrown(LoginFailed.self) {
            try await connect(.imap, user: "joe@example.org", token: .fixed("token"), options: options)
        }
        #expect(error.failure.cause == .tlsFailed)
    }

    /// With a context that allows more than it should, as where the system's configuration of OpenSSL does.
    private func handshake(_ host: String, _ port: UInt16, caFile: String? = nil, ciphers: String = "ALL") async throws {
        let socket = try await Socket.connect(host: "127.0.0.1", port: port)
        let transport = OpenSSLTransport(socket, try relaxed(host, caFile, ciphers))
        try await transport.startTls()
    }

    private func relaxed(_ host: String, _ caFile: String?, _ ciphers: String) throws -> sending TlsEngine {
        let context = try #require(SSL_CTX_new(TLS_client_method()))
        defer { SSL_CTX_free(context) }
        SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nil)
        SSL_CTX_set_cipher_list(context, ciphers)
        if let caFile {
            SSL_CTX_load_verify_locations(context, caFile, nil)
        }
        return try TlsEngine(host: host, context: context)
    }

    @Test func whatWasNotVerifiedIsRefusedWhateverTheContextAllows() async throws {
        let server = try await TlsServer.start(names: "DNS:localhost")
        // Of an authority that is not trusted.
        await #expect(throws: TransportError.self) { try await handshake("localhost", server.port) }
        // Of one that is, and of another host.
        await #expect(throws: TransportError.self) {
            try await handshake("mail.example.org", server.port, caFile: server.caFile)
        }
        try await handshake("localhost", server.port, caFile: server.caFile)
    }

    @Test func aServerWithoutACertificateIsRefusedWhereTheContextAllowsIt() async throws {
        let anonymous = "aNULL:@SECLEVEL=0"
        let server = try await TlsServer.start(options: ["-tls1_2", "-cipher", anonymous])
        let error = try await thrown(TransportError.self) {
            try await handshake("localhost", server.port, caFile: server.caFile, ciphers: anonymous)
        }
        // The handshake was done: it is the check behind it that refused.
        #expect("\(error)".contains("no certificate of this host was verified"))
    }
}
