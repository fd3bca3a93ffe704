package org.mailbearer

import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import org.mailbearer.machine.FollowConfig
import org.mailbearer.machine.FollowEvent

/**
 * Something changed in the mailbox that is selected.
 *
 * @property exists how many messages there are, where the server said it.
 * @property expunged sequence numbers of messages that were expunged, in the server's order.
 * @property flagged sequence numbers of messages whose flags the server told.
 */
@ConsistentCopyVisibility
public data class MailboxChange
internal constructor(val exists: UInt?, val expunged: List<UInt>, val flagged: List<UInt>)

/**
 * Messages that were not told yet.
 *
 * @property uids UIDs, ascending. A message may be gone by the time that it is fetched. None at first, where no cursor was given:
 *   the cursor says where it begins.
 * @property cursor where the program stands once it has done with them: to be stored then, and given as `since` the next time.
 * @property isReset the mailbox was made anew: UIDs of before mean nothing any more, and it goes on from what there is now.
 */
@ConsistentCopyVisibility
public data class NewMessages
internal constructor(val uids: List<UInt>, val cursor: String, val isReset: Boolean)

/**
 * Waits in IMAP's IDLE (RFC 2177) for what changes in the mailbox that is selected. The flow completes when the connection is due to
 * be let go: the next one goes on.
 *
 * ```
 * sessions(MailProtocol.IMAP, "joe@gmail.com", source).collect { connection ->
 *     connection.use {
 *         select("INBOX", connection)
 *         connection.idle().collect { change -> change.exists?.let { fetch(it, connection) } }
 *     }
 * }
 * ```
 *
 * IDLE is ended before a change is given, and begun again when the collector has done with it: the collector may speak on the
 * connection, and may leave the flow, as `first()` does. A collector that is cancelled in the wait leaves the connection in IDLE: let
 * it go, or ask for the next change. Where the server has no IDLE, it is asked with NOOP once a minute. One flow of a connection is
 * collected at a time. Over Angus Mail use [org.mailbearer.angus.idle].
 *
 * @param reissue IDLE is begun anew after so long, and when a keep-alive is due, so that a server or a path that is mute is
 *   noticed: with 90 seconds, the default, within two minutes. Each is a wake of the device; a server ends an IDLE of 30 minutes.
 * @param answer how long IDLE may take to begin and to end; by default 20 seconds.
 * @throws ConfigException the connection does not speak IMAP.
 * @throws MisuseException Angus Mail has the connection; when collected: another flow of it is collected.
 * @throws SessionEndedException when collected: the session has ended; [SessionConnection.use] takes it for what it is.
 */
public fun SessionConnection.idle(reissue: Duration = 90.seconds, answer: Duration = 20.seconds): Flow<MailboxChange> =
    followed(config(null, null, false, false, reissue, answer), waits = true) { event ->
        when (event) {
            is FollowEvent.Changed -> MailboxChange(event.exists, event.expunged, event.flagged)
            is FollowEvent.Messages, is FollowEvent.Reset, is FollowEvent.Refused, FollowEvent.Free, FollowEvent.Late -> null
        }
    }

/**
 * Selects a mailbox of IMAP, and waits for its new messages, by UID. What came between two connections, or two runs of the program,
 * is told once. The flow completes when the connection is due to be let go: the next one goes on.
 *
 * ```
 * sessions(MailProtocol.IMAP, "joe@gmail.com", source).collect { connection ->
 *     connection.use {
 *         connection.newMessages("INBOX", since = store.cursor).collect { new ->
 *             fetch(new.uids, connection)
 *             store.cursor = new.cursor
 *         }
 *     }
 * }
 * ```
 *
 * The collector may use the connection, as with [idle], and another mailbox must not be selected. Angus Mail cannot share it: give
 * it a connection of its own, of another `sessions` of the [Account].
 *
 * @param mailbox as people write it.
 * @param since where the program stands; `null`: only what comes from now on is told, and the first is where that begins.
 * @param readOnly the mailbox is opened so that nothing is marked as read.
 * @param reissue as for [idle].
 * @param waits false: the flow completes once all that is there was told, as for a worker that a push or a period has woken.
 * @param answer how long an answer may take; a search has ten times as long, and both have no longer than `answerTimeout`.
 * @throws ConfigException the connection does not speak IMAP; when collected: `since` is no cursor.
 * @throws MisuseException Angus Mail has the connection; when collected: another flow of it is collected.
 * @throws MailboxRefusedException when collected: the mailbox cannot be selected, or the server does not search it.
 * @throws SessionEndedException when collected: the session has ended; [SessionConnection.use] takes it for what it is.
 */
public fun SessionConnection.newMessages(
    mailbox: String = "INBOX",
    since: String? = null,
    readOnly: Boolean = false,
    reissue: Duration = 90.seconds,
    answer: Duration = 20.seconds,
    waits: Boolean = true,
): Flow<NewMessages> =
    followed(config(mailbox, since, readOnly, true, reissue, answer), waits) { event ->
        when (event) {
            is FollowEvent.Messages -> NewMessages(event.uids, event.cursor, isReset = false)
            is FollowEvent.Reset -> NewMessages(emptyList(), event.cursor, isReset = true)
            is FollowEvent.Changed, is FollowEvent.Refused, FollowEvent.Free, FollowEvent.Late -> null
        }
    }

private fun SessionConnection.config(
    mailbox: String?,
    since: String?,
    readOnly: Boolean,
    tellsMessages: Boolean,
    reissue: Duration,
    answer: Duration,
): FollowConfig =
    FollowConfig(
        mailbox = mailbox,
        since = since,
        readOnly = readOnly,
        tellsMessages = tellsMessages,
        hasIdle = capabilities.isEmpty() || capabilities.any { it.equals("IDLE", ignoreCase = true) },
        reissueMs = reissue.inWholeMilliseconds.toULong(),
        answerMs = answer.inWholeMilliseconds.toULong(),
    )

private fun <T : Any> SessionConnection.followed(config: FollowConfig, waits: Boolean, read: (FollowEvent) -> T?): Flow<T> {
    if (endpoint.protocol != MailProtocol.IMAP) throw ConfigException("only IMAP has mailboxes that can be followed")
    if (isOfAngus) {
        throw MisuseException(
            "Angus Mail reads this connection: wait with org.mailbearer.angus.idle(folder, connection), or follow the mailbox over " +
                "a connection of its own, of another account.sessions(MailProtocol.IMAP)"
        )
    }
    return flow { follower.follow(config, waits) { event -> read(event)?.let { emit(it) } } }
}
