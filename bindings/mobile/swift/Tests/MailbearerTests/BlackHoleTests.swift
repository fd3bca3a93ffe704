import Foundation
import Glibc
import Testing

@testable import Mailbearer

/// A mailbox of a real Dovecot is followed while paths turn into black holes: `tests/servers/paths.py` runs these tests.
@Suite(.timeLimit(.minutes(4)))
struct BlackHoleTests {
    private static let (expiries, cuts) = (50, 20)

    /// Lets a program follow the mailbox of a path while the body runs; it stops with one more message, which it is not told.
    private func follow(
        _ mailbox: String, reissue: Duration, lives: Duration, _ body: (Path, Program) async throws -> Void
    ) async throws -> Program {
        let path = try await Path(mailbox)
        let program = Program(path, reissue, lives)
        let running = Task { try await program.run() }
        try await until { await program.isFollowing }
        try await body(path, program)
        await program.stop()
        try await path.deliver()
        try await running.value
        return program
    }

    private func until(_ hasCome: () async throws -> Bool) async throws {
        guard try await eventually(hasCome) else { throw TestingServer.Failed(reason: "it was waited in vain") }
    }

    @Test func aPathThatSwallowsAllIsNoticedAndNothingIsMissed() async throws {
        let program = try await follow("swift swallowed", reissue: .seconds(1), lives: .seconds(600)) { path, program in
            try await path.deliver()
            try await until { await program.uids.count == 1 }
            try await path.cut()
            let begun = ContinuousClock.now
            try await path.deliver()
            try await until { await program.uids.count == 2 }
            // IDLE anew, its answer, back-off and login.
            #expect(ContinuousClock.now - begun < .seconds(1) + Program.answer + .seconds(5))
        }
        #expect(await program.uids == [1, 2])
        #expect(await program.endings == [.timedOut])
    }

    @Test func eachMessageIsToldOnceOverExpiriesAndBlackHoles() async throws {
        var (delivered, cuts) = (0, 0)
        let program = try await follow("swift once", reissue: .milliseconds(400), lives: .seconds(1)) { path, program in
            while true {
                let sessions = await program.sessions
                if sessions >= Self.expiries + Self.cuts, cuts == Self.cuts { break }
                try await path.deliver()
                delivered += 1
                if cuts < Self.cuts, sessions > 2 * cuts, await program.isFollowing {
                    let cutIn = await program.sessions
                    try await path.cut()
                    cuts += 1
                    try await until { await program.sessions > cutIn }
                }
                try await Task.sleep(for: .milliseconds(100))
            }
            try await until { await program.uids.count >= delivered }
        }
        #expect(cuts == Self.cuts)
        #expect(await program.uids == Array(1...UInt32(delivered)))
    }
}

/// A program that follows a mailbox, with the cursor that it would store.
private actor Program {
    static let answer = Duration.seconds(1)

    private(set) var uids: [UInt32] = []
    private(set) var sessions = 0
    /// Whether something was told in this session.
    private(set) var isFollowing = false
    /// Why the sessions ended that did not end by a renewal.
    private(set) var endings: [Cause] = []
    private var isStopping = false
    private var cursor: String?
    private let path: Path
    private let (reissue, lives): (Duration, Duration)

    init(_ path: Path, _ reissue: Duration, _ lives: Duration) {
        (self.path, self.reissue, self.lives) = (path, reissue, lives)
    }

    func stop() {
        isStopping = true
    }

    func run() async throws {
        let source = TokenSource { [path, lives] _ in try Token(try await path.token(), expiresIn: lives) }
        var policy = SessionPolicy()
        policy.endsWithToken = true
        policy.tokenLifeLeast = .seconds(0)
        (policy.backoffBase, policy.backoffMax) = (.milliseconds(50), .milliseconds(200))
        policy.loginInterval = .milliseconds(1)
        let all = try Mailbearer.sessions(
            .imap, user: path.user, token: source, options: path.options(timeout: Self.answer), policy: policy)
        for try await connection in all {
            (isFollowing, sessions) = (false, sessions + 1)
            try await connection.use { connection in
                let messages = connection.newMessages(
                    in: path.mailbox, since: cursor, reissue: reissue, answer: Self.answer)
                for try await new in messages {
                    if isStopping { break }
                    (uids, cursor, isFollowing) = (uids + new.uids, new.cursor, true)
                }
            }
            if isStopping { break }
            if let verdict = connection.verdict { endings.append(verdict.cause) }
        }
        await all.close()
    }
}

/// A way of one follower, and its mailbox.
private actor Path {
    nonisolated let mailbox: String
    nonisolated let user: String
    private nonisolated let host: String
    private nonisolated let port: UInt16
    private nonisolated let caFile: String
    private let wire: LineWire

    init(_ mailbox: String) async throws {
        guard let text = ProcessInfo.processInfo.environment["MAILBEARER_PATHS"],
            let facts = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any],
            let control = facts["control"] as? UInt16
        else {
            throw TestingServer.Failed(reason: "run the tests by make test-swift: it starts the paths")
        }
        print("paths to Dovecot: \(facts["kind"] ?? "")")
        wire = try LineWire(control)
        let place = try wire.exchange(["mailbox": mailbox])
        (self.mailbox, user) = (mailbox, facts["user"] as? String ?? "")
        (host, port) = (place["host"] as? String ?? "", place["port"] as? UInt16 ?? 0)
        caFile = NSTemporaryDirectory() + "mailbearer-paths-\(getpid())-\(port)-\(mailbox.hashValue).pem"
        try (facts["ca"] as? String ?? "").write(toFile: caFile, atomically: true, encoding: .utf8)
    }

    nonisolated func options(timeout: Duration) -> LoginOptions {
        LoginOptions(
            host: host, port: port, tls: .implicit, connector: systemConnector(trust: .file(caFile)), timeout: timeout)
    }

    func deliver() throws {
        _ = try wire.exchange(["call": "deliver"])
    }

    /// What is open swallows all from now on; what is opened works.
    func cut() throws {
        _ = try wire.exchange(["call": "cut"])
    }

    func token() throws -> String {
        try wire.exchange(["call": "token", "lives": 600])["returned"] as? String ?? ""
    }
}

/// Speaks lines of JSON.
private final class LineWire: @unchecked Sendable {
    private let answers: UnsafeMutablePointer<FILE>
    private let calls: UnsafeMutablePointer<FILE>

    init(_ port: UInt16) throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard withLoopback(port, { Glibc.connect(descriptor, $0, $1) }) == 0,
            let answers = fdopen(descriptor, "r"), let calls = fdopen(dup(descriptor), "w")
        else {
            throw TestingServer.Failed(reason: "the paths are not there")
        }
        (self.answers, self.calls) = (answers, calls)
    }

    deinit {
        fclose(calls)
        fclose(answers)
    }

    func exchange(_ call: [String: Any]) throws -> [String: Any] {
        try TestingServer.exchange(calls, answers, call)
    }
}
