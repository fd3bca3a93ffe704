import Foundation

/// What lies outside of a driver: the clock, the timer and the network. The cases put one without sockets in its place, in
/// which time leaps.
package protocol World: Sendable {
    /// Milliseconds on a clock that goes on while the device sleeps.
    var nowMs: UInt64 { get }

    /// Milliseconds on a clock that all processes share: since 1970.
    var wallMs: UInt64 { get }

    /// Opens a connection, and reports to the driver what becomes of it.
    func open(_ ticket: UInt64, _ settings: Settings, _ token: AccessToken?, for driver: Driver) -> any Line

    /// Asks the token source, and tells the driver its answer.
    func ask(
        _ source: TokenSource, _ force: Bool, _ refused: AccessToken?,
        answered: @escaping @Sendable (Result<Token, any Error>) async -> Void
    ) -> Task<Void, Never>?

    /// Wakes the driver then, in place of any time before. While connections are open it tells, too, that the device slept.
    func wake(at ms: UInt64?, hasConnections: Bool, _ driver: Driver)

    /// Ends the timer, and returns when it is gone.
    func stop() async
}

/// A connection, as the driver has it. What becomes of it is told to the driver.
package protocol Line: AnyObject, Sendable {
    var ticket: UInt64 { get }
    var login: LoginSummary { get }

    /// Orders of the login. They are carried out one after the other, and then there is read again.
    func startTls()
    func send(_ data: Data, sensitive: Bool)

    /// It is logged in: no more is read until it is given.
    func pause()

    /// What is read goes to this connection from now on.
    func give(to connection: SessionConnection)

    /// The driver has shown these octets to the machine, which needs not see the next `skip` of content.
    func received(_ data: Data, skip: UInt64)

    /// Writes for the program.
    func write(_ data: Data) async throws

    /// Closes at once.
    func close()

    /// Says goodbye, waits for no answer, and closes.
    func leave() async

    /// Returns when no task of it is left.
    func ended() async
}

/// What a connection knows of its own login.
package struct LoginSummary: Sendable {
    package let endpoint: Endpoint
    package let roundTrips: Int
    package let duration: Duration

    package init(endpoint: Endpoint, roundTrips: Int, duration: Duration) {
        (self.endpoint, self.roundTrips, self.duration) = (endpoint, roundTrips, duration)
    }
}

/// The world as it is.
final class SystemWorld: World, @unchecked Sendable {
    private let lock = NSLock()
    private var wakeAtMs: UInt64?
    private var timer: Task<Void, Never>?
    private var sleep = SleepDetector()

    var nowMs: UInt64 { Clock.nowMs }
    var wallMs: UInt64 { UInt64(max(0, Date().timeIntervalSince1970 * 1000)) }

    func open(_ ticket: UInt64, _ settings: Settings, _ token: AccessToken?, for driver: Driver) -> any Line {
        NetworkLine(ticket, settings, token, driver)
    }

    func ask(
        _ source: TokenSource, _ force: Bool, _ refused: AccessToken?,
        answered: @escaping @Sendable (Result<Token, any Error>) async -> Void
    ) -> Task<Void, Never>? {
        Task {
            do {
                await answered(.success(try await source.token(forceRefresh: force, refused: refused)))
            } catch is CancellationError where Task.isCancelled {
                // Nobody waits for it any more.
            } catch {
                await answered(.failure(error))
            }
        }
    }

    func wake(at ms: UInt64?, hasConnections: Bool, _ driver: Driver) {
        lock.withLock {
            let atMs = ms ?? (hasConnections ? UInt64.max : nil)
            guard atMs != wakeAtMs else { return }
            if wakeAtMs == nil {
                sleep = SleepDetector()
            }
            timer?.cancel()
            wakeAtMs = atMs
            timer = atMs.map { atMs in Task { [weak driver] in await self.wait(atMs, driver) } }
        }
    }

    private func wait(_ atMs: UInt64, _ driver: @autoclosure () -> Driver?) async {
        while Clock.nowMs < atMs {
            let left = Duration.milliseconds(atMs - Clock.nowMs)
            if left > SleepDetector.look {
                await Clock.nap(until: .now + SleepDetector.look)
            } else {
                try? await Task.sleep(until: .now + left, clock: .continuous)
            }
            guard !Task.isCancelled else { return }
            if let slept = lock.withLock({ sleep.happened() }) {
                await driver()?.slept(ms: slept.milliseconds)
            }
            guard !Task.isCancelled else { return }
        }
        await driver()?.tick()
    }

    var hasTimer: Bool { lock.withLock { timer != nil } }

    func stop() async {
        let ending = lock.withLock {
            defer { (timer, wakeAtMs) = (nil, nil) }
            return timer
        }
        ending?.cancel()
        await ending?.value
    }
}

/// The latest values of their numbers.
struct Latest<Value> {
    private static var most: Int { 64 }

    private var values: [UInt64: Value] = [:]
    private var numbers: [UInt64] = []

    subscript(number: UInt64?) -> Value? { number.flatMap { values[$0] } }

    mutating func keep(_ value: Value?, of number: UInt64) {
        guard let value else { return }
        if values.updateValue(value, forKey: number) == nil {
            numbers.append(number)
        }
        if numbers.count > Self.most {
            values[numbers.removeFirst()] = nil
        }
    }
}
