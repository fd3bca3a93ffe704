package org.mailbearer.angus

import jakarta.mail.Session
import jakarta.mail.Store
import jakarta.mail.Transport
import java.io.IOException
import java.io.InputStream
import java.io.OutputStream
import java.io.SequenceInputStream
import java.net.InetAddress
import java.net.Socket
import java.net.SocketAddress
import java.util.Properties
import java.util.concurrent.atomic.AtomicBoolean
import javax.net.SocketFactory
import org.mailbearer.ConfigException
import org.mailbearer.Connection
import org.mailbearer.MailProtocol

/**
 * A store of Angus Mail over a connection that is logged in, of [org.mailbearer.connect] or [org.mailbearer.sessions]. It
 * has this one connection, and so one open folder at a time: another one that is opened throws, and nothing is lost. What is asked of
 * other folders meanwhile, as lists, counts and what is appended, goes over the same connection. Closing it says LOGOUT and closes
 * the connection.
 *
 * ```
 * sessions(MailProtocol.IMAP, "joe@gmail.com", source).collect { connection ->
 *     connection.use {
 *         imapStore(connection).use { store -> … }
 *     }
 * }
 * ```
 *
 * When the session ends, Angus Mail throws a [jakarta.mail.MessagingException], and the connection has its verdict.
 */
public suspend fun imapStore(connection: Connection): Store {
    // PREAUTH (RFC 9051 section 7.1.4): Angus Mail then does not log in.
    val listed = connection.capabilities.joinToString(" ")
    val greeting = if (listed.isEmpty()) "* PREAUTH ready" else "* PREAUTH [CAPABILITY $listed] ready"
    val store = OneConnectionStore(sessionOver(connection, MailProtocol.IMAP, greeting))
    Stops.add(store, connection::interrupt)
    return store.blocking { store.apply { connect("localhost", "", "") } }
}

/** A transport of Angus Mail over an SMTP connection that is logged in, as [imapStore]. */
public suspend fun smtpTransport(connection: Connection): Transport {
    val transport = sessionOver(connection, MailProtocol.SMTP, "220 ready").getTransport("smtp")
    Stops.add(transport, connection::interrupt)
    return transport.blocking { transport.apply { connect() } }
}

private fun sessionOver(connection: Connection, protocol: MailProtocol, greeting: String): Session {
    if (connection.endpoint.protocol != protocol) {
        throw ConfigException("the connection speaks ${connection.endpoint.protocol.name}, and not ${protocol.name}")
    }
    connection.isOfAngus = true
    MaskedLog.add(connection, connection.masker)
    val name = protocol.name.lowercase()
    val properties = Properties()
    // The stream has its TLS already.
    properties["mail.$name.socketFactory"] = OneSocket(connection, greeting)
    properties["mail.$name.socketFactory.fallback"] = "false"
    properties["mail.$name.host"] = connection.endpoint.host
    properties["mail.$name.localhost"] = connection.ehloName
    return Session.getInstance(properties)
}

/** Gives the one connection to Angus Mail, and no other. */
private class OneSocket(private val connection: Connection, private val greeting: String) : SocketFactory() {
    private val isGiven = AtomicBoolean()

    override fun createSocket(): Socket {
        if (!isGiven.compareAndSet(false, true)) {
            throw IOException("a store or a transport over a connection of mailbearer has only this one")
        }
        return ConnectedSocket(connection, greeting)
    }

    override fun createSocket(host: String, port: Int): Socket = createSocket()

    override fun createSocket(host: String, port: Int, near: InetAddress, nearPort: Int): Socket = createSocket()

    override fun createSocket(host: InetAddress, port: Int): Socket = createSocket()

    override fun createSocket(host: InetAddress, port: Int, near: InetAddress, nearPort: Int): Socket = createSocket()
}

/** A socket that is a connection of mailbearer. It begins with a greeting, which Angus Mail waits for. */
private class ConnectedSocket(private val connection: Connection, greeting: String) : Socket() {
    private val input = SequenceInputStream("$greeting\r\n".byteInputStream(), connection.input)
    @Volatile private var isShut = false

    override fun getInputStream(): InputStream = input

    override fun getOutputStream(): OutputStream = connection.output

    override fun connect(address: SocketAddress) = Unit

    override fun connect(address: SocketAddress, timeout: Int) = Unit

    override fun isConnected(): Boolean = true

    override fun isClosed(): Boolean = isShut

    override fun close() {
        isShut = true
        connection.close()
    }
}
