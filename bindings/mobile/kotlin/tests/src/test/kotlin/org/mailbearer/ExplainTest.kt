package org.mailbearer

import jakarta.mail.AuthenticationFailedException
import jakarta.mail.Folder
import jakarta.mail.FolderClosedException
import jakarta.mail.MessagingException
import jakarta.mail.SendFailedException
import jakarta.mail.Session as MailSession
import jakarta.mail.internet.InternetAddress
import jakarta.mail.internet.MimeMessage
import java.io.File
import java.net.SocketTimeoutException
import java.util.Properties
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertNotEquals
import kotlin.test.assertNotNull
import kotlin.test.assertTrue
import kotlinx.coroutines.runBlocking
import org.mailbearer.testing.Server
import org.mailbearer.testing.clientContext
import org.mailbearer.testing.FaultKind
import org.mailbearer.testing.Stage

/** `explain`, with what Angus Mail really throws: it logs in by itself here, without mailbearer. */
class ExplainTest {
    private val user = "joe@gmail.com"

    private fun mail(protocol: MailProtocol, port: Int, vararg more: Pair<String, Any>): MailSession {
        val name = protocol.name.lowercase()
        val properties = Properties()
        properties["mail.store.protocol"] = name
        properties["mail.transport.protocol"] = name
        properties["mail.$name.host"] = "localhost"
        properties["mail.$name.port"] = "$port"
        properties["mail.$name.auth"] = "true"
        properties["mail.$name.auth.mechanisms"] = "XOAUTH2"
        properties["mail.$name.auth.xoauth2.two.line.authentication.format"] = "true"
        properties["mail.$name.timeout"] = "20000"
        for ((key, value) in more) properties["mail.$name.$key"] = value
        return MailSession.getInstance(properties)
    }

    private fun inTls(protocol: MailProtocol, server: Server): MailSession =
        mail(
            protocol, server.port(protocol), "ssl.enable" to "true", "ssl.checkserveridentity" to "true",
            "ssl.socketFactory" to clientContext().socketFactory,
        )

    private fun MailSession.logIn(protocol: MailProtocol, token: String) =
        (if (protocol == MailProtocol.SMTP) transport else store).connect("localhost", user, token)

    private fun thrown(work: () -> Unit): MessagingException = assertFailsWith<MessagingException> { work() }

    /** What Angus Mail throws at a server in the clear that says this. */
    private fun thrownAt(protocol: MailProtocol, greeting: String, vararg answers: Pair<String, String>) =
        Peer(speaking(greeting, *answers)).use { peer ->
            thrown { mail(protocol, peer.port).logIn(protocol, "ya29.abcdefghijkl") }
        }

    @Test
    fun `a refused login is a refused token, in IMAP and SMTP`() {
        Server().use { server ->
            for (protocol in listOf(MailProtocol.IMAP, MailProtocol.SMTP)) {
                val error = thrown { inTls(protocol, server).logIn(protocol, "ya29.stale-token") }
                // Also where nobody says what was spoken.
                for (failure in listOf(explain(error), explain(error, protocol, user, "localhost"))) {
                    assertEquals(Cause.TOKEN_REJECTED, failure.cause, "$error")
                    assertEquals(Advice.REFRESH_TOKEN, failure.advice)
                }
            }
        }
    }

    @Test
    fun `refusals for other causes are told apart`() {
        val causes = listOf(Cause.ACCOUNT_DISABLED, Cause.TOO_MANY_CONNECTIONS, Cause.UNAVAILABLE, Cause.INTERACTION_REQUIRED)
        Server().use { server ->
            for (protocol in listOf(MailProtocol.IMAP, MailProtocol.SMTP)) for (cause in causes) {
                server.refuse(cause)
                val error = thrown { inTls(protocol, server).logIn(protocol, server.issueToken(user)) }
                assertEquals(cause, explain(error, protocol, user).cause, "$protocol: $error")
            }
        }
    }

    @Test
    fun `a folder that was closed says why`() {
        Server().use { server ->
            val session = inTls(MailProtocol.IMAP, server)
            fun closing(end: () -> Unit): MessagingException = session.store.use { store ->
                store.connect("localhost", user, server.issueToken(user))
                val inbox = store.getFolder("INBOX").apply { open(Folder.READ_ONLY) }
                end()
                thrown { inbox.getMessage(1).subject }
            }
            val shutdown = closing { server.restart() }
            assertEquals(Cause.SHUTDOWN, explain(shutdown).cause, "$shutdown")
            val lost = closing { server.setFault(Stage.COMMAND, FaultKind.DROP) }
            assertTrue(lost is FolderClosedException, "$lost")
            assertEquals(Cause.CONNECTION_LOST, explain(lost).cause, "$lost")
            assertEquals(Advice.RECONNECT, explain(lost).advice)
        }
    }

    @Test
    fun `what refuses a sender, a recipient or a message is told with its code`() {
        val fine = arrayOf("EHLO" to "250-mail\r\n250 AUTH XOAUTH2", "AUTH" to "235 2.7.0 fine", "RSET" to "250 fine", "QUIT" to "221 bye")
        fun sending(vararg answers: Pair<String, String>): MessagingException =
            Peer(speaking("220 mail ESMTP", *answers, *fine)).use { peer ->
                val session = mail(MailProtocol.SMTP, peer.port)
                val message = MimeMessage(session).apply {
                    setFrom(user)
                    setText("hello")
                }
                val transport = session.transport.apply { connect("localhost", user, "ya29.abcdefghijkl") }
                thrown { transport.sendMessage(message, arrayOf(InternetAddress("nobody@example.org"))) }
                    .also { runCatching { transport.close() } }
            }
        val recipient = sending("MAIL" to "250 fine", "RCPT" to "550 5.1.1 <nobody@example.org>: no such user here")
        assertTrue(recipient is SendFailedException)
        assertContains(explain(recipient).serverText, "no such user")
        assertContains(assertNotNull(explain(recipient).code), "550")
        val later = sending("MAIL" to "451 4.7.0 try again later")
        assertEquals(Advice.BACK_OFF, explain(later).advice, "$later")
        val sender = sending("MAIL" to "550 5.7.60 SMTP; Client does not have permissions to send as this sender")
        assertContains(explain(sender).serverText, "permissions to send")
        for (error in listOf(recipient, later, sender)) assertNotEquals(Cause.NO_FAULT, explain(error).cause)
        // What ended in place of a reply.
        assertEquals(Cause.CONNECTION_LOST, explain(sending("MAIL" to "250 fine", "RCPT" to "250 fine")).cause)
    }

    @Test
    fun `a connection that did not open, and one that opened elsewhere`() {
        val free = java.net.ServerSocket(0).use { it.localPort }
        for (protocol in MailProtocol.entries) {
            val refused = thrown { mail(protocol, free).logIn(protocol, "x") }
            assertEquals(Cause.CONNECTION_REFUSED, explain(refused).cause, "$refused")
            val session = mail(protocol, 1)
            val unknown = thrown {
                (if (protocol == MailProtocol.SMTP) session.transport else session.store).connect("no-such-host.invalid", user, "x")
            }
            assertEquals(Cause.HOST_NOT_FOUND, explain(unknown).cause, "$unknown")
        }
        val elsewhere = mapOf(
            MailProtocol.IMAP to listOf("220 mail.example.org ESMTP", "+OK ready"),
            MailProtocol.POP3 to listOf("* OK ready", "220 mail.example.org ESMTP"),
            MailProtocol.SMTP to listOf("* OK ready", "+OK ready"),
        )
        for ((protocol, greetings) in elsewhere) for (greeting in greetings) {
            val error = thrownAt(protocol, greeting)
            assertEquals(Cause.WRONG_SERVICE, explain(error).cause, "$protocol $greeting: $error")
        }
    }

    @Test
    fun `TLS that fails, and a server that is silent or gone`() {
        Server().use { server ->
            for (protocol in MailProtocol.entries) {
                val stranger = thrown {
                    mail(protocol, server.port(protocol), "ssl.enable" to "true").logIn(protocol, "x")
                }
                assertEquals(Cause.TLS_FAILED, explain(stranger).cause, "$stranger")
            }
        }
        for (protocol in MailProtocol.entries) {
            Peer(speaking("* OK ready")).use { peer ->
                val plain = thrown { mail(protocol, peer.port, "ssl.enable" to "true").logIn(protocol, "x") }
                assertEquals(Cause.WRONG_TLS_MODE, explain(plain).cause, "$plain")
            }
            Peer { it.close() }.use { peer ->
                val gone = thrown { mail(protocol, peer.port).logIn(protocol, "x") }
                assertEquals(Cause.CONNECTION_LOST, explain(gone).cause, "$protocol: $gone")
            }
            Peer { Thread.sleep(10_000) }.use { peer ->
                val silent = thrown { mail(protocol, peer.port, "timeout" to "200").logIn(protocol, "x") }
                assertEquals(Cause.TIMED_OUT, explain(silent).cause, "$protocol: $silent")
            }
        }
    }

    @Test
    fun `what is missing at the server is told as that`() {
        val imap = "CAPABILITY" to "* CAPABILITY IMAP4rev1 LOGINDISABLED\r\nTAG OK done"
        val mechanism = listOf(
            thrownAt(MailProtocol.IMAP, "* OK ready", imap, "LOGOUT" to "TAG OK bye"),
            thrownAt(MailProtocol.SMTP, "220 mail ESMTP", "EHLO" to "250-mail\r\n250 AUTH PLAIN", "QUIT" to "221 bye"),
            thrownAt(MailProtocol.POP3, "+OK ready", "CAPA" to "+OK\r\nSASL PLAIN\r\n.", "QUIT" to "+OK bye"),
        )
        for (error in mechanism) assertEquals(Cause.MECHANISM_UNAVAILABLE, explain(error).cause, "$error")
        val needed = listOf(
            MailProtocol.IMAP to speaking("* OK ready", imap, "LOGOUT" to "TAG OK bye"),
            MailProtocol.SMTP to speaking("220 mail ESMTP", "EHLO" to "250 mail", "QUIT" to "221 bye"),
            MailProtocol.POP3 to speaking("+OK ready", "CAPA" to "+OK\r\n.", "QUIT" to "+OK bye"),
        )
        for ((protocol, speak) in needed) {
            Peer(speak).use { peer ->
                val error = thrown { mail(protocol, peer.port, "starttls.required" to "true").logIn(protocol, "x") }
                assertEquals(Cause.TLS_REFUSED, explain(error).cause, "$error")
            }
        }
        val name = thrownAt(
            MailProtocol.SMTP, "220 mail ESMTP", "EHLO" to "504 5.5.2 <joe>: Helo command rejected: need fully-qualified hostname",
            "HELO" to "504 5.5.2 <joe>: Helo command rejected: need fully-qualified hostname", "QUIT" to "221 bye",
        )
        assertContains(explain(name).serverText, "need fully-qualified hostname")
        assertEquals("504 5.5.2", explain(name).code)
        assertEquals(Cause.CLIENT_NAME_REFUSED, explain(name).cause)
    }

    @Test
    fun `words of the login that look like others are the server's`() {
        val error = thrownAt(
            MailProtocol.SMTP, "220 mail ESMTP", "EHLO" to "250-mail\r\n250 AUTH XOAUTH2",
            "AUTH" to "454 4.7.0 Connection reset by the backend, no password specified", "QUIT" to "221 bye",
        )
        assertContains(explain(error).serverText, "Connection reset by the backend")
        assertEquals(Advice.BACK_OFF, explain(error).advice)
        val greeting = thrownAt(MailProtocol.IMAP, "* BYE [ALERT] Too many simultaneous connections")
        assertEquals(Cause.TOO_MANY_CONNECTIONS, explain(greeting).cause, "$greeting")
        val bad = thrownAt(
            MailProtocol.IMAP, "* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] ready",
            "AUTHENTICATE" to "TAG BAD Server is temporarily unavailable", "LOGOUT" to "TAG OK bye",
        )
        assertContains(explain(bad).serverText, "temporarily unavailable")
    }

    @Test
    fun `without a status nothing is stated, and all is never well`() {
        val texts = listOf("Invalid credentials", "OK", "[AUTHENTICATIONFAILED] no", "Success", "", "Account is disabled")
        for (text in texts) for (protocol in listOf(null, MailProtocol.POP3)) {
            for (error in listOf(AuthenticationFailedException(text), MessagingException(text), MessagingException("x", Exception(text)))) {
                val failure = explain(error, protocol)
                assertNotEquals(Cause.NO_FAULT, failure.cause, "$error")
                if ("[" !in text) assertNotEquals(Certainty.STATED, failure.certainty, "$error")
            }
        }
    }

    @Test
    fun `a challenge is read as text and as octets, in base64 and decoded`() {
        val json = "{\"status\":\"401\",\"scope\":\"https://mail.google.com/\"}"
        val base64 = java.util.Base64.getEncoder().encodeToString(json.encodeToByteArray())
        val read = readRejection("334 $base64")
        assertEquals("401" to "https://mail.google.com/", read.status to read.scope)
        for (text in listOf(json, base64, "+ $base64\r\n")) {
            assertEquals(read, readRejection(text))
            assertEquals(read, readRejection(text.encodeToByteArray()))
        }
        assertEquals(null, readRejection(byteArrayOf(-1, -2, 0)).status)
    }

    @Test
    fun `without Angus Mail there is the rest`() {
        val program = File(System.getProperty("java.home")).resolve("bin/java").path
        val whole = System.getProperty("surefire.test.class.path") ?: System.getProperty("java.class.path")
        val jars = whole.split(File.pathSeparator).filterNot { "angus" in it.substringAfterLast('/') || "jakarta" in it }
        val classPath = jars.joinToString(File.pathSeparator)
        val process = ProcessBuilder(program, "-cp", classPath, "org.mailbearer.WithoutAngusKt").redirectErrorStream(true).start()
        val output = process.inputStream.readAllBytes().decodeToString()
        process.waitFor()
        assertEquals("CONNECTION_REFUSED, UNRECOGNIZED", output.trim())
    }

    @Test
    fun `sockets, time, our own exceptions, and what is none of these`() {
        assertEquals(Cause.CONNECTION_REFUSED, explain(java.net.ConnectException("Connection refused")).cause)
        assertEquals(Cause.UNREACHABLE, explain(java.net.NoRouteToHostException("No route to host")).cause)
        assertEquals(Cause.UNREACHABLE, explain(java.net.SocketException("Network is unreachable")).cause)
        assertEquals(Cause.UNREACHABLE, explain(SocketTimeoutException("Connect timed out")).cause)
        assertEquals(Cause.UNREACHABLE, explain(java.net.UnknownHostException("h: Temporary failure in name resolution")).cause)
        assertEquals(Cause.TIMED_OUT, explain(SocketTimeoutException("Read timed out")).cause)
        assertEquals(Cause.CONNECTION_LOST, explain(RuntimeException(java.net.SocketException("Connection reset"))).cause)
        val ours = assertFailsWith<LoginFailedException> {
            runBlocking { connect(MailProtocol.IMAP, user, fixedToken("ya29.abcdefghijkl"), LoginOptions { this.host = "no-such-host.invalid" }) }
        }
        assertEquals(ours.failure, explain(RuntimeException("wrapped", ours)))
        val permanent = TokenSourceException("invalid_grant: revoked", permanent = true)
        assertEquals(Advice.ASK_USER, explain(permanent).advice)
        assertContains(explain(permanent).sentence, "invalid_grant: revoked")
        val other = explain(IllegalStateException("something else"))
        assertEquals(Cause.UNRECOGNIZED to Certainty.GUESSED, other.cause to other.certainty)
        assertFalse("The server" in other.sentence, other.sentence)
        // A circle of causes ends.
        val first = Exception("first")
        assertEquals(Cause.UNRECOGNIZED, explain(first.apply { initCause(Exception("second", this)) }).cause)
    }
}
