package org.mailbearer.angus

import jakarta.mail.Service
import java.io.FilterInputStream
import java.io.InputStream
import java.io.OutputStream
import java.net.InetAddress
import java.net.InetSocketAddress
import java.net.Socket
import java.net.SocketAddress
import java.net.SocketException
import java.net.SocketTimeoutException
import java.util.concurrent.ConcurrentLinkedQueue
import javax.net.SocketFactory
import kotlin.coroutines.resumeWithException
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.suspendCancellableCoroutine
import kotlinx.coroutines.withTimeoutOrNull
import org.mailbearer.Dialer
import org.mailbearer.Dns
import org.mailbearer.SOCKETS
import org.mailbearer.execute

/** Sockets of Angus Mail's own login: they try every address, notice when the server has spoken, and can be closed. */
internal class ListeningSockets(private val dns: Dns, private val factory: SocketFactory) : SocketFactory() {
    private val sockets = ConcurrentLinkedQueue<ListeningSocket>()

    /** Whether no server has spoken yet. */
    fun areSilent(): Boolean = sockets.none { it.hasHeard }

    /** Closes all that the service has open: whoever waits in one goes on at once. */
    fun close() = sockets.forEach { it.close() }

    /**
     * Connects a service, which blocks. When the coroutine is cancelled, the sockets are closed, and the service is not waited
     * for: if it connects nevertheless, it is closed then.
     */
    suspend fun <T : Service> connecting(service: T, connect: () -> Unit): T = suspendCancellableCoroutine { continuation ->
        continuation.invokeOnCancellation { close() }
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
        return ListeningSocket(dns, factory).also(sockets::add)
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

/**
 * A socket that connects to whichever address of the host answers first (RFC 8305 section 5), as every other connection here:
 * Java's own would try the first one only.
 */
private class ListeningSocket(private val dns: Dns, private val factory: SocketFactory) : Socket() {
    @Volatile private var dialer: Dialer? = null
    @Volatile private var dialed: Socket? = null
    @Volatile private var isShut = false
    @Volatile private var patience = 0

    @Volatile
    var hasHeard = false
        private set

    private val inner: Socket
        get() = dialed ?: throw SocketException("Socket is not connected")

    override fun connect(address: SocketAddress) = connect(address, 0)

    override fun connect(address: SocketAddress, timeout: Int) {
        val (host, port) = (address as InetSocketAddress).run { hostString to port }
        val time = if (timeout == 0) Duration.INFINITE else timeout.milliseconds
        val dialer = Dialer(port, factory).also { dialer = it }
        if (isShut) throw SocketException("Socket closed")
        val socket = runBlocking { withTimeoutOrNull(time) { dialer.dial(dns.addressesOf(host)) } }
        if (socket == null) {
            dialer.abort()
            throw SocketTimeoutException("no address answered in $time")
        }
        socket.soTimeout = patience
        dialed = socket
    }

    override fun getInputStream(): InputStream =
        object : FilterInputStream(inner.getInputStream()) {
            override fun read(): Int = super.read().also { hasHeard = true }

            override fun read(into: ByteArray, offset: Int, length: Int): Int =
                super.read(into, offset, length).also { hasHeard = true }
        }

    override fun getOutputStream(): OutputStream = inner.getOutputStream()

    override fun close() {
        isShut = true
        dialer?.abort()
    }

    override fun setSoTimeout(timeout: Int) {
        patience = timeout
        dialed?.soTimeout = timeout
    }

    override fun getSoTimeout(): Int = patience

    override fun isConnected(): Boolean = dialed != null

    override fun isBound(): Boolean = dialed != null

    override fun isClosed(): Boolean = isShut || dialed?.isClosed == true

    override fun getInetAddress(): InetAddress? = dialed?.inetAddress

    override fun getPort(): Int = dialed?.port ?: 0

    override fun getRemoteSocketAddress(): SocketAddress? = dialed?.remoteSocketAddress

    override fun getLocalAddress(): InetAddress? = dialed?.localAddress

    override fun getLocalPort(): Int = dialed?.localPort ?: -1

    override fun getLocalSocketAddress(): SocketAddress? = dialed?.localSocketAddress

    override fun shutdownInput() = inner.shutdownInput()

    override fun shutdownOutput() = inner.shutdownOutput()

    override fun isInputShutdown(): Boolean = dialed?.isInputShutdown ?: false

    override fun isOutputShutdown(): Boolean = dialed?.isOutputShutdown ?: false
}
