/** Says on the command line when mail comes, for as long as it is left running. */
package org.mailbearer.notifier

import java.io.File
import java.io.IOException
import java.security.KeyStore
import java.security.cert.CertificateFactory
import java.util.concurrent.TimeUnit
import javax.net.ssl.SSLContext
import javax.net.ssl.TrustManagerFactory
import kotlin.system.exitProcess
import kotlinx.coroutines.runBlocking
import org.mailbearer.AccountOptions
import org.mailbearer.LoginFailedException
import org.mailbearer.LoginOptions
import org.mailbearer.MailProtocol
import org.mailbearer.SessionConnection
import org.mailbearer.SessionEvent
import org.mailbearer.Token
import org.mailbearer.TokenSource
import org.mailbearer.idle
import org.mailbearer.sessions

private const val USAGE = """usage: notifier USER TOKEN_COMMAND [HOST PORT CA_FILE]

TOKEN_COMMAND prints an access token, as `oauth2l fetch` does. HOST, PORT and CA_FILE are for servers of your own."""

fun main(arguments: Array<String>): Unit = runBlocking {
    if (arguments.size != 2 && arguments.size != 5) {
        System.err.println(USAGE)
        exitProcess(2)
    }
    val (user, command) = arguments
    try {
        watch(user, tokensOf(command), if (arguments.size == 5) optionsOf(arguments.drop(2)) else LoginOptions())
    } catch (error: LoginFailedException) {
        System.err.println(error.message)
        exitProcess(1)
    }
}

private suspend fun watch(user: String, tokens: TokenSource, options: LoginOptions) {
    sessions(MailProtocol.IMAP, user, tokens, options, AccountOptions { onEvent = ::log }).collect { connection ->
        connection.use { Inbox(connection).watch() }
    }
}

/** The INBOX over one connection: it lasts until the connection is due, or ends. The next one goes on. */
private class Inbox(private val connection: SessionConnection) {
    private var tag = 0

    suspend fun watch() {
        for (line in command("SELECT INBOX")) countIn(line)?.let(::announce)
        connection.idle().collect { change -> change.exists?.let(::announce) }
        command("LOGOUT")
    }

    private suspend fun command(words: String): List<String> {
        val end = "A${++tag} "
        connection.writeLine("$end$words")
        return buildList {
            while (true) {
                val line = connection.readLine() ?: break
                if (line.startsWith(end)) break
                add(line)
            }
        }
    }

    private fun countIn(line: String): UInt? = Regex("""\* (\d+) EXISTS""").matchEntire(line)?.groupValues?.get(1)?.toUInt()

    private fun announce(count: UInt) = println(if (count == 1U) "1 message in INBOX" else "$count messages in INBOX")
}

private fun log(event: SessionEvent) {
    val cause = event.cause?.name?.lowercase()
    val facts = listOfNotNull(event.generation?.let { "session $it" }, cause, event.text, event.duration)
    System.err.println((listOf(event.kind.name.lowercase()) + facts).joinToString(", "))
}

private fun tokensOf(command: String) = TokenSource {
    val process = ProcessBuilder("sh", "-c", command).redirectError(ProcessBuilder.Redirect.INHERIT).start()
    val token = process.inputStream.bufferedReader().readText().trim()
    if (!process.waitFor(1, TimeUnit.MINUTES) || process.exitValue() != 0) throw IOException("the command for tokens failed")
    Token(token)
}

private fun optionsOf(server: List<String>): LoginOptions {
    val (host, port, file) = server
    val authority = File(file).inputStream().use { CertificateFactory.getInstance("X.509").generateCertificate(it) }
    val store = KeyStore.getInstance(KeyStore.getDefaultType()).apply { load(null) }
    store.setCertificateEntry("authority", authority)
    val trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm()).apply { init(store) }
    val context = SSLContext.getInstance("TLS").apply { init(null, trust.trustManagers, null) }
    return LoginOptions {
        this.host = host
        this.port = port.toInt()
        sslContext = context
    }
}
