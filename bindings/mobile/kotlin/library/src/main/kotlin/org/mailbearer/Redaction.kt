package org.mailbearer

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

/** What requests and answers of OAuth hold (RFC 6749), in a form or in JSON, where an exception has them in its text. */
private val MEMBERS = Regex(
    "((?:access_token|refresh_token|id_token|client_secret|client_assertion|assertion)[\"']?\\s*[:=]\\s*[\"']?)[^\"'&,;\\s}]+",
    RegexOption.IGNORE_CASE,
)

/** RFC 6750 section 2.1. Shorter words are of a challenge: `Bearer error="invalid_token"`. */
private val HEADER = Regex("(bearer\\s+)[A-Za-z0-9._~+/-]{16,}=*", RegexOption.IGNORE_CASE)

/** Masks what is secret in OAuth. */
internal fun withoutSecrets(text: String): String = text.replace(MEMBERS, "$1$MASK").replace(HEADER, "$1$MASK")
