package org.mailbearer

import java.net.ConnectException
import java.net.InetAddress
import java.net.ServerSocket
import java.net.UnknownHostException
import javax.net.ssl.SSLException
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNotNull
import kotlin.test.assertTrue
import kotlin.time.Duration
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import kotlin.time.measureTime
import kotlin.time.measureTimedValue
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.withTimeoutOrNull
import org.junit.jupiter.api.Assumptions.assumeTrue
import org.mailbearer.angus.connectStore
import org.mailbearer.angus.connectTransport
import org.mailbearer.testing.Server
import org.mailbearer.testing.trusting

/** The true reason, at every front door: `connect`, `sessions`, and Angus Mail's own login. */
class DiagnosisTest {
    private val user = "joe@gmail.com"

    /** What a front door says of a login that does not work. */
    private class Told(val cause: Cause, val sentence: String, val error: Throwable?)

    private val doors: Map<String, suspend (MailProtocol, LoginOptions) -> Told> = mapOf(
        "connect" to { protocol, options -> told { connect(protocol, user, source, options) } },
        "sessions" to { protocol, options -> toldBySessions(protocol, options) },
        "Angus Mail" to { protocol, options ->
            told {
                if (protocol == MailProtocol.SMTP) connectTransport(user, source, options)
                else connectStore(protocol, user, source, options)
            }
        },
    )

    private val source = TokenSource { Token("ya29.abcdefghijkl") }

    private suspend fun told(logIn: suspend () -> Any): Told {
        val error = assertFailsWith<LoginFailedException> { logIn() }
        return Told(error.failure.cause, assertNotNull(error.message), error.cause)
    }

    /** What gets better by itself is tried again for ever: the event says why. */
    private suspend fun toldBySessions(protocol: MailProtocol, options: LoginOptions): Told = coroutineScope {
        val event = CompletableDeferred<SessionEvent>()
        val all = sessions(protocol, user, source, options, SessionPolicy()) { if (it.kind == EventKind.LOGIN_FAILED) event.complete(it) }
        val stop = async { runCatching { all.collect {} }.exceptionOrNull() }
        val failed = event.await()
        // A stop follows at once on what it is for.
        val error = withTimeoutOrNull(1.seconds) { stop.await() } as GaveUpException?
        stop.cancelAndJoin()
        if (error != null) Told(error.failure.cause, assertNotNull(error.message), error.cause)
        else Told(assertNotNull(failed.cause), assertNotNull(failed.text), null)
    }

    private fun test(block: suspend CoroutineScope.() -> Unit) = runBlocking { withTimeout(4.minutes) { block() } }

    private suspend fun atEveryDoor(protocol: MailProtocol, options: LoginOptions, check: (String, Told, Duration) -> Unit) {
        for ((name, door) in doors) {
            val (told, took) = measureTimedValue { door(protocol, options) }
            check(name, told, took)
        }
    }

    @Test
    fun `a host that is not found is told as such, in the system's own words`() = test {
        atEveryDoor(MailProtocol.IMAP, LoginOptions { this.host = "no-such-host.invalid" }) { door, told, _ ->
            assertEquals(Cause.HOST_NOT_FOUND, told.cause, door)
            assertContains(told.sentence, "no-such-host.invalid", message = door)
            if (door != "sessions") assertNotNull(told.error, door).isCausedBy<UnknownHostException>(door)
        }
    }

    @Test
    fun `a port where nothing listens is told as such`() = test {
        val free = ServerSocket(0, 1, InetAddress.getByName("127.0.0.1")).use { it.localPort }
        for (protocol in MailProtocol.entries) for (tls in Tls.entries) {
            atEveryDoor(protocol, LoginOptions { host = "localhost"; port = free; this.tls = tls }) { door, told, _ ->
                assertEquals(Cause.CONNECTION_REFUSED, told.cause, door)
                assertContains(told.sentence, "Connection refused", message = door)
                assertContains(told.sentence, "$free", message = door)
                if (door != "sessions") assertNotNull(told.error, door).isCausedBy<ConnectException>(door)
            }
        }
    }

    @Test
    fun `a server in the clear under implicit TLS is the wrong way of TLS`() = test {
        val greetings = mapOf(
            MailProtocol.IMAP to "* OK ready",
            MailProtocol.POP3 to "+OK ready",
            MailProtocol.SMTP to "220 mail.example.org ESMTP",
        )
        for ((protocol, greeting) in greetings) {
            Peer(speaking(greeting)).use { peer ->
                atEveryDoor(protocol, LoginOptions { host = "localhost"; port = peer.port }) { door, told, took ->
                    assertEquals(Cause.WRONG_TLS_MODE, told.cause, "$door, $protocol: ${told.sentence}")
                    if (door != "sessions") assertNotNull(told.error, door).isCausedBy<SSLException>(door)
                    assertTrue(took < SOON, "$door took $took")
                }
            }
        }
    }

    @Test
    fun `a port of TLS under STARTTLS is found by its silence`() = test {
        Server().use { server ->
            for (protocol in MailProtocol.entries) {
                val options = server.at(protocol, Tls.IMPLICIT).copy { tls = Tls.START_TLS }
                atEveryDoor(protocol, options) { door, told, took ->
                    assertEquals(Cause.WRONG_TLS_MODE, told.cause, "$door, $protocol: ${told.sentence}")
                    assertTrue(took > 5.seconds && took < SOON, "$door took $took")
                }
            }
            assertTrue(server.events().none { it.what == "logged_in" || it.what == "refused" })
        }
    }

    @Test
    fun `a server in the clear that is only slow is not disturbed`() = test {
        Server().use { server ->
            val slow = Peer { near ->
                Thread.sleep(6_500)
                java.net.Socket("127.0.0.1", server.port(MailProtocol.SMTP, Tls.START_TLS)).use { far ->
                    kotlin.concurrent.thread(isDaemon = true) { runCatching { near.getInputStream().transferTo(far.getOutputStream()) } }
                    far.getInputStream().transferTo(near.getOutputStream())
                }
            }
            slow.use {
                val options = server.at(MailProtocol.SMTP, Tls.START_TLS).copy { port = slow.port }
                val good = TokenSource { Token(server.issueToken(user)) }
                connect(MailProtocol.SMTP, user, good, options).close()
                connectTransport(user, good, options).close()
                assertTrue(slow.accepted.get() >= 4, "nobody looked")
            }
        }
    }

    @Test
    fun `an end in the first handshake is a connection that was lost`() = test {
        val ends = mapOf<String, (java.net.Socket) -> Unit>(
            "an end" to { it.getInputStream().read() },
            "a reset" to { socket ->
                socket.getInputStream().read()
                socket.setSoLinger(true, 0)
            },
        )
        for ((name, end) in ends) {
            Peer(end).use { peer ->
                atEveryDoor(MailProtocol.IMAP, LoginOptions { host = "localhost"; port = peer.port }) { door, told, _ ->
                    assertEquals(Cause.CONNECTION_LOST, told.cause, "$door, $name: ${told.sentence}")
                }
            }
        }
    }

    @Test
    fun `a certificate that fails says who issued it and for whom`() = test {
        val shield = ExampleShield("dns:mail.example.org,dns:smtp.example.org")
        Peer(inTls(shield.server, speaking("* OK ready"))).use { peer ->
            val options = LoginOptions { host = "localhost"; port = peer.port }
            val strangers = options.copy { sslContext = trusting(ExampleShield("dns:localhost").authority) }
            for (unknown in listOf(options, strangers)) {
                atEveryDoor(MailProtocol.IMAP, unknown) { door, told, took ->
                    assertEquals(Cause.TLS_FAILED, told.cause, door)
                    assertContains(told.sentence, "Example Shield", message = door)
                    assertContains(told.sentence, "smtp.example.org", message = door)
                    assertTrue(took < SOON, "$door took $took")
                }
            }
            // Of one that is trusted, the name is wrong.
            atEveryDoor(MailProtocol.IMAP, options.copy { sslContext = trusting(shield.authority) }) { door, told, _ ->
                assertEquals(Cause.TLS_FAILED, told.cause, door)
                for (name in listOf("localhost", "mail.example.org", "Example Shield")) {
                    assertContains(told.sentence, name, message = door)
                }
            }
        }
    }

    @Test
    fun `a certificate that has expired says since when`() = test {
        val shield = ExampleShield("dns:localhost", begins = "2020/01/01 12:00:00", days = 31, hasAuthority = true)
        Peer(inTls(shield.server, speaking("* OK ready"))).use { peer ->
            val options = LoginOptions { host = "localhost"; port = peer.port; sslContext = trusting(shield.authority) }
            atEveryDoor(MailProtocol.IMAP, options) { door, told, _ ->
                assertEquals(Cause.TLS_FAILED, told.cause, door)
                assertContains(told.sentence, "2020-02-01", message = door)
            }
            // Java's exception has the certificate: nobody looks a second time, and nobody tries again with other authorities.
            for (door in listOf("connect", "Angus Mail")) {
                val before = peer.accepted.get()
                doors.getValue(door)(MailProtocol.IMAP, options)
                assertEquals(before + 1, peer.accepted.get(), door)
            }
        }
    }

    @Test
    fun `a certificate that cannot be read is looked at once more, and no more than that`() = test {
        val peer = Peer { socket ->
            val hello = socket.getInputStream()
            hello.readNBytes(3)
            hello.readNBytes((hello.read() shl 8) or hello.read())
            // A ServerHello of TLS 1.2, and a certificate of four octets that are none (RFC 5246 section 7.4.2).
            val random = "00".repeat(32)
            for (record in listOf("16030300310200002d0303${random}00c02f000005ff01000100", "160303000e0b00000a000007000004deadbeef")) {
                socket.getOutputStream().write(java.util.HexFormat.of().parseHex(record))
            }
            hello.read()
        }
        peer.use {
            val options = LoginOptions { host = "localhost"; port = peer.port }
            for (door in listOf("connect", "Angus Mail")) {
                val before = peer.accepted.get()
                val told = doors.getValue(door)(MailProtocol.IMAP, options)
                assertEquals(Cause.TLS_FAILED, told.cause, door)
                assertEquals(before + 2, peer.accepted.get(), door)
            }
        }
    }

    @Test
    fun `under STARTTLS the certificate is named too, and nothing is sent beside the upgrade`() = test {
        val shield = ExampleShield("dns:mail.example.org")
        val heard = java.util.concurrent.ConcurrentLinkedQueue<String>()
        val peer = Peer { socket ->
            socket.getOutputStream().write("220 mail.example.org ESMTP\r\n".encodeToByteArray())
            while (true) {
                // Octet by octet: what follows on the upgrade is TLS's.
                val line = generateSequence { socket.getInputStream().read().toChar() }.takeWhile { it != '\n' }.joinToString("")
                heard += line.trim()
                val answer = if (line.startsWith("EHLO")) "250-mail\r\n250 STARTTLS" else "220 go on"
                socket.getOutputStream().write("$answer\r\n".encodeToByteArray())
                if (line.startsWith("STARTTLS")) break
            }
            inTls(shield.server) {}(socket)
        }
        peer.use {
            val options = LoginOptions { host = "localhost"; port = peer.port; tls = Tls.START_TLS }
            atEveryDoor(MailProtocol.SMTP, options) { door, told, _ ->
                assertEquals(Cause.TLS_FAILED, told.cause, "$door: ${told.sentence}")
                assertContains(told.sentence, "Example Shield", message = door)
            }
            assertTrue(heard.all { it.startsWith("EHLO ") || it == "STARTTLS" }, "$heard")
        }
    }

    @Test
    fun `a host that never answers cannot be reached`() = test {
        // A queue of one, which is full: the kernel drops what comes.
        val full = ServerSocket(0, 1, InetAddress.getByName("127.0.0.1"))
        full.use {
            val held = List(3) { java.net.Socket() }
            held.forEach { runCatching { it.connect(java.net.InetSocketAddress("127.0.0.1", full.localPort), 100) } }
            val options = LoginOptions { host = "localhost"; port = full.localPort; timeout = 1.seconds }
            atEveryDoor(MailProtocol.IMAP, options) { door, told, _ ->
                assertEquals(Cause.UNREACHABLE, told.cause, "$door: ${told.sentence}")
            }
            held.forEach { it.close() }
        }
    }

    @Test
    fun `a login of Angus Mail that is cancelled is not waited for, and leaves nothing open`() = test {
        val shield = ExampleShield("dns:localhost")
        val asked = CompletableDeferred<Unit>()
        val left = CompletableDeferred<String>()
        val mute = inTls(shield.server) { socket ->
            val lines = socket.getInputStream().bufferedReader()
            socket.getOutputStream().write("* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR] ready\r\n".encodeToByteArray())
            lines.readLine()
            asked.complete(Unit)
            // The end, or the end of TCP without one of TLS.
            left.complete(runCatching { lines.readLine() }.getOrNull() ?: "the end")
        }
        Peer(mute).use { peer ->
            val options = LoginOptions { host = "localhost"; port = peer.port; sslContext = trusting(shield.authority) }
            val login = async { connectStore(MailProtocol.IMAP, user, source, options) }
            asked.await()
            val took = measureTime { login.cancelAndJoin() }
            assertTrue(took < 1.seconds, "$took")
            // It closes its connection by itself: the server says nothing.
            assertEquals("the end", withTimeout(10.seconds) { left.await() })
        }
    }

    @Test
    fun `a registered port says how TLS begins, unless it is unusual`() = test {
        fun asked(protocol: MailProtocol, port: Int, tls: Tls?, unusualPort: Boolean = false) =
            sessions(protocol, user, source, LoginOptions { host = "h"; this.port = port; this.tls = tls; this.unusualPort = unusualPort })
        val wrong = listOf(
            Triple(MailProtocol.IMAP, 993, Tls.START_TLS), Triple(MailProtocol.SMTP, 465, Tls.START_TLS),
            Triple(MailProtocol.POP3, 995, Tls.START_TLS), Triple(MailProtocol.IMAP, 143, Tls.IMPLICIT),
            Triple(MailProtocol.SMTP, 587, Tls.IMPLICIT), Triple(MailProtocol.POP3, 110, Tls.IMPLICIT),
            Triple(MailProtocol.IMAP, 465, null),
        )
        for ((protocol, port, tls) in wrong) {
            val error = assertFailsWith<ConfigException>("$protocol $port $tls") { asked(protocol, port, tls) }
            assertContains(assertNotNull(error.message), "unusualPort")
            asked(protocol, port, tls, unusualPort = true)
        }
        // A port alone is enough: at 587 TLS begins by STARTTLS, and at 2587 with the first octet.
        val submission = runCatching { Peer(587, speaking("220 mail.example.org ESMTP", "EHLO" to "250 fine")) }.getOrNull()
        assumeTrue(submission != null, "who runs this may not listen at port 587")
        submission!!.use {
            val told = told { connect(MailProtocol.SMTP, user, source, LoginOptions { host = "127.0.0.1"; port = 587 }) }
            assertEquals(Cause.TLS_REFUSED, told.cause, told.sentence)
        }
        Peer(speaking("220 mail.example.org ESMTP")).use {
            val told = told { connect(MailProtocol.SMTP, user, source, LoginOptions { host = "127.0.0.1"; port = it.port }) }
            assertEquals(Cause.WRONG_TLS_MODE, told.cause, told.sentence)
        }
    }

    @Test
    fun `the name in EHLO is an option wherever one logs in`() = test {
        val heard = java.util.concurrent.ConcurrentLinkedQueue<String>()
        val shield = ExampleShield("dns:localhost")
        val strict = { socket: java.net.Socket ->
            socket.getOutputStream().write("220 mail.example.org ESMTP\r\n".encodeToByteArray())
            for (line in socket.getInputStream().bufferedReader().lineSequence()) {
                heard += line
                val answer = when {
                    line == "EHLO client.example.org" -> "250-mail.example.org\r\n250 AUTH XOAUTH2"
                    line.startsWith("EHLO") || line.startsWith("HELO") -> "504 5.5.2 Helo command rejected: need fully-qualified hostname"
                    line.startsWith("AUTH") -> "235 2.7.0 fine"
                    else -> "250 fine"
                }
                socket.getOutputStream().write("$answer\r\n".encodeToByteArray())
            }
        }
        Peer(inTls(shield.server, strict)).use { peer ->
            val options = LoginOptions {
                host = "localhost"
                port = peer.port
                ehloName = "client.example.org"
                sslContext = trusting(shield.authority)
            }
            connect(MailProtocol.SMTP, user, source, options).use { org.mailbearer.angus.smtpTransport(it) }
            connectTransport(user, source, options).close()
            try {
                sessions(MailProtocol.SMTP, user, source, options).collect { throw TakeOne() }
            } catch (_: TakeOne) {
                // One is enough.
            }
            assertEquals(4, heard.count { it == "EHLO client.example.org" }, "$heard")
            // Without the option it is the same name at every door, and no name of this machine.
            val plain = options.copy { ehloName = null }
            heard.clear()
            told { connect(MailProtocol.SMTP, user, source, plain) }
            told { connectTransport(user, source, plain) }
            assertEquals(1, heard.filter { it.startsWith("EHLO") }.toSet().size, "$heard")
        }
    }

    private class TakeOne : Exception()

    private companion object {
        /** Six seconds are promised; the machine is shared. */
        val SOON = 12.seconds
    }

    private inline fun <reified T> Throwable.isCausedBy(door: String) =
        assertTrue(generateSequence(this) { it.cause }.any { it is T }, "$door: ${stackTraceToString()}")
}
