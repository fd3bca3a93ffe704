import Foundation
import Testing

@testable import Mailbearer

/// Requests for a token are joined to the call that is under way.
@Suite(.timeLimit(.minutes(3)))
struct TokenSourceTests {
    /// A source whose calls wait until they are let through.
    private final class Gate: Sendable {
        let open = Pending<Void>()
        let calls = Counter()
        let cancelled = Counter()

        var source: TokenSource {
            TokenSource { forceRefresh in
                self.calls.next()
                do {
                    try await self.open.value()
                } catch {
                    self.cancelled.next()
                    throw error
                }
                return try Token(forceRefresh ? "fresh" : "cached")
            }
        }
    }

    private func isToken(_ token: Token, _ text: String) throws -> Bool {
        try token.accessToken.isSame(other: AccessToken(token: text))
    }

    @Test func requestsThatComeTogetherAreOneCall() async throws {
        let gate = Gate()
        let source = gate.source
        let requests = (0..<50).map { _ in Task { try await source.token(forceRefresh: false) } }
        #expect(try await eventually { gate.calls.value == 1 })
        gate.open.resolve(.success(()))
        for request in requests {
            #expect(try isToken(try await request.value, "cached"))
        }
        #expect(gate.calls.value < 50)
    }

    @Test func aRequestPastTheCacheIsNotJoinedToOneThatUsesIt() async throws {
        let gate = Gate()
        let source = gate.source
        let cached = Task { try await source.token(forceRefresh: false) }
        #expect(try await eventually { gate.calls.value == 1 })
        let fresh = Task { try await source.token(forceRefresh: true) }
        gate.open.resolve(.success(()))
        #expect(try isToken(try await cached.value, "cached"))
        #expect(try isToken(try await fresh.value, "fresh"))
        #expect(gate.calls.value == 2)
    }

    @Test func aCallIsCancelledWhenNobodyWaitsForIt() async throws {
        let gate = Gate()
        let source = gate.source
        let (first, second) = (
            Task { try await source.token(forceRefresh: false) }, Task { try await source.token(forceRefresh: false) }
        )
        #expect(try await eventually { gate.calls.value == 1 })
        #expect(try await eventually { await source.waiting == 2 })
        first.cancel()
        await #expect(throws: CancellationError.self) { try await first.value }
        #expect(gate.cancelled.value == 0)
        second.cancel()
        await #expect(throws: CancellationError.self) { try await second.value }
        #expect(try await eventually { gate.cancelled.value == 1 })
    }

    @Test func afterAFailureItIsAskedAgain() async throws {
        struct Offline: Error {}
        let calls = Counter()
        let source = TokenSource { _ in
            if calls.next() == 1 { throw Offline() }
            return try Token("token")
        }
        await #expect(throws: Offline.self) { try await source.token(forceRefresh: false) }
        #expect(try isToken(try await source.token(forceRefresh: false), "token"))
    }

    @Test func aTokenIsNeverShown() throws {
        let secret = "Canary0Token1Must2Never3Be4Seen"
        let token = try Token(secret, expiresIn: .seconds(3600))
        var dumped = ""
        dump(token, to: &dumped)
        for shown in ["\(token)", String(reflecting: token), dumped] {
            #expect(shown.contains("Canary0Token") == false)
            #expect(shown.contains(Data(secret.utf8.prefix(12)).base64EncodedString()) == false)
        }
    }
}
