package org.mailbearer.sample

import org.mailbearer.LoginFailedException
import org.mailbearer.LoginOptions
import org.mailbearer.MailProtocol
import org.mailbearer.MailbearerException
import org.mailbearer.TokenSource
import org.mailbearer.connect

/** One line of the diagnosis: what was tried, and what came of it. */
data class Finding(val title: String, val state: State, val text: String) {
    enum class State {
        RUNNING,
        GOOD,
        BAD,
    }
}

/** Tries a login over each protocol, and tells each finding as soon as it is there. */
suspend fun diagnose(user: String, tokens: TokenSource, optionsOf: (MailProtocol) -> LoginOptions, tell: (List<Finding>) -> Unit) {
    val findings = PROTOCOLS.map { (_, title) -> Finding(title, Finding.State.RUNNING, "…") }.toMutableList()
    tell(findings.toList())
    for ((index, protocol) in PROTOCOLS.withIndex()) {
        val (kind, title) = protocol
        findings[index] = finding(title) { login(kind, user, tokens, optionsOf(kind)) }
        tell(findings.toList())
    }
}

private val PROTOCOLS = listOf(
    MailProtocol.IMAP to "Reading (IMAP)",
    MailProtocol.SMTP to "Sending (SMTP)",
    MailProtocol.POP3 to "Fetching (POP3)",
)

private suspend fun finding(title: String, login: suspend () -> String): Finding =
    try {
        Finding(title, Finding.State.GOOD, login())
    } catch (failed: LoginFailedException) {
        Finding(title, Finding.State.BAD, failed.failure.sentence)
    } catch (failed: MailbearerException) {
        Finding(title, Finding.State.BAD, failed.message ?: "no reason was given")
    }

private suspend fun login(protocol: MailProtocol, user: String, tokens: TokenSource, options: LoginOptions): String =
    connect(protocol, user, tokens, options).use { "Logged in with ${it.mechanism.name}, ${it.tlsVersion}" }
