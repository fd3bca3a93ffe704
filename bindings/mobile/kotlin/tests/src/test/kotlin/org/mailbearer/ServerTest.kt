package org.mailbearer

import java.net.Socket
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.parallel.Isolated
import org.mailbearer.testing.Server

/** The testing server itself. */
@Isolated("it counts threads")
class ServerTest {
    private fun threads() = Thread.getAllStackTraces().keys.count { it.name.startsWith("mailbearer-testing-") }

    @Test
    fun `a server that is closed leaves no thread and no socket, also of a handshake`() = runBlocking {
        val before = threads()
        val inHandshake = mutableListOf<Socket>()
        Server().use { server ->
            val user = "joe@gmail.com"
            val source = TokenSource { Token(server.issueToken(user)) }
            sessions(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP)).take(3).collect { it.close() }
            repeat(5) { inHandshake += Socket("127.0.0.1", server.port(MailProtocol.IMAP)) }
            // Each has a thread by now, and three that listen for each protocol.
            while (threads() < before + 5 + 7) delay(5)
        }
        for (socket in inHandshake) {
            socket.soTimeout = 5_000
            // The end, or a reset.
            val octet = runCatching { socket.getInputStream().read() }
            assertEquals(-1, octet.getOrElse { if (it is java.net.SocketTimeoutException) throw it else -1 })
            socket.close()
        }
        repeat(500) { if (threads() > before) delay(10) }
        assertEquals(before, threads())
    }
}
