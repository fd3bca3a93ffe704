import Foundation

#if canImport(Network)
import Network
#endif

/// What the system says of its network.
public struct NetworkState: Sendable, Equatable {
    /// Whether there is one.
    public let isThere: Bool
    /// What leads there, as interfaces and gateways: where it differs, it is another network.
    public let way: [String]

    /// - Parameters:
    ///   - isThere: whether there is a network.
    ///   - way: what leads there, in any words that are the same for the same network.
    public init(isThere: Bool, way: [String] = []) {
        (self.isThere, self.way) = (isThere, way)
    }
}

extension Account {
    /// Tells the account what becomes of the network, until the states end or the task is cancelled: ``networkLost()`` where there is
    /// none, and ``networkBack()`` where there is one again, or another one.
    ///
    ///     .task { await account.follow(networkStates()) }
    ///
    /// The account lives for as long as this runs.
    ///
    /// - Parameter states: those of the system, as `networkStates()` gives them on Apple systems, or of a source of the program's own.
    public func follow(_ states: AsyncStream<NetworkState>) async {
        var news = NetworkNews()
        for await state in states {
            switch news.of(state) {
            case .lost: await networkLost()
            case .back: await networkBack()
            case nil: break
            }
        }
    }
}

/// What of the states is news.
struct NetworkNews {
    enum Kind { case lost, back }

    private var last: NetworkState?

    mutating func of(_ state: NetworkState) -> Kind? {
        defer { last = state }
        guard state.isThere else { return last?.isThere == false ? nil : .lost }
        return last == nil || last == state ? nil : .back
    }
}

#if canImport(Network)
/// What the system says of its network, as it is now and with each change, by `NWPathMonitor`. The monitor ends with the iteration.
public func networkStates() -> AsyncStream<NetworkState> {
    let (states, say) = AsyncStream.makeStream(of: NetworkState.self, bufferingPolicy: .bufferingNewest(1))
    let monitor = NWPathMonitor()
    monitor.pathUpdateHandler = { path in
        let way = path.availableInterfaces.map(\.name) + path.gateways.map { "\($0)" }
        // One that is to be dialled first is there when somebody connects.
        say.yield(NetworkState(isThere: path.status != .unsatisfied, way: way))
    }
    say.onTermination = { _ in monitor.cancel() }
    monitor.start(queue: DispatchQueue(label: "mailbearer.path"))
    return states
}
#endif
