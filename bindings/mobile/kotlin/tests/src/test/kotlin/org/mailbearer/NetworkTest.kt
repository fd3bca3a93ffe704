package org.mailbearer

import java.io.File
import java.net.InetAddress
import java.net.InetSocketAddress
import java.net.ServerSocket
import java.net.Socket
import java.net.SocketException
import java.net.SocketOption
import java.security.cert.X509Certificate
import javax.net.ssl.SSLContext
import javax.net.ssl.SSLEngine
import javax.net.ssl.TrustManager
import javax.net.ssl.X509ExtendedTrustManager
import javax.net.ssl.X509TrustManager
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertNotNull
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import kotlin.time.measureTime
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.eclipse.angus.mail.imap.IMAPStore
import org.mailbearer.angus.connectStore
import org.mailbearer.testing.Server
import org.mailbearer.testing.trusting

/** Below the login: TCP's options, the addresses of a name, handshakes that are cut, and whether the peer was verified. */
class NetworkTest {
    private val user = "joe@gmail.com"

    private fun test(block: suspend (Server) -> Unit) = runBlocking {
        Server().use { server -> withTimeout(1.minutes) { block(server) } }
    }

    private fun tokens(server: Server) = TokenSource { Token(server.issueToken(user)) }

    /** The first failure of each front door. */
    private suspend fun atEveryDoor(protocol: MailProtocol, source: TokenSource, options: LoginOptions, check: (Failure, String) -> Unit) {
        val policy = SessionPolicy { first = 300.milliseconds; backoffBase = 10.milliseconds }
        val doors = mapOf<String, suspend () -> Unit>(
            "connect" to { connect(protocol, user, source, options).close() },
            "sessions" to { sessions(protocol, user, source, options, policy).first() },
            "connectStore" to { connectStore(protocol, user, source, options) },
        )
        for ((name, door) in doors) check(assertFailsWith<LoginFailedException>(name) { door() }.failure, name)
    }

    // ---- TCP -------------------------------------------------------------------------------------------------------

    /** Timers of the kernel for sockets that lead to a port: `02` is keep-alive, with when it is due in hundredths. */
    private fun timers(port: Int): List<Pair<String, Long>> =
        listOf("/proc/net/tcp", "/proc/net/tcp6").flatMap { File(it).readLines().drop(1) }.map { it.trim().split(Regex("\\s+")) }
            .filter { it[2].substringAfter(':').toInt(16) == port && it[3] == "01" }
            .map { it[5].substringBefore(':') to it[5].substringAfter(':').toLong(16) }

    @Test
    fun `an idle connection is probed by TCP, within a minute`() = test { server ->
        val port = server.port(MailProtocol.IMAP)
        connect(MailProtocol.IMAP, user, tokens(server), server.at(MailProtocol.IMAP)).use {
            val (kind, due) = timers(port).single()
            assertEquals("02", kind)
            assertTrue(due in 1..6_000, "$due")
        }
        for (tls in Tls.entries) {
            // The kernel knows the client's side by the port that it leads to.
            connectStore(MailProtocol.IMAP, user, tokens(server), server.at(MailProtocol.IMAP, tls)).use {
                assertContains(timers(server.port(MailProtocol.IMAP, tls)).map { it.first }, "02", "$tls")
            }
        }
    }

    @Test
    fun `an option that a system has not, or refuses, is no fault`() {
        tuned(object : Socket() {
            override fun setTcpNoDelay(on: Boolean) = throw SocketException("refused")

            override fun setKeepAlive(on: Boolean) = throw SocketException("refused")

            override fun supportedOptions() = throw NoSuchMethodError("Android 7")
        })
        tuned(object : Socket() {
            override fun <T> setOption(name: SocketOption<T>, value: T): Socket = throw UnsupportedOperationException("$name")
        })
    }

    // ---- Addresses -------------------------------------------------------------------------------------------------

    private fun address(text: String) = InetAddress.getByName(text)

    /** An address whose queue is full: the kernel drops what comes. */
    private suspend fun swallowing(address: String, port: Int, block: suspend () -> Unit) {
        ServerSocket(port, 1, address(address)).use {
            val held = List(3) { Socket() }
            held.forEach { runCatching { it.connect(InetSocketAddress(address(address), port), 100) } }
            block()
            held.forEach { it.close() }
        }
    }

    @Test
    fun `the next address is tried while the first swallows packets, and at once where it refuses`() = test { server ->
        val options = server.at(MailProtocol.IMAP).copy { timeout = 20.seconds }
        swallowing("127.0.0.2", server.port(MailProtocol.IMAP)) {
            val dns = Dns { listOf(address("127.0.0.2"), address("127.0.0.3"), address("127.0.0.1")) }
            val took = measureTime { connect(MailProtocol.IMAP, user, tokens(server), options.copy { this.dns = dns }).close() }
            assertTrue(took in 200.milliseconds..10.seconds, "$took")
            sessions(MailProtocol.IMAP, user, tokens(server), options.copy { this.dns = dns }).first().close()
        }
        // Angus Mail's own login, too, with TLS from the start and behind STARTTLS.
        for (tls in Tls.entries) {
            val port = server.port(MailProtocol.IMAP, tls)
            swallowing("127.0.0.2", port) {
                val dns = Dns { listOf(address("127.0.0.2"), address("127.0.0.3"), address("127.0.0.1")) }
                val at = server.at(MailProtocol.IMAP, tls).copy { timeout = 20.seconds; this.dns = dns }
                val took = measureTime {
                    connectStore(MailProtocol.IMAP, user, tokens(server), at).use { store ->
                        assertTrue((store as IMAPStore).isSSL, "$tls")
                        assertTrue(store.getFolder("INBOX").exists(), "$tls")
                    }
                }
                assertTrue(took in 200.milliseconds..10.seconds, "$tls $took")
            }
        }
    }

    @Test
    fun `where no address answers, there is one deadline, and the first failure is told`() = test { server ->
        val port = server.port(MailProtocol.IMAP)
        val options = server.at(MailProtocol.IMAP)
        swallowing("127.0.0.2", port) {
            val dns = Dns { List(5) { address("127.0.0.2") } }
            val took = measureTime {
                val error = assertFailsWith<LoginFailedException> {
                    connect(MailProtocol.IMAP, user, tokens(server), options.copy { timeout = 1.seconds; this.dns = dns })
                }
                assertEquals(Cause.UNREACHABLE, error.failure.cause)
            }
            assertTrue(took < 5.seconds, "$took")
        }
        val error = assertFailsWith<LoginFailedException> {
            val dns = Dns { listOf(address("127.0.0.3"), address("127.0.0.4")) }
            connect(MailProtocol.IMAP, user, tokens(server), options.copy { this.dns = dns })
        }
        assertEquals(Cause.CONNECTION_REFUSED, error.failure.cause)
        val none = assertFailsWith<LoginFailedException> {
            connect(MailProtocol.IMAP, user, tokens(server), options.copy { dns = Dns { emptyList() } })
        }
        assertEquals(Cause.HOST_NOT_FOUND, none.failure.cause)
    }

    // ---- Handshakes ------------------------------------------------------------------------------------------------

    @Test
    fun `a first handshake that is reset or cut is a connection that was lost`() = test { server ->
        for (reset in listOf(true, false)) {
            Peer { socket ->
                socket.getInputStream().read()
                if (reset) socket.setSoLinger(true, 0)
            }.use { peer ->
                val options = server.at(MailProtocol.IMAP).copy { port = peer.port }
                atEveryDoor(MailProtocol.IMAP, tokens(server), options) { failure, door ->
                    assertEquals(Cause.CONNECTION_LOST, failure.cause, "$door, reset $reset: ${failure.sentence}")
                }
            }
        }
    }

    // ---- Time-outs -------------------------------------------------------------------------------------------------

    private val shield = ExampleShield("dns:localhost")

    private fun at(peer: Peer) = LoginOptions { host = "localhost"; port = peer.port; sslContext = trusting(shield.authority) }

    /** Takes three seconds for a message, and does not answer NOOP any more then. */
    private val slow = inTls(shield.server) { socket ->
        fun say(text: String) = socket.getOutputStream().write("$text\r\n".encodeToByteArray())
        say("220 mail ESMTP")
        var isData = false
        var isTaken = false
        for (line in socket.getInputStream().bufferedReader().lineSequence()) {
            when {
                isData && line == "." -> {
                    isData = false
                    isTaken = true
                    Thread.sleep(3_000)
                    say("250 2.0.0 taken")
                }
                isData || line == "NOOP" && isTaken -> continue
                line == "NOOP" -> say("250 ok")
                line.startsWith("EHLO") -> say("250-mail\r\n250 AUTH XOAUTH2")
                line.startsWith("AUTH XOAUTH2") && line.length < 20 -> say("334 ")
                line == "DATA" -> say("354 go on").also { isData = true }
                // RFC 3030: the content is a line here, and its reply that to the end of a message.
                line.startsWith("BDAT") -> continue
                line == "chunk" -> {
                    Thread.sleep(3_000)
                    say("250 2.0.0 taken")
                }
                line.startsWith("MAIL") || line.startsWith("RCPT") || line.startsWith("RSET") -> say("250 ok")
                line == "QUIT" -> say("221 bye")
                else -> say("235 in")
            }
        }
    }

    @Test
    fun `the end of DATA has a time-out of its own`() = runBlocking {
        Peer(slow).use { peer ->
            val options = at(peer).copy { answerTimeout = 1.seconds }
            sessions(MailProtocol.SMTP, user, fixedToken("ya29.token"), options).first().use { connection ->
                for (line in listOf("MAIL FROM:<a@b.c>", "RCPT TO:<d@e.f>", "DATA")) {
                    connection.writeLine(line)
                    connection.readLine()
                }
                connection.writeLine("Subject: hello\r\n\r\nworld\r\n.")
                assertContains(assertNotNull(connection.readLine()), "250 2.0.0")
                for (line in listOf("MAIL FROM:<a@b.c>", "RCPT TO:<d@e.f>")) {
                    connection.writeLine(line)
                    connection.readLine()
                }
                connection.writeLine("BDAT 7 LAST\r\nchunk")
                assertContains(assertNotNull(connection.readLine()), "250 2.0.0")
                connection.writeLine("NOOP")
                assertTrue(connection.wait(10.seconds))
                assertEquals(Cause.TIMED_OUT, assertNotNull(connection.verdict).cause)
            }
            val transport = org.mailbearer.angus.connectTransport(user, fixedToken("ya29.token"), options)
            val message = jakarta.mail.internet.MimeMessage(null as jakarta.mail.Session?).apply {
                setFrom("a@b.c")
                subject = "hello"
                setText("world")
            }
            transport.use { it.sendMessage(message, arrayOf(jakarta.mail.internet.InternetAddress("d@e.f"))) }
        }
    }

    @Test
    fun `a login of Angus Mail that is slow under implicit TLS is no wrong way of TLS`() = runBlocking {
        val late = inTls(shield.server) { socket ->
            Thread.sleep(6_000)
            fun say(text: String) = socket.getOutputStream().write("$text\r\n".encodeToByteArray())
            say("* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR] ready")
            for (line in socket.getInputStream().bufferedReader().lineSequence()) {
                if ("CAPABILITY" in line) say("* CAPABILITY IMAP4rev1")
                say("${line.substringBefore(' ')} OK done")
            }
        }
        Peer(late).use { connectStore(MailProtocol.IMAP, user, fixedToken("ya29.token"), at(it)).close() }
    }

    @Test
    fun `a server that drips does not stretch the deadline of a login, at any door`() = runBlocking {
        val dripping = inTls(shield.server) { socket ->
            socket.getOutputStream().write("* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR] ready\r\n* OK ".encodeToByteArray())
            while (true) {
                socket.getOutputStream().write('.'.code)
                Thread.sleep(200)
            }
        }
        Peer(dripping).use { peer ->
            val took = measureTime {
                atEveryDoor(MailProtocol.IMAP, fixedToken("ya29.token"), at(peer).copy { timeout = 1.seconds }) { failure, door ->
                    assertEquals(Cause.TIMED_OUT, failure.cause, "$door: ${failure.sentence}")
                }
            }
            assertTrue(took < 20.seconds, "$took")
        }
    }

    // ---- Verified means verified -----------------------------------------------------------------------------------

    private open class TakesAll : X509ExtendedTrustManager() {
        override fun checkServerTrusted(chain: Array<X509Certificate>?, type: String?) = Unit

        override fun checkServerTrusted(chain: Array<X509Certificate>?, type: String?, socket: Socket?) = Unit

        override fun checkServerTrusted(chain: Array<X509Certificate>?, type: String?, engine: SSLEngine?) = Unit

        override fun checkClientTrusted(chain: Array<X509Certificate>?, type: String?) = Unit

        override fun checkClientTrusted(chain: Array<X509Certificate>?, type: String?, socket: Socket?) = Unit

        override fun checkClientTrusted(chain: Array<X509Certificate>?, type: String?, engine: SSLEngine?) = Unit

        override fun getAcceptedIssuers(): Array<X509Certificate> = emptyArray()
    }

    /** The same in the older form, in which Java itself looks at the name. */
    private class TakesAllOfTheName : X509TrustManager {
        override fun checkServerTrusted(chain: Array<X509Certificate>?, type: String?) = Unit

        override fun checkClientTrusted(chain: Array<X509Certificate>?, type: String?) = Unit

        override fun getAcceptedIssuers(): Array<X509Certificate> = emptyArray()
    }

    private fun context(manager: TrustManager): SSLContext = SSLContext.getInstance("TLS").apply { init(null, arrayOf(manager), null) }

    @Test
    fun `a trust manager that takes all is refused before anything is sent`() = test { server ->
        for (manager in listOf(TakesAll(), TakesAllOfTheName())) for (tls in Tls.entries) {
            val options = server.at(MailProtocol.IMAP, tls).copy { sslContext = context(manager) }
            atEveryDoor(MailProtocol.IMAP, tokens(server), options) { failure, door ->
                assertEquals(Cause.TLS_FAILED, failure.cause, "$door: ${failure.sentence}")
                assertContains(failure.sentence, "takes any certificate")
            }
        }
        assertTrue(server.events().none { it.what == "logged_in" || it.what == "refused" })
    }

    @Test
    fun `a trust manager that becomes lax later is refused from then on`() = test { server ->
        var isLax = false
        val strict = object : TakesAll() {
            override fun checkServerTrusted(chain: Array<X509Certificate>?, type: String?, socket: Socket?) = refuseStrangers(chain)

            override fun checkServerTrusted(chain: Array<X509Certificate>?, type: String?, engine: SSLEngine?) = refuseStrangers(chain)

            private fun refuseStrangers(chain: Array<X509Certificate>?) {
                val issuer = chain?.first()?.subjectX500Principal?.name.orEmpty()
                if (!isLax && "nobody" in issuer) throw java.security.cert.CertificateException("not pinned")
            }
        }
        val options = server.at(MailProtocol.IMAP).copy { sslContext = context(strict) }
        connect(MailProtocol.IMAP, user, tokens(server), options).close()
        isLax = true
        assertFailsWith<LoginFailedException> { connect(MailProtocol.IMAP, user, tokens(server), options) }
    }

    @Test
    fun `a common name is no name`() = runBlocking {
        val shield = ExampleShield("", issuer = "CN=localhost")
        Peer(inTls(shield.server) { it.getInputStream().read() }).use { peer ->
            val options = LoginOptions { host = "localhost"; port = peer.port; sslContext = trusting(shield.authority) }
            atEveryDoor(MailProtocol.IMAP, fixedToken("ya29.token"), options) { failure, door ->
                assertEquals(Cause.TLS_FAILED, failure.cause, "$door: ${failure.sentence}")
                assertContains(failure.sentence, "localhost", message = door)
            }
        }
    }

    @Test
    fun `names are compared as RFC 9525 says`() {
        val same = listOf("a.example" to "A.example", "a.example." to "a.example", "a.example.org" to "*.example.org")
        for ((host, name) in same) assertTrue(isNameOf(host, name), "$host $name")
        val others = listOf(
            "a.b.example.org" to "*.example.org", "example.org" to "*.example.org", "a.org" to "*.org", "ab.example.org" to "a*.example.org",
            "a.example" to "b.example", ".example.org" to "*.example.org",
        )
        for ((host, name) in others) assertFalse(isNameOf(host, name), "$host $name")
    }

    @Test
    fun `what the check costs`() {
        val context = org.mailbearer.testing.clientContext()
        checkVerifies(context)
        val took = measureTime { repeat(20) { checkVerifies(context) } }
        println("the check of a context: ${took / 20}")
        assertTrue(took / 20 < 500.milliseconds)
    }
}
