import Foundation
import Mailbearer
import MailbearerTesting
import Testing

@testable import MailNotifierModel

/// Who wrote, and about what: from a server, and from headers as people write them.
@Suite(.timeLimit(.minutes(2)))
struct HeadlineTests {
    private static let user = "joe@gmail.com"

    @Test func theyAreOfTheMessagesThatAreAskedFor() async throws {
        let server = try await Server(messages: 0)
        let token = try server.issueToken(for: Self.user)
        for header in [
            "From: Eve Example <eve@example.org>\r\nSubject: Lunch on Friday?\r\n",
            "Subject: not asked for\r\n",
            "SUBJECT: a line\r\n that goes on\r\nfrom: \"Bills & \\\"Sons\\\"\" <bills@example.org>\r\n",
            "From: <nobody@example.org>\r\n",
        ] {
            try server.deliver("\(header)To: joe@gmail.com\r\n\r\nSubject: of the body\r\n", to: Self.user)
        }
        let connection = try await connect(.imap, user: Self.user, token: .fixed(token), options: server.at(.imap))
        try await connection.write(Data("a1 SELECT INBOX\r\n".utf8))
        while try await !connection.readLine().starts(with: Data("a1 ".utf8)) {}
        // The last is not there.
        let found = try await headlines([4, 3, 1, 99], connection)
        #expect(
            found == [
                Headline(uid: 1, sender: "Eve Example", subject: "Lunch on Friday?"),
                Headline(uid: 3, sender: "Bills & \"Sons\"", subject: "a line that goes on"),
                Headline(uid: 4, sender: "nobody@example.org", subject: "(no subject)"),
            ])
        #expect(try await headlines([], connection).isEmpty)
        // Nothing was marked as read, and more than are fetched at a time are told.
        #expect(try server.messages(of: Self.user, in: "INBOX").allSatisfy { !$0.flags.contains("\\Seen") })
        for number in 5...205 {
            try server.deliver("Subject: \(number)\r\n\r\n", to: Self.user)
        }
        // A server tells of them with the next answer.
        try await connection.write(Data("a2 NOOP\r\n".utf8))
        while try await !connection.readLine().starts(with: Data("a2 ".utf8)) {}
        let all = try await headlines(Array(5...205), connection)
        #expect(all.map(\.subject) == (5...205).map { "\($0)" })
        await connection.close()
        await server.close()
    }

    @Test func wordsThatAreNotAsciiAreRead() {
        #expect(decoded("=?UTF-8?B?R3LDvMOfZQ==?= aus =?iso-8859-1?q?M=FCnchen_!?=") == "Grüße aus München !")
        #expect(decoded("=?utf-8?Q?one?=  =?utf-8*de?Q?two?=") == "onetwo")
        // What cannot be read stays as it came.
        for word in ["=?x-unknown?B?R3I=?=", "=?utf-8?Q?=ZZ?=", "=?utf-8?B?%%%?=", "plain = ? text"] {
            #expect(decoded(word) == word)
        }
        #expect(senderOf("=?UTF-8?Q?J=C3=B6?= <joe@example.org>") == "Jö")
        #expect(senderOf("joe@example.org") == "joe@example.org")
        #expect(senderOf("") == "")
    }
}
