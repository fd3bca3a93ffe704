import Foundation
import Glibc

@testable import Mailbearer

/// A server on loopback that does what a test says, octet by octet.
final class RawServer: Sendable {
    /// One connection. It blocks: each has a thread of its own.
    struct Peer: Sendable {
        let descriptor: Int32

        func say(_ text: String) {
            let octets = Array(text.utf8)
            _ = octets.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        }

        /// What comes next; empty at the end.
        func hear() -> Data {
            var buffer = Data(count: 65_536)
            let count = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
            return buffer.prefix(max(0, count))
        }

        func hearLine() -> String { String(decoding: hear(), as: UTF8.self) }

        /// Hears until the peer ends it.
        func hearOut() {
            while !hear().isEmpty {}
        }

        /// Ends with a reset in place of an end.
        func reset() {
            var now = linger(l_onoff: 1, l_linger: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
        }

        /// Passes on between this and another server, until one of the two ends.
        func relay(to port: UInt16) {
            let other = Peer(descriptor: socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
            guard withLoopback(port, { Glibc.connect(other.descriptor, $0, $1) }) == 0 else { return }
            Thread.detachNewThread { other.pump(to: self) }
            pump(to: other)
            close(other.descriptor)
        }

        private func pump(to other: Peer) {
            while true {
                let data = hear()
                guard !data.isEmpty else { break }
                _ = data.withUnsafeBytes { send(other.descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            }
            shutdown(other.descriptor, Int32(SHUT_RDWR))
        }
    }

    let port: UInt16
    let connections = Counter()
    private let listener: Int32

    /// Serves each connection, and closes it then. The number counts from one.
    init(_ serve: @escaping @Sendable (_ peer: Peer, _ number: Int) -> Void) {
        let (listener, connections) = (socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0), connections)
        _ = withLoopback(0) { bind(listener, $0, $1) }
        listen(listener, 8)
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(listener, $0, &size) }
        }
        self.listener = listener
        port = UInt16(bigEndian: address.sin_port)
        Thread.detachNewThread {
            while true {
                let peer = Peer(descriptor: accept(listener, nil, nil))
                guard peer.descriptor >= 0 else { return }
                let number = connections.next()
                Thread.detachNewThread {
                    serve(peer, number)
                    close(peer.descriptor)
                }
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }
}

func withLoopback(_ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    return withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
}

/// OpenSSL's own server, with a certificate of a new authority.
final class TlsServer: Sendable {
    /// Of the authority, as PEM.
    let caFile: String
    let port: UInt16
    private let folder: URL
    private let server = Process()

    /// Starts one, in a thread of its own: it takes a while, and other tests count their milliseconds.
    ///
    /// - Parameters:
    ///   - issuer: a subject as OpenSSL writes it.
    ///   - until: its last day.
    static func start(
        issuer: String = "/O=Example Shield/CN=Example Shield Root", names: String, until: String = "2060-01-02"
    ) async throws -> TlsServer {
        let started = Pending<TlsServer>()
        Thread.detachNewThread {
            started.resolve(Result { try TlsServer(issuer, names, until) })
        }
        return try await started.value()
    }

    private init(_ issuer: String, _ names: String, _ until: String) throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        caFile = folder.appendingPathComponent("ca.pem").path
        let path = { [folder] in folder.appendingPathComponent($0).path }
        let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        let last = until.filter { $0 != "-" } + "000000Z"
        try Self.openssl(new + ["-subj", issuer, "-keyout", path("ca.key"), "-out", caFile])
        try Self.openssl(
            new + [
                "-CA", caFile, "-CAkey", path("ca.key"), "-subj", "/CN=not shown", "-addext", "subjectAltName=\(names)",
                "-not_before", "20200102000000Z", "-not_after", last, "-keyout", path("key.pem"), "-out", path("pem"),
            ])
        server.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        server.arguments = ["s_server", "-accept", "127.0.0.1:0", "-cert", path("pem"), "-key", path("key.pem")]
        let output = Pipe()
        server.standardOutput = output
        server.standardInput = Pipe()
        server.standardError = FileHandle.nullDevice
        try server.run()
        var told = ""
        while !told.contains("ACCEPT 127.0.0.1:") || told.last != "\n" {
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { throw TestingServer.Failed(reason: "openssl s_server: \(told)") }
            told += String(decoding: more, as: UTF8.self)
        }
        let digits = told.components(separatedBy: "ACCEPT 127.0.0.1:").last?.prefix { $0.isNumber } ?? ""
        port = UInt16(digits) ?? 0
    }

    deinit {
        server.terminate()
        try? FileManager.default.removeItem(at: folder)
    }

    private static func openssl(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments = arguments
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw TestingServer.Failed(reason: "openssl \(arguments)") }
    }
}
