// A stand-in for AppAuth, for type checks alone: what the sample app uses, as AppAuth declares itself.
import Foundation

public let OIDOAuthTokenErrorDomain = "org.openid.appauth.oauth_token"

public final class OIDTokenResponse: NSObject {
    public let accessTokenExpirationDate: Date? = nil
}

public final class OIDAuthState: NSObject, NSSecureCoding {
    public static var supportsSecureCoding: Bool { true }
    public init?(coder: NSCoder) {}
    public func encode(with coder: NSCoder) {}

    public var lastTokenResponse: OIDTokenResponse? { nil }
    public func setNeedsTokenRefresh() {}
    public func performAction(freshTokens action: @escaping (String?, String?, (any Error)?) -> Void) {}
}
