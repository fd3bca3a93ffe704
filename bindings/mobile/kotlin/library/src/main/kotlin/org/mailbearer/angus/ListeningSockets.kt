package org.mailbearer.angus

import java.io.FilterInputStream
import java.io.InputStream
import java.net.InetAddress
import java.net.InetSocketAddress
import java.net.Socket
import java.util.concurrent.ConcurrentLinkedQueue
import javax.net.SocketFactory
import kotlinx.coroutines.suspendCancellableCoroutine
import org.mailbearer.SOCKETS

/** Sockets that Angus Mail begins a login with in the clear: they notice when the server has spoken, and can be closed. */
internal class ListeningSockets : SocketFactory() {
    private val sockets = ConcurrentLinkedQueue<ListeningSocket>()

    /** Whether no server has spoken yet. */
    fun areSilent(): Boolean = sockets.none { it.hasHeard }

    /** Runs blocking work with these sockets; when the coroutine is cancelled, they are closed, and it need not be waited for. */
    suspend fun <T> closingWhenCancelled(work: () -> T): T = suspendCancellableCoroutine { continuation ->
        continuation.invokeOnCancellation { sockets.forEach { it.close() } }
        SOCKETS.execute { continuation.resumeWith(runCatching(work)) }
    }

    override fun createSocket(): Socket = ListeningSocket().also(sockets::add)

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
