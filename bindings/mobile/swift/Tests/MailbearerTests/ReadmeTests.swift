import Foundation
import Testing

import Mailbearer

/// The examples of the pages, as they stand: they are compiled here, and compared with the pages.
struct ReadmeTests {
    @Test func everyExampleOfThePagesIsCompiledHere() throws {
        let file = URL(fileURLWithPath: #filePath)
        let package = file.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let root = package.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let files = [
            file, package.appendingPathComponent("Tests/MailbearerTestingTests/PageTests.swift"),
            package.appendingPathComponent("Examples/MailNotifier/App/AppAuthSignIn.swift"),
        ]
        let here = lines(try files.map { try String(contentsOf: $0, encoding: .utf8) }.joined(separator: "\n"))
        for page in [root.appendingPathComponent("README.md"), package.appendingPathComponent("README.md")]
            + ["start/swift.md"].map({ root.appendingPathComponent("docs/\($0)") })
        {
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

    struct Store {
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

    private func frugal(isExpensive: @escaping @Sendable () -> Bool) {
        let options = LoginOptions(connector: Frugal { !isExpensive() })
        _ = options
    }

    @Test func aConnectorOfYourOwnIsExplained() async throws {
        let options = LoginOptions(host: "mail.example.org", connector: Frugal { false })
        let error = try await thrown(LoginFailed.self) {
            try await connect(.imap, user: "joe@example.org", token: .fixed("token"), options: options)
        }
        #expect(error.failure.cause == .unreachable)
        #expect("\(error)".contains("not over this network"))
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

    // ---- Snapshot and restore ----------------------------------------------------------------------------------------

    private func restoring(source: TokenSource, file: URL) async throws {
        // At each event, for the app may be killed after any.
        let keeper = Keeper(file)
        let account = try Account(
            user: "joe@gmail.com", token: source, snapshot: try? Data(contentsOf: file), onEvent: keeper.note)
        keeper.account = account
    }

    private func logging(source: TokenSource, logger: some EventLogger) throws {
        let account = try Account(user: "joe@gmail.com", token: source, onEvent: logger.log)
        _ = account
    }

    // ---- One pass in the background ----------------------------------------------------------------------------------

    func checkOnce(_ account: Account, _ store: inout Store) async throws -> Int {
        var count = 0
        for try await connection in try account.sessions(.imap) {
            try await connection.use { connection in
                for try await new in connection.newMessages(since: store.cursor, waits: false) {
                    count += new.uids.count
                    store.cursor = new.cursor
                }
            }
            break
        }
        return count
    }

    // ---- A test of one's own -----------------------------------------------------------------------------------------
    // That of the page is in MailbearerTestingTests/PageTests.swift.
}

/// Opens connections as the system does, and not over a way that costs.
struct Frugal: Connector {
    let system = systemConnector()
    let mayConnect: @Sendable () -> Bool

    func open(_ endpoint: Endpoint) async throws -> any Transport {
        guard mayConnect() else {
            throw TransportError.notConnected("not over this network", error: "ENETUNREACH")
        }
        return try await system.open(endpoint)
    }
}

final class Keeper: @unchecked Sendable {
    private let file: URL
    private let lock = NSLock()
    // Weak: the account keeps the keeper.
    private weak var kept: Account?
    var account: Account? {
        get { lock.withLock { kept } }
        set { lock.withLock { kept = newValue } }
    }

    init(_ file: URL) { self.file = file }

    @Sendable func note(_ event: SessionEvent) {
        try? account?.snapshot().write(to: file, options: .atomic)
    }
}

// ---- Where tokens come from ------------------------------------------------------------------------------------------

struct MsalSignIn: SignedIn {
    let app: MSALPublicClientApplication
    let account: MSALAccount

    func accessToken(forceRefresh: Bool) async throws -> Token {
        let scopes = ["https://outlook.office.com/IMAP.AccessAsUser.All", "https://outlook.office.com/SMTP.Send"]
        let parameters = MSALSilentTokenParameters(scopes: scopes, account: account)
        parameters.forceRefresh = forceRefresh
        do {
            let result = try await app.acquireTokenSilent(with: parameters)
            return try fresh(result.accessToken, result.expiresOn, nil)
        } catch let error as NSError where error.code == MSALError.interactionRequired.rawValue {
            throw TokenSourceFailed(error.localizedDescription, isPermanent: true, underlying: error)
        }
    }
}

@MainActor
final class GoogleSignedIn: SignedIn {
    private let user: GIDGoogleUser
    private var refused: String?

    init(_ user: GIDGoogleUser) {
        self.user = user
    }

    func accessToken(forceRefresh: Bool) async throws -> Token {
        do {
            let token = try await user.refreshTokensIfNeeded().accessToken
            // Google Sign-In cannot be told to refresh a token that should still be good: the user has taken the grant back.
            guard token.tokenString != refused else {
                throw TokenSourceFailed("Google's server refuses the token: sign in again", isPermanent: true)
            }
            return try fresh(token.tokenString, token.expirationDate, nil)
        } catch let error as NSError where error.domain == OIDOAuthTokenErrorDomain {
            throw TokenSourceFailed(error.localizedDescription, isPermanent: true, underlying: error)
        }
    }

    func clearToken(_ refused: String) {
        self.refused = refused
    }
}
