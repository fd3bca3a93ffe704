/// How long sessions live, what is done before their end, and how long is waited for what. Where nothing is said, the
/// provider's profile decides.
///
/// One that is given to an ``Account`` holds for all its sessions. One that is given to
/// ``Account/sessions(_:options:policy:)`` takes its place for that session; what is of the whole account cannot be set there.
public struct SessionPolicy: Sendable {
    /// Whether a session that still works is let go before its end.
    public var renewal = Renewal.ahead
    /// How long the server lets a session live.
    public var sessionLimit: Duration?
    /// Whether the server ends a session when the token that opened it expires.
    public var endsWithToken: Bool?
    /// How many connections the server allows for one user.
    public var connections: UInt32?
    /// How long before the end a fresh token is asked for, and the session renewed; at most a quarter of what the session
    /// lives, and by half less or more at random. 5 minutes.
    public var lead = Duration.seconds(300)
    /// Greatest wait after a first failure; it doubles with each. 1 second.
    public var backoffBase = Duration.seconds(1)
    /// Greatest wait of all; eight times that where the server limits rate or connections. 5 minutes.
    public var backoffMax = Duration.seconds(300)
    /// When a session has lasted, and the failures before it are forgotten. 1 minute.
    public var stableAfter = Duration.seconds(60)
    /// Least time between logins of which none lasts, after the first four. Only tests of short-lived tokens should lower
    /// it: the budget of logins is in this unit. 1 minute.
    public var loginInterval = Duration.seconds(60)

    /// Of the account: how long failures are waited out before a session's first connection; then the last one is thrown, as
    /// ``GaveUp``. 1 minute; `nil`: for ever. What cannot get better is thrown at once.
    public var first: Duration? = .seconds(60)
    /// Of the account: the same, once a session has been connected. `nil`: for ever.
    public var later: Duration?
    /// Of the account: how long a token lives whose source does not say.
    public var tokenLifetime: Duration?
    /// Of the account: how long a token must still live to be used, where the source has better ones. 1 minute.
    public var tokenLifeLeast = Duration.seconds(60)
    /// Of the account: how long a token may take to come. 1 minute.
    public var tokenTimeout = Duration.seconds(60)
    /// Of the account: whether connections that are idle are kept alive: every 4 to 9 minutes at random, and before the
    /// provider's idle limit.
    public var keepAlive = true
    /// Of the account: how long an answer to that may take. 20 seconds.
    public var answer = Duration.seconds(20)
    /// Of the account: a device that slept for so long does not trust its connections any more; after a shorter nap they are
    /// asked. 30 minutes.
    public var unprobedNap = Duration.seconds(1800)

    /// What is right for most.
    public init(renewal: Renewal = .ahead) {
        self.renewal = renewal
    }

    func config(_ settings: Settings) -> SessionConfig {
        let known = settings.service?.limits
        let limits = SessionLimits(
            sessionMs: sessionLimit?.milliseconds ?? known?.sessionMs,
            endsWithToken: endsWithToken ?? known?.endsWithToken ?? false,
            idleMs: known?.idleMs,
            connections: connections ?? known?.connections
        )
        return SessionConfig(
            negotiation: settings.negotiation,
            limits: limits,
            renewal: renewal,
            leadMs: lead.milliseconds,
            loginTimeoutMs: settings.wholeTimeout.milliseconds,
            backoffBaseMs: backoffBase.milliseconds,
            backoffMaxMs: backoffMax.milliseconds,
            stableAfterMs: stableAfter.milliseconds,
            loginIntervalMs: loginInterval.milliseconds
        )
    }

    func config(tokenLifetimeMs: UInt64?) -> AccountConfig {
        AccountConfig(
            firstMs: first?.milliseconds,
            laterMs: later?.milliseconds,
            tokenLifetimeMs: tokenLifetime?.milliseconds ?? tokenLifetimeMs,
            tokenLifeLeastMs: tokenLifeLeast.milliseconds,
            tokenTimeoutMs: tokenTimeout.milliseconds,
            backoffBaseMs: backoffBase.milliseconds,
            backoffMaxMs: backoffMax.milliseconds,
            keepAlive: keepAlive,
            answerMs: answer.milliseconds,
            unprobedNapMs: unprobedNap.milliseconds
        )
    }

    /// Refuses what only an account can be told.
    func checkIsOfSession() throws {
        let usual = SessionPolicy()
        let isSet = [
            "first": first != usual.first, "later": later != usual.later, "tokenLifetime": tokenLifetime != nil,
            "tokenLifeLeast": tokenLifeLeast != usual.tokenLifeLeast, "tokenTimeout": tokenTimeout != usual.tokenTimeout,
            "keepAlive": keepAlive != usual.keepAlive, "answer": answer != usual.answer,
            "unprobedNap": unprobedNap != usual.unprobedNap,
        ]
        if let name = isSet.filter(\.value).keys.sorted().first {
            throw CoreError.Config(message: "\(name) is of the whole account: give it to Account(policy:)")
        }
    }
}
