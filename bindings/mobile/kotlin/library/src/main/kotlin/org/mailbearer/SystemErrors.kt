package org.mailbearer

import java.io.EOFException
import java.io.IOException
import java.io.InterruptedIOException
import java.net.BindException
import java.net.ConnectException
import java.net.NoRouteToHostException
import java.net.PortUnreachableException
import java.net.SocketException
import java.net.SocketTimeoutException
import java.net.UnknownHostException
import java.security.cert.CertPathValidatorException
import java.security.cert.CertificateException
import java.security.cert.X509Certificate
import javax.net.ssl.SSLException
import org.mailbearer.machine.failureOfConnect
import org.mailbearer.machine.failureOfHost
import org.mailbearer.machine.failureOfTls

// What Java throws for sockets and TLS, in the words that the core reads.

/** Octets of a throwable's own words that a sentence has. */
private const val WORDS_MAX = 200

/** A throwable and its causes, the outermost first; a circle of causes ends. */
internal fun chainOf(error: Throwable): List<Throwable> {
    val seen = LinkedHashSet<Throwable>()
    var next: Throwable? = error
    while (next != null && seen.add(next)) next = next.cause
    return seen.toList()
}

/** A connection that could not be opened. [place] is host and port, where they are known. */
internal fun failureOfConnect(error: Throwable, place: String): Failure {
    val words = wordsOf(error)
    val host = place.substringBeforeLast(':')
    return failureOfConnect(posixName(error), if (host.isEmpty() || host in words) words else "$place: $words")
}

/** Java tells in classes, and in the system's words, for what POSIX has names. */
private fun posixName(error: Throwable): String {
    val words = error.message.orEmpty()
    return when (error) {
        is UnknownHostException -> if (words.contains("temporary failure", ignoreCase = true)) "EAI_AGAIN" else "EAI_NONAME"
        is NoRouteToHostException -> "EHOSTUNREACH"
        is SocketTimeoutException -> "ETIMEDOUT"
        // Two errors of the system have this class: java.base's Net.c.
        is ConnectException -> if (words.contains("timed out", ignoreCase = true)) "ETIMEDOUT" else "ECONNREFUSED"
        is PortUnreachableException -> "ECONNREFUSED"
        is BindException -> "EADDRNOTAVAIL"
        else -> "ENETUNREACH"
    }
}

/** A handshake that failed, without what is known of the certificate. */
internal fun failureOfHandshake(error: IOException): Failure {
    val chain = chainOf(error)
    val words = wordsOf(chain.last())
    val isPlain = failureOfTls(error.message.orEmpty(), words).takeIf { it.cause == Cause.WRONG_TLS_MODE }
    return when {
        isPlain != null -> isPlain
        chain.any { it is SocketTimeoutException } -> failureOfHost(Cause.TIMED_OUT, "in the TLS handshake")
        error !is SSLException || chain.any { it is EOFException || it is SocketException } ->
            failureOfHost(Cause.CONNECTION_LOST, "in the TLS handshake: $words")
        else -> failureOfTls("", words)
    }
}

/** Whether a handshake failed because of the server's certificate: of one that cannot be read, too. */
internal fun isOfCertificate(error: Throwable): Boolean = chainOf(error).any { it is CertificateException }

/** The certificate that Java did not take, where its exception has it: of one that has expired, but not of a wrong name. */
internal fun certificateIn(error: Throwable): X509Certificate? =
    chainOf(error).firstNotNullOfOrNull {
        (it as? NotVerified)?.certificate ?: (it as? CertPathValidatorException)?.certPath?.certificates?.firstOrNull()
    } as? X509Certificate

/** What a socket, or TLS on it, threw; `null` where it is none of these. */
internal fun failureOfSocket(error: Throwable): Failure? =
    when (error) {
        is SSLException -> failureOfHandshake(error)
        is UnknownHostException, is ConnectException, is NoRouteToHostException, is PortUnreachableException,
        is BindException -> failureOfConnect(error, "")
        is SocketTimeoutException ->
            if (error.message.orEmpty().startsWith("connect", ignoreCase = true)) failureOfConnect(error, "")
            else failureOfHost(Cause.TIMED_OUT, wordsOf(error))
        is InterruptedIOException -> failureOfHost(Cause.TIMED_OUT, wordsOf(error))
        is SocketException ->
            if (error.message.orEmpty().contains("unreachable", ignoreCase = true)) failureOfConnect(error, "")
            else failureOfHost(Cause.CONNECTION_LOST, wordsOf(error))
        is EOFException -> failureOfHost(Cause.CONNECTION_LOST, wordsOf(error))
        else -> null
    }

/** What a throwable says, in one line: the name of its class where it says nothing. */
internal fun wordsOf(error: Throwable): String = oneLine(error.message).ifEmpty { error.javaClass.simpleName }

/** Words that may come from anywhere, for a sentence: in one line, without control characters, and not endless. */
internal fun oneLine(words: String?): String =
    words.orEmpty().replace(Regex("[\\p{Cntrl}\\s]+"), " ").trim().take(WORDS_MAX)
