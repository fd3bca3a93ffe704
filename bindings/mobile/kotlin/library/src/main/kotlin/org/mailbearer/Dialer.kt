package org.mailbearer

import java.io.IOException
import java.net.InetAddress
import java.net.InetSocketAddress
import java.net.Socket
import java.net.SocketException
import java.net.UnknownHostException
import java.util.concurrent.ConcurrentLinkedQueue
import javax.net.SocketFactory
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.withTimeoutOrNull

/** Looks up the addresses of a host name, in the order in which they are to be tried. It may block. */
public fun interface Dns {
    /**
     * All addresses.
     *
     * @throws UnknownHostException there are none.
     */
    @Throws(UnknownHostException::class) public fun addressesOf(host: String): List<InetAddress>
}

/**
 * A network of the system's, for connections that are to go through this one, as `android.net.Network` is: it looks up names, and
 * makes sockets that are bound to it. The package for Android has it made of one; elsewhere it is ten lines.
 *
 * It is asked at each connection, and so may stand for whatever network is the best at that time.
 */
public interface MailNetwork : Dns {
    /** Makes sockets by `createSocket()` without arguments; they are connected here. */
    public val socketFactory: SocketFactory
}

internal object SystemDns : Dns {
    override fun addressesOf(host: String): List<InetAddress> = InetAddress.getAllByName(host).toList()
}

/**
 * Connects to that address of a name which answers first (RFC 8305 section 5): the next one is tried after 250 ms, or when
 * one has failed. The caller keeps the one deadline.
 */
internal class Dialer(private val port: Int, private val factory: SocketFactory) {
    private val sockets = ConcurrentLinkedQueue<Socket>()
    @Volatile private var isOver = false

    /** Connects; the first failure is thrown when all have failed. */
    suspend fun dial(addresses: List<InetAddress>): Socket {
        val results = Channel<Result<Socket>>(Channel.UNLIMITED)
        val next = ArrayDeque(addresses)
        var underWay = 0
        var first: Throwable? = null
        var winner: Socket? = null
        try {
            while (underWay > 0 || next.isNotEmpty()) {
                next.removeFirstOrNull()?.let {
                    begin(it, results)
                    underWay++
                }
                val result = (if (next.isEmpty()) results.receive() else withTimeoutOrNull(STAGGER) { results.receive() }) ?: continue
                underWay--
                winner = result.getOrNull()
                if (winner != null) return winner
                first = first ?: result.exceptionOrNull()
            }
            throw first ?: UnknownHostException("the name has no address")
        } finally {
            isOver = true
            sockets.forEach { if (it !== winner) it.close() }
        }
    }

    private fun begin(address: InetAddress, results: Channel<Result<Socket>>) = SOCKETS.execute {
        results.trySend(
            runCatching {
                val socket = factory.createSocket().also(sockets::add)
                // Who comes late would be closed by nobody.
                if (isOver) throw SocketException("the connection was given up")
                socket.connect(InetSocketAddress(address, port))
                socket.apply(::tuned)
            }
        )
    }

    /** Whoever waits goes on at once, with an [IOException]. */
    fun abort() {
        isOver = true
        sockets.forEach { it.close() }
    }

    private companion object {
        val STAGGER = 250.milliseconds
    }
}

/**
 * Sets what every connection has: no waiting for more to send, and probes of TCP, so that a path that swallows packets is
 * noticed within two minutes. An option that a system does not have or refuses is no fault.
 */
internal fun tuned(socket: Socket) {
    // imaplib and IMAPClient lose 44 ms in every login because they leave that off.
    runCatching { socket.tcpNoDelay = true }
    runCatching { socket.keepAlive = true }
    setProbes(socket, PROBES)
}

/** When TCP asks a path that is silent whether it is still there. */
internal class Probes(val idleSeconds: Int, val intervalSeconds: Int, val count: Int)

/** After a minute without a word, every 10 seconds, five times: 110 seconds. */
private val PROBES = Probes(idleSeconds = 60, intervalSeconds = 10, count = 5)
