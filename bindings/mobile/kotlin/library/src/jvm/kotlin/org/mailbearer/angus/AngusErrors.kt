package org.mailbearer.angus

import jakarta.mail.AuthenticationFailedException
import jakarta.mail.FolderClosedException
import jakarta.mail.MessagingException
import jakarta.mail.StoreClosedException
import java.io.IOException
import org.eclipse.angus.mail.iap.ProtocolException
import org.eclipse.angus.mail.iap.Response
import org.eclipse.angus.mail.smtp.SMTPAddressFailedException
import org.eclipse.angus.mail.smtp.SMTPSendFailedException
import org.eclipse.angus.mail.smtp.SMTPSenderFailedException
import org.eclipse.angus.mail.util.MailConnectException
import org.mailbearer.Cause
import org.mailbearer.Certainty
import org.mailbearer.Failure
import org.mailbearer.MailLibrary
import org.mailbearer.MailProtocol
import org.mailbearer.Phase
import org.mailbearer.chainOf
import org.mailbearer.explain
import org.mailbearer.isMasked
import org.mailbearer.machine.AccessToken
import org.mailbearer.machine.classify
import org.mailbearer.failureOfConnect
import org.mailbearer.machine.failureOfHost
import org.mailbearer.masked
import org.mailbearer.oneLine
import org.mailbearer.readRejection

/** Reads what Jakarta Mail and Angus Mail throw. */
internal class AngusMail : MailLibrary {
    override fun explain(error: Throwable, protocol: MailProtocol?, user: String, host: String): Failure? {
        // By name: where the libraries are not there, no class of them may be asked for.
        val names = generateSequence<Class<*>>(error.javaClass) { it.superclass }.map { it.name }
        val isOfMail = names.any { it.startsWith("jakarta.mail.") || it.startsWith("org.eclipse.angus.mail.") }
        return if (isOfMail) failureOfMail(error, protocol, user, host) else null
    }

    override fun tellsOfEnd(error: Throwable): Boolean = error.javaClass.name in ENDS
}

/** By name, for the same reason. */
private val ENDS = setOf(
    "jakarta.mail.FolderClosedException",
    "jakarta.mail.StoreClosedException",
    "org.eclipse.angus.mail.iap.ConnectionException",
    "org.eclipse.angus.mail.util.FolderClosedIOException",
)

private fun failureOfMail(error: Throwable, protocol: MailProtocol?, user: String, host: String): Failure? {
    val spoken = protocol ?: protocolOf(error)
    // Jakarta Mail may be there without Angus Mail.
    val isOfAngus = error.javaClass.name.startsWith("org.eclipse.angus.mail.")
    val told = (if (isOfAngus) toldByAngus(error) else null) ?: toldByJakarta(error, spoken)
    return when (told) {
        is Told.Reply -> failureOfReply(told, user, host)
        is Told.Unopened -> failureOfConnect(told.error, told.place)
        is Told.Fact -> failureOfHost(told.cause, oneLine(told.words))
        is Told.Nested -> explain(told.error, spoken, user, host)
        null -> null
    }
}

private sealed interface Told {
    /** What the server said, as it sent it. [isSeen]: whether the exception tells that it said this, and with this status. */
    class Reply(val protocol: MailProtocol, val phase: Phase, val lines: List<String>, val isSeen: Boolean = true) : Told

    /** What the library found by itself. */
    class Fact(val cause: Cause, val words: String) : Told

    /** A connection that did not open. */
    class Unopened(val error: Throwable, val place: String) : Told

    /** What it wrapped by other means than a cause. */
    class Nested(val error: Throwable) : Told
}

private fun failureOfReply(told: Told.Reply, user: String, host: String): Failure {
    if (told.phase == Phase.AUTH_CHALLENGE) return failureOfChallenge(told, user, host)
    val failure = explain(told.protocol, told.phase, told.lines.joinToString("\n"), user = user, host = host)
    return if (told.isSeen) failure else failure.copy(certainty = Certainty.GUESSED)
}

/** Over SMTP Angus Mail stops at the challenge that says why, and never hears the refusal. */
private fun failureOfChallenge(told: Told.Reply, user: String, host: String): Failure {
    val verdict = classify(told.protocol, told.phase, told.lines, user, host)
    val rejection = readRejection(told.lines.first())
    return failureOfHost(verdict.cause, "the challenge says: ${oneLine(rejection.status)}")
        .copy(advice = verdict.advice, certainty = verdict.certainty, rejection = rejection)
}

// ---- Angus Mail's own exceptions --------------------------------------------------------------------------------------

private fun toldByAngus(error: Throwable): Told? =
    when (error) {
        is SMTPAddressFailedException -> toldBySmtp(error.returnCode, error.message, Phase.MID_SESSION)
        is SMTPSenderFailedException -> toldBySmtp(error.returnCode, error.message, Phase.MID_SESSION)
        is SMTPSendFailedException -> toldBySmtp(error.returnCode, error.message, Phase.MID_SESSION)
        is MailConnectException -> error.cause?.let { Told.Unopened(it, "${error.host}:${error.port}") }
        is ProtocolException -> error.response?.let { toldByImap(it, error) } ?: ownWords(error.message)
        else -> null
    }

/** [code] is -1 where the connection ended in place of a reply, and below 400 where others were refused and this was not. */
private fun toldBySmtp(code: Int, message: String?, phase: Phase): Told? =
    when {
        code in REFUSALS -> smtpReply(message.orEmpty(), phase)
        code < 0 -> Told.Fact(Cause.CONNECTION_LOST, "in place of a reply")
        else -> null
    }

private fun toldByImap(response: Response, error: Throwable): Told? =
    when {
        response.isSynthetic -> response.exception?.let(Told::Nested)
        response.isBYE -> {
            val phase = if (phaseOf(error) == Phase.MID_SESSION) Phase.DISCONNECT else Phase.GREETING
            Told.Reply(MailProtocol.IMAP, phase, listOf("$response"))
        }
        response.isNO || response.isBAD -> Told.Reply(MailProtocol.IMAP, phaseOf(error), listOf("$response"))
        phaseOf(error) == Phase.GREETING -> Told.Fact(Cause.WRONG_SERVICE, "it said: $response")
        else -> null
    }

// ---- Jakarta Mail's ---------------------------------------------------------------------------------------------------

private fun toldByJakarta(error: Throwable, protocol: MailProtocol?): Told? =
    when (error) {
        is AuthenticationFailedException -> refusal(error.message.orEmpty().trim(), error, protocol)
        is FolderClosedException, is StoreClosedException -> goodbye(error.message.orEmpty())
        is MessagingException -> ownWords(error.message) ?: toldInPassing(error, protocol)
        else -> null
    }

private fun refusal(text: String, error: Throwable, protocol: MailProtocol?): Told? {
    val own = ownWords(text)
    return when {
        own != null -> own
        // What is nested says why.
        text.isEmpty() && error.cause != null -> null
        protocol == MailProtocol.SMTP || protocol == null && SMTP_REPLY.containsMatchIn(text) -> {
            val isChallenge = text.startsWith("334")
            smtpReply(text, if (isChallenge) Phase.AUTH_CHALLENGE else Phase.AUTH_FAIL)
        }
        protocol == MailProtocol.POP3 -> {
            // It throws this for an end, too. Only a server sends a response code.
            val isReply = text.startsWith("[") || text.startsWith("-ERR")
            val line = "-ERR ${text.removePrefix("-ERR").trimStart()}"
            Told.Reply(MailProtocol.POP3, Phase.AUTH_FAIL, listOf(line), isReply)
        }
        // Over IMAP it throws this for a tagged NO, and for nothing else; tag and status are gone.
        else -> Told.Reply(MailProtocol.IMAP, Phase.AUTH_FAIL, listOf("A1 NO $text"), protocol != null)
    }
}

private fun goodbye(text: String): Told {
    val isReply = text.startsWith("* BYE") && SYNTHETIC !in text
    if (isReply) return Told.Reply(MailProtocol.IMAP, Phase.DISCONNECT, listOf(text.trim()))
    // `java.net.SocketTimeoutException: Read timed out`.
    val words = text.substringAfterLast("Exception: ")
    return ownWords(words) ?: Told.Fact(Cause.CONNECTION_LOST, words)
}

/** A reply that stands in the text of an exception. */
private fun toldInPassing(error: MessagingException, protocol: MailProtocol?): Told? {
    val text = error.message.orEmpty()
    val nested = error.cause?.message.orEmpty()
    return when {
        BAD_GREETING in text -> greeting(text.substringAfter(BAD_GREETING))
        nested.startsWith(UNEXPECTED) && phaseOf(error) != Phase.MID_SESSION ->
            Told.Fact(Cause.WRONG_SERVICE, "it said: ${nested.removePrefix(UNEXPECTED)}")
        nested.startsWith(STAT_FAILED) ->
            Told.Reply(MailProtocol.POP3, Phase.MID_SESSION, listOf("-ERR ${nested.removePrefix(STAT_FAILED)}"))
        protocol != MailProtocol.SMTP && protocol != null -> null
        SMTP_REFUSAL.containsMatchIn(text) -> smtpReply(text, phaseOf(error))
        else -> null
    }
}

private fun greeting(reply: String): Told =
    when {
        reply.startsWith("[EOF]") -> Told.Fact(Cause.CONNECTION_LOST, "in place of a greeting")
        SMTP_REPLY.containsMatchIn(reply) -> smtpReply(reply, Phase.GREETING)
        else -> Told.Fact(Cause.WRONG_SERVICE, "it said: ${reply.trim()}")
    }

// ---- Both -------------------------------------------------------------------------------------------------------------

/** A reply of SMTP, of one line or more, each with its code in front; where there is none, no status was seen. */
private fun smtpReply(reply: String, phase: Phase): Told.Reply {
    val lines = reply.trim().lines()
    if (!SMTP_REPLY.containsMatchIn(lines.first())) {
        return Told.Reply(MailProtocol.SMTP, phase, lines.map { "535 $it" }, isSeen = false)
    }
    val isOfLogin = phase == Phase.MID_SESSION && lines.first().take(SMTP_CODE) in SMTP_LOGIN_CODES
    return Told.Reply(MailProtocol.SMTP, if (isOfLogin) Phase.AUTH_FAIL else phase, lines)
}

/** What the library says in words of its own, and not the server's. */
private fun ownWords(text: String?): Told.Fact? =
    OWN_WORDS.firstNotNullOfOrNull { (words, cause) ->
        if (text.orEmpty().startsWith(words)) Told.Fact(cause, text.orEmpty()) else null
    }

/** Where in the dialogue it was thrown: the stack has the method. */
private fun phaseOf(error: Throwable): Phase {
    val methods = error.stackTrace.map { it.methodName }
    return when {
        "protocolConnect" !in methods -> Phase.MID_SESSION
        methods.any { it in GREETINGS } -> Phase.GREETING
        methods.any { it in PREPARATIONS } -> Phase.CAPABILITY
        else -> Phase.AUTH_FAIL
    }
}

private fun protocolOf(error: Throwable): MailProtocol? =
    error.stackTrace.firstNotNullOfOrNull { frame ->
        PACKAGES.firstNotNullOfOrNull { (name, protocol) -> protocol.takeIf { name in frame.className } }
    }

private val PACKAGES = listOf(
    ".mail.imap." to MailProtocol.IMAP,
    ".mail.iap." to MailProtocol.IMAP,
    ".mail.pop3." to MailProtocol.POP3,
    ".mail.smtp." to MailProtocol.SMTP,
)

private val GREETINGS = setOf("processGreeting", "openServer")
private val PREPARATIONS = setOf("startTLS", "stls", "capability", "capa", "ehlo", "helo")
private val REFUSALS = 400..599
private const val SMTP_CODE = 3
private val SMTP_REPLY = Regex("^[2-5][0-9][0-9]([ -]|$)")
private val SMTP_REFUSAL = Regex("^[45][0-9][0-9]([ -]|$)")

/** RFC 4954 section 6: none of these answers anything else. */
private val SMTP_LOGIN_CODES = setOf("432", "534", "535", "538")
private const val SYNTHETIC = "Jakarta Mail Exception: "
private const val BAD_GREETING = ", response: "
private const val UNEXPECTED = "Unexpected response: "
private const val STAT_FAILED = "STAT command failed: "

private val OWN_WORDS = listOf(
    "No authentication mechanisms supported by both server and client" to Cause.MECHANISM_UNAVAILABLE,
    "No login methods supported!" to Cause.MECHANISM_UNAVAILABLE,
    "STARTTLS is required but" to Cause.TLS_REFUSED,
    "STARTTLS required but" to Cause.TLS_REFUSED,
    "STLS required but" to Cause.TLS_REFUSED,
    "EOF on socket" to Cause.CONNECTION_LOST,
    "[EOF]" to Cause.CONNECTION_LOST,
    "Connection dropped by server?" to Cause.CONNECTION_LOST,
    "Connection reset" to Cause.CONNECTION_LOST,
    "Socket closed" to Cause.CONNECTION_LOST,
    "Broken pipe" to Cause.CONNECTION_LOST,
    "Read timed out" to Cause.TIMED_OUT,
    "failed to connect, no password" to Cause.TOKEN_UNAVAILABLE,
)

// ---- What may be kept -------------------------------------------------------------------------------------------------

/** The same exception; or, where the token can be read in it, another that says the same without it. */
internal fun MessagingException.without(token: AccessToken): Exception {
    val texts = chainOf(this).flatMap { listOf(it) + it.suppressed }.mapNotNull { it.message }
    return if (texts.any { isMasked(token.masked(it)) }) copyWithout(token, chainOf(this)) else this
}

private fun copyWithout(token: AccessToken, chain: List<Throwable>): Exception {
    val error = chain.first()
    val nested = chain.drop(1).takeIf { it.isNotEmpty() }?.let { copyWithout(token, it) }
    val text = token.masked(error.message.orEmpty())
    val copy = when (error) {
        is AuthenticationFailedException -> AuthenticationFailedException(text, nested)
        is MessagingException -> MessagingException(text, nested)
        else -> IOException("${error.javaClass.name}: $text", nested)
    }
    return copy.apply { stackTrace = error.stackTrace }
}
