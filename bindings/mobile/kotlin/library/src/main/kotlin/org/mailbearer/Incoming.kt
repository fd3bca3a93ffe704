package org.mailbearer

import java.io.IOException
import java.io.InputStream
import java.io.InterruptedIOException
import java.util.concurrent.CancellationException
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.withLock
import kotlinx.coroutines.Job
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.job
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock

/** Octets that have come and that the program has not read yet: it reads them as a stream, or in a coroutine. */
internal class Incoming {
    private val lock = ReentrantLock()
    private val room = lock.newCondition()
    private val arrived = Channel<Unit>(Channel.CONFLATED)
    private var waiting = ByteArray(0)
    private var isOver = false
    private var problem: (() -> IOException)? = null

    private val blocked = ConcurrentHashMap.newKeySet<Job>()
    @Volatile private var isInterrupted = false

    private val reading = Mutex()
    private var chunk = ByteArray(0)
    private var at = 0

    /** Adds octets; a server that sends more than is read is held back. */
    fun put(bytes: ByteArray) {
        lock.withLock {
            while (waiting.size > HELD_OCTETS && !isOver) room.await()
            waiting += bytes
        }
        arrived.trySend(Unit)
    }

    /** Says that no more will come, and why, where the end is no ordinary one. What is there can still be read. */
    fun end(problem: (() -> IOException)?) {
        lock.withLock {
            if (isOver) return
            isOver = true
            this.problem = problem
            room.signalAll()
        }
        arrived.trySend(Unit)
    }

    suspend fun read(into: ByteArray, offset: Int, length: Int): Int = reading.withLock {
        if (length == 0) return 0
        if (at == chunk.size && !fill()) return -1
        val count = minOf(length, chunk.size - at)
        chunk.copyInto(into, offset, at, at + count)
        at += count
        count
    }

    /** Waits until something can be read, or the end; it takes nothing. */
    suspend fun await() {
        reading.withLock { if (at == chunk.size) fill() }
    }

    suspend fun readLine(): ByteArray? = reading.withLock {
        var end = -1
        while (end < 0) {
            end = (at until chunk.size).firstOrNull { chunk[it] == LF } ?: -1
            if (end < 0 && chunk.size - at > LINE_OCTETS_MAX) {
                throw IOException("a line of the server is longer than $LINE_OCTETS_MAX octets")
            }
            if (end < 0 && !fill()) {
                if (at == chunk.size) return null
                end = chunk.size
            }
        }
        val line = chunk.copyOfRange(at, if (end > at && chunk[end - 1] == CR) end - 1 else end)
        at = minOf(end + 1, chunk.size)
        line
    }

    /** Adds to the chunk what has come, once something has; false at the end. A reader that is cancelled loses nothing. */
    private suspend fun fill(): Boolean {
        while (true) {
            lock.withLock {
                if (waiting.isNotEmpty()) {
                    chunk = chunk.copyOfRange(at, chunk.size) + waiting
                    at = 0
                    waiting = ByteArray(0)
                    room.signalAll()
                    return true
                }
                if (isOver) {
                    // For the readers that come after this one.
                    arrived.trySend(Unit)
                    problem?.let { throw it() }
                    return false
                }
            }
            arrived.receive()
        }
    }

    /** Ends reads that block a thread, now and from now on. */
    fun interrupt() {
        isInterrupted = true
        blocked.forEach { it.cancel() }
    }

    private suspend fun <T> blocking(read: suspend () -> T): T {
        val job = currentCoroutineContext().job
        blocked += job
        try {
            if (isInterrupted) job.cancel()
            currentCoroutineContext().ensureActive()
            return read()
        } finally {
            blocked -= job
        }
    }

    /** The same as a stream, for blocking code. */
    val stream: InputStream =
        object : InputStream() {
            override fun read(): Int {
                val one = ByteArray(1)
                return if (read(one, 0, 1) < 0) -1 else one[0].toInt() and 0xff
            }

            override fun read(into: ByteArray, offset: Int, length: Int): Int =
                try {
                    runBlocking { blocking { this@Incoming.read(into, offset, length) } }
                } catch (_: InterruptedException) {
                    Thread.currentThread().interrupt()
                    throw InterruptedIOException("the read was interrupted")
                } catch (_: CancellationException) {
                    throw InterruptedIOException("the coroutine that works with the connection was cancelled")
                }

            override fun available(): Int = chunk.size - at + lock.withLock { waiting.size }
        }

    private companion object {
        /** A mail client reads more at a time than this only in the middle of a message. */
        const val HELD_OCTETS = 65_536

        /** Far above what a server sends as one line (RFC 9051 section 4: the client's lines end at 8192). */
        const val LINE_OCTETS_MAX = 1 shl 20
        const val CR = '\r'.code.toByte()
        const val LF = '\n'.code.toByte()
    }
}
