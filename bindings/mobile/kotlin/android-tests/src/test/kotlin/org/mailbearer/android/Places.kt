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

    /** A jar of the class path. */
    fun onClassPath(name: String): File =
        System.getProperty("java.class.path").split(File.pathSeparator).map(::File).single {
            Regex("""$name-\d.*\.jar""").matches(it.name)
        }
}
