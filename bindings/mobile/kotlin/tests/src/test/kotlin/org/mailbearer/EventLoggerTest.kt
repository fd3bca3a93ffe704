package org.mailbearer

import java.util.Base64
import java.util.concurrent.ConcurrentLinkedQueue
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.mailbearer.testing.Server
import org.mailbearer.testing.trusting
import org.slf4j.LoggerFactory
import org.slf4j.event.Level

/** What a log is told. */
class EventLoggerTest {
    private val user = "joe@gmail.com"
    private val lines = ConcurrentLinkedQueue<Pair<EventLevel, String>>()
    private val logged = AccountOptions {
        logger = EventLogger { level, line -> lines += level to line }
        policy = SessionPolicy { first = 300.milliseconds; backoffBase = 10.milliseconds; loginInterval = 1.milliseconds }
    }

    private fun test(block: suspend CoroutineScope.() -> Unit) = runBlocking { withTimeout(1.minutes) { block() } }

    @Test
    fun `logins, ends and what a person must mend have their levels`() = test {
        Server().use { server ->
            var isGone = false
            val source = TokenSource {
                if (isGone) throw TokenSourceException("invalid_grant: it was revoked", permanent = true)
                Token(server.issueToken(user))
            }
            val all = sessions(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP), logged)
            all.take(2).collect { it.use {} }
            isGone = true
            Account(user, source, logged).use { account ->
                assertFailsWith<NeedsUserException> { account.sessions(MailProtocol.IMAP, server.at(MailProtocol.IMAP)).first() }
            }
            assertEquals(2, lines.count { (level, line) -> level == EventLevel.INFO && line.startsWith("imap online") })
            val stops = lines.filter { it.first == EventLevel.ERROR }.map { it.second }
            assertTrue(stops.any { "needs_user" in it && "invalid_grant: it was revoked" in it }, "$stops")
            assertTrue(lines.none { user in it.second }, "$lines")
        }
    }

    @Test
    fun `an event says of itself what is known`() = test {
        val events = mutableListOf<SessionEvent>()
        Server().use { server ->
            val source = TokenSource { Token(server.issueToken(user)) }
            val told = AccountOptions { onEvent = { events += it } }
            sessions(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP), told).first().use {}
        }
        assertEquals("SessionEvent(kind=FETCHING_TOKEN, user=$user)", "${events.first()}")
        assertContains(events.map { "$it" }, "SessionEvent(kind=ONLINE, protocol=IMAP, user=$user, session=1, ticket=1, generation=1)")
    }

    @Test
    fun `no line has a token, whoever repeats it`() = test {
        val token = "ya29.a-token-that-nobody-may-read-0123456789"
        val coded = Base64.getEncoder().encodeToString("user=$user\u0001auth=Bearer $token\u0001\u0001".encodeToByteArray())
        val shield = ExampleShield("dns:localhost")
        val refuses = speaking(
            "* OK ready",
            "CAPABILITY" to "* CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR\r\nTAG OK done",
            "AUTHENTICATE" to "TAG NO [AUTHENTICATIONFAILED] no login for $token or $coded",
        )
        Peer(inTls(shield.server, refuses)).use { peer ->
            val options = LoginOptions { host = "localhost"; port = peer.port; sslContext = trusting(shield.authority) }
            runCatching { sessions(MailProtocol.IMAP, user, { Token(token) }, options, logged).first() }
            val throwing = TokenSource { throw java.io.IOException("POST with access_token=$token failed") }
            runCatching { sessions(MailProtocol.IMAP, user, throwing, options, logged).first() }
        }
        assertTrue(lines.any { it.first == EventLevel.WARN && "login_failed" in it.second }, "$lines")
        assertTrue(lines.any { it.first == EventLevel.WARN && "token_failed" in it.second }, "$lines")
        for ((_, line) in lines) for (secret in listOf(token, token.take(20), coded.take(60))) assertTrue(secret !in line, line)
    }

    @Test
    fun `what the program's own functions throw is told by its class, and a log that throws ends nothing`() = test {
        Server().use { server ->
            val source = TokenSource { Token(server.issueToken(user)) }
            val options = logged.copy { onEvent = { throw IllegalStateException("a secret of the program") } }
            sessions(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP), options).first().close()
            assertContains(lines.map { it.second }, "onEvent threw java.lang.IllegalStateException")
            assertTrue(lines.none { "secret" in it.second })
            val broken = logged.copy { logger = EventLogger { _, _ -> error("the disk is full") } }
            sessions(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP), broken).first().close()
        }
    }

    @Test
    fun `the levels are those of SLF4J`() {
        // As the page has it.
        val slf4j = LoggerFactory.getLogger("mailbearer")
        val logger = EventLogger { level, line -> slf4j.atLevel(Level.valueOf(level.name)).log(line) }
        for (level in EventLevel.entries) logger.log(level, "a line")
    }
}
