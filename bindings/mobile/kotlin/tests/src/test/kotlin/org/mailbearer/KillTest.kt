package org.mailbearer

import java.net.InetAddress
import java.net.Socket
import java.net.SocketException
import java.util.concurrent.ConcurrentLinkedQueue
import javax.net.SocketFactory
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertNotNull
import kotlin.test.assertTrue
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.selects.select
import kotlinx.coroutines.withTimeout
import org.mailbearer.testing.Server

private const val USER = "joe@gmail.com"
private const val FOR_EVER = Int.MAX_VALUE

/**
 * A notifier whose process is killed, at every step of its life: nothing is closed, nothing more is stored, nothing more is sent. The next
 * process has what was stored.
 */
class KillTest {
    @Test
    fun `killed at any step, no message is missed, and nobody logs in against a stop`() = runBlocking {
        var steps = 0
        do {
            val life = withTimeout(2.minutes) { aLife(diesAt = steps) }
            steps++
        } while (life.wasKilled)
        // Tokens, connections, events, messages told and stored: fewer, and the script is not what it says.
        assertTrue(steps > 18, "$steps steps")
    }

    /** Three messages, two of them behind a restart of the server; then a person is needed. */
    private suspend fun aLife(diesAt: Int): Process = Server(messages = 0).use { server ->
        val store = Store()
        val scenes = Scenes(server, store)
        val first = Process(server, store, diesAt, scenes)
        var stop = first.run()
        if (first.wasKilled) stop = Process(server, store, FOR_EVER, scenes).run()
        assertNotNull(stop, "killed at $diesAt")
        assertEquals(Cause.ACCOUNT_DISABLED, stop.failure.cause)
        assertEquals(setOf(1U, 2U, 3U), store.told, "killed at $diesAt")
        // Nothing was tried without end.
        assertTrue(scenes.refusals() <= 4, "killed at $diesAt")
        server.refuse(null)
        repeat(2) {
            val again = assertNotNull(Process(server, store, FOR_EVER, scenes).run())
            assertEquals(stop.failure.serverText, again.failure.serverText)
        }
        assertEquals(0, scenes.logins(), "killed at $diesAt: logins against a stop")
        first
    }

    @Test
    fun `killed in a wait, the next process waits for the rest of it`() = runBlocking {
        // The fifth failure in a row waits for longer than the first ones.
        val policy = SessionPolicy {
            backoffBase = 300.milliseconds
            backoffMax = 2.minutes
            loginInterval = 1.milliseconds
        }
        Server().use { server ->
            server.refuse(Cause.UNAVAILABLE)
            val store = Store()
            var waits = 0
            // Each process is killed at its next wait.
            repeat(4) {
                val until = store.waitsUntil
                val process = Process(server, store, FOR_EVER, scenes = null, policy, diesInWait = true)
                withTimeout(2.minutes) { process.run() }
                val began = assertNotNull(process.firstSocketAt)
                if (until != null) {
                    waits++
                    assertTrue(began >= until, "${until - began} ms early")
                }
            }
            assertEquals(3, waits)
            assertTrue(store.waits.last() > store.waits.first(), "${store.waits}")
        }
    }

    /** What outlives a process. */
    private class Store {
        var snapshot: ByteArray? = null
        var cursor: String? = null
        val told = sortedSetOf<UInt>()

        /** By the clock on the wall: when the process before began its login, and then what it was told that it waits for. */
        var waitsUntil: Long? = null
        val waits = mutableListOf<Duration>()
    }

    /** The world, which goes on when the program has come so far. */
    private class Scenes(private val server: Server, private val store: Store) {
        private var scene = 0

        /** What was stored is told. */
        fun goOn() {
            while (store.cursor != null && scene <= store.told.size && scene < SCENES.size) SCENES[scene++](server)
        }

        fun logins(): Int = server.events().count { it.what == "logged_in" || it.what == "refused" }

        fun refusals(): Int = server.events().count { it.what == "refused" }

        private companion object {
            val SCENES = listOf<(Server) -> Unit>(
                { it.deliver(USER, "Subject: one\r\n\r\n") },
                {
                    it.restart()
                    it.deliver(USER, "Subject: two\r\n\r\n")
                },
                { it.deliver(USER, "Subject: three\r\n\r\n") },
                {
                    it.events()
                    it.refuse(Cause.ACCOUNT_DISABLED)
                    it.restart()
                },
            )
        }
    }

    /** One process of the notifier. */
    private class Process(
        private val server: Server,
        private val store: Store,
        private val diesAt: Int,
        private val scenes: Scenes?,
        private val policy: SessionPolicy = SessionPolicy {
            backoffBase = 10.milliseconds
            loginInterval = 1.milliseconds
        },
        private val diesInWait: Boolean = false,
    ) {
        private var steps = 0
        private val death = CompletableDeferred<Unit>()
        private val sockets = ConcurrentLinkedQueue<Socket>()
        private val lock = Any()
        @Volatile var firstSocketAt: Long? = null

        val wasKilled: Boolean
            get() = death.isCompleted

        /** Until it is killed, or a person is needed. */
        suspend fun run(): NeedsUserException? = coroutineScope {
            val source = TokenSource {
                step()
                alive()
                Token(server.issueToken(USER))
            }
            lateinit var account: Account
            account = Account(USER, source, AccountOptions {
                snapshot = store.snapshot
                policy = this@Process.policy.copy { first = Duration.INFINITE }
                onEvent = { event -> storing { heard(event, account) } }
            })
            var stop: NeedsUserException? = null
            val work = launch {
                try {
                    notify(account)
                } catch (needsUser: NeedsUserException) {
                    stop = needsUser
                }
            }
            select {
                work.onJoin {}
                death.onAwait {}
            }
            work.cancelAndJoin()
            // Of a process that is dead nothing gets out any more: this frees what the test has of it.
            account.close()
            stop
        }

        private suspend fun notify(account: Account) {
            val options = server.at(MailProtocol.IMAP).copy { socketFactory = Sockets() }
            account.sessions(MailProtocol.IMAP, options).collect { connection ->
                connection.use {
                    connection.newMessages(since = store.cursor).collect { new ->
                        storing { store.told += new.uids }
                        alive()
                        storing {
                            store.cursor = new.cursor
                            scenes?.goOn()
                        }
                        alive()
                    }
                }
            }
        }

        private fun heard(event: SessionEvent, account: Account) {
            store.snapshot = account.snapshot()
            if (event.kind != EventKind.WAITING) return
            // Of its own: not what is left of the wait of the process before.
            val wait = event.duration?.takeIf { firstSocketAt != null } ?: return
            store.waits += wait
            store.waitsUntil = firstSocketAt?.plus(wait.inWholeMilliseconds)
            if (diesInWait) die()
        }

        /** Stores something, unless the process is dead; the step after it may be its last. */
        private fun storing(work: () -> Unit) = synchronized(lock) {
            if (wasKilled) return
            work()
            step()
        }

        private fun step() = synchronized(lock) {
            if (steps++ == diesAt) die()
        }

        private fun die() {
            death.complete(Unit)
            sockets.forEach { it.close() }
        }

        private suspend fun alive() {
            if (wasKilled) awaitCancellation()
        }

        private inner class Sockets : SocketFactory() {
            override fun createSocket(): Socket {
                step()
                if (wasKilled) throw SocketException("the process is dead")
                firstSocketAt = firstSocketAt ?: System.currentTimeMillis()
                return Socket().also(sockets::add)
            }

            override fun createSocket(host: String, port: Int) = createSocket()

            override fun createSocket(host: String, port: Int, from: InetAddress, fromPort: Int) = createSocket()

            override fun createSocket(address: InetAddress, port: Int) = createSocket()

            override fun createSocket(address: InetAddress, port: Int, from: InetAddress, fromPort: Int) = createSocket()
        }
    }
}
