package org.mailbearer.android.planted

import androidx.core.app.NotificationCompat
import java.nio.ByteBuffer
import java.util.Base64

/** What Android 7 does not have, for the test of the check. It never runs. */
internal object Faults {
    /** Of Java 9: before, the method gives a `Buffer`, and is not found by this call. */
    fun covariance(buffer: ByteBuffer): ByteBuffer = buffer.flip()

    /** Of API 26. */
    fun newer(text: String): ByteArray = Base64.getDecoder().decode(text)

    /** Of a library that the AAR does not name. */
    fun androidx(): String = NotificationCompat().toString()
}
