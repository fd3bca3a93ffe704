package org.mailbearer

import org.mailbearer.machine.AccessToken
import org.mailbearer.machine.Identity
import org.mailbearer.machine.Negotiation
import org.mailbearer.machine.NegotiationConfig

private const val MASK = "<token>"

/** A login of nobody: it masks a token without being made. */
private val NOBODY = NegotiationConfig(Endpoint(MailProtocol.IMAP, Tls.IMPLICIT, "localhost", 993u), Identity("nobody"))

/** Masks this token, and what can be read of it, in a text that comes from elsewhere. */
internal fun AccessToken.masked(text: String): String = Negotiation(NOBODY, this).use { it.redact(text) }

/** A failure in which the token cannot be read, whatever the server repeats. */
internal fun Failure.without(token: AccessToken): Failure =
    copy(
        serverText = token.masked(serverText),
        code = code?.let(token::masked),
        url = url?.let(token::masked),
        sentence = token.masked(sentence),
        detail = token.masked(detail),
    )

/** Whether a token was masked. */
internal fun isMasked(text: String): Boolean = MASK in text
