import Foundation
import Testing

@testable import Mailbearer

/// The example, as a program of its own.
@Suite(.timeLimit(.minutes(3)))
struct NotifierTests {
    @Test func tellsOfNewMailThroughExpiries() async throws {
        let server = try await TestingServer(tokenLifetime: 3)
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let (tokenFile, output) = (folder.appendingPathComponent("token"), folder.appendingPathComponent("output"))
        let refreshing = Task {
            while !Task.isCancelled {
                let expiresAt = Date().timeIntervalSince1970 + 3
                let response: [String: Any] = ["access_token": try await server.issueToken(), "expires_at": expiresAt]
                try JSONSerialization.data(withJSONObject: response).write(to: tokenFile, options: .atomic)
                try await Task.sleep(for: .milliseconds(200))
            }
        }
        defer { refreshing.cancel() }
        #expect(try await eventually { FileManager.default.fileExists(atPath: tokenFile.path) })

        let notifier = try run(server, tokenFile, output)
        defer { notifier.terminate() }
        for generation in 1...3 {
            #expect(try await eventually { try lines(output).contains("session \(generation)") })
            let count = try await server.messageCount() + 1
            try await server.deliver("Subject: news\r\n\r\nnews\r\n")
            #expect(try await eventually { try lines(output).contains("\(count) messages") })
        }
        #expect(notifier.isRunning)
    }

    private func run(_ server: TestingServer, _ tokenFile: URL, _ output: URL) throws -> Process {
        let port = try #require(try server.options(.imap).port)
        let notifier = Process()
        let products = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        notifier.executableURL = products.appendingPathComponent("notifier")
        notifier.arguments = [TestingServer.user, tokenFile.path, "localhost", "\(port)", server.caFile]
        try Data().write(to: output)
        notifier.standardOutput = try FileHandle(forWritingTo: output)
        try notifier.run()
        return notifier
    }

    private func lines(_ output: URL) throws -> [String] {
        try String(contentsOf: output, encoding: .utf8).components(separatedBy: "\n")
    }
}
