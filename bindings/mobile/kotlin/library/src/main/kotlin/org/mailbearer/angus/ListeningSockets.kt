package org.mailbearer.angus

import jakarta.mail.Service
import java.io.FilterInputStream
import java.io.InputStream
import java.net.InetAddress
import java.net.InetSocketAddress
import java.net.Socket
import java.util.concurrent.ConcurrentLinkedQueue
import javax.net.SocketFactory
import kotlin.coroutines.resumeWithException
import kotlinx.coroutines.suspendCancellableCoroutine
import org.mailbearer.SOCKETS

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

private class ListeningSocket : Socket() {
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
