// Tells of new mail, for as long as it runs: through the expiry of tokens, lost networks and servers that restart.
//
//     notifier USER TOKEN-FILE [HOST PORT CA-FILE]
//
// Another program keeps what an OAuth endpoint answers in the file: JSON with access_token and expires_at. It is read when a
// token is needed.
import Foundation
import Mailbearer

@main
struct Notifier {
    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        guard arguments.count == 2 || arguments.count == 5 else {
            print("usage: notifier USER TOKEN-FILE [HOST PORT CA-FILE]")
            exit(2)
        }
        let (user, file) = (arguments[1], arguments[2])
        let source = TokenSource { _ in try Token(response: Data(contentsOf: URL(fileURLWithPath: file))) }
        do {
            for try await connection in try sessions(.imap, user: user, token: source, options: options(arguments)) {
                say("session \(connection.generation)")
                try await connection.use(watch)
            }
        } catch let error as any FailedLogin {
            // A sentence for a person: what happened, and what to do.
            say(error.failure.sentence)
            exit(1)
        }
    }

    private static func options(_ arguments: ArraySlice<String>) -> LoginOptions {
        guard arguments.count == 5 else { return LoginOptions() }
        return LoginOptions(
            host: arguments[3], port: UInt16(arguments[4]), connector: systemConnector(trust: .file(arguments[5])))
    }

    /// Waits for new mail until the session is to be let go.
    private static func watch(_ connection: SessionConnection) async throws {
        try await send(connection, "a1 SELECT INBOX")
        var isIdling = false
        while true {
            let line = String(decoding: try await connection.readLine(), as: UTF8.self)
            if line.hasSuffix(" EXISTS\r\n"), let count = line.split(separator: " ").dropFirst().first {
                say("\(count) messages")
            } else if line.hasPrefix("a1 "), !isIdling {
                isIdling = true
                try await send(connection, "a2 IDLE")
                Task {
                    // Before its end a session is let go, and the next one begins.
                    if try await connection.wait() {
                        try await send(connection, "DONE\r\na3 LOGOUT")
                    }
                }
            } else if line.isEmpty || line.hasPrefix("a3 ") {
                return
            }
        }
    }

    private static func send(_ connection: SessionConnection, _ line: String) async throws {
        try await connection.write(Data("\(line)\r\n".utf8))
    }

    private static func say(_ line: String) {
        print(line)
        fflush(nil)
    }
}
