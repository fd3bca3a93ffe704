// The README's adapter for AppAuth, as it stands there: compiled in the sample app, and run with a stand-in in the tests of the package.
#if canImport(AppAuth)
import AppAuth
#endif
import Foundation
import Mailbearer

@MainActor
final class AppAuthSignIn: SignedIn {
    let state: OIDAuthState

    init(_ state: OIDAuthState) {
        self.state = state
    }

    func accessToken(forceRefresh: Bool) async throws -> Token {
        if forceRefresh { state.setNeedsTokenRefresh() }
        return try await withCheckedThrowingContinuation { answer in
            // Store the state afterwards: a refresh token may be a new one each time.
            state.performAction { [state] token, _, error in
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
    throw TokenSourceFailed(error?.localizedDescription ?? "no token", isPermanent: isRefusal, underlying: error)
}
