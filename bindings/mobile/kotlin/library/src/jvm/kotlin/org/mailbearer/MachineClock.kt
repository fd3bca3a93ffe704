package org.mailbearer

import com.sun.jna.Function
import com.sun.jna.Memory
import com.sun.jna.Native
import com.sun.jna.NativeLibrary
import com.sun.jna.Platform

/** The clock of the machine. `System.nanoTime` stands still on Linux and macOS while the machine sleeps. */
internal object MachineClock : ElapsedClock {
    private const val CLOCK_BOOTTIME_ON_LINUX = 7
    private const val CLOCK_MONOTONIC_ON_MAC = 6
    private val id: Int? =
        when {
            Platform.isLinux() -> CLOCK_BOOTTIME_ON_LINUX
            Platform.isMac() -> CLOCK_MONOTONIC_ON_MAC
            else -> null
        }
    private val getTime: Function? = id?.let { NativeLibrary.getInstance("c").getFunction("clock_gettime") }

    override fun nowMs(): Long {
        val function = getTime ?: return System.nanoTime() / 1_000_000
        // struct timespec: two longs of the machine.
        val long = Native.LONG_SIZE.toLong()
        Memory(2 * long).use { time ->
            function.invokeInt(arrayOf(id, time))
            return time.getNativeLong(0).toLong() * 1000 + time.getNativeLong(long).toLong() / 1_000_000
        }
    }
}
