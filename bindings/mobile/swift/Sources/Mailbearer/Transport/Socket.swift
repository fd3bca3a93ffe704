#if os(Linux)
import Dispatch
import Foundation
import Glibc

/// A TCP socket that does not block. It is closed when nobody refers to it any more.
final class Socket: Sendable {
    /// Octets that are read at a time: what a TLS record holds.
    static let readOctets = 16_384

    private static let queue = DispatchQueue(label: "mailbearer.sockets")

    let descriptor: Int32

    private init(_ address: UnsafePointer<addrinfo>) throws {
        let kind = address.pointee.ai_socktype | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        descriptor = socket(address.pointee.ai_family, kind, address.pointee.ai_protocol)
        guard descriptor >= 0 else { throw notConnected(errno) }
    }

    deinit {
        Glibc.close(descriptor)
    }

    /// Tries the addresses of a host one after the other.
    static func connect(host: String, port: UInt16) async throws -> Socket {
        let addresses = try await Addresses.of(host, port)
        var problems: [TransportError] = []
        for address in addresses.each {
            do {
                let socket = try Socket(address)
                try await socket.connect(to: address)
                return socket
            } catch let error as TransportError {
                problems.append(error)
            }
        }
        // A refusal is an answer of the host, and says more than that this machine has no IPv6.
        let refusal = problems.first { ($0.underlying as? POSIXError)?.code == .ECONNREFUSED }
        throw refusal ?? problems.last ?? .notConnected("it has no address", error: "EAI_NODATA")
    }

    private func connect(to address: UnsafePointer<addrinfo>) async throws {
        var yes: Int32 = 1
        // A login is short lines and answers: Nagle's algorithm would hold each second line back.
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
        guard Glibc.connect(descriptor, address.pointee.ai_addr, address.pointee.ai_addrlen) != 0 else { return }
        guard errno == EINPROGRESS else { throw notConnected(errno) }
        try await wait(.write)
        var error: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size)
        guard error == 0 else { throw notConnected(error) }
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

    enum Direction { case read, write }

    /// Returns when there is something to read, or room to write.
    func wait(_ direction: Direction) async throws {
        let event = Pending<Void>()
        nonisolated(unsafe) let source: any DispatchSourceProtocol =
            switch direction {
            case .read: DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: Self.queue)
            case .write: DispatchSource.makeWriteSource(fileDescriptor: descriptor, queue: Self.queue)
            }
        source.setEventHandler {
            source.cancel()
            event.resolve(.success(()))
        }
        // The descriptor must not be closed, and its number given to another, before the source is done with it.
        source.setCancelHandler { withExtendedLifetime(self) {} }
        source.activate()
        defer { source.cancel() }
        try await event.value()
    }
}

/// The addresses of a host, as the system's resolver gives them.
private final class Addresses: @unchecked Sendable {
    private let first: UnsafeMutablePointer<addrinfo>

    private init(_ first: UnsafeMutablePointer<addrinfo>) {
        self.first = first
    }

    deinit {
        freeaddrinfo(first)
    }

    var each: some Sequence<UnsafePointer<addrinfo>> {
        sequence(first: UnsafePointer(first)) { $0.pointee.ai_next.map { UnsafePointer($0) } }
    }

    /// Asks the resolver, which blocks: in a thread of its own, which a cancellation does not wait for.
    static func of(_ host: String, _ port: UInt16) async throws -> Addresses {
        let answer = Pending<Addresses>()
        DispatchQueue.global().async {
            var hints = addrinfo()
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
            var list: UnsafeMutablePointer<addrinfo>?
            let status = getaddrinfo(host, String(port), &hints, &list)
            if status == 0, let list {
                answer.resolve(.success(Addresses(list)))
            } else {
                answer.resolve(.failure(notFound(status, errno)))
            }
        }
        return try await answer.value()
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
