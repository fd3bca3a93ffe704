package org.mailbearer

import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertIs
import kotlin.test.assertNotEquals
import kotlin.test.assertNotNull
import kotlin.test.assertTrue
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.mailbearer.angus.connectStore
import org.mailbearer.angus.connectTransport
import org.mailbearer.machine.Watch
import org.mailbearer.machine.redactSource
import org.mailbearer.testing.FaultKind
import org.mailbearer.testing.Server
import org.mailbearer.testing.Stage

/** Token sources that hang, throw, or give nonsense, and those who wait for them. */
class TokensTest {
    private val user = "joe@gmail.com"

    private fun test(block: suspend CoroutineScope.(Server) -> Unit) = runBlocking {
        Server().use { server -> withTimeout(2.minutes) { block(server) } }
    }

    private suspend fun logIn(server: Server, source: TokenSource, timeout: Duration = 60.seconds) =
        connect(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP).copy { this.timeout = timeout })

    /** Hangs in its first call: in a coroutine, or with its thread. */
    private inner class HangsOnce(private val server: Server, private val blocks: Boolean) : TokenSource {
        val calls = AtomicInteger()
        val goOn = CountDownLatch(1)
        @Volatile var isCancelled = false

        override suspend fun token(forceRefresh: Boolean): Token {
            if (calls.incrementAndGet() == 1) {
                if (blocks) goOn.await(1, TimeUnit.MINUTES) else hang()
            }
            return Token(server.issueToken(user))
        }

        private suspend fun hang() {
            try {
                awaitCancellation()
            } finally {
                isCancelled = true
            }
        }
    }

    @Test
    fun `a source that hangs ends a login in its time`() = test { server ->
        for (blocks in listOf(false, true)) {
            val source = HangsOnce(server, blocks)
            // On a busy machine the source may not be asked in that time.
            while (source.calls.get() == 0) {
                val error = assertFailsWith<TokenSourceException> { logIn(server, source, 100.milliseconds) }
                assertContains(assertNotNull(error.message), "in time")
            }
            logIn(server, source).close()
            source.goOn.countDown()
        }
    }

    @Test
    fun `a source that hangs once holds nobody up, also where somebody waits for it at every moment`() = test { server ->
        for (blocks in listOf(false, true)) {
            val source = HangsOnce(server, blocks)
            val waitsOn = async { logIn(server, source) }
            while (source.calls.get() == 0) delay(5)
            assertFailsWith<TokenSourceException> { logIn(server, source, 100.milliseconds) }
            assertEquals(1, source.calls.get(), "they were joined")
            logIn(server, source).close()
            assertEquals(2, source.calls.get())
            assertFalse(source.isCancelled)
            waitsOn.cancelAndJoin()
            if (!blocks) while (!source.isCancelled) delay(5)
            source.goOn.countDown()
        }
    }

    @Test
    fun `sessions give up a source that blocks, and ask it again`() = test { server ->
        val source = HangsOnce(server, blocks = true)
        val policy = SessionPolicy {
            tokenTimeout = 500.milliseconds
            backoffBase = 10.milliseconds
            loginInterval = 1.milliseconds
        }
        sessions(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP), policy).take(1).collect { it.close() }
        assertTrue(source.calls.get() >= 2)
        source.goOn.countDown()
    }

    @Test
    fun `sources that block for ever leave room for the others`() = test { server ->
        val goOn = CountDownLatch(1)
        repeat(Runtime.getRuntime().availableProcessors() + 2) {
            assertFailsWith<TokenSourceException> {
                logIn(server, { goOn.await(1, TimeUnit.MINUTES).let { Token("late") } }, 50.milliseconds)
            }
        }
        logIn(server, { Token(server.issueToken(user)) }).close()
        goOn.countDown()
    }

    @Test
    fun `whoever is cancelled takes the token from nobody else`() = test { server ->
        val token = CompletableDeferred<String>()
        val calls = AtomicInteger()
        val source = TokenSource {
            calls.incrementAndGet()
            Token(token.await())
        }
        val logins = List(3) { async { logIn(server, source) } }
        while (calls.get() == 0) delay(5)
        delay(50)
        logins[0].cancelAndJoin()
        logins[2].cancelAndJoin()
        token.complete(server.issueToken(user))
        logins[1].await().close()
        assertEquals(1, calls.get())
    }

    @Test
    fun `what a source throws is in the sentence, and kept as the cause`() = test { server ->
        val outage = IllegalStateException("token endpoint: 503 Service Unavailable\r\nretry later")
        val failing = listOf<Triple<Boolean, Throwable, String>>(
            Triple(false, outage, "IllegalStateException: token endpoint: 503 Service Unavailable retry later"),
            Triple(false, CancellationException("too slow"), "too slow"),
            Triple(false, IllegalStateException(), "IllegalStateException"),
            Triple(true, TokenSourceException("invalid_grant: Token has been revoked", permanent = true), "invalid_grant: Token has"),
        )
        for ((permanent, thrown, words) in failing) {
            val error = assertFailsWith<TokenSourceException> { logIn(server, { throw thrown }) }
            assertEquals(permanent, error.permanent)
            assertContains(assertNotNull(error.message), words)
            // Coroutines copy exceptions that pass from one to another.
            assertTrue(generateSequence<Throwable>(error) { it.cause }.any { it.message == thrown.message }, error.stackTraceToString())
        }
    }

    @Test
    fun `what is no token is said to be so, without it`() = test { server ->
        for (value in listOf("", "two CANARY")) {
            val error = assertFailsWith<TokenSourceException> { logIn(server, { Token(value) }) }
            assertTrue(error.permanent)
            assertFalse("CANARY" in error.stackTraceToString())
        }
    }

    @Test
    fun `what a source throws is shown without secrets`() = test { server ->
        val given = server.issueToken(user)
        val secret = "1//0gCANARY-CANARY"
        val words = listOf(
            "refused: $given", "no answer to {\"refresh_token\": \"$secret\", \"scope\": \"mail\"}",
            "POST grant_type=refresh_token&refresh_token=$secret&client_secret=$secret", "Authorization: Bearer $secret",
        )
        val challenge = IllegalStateException("401 Bearer error=\"invalid_token\"")
        val told = assertFailsWith<TokenSourceException> { logIn(server, { throw challenge }) }
        assertContains(told.message!!, "Bearer error=\"invalid_token\"")
        for (one in words) {
            var calls = 0
            val source = TokenSource { if (calls++ == 0) Token(given) else throw IllegalStateException(one) }
            logIn(server, source).close()
            val message = assertNotNull(assertFailsWith<TokenSourceException> { logIn(server, source) }.message)
            assertTrue("<token>" in message || "<secret>" in message, message)
            assertFalse("CANARY" in message, message)
            assertFalse(given.take(12) in message, message)
        }
    }

    @Test
    fun `what is no secret in a source's words is shown, and in one line`() {
        val plain = "POST https://oauth2.googleapis.com/token: 400 invalid_grant (AADSTS700082)"
        assertEquals(plain, redactSource(plain))
        assertEquals("two lines [2J", redactSource("two\r\nlines \u202e\u001b[2J"))
        assertEquals("<secret> is not good", redactSource("ya29.a0AfH6SMBx3dEfGhIjKlMn is not good"))
        assertEquals("https://a.test/back?code=<secret>", redactSource("https://a.test/back?code=Zq7"))
        assertEquals(512, redactSource("word ".repeat(9_999)).length)
    }

    @Test
    fun `sessions show the source's own words when a person must act`() = test { server ->
        val source = TokenSource { throw TokenSourceException("invalid_grant: Token has been expired or revoked", permanent = true) }
        val all = sessions(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP))
        val stop = assertFailsWith<NeedsUserException> { all.collect {} }
        assertEquals(Cause.TOKEN_UNAVAILABLE, stop.failure.cause)
        assertContains(assertNotNull(stop.message), "invalid_grant: Token has been expired or revoked")
        assertIs<TokenSourceException>(stop.cause)
    }

    @Test
    fun `a fixed text that is refused says to give a function`() = test { server ->
        val expired = fixedToken(server.issueToken(user, lifetime = Duration.ZERO))
        val (imap, smtp) = server.at(MailProtocol.IMAP) to server.at(MailProtocol.SMTP)
        val errors = listOf(
            assertFailsWith<LoginFailedException> { connect(MailProtocol.IMAP, user, expired, imap) },
            assertFailsWith<LoginFailedException> { connectStore(MailProtocol.IMAP, user, expired, imap) },
            assertFailsWith<LoginFailedException> { connectTransport(user, expired, smtp) },
            assertFailsWith<NeedsUserException> { sessions(MailProtocol.IMAP, user, expired, imap).collect {} },
        )
        for (error in errors) {
            assertContains(assertNotNull(error.message), "give a function")
            assertEquals(error.message, error.failure.sentence)
        }
        // With a function, there is nothing of that to be said.
        val stale = TokenSource { Token("ya29.stale-token-of-yesterday") }
        val other = assertFailsWith<LoginFailedException> { connect(MailProtocol.IMAP, user, stale, imap) }
        assertFalse("give a function" in other.message!!)
    }

    @Test
    fun `how long a token lives may be anything`() = test { server ->
        suspend fun stay(lifetime: Duration) {
            val source = TokenSource { Token(server.issueToken(user), lifetime) }
            val policy = SessionPolicy {
                backoffBase = 10.milliseconds
                loginInterval = 1.milliseconds
                backoffMax = 10.milliseconds
            }
            sessions(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP), policy).take(1).collect { it.close() }
        }
        stay(Duration.INFINITE)
        for (over in listOf(-Duration.INFINITE, (-1).seconds, Duration.ZERO)) {
            assertEquals(Cause.TOKEN_EXPIRED, assertFailsWith<NeedsUserException> { stay(over) }.failure.cause)
        }
    }

    @Test
    fun `deletions that QUIT did not commit are told`() = test { server ->
        val source = TokenSource { Token(server.issueToken(user)) }
        val policy = SessionPolicy { backoffBase = 10.milliseconds; loginInterval = 1.milliseconds }
        sessions(MailProtocol.POP3, user, source, server.at(MailProtocol.POP3), policy).take(2).collect { connection ->
            if (connection.generation == 1UL) {
                connection.use {
                    connection.writeLine("DELE 1")
                    assertTrue(assertNotNull(connection.readLine()).startsWith("+OK"))
                    server.setFault(Stage.COMMAND, FaultKind.DROP)
                    connection.writeLine("QUIT")
                    connection.readLine()
                }
                assertEquals(Cause.CONNECTION_LOST, assertNotNull(connection.verdict).cause)
            } else {
                assertEquals(listOf(1u), assertIs<Aftermath.Pop3>(connection.resumed).uncommittedDeletes)
            }
        }
        // RFC 1939 section 6: the server may answer QUIT with -ERR, where some were not removed.
        val watch = Watch(MailProtocol.POP3)
        watch.sent(direct("DELE 2\r\nQUIT\r\n".encodeToByteArray()))
        watch.received(direct("+OK\r\n-ERR some deleted messages not removed\r\n".encodeToByteArray()))
        assertEquals(listOf(2u), assertIs<Aftermath.Pop3>(watch.aftermath()).uncommittedDeletes)
        assertNotEquals(Cause.NO_FAULT, watch.closed().cause)
    }
}
