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
import org.mailbearer.testing.Server
import org.mailbearer.testing.machine.FaultKind
import org.mailbearer.testing.machine.Stage

/** Token sources that hang, throw, or give nonsense, and those who wait for them. */
class TokensTest {
    private val user = "joe@gmail.com"

    private fun test(block: suspend CoroutineScope.(Server) -> Unit) = runBlocking {
        Server().use { server -> withTimeout(2.minutes) { block(server) } }
    }

    private suspend fun logIn(server: Server, source: TokenSource, timeout: Duration = 60.seconds) =
        connect(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP).copy(timeout = timeout))

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
        val policy = SessionPolicy(
            tokenTimeout = 500.milliseconds,
            backoffBase = 10.milliseconds,
            loginInterval = 1.milliseconds,
        )
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
    fun `what a source throws, and what is no token, is said to be so`() = test { server ->
        val broken = listOf<Pair<Boolean, TokenSource>>(
            false to TokenSource { throw IllegalStateException("CANARY") },
            false to TokenSource { throw CancellationException("CANARY") },
            true to TokenSource { throw TokenSourceException("log in again", permanent = true) },
            true to TokenSource { Token("") },
            true to TokenSource { Token("two CANARY") },
        )
        for ((permanent, source) in broken) {
            val error = assertFailsWith<TokenSourceException> { logIn(server, source) }
            assertEquals(permanent, error.permanent)
            assertFalse("CANARY" in error.message!!)
        }
    }

    @Test
    fun `how long a token lives may be anything`() = test { server ->
        suspend fun stay(lifetime: Duration) {
            val source = TokenSource { Token(server.issueToken(user), lifetime) }
            val policy = SessionPolicy(
                backoffBase = 10.milliseconds,
                loginInterval = 1.milliseconds,
                backoffMax = 10.milliseconds,
            )
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
        val policy = SessionPolicy(backoffBase = 10.milliseconds, loginInterval = 1.milliseconds)
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
