import Foundation
import Mailbearer

/// A Gmail-like mail server on free ports of 127.0.0.1, for tests of programs that log in with OAuth. It speaks real TLS, it takes
/// only tokens that it issued itself, and it refuses, cuts and vanishes where a test wants it to.
///
///     @Test func tellsOfNewMail() async throws {
///         let server = try await Server()
///         let source = TokenSource { _ in try Token(server.issueToken(for: "joe@gmail.com")) }
///         for try await connection in try sessions(.imap, user: "joe@gmail.com", token: source, options: server.at(.imap)) {
///             // …
///             break
///         }
///         await server.close()
///     }
///
/// It is the same server in XCTest and in Swift Testing, and the same machine as in the packages for other languages. Tests that run
/// at the same time have a server each. It ends when nobody refers to it any more; after ``close()`` no task of it is left.
public final class Server: Sendable {
    private let hub: Hub
    private let listeners: [Place: any Listening]

    /// Begins to listen.
    ///
    /// - Parameters:
    ///   - flavour: whose words it uses.
    ///   - tokenLifetime: how long a token lives. 1 hour.
    ///   - sessionLimit: how long a session may live; `nil`: as long as its token.
    ///   - cut: what happens to a session whose token or time is over.
    ///   - refuse: every login is refused for this cause.
    ///   - connectionsMax: most sessions at a time for one user; `nil`: any number.
    ///   - messages: messages in a mailbox that is new. A mailbox is made at its first login.
    ///   - seed: of the tokens, so that runs can be repeated; `nil`: each server issues other ones.
    ///   - messageOctetsMax: octets of the largest message that is taken, over SMTP and APPEND; `nil`: as many as Gmail takes.
    ///   - greylist: how long a recipient is refused for now after a user's first message to it; `nil`: none is.
    /// - Throws: ``TestingError`` for a cause that no server states, and what the system throws where it cannot listen.
    public init(
        flavour: Flavour = .gmail,
        tokenLifetime: Duration = .seconds(3600),
        sessionLimit: Duration? = nil,
        cut: Cut = .words,
        refuse: Cause? = nil,
        connectionsMax: UInt32? = nil,
        messages: UInt32 = 3,
        seed: UInt64? = nil,
        messageOctetsMax: UInt32? = nil,
        greylist: Duration? = nil
    ) async throws {
        let behaviour = Behaviour(
            flavour: flavour,
            tokenLifetimeMs: tokenLifetime.milliseconds,
            sessionLimitMs: sessionLimit?.milliseconds,
            cut: cut,
            connectionsMax: connectionsMax,
            refuse: refuse.map(name),
            messages: messages,
            messageOctetsMax: messageOctetsMax,
            greylistMs: greylist?.milliseconds,
            unixEpochMs: UInt64(max(0, Date().timeIntervalSince1970 * 1000 - Double(Clock.nowMs)))
        )
        let hub = try Hub(behaviour, seed: seed ?? .random(in: .min ... .max))
        var listeners: [Place: any Listening] = [:]
        for place in Place.all {
            listeners[place] = try await listen(place) { [weak hub] arrival in hub?.welcome(arrival, at: place) }
        }
        (self.hub, self.listeners) = (hub, listeners)
    }

    deinit {
        listeners.values.forEach { $0.close() }
        _ = hub.end()
    }

    // MARK: - What leads here

    /// The options that lead `connect`, `sessions` and `Account.sessions` here: host, port, TLS, profile
    /// and trust.
    ///
    /// - Throws: `CoreError` only where this package has a bug.
    public func at(_ mailProtocol: MailProtocol, tls: Tls = .implicit) throws -> LoginOptions {
        let provider: Provider =
            switch hub.flavour {
            case .gmail: try .named("gmail")
            case .outlook: try .named("microsoft")
            case .dovecot: try .generic("localhost")
            }
        return LoginOptions(
            host: "localhost", port: port(mailProtocol, tls: tls), tls: tls, provider: provider,
            connector: systemConnector(trust: .pem(Certificates.authority)))
    }

    /// The port of a protocol.
    public func port(_ mailProtocol: MailProtocol, tls: Tls = .implicit) -> UInt16 {
        listeners[Place(mailProtocol: mailProtocol, tls: tls)]?.port ?? 0
    }

    // MARK: - Tokens

    /// Issues an access token.
    ///
    /// - Parameters:
    ///   - user: whose it is.
    ///   - lifetime: in place of the server's; `.zero`: it has expired already.
    ///   - scope: in place of the one that mail needs.
    ///   - octets: its length.
    public func issueToken(
        for user: String, lifetime: Duration? = nil, scope: String? = nil, octets: UInt32? = nil
    ) throws -> String {
        try hub.machine.issueToken(
            nowMs: Clock.nowMs, user: user, lifetimeMs: lifetime?.milliseconds, scope: scope, octets: octets)
    }

    /// Refuses a token from now on.
    public func revokeToken(_ token: String) throws {
        try hub.machine.revokeToken(token: token)
    }

    // MARK: - What goes wrong

    /// Refuses every login for a cause; `nil` ends that. Sessions that are logged in go on.
    ///
    /// - Parameters:
    ///   - cause: for which.
    ///   - mailProtocol: over which; `nil`: over all.
    /// - Throws: ``TestingError`` for a cause that no server states.
    public func refuse(_ cause: Cause?, over mailProtocol: MailProtocol? = nil) throws {
        try hub.machine.refuse(causeName: cause.map(name), protocol: mailProtocol.map { "\($0)" })
    }

    /// Refuses a recipient over SMTP; `nil` ends that.
    public func refuseRecipient(_ address: String, _ why: RecipientRefusal?) throws {
        try hub.machine.refuseRecipient(address: address, why: why)
    }

    /// Sets a fault that strikes once.
    public func setFault(_ stage: Stage, _ kind: FaultKind) throws {
        try hub.machine.setFault(stage: stage, kind: kind)
    }

    /// Takes a fault back that has not struck.
    public func clearFault() throws {
        try hub.machine.clearFault()
    }

    /// Ends all connections with the words of a shutdown, and goes on.
    public func restart() throws {
        try hub.restart()
    }

    // MARK: - Mail

    /// Makes an account, where there is none: an INBOX with messages, and the mailboxes of the flavour. Its first token does so, too.
    public func addUser(_ user: String) throws {
        try hub.machine.addUser(user: user)
    }

    /// The users that have an account.
    public func users() throws -> [String] {
        try hub.machine.users()
    }

    /// The names of a user's mailboxes.
    public func mailboxes(of user: String) throws -> [String] {
        try hub.machine.mailboxes(user: user)
    }

    /// Makes a mailbox; where it is there, nothing happens.
    public func createMailbox(_ name: String, of user: String) throws {
        try hub.machine.createMailbox(user: user, name: name)
    }

    /// Removes a mailbox with its messages.
    public func deleteMailbox(_ name: String, of user: String) throws {
        try hub.machine.deleteMailbox(user: user, name: name)
    }

    /// Puts a message into a user's mailbox, which is made where it is missing; clients in IDLE are told.
    ///
    /// - Parameters:
    ///   - message: header and body. A line end of LF alone becomes CRLF.
    ///   - user: whose.
    ///   - mailbox: which.
    ///   - flags: as in `\\Seen`.
    ///   - date: when it came.
    public func deliver(
        _ message: String, to user: String, mailbox: String = "INBOX", flags: [String] = [], date: Date = Date()
    ) throws {
        try hub.deliver { machine in
            try machine.deliverTo(
                user: user, message: Data(message.utf8), mailbox: mailbox, flags: flags,
                dateMs: Int64(date.timeIntervalSince1970 * 1000))
        }
    }

    /// The messages in a user's INBOX.
    public func messages(of user: String) throws -> [Data] {
        try hub.machine.messages(user: user)
    }

    /// The messages in a mailbox, by their UIDs; none where it is not there.
    public func messages(of user: String, in mailbox: String) throws -> [StoredMessage] {
        try hub.machine.messagesIn(user: user, mailbox: mailbox)
    }

    /// What was accepted over SMTP.
    public func submitted() throws -> [Submitted] {
        try hub.machine.submitted()
    }

    // MARK: - What happened

    /// What happened since the last call.
    public func events() throws -> [ServerEvent] {
        try hub.machine.takeEvents()
    }

    /// How many connections are logged in.
    public func sessionCount() throws -> Int {
        Int(try hub.machine.sessions())
    }

    /// Closes all connections and stops listening. No task is left.
    public func close() async {
        listeners.values.forEach { $0.close() }
        for task in hub.end() {
            await task.value
        }
        for listener in listeners.values {
            await listener.closed()
        }
    }
}

extension TestingError: LocalizedError, CustomStringConvertible {
    /// What cannot be, and what can.
    public var description: String {
        switch self {
        case .Unknown(let message), .Unsayable(let message), .NoMailbox(let message): message
        }
    }

    /// The same.
    public var errorDescription: String? { description }
}

/// One of its ports.
struct Place: Hashable, Sendable {
    let mailProtocol: MailProtocol
    let tls: Tls

    static let all = [MailProtocol.imap, .pop3, .smtp].flatMap { one in [Tls.implicit, .startTls].map { Place(mailProtocol: one, tls: $0) } }
}

/// The core's name of a cause, as in `token_rejected`.
func name(_ cause: Cause) -> String {
    "\(cause)".reduce(into: "") { name, letter in name += letter.isUppercase ? "_\(letter.lowercased())" : "\(letter)" }
}
