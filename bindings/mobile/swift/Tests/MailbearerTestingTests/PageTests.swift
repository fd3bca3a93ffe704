import Foundation
import Mailbearer
import MailbearerTesting
import Testing

/// The examples of the pages that need a server, as they stand.
struct PageTests {
    @Test func sends() async throws {
        let server = try await Server()
        let source = TokenSource { _ in try Token(server.issueToken(for: "joe@gmail.com")) }
        let outbox = try sessions(.smtp, user: "joe@gmail.com", token: source, options: server.at(.smtp))
        let message = "Subject: hello\r\n\r\n.a line with a dot\r\n"

        for try await connection in outbox {
            try await connection.use { connection in
                try await send(message, from: "joe@gmail.com", to: ["eve@example.org"], connection)
            }
            break
        }

        #expect(try server.submitted().map(\.content) == [Data(message.utf8)])
        #expect(try server.submitted().map(\.recipients) == [["eve@example.org"]])
        try server.refuseRecipient("nobody@example.org", .unknown)
        for try await connection in outbox {
            await #expect(throws: NotTaken.self) {
                try await connection.use { try await send(message, from: "joe@gmail.com", to: ["nobody@example.org"], $0) }
            }
            break
        }
        #expect(try server.submitted().count == 1)
        await outbox.close()
        await server.close()
    }

    @Test func tellsWhatTheUserCanDo() async throws {
        let server = try await Server(flavour: .outlook)
        try server.refuse(.protocolDisabled, over: .imap)
        let source = TokenSource { _ in try Token(server.issueToken(for: "joe@outlook.com")) }
        do {
            _ = try await connect(.imap, user: "joe@outlook.com", token: source, options: server.at(.imap))
            Issue.record("it logged in")
        } catch let error as LoginFailed {
            #expect(error.failure.cause == .protocolDisabled)
            #expect(error.localizedDescription.contains("Switch the protocol on in the settings of the account"))
        }
        await server.close()
    }

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

/// What the server said to a message that it did not take.
struct NotTaken: Error {
    let reply: String
}

/// Sends a message, whose lines end with CR LF: it returns when the server has taken it for all recipients.
func send(_ message: String, from sender: String, to recipients: [String], _ connection: Connection) async throws {
    func say(_ text: String, expecting code: Character) async throws {
        try await connection.write(Data("\(text)\r\n".utf8))
        var reply = ""
        // With a hyphen behind its code a line is not the last one (RFC 5321 section 4.2.1).
        repeat {
            reply = String(decoding: try await connection.readLine(), as: UTF8.self)
        } while reply.dropFirst(3).first == "-"
        guard reply.first == code else { throw NotTaken(reply: reply) }
    }
    try await say("MAIL FROM:<\(sender)>", expecting: "2")
    for recipient in recipients {
        try await say("RCPT TO:<\(recipient)>", expecting: "2")
    }
    try await say("DATA", expecting: "3")
    // A dot that begins a line is doubled (section 4.5.2); one alone ends the message.
    let text = "\r\n\(message)".replacingOccurrences(of: "\r\n.", with: "\r\n..").dropFirst()
    try await say("\(text).", expecting: "2")
}
