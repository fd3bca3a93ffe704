package org.mailbearer.android

import java.io.File
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import org.codehaus.mojo.animal_sniffer.SignatureChecker
import org.codehaus.mojo.animal_sniffer.logging.Logger

/**
 * The AAR asks of Android only what API 24 has. That its sources compile against Android 7 is the module `android`; here its classes are
 * looked at, and those of the jar: Gradle compiles the AAR against a newer Android, which has more, as Java 17 has.
 */
class ApiLevelTest {
    @Test
    fun `the classes that are compiled against Android 7`() = assertEquals(emptyList(), missingIn(Places.aar))

    @Test
    fun `the same sources compiled against a Java that has more`() {
        // What is only for the JVM is in no AAR.
        val ofJvm = listOf("angus/", "MachineClock", "Probes", "JavaLangRefClean")
        assertEquals(emptyList(), missingIn(Places.jar).filter { line -> ofJvm.none { "org/mailbearer/$it" in line } })
    }

    /** That the check finds what it is for. */
    @Test
    fun `planted faults are found`() {
        val planted = File(checkNotNull(javaClass.protectionDomain.codeSource).location.toURI()).resolve("org/mailbearer/android/planted")
        val missing = missingIn(planted).joinToString("\n")
        assertContains(missing, "java.nio.ByteBuffer java.nio.ByteBuffer.flip()")
        assertContains(missing, "java.util.Base64")
        assertContains(missing, "androidx.core.app.NotificationCompat")
    }

    /** Annotations of androidx are the only thing of it that is asked for. */
    @Test
    fun `the AAR says that it needs androidx's annotations`() {
        assertContains(Places.kotlin.resolve("android/build.gradle.kts").readText(), "\"androidx.annotation:annotation:")
    }

    private fun missingIn(classes: File): List<String> {
        val found = Found()
        val checker = SignatureChecker(
            Places.file("android-api-level-24").inputStream(),
            setOf("kotlin.*", "kotlinx.*", "com.sun.jna.*", "org.mailbearer.*", "androidx.annotation.*"),
            found,
        )
        checker.setSourcePath(emptyList())
        checker.process(classes)
        return found.lines.filter { line -> GUARDED.none { (place, what) -> place in line && what in line } }
    }

    private class Found : Logger {
        val lines = mutableListOf<String>()

        override fun error(message: String) { lines += message }

        override fun error(message: String, error: Throwable?) { lines += message }

        override fun warn(message: String) = Unit

        override fun warn(message: String, error: Throwable?) = Unit

        override fun info(message: String) = Unit

        override fun info(message: String, error: Throwable?) = Unit

        override fun debug(message: String) = Unit

        override fun debug(message: String, error: Throwable?) = Unit
    }

    private companion object {
        /** What is newer and does no harm: where, and what. */
        val GUARDED = listOf(
            // UniFFI's own code asks for the system's cleaner where SDK_INT is 34 or more.
            "AndroidSystemClean" to "Cleaner",
            // Of API 26 in the SDK, and hidden before; where it is missing the probes stay the system's.
            "ProbesKt" to "android.system.Os.setsockoptInt",
            // D8 gives every app its own, as its list of backported methods says; no D8 is run here.
            "" to "int Long.compareUnsigned(long, long)",
        )
    }
}
