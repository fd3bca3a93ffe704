package org.mailbearer

import java.util.concurrent.ConcurrentLinkedQueue
import kotlin.time.Duration
import kotlinx.coroutines.withTimeoutOrNull

/** A connection on its way: a coroutine of its own carries out the orders for it, one after the other, and reads. */
internal class Attempt(private val ticket: ULong, val link: Link, private val driver: Driver) {
    private val orders = ConcurrentLinkedQueue<suspend () -> Unit>()
    @Volatile private var isDone = false

    /** Connects, and does as it is told, until it is logged in or over. */
    suspend fun run(timeout: Duration) {
        try {
            withTimeoutOrNull(timeout) { converse() } ?: throw link.timedOut()
        } catch (problem: LoginFailedException) {
            driver.ended(ticket, problem.failure, problem.cause)
        } finally {
            link.endTrace()
        }
    }

    private suspend fun converse() {
        link.open()
        driver.opened(ticket)
        while (perform()) {
            val bytes = link.read() ?: return driver.ended(ticket)
            driver.receive(ticket, bytes)
        }
    }

    /** Carries out what is ordered; false when that was the last. */
    private suspend fun perform(): Boolean {
        while (!isDone) (orders.poll() ?: return true)()
        return false
    }

    fun send(bytes: ByteArray, sensitive: Boolean) {
        orders.add { link.write(bytes, sensitive) }
    }

    fun startTls() {
        orders.add {
            val injected = link.injected()
            if (injected != null) {
                driver.receive(ticket, injected)
            } else {
                link.startTls()
                driver.secured(ticket)
            }
        }
    }

    /** It is logged in: what comes next is the mail client's. */
    fun pause() {
        orders.add { isDone = true }
    }

    fun close() {
        isDone = true
        link.abort()
    }
}
