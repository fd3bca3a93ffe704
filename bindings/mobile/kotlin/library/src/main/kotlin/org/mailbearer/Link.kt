package org.mailbearer

import java.io.IOException
import java.net.Socket
import java.net.SocketTimeoutException
import java.nio.Buffer
import java.nio.ByteBuffer
import javax.net.ssl.SSLSocket
import javax.net.ssl.SSLSocketFactory
import kotlin.time.Duration
import kotlin.time.Duration.Companion.nanoseconds
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.asExecutor
import kotlinx.coroutines.suspendCancellableCoroutine
import org.mailbearer.machine.AccessToken
import org.mailbearer.machine.failureOfCertificate
import org.mailbearer.machine.failureOfConnect
import org.mailbearer.machine.failureOfHost

/** Octets of one read. */
internal const val READ_OCTETS = 16_384

/** Threads that wait for sockets, apart from those that the program's own work may need. */
private const val SOCKETS_MAX = 1_000
internal val SOCKETS: CoroutineDispatcher = Dispatchers.IO.limitedParallelism(SOCKETS_MAX, "mailbearer")

/** Runs it there, and waits for nothing. */
internal fun CoroutineDispatcher.execute(work: () -> Unit) = asExecutor().execute(work)

/**
 * A connection below a login and what follows it: TCP, TLS, reads and writes. The caller keeps the deadline. What fails is a
 * [LoginFailedException]; when a coroutine that waits here is cancelled, the connection is dropped.
 */
internal interface Link {
    /** How often a login waited for the server. */
    val roundTrips: Int

    /** Since it was made. */
    val elapsed: Duration

    /** `TLSv1.3`, for example. */
    val tlsVersion: String

    /** Connects, with TLS where it is implicit. */
    suspend fun open()

    /** Does the handshake; certificate and host name are verified. */
    suspend fun startTls()

    /** What has come before the handshake and nobody has read: there must be nothing. */
    fun injected(): ByteBuffer?

    /** What has come; `null` at the end. The buffer is good until the next read. */
    suspend fun read(): ByteBuffer?

    /** Writes all of it. A connection that broke is noticed by the read that follows: there may be words before the end. */
    suspend fun write(bytes: ByteArray, sensitive: Boolean)

    /** Says that the time for connection and login is over. */
    fun timedOut(): LoginFailedException

    /** The login is over: what is said from now on is shown to nobody. */
    fun endTrace()

    /** Gives to the connection what comes from now on, in a thread of its own. */
    fun begin(connection: Connection)

    /** Writes all of it, and blocks. */
    @Throws(IOException::class) fun send(bytes: ByteArray, offset: Int, count: Int)

    /** Drops the connection: whoever waits in it goes on at once, with an [IOException]. */
    fun abort()

    /** Says goodbye and closes; a peer that does not take it is not waited for. */
    suspend fun close()
}

/** A [Link] that is a socket. */
internal class SocketLink(private val settings: Settings, token: AccessToken? = null) : Link {
    private val dialer = Dialer(settings.endpoint.port.toInt(), settings.sockets)
    private lateinit var tcp: Socket
    private lateinit var socket: Socket
    private val begun = System.nanoTime()
    private val chunk = ByteArray(READ_OCTETS)
    private var octets: DirectOctets? = null
    private val tracer = settings.trace?.let { show -> token?.let { Tracer(it, show) } }
    @Volatile private var isConnected = false
    @Volatile private var isSilent = true

    override var roundTrips = 0
        private set
    override val elapsed: Duration
        get() = (System.nanoTime() - begun).nanoseconds

    override val tlsVersion: String
        get() = (socket as SSLSocket).session.protocol

    private val endpoint: Endpoint
        get() = settings.endpoint

    private val place: String
        get() = "${endpoint.host}:${endpoint.port}"

    override suspend fun open() {
        try {
            val addresses = blocking { settings.dns.addressesOf(endpoint.host) }
            tcp = dialer.dial(addresses)
            socket = tcp
        } catch (error: IOException) {
            throw LoginFailedException(failureOfConnect(error, place), error)
        }
        isConnected = true
        if (endpoint.tls == Tls.IMPLICIT) startTls()
    }

    override suspend fun startTls() {
        tracer?.flush()
        try {
            blocking { socket = handshake(settings.sslContext.socketFactory) }
        } catch (error: IOException) {
            throw LoginFailedException(settings.failureOfTls(error), error)
        }
    }

    override fun timedOut(): LoginFailedException {
        if (isConnected) return failed(Cause.TIMED_OUT, "in connection and login together")
        val error = SocketTimeoutException("no answer in ${settings.timeout}")
        return LoginFailedException(failureOfConnect(error, place), error)
    }

    private fun handshake(factory: SSLSocketFactory): SSLSocket {
        // A second look trusts nobody, and says so by itself.
        if (!settings.onlyLooks) checkVerifies(settings.sslContext)
        val secured = factory.createSocket(tcp, endpoint.host, endpoint.port.toInt(), true) as SSLSocket
        // An SSLSocket verifies no host name by itself (RFC 9525; the name of this setting is Java's).
        secured.sslParameters = secured.sslParameters.apply { endpointIdentificationAlgorithm = "HTTPS" }
        secured.startHandshake()
        checkNames(secured.session, endpoint.host)
        return secured
    }

    override fun injected(): ByteBuffer? =
        try {
            val waiting = tcp.getInputStream().available()
            if (waiting == 0) null else heard(tcp.getInputStream().read(chunk).coerceAtLeast(0))
        } catch (_: IOException) {
            // The handshake meets the same end, and tells it.
            null
        }

    override suspend fun read(): ByteBuffer? {
        val isGreeting = isSilent && endpoint.tls == Tls.START_TLS && !settings.onlyLooks
        val count = if (isGreeting) awaitingGreeting(settings, ::isSilent, ::readChunk) else readChunk()
        return if (count < 0) null else heard(count)
    }

    private fun heard(count: Int): ByteBuffer {
        val octets = octets ?: DirectOctets().also { octets = it }
        return octets.of(chunk, 0, count).also { tracer?.received(it) }
    }

    private suspend fun readChunk(): Int =
        try {
            blocking { socket.getInputStream().read(chunk) }.also { isSilent = false }
        } catch (_: IOException) {
            -1
        }

    override suspend fun write(bytes: ByteArray, sensitive: Boolean) {
        roundTrips++
        tracer?.sent(bytes, sensitive)
        try {
            blocking { socket.getOutputStream().write(bytes) }
        } catch (_: IOException) {
            return
        }
    }

    override fun endTrace() {
        tracer?.flush()
    }

    override fun begin(connection: Connection) {
        // Those of the login. A session lives long.
        octets = null
        SOCKETS.execute { connection.pump { socket.getInputStream().read(it) } }
    }

    override fun send(bytes: ByteArray, offset: Int, count: Int) = socket.getOutputStream().write(bytes, offset, count)

    override fun abort() = dialer.abort()

    override suspend fun close() {
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

/**
 * A direct buffer for octets that the machine is to see without a copy on its side. For one thread at a time: [ofThread] is one that
 * is good until the next call there.
 */
internal class DirectOctets {
    companion object {
        private val ofThreads = object : ThreadLocal<DirectOctets>() {
            override fun initialValue() = DirectOctets()
        }

        fun ofThread(): DirectOctets = checkNotNull(ofThreads.get())
    }

    private val buffer = ByteBuffer.allocateDirect(READ_OCTETS)

    /** The same: a ByteBuffer of Android 12 or older has no `clear` and no `flip` of its own. */
    private val bounds: Buffer = buffer

    fun of(bytes: ByteArray, offset: Int, count: Int): ByteBuffer {
        bounds.clear()
        buffer.put(bytes, offset, count)
        bounds.flip()
        return buffer
    }
}

/** Why a handshake failed, with what the certificate says of itself where that is the reason. */
internal suspend fun Settings.failureOfTls(error: IOException): Failure {
    val failure = failureOfHandshake(error)
    return when {
        // It agreed to STARTTLS, and then did not speak TLS: the other way of TLS would not help.
        failure.cause == Cause.WRONG_TLS_MODE && endpoint.tls == Tls.START_TLS ->
            failureOfHost(Cause.TLS_FAILED, "the server agreed to STARTTLS, and went on in the clear")
        failure.cause != Cause.TLS_FAILED || onlyLooks || !isOfCertificate(error) -> failure
        else -> {
            val certificate = certificateIn(error) ?: certificateAt(this) ?: return failure
            failureOfCertificate(wordsOf(chainOf(error).last()), certificate.encoded)
        }
    }
}
