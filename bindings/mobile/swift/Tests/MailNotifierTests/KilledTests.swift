import Foundation
import Mailbearer
import MailbearerTesting
import Testing

/// An app that is killed in every state and begun again: it holds stops and waits, and misses no message.
@Suite(.timeLimit(.minutes(2)), .serialized)
struct KilledTests {
    /// What the app was in the middle of when it was killed: the event that it told last, and how it comes to that.
    enum Moment: String, CaseIterable {
        case fetchingToken, tokenFailed, connecting, loginFailed, online, told, renewing, ended, waiting

        func arrange(_ life: Life) throws {
            switch self {
            case .fetchingToken: try life.says("hang")
            case .tokenFailed: try life.says("outage")
            case .connecting: try life.server.setFault(.greeting, .vanish)
            case .loginFailed: try life.server.setFault(.login, .drop)
            // The source says that its token soon ends.
            case .renewing: try life.says(life.server.issueToken(for: Life.user), lives: 2)
            case .waiting: try life.server.refuse(.unavailable)
            case .online, .told, .ended: break
            }
        }

        func happen(_ life: Life) async throws {
            switch self {
            case .told:
                try await life.until("online")
                try life.deliver("told")
            case .ended:
                try await life.until("online")
                try life.server.restart()
            case .renewing:
                try await life.until("online")
                try life.signIn()
            case .fetchingToken, .tokenFailed, .connecting, .loginFailed, .online, .waiting: break
            }
            try await life.until(rawValue)
        }

        func mend(_ life: Life) throws {
            try life.server.clearFault()
            try life.server.refuse(nil)
            try life.signIn()
        }
    }

    @Test func noMessageIsMissed() async throws {
        let life = try Life(try await Server(messages: 2), isQuick: true)
        // Those from before are not told.
        #expect(try await life.through("once").contains("outcome told(0)"))
        var delivered = 2
        for moment in Moment.allCases {
            try moment.arrange(life)
            try life.begin()
            try await moment.happen(life)
            try life.deliver("meanwhile")
            try await life.kill()
            try life.deliver("between")
            delivered += moment == .told ? 3 : 2
            try moment.mend(life)
            try life.begin()
            let expected = Set(3...delivered)
            let isTold = try await eventually { expected.isSubset(of: try life.told) }
            let told = try life.told
            #expect(isTold, "killed at \(moment): \(told) of \(expected.sorted())\n\(life.output)")
            try await life.kill()
        }
        // Twice at most where it was killed between telling and noting that: nothing else is told again.
        let told = try life.told
        #expect(told.count <= Set(told).count + 2 * Moment.allCases.count, "\(told)")
        await life.server.close()
    }

    @Test(arguments: ["disabled", "revoked"])
    func nobodyLogsInAgainstAStop(_ why: String) async throws {
        let life = try Life(try await Server())
        if why == "revoked" {
            try life.says("revoked")
        } else {
            try life.server.refuse(.accountDisabled)
        }
        try life.begin()
        try await life.until("needsUser")
        try await life.kill()
        // It would work now: but nobody has said so.
        try life.signIn()
        try life.server.refuse(nil)
        _ = try life.server.events()
        for mode in ["run", "once", "run"] {
            try life.begin(mode)
            try await life.until(mode == "once" ? "outcome needsUser" : "thrown NeedsUser")
            try await life.kill()
        }
        #expect(try life.server.events().isEmpty)
        _ = try await life.through("retry")
        #expect(try await life.through("once").contains("outcome told"))
        await life.server.close()
    }

    @Test func aWaitIsNotCutShort() async throws {
        let life = try Life(try await Server(refuse: .rateLimited))
        var (waitsUntil, failures) = (ContinuousClock.now, 0)
        // They grow with each: one that is long enough to tell.
        while waitsUntil < .now + .seconds(3) {
            try life.begin()
            let line = try await life.until("waiting")
            let seconds = line.split(separator: " ").dropLast().last.flatMap { Double($0) }
            waitsUntil = .now + .seconds(try #require(seconds))
            failures += 1
            try #require(failures < 20)
            try await life.kill()
            if waitsUntil < .now + .seconds(3) {
                try await Task.sleep(until: waitsUntil + .seconds(1), clock: .continuous)
            }
        }
        _ = try life.server.events()
        try life.server.refuse(nil)
        // Whoever begins it again and again does not get in earlier.
        while ContinuousClock.now < waitsUntil - .milliseconds(1500) {
            try life.begin()
            try await life.until("waiting")
            try await life.kill()
            #expect(try life.server.events().isEmpty || ContinuousClock.now >= waitsUntil - .milliseconds(1500), "\(life.output)")
        }
        try life.begin()
        try await life.until("online")
        await life.server.close()
    }
}
