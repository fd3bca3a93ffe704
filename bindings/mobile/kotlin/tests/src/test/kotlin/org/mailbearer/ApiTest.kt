package org.mailbearer

import java.io.File
import java.net.URI
import java.nio.file.FileSystems
import java.nio.file.Files
import java.util.jar.JarFile
import kotlin.streams.asSequence
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue
import kotlin.test.fail
import kotlinx.validation.api.dump
import kotlinx.validation.api.filterOutNonPublic
import kotlinx.validation.api.loadApiFromJvmClasses
import org.mailbearer.testing.Server

/** What of the jars is public, as their users' compiled code knows it. */
class ApiTest {
    private val kotlin = File(System.getProperty("mailbearer.root", "../../../..")).resolve("bindings/mobile/kotlin")
    private val library = jarOf(MailbearerException::class.java)

    private fun jarOf(type: Class<*>) = File(type.protectionDomain.codeSource.location.toURI())

    private fun publicOf(jar: File): String =
        JarFile(jar).use { it.loadApiFromJvmClasses().filterOutNonPublic().dump(StringBuilder()).toString() }

    @Test
    fun `the public API is the one that is written down`() {
        val jars = mapOf(library to "library/mailbearer.api", jarOf(Server::class.java) to "testing/mailbearer-testing.api")
        for ((jar, name) in jars) {
            val now = publicOf(jar)
            val file = kotlin.resolve(name)
            if (System.getenv("MAILBEARER_API") == "write") file.writeText(now)
            val (written, found) = file.readText().lines().toSet() to now.lines().toSet()
            if (file.readText() == now) continue
            fail(
                "$name is not of today's code.\nGone, which breaks compiled programs:\n${(written - found).joinToString("\n")}\n" +
                    "New:\n${(found - written).joinToString("\n")}\nWhere that is meant: MAILBEARER_API=write, and the test again."
            )
        }
    }

    @Test
    fun `nothing of the generated code's own is public`() {
        val dumped = publicOf(library)
        for (word in listOf("FfiConverter", "RustBuffer", "ffi", "Disposable", "NoHandle", "provokePanic", "InternalException")) {
            assertTrue(word !in dumped, word)
        }
    }

    @Test
    fun `no name is one of what stands beside it in a program's imports`() {
        val ours = Regex("""(?:class|interface) org/mailbearer/(\w+) """).findAll(publicOf(library)).map { it.groupValues[1] }.toSet()
        assertTrue("Account" in ours && "Session" !in ours)
        val theirs = classesOfJava() + classesOf(jakarta.mail.Session::class.java, "jakarta/mail", "jakarta/mail/internet") +
            classesOf(kotlinx.coroutines.Job::class.java, "kotlinx/coroutines", "kotlinx/coroutines/flow") +
            classesOf(Unit::class.java, "kotlin", "kotlin/io", "kotlin/time", "kotlin/collections")
        assertTrue(theirs.containsAll(listOf("Session", "Provider", "Service", "Clock")))
        assertEquals(emptySet(), ours intersect theirs)
    }

    private fun classesOfJava(): Set<String> {
        val image = FileSystems.getFileSystem(URI.create("jrt:/"))
        val packages = listOf(
            "java.base/java/io", "java.base/java/lang", "java.base/java/net", "java.base/java/nio", "java.base/java/security",
            "java.base/java/time", "java.base/java/util", "java.base/java/util/concurrent", "java.base/javax/net",
            "java.base/javax/net/ssl", "java.logging/java/util/logging",
        )
        return packages.flatMap { of -> Files.list(image.getPath("modules", of)).use { it.asSequence().map { file -> "$file" }.toList() } }
            .filter { it.endsWith(".class") && '$' !in it }.map { it.substringAfterLast('/').removeSuffix(".class") }.toSet()
    }

    private fun classesOf(type: Class<*>, vararg packages: String): Set<String> =
        JarFile(jarOf(type)).use { jar -> jar.entries().asSequence().map { it.name }.toList() }
            .filter { it.endsWith(".class") && '$' !in it && it.substringBeforeLast('/') in packages }
            .map { it.substringAfterLast('/').removeSuffix(".class") }.filterNot { it.endsWith("Kt") }.toSet()

    /** `NAME` of a class is documented above the class, as `@property NAME`. */
    private fun undocumented(file: File): List<String> {
        val lines = file.readLines()
        return lines.indices.filter { Regex("""\s*public (?!companion|override|constructor).*""").matches(lines[it]) }.filter { at ->
            val above = lines.subList(0, at).lastOrNull { !it.trim().startsWith("@") || "*/" in it }.orEmpty()
            val name = Regex("""\b(?:val|var) (\w+)""").find(lines[at])?.groupValues?.get(1)
            !above.trim().endsWith("*/") && lines.none { "@property $name " in it }
        }.map { "${file.name}: ${lines[it].trim()}" }
    }

    @Test
    fun `everything public says something of itself`() {
        val sources = listOf("library/src", "testing/src/main", "android/src/main").flatMap { of -> kotlin.resolve(of).walk().filter { it.extension == "kt" } }
        assertTrue(sources.size > 30)
        assertEquals(emptyList(), sources.flatMap(::undocumented))
    }

    /** It compiles without an `else`: a program that reads all of them learns of a new one. */
    private fun told(error: MailbearerException): String =
        when (error) {
            is ConfigException -> "settings"
            is MisuseException -> "code"
            is TokenSourceException -> "token"
            is NeedsUserException -> "person"
            is GaveUpException -> "given up"
            is LoginFailedException -> "login"
            is SessionEndedException -> "end"
            is MailboxRefusedException -> "mailbox"
            is CoreException -> "machine"
        }

    @Test
    fun `all exceptions have one root, and keep their causes`() {
        val error = runCatching { sessions(MailProtocol.IMAP, "joe\r\n@gmail.com", { Token("t") }) }.exceptionOrNull()
        assertEquals("settings", told(error as ConfigException))
        assertEquals("machine", told(error.cause as CoreException))
        val outage = TokenSourceException("no network", cause = java.io.IOException("unreachable"))
        assertEquals("unreachable", outage.cause?.message)
    }
}
