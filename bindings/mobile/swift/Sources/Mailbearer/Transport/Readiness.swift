#if os(Linux)
import COpenSSL
import Foundation
import Glibc

/// Tells when a socket has something to read, or room to write: by one thread, which sleeps in epoll(7) and wakes for nothing else.
///
/// Dispatch's sources were seen to miss a reset that came while another source of the descriptor was being cancelled: its epoll
/// backend has one one-shot registration for all of them, and reads neither EPOLLHUP nor EPOLLERR (event_epoll.c). To look again by a
/// timer, for fear of it, woke the process 500 times an hour (issue 17).
final class Readiness: @unchecked Sendable {
    static let shared = Readiness("mailbearer")

    private let name: String
    private let lock = NSLock()
    /// Where the kernel is asked; `nil` before the first socket waits.
    private var epoll: Int32?
    private var waiting: [UInt64: Waiting] = [:]
    private var lastNumber: UInt64 = 0

    /// Who waits for one socket.
    private struct Waiting {
        let descriptor: Int32
        var tasks: [Socket.Direction: Pending<Void>] = [:]
    }

    /// - Parameter name: the thread's.
    init(_ name: String) {
        self.name = name
    }

    /// A number for a socket: its descriptor may be another one's by the time that an event is read.
    func number() -> UInt64 {
        lock.withLock {
            lastNumber += 1
            return lastNumber
        }
    }

    /// Returns when there is something to read, or room to write, or the connection is over.
    func wait(_ number: UInt64, _ descriptor: Int32, _ direction: Socket.Direction) async throws {
        let pending = try lock.withLock {
            var socket = waiting[number] ?? Waiting(descriptor: descriptor)
            if let pending = socket.tasks[direction] {
                return pending
            }
            let pending = Pending<Void>()
            socket.tasks[direction] = pending
            try ask(waiting[number] == nil ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, number, socket)
            waiting[number] = socket
            return pending
        }
        try await pending.value()
    }

    /// A socket is about to be closed, which ends what the kernel knows of it.
    func forget(_ number: UInt64) {
        lock.withLock { waiting[number] = nil }
    }

    /// Asks for one event of the directions in which somebody waits.
    private func ask(_ operation: Int32, _ number: UInt64, _ socket: Waiting) throws {
        let epoll = try begun()
        var event = epoll_event()
        event.events = socket.tasks.keys.reduce(EPOLLONESHOT.rawValue) { $0 | $1.event }
        event.data.u64 = number
        guard epoll_ctl(epoll, operation, socket.descriptor, &event) == 0 else {
            throw TransportError.ofPosix(errno, POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO))
        }
    }

    private func begun() throws -> Int32 {
        if let epoll {
            return epoll
        }
        let made = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard made >= 0 else { throw TransportError.ofPosix(errno, POSIXError(POSIXErrorCode(rawValue: errno) ?? .EMFILE)) }
        epoll = made
        Thread.detachNewThread { [self] in
            mailbearer_name_thread(name)
            run(made)
        }
        return made
    }

    private func run(_ epoll: Int32) -> Never {
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        while true {
            let count = epoll_wait(epoll, &events, Int32(events.count), -1)
            for event in events.prefix(Int(max(0, count))) {
                happened(event.data.u64, event.events)
            }
        }
    }

    private func happened(_ number: UInt64, _ events: UInt32) {
        // What is over is told in both directions: who goes on finds out how.
        let isOver = events & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0
        let ready: [Pending<Void>] = lock.withLock {
            guard var socket = waiting[number] else { return [] }
            let directions = Socket.Direction.allCases.filter { isOver || events & $0.event != 0 }
            let ready = directions.compactMap { socket.tasks.removeValue(forKey: $0) }
            waiting[number] = socket
            if !socket.tasks.isEmpty, (try? ask(EPOLL_CTL_MOD, number, socket)) == nil {
                // Nothing will be told of them any more: they look for themselves.
                waiting[number]?.tasks = [:]
                return ready + socket.tasks.values
            }
            return ready
        }
        for pending in ready {
            pending.resolve(.success(()))
        }
    }
}

extension Socket.Direction {
    fileprivate var event: UInt32 {
        switch self {
        case .read: EPOLLIN.rawValue
        case .write: EPOLLOUT.rawValue
        }
    }
}
#endif
