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
            let isOver = DispatchSemaphore(value: 0)
            Thread.detachNewThread {
                other.pump(to: self)
                isOver.signal()
            }
            pump(to: other)
            // The descriptors are closed next, and their numbers given to others.
            isOver.wait()
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

/// A port on loopback where nothing is answered, as behind a firewall that drops: its queue is full.
final class Swallower: Sendable {
    let port: UInt16
    private let descriptors: [Int32]

    init() {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        _ = withLoopback(0) { bind(listener, $0, $1) }
        listen(listener, 0)
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(listener, $0, &size) }
        }
        let port = UInt16(bigEndian: address.sin_port)
        let queued = (0..<4).map { _ in
            let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            _ = withLoopback(port) { Glibc.connect(client, $0, $1) }
            return client
        }
        (self.port, descriptors) = (port, [listener] + queued)
        // The queue is full when the handshakes in it are done.
        usleep(50_000)
    }

    /// Takes all that come for a while: a try that comes again is answered.
    func open() {
        Thread.detachNewThread {
            for _ in 0..<400 {
                let taken = accept(self.descriptors[0], nil, nil)
                if taken >= 0 { close(taken) }
                usleep(25_000)
            }
        }
    }

    deinit {
        descriptors.forEach { close($0) }
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
    private let server: Spawned

    /// Starts one, in a thread of its own: it takes a while, and other tests count their milliseconds.
    ///
    /// - Parameters:
    ///   - issuer: a subject as OpenSSL writes it.
    ///   - until: its last day.
    ///   - subject: of the server's certificate.
    ///   - options: of `openssl s_server`.
    ///   - answer: what it says to a line, and first to an empty one.
    static func start(
        issuer: String = "/O=Example Shield/CN=Example Shield Root", names: String = "DNS:localhost",
        until: String = "2060-01-02", subject: String = "/CN=not shown", options: [String] = [],
        answer: @escaping @Sendable (String) -> String? = { _ in nil }
    ) async throws -> TlsServer {
        let started = Pending<TlsServer>()
        Thread.detachNewThread {
            started.resolve(Result { try TlsServer(issuer, names, until, subject, options, answer) })
        }
        return try await started.value()
    }

    private init(
        _ issuer: String, _ names: String, _ until: String, _ subject: String, _ options: [String],
        _ answer: @escaping @Sendable (String) -> String?
    ) throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        caFile = folder.appendingPathComponent("ca.pem").path
        let path = { [folder] in folder.appendingPathComponent($0).path }
        let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        let last = until.filter { $0 != "-" } + "000000Z"
        try Self.openssl(new + ["-subj", issuer, "-keyout", path("ca.key"), "-out", caFile])
        try Self.openssl(
            new + [
                "-CA", caFile, "-CAkey", path("ca.key"), "-subj", subject, "-addext", "subjectAltName=\(names)",
                "-not_before", "20200102000000Z", "-not_after", last, "-keyout", path("key.pem"), "-out", path("pem"),
            ])
        signal(SIGPIPE, SIG_IGN)
        server = try Spawned(["s_server", "-accept", "127.0.0.1:0", "-cert", path("pem"), "-key", path("key.pem")] + options)
        let (listening, input) = (Lines(server.output), server.input)
        var line = listening.next()
        while let other = line, !other.hasPrefix("ACCEPT ") {
            line = listening.next()
        }
        guard let port = line.flatMap({ UInt16($0.split(separator: ":").last ?? "") }) else {
            throw TestingServer.Failed(reason: "openssl s_server does not listen")
        }
        self.port = port
        Thread.detachNewThread {
            while let line = listening.next() {
                // What it prints of itself; the last of it at the start of a connection is this.
                let isNew = line.hasPrefix("CIPHER is ")
                if let said = answer(isNew ? "" : line) {
                    // It may be gone meanwhile.
                    try? input.write(contentsOf: Data("\(said)\r\n".utf8))
                }
            }
        }
    }

    /// The lines of a program's output, each as soon as it is there.
    private final class Lines: @unchecked Sendable {
        private let file: FileHandle
        private var data = Data()

        init(_ file: FileHandle) {
            self.file = file
        }

        func next() -> String? {
            while true {
                if let end = data.firstIndex(of: UInt8(ascii: "\n")) {
                    defer { data = Data(data[(end + 1)...]) }
                    return String(decoding: data[..<end], as: UTF8.self).trimmingCharacters(in: .newlines)
                }
                let more = file.availableData
                guard !more.isEmpty else { return nil }
                data += more
            }
        }
    }

    deinit {
        server.end()
        try? FileManager.default.removeItem(at: folder)
    }

    private static func openssl(_ arguments: [String]) throws {
        guard try Spawned(arguments).status() == 0 else { throw TestingServer.Failed(reason: "openssl \(arguments)") }
    }
}

/// The program `openssl`, as a process with nothing of ours but its three ends.
///
/// Foundation's `Process` is not safe to be started by many threads at once, and hands on blocked signals.
private final class Spawned: Sendable {
    let input: FileHandle
    let output: FileHandle
    private let identifier: pid_t

    init(_ arguments: [String]) throws {
        var (toChild, fromChild): ([Int32], [Int32]) = ([0, 0], [0, 0])
        pipe(&toChild)
        pipe(&fromChild)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, toChild[0], STDIN_FILENO)
        posix_spawn_file_actions_adddup2(&actions, fromChild[1], STDOUT_FILENO)
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1)
        var words = (["openssl"] + arguments).map { strdup($0) } + [nil]
        defer { words.forEach { free($0) } }
        var (identifier, environment): (pid_t, [UnsafeMutablePointer<CChar>?]) = (0, [nil])
        let status = posix_spawn(&identifier, "/usr/bin/openssl", &actions, nil, &words, &environment)
        close(toChild[0])
        close(fromChild[1])
        input = FileHandle(fileDescriptor: toChild[1], closeOnDealloc: true)
        output = FileHandle(fileDescriptor: fromChild[0], closeOnDealloc: true)
        self.identifier = identifier
        guard status == 0 else { throw TestingServer.Failed(reason: "openssl cannot be run: \(status)") }
    }

    /// Waits for its end.
    func status() -> Int32 {
        var status: Int32 = -1
        waitpid(identifier, &status, 0)
        return status
    }

    func end() {
        kill(identifier, SIGKILL)
        _ = status()
    }
}
