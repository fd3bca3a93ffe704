import Foundation

/// A connection over the network: a task of its own carries out the orders for its login, one after the other, and reads.
final class NetworkLine: Line, @unchecked Sendable {
    private enum Order {
        case startTls
        case send(Data, sensitive: Bool)
    }

    let ticket: UInt64
    private let settings: Settings
    private let link: Link
    private let driver: Driver
    private let begun = ContinuousClock.now
    private let transport = Pending<any Transport>()
    private let inbox = Pending<Inbox>()

    private let lock = NSLock()
    private var orders: [Order] = []
    private var isPaused = false
    private var roundTrips = 0
    private var content = Content()
    private var heardAt = ContinuousClock.now
    private var reader: Task<Void, Never>?
    private var answerTimer: Task<Void, Never>?

    init(_ ticket: UInt64, _ settings: Settings, _ token: AccessToken?, _ driver: Driver) {
        (self.ticket, self.settings, self.driver) = (ticket, settings, driver)
        link = Link(settings, token) { [machine = driver.machine] in try machine.redact(text: $0) }
        lock.withLock { reader = Task { await self.run() } }
    }

    var login: LoginSummary {
        let roundTrips = lock.withLock { self.roundTrips }
        return LoginSummary(endpoint: settings.endpoint, roundTrips: roundTrips, duration: ContinuousClock.now - begun)
    }

    // MARK: - Orders

    func startTls() {
        lock.withLock { orders.append(.startTls) }
    }

    func send(_ data: Data, sensitive: Bool) {
        lock.withLock {
            orders.append(.send(data, sensitive: sensitive))
            roundTrips += 1
        }
    }

    func pause() {
        lock.withLock { isPaused = true }
    }

    func give(to connection: SessionConnection) {
        inbox.resolve(.success(connection.inbox))
    }

    func close() {
        let reader = lock.withLock {
            answerTimer?.cancel()
            return self.reader
        }
        reader?.cancel()
        transport.now?.abort()
        // Who writes finds the end.
        transport.resolve(.failure(TransportError.connection("the connection was closed")))
    }

    func leave() async {
        let goodbye = transport.now
        lock.withLock { (reader, answerTimer) }.0?.cancel()
        await goodbye?.close()
        close()
    }

    func ended() async {
        let tasks = lock.withLock { [reader, answerTimer] }
        for task in tasks {
            await task?.value
        }
    }

    // MARK: - The login, and what comes after it

    private func run() async {
        do {
            try await link.open()
            await driver.opened(ticket)
            while try await obey() {
                let data = try await link.read()
                guard try await show(data, orEnd: await link.broke) else { return }
            }
            try await pump(try await loggedIn())
        } catch let error as LoginFailed {
            await driver.ended(ticket, error.failure, error.underlying)
        } catch is CancellationError where Task.isCancelled {
            // The machine has closed it.
        } catch {
            let failed = try? LoginFailed(.notConnected(words(of: error), underlying: error), at: settings.endpoint)
            await driver.ended(ticket, failed?.failure, error)
        }
        await link.abort()
    }

    /// Carries out what is ordered; false where the login is over.
    private func obey() async throws -> Bool {
        while let order = lock.withLock({ orders.isEmpty ? nil : orders.removeFirst() }) {
            try Task.checkCancellation()
            switch order {
            case .startTls:
                try await link.startTls()
                await driver.secured(ticket)
            case .send(let data, let sensitive):
                try await link.write(data, sensitive: sensitive)
            }
        }
        return !lock.withLock { isPaused }
    }

    private func loggedIn() async throws -> any Transport {
        let transport = try await link.loggedIn()
        self.transport.resolve(.success(transport))
        if Task.isCancelled {
            transport.abort()
        }
        return transport
    }

    /// Reads for the machine and the program, as long as the program has room for it.
    private func pump(_ transport: any Transport) async throws {
        let inbox = try await inbox.value()
        while true {
            do {
                guard try await show(transport.read(), orEnd: nil) else { return }
            } catch let error as TransportError {
                _ = try await show(Data(), orEnd: error)
                return
            }
            try await inbox.room()
        }
    }

    /// Shows what was read to the machine; false at the end.
    private func show(_ data: Data, orEnd error: (any Error)?) async throws -> Bool {
        guard data.isEmpty else {
            await read(data)
            return true
        }
        await driver.ended(ticket, try error.map(broken), error.map { ($0 as? TransportError)?.underlying ?? $0 })
        return false
    }

    private func broken(_ error: any Error) throws -> Failure {
        try (TransportError(error) ?? .connection(words(of: error))).failure(at: settings.endpoint)
    }

    /// Message content that the machine does not want to see is counted, and costs no call.
    private func read(_ data: Data) async {
        let (shown, passed) = lock.withLock {
            heardAt = .now
            let shown = content.pass(data)
            defer { content.passed = shown.isEmpty ? content.passed : 0 }
            return (shown, shown.isEmpty ? 0 : content.passed)
        }
        if shown.isEmpty {
            inbox.now?.put(data)
        } else {
            await driver.receive(self, shown: shown, passed: passed, of: data)
        }
    }

    func received(_ data: Data, skip: UInt64) {
        lock.withLock { content.next = skip }
        inbox.now?.put(data)
    }

    // MARK: - What the program writes

    func write(_ data: Data) async throws {
        try driver.machine.sent(ticket: ticket, bytes: data)
        lock.withLock {
            heardAt = .now
            if answerTimer == nil {
                answerTimer = Task { await self.expectAnswer() }
            }
        }
        try await transport.value().write(data)
    }

    /// An answer must come in time, unless none is due.
    ///
    /// The machine is asked only when one may be late: a write is one call, as a read.
    private func expectAnswer() async {
        let soonest = lock.withLock { heardAt } + min(settings.answerTimeout, settings.dataTimeout)
        await Clock.nap(until: soonest)
        guard !Task.isCancelled else { return }
        while isExpecting() {
            let deadline = lock.withLock { heardAt } + patience
            if ContinuousClock.now >= deadline {
                await driver.ended(ticket, try? failureOfHost(cause: .timedOut, detail: "no answer came"), nil)
                return
            }
            // What comes after the end of a message has less time.
            try? await Task.sleep(until: min(deadline, .now + settings.answerTimeout), clock: .continuous)
            guard !Task.isCancelled else { return }
        }
    }

    /// The end of a message may take longer than another answer (RFC 5321 section 4.5.3.2.6).
    private var patience: Duration {
        let isDelivering = (try? driver.machine.isDelivering(ticket: ticket)) ?? false
        return isDelivering ? settings.dataTimeout : settings.answerTimeout
    }

    private func isExpecting() -> Bool {
        lock.withLock {
            let isQuiet = (try? driver.machine.isQuiet(ticket: ticket)) ?? true
            answerTimer = isQuiet ? nil : answerTimer
            return !isQuiet
        }
    }
}

/// Message content that the session need not see.
struct Content {
    /// Octets of it that come next.
    var next: UInt64 = 0
    /// Octets of it that have come, and that the session was not told of.
    var passed: UInt64 = 0

    /// Returns what is behind the content.
    mutating func pass(_ data: Data) -> Data {
        let count = min(next, UInt64(data.count))
        next -= count
        passed += count
        return count == 0 ? data : Data(data.dropFirst(Int(count)))
    }
}
