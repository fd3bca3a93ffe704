import Foundation

/// What comes with the order that says that a connection is logged in.
struct OnlineOrder: Sendable {
    let generation: UInt64
    let mechanism: Mechanism?
    let capabilities: [String]
    let leftover: Data
    let resumed: Aftermath?
}

/// Carries out the orders of a ``Session``: with sockets, a timer, and a task for the token.
actor Driver {
    nonisolated let session: Session
    private let settings: Settings
    private let source: TokenSource
    private let onEvent: (@Sendable (SessionEvent) -> Void)?

    private var attempts: [UInt64: Attempt] = [:]
    private var online: [UInt64: Online] = [:]
    private var ready: [SessionConnection] = []
    /// What the program has let go: the machine learns of it when the program waits for another.
    private var released: [UInt64] = []
    /// The last one that the program got.
    private var given: SessionConnection?
    private var isRunning = false
    private var isClosed = false
    /// What the iteration throws.
    private var failure: (any Error)?
    private var tokenProblem: (any Error)?
    /// Of the next login.
    private var token: AccessToken?
    private var hostProblem: LoginFailed?
    private var wakeAtMs: UInt64?
    private var tokenTask: Task<Void, Never>?
    private var timer: Task<Void, Never>?
    private var sleep = SleepDetector()
    /// Comes, and is replaced, whenever something has changed for who waits for a connection.
    private var changed = Pending<Void>()

    init(
        _ session: Session, _ settings: Settings, _ source: TokenSource, _ onEvent: (@Sendable (SessionEvent) -> Void)?
    ) {
        self.session = session
        self.settings = settings
        self.source = source
        self.onEvent = onEvent
    }

    // MARK: - For the program

    /// Closes the last connection, if it is there still, and waits for the next; `nil` when all is closed.
    func next() async throws -> SessionConnection? {
        await given?.close()
        given = nil
        if !isRunning, !isClosed {
            isRunning = true
            failure = nil
            tell(.start)
        }
        while !released.isEmpty, !isClosed {
            tell(.drained(ticket: released.removeFirst()))
            setTimer()
        }
        while !isClosed {
            if let failure {
                isRunning = false
                throw failure
            }
            if let connection = nextReady() {
                given = connection
                return connection
            }
            try await changed.value()
        }
        return nil
    }

    private func nextReady() -> SessionConnection? {
        ready.removeAll { $0.verdict != nil }
        return ready.isEmpty ? nil : ready.removeFirst()
    }

    func woke() {
        if isRunning, !isClosed {
            tell(.woke)
        }
    }

    func close() async {
        guard !isClosed else { return }
        let tasks = [tokenTask, timer] + attempts.values.map(\.task) + online.values.map(\.pump)
        tell(.stop)
        isClosed = true
        for task in tasks {
            task?.cancel()
        }
        // They refer to this.
        (ready, given) = ([], nil)
        wake()
        for task in tasks {
            await task?.value
        }
    }

    // MARK: - What connections report

    /// The program is about to write.
    func sent(_ transport: WatchedTransport, _ data: Data) throws {
        let ticket = transport.ticket
        guard online[ticket] != nil else {
            throw transport.state.verdict.map(SessionEnded.init)
                ?? CoreError.Misuse(message: "the connection was closed: ask the sessions for the next one")
        }
        try session.sent(ticket: ticket, bytes: data)
        online[ticket]?.heardAt = .now
        if online[ticket]?.answerTimer == nil {
            online[ticket]?.answerTimer = Task { await self.expectAnswer(ticket) }
        }
    }

    /// An answer must come in time, unless none is due.
    private func expectAnswer(_ ticket: UInt64) async {
        while let heardAt = online[ticket]?.heardAt, (try? session.isQuiet()) == false {
            let deadline = heardAt + settings.timeout
            if ContinuousClock.now >= deadline {
                lost(ticket, .timedOut)
                return
            }
            try? await Task.sleep(until: deadline, clock: .continuous)
        }
        online[ticket]?.answerTimer = nil
    }

    /// Reads for the session, and for the program after it.
    private func pump(_ transport: WatchedTransport) async {
        do {
            while true {
                let data = try await transport.inner.read()
                if data.isEmpty {
                    break
                }
                received(transport, data)
                try await transport.inbox.room()
            }
        } catch is CancellationError {
            return
        } catch {
            // It broke: that is an end as well.
        }
        lost(transport.ticket, nil)
    }

    private func received(_ transport: WatchedTransport, _ data: Data) {
        let ticket = transport.ticket
        guard online[ticket] != nil else { return }
        online[ticket]?.heardAt = .now
        let plan = attempt { try show(ticket, data) } ?? nil
        // The program must not see an answer before the session does, and not the end before what came with it.
        transport.inbox.put(data)
        if let plan {
            carryOut(plan)
        }
    }

    /// Shows to the session what has come, but for message content that it does not want to see.
    private func show(_ ticket: UInt64, _ data: Data) throws -> Plan? {
        guard var content = online[ticket]?.content else { return nil }
        let shown = content.pass(data)
        defer { online[ticket]?.content = content }
        guard !shown.isEmpty else { return nil }
        if content.passed > 0 {
            try session.skipped(ticket: ticket, octets: content.passed)
            content.passed = 0
        }
        let plan = try session.receive(nowMs: Clock.nowMs, ticket: ticket, bytes: shown)
        content.next = plan.skip
        return plan
    }

    /// The connection was found to be at its end.
    func lost(_ ticket: UInt64, _ cause: Cause?) {
        guard online[ticket] != nil, !isClosed else { return }
        let plan = attempt {
            try session.handle(nowMs: Clock.nowMs, input: .ended(ticket: ticket, lastLine: nil, cause: cause))
        }
        endOnline(ticket, nil)
        if let plan {
            carryOut(plan)
        }
    }

    /// The program closes a connection. One that goes no further needs no other login: see ``next()``.
    func letGo(_ transport: WatchedTransport) async {
        guard let closing = online.removeValue(forKey: transport.ticket) else { return }
        closing.stop()
        transport.inbox.finish(nil)
        await transport.inner.close()
        note(.ended, ticket: transport.ticket, cause: .noFault)
        released.append(transport.ticket)
    }

    // MARK: - Facts in, orders out

    private func tell(_ input: Input) {
        guard !isClosed else { return }
        if let plan = attempt({ try session.handle(nowMs: Clock.nowMs, input: input) }) {
            carryOut(plan)
        }
    }

    /// A call of the machine that fails is a bug of ours: whoever waits for a connection gets to know it.
    private func attempt<Value>(_ call: () throws -> Value) -> Value? {
        do {
            return try call()
        } catch {
            failure = error
            wake()
            return nil
        }
    }

    private func carryOut(_ plan: Plan) {
        let isMoved = plan.wakeAtMs != wakeAtMs
        wakeAtMs = plan.wakeAtMs
        for action in plan.actions {
            carryOut(action)
        }
        if isMoved, let wakeAtMs, plan.wakeReason == .backOff || plan.wakeReason == .tokenBackOff {
            note(.waiting, text: plan.wakeReason.map { "\($0)" }, duration: Clock.instant(wakeAtMs) - .now)
        }
        if isMoved || timer == nil {
            setTimer()
        }
        if !plan.actions.isEmpty {
            wake()
        }
    }

    private func carryOut(_ action: Action) {
        switch action {
        case .fetchToken(let request, let why, let forceRefresh):
            note(.fetchingToken, text: "\(why)")
            // If one is under way still, the machine has given it up.
            tokenTask?.cancel()
            tokenTask = Task { await self.fetchToken(request, forceRefresh) }
        case .connect(let ticket, _):
            hostProblem = nil
            note(.connecting, ticket: ticket)
            let attempt = Attempt(ticket, Link(settings, token))
            attempts[ticket] = attempt
            attempt.task = Task { await self.logIn(ticket) }
        case .send(let ticket, let bytes, let sensitive):
            attempts[ticket]?.orders.append(.send(bytes, sensitive: sensitive))
        case .startTls(let ticket):
            attempts[ticket]?.orders.append(.startTls)
        case .online(let ticket, let generation, let mechanism, let capabilities, let leftover, let resumed):
            note(.online, ticket: ticket, generation: generation)
            let online = OnlineOrder(
                generation: generation, mechanism: mechanism, capabilities: capabilities, leftover: leftover, resumed: resumed)
            attempts[ticket]?.orders.append(.online(online))
        case .renew(let ticket, let byMs, let why):
            let instant = Clock.instant(byMs)
            note(.renewing, ticket: ticket, text: "\(why)", duration: instant - .now)
            online[ticket]?.transport.state.renew(by: instant)
        case .close(let ticket, let cause):
            close(ticket, cause)
        case .needsUser(let failure):
            let found = known(failure)
            stop(.needsUser, found, NeedsUser(failure: found, underlying: underlying(failure)))
        case .giveUp(let failure):
            let found = known(failure)
            stop(.gaveUp, found, GaveUp(failure: found, underlying: underlying(failure)))
        }
    }

    private func close(_ ticket: UInt64, _ cause: Cause) {
        if let attempt = attempts[ticket] {
            attempt.interrupt()
            noteLoginFailed(ticket)
        } else {
            endOnline(ticket, cause)
        }
    }

    /// Takes a connection out that was online, and tells it why.
    private func endOnline(_ ticket: UInt64, _ cause: Cause?) {
        guard let ended = online.removeValue(forKey: ticket) else { return }
        ended.stop()
        let state = ended.transport.state
        // It was not let go in time, while its successor is online already.
        let reason = cause == .noFault && state.renewBy != nil ? .sessionLimit : cause
        let seen = attempt { try session.status() }?.lastEnding
        let verdict =
            if let seen, reason == nil || reason == seen.cause { seen } else {
                attempt { try verdictOfHost(cause: reason ?? .sessionEnded) }
            }
        guard let verdict else { return }
        note(.ended, ticket: ticket, cause: verdict.cause)
        state.end(verdict)
        ended.transport.inbox.finish(SessionEnded(verdict: verdict))
        ended.transport.inner.abort()
    }

    private func stop(_ kind: SessionEvent.Kind, _ failure: Failure, _ error: any Error) {
        self.failure = error
        note(kind, cause: failure.cause, text: failure.sentence)
    }

    /// What the host itself saw says more: which certificate, which address, what the token source threw.
    private func known(_ failure: Failure) -> Failure {
        if failure.cause == .tokenUnavailable, let tokenProblem {
            return (try? failureOfHost(cause: .tokenUnavailable, detail: words(of: tokenProblem))) ?? failure
        }
        return ofHost(failure)?.failure ?? source.hinted(failure)
    }

    private func underlying(_ failure: Failure) -> (any Error)? {
        failure.cause == .tokenUnavailable ? tokenProblem : ofHost(failure)?.underlying
    }

    private func ofHost(_ failure: Failure) -> LoginFailed? {
        hostProblem.flatMap { $0.failure.cause == failure.cause ? $0 : nil }
    }

    private func noteLoginFailed(_ ticket: UInt64) {
        if let failure = attempt({ try session.status() })?.lastFailure {
            note(.loginFailed, ticket: ticket, cause: failure.cause, text: failure.sentence)
        }
    }

    private func note(
        _ kind: SessionEvent.Kind, ticket: UInt64? = nil, generation: UInt64? = nil, cause: Cause? = nil,
        text: String? = nil, duration: Duration? = nil
    ) {
        onEvent?(
            SessionEvent(
                kind: kind, mailProtocol: settings.endpoint.protocol, user: settings.user, ticket: ticket,
                generation: generation, cause: cause, text: text, duration: duration))
    }

    private func wake() {
        changed.resolve(.success(()))
        changed = Pending()
    }

    // MARK: - Tokens

    private func fetchToken(_ request: UInt64, _ forceRefresh: Bool) async {
        do {
            let token = try await source.token(forceRefresh: forceRefresh)
            (self.token, tokenProblem) = (token.accessToken, nil)
            let expiresInMs = token.expiresIn?.milliseconds
            tell(.token(request: request, token: token.accessToken, expiresInMs: expiresInMs))
        } catch is CancellationError where Task.isCancelled {
        } catch {
            tokenProblem = error
            let failed = error as? TokenSourceFailed
            note(.tokenFailed, text: words(of: error))
            // What is no token does not get better.
            tell(.tokenFailed(request: request, permanent: failed?.isPermanent ?? (error is CoreError)))
        }
    }

    // MARK: - Logins

    private func logIn(_ ticket: UInt64) async {
        guard let attempt = attempts[ticket] else { return }
        do {
            try await attempt.link.open()
            report(attempt, .connected(ticket: ticket))
            while try await perform(attempt) {
                let data = try await attempt.link.read()
                receive(attempt, data)
            }
        } catch let problem as LoginFailed {
            failed(attempt, problem)
        } catch is CancellationError {
            // The machine has closed it.
        } catch {
            failure = error
            wake()
        }
        attempts[ticket] = nil
        await attempt.link.abort()
    }

    /// Carries out the orders for this attempt; false when its login is over, in one way or the other.
    private func perform(_ attempt: Attempt) async throws -> Bool {
        while !attempt.isOver, !attempt.orders.isEmpty {
            switch attempt.orders.removeFirst() {
            case .send(let bytes, let sensitive):
                try await attempt.link.write(bytes, sensitive: sensitive)
            case .startTls:
                try await attempt.link.startTls()
                report(attempt, .tlsEstablished(ticket: attempt.ticket))
            case .online(let order):
                try await handOver(attempt, order)
            }
        }
        return !attempt.isOver
    }

    private func handOver(_ attempt: Attempt, _ order: OnlineOrder) async throws {
        guard let mechanism = order.mechanism else {
            throw CoreError.Misuse(message: "the session says that somebody else has logged in")
        }
        let login = LoginFacts(
            endpoint: settings.endpoint,
            mechanism: mechanism,
            capabilities: order.capabilities,
            roundTrips: await attempt.link.roundTrips,
            duration: await attempt.link.duration
        )
        let transport = WatchedTransport(self, attempt.ticket, try await attempt.link.loggedIn())
        // The machine may have closed it meanwhile.
        guard !attempt.isOver else {
            transport.abort()
            return
        }
        attempt.isOver = true
        attempts[attempt.ticket] = nil
        online[attempt.ticket] = Online(transport, pump: Task { await self.pump(transport) })
        ready.append(SessionConnection(transport, login, order))
        wake()
    }

    private func report(_ attempt: Attempt, _ input: Input) {
        if !attempt.isOver {
            tell(input)
        }
    }

    private func receive(_ attempt: Attempt, _ data: Data) {
        guard !attempt.isOver else { return }
        if data.isEmpty {
            attempt.isOver = true
            let ended = Input.ended(ticket: attempt.ticket, lastLine: nil, cause: nil)
            let plan = self.attempt { try session.handle(nowMs: Clock.nowMs, input: ended) }
            noteLoginFailed(attempt.ticket)
            if let plan {
                carryOut(plan)
            }
        } else if let plan = self.attempt({
            try session.receive(nowMs: Clock.nowMs, ticket: attempt.ticket, bytes: data)
        }) {
            carryOut(plan)
        }
    }

    private func failed(_ attempt: Attempt, _ problem: LoginFailed) {
        guard !attempt.isOver else { return }
        attempt.isOver = true
        hostProblem = problem
        note(.loginFailed, ticket: attempt.ticket, cause: problem.failure.cause, text: problem.failure.sentence)
        tell(.ended(ticket: attempt.ticket, lastLine: nil, cause: problem.failure.cause))
    }

    // MARK: - Time

    private func setTimer() {
        timer?.cancel()
        let look = ContinuousClock.now + SleepDetector.look
        // With a connection that was let go nothing is due until the program waits for another.
        let wakeAt = released.isEmpty ? wakeAtMs.map { min(look, Clock.instant($0)) } ?? look : look
        timer = Task {
            try? await Task.sleep(until: wakeAt, clock: .continuous)
            if !Task.isCancelled {
                self.tick()
            }
        }
    }

    private func tick() {
        timer = nil
        let slept = sleep.happened()
        if slept, released.isEmpty {
            tell(.woke)
        } else if let wakeAtMs, Clock.nowMs >= wakeAtMs, released.isEmpty {
            tell(.tick)
        }
        if timer == nil, !isClosed {
            setTimer()
        }
    }
}
