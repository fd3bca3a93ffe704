package org.mailbearer.angus

import jakarta.mail.event.MessageCountEvent
import jakarta.mail.event.MessageCountListener
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.channelFlow
import kotlinx.coroutines.launch
import kotlinx.coroutines.suspendCancellableCoroutine
import org.eclipse.angus.mail.imap.IMAPFolder
import org.mailbearer.SOCKETS
import org.mailbearer.SessionConnection
import org.mailbearer.execute

/**
 * Waits for messages that come or go in an open folder of a store of [imapStore] (IDLE, RFC 2177). When its collector wants
 * no more, the folder takes commands as before.
 *
 * ```
 * imapStore(connection).use { store ->
 *     val inbox = store.getFolder("INBOX").apply { open(Folder.READ_ONLY) } as IMAPFolder
 *     idle(inbox, connection).collect { event -> println("${event.messages.size} messages") }
 * }
 * ```
 *
 * As [org.mailbearer.idle], it begins anew after the time of [reissue] and when a keep-alive is due, and completes when the
 * connection is due to be let go.
 *
 * @param connection the one that the store is over.
 * @param reissue how long one IDLE lasts at most; by default 90 seconds.
 */
public fun idle(folder: IMAPFolder, connection: SessionConnection, reissue: Duration = 90.seconds): Flow<MessageCountEvent> = channelFlow {
    val listener = object : MessageCountListener {
        override fun messagesAdded(event: MessageCountEvent) = tell(event)

        override fun messagesRemoved(event: MessageCountEvent) = tell(event)

        private fun tell(event: MessageCountEvent) {
            launch { send(event) }
        }
    }
    folder.addMessageCountListener(listener)
    try {
        while (!connection.isDue) idleOnce(folder, connection, reissue)
    } finally {
        folder.removeMessageCountListener(listener)
    }
}

private suspend fun idleOnce(folder: IMAPFolder, connection: SessionConnection, reissue: Duration) = coroutineScope {
    val nudge = launch {
        connection.awaitNudge(reissue)
        // Another command ends IDLE, and has an answer.
        leaving { folder.doCommand { it.simpleCommand("NOOP", null) } }
    }
    leaving { folder.idle(true) }
    nudge.cancel()
}

/** Whoever is cancelled does not wait for it: the next command ends IDLE, and so does the end of the connection. */
private suspend fun leaving(work: () -> Unit): Unit = suspendCancellableCoroutine { continuation ->
    SOCKETS.execute { continuation.resumeWith(runCatching(work)) }
}
