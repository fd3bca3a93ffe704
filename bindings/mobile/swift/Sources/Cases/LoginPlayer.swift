import Foundation
import Mailbearer

/// Plays the script of a case: the server's octets in, the machine's lines out.
final class LoginPlayer {
    /// Where a connection is.
    private enum Stage {
        case notConfigured
        case login(Negotiation)
        case session(Watch)
        case over
    }

    private let script: Script
    private let cut: Cut
    private var one: JSON { script.one }
    /// To print is slow, and does not depend on where a message is cut.
    private var looksForLeaks: Bool {
        if case .whole = cut { true } else { false }
    }
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

    init(_ script: Script, _ cut: Cut) throws {
        self.script = script
        self.cut = cut
        mailProtocol = try named(script.one["protocol"].text, [.imap, .pop3, .smtp])
        token =
            switch script.one["token"].string {
            case nil: aToken(600)
            case "short": aToken(16)
            case let token?: token
            }
        secure = (script.one["tls"].string ?? "implicit") == "implicit"
        do {
            stage = .login(try configure())
        } catch let error as CoreError {
            try checkLeak("\(error)")
        } catch is NotConfigured {}
    }

    func play() throws {
        for (index, step) in script.steps.enumerated() {
            if case .over = stage { break }
            do {
                try self.step(index, step)
            } catch {
                throw CaseFailed("step \(index + 1): \(error)")
            }
        }
        try judge()
    }

    private func configure() throws -> Negotiation {
        func field(_ key: String, _ usual: String) throws -> String {
            guard let value = one[key].string else { return usual }
            return try utf8(value)
        }
        let tls: Tls = secure ? .implicit : .startTls
        let port =
            switch one["port"] {
            case .null: try defaultPort(protocol: mailProtocol, tls: tls)
            case .number(let number): try number16("\(number)")
            case let port: try number16(port.text)
            }
        let endpoint = Endpoint(protocol: mailProtocol, tls: tls, host: try field("host", "mail.example.test"), port: port)
        let config = NegotiationConfig(
            endpoint: endpoint,
            identity: Identity(user: try field("user", "user@example.test")),
            mechanisms: one.has("mechanisms")
                ? try one["mechanisms"].list.map { try named($0.text.lowercased(), [.xoauth2, .oauthbearer]) } : nil,
            initialResponse: try one["initial_response"].string.map { try named($0, [.auto, .never, .always]) },
            ehloName: try field("ehlo_name", "client.example.test")
        )
        return try Negotiation(config: config, token: AccessToken(token: try utf8(token)))
    }

    private func step(_ index: Int, _ step: JSON) throws {
        if let text = step["server"].string {
            try server(index, text)
        } else if let pattern = step["client"].string {
            try client(pattern)
        } else if let expected = step["expect"].string {
            guard next == expected || (expected == "read" && authenticated) else {
                throw CaseFailed("expected \(expected), came \(next)")
            }
        } else if let text = step["sent"].string {
            noteTag(text)
            guard case .session(let watch) = stage else { throw CaseFailed("not logged in") }
            try watch.sent(bytes: latin1(text))
        } else if step["tls"].string == "established" {
            guard case .login(let negotiation) = stage else { throw CaseFailed("no login") }
            secure = true
            try take(try negotiation.tlsEstablished())
        } else if step["closed"].bool == true {
            try closed()
        } else {
            throw CaseFailed("a step that is not known: \(step)")
        }
    }

    private func server(_ index: Int, _ text: String) throws {
        // A line without a secret may come where the file does not foresee it: the runner follows the machine.
        lines = []
        greeting = greeting ?? text
        for piece in script.deal(index, cut, tag: tag) {
            try receive(piece)
        }
    }

    private func receive(_ piece: Data) throws {
        switch stage {
        case .login(let negotiation):
            let step = try negotiation.receive(bytes: piece)
            try checkLeak("\(step) \(negotiation)")
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
        if script.matches(pattern, line) {
            return
        }
        guard try repeatGreeting(line, pattern) else { throw CaseFailed("expected a line like \(pattern), came \(line)") }
        try client(pattern)
    }

    /// A machine that asks for capabilities where the file expects the upgrade gets the greeting's list again.
    private func repeatGreeting(_ line: String, _ pattern: String) throws -> Bool {
        guard line.hasSuffix(" CAPABILITY"), script.matches(pattern, "\(tag) STARTTLS"), let greeting,
            let list = greeting.components(separatedBy: "[CAPABILITY ").dropFirst().first?.split(separator: "]").first
        else { return false }
        try receive(Data("* CAPABILITY \(list)\r\n\(tag) OK\r\n".utf8))
        return true
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
        let expected = one["outcome"].string.map { [$0] } ?? one["outcome"].list.map(\.text)
        let goesOn = actual == "authenticated" && one["kind"].text == "watch" && expected.contains("open")
        let anyFailure = expected.contains("*") && cause != nil
        guard expected.contains(actual) || goesOn || anyFailure else {
            throw CaseFailed("expected \(expected.joined(separator: " or ")), came \(actual)")
        }
        let allowed = one["token_on_wire"].string ?? "tls-only"
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
    private func checkLeak(_ shown: @autoclosure () -> String) throws {
        guard looksForLeaks, token.utf8.count >= 12 else { return }
        let aligned = (0..<3).map { Data(latin1(token).dropFirst($0).prefix(12)).base64EncodedString() }
        let text = shown()
        for form in aligned + [String(token.prefix(12))] where text.contains(form) {
            throw CaseFailed("the token is readable in: \(text)")
        }
    }
}

/// A field of the case that no value of Swift can hold.
private struct NotConfigured: Error {}

private func number16(_ text: String) throws -> UInt16 {
    guard let number = UInt16(text) else { throw NotConfigured() }
    return number
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
