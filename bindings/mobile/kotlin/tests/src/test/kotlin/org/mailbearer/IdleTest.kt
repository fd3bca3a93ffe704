package org.mailbearer

import jakarta.mail.Folder
import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.atomic.AtomicInteger
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import kotlin.time.measureTime
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.eclipse.angus.mail.imap.IMAPFolder
import org.mailbearer.angus.idle
import org.mailbearer.angus.imapStore
import org.mailbearer.testing.Server
import org.mailbearer.testing.machine.FaultKind
import org.mailbearer.testing.machine.Stage
import org.mailbearer.testing.trusting

/** IDLE over bare streams and over Angus Mail; and how blocking code learns of an end and of a cancellation. */
class IdleTest {
    private val user = "joe@gmail.com"
    private val mail = "Subject: hello\r\n\r\nworld\r\n"
    private val quick = SessionPolicy(backoffBase = 10.milliseconds, loginInterval = 1.milliseconds)

    private fun test(block: suspend CoroutineScope.(Server) -> Unit) = runBlocking {
        Server().use { server -> withTimeout(2.minutes) { block(server) } }
    }

    private fun imap(server: Server, policy: SessionPolicy = quick): Sessions =
        sessions(MailProtocol.IMAP, user, { Token(server.issueToken(user)) }, server.at(MailProtocol.IMAP), policy)

    private suspend fun SessionConnection.select() {
        writeLine("A1 SELECT INBOX")
        while (!assertNotNull(readLine()).startsWith("A1 OK")) continue
    }

    private fun idles(server: Server): Int = server.events().count { it.what.equals("IDLE", ignoreCase = true) }

    // ---- Over bare streams -----------------------------------------------------------------------------------------

    @Test
    fun `mail is told, IDLE begins anew, and the connection takes commands again`() = test { server ->
        imap(server).first().use { connection ->
            connection.select()
            val waiting = launch {
                delay(1_200)
                server.deliver(user, mail)
            }
            assertContains(connection.idle(every = 200.milliseconds).first { "EXISTS" in it }, "4 EXISTS")
            waiting.join()
            assertTrue(idles(server) >= 3)
            connection.writeLine("A2 NOOP")
            assertContains(assertNotNull(connection.readLine()), "A2 OK")
        }
    }

    @Test
    fun `a keep-alive that is due begins IDLE anew`() = test { server ->
        imap(server).first().use { connection ->
            connection.select()
            val idling = launch { connection.idle(every = 20.minutes).collect {} }
            delay(300)
            idles(server)
            connection.keepAlive()
            while (idles(server) == 0) delay(20)
            idling.cancelAndJoin()
        }
    }

    @Test
    fun `IDLE ends when the connection is due, goes on in the next, and tells all mail`() = runBlocking {
        Server(tokenLifetime = 4.seconds).use { server ->
            val source = TokenSource { Token(server.issueToken(user), 4.seconds) }
            val policy = quick.copy(tokenLifeLeast = 0.seconds)
            val told = ConcurrentLinkedQueue<String>()
            val generations = AtomicInteger()
            withTimeout(1.minutes) {
                sessions(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP), policy).take(3).collect { connection ->
                    connection.use {
                        generations.incrementAndGet()
                        it.select()
                        val delivering = launch {
                            delay(300)
                            server.deliver(user, mail)
                        }
                        it.idle(every = 20.minutes).collect(told::add)
                        delivering.join()
                        assertNull(it.verdict, "it was let go too late")
                    }
                }
            }
            assertEquals(3, generations.get())
            assertEquals(listOf("* 4 EXISTS", "* 5 EXISTS", "* 6 EXISTS"), told.filter { "EXISTS" in it })
        }
    }

    @Test
    fun `a server that has gone mute is noticed within two minutes`() = test { server ->
        val noticed = measureTime {
            imap(server).take(1).collect { connection ->
                connection.use {
                    it.select()
                    val idling = launch { runCatching { it.idle(every = 2.seconds).collect {} } }
                    delay(500)
                    server.setFault(Stage.COMMAND, FaultKind.VANISH)
                    idling.join()
                }
                assertEquals(Cause.TIMED_OUT, assertNotNull(connection.verdict).cause)
            }
        }
        assertTrue(noticed < 1.minutes, "$noticed")
    }

    @Test
    fun `what is told beside the answers to IDLE and DONE ends neither half-way`() = runBlocking {
        val shield = ExampleShield("dns:localhost")
        val speak = inTls(shield.server) { socket ->
            fun say(text: String) = socket.getOutputStream().write("$text\r\n".encodeToByteArray())
            say("* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR] ready")
            var tag = ""
            for (line in socket.getInputStream().bufferedReader().lineSequence()) {
                if (line != "DONE") tag = line.substringBefore(' ')
                when {
                    line == "DONE" -> say("* 5 EXISTS\r\n$tag OK done")
                    line.endsWith("IDLE") -> say("* 4 EXISTS\r\n+ idling")
                    else -> say("$tag OK done")
                }
            }
        }
        Peer(speak).use { peer ->
            val options = LoginOptions(host = "localhost", port = peer.port, sslContext = trusting(shield.authority))
            sessions(MailProtocol.IMAP, user, fixedToken("ya29.token"), options).first().use { connection ->
                for (wanted in listOf("* 4 EXISTS", "* 5 EXISTS")) {
                    assertEquals(wanted, connection.idle(every = 100.milliseconds).first { it == wanted })
                    connection.writeLine("A2 NOOP")
                    assertEquals("A2 OK done", connection.readLine())
                }
            }
        }
    }

    @Test
    fun `only IMAP has IDLE`() = test { server ->
        val all = sessions(MailProtocol.SMTP, user, { Token(server.issueToken(user)) }, server.at(MailProtocol.SMTP))
        all.first().use { assertFailsWith<ConfigException> { it.idle() } }
    }

    // ---- Over Angus Mail -------------------------------------------------------------------------------------------

    private suspend fun inbox(connection: SessionConnection): IMAPFolder =
        imapStore(connection).getFolder("INBOX").apply { open(Folder.READ_ONLY) } as IMAPFolder

    @Test
    fun `Angus Mail is told of mail, IDLE begins anew, and the folder takes commands again`() = test { server ->
        imap(server).first().use { connection ->
            val folder = inbox(connection)
            launch {
                delay(1_500)
                server.deliver(user, mail)
            }
            assertEquals(1, idle(folder, connection, every = 300.milliseconds).first().messages.size)
            assertTrue(idles(server) >= 3)
            assertEquals(4, folder.messageCount)
            assertTrue(folder.isOpen)
        }
    }

    @Test
    fun `the end of a session that Angus Mail tells is no error, and the next connection comes`() = test { server ->
        val ends = listOf<suspend (IMAPFolder, SessionConnection) -> Unit>(
            { folder, connection -> idle(folder, connection).collect {} },
            { folder, connection ->
                connection.wait()
                folder.getMessage(1).setFlag(jakarta.mail.Flags.Flag.SEEN, true)
            },
            { folder, _ -> folder.idle(true).also { folder.messages.forEach { it.size } } },
        )
        for (end in ends) {
            val generations = mutableListOf<ULong>()
            imap(server).take(2).collect { connection ->
                connection.use {
                    generations += it.generation
                    if (generations.size == 2) return@use
                    val folder = inbox(it)
                    launch {
                        delay(300)
                        server.restart()
                    }
                    end(folder, it)
                    error("nothing was thrown")
                }
            }
            assertEquals(2, generations.size)
        }
    }

    // ---- Blocking code ---------------------------------------------------------------------------------------------

    @Test
    fun `blocking code ends when its coroutine is cancelled`() = test { server ->
        val works = listOf<suspend (SessionConnection) -> Unit>(
            { it.input.read() },
            { it.input.bufferedReader().readLine() },
            { inbox(it).idle() },
            { connection ->
                server.setFault(Stage.COMMAND, FaultKind.VANISH)
                connection.output.write("A1 NOOP\r\n".encodeToByteArray())
                while (true) connection.output.write(ByteArray(1 shl 20) { '\n'.code.toByte() })
            },
        )
        for (work in works) {
            val begun = AtomicInteger()
            val collecting = launch(Dispatchers.IO) {
                imap(server).collect { connection ->
                    connection.use {
                        begun.incrementAndGet()
                        work(it)
                    }
                }
            }
            while (begun.get() == 0) delay(10)
            delay(200)
            val took = measureTime { collecting.cancelAndJoin() }
            assertTrue(took < 5.seconds, "$took")
            assertEquals(1, begun.get())
            while (server.sessions > 0) delay(10)
        }
    }
}
