import Foundation
import Testing

@testable import Mailbearer

/// Calls in any order, right and wrong: what is refused is a typed error, and leaves a machine as it was.
///
/// A twin gets only the calls that were taken: it must answer the same, and be in the same state.
@Suite(.timeLimit(.minutes(3)))
struct WrongOrderTests {
    private static let (lives, steps) = (20, 40)
    private static let serverSays = [
        "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n",
        "* CAPABILITY IMAP4rev1 STARTTLS AUTH=XOAUTH2\r\n%TAG% OK\r\n",
        "%TAG% NO [AUTHENTICATIONFAILED] no\r\n",
        "+ \r\n",
        "+ eyJzdGF0dXMiOiI0MDEifQ==\r\n",
        "* BYE Session expired\r\n",
        "* 3 FETCH (BODY[] {6}\r\nabcdef)\r\n",
        "+OK\r\nSASL XOAUTH2\r\nSTLS\r\n.\r\n",
        "-ERR no\r\n",
        "250-hi\r\n250-STARTTLS\r\n250 AUTH XOAUTH2\r\n",
        "334 \r\n",
        "535 5.7.8 no\r\n",
        "421 bye\r\n",
        "",
        "\0\u{fffd}\r\n",
    ]
    private static let clientSays = [
        "A1 SELECT INBOX\r\n", "A2 IDLE\r\n", "DONE\r\n", "DELE 1\r\n", "QUIT\r\n", "DATA\r\n", ".\r\n", "",
    ]
    private static let numbers: [UInt64] = [0, 1, 2, 1 << 63, .max]

    /// A login that goes well, for implicit TLS.
    private static func goesWell(_ mailProtocol: MailProtocol) -> [String] {
        switch mailProtocol {
        case .imap: ["* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n", "%TAG% OK in\r\n"]
        case .pop3: ["+OK hi\r\n", "+OK\r\nSASL XOAUTH2\r\n.\r\n", "+OK in\r\n"]
        case .smtp: ["220 hi\r\n", "250-hi\r\n250 AUTH XOAUTH2\r\n", "235 in\r\n"]
        }
    }

    private static func wire(_ said: String, _ tag: String) -> Data {
        Data(said.replacingOccurrences(of: "%TAG%", with: tag).utf8)
    }

    private static func tag(of sent: Data, _ before: String) -> String {
        let words = String(decoding: sent, as: UTF8.self).split(separator: " ", maxSplits: 1)
        return words.count == 2 && words[1].first?.isLetter == true ? String(words[0]) : before
    }

    private static func config(_ mailProtocol: MailProtocol, _ tls: Tls) -> NegotiationConfig {
        NegotiationConfig(
            endpoint: Endpoint(protocol: mailProtocol, tls: tls, host: "mail.example.test", port: 993),
            identity: Identity(user: "joe@example.test"))
    }

    /// The same every time (SplitMix64).
    private struct Chance: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var mixed = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
            return mixed ^ (mixed >> 31)
        }

        mutating func isSo(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }

        mutating func of<Value>(_ values: [Value]) -> Value { values[Int.random(in: values.indices, using: &self)] }
    }

    /// A machine that gets all calls, and its twin, which gets those that were taken.
    private final class Twins<Machine, State: Equatable> {
        private let machine: Machine
        private let twin: Machine
        private let state: (Machine) throws -> State
        private(set) var refused = 0
        private(set) var taken = 0

        init(_ make: () throws -> Machine, state: @escaping (Machine) throws -> State) rethrows {
            (machine, twin) = (try make(), try make())
            self.state = state
        }

        /// Returns the answer; nothing where the call is refused.
        func call<Answer: Equatable>(_ work: (Machine) throws -> Answer) throws -> Answer? {
            var answer: Answer?
            do {
                answer = try work(machine)
                taken += 1
            } catch CoreError.Misuse, CoreError.Config {
                refused += 1
            }
            if let answer {
                #expect(try work(twin) == answer)
            }
            #expect(try state(machine) == state(twin))
            return answer
        }
    }

    @Test(arguments: [MailProtocol.imap, .pop3, .smtp])
    func aNegotiationIsUnharmedByCallsThatAreRefused(_ mailProtocol: MailProtocol) async throws {
        var (refused, taken, logins) = (0, 0, 0)
        for life in 0..<Self.lives {
            // Others, too, have a processor to use.
            await Task.yield()
            var chance = Chance(state: UInt64(life))
            let config = Self.config(mailProtocol, chance.of([.implicit, .startTls]))
            let twins = try Twins {
                try Negotiation(config: config, token: AccessToken(token: String(repeating: "t", count: 40)))
            } state: {
                try $0.redact(text: "x")
            }
            var (right, tag) = (Self.goesWell(mailProtocol)[...], "A0")
            for _ in 0..<Self.steps {
                let step: Step?
                if chance.isSo(40), let said = right.popFirst() {
                    step = try twins.call { try $0.receive(bytes: Self.wire(said, tag)) }
                } else if chance.isSo(50) {
                    step = try twins.call { try $0.tlsEstablished() }
                } else if chance.isSo(5) {
                    step = try twins.call { try $0.closed() }
                } else {
                    let said = chance.isSo(10) ? chance.of(Self.serverSays) : ""
                    step = try twins.call { try $0.receive(bytes: Self.wire(said, tag)) }
                }
                tag = Self.tag(of: step?.send ?? Data(), tag)
                if case .done = step?.next {
                    logins += 1
                }
            }
            (refused, taken) = (refused + twins.refused, taken + twins.taken)
        }
        #expect(min(refused, taken) > Self.lives)
        #expect(logins > 0)
    }

    private struct Watched: Equatable {
        let aftermath: Aftermath
        let isQuiet: Bool
    }

    @Test(arguments: [MailProtocol.imap, .pop3, .smtp])
    func aWatchTakesAnyCall(_ mailProtocol: MailProtocol) async throws {
        for life in 0..<Self.lives {
            // Others, too, have a processor to use.
            await Task.yield()
            var chance = Chance(state: UInt64(life))
            let twins = try Twins {
                try Watch(protocol: mailProtocol)
            } state: {
                Watched(aftermath: try $0.aftermath(), isQuiet: try $0.isQuiet())
            }
            for _ in 0..<Self.steps {
                let heard = Self.wire(chance.of(Self.serverSays), "A1")
                let (said, octets) = (Data(chance.of(Self.clientSays).utf8), chance.of(Self.numbers + [6]))
                switch Int.random(in: 0..<8, using: &chance) {
                case 0...2: _ = try twins.call { try $0.received(bytes: heard) }
                case 3...5: _ = try twins.call { watch in try watch.sent(bytes: said); return true }
                case 6: _ = try twins.call { watch in try watch.skipped(octets: octets); return true }
                default: _ = try twins.call { try $0.closed() }
                }
            }
        }
    }

    private struct Standing: Equatable {
        let status: Status
        let snapshot: Data
        let aftermath: Aftermath?
        let isQuiet: Bool
    }

    private typealias Call = (Session, UInt64) throws -> Plan

    /// Answers the orders of a session, mostly as it should.
    private struct Host {
        let twins: Twins<Session, Standing>
        let well: [String]
        var chance: Chance
        var right: [Call] = [{ try $0.handle(nowMs: $1, input: .start) }]
        var answers: ArraySlice<String> = []
        var known = WrongOrderTests.numbers
        var tag = "A0"
        var now: UInt64 = 1_000
        var online = 0

        mutating func step() throws {
            now += chance.of([0, 1, 50, 50, 1_000, 60_000, 4_000_000])
            // Time that goes backwards does not, inside.
            let time = chance.isSo(90) ? now : chance.of([0, 1, now - 1_000])
            let call = chance.isSo(60) && !right.isEmpty ? right.removeFirst() : try anyCall()
            let plan = try twins.call { session in try call(session, time) }
            for action in plan?.actions ?? [] {
                try obey(action)
            }
        }

        private mutating func anyCall() throws -> Call {
            let number = chance.of(known)
            let heard = WrongOrderTests.wire(chance.of(WrongOrderTests.serverSays), tag)
            let said = Data(chance.of(WrongOrderTests.clientSays).utf8)
            let line = chance.of(["* BYE Session expired", "421 bye", "-ERR", "", String(repeating: "x", count: 5_000), "\0"])
            let token = try AccessToken(token: String(repeating: "t", count: 40))
            let inputs: [Input] = [
                .start, .stop, .tick, .woke,
                .token(request: number, token: token, expiresInMs: number),
                .tokenFailed(request: number, permanent: number == 1),
                .connected(ticket: number),
                .tlsEstablished(ticket: number),
                .ended(ticket: number, lastLine: line, cause: nil),
                .authenticated(ticket: number),
                .refused(ticket: number, reply: line),
                .line(ticket: number, line: line),
                .drained(ticket: number),
            ]
            let input = chance.of(inputs)
            switch Int.random(in: 0..<6, using: &chance) {
            case 0: return { try $0.receive(nowMs: $1, ticket: number, bytes: heard) }
            case 1:
                return { session, now in
                    try session.sent(ticket: number, bytes: said)
                    return try session.handle(nowMs: now, input: .tick)
                }
            case 2:
                return { session, now in
                    try session.skipped(ticket: number, octets: number)
                    return try session.handle(nowMs: now, input: .tick)
                }
            default: return { try $0.handle(nowMs: $1, input: input) }
            }
        }

        private mutating func receive(_ ticket: UInt64, _ said: String) {
            let octets = WrongOrderTests.wire(said, tag)
            right.append { try $0.receive(nowMs: $1, ticket: ticket, bytes: octets) }
        }

        private mutating func answer(_ input: Input) {
            right.append { try $0.handle(nowMs: $1, input: input) }
        }

        private mutating func obey(_ action: Action) throws {
            switch action {
            case .fetchToken(let request, _, _):
                known.append(request)
                let token = try AccessToken(token: "t\(request)" + String(repeating: "x", count: 40))
                answer(.token(request: request, token: token, expiresInMs: chance.of([nil, 60_000, 3_600_000])))
            case .connect(let ticket, _):
                known.append(ticket)
                answer(.connected(ticket: ticket))
                receive(ticket, well[0])
                answers = well.dropFirst()
            case .send(let ticket, let bytes, _):
                tag = WrongOrderTests.tag(of: bytes, tag)
                receive(ticket, answers.popFirst() ?? chance.of(WrongOrderTests.serverSays))
            case .startTls(let ticket): answer(.tlsEstablished(ticket: ticket))
            case .online: online += 1
            case .renew(let ticket, _, _): answer(.drained(ticket: ticket))
            case .close, .needsUser, .giveUp: break
            }
        }
    }

    @Test(arguments: [MailProtocol.imap, .pop3, .smtp])
    func aSessionIsUnharmedByCallsThatAreRefused(_ mailProtocol: MailProtocol) async throws {
        var (refused, taken, online) = (0, 0, 0)
        for life in 0..<Self.lives {
            // Others, too, have a processor to use.
            await Task.yield()
            var chance = Chance(state: UInt64(life))
            let config = SessionConfig(negotiation: Self.config(mailProtocol, chance.of([.implicit, .startTls])))
            let seed = chance.next()
            let twins = try Twins {
                try Session(config: config, seed: seed)
            } state: {
                Standing(
                    status: try $0.status(), snapshot: try $0.snapshot(), aftermath: try $0.aftermath(),
                    isQuiet: try $0.isQuiet())
            }
            var host = Host(twins: twins, well: Self.goesWell(mailProtocol), chance: chance)
            for _ in 0..<(Self.steps * 2) {
                try host.step()
            }
            (refused, taken, online) = (refused + twins.refused, taken + twins.taken, online + host.online)
        }
        #expect(min(refused, taken) > Self.lives)
        #expect(online > 0)
    }
}
