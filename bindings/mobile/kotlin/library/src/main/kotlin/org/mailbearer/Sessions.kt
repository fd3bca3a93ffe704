package org.mailbearer

import kotlin.time.Duration
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow

/**
 * Stays logged in: a flow of connections, a new one each time that the last has ended, or is let go before its end.
 *
 * ```
 * sessions(MailProtocol.IMAP, "joe@gmail.com", source).collect { connection ->
 *     connection.use {
 *         connection.writeLine("A1 SELECT INBOX")
 *         …
 *     }
 * }
 * ```
 *
 * A connection is let go when the block for it returns: work until [SessionConnection.wait] says that it is due. Logins,
 * tokens, waits after failures and reconnects happen behind it. The flow ends with an exception only when somebody must
 * act; collect it again to go on after that. When the collector is cancelled, all is closed.
 *
 * The flow throws [NeedsUserException] when a person must act, [GaveUpException] when the settings cannot work.
 *
 * @param snapshot what [Sessions.snapshot] gave in an earlier run of the program.
 * @param onEvent is told what happens, for logs and metrics; it must not block.
 * @throws ConfigException a setting is missing or cannot work.
 */
fun sessions(
    protocol: MailProtocol,
    user: String,
    token: TokenSource,
    options: LoginOptions = LoginOptions(),
    policy: SessionPolicy = SessionPolicy(),
    snapshot: ByteArray? = null,
    onEvent: ((SessionEvent) -> Unit)? = null,
): Sessions {
    val driver = Driver(resolve(protocol, user, options), JoinedTokens.of(token), policy, snapshot, onEvent)
    return Sessions(driver, flow { driver.run(::emit) })
}

/** The connections of [sessions], one after the other, for one collector at a time. */
class Sessions internal constructor(private val driver: Driver, flow: Flow<SessionConnection>) :
    Flow<SessionConnection> by flow {
    /** How the session stands: phase, generation, failures, what was learnt, the last failure and ending. */
    fun status(): Status = driver.session.status()

    /**
     * What must outlive the process: generation, learnt limits, back-off, a stop, what was in flight. It holds no secret.
     */
    fun snapshot(): ByteArray = driver.session.snapshot()

    /** Says that the network has changed: the connection is not trusted, and made anew. */
    fun woke() = driver.woke()

    override fun toString(): String = "Sessions(${status().phase.name.lowercase()} ${driver.settings.endpoint.host})"
}

/**
 * Something that happened to a session, for logs and metrics. It never carries a token.
 *
 * @property kind what happened.
 * @property ticket the number of the connection attempt.
 * @property generation the number of the session that is online.
 * @property cause where something failed or ended.
 * @property text more, in words: why a token is asked for, or a sentence about the failure.
 * @property duration how long it waits, or until when it is to be let go.
 */
data class SessionEvent(
    val kind: EventKind,
    val protocol: MailProtocol,
    val user: String,
    val ticket: ULong? = null,
    val generation: ULong? = null,
    val cause: Cause? = null,
    val text: String? = null,
    val duration: Duration? = null,
)
