package org.mailbearer.sample

import java.io.EOFException
import java.nio.charset.Charset
import kotlin.io.encoding.Base64
import org.mailbearer.Connection

/** Who wrote a message, and about what. */
data class Headline(val uid: UInt, val sender: String, val subject: String)

/**
 * Fetches the headlines of messages in the mailbox that is selected, by ascending UID. Nothing is marked as read, and a message that is
 * gone by now has none.
 */
suspend fun headlines(uids: List<UInt>, connection: Connection): List<Headline> =
    uids.chunked(AT_ONCE).flatMap { some -> fetch(some, connection) }.sortedBy { it.uid }

private suspend fun fetch(uids: List<UInt>, connection: Connection): List<Headline> {
    connection.writeLine("$TAG UID FETCH ${uids.joinToString(",")} (UID BODY.PEEK[HEADER.FIELDS (FROM SUBJECT)])")
    val found = mutableListOf<Headline>()
    while (true) {
        val response = read(connection)
        if (response.text.startsWith("$TAG ")) return found
        headlineOf(response)?.let(found::add)
    }
}

/** A response of IMAP: its line, and the octets of the literals in it (RFC 9051 section 4.3). */
private class Response(val text: String, val literals: List<String>)

private suspend fun read(connection: Connection): Response {
    val literals = mutableListOf<String>()
    var text = line(connection)
    while (true) {
        val octets = LITERAL.find(text)?.groupValues?.get(1)?.toInt() ?: return Response(text, literals)
        literals += octets(octets, connection).decodeToString()
        text = text.replace(LITERAL, "") + line(connection)
    }
}

private suspend fun line(connection: Connection): String = connection.readLine() ?: throw EOFException("the server closed the connection")

private suspend fun octets(count: Int, connection: Connection): ByteArray {
    val all = ByteArray(count)
    var at = 0
    while (at < count) {
        val more = connection.read(all, at)
        if (more < 0) throw EOFException("the server closed the connection")
        at += more
    }
    return all
}

/** `null`: it is another response, or one that came by itself, as `FETCH (FLAGS …)`. */
private fun headlineOf(response: Response): Headline? {
    val uid = UID.find(response.text)?.groupValues?.get(1)?.toUInt() ?: return null
    val header = response.literals.firstOrNull() ?: return null
    return Headline(uid, senderOf(field("From", header)), decoded(field("Subject", header)).ifEmpty { "(no subject)" })
}

private fun field(name: String, header: String): String {
    // A line that begins with a space goes on with the one before (RFC 5322 section 2.2.3).
    val lines = header.replace(Regex("\r?\n(?=[ \t])"), "").lines()
    return lines.firstOrNull { it.startsWith("$name:", ignoreCase = true) }?.substringAfter(':')?.trim().orEmpty()
}

/** The name in `From`, or the address where there is none. */
fun senderOf(from: String): String {
    val name = from.substringBefore('<').trim().removeSurrounding("\"").replace(Regex("""\\(.)"""), "$1")
    return decoded(name).ifEmpty { from.substringAfter('<').substringBefore('>').trim() }
}

/** Words of a header that are not ASCII (RFC 2047). What cannot be read stays as it came. */
fun decoded(text: String): String =
    // Space between two encoded words is none (section 6.2).
    text.replace(Regex("""(?<=\?=)\s+(?==\?)"""), "").replace(ENCODED_WORD) { word ->
        val (charset, encoding, content) = word.destructured
        runCatching {
            val octets = if (encoding.equals("B", ignoreCase = true)) Base64.decode(content) else quoted(content)
            String(octets, Charset.forName(charset))
        }.getOrDefault(word.value)
    }

/** The encoding `Q` (section 4.2). */
private fun quoted(content: String): ByteArray {
    val octets = Regex("=([0-9A-Fa-f]{2})").replace(content.replace('_', ' ')) { it.groupValues[1].toInt(radix = 16).toChar().toString() }
    return octets.toByteArray(Charsets.ISO_8859_1)
}

private const val TAG = "H1"
private const val AT_ONCE = 100
private val LITERAL = Regex("""\{(\d+)\}$""")
private val UID = Regex("""[( ]UID (\d+)""")
private val ENCODED_WORD = Regex("""=\?([^?*]+)(?:\*[^?]*)?\?([BbQq])\?([^?]*)\?=""")
