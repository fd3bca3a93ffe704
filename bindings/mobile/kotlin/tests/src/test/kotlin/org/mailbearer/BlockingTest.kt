package org.mailbearer

import jakarta.mail.Folder
import java.util.concurrent.CountDownLatch
import kotlin.test.Test
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import kotlin.time.TimeSource
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.TimeoutCancellationException
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.eclipse.angus.mail.imap.IMAPFolder
import org.mailbearer.angus.blocking
import org.mailbearer.angus.connectStore
import org.mailbearer.angus.imapStore
import org.mailbearer.testing.Server

/** Code that blocks a thread ends when its coroutine is cancelled. */
class BlockingTest {
    private val user = "joe@gmail.com"
    private val shield = ExampleShield("dns:localhost")

    private fun test(block: suspend CoroutineScope.(Server) -> Unit) = runBlocking(Dispatchers.Default) {
        Server().use { server -> withTimeout(2.minutes) { block(server) } }
    }

    private fun tokens(server: Server) = TokenSource { Token(server.issueToken(user)) }

    /** [work] would last for ever. It ends within a time that no loaded machine needs, and far below every time-out. */
    private suspend fun endsWhenCancelled(work: suspend (begun: CountDownLatch) -> Unit) {
        val begun = CountDownLatch(1)
        val job = CoroutineScope(Dispatchers.Default).launch { work(begun) }
        kotlinx.coroutines.withContext(Dispatchers.IO) { begun.await() }
        // It is in the call by then, or is not: both must end.
        Thread.sleep(50)
        val cancelled = TimeSource.Monotonic.markNow()
        withTimeout(NO_TIME_OUT) { job.cancelAndJoin() }
        assertTrue(cancelled.elapsedNow() < NO_TIME_OUT)
    }

    @Test
    fun `a read of the stream`() = test { server ->
        for (make in listOf<suspend () -> Connection>(
            { connect(MailProtocol.IMAP, user, tokens(server), server.at(MailProtocol.IMAP)) },
            { sessions(MailProtocol.IMAP, user, tokens(server), server.at(MailProtocol.IMAP)).first() },
        )) {
            val connection = make()
            endsWhenCancelled { begun ->
                connection.blocking {
                    begun.countDown()
                    connection.input.read()
                }
            }
            connection.close()
        }
    }

    @Test
    fun `a write to a server that does not read`() = test { _ ->
        val greeted = CountDownLatch(1)
        val never = CountDownLatch(1)
        Peer(inTls(shield.server) { socket ->
            socket.getOutputStream().write("* OK Gimap ready\r\n".encodeToByteArray())
            val tag = socket.getInputStream().bufferedReader().readLine().substringBefore(' ')
            socket.getOutputStream().write("$tag OK done\r\n".encodeToByteArray())
            greeted.countDown()
            never.await()
        }).use { peer ->
            val options = LoginOptions {
                host = "localhost"
                port = peer.port
                sslContext = org.mailbearer.testing.trusting(shield.authority)
                assumedCapabilities = listOf("IMAP4rev1", "SASL-IR", "AUTH=XOAUTH2")
            }
            val connection = connect(MailProtocol.IMAP, user, fixedToken("ya29.token"), options)
            endsWhenCancelled { begun ->
                connection.blocking {
                    begun.countDown()
                    while (true) connection.output.write(ByteArray(65_536) { 'x'.code.toByte() })
                }
            }
            connection.close()
            never.countDown()
        }
    }

    @Test
    fun `a call of Angus Mail, over a connection and with its own login`() = test { server ->
        val connection = connect(MailProtocol.IMAP, user, tokens(server), server.at(MailProtocol.IMAP))
        val stores = listOf(imapStore(connection), connectStore(MailProtocol.IMAP, user, tokens(server), server.at(MailProtocol.IMAP)))
        for (store in stores) {
            endsWhenCancelled { begun ->
                store.blocking {
                    val inbox = store.getFolder("INBOX").apply { open(Folder.READ_ONLY) } as IMAPFolder
                    begun.countDown()
                    inbox.idle(true)
                    // Where IDLE ends by itself.
                    inbox.idle(true)
                }
            }
            runCatching { store.close() }
        }
    }

    @Test
    fun `a time that is out ends it, and says that it was the time`() = test { server ->
        val connection = connect(MailProtocol.IMAP, user, tokens(server), server.at(MailProtocol.IMAP))
        assertFailsWith<TimeoutCancellationException> {
            withTimeout(200.milliseconds) { connection.blocking { connection.input.read() } }
        }
        connection.close()
    }

    @Test
    fun `of a store of somebody else nothing is promised`() = test { _ ->
        val session = jakarta.mail.Session.getInstance(java.util.Properties())
        assertFailsWith<MisuseException> { session.getStore("imap").blocking {} }
    }

    private companion object {
        val NO_TIME_OUT: Duration = 20.seconds
    }
}
