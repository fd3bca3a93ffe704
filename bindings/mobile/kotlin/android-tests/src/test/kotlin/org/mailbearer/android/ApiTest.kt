package org.mailbearer.android

import java.io.File
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue
import kotlinx.validation.api.dump
import kotlinx.validation.api.filterOutNonPublic
import kotlinx.validation.api.loadApiFromJvmClasses

/** What of the AAR is public, as compiled apps know it: its own package is written down, and all else is as in the jar for the JVM. */
class ApiTest {
    private fun publicOf(classes: File): List<String> {
        val streams = classes.walk().filter { it.extension == "class" }.sorted().map { it.inputStream() }
        return parts(streams.loadApiFromJvmClasses().filterOutNonPublic().dump(StringBuilder()).toString())
    }

    /** One for each class. */
    private fun parts(dump: String): List<String> = dump.trim().split("\n\n").map { it.trim() }

    private fun isOf(name: String) = { part: String -> part.lineSequence().any { " org/mailbearer/$name/" in it.substringBefore(" {").substringBefore(" :") } }

    @Test
    fun `the public API of its own is the one that is written down`() {
        val now = publicOf(Places.aar).filter(isOf("android")).joinToString("\n\n", postfix = "\n")
        val file = Places.kotlin.resolve("android/mailbearer-android.api")
        if (System.getenv("MAILBEARER_API") == "write") file.writeText(now)
        assertTrue("NetworksKt" in now)
        assertEquals(file.readText(), now, "where that is meant: MAILBEARER_API=write, and the test again")
    }

    @Test
    fun `all else is as in the jar`() {
        val ofJar = parts(Places.kotlin.resolve("library/mailbearer.api").readText()).filterNot(isOf("angus"))
        val ofAar = publicOf(Places.aar).filterNot(isOf("android"))
        assertTrue(ofJar.size > 100)
        assertEquals("", (ofJar - ofAar.toSet()).joinToString("\n"), "of the jar only")
        assertEquals("", (ofAar - ofJar.toSet()).joinToString("\n"), "of the AAR only")
    }
}
