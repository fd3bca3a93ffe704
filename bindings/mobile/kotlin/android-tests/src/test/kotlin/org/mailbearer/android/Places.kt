package org.mailbearer.android

import java.io.File

/** Where things are, as Maven says it. */
internal object Places {
    private fun folder(name: String) = File(checkNotNull(System.getProperty(name)) { "$name: Maven sets it" })

    /** bindings/mobile/kotlin. */
    val kotlin = folder("mailbearer.kotlin")

    /** What cargo has built for this machine. */
    val native = folder("mailbearer.native")

    /** What Maven has fetched. */
    val files = folder("mailbearer.files")

    /** The classes of the AAR, compiled against Android 7. */
    val aar: File = kotlin.resolve("android/target/classes")

    /** The same sources, compiled against Java 17. */
    val jar: File = kotlin.resolve("library/target/classes")

    /** One of [files]. */
    fun file(name: String): File = only(name, checkNotNull(files.listFiles()).asList())

    /** A jar of the class path, by the end of its path without the version. */
    fun onClassPath(name: String): File = only(name, System.getProperty("java.class.path").split(File.pathSeparator).map(::File))

    private fun only(name: String, files: List<File>): File = files.single { Regex(""".*/$name-\d[^/]*""").matches(it.path) }
}
