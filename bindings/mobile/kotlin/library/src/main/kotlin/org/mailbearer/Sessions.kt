package org.mailbearer

import java.io.Closeable
import java.util.concurrent.CancellationException
import java.util.concurrent.atomic.AtomicBoolean
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.FlowCollector
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.isActive

/**
 * Stays logged in: a flow of connections, a new one each time that the last has ended, or is let go before its end. It is
 * the session of an [Account] of its own: for several of one mailbox, make an account.
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
 * @param options where and how to log in.
 * @param account what holds for the account: policy, snapshot, events, clock.
 * @throws ConfigException a setting is missing or cannot work.
 */
public fun sessions(
    protocol: MailProtocol,
    user: String,
    token: TokenSource,
    options: LoginOptions = LoginOptions(),
    account: AccountOptions = AccountOptions(),
): Sessions {
    // What is wrong with them is told first.
    resolve(protocol, user, options)
    val alone = Account(user, token, account.copy { provider = provider ?: options.provider })
    return alone.sessions(protocol, options, account.policy, isAlone = true)
}

/**
 * The connections of one session, one after the other: of [Account.sessions], or of [sessions].
 *
 * Nothing is opened before somebody collects, and one collector at a time is served. The flow goes on when the connection
 * that it gave was let go ([SessionConnection.use], [SessionConnection.close]) or is over, and not before: work until
 * [SessionConnection.wait] says that it is due. So operators that run ahead, such as `buffer`, `flowOn`, `merge` and
 * `shareIn`, make no logins of their own. Logins, tokens, waits after failures and reconnects happen behind it.
 *
 * Who takes a connection out of the flow, as with `first()`, has it, and closes it. A collector that is cancelled, or whose
 * block throws, closes it. Who collects again lets the connection before go first.
 *
 * The flow throws [NeedsUserException] when a person must act: so does each collection after it, at once and without I/O,
 * until [retry]. It throws [GaveUpException] when the settings cannot work (`retry` is needed then, too), or when there
 * was no first connection in the time of [SessionPolicy.first]; and [MisuseException] when the token source has a bug.
 */
public class Sessions
internal constructor(private val account: Account, private val key: UInt, private val endpoint: Endpoint, private val isAlone: Boolean) :
    Flow<SessionConnection>, Closeable {
    private val flow = flow { run(::emit) }
    private val isCollected = AtomicBoolean()
    @Volatile private var isClosed = false
    private var earlier: SessionConnection? = null
    private var last: SessionStatus = status()

    override suspend fun collect(collector: FlowCollector<SessionConnection>): Unit = flow.collect(collector)

    private suspend fun run(give: suspend (SessionConnection) -> Unit) {
        if (!isCollected.compareAndSet(false, true)) {
            throw MisuseException("the sessions are being collected already: make others for that")
        }
        try {
            while (true) {
                val connection = next() ?: return
                hand(connection, give)
                connection.awaitGone()
            }
        } finally {
            isCollected.set(false)
        }
    }

    /** The next connection, once the one before is let go; `null` when there will be no other. */
    private suspend fun next(): SessionConnection? {
        earlier?.run {
            close()
            awaitGone()
        }
        earlier = if (isClosed) null else account.driver.next(key)
        return earlier
    }

    private suspend fun hand(connection: SessionConnection, give: suspend (SessionConnection) -> Unit) =
        stoppingWhenCancelled(connection::interrupt) {
            try {
                give(connection)
            } catch (end: Throwable) {
                // `first` and its like want no more, and have it now. Who fails, or is cancelled, has nothing.
                if (end !is CancellationException || !currentCoroutineContext().isActive) connection.close()
                throw end
            }
        }

    /** How the session stands: whether it is wanted, connected or stopped; and its phase, generation, failures, what was learnt. */
    public fun status(): SessionStatus {
        account.status().sessions.find { it.session == key }?.let { last = it }
        return last
    }

    /** See [Account.snapshot]. */
    public fun snapshot(): ByteArray = account.snapshot()

    /** See [Account.retry]. */
    public fun retry(): Unit = account.retry()

    /** See [Account.networkLost]. */
    public fun networkLost(): Unit = account.networkLost()

    /** See [Account.networkBack]. */
    public fun networkBack(): Unit = account.networkBack()

    /** Ends the session: its connection is closed, and the flow completes. The account goes on with its others. */
    override fun close() {
        status()
        isClosed = true
        if (isAlone) account.close() else account.driver.remove(key)
    }

    override fun toString(): String = "Sessions(${status().standing.name.lowercase()} ${endpoint.host})"
}
