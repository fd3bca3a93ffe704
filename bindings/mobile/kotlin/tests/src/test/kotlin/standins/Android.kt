package android.net

import java.net.InetAddress
import javax.net.SocketFactory

/** As Android declares it, as far as the page uses it. */
abstract class Network {
    abstract fun getAllByName(host: String): Array<InetAddress>

    abstract val socketFactory: SocketFactory
}
