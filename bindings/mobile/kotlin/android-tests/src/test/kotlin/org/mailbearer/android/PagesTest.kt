package org.mailbearer.android

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.zip.ZipFile
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

/** Phones whose memory has pages of 16 KiB load only libraries that are made for it. */
class PagesTest {
    @Test
    fun `the libraries built here have pages of 16 KiB`() {
        val built = listOf("library/resources/linux-x86-64/libmailbearer_mobile.so", "testing/resources/linux-x86-64/libmailbearer_testing.so")
        for (name in built) checkPages(name, Places.native.resolve(name).readBytes())
    }

    @Test
    fun `JNA's libraries for phones of 64 bits have them, too`() {
        ZipFile(Places.file("jna")).use { aar ->
            for (abi in listOf("arm64-v8a", "x86_64")) {
                val entry = checkNotNull(aar.getEntry("jni/$abi/libjnidispatch.so")) { abi }
                checkPages(abi, aar.getInputStream(entry).readBytes())
            }
        }
    }

    @Test
    fun `a library of 4 KiB is found`() {
        val library = File("/proc/self/exe").canonicalFile.parentFile.resolve("../lib/libjava.so").canonicalFile
        assertFailsWith<AssertionError> { checkPages("libjava.so", library.readBytes()) }
    }

    private fun checkPages(name: String, elf: ByteArray) {
        val segments = loadSegments(elf)
        assertTrue(segments.isNotEmpty(), name)
        for (alignment in segments) assertTrue(alignment % PAGE == 0L, "$name: $alignment")
    }

    /** The alignment of each segment that is loaded: ELF-64, `Elf64_Phdr`. */
    private fun loadSegments(elf: ByteArray): List<Long> {
        val bytes = ByteBuffer.wrap(elf).order(ByteOrder.LITTLE_ENDIAN)
        assertEquals(0x464C457F, bytes.getInt(0))
        val (table, size, count) = Triple(bytes.getLong(32).toInt(), bytes.getShort(54).toInt(), bytes.getShort(56).toInt())
        return (0 until count).map { table + it * size }.filter { bytes.getInt(it) == PT_LOAD }.map { bytes.getLong(it + 48) }
    }

    private companion object {
        const val PAGE = 16_384L
        const val PT_LOAD = 1
    }
}
