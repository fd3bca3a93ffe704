package org.mailbearer

/**
 * Takes what happens to an account, in lines for a log. A line never holds a token, and no mail address that a server does not
 * repeat: where that matters, give each account one of its own. It must not block, and what it throws is dropped.
 *
 * With SLF4J:
 *
 * ```
 * val slf4j = LoggerFactory.getLogger("mailbearer")
 * val options = AccountOptions {
 *     logger = EventLogger { level, line -> slf4j.atLevel(Level.valueOf(level.name)).log(line) }
 * }
 * ```
 *
 * On Android: `EventLogger { level, line -> Log.println(if (level >= EventLevel.WARN) Log.WARN else Log.INFO, "mail", line) }`.
 */
public fun interface EventLogger {
    /** Takes one line, without its end. */
    public fun log(level: EventLevel, line: String)
}

/** How much an event matters to who reads a log; the names are those of SLF4J. */
public enum class EventLevel {
    /** A step on the way: tokens, connections, waits. */
    DEBUG,

    /** A connection came, or ended. */
    INFO,

    /** Something failed, and is tried again. */
    WARN,

    /** Nothing goes on before somebody acts. */
    ERROR,
}

/** Writes events to the log, and what a program's own functions throw that must not throw. */
internal class EventLog(private val logger: EventLogger?, private val mask: (String) -> String) {
    fun tell(event: SessionEvent) {
        val facts = listOfNotNull(
            event.session?.let { "session $it" },
            event.generation?.let { "generation $it" },
            event.cause?.name?.lowercase(),
            event.duration?.let { "for $it" },
            event.text,
        )
        val subject = listOfNotNull(event.protocol?.name?.lowercase(), event.kind.name.lowercase()).joinToString(" ")
        write(event.level, (listOf(subject) + facts).joinToString(", "))
    }

    /** Of what a program's function threw only the class is told: its text may hold anything. */
    fun threw(what: String, error: Throwable) = write(EventLevel.WARN, "$what threw ${error.javaClass.name}")

    private fun write(level: EventLevel, line: String) {
        val logger = logger ?: return
        // What only looks on must not end the session.
        runCatching { logger.log(level, mask(line)) }
    }
}

internal fun levelOf(kind: EventKind): EventLevel =
    when (kind) {
        EventKind.FETCHING_TOKEN, EventKind.CONNECTING, EventKind.RENEWING, EventKind.WAITING -> EventLevel.DEBUG
        EventKind.ONLINE, EventKind.ENDED, EventKind.LIMITED -> EventLevel.INFO
        EventKind.TOKEN_FAILED, EventKind.LOGIN_FAILED -> EventLevel.WARN
        EventKind.NEEDS_USER, EventKind.GAVE_UP, EventKind.MISTAKE -> EventLevel.ERROR
    }
