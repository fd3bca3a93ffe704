package org.mailbearer

import kotlinx.coroutines.withTimeoutOrNull

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
 * A token that the server refuses is replaced once, by one that [token] is asked for with `forceRefresh`.
 *
 * @throws ConfigException a setting is missing or cannot work; nothing was sent.
 * @throws TokenSourceException the source has no token, or did not answer within the timeout.
 * @throws LoginFailedException the login did not work; it says why, and what to do.
 */
suspend fun connect(
    protocol: MailProtocol,
    user: String,
    token: TokenSource,
    options: LoginOptions = LoginOptions(),
): Connection {
    val settings = resolve(protocol, user, options)
    val tokens = JoinedTokens.of(token)
    val first = tokens.get(forceRefresh = false, settings.timeout).token
    try {
        return logIn(settings, first)
    } catch (refused: LoginFailedException) {
        if (refused.failure.advice != Advice.REFRESH_TOKEN || !tokens.canRefresh) throw refused
        val second = tokens.get(forceRefresh = true, settings.timeout).token
        if (second.isSame(first)) throw refused
        return logIn(settings, second)
    }
}

private suspend fun logIn(settings: Settings, token: AccessToken): Connection =
    withTimeoutOrNull(settings.timeout) { DirectLogin(settings, token).run() }
        ?: throw failed(Cause.TIMED_OUT, "in connection and login together")

/** One login: it gives the octets to the machine, and what the machine says to the link. */
private class DirectLogin(private val settings: Settings, token: AccessToken) {
    private val link = Link(settings)
    private val negotiation = Negotiation(settings.config, token)

    suspend fun run(): Connection {
        var isDone = false
        try {
            link.open()
            var step = read()
            while (true) {
                if (step.send.isNotEmpty()) link.write(step.send)
                when (val next = step.next) {
                    is Next.Read -> step = read()
                    is Next.StartTls -> step = startTls()
                    is Next.Failed -> throw LoginFailedException(next.failure)
                    is Next.Done -> return connection(next.authenticated).also { isDone = true }
                }
            }
        } finally {
            negotiation.close()
            if (!isDone) link.abort()
        }
    }

    private suspend fun read(): Step = link.read()?.let(negotiation::receive) ?: negotiation.closed()

    private suspend fun startTls(): Step {
        link.injected()?.let { return negotiation.receive(it) }
        link.startTls()
        return negotiation.tlsEstablished()
    }

    private fun connection(login: Authenticated): Connection =
        Connection(link, settings.endpoint, login.mechanism, login.capabilities, login.leftover).apply { begin() }
}
