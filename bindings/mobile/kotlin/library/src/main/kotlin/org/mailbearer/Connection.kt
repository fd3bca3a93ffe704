package org.mailbearer

import java.io.Closeable
import java.io.IOException
import java.io.InputStream
import java.io.InterruptedIOException
import java.io.OutputStream
import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicBoolean
import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.withLock
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.launch
import kotlinx.coroutines.suspendCancellableCoroutine
import kotlinx.coroutines.withTimeoutOrNull
import org.mailbearer.machine.NegotiationConfig
import org.mailbearer.machine.ehloNameOf

/**
 * A TLS connection that is logged in. Read and write in coroutines, or give [input] and [output] to blocking code. It can
 * be used from many threads; octets of one write are never mixed with those of another.
 *
 * @property mechanism how it was logged in.
 * @property capabilities what the server said with the login that it can do; empty where it said nothing.
 */
public open class Connection
internal constructor(
    private val link: Link,
    private val config: NegotiationConfig,
    public val mechanism: Mechanism,
    public val capabilities: List<String>,
    leftover: ByteArray,
    /** Masks its token in a text. */
    internal val masker: (String) -> String,
) : Closeable {
    /** Where it leads. */
    public val endpoint: Endpoint = config.endpoint

    /** The client's name in `EHLO`. */
    internal val ehloName: String
        get() = ehloNameOf(config)

    /** How often the login waited for the server. */
    public val roundTrips: Int = link.roundTrips

    /** How long connection and login took together. */
    public val loginTime: Duration = link.elapsed

    /** Angus Mail reads it, and nobody else may. */
    @Volatile internal var isOfAngus = false

    private val incoming = Incoming().apply { if (leftover.isNotEmpty()) put(leftover) }
    private val writing = ReentrantLock()
    private val pumped = CountDownLatch(1)
    private val isClosed = AtomicBoolean()

    /** Calls that block a thread end, now and from now on. */
    @Volatile private var isInterrupted = false

    /** `TLSv1.3`, for example. */
    public val tlsVersion: String
        get() = link.tlsVersion

    /** Reads from the server; octets that came behind the login come first. */
    public val input: InputStream
        get() = incoming.stream

    /** Writes to the server. */
    public val output: OutputStream =
        object : OutputStream() {
            override fun write(octet: Int) = write(byteArrayOf(octet.toByte()), 0, 1)

            override fun write(bytes: ByteArray, offset: Int, count: Int) {
                if (isInterrupted) throw InterruptedIOException("the coroutine that this was written in is cancelled")
                send(bytes, offset, count)
            }

            override fun close() = this@Connection.close()
        }

    /** Reads what has come, at most [length] octets; -1 at the end. */
    public suspend fun read(into: ByteArray, offset: Int = 0, length: Int = into.size - offset): Int =
        incoming.read(into, offset, length)

    /** Waits until something can be read, or the end; it takes nothing. */
    internal suspend fun awaitOctets() = incoming.await()

    /** Reads a line, without its line end; `null` at the end. */
    public suspend fun readLine(): String? = incoming.readLine()?.decodeToString()

    /** Writes all of it. A write that is cancelled half-way has lost the connection. */
    public suspend fun write(bytes: ByteArray): Unit = suspendCancellableCoroutine { continuation ->
        continuation.invokeOnCancellation { link.abort() }
        SOCKETS.execute { continuation.resumeWith(runCatching { send(bytes, 0, bytes.size) }) }
    }

    /** Writes a command, and its line end. */
    public suspend fun writeLine(line: String): Unit = write("$line\r\n".encodeToByteArray())

    /**
     * Runs code that blocks its thread on [input] and [output], in a thread for that. When the coroutine is cancelled, or its time
     * is out, reads and writes of the connection end with an [InterruptedIOException], and so does the code: the connection is
     * of no more use then, and is to be closed.
     *
     * ```
     * withTimeout(5.seconds) {
     *     connection.blocking { connection.input.readNBytes(1000) }
     * }
     * ```
     */
    public suspend fun <T> blocking(work: () -> T): T = blocking(::interrupt, work)

    /** Closes the connection. */
    override fun close(): Unit = shut()

    override fun toString(): String =
        "Connection(${endpoint.protocol.name.lowercase()} ${endpoint.host}:${endpoint.port})"

    // ---- What a session adds -------------------------------------------------------------------------------------

    /** Octets have come, and are given to the program next. */
    internal open fun saw(bytes: ByteArray, count: Int) = Unit

    /** The program has them. */
    internal open fun delivered() = Unit

    /** Octets are written next. */
    internal open fun sends(bytes: ByteArray, offset: Int, count: Int) = Unit

    /** The connection reached its end, or broke: then with what the system said. */
    internal open fun lost(error: IOException?) = incoming.end(null)

    /** Something went wrong that must not. */
    internal open fun crashed(error: Exception) = incoming.end { IOException(error) }

    // ---- Below ----------------------------------------------------------------------------------------------------

    /** Takes what comes, until the end. */
    internal fun pump(read: (ByteArray) -> Int) {
        val chunk = ByteArray(READ_OCTETS)
        var broke: IOException? = null
        try {
            while (true) {
                val count = read(chunk)
                if (count < 0) break
                took(chunk, count)
            }
        } catch (error: IOException) {
            broke = error
        } catch (error: Exception) {
            crashed(error)
        }
        lost(broke)
        pumped.countDown()
    }

    /** Takes what one read brought. */
    internal fun took(chunk: ByteArray, count: Int) {
        saw(chunk, count)
        incoming.put(chunk.copyOf(count))
        delivered()
    }

    private fun send(bytes: ByteArray, offset: Int, count: Int): Unit = writing.withLock {
        sends(bytes, offset, count)
        if (isClosed.get()) throw closed()
        try {
            link.send(bytes, offset, count)
        } catch (error: IOException) {
            // The end is found by who reads, and there may be words of the server before it.
            pumped.await(GOODBYE.inWholeMilliseconds, TimeUnit.MILLISECONDS)
            sends(bytes, offset, 0)
            throw error
        }
    }

    /** Ends it for the program, at once and with this problem: what has come can still be read. */
    internal fun cut(problem: () -> IOException) {
        incoming.end(problem)
        link.abort()
    }

    /** Ends what blocks a thread, for the coroutine that it is in was cancelled. */
    internal fun interrupt() {
        isInterrupted = true
        incoming.interrupt()
        // A write that is half done leaves nothing that could be used.
        if (writing.isLocked) link.abort()
    }

    /** Whether the program has closed it. */
    internal val isShut: Boolean
        get() = isClosed.get()

    /** Closes it, once: the program is done with it. */
    internal fun shut(then: () -> Unit = {}) {
        if (!isClosed.compareAndSet(false, true)) return
        incoming.end(::closed)
        CLOSING.launch {
            withTimeoutOrNull(GOODBYE) { link.close() }
            link.abort()
            then()
        }
    }

    internal fun closed() = MisuseException("the connection is closed")

    private companion object {
        /** For the goodbye of TLS. */
        val GOODBYE = 1.seconds
        val CLOSING = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    }
}
