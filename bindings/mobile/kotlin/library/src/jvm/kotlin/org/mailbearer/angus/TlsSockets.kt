package org.mailbearer.angus

import java.io.InputStream
import java.io.OutputStream
import java.net.InetAddress
import java.net.Socket
import java.net.SocketAddress
import java.net.SocketException
import javax.net.SocketFactory
import javax.net.ssl.HandshakeCompletedListener
import javax.net.ssl.SSLParameters
import javax.net.ssl.SSLSession
import javax.net.ssl.SSLSocket

/**
 * Sockets of implicit TLS over the ones of [below], which [secure] once they are connected. An `SSLSocketFactory` would not do:
 * Angus Mail then connects by itself, to the first address only.
 */
internal class TlsSockets(private val below: ListeningSockets, private val secure: (Socket) -> SSLSocket) : SocketFactory() {
    override fun createSocket(): Socket = LateTlsSocket(below.createSocket(), secure)

    override fun createSocket(host: String, port: Int): Socket = secure(below.createSocket(host, port))

    override fun createSocket(host: String, port: Int, near: InetAddress, nearPort: Int): Socket =
        secure(below.createSocket(host, port, near, nearPort))

    override fun createSocket(host: InetAddress, port: Int): Socket = secure(below.createSocket(host, port))

    override fun createSocket(host: InetAddress, port: Int, near: InetAddress, nearPort: Int): Socket =
        secure(below.createSocket(host, port, near, nearPort))
}

/** A socket of TLS that is one as soon as it is connected: Angus Mail does its handshake, and reads and writes. */
private class LateTlsSocket(private val below: Socket, private val secure: (Socket) -> SSLSocket) : SSLSocket() {
    @Volatile private var secured: SSLSocket? = null

    private val inner: SSLSocket
        get() = secured ?: throw SocketException("Socket is not connected")

    override fun connect(address: SocketAddress) = connect(address, 0)

    override fun connect(address: SocketAddress, timeout: Int) {
        below.connect(address, timeout)
        secured = secure(below)
    }

    // ---- A socket --------------------------------------------------------------------------------------------------

    override fun getInputStream(): InputStream = inner.inputStream

    override fun getOutputStream(): OutputStream = inner.outputStream

    override fun close() = (secured ?: below).close()

    override fun setSoTimeout(timeout: Int) = below.setSoTimeout(timeout)

    override fun getSoTimeout(): Int = below.soTimeout

    override fun isConnected(): Boolean = secured != null

    override fun isBound(): Boolean = below.isBound

    override fun isClosed(): Boolean = (secured ?: below).isClosed

    override fun getInetAddress(): InetAddress? = below.inetAddress

    override fun getPort(): Int = below.port

    override fun getRemoteSocketAddress(): SocketAddress? = below.remoteSocketAddress

    override fun getLocalAddress(): InetAddress? = below.localAddress

    override fun getLocalPort(): Int = below.localPort

    override fun getLocalSocketAddress(): SocketAddress? = below.localSocketAddress

    override fun shutdownInput() = inner.shutdownInput()

    override fun shutdownOutput() = inner.shutdownOutput()

    override fun isInputShutdown(): Boolean = secured?.isInputShutdown ?: false

    override fun isOutputShutdown(): Boolean = secured?.isOutputShutdown ?: false

    // ---- Of TLS ----------------------------------------------------------------------------------------------------

    override fun startHandshake() = inner.startHandshake()

    override fun getSession(): SSLSession = inner.session

    override fun getHandshakeSession(): SSLSession? = inner.handshakeSession

    override fun getSSLParameters(): SSLParameters = inner.sslParameters

    override fun setSSLParameters(parameters: SSLParameters) = inner.setSSLParameters(parameters)

    override fun getSupportedCipherSuites(): Array<String> = inner.supportedCipherSuites

    override fun getEnabledCipherSuites(): Array<String> = inner.enabledCipherSuites

    override fun setEnabledCipherSuites(suites: Array<String>) = inner.setEnabledCipherSuites(suites)

    override fun getSupportedProtocols(): Array<String> = inner.supportedProtocols

    override fun getEnabledProtocols(): Array<String> = inner.enabledProtocols

    override fun setEnabledProtocols(protocols: Array<String>) = inner.setEnabledProtocols(protocols)

    override fun addHandshakeCompletedListener(listener: HandshakeCompletedListener) = inner.addHandshakeCompletedListener(listener)

    override fun removeHandshakeCompletedListener(listener: HandshakeCompletedListener) =
        inner.removeHandshakeCompletedListener(listener)

    override fun setUseClientMode(mode: Boolean) = inner.setUseClientMode(mode)

    override fun getUseClientMode(): Boolean = inner.useClientMode

    override fun setNeedClientAuth(need: Boolean) = inner.setNeedClientAuth(need)

    override fun getNeedClientAuth(): Boolean = inner.needClientAuth

    override fun setWantClientAuth(want: Boolean) = inner.setWantClientAuth(want)

    override fun getWantClientAuth(): Boolean = inner.wantClientAuth

    override fun setEnableSessionCreation(flag: Boolean) = inner.setEnableSessionCreation(flag)

    override fun getEnableSessionCreation(): Boolean = inner.enableSessionCreation
}
