package org.mailbearer

import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.atomic.AtomicInteger
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.SharingStarted
import kotlinx.coroutines.flow.buffer
import kotlinx.coroutines.flow.collectLatest
import kotlinx.coroutines.flow.conflate
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.flowOn
import kotlinx.coroutines.flow.merge
import kotlinx.coroutines.flow.shareIn
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.withTimeoutOrNull
import org.mailbearer.testing.Server

/** Whatever stands between the flow and the program: as many logins as sessions are due, and living connections only. */
class FlowTest {
    private val user = "joe@gmail.com"

    private fun test(block: suspend CoroutineScope.(Server) -> Unit) = runBlocking {
        Server().use { server -> withTimeout(2.minutes) { block(server) } }
    }

    private fun at(server: Server, who: String = user): Sessions =
        sessions(MailProtocol.IMAP, who, { Token(server.issueToken(who)) }, server.at(MailProtocol.IMAP))

    /** What a program does with a connection: it speaks, after a while. */
    private suspend fun speak(connection: SessionConnection) {
        delay(150)
        connection.writeLine("A1 NOOP")
        assertContains(assertNotNull(connection.readLine()), "A1 OK")
        assertNull(connection.verdict)
    }

    private fun logins(server: Server): Int = server.events().count { it.what == "logged_in" }

    /** Three connections, each spoken on. */
    private suspend fun holds(server: Server, flow: (Sessions) -> Flow<SessionConnection>) {
        val served = AtomicInteger()
        flow(at(server)).take(3).collect { connection ->
            connection.use { speak(it) }
            served.incrementAndGet()
        }
        // Time in which a flow that runs ahead would log in.
        delay(500)
        assertEquals(3, served.get())
        assertEquals(3, logins(server))
    }

    @Test fun `with nothing between`() = test { holds(it) { all -> all } }

    @Test fun `with flowOn`() = test { holds(it) { all -> all.flowOn(Dispatchers.IO) } }

    @Test fun `with buffer`() = test { holds(it) { all -> all.buffer(10) } }

    @Test fun `with conflate`() = test { holds(it) { all -> all.conflate() } }

    @Test
    fun `with collectLatest`() = test { server ->
        val served = AtomicInteger()
        val collecting = launch {
            at(server).collectLatest { connection ->
                connection.use { speak(it) }
                if (served.incrementAndGet() == 3) delay(1.minutes)
            }
        }
        while (served.get() < 3) delay(10)
        collecting.cancelAndJoin()
        assertTrue(logins(server) in 3..4)
    }

    @Test
    fun `with merge, of two accounts that are held for long`() = test { server ->
        val flows = listOf("joe@gmail.com", "ann@gmail.com").map { at(server, it) }
        val served = ConcurrentLinkedQueue<SessionConnection>()
        withTimeoutOrNull(3.seconds) {
            coroutineScope {
                merge(*flows.toTypedArray()).collect { connection ->
                    launch {
                        served += connection
                        connection.use {
                            speak(it)
                            it.wait()
                        }
                    }
                }
            }
        }
        assertEquals(2, served.size)
        assertEquals(2, logins(server))
    }

    @Test
    fun `with shareIn`() = test { server ->
        val sharing = CoroutineScope(Dispatchers.Default)
        val shared = at(server).shareIn(sharing, SharingStarted.WhileSubscribed())
        repeat(3) { shared.first().use { connection -> speak(connection) } }
        sharing.coroutineContext[kotlinx.coroutines.Job]!!.cancelAndJoin()
        assertTrue(logins(server) in 3..4)
    }

    @Test
    fun `what first gives lives, and goes first when another is wanted`() = test { server ->
        for (all in listOf<Pair<Sessions, Flow<SessionConnection>>>(at(server).let { it to it }, at(server).let { it to it.flowOn(Dispatchers.IO) })) {
            val one = all.second.first()
            speak(one)
            val two = all.second.first()
            assertFailsWith<MisuseException> { one.readLine() }
            speak(two)
            assertEquals(2UL, two.generation)
            assertEquals(2, logins(server))
            all.first.close()
            while (server.sessions > 0) delay(10)
        }
    }

    @Test
    fun `the flow completes when the sessions are closed`() = test { server ->
        val all = at(server)
        val collecting = launch { all.collect { it.wait() } }
        while (server.sessions == 0) delay(10)
        all.close()
        collecting.join()
        assertTrue(!collecting.isCancelled)
        while (server.sessions > 0) delay(10)
        all.collect { error("there is another") }
    }

    @Test
    fun `who is cancelled while nothing comes is not given anything later`() = test { server ->
        val all = at(server)
        assertNull(withTimeoutOrNull(1) { all.first() })
        all.first().use { speak(it) }
        delay(300)
        assertTrue(logins(server) in 1..2)
        assertEquals(0, server.sessions)
    }
}
