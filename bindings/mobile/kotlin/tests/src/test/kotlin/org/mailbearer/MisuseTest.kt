package org.mailbearer

import java.nio.ByteBuffer
import java.util.concurrent.Callable
import java.util.concurrent.Executors
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertIs
import kotlin.test.assertNotNull
import kotlin.test.assertTrue
import org.mailbearer.machine.AccessToken
import org.mailbearer.machine.Action
import org.mailbearer.machine.Identity
import org.mailbearer.machine.Input
import org.mailbearer.machine.Negotiation
import org.mailbearer.machine.NegotiationConfig
import org.mailbearer.machine.Session
import org.mailbearer.machine.SessionConfig
import org.mailbearer.machine.Watch
import org.mailbearer.machine.acknowledgement
import org.mailbearer.machine.classify
import org.mailbearer.machine.initialResponse

/** The machines in the hands of a program that gets it wrong. */
class MisuseTest {
    private val config = NegotiationConfig(
        Endpoint(MailProtocol.IMAP, Tls.IMPLICIT, "imap.example.org", 993u),
        Identity("joe@example.org"),
    )

    @Test
    fun `a panic in Rust is an exception, and the library goes on to work`() {
        repeat(3) {
            val error = assertFailsWith<CoreException.Internal> { provokePanic() }
            assertContains(assertNotNull(error.message), "please report it")
        }
        assertContains(providerNames(), "gmail")
    }

    @Test
    fun `an object that is used after close says so`() {
        val token = AccessToken("ya29.abcdefghijkl")
        val negotiation = Negotiation(config, token)
        val watch = Watch(MailProtocol.IMAP)
        val session = Session(SessionConfig(config), 7u)
        listOf(token, negotiation, watch, session).forEach {
            it.close()
            it.close()
        }
        assertFailsWith<IllegalStateException> { token.isSame(token) }
        assertFailsWith<IllegalStateException> { negotiation.closed() }
        assertFailsWith<IllegalStateException> { watch.isQuiet() }
        assertFailsWith<IllegalStateException> { session.handle(1u, Input.Start) }
        // Also where it is an argument, or a part of one: UniFFI's own code would use its freed memory.
        assertFailsWith<IllegalStateException> { Negotiation(config, token) }
        assertFailsWith<IllegalStateException> { AccessToken("ya29.mnopqrstuvwx").isSame(token) }
        assertFailsWith<IllegalStateException> {
            Session(SessionConfig(config), 7u).handle(1u, Input.Token(1u, token, null))
        }
    }

    @Test
    fun `calls that do not fit are refused with a reason`() {
        val negotiation = AccessToken("ya29.abcdefghijkl").use { Negotiation(config, it) }
        assertContains(misuse { negotiation.tlsEstablished() }, "only after StartTls")
        assertContains(misuse { negotiation.receive(ByteBuffer.allocateDirect(0)) }, "no bytes were given")
        negotiation.closed()
        assertContains(misuse { negotiation.closed() }, "the negotiation is over")
        val session = Session(SessionConfig(config), 7u)
        assertFailsWith<IllegalArgumentException> { negotiation.receive(ByteBuffer.allocate(4)) }
        assertContains(misuse { session.handle(1u, Input.Connected(99u)) }, "does not answer any open order")
    }

    private fun misuse(block: () -> Unit): String = assertNotNull(assertFailsWith<CoreException.Misuse> { block() }.message)

    @Test
    fun `a provider that takes no tokens says what to do instead`() {
        assertEquals("https://oauth2.googleapis.com/token", providerNamed("gmail").oauth?.tokenEndpoint)
        val instead = providerOfAddress("joe@gmx.net")?.instead
        val error = assertFailsWith<ConfigException> { sessions(MailProtocol.IMAP, "joe@gmx.net", { Token("t") }) }
        assertEquals("gmx cannot be logged in to with OAuth. $instead", error.message)
    }

    @Test
    fun `a token is never shown`() {
        val canary = "CANARYCANARYCANARY"
        val token = AccessToken(canary)
        val session = Session(SessionConfig(config), 7u)
        val fetch = assertIs<Action.FetchToken>(session.handle(1u, Input.Start).actions.single())
        val input = Input.Token(fetch.request, token, null)
        session.handle(2u, input)
        val shown = "$token $input ${session.status()} ${session.snapshot().decodeToString()} ${Token(canary)}"
        assertFalse("CANARY" in shown, shown)
        val error = assertFailsWith<CoreException.Config> { AccessToken("CANARY CANARY") }
        assertFalse("CANARY" in error.stackTraceToString())
    }

    @Test
    fun `many threads may use one machine`() {
        val session = Session(SessionConfig(config), 7u)
        val watch = Watch(MailProtocol.IMAP)
        session.handle(1u, Input.Start)
        val threads = Executors.newFixedThreadPool(8)
        val calls = List(8) { number ->
            Callable {
                repeat(500) { round ->
                    session.handle((round + number).toULong(), Input.Tick)
                    session.status()
                    watch.sent(direct("A$number NOOP\r\n".encodeToByteArray()))
                    watch.received(direct("A$number OK done\r\n".encodeToByteArray()))
                }
                true
            }
        }
        assertTrue(threads.invokeAll(calls).all { it.get() })
        threads.shutdown()
        assertEquals(SessionPhase.FETCHING_TOKEN, session.status().phase)
    }

    @Test
    fun `an object that is closed while others use it does not break them`() {
        repeat(50) {
            val watch = Watch(MailProtocol.IMAP)
            val threads = Executors.newFixedThreadPool(4)
            val uses = List(3) {
                Callable<Throwable?> { runCatching { repeat(100) { watch.isQuiet() } }.exceptionOrNull() }
            }
            val close = Callable<Throwable?> {
                watch.close()
                null
            }
            for (use in threads.invokeAll(uses + close)) use.get()?.let { assertIs<IllegalStateException>(it) }
            threads.shutdown()
        }
    }

    @Test
    fun `the pure functions answer`() {
        val token = AccessToken("ya29.abcdefghijkl")
        val message = initialResponse(Mechanism.XOAUTH2, config.identity, config.endpoint, token).decodeToString()
        assertEquals("user=joe@example.org\u0001auth=Bearer ya29.abcdefghijkl\u0001\u0001", message)
        assertEquals("\u0001", acknowledgement(Mechanism.OAUTHBEARER).decodeToString())
        assertEquals("401", readRejection("eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIn0=").status)
        val verdict = classify(MailProtocol.IMAP, Phase.AUTH_FAIL, listOf("A1 NO [UNAVAILABLE] Temporary failure"))
        assertEquals(Cause.UNAVAILABLE, verdict.cause)
        assertEquals("microsoft", providerOfAddress("joe@hotmail.com")?.name)
        assertFailsWith<CoreException.Unknown> { providerNamed("nobody") }
    }
}
