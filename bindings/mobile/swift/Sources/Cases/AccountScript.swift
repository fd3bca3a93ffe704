import Foundation
import Mailbearer

// What the players of `account` cases share: settings, and the words of the case files.

let testUser = "user@example.test"

private let accountSettings: Set = [
    "first_ms", "later_ms", "token_lifetime_ms", "token_life_least_ms", "token_timeout_ms", "backoff_base_ms", "backoff_max_ms",
    "keep_alive", "answer_ms", "unprobed_nap_ms",
]

func accountConfig(_ one: JSON) throws -> AccountConfig {
    let account = one["account"]
    if case .object(let settings) = account, let name = settings.keys.first(where: { !accountSettings.contains($0) }) {
        throw CaseFailed("the setting \(name) is not known")
    }
    return AccountConfig(
        firstMs: account.has("first_ms") ? account["first_ms"].number : 60_000,
        laterMs: account["later_ms"].number,
        tokenLifetimeMs: account["token_lifetime_ms"].number,
        tokenLifeLeastMs: account["token_life_least_ms"].number,
        tokenTimeoutMs: account["token_timeout_ms"].number,
        backoffBaseMs: account["backoff_base_ms"].number,
        backoffMaxMs: account["backoff_max_ms"].number,
        // Most cases are not about silence.
        keepAlive: account["keep_alive"].bool ?? false,
        answerMs: account["answer_ms"].number,
        unprobedNapMs: account["unprobed_nap_ms"].number
    )
}

/// The sessions of a case, each as an object.
func sessionsOf(_ one: JSON) -> [JSON] {
    one["sessions"].list.map { session in
        if case .string = session { .object(["protocol": session]) } else { session }
    }
}

func protocolOf(_ session: JSON) throws -> MailProtocol {
    try named(session["protocol"].text, [.imap, .pop3, .smtp])
}

/// A login that works, in the words of the protocol.
func loginWords(_ mailProtocol: MailProtocol) -> [Data] {
    let words =
        switch mailProtocol {
        case .imap:
            ["* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER] ready\r\n", "A0001 OK in\r\n"]
        case .pop3: ["+OK ready\r\n", "+OK\r\nSASL XOAUTH2 OAUTHBEARER\r\n.\r\n", "+OK in\r\n"]
        case .smtp:
            [
                "220 mail.example.test ESMTP\r\n",
                "250-mail.example.test\r\n250-AUTH XOAUTH2 OAUTHBEARER\r\n250 ENHANCEDSTATUSCODES\r\n", "235 ok\r\n",
            ]
        }
    return words.map { Data($0.utf8) }
}

/// What a host makes of what its system says.
func failureOf(_ problem: JSON) throws -> Failure? {
    let (error, words) = (problem["error"].text, problem["words"].text)
    return switch problem["stage"].string {
    case "name", "connect": try failureOfConnect(error: error, words: words)
    case "tls": try failureOfTls(error: error, words: words)
    case "read", "write": try failureOfHost(cause: .connectionLost, detail: words)
    case "late": try failureOfHost(cause: .timedOut, detail: words)
    case nil: nil
    case let stage?: throw CaseFailed("the stage \(stage) is not known")
    }
}

/// An order in the words of the case files.
func spelled(_ order: Order) -> String {
    switch order {
    case .fetchToken(_, let force, let refused): spelledFetch(force, refused != nil)
    case .open(_, let session, let attempt): "open \(session) \(attempt)"
    case .startTls: "start_tls"
    case .send(_, _, let sensitive): sensitive ? "send token" : "send"
    case .pause(let ticket): "pause \(ticket)"
    case .keepAlive(let ticket, _): "keep_alive \(ticket)"
    case .probe(let ticket, _): "probe \(ticket)"
    case .close(let ticket): "close \(ticket)"
    }
}

func spelledFetch(_ force: Bool, _ isRefused: Bool) -> String {
    "fetch_token" + (force ? " forced" : "") + (force && isRefused ? " refused" : "")
}

func spelled(_ event: AccountEvent) -> String {
    let words = [name(event.kind), event.session.map { "\($0)" }, event.cause.map { name($0) }]
    return words.compactMap { $0 }.joined(separator: " ")
}

func compare(_ step: JSON, _ key: String, _ came: [String]) throws {
    let expected = step[key].list.map(\.text)
    guard came == expected else { throw CaseFailed("expected the \(key) \(expected), came \(came)") }
}

func checkSaid(_ step: JSON, _ sentences: [String]) throws {
    guard let says = step["says"].string else { return }
    guard sentences.contains(where: { $0.contains(says) }) else {
        throw CaseFailed("expected \(says) to be said, came \(sentences)")
    }
}

func checkStanding(_ step: JSON, _ machine: AccountMachine) throws {
    guard case .object(let standings) = step["standing"] else { return }
    for (number, expected) in standings {
        let standing = try UInt32(number).flatMap { try machine.standing(session: $0) }.map { name($0) }
        guard standing == expected.text else {
            throw CaseFailed("expected \(number) to be \(expected.text), it is \(standing ?? "not there")")
        }
    }
}

func checkWakeIn(_ step: JSON, _ wakeAtMs: UInt64?, _ nowMs: UInt64) throws {
    if let wakeAtMs, wakeAtMs <= nowMs {
        throw CaseFailed("a wake that is not in the future")
    }
    guard step.has("wake") else { return }
    let wait = wakeAtMs.map { $0 - nowMs }
    let range = step["wake"].list.compactMap(\.number)
    let holds = range.count == 2 ? wait.map { (range[0]...range[1]).contains($0) } ?? false : wait == nil
    guard holds else { throw CaseFailed("expected a wake in \(range), came \(wait.map(String.init) ?? "none")") }
}

/// When a step happens.
func time(of step: JSON, _ nowMs: UInt64, _ wakeAtMs: UInt64?) throws -> UInt64 {
    guard step["at"] == .string("wake") else { return step["at"].number ?? nowMs }
    guard let wakeAtMs else { throw CaseFailed("nothing is waited for") }
    return wakeAtMs
}
