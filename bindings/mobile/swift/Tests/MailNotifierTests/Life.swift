import Foundation
import Glibc
import MailbearerTesting

/// The sample app as processes, one after the other, which are killed. They share a folder, as the runs of an app do.
final class Life {
    struct NeverSaid: Error {
        let line: String
        let output: String
    }

    static let user = "joe@gmail.com"

    let server: Server
    private let folder: URL
    private var process: Process?
    private var runs = 0

    /// - Parameter isQuick: it waits for little between its attempts.
    init(_ server: Server, isQuick: Bool = false) throws {
        self.server = server
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("killed-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try Data().write(to: file("told"))
        if isQuick { try Data().write(to: file("quick")) }
        try signIn()
    }

    deinit {
        if let process { Glibc.kill(process.processIdentifier, SIGKILL) }
        try? FileManager.default.removeItem(at: folder)
    }

    /// UIDs, in the order in which they were told.
    var told: [Int] {
        get throws { try text("told").split(separator: "\n").compactMap { Int($0) } }
    }

    var output: String { (try? text("output-\(runs)")) ?? "" }

    /// The token source has a token again.
    func signIn() throws {
        try says(server.issueToken(for: Self.user))
    }

    /// What the token source gives, or how it fails; and how long it says that a token lives.
    func says(_ token: String, lives: Double? = nil) throws {
        try Data(token.utf8).write(to: file("token"), options: .atomic)
        try Data((lives.map { "\($0)" } ?? "").utf8).write(to: file("lives"), options: .atomic)
    }

    func begin(_ mode: String = "run") throws {
        runs += 1
        let process = Process()
        let products = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        process.executableURL = products.appendingPathComponent("mailbearer-killed")
        process.arguments = [mode, folder.path, "\(server.port(.imap))", Self.authority.path]
        try Data().write(to: file("output-\(runs)"))
        process.standardOutput = try FileHandle(forWritingTo: file("output-\(runs)"))
        try process.run()
        self.process = process
    }

    /// As the system kills an app: nothing of it runs any more.
    func kill() async throws {
        guard let process else { return }
        Glibc.kill(process.processIdentifier, SIGKILL)
        // Not waitUntilExit(), which on Linux may miss the end where no run loop runs.
        guard try await eventually({ !process.isRunning }) else { throw NeverSaid(line: "the end", output: output) }
        self.process = nil
    }

    /// Waits for a line of the run, and returns it.
    @discardableResult
    func until(_ words: String) async throws -> String {
        var said: Substring?
        let hasSaid = try await eventually {
            said = output.split(separator: "\n").first { $0.contains(words) }
            return said != nil
        }
        guard hasSaid, let said else { throw NeverSaid(line: words, output: output) }
        return String(said)
    }

    /// Runs to its end.
    func through(_ mode: String) async throws -> String {
        try begin(mode)
        guard let process, try await eventually({ !process.isRunning }) else { throw NeverSaid(line: "", output: output) }
        return output
    }

    func deliver(_ subject: String) throws {
        try server.deliver("Subject: \(subject)\r\n\r\nnews\r\n", to: Self.user)
    }

    private func file(_ name: String) -> URL { folder.appendingPathComponent(name) }
    private func text(_ name: String) throws -> String { try String(contentsOf: file(name), encoding: .utf8) }

    /// The testing server's.
    private static var authority: URL {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<6 { root.deleteLastPathComponent() }
        return root.appendingPathComponent("python/src/mailbearer/testing/ca.pem")
    }
}

/// Waits for a condition, for as long as a busy machine may need.
func eventually(_ condition: () async throws -> Bool) async throws -> Bool {
    let deadline = ContinuousClock.now + .seconds(60)
    while ContinuousClock.now < deadline {
        if try await condition() {
            return true
        }
        try await Task.sleep(for: .milliseconds(10))
    }
    return false
}
