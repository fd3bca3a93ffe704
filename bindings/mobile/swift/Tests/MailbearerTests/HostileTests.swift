import Foundation
import Testing

@testable import Mailbearer

/// Servers that are hostile: what is thrown is typed, in bounded time and memory, and nothing is left behind.
///
/// `tests/servers/hostile.py` runs these tests, apart from the others: the memory of the process is that of the attacks.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct HostileTests {
    /// For what nothing but the client's own time ends.
    private static let deadline = Duration.seconds(2)
    /// For what ends by itself: it is not to be reached.
    private static let generous = Duration.seconds(30)
    /// The machine is shared.
    private static let slack = Duration.seconds(10)
    /// How long a flood behind the login is not read, and then is.
    private static let flood = Duration.milliseconds(700)
    private static let read = Duration.seconds(1)
    /// A phase of a login is at most 1 MiB, and is read in pieces of 16 KiB; the rest is what the allocator keeps.
    private static let growthKiBMax = 6 * 1024

    private let hostile: Hostile

    init() async throws {
        hostile = try Hostile()
        // What is loaded for the first login, and no other.
        _ = await log(into: try #require(hostile.attacks.first(where: { $0.name == "endless line" })), Self.generous)
    }

    private struct Outcome {
        let attack: Hostile.Attack
        let thrown: String
        let took: Duration
        let growthKiB: Int
    }

    private func options(_ attack: Hostile.Attack, _ timeout: Duration) -> LoginOptions {
        let connector = systemConnector(trust: .file(hostile.caFile))
        return LoginOptions(
            host: "localhost", port: attack.port, tls: attack.tls, connector: connector, timeout: timeout)
    }

    /// Logs in, and lets itself be flooded where that works.
    private func log(into attack: Hostile.Attack, _ timeout: Duration) async -> Outcome {
        await measured(attack) {
            do {
                let source = try TokenSource.fixed(String(repeating: "t", count: 600))
                let options = options(attack, timeout)
                let connection = try await connect(attack.mailProtocol, user: Hostile.user, token: source, options: options)
                try await Task.sleep(for: Self.flood)
                await connection.close()
                return "login"
            } catch let error as LoginFailed {
                return "\(error.failure.cause)"
            } catch {
                return "\(error)"
            }
        }
    }

    /// Stays logged in: does not read, then reads as fast as it comes, until the session has seen enough.
    private func stayed(_ attack: Hostile.Attack) async -> Outcome {
        await measured(attack) {
            do {
                let source = try TokenSource.fixed(String(repeating: "t", count: 600))
                let options = options(attack, Self.generous)
                let all = try sessions(attack.mailProtocol, user: Hostile.user, token: source, options: options)
                // A session that sees enough before it is given away logs in again, later: that is not waited for.
                let given = try await withDeadline(.now + Self.slack) { try await all.makeAsyncIterator().next() }
                if let connection = given ?? nil {
                    try await connection.use { connection in
                        _ = try await connection.wait(Self.flood)
                        let until = ContinuousClock.now + Self.read
                        while ContinuousClock.now < until {
                            _ = try await connection.read()
                        }
                    }
                }
                let cause = try all.status().status.lastEnding?.cause
                await all.close()
                return cause.map { "\($0)" } ?? "open"
            } catch {
                return "\(error)"
            }
        }
    }

    /// Says IDLE, or NOOP, and reads until the session is over.
    private func unanswered(_ attack: Hostile.Attack) async -> Outcome {
        await measured(attack) {
            do {
                let source = try TokenSource.fixed(String(repeating: "t", count: 600))
                var options = options(attack, Self.generous)
                options.answerTimeout = Self.deadline
                let all = try sessions(attack.mailProtocol, user: Hostile.user, token: source, options: options)
                let connection = try #require(try await all.makeAsyncIterator().next())
                try await connection.use { connection in
                    if attack.mailProtocol == .imap {
                        for try await _ in connection.idle(reissue: .milliseconds(100)) {}
                    }
                    try await connection.write(Data("NOOP\r\n".utf8))
                    while try await !connection.read().isEmpty {}
                }
                let cause = connection.verdict?.cause
                await all.close()
                return cause.map { "\($0)" } ?? "open"
            } catch {
                return "\(error)"
            }
        }
    }

    private func measured(_ attack: Hostile.Attack, _ work: () async -> String) async -> Outcome {
        let (memory, begun) = (Memory(), ContinuousClock.now)
        let thrown = await work()
        return Outcome(
            attack: attack, thrown: thrown, took: ContinuousClock.now - begun, growthKiB: memory.growthKiB)
    }

    @Test func oneThatSendsTooMuchOrNonsenseIsLeftAtOnce() async throws {
        let files = openFiles()
        var outcomes: [Outcome] = []
        for attack in hostile.attacks where ["limit", "server"].contains(attack.ends) {
            outcomes.append(await log(into: attack, Self.generous))
        }
        tell("one after the other", outcomes)
        #expect(outcomes.count > 60)
        for outcome in outcomes {
            #expect(outcome.attack.causes.contains(outcome.thrown), "\(outcome.attack): \(outcome.thrown)")
            #expect(outcome.took < Self.slack, "\(outcome.attack)")
            #expect(outcome.growthKiB < Self.growthKiBMax, "\(outcome.attack)")
        }
        try await nothingIsLeft(files)
    }

    @Test func oneThatGivesNoEndIsLeftAtTheDeadline() async throws {
        let (files, memory) = (openFiles(), Memory())
        let attacks = hostile.attacks.filter { $0.ends == "deadline" }
        let outcomes = await withTaskGroup(of: Outcome.self) { group in
            for attack in attacks {
                group.addTask { await log(into: attack, Self.deadline) }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        tell("at once, together \(memory.growthKiB) KiB", outcomes)
        #expect(outcomes.count > 20)
        #expect(memory.growthKiB / attacks.count < Self.growthKiBMax)
        for outcome in outcomes {
            #expect(outcome.attack.causes.contains(outcome.thrown), "\(outcome.attack): \(outcome.thrown)")
            #expect(outcome.took > Self.deadline - .milliseconds(100), "\(outcome.attack)")
            #expect(outcome.took < Self.deadline + Self.slack, "\(outcome.attack)")
        }
        try await nothingIsLeft(files)
    }

    @Test func oneThatGivesNoAnswerIsLeftWhenItIsLate() async throws {
        let files = openFiles()
        let outcomes = await withTaskGroup(of: Outcome.self) { group in
            for attack in hostile.attacks where attack.ends == "answer" {
                group.addTask { await unanswered(attack) }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        tell("unanswered, at once", outcomes)
        for outcome in outcomes {
            #expect(outcome.attack.causes.contains(outcome.thrown), "\(outcome.attack): \(outcome.thrown)")
            #expect(outcome.took < Self.deadline + Self.slack, "\(outcome.attack)")
        }
        try await nothingIsLeft(files)
    }

    @Test func oneThatFloodsBehindTheLoginIsHeldBackWhileNobodyReads() async throws {
        let files = openFiles()
        var outcomes: [Outcome] = []
        for attack in hostile.attacks where attack.ends == "login" {
            outcomes.append(await log(into: attack, Self.generous))
        }
        tell("flooded", outcomes)
        for outcome in outcomes {
            #expect(outcome.thrown == "login", "\(outcome.attack)")
            #expect(outcome.growthKiB < Self.growthKiBMax, "\(outcome.attack)")
        }
        try await nothingIsLeft(files)
    }

    @Test func oneThatFloodsASessionCostsNoMemory() async throws {
        let files = openFiles()
        var outcomes: [Outcome] = []
        for attack in hostile.attacks where attack.ends == "login" {
            outcomes.append(await stayed(attack))
        }
        tell("sessions, flooded", outcomes)
        for outcome in outcomes {
            // In IMAP a server may speak at any time, in POP3 and SMTP when it is asked. A line that does not end says
            // nothing.
            let isFault = outcome.attack.name == "flood of lines" && outcome.attack.mailProtocol != .imap
            let expected = isFault ? ["protocolViolation"] : ["open", "noFault"]
            #expect(expected.contains(outcome.thrown), "\(outcome.attack): \(outcome.thrown)")
            #expect(outcome.growthKiB < Self.growthKiBMax, "\(outcome.attack)")
        }
        try await nothingIsLeft(files)
    }

    private func tell(_ what: String, _ outcomes: [Outcome]) {
        guard let worst = outcomes.max(by: { $0.growthKiB < $1.growthKiB }),
            let slowest = outcomes.max(by: { $0.took < $1.took })
        else { return }
        print(
            "\(outcomes.count) hostile servers, \(what): at most \(worst.growthKiB) KiB more memory (\(worst.attack)),",
            "\(slowest.took) (\(slowest.attack))")
        if ProcessInfo.processInfo.environment["MAILBEARER_VERBOSE"] != nil {
            for one in outcomes {
                print("    \(one.growthKiB) KiB \(one.took)  \(one.attack): \(one.thrown)")
            }
        }
    }

    private func openFiles() -> Int {
        (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
    }

    private func nothingIsLeft(_ files: Int) async throws {
        _ = try await eventually { try await hostile.open().isEmpty }
        let open = try await hostile.open()
        #expect(open.isEmpty, "\(open) were not ended by us")
        let areClosed = try await eventually { openFiles() <= files }
        #expect(areClosed, "\(files) files before, \(openFiles()) now")
    }
}

/// The greatest growth of this process, from now on.
private struct Memory {
    private let before: Int

    init() {
        // The high-water mark begins anew (proc(5), clear_refs).
        try? Data("5".utf8).write(to: URL(fileURLWithPath: "/proc/self/clear_refs"))
        before = Self.read("VmRSS")
    }

    var growthKiB: Int { Self.read("VmHWM") - before }

    private static func read(_ name: String) -> Int {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix(name) }
        return line.flatMap { Int($0.split(whereSeparator: \.isWhitespace)[1]) } ?? 0
    }
}

/// What `tests/servers/hostile.py` says of itself.
struct Hostile {
    struct Attack: Sendable, CustomStringConvertible {
        let name: String
        let mailProtocol: MailProtocol
        let tls: Tls
        let port: UInt16
        let ends: String
        /// As Swift spells them.
        let causes: [String]

        var description: String { "\(name) (\(mailProtocol), \(tls))" }
    }

    static let user = "joe@example.test"

    let caFile: String
    let attacks: [Attack]
    private let control: UInt16

    init() throws {
        guard let text = ProcessInfo.processInfo.environment["MAILBEARER_HOSTILE"] else {
            throw TestingServer.Failed(reason: "run the tests by make test-swift: it starts the hostile server")
        }
        let facts = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        caFile = try #require(facts["ca_file"] as? String)
        control = try #require(facts["control"] as? UInt16)
        attacks = try #require(facts["attacks"] as? [[String: Any]]).map { facts in
            Attack(
                name: try #require(facts["name"] as? String),
                mailProtocol: try #require(["imap": .imap, "pop3": .pop3, "smtp": .smtp][facts["protocol"] as? String ?? ""]),
                tls: facts["tls"] as? String == "implicit" ? .implicit : .startTls,
                port: try #require(facts["port"] as? UInt16),
                ends: try #require(facts["ends"] as? String),
                causes: try #require(facts["causes"] as? [String]).map(Self.inSwift)
            )
        }
    }

    private static func inSwift(_ cause: String) -> String {
        let words = cause.split(separator: "_")
        return words.dropFirst().reduce(String(words[0])) { $0 + $1.capitalized }
    }

    /// The attacks whose connections we have not ended.
    func open() async throws -> [Attack] {
        let socket = try await Socket.connect(host: "127.0.0.1", port: control)
        var (told, isOver) = (Data(), false)
        while !isOver {
            try await socket.wait(.read)
            let data = try socket.receive()
            told += data ?? Data()
            isOver = data?.isEmpty ?? false
        }
        let records = try #require(try JSONSerialization.jsonObject(with: told) as? [String: [String: Int]])
        return attacks.filter { records["\($0.port)"]?["open"] != 0 }
    }
}
