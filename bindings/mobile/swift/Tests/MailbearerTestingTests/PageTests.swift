import Foundation
import Mailbearer
import MailbearerTesting
import Testing

/// The example of the page about tests, as it stands.
struct PageTests {
    @Test func tellsOfNewMail() async throws {
        let server = try await Server(messages: 0)
        let source = TokenSource { _ in try Token(server.issueToken(for: "joe@gmail.com")) }
        let inbox = try sessions(.imap, user: "joe@gmail.com", token: source, options: server.at(.imap))
        for try await connection in inbox {
            try await connection.use { connection in
                for try await new in connection.newMessages() {
                    guard new.uids.isEmpty else { return }
                    // It listens now.
                    try server.deliver("Subject: hello\r\n\r\nhello\r\n", to: "joe@gmail.com")
                }
            }
            break
        }
        await inbox.close()
        await server.close()
    }
}
