import Foundation
import Mailbearer

/// Who has connected, and how its connection gets ready: TLS where it is implicit.
struct Arrival: Sendable {
    let transport: any Transport
    let ready: @Sendable () async throws -> Void
}

/// A port that is listened at.
protocol Listening: Sendable {
    var port: UInt16 { get }

    func close()

    /// Returns when no task of it is left.
    func closed() async
}

/// The machine, and all that is open: what the machine says for one call is on its way before the next one is made.
final class Hub: @unchecked Sendable {
    struct Closed: Error {}

    let machine: ServerMachine
    let flavour: Flavour
    private let lock = NSLock()
    private var peers: [UInt64: Peer] = [:]
    /// All of them, also those that are still in their handshake and have no number.
    private var serving: [ObjectIdentifier: (peer: Peer, task: Task<Void, Never>)] = [:]
    private var timer: (atMs: UInt64, task: Task<Void, Never>)?
    private var isClosed = false

    init(_ behaviour: Behaviour, seed: UInt64) throws {
        flavour = behaviour.flavour ?? .gmail
        machine = try ServerMachine(behaviour: behaviour, seed: seed)
    }

    func deliver(_ deliver: (ServerMachine) throws -> Void) throws {
        try lock.withLock {
            try deliver(machine)
            try tickNow()
        }
    }

    func restart() throws {
        try lock.withLock {
            try machine.restart(nowMs: Clock.nowMs).forEach(pass)
            try settle()
        }
    }

    func welcome(_ arrival: Arrival, at place: Place) {
        let peer = Peer(arrival.transport)
        lock.withLock {
            guard !isClosed else { return arrival.transport.abort() }
            let task = Task { [self] in
                await peer.serve(arrival, at: place, self)
                leave(peer)
            }
            serving[ObjectIdentifier(peer)] = (peer, task)
        }
    }

    /// Tells the machine something of a connection, and returns what its reader does next.
    func tell(_ peer: Peer, _ fact: (ServerMachine, _ nowMs: UInt64) throws -> Reply) throws -> Then {
        try lock.withLock {
            guard !isClosed else { throw Closed() }
            let reply = try fact(machine, Clock.nowMs)
            peers[reply.connection] = peer
            peer.number = reply.connection
            peer.say(reply)
            try settle()
            return reply.then
        }
    }

    /// Closes what is open, and returns the tasks that end by that.
    func end() -> [Task<Void, Never>] {
        let (serving, timer) = lock.withLock {
            isClosed = true
            defer { self.timer = nil }
            return (Array(self.serving.values), self.timer?.task)
        }
        timer?.cancel()
        for (peer, task) in serving {
            task.cancel()
            peer.end()
        }
        return serving.map(\.task) + [timer].compactMap { $0 }
    }

    private func leave(_ peer: Peer) {
        lock.withLock {
            serving[ObjectIdentifier(peer)] = nil
            guard let number = peer.number, peers.removeValue(forKey: number) != nil else { return }
            try? machine.closed(nowMs: Clock.nowMs, connection: number)
            try? settle()
        }
    }

    private func tick() {
        lock.withLock {
            timer = nil
            try? tickNow()
        }
    }

    private func tickNow() throws {
        try machine.tick(nowMs: Clock.nowMs).forEach(pass)
        try settle()
    }

    private func pass(_ reply: Reply) {
        peers[reply.connection]?.say(reply)
    }

    /// Comes back when something is due by itself.
    private func settle() throws {
        let atMs = isClosed ? nil : try machine.nextWakeMs()
        guard atMs != timer?.atMs else { return }
        timer?.task.cancel()
        timer = atMs.map { atMs in
            let task = Task { [weak self] in
                try? await Task.sleep(until: Clock.instant(atMs), clock: .continuous)
                if !Task.isCancelled { self?.tick() }
            }
            return (atMs, task)
        }
    }
}

/// One connection: a task that reads, and one that writes in the order in which the machine spoke.
final class Peer: @unchecked Sendable {
    /// The machine's number of it, once it has one. The hub's lock guards it.
    var number: UInt64?
    private let transport: any Transport
    private let replies: AsyncStream<Reply>
    private let outgoing: AsyncStream<Reply>.Continuation
    /// The reply that starts TLS is written.
    private let isAgreed = Pending<Void>()
    private let isOver = Pending<Void>()

    init(_ transport: any Transport) {
        self.transport = transport
        (replies, outgoing) = AsyncStream.makeStream()
    }

    func say(_ reply: Reply) {
        outgoing.yield(reply)
    }

    func end() {
        outgoing.finish()
        isAgreed.resolve(.failure(CancellationError()))
        isOver.resolve(.success(()))
        transport.abort()
    }

    func serve(_ arrival: Arrival, at place: Place, _ hub: Hub) async {
        async let writing: Void = write()
        do {
            try await arrival.ready()
            try await read(place, hub)
        } catch {
            // A client that refuses our certificate, or goes away, is an ordinary thing in a test.
        }
        end()
        await writing
    }

    private func read(_ place: Place, _ hub: Hub) async throws {
        var then = try hub.tell(self) { try $0.open(nowMs: $1, protocol: name(place.mailProtocol), tls: name(place.tls)) }
        while true {
            switch then {
            case .read:
                let data = try await transport.read()
                guard !data.isEmpty else { return }
                then = try hub.tell(self) { try $0.receive(nowMs: $1, connection: number ?? 0, bytes: data) }
            case .startTls:
                try await isAgreed.value()
                try await transport.startTls()
                then = try hub.tell(self) { machine, _ in try machine.tlsEstablished(connection: number ?? 0) }
            case .close, .vanish: return try await isOver.value()
            }
        }
    }

    private func write() async {
        for await reply in replies {
            do {
                try await transport.write(reply.send)
            } catch {
                break
            }
            switch reply.then {
            case .read, .vanish: break
            case .startTls: isAgreed.resolve(.success(()))
            case .close:
                await transport.close()
                isOver.resolve(.success(()))
                return
            }
        }
        end()
    }

    private func name(_ mailProtocol: MailProtocol) -> String {
        switch mailProtocol {
        case .imap: "imap"
        case .pop3: "pop3"
        case .smtp: "smtp"
        }
    }

    private func name(_ tls: Tls) -> String {
        switch tls {
        case .implicit: "implicit"
        case .startTls: "starttls"
        }
    }
}
