#if os(Linux)
import Dispatch
import Foundation
import Glibc

/// A TCP socket that does not block. It is closed when nobody refers to it any more.
package final class Socket: Sendable {
    /// Octets that are read at a time: what a TLS record holds.
    static let readOctets = 16_384

    /// What a descriptor is made to be.
    private static let flags = Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)

    package let descriptor: Int32
    private let number = Readiness.shared.number()

    private convenience init(_ address: Address) throws {
        self.init(socket(address.family, Int32(SOCK_STREAM.rawValue) | Self.flags, Int32(IPPROTO_TCP)))
        guard descriptor >= 0 else { throw notConnected(errno) }
    }

    private init(_ descriptor: Int32) {
        self.descriptor = descriptor
    }

    deinit {
        Readiness.shared.forget(number)
        Glibc.close(descriptor)
    }

    /// Connects to a host by the first of its addresses that answers.
    static func connect(host: String, port: UInt16) async throws -> Socket {
        try await connect(to: interleaved(try await Address.of(host, port)))
    }

    /// Tries one address after the other: the next one when one has failed, or has not answered for 250 ms (RFC 8305
    /// section 5). All go on until one is connected.
    static func connect(to addresses: [Address]) async throws -> Socket {
        try await withThrowingTaskGroup(of: Outcome.self) { group in
            defer { group.cancelAll() }
            var (left, running, problems) = (addresses[...], 0, [TransportError]())
            func begin() {
                guard let address = left.popFirst() else { return }
                running += 1
                let isLast = left.isEmpty
                group.addTask { try await outcome(of: address) }
                if !isLast {
                    let number = left.startIndex
                    group.addTask {
                        try? await Task.sleep(for: nextAfter)
                        return .late(number)
                    }
                }
            }
            begin()
            while running > 0, let outcome = try await group.next() {
                switch outcome {
                case .connected(let socket): return socket
                case .failed(let problem):
                    problems.append(problem)
                    running -= 1
                    begin()
                // Another one has begun since, where this one had failed.
                case .late(let number): if number == left.startIndex { begin() }
                }
            }
            // A refusal is an answer of the host, and says more than that this machine has no IPv6.
            let refusal = problems.first { ($0.underlying as? POSIXError)?.code == .ECONNREFUSED }
            throw refusal ?? problems.last ?? .notConnected("it has no address", error: "EAI_NODATA")
        }
    }

    /// How long an address may say nothing before the next one is tried, too.
    private static let nextAfter = Duration.milliseconds(250)

    private enum Outcome {
        case connected(Socket)
        case failed(TransportError)
        /// Time for the address of this number, unless it was tried already.
        case late(Int)
    }

    private static func outcome(of address: Address) async throws -> Outcome {
        do {
            let socket = try Socket(address)
            try await socket.connect(to: address)
            return .connected(socket)
        } catch let error as TransportError {
            return .failed(error)
        }
    }

    private func connect(to address: Address) async throws {
        // A login is short lines and answers: Nagle's algorithm would hold each second line back.
        set(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        keepAlive()
        let status = address.octets.withUnsafeBytes {
            Glibc.connect(descriptor, $0.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
        }
        guard status != 0 else { return }
        guard errno == EINPROGRESS else { throw notConnected(errno) }
        do {
            try await wait(.write)
        } catch is CancellationError {
            // Whoever has set a time learns how far it came in that.
            throw TransportError.notConnected("no answer", error: "ETIMEDOUT", underlying: posix(ETIMEDOUT))
        }
        var error: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size)
        guard error == 0 else { throw notConnected(error) }
    }

    /// A peer that is gone is noticed within two minutes, also where nothing is said for hours.
    private func keepAlive() {
        set(SOL_SOCKET, SO_KEEPALIVE, 1)
        set(Int32(IPPROTO_TCP), TCP_KEEPIDLE, KeepAlive.idleSeconds)
        set(Int32(IPPROTO_TCP), TCP_KEEPINTVL, KeepAlive.intervalSeconds)
        set(Int32(IPPROTO_TCP), TCP_KEEPCNT, KeepAlive.count)
        set(Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, KeepAlive.unansweredSeconds * 1000)
    }

    /// An option that the system refuses is no fault: the connection works without it.
    private func set(_ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Returns what has come; nothing at the end, and `nil` where nothing has come yet.
    func receive() throws -> Data? {
        var buffer = Data(count: Self.readOctets)
        let count = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
        if count >= 0 {
            return buffer.prefix(count)
        }
        guard errno == EAGAIN || errno == EINTR else { throw broken(errno) }
        return nil
    }

    /// Writes what fits, and returns how many octets that were.
    func send(_ data: Data) throws -> Int {
        let count = data.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        if count >= 0 {
            return count
        }
        guard errno == EAGAIN || errno == EINTR else { throw broken(errno) }
        return 0
    }

    /// Ends the connection; whoever waits here finds the end.
    func hangUp() {
        shutdown(descriptor, Int32(SHUT_RDWR))
    }

    /// A socket that listens at a free port of 127.0.0.1: for the testing server.
    package static func listening() throws -> Socket {
        let listener = Socket(socket(AF_INET, Int32(SOCK_STREAM.rawValue) | flags, Int32(IPPROTO_TCP)))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener.descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0, listen(listener.descriptor, SOMAXCONN) == 0 else { throw notConnected(errno) }
        return listener
    }

    /// The port at this end.
    package var port: UInt16 {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        return UInt16(bigEndian: address.sin_port)
    }

    /// Returns the next who connects.
    package func accept() async throws -> Socket {
        while true {
            let peer = Glibc.accept(descriptor, nil, nil)
            if peer >= 0 {
                // A program that starts another one at this moment passes it on: a test lives with that.
                _ = fcntl(peer, F_SETFD, FD_CLOEXEC)
                _ = fcntl(peer, F_SETFL, O_NONBLOCK)
                return Socket(peer)
            }
            try await wait(.read)
        }
    }

    package enum Direction: Sendable, CaseIterable { case read, write }

    /// Returns when there is something to read, or room to write.
    func wait(_ direction: Direction) async throws {
        try await Readiness.shared.wait(number, descriptor, direction)
    }
}

/// An address of a host, and a port.
struct Address: Sendable, Equatable {
    let family: Int32
    /// A `sockaddr`.
    let octets: [UInt8]

    /// Asks the system's resolver, which blocks: in a thread of its own, which a cancellation does not wait for.
    static func of(_ host: String, _ port: UInt16) async throws -> [Address] {
        let answer = Pending<[Address]>()
        DispatchQueue.global().async {
            var hints = addrinfo()
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
            var list: UnsafeMutablePointer<addrinfo>?
            let status = getaddrinfo(host, String(port), &hints, &list)
            guard status == 0, let list else {
                answer.resolve(.failure(notFound(status, errno)))
                return
            }
            defer { freeaddrinfo(list) }
            let each = sequence(first: UnsafePointer(list)) { $0.pointee.ai_next.map { UnsafePointer($0) } }
            answer.resolve(.success(each.map { Address($0.pointee) }))
        }
        do {
            return try await answer.value()
        } catch is CancellationError {
            throw notFound(EAI_AGAIN, 0)
        }
    }

    private init(_ info: addrinfo) {
        family = info.ai_family
        octets = Array(UnsafeRawBufferPointer(start: info.ai_addr, count: Int(info.ai_addrlen)))
    }
}

/// In turns of the two families, beginning with the resolver's first (RFC 8305 section 4): where one family leads nowhere, the
/// other is tried soon.
func interleaved(_ addresses: [Address]) -> [Address] {
    let first = addresses.filter { $0.family == addresses.first?.family }
    let other = addresses.filter { $0.family != addresses.first?.family }
    return (0..<max(first.count, other.count)).flatMap { at in
        [first, other].compactMap { at < $0.count ? $0[at] : nil }
    }
}

/// The system's error; those without a name in Foundation are rare.
private func posix(_ error: Int32) -> any Error {
    POSIXErrorCode(rawValue: error).map { POSIXError($0) } ?? NSError(domain: NSPOSIXErrorDomain, code: Int(error))
}

private func notConnected(_ error: Int32) -> TransportError {
    .ofPosix(error, posix(error))
}

private func broken(_ error: Int32) -> TransportError {
    .connection(String(cString: strerror(error)), underlying: posix(error))
}

/// What the resolver says.
private func notFound(_ status: Int32, _ error: Int32) -> TransportError {
    let resolver = ResolverError(code: status)
    return status == EAI_SYSTEM
        ? notConnected(error) : .notConnected(resolver.localizedDescription, error: resolver.name, underlying: resolver)
}
#endif
