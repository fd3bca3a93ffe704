package org.mailbearer

import java.io.File
import java.util.concurrent.TimeUnit
import kotlin.test.Test
import kotlin.test.assertEquals
import org.junit.jupiter.api.parallel.Isolated

/**
 * Servers that are hostile: what is thrown is typed, in bounded time and memory, and nothing is left behind. The logins are
 * made in a process of their own, [main], whose whole heap is small, and whose memory is that of the attacks.
 */
@Isolated("it keeps the machine busy, and other tests have tokens that live for seconds")
class HostileTest {
    @Test
    fun `hostile servers get a typed error in bounded time and memory`() {
        val program = File(System.getProperty("mailbearer.root")).resolve("tests/servers/hostile.py").path
        val java = File(System.getProperty("java.home")).resolve("bin/java").path
        val classPath = System.getProperty("surefire.test.class.path") ?: System.getProperty("java.class.path")
        // The whole heap is there from the start, and the simple compiler takes little beside it.
        val heap = listOf("-Xms$HEAP_MIB_MAX" + "m", "-Xmx$HEAP_MIB_MAX" + "m", "-XX:+AlwaysPreTouch", "-XX:+UseSerialGC")
        val jvm = listOf(java, "-XX:TieredStopAtLevel=1") + heap
        val command = listOf("python3", program) + jvm + listOf("-cp", classPath, "org.mailbearer.HostileRunnerKt")
        val process = ProcessBuilder(command).redirectErrorStream(true).start()
        val output = process.inputStream.readAllBytes().decodeToString()
        println(output)
        process.waitFor(1, TimeUnit.MINUTES)
        assertEquals(0, process.exitValue(), output)
    }

    private companion object {
        /** All that the JVM has for Kotlin, coroutines, TLS and what it has read: a program alone needs most of it. */
        const val HEAP_MIB_MAX = 24
    }
}
