package org.mailbearer.android

import java.io.File
import java.util.concurrent.TimeUnit
import java.util.zip.ZipEntry
import java.util.zip.ZipFile
import java.util.zip.ZipOutputStream
import javax.tools.ToolProvider
import kotlin.io.path.createTempDirectory
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue
import org.mailbearer.MailProtocol
import org.mailbearer.testing.Server

/**
 * R8, which release builds of Android are shrunk by, on an app with the classes of the AAR, with the rules that the AAR brings. It writes
 * classes of Java, and they run on Java's machine: with JNA's library for it, and two stand-ins for classes of Android.
 */
class ShrinkTest {
    private val folder = createTempDirectory("mailbearer-shrink").toFile()
    private val app = File(checkNotNull(javaClass.protectionDomain.codeSource).location.toURI())

    @Test
    fun `a shrunk app logs in, tells what is new, and says why not`() {
        val shrunk = shrink()
        val ours = classesIn(shrunk) { it.startsWith("org/mailbearer/") }
        val all = Places.aar.walk().count { it.extension == "class" }
        assertTrue(ours < all, "$ours of $all")
        Server().use { server ->
            val path = listOf(shrunk, standIns(), Places.native.resolve("library/resources"))
            val (port, token) = server.port(MailProtocol.IMAP) to server.issueToken("joe@gmail.com")
            val said = java(path, "com.example.shrunk.AppKt", "$port", authority().path, token)
            assertEquals("online: 0 new\nrefused: TOKEN_REJECTED\n", said)
        }
    }

    private fun shrink(): File {
        val shrunk = folder.resolve("shrunk.jar")
        val rules = folder.resolve("app.pro").apply {
            writeText("-keep class com.example.shrunk.AppKt { void main(java.lang.String[]); }\n" + rulesIn("kotlinx-coroutines-core-jvm"))
        }
        val program = listOf(jarOf("app", "com/example/shrunk", app), jarOf("aar", "", Places.aar)) + LIBRARIES.map(Places::onClassPath)
        val said = java(
            listOf(Places.file("r8")), "com.android.tools.r8.R8", "--classfile", "--release", "--output", shrunk.path,
            "--lib", System.getProperty("java.home"), "--lib", Places.onClassPath("android-all").path,
            "--pg-conf", Places.kotlin.resolve("android/consumer-rules.pro").path, "--pg-conf", rules.path,
            *program.map { it.path }.toTypedArray(),
        )
        assertTrue(shrunk.length() > 0, said)
        return shrunk
    }

    private fun jarOf(name: String, path: String, classes: File): File = folder.resolve("$name.jar").also { jar ->
        ZipOutputStream(jar.outputStream()).use { zip ->
            for (file in classes.resolve(path).walk().filter { it.extension == "class" }) {
                zip.putNextEntry(ZipEntry(file.relativeTo(classes).invariantSeparatorsPath))
                file.inputStream().use { it.copyTo(zip) }
            }
        }
    }

    /** What Android's Gradle plugin takes from the library itself. */
    private fun rulesIn(library: String): String =
        ZipFile(Places.onClassPath(library)).use { jar ->
            jar.getInputStream(jar.getEntry("META-INF/com.android.tools/r8/coroutines.pro")).reader().readText()
        }

    private fun classesIn(jar: File, which: (String) -> Boolean): Int =
        ZipFile(jar).use { it.entries().asSequence().count { entry -> entry.name.endsWith(".class") && which(entry.name) } }

    /** Android's, as far as the classes of the AAR ask for it where they run. */
    private fun standIns(): File {
        val sources = app.resolve("stand-ins").walk().filter { it.extension == "java" }.map { it.path }
        val classes = folder.resolve("stand-ins").apply { mkdir() }
        assertEquals(0, ToolProvider.getSystemJavaCompiler().run(null, null, null, "-d", classes.path, *sources.toList().toTypedArray()))
        return classes
    }

    /** Whom the app is to trust. */
    private fun authority(): File = folder.resolve("ca.pem").apply {
        writeBytes(checkNotNull(Server::class.java.getResourceAsStream("ca.pem")).use { it.readBytes() })
    }

    private fun java(path: List<File>, main: String, vararg arguments: String): String {
        val java = File(System.getProperty("java.home")).resolve("bin/java").path
        val output = folder.resolve("output")
        // R8 takes twice the time where all of it is compiled as for a long life.
        val process = ProcessBuilder(java, "-XX:TieredStopAtLevel=1", "-cp", path.joinToString(File.pathSeparator), main, *arguments)
            .redirectErrorStream(true).redirectOutput(output).start()
        if (!process.waitFor(20, TimeUnit.MINUTES)) process.destroyForcibly()
        return output.readText()
    }

    private companion object {
        val LIBRARIES = listOf("kotlin-stdlib", "kotlinx-coroutines-core-jvm", "jna", "annotation-jvm", "org/jetbrains/annotations/[^/]+/annotations")
    }
}
