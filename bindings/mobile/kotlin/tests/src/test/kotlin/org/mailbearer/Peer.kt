package org.mailbearer

import java.io.Closeable
import java.io.File
import java.io.IOException
import java.net.InetAddress
import java.net.ServerSocket
import java.net.Socket
import java.nio.file.Files
import java.security.KeyStore
import java.security.cert.X509Certificate
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
import javax.net.ssl.KeyManagerFactory
import javax.net.ssl.SSLContext
import kotlin.concurrent.thread

/** A server on a free port of loopback that does what one test needs, with each connection in a thread of its own. */
internal class Peer(port: Int, private val serve: (Socket) -> Unit) : Closeable {
    constructor(serve: (Socket) -> Unit) : this(0, serve)

    private val listener = ServerSocket(port, 50, InetAddress.getByName("127.0.0.1"))
    val port: Int = listener.localPort
    val accepted = AtomicInteger()

    init {
        thread(isDaemon = true) { accept() }
    }

    private fun accept() {
        while (true) {
            val socket =
                try {
                    listener.accept()
                } catch (_: IOException) {
                    return
                }
            accepted.incrementAndGet()
            thread(isDaemon = true) { runCatching { socket.use(serve) } }
        }
    }

    override fun close() = listener.close()
}

/** Greets, and answers a line with the answer whose words are in it; `TAG` there is the line's first word. */
internal fun speaking(greeting: String, vararg answers: Pair<String, String>): (Socket) -> Unit = { socket ->
    fun say(text: String) = socket.getOutputStream().write("$text\r\n".encodeToByteArray())
    say(greeting)
    for (line in socket.getInputStream().bufferedReader().lineSequence()) {
        val answer = answers.firstOrNull { it.first in line }?.second ?: break
        say(answer.replace("TAG", line.substringBefore(' ')))
    }
}

/** Does the server's side of a handshake, and then speaks. */
internal fun inTls(context: SSLContext, speak: (Socket) -> Unit): (Socket) -> Unit = { socket ->
    val secured = context.socketFactory.createSocket(socket, null, true) as javax.net.ssl.SSLSocket
    secured.useClientMode = false
    secured.startHandshake()
    speak(secured)
}

/**
 * A server's certificate that Example Shield has issued: to itself, or, where it [hasAuthority], by an authority of its own.
 * Made by the JDK's own keytool.
 */
internal class ExampleShield(
    names: String,
    begins: String = "-1d",
    days: Int = 30,
    hasAuthority: Boolean = false,
    issuer: String = "CN=Example Shield CA, O=Example Shield",
) {
    private val folder: File = Files.createTempDirectory("mailbearer-shield").toFile()

    /** Who is to be trusted for it. */
    val authority: X509Certificate
    val server: SSLContext

    init {
        val names = if (names.isEmpty()) emptyList() else listOf("-ext", "san=$names")
        val dates = listOf("-startdate", begins, "-validity", "$days")
        if (hasAuthority) {
            keytool("-genkeypair", "-alias", "ca", "-keyalg", "EC", "-dname", issuer, "-ext", "bc:c")
            keytool("-genkeypair", "-alias", "leaf", "-keyalg", "EC", "-dname", "CN=mail", "-signer", "ca", *(names + dates).toTypedArray())
        } else {
            keytool("-genkeypair", "-alias", "leaf", "-keyalg", "EC", "-dname", issuer, *(names + dates).toTypedArray())
        }
        val store = KeyStore.getInstance(folder.resolve("keys"), PASSWORD.toCharArray())
        authority = store.getCertificate(if (hasAuthority) "ca" else "leaf") as X509Certificate
        store.deleteEntry("ca")
        val keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm())
        keys.init(store, PASSWORD.toCharArray())
        server = SSLContext.getInstance("TLS").apply { init(keys.keyManagers, null, null) }
        folder.deleteRecursively()
    }

    private fun keytool(vararg arguments: String) {
        val program = File(System.getProperty("java.home")).resolve("bin/keytool").path
        val store = listOf("-keystore", folder.resolve("keys").path, "-storepass", PASSWORD, "-storetype", "PKCS12")
        val command = listOf(program, "-J-XX:TieredStopAtLevel=1") + arguments + store
        val process = ProcessBuilder(command).redirectErrorStream(true).start()
        val output = process.inputStream.readAllBytes().decodeToString()
        check(process.waitFor(1, TimeUnit.MINUTES) && process.exitValue() == 0) { output }
    }

    private companion object {
        const val PASSWORD = "of no value"
    }
}
