package org.mailbearer

import java.nio.Buffer
import java.nio.ByteBuffer
import java.security.KeyFactory
import java.security.KeyStore
import java.security.cert.CertificateException
import java.security.cert.CertificateFactory
import java.security.cert.X509Certificate
import java.security.spec.PKCS8EncodedKeySpec
import javax.net.ssl.KeyManagerFactory
import javax.net.ssl.SSLContext
import javax.net.ssl.SSLEngine
import javax.net.ssl.SSLEngineResult.HandshakeStatus
import javax.net.ssl.SSLException
import javax.net.ssl.SSLHandshakeException
import javax.net.ssl.SSLSession
import kotlin.io.encoding.Base64

// A trust manager of the program's may do as it likes. So it is checked at every handshake that the peer was in fact verified.

/** The certificate is not of this host; [certificate] is the server's. */
internal class NotVerified(message: String, val certificate: X509Certificate) : CertificateException(message)

/** Checks that the certificate names the host. A common name is no name (RFC 9525 section 2). */
internal fun checkNames(session: SSLSession, host: String) {
    // It throws where the peer showed none.
    val certificate = session.peerCertificates.first() as X509Certificate
    val names = certificate.subjectAlternativeNames.orEmpty()
    val isNamed = names.any { (kind, name) ->
        when (kind) {
            DNS_NAME -> isNameOf(host, "$name")
            IP_ADDRESS -> isAddressOf(host, "$name")
            else -> false
        }
    }
    if (isNamed) return
    val problem = NotVerified("the certificate does not name $host as a host", certificate)
    throw SSLHandshakeException(problem.message).apply { initCause(problem) }
}

/** RFC 9525 section 6.3: a wildcard is the whole first label, and stands for one. */
internal fun isNameOf(host: String, name: String): Boolean {
    val (asked, named) = host.trimEnd('.').lowercase() to name.trimEnd('.').lowercase()
    if (!named.startsWith("*.")) return asked == named
    val (rest, pattern) = asked.substringAfter('.', "") to named.drop(2)
    return '.' in pattern && rest == pattern && !asked.startsWith(".")
}

private fun isAddressOf(host: String, name: String): Boolean {
    val isAddress = ':' in host || host.all { it.isDigit() || it == '.' }
    return isAddress && runCatching {
        java.net.InetAddress.getByName(host).address.contentEquals(java.net.InetAddress.getByName(name).address)
    }.getOrDefault(false)
}

private const val DNS_NAME = 2
private const val IP_ADDRESS = 7

/** Checks that a context verifies: it must not take a certificate that nobody has issued. */
internal fun checkVerifies(context: SSLContext) {
    if (!Stranger.isTakenBy(context)) return
    throw SSLException("the SSLContext takes any certificate: give one whose trust manager verifies")
}

/** A server within this process that nobody may trust. Its key is no secret: it is in every copy of this library. */
internal object Stranger {
    private val server: SSLContext by lazy {
        val key = KeyFactory.getInstance("EC").generatePrivate(PKCS8EncodedKeySpec(Base64.decode(KEY)))
        val certificate = CertificateFactory.getInstance("X.509").generateCertificate(Base64.decode(CERTIFICATE).inputStream())
        val password = CharArray(0)
        // In memory: an old Android reads no file that Java 17 writes, and not each build keeps resources of a library.
        val store = KeyStore.getInstance(KeyStore.getDefaultType()).apply { load(null) }
        store.setKeyEntry("stranger", key, password, arrayOf(certificate))
        val keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm()).apply { init(store, password) }
        SSLContext.getInstance("TLS").apply { init(keys.keyManagers, null, null) }
    }

    /** Does a handshake in memory; whether the client takes it. */
    fun isTakenBy(context: SSLContext): Boolean {
        val client = context.createSSLEngine("mail.example.test", 993).apply { useClientMode = true }
        client.sslParameters = client.sslParameters.apply { endpointIdentificationAlgorithm = "HTTPS" }
        val stranger = server.createSSLEngine().apply { useClientMode = false }
        return try {
            shakeHands(Side(client), Side(stranger))
        } catch (_: Exception) {
            // A trust manager may throw what it likes: it did not take it.
            false
        }
    }

    private class Side(val engine: SSLEngine) {
        /** What it has said, to be read. */
        val said: ByteBuffer = ByteBuffer.allocate(8 * engine.session.packetBufferSize)

        /** The same: see [DirectOctets]. */
        val bounds: Buffer = said
        val plain: ByteBuffer = ByteBuffer.allocate(2 * engine.session.applicationBufferSize)
    }

    private fun shakeHands(client: Side, stranger: Side): Boolean {
        repeat(STEPS_MAX) {
            if (step(client, stranger)) return true
            step(stranger, client)
        }
        return false
    }

    /** One step; true when the handshake of this side is done. */
    private fun step(one: Side, other: Side): Boolean {
        val status =
            when (one.engine.handshakeStatus) {
                HandshakeStatus.NEED_TASK -> {
                    generateSequence { one.engine.delegatedTask }.forEach { it.run() }
                    return false
                }
                HandshakeStatus.NOT_HANDSHAKING, HandshakeStatus.NEED_WRAP ->
                    one.engine.wrap(ByteBuffer.allocate(0), one.said).handshakeStatus
                HandshakeStatus.FINISHED -> HandshakeStatus.FINISHED
                null -> null
                // NEED_UNWRAP; and of DTLS NEED_UNWRAP_AGAIN, which an old Android does not have.
                else -> {
                    other.bounds.flip()
                    val result = one.engine.unwrap(other.said, one.plain)
                    other.said.compact()
                    result.handshakeStatus
                }
            }
        return status == HandshakeStatus.FINISHED
    }

    private const val STEPS_MAX = 100

    /** PKCS #8. */
    private const val KEY = "MEECAQAwEwYHKoZIzj0CAQYIKoZIzj0DAQcEJzAlAgEBBCAUUDO+00ZWBAYpRQ5890UApMm/5nvr4Cv1S7ffs07OMg=="

    /** X.509: of mail.example.test, signed by itself. */
    private const val CERTIFICATE =
        "MIIBdzCCAR6gAwIBAgIJAKcYP4/Gu00mMAoGCCqGSM49BAMCMCAxHjAcBgNVBAMTFW5vYm9keSBtYXkgdHJ1c3QgdGhpczAg" +
        "Fw0yMDAxMDExOTU4MThaGA8yMTE5MTIwODE5NTgxOFowIDEeMBwGA1UEAxMVbm9ib2R5IG1heSB0cnVzdCB0aGlzMFkwEwYH" +
        "KoZIzj0CAQYIKoZIzj0DAQcDQgAESo4+lv3UOxl/UgosRzkOfunKL+iWfvr+6Ht55ntWDqRfYMEauXnIZgq6i7k8TUIW0JxP" +
        "op8LZ5PgOL9hO+k8v6M/MD0wHQYDVR0OBBYEFB30cCA8vzToT/ERqvbLuYH29ZuLMBwGA1UdEQQVMBOCEW1haWwuZXhhbXBs" +
        "ZS50ZXN0MAoGCCqGSM49BAMCA0cAMEQCIEm3Q7nbRMaN7oKL1cWdNEG8ClyyIeH9lceRzasr2ZNVAiAIZYnho+9bnjTrJoW7" +
        "ZarpQiafVdZumgPZ2RZ3Qr8oVw=="
}
