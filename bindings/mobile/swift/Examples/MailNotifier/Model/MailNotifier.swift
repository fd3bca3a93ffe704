import Foundation
import Mailbearer

/// Tells of new mail: in the foreground for as long as it runs, in the background in one pass. What is told once is not told again,
/// also when the app is killed at any moment; at worst, the last message is told twice.
public actor MailNotifier {
    /// What one pass in the background brought.
    public enum Outcome: Sendable, Equatable {
        case told(Int)
        /// There was no network, or the server asks to wait: the next pass goes on.
        case later(String)
        /// Nothing goes on before the user has acted. The next pass says so again, and does not log in.
        case needsUser(String)
    }

    public nonisolated let diagnosis: Diagnosis
    private let store: Store
    private let settings: AccountSettings
    private let source: TokenSource
    private let options: LoginOptions
    private let policy: SessionPolicy
    private let notify: @Sendable (_ new: [Headline]) async throws -> Void

    /// - Parameters:
    ///   - options: where the server is not the provider's: for tests, as the policy.
    ///   - notify: shows the user who wrote, and about what.
    public init(
        _ settings: AccountSettings, store: Store, source: TokenSource, options: LoginOptions? = nil,
        policy: SessionPolicy = SessionPolicy(), notify: @escaping @Sendable (_ new: [Headline]) async throws -> Void
    ) {
        (self.settings, self.store, self.source, self.policy, self.notify) = (settings, store, source, policy, notify)
        self.options = options ?? LoginOptions(host: settings.host, port: settings.port)
        diagnosis = Diagnosis(store: store)
    }

    /// Tells of new mail until the task is cancelled.
    ///
    /// - Throws: `NeedsUser` where the user must act, and `GaveUp` where it cannot work.
    public func run(network: AsyncStream<NetworkState>? = nil) async throws {
        try await withAccount(policy) { account in
            let following = network.map { states in Task { await account.follow(states) } }
            defer { following?.cancel() }
            for try await connection in try account.sessions(.imap, options: options) {
                try await tell(connection, waits: true)
            }
        }
    }

    /// Logs in, tells what is new, and closes: what a background task does in its seconds. It can be cancelled at any moment.
    public func checkOnce() async -> Outcome {
        var policy = policy
        policy.first = .seconds(20)
        var count = 0
        do {
            try await withAccount(policy) { account in
                for try await connection in try account.sessions(.imap, options: options) {
                    count = try await tell(connection, waits: false)
                    break
                }
            }
            return .told(count)
        } catch let error as NeedsUser {
            return .needsUser(error.failure.sentence)
        } catch {
            return .later(error.localizedDescription)
        }
    }

    /// The user has acted: signed in again, or paid, or switched IMAP on.
    public func retry() async throws {
        try await withAccount(policy) { await $0.retry() }
    }

    private func withAccount(_ policy: SessionPolicy, _ body: (Account) async throws -> Void) async throws {
        let account = try Account(
            user: settings.user, token: source, policy: policy, snapshot: store.snapshot, onEvent: diagnosis.note)
        diagnosis.begin(account)
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(account))
        } catch {
            diagnosis.end(by: error)
            result = .failure(error)
        }
        diagnosis.save()
        await account.close()
        try result.get()
    }

    @discardableResult
    private func tell(_ connection: SessionConnection, waits: Bool) async throws -> Int {
        var count = 0
        try await connection.use { connection in
            for try await new in connection.newMessages(in: "INBOX", since: store.cursor, waits: waits) {
                let headlines = try await headlines(new.uids, connection)
                if !headlines.isEmpty {
                    try await notify(headlines)
                }
                // Afterwards: who is killed in between tells it again, and misses none.
                try store.save(cursor: new.cursor)
                count += headlines.count
            }
        }
        return count
    }
}
