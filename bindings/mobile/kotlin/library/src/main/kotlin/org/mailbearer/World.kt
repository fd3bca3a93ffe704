package org.mailbearer

import java.security.SecureRandom
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.delay
import org.mailbearer.machine.AccessToken

/** What lies outside of a driver: clocks, coroutines, sockets. The tests have one without sockets, in which time leaps. */
internal open class World(private val clock: ElapsedClock) {
    open val seed: ULong = SecureRandom().nextLong().toULong()
    open val scope: CoroutineScope = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    private val sleep = SleepWatch(clock)
    private var wakeAtMs: ULong? = null
    private var timer: Job? = null

    fun nowMs(): ULong = clock.nowMs().toULong()

    /** Of a clock that all processes share. */
    open fun wallMs(): ULong = System.currentTimeMillis().toULong()

    /** A connection that is not yet opened. */
    open fun link(settings: Settings, token: AccessToken?): Link = SocketLink(settings, token)

    /** Wakes the driver then; and while it [watches] connections, tells it when the machine slept. */
    open fun wakeAt(ms: ULong?, watches: Boolean, driver: Driver) {
        val atMs = ms ?: if (watches) ULong.MAX_VALUE else null
        if (atMs == wakeAtMs) return
        if (wakeAtMs == null) sleep.begin()
        timer?.cancel()
        wakeAtMs = atMs
        timer = atMs?.let { driver.launch { wait(it, driver) } }
    }

    private suspend fun wait(atMs: ULong, driver: Driver) {
        sleepUntil(atMs) { sleep.sleptMs()?.let(driver::slept) }
        driver.tick()
    }

    /** Waits until then, and looks at times whether the machine slept: that counts. */
    suspend fun sleepUntil(atMs: ULong, look: () -> Unit = {}) {
        while (nowMs() < atMs) {
            val now = nowMs()
            delay(minOf(atMs - minOf(atMs, now), SleepWatch.untilLookMs(now)).toLong())
            look()
        }
    }
}

/** The latest values of their keys. */
internal class Latest<K, V> {
    private val values = object : LinkedHashMap<K, V>() {
        override fun removeEldestEntry(eldest: Map.Entry<K, V>) = size > MOST
    }

    operator fun get(key: K): V? = values[key]

    operator fun set(key: K, value: V?) {
        if (value == null) values.remove(key) else values[key] = value
    }

    private companion object {
        const val MOST = 64
    }
}
