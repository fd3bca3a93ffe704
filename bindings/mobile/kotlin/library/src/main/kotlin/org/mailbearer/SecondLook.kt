package org.mailbearer

import java.net.Socket
import java.security.cert.CertificateException
import java.security.cert.X509Certificate
import javax.net.ssl.SSLContext
import javax.net.ssl.SSLEngine
import javax.net.ssl.X509ExtendedTrustManager
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeoutOrNull
import org.mailbearer.machine.AccessToken

// A second connection, which finds out why the first one fails. It trusts nobody, and so carries no token.

/** How long a server that begins in the clear may be silent before its port is looked at: issue 11, point 7. */
private val SILENCE = 5.seconds

/** For the look itself. */
private val LOOK = 5.seconds

/**
 * Does what waits for a greeting in the clear. Where none comes, the port is looked at meanwhile: one that speaks TLS from
 * the first octet waits for the client, and a server that is only slow is not disturbed. Under implicit TLS it speaks TLS.
 */
internal suspend fun <T> awaitingGreeting(settings: Settings, isSilent: () -> Boolean, wait: suspend () -> T): T =
    if (settings.endpoint.tls == Tls.IMPLICIT) wait() else coroutineScope {
        val looking = launch {
            delay(SILENCE)
            if (isSilent() && speaksTls(settings) && isSilent()) {
                throw failed(Cause.WRONG_TLS_MODE, "no greeting came, and the port speaks TLS from the first octet")
            }
        }
        wait().also { looking.cancel() }
    }

private suspend fun speaksTls(settings: Settings): Boolean {
    val link = SocketLink(settings.looking(Onlooker().context, Tls.IMPLICIT))
    try {
        withTimeoutOrNull(LOOK) { link.open() }
        return false
    } catch (failed: LoginFailedException) {
        // Our refusal of its certificate, or its alert.
        return failed.failure.cause == Cause.TLS_FAILED
    } finally {
        link.abort()
    }
}

/** The certificate that the server shows; `null` where it shows none this time. */
internal suspend fun certificateAt(settings: Settings): X509Certificate? {
    val onlooker = Onlooker()
    try {
        // The way to the handshake is that of a login. It ends there, before there would be anything to say.
        withTimeoutOrNull(LOOK) { DirectLogin(settings.looking(onlooker.context), AccessToken("x")).run().close() }
    } catch (_: LoginFailedException) {
        return onlooker.certificate
    }
    return onlooker.certificate
}

/** Thrown at every certificate, so that a second look is no login. */
private class NotTrusted : CertificateException("this connection only looks")

/** Keeps the certificate that it is shown, and refuses it. */
private class Onlooker : X509ExtendedTrustManager() {
    val context: SSLContext = SSLContext.getInstance("TLS").also { it.init(null, arrayOf(this), null) }

    @Volatile
    var certificate: X509Certificate? = null
        private set

    private fun refuse(chain: Array<out X509Certificate>?): Nothing {
        certificate = chain?.firstOrNull()
        throw NotTrusted()
    }

    override fun checkServerTrusted(chain: Array<out X509Certificate>?, authType: String?) = refuse(chain)

    override fun checkServerTrusted(chain: Array<out X509Certificate>?, authType: String?, socket: Socket?) = refuse(chain)

    override fun checkServerTrusted(chain: Array<out X509Certificate>?, authType: String?, engine: SSLEngine?) =
        refuse(chain)

    override fun checkClientTrusted(chain: Array<out X509Certificate>?, authType: String?) = refuse(chain)

    override fun checkClientTrusted(chain: Array<out X509Certificate>?, authType: String?, socket: Socket?) = refuse(chain)

    override fun checkClientTrusted(chain: Array<out X509Certificate>?, authType: String?, engine: SSLEngine?) =
        refuse(chain)

    override fun getAcceptedIssuers(): Array<X509Certificate> = emptyArray()
}
