package org.mailbearer

import kotlin.time.Duration
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds

/**
 * How long sessions live, what is done before their end, and how long failures are waited out. Where nothing is said, the
 * provider's profile decides. Given to an account, it holds for all its sessions.
 *
 * @property renewal `AHEAD`: let a session go before its end; `AT_END`: never, only what the server ends is replaced;
 *   `OVERLAP`: as `AHEAD`, and the successor is logged in first (IMAP, where two connections are allowed).
 * @property sessionLimit how long the server lets a session live.
 * @property endsWithToken whether the server ends a session when the token that opened it expires.
 * @property connections how many connections the server allows for one user.
 * @property tokenLifetime how long a token lives whose source does not say. Of the account.
 * @property lead how long before the end a fresh token is asked for, and the session renewed; at most a quarter of what the
 *   session lives, and by half less or more at random.
 * @property tokenLifeLeast how long a token from a cache must still live to be used. Of the account.
 * @property tokenTimeout how long a token may take to come. Of the account.
 * @property backoffBase greatest wait after a first failure; it doubles with each.
 * @property backoffMax greatest wait of all; eight times that where the server limits rate or connections.
 * @property stableAfter when a session has lasted, and the failures before it are forgotten.
 * @property loginInterval least time between logins of which none lasts, after the first four. Only tests of short-lived
 *   tokens should lower it: the budget of logins is in this unit.
 * @property first how long failures are waited out before a session's first connection; then they are raised as
 *   [GaveUpException]. What cannot get better is raised at once. `INFINITE`: for ever. Of the account.
 * @property later the same, once the session has been connected. Of the account.
 * @property keepAlive whether an idle connection is kept alive, every 4 to 9 minutes at random, where the program can do
 *   that: see [SessionConnection]. Of the account.
 * @property answer in what time a probe or a keep-alive is to be answered. Of the account.
 * @property unprobedNap a nap of the machine of at least that length ends its connections unprobed. Of the account.
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
    val first: Duration = 1.minutes,
    val later: Duration = Duration.INFINITE,
    val keepAlive: Boolean = true,
    val answer: Duration = 20.seconds,
    val unprobedNap: Duration = 30.minutes,
)

/** What the machine takes for an account, with what a provider's profile says where the policy says nothing. */
internal fun SessionPolicy.toAccountConfig(provider: Provider?): AccountConfig =
    AccountConfig(
        firstMs = if (first.isInfinite()) null else ms("first", first),
        laterMs = if (later.isInfinite()) null else ms("later", later),
        tokenLifetimeMs = tokenLifetime?.let { ms("tokenLifetime", it) } ?: provider?.tokenLifetimeMs,
        tokenLifeLeastMs = ms("tokenLifeLeast", tokenLifeLeast),
        tokenTimeoutMs = ms("tokenTimeout", tokenTimeout),
        backoffBaseMs = ms("backoffBase", backoffBase),
        backoffMaxMs = ms("backoffMax", backoffMax),
        keepAlive = keepAlive,
        answerMs = ms("answer", answer),
        unprobedNapMs = ms("unprobedNap", unprobedNap),
    )

/** What the machine takes for a session. */
internal fun SessionPolicy.toSessionConfig(settings: Settings): SessionConfig {
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
        tokenLifetimeMs = settings.tokenLifetimeMs,
        renewal = renewal,
        leadMs = ms("lead", lead),
        // The driver says it first: it knows what was waited for.
        loginTimeoutMs = ms("timeout", settings.timeout + 1.seconds),
        backoffBaseMs = ms("backoffBase", backoffBase),
        backoffMaxMs = ms("backoffMax", backoffMax),
        stableAfterMs = ms("stableAfter", stableAfter),
        loginIntervalMs = ms("loginInterval", loginInterval),
    )
}

/** A policy for one session must not say something else of what is the account's. */
internal fun SessionPolicy.checkWithin(account: SessionPolicy) {
    val ofAccount = mapOf<String, (SessionPolicy) -> Any?>(
        "tokenLifetime" to { it.tokenLifetime },
        "tokenLifeLeast" to { it.tokenLifeLeast },
        "tokenTimeout" to { it.tokenTimeout },
        "first" to { it.first },
        "later" to { it.later },
        "keepAlive" to { it.keepAlive },
        "answer" to { it.answer },
        "unprobedNap" to { it.unprobedNap },
    )
    val defaults = SessionPolicy()
    val (name) = ofAccount.entries.find { (_, of) -> of(this) != of(account) && of(this) != of(defaults) } ?: return
    throw ConfigException("$name is of the whole account: give it in the policy of the Account")
}

private fun ms(name: String, time: Duration): ULong {
    if (time.isNegative() || time.isInfinite()) throw ConfigException("$name must be a finite time, from zero on")
    return time.inWholeMilliseconds.toULong()
}

private fun count(name: String, number: Int): UInt {
    if (number < 0) throw ConfigException("$name must be a number from zero on")
    return number.toUInt()
}
