import Foundation
import Mailbearer

/// How the account stands, for the screen on which a user finds out why there is no mail; and whoever keeps its snapshot. No token is in
/// what it shows.
public final class Diagnosis: @unchecked Sendable {
    /// What the screen shows.
    public struct Report: Sendable, Equatable {
        /// In a word or two.
        public var standing = "off"
        /// What happened, and what to do: where something is wrong.
        public var sentence: String?
        /// Where the user can mend it.
        public var url: String?
        /// Whether nothing goes on before the user has acted.
        public var needsUser = false
        /// The last things that happened, the newest last.
        public var log: [String] = []

        public init() {}
    }

    private static let linesMax = 200

    private let store: Store
    private let lock = NSLock()
    private var report = Report()
    private weak var account: Account?
    private var watchers: [AsyncStream<Report>.Continuation] = []

    init(store: Store) {
        self.store = store
    }

    public var now: Report { lock.withLock { report } }

    /// The report, as it is now and with each change.
    public func reports() -> AsyncStream<Report> {
        let (reports, watcher) = AsyncStream.makeStream(of: Report.self, bufferingPolicy: .bufferingNewest(1))
        lock.withLock {
            watchers.append(watcher)
            watcher.yield(report)
        }
        return reports
    }

    func begin(_ account: Account) {
        lock.withLock { self.account = account }
        change { ($0.standing, $0.sentence, $0.url, $0.needsUser) = ("starting", nil, nil, false) }
    }

    /// An event of the account: each may be the last thing before the app is killed, so the snapshot is kept at each.
    @Sendable func note(_ event: SessionEvent) {
        save()
        change { report in
            report.log = (report.log + ["\(event)"]).suffix(Self.linesMax)
            switch event.kind {
            case .fetchingToken, .connecting: report.standing = "connecting"
            case .online: (report.standing, report.sentence) = ("waiting for mail", nil)
            case .waiting: report.standing = "trying again soon"
            case .tokenFailed, .loginFailed: report.sentence = event.text
            case .renewing, .ended, .limited, .needsUser, .gaveUp, .mistake: break
            }
        }
    }

    func end(by error: any Error) {
        guard let failed = error as? any FailedLogin else {
            return change { $0.standing = "off" }
        }
        change { report in
            (report.standing, report.sentence, report.url) = ("stopped", failed.failure.sentence, failed.failure.url)
            report.needsUser = failed is NeedsUser
        }
    }

    func save() {
        guard let account = lock.withLock({ account }) else { return }
        // A disk that is full costs a second login after a kill, and nothing else.
        try? store.save(snapshot: account.snapshot())
    }

    private func change(_ change: (inout Report) -> Void) {
        lock.withLock {
            change(&report)
            watchers.forEach { $0.yield(report) }
        }
    }
}
