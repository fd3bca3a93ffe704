package org.mailbearer.testing

import java.io.InputStream
import java.security.KeyFactory
import java.security.KeyStore
import java.security.cert.CertificateFactory
import java.security.cert.X509Certificate
import java.security.spec.PKCS8EncodedKeySpec
import java.util.Base64
import javax.net.ssl.KeyManagerFactory
import javax.net.ssl.SSLContext
import javax.net.ssl.TrustManagerFactory

/** Trusts the testing server, and nobody else. */
public fun clientContext(): SSLContext = trusting(resource("ca.pem").use(::certificate))

/** Trusts what this authority has signed, and nothing else. */
public fun trusting(authority: X509Certificate): SSLContext {
    val store = KeyStore.getInstance(KeyStore.getDefaultType()).apply { load(null) }
    store.setCertificateEntry("authority", authority)
    val trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm()).apply { init(store) }
    return SSLContext.getInstance("TLS").apply { init(null, trust.trustManagers, null) }
}

/** Reads a certificate in PEM. */
public fun certificate(pem: InputStream): X509Certificate =
    CertificateFactory.getInstance("X.509").generateCertificate(pem) as X509Certificate

/** Presents the certificate of localhost. */
internal fun serverContext(): SSLContext {
    val pem = resource("localhost.pem").use { it.readBytes().decodeToString() }
    val key = pem.substringAfter("-----BEGIN PRIVATE KEY-----").substringBefore("-----END PRIVATE KEY-----")
    val spec = PKCS8EncodedKeySpec(Base64.getMimeDecoder().decode(key))
    val store = KeyStore.getInstance(KeyStore.getDefaultType()).apply { load(null) }
    val chain = arrayOf(certificate(pem.substring(pem.indexOf("-----BEGIN CERTIFICATE-----")).byteInputStream()))
    store.setKeyEntry("localhost", KeyFactory.getInstance("EC").generatePrivate(spec), CharArray(0), chain)
    val keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm()).apply { init(store, CharArray(0)) }
    return SSLContext.getInstance("TLS").apply { init(keys.keyManagers, null, null) }
}

private fun resource(name: String): InputStream =
    checkNotNull(Server::class.java.getResourceAsStream(name)) { "$name is missing in the jar" }
