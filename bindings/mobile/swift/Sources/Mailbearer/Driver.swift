import Foundation

/// Turns what it sees into facts for an ``AccountMachine``, carries out what that orders, and shows what it delivers.
///
/// It holds connections by ticket, waiters by session, and the last own errors of the system and the token source; it decides
/// nothing. What the machine plans for one fact is done before it is told the next.
package actor Driver {
    private typealias Fact = (AccountMachine, _ nowMs: UInt64) throws -> AccountPlan

    package nonisolated let machine: AccountMachine
    nonisolated let world: any World
    private let source: TokenSource
    private let onEvent: @Sendable (AccountEvent, _ cause: (any Error)?) -> Void

    private var facts: [Fact] = []
    private var settings: [UInt32: Settings] = [:]
    private var waiters: [UInt32: Pending<SessionConnection?>] = [:]
    private var lines: [UInt64: any Line] = [:]
    private var connections: [UInt64: SessionConnection] = [:]
    private var problems = Latest<any Error>()
    private var sourceProblems = Latest<any Error>()
    private var asking: Task<Void, Never>?
    /// Of the next login, for its trace.
    private var token: AccessToken?

    package init(
        _ machine: AccountMachine, _ source: TokenSource, _ world: any World,
        onEvent: @escaping @Sendable (AccountEvent, _ cause: (any Error)?) -> Void
    ) {
        (self.machine, self.source, self.world, self.onEvent) = (machine, source, world, onEvent)
    }

    // MARK: - Facts from the program

    /// Lets the connection before go, and waits for the next; `nil` when there will be no other.
    package func next(_ session: UInt32, _ settings: Settings) async throws -> SessionConnection? {
        try refuseSecond(session)
        for connection in connections.values where connection.session == session {
            await letGo(connection.ticket)
        }
        guard try machine.standing(session: session) != nil else { return nil }
        let waiter = try want(session, settings)
        do {
            return try await waiter.value()
        } catch is CancellationError {
            await noLonger(session, waiter)
            throw CancellationError()
        }
    }

    package func want(_ session: UInt32, _ settings: Settings) throws -> Pending<SessionConnection?> {
        try refuseSecond(session)
        let waiter = Pending<SessionConnection?>()
        (waiters[session], self.settings[session]) = (waiter, settings)
        tell { try $0.want(nowMs: $1, session: session) }
        return waiter
    }

    private func refuseSecond(_ session: UInt32) throws {
        guard waiters[session] != nil else { return }
        throw CoreError.Misuse(message: "somebody waits for the next connection already: wait in one task at a time")
    }

    package func noLonger(_ session: UInt32, _ waiter: Pending<SessionConnection?>) async {
        if waiters[session] === waiter {
            waiters[session] = nil
            tell { try $0.noLonger(nowMs: $1, session: session) }
        } else {
            // It was given in the same moment.
            await waiter.now??.close()
        }
    }

    /// Of a connection that is over, nothing is said.
    package func letGo(_ ticket: UInt64) async {
        guard let connection = connections.removeValue(forKey: ticket) else { return }
        connection.isLetGo()
        await lines.removeValue(forKey: ticket)?.leave()
        tell { try $0.letGo(nowMs: $1, ticket: ticket) }
    }

    package func remove(_ session: UInt32) async {
        guard (try? machine.standing(session: session)) != nil else { return }
        await ending { tell { try $0.remove(nowMs: $1, session: session) } }
        settings[session] = nil
    }

    /// Ends all of it: no task is left.
    package func close() async {
        await ending { tell { try $0.closeAll(nowMs: $1) } }
        asking?.cancel()
        await asking?.value
        await world.stop()
    }

    private func ending(_ tell: () -> Void) async {
        let before = lines
        tell()
        for (ticket, line) in before where lines[ticket] == nil {
            await line.ended()
        }
    }

    package func retry() { tell { try $0.retry(nowMs: $1) } }
    package func networkLost() { tell { try $0.networkLost(nowMs: $1) } }
    package func networkBack() { tell { try $0.networkBack(nowMs: $1) } }

    package nonisolated func snapshot() throws -> Data { try machine.snapshot(wallMs: world.wallMs) }

    // MARK: - Facts from the world

    package func tick() { tell { try $0.tick(nowMs: $1) } }
    package func slept(ms: UInt64) { tell { try $0.slept(nowMs: $1, ms: ms) } }
    package func opened(_ ticket: UInt64) { report(ticket) { try $0.opened(nowMs: $1, ticket: ticket) } }
    package func secured(_ ticket: UInt64) { report(ticket) { try $0.secured(nowMs: $1, ticket: ticket) } }

    /// With what the system or TLS said, and its own error; without them, it is the plain end of the stream.
    package func ended(_ ticket: UInt64, _ failure: Failure?, _ cause: (any Error)?) {
        problems.keep(cause, of: ticket)
        report(ticket) { try $0.ended(nowMs: $1, ticket: ticket, failure: failure) }
        close(ticket)
    }

    /// Shows what one read brought, but for content that was passed by. The program must not see an answer before the machine
    /// does, and not the end before what came with it.
    package func receive(_ line: any Line, shown: Data, passed: UInt64, of data: Data) {
        report(line.ticket) { machine, nowMs in
            if passed > 0 {
                try machine.skipped(ticket: line.ticket, octets: passed)
            }
            let plan = try machine.receive(nowMs: nowMs, ticket: line.ticket, bytes: shown)
            line.received(data, skip: plan.skip)
            return plan
        }
    }

    private func answered(_ request: UInt64, _ answer: Result<Token, any Error>) {
        switch answer {
        case .success(let token):
            self.token = token.accessToken
            let livesMs = token.expiresIn?.milliseconds
            tell { try $0.token(nowMs: $1, request: request, token: token.accessToken, livesMs: livesMs) }
        case .failure(let error):
            sourceProblems.keep(error, of: request)
            tell { try $0.noToken(nowMs: $1, request: request, why: NoToken(error), text: words(of: error)) }
        }
    }

    // MARK: - Facts in, orders and deliveries out

    /// What comes of a connection that is closed is not told.
    private func report(_ ticket: UInt64, _ fact: @escaping Fact) {
        if lines[ticket] != nil {
            tell(fact)
        }
    }

    /// Facts that arise while orders are carried out are told after them.
    private func tell(_ fact: @escaping Fact) {
        facts.append(fact)
        guard facts.count == 1 else { return }
        while let fact = facts.first {
            do {
                let plan = try fact(machine, world.nowMs)
                for order in plan.orders { carryOut(order) }
                for delivery in plan.deliveries { deliver(delivery) }
                world.wake(at: plan.wakeAtMs, hasConnections: !connections.isEmpty, self)
            } catch {
                // A bug of ours: nobody waits for ever.
                waiters.keys.forEach { answer($0, .failure(error)) }
            }
            facts.removeFirst()
        }
    }

    private func carryOut(_ order: Order) {
        switch order {
        case .fetchToken(let request, let force, let refused): fetchToken(request, force, refused)
        case .open(let ticket, let session, _): open(ticket, session)
        case .startTls(let ticket): lines[ticket]?.startTls()
        case .send(let ticket, let bytes, let sensitive): lines[ticket]?.send(bytes, sensitive: sensitive)
        case .pause(let ticket): lines[ticket]?.pause()
        case .keepAlive(let ticket, _), .probe(let ticket, _): connections[ticket]?.keepAlive()
        case .close(let ticket): close(ticket)
        }
    }

    private func fetchToken(_ request: UInt64, _ force: Bool, _ refused: AccessToken?) {
        // One that runs still was given up by the machine.
        asking?.cancel()
        asking = world.ask(source, force, refused) { answer in await self.answered(request, answer) }
    }

    private func open(_ ticket: UInt64, _ session: UInt32) {
        lines[ticket] = settings[session].map { world.open(ticket, $0, token, for: self) }
    }

    private func close(_ ticket: UInt64) {
        lines.removeValue(forKey: ticket)?.close()
    }

    private func deliver(_ delivery: Delivery) {
        switch delivery {
        case .give(let session, let ticket, let generation, let mechanism?, let capabilities, let leftover, let resumed):
            give(Given(session, ticket, generation, mechanism, capabilities, leftover, resumed))
        // Only who is logged in by a program of its own says none.
        case .give(_, _, _, nil, _, _, _): break
        case .raise(let session, let kind, let failure, let request, let ticket):
            let cause = sourceProblems[request] ?? problems[ticket]
            answer(session, .failure(kind.error(source.hinted(failure), cause)))
        case .end(let session): answer(session, .success(nil))
        case .renew(_, let ticket, let byMs, let why): connections[ticket]?.renew(by: Clock.instant(byMs), why)
        case .over(_, let ticket, let verdict, let aftermath):
            connections.removeValue(forKey: ticket)?.end(verdict, aftermath, problems[ticket])
        case .event(let event): onEvent(event, sourceProblems[event.request] ?? problems[event.ticket])
        }
    }

    private func give(_ given: Given) {
        guard let line = lines[given.ticket] else { return }
        let connection = SessionConnection(given, line, self)
        connections[given.ticket] = connection
        line.give(to: connection)
        answer(given.session, .success(connection))
    }

    private func answer(_ session: UInt32, _ result: Result<SessionConnection?, any Error>) {
        waiters.removeValue(forKey: session)?.resolve(result)
    }
}
