package org.mailbearer

import kotlin.time.Duration
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import org.mailbearer.machine.AccountConfig
import org.mailbearer.machine.SessionConfig

/**
 * How long sessions live, what is done before their end, and how long failures are waited out. Where nothing is said, the
 * provider's profile decides. Given to an account, it holds for all its sessions.
 *
 * ```
 * val policy = SessionPolicy {
 *     renewal = Renewal.OVERLAP
 *     first = Duration.INFINITE
 * }
 * ```
 */
public class SessionPolicy private constructor(from: Builder) {
    /** See [Builder.renewal]. */
    public val renewal: Renewal = from.renewal

    /** See [Builder.sessionLimit]. */
    public val sessionLimit: Duration? = from.sessionLimit

    /** See [Builder.endsWithToken]. */
    public val endsWithToken: Boolean? = from.endsWithToken

    /** See [Builder.connections]. */
    public val connections: Int? = from.connections

    /** See [Builder.tokenLifetime]. */
    public val tokenLifetime: Duration? = from.tokenLifetime

    /** See [Builder.lead]. */
    public val lead: Duration = from.lead

    /** See [Builder.tokenLifeLeast]. */
    public val tokenLifeLeast: Duration = from.tokenLifeLeast

    /** See [Builder.tokenTimeout]. */
    public val tokenTimeout: Duration = from.tokenTimeout

    /** See [Builder.backoffBase]. */
    public val backoffBase: Duration = from.backoffBase

    /** See [Builder.backoffMax]. */
    public val backoffMax: Duration = from.backoffMax

    /** See [Builder.stableAfter]. */
    public val stableAfter: Duration = from.stableAfter

    /** See [Builder.loginInterval]. */
    public val loginInterval: Duration = from.loginInterval

    /** See [Builder.first]. */
    public val first: Duration = from.first

    /** See [Builder.later]. */
    public val later: Duration = from.later

    /** See [Builder.keepAlive]. */
    public val keepAlive: Boolean = from.keepAlive

    /** See [Builder.answer]. */
    public val answer: Duration = from.answer

    /** See [Builder.unprobedNap]. */
    public val unprobedNap: Duration = from.unprobedNap

    /** The same with other settings. */
    public fun copy(change: Builder.() -> Unit): SessionPolicy = SessionPolicy(Builder(this).apply(change))

    /** What a [SessionPolicy] is made of. */
    public class Builder internal constructor(from: SessionPolicy?) {
        /**
         * `AHEAD`, the default: let a session go before its end; `AT_END`: never, only what the server ends is replaced; `OVERLAP`:
         * as `AHEAD`, and the successor is logged in first (IMAP, where two connections are allowed).
         */
        public var renewal: Renewal = from?.renewal ?: Renewal.AHEAD

        /** How long the server lets a session live; by default what is known of the provider. */
        public var sessionLimit: Duration? = from?.sessionLimit

        /** Whether the server ends a session when the token that opened it expires; by default what is known of the provider. */
        public var endsWithToken: Boolean? = from?.endsWithToken

        /** How many connections the server allows for one user; by default what is known of the provider. */
        public var connections: Int? = from?.connections

        /** How long a token lives whose source does not say. Of the account. */
        public var tokenLifetime: Duration? = from?.tokenLifetime

        /**
         * How long before the end a fresh token is asked for, and the session renewed; at most a quarter of what the session lives, and
         * by half less or more at random. By default 5 minutes.
         */
        public var lead: Duration = from?.lead ?: 5.minutes

        /** How long a token from a cache must still live to be used; by default a minute. Of the account. */
        public var tokenLifeLeast: Duration = from?.tokenLifeLeast ?: 1.minutes

        /** How long a token may take to come; by default a minute. Of the account. */
        public var tokenTimeout: Duration = from?.tokenTimeout ?: 1.minutes

        /** Greatest wait after a first failure; it doubles with each. By default a second. */
        public var backoffBase: Duration = from?.backoffBase ?: 1.seconds

        /** Greatest wait of all; eight times that where the server limits rate or connections. By default 5 minutes. */
        public var backoffMax: Duration = from?.backoffMax ?: 5.minutes

        /** When a session has lasted, and the failures before it are forgotten; by default after a minute. */
        public var stableAfter: Duration = from?.stableAfter ?: 1.minutes

        /**
         * Least time between logins of which none lasts, after the first four; by default a minute. Only tests of short-lived tokens
         * should lower it: the budget of logins is in this unit.
         */
        public var loginInterval: Duration = from?.loginInterval ?: 1.minutes

        /**
         * How long failures are waited out before a session's first connection; then they are raised as [GaveUpException]. By default a
         * minute; `INFINITE`: for ever. What cannot get better is raised at once. Of the account.
         */
        public var first: Duration = from?.first ?: 1.minutes

        /** The same, once the session has been connected; by default for ever. Of the account. */
        public var later: Duration = from?.later ?: Duration.INFINITE

        /**
         * Whether an idle connection is kept alive, every 4 to 9 minutes at random, where the program can do that: see
         * [SessionConnection]. By default true. Of the account.
         */
        public var keepAlive: Boolean = from?.keepAlive ?: true

        /** In what time a probe or a keep-alive is to be answered; by default 20 seconds. Of the account. */
        public var answer: Duration = from?.answer ?: 20.seconds

        /** A nap of the machine of at least that length ends its connections unprobed; by default 30 minutes. Of the account. */
        public var unprobedNap: Duration = from?.unprobedNap ?: 30.minutes
    }

    internal companion object {
        fun of(build: Builder.() -> Unit): SessionPolicy = SessionPolicy(Builder(null).apply(build))
    }
}

/** Makes a [SessionPolicy]; without a block, all is as the provider has it. */
public fun SessionPolicy(build: SessionPolicy.Builder.() -> Unit = {}): SessionPolicy = SessionPolicy.of(build)

/** What the machine takes for an account, with what a provider's profile says where the policy says nothing. */
internal fun SessionPolicy.toAccountConfig(provider: MailProvider?): AccountConfig =
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
