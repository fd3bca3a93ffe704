package org.mailbearer

import java.util.concurrent.atomic.AtomicInteger
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertIs
import kotlin.time.Duration.Companion.minutes
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.mailbearer.sample.Finding
import org.mailbearer.sample.Headline
import org.mailbearer.sample.MailPass
import org.mailbearer.sample.Notice
import org.mailbearer.sample.Outcome
import org.mailbearer.sample.Store
import org.mailbearer.sample.decoded
import org.mailbearer.sample.diagnose
import org.mailbearer.sample.headlines
import org.mailbearer.sample.senderOf
import org.mailbearer.testing.Server

/** The sample's passes, as WorkManager runs them: each one as in a process of its own. */
class PassTest {
    private val user = "joe@gmail.com"
    private val asked = AtomicInteger()
    private val told = mutableListOf<UInt>()

    private class InMemory : Store {
        override var snapshot: ByteArray? = null
        override var cursor: String? = null
    }

    private val store = InMemory()

    private fun test(block: suspend CoroutineScope.(Server) -> Unit) = runBlocking {
        Server(messages = 2).use { server -> withTimeout(2.minutes) { block(server) } }
    }

    private fun tokens(server: Server) = TokenSource {
        asked.incrementAndGet()
        Token(server.issueToken(user))
    }

    private suspend fun pass(server: Server, retry: Boolean = false): Outcome =
        MailPass(user, tokens(server), store, server.at(MailProtocol.IMAP)).run(retry) { new -> told += new.map { it.uid } }

    private fun logins(server: Server): Int = server.events().count { it.what == "logged_in" || it.what == "refused" }

    @Test
    fun `each pass tells what came since the one before, once`() = test { server ->
        assertEquals(Outcome.UpToDate(0), pass(server))
        assertEquals(Outcome.UpToDate(0), pass(server))
        repeat(2) { server.deliver(user, "Subject: $it\r\n\r\n") }
        assertEquals(Outcome.UpToDate(2), pass(server))
        assertEquals(Outcome.UpToDate(0), pass(server))
        assertEquals(listOf(3U, 4U), told)
        // The server learns of it a moment later.
        repeat(500) { if (server.sessions > 0) Thread.sleep(10) }
        assertEquals(0, server.sessions)
    }

    @Test
    fun `what comes during the pass is of this pass`() = test { server ->
        pass(server)
        server.deliver(user, "Subject: one\r\n\r\n")
        val outcome = MailPass(user, tokens(server), store, server.at(MailProtocol.IMAP)).run { new ->
            told += new.map { it.uid }
            if (told.size == 1) server.deliver(user, "Subject: two\r\n\r\n")
        }
        assertEquals(Outcome.UpToDate(2), outcome)
        assertEquals(listOf(3U, 4U), told)
    }

    @Test
    fun `a message is told with its sender and its subject`() = test { server ->
        pass(server)
        val letters = listOf(
            "From: Eve <eve@example.org>\r\nSubject: Lunch\r\n on Friday\r\n\r\nUID 99 {5}\r\n",
            "Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe_an?=\r\n =?UTF-8?B?IEFkYQ==?=\r\nFrom: \"Ada \\\"A\\\" L.\" <ada@example.org>\r\n\r\n",
            "From: bob@example.org\r\n\r\n",
        )
        letters.forEach { server.deliver(user, it) }
        val new = mutableListOf<Headline>()
        MailPass(user, tokens(server), store, server.at(MailProtocol.IMAP)).run { new += it }
        val expected = listOf(
            Headline(3U, "Eve", "Lunch on Friday"),
            Headline(4U, "Ada \"A\" L.", "Grüße an Ada"),
            Headline(5U, "bob@example.org", "(no subject)"),
        )
        assertEquals(expected, new)
        assertEquals(emptyList(), server.messagesIn(user, "INBOX").filter { "\\Seen" in it.flags && it.uid > 2U })
    }

    @Test
    fun `a message that is gone has no headline`() = test { server ->
        sessions(MailProtocol.IMAP, user, tokens(server), server.at(MailProtocol.IMAP)).first().use { connection ->
            connection.newMessages(waits = false).toList()
            assertEquals(listOf(1U, 2U), headlines(listOf(2U, 77U, 1U), connection).map { it.uid })
        }
    }

    @Test
    fun `what cannot be decoded in a header stays as it came`() {
        for (text in listOf("=?none?Q?a?=", "=?utf-8?B?*?=", "=?utf-8?Q?a", "plain =3D", "")) assertEquals(text, decoded(text))
        assertEquals("é a_b", decoded("=?ISO-8859-1*fr?q?=E9_a=5Fb?="))
        assertEquals("Ünal", senderOf("=?UTF-8?Q?=C3=9Cnal?= <u@example.org>"))
    }

    @Test
    fun `a stop is honoured by every pass after it, without a login or a token`() = test { server ->
        server.refuse(Cause.ACCOUNT_DISABLED)
        val stop = assertIs<Outcome.NeedsUser>(pass(server))
        server.refuse(null)
        logins(server)
        asked.set(0)
        repeat(3) { assertIs<Outcome.NeedsUser>(pass(server)) }
        assertEquals(0, logins(server))
        assertEquals(0, asked.get())
        assertEquals(Notice(Notice.Kind.NEEDS_USER, stop.sentence), Notice.of(stop))
        assertEquals(Outcome.UpToDate(0), pass(server, retry = true))
    }

    @Test
    fun `the diagnosis says of each protocol how it is`() = test { server ->
        val steps = mutableListOf<List<Finding>>()
        server.refuse(Cause.PROTOCOL_DISABLED)
        diagnose(user, tokens(server), server::at) { steps += it }
        assertEquals(listOf(Finding.State.RUNNING), steps.first().map { it.state }.distinct())
        val imap = steps.last().first()
        assertEquals(Finding.State.BAD, imap.state)
        assertContains(imap.text, "IMAP")
        server.refuse(null)
        diagnose(user, tokens(server), server::at) { steps += it }
        assertEquals(listOf(Finding.State.GOOD), steps.last().map { it.state }.distinct(), "${steps.last()}")
    }

    @Test
    fun `a flow that does not wait completes`() = test { server ->
        sessions(MailProtocol.IMAP, user, tokens(server), server.at(MailProtocol.IMAP)).first().use { connection ->
            val first = connection.newMessages(waits = false).toList().single()
            assertEquals(emptyList(), first.uids)
            assertEquals(emptyList(), connection.newMessages(since = first.cursor, waits = false).toList())
            // And waits again where it is to wait.
            server.deliver(user, "Subject: one\r\n\r\n")
            assertEquals(listOf(3U), connection.newMessages(since = first.cursor).first().uids)
        }
    }
}
