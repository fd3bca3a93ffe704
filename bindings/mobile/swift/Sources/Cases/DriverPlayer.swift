import Foundation
import Mailbearer

/// Plays a case of the kind `account` against the driver that programs use, in a world without sockets.
///
/// What the driver does not show to the world is not compared: attempts are not numbered there, and a program that speaks for
/// itself is not asked to keep its connection alive.
final class DriverPlayer {
    private let script: Script
    private var world: SimulatedWorld
    private var driver: Driver
    private var settings: [Settings] = []
    private var seed: UInt64
    private var waiters: [UInt32: Pending<SessionConnection?>] = [:]
    private var connections: [UInt64: SessionConnection] = [:]
    /// Of connections, what was seen already.
    private var seen: Set<String> = []
    private var given: UInt64 = 0

    init(_ script: Script) throws {
        self.script = script
        seed = script.one["seed"].number ?? 1
        world = SimulatedWorld()
        let machine = try AccountMachine(config: accountConfig(script.one), seed: seed)
        driver = Self.driver(machine, world)
        try addSessions()
    }

    private static func driver(_ machine: AccountMachine, _ world: SimulatedWorld) -> Driver {
        let source = TokenSource { (_: Bool) in throw TokenSourceFailed("the world answers in its place") }
        return Driver(machine, source, world) { event, _ in world.events.append(spelled(event)) }
    }

    private func addSessions() throws {
        settings = try sessionsOf(script.one).map { session in
            let config = try sessionConfig(session)
            let number = try driver.machine.add(session: config)
            let options = LoginOptions(host: "\(number).example.test", tls: config.negotiation.endpoint.tls)
            return try Settings(config.negotiation.endpoint.protocol, testUser, options)
        }
    }

    func play() async throws {
        for (index, step) in script.steps.enumerated() {
            do {
                try await self.step(index, step)
            } catch {
                throw CaseFailed("through the driver, step \(index + 1): \(error)")
            }
        }
        await driver.close()
    }

    private func step(_ index: Int, _ step: JSON) async throws {
        world.nowMs = try time(of: step, world.nowMs, world.wakeAtMs)
        (world.orders, world.events) = ([], [])
        if step["misuse"].bool == true {
            return try await misuse(step)
        }
        try await tell(index, step)
        let expected = step["orders"].list.map(\.text).filter { !$0.hasPrefix("probe ") && !$0.hasPrefix("keep_alive ") }
        let inTheWorld = expected.map { $0.hasPrefix("open ") ? $0.split(separator: " ").dropLast().joined(separator: " ") : $0 }
        guard world.orders == inTheWorld else { throw CaseFailed("expected the orders \(inTheWorld), came \(world.orders)") }
        if step.has("events") {
            try compare(step, "events", world.events)
        }
        try checkProgram(step)
        try checkStanding(step, driver.machine)
        try checkWakeIn(step, world.wakeAtMs, world.nowMs)
    }

    /// Of what is wrong, a program can only do this: the driver says the rest to nobody.
    private func misuse(_ step: JSON) async throws {
        guard let session = step["want"].number.map(UInt32.init) else { return }
        do {
            _ = try await want(session).outcome?.get()
        } catch is CoreError {
            return
        }
        throw CaseFailed("expected a misuse, came none")
    }

    private func want(_ session: UInt32) async throws -> Pending<SessionConnection?> {
        try await driver.want(session, settings[min(Int(session), settings.count) - 1])
    }

    private func tell(_ index: Int, _ step: JSON) async throws {
        let ticket = step["ticket"].number ?? world.ticket
        let ofGiven = step["ticket"].number ?? given
        let says = { (key: String) in step[key].bool == true }
        if let session = step["want"].number.map(UInt32.init) {
            waiters[session] = try await want(session)
        } else if let session = step["no_longer"].number.map(UInt32.init), let waiter = waiters.removeValue(forKey: session) {
            await driver.noLonger(session, waiter)
        } else if let session = step["remove"].number {
            await driver.remove(UInt32(session))
        } else if says("let_go") {
            await connections[ofGiven]?.close()
        } else if says("close") {
            await driver.close()
        } else if says("retry") {
            await driver.retry()
        } else if step.has("network") {
            await step["network"].string == "lost" ? driver.networkLost() : driver.networkBack()
        } else if let ms = step["slept"].number {
            await driver.slept(ms: ms)
        } else if says("tick") {
            await driver.tick()
        } else if let octets = step["sent"].string {
            try await connections[ofGiven]?.write(latin1(octets))
        } else if let deadMs = step["restart"].number {
            try await restart(deadMs)
        } else if step.has("token") || step.has("no_token") {
            await world.answer(step["request"].number.map(Int.init), try tokenAnswer(step))
        } else {
            try await tellOfLine(index, step, ticket)
        }
    }

    private func tellOfLine(_ index: Int, _ step: JSON, _ ticket: UInt64) async throws {
        let says = { (key: String) in step[key].bool == true }
        if step.has("server") {
            for piece in script.deal(index, .whole) {
                await receive(step["ticket"].number ?? max(ticket, given), piece)
            }
        } else if says("logs_in") {
            await driver.opened(ticket)
            let mailProtocol = world.lines[ticket].map { $0.login.endpoint.protocol }
            guard let mailProtocol else { throw CaseFailed("no such ticket") }
            for words in loginWords(mailProtocol) {
                await receive(ticket, words)
            }
        } else if says("opened") {
            await driver.opened(ticket)
        } else if says("secured") {
            await driver.secured(ticket)
        } else if says("ended") {
            world.lines[ticket]?.isOver = true
            await driver.ended(ticket, try failureOf(step["problem"]), nil)
        } else {
            throw CaseFailed("a step that is not known: \(step)")
        }
    }

    private func receive(_ ticket: UInt64, _ data: Data) async {
        if let line = world.lines[ticket] {
            await driver.receive(line, shown: data, passed: 0, of: data)
        }
    }

    private func tokenAnswer(_ step: JSON) throws -> Result<Token, any Error> {
        if let token = step["token"].string {
            return .success(try Token(token, expiresIn: step["lives_ms"].number.map { .milliseconds($0) }))
        }
        let text = step["text"].text
        return switch step["no_token"].text {
        case "permanent": .failure(TokenSourceFailed(text, isPermanent: true))
        case "mistake": .failure(CoreError.Config(message: text))
        case "outage": .failure(TokenSourceFailed(text))
        case let why: throw CaseFailed("the reason \(why) is not known")
        }
    }

    private func restart(_ deadMs: UInt64) async throws {
        seed += 1
        let snapshot = try driver.snapshot()
        let nowMs = world.nowMs + deadMs
        await driver.close()
        (world, waiters, connections, seen) = (SimulatedWorld(), [:], [:], [])
        world.nowMs = nowMs
        let config = try accountConfig(script.one)
        driver = Self.driver(
            try .restore(config: config, snapshot: snapshot, nowMs: nowMs, wallMs: nowMs, seed: seed), world)
        try addSessions()
        await driver.tick()
    }

    // MARK: - What the program sees

    private func checkProgram(_ step: JSON) throws {
        var (came, said): ([String], [String]) = ([], [])
        for (session, waiter) in waiters {
            guard let outcome = waiter.outcome else { continue }
            waiters[session] = nil
            switch outcome {
            case .success(let connection?):
                (connections[connection.ticket], given) = (connection, connection.ticket)
                came.append("give \(session) \(connection.generation)")
            case .success(nil): came.append("end \(session)")
            case .failure(let error as any FailedLogin):
                came.append("raise \(session) \(kind(of: error)) \(name(error.failure.cause))")
                said.append(error.failure.sentence)
            case .failure(let error): throw error
            }
        }
        for (ticket, connection) in connections {
            let ended = connection.verdict.map { "over \(ticket) \(name($0.cause))" }
            let due = connection.renewWhy.map { "renew \(ticket) \(name($0))" }
            came += [ended, due].compactMap { $0 }.filter { seen.insert($0).inserted }
        }
        let expected = step["deliveries"].list.map(\.text)
        guard came.sorted() == expected.sorted() else {
            throw CaseFailed("expected the program to see \(expected), came \(came)")
        }
        try checkSaid(step, said)
    }

    private func kind(of error: any FailedLogin) -> String {
        switch error {
        case is NeedsUser: "needs_user"
        case is GaveUp: "gave_up"
        case is Misuse: "mistake"
        default: "\(error)"
        }
    }
}

/// A world without sockets: it writes down what it is to do. The player lets one thing happen at a time.
private final class SimulatedWorld: World, @unchecked Sendable {
    var nowMs: UInt64 = 0
    var wallMs: UInt64 { nowMs }
    var wakeAtMs: UInt64?
    var orders: [String] = []
    var events: [String] = []
    var lines: [UInt64: SimulatedLine] = [:]
    /// The latest.
    var ticket: UInt64 = 0
    private var asked: [@Sendable (Result<Token, any Error>) async -> Void] = []

    func open(_ ticket: UInt64, _ settings: Settings, _ token: AccessToken?, for driver: Driver) -> any Line {
        let line = SimulatedLine(ticket, settings.endpoint, self, driver.machine)
        (self.ticket, lines[ticket]) = (ticket, line)
        orders.append("open \(settings.endpoint.host.prefix { $0 != "." })")
        return line
    }

    func ask(
        _ source: TokenSource, _ force: Bool, _ refused: AccessToken?,
        answered: @escaping @Sendable (Result<Token, any Error>) async -> Void
    ) -> Task<Void, Never>? {
        orders.append(spelledFetch(force, refused != nil))
        asked.append(answered)
        return nil
    }

    /// Answers a request; left out: the latest.
    func answer(_ request: Int?, _ answer: Result<Token, any Error>) async {
        await asked[(request ?? asked.count) - 1](answer)
    }

    func wake(at ms: UInt64?, hasConnections: Bool, _ driver: Driver) {
        wakeAtMs = ms
    }

    func stop() async {}
}

private final class SimulatedLine: Line, @unchecked Sendable {
    let ticket: UInt64
    let login: LoginSummary
    /// The world has ended it: to close it is to do nothing.
    var isOver = false
    private unowned let world: SimulatedWorld
    private let machine: AccountMachine

    init(_ ticket: UInt64, _ endpoint: Endpoint, _ world: SimulatedWorld, _ machine: AccountMachine) {
        (self.ticket, self.world, self.machine) = (ticket, world, machine)
        login = LoginSummary(endpoint: endpoint, roundTrips: 0, duration: .zero)
    }

    func startTls() { world.orders.append("start_tls") }
    func send(_ data: Data, sensitive: Bool) { world.orders.append(sensitive ? "send token" : "send") }
    func pause() { world.orders.append("pause \(ticket)") }
    func give(to connection: SessionConnection) {}
    func received(_ data: Data, skip: UInt64) {}
    func write(_ data: Data) async throws { try machine.sent(ticket: ticket, bytes: data) }
    func leave() async { close() }
    func ended() async {}

    func close() {
        if !isOver {
            world.orders.append("close \(ticket)")
        }
        isOver = true
    }
}
