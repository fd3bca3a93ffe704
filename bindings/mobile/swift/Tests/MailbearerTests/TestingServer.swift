import Foundation
import Glibc
@testable import Mailbearer

/// A Gmail-like server of one test: `tests/servers/testing_server.py` runs it, and this is its control connection.
actor TestingServer {
    struct Failed: Error {
        let reason: String
    }

    struct Event: Sendable {
        let connection: Int
        let what: String
    }

    static let user = "joe@gmail.com"

    /// The control connection.
    private struct Wire: @unchecked Sendable {
        let answers: UnsafeMutablePointer<FILE>
        let calls: UnsafeMutablePointer<FILE>
        let ports: [String: [String: UInt16]]
        let caFile: String
    }

    private nonisolated let wire: Wire
    nonisolated var caFile: String { wire.caFile }

    /// Starts one, in a thread of its own: the server has many tests to serve, and others count their milliseconds. The
    /// arguments are those of Python's `mailbearer.testing.Server`.
    init(
        tokenLifetime: Double = 3600, cut: String = "words", flavour: String = "gmail", connectionsMax: Int? = nil
    ) async throws {
        let started = Pending<Wire>()
        Thread.detachNewThread {
            started.resolve(Result { try Self.start(tokenLifetime, cut, flavour, connectionsMax) })
        }
        wire = try await started.value()
    }

    private static func start(
        _ tokenLifetime: Double, _ cut: String, _ flavour: String, _ connectionsMax: Int?
    ) throws -> Wire {
        guard let port = ProcessInfo.processInfo.environment["MAILBEARER_TESTING_PORT"].flatMap(UInt16.init) else {
            throw Failed(reason: "run the tests by make test-swift: it starts the testing server")
        }
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard withLoopback(port, { Glibc.connect(descriptor, $0, $1) }) == 0,
            let answers = fdopen(descriptor, "r"), let calls = fdopen(dup(descriptor), "w")
        else {
            throw Failed(reason: "the testing server is not there")
        }
        let arguments: [String: Any] = [
            "token_lifetime": tokenLifetime, "cut": cut, "flavour": flavour, "connections_max": connectionsMax ?? NSNull(),
        ]
        let about = try exchange(calls, answers, arguments)
        return Wire(
            answers: answers, calls: calls, ports: about["ports"] as? [String: [String: UInt16]] ?? [:],
            caFile: about["ca_file"] as? String ?? "")
    }

    deinit {
        fclose(wire.calls)
        fclose(wire.answers)
    }

    /// What leads a login here.
    nonisolated func options(_ mailProtocol: MailProtocol, _ tls: Tls = .implicit) throws -> LoginOptions {
        let port = wire.ports["\(mailProtocol)"]?[tls == .implicit ? "implicit" : "starttls"]
        let provider = try Provider.named("gmail")
        let connector = systemConnector(trust: .file(caFile))
        return LoginOptions(host: "localhost", port: port, tls: tls, provider: provider, connector: connector)
    }

    func issueToken() throws -> String {
        try call("issue_token", ["user": Self.user]) as? String ?? ""
    }

    func revoke(_ token: String) throws {
        _ = try call("revoke_token", ["token": token])
    }

    /// Refuses every login for a cause.
    func refuse(_ cause: String?) throws {
        _ = try call("refuse", ["cause": cause ?? NSNull()])
    }

    /// Sets a fault that strikes once.
    func setFault(_ stage: String, _ kind: String) throws {
        _ = try call("set_fault", ["stage": stage, "kind": kind])
    }

    func deliver(_ message: String) throws {
        _ = try call("deliver", ["user": Self.user, "message": Data(message.utf8).base64EncodedString()])
    }

    func restart() throws {
        _ = try call("restart", [:])
    }

    func messageCount() throws -> Int {
        (try call("messages", ["user": Self.user]) as? [Any])?.count ?? 0
    }

    /// The octets of what was accepted over SMTP.
    func submittedOctets() throws -> Int {
        let messages = try call("submitted", [:]) as? [[String: Any]] ?? []
        return messages.compactMap { ($0["content"] as? String).flatMap { Data(base64Encoded: $0)?.count } }.reduce(0, +)
    }

    func sessionCount() throws -> Int {
        try call("sessions", [:]) as? Int ?? 0
    }

    /// What happened since the last call.
    func events() throws -> [Event] {
        let events = try call("events", [:]) as? [[String: Any]] ?? []
        return events.map { Event(connection: $0["connection"] as? Int ?? 0, what: $0["what"] as? String ?? "") }
    }

    private func call(_ name: String, _ arguments: [String: Any]) throws -> Any {
        let answer = try Self.exchange(wire.calls, wire.answers, arguments.merging(["call": name]) { _, name in name })
        if let error = answer["error"] as? String {
            throw Failed(reason: error)
        }
        return answer["returned"] ?? NSNull()
    }

    /// A call and its answer, as lines of JSON. It blocks, but the answer comes at once.
    static func exchange(
        _ calls: UnsafeMutablePointer<FILE>, _ answers: UnsafeMutablePointer<FILE>, _ call: [String: Any]
    ) throws -> [String: Any] {
        let line = try JSONSerialization.data(withJSONObject: call) + Data("\n".utf8)
        _ = line.withUnsafeBytes { fwrite($0.baseAddress, 1, $0.count, calls) }
        fflush(calls)
        var answer: UnsafeMutablePointer<CChar>?
        var capacity = 0
        defer { free(answer) }
        let count = getline(&answer, &capacity, answers)
        guard count > 0, let answer else { throw Failed(reason: "the testing server ended") }
        let object = try JSONSerialization.jsonObject(with: Data(bytes: answer, count: count))
        return object as? [String: Any] ?? [:]
    }
}

/// Waits for a condition, for as long as a busy machine may need.
func eventually(_ condition: () async throws -> Bool) async throws -> Bool {
    let deadline = ContinuousClock.now + .seconds(30)
    while ContinuousClock.now < deadline {
        if try await condition() {
            return true
        }
        try await Task.sleep(for: .milliseconds(10))
    }
    return false
}

/// The error of a kind that the body throws.
func thrown<Thrown: Error>(_ kind: Thrown.Type, by body: () async throws -> some Any) async throws -> Thrown {
    do {
        _ = try await body()
    } catch let error as Thrown {
        return error
    }
    throw TestingServer.Failed(reason: "no \(kind) was thrown")
}

extension Connection {
    /// Writes a line, and returns the next one that comes.
    func ask(_ line: String) async throws -> String {
        try await write(Data("\(line)\r\n".utf8))
        return try await answer()
    }

    func answer() async throws -> String {
        String(decoding: try await readLine(), as: UTF8.self)
    }
}
