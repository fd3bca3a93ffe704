import Foundation
import Testing

@testable import Mailbearer

/// What programs hold in their hands is explained: our errors, the system's, and replies that a mail library took apart.
@Suite(.timeLimit(.minutes(3)))
struct ExplainTests {
    @Test func ourErrorsAreExplainedByWhatTheyHold() throws {
        let failure = try failureOfHost(cause: .protocolDisabled, detail: "POP3")
        for error: any Error in [
            LoginFailed(failure), NeedsUser(failure: failure, underlying: nil), GaveUp(failure: failure, underlying: nil),
        ] {
            #expect(explain(error) == failure)
        }
        #expect(explain(SessionEnded(verdict: try verdictOfHost(cause: .idleTimeout)))?.cause == .idleTimeout)
        #expect(explain(TokenSourceFailed("no consent"))?.cause == .tokenUnavailable)
        #expect(explain(TokenSourceFailed("no consent"))?.sentence.contains("no consent") == true)
        #expect(explain(CancellationError())?.cause == .cancelled)
    }

    @Test func errorsOfTheNetworkAreExplained() {
        let known: [(any Error, Cause)] = [
            (POSIXError(.ECONNREFUSED), .connectionRefused),
            (POSIXError(.EHOSTUNREACH), .unreachable),
            (POSIXError(.ECONNRESET), .connectionLost),
            (NSError(domain: NSPOSIXErrorDomain, code: Int(ENETUNREACH)), .unreachable),
            (ResolverError(code: EAI_NONAME), .hostNotFound),
            (ResolverError(code: EAI_AGAIN), .unreachable),
            (TransportError.connection("it broke"), .connectionLost),
            (TransportError.plaintextInjected, .plaintextInjected),
            // cannotFindHost, cannotConnectToHost, networkConnectionLost, serverCertificateUntrusted.
            (NSError(domain: "NSURLErrorDomain", code: -1003), .hostNotFound),
            (NSError(domain: "NSURLErrorDomain", code: -1004), .unreachable),
            (NSError(domain: "NSURLErrorDomain", code: -1005), .connectionLost),
            (NSError(domain: "NSURLErrorDomain", code: -1202), .tlsFailed),
        ]
        for (error, cause) in known {
            #expect(explain(error)?.cause == cause, "\(error)")
        }
    }

    @Test func whatLiesUnderAnErrorIsLookedAt() {
        func over(_ error: any Error) -> any Error {
            NSError(domain: "ofALibrary", code: 1, userInfo: [NSUnderlyingErrorKey: error])
        }
        #expect(explain(over(over(POSIXError(.ECONNREFUSED))))?.cause == .connectionRefused)
        let deep = (0..<1000).reduce(POSIXError(.ECONNREFUSED) as any Error) { error, _ in over(error) }
        #expect(explain(deep) == nil)
    }

    @Test func whatSaysNothingOfMailIsNotExplained() async throws {
        struct Mine: Error {}
        #expect(explain(Mine()) == nil)
        #expect(explain(NSError(domain: "mine", code: 61)) == nil)
        #expect(explain(NSError(domain: "NSURLErrorDomain", code: -1100)) == nil)
        #expect(explain(try await thrown(CoreError.self) { try AccessToken(token: "") }) == nil)
    }

    @Test func aReplyIsExplained() throws {
        let failure = try explain(
            protocol: .imap, phase: .authFail, text: "Invalid credentials (Failure)", status: "NO",
            code: "AUTHENTICATIONFAILED", user: "joe@gmail.com")
        #expect(failure.advice == .refreshToken)
        #expect(failure.sentence.contains("Invalid credentials"))
    }

    @Test func whatWasNotSeenIsNotClaimed() throws {
        for text in ["", "Invalid credentials", "2.7.0 Accepted", "Logged in", "[ALERT] expired"] {
            for mailProtocol: MailProtocol in [.imap, .pop3, .smtp] {
                for phase: Phase in [.greeting, .authFail, .authOk, .midSession, .disconnect] {
                    let failure = try explain(protocol: mailProtocol, phase: phase, text: text)
                    #expect(failure.cause != .noFault)
                    #expect(failure.certainty != .stated)
                }
            }
        }
    }

    // MARK: - What a token source threw

    private enum AuthError: Error {
        case invalidGrant
        case refused(secret: String)
    }

    private struct Worded: LocalizedError {
        let secret = "hunter2"
        let errorDescription: String? = "the grant is gone"
    }

    private struct Silent: Error {
        let secret = "hunter2"
    }

    @Test func anErrorIsToldByItsWordsOrItsNameAndNotByItsFields() {
        #expect(words(of: AuthError.invalidGrant) == "AuthError.invalidGrant")
        #expect(words(of: AuthError.refused(secret: "hunter2")) == "AuthError.refused")
        #expect(words(of: Worded()) == "Worded: the grant is gone")
        #expect(words(of: Silent()) == "Silent")
        #expect(words(of: TokenSourceFailed("invalid_grant")) == "invalid_grant")
        #expect(words(of: POSIXError(.ECONNREFUSED)).contains("POSIXError: "))
    }

    @Test(arguments: [
        "POST https://oauth2.example.test/token?client_secret=Canary-1&code=Canary2&x=1: 400",
        "Authorization: Bearer Canary3 was refused",
        "{\"password\": \"Canary4\", \"refresh_token\":\"Canary5\"}",
        "cannot read eyJCanary6hbGciOiJIUzI1NiJ9.eyJCanary7zdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jCanary8NHl0w5N",
        "GOCSPX-Canary9mFyYmF6cXV4MTIz", "ya29.a0AfCanary10_byTokenMustNeverBeSeen",
    ])
    func secretsInWordsAreMasked(_ text: String) {
        let shown = masked(text)
        #expect(shown.contains("<secret>"))
        #expect(shown.contains("Canary") == false, "\(shown)")
    }

    @Test func wordsAreNotMasked() {
        let plain =
            "HTTP 400 from https://oauth2.googleapis.com/token: invalid_grant, Token has been expired or revoked (AADSTS700082)"
        #expect(masked(plain) == plain)
        #expect(masked("") == "")
        #expect(masked("two\r\nlines \u{202e}\u{1b}[2J") == "two lines [2J")
        #expect(masked(String(repeating: "long ", count: 1000)).count <= 512)
    }

    @Test func whatASourceThrewIsInTheSentenceAndKept() async throws {
        let source = TokenSource { _ -> Token in throw TokenSourceFailed("no grant for ya29.a0AfFakeTokenThatIsMasked3", isPermanent: true) }
        let sessions = try sessions(.imap, user: "joe@gmail.com", token: source)
        let error = try await thrown(NeedsUser.self) { try await sessions.makeAsyncIterator().next() }
        #expect(error.failure.cause == .tokenUnavailable)
        #expect(error.failure.advice == .askUser)
        #expect(error.failure.sentence.contains("(no grant for <secret>)"))
        #expect(error.underlying is TokenSourceFailed)
        await sessions.close()
    }
}
