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

    /// A source whose first call never answers, also where it is cancelled.
    private func hangsOnce(_ calls: Counter) -> TokenSource {
        let never = Pending<Void>()
        return TokenSource { _ in
            if calls.next() == 1 {
                await Task.detached { try? await never.value() }.value
            }
            return try Token("token")
        }
    }

    @Test(arguments: [false, true])
    func aCallThatHangsHoldsUpNobodyWhoComesLater(forceRefresh: Bool) async throws {
        let calls = Counter()
        let source = hangsOnce(calls)
        let waitsOn = Task { try await source.token(forceRefresh: false) }
        #expect(try await eventually { await source.waiting == 1 })
        // It is joined, and gives up; whoever comes then is not held up, although the first waits still.
        let late = try await thrown(TokenSourceFailed.self) {
            try await source.token(forceRefresh: forceRefresh, within: .milliseconds(100))
        }
        #expect(late.reason.contains("in time"))
        #expect(calls.value == 1)
        let token = try await source.token(forceRefresh: forceRefresh, within: .seconds(60))
        #expect(try isToken(token, "token"))
        waitsOn.cancel()
        await #expect(throws: CancellationError.self) { try await waitsOn.value }
    }

    @Test func aCallThatNobodyWaitsForAnyMoreIsJoinedByNobody() async throws {
        let calls = Counter()
        let source = hangsOnce(calls)
        let first = Task { try await source.token(forceRefresh: false) }
        #expect(try await eventually { calls.value == 1 })
        first.cancel()
        await #expect(throws: CancellationError.self) { try await first.value }
        #expect(try isToken(try await source.token(forceRefresh: false, within: .seconds(60)), "token"))
    }

    @Test func whoeverIsCancelledTakesTheTokenFromNobodyElse() async throws {
        let gate = Gate()
        let source = gate.source
        let requests = (0..<3).map { _ in Task { try await source.token(forceRefresh: false) } }
        #expect(try await eventually { await source.waiting == 3 })
        requests[0].cancel()
        requests[2].cancel()
        await #expect(throws: CancellationError.self) { try await requests[0].value }
        await #expect(throws: CancellationError.self) { try await requests[2].value }
        gate.open.resolve(.success(()))
        #expect(try isToken(try await requests[1].value, "cached"))
        #expect(gate.calls.value == 1)
    }

    @Test func aSourceThatHangsEndsALoginInItsTime() async throws {
        let server = try await TestingServer()
        var options = try server.options(.imap)
        options.timeout = .milliseconds(100)
        let source = hangsOnce(Counter())
        _ = try await thrown(TokenSourceFailed.self) { [options] in
            try await connect(.imap, user: TestingServer.user, token: source, options: options)
        }
    }

    @Test func whatASourceThrowsAndWhatIsNoTokenIsTold() async throws {
        struct Offline: Error {}
        let server = try await TestingServer()
        let options = try server.options(.imap)
        func logIn(_ source: TokenSource) async throws {
            await (try await connect(.imap, user: TestingServer.user, token: source, options: options)).close()
        }
        _ = try await thrown(Offline.self) { try await logIn(TokenSource { _ in throw Offline() }) }
        _ = try await thrown(CancellationError.self) { try await logIn(TokenSource { _ in throw CancellationError() }) }
        for wrong in ["", "two words", "token\r\n"] {
            _ = try await thrown(CoreError.self) { try await logIn(TokenSource { _ in try Token(wrong) }) }
        }
        for lifetime: Duration in [.seconds(-1), .zero, .seconds(Int64.max)] {
            try await logIn(TokenSource { _ in try Token(try await server.issueToken(), expiresIn: lifetime) })
        }
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

    // MARK: - What an OAuth endpoint answers

    private func token(_ json: String) throws -> Token {
        try Token(response: Data(json.utf8), now: Date(timeIntervalSince1970: 1000))
    }

    @Test func aResponseIsUnderstood() throws {
        #expect(try token(#"{"access_token": "ya29.x", "expires_in": 3599, "token_type": "Bearer"}"#).expiresIn == .seconds(3599))
        #expect(try token(#"{"access_token": "ya29.x", "expires_in": "3599"}"#).expiresIn == .seconds(3599))
        #expect(try token(#"{"access_token": "ya29.x", "expires_at": 1060.0}"#).expiresIn == .seconds(60))
        #expect(try token(#"{"access_token": "ya29.x", "expires_at": 900}"#).expiresIn == .zero)
        #expect(try token(#"{"access_token": "ya29.x", "expires_in": null}"#).expiresIn == nil)
    }

    @Test(arguments: [
        (#"{"accessToken": "Canary"}"#, "access_token"), (#"{"access_token": "x", "expiresIn": 1}"#, "expires_in"),
        (#"{"token": "Canary"}"#, "access_token"), (#"{"access_token": 7}"#, "access_token"),
        (#"{"access_token": "x", "expires_in": "soon"}"#, "expires_in"), (#"{"access_token": "Bearer Canary"}"#, "token"),
    ])
    func aMisspeltResponseIsAMistake(_ json: String, _ word: String) async throws {
        let error = try await thrown(CoreError.self) { try token(json) }
        #expect(error.description.contains(word))
        #expect(error.description.contains("Canary") == false)
    }

    @Test func anErrorOfTheEndpointIsToldInItsWords() async throws {
        let revoked = try await thrown(TokenSourceFailed.self) {
            try token(#"{"error": "invalid_grant", "error_description": "Token has been expired or revoked."}"#)
        }
        #expect(revoked.isPermanent)
        #expect(revoked.reason == "invalid_grant: Token has been expired or revoked.")
        let busy = try await thrown(TokenSourceFailed.self) { try token(#"{"error": "temporarily_unavailable"}"#) }
        #expect(!busy.isPermanent)
        let portal = try await thrown(TokenSourceFailed.self) { try token("<html>Welcome to the hotel</html>") }
        #expect(!portal.isPermanent)
    }
}
