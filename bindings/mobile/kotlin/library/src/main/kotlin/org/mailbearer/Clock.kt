package org.mailbearer

import com.sun.jna.Function
import com.sun.jna.Memory
import com.sun.jna.NativeLibrary
import com.sun.jna.Platform

/**
 * A clock that counts the time in which the machine sleeps, in milliseconds from any origin, and never runs backwards. On
 * Android that is `ElapsedClock(SystemClock::elapsedRealtime)`. The default asks the system for such a clock by itself.
 */
public fun interface ElapsedClock {
    /** The time now. */
    public fun nowMs(): Long
}

/** The clock of the machine. `System.nanoTime` stands still on Linux, Android and macOS while the machine sleeps. */
internal object MachineClock : ElapsedClock {
    private const val CLOCK_BOOTTIME_ON_LINUX = 7
    private const val CLOCK_MONOTONIC_ON_MAC = 6
    private val id: Int? =
        when {
            Platform.isLinux() || Platform.isAndroid() -> CLOCK_BOOTTIME_ON_LINUX
            Platform.isMac() -> CLOCK_MONOTONIC_ON_MAC
            else -> null
        }
    private val getTime: Function? = id?.let { NativeLibrary.getInstance("c").getFunction("clock_gettime") }

    override fun nowMs(): Long {
        val function = getTime ?: return System.nanoTime() / 1_000_000
        // struct timespec: two longs of the machine.
        val long = com.sun.jna.Native.LONG_SIZE.toLong()
        Memory(2 * long).use { time ->
            function.invokeInt(arrayOf(id, time))
            return time.getNativeLong(0).toLong() * 1000 + time.getNativeLong(long).toLong() / 1_000_000
        }
    }
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
        private const val SLEPT_MS = 5_000L
        private const val STOPPED_MS = 60_000L
    }
}
