import Foundation
import Testing

import Mailbearer

/// The examples of the pages, as they stand: they are compiled here, and compared with the pages.
struct ReadmeTests {
    @Test func everyExampleOfThePagesIsCompiledHere() throws {
        let file = URL(fileURLWithPath: #filePath)
        let package = file.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let root = package.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let here = lines(try String(contentsOf: file, encoding: .utf8))
        for page in [root, package].map({ $0.appendingPathComponent("README.md") }) {
            let text = try String(contentsOf: page, encoding: .utf8)
            let examples = text.components(separatedBy: "```swift\n").dropFirst()
                .compactMap { $0.components(separatedBy: "```").first }
            #expect(!examples.isEmpty, "\(page.path)")
            for example in examples {
                #expect(here.contains(lines(example)), "\(page.path):\n\(example)")
            }
        }
    }

    /// Without indentation, imports and empty lines.
    private func lines(_ text: String) -> String {
        text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
            .filter { !$0.isEmpty && !$0.hasPrefix("import ") }.joined(separator: "\n")
    }

    private struct Auth {
        func accessToken(forceRefresh: Bool) async throws -> (text: String, secondsLeft: Int) {
            (forceRefresh ? "new" : "cached", 3_600)
        }
    }

    private func first(source: TokenSource) async throws {
        for try await connection in try sessions(.imap, user: "joe@gmail.com", token: source) {
            try await connection.use { connection in
                try await connection.write(Data("a1 SELECT INBOX\r\n".utf8))
                _ = try await connection.wait()
            }
        }
    }

    private func ofSwift(myAuth: Auth) async throws {
        // Asked at every login. `forceRefresh`: the server has refused the last token, and a cached one is of no use.
        let source = TokenSource { forceRefresh in
            let fresh = try await myAuth.accessToken(forceRefresh: forceRefresh)
            return try Token(fresh.text, expiresIn: .seconds(fresh.secondsLeft))
        }

        for try await connection in try sessions(.imap, user: "joe@gmail.com", token: source) {
            try await connection.use { connection in
                try await connection.write(Data("a1 SELECT INBOX\r\n".utf8))
                // Speak IMAP, and let go when the session is due: connection.wait() returns then, connection.renewBy says until when.
            }
            // The end of the session is no error here: the next connection comes, with what was in flight in `resumed`.
        }
    }

    private func ofAnAccount(source: TokenSource, file: URL) async throws {
        let account = try Account(user: "joe@gmail.com", token: source, snapshot: try? Data(contentsOf: file))
        let inbox = try account.sessions(.imap)
        let outbox = try account.sessions(.smtp)
        for try await connection in inbox {
            try await connection.use { connection in
                // … and a message goes out by the next connection of `outbox`.
            }
            // Stops, waits and what was in flight outlive the process; no secret is in it.
            try account.snapshot().write(to: file)
        }
        await outbox.close()
    }

    private struct Store {
        var cursor: String?
    }

    private func following(inbox: Sessions, store: Store) async throws {
        var store = store
        func fetch(_ uids: [UInt32], _ connection: SessionConnection) async throws {}
        for try await connection in inbox {
            try await connection.use { connection in
                for try await new in connection.newMessages(in: "INBOX", since: store.cursor) {
                    try await fetch(new.uids, connection)
                    store.cursor = new.cursor
                }
            }
        }
    }

    private struct Mail {
        func send(_ message: String) async throws {}
    }

    private func explaining(mail: Mail, message: String, show: (String) -> Void) async throws {
        do {
            try await mail.send(message)
        } catch {
            show(explain(error)?.sentence ?? error.localizedDescription)
        }

        let failure = try explain(
            protocol: .imap, phase: .authFail, text: "Invalid credentials (Failure)", status: "NO", code: "AUTHENTICATIONFAILED")
        show(failure.sentence)
    }

    // ---- Where tokens come from --------------------------------------------------------------------------------------

    func appAuth(_ state: OIDAuthState) -> TokenSource {
        // AppAuth works on the main thread, and nobody else uses the state.
        nonisolated(unsafe) let state = state
        return TokenSource { @MainActor forceRefresh in
            if forceRefresh { state.setNeedsTokenRefresh() }
            return try await withCheckedThrowingContinuation { answer in
                // Store the state afterwards: a refresh token may be a new one each time.
                state.performAction { token, _, error in
                    let expires = state.lastTokenResponse?.accessTokenExpirationDate
                    answer.resume(with: Result { try fresh(token, expires, error) })
                }
            }
        }
    }

    func fresh(_ token: String?, _ expires: Date?, _ error: (any Error)?) throws -> Token {
        if let token { return try Token(token, expiresIn: expires.map { .seconds(max(0, $0.timeIntervalSinceNow)) }) }
        // What the token endpoint refuses, a person must mend; without a network it is an outage.
        let isRefusal = (error as NSError?)?.domain == OIDOAuthTokenErrorDomain
        throw TokenSourceFailed(error?.localizedDescription ?? "no token", isPermanent: isRefusal)
    }

    func msal(_ app: MSALPublicClientApplication, _ account: MSALAccount) -> TokenSource {
        TokenSource { forceRefresh in
            let scopes = ["https://outlook.office.com/IMAP.AccessAsUser.All", "https://outlook.office.com/SMTP.Send"]
            let parameters = MSALSilentTokenParameters(scopes: scopes, account: account)
            parameters.forceRefresh = forceRefresh
            do {
                let result = try await app.acquireTokenSilent(with: parameters)
                let lives = result.expiresOn.map { Duration.seconds(max(0, $0.timeIntervalSinceNow)) }
                return try Token(result.accessToken, expiresIn: lives)
            } catch let error as NSError where error.code == MSALError.interactionRequired.rawValue {
                throw TokenSourceFailed(error.localizedDescription, isPermanent: true)
            }
        }
    }
}
