package org.mailbearer

import kotlin.time.Duration
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds

/**
 * How long sessions live, and what is done before their end. Where nothing is said, the provider's profile decides.
 *
 * @property renewal `AHEAD`: let a session go before its end; `AT_END`: never, only what the server ends is replaced;
 *   `OVERLAP`: as `AHEAD`, and the successor is logged in first (IMAP, where two connections are allowed).
 * @property sessionLimit how long the server lets a session live.
 * @property endsWithToken whether the server ends a session when the token that opened it expires.
 * @property connections how many connections the server allows for one user.
 * @property tokenLifetime how long a token lives whose source does not say.
 * @property lead how long before the end a fresh token is asked for, and the session renewed; at most a quarter of what the
 *   session lives, and by half less or more at random.
 * @property tokenLifeLeast how long a token from a cache must still live to be used.
 * @property tokenTimeout how long a token may take to come.
 * @property backoffBase greatest wait after a first failure; it doubles with each.
 * @property backoffMax greatest wait of all; eight times that where the server limits rate or connections.
 * @property stableAfter when a session has lasted, and the failures before it are forgotten.
 * @property loginInterval least time between logins of which none lasts, after the first four. Only tests of short-lived
 *   tokens should lower it: the budget of logins is in this unit.
 */
data class SessionPolicy(
    val renewal: Renewal = Renewal.AHEAD,
    val sessionLimit: Duration? = null,
    val endsWithToken: Boolean? = null,
    val connections: Int? = null,
    val tokenLifetime: Duration? = null,
    val lead: Duration = 5.minutes,
    val tokenLifeLeast: Duration = 1.minutes,
    val tokenTimeout: Duration = 1.minutes,
    val backoffBase: Duration = 1.seconds,
    val backoffMax: Duration = 5.minutes,
    val stableAfter: Duration = 1.minutes,
    val loginInterval: Duration = 1.minutes,
)

/** What the machine takes, with what a provider's profile says where the policy says nothing. */
internal fun SessionPolicy.toConfig(settings: Settings): SessionConfig {
    val known = settings.limits
    val limits = SessionLimits(
        sessionMs = sessionLimit?.let { ms("sessionLimit", it) } ?: known?.sessionMs,
        endsWithToken = endsWithToken ?: known?.endsWithToken ?: false,
        idleMs = known?.idleMs,
        connections = connections?.let { count("connections", it) } ?: known?.connections,
    )
    return SessionConfig(
        negotiation = settings.config,
        limits = limits,
        tokenLifetimeMs = tokenLifetime?.let { ms("tokenLifetime", it) } ?: settings.tokenLifetimeMs,
        renewal = renewal,
        leadMs = ms("lead", lead),
        tokenLifeLeastMs = ms("tokenLifeLeast", tokenLifeLeast),
        tokenTimeoutMs = ms("tokenTimeout", tokenTimeout),
        loginTimeoutMs = ms("timeout", settings.timeout),
        backoffBaseMs = ms("backoffBase", backoffBase),
        backoffMaxMs = ms("backoffMax", backoffMax),
        stableAfterMs = ms("stableAfter", stableAfter),
        loginIntervalMs = ms("loginInterval", loginInterval),
    )
}

private fun ms(name: String, time: Duration): ULong {
    if (time.isNegative() || time.isInfinite()) throw ConfigException("$name must be a finite time, from zero on")
    return time.inWholeMilliseconds.toULong()
}

private fun count(name: String, number: Int): UInt {
    if (number < 0) throw ConfigException("$name must be a number from zero on")
    return number.toUInt()
}
