package org.mailbearer

/**
 * What holds for all sessions of an [Account].
 *
 * ```
 * val options = AccountOptions {
 *     snapshot = store.snapshot
 *     logger = EventLogger { level, line -> println("$level $line") }
 * }
 * ```
 */
public class AccountOptions private constructor(from: Builder) {
    /** See [Builder.policy]. */
    public val policy: SessionPolicy = from.policy

    /** See [Builder.provider]. */
    public val provider: MailProvider? = from.provider

    /** See [Builder.clock]. */
    public val clock: ElapsedClock = from.clock

    /** See [Builder.onEvent]. */
    public val onEvent: ((SessionEvent) -> Unit)? = from.onEvent

    /** See [Builder.logger]. */
    public val logger: EventLogger? = from.logger

    /** See [Builder.snapshot]. */
    public val snapshot: ByteArray? = from.snapshot?.copyOf()

    /** The same with other settings. */
    public fun copy(change: Builder.() -> Unit): AccountOptions = AccountOptions(Builder(this).apply(change))

    /** What [AccountOptions] are made of. */
    public class Builder internal constructor(from: AccountOptions?) {
        /** How long sessions live, and how long failures are waited out; by default as the provider has it. */
        public var policy: SessionPolicy = from?.policy ?: SessionPolicy()

        /** A profile, as [providerNamed] gives it; left out, the mail address tells it. */
        public var provider: MailProvider? = from?.provider

        /** What the time is; by default the system's clock that counts sleep. See [ElapsedClock]. */
        public var clock: ElapsedClock = from?.clock ?: MachineClock

        /**
         * What [Account.snapshot] gave in an earlier run of the program. A stop holds until [Account.retry], also after a restart.
         */
        public var snapshot: ByteArray? = from?.snapshot

        /** Is told what happens, for metrics and screens; it must not block, and what it throws is dropped. */
        public var onEvent: ((SessionEvent) -> Unit)? = from?.onEvent

        /** Takes what happens as lines for a log; by default nothing is logged. */
        public var logger: EventLogger? = from?.logger
    }

    internal companion object {
        fun of(build: Builder.() -> Unit): AccountOptions = AccountOptions(Builder(null).apply(build))
    }
}

/** Makes [AccountOptions]; without a block, all is as the provider has it. */
public fun AccountOptions(build: AccountOptions.Builder.() -> Unit = {}): AccountOptions = AccountOptions.of(build)
