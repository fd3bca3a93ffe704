package org.mailbearer

import java.net.Socket
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.hours
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.parallel.Isolated
import org.mailbearer.testing.FaultKind
import org.mailbearer.testing.RecipientRefusal
import org.mailbearer.testing.Server
import org.mailbearer.testing.Stage

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

    @Test
    fun `its tokens are nobody else's, unless they have one seed, and what is delivered ends its lines in CRLF`() {
        val tokens = listOf(null, null, 5L, 5L).map { seed -> Server(seed = seed).use { it.issueToken("joe@gmail.com") } }
        assertEquals(3, tokens.toSet().size)
        assertEquals(tokens[2], tokens[3])
        Server(messages = 0).use { server ->
            server.deliver("joe@gmail.com", "Subject: hello\n\nHello!\n")
            assertEquals(listOf("Subject: hello\r\n\r\nHello!\r\n"), server.messages("joe@gmail.com"))
        }
    }

    @Test
    fun `it has accounts, mailboxes and recipients that it refuses`() {
        Server().use { server ->
            val user = "joe@gmail.com"
            server.addUser(user)
            server.createMailbox(user, "Bills")
            server.deliver(user, "Subject: rent\r\n\r\n", mailbox = "Bills", flags = listOf("\\Seen"))
            assertEquals(listOf(user), server.users())
            assertEquals(listOf("\\Seen"), server.messagesIn(user, "Bills").single().flags)
            server.deleteMailbox(user, "Bills")
            assertEquals(false, "Bills" in server.mailboxes(user))
            server.refuseRecipient("ann@example.org", RecipientRefusal.UNKNOWN)
            val (refused, taken) = runBlocking {
                val source = TokenSource { Token(server.issueToken(user)) }
                connect(MailProtocol.SMTP, user, source, server.at(MailProtocol.SMTP)).use { connection ->
                    suspend fun answer(command: String): String {
                        connection.writeLine(command)
                        // The last line of a reply has a space behind its code.
                        return generateSequence { runBlocking { connection.readLine() } }.first { it[3] == ' ' }
                    }
                    answer("MAIL FROM:<$user>")
                    listOf("ann@example.org", "bob@example.org").map { answer("RCPT TO:<$it>") }
                }
            }
            assertEquals('5' to '2', refused.first() to taken.first(), "$refused, $taken")
        }
    }

    @Test
    fun `what cannot be carried out is an illegal argument`() {
        val words = "gmail has no words for token_expired"
        assertContains(assertFailsWith<IllegalArgumentException> { Server(refuse = Cause.TOKEN_EXPIRED) }.message.orEmpty(), words)
        Server().use { server ->
            assertContains(assertFailsWith<IllegalArgumentException> { server.refuse(Cause.TOKEN_EXPIRED) }.message.orEmpty(), words)
            server.addUser("joe@gmail.com")
            assertFailsWith<IllegalArgumentException> { server.deleteMailbox("joe@gmail.com", "None") }
        }
    }

    @Test
    fun `a message has the date that it is given, or now`() {
        Server(messages = 0).use { server ->
            val before = System.currentTimeMillis()
            server.deliver("joe@gmail.com", "Subject: old\r\n\r\n", dateMs = 86_400_000)
            server.deliver("joe@gmail.com", "Subject: new\r\n\r\n")
            val (old, new) = server.messagesIn("joe@gmail.com", "INBOX").map { it.dateMs }
            assertEquals(86_400_000, old)
            // The server's dates are whole seconds, as IMAP's.
            assertTrue(new in before - 2_000..System.currentTimeMillis() + 1_000, "$new")
        }
    }

    @Test
    fun `a fault that is taken back does not strike`() = runBlocking {
        Server().use { server ->
            server.setFault(Stage.GREETING, FaultKind.DROP)
            server.clearFault()
            connect(MailProtocol.IMAP, "joe@gmail.com", { Token(server.issueToken("joe@gmail.com")) }, server.at(MailProtocol.IMAP)).close()
        }
    }

    @Test
    fun `recipients are greylisted and messages limited`() = runBlocking {
        Server(greylist = 1.hours, messageOctetsMax = 100).use { server ->
            val user = "joe@gmail.com"
            connect(MailProtocol.SMTP, user, { Token(server.issueToken(user)) }, server.at(MailProtocol.SMTP)).use { connection ->
                suspend fun answer(command: String): String {
                    connection.writeLine(command)
                    while (true) {
                        val line = connection.readLine() ?: error("the end")
                        if (line[3] == ' ') return line
                    }
                }
                assertEquals("552", answer("MAIL FROM:<$user> SIZE=101").take(3))
                answer("MAIL FROM:<$user>")
                assertEquals('4', answer("RCPT TO:<eve@example.org>").first())
            }
        }
    }

    @Test
    fun `a server that writes to a client that does not read is closed`() {
        val before = threads()
        val server = Server(messages = 1)
        val user = "joe@gmail.com"
        server.deliver(user, "Subject: large\r\n\r\n" + "x".repeat(80).plus("\r\n").repeat(200_000))
        runBlocking {
            val connection = connect(MailProtocol.IMAP, user, { Token(server.issueToken(user)) }, server.at(MailProtocol.IMAP))
            connection.writeLine("A1 SELECT INBOX")
            // Nobody reads: the streams of both sides fill up.
            connection.writeLine("A2 FETCH 1:* BODY[]")
            delay(300)
            server.close()
            connection.close()
        }
        repeat(500) { if (threads() > before) Thread.sleep(10) }
        // Of a server before, threads may have ended meanwhile.
        assertTrue(threads() <= before)
    }
}
