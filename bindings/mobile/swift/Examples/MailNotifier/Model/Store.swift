import Foundation

/// What the user has set up.
public struct AccountSettings: Codable, Sendable, Equatable {
    /// The mail address.
    public var user: String
    /// Where the address does not tell it.
    public var host: String?
    public var port: UInt16?

    public init(user: String, host: String? = nil, port: UInt16? = nil) {
        (self.user, self.host, self.port) = (user, host, port)
    }
}

/// What outlives the process, in a folder: settings, the account's snapshot, and how far the mailbox was told. No secret is in it: the
/// grant is the login library's, in the Keychain.
public struct Store: Sendable {
    private let folder: URL

    public init(folder: URL) throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        self.folder = folder
    }

    public var settings: AccountSettings? {
        read("settings.json").flatMap { try? JSONDecoder().decode(AccountSettings.self, from: $0) }
    }

    public func save(_ settings: AccountSettings) throws {
        try write(try JSONEncoder().encode(settings), "settings.json")
    }

    /// Stops, waits and what was in flight.
    public var snapshot: Data? { read("snapshot") }

    public func save(snapshot: Data) throws { try write(snapshot, "snapshot") }

    /// How far new messages were told.
    public var cursor: String? { read("cursor").map { String(decoding: $0, as: UTF8.self) } }

    public func save(cursor: String) throws { try write(Data(cursor.utf8), "cursor") }

    /// Another account begins anew.
    public func forget() {
        for name in ["settings.json", "snapshot", "cursor"] {
            try? FileManager.default.removeItem(at: folder.appendingPathComponent(name))
        }
    }

    private func read(_ name: String) -> Data? {
        try? Data(contentsOf: folder.appendingPathComponent(name))
    }

    private func write(_ data: Data, _ name: String) throws {
        var options: Data.WritingOptions = .atomic
        #if os(iOS)
        // In the background the device may be locked.
        options.insert(.completeFileProtectionUntilFirstUserAuthentication)
        #endif
        try data.write(to: folder.appendingPathComponent(name), options: options)
    }
}
