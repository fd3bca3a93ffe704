package org.mailbearer

import java.io.IOException
import java.net.InetSocketAddress
import java.net.Socket
import java.net.UnknownHostException
import java.nio.ByteBuffer
import java.util.concurrent.Executor
import javax.net.ssl.SSLException
import javax.net.ssl.SSLSocket
import javax.net.ssl.SSLSocketFactory
import kotlin.time.Duration
import kotlin.time.Duration.Companion.nanoseconds
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.asExecutor
import kotlinx.coroutines.suspendCancellableCoroutine

/** Octets of one read. */
internal const val READ_OCTETS = 16_384

/** Threads that wait for sockets, apart from those that the program's own work may need. */
private const val SOCKETS_MAX = 1_000
internal val SOCKETS: Executor = Dispatchers.IO.limitedParallelism(SOCKETS_MAX, "mailbearer").asExecutor()

/**
 * A socket on its way to be logged in: TCP, TLS, reads and writes. The caller keeps the deadline. What fails is a
 * [LoginFailedException]; when a coroutine that waits here is cancelled, the socket is closed.
 */
internal class Link(private val settings: Settings) {
    private val tcp = Socket()
    private var socket: Socket = tcp
    private val begun = System.nanoTime()
    private val chunk = ByteArray(READ_OCTETS)
    private val octets = DirectOctets()

    var roundTrips = 0
        private set
    val elapsed: Duration
        get() = (System.nanoTime() - begun).nanoseconds

    /** The socket, once TLS is on it. */
    val secured: SSLSocket
        get() = socket as SSLSocket

    /** Connects, with TLS where it is implicit. */
    suspend fun open() {
        val endpoint = settings.endpoint
        try {
            blocking {
                // imaplib and IMAPClient lose 44 ms in every login because they leave that off.
                tcp.tcpNoDelay = true
                tcp.connect(InetSocketAddress(java.net.InetAddress.getByName(endpoint.host), endpoint.port.toInt()))
            }
        } catch (_: UnknownHostException) {
            throw failed(Cause.CONNECTION_LOST, "the host ${endpoint.host} was not found")
        } catch (error: IOException) {
            throw failed(Cause.CONNECTION_LOST, "${endpoint.host}:${endpoint.port}: ${error.message ?: "refused"}")
        }
        if (endpoint.tls == Tls.IMPLICIT) startTls()
    }

    /** Does the handshake; certificate and host name are verified. */
    suspend fun startTls() {
        try {
            blocking { socket = handshake(settings.sslContext.socketFactory) }
        } catch (error: SSLException) {
            throw failed(Cause.TLS_FAILED, tlsReason(error))
        } catch (_: IOException) {
            throw failed(Cause.TLS_FAILED, "the connection ended in the handshake")
        }
    }

    private fun handshake(factory: SSLSocketFactory): SSLSocket {
        val endpoint = settings.endpoint
        val secured = factory.createSocket(tcp, endpoint.host, endpoint.port.toInt(), true) as SSLSocket
        // An SSLSocket verifies no host name by itself (RFC 9525; the name of this setting is Java's).
        secured.sslParameters = secured.sslParameters.apply { endpointIdentificationAlgorithm = "HTTPS" }
        secured.startHandshake()
        return secured
    }

    /** What has come before the handshake and nobody has read: there must be nothing. */
    fun injected(): ByteBuffer? {
        if (tcp.getInputStream().available() == 0) return null
        return octets.of(chunk, 0, tcp.getInputStream().read(chunk))
    }

    /** What has come; `null` at the end. The buffer is good until the next read. */
    suspend fun read(): ByteBuffer? {
        val count =
            try {
                blocking { socket.getInputStream().read(chunk) }
            } catch (_: IOException) {
                -1
            }
        return if (count < 0) null else octets.of(chunk, 0, count)
    }

    /** Writes all of it. A connection that broke is noticed by the read that follows: there may be words before the end. */
    suspend fun write(bytes: ByteArray) {
        roundTrips++
        try {
            blocking { socket.getOutputStream().write(bytes) }
        } catch (_: IOException) {
            return
        }
    }

    /** Drops the connection: whoever waits in it goes on at once, with an [IOException]. */
    fun abort() {
        tcp.close()
    }

    /** Says goodbye and closes; a peer that does not take it is not waited for. */
    suspend fun close() {
        try {
            blocking { socket.close() }
        } catch (_: IOException) {
            abort()
        }
    }

    private suspend fun <T> blocking(work: () -> T): T = suspendCancellableCoroutine { continuation ->
        continuation.invokeOnCancellation { abort() }
        SOCKETS.execute { continuation.resumeWith(runCatching(work)) }
    }
}

/** A direct buffer for octets that the machine is to see without a copy on its side. For one thread at a time. */
internal class DirectOctets {
    private val buffer = ByteBuffer.allocateDirect(READ_OCTETS)

    fun of(bytes: ByteArray, offset: Int, count: Int): ByteBuffer = buffer.clear().put(bytes, offset, count).flip()
}

private fun tlsReason(error: SSLException): String =
    generateSequence<Throwable>(error) { it.cause }.last().message?.lineSequence()?.first()?.take(200) ?: "no reason given"
