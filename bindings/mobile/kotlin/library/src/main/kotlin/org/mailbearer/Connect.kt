package org.mailbearer

import kotlin.time.Duration
import kotlinx.coroutines.withTimeoutOrNull
import org.mailbearer.machine.AccessToken
import org.mailbearer.machine.Authenticated
import org.mailbearer.machine.Negotiation
import org.mailbearer.machine.Next
import org.mailbearer.machine.Step

/**
 * Connects and logs in: a TLS connection whose certificate and host name are verified.
 *
 * ```
 * connect(MailProtocol.IMAP, "joe@gmail.com", { Token(account.accessToken()) }).use { connection ->
 *     connection.writeLine("A1 SELECT INBOX")
 *     println(connection.readLine())
 * }
 * ```
 *
 * It may be called from any thread, also from the main thread of an app: what blocks runs elsewhere, the first use of the native
 * library too. Its time-outs are by the machine's clock, also in `runTest`.
 *
 * A token that the server refuses is replaced once, by one that [token] is asked for with `forceRefresh`.
 *
 * @throws ConfigException a setting is missing or cannot work; nothing was sent.
 * @throws TokenSourceException the source has no token, or did not answer within the timeout.
 * @throws LoginFailedException the login did not work; it says why, and what to do.
 */
public suspend fun connect(
    protocol: MailProtocol,
    user: String,
    token: TokenSource,
    options: LoginOptions = LoginOptions(),
): Connection = inRealTime {
    val settings = resolve(protocol, user, options)
    loggingIn(JoinedTokens.of(token), settings.timeout) { logIn(settings, it.token) }
}

/** Logs in, and a second time with another token where the first one is refused. */
internal suspend fun <T> loggingIn(tokens: JoinedTokens, timeout: Duration, logIn: suspend (CheckedToken) -> T): T {
    val first = tokens.get(forceRefresh = false, timeout)
    try {
        return logIn(first)
    } catch (refused: LoginFailedException) {
        if (refused.failure.advice != Advice.REFRESH_TOKEN) throw refused
        if (!tokens.canRefresh) throw LoginFailedException(tokens.about(refused.failure), refused.cause)
        val second = tokens.get(forceRefresh = true, timeout, first.token)
        if (second.token.isSame(first.token)) throw refused
        return logIn(second)
    }
}

private suspend fun logIn(settings: Settings, token: AccessToken): Connection {
    val login = DirectLogin(settings, token)
    return withTimeoutOrNull(settings.timeout) { login.run() } ?: throw login.timedOut()
}

/** One login: it gives the octets to the machine, and what the machine says to the link. */
internal class DirectLogin(private val settings: Settings, private val token: AccessToken) {
    private val link = SocketLink(settings, token)
    private val negotiation = Negotiation(settings.config, token)

    suspend fun run(): Connection {
        var isDone = false
        try {
            link.open()
            var step = read()
            while (true) {
                if (step.send.isNotEmpty()) link.write(step.send, step.sensitive)
                when (val next = step.next) {
                    is Next.Read -> step = read()
                    is Next.StartTls -> step = startTls()
                    is Next.Failed -> throw LoginFailedException(next.failure)
                    is Next.Done -> return connection(next.authenticated).also { isDone = true }
                }
            }
        } finally {
            negotiation.close()
            link.endTrace()
            if (!isDone) link.abort()
        }
    }

    /** Says that the time for all of it is over. */
    fun timedOut(): LoginFailedException = link.timedOut()

    private suspend fun read(): Step = link.read()?.let(negotiation::receive) ?: negotiation.closed()

    private suspend fun startTls(): Step {
        link.injected()?.let { return negotiation.receive(it) }
        link.startTls()
        return negotiation.tlsEstablished()
    }

    private fun connection(login: Authenticated): Connection =
        Connection(link, settings.config, login.mechanism, login.capabilities, login.leftover, token::masked).also(link::begin)
}
