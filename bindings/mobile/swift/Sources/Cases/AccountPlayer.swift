import Foundation
import Mailbearer

/// Plays a case of the kind `account` against the machine: facts and time in, orders and deliveries out.
final class AccountPlayer {
    private let script: Script
    private let cut: Cut
    private var machine: AccountMachine
    private var protocols: [MailProtocol] = []
    private var seed: UInt64
    private var nowMs: UInt64 = 0
    private var wakeAtMs: UInt64?
    /// Of the latest orders, and the sessions of all tickets.
    private var ticket: UInt64 = 0
    private var request: UInt64 = 0
    private var owners: [UInt64: UInt32] = [:]
    /// Of the latest connection that was given.
    private var given: UInt64 = 0

    init(_ script: Script, _ cut: Cut) throws {
        (self.script, self.cut) = (script, cut)
        seed = script.one["seed"].number ?? 1
        machine = try AccountMachine(config: accountConfig(script.one), seed: seed)
        try addSessions()
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

    private func addSessions() throws {
        protocols = try sessionsOf(script.one).map { session in
            let config = try sessionConfig(session)
            _ = try machine.add(session: config)
            return config.negotiation.endpoint.protocol
        }
    }

    private func step(_ index: Int, _ step: JSON) throws {
        nowMs = try time(of: step, nowMs, wakeAtMs)
        guard let plans = try plans(index, step) else { return }
        let (orders, deliveries) = (plans.flatMap(\.orders), plans.flatMap(\.deliveries))
        orders.forEach(note)
        try compare(step, "orders", orders.map(spelled))
        try compare(step, "deliveries", deliveries.compactMap(spelled))
        if step.has("events") {
            try compare(step, "events", deliveries.compactMap { if case .event(let event) = $0 { spelled(event) } else { nil } })
        }
        for case .give(_, let ticket, _, _, _, _, _) in deliveries {
            given = ticket
        }
        try checkStanding(step, machine)
        if let last = plans.last {
            wakeAtMs = last.wakeAtMs
            try checkWakeIn(step, wakeAtMs, nowMs)
        }
        try checkSaid(step, deliveries.compactMap { if case .raise(_, _, let failure, _, _) = $0 { failure.sentence } else { nil } })
    }

    /// What the machine planned; `nil` where the call was a misuse, as the step says.
    private func plans(_ index: Int, _ step: JSON) throws -> [AccountPlan]? {
        let isMisuse = step["misuse"].bool == true
        do {
            let plans = try tell(index, step)
            guard !isMisuse else { throw CaseFailed("expected a misuse, came none") }
            return plans
        } catch CoreError.Misuse where isMisuse {
            return nil
        }
    }

    private func tell(_ index: Int, _ step: JSON) throws -> [AccountPlan] {
        let ticket = step["ticket"].number ?? ticket
        if step.has("server") {
            let ticket = step["ticket"].number ?? max(ticket, given)
            return try script.deal(index, cut).map { try receive(ticket, $0) }
        }
        if let octets = step["sent"].string {
            try machine.sent(ticket: step["ticket"].number ?? given, bytes: latin1(octets))
            return []
        }
        if step["logs_in"].bool == true {
            let owner = owners[ticket].map { protocols[Int($0) - 1] }
            guard let owner else { throw CaseFailed("no such ticket") }
            return try [machine.opened(nowMs: nowMs, ticket: ticket)] + loginWords(owner).map { try receive(ticket, $0) }
        }
        if let deadMs = step["restart"].number {
            seed += 1
            let snapshot = try machine.snapshot(wallMs: nowMs)
            nowMs += deadMs
            machine = try .restore(
                config: accountConfig(script.one), snapshot: snapshot, nowMs: nowMs, wallMs: nowMs, seed: seed)
            try addSessions()
            return [try machine.tick(nowMs: nowMs)]
        }
        return [try fact(step, ticket)]
    }

    private func receive(_ ticket: UInt64, _ data: Data) throws -> AccountPlan {
        try machine.receive(nowMs: nowMs, ticket: ticket, bytes: data)
    }

    private func fact(_ step: JSON, _ ticket: UInt64) throws -> AccountPlan {
        let request = step["request"].number ?? request
        let given = step["ticket"].number ?? given
        let says = { (key: String) in step[key].bool == true }
        if let session = step["want"].number { return try machine.want(nowMs: nowMs, session: UInt32(session)) }
        if let session = step["no_longer"].number { return try machine.noLonger(nowMs: nowMs, session: UInt32(session)) }
        if let session = step["remove"].number { return try machine.remove(nowMs: nowMs, session: UInt32(session)) }
        if says("let_go") { return try machine.letGo(nowMs: nowMs, ticket: given) }
        if says("close") { return try machine.closeAll(nowMs: nowMs) }
        if says("retry") { return try machine.retry(nowMs: nowMs) }
        if step["network"].string == "lost" { return try machine.networkLost(nowMs: nowMs) }
        if step["network"].string == "back" { return try machine.networkBack(nowMs: nowMs) }
        if let ms = step["slept"].number { return try machine.slept(nowMs: nowMs, ms: ms) }
        if says("tick") { return try machine.tick(nowMs: nowMs) }
        if says("opened") { return try machine.opened(nowMs: nowMs, ticket: ticket) }
        if says("secured") { return try machine.secured(nowMs: nowMs, ticket: ticket) }
        if says("ended") { return try machine.ended(nowMs: nowMs, ticket: ticket, failure: failureOf(step["problem"])) }
        if says("answered") { return try machine.answered(nowMs: nowMs, ticket: given) }
        if let token = step["token"].string {
            let (token, livesMs) = (try AccessToken(token: token), step["lives_ms"].number)
            return try machine.token(nowMs: nowMs, request: request, token: token, livesMs: livesMs)
        }
        if let why = step["no_token"].string {
            let why: NoToken = try named(why, [.outage, .permanent, .mistake])
            return try machine.noToken(nowMs: nowMs, request: request, why: why, text: step["text"].text)
        }
        throw CaseFailed("a step that is not known: \(step)")
    }

    private func note(_ order: Order) {
        switch order {
        case .open(let ticket, let session, _): (self.ticket, owners[ticket]) = (ticket, session)
        case .fetchToken(let request, _, _): self.request = request
        case .startTls, .send, .pause, .keepAlive, .probe, .close: return
        }
    }
}

private func spelled(_ delivery: Delivery) -> String? {
    switch delivery {
    case .give(let session, _, let generation, _, _, _, _): "give \(session) \(generation)"
    case .renew(_, let ticket, _, let why): "renew \(ticket) \(name(why))"
    case .over(_, let ticket, let verdict, _): "over \(ticket) \(name(verdict.cause))"
    case .raise(let session, let kind, let failure, _, _): "raise \(session) \(name(kind)) \(name(failure.cause))"
    case .end(let session): "end \(session)"
    case .event: nil
    }
}
