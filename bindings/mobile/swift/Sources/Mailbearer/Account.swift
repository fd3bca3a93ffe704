import Foundation

/// Keeps one mailbox connected: its sessions, IMAP any number, POP3 and SMTP.
///
/// They share one token and one refresh, the provider's greatest number of connections, the waits that a server asks for, and one
/// stop. Nothing is connected before somebody waits for a connection.
///
///     let account = try Account(user: "joe@gmail.com", token: source)
///     let inbox = try account.sessions(.imap)
///     let outbox = try account.sessions(.smtp)
///     for try await connection in inbox {
///         …
///     }
///
/// It is closed when nobody refers to it or to one of its sessions any more.
public final class Account: Sendable {
    let driver: Driver
    private let user: String
    private let policy: SessionPolicy
    private let protocols: Protocols

    /// - Parameters:
    ///   - user: the login's user name, as a rule the mail address.
    ///   - source: asked for a token when one is needed. Its tokens need the scopes of all protocols that are used.
    ///   - provider: the profile, where the mail address does not tell it: how long its tokens live.
    ///   - policy: limits and times, for all sessions.
    ///   - snapshot: of the account before, as ``snapshot()`` gave it. A stop of it holds until ``retry()``.
    ///   - onEvent: told what happens, for logs and metrics.
    /// - Throws: ``CoreError`` for settings that cannot work, and for a snapshot that is damaged or of another version.
    public convenience init(
        user: String,
        token source: TokenSource,
        provider: Provider? = nil,
        policy: SessionPolicy = SessionPolicy(),
        snapshot: Data? = nil,
        onEvent: (@Sendable (SessionEvent) -> Void)? = nil
    ) throws {
        let provider = try provider ?? providerOfAddress(address: user)
        try self.init(user, source, policy, provider?.tokenLifetimeMs, snapshot, onEvent)
    }

    init(
        _ user: String, _ source: TokenSource, _ policy: SessionPolicy, _ tokenLifetimeMs: UInt64?, _ snapshot: Data?,
        _ onEvent: (@Sendable (SessionEvent) -> Void)?
    ) throws {
        (self.user, self.policy) = (user, policy)
        let (world, protocols) = (SystemWorld(), Protocols())
        let config = policy.config(tokenLifetimeMs: tokenLifetimeMs)
        let seed = UInt64.random(in: .min ... .max)
        let machine = try snapshot.map {
            try AccountMachine.restore(
                config: config, snapshot: $0, nowMs: world.nowMs, wallMs: world.wallMs, seed: seed)
        } ?? AccountMachine(config: config, seed: seed)
        self.protocols = protocols
        driver = Driver(machine, source, world) { event, underlying in
            onEvent?(SessionEvent(event, protocols.of(event.session), user, underlying))
        }
    }

    deinit {
        Task { [driver] in await driver.close() }
    }

    /// One more session of this account. One that a snapshot knows goes on where it was.
    ///
    /// - Parameters:
    ///   - mailProtocol: what is spoken.
    ///   - options: where and how to log in, where the mail address does not tell it.
    ///   - policy: takes the place of the account's, for this session. What is of the whole account cannot be set here.
    /// - Throws: ``CoreError`` for settings that cannot work, before any I/O.
    public func sessions(
        _ mailProtocol: MailProtocol, options: LoginOptions = LoginOptions(), policy: SessionPolicy? = nil
    ) throws -> Sessions {
        try policy?.checkIsOfSession()
        return try sessions(try Settings(mailProtocol, user, options), policy, isAlone: false)
    }

    func sessions(_ settings: Settings, _ policy: SessionPolicy?, isAlone: Bool) throws -> Sessions {
        let key = try driver.machine.add(session: (policy ?? self.policy).config(settings))
        protocols.keep(settings.endpoint.protocol, of: key)
        return Sessions(self, key, settings, isAlone: isAlone)
    }

    /// A person, or the program, has acted: every stop is lifted, and what was given up is tried again.
    public func retry() async {
        await driver.retry()
    }

    /// The system says that there is no network: nothing is opened until ``networkBack()``, or for five minutes.
    public func networkLost() async {
        await driver.networkLost()
    }

    /// The system says that there is a network again, or another one: connections are asked whether they still work, and waits for
    /// the network end. A wait that a server asked for does not.
    public func networkBack() async {
        await driver.networkBack()
    }

    /// What must outlive the process: stops, waits, refusals, limits, and what was in flight in each session. It holds no secret.
    public func snapshot() throws -> Data {
        try driver.snapshot()
    }

    /// How it stands, and each of its sessions.
    public func status() throws -> AccountStatus {
        try driver.machine.status()
    }

    /// Ends all sessions: connections are closed, and no task and no timer is left.
    public func close() async {
        await driver.close()
    }
}

/// What the sessions of an account speak.
private final class Protocols: @unchecked Sendable {
    private let lock = NSLock()
    private var bySession: [UInt32: MailProtocol] = [:]

    func keep(_ mailProtocol: MailProtocol, of session: UInt32) {
        lock.withLock { bySession[session] = mailProtocol }
    }

    func of(_ session: UInt32?) -> MailProtocol? {
        lock.withLock { session.flatMap { bySession[$0] } }
    }
}
