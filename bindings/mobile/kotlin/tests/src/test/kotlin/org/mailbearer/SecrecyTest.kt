package org.mailbearer

import java.net.Socket
import java.util.concurrent.ConcurrentLinkedQueue
import java.util.logging.Handler
import java.util.logging.Level
import java.util.logging.LogRecord
import java.util.logging.Logger
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertIs
import kotlin.test.assertNotNull
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.minutes
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.parallel.ResourceLock
import org.mailbearer.angus.connectStore
import org.mailbearer.angus.connectTransport
import org.mailbearer.angus.imapStore
import org.mailbearer.machine.AccessToken
import org.mailbearer.machine.Action
import org.mailbearer.machine.Identity
import org.mailbearer.machine.Input
import org.mailbearer.machine.Negotiation
import org.mailbearer.machine.NegotiationConfig
import org.mailbearer.machine.Transcript
import org.mailbearer.testing.Server
import org.mailbearer.testing.trusting

/** The token is nowhere to be read, whatever a server repeats. */
class SecrecyTest {
    private val user = "joe@gmail.com"
    private val token = "ya29.CANARY-of-the-mine-0123456789"
    private val leak = LeakCheck(token)
    private val shield = ExampleShield("dns:localhost")

    private fun test(block: suspend CoroutineScope.() -> Unit) = runBlocking { withTimeout(2.minutes) { block() } }

    /** Repeats what it refuses, in pieces of seven octets. */
    private fun echoing(protocol: MailProtocol): (Socket) -> Unit = inTls(shield.server) { socket ->
        fun say(text: String) {
            for (piece in "$text\r\n".encodeToByteArray().asList().chunked(7)) {
                socket.getOutputStream().write(piece.toByteArray())
                socket.getOutputStream().flush()
            }
        }
        when (protocol) {
            MailProtocol.IMAP -> say("* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR] ready")
            MailProtocol.POP3 -> say("+OK ready")
            MailProtocol.SMTP -> say("220 mail ESMTP")
        }
        for (line in socket.getInputStream().bufferedReader().lineSequence()) {
            val tag = line.substringBefore(' ')
            when {
                line.startsWith("CAPA") -> say("+OK\r\nSASL XOAUTH2\r\n.")
                line.startsWith("EHLO") -> say("250-mail\r\n250 AUTH XOAUTH2")
                line.startsWith("AUTH XOAUTH2") && protocol == MailProtocol.POP3 && line.length < 20 -> say("+ ")
                "CAPABILITY" in line -> say("* CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR\r\n$tag OK done")
                "LOGOUT" in line || "QUIT" in line -> return@inTls
                protocol == MailProtocol.IMAP -> say("$tag NO [AUTHENTICATIONFAILED] refused: $line ($token)")
                protocol == MailProtocol.POP3 -> say("-ERR [AUTH] refused: $line ($token)")
                else -> say("535-5.7.8 refused:\r\n535 5.7.8 $line ($token)")
            }
        }
    }

    private fun at(peer: Peer) = LoginOptions { host = "localhost"; port = peer.port; sslContext = trusting(shield.authority) }

    private suspend fun refusedByAngus(protocol: MailProtocol, options: LoginOptions): LoginFailedException =
        assertFailsWith<LoginFailedException>("$protocol") {
            if (protocol == MailProtocol.SMTP) connectTransport(user, fixedToken(token), options)
            else connectStore(protocol, user, fixedToken(token), options)
        }

    @Test
    fun `a trace shows whole lines, in which an echo is masked`() = test {
        for (protocol in MailProtocol.entries) {
            Peer(echoing(protocol)).use { peer ->
                val lines = ConcurrentLinkedQueue<TraceLine>()
                assertFailsWith<LoginFailedException> {
                    connect(protocol, user, fixedToken(token), at(peer).copy { trace = { lines += it } })
                }
                val shown = lines.joinToString("\n") { "${it.side} ${it.text}" }
                leak.check(shown)
                assertEquals(Side.SERVER, lines.first().side)
                assertContains(shown, "XOAUTH2", message = shown)
                assertContains(shown, Regex("refused:.*<token>|5\\.7\\.8 .*<token>"), shown)
                assertTrue(lines.all { '\r' !in it.text && '\n' !in it.text })
            }
        }
    }

    @Test
    fun `sessions show the dialogue of every login, also before TLS`() = test {
        Server().use { server ->
            val lines = ConcurrentLinkedQueue<TraceLine>()
            val options = server.at(MailProtocol.SMTP, Tls.START_TLS).copy { trace = { lines += it } }
            class Enough : Exception()
            assertFailsWith<Enough> {
                sessions(MailProtocol.SMTP, user, { Token(server.issueToken(user)) }, options).collect { throw Enough() }
            }
            val said = lines.filter { it.side == Side.CLIENT }.map { it.text.substringBefore(' ') }
            assertEquals(listOf("EHLO", "STARTTLS", "EHLO", "AUTH"), said.take(4), "$lines")
            assertContains(lines.joinToString { it.text }, "<token")
            // What only looks on does not end the login.
            val broken = options.copy { trace = { error("the log is full") } }
            connect(MailProtocol.SMTP, user, { Token(server.issueToken(user)) }, broken).close()
        }
    }

    @Test
    fun `what Angus Mail throws is kept without the token`() = test {
        for (protocol in MailProtocol.entries) {
            Peer(echoing(protocol)).use { peer ->
                val error = refusedByAngus(protocol, at(peer))
                leak.check(error.stackTraceToString() + error.failure)
                leak.check(generateSequence<Throwable>(error) { it.cause }.joinToString { "$it ${it.suppressed.asList()}" })
                assertContains(error.failure.serverText, "refused", message = "$protocol: ${error.failure}")
                val kept = assertIs<jakarta.mail.AuthenticationFailedException>(error.cause)
                assertContains(assertNotNull(kept.message), "<token>")
                assertTrue(kept.stackTrace.any { "angus" in it.className })
            }
        }
    }

    @Test
    fun `our own failures hold no token`() = test {
        for (protocol in MailProtocol.entries) {
            Peer(echoing(protocol)).use { peer ->
                val error = assertFailsWith<LoginFailedException> { connect(protocol, user, fixedToken(token), at(peer)) }
                leak.check(error.stackTraceToString() + error.failure)
                val events = ConcurrentLinkedQueue<SessionEvent>()
                val all = sessions(protocol, user, fixedToken(token), at(peer), SessionPolicy(), onEvent = events::add)
                val stop = assertFailsWith<LoginFailedException> { all.collect {} }
                leak.check("$events ${stop.stackTraceToString()} ${stop.failure} ${all.status()} $all")
                leak.check(all.snapshot().decodeToString())
            }
        }
    }

    @Test
    @ResourceLock("java.util.logging")
    fun `what Angus Mail writes to the log of Java holds no token`() = test {
        val written = StringBuffer()
        val handler = object : Handler() {
            override fun publish(record: LogRecord) {
                written.append(record.message).append(record.parameters?.contentToString()).append(record.thrown).append('\n')
            }

            override fun flush() = Unit

            override fun close() = Unit
        }
        handler.level = Level.ALL
        val loggers = listOf("org.eclipse.angus.mail", "com.sun.mail", "jakarta.mail").map(Logger::getLogger)
        loggers.forEach {
            it.level = Level.ALL
            it.addHandler(handler)
        }
        try {
            Server().use { server ->
                for (protocol in MailProtocol.entries) for (tls in Tls.entries) refusedByAngus(protocol, server.at(protocol, tls))
            }
        } finally {
            loggers.forEach {
                it.removeHandler(handler)
                it.level = null
            }
        }
        assertContains(written, "XOAUTH2")
        leak.check("$written")
    }

    @Test
    @ResourceLock("java.util.logging")
    fun `what a server repeats after the login is masked in Angus Mail's log`() = test {
        val written = StringBuffer()
        val handler = object : Handler() {
            override fun publish(record: LogRecord) {
                written.append(record.message).append('\n')
            }

            override fun flush() = Unit

            override fun close() = Unit
        }
        handler.level = Level.ALL
        val logger = Logger.getLogger("org.eclipse.angus.mail")
        logger.level = Level.ALL
        logger.addHandler(handler)
        val repeating = inTls(shield.server) { socket ->
            fun say(text: String) = socket.getOutputStream().write("$text\r\n".encodeToByteArray())
            say("* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR] ready")
            for (line in socket.getInputStream().bufferedReader().lineSequence()) {
                val tag = line.substringBefore(' ')
                if ("AUTHENTICATE" !in line) say("* OK you came with $token")
                if ("CAPABILITY" in line) say("* CAPABILITY IMAP4rev1")
                say("$tag OK done")
            }
        }
        try {
            Peer(repeating).use { peer ->
                connectStore(MailProtocol.IMAP, user, fixedToken(token), at(peer)).close()
                connect(MailProtocol.IMAP, user, fixedToken(token), at(peer)).use { imapStore(it).close() }
                val all = sessions(MailProtocol.IMAP, user, fixedToken(token), at(peer))
                all.first().use { imapStore(it).close() }
            }
        } finally {
            logger.removeHandler(handler)
            logger.level = null
        }
        assertTrue(Regex("you came with <token>").findAll(written).count() >= 3, "$written")
        leak.check("$written")
    }

    @Test
    fun `nothing that can be printed holds a token`() = test {
        Server().use { server ->
            val good = server.issueToken(user)
            val check = LeakCheck(good)
            val (checked, given) = AccessToken(good) to Token(good)
            val config = NegotiationConfig(Endpoint(MailProtocol.SMTP, Tls.IMPLICIT, "localhost", 465u), Identity(user))
            val negotiation = Negotiation(config, checked)
            val hello = negotiation.receive(direct("220 mail\r\n".encodeToByteArray()))
            val step = negotiation.receive(direct("250-mail\r\n250 AUTH XOAUTH2\r\n".encodeToByteArray()))
            assertTrue(step.sensitive)
            val source = fixedToken(good)
            val options = server.at(MailProtocol.IMAP)
            val connection = connect(MailProtocol.IMAP, user, source, options)
            val all = sessions(MailProtocol.IMAP, user, source, options)
            val printed = listOf(
                checked, given, config, negotiation, hello, step, source, options, connection, all, all.status(),
                Input.Token(1u, checked, 1u), Action.Send(1u, step.send, true), SessionPolicy(), Transcript(checked),
                assertFailsWith<CoreException> { AccessToken("$good ") }, connection.endpoint,
            )
            for (one in printed) check.check("$one")
            connection.close()
        }
    }
}
