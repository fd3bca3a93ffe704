/** For programs that use Angus Mail (Jakarta Mail). */
package org.mailbearer.angus

import jakarta.mail.AuthenticationFailedException
import jakarta.mail.MessagingException
import jakarta.mail.Service
import jakarta.mail.Session
import jakarta.mail.Store
import jakarta.mail.Transport
import java.net.SocketTimeoutException
import java.util.Properties
import javax.net.ssl.SSLException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.runInterruptible
import org.mailbearer.Advice
import org.mailbearer.Cause
import org.mailbearer.ConfigException
import org.mailbearer.Failure
import org.mailbearer.JoinedTokens
import org.mailbearer.LoginFailedException
import org.mailbearer.LoginOptions
import org.mailbearer.MailProtocol
import org.mailbearer.Mechanism
import org.mailbearer.Phase
import org.mailbearer.Settings
import org.mailbearer.Tls
import org.mailbearer.Token
import org.mailbearer.TokenSource
import org.mailbearer.classify
import org.mailbearer.failureOfHost
import org.mailbearer.resolve

/**
 * Connects a store of Angus Mail, which logs in by itself: with a fresh token, XOAUTH2 and no other mechanism, and TLS that
 * verifies certificate and host name. A token that the server refuses is replaced once.
 *
 * To stay logged in over IMAP, give [imapStore] the connections of [org.mailbearer.sessions].
 *
 * @throws LoginFailedException why the login did not work, read from the exception of Angus Mail, which is its cause.
 */
suspend fun connectStore(
    protocol: MailProtocol,
    user: String,
    token: TokenSource,
    options: LoginOptions = LoginOptions(),
): Store {
    if (protocol == MailProtocol.SMTP) throw ConfigException("SMTP has no store: use connectTransport")
    return connect(resolve(protocol, user, options), token) { it.store }
}

/** Connects a transport of Angus Mail, as [connectStore] does a store. */
suspend fun connectTransport(user: String, token: TokenSource, options: LoginOptions = LoginOptions()): Transport =
    connect(resolve(MailProtocol.SMTP, user, options), token) { it.transport }

/** What an exception of Angus Mail means that came while it connected. */
fun failureOf(protocol: MailProtocol, error: MessagingException): Failure {
    val causes = generateSequence<Throwable>(error) { it.cause }.toList()
    return when {
        error is AuthenticationFailedException -> failureOfReply(protocol, error.message ?: "")
        causes.any { it is SSLException } -> failureOfHost(Cause.TLS_FAILED, causes.last().message?.take(200) ?: "")
        causes.any { it is SocketTimeoutException } -> failureOfHost(Cause.TIMED_OUT, "in connection or login")
        error.message?.contains("STARTTLS") == true -> failureOfHost(Cause.TLS_REFUSED, "")
        else -> failureOfHost(Cause.CONNECTION_LOST, causes.last().message?.take(200) ?: "")
    }
}

private suspend fun <T : Service> connect(settings: Settings, token: TokenSource, make: (Session) -> T): T {
    val session = Session.getInstance(properties(settings))
    val tokens = JoinedTokens.of(token)
    val first = tokens.get(forceRefresh = false)
    try {
        return logIn(settings, make(session), first.given)
    } catch (refused: LoginFailedException) {
        if (refused.failure.advice != Advice.REFRESH_TOKEN || !tokens.canRefresh) throw refused
        val second = tokens.get(forceRefresh = true)
        if (second.token.isSame(first.token)) throw refused
        return logIn(settings, make(session), second.given)
    }
}

private suspend fun <T : Service> logIn(settings: Settings, service: T, token: Token): T {
    val endpoint = settings.endpoint
    try {
        runInterruptible(Dispatchers.IO) {
            service.connect(endpoint.host, endpoint.port.toInt(), settings.user, token.value)
            // Over POP3, Angus Mail 2.0 takes the challenge that says why for a login that worked. The next command tells.
            if (!service.isConnected) throw AuthenticationFailedException("[AUTH] the login was refused")
        }
        return service
    } catch (error: MessagingException) {
        throw LoginFailedException(failureOf(endpoint.protocol, error), error)
    }
}

/** What Angus Mail is told, so that it logs in as [org.mailbearer.connect] does. */
private fun properties(settings: Settings): Properties {
    val endpoint = settings.endpoint
    if (settings.config.mechanisms?.contains(Mechanism.XOAUTH2) == false) {
        throw ConfigException("mechanisms must have XOAUTH2: Angus Mail speaks no other one that takes a token")
    }
    val isImplicit = endpoint.tls == Tls.IMPLICIT
    val prefix = "mail.${endpoint.protocol.name.lowercase()}"
    val milliseconds = settings.timeout.inWholeMilliseconds.coerceAtMost(Int.MAX_VALUE.toLong()).toString()
    val properties = Properties()
    fun set(name: String, value: Any) = properties.put("$prefix.$name", value)
    set("ssl.enable", "$isImplicit")
    set("starttls.enable", "${!isImplicit}")
    set("starttls.required", "${!isImplicit}")
    set("ssl.checkserveridentity", "true")
    set("ssl.socketFactory", settings.sslContext.socketFactory)
    set("auth", "true")
    set("auth.mechanisms", Mechanism.XOAUTH2.name)
    // A line of POP3 ends at 255 octets (RFC 2449 section 4): the token has one of its own.
    set("auth.xoauth2.two.line.authentication.format", "true")
    for (name in listOf("connectiontimeout", "timeout", "writetimeout")) set(name, milliseconds)
    properties["mail.store.protocol"] = endpoint.protocol.name.lowercase()
    properties["mail.transport.protocol"] = endpoint.protocol.name.lowercase()
    return properties
}

/** Angus Mail keeps of a refusal what follows on tag and status. */
private fun failureOfReply(protocol: MailProtocol, message: String): Failure {
    val lines = message.trim().lines().map { line ->
        when (protocol) {
            MailProtocol.IMAP -> if (line.startsWith("NO ") || line.startsWith("BAD ")) "A1 $line" else "A1 NO $line"
            MailProtocol.POP3 -> if (line.startsWith("-ERR")) line else "-ERR $line"
            MailProtocol.SMTP -> line
        }
    }
    // Over SMTP it stops at the challenge that says why, and never hears the refusal.
    val phase = if (lines.first().startsWith("334 ")) Phase.AUTH_CHALLENGE else Phase.AUTH_FAIL
    val verdict = classify(protocol, phase, lines)
    return failureOfHost(verdict.cause, "Angus Mail was told: ${message.trim().take(200)}")
        .copy(advice = verdict.advice, certainty = verdict.certainty, waitMs = verdict.waitMs, url = verdict.url)
}
