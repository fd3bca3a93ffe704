package org.mailbearer

import java.io.IOException
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.async
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.FlowCollector
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.isActive
import kotlinx.coroutines.launch
import kotlinx.coroutines.selects.select
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeoutOrNull

/** In what time the server must answer DONE and IDLE. */
private val ANSWER = 20.seconds

/**
 * Waits for what changes in the mailbox that is selected (IDLE, RFC 2177): a flow of the server's lines, as `* 4 EXISTS`. The
 * connection is nobody else's meanwhile; when the flow has ended, or its collector wants no more, it takes commands again.
 *
 * ```
 * connection.writeLine("A1 SELECT INBOX")
 * …
 * connection.idle().collect { line -> if (line.endsWith("EXISTS")) println("mail") }
 * ```
 *
 * It begins anew after the time of [every], and when a keep-alive is due: so a server that has gone mute is noticed within
 * two minutes, and ends the session as `TIMED_OUT`. A phone that is to sleep longer gives up to 29 minutes; TCP's own probes
 * notice a path that is dead. The flow completes when the connection is due to be let go.
 *
 * @param every how long one IDLE lasts at most; by default 90 seconds.
 * @throws ConfigException the connection does not speak IMAP.
 * @throws SessionEndedException the session has ended; [SessionConnection.use] takes it for what it is.
 */
fun SessionConnection.idle(every: Duration = 90.seconds): Flow<String> {
    if (endpoint.protocol != MailProtocol.IMAP) throw ConfigException("only IMAP has IDLE")
    return flow { coroutineScope { Idle(this@idle, every, this@flow, this).run() } }
}

/** How far an IDLE has come. */
private enum class State {
    NONE,

    /** The server has not said `+` yet. */
    ASKED,
    WAITING,

    /** DONE was written. */
    DONE,
}

/** IDLE after IDLE. A line that is waited for is kept: nothing is lost between two of them. */
private class Idle(
    private val connection: SessionConnection,
    private val every: Duration,
    private val program: FlowCollector<String>,
    private val scope: CoroutineScope,
) {
    private var line: Deferred<String?>? = null
    private var number = 0
    private var state = State.NONE

    suspend fun run() {
        try {
            while (!connection.isDue && once()) continue
        } finally {
            // Who wants no more goes on with the connection. Who is cancelled closes it.
            if (state != State.NONE && scope.isActive && connection.verdict == null) withContext(NonCancellable) { end { } }
            line?.cancel()
        }
    }

    /** False at the end of the connection. */
    private suspend fun once(): Boolean {
        number++
        connection.writeLine("I$number IDLE")
        state = State.ASKED
        if (!acknowledged(program::emit)) return false
        val nudge = scope.launch { connection.awaitNudge(every) }
        try {
            while (true) {
                // What is read here came before the nudge.
                val next = next()
                val isLine = select {
                    next.onAwait { true }
                    nudge.onJoin { false }
                }
                if (!isLine) return end(program::emit)
                line = null
                program.emit(next.await() ?: return false)
            }
        } finally {
            nudge.cancel()
        }
    }

    /** Leaves IDLE, however far it has come; false at the end of the connection. */
    private suspend fun end(tell: suspend (String) -> Unit): Boolean {
        if (state == State.ASKED && !acknowledged(tell)) return false
        if (state == State.WAITING) {
            connection.writeLine("DONE")
            state = State.DONE
        }
        return state == State.NONE || answered({ it.startsWith(tag) }, tell).also { state = State.NONE }
    }

    private suspend fun acknowledged(tell: suspend (String) -> Unit): Boolean {
        val isAcknowledged = answered({ it.startsWith("+") }, tell)
        state = State.WAITING
        return isAcknowledged
    }

    private val tag: String
        get() = "I$number "

    private fun next(): Deferred<String?> = line ?: scope.async { connection.readLine() }.also { line = it }

    /** Reads to the answer; false at the end of the connection, which is there when none comes in time. */
    private suspend fun answered(isAnswer: (String) -> Boolean, tell: suspend (String) -> Unit): Boolean {
        while (true) {
            val next = next()
            if (withTimeoutOrNull(ANSWER) { next.join() } == null) connection.unanswered(ANSWER)
            line = null
            val read = next.await() ?: return false
            if (isAnswer(read)) return true
            if (read.startsWith(tag)) refused(read)
            tell(read)
        }
    }

    private fun refused(answer: String): Nothing {
        state = State.NONE
        throw IOException("the server refused IDLE: $answer")
    }
}
