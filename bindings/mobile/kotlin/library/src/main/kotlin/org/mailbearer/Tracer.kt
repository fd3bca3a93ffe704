package org.mailbearer

import java.nio.ByteBuffer
import org.mailbearer.machine.AccessToken
import org.mailbearer.machine.Transcript

/** Shows the dialogue of one login to the program, line by line. */
internal class Tracer(token: AccessToken, private val show: (TraceLine) -> Unit) {
    private val transcript = Transcript(token)

    fun sent(bytes: ByteArray, sensitive: Boolean) = tell(transcript.sent(bytes, sensitive))

    fun received(bytes: ByteBuffer) = tell(transcript.received(bytes))

    /** Shows lines that have no end yet. */
    fun flush() = tell(transcript.flush())

    /** What only looks on must not end the login. */
    private fun tell(lines: List<TraceLine>) = lines.forEach { line -> runCatching { show(line) } }
}
