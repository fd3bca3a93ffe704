package org.mailbearer

import java.io.IOException
import java.net.Socket
import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.atomic.AtomicInteger
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertIs
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertSame
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.INFINITE
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.mailbearer.testing.Server
import org.mailbearer.testing.trusting

/** What the sessions of an account share, what stops them, and what a program is told of it. */
class AccountTest {
    private val user = "joe@gmail.com"
    private val quick = SessionPolicy { backoffBase = 10.milliseconds; loginInterval = 1.milliseconds }

    private fun test(block: suspend CoroutineScope.(Server) -> Unit) = runBlocking {
        Server().use { server -> withTimeout(3.minutes) { block(server) } }
    }

    private fun tokens(server: Server) = TokenSource { Token(server.issueToken(user)) }

    /** Logins that were tried. */
    private fun tried(server: Server): Int = server.events().count { it.what == "logged_in" || it.what == "refused" }

    private suspend fun SessionConnection.speaks(command: String = "A1 NOOP") {
        writeLine(command)
        assertNotNull(readLine())
    }

    // ---- Stops -----------------------------------------------------------------------------------------------------

    /** Collects until a person is asked for, which each collection after it tells at once and without I/O. */
    private suspend fun needsUser(server: Server, all: Sessions, block: suspend (SessionConnection) -> Unit): NeedsUserException {
        val stop = assertFailsWith<NeedsUserException> { all.collect(block) }
        val tried = tried(server)
        assertTrue(tried <= 3, "$tried logins")
        repeat(3) { assertEquals(stop.failure, assertFailsWith<NeedsUserException> { all.first() }.failure) }
        assertEquals(0, tried(server))
        assertEquals(Standing.STOPPED, all.status().standing)
        return stop
    }

    @Test
    fun `POP3 that is switched off behind a login that works`() = test { server ->
        // Gmail's POP3 lets in, and refuses the first command: while the program holds the connection.
        server.refuse(Cause.PROTOCOL_DISABLED)
        val all = sessions(MailProtocol.POP3, user, tokens(server), server.at(MailProtocol.POP3), quick)
        val stop = needsUser(server, all) { connection ->
            connection.use {
                it.writeLine("STAT")
                it.wait()
            }
        }
        assertEquals(Cause.PROTOCOL_DISABLED, stop.failure.cause)
        assertContains(assertNotNull(stop.message), stop.failure.serverText)
        assertTrue(stop.failure.serverText.isNotEmpty())
    }

    @Test
    fun `a BYE that asks for a browser, after a login that works`() = runBlocking {
        val logins = AtomicInteger()
        val greeting = "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER] ready"
        val speak = { socket: Socket ->
            fun say(text: String) = socket.getOutputStream().write("$text\r\n".encodeToByteArray())
            val lines = socket.getInputStream().bufferedReader()
            say(greeting)
            val tag = lines.readLine().substringBefore(' ')
            logins.incrementAndGet()
            say("$tag OK in")
            say("* BYE [ALERT] Web login required: https://accounts.example/b/0")
        }
        val shield = ExampleShield("dns:localhost")
        Peer(inTls(shield.server, speak)).use { peer ->
            val options = LoginOptions { host = "localhost"; port = peer.port; sslContext = trusting(shield.authority) }
            val all = sessions(MailProtocol.IMAP, user, { Token("ya29.a-token-of-this-test") }, options, quick)
            val stop = withTimeout(1.minutes) {
                assertFailsWith<NeedsUserException> { all.collect { it.use { connection -> connection.wait() } } }
            }
            assertContains(assertNotNull(stop.message), "Web login required")
            assertTrue(logins.get() <= 3, "${logins.get()} logins")
            val before = peer.accepted.get()
            assertFailsWith<NeedsUserException> { all.first() }
            assertEquals(before, peer.accepted.get())
        }
    }

    @Test
    fun `a refresh token that is revoked while a connection lives`() = test { server ->
        val revoked = "invalid_grant: Token has been expired or revoked"
        val calls = AtomicInteger()
        val source = TokenSource {
            if (calls.incrementAndGet() > 1) throw TokenSourceException(revoked, permanent = true)
            Token(server.issueToken(user))
        }
        val all = sessions(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP), quick)
        val stop = needsUser(server, all) { connection ->
            server.refuse(Cause.TOKEN_REJECTED)
            server.restart()
            connection.wait()
            connection.close()
        }
        assertContains(assertNotNull(stop.message), revoked)
        assertIs<TokenSourceException>(stop.cause)
        assertTrue(calls.get() <= 3, "${calls.get()} calls")
    }

    @Test
    fun `a permanent failure of the source`() = test { server ->
        val source = TokenSource { throw TokenSourceException("the account was removed from this phone", permanent = true) }
        val all = sessions(MailProtocol.SMTP, user, source, server.at(MailProtocol.SMTP), quick)
        val stop = needsUser(server, all) { error("a connection") }
        assertContains(assertNotNull(stop.message), "removed from this phone")
    }

    @Test
    fun `a stop outlives the process, and retry lifts it`() = test { server ->
        server.refuse(Cause.ACCOUNT_DISABLED)
        val options = server.at(MailProtocol.IMAP)
        val before = sessions(MailProtocol.IMAP, user, tokens(server), options, quick)
        val stop = assertFailsWith<NeedsUserException> { before.first() }
        server.refuse(null)
        tried(server)
        val after = sessions(MailProtocol.IMAP, user, tokens(server), options, quick, snapshot = before.snapshot())
        repeat(2) {
            val again = assertFailsWith<NeedsUserException> { after.first() }
            assertEquals(stop.failure.serverText, again.failure.serverText)
            assertContains(assertNotNull(again.message), "before the restart")
        }
        assertEquals(0, tried(server))
        after.retry()
        after.first().use { it.speaks() }
        after.close()
    }

    // ---- What is shared --------------------------------------------------------------------------------------------

    @Test
    fun `two sessions share one token and one stop`() = test { server ->
        val calls = AtomicInteger()
        val source = TokenSource {
            calls.incrementAndGet()
            Token(server.issueToken(user))
        }
        Account(user, source, quick).use { account ->
            val (imap, smtp) = account.sessions(MailProtocol.IMAP, server.at(MailProtocol.IMAP)) to
                account.sessions(MailProtocol.SMTP, server.at(MailProtocol.SMTP))
            imap.first().use { it.speaks() }
            smtp.first().use { it.speaks("NOOP") }
            assertEquals(1, calls.get())
            server.refuse(Cause.ACCOUNT_DISABLED)
            val stop = assertFailsWith<NeedsUserException> { imap.first() }
            tried(server)
            assertEquals(stop.failure, assertFailsWith<NeedsUserException> { smtp.first() }.failure)
            assertEquals(0, tried(server))
            assertEquals(1, account.status().stops.size)
            server.refuse(null)
            account.retry()
            smtp.first().use { it.speaks("NOOP") }
        }
    }

    @Test
    fun `twenty sessions where fifteen are allowed`() = runBlocking {
        Server(connectionsMax = 15).use { server ->
            val policy = quick.copy { connections = 15 }
            Account(user, tokens(server), policy).use { account ->
                val all = List(20) { account.sessions(MailProtocol.IMAP, server.at(MailProtocol.IMAP)) }
                val online = AtomicInteger()
                val working = all.map { launch { it.collect { one -> one.use { online.incrementAndGet(); it.wait() } } } }
                withTimeout(1.minutes) { while (online.get() < 15) delay(10) }
                delay(2.seconds)
                assertEquals(15, online.get())
                assertEquals(15, server.sessions)
                assertEquals(15, tried(server))
                // One that is let go makes room for one who waits.
                working.forEach { it.cancelAndJoin() }
            }
        }
    }

    @Test
    fun `closing one session leaves the others`() = test { server ->
        val account = Account(user, tokens(server), quick)
        val (one, two) = List(2) { account.sessions(MailProtocol.IMAP, server.at(MailProtocol.IMAP)) }
        val (first, second) = one.first() to two.first()
        one.close()
        assertEquals(Cause.CANCELLED, assertFailsWith<SessionEndedException> { first.readLine() }.verdict.cause)
        one.collect { error("there is another") }
        second.speaks()
        val waiting = launch { two.take(2).collect { it.wait() } }
        account.close()
        waiting.join()
        assertEquals(Cause.CANCELLED, assertNotNull(second.verdict).cause)
        while (server.sessions > 0) delay(10)
    }

    @Test
    fun `what is of the account is not of a session`() = test { server ->
        Account(user, tokens(server), quick).use { account ->
            val error = assertFailsWith<ConfigException> {
                account.sessions(MailProtocol.IMAP, server.at(MailProtocol.IMAP), SessionPolicy { answer = 5.seconds })
            }
            assertContains(assertNotNull(error.message), "answer is of the whole account")
            account.sessions(MailProtocol.IMAP, server.at(MailProtocol.IMAP), SessionPolicy { renewal = Renewal.AT_END })
        }
    }

    // ---- Token sources ---------------------------------------------------------------------------------------------

    @Test
    fun `a bug of the source is raised at once, with its own error, and stops nothing`() = test { server ->
        val bugs = listOf<() -> String>(
            { (null as String?)!! }, { ("text" as Any as Int).toString() }, { listOf<String>()[0] }, { TODO("not written") },
            { "two words" },
        )
        for (bug in bugs) {
            val calls = AtomicInteger()
            val source = TokenSource { Token(if (calls.incrementAndGet() == 1) bug() else server.issueToken(user)) }
            val all = sessions(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP), quick)
            val error = assertFailsWith<MisuseException> { all.first() }
            val own = runCatching(bug).exceptionOrNull()
            assertIs<Throwable>(error.cause)
            if (own != null) assertEquals(own.javaClass, error.cause?.javaClass)
            assertEquals(1, calls.get())
            all.first().use { it.speaks() }
            all.close()
        }
    }

    @Test
    fun `an outage of the source is waited out, and told with its own error`() = test { server ->
        val outage = IOException("503 from the token endpoint")
        val calls = AtomicInteger()
        val source = TokenSource { if (calls.incrementAndGet() < 3) throw outage else Token(server.issueToken(user)) }
        val events = ConcurrentLinkedQueue<SessionEvent>()
        val all = sessions(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP), quick, onEvent = events::add)
        all.first().use { it.speaks() }
        val told = events.filter { it.kind == EventKind.TOKEN_FAILED }
        assertEquals(2, told.size)
        for (event in told) {
            assertContains(assertNotNull(event.text), "503 from the token endpoint")
            assertSame(outage, generateSequence(event.error) { it.cause }.last())
        }
        assertNull(events.first { it.kind == EventKind.ONLINE }.error)
        all.close()
    }

    @Test
    fun `a source that asks for it is handed the token that was refused`() = test { server ->
        val cached = Token("ya29.of-yesterday-in-the-cache")
        val told = ConcurrentLinkedQueue<Token?>()
        val source = object : TokenSource {
            override suspend fun token(forceRefresh: Boolean): Token = error("the other is asked")

            override suspend fun token(forceRefresh: Boolean, refused: Token?): Token {
                told += refused ?: Token("none")
                return if (forceRefresh) Token(server.issueToken(user)) else cached
            }
        }
        val all = sessions(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP), quick)
        all.first().use { it.speaks() }
        assertEquals("none", told.first()?.value)
        assertSame(cached, told.last())
        told.clear()
        connect(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP)).close()
        assertSame(cached, told.last())
        all.close()
    }

    // ---- How long is waited ----------------------------------------------------------------------------------------

    @Test
    fun `before the first connection an outage is raised after the time of the policy, and waited out later`() = test { server ->
        val source = TokenSource { throw IOException("no network") }
        val all = sessions(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP), quick.copy { first = 300.milliseconds })
        val error = assertFailsWith<GaveUpException> { all.first() }
        assertContains(assertNotNull(error.message), "no network")
        assertEquals("no network", error.cause?.message)
        val forever = sessions(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP), quick.copy { first = INFINITE })
        val waiting = launch { forever.first() }
        delay(600)
        assertTrue(waiting.isActive)
        waiting.cancelAndJoin()
    }

    @Test
    fun `what cannot get better is raised at once`() = test { server ->
        val options = server.at(MailProtocol.IMAP).copy { port = java.net.ServerSocket(0).use { it.localPort } }
        val error = assertFailsWith<GaveUpException> {
            sessions(MailProtocol.IMAP, user, tokens(server), options, quick.copy { first = INFINITE }).first()
        }
        assertEquals(Cause.CONNECTION_REFUSED, error.failure.cause)
        assertIs<java.net.ConnectException>(error.cause)
    }

    @Test
    fun `a token is masked in what a program logs`() = test { server ->
        val token = server.issueToken(user)
        Account(user, fixedToken(token), quick).use { account ->
            account.sessions(MailProtocol.IMAP, server.at(MailProtocol.IMAP)).first().use { it.speaks() }
            assertEquals("it said <token> again", account.redact("it said $token again"))
            assertNull(account.status().tokenFailure)
        }
    }

    @Test
    fun `many threads may ask at the same moment`() = test { server ->
        Account(user, tokens(server), quick).use { account ->
            List(8) { account.sessions(MailProtocol.IMAP, server.at(MailProtocol.IMAP)) }
                .map { async(kotlinx.coroutines.Dispatchers.Default) { it.first().use { one -> one.speaks() } } }
                .awaitAll()
        }
    }
}
