import Foundation

// AppAuth, MSAL and Google Sign-In for Apple's systems as they declare themselves in Swift, as far as the page about tokens uses them.

let OIDOAuthTokenErrorDomain = "org.openid.appauth.oauth_token"

final class OIDTokenResponse {
    let accessTokenExpirationDate: Date? = nil
}

final class OIDAuthState {
    private(set) var isRefreshNeeded = false
    var answer: (token: String?, error: NSError?) = ("ya29.token", nil)
    let lastTokenResponse: OIDTokenResponse? = OIDTokenResponse()

    func setNeedsTokenRefresh() {
        isRefreshNeeded = true
    }

    func performAction(freshTokens action: @escaping (String?, String?, (any Error)?) -> Void) {
        action(answer.token, nil, answer.error)
    }
}

enum MSALError: Int {
    case interactionRequired = -50002
}

final class MSALAccount: Sendable {}

final class MSALSilentTokenParameters {
    var forceRefresh = false

    init(scopes: [String], account: MSALAccount) {
        precondition(!scopes.isEmpty)
    }
}

struct MSALResult {
    let accessToken: String
    let expiresOn: Date?
}

final class MSALPublicClientApplication: Sendable {
    private let error: NSError?

    init(failing error: NSError? = nil) {
        self.error = error
    }

    func acquireTokenSilent(with parameters: MSALSilentTokenParameters) async throws -> MSALResult {
        if let error { throw error }
        return MSALResult(accessToken: parameters.forceRefresh ? "EwB.new" : "EwB.cached", expiresOn: Date() + 3_600)
    }
}

final class GIDToken {
    let tokenString: String
    let expirationDate: Date?

    init(_ tokenString: String) {
        (self.tokenString, expirationDate) = (tokenString, Date() + 3_600)
    }
}

@MainActor final class GIDGoogleUser {
    var accessToken = GIDToken("ya29.google")
    var error: NSError?

    func refreshTokensIfNeeded() async throws -> GIDGoogleUser {
        if let error { throw error }
        return self
    }
}
