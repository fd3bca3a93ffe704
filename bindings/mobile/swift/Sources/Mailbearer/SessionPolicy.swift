/// How long sessions live, and what is done before their end. Where nothing is said, the provider's profile decides.
public struct SessionPolicy: Sendable {
    /// Whether a session that still works is let go before its end.
    public var renewal = Renewal.ahead
    /// How long the server lets a session live.
    public var sessionLimit: Duration?
    /// Whether the server ends a session when the token that opened it expires.
    public var endsWithToken: Bool?
    /// How many connections the server allows for one user.
    public var connections: UInt32?
    /// How long a token lives whose source does not say.
    public var tokenLifetime: Duration?
    /// How long before the end a fresh token is asked for, and the session renewed; at most a quarter of what the session
    /// lives, and by half less or more at random.
    public var lead = Duration.seconds(300)
    /// How long a token from a cache must still live to be used.
    public var tokenLifeLeast = Duration.seconds(60)
    /// How long a token may take to come.
    public var tokenTimeout = Duration.seconds(60)
    /// Greatest wait after a first failure; it doubles with each.
    public var backoffBase = Duration.seconds(1)
    /// Greatest wait of all; eight times that where the server limits rate or connections.
    public var backoffMax = Duration.seconds(300)
    /// When a session has lasted, and the failures before it are forgotten.
    public var stableAfter = Duration.seconds(60)
    /// Least time between logins of which none lasts, after the first four. Only tests of short-lived tokens should lower
    /// it: the budget of logins is in this unit.
    public var loginInterval = Duration.seconds(60)

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
            tokenLifetimeMs: tokenLifetime?.milliseconds ?? settings.tokenLifetimeMs,
            login: .session,
            renewal: renewal,
            leadMs: lead.milliseconds,
            tokenLifeLeastMs: tokenLifeLeast.milliseconds,
            tokenTimeoutMs: tokenTimeout.milliseconds,
            loginTimeoutMs: settings.timeout.milliseconds,
            backoffBaseMs: backoffBase.milliseconds,
            backoffMaxMs: backoffMax.milliseconds,
            stableAfterMs: stableAfter.milliseconds,
            loginIntervalMs: loginInterval.milliseconds
        )
    }
}
