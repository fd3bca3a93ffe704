package org.mailbearer

import android.os.SystemClock

/** The clock of the machine: since it was started, the time asleep included. */
internal object MachineClock : ElapsedClock {
    override fun nowMs(): Long = SystemClock.elapsedRealtime()
}
