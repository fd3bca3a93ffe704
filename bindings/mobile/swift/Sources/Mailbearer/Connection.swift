import Foundation

/// How a login went.
public struct LoginFacts: Sendable {
    /// Where.
    public let endpoint: Endpoint
    /// How.
    public let mechanism: Mechanism
    /// What the server said with the login that it can do; empty where it said nothing.
    public let capabilities: [String]
    /// How often an answer of the server was waited for.
    public let roundTrips: Int
    /// How long connection and login took.
    public let duration: Duration
}

/// A TLS connection that is logged in.
///
/// Read in one task at a time: a second one throws ``CoreError``. Writes are sent in the order in which they come.
public class Connection: @unchecked Sendable {
    /// How the login went.
    public let login: LoginFacts
    private let transport: any Transport
    private let inlet: Inlet

    init(_ transport: any Transport, _ login: LoginFacts, leftover: Data) {
        self.transport = transport
        self.login = login
        inlet = Inlet(transport, leftover)
    }

    /// Returns the octets that came, as soon as some are there; none at the end.
    public func read() async throws -> Data {
        try await inlet.read()
    }

    /// Returns the next so many octets, as of a literal; fewer only at the end.
    public func read(exactly count: Int) async throws -> Data {
        try await inlet.read(exactly: count)
    }

    /// Returns the next line with its line end; what is left at the end, and then nothing.
    ///
    /// - Throws: ``TransportError`` where the line is longer than `limit`.
    public func readLine(limit: Int = 1 << 20) async throws -> Data {
        try await inlet.readLine(limit)
    }

    /// Returns when all of it is written.
    public func write(_ data: Data) async throws {
        try await transport.write(data)
    }

    /// Closes it.
    public func close() async {
        await transport.close()
    }
}

/// What has come and was not read yet.
private actor Inlet {
    private let transport: any Transport
    private var data: Data
    /// Somebody reads.
    private var isTaken = false

    init(_ transport: any Transport, _ leftover: Data) {
        self.transport = transport
        data = leftover
    }

    /// Two that read would have halves of lines.
    private func begin() throws {
        guard !isTaken else {
            throw CoreError.Misuse(message: "somebody reads from this connection already: read in one task at a time")
        }
        isTaken = true
    }

    func read() async throws -> Data {
        try begin()
        defer { isTaken = false }
        return data.isEmpty ? try await transport.read() : take(data.count)
    }

    func read(exactly count: Int) async throws -> Data {
        try begin()
        defer { isTaken = false }
        while data.count < count, try await more() {}
        return take(min(count, data.count))
    }

    func readLine(_ limit: Int) async throws -> Data {
        try begin()
        defer { isTaken = false }
        var searched = 0
        while true {
            if let end = data.dropFirst(searched).firstIndex(of: UInt8(ascii: "\n")) {
                return take(data.distance(from: data.startIndex, to: end) + 1)
            }
            searched = data.count
            guard searched <= limit else { throw TransportError.connection("a line is longer than \(limit) octets") }
            guard try await more() else { return take(data.count) }
        }
    }

    private func more() async throws -> Bool {
        let more = try await transport.read()
        data += more
        return !more.isEmpty
    }

    private func take(_ count: Int) -> Data {
        defer { data = Data(data.dropFirst(count)) }
        return Data(data.prefix(count))
    }
}
