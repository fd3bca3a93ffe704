package org.mailbearer.android

import android.content.Context
import android.net.ConnectivityManager
import android.os.SystemClock
import java.time.Duration
import kotlin.test.assertEquals
import kotlin.test.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.mailbearer.MachineClock
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.shadows.ShadowNetwork
import org.robolectric.shadows.ShadowSystemClock

/** What the system tells, in Robolectric's Android 15: that Android 7 has what is asked for is [ApiLevelTest]'s. */
@RunWith(RobolectricTestRunner::class)
@Config(manifest = Config.NONE, sdk = [35])
class NetworksTest {
    private val context: Context = RuntimeEnvironment.getApplication()
    private val manager = context.getSystemService(Context.CONNECTIVITY_SERVICE) as ConnectivityManager
    private val told = mutableListOf<String>()

    private fun watch() = NetworkWatch(manager, { told += "lost" }, { told += "back" })

    @Test
    fun `another network, none, and one again`() {
        val (first, other) = checkNotNull(manager.activeNetwork) to ShadowNetwork.newInstance(99)
        watch().use {
            val callback = shadowOf(manager).networkCallbacks.single()
            // The system begins with the network that is there: a wait that was restored is not cut short by it.
            callback.onAvailable(first)
            assertEquals(emptyList(), told)
            callback.onAvailable(other)
            // The old one goes after the new one came.
            callback.onLost(first)
            assertEquals(listOf("back"), told)
            callback.onLost(other)
            callback.onAvailable(other)
            assertEquals(listOf("back", "lost", "back"), told)
        }
        assertTrue(shadowOf(manager).networkCallbacks.isEmpty())
    }

    @Test
    fun `a phone that has none at the beginning`() {
        shadowOf(manager).setActiveNetworkInfo(null)
        watch().use {
            assertEquals(listOf("lost"), told)
            shadowOf(manager).networkCallbacks.single().onAvailable(ShadowNetwork.newInstance(99))
            assertEquals(listOf("lost", "back"), told)
        }
    }

    @Test
    fun `the clock counts the time asleep`() {
        val before = MachineClock.nowMs()
        assertEquals(SystemClock.elapsedRealtime(), before)
        ShadowSystemClock.advanceBy(Duration.ofHours(8))
        assertEquals(8 * 3_600_000L, MachineClock.nowMs() - before)
    }

    @Test
    fun `sockets of one network`() {
        val network = checkNotNull(manager.activeNetwork)
        assertEquals(network.socketFactory, network.forMail().socketFactory)
    }
}
