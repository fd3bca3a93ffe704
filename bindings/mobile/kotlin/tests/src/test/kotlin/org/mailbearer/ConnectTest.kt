package org.mailbearer

import java.net.InetAddress
import java.net.ServerSocket
import java.util.concurrent.atomic.AtomicInteger
import kotlin.concurrent.thread
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertNotNull
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.mailbearer.testing.Server
import org.mailbearer.testing.FaultKind
import org.mailbearer.testing.Flavour
import org.mailbearer.testing.Stage

/** `connect`, against the testing server over real TLS. */
class ConnectTest {
    private val user = "joe@gmail.com"

    private suspend fun logIn(
        server: Server,
        protocol: MailProtocol,
        tls: Tls,
        options: (LoginOptions) -> LoginOptions = { it },
    ): Connection = connect(protocol, user, { Token(server.issueToken(user)) }, options(server.at(protocol, tls)))

    @Test
    fun `logs in over every protocol, TLS mode, mechanism and flavour`() = runBlocking {
        val commands = mapOf(
            MailProtocol.IMAP to ("A1 NOOP" to "A1 OK"),
            MailProtocol.POP3 to ("NOOP" to "+OK"),
            MailProtocol.SMTP to ("NOOP" to "250"),
        )
        for (flavour in Flavour.entries) {
            Server(flavour = flavour).use { server ->
                for ((protocol, dialogue) in commands) for (tls in Tls.entries) for (mechanism in Mechanism.entries) {
                    if (flavour == Flavour.OUTLOOK && mechanism == Mechanism.OAUTHBEARER) continue
                    logIn(server, protocol, tls) { it.copy { mechanisms = listOf(mechanism) } }.use { connection ->
                        connection.writeLine(dialogue.first)
                        assertTrue(assertNotNull(connection.readLine()).startsWith(dialogue.second))
                        assertEquals(mechanism, connection.mechanism)
                        assertContains(connection.tlsVersion, "TLSv1")
                    }
                }
            }
        }
    }

    @Test
    fun `gives blocking code its streams`() = runBlocking {
        Server().use { server ->
            logIn(server, MailProtocol.IMAP, Tls.IMPLICIT).use { connection ->
                connection.output.write("A1 NOOP\r\n".encodeToByteArray())
                assertTrue(connection.input.bufferedReader().readLine().startsWith("A1 OK"))
            }
        }
    }

    @Test
    fun `a token that is refused is replaced once`() = runBlocking {
        Server().use { server ->
            val forced = mutableListOf<Boolean>()
            val source = TokenSource { force ->
                forced += force
                if (force) Token(server.issueToken(user)) else Token("ya29.stale-token-of-yesterday")
            }
            connect(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP)).close()
            assertEquals(listOf(false, true), forced)
        }
    }

    @Test
    fun `a refusal says why and what to do, and never the token`() = runBlocking {
        Server().use { server ->
            val token = "ya29.CANARY-CANARY-CANARY"
            val error = assertFailsWith<LoginFailedException> {
                connect(MailProtocol.IMAP, user, fixedToken(token), server.at(MailProtocol.IMAP))
            }
            assertEquals(Cause.TOKEN_REJECTED, error.failure.cause)
            assertEquals(Advice.REFRESH_TOKEN, error.failure.advice)
            assertContains(assertNotNull(error.message), "Get a new access token")
            assertFalse("CANARY" in "$error ${error.failure} ${Token(token)} ${error.stackTraceToString()}")
            server.refuse(Cause.ACCOUNT_DISABLED)
            val second = assertFailsWith<LoginFailedException> { logIn(server, MailProtocol.SMTP, Tls.START_TLS) }
            assertEquals(Cause.ACCOUNT_DISABLED, second.failure.cause)
        }
    }

    @Test
    fun `a certificate of an unknown authority is refused before the token is sent`() = runBlocking {
        Server().use { server ->
            for (tls in Tls.entries) {
                val options = server.at(MailProtocol.IMAP, tls).copy { sslContext = null }
                val error = assertFailsWith<LoginFailedException> {
                    connect(MailProtocol.IMAP, user, fixedToken("ya29.abcdefghijkl"), options)
                }
                assertEquals(Cause.TLS_FAILED, error.failure.cause)
            }
            assertEquals(0, server.events().count { it.what == "logged_in" || it.what == "refused" })
        }
    }

    @Test
    fun `the host name of a certificate is verified`() = runBlocking {
        Server().use { server ->
            forwarding("127.0.0.2", server.port(MailProtocol.IMAP)).use { forward ->
                val options = server.at(MailProtocol.IMAP).copy { host = "127.0.0.2"; port = forward.localPort }
                val error = assertFailsWith<LoginFailedException> {
                    connect(MailProtocol.IMAP, user, fixedToken("ya29.abcdefghijkl"), options)
                }
                assertEquals(Cause.TLS_FAILED, error.failure.cause)
                assertContains(assertNotNull(error.message), "127.0.0.2")
            }
        }
    }

    @Test
    fun `octets behind the reply that starts TLS are refused`() = runBlocking {
        Server().use { server ->
            for (protocol in MailProtocol.entries) {
                server.setFault(Stage.UPGRADE, FaultKind.INJECT)
                val error = assertFailsWith<LoginFailedException> { logIn(server, protocol, Tls.START_TLS) }
                assertEquals(Cause.PLAINTEXT_INJECTED, error.failure.cause, "$protocol")
            }
        }
    }

    @Test
    fun `faults of the server become failures`() = runBlocking {
        val expected = mapOf(
            FaultKind.DROP to setOf(Cause.CONNECTION_LOST),
            FaultKind.GARBAGE to setOf(Cause.PROTOCOL_VIOLATION),
            FaultKind.FLOOD to setOf(Cause.LIMIT_EXCEEDED, Cause.PROTOCOL_VIOLATION),
            FaultKind.VANISH to setOf(Cause.TIMED_OUT),
        )
        Server().use { server ->
            for ((kind, causes) in expected) {
                server.setFault(Stage.GREETING, kind)
                val error = assertFailsWith<LoginFailedException>("$kind") {
                    logIn(server, MailProtocol.IMAP, Tls.IMPLICIT) {
                        it.copy { timeout = if (kind == FaultKind.VANISH) 500.milliseconds else 60.seconds }
                    }
                }
                assertContains(causes, error.failure.cause, "$kind: $error")
            }
        }
    }

    @Test
    fun `bad settings are named before any connection`() = runBlocking {
        val token = fixedToken("ya29.abcdefghijkl")
        suspend fun refused(user: String = this@ConnectTest.user, options: LoginOptions) = assertNotNull(
            assertFailsWith<ConfigException> { connect(MailProtocol.POP3, user, token, options) }.message
        )
        assertContains(refused(options = LoginOptions { host = "a b" }), "host")
        assertContains(refused(options = LoginOptions { host = "h"; port = 70_000 }), "port")
        assertContains(refused("joe\r\n@gmail.com", LoginOptions { host = "h" }), "user")
        assertContains(refused("joe@example.org", LoginOptions()), "host is missing")
        assertContains(refused(options = LoginOptions { host = "h"; mechanisms = emptyList() }), "mechanisms")
        assertContains(refused(options = LoginOptions { provider = providerNamed("icloud") }), "pop3")
        assertContains(refused(options = LoginOptions { host = "h"; timeout = 0.seconds }), "timeout")
        assertContains(refused(options = LoginOptions { host = "h"; ehloName = "two words" }), "ehloName")
    }

    @Test
    fun `what was meant is said where something else was given`() = runBlocking {
        suspend fun refused(host: String) = assertNotNull(
            assertFailsWith<ConfigException>(host) { connect(MailProtocol.IMAP, user, { Token("x") }, LoginOptions { this.host = host }) }.message
        )
        assertContains(refused("b\u00fccher.example"), "xn--bcher-kva.example")
        assertContains(refused("imap.example.org:993"), "has a port")
        assertContains(refused("imaps://imap.example.org"), "is a URL")
        val message = "user=joe\u0001auth=Bearer ya29.CANARY\u0001\u0001"
        val base64 = java.util.Base64.getEncoder().encodeToString(message.encodeToByteArray())
        val given = mapOf(
            "two CANARY" to "offset 3", "Bearer ya29.CANARY" to "Bearer", message to "SASL message", base64 to "SASL message",
            "ya29.CANARY\n" to "line end", "null" to "nothing", "{\"access_token\": \"ya29.CANARY\"}" to "token response",
        )
        for ((value, wrong) in given) {
            val error = assertFailsWith<TokenSourceException>(wrong) {
                connect(MailProtocol.IMAP, user, { Token(value) }, LoginOptions { host = "localhost" })
            }
            assertTrue(error.permanent)
            assertContains(assertNotNull(error.message), wrong)
            assertFalse("CANARY" in error.stackTraceToString() || base64 in error.stackTraceToString())
        }
    }

    @Test
    fun `requests for a token that come together are one call`() = runBlocking {
        Server().use { server ->
            val calls = AtomicInteger()
            val source = TokenSource {
                calls.incrementAndGet()
                delay(300)
                Token(server.issueToken(user))
            }
            val logins = List(8) { async { connect(MailProtocol.IMAP, user, source, server.at(MailProtocol.IMAP)) } }
            logins.awaitAll().forEach { it.close() }
            assertEquals(1, calls.get())
        }
    }

    @Test
    fun `commands of many coroutines are not mixed on one connection`() = runBlocking {
        Server().use { server ->
            logIn(server, MailProtocol.IMAP, Tls.IMPLICIT).use { connection ->
                val tags = List(8) { who -> List(50) { "C${who}N$it" } }
                for (own in tags) launch(Dispatchers.Default) { for (tag in own) connection.writeLine("$tag NOOP") }
                val answered = mutableSetOf<String>()
                while (answered.size < 400) answered += assertNotNull(connection.readLine()).substringBefore(" OK")
                assertEquals(tags.flatten().toSet(), answered)
            }
        }
    }

    @Test
    fun `a login that is cancelled closes its socket`() = runBlocking {
        Server().use { server ->
            server.setFault(Stage.LOGIN, FaultKind.VANISH)
            val login = launch { logIn(server, MailProtocol.IMAP, Tls.IMPLICIT) }
            val seen = mutableListOf<String>()
            suspend fun await(what: String) = withTimeout(30.seconds) {
                while (what !in seen) {
                    seen += server.events().map { it.what }
                    delay(10)
                }
            }
            await("connected")
            login.cancelAndJoin()
            await("closed")
        }
    }

    @Test
    fun `a read that is cancelled loses nothing`() = runBlocking {
        Server().use { server ->
            logIn(server, MailProtocol.IMAP, Tls.IMPLICIT).use { connection ->
                repeat(20) {
                    val read = launch { connection.readLine() }
                    delay(2)
                    read.cancelAndJoin()
                }
                connection.writeLine("A1 NOOP")
                assertTrue(assertNotNull(connection.readLine()).startsWith("A1 OK"))
            }
        }
    }

    @Test
    fun `a connection that is closed says so`() = runBlocking {
        Server().use { server ->
            val connection = logIn(server, MailProtocol.IMAP, Tls.IMPLICIT)
            connection.close()
            connection.close()
            assertFailsWith<MisuseException> { withTimeout(30.seconds) { connection.readLine() } }
            assertFailsWith<java.io.IOException> { withTimeout(30.seconds) { connection.writeLine("A1 NOOP") } }
            Unit
        }
    }
}

/** Listens on another address of this machine, and passes all on. */
private fun forwarding(host: String, port: Int): ServerSocket {
    val listener = ServerSocket(0, 1, InetAddress.getByName(host))
    thread(isDaemon = true) {
        runCatching {
            val near = listener.accept()
            val far = java.net.Socket("127.0.0.1", port)
            thread(isDaemon = true) { runCatching { near.getInputStream().transferTo(far.getOutputStream()) } }
            far.getInputStream().transferTo(near.getOutputStream())
            near.close()
        }
    }
    return listener
}
