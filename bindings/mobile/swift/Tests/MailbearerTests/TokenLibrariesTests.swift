import Foundation
import Testing

@testable import Mailbearer

/// The sources of the page about tokens, with stand-ins for the libraries.
struct TokenLibrariesTests {
    private let pages = ReadmeTests()

    @MainActor private func failure(of work: () async throws -> Token) async -> TokenSourceFailed? {
        do {
            _ = try await work()
            return nil
        } catch {
            return error as? TokenSourceFailed
        }
    }

    @Test @MainActor func whatAppAuthSaysIsJudged() async throws {
        let state = OIDAuthState()
        let source = pages.appAuth(state)
        _ = try await source.token(forceRefresh: true)
        #expect(state.isRefreshNeeded)
        for (domain, isPermanent) in [(OIDOAuthTokenErrorDomain, true), (NSURLErrorDomain, false)] {
            state.answer = (nil, NSError(domain: domain, code: -10, userInfo: [NSLocalizedDescriptionKey: "it was revoked"]))
            let error = await failure { try await source.token(forceRefresh: false) }
            #expect(error?.isPermanent == isPermanent)
            #expect(error?.reason == "it was revoked")
        }
    }

    @Test @MainActor func whatMsalSaysIsJudged() async throws {
        let account = MSALAccount()
        _ = try await pages.msal(MSALPublicClientApplication(), account).token(forceRefresh: true)
        let words = [NSLocalizedDescriptionKey: "AADSTS50173: the grant was revoked"]
        let revoked = NSError(domain: "MSALErrorDomain", code: MSALError.interactionRequired.rawValue, userInfo: words)
        let error = await failure {
            try await pages.msal(MSALPublicClientApplication(failing: revoked), account).token(forceRefresh: false)
        }
        #expect(error?.isPermanent == true)
        #expect(error?.reason.contains("AADSTS50173") == true)
    }
}
