import Foundation
import Mailbearer

/// Cases of at most so many octets are also played at every cut.
private let cutOctetsMax = 4096

/// How the server's octets are dealt out.
private enum Cut {
    case whole
    case everyOctet
    /// The server's message of this step, cut once at this position.
    case once(step: Int, at: Int)
}

/// Plays a case whole, octet by octet, and at every cut of every server message.
func runScript(_ one: Case) throws {
    let steps = one["steps"] as? [Case] ?? []
    let patterns = try steps.compactMap { $0["client"] as? String }.map { ($0, try NSRegularExpression(pattern: $0)) }
    let regexes = Dictionary(patterns, uniquingKeysWith: { first, _ in first })
    for cut in cuts(steps) {
        do {
            try Player(one, regexes).play(steps, cut)
        } catch {
            throw CaseFailed("\(error) (\(cut))")
        }
    }
}

private func cuts(_ steps: [Case]) -> [Cut] {
    let sizes = steps.enumerated().compactMap { index, step in
        (step["server"] as? String).map { (index, $0.unicodeScalars.count * (step["repeat"] as? Int ?? 1)) }
    }
    if sizes.map(\.1).reduce(0, +) > cutOctetsMax {
        return [.whole]
    }
    let once = sizes.flatMap { index, size in (1..<max(1, size)).map { Cut.once(step: index, at: $0) } }
    return [.whole, .everyOctet] + once
}

/// Plays the script of a case: the server's octets in, the machine's lines out.
private final class Player {
    /// Where a connection is.
    private enum Stage {
        case notConfigured
        case login(Negotiation)
        case session(Watch)
        case over
    }

    private let one: Case
    private let regexes: [String: NSRegularExpression]
    private let mailProtocol: MailProtocol
    private let token: String
    private var stage = Stage.notConfigured
    private var next = "read"
    private var secure: Bool
    private var cause: String?
    private var authenticated = false
    /// Lines of the machine that no step has looked at.
    private var lines: [String] = []
    private var tag = ""
    private var greeting: String?
    private var tokensInTls = 0
    private var tokensInClear = 0

    init(_ one: Case, _ regexes: [String: NSRegularExpression]) throws {
        self.one = one
        self.regexes = regexes
        mailProtocol = try named(text(one, "protocol"), [.imap, .pop3, .smtp])
        token =
            switch one["token"] as? String {
            case nil: aToken(600)
            case "short": aToken(16)
            case let token?: token
            }
        secure = (one["tls"] as? String ?? "implicit") == "implicit"
        do {
            stage = .login(try configure())
        } catch let error as CoreError {
            try checkLeak("\(error)")
        } catch is NotConfigured {}
    }

    func play(_ steps: [Case], _ cut: Cut) throws {
        for (index, step) in steps.enumerated() {
            if case .over = stage { break }
            do {
                try self.step(index, step, cut)
            } catch {
                throw CaseFailed("step \(index + 1): \(error)")
            }
        }
        try judge()
    }

    private func configure() throws -> Negotiation {
        func field(_ key: String, _ usual: String) throws -> String {
            guard let value = one[key] as? String else { return usual }
            return try utf8(value)
        }
        let tls: Tls = secure ? .implicit : .startTls
        let port =
            switch one["port"] {
            case nil: try defaultPort(protocol: mailProtocol, tls: tls)
            case let port?: try UInt16("\(port)") ?? { throw NotConfigured() }()
            }
        let endpoint = Endpoint(protocol: mailProtocol, tls: tls, host: try field("host", "mail.example.test"), port: port)
        let config = NegotiationConfig(
            endpoint: endpoint,
            identity: Identity(user: try field("user", "user@example.test")),
            mechanisms: try (one["mechanisms"] as? [String])?.map {
                try named($0.lowercased(), [.xoauth2, .oauthbearer])
            },
            initialResponse: try (one["initial_response"] as? String).map { try named($0, [.auto, .never, .always]) },
            ehloName: try field("ehlo_name", "client.example.test")
        )
        return try Negotiation(config: config, token: AccessToken(token: try utf8(token)))
    }

    private func step(_ index: Int, _ step: Case, _ cut: Cut) throws {
        if let text = step["server"] as? String {
            try server(index, step, text, cut)
        } else if let pattern = step["client"] as? String {
            try client(pattern)
        } else if let expected = step["expect"] as? String {
            guard next == expected || (expected == "read" && authenticated) else {
                throw CaseFailed("expected \(expected), came \(next)")
            }
        } else if let text = step["sent"] as? String {
            noteTag(text)
            guard case .session(let watch) = stage else { throw CaseFailed("not logged in") }
            try watch.sent(bytes: latin1(text))
        } else if step["tls"] as? String == "established" {
            guard case .login(let negotiation) = stage else { throw CaseFailed("no login") }
            secure = true
            try take(try negotiation.tlsEstablished())
        } else if step["closed"] as? Bool == true {
            try closed()
        } else {
            throw CaseFailed("a step that is not known: \(step)")
        }
    }

    private func server(_ index: Int, _ step: Case, _ text: String, _ cut: Cut) throws {
        // A line without a secret may come where the file does not foresee it: the runner follows the machine.
        lines = []
        greeting = greeting ?? text
        for piece in deal(latin1(text.replacingOccurrences(of: "%TAG%", with: tag)), index, step, cut) {
            try receive(piece)
        }
    }

    private func receive(_ piece: Data) throws {
        switch stage {
        case .login(let negotiation):
            let step = try negotiation.receive(bytes: piece)
            // To print is slow, and most octets bring nothing to print.
            if step.next != .read || !step.send.isEmpty {
                try checkLeak("\(step) \(negotiation)")
            }
            try take(step)
        case .session(let watch):
            if let verdict = try watch.received(bytes: piece).ending {
                end(verdict.cause)
            }
        case .notConfigured, .over:
            return
        }
    }

    private func closed() throws {
        switch stage {
        case .login(let negotiation): try take(try negotiation.closed())
        case .session(let watch): end(try watch.closed().cause)
        case .notConfigured, .over: return
        }
    }

    private func end(_ cause: Cause) {
        self.cause = name(cause)
        stage = .over
    }

    private func take(_ step: Step) throws {
        for line in String(decoding: step.send, as: UTF8.self).components(separatedBy: "\r\n").dropLast() {
            noteTag(line)
            let tokens = tokensIn(line)
            if secure { tokensInTls += tokens } else { tokensInClear += tokens }
            guard (tokens > 0) == step.sensitive else {
                throw CaseFailed("the mark for sensitive octets is wrong: \(step.sensitive)")
            }
            lines.append(line)
        }
        switch step.next {
        case .read: next = "read"
        case .startTls: next = "start_tls"
        case .done(let login):
            next = "done"
            authenticated = true
            let watch = try Watch(protocol: mailProtocol)
            stage = .session(watch)
            if let verdict = try watch.received(bytes: login.leftover).ending {
                end(verdict.cause)
            }
        case .failed(let failure):
            next = "failed"
            try checkLeak("\(failure)")
            end(failure.cause)
        }
    }

    private func client(_ pattern: String) throws {
        switch stage {
        case .notConfigured, .over: return
        case .login, .session: break
        }
        guard !lines.isEmpty else { throw CaseFailed("expected a line like \(pattern), came none") }
        let line = lines.removeFirst()
        if matches(pattern, line) {
            return
        }
        guard try repeatGreeting(line, pattern) else { throw CaseFailed("expected a line like \(pattern), came \(line)") }
        try client(pattern)
    }

    /// A machine that asks for capabilities where the file expects the upgrade gets the greeting's list again.
    private func repeatGreeting(_ line: String, _ pattern: String) throws -> Bool {
        guard line.hasSuffix(" CAPABILITY"), matches(pattern, "\(tag) STARTTLS"), let greeting,
            let list = greeting.components(separatedBy: "[CAPABILITY ").dropFirst().first?.split(separator: "]").first
        else { return false }
        try receive(Data("* CAPABILITY \(list)\r\n\(tag) OK\r\n".utf8))
        return true
    }

    private func matches(_ pattern: String, _ line: String) -> Bool {
        regexes[pattern]?.firstMatch(in: line, range: NSRange(line.startIndex..., in: line)) != nil
    }

    private func noteTag(_ line: String) {
        if mailProtocol == .imap, let space = line.firstIndex(of: " ") {
            tag = String(line[..<space])
        }
    }

    private func judge() throws {
        let actual =
            switch stage {
            case .notConfigured: "config_error"
            case .login, .session, .over: cause ?? (authenticated ? "authenticated" : "open")
            }
        let expected = one["outcome"] as? [String] ?? [text(one, "outcome")]
        let goesOn = actual == "authenticated" && text(one, "kind") == "watch" && expected.contains("open")
        let anyFailure = expected.contains("*") && cause != nil
        guard expected.contains(actual) || goesOn || anyFailure else {
            throw CaseFailed("expected \(expected.joined(separator: " or ")), came \(actual)")
        }
        let allowed = one["token_on_wire"] as? String ?? "tls-only"
        guard tokensInClear == 0, allowed.split(separator: "|").contains(where: { holds(String($0)) }) else {
            throw CaseFailed(
                "the token must be on the wire \(allowed), and was \(tokensInTls) times in TLS, \(tokensInClear) in the clear")
        }
    }

    private func holds(_ rule: String) -> Bool {
        switch rule {
        case "never": tokensInTls == 0
        case "once": tokensInTls == 1
        case "at-most-once": tokensInTls <= 1
        case "tls-only": true
        default: rule.hasPrefix("at-most-") && tokensInTls <= Int(rule.dropFirst("at-most-".count)) ?? -1
        }
    }

    /// How often the token stands in a line, plain or in base64.
    private func tokensIn(_ line: String) -> Int {
        guard !token.isEmpty else { return 0 }
        let plain = line.components(separatedBy: token).count - 1
        let decoded = line.split(separator: " ").filter {
            Data(base64Encoded: String($0))?.range(of: Data(token.utf8)) != nil
        }
        return plain + decoded.count
    }

    /// The token must not be readable: not plain, and not in base64 at any of the three alignments.
    private func checkLeak(_ shown: String) throws {
        guard token.utf8.count >= 12 else { return }
        let aligned = (0..<3).map { Data(latin1(token).dropFirst($0).prefix(12)).base64EncodedString() }
        for form in aligned + [String(token.prefix(12))] where shown.contains(form) {
            throw CaseFailed("the token is readable in: \(shown)")
        }
    }
}

/// A field of the case that no value of Swift can hold.
private struct NotConfigured: Error {}

/// The server's message in the pieces in which it arrives.
private func deal(_ data: Data, _ index: Int, _ step: Case, _ cut: Cut) -> [Data] {
    if let count = step["repeat"] as? Int, count > 1 {
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
        return chunks(data, step["split"] as? Int ?? data.count)
    }
}

private func chunks(_ data: Data, _ size: Int) -> [Data] {
    stride(from: 0, to: data.count, by: max(1, size)).map { Data(data.dropFirst($0).prefix(max(1, size))) }
}

private func latin1(_ text: String) -> Data {
    Data(text.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) })
}

/// The text that the octets of a field are, where they are one.
private func utf8(_ text: String) throws -> String {
    guard let text = String(validating: latin1(text), as: UTF8.self) else { throw NotConfigured() }
    return text
}

/// Characters that do not repeat soon, so that a part of it is not found by chance.
private func aToken(_ length: Int) -> String {
    let alphabet = Array("Canary0Token1Must2Never3Be4Seen5Anywhere6Outside7Tls8-9._~+/xyz")
    return String((0..<length).map { alphabet[$0 % alphabet.count] })
}
