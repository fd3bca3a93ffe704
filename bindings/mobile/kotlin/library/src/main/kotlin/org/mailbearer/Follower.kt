package org.mailbearer

import java.util.concurrent.atomic.AtomicBoolean
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.async
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import kotlinx.coroutines.selects.select
import org.mailbearer.machine.Follow
import org.mailbearer.machine.FollowConfig
import org.mailbearer.machine.FollowEvent
import org.mailbearer.machine.FollowPlan

/** Reads, writes and wakes for the [Follow] of one connection. Who is cancelled leaves it as it is: the next one goes on. */
internal class Follower(private val connection: SessionConnection) {
    private var follow: Follow? = null
    private var config: FollowConfig? = null
    private val events = ArrayDeque<FollowEvent>()
    private var wakeAtMs: ULong? = null

    /** No command is under way. */
    private var isFree = true

    /** It was interrupted because the connection is due, or over. */
    private var isLeaving = false
    private val isCollected = AtomicBoolean()
    private val chunk = ByteArray(READ_OCTETS)

    /**
     * Tells what happens, one after the other, until the connection is due to be let go. No command is under way while it tells,
     * and when it returns. One that does not [waits] returns once all that there is was told.
     */
    suspend fun follow(config: FollowConfig, waits: Boolean, tell: suspend (FollowEvent) -> Unit) {
        if (!isCollected.compareAndSet(false, true)) {
            throw MisuseException("another idle() or newMessages() of this connection is collected: one at a time")
        }
        try {
            begin(config)
            if (!waits) interrupt()
            var hasTold = false
            while (true) {
                when {
                    !isFree -> if (!step()) return
                    events.isNotEmpty() -> {
                        tell(events.removeFirst())
                        hasTold = true
                    }
                    // Where it has ended, the next write says so.
                    connection.isDue && connection.verdict == null -> return
                    // It is free and there was nothing: no more than that is there.
                    !waits && !hasTold -> return
                    else -> {
                        carryOut { it.resume(connection.nowMs()) }
                        hasTold = false
                        if (!waits) interrupt()
                    }
                }
            }
        } finally {
            isCollected.set(false)
        }
    }

    /** Takes up the wait for changes that a collector before was cancelled in, or ends what it has left. */
    private suspend fun begin(config: FollowConfig) {
        // New messages are told again by the cursor.
        if (!isFree && config == this.config && !config.tellsMessages) return
        if (!isFree) carryOut { it.interrupt(connection.nowMs()) }
        while (!isFree && step()) continue
        val next = configuring { Follow(config, follow?.tags() ?: 0U) }
        follow?.close()
        follow = next
        this.config = config
        events.clear()
        carryOut { it.start(connection.nowMs()) }
    }

    /** Waits for one thing, and tells it; false at the end of the connection. */
    private suspend fun step(): Boolean {
        when (wait()) {
            Woken.READ -> {
                val count = connection.read(chunk)
                if (count < 0) return false
                carryOut { it.receive(connection.nowMs(), DirectOctets.ofThread().of(chunk, 0, count)) }
            }
            Woken.TIME -> carryOut { it.tick(connection.nowMs()) }
            Woken.PROBE -> interrupt()
            Woken.DUE -> {
                isLeaving = true
                interrupt()
            }
        }
        return true
    }

    /** Where the connection has ended, what came before that is read first. */
    private suspend fun interrupt() {
        if (connection.verdict == null) carryOut { it.interrupt(connection.nowMs()) }
    }

    private suspend fun carryOut(tell: (Follow) -> FollowPlan) {
        val follow = follow ?: return
        isFree = false
        val plan = tell(follow)
        wakeAtMs = plan.wakeAtMs
        for (event in plan.events) {
            when (event) {
                is FollowEvent.Messages, is FollowEvent.Reset, is FollowEvent.Changed -> events += event
                FollowEvent.Free -> becomeFree()
                FollowEvent.Late -> connection.unanswered((config?.answerMs ?: 0U).toLong().milliseconds)
                is FollowEvent.Refused -> {
                    becomeFree()
                    throw MailboxRefusedException(event.code, event.text)
                }
            }
        }
        if (plan.bytes.isNotEmpty()) connection.write(plan.bytes)
    }

    private fun becomeFree() {
        isFree = true
        isLeaving = false
    }

    private enum class Woken {
        READ,
        TIME,
        PROBE,
        DUE,
    }

    /** What has come is the first to be told. Nothing of it is consumed here, and so nothing is lost with who is cancelled. */
    private suspend fun wait(): Woken = coroutineScope {
        val reading = async { connection.awaitOctets() }
        val timer = wakeAtMs?.let { launch { connection.sleepUntil(it) } }
        try {
            select {
                reading.onAwait { Woken.READ }
                if (!isLeaving) connection.onDue { Woken.DUE }
                connection.onNudge { Woken.PROBE }
                if (timer != null) timer.onJoin { Woken.TIME }
            }
        } finally {
            reading.cancel()
            timer?.cancel()
        }
    }
}
