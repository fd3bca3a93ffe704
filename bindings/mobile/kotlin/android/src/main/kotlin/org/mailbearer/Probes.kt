package org.mailbearer

import android.os.ParcelFileDescriptor
import android.system.Os
import android.system.OsConstants.IPPROTO_TCP
import java.net.Socket

/** Asks the system itself: before API 33 a socket of Android has no such options. */
internal fun setProbes(socket: Socket, probes: Probes) {
    val values = mapOf(
        TCP_KEEPIDLE to probes.idleSeconds,
        TCP_KEEPINTVL to probes.intervalSeconds,
        TCP_KEEPCNT to probes.count,
    )
    runCatching {
        // Another number for the same socket of the system, closed at the end.
        ParcelFileDescriptor.fromSocket(socket).use { file ->
            for ((option, value) in values) runCatching { Os.setsockoptInt(file.fileDescriptor, IPPROTO_TCP, option, value) }
        }
    }
}

// Of Linux: `android.system.OsConstants` does not have them.
private const val TCP_KEEPIDLE = 4
private const val TCP_KEEPINTVL = 5
private const val TCP_KEEPCNT = 6
