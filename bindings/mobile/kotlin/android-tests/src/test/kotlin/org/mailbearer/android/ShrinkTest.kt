package org.mailbearer.android

import com.android.tools.r8.CompilationMode
import com.android.tools.r8.Diagnostic
import com.android.tools.r8.DiagnosticsHandler
import com.android.tools.r8.JdkClassFileProvider
import com.android.tools.r8.OutputMode
import com.android.tools.r8.R8
import com.android.tools.r8.R8Command
import com.android.tools.r8.origin.Origin
import java.io.File
import java.nio.file.Path
import java.util.concurrent.TimeUnit
import java.util.zip.ZipFile
import javax.tools.ToolProvider
import kotlin.io.path.createTempDirectory
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue
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
            val said = run(shrunk, "${server.port(org.mailbearer.MailProtocol.IMAP)}", authority().path, server.issueToken("joe@gmail.com"))
            assertEquals("online: 0 new\nrefused: TOKEN_REFUSED\n", said)
        }
    }

    private fun shrink(): File {
        val shrunk = folder.resolve("shrunk.jar")
        val command = R8Command.builder(Quiet)
            .setMode(CompilationMode.RELEASE)
            .setOutput(shrunk.toPath(), OutputMode.ClassFile)
            .addLibraryResourceProvider(JdkClassFileProvider.fromSystemModulesJdk(Path.of(System.getProperty("java.home"))))
            .addLibraryFiles(Places.onClassPath("android-all").toPath())
            .addProgramFiles(classFiles(app.resolve("com/example/shrunk")) + classFiles(Places.aar))
            .addProgramFiles(LIBRARIES.map { Places.onClassPath(it).toPath() })
            .addProguardConfigurationFiles(Places.kotlin.resolve("android/consumer-rules.pro").toPath())
            // What Android's Gradle plugin takes from the library itself.
            .addProguardConfiguration(rulesIn("kotlinx-coroutines-core-jvm"), Origin.unknown())
            .addProguardConfiguration(listOf("-keep class com.example.shrunk.AppKt { void main(java.lang.String[]); }"), Origin.unknown())
            .build()
        R8.run(command)
        return shrunk
    }

    private fun classFiles(folder: File): List<Path> = folder.walk().filter { it.extension == "class" }.map { it.toPath() }.toList()

    private fun rulesIn(library: String): List<String> =
        ZipFile(Places.onClassPath(library)).use { jar ->
            jar.getInputStream(jar.getEntry("META-INF/com.android.tools/r8/coroutines.pro")).reader().readLines()
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

    private fun run(shrunk: File, vararg arguments: String): String {
        val path = listOf(shrunk, standIns(), Places.native.resolve("library/resources")).joinToString(File.pathSeparator)
        val java = File(System.getProperty("java.home")).resolve("bin/java").path
        val output = folder.resolve("output")
        val process = ProcessBuilder(java, "-cp", path, "com.example.shrunk.AppKt", *arguments)
            .redirectErrorStream(true).redirectOutput(output).start()
        if (!process.waitFor(2, TimeUnit.MINUTES)) process.destroyForcibly()
        return output.readText()
    }

    /** Where something is wrong, it throws: what it has to say besides is of no use here. */
    private object Quiet : DiagnosticsHandler {
        override fun warning(warning: Diagnostic) = Unit

        override fun info(info: Diagnostic) = Unit
    }

    private companion object {
        val LIBRARIES = listOf("kotlin-stdlib", "kotlinx-coroutines-core-jvm", "jna", "annotation-jvm", "annotations")
    }
}
