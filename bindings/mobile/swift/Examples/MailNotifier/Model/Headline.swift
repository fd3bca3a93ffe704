import Foundation
import Mailbearer

/// Who wrote a message, and about what.
public struct Headline: Sendable, Equatable {
    public let uid: UInt32
    public let sender: String
    public let subject: String

    public init(uid: UInt32, sender: String, subject: String) {
        (self.uid, self.sender, self.subject) = (uid, sender, subject)
    }
}

/// Fetches the headlines of messages in the mailbox that is selected, by ascending UID. Nothing is marked as read, and a message that is
/// gone by now has none.
public func headlines(_ uids: [UInt32], _ connection: Connection) async throws -> [Headline] {
    var found: [Headline] = []
    for begin in stride(from: 0, to: uids.count, by: atOnce) {
        found += try await fetch(uids[begin..<min(begin + atOnce, uids.count)], connection)
    }
    return found.sorted { $0.uid < $1.uid }
}

private let tag = "H1"
private let atOnce = 100

private func fetch(_ uids: ArraySlice<UInt32>, _ connection: Connection) async throws -> [Headline] {
    let set = uids.map(String.init).joined(separator: ",")
    try await connection.write(Data("\(tag) UID FETCH \(set) (UID BODY.PEEK[HEADER.FIELDS (FROM SUBJECT)])\r\n".utf8))
    var found: [Headline] = []
    while true {
        let response = try await Response(from: connection)
        if response.text.hasPrefix("\(tag) ") {
            return found
        }
        if let headline = response.headline {
            found.append(headline)
        }
    }
}

/// A response of IMAP: its line, and the octets of the literals in it (RFC 9051 section 4.3).
private struct Response {
    private(set) var text = ""
    private(set) var literals: [Data] = []

    init(from connection: Connection) async throws {
        while true {
            let line = String(decoding: try await connection.readLine(), as: UTF8.self)
            guard !line.isEmpty else { throw POSIXError(.ECONNRESET) }
            text += line.trimmingCharacters(in: .newlines)
            guard let literal = text.firstMatch(of: /\{(\d+)\}$/), let count = Int(literal.1) else { return }
            text.removeSubrange(literal.range)
            literals.append(try await connection.read(exactly: count))
        }
    }

    /// `nil`: it is another response, or one that came by itself, as `FETCH (FLAGS …)`.
    var headline: Headline? {
        guard let uid = text.firstMatch(of: /[( ]UID (\d+)/).flatMap({ UInt32($0.1) }), let octets = literals.first else { return nil }
        let header = String(decoding: octets, as: UTF8.self)
        let subject = decoded(field("Subject", header))
        return Headline(uid: uid, sender: senderOf(field("From", header)), subject: subject.isEmpty ? "(no subject)" : subject)
    }
}

private func field(_ name: String, _ header: String) -> String {
    // A line that begins with a space goes on with the one before (RFC 5322 section 2.2.3).
    let lines = header.replacingOccurrences(of: "\r\n", with: "\n")
        .replacingOccurrences(of: "\n ", with: " ").replacingOccurrences(of: "\n\t", with: "\t").components(separatedBy: "\n")
    let line = lines.first { $0.lowercased().hasPrefix("\(name.lowercased()):") }
    return line.map { $0.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces) } ?? ""
}

/// The name in `From`, or the address where there is none.
func senderOf(_ from: String) -> String {
    let parts = from.split(separator: "<", maxSplits: 1, omittingEmptySubsequences: false)
    var name = parts[0].trimmingCharacters(in: .whitespaces)
    if name.count > 1, name.hasPrefix("\""), name.hasSuffix("\"") {
        name = String(name.dropFirst().dropLast()).replacing(/\\(.)/) { $0.1 }
    }
    guard name.isEmpty, parts.count == 2 else { return decoded(name) }
    return parts[1].prefix { $0 != ">" }.trimmingCharacters(in: .whitespaces)
}

/// Words of a header that are not ASCII (RFC 2047). What cannot be read stays as it came.
func decoded(_ text: String) -> String {
    // Space between two encoded words is none (section 6.2).
    text.replacing(/\?=\s+=\?/, with: "?==?")
        .replacing(/=\?([^?*]+)(?:\*[^?]*)?\?([BbQq])\?([^?]*)\?=/) { word in
            let octets = word.2.lowercased() == "b" ? Data(base64Encoded: String(word.3)) : quoted(String(word.3))
            let text = octets.flatMap { octets in encodings[word.1.lowercased()].flatMap { String(data: octets, encoding: $0) } }
            return text ?? String(word.0)
        }
}

/// The encoding `Q` (section 4.2); `nil`: it is none.
private func quoted(_ content: String) -> Data? {
    var (octets, rest) = (Data(), Array(content.utf8)[...])
    while let octet = rest.popFirst() {
        switch octet {
        case UInt8(ascii: "_"): octets.append(UInt8(ascii: " "))
        case UInt8(ascii: "="):
            guard let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else { return nil }
            octets.append(value)
            rest = rest.dropFirst(2)
        default: octets.append(octet)
        }
    }
    return octets
}

private let encodings: [String: String.Encoding] = [
    "utf-8": .utf8, "us-ascii": .ascii, "iso-8859-1": .isoLatin1, "iso-8859-2": .isoLatin2, "windows-1250": .windowsCP1250,
    "windows-1251": .windowsCP1251, "windows-1252": .windowsCP1252, "windows-1253": .windowsCP1253, "windows-1254": .windowsCP1254,
    "iso-2022-jp": .iso2022JP, "euc-jp": .japaneseEUC, "shift_jis": .shiftJIS,
]
