import Foundation
import Testing

@testable import Mailbearer

/// The sources of the page about tokens, with stand-ins for the libraries.
struct TokenLibrariesTests {
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
        let source = TokenSource(AppAuthSignIn(state))
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
        _ = try await TokenSource(MsalSignIn(app: MSALPublicClientApplication(), account: account)).token(forceRefresh: true)
        let words = [NSLocalizedDescriptionKey: "AADSTS50173: the grant was revoked"]
        let revoked = NSError(domain: "MSALErrorDomain", code: MSALError.interactionRequired.rawValue, userInfo: words)
        let error = await failure {
            try await TokenSource(MsalSignIn(app: MSALPublicClientApplication(failing: revoked), account: account)).token(forceRefresh: false)
        }
        #expect(error?.isPermanent == true)
        #expect(error?.reason.contains("AADSTS50173") == true)
    }

    @Test @MainActor func whatGoogleSaysIsJudged() async throws {
        let user = GIDGoogleUser()
        let source = TokenSource(GoogleSignedIn(user))
        let token = try await source.token(forceRefresh: false).accessToken
        // It gives the refused one again: there is no other one.
        let stale = await failure { try await source.token(forceRefresh: true, refused: token) }
        #expect(stale?.isPermanent == true)
        user.accessToken = GIDToken("ya29.another")
        _ = try await source.token(forceRefresh: true, refused: token)
        for (domain, isPermanent) in [(OIDOAuthTokenErrorDomain, true), (NSURLErrorDomain, nil as Bool?)] {
            user.error = NSError(domain: domain, code: -10, userInfo: [NSLocalizedDescriptionKey: "it was revoked"])
            let error = await failure { try await source.token(forceRefresh: false) }
            #expect(error?.isPermanent == isPermanent)
        }
    }
}
