package org.mailbearer

import java.io.IOException
import java.util.concurrent.atomic.AtomicBoolean
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.Job
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeoutOrNull

/**
 * A connection that a session keeps an eye on. After the end of the session, reads give what has come, and then throw
 * [SessionEndedException], as writes do.
 *
 * @property generation counts the sessions, from one.
 * @property resumed what was in flight in the session before; `null` at first.
 */
class SessionConnection
internal constructor(private val driver: Driver, order: Action.Online, link: Link) :
    Connection(
        link,
        driver.settings.config,
        order.mechanism ?: error("the session logged in by itself"),
        order.capabilities,
        order.leftover,
    ) {
    val generation: ULong = order.generation
    val resumed: Aftermath? = order.resumed
    internal val ticket: ULong = order.ticket

    /** Why it ended; `null` while it lives. */
    @Volatile
    var verdict: Verdict? = null
        private set

    /** How long from now it is closed, if it has not been let go; `null`: it is not yet due. */
    val renewBy: Duration?
        get() = renewByMs?.let { (it.toLong() - driver.settings.clock.nowMs()).milliseconds }

    @Volatile
    internal var renewByMs: ULong? = null
        private set

    private val due = CompletableDeferred<Unit>()
    internal val isGivenUp = AtomicBoolean()
    @Volatile private var pumping: Thread? = null
    private val seen = DirectOctets()
    private val sent = DirectOctets()
    private var skip = 0UL
    private var skipped = 0UL
    @Volatile private var heardAt = 0L
    private var watchdog: Job? = null

    /** Waits, and returns early when the connection is due to be let go, or has ended. True in these two cases. */
    suspend fun wait(timeout: Duration = Duration.INFINITE): Boolean {
        withTimeoutOrNull(timeout) { due.await() }
        return due.isCompleted
    }

    /** Runs the block and lets the connection go. The end of the session is a reason to leave the block, and no error. */
    suspend fun use(block: suspend (SessionConnection) -> Unit) {
        try {
            block(this)
        } catch (ended: SessionEndedException) {
            if (verdict == null) throw ended
        } finally {
            close()
        }
    }

    /** Lets the connection go. The next one comes when the block of the flow returns. */
    override fun close() = driver.letGo(this)

    override fun toString(): String = "Session${super.toString().dropLast(1)} generation=$generation)"

    // ---- For the driver --------------------------------------------------------------------------------------------

    /** Takes notice of the end: whoever waits for an answer learns of it. */
    internal fun end(verdict: Verdict) {
        this.verdict = verdict
        due.complete(Unit)
        watchdog?.cancel()
        // What came with the end is given to the program first.
        if (Thread.currentThread() !== pumping) cut(::ending)
    }

    /** Takes notice that it is to be let go. */
    internal fun renew(byMs: ULong) {
        renewByMs = byMs
        due.complete(Unit)
    }

    /** The program is done with it. */
    internal fun finish() {
        due.complete(Unit)
        watchdog?.cancel()
        shut()
    }

    // ---- For the connection ----------------------------------------------------------------------------------------

    override fun saw(bytes: ByteArray, count: Int) {
        heardAt = System.nanoTime()
        pumping = Thread.currentThread()
        val passed = minOf(skip, count.toULong()).toInt()
        skip -= passed.toULong()
        skipped += passed.toULong()
        if (passed == count || verdict != null) return
        if (skipped > 0UL) driver.session.skipped(ticket, skipped)
        skipped = 0UL
        skip = driver.received(this, seen.of(bytes, passed, count - passed))
    }

    override fun delivered() {
        pumping = null
        if (verdict != null) cut(::ending)
    }

    override fun sends(bytes: ByteArray, offset: Int, count: Int) {
        verdict?.let { throw SessionEndedException(it) }
        for (start in offset until offset + count step READ_OCTETS) {
            driver.session.sent(ticket, sent.of(bytes, start, minOf(READ_OCTETS, offset + count - start)))
        }
        if (count > 0) expect()
    }

    override fun lost() {
        driver.lost(this, null)
        super.lost()
    }

    override fun crashed(error: Exception) = driver.crashed(error)

    private fun ending(): IOException = verdict?.let(::SessionEndedException) ?: closed()

    /** Something was written: an answer must come in time, unless none is due. */
    private fun expect() {
        heardAt = System.nanoTime()
        if (watchdog?.isActive != true) watchdog = driver.launch { awaitAnswer() }
    }

    private suspend fun awaitAnswer() {
        while (verdict == null) {
            val left = driver.settings.timeout - ((System.nanoTime() - heardAt) / 1_000_000).milliseconds
            if (left.isPositive()) {
                delay(left)
            } else if (driver.session.isQuiet()) {
                return
            } else {
                driver.lost(this, Cause.TIMED_OUT)
                return
            }
        }
    }
}
