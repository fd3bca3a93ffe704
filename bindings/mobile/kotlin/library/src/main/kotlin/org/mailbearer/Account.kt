package org.mailbearer

import java.io.Closeable
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import org.mailbearer.machine.AccountEvent

/**
 * One mailbox: its sessions share one token, one refresh, the server's limits, and what a person must mend.
 *
 * ```
 * Account("joe@gmail.com", source).use { account ->
 *     coroutineScope {
 *         launch { account.sessions(MailProtocol.IMAP).collect { connection -> connection.use { … } } }
 *         launch { account.sessions(MailProtocol.SMTP).collect { connection -> connection.use { … } } }
 *     }
 * }
 * ```
 *
 * It may be used from many threads. Nothing is opened, and the source is not asked, before a session is collected. Several accounts
 * know nothing of each other: where they have one source, it is asked by one at a time.
 *
 * The first one of a process loads the native library in the calling thread: see [loadMailbearer].
 *
 * @param user the mailbox, most often a mail address.
 * @param token is asked once for all sessions.
 * @param options what else holds for all its sessions.
 * @throws ConfigException a setting cannot work, or the snapshot is damaged or of another version.
 */
public class Account
internal constructor(
    private val user: String,
    token: TokenSource,
    options: AccountOptions,
    private val world: World,
) : Closeable {
    public constructor(
        user: String,
        token: TokenSource,
        options: AccountOptions = AccountOptions(),
    ) : this(user, token, options, World(options.clock))

    private val policy = options.policy
    private val provider = options.provider
    private val onEvent = options.onEvent
    private val log = EventLog(options.logger, ::redact)
    private val protocols = HashMap<UInt, MailProtocol>()
    internal val driver: Driver

    init {
        val config = policy.toAccountConfig(provider ?: providerOfAddress(user))
        driver = Driver(world, config, options.snapshot, JoinedTokens.of(token), ::tell)
    }

    /**
     * Another session of this mailbox: IMAP as often as wanted, POP3, SMTP.
     *
     * The first one of a process reads the machine's certificate authorities in the calling thread: see [loadMailbearer].
     *
     * @param options where and how to log in.
     * @param policy in place of the account's, but for what is of the whole account.
     * @throws ConfigException a setting is missing or cannot work, or is of the whole account; or the snapshot is of another
     *   user.
     */
    public fun sessions(
        protocol: MailProtocol,
        options: LoginOptions = LoginOptions(),
        policy: SessionPolicy = this.policy,
    ): Sessions = sessions(protocol, options, policy, isAlone = false)

    internal fun sessions(protocol: MailProtocol, options: LoginOptions, policy: SessionPolicy, isAlone: Boolean): Sessions {
        policy.checkWithin(this.policy)
        val settings = resolve(protocol, user, options.copy { provider = provider ?: this@Account.provider })
        val key = driver.add(settings, policy.toSessionConfig(settings))
        synchronized(protocols) { protocols[key] = protocol }
        return Sessions(this, key, settings.endpoint, isAlone)
    }

    /** Says that a person, or the program, has acted: every stop is lifted. */
    public fun retry(): Unit = driver.retry()

    /** Says that the system has no network: nothing is opened for at most 5 minutes, or until [networkBack]. */
    public fun networkLost(): Unit = driver.networkLost()

    /** Says that there is a network again, or another one: waits that are the network's end, and connections are probed. */
    public fun networkBack(): Unit = driver.networkBack()

    /** How the account and its sessions stand, for logs and screens. */
    public fun status(): AccountStatus = driver.status()

    /**
     * What must outlive the process: stops, waits, refusals, limits, what was in flight in each session. It holds no secret.
     * Time for which the process is dead counts.
     */
    public fun snapshot(): ByteArray = driver.snapshot()

    /** Masks every token that the account holds, and those of the last logins, in a text that is to be logged. */
    public fun redact(text: String): String = driver.redact(text)

    /** Ends all sessions: connections are closed, and their flows complete. */
    override fun close(): Unit = driver.close()

    override fun toString(): String = "Account(${status().sessions.joinToString { it.standing.name.lowercase() }})"

    private fun tell(of: AccountEvent, error: Throwable?) {
        val protocol = of.session?.let { synchronized(protocols) { protocols[it] } }
        val duration = of.waitMs?.toLong()?.milliseconds
        val text = of.text.ifEmpty { null }
        val event = SessionEvent(of.kind, protocol, user, of.ticket, of.generation, of.cause, text, duration, of.session, error)
        log.tell(event)
        // What only looks on must not end the session.
        runCatching { onEvent?.invoke(event) }.onFailure { log.threw("onEvent", it) }
    }
}

/**
 * Something that happened to an account or one of its sessions, for logs and metrics. It never carries a token.
 *
 * @property kind what happened.
 * @property protocol of the session; `null`: it is of the account.
 * @property ticket the number of the connection attempt.
 * @property generation the number of the session's connection.
 * @property cause where something failed or ended.
 * @property text more, in words: a sentence about the failure, or what is waited for.
 * @property duration how long it waits, or until when it is to be let go.
 * @property session tells apart sessions of one account; `null`: it is of the account.
 * @property error what the token source or the system threw.
 */
@ConsistentCopyVisibility
public data class SessionEvent
internal constructor(
    val kind: EventKind,
    val protocol: MailProtocol?,
    val user: String,
    val ticket: ULong? = null,
    val generation: ULong? = null,
    val cause: Cause? = null,
    val text: String? = null,
    val duration: Duration? = null,
    val session: UInt? = null,
    val error: Throwable? = null,
) {
    /** How much it matters. */
    public val level: EventLevel
        get() = levelOf(kind)

    /** What is known, and no more: most events say little. */
    override fun toString(): String {
        val facts = listOf(
            "kind" to kind, "protocol" to protocol, "user" to user, "session" to session, "ticket" to ticket, "generation" to generation,
            "cause" to cause, "duration" to duration, "text" to text, "error" to error,
        )
        return facts.filter { it.second != null }.joinToString(", ", "SessionEvent(", ")") { (name, value) -> "$name=$value" }
    }
}
