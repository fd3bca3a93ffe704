package org.mailbearer.angus

import jakarta.mail.Service
import java.io.FilterInputStream
import java.io.InputStream
import java.net.InetAddress
import java.net.InetSocketAddress
import java.net.Socket
import java.util.concurrent.ConcurrentLinkedQueue
import javax.net.SocketFactory
import javax.net.ssl.SSLSocketFactory
import kotlin.coroutines.resumeWithException
import kotlinx.coroutines.suspendCancellableCoroutine
import org.mailbearer.SOCKETS
import org.mailbearer.tuned

/** Sockets that Angus Mail begins a login with in the clear: they notice when the server has spoken, and can be closed. */
internal class ListeningSockets : SocketFactory() {
    private val sockets = ConcurrentLinkedQueue<ListeningSocket>()

    /** Whether no server has spoken yet. */
    fun areSilent(): Boolean = sockets.none { it.hasHeard }

    /**
     * Connects a service, which blocks. When the coroutine is cancelled, the sockets are closed, and the service is not waited
     * for: if it connects nevertheless, it is closed then.
     */
    suspend fun <T : Service> connecting(service: T, connect: () -> Unit): T = suspendCancellableCoroutine { continuation ->
        continuation.invokeOnCancellation { sockets.forEach { it.close() } }
        SOCKETS.execute {
            runCatching(connect).fold(
                { continuation.resume(service) { _, _, _ -> runCatching { service.close() } } },
                continuation::resumeWithException,
            )
        }
    }

    override fun createSocket(): Socket {
        // The store opens more of them as long as it lives.
        sockets.removeIf { it.isClosed }
        return ListeningSocket().also(sockets::add)
    }

    override fun createSocket(host: String, port: Int): Socket =
        createSocket().apply { connect(InetSocketAddress(host, port)) }

    override fun createSocket(host: String, port: Int, near: InetAddress, nearPort: Int): Socket =
        createSocket().apply {
            bind(InetSocketAddress(near, nearPort))
            connect(InetSocketAddress(host, port))
        }

    override fun createSocket(host: InetAddress, port: Int): Socket =
        createSocket().apply { connect(InetSocketAddress(host, port)) }

    override fun createSocket(host: InetAddress, port: Int, near: InetAddress, nearPort: Int): Socket =
        createSocket().apply {
            bind(InetSocketAddress(near, nearPort))
            connect(InetSocketAddress(host, port))
        }
}

/** TLS over sockets with the options of every connection: Angus Mail makes those by itself, and gives them to be wrapped. */
internal class TunedSockets(private val plain: SSLSocketFactory) : SSLSocketFactory() {
    override fun getDefaultCipherSuites(): Array<String> = plain.defaultCipherSuites

    override fun getSupportedCipherSuites(): Array<String> = plain.supportedCipherSuites

    override fun createSocket(): Socket = plain.createSocket().apply(::tuned)

    override fun createSocket(below: Socket, host: String, port: Int, autoClose: Boolean): Socket =
        plain.createSocket(below.apply(::tuned), host, port, autoClose)

    override fun createSocket(host: String, port: Int): Socket = plain.createSocket(host, port).apply(::tuned)

    override fun createSocket(host: String, port: Int, near: InetAddress, nearPort: Int): Socket =
        plain.createSocket(host, port, near, nearPort).apply(::tuned)

    override fun createSocket(host: InetAddress, port: Int): Socket = plain.createSocket(host, port).apply(::tuned)

    override fun createSocket(host: InetAddress, port: Int, near: InetAddress, nearPort: Int): Socket =
        plain.createSocket(host, port, near, nearPort).apply(::tuned)
}

private class ListeningSocket : Socket() {
    init {
        tuned(this)
    }

    @Volatile
    var hasHeard = false
        private set

    override fun getInputStream(): InputStream =
        object : FilterInputStream(super.getInputStream()) {
            override fun read(): Int = super.read().also { hasHeard = true }

            override fun read(into: ByteArray, offset: Int, length: Int): Int =
                super.read(into, offset, length).also { hasHeard = true }
        }
}
