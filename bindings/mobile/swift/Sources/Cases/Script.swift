import Foundation

/// Cases of at most so many octets are also played at every cut.
private let cutOctetsMax = 4096

/// How the server's octets are dealt out.
enum Cut {
    case whole
    case everyOctet
    /// The server's message of this step, cut once at this position.
    case once(step: Int, at: Int)
}

/// A case, with what its many plays share.
struct Script {
    let one: JSON
    let steps: [JSON]
    /// The octets of the server's messages.
    let messages: [Data?]
    private let regexes: [String: NSRegularExpression]

    init(_ one: JSON) throws {
        self.one = one
        steps = one["steps"].list
        messages = steps.map { $0["server"].string.map(latin1) }
        let patterns = try steps.compactMap(\.["client"].string).map { ($0, try NSRegularExpression(pattern: $0)) }
        regexes = Dictionary(patterns, uniquingKeysWith: { first, _ in first })
    }

    func matches(_ pattern: String, _ line: String) -> Bool {
        regexes[pattern]?.firstMatch(in: line, range: NSRange(line.startIndex..., in: line)) != nil
    }

    /// The server's message of a step, in the pieces in which it arrives.
    func deal(_ index: Int, _ cut: Cut, tag: String = "") -> [Data] {
        guard var data = messages[index] else { return [] }
        if data.range(of: Data("%TAG%".utf8)) != nil {
            data = latin1(steps[index]["server"].text.replacingOccurrences(of: "%TAG%", with: tag))
        }
        if let count = steps[index]["repeat"].number.map(Int.init), count > 1 {
            let perPiece = max(1, min(count, 65_536 / max(1, data.count)))
            let piece = Data((0..<perPiece).flatMap { _ in data })
            return Array(repeating: piece, count: (count + perPiece - 1) / perPiece)
        }
        switch cut {
        case .everyOctet:
            return chunks(data, 1)
        case .once(index, let at):
            return [Data(data.prefix(at)), Data(data.dropFirst(at))].filter { !$0.isEmpty }
        case .once, .whole:
            return chunks(data, steps[index]["split"].number.map(Int.init) ?? data.count)
        }
    }

    fileprivate var cuts: [Cut] {
        let sizes = messages.enumerated().compactMap { index, message in
            message.map { (index, $0.count * Int(steps[index]["repeat"].number ?? 1)) }
        }
        if sizes.map(\.1).reduce(0, +) > cutOctetsMax {
            return [.whole]
        }
        let once = sizes.flatMap { index, size in (1..<max(1, size)).map { Cut.once(step: index, at: $0) } }
        return [.whole, .everyOctet] + once
    }
}

/// Plays a case whole, octet by octet, and once at every cut of every message of the server.
func atEveryCut(_ one: JSON, _ play: (Script, Cut) throws -> Void) throws {
    let script = try Script(one)
    for cut in script.cuts {
        do {
            try play(script, cut)
        } catch {
            throw CaseFailed("\(error) (\(cut))")
        }
    }
}

func latin1(_ text: String) -> Data {
    Data(text.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) })
}

private func chunks(_ data: Data, _ size: Int) -> [Data] {
    stride(from: 0, to: data.count, by: max(1, size)).map { Data(data.dropFirst($0).prefix(max(1, size))) }
}
