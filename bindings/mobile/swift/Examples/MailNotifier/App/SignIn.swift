// NOT RUN WHERE THE PROJECT IS TESTED: there is no Apple SDK there. Type-checked against stand-ins: Tests/StandIns.
import AppAuth
import Foundation
import Mailbearer
import Security

/// The README's adapter, and where the grant lies.
extension AppAuthSignIn {
    /// The grant of before; `nil` where nobody has signed in.
    convenience init?(of user: String) {
        guard let data = Keychain.grant(of: user),
            let state = try? NSKeyedUnarchiver.unarchivedObject(ofClass: OIDAuthState.self, from: data)
        else { return nil }
        self.init(state)
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
