/** For programs that use Angus Mail (Jakarta Mail). */
package org.mailbearer.angus

import jakarta.mail.AuthenticationFailedException
import jakarta.mail.MessagingException
import jakarta.mail.Service
import jakarta.mail.Session
import jakarta.mail.Store
import jakarta.mail.Transport
import java.net.Socket
import java.util.Properties
import javax.net.ssl.HostnameVerifier
import javax.net.ssl.SSLException
import javax.net.ssl.SSLSession
import javax.net.ssl.SSLSocket
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.withTimeoutOrNull
import org.eclipse.angus.mail.util.WriteTimeoutSocket
import org.mailbearer.Cause
import org.mailbearer.CheckedToken
import org.mailbearer.ConfigException
import org.mailbearer.Failure
import org.mailbearer.JoinedTokens
import org.mailbearer.LoginFailedException
import org.mailbearer.LoginOptions
import org.mailbearer.MailProtocol
import org.mailbearer.Mechanism
import org.mailbearer.Settings
import org.mailbearer.Tls
import org.mailbearer.TokenSource
import org.mailbearer.awaitingGreeting
import org.mailbearer.chainOf
import org.mailbearer.checkNames
import org.mailbearer.checkVerifies
import org.mailbearer.explain
import org.mailbearer.failed
import org.mailbearer.failureOfTls
import org.mailbearer.inRealTime
import org.mailbearer.loggingIn
import org.mailbearer.machine.ehloNameOf
import org.mailbearer.masked
import org.mailbearer.resolve
import org.mailbearer.without

/**
 * Connects a store of Angus Mail, which logs in by itself: with a fresh token, XOAUTH2 and no other mechanism, and TLS that
 * verifies certificate and host name. A token that the server refuses is replaced once.
 *
 * To stay logged in over IMAP, give [imapStore] the connections of [org.mailbearer.sessions].
 *
 * @throws LoginFailedException why the login did not work, read from the exception of Angus Mail, which is its cause.
 */
public suspend fun connectStore(
    protocol: MailProtocol,
    user: String,
    token: TokenSource,
    options: LoginOptions = LoginOptions(),
): Store {
    if (protocol == MailProtocol.SMTP) throw ConfigException("SMTP has no store: use connectTransport")
    return connect(protocol, user, token, options) { it.store }
}

/** Connects a transport of Angus Mail, as [connectStore] does a store. */
public suspend fun connectTransport(user: String, token: TokenSource, options: LoginOptions = LoginOptions()): Transport =
    connect(MailProtocol.SMTP, user, token, options) { it.transport }

private suspend fun <T : Service> connect(
    protocol: MailProtocol,
    user: String,
    token: TokenSource,
    options: LoginOptions,
    make: (Session) -> T,
): T = inRealTime {
    val settings = resolve(protocol, user, options)
    loggingIn(JoinedTokens.of(token), settings.timeout) { logIn(settings, it, make) }
}

private suspend fun <T : Service> logIn(settings: Settings, token: CheckedToken, make: (Session) -> T): T {
    val endpoint = settings.endpoint
    val sockets = ListeningSockets(settings.dns, settings.sockets)
    val names = NamesOfHost()
    val service = make(Session.getInstance(properties(settings, sockets, names)))
    MaskedLog.add(service, token.token::masked)
    Stops.add(service, sockets::close)
    try {
        checkVerifies(settings.sslContext)
        return withTimeoutOrNull(settings.timeout + OWN_WORDS) {
            awaitingGreeting(settings, sockets::areSilent) {
                sockets.connecting(service) {
                    service.connect(endpoint.host, endpoint.port.toInt(), settings.user, token.given.value)
                    // Over POP3, Angus Mail 2.0 takes the challenge that says why for a login that worked. The next command tells.
                    if (!service.isConnected) throw AuthenticationFailedException("[AUTH] the login was refused")
                }
            }
        } ?: throw failed(Cause.TIMED_OUT, "in connection and login together")
    } catch (error: SSLException) {
        throw LoginFailedException(settings.failureOfTls(error), error)
    } catch (error: MessagingException) {
        val failure = names.problem?.let { settings.failureOfTls(it) } ?: settings.failureOf(error)
        throw LoginFailedException(failure.without(token.token), error.without(token.token))
    }
}

/** Verifies the name of a host as [org.mailbearer.connect] does: Angus Mail does not say what was wrong. */
private class NamesOfHost : HostnameVerifier {
    @Volatile
    var problem: SSLException? = null
        private set

    override fun verify(host: String, session: SSLSession): Boolean =
        try {
            checkNames(session, host)
            true
        } catch (unnamed: SSLException) {
            problem = unnamed
            false
        }
}

/** What Angus Mail has to say of a connection that does not open comes first. */
private val OWN_WORDS = 500.milliseconds

private suspend fun Settings.failureOf(error: MessagingException): Failure {
    val handshake = chainOf(error).firstNotNullOfOrNull { it as? SSLException }
    if (handshake != null) return failureOfTls(handshake)
    return explain(error, endpoint.protocol, user, endpoint.host)
}

/** Angus Mail's own time-out of writes is below TLS, as it would have it. */
private fun Settings.inTls(below: Socket, writeTimeout: Duration): SSLSocket {
    val timed = WriteTimeoutSocket(below, milliseconds(writeTimeout))
    return sslContext.socketFactory.createSocket(timed, endpoint.host, endpoint.port.toInt(), true) as SSLSocket
}

private fun milliseconds(time: Duration): Int = time.inWholeMilliseconds.coerceAtMost(Int.MAX_VALUE.toLong()).toInt()

/** What Angus Mail is told, so that it logs in as [org.mailbearer.connect] does. */
private fun properties(settings: Settings, sockets: ListeningSockets, names: NamesOfHost): Properties {
    val endpoint = settings.endpoint
    if (settings.config.mechanisms?.contains(Mechanism.XOAUTH2) == false) {
        throw ConfigException("mechanisms must have XOAUTH2: Angus Mail speaks no other one that takes a token")
    }
    val isImplicit = endpoint.tls == Tls.IMPLICIT
    val prefix = "mail.${endpoint.protocol.name.lowercase()}"
    // It has one time-out for all answers: over SMTP that is the longest. The coroutine keeps the deadline of the login.
    val answer = if (endpoint.protocol == MailProtocol.SMTP) maxOf(settings.answerTimeout, settings.dataTimeout) else settings.answerTimeout
    val properties = Properties()
    fun set(name: String, value: Any) = properties.put("$prefix.$name", value)
    set("ssl.enable", "$isImplicit")
    set("starttls.enable", "${!isImplicit}")
    set("starttls.required", "${!isImplicit}")
    set("ssl.checkserveridentity", "true")
    set("ssl.hostnameverifier", names)
    val writeTimeout = settings.answerTimeout
    if (isImplicit) {
        set("ssl.socketFactory", TlsSockets(sockets) { settings.inTls(it, writeTimeout) })
    } else {
        set("ssl.socketFactory", settings.sslContext.socketFactory)
        set("socketFactory", sockets)
        set("writetimeout", milliseconds(writeTimeout).toString())
    }
    // Else it would try again with the machine's authorities where a certificate is not of those that are trusted here.
    set("socketFactory.fallback", "false")
    set("localhost", ehloNameOf(settings.config))
    set("auth", "true")
    set("auth.mechanisms", Mechanism.XOAUTH2.name)
    // A line of POP3 ends at 255 octets (RFC 2449 section 4): the token has one of its own.
    set("auth.xoauth2.two.line.authentication.format", "true")
    set("connectiontimeout", milliseconds(settings.timeout).toString())
    set("timeout", milliseconds(answer).toString())
    properties["mail.store.protocol"] = endpoint.protocol.name.lowercase()
    properties["mail.transport.protocol"] = endpoint.protocol.name.lowercase()
    return properties
}
