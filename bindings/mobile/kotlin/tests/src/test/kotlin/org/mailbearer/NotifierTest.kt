package org.mailbearer

import java.io.File
import java.nio.file.Files
import java.util.concurrent.TimeUnit
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertTrue
import org.mailbearer.testing.Server

/** The sample program, as a process of its own: it survives expiry. */
class NotifierTest {
    private val user = "joe@gmail.com"

    @Test
    fun `the notifier sees mail before and after its session has ended`() {
        Server().use { server ->
            val tokens = File.createTempFile("token", null)
            val notifier = start(server, tokens)
            try {
                val lines = notifier.inputReader().lineSequence().iterator()
                assertEquals("3 messages in INBOX", lines.next())
                server.deliver(user, "Subject: one\r\n\r\nhello\r\n")
                assertEquals("4 messages in INBOX", lines.next())
                // The server ends the session; the next one says again what is there.
                tokens.writeText(server.issueToken(user))
                server.restart()
                assertEquals("4 messages in INBOX", lines.next())
                server.deliver(user, "Subject: two\r\n\r\nhello\r\n")
                assertEquals("5 messages in INBOX", lines.next())
            } finally {
                notifier.destroy()
            }
        }
    }

    @Test
    fun `the notifier says what a person must do`() {
        Server().use { server ->
            server.refuse(Cause.PROTOCOL_DISABLED)
            val tokens = File.createTempFile("token", null)
            val notifier = start(server, tokens)
            assertTrue(notifier.waitFor(1, TimeUnit.MINUTES))
            assertEquals(1, notifier.exitValue())
            assertContains(notifier.errorReader().readText(), "Switch the protocol on")
        }
    }

    private fun start(server: Server, tokens: File): Process {
        tokens.deleteOnExit()
        tokens.writeText(server.issueToken(user))
        val authority = Files.createTempFile("ca", ".pem").toFile().apply { deleteOnExit() }
        authority.writeBytes(checkNotNull(Server::class.java.getResourceAsStream("ca.pem")).use { it.readBytes() })
        val java = File(System.getProperty("java.home")).resolve("bin/java").path
        val program = listOf(java, "-cp", System.getProperty("java.class.path"), "org.mailbearer.notifier.NotifierKt")
        val port = "${server.port(MailProtocol.IMAP)}"
        return ProcessBuilder(program + listOf(user, "cat ${tokens.path}", "localhost", port, authority.path)).start()
    }
}
