package org.mailbearer

import java.util.Collections
import java.util.concurrent.atomic.AtomicInteger
import java.util.concurrent.atomic.AtomicLong
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertIs
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.takeWhile
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.mailbearer.testing.Server
import org.mailbearer.testing.Cut
import org.mailbearer.testing.FaultKind
import org.mailbearer.testing.Stage

/** `sessions`, against the testing server over real TLS: through expiry and reconnect. */
class SessionsTest {
    private val user = "joe@gmail.com"

    private fun tokens(server: Server, lifetime: kotlin.time.Duration? = null) = TokenSource {
        Token(server.issueToken(user, lifetime), lifetime)
    }

    private fun <T> test(block: suspend () -> T) {
        runBlocking { withTimeout(4.minutes) { block() } }
    }

    @Test
    fun `goes on through 20 expiries that the server ends with words`() = test {
        val generations = mutableListOf<ULong>()
        Server(tokenLifetime = 3.seconds).use { server ->
            val source = tokens(server, 3.seconds)
            val policy = SessionPolicy {
                renewal = Renewal.AT_END
                backoffBase = 10.milliseconds
                loginInterval = 1.milliseconds
                backoffMax = 50.milliseconds
            }
            sessions(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP), policy).takeWhile { connection ->
                connection.use {
                    connection.writeLine("A1 SELECT INBOX")
                    while (!assertNotNull(connection.readLine()).startsWith("A1 OK")) continue
                    connection.writeLine("A2 IDLE")
                    while (true) connection.readLine()
                }
                val resumed = connection.resumed
                if (generations.isNotEmpty()) {
                    assertEquals("INBOX", assertIs<Aftermath.Imap>(resumed).selected?.name)
                    assertTrue(resumed.idling)
                } else {
                    assertNull(resumed)
                }
                val verdict = assertNotNull(connection.verdict)
                assertContains(listOf(Cause.TOKEN_EXPIRED, Cause.SESSION_LIMIT), verdict.cause)
                generations += connection.generation
                generations.size < 21
            }.collect {}
            assertEquals(21, server.events().count { it.what == "logged_in" })
        }
        assertEquals((1UL..21UL).toList(), generations)
    }

    @Test
    fun `goes on through 20 expiries ahead of the server, over each protocol`() = test {
        val noop = mapOf(
            MailProtocol.IMAP to ("A1 NOOP" to "A1 OK"),
            MailProtocol.POP3 to ("NOOP" to "+OK"),
            MailProtocol.SMTP to ("NOOP" to "250"),
        )
        coroutineScope {
            for ((protocol, dialogue) in noop) launch {
                Server(tokenLifetime = 4.seconds).use { server ->
                    val source = tokens(server, 4.seconds)
                    val policy = SessionPolicy {
                        tokenLifeLeast = 0.seconds
                        backoffBase = 10.milliseconds
                        loginInterval = 1.milliseconds
                    }
                    sessions(protocol, user, source, server.at(protocol), policy).take(21).collect { connection ->
                        connection.use {
                            connection.writeLine(dialogue.first)
                            assertTrue(assertNotNull(connection.readLine()).startsWith(dialogue.second))
                            connection.wait()
                            assertNotNull(connection.renewBy)
                            assertNull(connection.verdict)
                        }
                    }
                    val events = server.events().map { it.what }
                    assertEquals(21, events.count { it == "logged_in" }, "$protocol")
                    assertEquals(0, events.count { it == "cut" }, "$protocol")
                }
            }
        }
    }

    @Test
    fun `a connection that ends without a word, or that vanishes, is replaced`() = test {
        for (cut in listOf(Cut.SILENT, Cut.VANISH)) {
            Server(tokenLifetime = 2.seconds, cut = cut).use { server ->
                val options = server.at(MailProtocol.IMAP).copy { timeout = 2.seconds }
                val policy = SessionPolicy {
                    renewal = Renewal.AT_END
                    backoffBase = 10.milliseconds
                    loginInterval = 1.milliseconds
                }
                val causes = mutableListOf<Cause>()
                val source = TokenSource { Token(server.issueToken(user)) }
                sessions(MailProtocol.IMAP, user, source, options, policy).take(3).collect { connection ->
                    connection.use {
                        while (true) {
                            connection.writeLine("A1 NOOP")
                            connection.readLine()
                            delay(50)
                        }
                    }
                    causes += assertNotNull(connection.verdict).cause
                }
                assertEquals(3, causes.size)
                if (cut == Cut.VANISH) assertEquals(List(3) { Cause.TIMED_OUT }, causes)
            }
        }
    }

    @Test
    fun `what came before the end is read before the end is thrown`() = test {
        Server().use { server ->
            sessions(MailProtocol.IMAP, user, tokens(server), server.at(MailProtocol.IMAP)).take(1).collect { connection ->
                coroutineScope {
                    val waiting = async { connection.readLine() }
                    delay(100)
                    server.restart()
                    assertContains(assertNotNull(waiting.await()), "BYE")
                }
                connection.wait()
                assertEquals(Cause.SHUTDOWN, assertNotNull(connection.verdict).cause)
                val ended = assertFailsWith<SessionEndedException> { connection.readLine() }
                assertEquals(Cause.SHUTDOWN, ended.verdict.cause)
                assertFailsWith<SessionEndedException> { connection.writeLine("A1 NOOP") }
                assertFailsWith<SessionEndedException> { connection.input.read() }
            }
        }
    }

    @Test
    fun `a large message passes although nobody reads it at first, and the end after it is seen`() = test {
        Server(messages = 0).use { server ->
            val line = "x".repeat(70) + "\r\n"
            server.deliver(user, "Subject: large\r\n\r\n" + line.repeat(30_000))
            sessions(MailProtocol.IMAP, user, tokens(server), server.at(MailProtocol.IMAP)).take(1).collect { connection ->
                connection.writeLine("A1 SELECT INBOX")
                while (!assertNotNull(connection.readLine()).startsWith("A1 OK")) continue
                connection.writeLine("A2 FETCH 1 BODY[]")
                delay(500)
                var lines = 0
                while (true) {
                    val next = assertNotNull(connection.readLine())
                    if (next == line.trim()) lines++
                    if (next.startsWith("A2 OK")) break
                }
                assertEquals(30_000, lines)
                server.restart()
                connection.wait()
                assertEquals(Cause.SHUTDOWN, assertNotNull(connection.verdict).cause)
            }
        }
    }

    @Test
    fun `a program that only looks on cannot end a session`() = test {
        Server().use { server ->
            val seen = Collections.synchronizedList(mutableListOf<SessionEvent>())
            val all = sessions(MailProtocol.IMAP, user, tokens(server), server.at(MailProtocol.IMAP), SessionPolicy()) {
                seen += it
                error("a bug of the program")
            }
            all.first().close()
            while (seen.none { it.kind == EventKind.ENDED }) delay(10)
            val kinds = listOf(EventKind.FETCHING_TOKEN, EventKind.CONNECTING, EventKind.ONLINE, EventKind.ENDED)
            assertEquals(kinds, seen.map { it.kind })
            assertTrue(seen.none { "ya29" in it.toString() })
        }
    }

    @Test
    fun `a refused token is replaced once, and then a person is asked`() = test {
        Server().use { server ->
            val calls = Collections.synchronizedList(mutableListOf<Boolean>())
            var isGood = false
            val source = TokenSource { force ->
                calls += force
                if (isGood) Token(server.issueToken(user)) else Token("ya29.never-issued-${calls.size}")
            }
            val events = Collections.synchronizedList(mutableListOf<EventKind>())
            val policy = SessionPolicy { backoffBase = 10.milliseconds; loginInterval = 1.milliseconds }
            val all = sessions(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP), policy) { events += it.kind }
            val error = assertFailsWith<NeedsUserException> { all.first() }
            assertEquals(Cause.TOKEN_REJECTED, error.failure.cause)
            assertEquals(listOf(false, true), calls)
            assertEquals(Standing.STOPPED, all.status().standing)
            assertContains(events, EventKind.NEEDS_USER)
            isGood = true
            all.retry()
            assertEquals(1UL, all.first().generation)
        }
    }

    @Test
    fun `a source that is down is asked again, and one that needs the user is not`() = test {
        Server().use { server ->
            val calls = AtomicInteger()
            val flaky = TokenSource {
                if (calls.incrementAndGet() < 3) throw java.io.IOException("no network") else Token(server.issueToken(user))
            }
            val policy = SessionPolicy { backoffBase = 10.milliseconds; loginInterval = 1.milliseconds }
            sessions(MailProtocol.IMAP, user, flaky, server.at(MailProtocol.IMAP), policy).first()
            assertEquals(3, calls.get())
            val gone = TokenSource { throw TokenSourceException("invalid_grant", permanent = true) }
            val error = assertFailsWith<NeedsUserException> {
                sessions(MailProtocol.IMAP, user, gone, server.at(MailProtocol.IMAP), policy).first()
            }
            assertEquals(Cause.TOKEN_UNAVAILABLE, error.failure.cause)
            assertEquals("invalid_grant", error.cause?.message)
        }
    }

    @Test
    fun `settings that cannot work give up`() = test {
        Server().use { server ->
            val options = server.at(MailProtocol.IMAP).copy { sslContext = null }
            val error = assertFailsWith<GaveUpException> {
                sessions(MailProtocol.IMAP, user, tokens(server), options).first()
            }
            assertEquals(Cause.TLS_FAILED, error.failure.cause)
            assertContains(assertNotNull(error.message), "certification path")
        }
    }

    @Test
    fun `sleep is noticed by a clock that counts it`() = test {
        Server().use { server ->
            val asleep = AtomicLong()
            val clock = ElapsedClock { System.nanoTime() / 1_000_000 + asleep.get() }
            val account = AccountOptions { this.clock = clock }
            sessions(MailProtocol.IMAP, user, tokens(server), server.at(MailProtocol.IMAP), account).take(2).collect { connection ->
                if (connection.generation == 1UL) {
                    asleep.addAndGet(40.minutes.inWholeMilliseconds)
                    connection.wait()
                    assertNotNull(connection.verdict)
                }
            }
        }
    }

    @Test
    fun `a change of network is no end of a connection that works`() = test {
        Server().use { server ->
            val all = sessions(MailProtocol.IMAP, user, tokens(server), server.at(MailProtocol.IMAP))
            all.take(1).collect { connection ->
                all.networkLost()
                all.networkBack()
                connection.writeLine("A1 NOOP")
                assertContains(assertNotNull(connection.readLine()), "A1 OK")
                assertNull(connection.verdict)
            }
        }
    }

    @Test
    fun `a snapshot carries on in another process`() = test {
        Server().use { server ->
            val source = tokens(server)
            val all = sessions(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP))
            var snapshot = ByteArray(0)
            all.take(1).collect { connection ->
                connection.writeLine("A1 SELECT INBOX")
                while (!assertNotNull(connection.readLine()).startsWith("A1 OK")) continue
                snapshot = all.snapshot()
            }
            val again = sessions(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP), SessionPolicy(), snapshot = snapshot)
            val connection = again.first()
            assertEquals(2UL, connection.generation)
            assertEquals("INBOX", assertIs<Aftermath.Imap>(connection.resumed).selected?.name)
            assertFailsWith<ConfigException> {
                sessions(MailProtocol.IMAP, "other@gmail.com", source, server.at(MailProtocol.IMAP), SessionPolicy(), snapshot = snapshot)
            }
        }
    }

    @Test
    fun `a submission that was cut is told`() = test {
        Server().use { server ->
            val policy = SessionPolicy { backoffBase = 10.milliseconds; loginInterval = 1.milliseconds }
            val all = sessions(MailProtocol.SMTP, user, tokens(server), server.at(MailProtocol.SMTP), policy)
            all.take(2).collect { connection ->
                if (connection.generation == 1UL) {
                    server.setFault(Stage.AFTER_DOT, FaultKind.DROP)
                    connection.use {
                        for (line in listOf("MAIL FROM:<$user>", "RCPT TO:<a@example.org>", "DATA", "hello\r\n.")) {
                            connection.writeLine(line)
                            connection.readLine()
                        }
                    }
                } else {
                    assertEquals(Submission.UNKNOWN, assertIs<Aftermath.Smtp>(connection.resumed).submission)
                }
            }
            assertEquals(1, server.submitted().size)
        }
    }

    @Test
    fun `when the collector is cancelled, all is closed`() = test {
        Server().use { server ->
            coroutineScope {
                val collecting = launch {
                    sessions(MailProtocol.IMAP, user, tokens(server), server.at(MailProtocol.IMAP)).collect { it.wait() }
                }
                while (server.sessions == 0) delay(10)
                collecting.cancelAndJoin()
                while (server.sessions > 0) delay(10)
            }
        }
    }

    @Test
    fun `who leaves in good order logs in once`() = test {
        Server().use { server ->
            sessions(MailProtocol.IMAP, user, tokens(server), server.at(MailProtocol.IMAP)).take(1).collect { connection ->
                connection.use { it.writeLine("A1 NOOP") }
                delay(200)
            }
            while (server.sessions > 0) delay(10)
            assertEquals(1, server.events().count { it.what == "connected" })
        }
    }

    @Test
    fun `a connection that the program closes has met no end`() = test {
        Server().use { server ->
            for (protocol in MailProtocol.entries) {
                sessions(protocol, user, tokens(server), server.at(protocol)).take(5).collect { connection ->
                    connection.use {}
                    // What closes it and what reads from it are threads of their own.
                    connection.awaitGone()
                    delay(20)
                    assertNull(connection.verdict?.takeIf { it.cause != Cause.NO_FAULT }, "$protocol")
                }
            }
        }
    }

    @Test
    fun `two collectors of the same sessions are refused`() = test {
        Server().use { server ->
            val all = sessions(MailProtocol.IMAP, user, tokens(server), server.at(MailProtocol.IMAP))
            all.take(1).collect {
                assertFailsWith<MisuseException> { all.first() }
            }
        }
    }

    @Test
    fun `what the block throws comes out, and the connection is closed`() = test {
        Server().use { server ->
            val all = sessions(MailProtocol.IMAP, user, tokens(server), server.at(MailProtocol.IMAP))
            assertFailsWith<NoSuchElementException> { all.collect { throw NoSuchElementException("mine") } }
            while (server.sessions > 0 || all.status().standing == Standing.GIVEN) delay(10)
            assertEquals(Standing.UNWANTED, all.status().standing)
            assertEquals(2UL, all.first().generation)
        }
    }

    @Test
    fun `mail is seen while waiting in IDLE, on many accounts at a time`() = test {
        Server().use { server ->
            coroutineScope {
                val found = List(10) { number ->
                    val who = "user$number@gmail.com"
                    async {
                        val source = TokenSource { Token(server.issueToken(who)) }
                        val connection = sessions(MailProtocol.IMAP, who, source, server.at(MailProtocol.IMAP))
                        var line = ""
                        connection.take(1).collect {
                            it.writeLine("A1 SELECT INBOX")
                            while (!assertNotNull(it.readLine()).startsWith("A1 OK")) continue
                            it.writeLine("A2 IDLE")
                            assertTrue(assertNotNull(it.readLine()).startsWith("+"))
                            server.deliver(who, "Subject: hello\r\n\r\nworld\r\n")
                            line = assertNotNull(it.readLine())
                        }
                        line
                    }
                }
                for (one in found) assertContains(one.await(), "EXISTS")
            }
        }
    }
}

