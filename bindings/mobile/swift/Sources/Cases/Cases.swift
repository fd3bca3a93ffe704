// Runs the language-neutral cases of tests/cases/ (or of the folder in MAILBEARER_CASES) against the package.
//
// It prints a line for each failure and one for each kind, and ends with status 0 only when all cases passed. The format is
// described in tests/cases/README.md.
import Foundation
import Mailbearer

/// A case does not hold.
struct CaseFailed: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

let ours = URL(fileURLWithPath: #filePath).appendingPathComponent("../../../../../../tests/cases").standardized
let folder = ProcessInfo.processInfo.environment["MAILBEARER_CASES"].map { URL(fileURLWithPath: $0) } ?? ours

@main
struct Cases {
    static func main() async throws {
        exit(try await play() ? 0 : 1)
    }
}

func play() async throws -> Bool {
    let exceptions = try exceptions()
    var counts: [String: (passed: Int, total: Int)] = [:]
    var failed = 0
    for (one, problem) in await problems(of: try load()) {
        let (id, kind) = (one["id"].text, one["kind"].text)
        if let reading = exceptions[id] {
            let outcome = problem == nil ? "no longer needed: remove it" : "as argued"
            print("EXCEPTION swift \(id): \(outcome): \(reading)")
            failed += problem == nil ? 1 : 0
            continue
        }
        counts[kind, default: (0, 0)].total += 1
        if let problem {
            print("FAIL swift \(id): \(problem)")
            failed += 1
        } else {
            counts[kind]?.passed += 1
        }
    }
    for (kind, count) in counts.sorted(by: { $0.key < $1.key }) {
        print("swift \(kind) \(count.passed)/\(count.total)")
    }
    let passed = counts.values.map(\.passed).reduce(0, +)
    print("cases: \(passed) passed, \(failed) failed")
    return failed == 0 && passed > 0
}

/// All cases of all files, but for the list of exceptions.
func load() throws -> [JSON] {
    let files = [folder, folder.appendingPathComponent("account")].flatMap { folder in
        (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
    }
    return
        try files
        .filter { $0.pathExtension == "json" && $0.lastPathComponent != "exceptions.json" }
        .sorted { $0.lastPathComponent < $1.lastPathComponent }
        .flatMap(read)
}

func exceptions() throws -> [String: String] {
    let list = try read(ours.appendingPathComponent("exceptions.json"))
    return Dictionary(uniqueKeysWithValues: list.map { ($0["id"].text, $0["reading"].text) })
}

func read(_ file: URL) throws -> [JSON] {
    guard case .array(let cases) = try JSONDecoder().decode(JSON.self, from: Data(contentsOf: file)) else {
        throw CaseFailed("\(file.path) is no array")
    }
    return cases
}

/// Runs the cases side by side, and says of each why it does not hold; `nil` when it does.
func problems(of cases: [JSON]) async -> [(JSON, String?)] {
    await withTaskGroup(of: (Int, String?).self) { group in
        for (index, one) in cases.enumerated() {
            group.addTask { (index, await run(one)) }
        }
        let found = await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        return cases.enumerated().map { ($1, found[$0] ?? nil) }
    }
}

func run(_ one: JSON) async -> String? {
    do {
        switch one["kind"].text {
        case "classify": try runClassify(one)
        case "negotiation", "watch", "config":
            try atEveryCut(one) { script, cut in try LoginPlayer(script, cut).play() }
        case "session":
            try atEveryCut(one) { script, cut in try SessionPlayer(script, cut).play() }
        case "account":
            try atEveryCut(one) { script, cut in try AccountPlayer(script, cut).play() }
            try await DriverPlayer(Script(one)).play()
        case let kind: throw CaseFailed("the kind \(kind) is not known")
        }
        return nil
    } catch {
        return "\(error)"
    }
}

func runClassify(_ one: JSON) throws {
    let verdict = try classify(
        protocol: try named(one["protocol"].text, [.imap, .pop3, .smtp]),
        phase: try named(
            one["phase"].text,
            [.greeting, .capability, .authChallenge, .authOk, .authFail, .midSession, .disconnect] as [Phase]),
        replyLines: one["lines"].list.map(\.text)
    )
    let expected = one["advice"].text
    guard name(verdict.advice) == expected else {
        throw CaseFailed("expected \(expected), came \(name(verdict.advice)) (\(name(verdict.cause)), rule \(verdict.rule))")
    }
}

/// The name that the cases have for a value of ours: `token_rejected` for `tokenRejected`.
func name(_ value: some Any) -> String {
    "\(value)".reduce(into: "") { $0 += $1.isUppercase ? "_\($1.lowercased())" : String($1) }
}

func named<Value>(_ text: String, _ values: [Value]) throws -> Value {
    guard let value = values.first(where: { name($0) == text }) else { throw CaseFailed("\(text) is none of \(values)") }
    return value
}
