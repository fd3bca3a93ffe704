package org.mailbearer

import java.util.ServiceLoader
import java.util.concurrent.TimeoutException
import kotlin.coroutines.cancellation.CancellationException
import org.mailbearer.machine.failureOfHost

/**
 * Explains what a mail library, a socket or mailbearer itself threw: what happened, what to do, and a sentence for a person.
 *
 * ```
 * try {
 *     store.connect(host, user, token)
 * } catch (error: MessagingException) {
 *     val failure = explain(error, MailProtocol.IMAP, user, host)
 *     println(failure.sentence)
 *     if (failure.advice == Advice.REFRESH_TOKEN) …
 * }
 * ```
 *
 * It reads Angus Mail's exceptions with what is nested in them: refusals of a login, of a sender, a recipient or a message,
 * folders and stores that were closed, connections that did not open; and those of sockets and TLS. What an exception does not
 * tell is not claimed: without a status of the server, nothing is ever `STATED`, and never `NO_FAULT`.
 *
 * The server's words may repeat the token: what mailbearer throws by itself has it masked, and what others throw has not.
 *
 * @param protocol what was spoken, where it is known; else it is read from the exception, as far as that tells.
 * @param user the user who logged in: a name that the server may repeat, and that is no word of its own.
 * @param host the server, likewise.
 */
public fun explain(error: Throwable, protocol: MailProtocol? = null, user: String = "", host: String = ""): Failure {
    val chain = chainOf(error)
    return chain.firstNotNullOfOrNull(::failureOfOurs)
        ?: chain.firstNotNullOfOrNull { failureOfLibrary(it, protocol, user, host) }
        ?: chain.firstNotNullOfOrNull(::failureOfSocket)
        ?: chain.firstNotNullOfOrNull(::failureOfTime)
        ?: unknown(error)
}

/** What the server's error challenge says, for mail libraries that hand it on as octets. */
public fun readRejection(challenge: ByteArray): Rejection = readRejection(challenge.decodeToString())

/** Reads what a mail library throws. The library need not be there, and on Android its reader is not: it is found as a service. */
internal interface MailLibrary {
    /** What an exception tells by itself, without what is nested in it; `null` where it is none of the library, or tells nothing. */
    fun explain(error: Throwable, protocol: MailProtocol?, user: String, host: String): Failure?

    /** Whether it tells that the connection has ended. */
    fun tellsOfEnd(error: Throwable): Boolean
}

private val LIBRARIES: List<MailLibrary> by lazy {
    ServiceLoader.load(MailLibrary::class.java, MailLibrary::class.java.classLoader).toList()
}

/** Whether an exception tells that a connection has ended: in our words, or in those of a mail library. */
internal fun tellsOfEnd(error: Throwable): Boolean =
    chainOf(error).any { one -> one is SessionEndedException || LIBRARIES.any { it.tellsOfEnd(one) } }

private fun failureOfLibrary(error: Throwable, protocol: MailProtocol?, user: String, host: String): Failure? =
    LIBRARIES.firstNotNullOfOrNull { it.explain(error, protocol, user, host) }

private fun failureOfOurs(error: Throwable): Failure? =
    when (error) {
        is LoginFailedException -> error.failure
        is SessionEndedException ->
            failureOfHost(error.verdict.cause, "")
                .copy(advice = error.verdict.advice, certainty = error.verdict.certainty, waitMs = error.verdict.waitMs)
        is TokenSourceException -> failureOfSource(error)
        is ConfigException, is MisuseException, is CoreException -> unknown(error).copy(advice = Advice.FIX_CONFIGURATION)
        else -> null
    }

/** What a token source threw, or what it gave that is no token. */
internal fun failureOfSource(error: TokenSourceException): Failure {
    val failure = failureOfHost(Cause.TOKEN_UNAVAILABLE, oneLine(error.message))
    return if (error.permanent) failure else failure.copy(advice = Advice.BACK_OFF)
}

private fun failureOfTime(error: Throwable): Failure? =
    when (error) {
        is TimeoutException, is kotlinx.coroutines.TimeoutCancellationException ->
            failureOfHost(Cause.TIMED_OUT, wordsOf(error))
        is CancellationException -> failureOfHost(Cause.CANCELLED, wordsOf(error))
        else -> null
    }

/** No server refused anything here, as far as can be told. */
private fun unknown(error: Throwable): Failure =
    failureOfHost(Cause.UNRECOGNIZED, "")
        .copy(certainty = Certainty.GUESSED, sentence = "${error.javaClass.simpleName}: ${wordsOf(error)}")
