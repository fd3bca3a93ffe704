package org.mailbearer

import java.net.InetAddress
import java.net.Socket
import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.Executors
import java.util.concurrent.atomic.AtomicInteger
import javax.net.SocketFactory
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.asCoroutineDispatcher
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeout
import org.mailbearer.angus.connectStore
import org.mailbearer.testing.Server

/** What a program gives in place of the system's, and what several accounts have of each other. */
class HooksTest {
    private val user = "joe@gmail.com"

    private fun test(server: Server = Server(), block: suspend CoroutineScope.(Server) -> Unit) = runBlocking {
        server.use { withTimeout(1.minutes) { block(it) } }
    }

    private fun tokens(server: Server, user: String = this.user) = TokenSource { Token(server.issueToken(user)) }

    /** A network of the system's, as `android.net.Network` is one. */
    private class Counted : MailNetwork {
        val asked = ConcurrentLinkedQueue<String>()
        val made = AtomicInteger()

        override fun addressesOf(host: String): List<InetAddress> {
            asked += host
            return listOf(InetAddress.getLoopbackAddress())
        }

        override val socketFactory = object : SocketFactory() {
            override fun createSocket(): Socket = Socket().also { made.incrementAndGet() }

            override fun createSocket(host: String, port: Int): Socket = error("it is connected here")

            override fun createSocket(host: String, port: Int, near: InetAddress, nearPort: Int): Socket = createSocket(host, port)

            override fun createSocket(host: InetAddress, port: Int): Socket = error("it is connected here")

            override fun createSocket(host: InetAddress, port: Int, near: InetAddress, nearPort: Int): Socket = createSocket(host, port)
        }
    }

    @Test
    fun `every door goes through the network that is given`() = test { server ->
        val doors = mapOf<String, suspend (LoginOptions) -> Unit>(
            "connect" to { connect(MailProtocol.IMAP, user, tokens(server), it).close() },
            "sessions" to { sessions(MailProtocol.IMAP, user, tokens(server), it).first().close() },
            "connectStore" to { connectStore(MailProtocol.IMAP, user, tokens(server), it).close() },
        )
        for ((door, enter) in doors) {
            val whole = Counted()
            enter(server.at(MailProtocol.IMAP).copy { network = whole })
            assertEquals(listOf("localhost") to 1, whole.asked.toList() to whole.made.get(), door)
            val half = Counted()
            enter(server.at(MailProtocol.IMAP).copy { socketFactory = half.socketFactory })
            assertEquals(0 to 1, half.asked.size to half.made.get(), door)
        }
    }

    @Test
    fun `a second look at a certificate goes the same way`() = test { server ->
        val network = Counted()
        val options = server.at(MailProtocol.IMAP).copy { this.network = network; sslContext = null }
        val error = assertFailsWith<LoginFailedException> { connect(MailProtocol.IMAP, user, tokens(server), options) }
        assertEquals(Cause.TLS_FAILED, error.failure.cause)
        assertEquals(network.asked.size, network.made.get())
        assertTrue(network.made.get() >= 1)
    }

    @Test
    fun `a network has both, and is given alone`() = test { server ->
        for (change in listOf<LoginOptions.Builder.() -> Unit>({ dns = Counted() }, { socketFactory = SocketFactory.getDefault() })) {
            val options = server.at(MailProtocol.IMAP).copy { network = Counted(); change() }
            assertFailsWith<ConfigException> { connect(MailProtocol.IMAP, user, tokens(server), options) }
        }
    }

    @Test
    fun `nothing of a login runs in the thread that asks for it`() = test { server ->
        val main = Executors.newSingleThreadExecutor { Thread(it, "main of the app") }.asCoroutineDispatcher()
        val threads = ConcurrentLinkedQueue<String>()
        val note = { threads += Thread.currentThread().name }
        val source = TokenSource { note().let { Token(server.issueToken(user)) } }
        val options = server.at(MailProtocol.IMAP).copy { trace = { note() }; dns = Dns { note().let { _ -> listOf(InetAddress.getLoopbackAddress()) } } }
        main.use {
            withContext(main) {
                loadMailbearer()
                connect(MailProtocol.IMAP, user, source, options).close()
                sessions(MailProtocol.IMAP, user, source, options).first().close()
            }
        }
        assertTrue(threads.size > 6)
        assertTrue(threads.none { it == "main of the app" }, "$threads")
    }

    @Test
    fun `what was in flight is told by the connection itself, and by the next one`() =
        test { server ->
            val policy = SessionPolicy { backoffBase = 10.milliseconds }
            var before: Aftermath? = null
            sessions(MailProtocol.IMAP, user, tokens(server), server.at(MailProtocol.IMAP), policy).take(2).collect { connection ->
                assertNull(connection.aftermath)
                if (connection.generation == 2UL) return@collect assertEquals(before, connection.resumed)
                connection.use {
                    connection.writeLine("A1 SELECT INBOX")
                    while (connection.readLine()?.startsWith("A1 ") != true) continue
                    connection.writeLine("A2 IDLE")
                    while (connection.readLine()?.startsWith("+") != true) continue
                    server.restart()
                    while (connection.readLine() != null) continue
                }
                before = assertNotNull(connection.aftermath)
                assertTrue((before as Aftermath.Imap).idling, "$before")
            }
        }

    @Test
    fun `accounts know nothing of each other`() = test { server ->
        val others = listOf("ann@gmail.com", "bob@gmail.com")
        val gone = TokenSource { throw TokenSourceException("invalid_grant", permanent = true) }
        val stopped = Account(user, gone)
        assertFailsWith<NeedsUserException> { stopped.sessions(MailProtocol.IMAP, server.at(MailProtocol.IMAP)).first() }
        val seen = others.map { other ->
            async {
                Account(other, tokens(server, other)).use { account ->
                    account.sessions(MailProtocol.IMAP, server.at(MailProtocol.IMAP)).first().use { connection ->
                        server.deliver(other, "Subject: for $other\r\n\r\nx\r\n")
                        connection.writeLine("A1 SELECT INBOX")
                        while (connection.readLine()?.startsWith("A1 OK") != true) continue
                    }
                    account.status().sessions.single().standing
                }
            }
        }.awaitAll()
        assertEquals(2, seen.size)
        for (other in others) assertContains(server.messages(other).last(), other)
        assertEquals(Standing.STOPPED, stopped.status().sessions.single().standing)
        stopped.close()
    }

    @Test
    fun `accounts of one source ask it one at a time`() = test { server ->
        val running = AtomicInteger()
        val most = AtomicInteger()
        val source = TokenSource {
            most.accumulateAndGet(running.incrementAndGet(), ::maxOf)
            Thread.sleep(20)
            running.decrementAndGet()
            Token(server.issueToken(user))
        }
        List(5) { async { Account(user, source).use { it.sessions(MailProtocol.IMAP, server.at(MailProtocol.IMAP)).first().close() } } }
            .awaitAll()
        assertEquals(1, most.get())
    }

    @Test
    fun `of a cache the refused token is cleared, and no other`() = test { server ->
        val cleared = ConcurrentLinkedQueue<String>()
        val cached = CompletableDeferred(server.issueToken(user))
        var current = cached.await()
        val cache = object : TokenCache {
            override suspend fun token() = Token(current)

            override suspend fun clear(token: Token) {
                cleared += token.value
                current = server.issueToken(user)
            }
        }
        val stale = current
        server.revokeToken(stale)
        sessions(MailProtocol.IMAP, user, tokenSource(cache), server.at(MailProtocol.IMAP)).first().close()
        assertEquals(listOf(stale), cleared.toList())
    }
}
