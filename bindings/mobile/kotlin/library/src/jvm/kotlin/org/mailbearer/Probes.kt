package org.mailbearer

import java.net.Socket
import java.net.SocketOption

/** Sets them where this Java has these options, by name: not every one has their class. */
internal fun setProbes(socket: Socket, probes: Probes) {
    val options = runCatching { socket.supportedOptions() }.getOrNull().orEmpty().associateBy { it.name() }
    val values = mapOf(
        "TCP_KEEPIDLE" to probes.idleSeconds,
        "TCP_KEEPINTERVAL" to probes.intervalSeconds,
        "TCP_KEEPCOUNT" to probes.count,
    )
    for ((name, value) in values) runCatching { options[name]?.let { set(socket, it, value) } }
}

@Suppress("UNCHECKED_CAST")
private fun set(socket: Socket, option: SocketOption<*>, value: Int) {
    socket.setOption(option as SocketOption<Int>, value)
}
