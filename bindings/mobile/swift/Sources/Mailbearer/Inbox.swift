import Foundation

/// What has come and was not read yet. Reads can be cancelled, and lose nothing.
package final class Inbox: @unchecked Sendable {
    /// When it holds so many octets, no more is read from the network.
    private static let octetsMax = 65_536

    private let lock = NSLock()
    private var data = Data()
    private var end: Result<Data, any Error>?
    private var arrived = Pending<Void>()
    private var taken = Pending<Void>()

    var isEmpty: Bool { lock.withLock { data.isEmpty } }
    var isFull: Bool { lock.withLock { data.count > Self.octetsMax } }

    package func put(_ more: Data) {
        lock.withLock {
            data += more
            arrived.resolve(.success(()))
        }
    }

    /// Returns when there is room for more.
    func room() async throws {
        let taken = lock.withLock {
            self.taken = data.count > Self.octetsMax && end == nil ? Pending() : self.taken
            return data.count > Self.octetsMax && end == nil ? self.taken : nil
        }
        try await taken?.value()
    }

    /// After all that has come: nothing, or the error.
    func finish(_ error: (any Error)?) {
        lock.withLock {
            end = end ?? error.map { .failure($0) } ?? .success(Data())
            arrived.resolve(.success(()))
            taken.resolve(.success(()))
        }
    }

    func read() async throws -> Data {
        while true {
            let (found, arrived) = lock.withLock { (take(), self.arrived) }
            if let found {
                return try found.get()
            }
            try await arrived.value()
        }
    }

    private func take() -> Result<Data, any Error>? {
        if data.isEmpty {
            if end == nil {
                arrived = Pending()
            }
            return end
        }
        defer { data = Data() }
        taken.resolve(.success(()))
        return .success(data)
    }
}
