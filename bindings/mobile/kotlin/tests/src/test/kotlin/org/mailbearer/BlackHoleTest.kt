package org.mailbearer

import java.io.File
import java.net.Socket
import java.util.concurrent.CopyOnWriteArrayList
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
import javax.net.ssl.SSLContext
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import kotlin.time.measureTime
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.takeWhile
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.int
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.junit.jupiter.api.AfterAll
import org.junit.jupiter.api.TestInstance
import org.mailbearer.testing.certificate
import org.mailbearer.testing.trusting

/** A mailbox of a real Dovecot is followed while paths turn into black holes: see tests/servers/paths.py. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class BlackHoleTest {
    private val program = File(System.getProperty("mailbearer.root")).resolve("tests/servers/paths.py").path
    private val process = ProcessBuilder("python3", program).redirectError(ProcessBuilder.Redirect.INHERIT).start()
    private val facts: JsonObject = Json.parseToJsonElement(process.inputStream.bufferedReader().readLine()).jsonObject
    private val trust: SSLContext =
        facts.getValue("ca").jsonPrimitive.content.byteInputStream().use { trusting(certificate(it)) }

    @AfterAll
    fun stop() {
        process.outputStream.close()
        process.waitFor(1, TimeUnit.MINUTES)
    }

    /** A way of one follower, and its mailbox. */
    private inner class Path(val mailbox: String) : AutoCloseable {
        private val control = Socket("127.0.0.1", facts.getValue("control").jsonPrimitive.int)
        private val answers = control.getInputStream().bufferedReader()
        private val turn = Mutex()
        private val place = runBlocking { say("mailbox" to JsonPrimitive(mailbox)) }
        val options = LoginOptions {
            this.host = place.getValue("host").jsonPrimitive.content
            this.port = place.getValue("port").jsonPrimitive.int
            tls = Tls.IMPLICIT
            sslContext = trust
            timeout = ANSWER
        }

        private suspend fun say(vararg words: Pair<String, JsonPrimitive>): JsonObject = turn.withLock {
            withContext(Dispatchers.IO) {
                control.getOutputStream().write("${JsonObject(words.toMap())}\n".encodeToByteArray())
                Json.parseToJsonElement(answers.readLine()).jsonObject
            }
        }

        suspend fun deliver() {
            say("call" to JsonPrimitive("deliver"))
        }

        /** What is open swallows all from now on; what is opened works. */
        suspend fun cut() {
            say("call" to JsonPrimitive("cut"))
        }

        suspend fun token(): String =
            say("call" to JsonPrimitive("token"), "lives" to JsonPrimitive(600)).getValue("returned").jsonPrimitive.content

        override fun close() = control.close()
    }

    /** A program that follows the mailbox, with the cursor that it would store. */
    private inner class Program(private val path: Path, private val reissue: Duration, private val lives: Duration) {
        val uids = CopyOnWriteArrayList<UInt>()
        val sessions = AtomicInteger()

        /** Whether something was told in this session. */
        @Volatile var isFollowing = false
        @Volatile var isStopping = false

        /** Why the sessions ended that did not end by a renewal. */
        val endings = CopyOnWriteArrayList<Cause>()
        private var cursor: String? = null

        suspend fun run() {
            val policy = SessionPolicy {
                endsWithToken = true
                tokenLifeLeast = 0.seconds
                backoffBase = 50.milliseconds
                backoffMax = 200.milliseconds
                loginInterval = 1.milliseconds
            }
            val source = TokenSource { Token(path.token(), lives) }
            sessions(MailProtocol.IMAP, USER, source, path.options, policy).takeWhile { !isStopping }.collect { connection ->
                isFollowing = false
                sessions.incrementAndGet()
                connection.use {
                    val messages = it.newMessages(path.mailbox, since = cursor, reissue = reissue, answer = ANSWER)
                    messages.takeWhile { !isStopping }.collect { new ->
                        uids += new.uids
                        cursor = new.cursor
                        isFollowing = true
                    }
                }
                connection.verdict?.let { endings += it.cause }
            }
        }

        /** Stops with the next message, which it is not told. */
        suspend fun stop() {
            isStopping = true
            path.deliver()
        }
    }

    private suspend fun until(hasCome: () -> Boolean) = withTimeout(30.seconds) { while (!hasCome()) delay(5) }

    private fun follow(path: Path, program: Program, block: suspend () -> Unit) = runBlocking(Dispatchers.Default) {
        withTimeout(4.minutes) {
            path.use {
                val running = launch { program.run() }
                until { program.isFollowing }
                block()
                program.stop()
                running.join()
            }
        }
    }

    @Test
    fun `a path that swallows all is noticed, and nothing is missed`() {
        val path = Path("kotlin swallowed")
        val program = Program(path, reissue = 1.seconds, lives = 10.minutes)
        follow(path, program) {
            path.deliver()
            until { program.uids.size == 1 }
            path.cut()
            val took = measureTime {
                path.deliver()
                until { program.uids.size == 2 }
            }
            // IDLE anew, its answer, back-off and login.
            assertTrue(took < 1.seconds + ANSWER + 5.seconds, "$took")
        }
        assertEquals(listOf(1U, 2U), program.uids.toList())
        assertEquals(listOf(Cause.TIMED_OUT), program.endings.toList())
    }

    @Test
    fun `each message is told once over 50 expiries and 20 black holes`() {
        println("paths to Dovecot: ${facts["kind"]}")
        val path = Path("kotlin once")
        val program = Program(path, reissue = 400.milliseconds, lives = 1.seconds)
        var delivered = 0U
        var cuts = 0
        follow(path, program) {
            while (program.sessions.get() < EXPIRIES + CUTS || cuts < CUTS) {
                path.deliver()
                delivered++
                if (cuts < CUTS && program.isFollowing && program.sessions.get() > 2 * cuts) {
                    val cutIn = program.sessions.get()
                    path.cut()
                    cuts++
                    until { program.sessions.get() > cutIn }
                }
                delay(100)
            }
            until { program.uids.size >= delivered.toInt() }
        }
        assertEquals(CUTS, cuts)
        assertEquals((1U..delivered).toList(), program.uids.toList())
    }

    private companion object {
        const val USER = "joe@example.com"
        const val EXPIRIES = 50
        const val CUTS = 20
        val ANSWER = 1.seconds
    }
}
