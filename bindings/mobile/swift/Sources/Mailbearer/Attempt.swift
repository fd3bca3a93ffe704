import Foundation

/// A connection on its way, and the orders for it. Only the driver uses it.
final class Attempt {
    enum Order {
        case send(Data, sensitive: Bool)
        case startTls
        case online(OnlineOrder)
    }

    let ticket: UInt64
    let link: Link
    var orders: [Order] = []
    var isOver = false
    var task: Task<Void, Never>?

    init(_ ticket: UInt64, _ link: Link) {
        self.ticket = ticket
        self.link = link
    }

    func interrupt() {
        isOver = true
        task?.cancel()
    }
}

/// A connection that is logged in, as the driver has it.
struct Online {
    let transport: WatchedTransport
    let pump: Task<Void, Never>
    var content = Content()
    var heardAt = ContinuousClock.now
    var answerTimer: Task<Void, Never>?

    init(_ transport: WatchedTransport, pump: Task<Void, Never>) {
        self.transport = transport
        self.pump = pump
    }

    func stop() {
        pump.cancel()
        answerTimer?.cancel()
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
