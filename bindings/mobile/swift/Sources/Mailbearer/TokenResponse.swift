import Foundation

extension Token {
    private static let members = ["access_token", "expires_in", "expires_at"]

    /// What an OAuth token endpoint answered (RFC 6749 section 5): an object of JSON with `access_token` and, in seconds,
    /// `expires_in` or `expires_at`, which counts from 1970.
    ///
    ///     let (data, _) = try await URLSession.shared.data(for: refresh)
    ///     return try Token(response: data)
    ///
    /// - Throws: ``TokenSourceFailed`` with the endpoint's own words where it answered an error, permanent for `invalid_grant`;
    ///   ``CoreError`` where a member is missing, misspelt or no token.
    public init(response: Data, now: Date = Date()) throws {
        guard let object = try? JSONSerialization.jsonObject(with: response) as? [String: Any] else {
            // A portal or a proxy may have answered in the endpoint's place.
            throw TokenSourceFailed("the token endpoint's answer is no object of JSON")
        }
        if let error = object["error"] as? String {
            let words = [error, object["error_description"] as? String].compactMap { $0 }.joined(separator: ": ")
            throw TokenSourceFailed(words, isPermanent: error == "invalid_grant")
        }
        if let (name, meant) = Self.misspelt(object) {
            throw CoreError.Config(message: "the token response has \(name): it is \(meant) that is understood")
        }
        guard let token = object["access_token"] as? String else {
            throw CoreError.Config(message: "the token response has no access_token, or one that is no string")
        }
        let lives = try Self.seconds(object, "expires_in")
        let left = try Self.seconds(object, "expires_at").map { $0 - now.timeIntervalSince1970 }
        try self.init(token, expiresIn: (lives ?? left).map { .seconds(max(0, $0)) })
    }

    /// A member that is one of ours in another spelling, as `accessToken`.
    private static func misspelt(_ object: [String: Any]) -> (String, String)? {
        for name in object.keys.sorted() where !members.contains(name) {
            let plain = name.lowercased().filter(\.isLetter)
            if let meant = members.first(where: { $0.filter(\.isLetter) == plain }) {
                return (name, meant)
            }
        }
        return nil
    }

    /// Some endpoints write numbers as strings.
    private static func seconds(_ object: [String: Any], _ name: String) throws -> Double? {
        guard let value = object[name], !(value is NSNull) else { return nil }
        guard let number = (value as? NSNumber)?.doubleValue ?? (value as? String).flatMap(Double.init), number.isFinite else {
            throw CoreError.Config(message: "\(name) of the token response is no number of seconds")
        }
        return min(number, 1e11)
    }
}
