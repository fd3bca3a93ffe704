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
 *     log = MailLog { level, line -> slf4j.atLevel(Level.valueOf(level.name)).log(line) }
 * }
 * ```
 *
 * On Android: `MailLog { level, line -> Log.println(if (level >= MailLog.Level.WARN) Log.WARN else Log.INFO, "mail", line) }`.
 */
public fun interface MailLog {
    /** Takes one line, without its end. */
    public fun log(level: Level, line: String)

    /** How much a line matters, with the names of SLF4J. */
    public enum class Level {
        /** What happens all the time: tokens, connections, waits. */
        DEBUG,

        /** A session began, or ended in its time. */
        INFO,

        /** Something failed, and is tried again. */
        WARN,

        /** Nothing goes on before somebody acts. */
        ERROR,
    }
}

/** Writes events to the log, and what a program's own functions throw that must not throw. */
internal class EventLog(private val log: MailLog?, private val mask: (String) -> String) {
    fun tell(event: SessionEvent) {
        val facts = listOfNotNull(
            event.session?.let { "session $it" },
            event.generation?.let { "generation $it" },
            event.cause?.name?.lowercase(),
            event.duration?.let { "for $it" },
            event.text,
        )
        val subject = listOfNotNull(event.protocol?.name?.lowercase(), event.kind.name.lowercase()).joinToString(" ")
        write(levelOf(event.kind), (listOf(subject) + facts).joinToString(", "))
    }

    /** Of what a program's function threw only the class is told: its text may hold anything. */
    fun threw(what: String, error: Throwable) = write(MailLog.Level.WARN, "$what threw ${error.javaClass.name}")

    private fun write(level: MailLog.Level, line: String) {
        val log = log ?: return
        // What only looks on must not end the session.
        runCatching { log.log(level, mask(line)) }
    }
}

private fun levelOf(kind: EventKind): MailLog.Level =
    when (kind) {
        EventKind.FETCHING_TOKEN, EventKind.CONNECTING, EventKind.WAITING -> MailLog.Level.DEBUG
        EventKind.ONLINE, EventKind.RENEWING, EventKind.ENDED, EventKind.LIMITED -> MailLog.Level.INFO
        EventKind.TOKEN_FAILED, EventKind.LOGIN_FAILED -> MailLog.Level.WARN
        EventKind.NEEDS_USER, EventKind.GAVE_UP, EventKind.MISTAKE -> MailLog.Level.ERROR
    }
