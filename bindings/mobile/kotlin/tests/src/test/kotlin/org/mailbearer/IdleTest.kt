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
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.onCompletion
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.takeWhile
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.withTimeoutOrNull
import org.eclipse.angus.mail.imap.IMAPFolder
import org.mailbearer.angus.idle
import org.mailbearer.angus.imapStore
import org.mailbearer.testing.Server
import org.mailbearer.testing.FaultKind
import org.mailbearer.testing.Stage
import org.mailbearer.testing.trusting

/** IDLE over bare streams and over Angus Mail; and how blocking code learns of an end and of a cancellation. */
class IdleTest {
    private val user = "joe@gmail.com"
    private val mail = "Subject: hello\r\n\r\nworld\r\n"
    private val quick = SessionPolicy { backoffBase = 10.milliseconds; loginInterval = 1.milliseconds }

    private fun test(block: suspend CoroutineScope.(Server) -> Unit) = runBlocking {
        Server().use { server -> withTimeout(2.minutes) { block(server) } }
    }

    private fun imap(server: Server, policy: SessionPolicy = quick): Sessions =
        sessions(MailProtocol.IMAP, user, { Token(server.issueToken(user)) }, server.at(MailProtocol.IMAP), policy)

    private suspend fun SessionConnection.select() = assertContains(ask("A1 SELECT INBOX").last(), "A1 OK")

    /** Sends a command, and gives all lines of its answer. */
    private suspend fun SessionConnection.ask(command: String): List<String> {
        writeLine(command)
        return buildList {
            do add(assertNotNull(readLine())) while (!last().startsWith(command.substringBefore(' ')))
        }
    }

    /** Sessions whose connections are let go every few seconds, before the token expires. */
    private fun renewed(server: Server): Sessions {
        val source = TokenSource { Token(server.issueToken(user), 4.seconds) }
        return sessions(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP), quick.copy { tokenLifeLeast = 0.seconds })
    }

    private fun idles(server: Server): Int = server.events().count { it.what.equals("IDLE", ignoreCase = true) }

    // ---- Over bare streams -----------------------------------------------------------------------------------------

    @Test
    fun `changes are told, IDLE begins anew, and the connection is the program's between two`() = test { server ->
        imap(server).first().use { connection ->
            connection.select()
            val delivering = launch {
                delay(1_200)
                server.deliver(user, mail)
            }
            val seen = mutableListOf<UInt?>()
            connection.idle(reissue = 200.milliseconds).takeWhile { seen.size < 3 }.collect { change ->
                seen += change.exists
                assertContains(connection.ask("B${seen.size} NOOP").last(), "OK")
                server.deliver(user, mail)
            }
            delivering.join()
            assertEquals(listOf<UInt?>(4u, 5u, 6u), seen)
            assertTrue(idles(server) >= 5)
            // Left by the collector, it is not in IDLE.
            assertContains(connection.ask("A2 NOOP").last(), "A2 OK")
        }
    }

    @Test
    fun `a keep-alive that is due begins IDLE anew`() = test { server ->
        imap(server).first().use { connection ->
            connection.select()
            val idling = launch { connection.idle(reissue = 20.minutes).collect {} }
            while (idles(server) == 0) delay(20)
            delay(300)
            assertEquals(0, idles(server))
            connection.keepAlive()
            while (idles(server) == 0) delay(20)
            idling.cancelAndJoin()
        }
    }

    @Test
    fun `IDLE ends when the connection is due, goes on in the next, and tells all mail`() = runBlocking {
        Server(tokenLifetime = 4.seconds).use { server ->
            val told = ConcurrentLinkedQueue<UInt>()
            val letGo = AtomicInteger()
            withTimeout(1.minutes) {
                renewed(server).take(3).collect { connection ->
                    connection.use {
                        it.select()
                        val delivering = launch {
                            delay(300)
                            server.deliver(user, mail)
                        }
                        it.idle(reissue = 20.minutes).collect { change -> change.exists?.let(told::add) }
                        delivering.join()
                        assertContains(it.ask("A2 NOOP").last(), "A2 OK")
                        assertNull(it.verdict, "it was let go too late")
                        letGo.incrementAndGet()
                    }
                }
            }
            assertEquals(3, letGo.get())
            assertEquals(listOf(4u, 5u, 6u), told.toList())
        }
    }

    @Test
    fun `the end of the session is thrown`() = test { server ->
        val connection = imap(server).first()
        connection.select()
        launch {
            delay(300)
            server.restart()
        }
        val ended = assertFailsWith<SessionEndedException> { connection.idle().collect {} }
        assertEquals(Cause.SHUTDOWN, ended.verdict.cause)
        connection.close()
    }

    @Test
    fun `a wait that was cancelled is taken up again, and nothing is lost`() = test { server ->
        imap(server).first().use { connection ->
            connection.select()
            assertNull(withTimeoutOrNull(300.milliseconds) { connection.idle().first() })
            server.deliver(user, mail)
            assertEquals(4u, connection.idle().first().exists)
            // Another wait ends what was left.
            assertNull(withTimeoutOrNull(300.milliseconds) { connection.idle().first() })
            assertEquals(emptyList(), connection.newMessages().first().uids)
            assertEquals(2, idles(server))
            assertContains(connection.ask("A2 NOOP").last(), "A2 OK")
        }
    }

    @Test
    fun `a server that has gone mute is noticed in the time that the program says`() = test { server ->
        val waits = listOf<(SessionConnection) -> Flow<*>>(
            { it.idle(reissue = 1.seconds, answer = 500.milliseconds) },
            { it.newMessages(reissue = 1.seconds, answer = 500.milliseconds) },
        )
        for (wait in waits) {
            val noticed = measureTime {
                imap(server).take(1).collect { connection ->
                    connection.use {
                        it.select()
                        launch {
                            delay(500)
                            server.setFault(Stage.COMMAND, FaultKind.VANISH)
                        }
                        wait(it).collect {}
                        error("nothing was thrown")
                    }
                    assertEquals(Cause.TIMED_OUT, assertNotNull(connection.verdict).cause)
                }
            }
            assertTrue(noticed < 8.seconds, "$noticed")
        }
    }

    @Test
    fun `what is told beside the answers to IDLE and DONE ends neither half-way`() = runBlocking {
        val shield = ExampleShield("dns:localhost")
        val tags = ConcurrentLinkedQueue<String>()
        val speak = inTls(shield.server) { socket ->
            fun say(text: String) = socket.getOutputStream().write("$text\r\n".encodeToByteArray())
            say("* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR] ready")
            var tag = ""
            for (line in socket.getInputStream().bufferedReader().lineSequence()) {
                if (line != "DONE") tag = line.substringBefore(' ').also(tags::add)
                when {
                    line == "DONE" -> say("* 2 EXPUNGE\r\n$tag OK done")
                    line.endsWith("IDLE") -> say("* 4 EXISTS\r\n+ idling")
                    else -> say("$tag OK done")
                }
            }
        }
        Peer(speak).use { peer ->
            val options = LoginOptions { host = "localhost"; port = peer.port; sslContext = trusting(shield.authority) }
            sessions(MailProtocol.IMAP, user, fixedToken("ya29.token"), options).first().use { connection ->
                repeat(2) {
                    assertEquals(MailboxChange(4u, listOf(2u), emptyList()), connection.idle().first())
                    assertEquals(listOf("N$it OK done"), connection.ask("N$it NOOP"))
                }
                assertEquals(tags.distinct(), tags.toList())
            }
        }
    }

    // ---- New messages ----------------------------------------------------------------------------------------------

    @Test
    fun `new messages are told once, through expiries and cuts`() = runBlocking {
        Server(tokenLifetime = 4.seconds).use { server ->
            val told = mutableListOf<UInt>()
            var cursor: String? = null
            val ends = mutableListOf<Cause?>()
            withTimeout(1.minutes) {
                val delivering = async(start = CoroutineStart.LAZY) {
                    for (number in 1..16) {
                        server.deliver(user, mail)
                        if (number == 4) server.restart()
                        delay(500)
                    }
                }
                renewed(server).takeWhile { told.size < 16 }.collect { connection ->
                    connection.use {
                        // Read before it is closed, which may set a verdict of its own.
                        val following = it.newMessages(since = cursor).onCompletion { _ -> ends += it.verdict?.cause }
                        following.takeWhile { told.size < 16 }.collect { new ->
                            // The first says only where it begins.
                            assertEquals(cursor == null, new.uids.isEmpty())
                            for (uid in new.uids) assertContains(it.ask("B1 UID FETCH $uid FLAGS").first(), "UID $uid")
                            told += new.uids
                            cursor = new.cursor
                            delivering.start()
                        }
                    }
                }
                delivering.await()
            }
            assertEquals((4u..19u).toList(), told)
            // One was cut, and the others were let go in time.
            assertEquals(1, ends.count { it != null }, "$ends")
            assertTrue(Cause.SESSION_LIMIT !in ends && ends.size > 2, "$ends")
        }
    }

    @Test
    fun `a mailbox that was made anew is told, and what comes from now on`() = test { server ->
        imap(server).first().use { connection ->
            val told = mutableListOf<NewMessages>()
            connection.newMessages(since = "1:1").takeWhile { told.size < 2 }.collect {
                told += it
                server.deliver(user, mail)
            }
            assertEquals(listOf(true to emptyList(), false to listOf(4u)), told.map { it.isReset to it.uids })
            assertEquals(listOf(4u, 5u), connection.newMessages(since = told[0].cursor).first().uids)
        }
    }

    @Test
    fun `it can be opened so that nothing is marked as read`() = test { server ->
        imap(server).first().use { connection ->
            server.events()
            connection.newMessages(readOnly = true).first()
            assertEquals(listOf("EXAMINE"), server.events().map { it.what.uppercase() }.filter { it in listOf("SELECT", "EXAMINE") })
        }
    }

    @Test
    fun `a mailbox that is not there is refused, and so is what is no cursor`() = test { server ->
        imap(server).first().use { connection ->
            val refused = assertFailsWith<MailboxRefusedException> { connection.newMessages("No such").collect {} }
            assertTrue(refused.serverText.isNotEmpty())
            assertContains(assertNotNull(refused.message), refused.serverText)
            val wrong = assertFailsWith<ConfigException> { connection.newMessages(since = "x").collect {} }
            assertContains(assertNotNull(wrong.message), "cursor")
            assertContains(connection.ask("A1 NOOP").last(), "A1 OK")
        }
    }

    @Test
    fun `one flow of a connection is collected at a time`() = test { server ->
        imap(server).first().use { connection ->
            connection.newMessages().take(1).collect {
                assertFailsWith<MisuseException> { connection.idle().collect {} }
            }
            connection.newMessages().first()
        }
    }

    @Test
    fun `only IMAP has mailboxes to follow`() = test { server ->
        val all = sessions(MailProtocol.SMTP, user, { Token(server.issueToken(user)) }, server.at(MailProtocol.SMTP))
        all.first().use {
            assertFailsWith<ConfigException> { it.idle() }
            assertFailsWith<ConfigException> { it.newMessages() }
        }
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
            assertEquals(1, idle(folder, connection, reissue = 300.milliseconds).first().messages.size)
            assertTrue(idles(server) >= 3)
            assertEquals(4, folder.messageCount)
            assertTrue(folder.isOpen)
        }
    }

    @Test
    fun `what Angus Mail reads is followed by nobody else, and who tries is told what to use`() = test { server ->
        imap(server).first().use { connection ->
            inbox(connection)
            for (follow in listOf<() -> Any>({ connection.idle() }, { connection.newMessages() })) {
                val refused = assertFailsWith<MisuseException> { follow() }
                assertContains(assertNotNull(refused.message), "org.mailbearer.angus.idle(folder, connection)")
            }
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
