package org.mailbearer

import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.isActive
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext

/** Runs code that blocks a thread, in one that is for that. Where the coroutine is cancelled, [stop] makes the code end. */
internal suspend fun <T> blocking(stop: () -> Unit, work: () -> T): T =
    stoppingWhenCancelled(stop) { withContext(SOCKETS) { work() } }

/** Blocking code does not see that its coroutine is cancelled: it learns it from what it reads and writes. */
internal suspend fun <T> stoppingWhenCancelled(stop: () -> Unit, work: suspend () -> T): T = coroutineScope {
    val guard = launch(Dispatchers.Unconfined) {
        try {
            awaitCancellation()
        } finally {
            if (!this@coroutineScope.isActive) stop()
        }
    }
    try {
        work()
    } catch (end: Throwable) {
        // What a blocking call throws when its coroutine is cancelled is no failure.
        ensureActive()
        throw end
    } finally {
        guard.cancel()
    }
}

/**
 * Waits by the clock of the machine, also where the caller's coroutine has another: in `runTest` time leaps when nothing else is
 * to be done there, and what servers and token sources do is done elsewhere.
 */
internal suspend fun <T> inRealTime(work: suspend () -> T): T = withContext(Dispatchers.Default) { work() }
