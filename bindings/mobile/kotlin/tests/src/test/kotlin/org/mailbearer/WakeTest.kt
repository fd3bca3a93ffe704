package org.mailbearer

import kotlin.test.Test
import kotlin.test.assertEquals
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import kotlinx.coroutines.test.currentTime
import kotlinx.coroutines.test.runTest

/** How often a process that waits wakes its device. */
class WakeTest {
    @Test
    @OptIn(ExperimentalCoroutinesApi::class)
    fun `all that wait look at the same moments`() = runTest {
        val world = World { currentTime }
        val looks = List(3) { mutableListOf<Long>() }
        for (one in looks) {
            launch { world.sleepUntil(100_000U) { one += currentTime } }
            delay(7_301)
        }
        while (looks.any { it.size < 4 }) delay(1_000)
        for (one in looks) assertEquals(listOf<Long>(30_000, 60_000, 90_000, 100_000), one)
    }
}
