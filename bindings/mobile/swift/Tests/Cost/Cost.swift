// What a program on a phone pays besides the machine: mailbearer-cost [SECONDS], run by `make bench-swift`. It prints a line of JSON for
// each figure, as tests/bench/README.md says. The server is a process of its own: this program, once more.
import Foundation
import Glibc
import Mailbearer
import MailbearerTesting

@main
struct Cost {
    static let user = "joe@gmail.com"
    static let sessions = 50

    static func main() async throws {
        if CommandLine.arguments.last == "server" {
            return try await serve()
        }
        let (server, port, token) = try start()
        defer { server.terminate() }
        try await measure(LoginOptions(host: "localhost", port: port, connector: try connector()), token)
    }

    // MARK: - The server

    private static func serve() async throws {
        let server = try await Server(tokenLifetime: .seconds(86_400), messages: 0)
        print(server.port(.imap), try server.issueToken(for: user))
        fflush(nil)
        // Until the other one ends.
        while readLine() != nil {}
        await server.close()
    }

    private static func start() throws -> (Process, UInt16, String) {
        let (process, output) = (Process(), Pipe())
        process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0])
        process.arguments = ["server"]
        (process.standardOutput, process.standardInput) = (output, Pipe())
        try process.run()
        let words = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self).split(whereSeparator: \.isWhitespace)
        return (process, UInt16(words[0]) ?? 0, String(words[1]))
    }

    private static func connector() throws -> any Connector {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<6 { root.deleteLastPathComponent() }
        return systemConnector(trust: .file(root.appendingPathComponent("python/src/mailbearer/testing/ca.pem").path))
    }

    // MARK: - The figures

    private static func measure(_ options: LoginOptions, _ token: String) async throws {
        let seconds = CommandLine.arguments.dropFirst().first.flatMap(Int.init) ?? 300
        // Dispatch counts its threads once a second, for as long as the process lives.
        say("wakes an hour of a program that only sleeps", "count", try await wakesAnHour(in: min(60, seconds)))
        let source = TokenSource { _ in try Token(token, expiresIn: .seconds(86_400)) }
        for name in ["first use: an account and its first session", "the same, once more"] {
            let begun = ContinuousClock.now
            let account = try Account(user: user, token: source)
            _ = try account.sessions(.imap, options: options)
            say(name, "ms", (ContinuousClock.now - begun) / .milliseconds(1))
            await account.close()
        }
        let first = try await Online(source, options)
        let following = Task { try await first.follow() }
        say("wakes an hour of a session in IDLE", "count", try await wakesAnHour(in: seconds))
        following.cancel()
        // What a session has begun is cancelled by its end: so it is counted alone, and first.
        let before = residentKib()
        var others: [Online] = []
        for _ in 0..<sessions {
            others.append(try await Online(source, options))
        }
        say("resident memory of a session that is online", "kib", Double(residentKib() - before) / Double(sessions))
        for one in others { await one.close() }
        await first.close()
    }

    private static func say(_ what: String, _ unit: String, _ value: Double) {
        let line: [String: Any] = [
            "part": "host", "language": "swift", "client": what, "version": "6", "role": "mailbearer", "measure": unit, "runs": [value],
        ]
        let text = try? JSONSerialization.data(withJSONObject: line, options: .sortedKeys)
        print(String(decoding: text ?? Data(), as: UTF8.self))
        fflush(nil)
    }

    private static func wakesAnHour(in seconds: Int) async throws -> Double {
        try await Task.sleep(for: .seconds(2))
        let woken = wakes()
        try await Task.sleep(for: .seconds(seconds))
        return Double(wakes() - woken) * 3_600 / Double(seconds)
    }

    private static func residentKib() -> Int {
        value("VmRSS", of: "/proc/self/status")
    }

    /// Voluntary context switches of all threads, also of those that have ended.
    private static func wakes() -> Int {
        var usage = rusage()
        getrusage(RUSAGE_SELF.rawValue, &usage)
        return usage.ru_nvcsw
    }

    private static func value(_ name: String, of file: String) -> Int {
        let text = (try? String(contentsOfFile: file, encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("\(name):") }
        return line.flatMap { Int($0.filter(\.isNumber)) } ?? 0
    }
}

/// A session of an account of its own, which is online.
private struct Online {
    let account: Account
    let inbox: Sessions
    let connection: SessionConnection

    init(_ source: TokenSource, _ options: LoginOptions) async throws {
        account = try Account(user: Cost.user, token: source)
        inbox = try account.sessions(.imap, options: options)
        guard let connection = try await inbox.makeAsyncIterator().next() else { throw CancellationError() }
        self.connection = connection
    }

    func follow() async throws {
        for try await _ in connection.newMessages() {}
    }

    func close() async {
        await account.close()
    }
}
