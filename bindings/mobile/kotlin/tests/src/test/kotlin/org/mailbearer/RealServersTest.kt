package org.mailbearer

import jakarta.mail.Flags
import jakarta.mail.Folder
import jakarta.mail.Message
import jakarta.mail.Session as MailSession
import jakarta.mail.internet.InternetAddress
import jakarta.mail.internet.MimeMessage
import java.io.File
import java.nio.file.Files
import java.util.Properties
import java.util.UUID
import javax.net.ssl.SSLContext
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertIs
import kotlin.test.assertNotNull
import kotlin.test.assertTrue
import kotlin.time.Duration
import kotlin.time.Duration.Companion.hours
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import kotlin.time.DurationUnit
import kotlin.time.TimeSource
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.int
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.junit.jupiter.api.AfterAll
import org.junit.jupiter.api.TestInstance
import org.mailbearer.angus.connectStore
import org.mailbearer.angus.connectTransport
import org.mailbearer.angus.imapStore
import org.mailbearer.angus.smtpTransport
import org.mailbearer.testing.Server
import org.mailbearer.testing.certificate
import org.mailbearer.testing.trusting

/** Real Dovecot and Postfix, over real TLS, also with Angus Mail: see tests/servers. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class RealServersTest {
    private val user = "joe@example.com"
    private val script = File(System.getProperty("mailbearer.root")).resolve("tests/servers/mailservers.py").path
    private val folder = Files.createTempDirectory("mailbearer-servers").toFile()
    private val servers: JsonObject = Json.parseToJsonElement(python("start", folder.path)).jsonObject

    @AfterAll
    fun stop() {
        python("stop", folder.path)
        folder.deleteRecursively()
    }

    private fun python(vararg arguments: String): String {
        val process = ProcessBuilder("python3", script, *arguments).redirectError(ProcessBuilder.Redirect.INHERIT).start()
        val output = process.inputStream.readAllBytes().decodeToString()
        check(process.waitFor() == 0) { "mailservers.py ${arguments.first()} failed" }
        return output.trim()
    }

    private suspend fun token(lifetime: Duration = 1.hours, length: Int = 900, who: String = user): Token =
        withContext(Dispatchers.IO) {
            val seconds = lifetime.toString(DurationUnit.SECONDS, 3).removeSuffix("s")
            // It lives from when it is made, and a busy machine takes a while to hand it over.
            val asked = TimeSource.Monotonic.markNow()
            val value = python("token", who, "--length", "$length", "--expires-in=$seconds")
            Token(value, lifetime - asked.elapsedNow())
        }

    private val trust: SSLContext =
        File(servers.getValue("ca_file").jsonPrimitive.content).inputStream().use { trusting(certificate(it)) }

    private fun at(protocol: MailProtocol, tls: Tls = Tls.IMPLICIT): LoginOptions {
        val name = "${protocol.name.lowercase()}-${tls.name.replace("_", "").lowercase()}"
        val port = servers.getValue("ports").jsonObject.getValue(name).jsonPrimitive.int
        return LoginOptions { host = "localhost"; this.port = port; this.tls = tls; sslContext = trust }
    }

    private fun <T> test(block: suspend () -> T) {
        runBlocking { withTimeout(4.minutes) { block() } }
    }

    @Test
    fun `logs in over every protocol, TLS mode and mechanism`() = test {
        for (protocol in MailProtocol.entries) for (tls in Tls.entries) for (mechanism in Mechanism.entries) {
            val options = at(protocol, tls).copy { mechanisms = listOf(mechanism) }
            connect(protocol, user, { token(length = 2000) }, options).use { assertEquals(mechanism, it.mechanism) }
        }
    }

    @Test
    fun `an expired token is refused as such, and replaced`() = test {
        val error = assertFailsWith<LoginFailedException> {
            connect(MailProtocol.IMAP, user, fixedToken(token((-1).hours).value), at(MailProtocol.IMAP))
        }
        assertEquals(Cause.TOKEN_REJECTED, error.failure.cause)
        assertNotNull(error.failure.rejection)
        val forced = mutableListOf<Boolean>()
        val source = TokenSource { force ->
            forced += force
            token(if (force) 1.hours else (-1).hours)
        }
        connect(MailProtocol.SMTP, user, source, at(MailProtocol.SMTP, Tls.START_TLS)).close()
        assertEquals(listOf(false, true), forced)
    }

    @Test
    fun `Angus Mail works through 20 expiries`() = test {
        val subject = "mail ${UUID.randomUUID()}"
        val options = at(MailProtocol.IMAP)
        val policy = SessionPolicy {
            endsWithToken = true
            tokenLifeLeast = 0.seconds
            backoffBase = 10.milliseconds
            loginInterval = 1.milliseconds
        }
        var connections = 0
        sessions(MailProtocol.IMAP, user, { token(4.seconds) }, options, policy).take(21).collect { connection ->
            connection.use {
                imapStore(connection).use { store ->
                    store.getFolder("INBOX").use { inbox ->
                        inbox.open(Folder.READ_WRITE)
                        inbox.appendMessages(arrayOf(message(subject)))
                        assertContains(inbox.messages.map { it.subject }, subject)
                        connection.wait()
                        assertTrue(inbox.messageCount > connections)
                    }
                }
            }
            assertEquals(Cause.NO_FAULT, connection.verdict?.cause ?: Cause.NO_FAULT)
            assertEquals((++connections).toULong(), connection.generation)
        }
        assertEquals(21, connections)
    }

    @Test
    fun `Angus Mail logs in by itself, with a fresh token each time`() = test {
        val forced = mutableListOf<Boolean>()
        val source = TokenSource { force ->
            forced += force
            token(if (force || forced.size > 2) 1.hours else (-1).hours)
        }
        for (tls in Tls.entries) {
            connectStore(MailProtocol.IMAP, user, source, at(MailProtocol.IMAP, tls)).use { store ->
                assertTrue(store.isConnected)
                assertTrue(store.getFolder("INBOX").exists())
            }
        }
        assertEquals(listOf(false, true, false), forced)
        connectStore(MailProtocol.POP3, user, source, at(MailProtocol.POP3)).use { assertTrue(it.isConnected) }
    }

    @Test
    fun `what Angus Mail throws is read for its cause`() = test {
        suspend fun failure(protocol: MailProtocol, options: LoginOptions = at(protocol)): Failure {
            val expired = fixedToken(token((-1).hours, length = 300).value)
            val error = assertFailsWith<LoginFailedException>("$protocol") {
                if (protocol == MailProtocol.SMTP) connectTransport(user, expired, options)
                else connectStore(protocol, user, expired, options)
            }
            assertIs<jakarta.mail.MessagingException>(error.cause)
            assertFalse(expired.token(false).value.take(40) in error.stackTraceToString())
            return error.failure
        }
        for (protocol in MailProtocol.entries) {
            val said = failure(protocol)
            assertEquals(Cause.TOKEN_REJECTED, said.cause, "$protocol $said")
            assertEquals(Advice.REFRESH_TOKEN, said.advice)
        }
        assertEquals(Cause.TLS_FAILED, failure(MailProtocol.IMAP, at(MailProtocol.IMAP).copy { sslContext = null }).cause)
        assertEquals(Cause.CONNECTION_REFUSED, failure(MailProtocol.IMAP, at(MailProtocol.IMAP).copy { port = 1 }).cause)
    }

    @Test
    fun `Angus Mail sends over a connection of ours, and the message arrives`() = test {
        val subject = "sent ${UUID.randomUUID()}"
        connect(MailProtocol.SMTP, user, { token() }, at(MailProtocol.SMTP, Tls.START_TLS)).use { connection ->
            smtpTransport(connection).use { it.sendMessage(message(subject), arrayOf(InternetAddress(user))) }
        }
        connect(MailProtocol.IMAP, user, { token() }, at(MailProtocol.IMAP)).use { connection ->
            imapStore(connection).use { store ->
                val inbox = store.getFolder("INBOX").apply { open(Folder.READ_ONLY) }
                while (inbox.messages.none { it.subject == subject }) delay(200)
            }
        }
    }

    @Test
    fun `Angus Mail learns of the end of a session, and the program why`() = test {
        Server().use { server ->
            val gmail = "joe@gmail.com"
            val source = TokenSource { Token(server.issueToken(gmail)) }
            sessions(MailProtocol.IMAP, gmail, source, server.at(MailProtocol.IMAP)).take(2).collect { connection ->
                val store = imapStore(connection)
                val inbox = store.getFolder("INBOX").apply { open(Folder.READ_ONLY) }
                assertEquals(3, inbox.messageCount)
                if (connection.generation == 1UL) {
                    server.restart()
                    connection.wait()
                    assertFailsWith<jakarta.mail.MessagingException> { inbox.getMessage(1).setFlag(Flags.Flag.SEEN, true) }
                    assertEquals(Cause.SHUTDOWN, assertNotNull(connection.verdict).cause)
                }
            }
        }
    }

    private fun message(subject: String): Message =
        MimeMessage(MailSession.getInstance(Properties())).apply {
            setFrom(user)
            setRecipients(Message.RecipientType.TO, user)
            setSubject(subject)
            setText("hello")
        }
}
