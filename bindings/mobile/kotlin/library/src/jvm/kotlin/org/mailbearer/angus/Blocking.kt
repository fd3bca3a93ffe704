package org.mailbearer.angus

import jakarta.mail.Service
import java.util.Collections
import java.util.WeakHashMap
import org.mailbearer.MisuseException

/**
 * Runs code of Angus Mail, which blocks its thread, in a thread for that. When the coroutine is cancelled, or its time is out, the
 * connection is ended, and with it the call: the store or the transport is of no more use then, and is to be closed.
 *
 * ```
 * val store = connectStore(MailProtocol.IMAP, "joe@gmail.com", source)
 * val subjects = withTimeout(20.seconds) {
 *     store.blocking { store.getFolder("INBOX").apply { open(Folder.READ_ONLY) }.messages.map { it.subject } }
 * }
 * ```
 *
 * @throws MisuseException the store or transport is not of [connectStore], [connectTransport], [imapStore] or [smtpTransport].
 */
public suspend fun <T> Service.blocking(work: () -> T): T = org.mailbearer.blocking(Stops.of(this), work)

/** What ends the calls of a store or a transport that block, as long as it is in use. */
internal object Stops {
    private val stops: MutableMap<Service, () -> Unit> = Collections.synchronizedMap(WeakHashMap())

    /** [stop] must not refer to the service. */
    fun add(service: Service, stop: () -> Unit) {
        stops[service] = stop
    }

    fun of(service: Service): () -> Unit =
        stops[service] ?: throw MisuseException("this store or transport is none that mailbearer has made: its calls cannot be ended")
}
