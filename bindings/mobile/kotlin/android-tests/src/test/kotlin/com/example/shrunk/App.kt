/** A small app, which R8 shrinks. */
package com.example.shrunk

import java.io.File
import java.security.KeyStore
import java.security.cert.CertificateFactory
import javax.net.ssl.SSLContext
import javax.net.ssl.TrustManagerFactory
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import org.mailbearer.LoginFailedException
import org.mailbearer.LoginOptions
import org.mailbearer.MailProtocol
import org.mailbearer.Token
import org.mailbearer.TokenSource
import org.mailbearer.connect
import org.mailbearer.newMessages
import org.mailbearer.sessions

/** `PORT AUTHORITY TOKEN`: a session, what is new, and a login that is refused. */
fun main(arguments: Array<String>): Unit = runBlocking {
    val (port, authority, token) = arguments
    val options = LoginOptions {
        host = "localhost"
        this.port = port.toInt()
        sslContext = trusting(File(authority))
    }
    sessions(MailProtocol.IMAP, "joe@gmail.com", TokenSource { Token(token) }, options).first().use { connection ->
        println("online: ${connection.newMessages(waits = false).first().uids.size} new")
    }
    try {
        connect(MailProtocol.IMAP, "joe@gmail.com", { Token("ya29.nobody-issued-it") }, options)
    } catch (error: LoginFailedException) {
        println("refused: ${error.failure.cause}")
    }
}

private fun trusting(authority: File): SSLContext {
    val certificate = authority.inputStream().use { CertificateFactory.getInstance("X.509").generateCertificate(it) }
    val store = KeyStore.getInstance(KeyStore.getDefaultType()).apply { load(null) }
    store.setCertificateEntry("authority", certificate)
    val trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm()).apply { init(store) }
    return SSLContext.getInstance("TLS").apply { init(null, trust.trustManagers, null) }
}
