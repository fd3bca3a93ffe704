package org.mailbearer

/**
 * A clock that counts the time in which the machine sleeps, in milliseconds from any origin, and never runs backwards. On
 * Android that is `ElapsedClock(SystemClock::elapsedRealtime)`. The default asks the system for such a clock by itself.
 */
public fun interface ElapsedClock {
    /** The time now. */
    public fun nowMs(): Long
}

/** Notices that the machine slept, or was stopped, between two looks. */
internal class SleepWatch(private val clock: ElapsedClock) {
    private var wallMs = 0L
    private var awakeMs = 0L

    init {
        begin()
    }

    /** From here on. */
    fun begin() {
        wallMs = clock.nowMs()
        awakeMs = System.nanoTime() / 1_000_000
    }

    /** For how long it slept since the last look; `null`: it did not. */
    fun sleptMs(): ULong? {
        val (wallBefore, awakeBefore) = wallMs to awakeMs
        begin()
        val (wall, awake) = wallMs - wallBefore to awakeMs - awakeBefore
        return when {
            wall - awake > SLEPT_MS -> (wall - awake).toULong()
            awake > LOOK_MS + STOPPED_MS -> (awake - LOOK_MS).toULong()
            else -> null
        }
    }

    companion object {
        /** Longest time between two looks, so that sleep is noticed soon after. */
        const val LOOK_MS = 30_000L

        /** All sessions of a process look at the same moments of their clock: the device wakes once for all of them. */
        fun untilLookMs(nowMs: ULong): ULong = (LOOK_MS - nowMs.toLong() % LOOK_MS).toULong()

        private const val SLEPT_MS = 5_000L
        private const val STOPPED_MS = 60_000L
    }
}
