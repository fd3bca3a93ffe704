// NOT RUN WHERE THE PROJECT IS TESTED: there is no Apple SDK there. Type-checked against stand-ins: Tests/StandIns.
import AppAuth
import Foundation
import Mailbearer
import Security

/// Who has signed in, by AppAuth: the README's adapter, and where the grant lies.
@MainActor
final class SignIn: SignedIn {
    private let state: OIDAuthState

    /// The grant of before; `nil` where nobody has signed in.
    init?(_ user: String) {
        guard let data = Keychain.grant(of: user),
            let state = try? NSKeyedUnarchiver.unarchivedObject(ofClass: OIDAuthState.self, from: data)
        else { return nil }
        self.state = state
    }

    func accessToken(forceRefresh: Bool) async throws -> Token {
        if forceRefresh { state.setNeedsTokenRefresh() }
        return try await withCheckedThrowingContinuation { answer in
            state.performAction { [state] token, _, error in
                let expires = state.lastTokenResponse?.accessTokenExpirationDate
                answer.resume(
                    with: Result {
                        if let token { return try Token(token, expiresIn: expires.map { .seconds(max(0, $0.timeIntervalSinceNow)) }) }
                        let isRefusal = (error as NSError?)?.domain == OIDOAuthTokenErrorDomain
                        throw TokenSourceFailed(error?.localizedDescription ?? "no token", isPermanent: isRefusal, underlying: error)
                    })
            }
        }
    }

    /// A refresh token may be a new one each time.
    func keep(for user: String) throws {
        Keychain.keep(try NSKeyedArchiver.archivedData(withRootObject: state, requiringSecureCoding: true), of: user)
    }
}

/// The grant, and nothing else: for this device alone, and readable in the background once it was unlocked.
enum Keychain {
    private static func item(_ user: String) -> [CFString: Any] {
        [kSecClass: kSecClassGenericPassword, kSecAttrService: "org.example.mailnotifier", kSecAttrAccount: user]
    }

    static func grant(of user: String) -> Data? {
        var found: CFTypeRef?
        let query = item(user).merging([kSecReturnData: true]) { $1 }
        return SecItemCopyMatching(query as CFDictionary, &found) == errSecSuccess ? found as? Data : nil
    }

    static func keep(_ grant: Data, of user: String) {
        SecItemDelete(item(user) as CFDictionary)
        let kept: [CFString: Any] = [
            kSecValueData: grant, kSecAttrAccessible: kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly,
        ]
        SecItemAdd(item(user).merging(kept) { $1 } as CFDictionary, nil)
    }

    static func forget(_ user: String) {
        SecItemDelete(item(user) as CFDictionary)
    }
}
