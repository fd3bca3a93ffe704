package org.mailbearer

import java.io.IOException
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.Job
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.delay
import kotlinx.coroutines.selects.select
import kotlinx.coroutines.withTimeoutOrNull
import org.mailbearer.machine.Delivery
import org.mailbearer.machine.failureOfHost

/**
 * A connection that a session keeps an eye on. After the end of the session, reads give what has come, and then throw
 * [SessionEndedException], as writes do. The next one comes when this one is let go: [use] or [close].
 *
 * @property generation counts the connections of the session, from one.
 * @property resumed what was in flight in the connection before; `null` at first.
 */
public class SessionConnection
internal constructor(private val driver: Driver, private val settings: Settings, given: Delivery.Give, link: Link) :
    Connection(
        link,
        settings.config,
        given.mechanism ?: error("the account logged in by itself"),
        given.capabilities,
        given.leftover,
        driver::redact,
    ) {
    public val generation: ULong = given.generation
    public val resumed: Aftermath? = given.resumed
    internal val ticket: ULong = given.ticket

    /** Why it ended; `null` while it lives. */
    @Volatile
    public var verdict: Verdict? = null
        private set

    /** What was in flight when it ended; `null` while it lives. The next connection has it as [resumed]. */
    @Volatile
    public var aftermath: Aftermath? = null
        private set

    /** What the system said at the end. */
    private var problem: Throwable? = null

    /** How long from now it is closed, if it has not been let go; `null`: it is not yet due. */
    public val renewBy: Duration?
        get() = renewByMs?.let { (it.toLong() - driver.world.nowMs().toLong()).milliseconds }

    @Volatile
    internal var renewByMs: ULong? = null
        private set

    private val due = CompletableDeferred<Unit>()
    private val gone = CompletableDeferred<Unit>()
    private val nudges = Channel<Unit>(Channel.CONFLATED)
    @Volatile private var pumping: Thread? = null
    private var skip = 0UL
    private var skipped = 0UL
    @Volatile private var heardAt = 0L
    private var watchdog: Job? = null

    /** Of IMAP: follows the mailbox that is selected. */
    internal val follower = Follower(this)

    /** Waits, and returns early when the connection is due to be let go, or has ended. True in these two cases. */
    public suspend fun wait(timeout: Duration = Duration.INFINITE): Boolean {
        inRealTime { withTimeoutOrNull(timeout) { due.await() } }
        return due.isCompleted
    }

    /**
     * Runs the block and lets the connection go. The end of the session is a reason to leave the block, and no error: also as
     * a mail library tells it, as Angus Mail's `FolderClosedException`.
     */
    public suspend fun use(block: suspend (SessionConnection) -> Unit) {
        try {
            block(this)
        } catch (error: Exception) {
            if (verdict == null || !tellsOfEnd(error)) throw error
        } finally {
            close()
        }
    }

    /** Lets the connection go, and returns at once: the next one may come. */
    override fun close() {
        due.complete(Unit)
        watchdog?.cancel()
        shut {
            driver.letGo(this)
            gone.complete(Unit)
        }
    }

    override fun toString(): String = "Session${super.toString().dropLast(1)} generation=$generation)"

    // ---- For the driver --------------------------------------------------------------------------------------------

    /** Takes notice of the end: whoever waits for an answer learns of it. */
    internal fun end(verdict: Verdict, aftermath: Aftermath?, problem: Throwable?) {
        this.problem = problem
        this.aftermath = aftermath
        this.verdict = verdict
        due.complete(Unit)
        gone.complete(Unit)
        watchdog?.cancel()
        // What came with the end is given to the program first.
        if (Thread.currentThread() !== pumping) cut(::ending)
    }

    /** Takes notice that it is to be let go. */
    internal fun renew(byMs: ULong) {
        renewByMs = byMs
        due.complete(Unit)
    }

    /** Only the program knows whether a command is under way: it is said to [idle] and [newMessages], or to nobody. */
    internal fun keepAlive() {
        nudges.trySend(Unit)
    }

    /** Waits until something is to be said to the server, or nothing more: at most so long. */
    internal suspend fun awaitNudge(atMost: Duration) {
        inRealTime {
            withTimeoutOrNull(atMost) {
                select {
                    nudges.onReceive {}
                    due.onAwait {}
                }
            }
        }
    }

    /** The same as two things to wait for among others. */
    internal val onNudge
        get() = nudges.onReceive

    internal val onDue
        get() = due.onAwait

    internal fun nowMs(): ULong = driver.world.nowMs()

    internal suspend fun sleepUntil(ms: ULong) = inRealTime { driver.world.sleepUntil(ms) }

    /** Whether it is to be let go, was closed, or has ended. */
    internal val isDue: Boolean
        get() = due.isCompleted

    /** No answer came in time. */
    internal fun unanswered(time: Duration) = driver.ended(ticket, failureOfHost(Cause.TIMED_OUT, "no answer in $time"))

    /** Waits until it is let go, or over. */
    internal suspend fun awaitGone() = gone.await()

    // ---- For the connection ----------------------------------------------------------------------------------------

    override fun saw(bytes: ByteArray, count: Int) {
        heardAt = System.nanoTime()
        pumping = Thread.currentThread()
        val passed = minOf(skip, count.toULong()).toInt()
        skip -= passed.toULong()
        skipped += passed.toULong()
        if (passed == count || verdict != null) return
        if (skipped > 0UL) driver.skipped(ticket, skipped)
        skipped = 0UL
        skip = driver.receive(ticket, DirectOctets.ofThread().of(bytes, passed, count - passed))
    }

    override fun delivered() {
        pumping = null
        if (verdict != null) cut(::ending)
    }

    override fun sends(bytes: ByteArray, offset: Int, count: Int) {
        verdict?.let { throw SessionEndedException(it, problem) }
        for (start in offset until offset + count step READ_OCTETS) {
            driver.sent(ticket, DirectOctets.ofThread().of(bytes, start, minOf(READ_OCTETS, offset + count - start)))
        }
        if (count > 0) expect()
    }

    override fun lost(error: IOException?) {
        // What the program closes by itself is no end that a session could meet: it is let go.
        if (!isShut) driver.ended(ticket, error?.let(::failureOfSocket), error)
        super.lost(error)
    }

    override fun crashed(error: Exception) = driver.crashed(error)

    private fun ending(): IOException = verdict?.let { SessionEndedException(it, problem) } ?: closed()

    /** Something was written: an answer must come in time, unless none is due. */
    private fun expect() {
        heardAt = System.nanoTime()
        if (watchdog?.isActive != true) watchdog = driver.launch { awaitAnswer() }
    }

    private suspend fun awaitAnswer() {
        while (verdict == null) {
            val time = if (driver.isDelivering(ticket)) settings.dataTimeout else settings.answerTimeout
            val left = time - ((System.nanoTime() - heardAt) / 1_000_000).milliseconds
            when {
                left.isPositive() -> delay(minOf(left, settings.answerTimeout))
                driver.isQuiet(ticket) -> return
                else -> return unanswered(time)
            }
        }
    }
}
