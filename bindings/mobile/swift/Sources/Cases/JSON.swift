import Foundation

/// A value of a case file. What is not there is `null`, and `has` tells the two apart.
enum JSON: Decodable, Equatable, Sendable {
    case null
    case bool(Bool)
    case number(Int64)
    case string(String)
    case array([JSON])
    case object([String: JSON])

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let bool = try? value.decode(Bool.self) {
            self = .bool(bool)
        } else if let number = try? value.decode(Int64.self) {
            self = .number(number)
        } else if let string = try? value.decode(String.self) {
            self = .string(string)
        } else if let array = try? value.decode([JSON].self) {
            self = .array(array)
        } else {
            self = .object(try value.decode([String: JSON].self))
        }
    }

    subscript(key: String) -> JSON {
        if case .object(let fields) = self { fields[key] ?? .null } else { .null }
    }

    func has(_ key: String) -> Bool {
        if case .object(let fields) = self { fields[key] != nil } else { false }
    }

    var string: String? {
        if case .string(let string) = self { string } else { nil }
    }

    /// The string, or nothing.
    var text: String { string ?? "" }

    var bool: Bool? {
        if case .bool(let bool) = self { bool } else { nil }
    }

    var number: UInt64? {
        if case .number(let number) = self { UInt64(exactly: number) } else { nil }
    }

    var list: [JSON] {
        if case .array(let list) = self { list } else { [] }
    }
}
