package org.mailbearer.angus

import java.util.Collections
import java.util.WeakHashMap
import java.util.logging.Filter
import java.util.logging.LogRecord
import java.util.logging.Logger

/**
 * Masks tokens in what Angus Mail writes to the log of Java: it leaves out what it sends in the login by itself, and not what
 * a server repeats of it. Each token is masked as long as what it was used for is in use.
 */
internal object MaskedLog : Filter {
    private val maskers: MutableMap<Any, (String) -> String> = Collections.synchronizedMap(WeakHashMap())

    /** Held, for Java keeps loggers only as long as somebody has them. */
    private val loggers = listOf("imap", "pop3", "smtp")
        .flatMap { listOf("org.eclipse.angus.mail.$it", "org.eclipse.angus.mail.$it.protocol") }
        .map(Logger::getLogger)
    private val before: List<Filter?> = loggers.map { logger -> logger.filter.also { logger.filter = this } }

    /** [mask] must not refer to [owner]. */
    fun add(owner: Any, mask: (String) -> String) {
        maskers[owner] = mask
    }

    override fun isLoggable(record: LogRecord): Boolean {
        val all = synchronized(maskers) { maskers.values.toList() }
        fun masked(text: String) = all.fold(text) { before, mask -> mask(before) }
        record.message = record.message?.let(::masked)
        record.parameters = record.parameters?.map { if (it is String) masked(it) else it }?.toTypedArray()
        val at = loggers.indexOfFirst { it.name == record.loggerName }
        return before.getOrNull(at)?.isLoggable(record) ?: true
    }
}
