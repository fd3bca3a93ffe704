import Foundation
import Mailbearer

/// Plays a case of the kind `session`: facts and time in, orders out.
final class SessionPlayer {
    private let script: Script
    private let cut: Cut
    private var session: Session
    private var seed: UInt64
    private var nowMs: UInt64 = 0
    private var wakeAtMs: UInt64?
    /// Of the latest orders.
    private var ticket: UInt64 = 0
    private var request: UInt64 = 0

    init(_ script: Script, _ cut: Cut) throws {
        self.script = script
        self.cut = cut
        seed = script.one["seed"].number ?? 1
        session = try Session(config: sessionConfig(script.one), seed: seed)
    }

    func play() throws {
        for (index, step) in script.steps.enumerated() {
            do {
                try self.step(index, step)
            } catch {
                throw CaseFailed("step \(index + 1): \(error)")
            }
        }
    }

    private func step(_ index: Int, _ step: JSON) throws {
        if step["at"] == .string("wake") {
            guard let wakeAtMs else { throw CaseFailed("nothing is waited for") }
            nowMs = wakeAtMs
        } else {
            nowMs = step["at"].number ?? nowMs
        }
        guard let plans = try plans(index, step) else { return }
        let actions = plans.flatMap(\.actions)
        let (orders, expected) = (actions.map(spelled), step["orders"].list.map(\.text))
        guard orders == expected else { throw CaseFailed("expected the orders \(expected), came \(orders)") }
        actions.forEach(note)
        if let last = plans.last {
            wakeAtMs = last.wakeAtMs
            try checkWake(step)
        }
        try checkPhase(step)
        try checkResumed(step, actions)
    }

    /// What the session planned; `nil` where the call was a misuse, as the step says.
    private func plans(_ index: Int, _ step: JSON) throws -> [Plan]? {
        let isMisuse = step["misuse"].bool == true
        do {
            let plans = try tell(index, step)
            guard !isMisuse else { throw CaseFailed("expected a misuse, came none") }
            return plans
        } catch CoreError.Misuse where isMisuse {
            return nil
        }
    }

    /// Tells the session what the step says.
    private func tell(_ index: Int, _ step: JSON) throws -> [Plan] {
        let ticket = step["ticket"].number ?? ticket
        if step.has("server") {
            return try script.deal(index, cut).map { try session.receive(nowMs: nowMs, ticket: ticket, bytes: $0) }
        }
        if let octets = step["sent"].string {
            try session.sent(ticket: ticket, bytes: latin1(octets))
            return []
        }
        if step["restart"].bool == true {
            seed += 1
            let snapshot = try session.snapshot()
            session = try .restore(config: sessionConfig(script.one), snapshot: snapshot, nowMs: nowMs, seed: seed)
            return [try session.handle(nowMs: nowMs, input: .tick)]
        }
        return [try session.handle(nowMs: nowMs, input: input(step, ticket, step["request"].number ?? request))]
    }

    private func input(_ step: JSON, _ ticket: UInt64, _ request: UInt64) throws -> Input {
        let says = { (key: String) in step[key].bool == true }
        if let token = step["token"].string {
            let token = try AccessToken(token: token)
            return .token(request: request, token: token, expiresInMs: step["lives_ms"].number)
        }
        if let permanent = step["token_failed"].bool { return .tokenFailed(request: request, permanent: permanent) }
        if let reply = step["refused"].string { return .refused(ticket: ticket, reply: reply) }
        if let line = step["line"].string { return .line(ticket: ticket, line: line) }
        if step["tls"].string == "established" { return .tlsEstablished(ticket: ticket) }
        if says("closed") {
            let cause = try step["cause"].string.map { try named($0, causes) }
            return .ended(ticket: ticket, lastLine: step["last_line"].string, cause: cause)
        }
        if says("start") { return .start }
        if says("stop") { return .stop }
        if says("tick") { return .tick }
        if says("woke") { return .woke }
        if says("connected") { return .connected(ticket: ticket) }
        if says("authenticated") { return .authenticated(ticket: ticket) }
        if says("drained") { return .drained(ticket: ticket) }
        throw CaseFailed("a step that is not known: \(step)")
    }

    private func note(_ action: Action) {
        switch action {
        case .connect(let ticket, _): self.ticket = ticket
        case .fetchToken(let request, _, _): self.request = request
        case .send, .startTls, .online, .renew, .close, .needsUser, .giveUp: return
        }
    }

    private func checkPhase(_ step: JSON) throws {
        guard let phase = step["phase"].string else { return }
        let actual = name(try session.status().phase)
        guard actual == phase else { throw CaseFailed("expected the phase \(phase), came \(actual)") }
    }

    private func checkWake(_ step: JSON) throws {
        if let wakeAtMs, wakeAtMs <= nowMs {
            throw CaseFailed("a wake that is not in the future")
        }
        guard step.has("wake") else { return }
        let wait = wakeAtMs.map { $0 - nowMs }
        let range = step["wake"].list.compactMap(\.number)
        let holds = range.count == 2 ? wait.map { (range[0]...range[1]).contains($0) } ?? false : wait == nil
        guard holds else { throw CaseFailed("expected a wake in \(range), came \(wait.map(String.init) ?? "none")") }
    }

    private func checkResumed(_ step: JSON, _ actions: [Action]) throws {
        guard step.has("resumed") else { return }
        for case .online(_, _, _, _, _, let resumed) in actions {
            let actual = resumed.map(asJSON) ?? .null
            guard actual == step["resumed"] else { throw CaseFailed("expected \(step["resumed"]), came \(actual)") }
            return
        }
        throw CaseFailed("expected \(step["resumed"]), came no session")
    }
}

/// Of a case of a session, or of one session of an account.
func sessionConfig(_ one: JSON) throws -> SessionConfig {
    let mailProtocol: MailProtocol = try named(one["protocol"].text, [.imap, .pop3, .smtp])
    let provider = try one["provider"].string.map { try Provider.named($0) }
    let service = provider?.services.first { $0.endpoint.protocol == mailProtocol }
    let tls: Tls = one["tls"].string == "starttls" ? .startTls : .implicit
    let endpoint =
        try service?.endpoint
        ?? Endpoint(
            protocol: mailProtocol, tls: tls, host: "mail.example.test", port: defaultPort(protocol: mailProtocol, tls: tls))
    let policy = try Policy(one["policy"])
    return SessionConfig(
        negotiation: NegotiationConfig(
            endpoint: endpoint,
            identity: Identity(user: "user@example.test"),
            mechanisms: service?.mechanisms,
            initialResponse: service?.initialResponse,
            assumedCapabilities: service?.assumedCapabilities
        ),
        limits: SessionLimits(
            sessionMs: policy.numbers["session_ms"] ?? service?.limits.sessionMs,
            endsWithToken: policy.endsWithToken ?? service?.limits.endsWithToken ?? false,
            idleMs: policy.numbers["idle_ms"] ?? service?.limits.idleMs,
            connections: policy.numbers["connections"].map(UInt32.init) ?? service?.limits.connections
        ),
        tokenLifetimeMs: policy.numbers["token_lifetime_ms"] ?? provider?.tokenLifetimeMs,
        login: policy.login,
        renewal: policy.renewal,
        leadMs: policy.numbers["lead_ms"],
        tokenLifeLeastMs: policy.numbers["token_life_least_ms"],
        tokenTimeoutMs: policy.numbers["token_timeout_ms"],
        loginTimeoutMs: policy.numbers["login_timeout_ms"],
        backoffBaseMs: policy.numbers["backoff_base_ms"],
        backoffMaxMs: policy.numbers["backoff_max_ms"],
        stableAfterMs: policy.numbers["stable_after_ms"],
        loginIntervalMs: policy.numbers["login_interval_ms"]
    )
}

/// The settings that a case names. A name that is not known is an error, not a wish.
private struct Policy {
    private static let names = [
        "session_ms", "idle_ms", "connections", "token_lifetime_ms", "lead_ms", "token_life_least_ms", "token_timeout_ms",
        "login_timeout_ms", "backoff_base_ms", "backoff_max_ms", "stable_after_ms",
        "login_interval_ms",
    ]

    var numbers: [String: UInt64] = [:]
    var endsWithToken: Bool?
    var login: Login?
    var renewal: Renewal?

    init(_ policy: JSON) throws {
        guard case .object(let settings) = policy else { return }
        for (name, value) in settings {
            switch (name, value) {
            case ("ends_with_token", .bool(let bool)): endsWithToken = bool
            case ("login", .string("host")): login = .host
            case ("renewal", .string(let text)): renewal = try named(text, [.ahead, .atEnd, .overlap] as [Renewal])
            case (_, .number) where Self.names.contains(name): numbers[name] = value.number
            default: throw CaseFailed("the policy \(name): \(value) is not known")
            }
        }
    }
}

/// An order in the words of the case files.
private func spelled(_ action: Action) -> String {
    switch action {
    case .fetchToken(_, let why, let forceRefresh): "fetch_token \(name(why))" + (forceRefresh ? " forced" : "")
    case .connect(_, let attempt): "connect \(attempt)"
    case .send(_, _, let sensitive): sensitive ? "send token" : "send"
    case .startTls: "start_tls"
    case .online(_, let generation, _, _, _, _): "online \(generation)"
    case .renew(_, _, let why): "renew \(name(why))"
    case .close(_, let cause): "close \(name(cause))"
    case .needsUser(let failure): "needs_user \(name(failure.cause))"
    case .giveUp(let failure): "give_up \(name(failure.cause))"
    }
}

private func asJSON(_ aftermath: Aftermath) -> JSON {
    switch aftermath {
    case .imap(let selected, let idling, let unanswered):
        .object([
            "selected": selected.map { .string($0.name) } ?? .null, "idling": .bool(idling),
            "unanswered": .array(unanswered.map(JSON.string)),
        ])
    case .pop3(let deletes): .object(["uncommitted_deletes": .array(deletes.map { .number(Int64($0)) })])
    case .smtp(let submission): .object(["submission": .string(name(submission))])
    }
}

/// Those that a host may give.
private let causes: [Cause] = [
    .tlsFailed, .wrongTlsMode, .timedOut, .connectionLost, .hostNotFound, .connectionRefused, .unreachable, .cancelled,
    .plaintextInjected, .sessionEnded,
]
