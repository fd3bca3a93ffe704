package org.mailbearer.android

import android.content.Context
import android.net.ConnectivityManager
import android.net.Network
import java.io.Closeable
import java.net.InetAddress
import javax.net.SocketFactory
import org.mailbearer.Account
import org.mailbearer.MailNetwork
import org.mailbearer.Sessions

/**
 * Tells the account when the phone loses its network, and when it has one again or another: what waits for the network goes on at once,
 * and connections of the network before are asked whether they still work. Close it when the account is closed.
 *
 * ```
 * account.watchNetwork(context).use { … }
 * ```
 *
 * The network that is there at the beginning is no news: a wait that was restored is not cut short by it. It needs the permission
 * `ACCESS_NETWORK_STATE`, which this package's manifest asks for. It may be called from any thread; the account is told in a thread of
 * the system's.
 */
public fun Account.watchNetwork(context: Context): Closeable = NetworkWatch(managerOf(context), ::networkLost, ::networkBack)

/** The same for sessions that have an account of their own. */
public fun Sessions.watchNetwork(context: Context): Closeable = NetworkWatch(managerOf(context), ::networkLost, ::networkBack)

/**
 * This network, for `LoginOptions { network = … }`: names are looked up in it, and sockets are bound to it. When it is lost, its
 * connections end, and new ones fail: for an app that has asked for a network of its own, such as one that is not metered.
 */
public fun Network.forMail(): MailNetwork = NetworkOfSystem(this)

private class NetworkOfSystem(private val network: Network) : MailNetwork {
    override val socketFactory: SocketFactory
        get() = network.socketFactory

    override fun addressesOf(host: String): List<InetAddress> = network.getAllByName(host).toList()

    override fun toString(): String = "MailNetwork($network)"
}

private fun managerOf(context: Context): ConnectivityManager =
    context.getSystemService(Context.CONNECTIVITY_SERVICE) as ConnectivityManager

/** Hears of the network that apps use by default. */
internal class NetworkWatch(
    private val manager: ConnectivityManager,
    private val lost: () -> Unit,
    private val back: () -> Unit,
) : ConnectivityManager.NetworkCallback(), Closeable {
    private var current: Network? = manager.activeNetwork

    init {
        if (current == null) lost()
        manager.registerDefaultNetworkCallback(this)
    }

    // The system calls these one after the other, in one thread.

    override fun onAvailable(network: Network) {
        // It begins by telling what is there.
        if (network == current) return
        current = network
        back()
    }

    override fun onLost(network: Network) {
        if (network != current) return
        current = null
        lost()
    }

    override fun close() = manager.unregisterNetworkCallback(this)
}
