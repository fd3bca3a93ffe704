package org.mailbearer

import javax.net.ssl.SSLContext
import kotlin.time.Duration
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds

/**
 * Where and how to log in. What is left out comes from [provider], and that from the mail address.
 *
 * @property host the server; with it, nothing is looked up by the mail address.
 * @property tls when TLS begins; there is no plaintext mode. Left out, a registered port says it, and any other port has TLS
 *   from the first octet.
 * @property unusualPort the server really uses a port that is registered for the other way of TLS, or for another protocol:
 *   without this, such settings are refused.
 * @property provider a profile, as [providerNamed] gives it.
 * @property sslContext whom to trust, in place of the machine's authorities. Certificate and host name are verified in any
 *   case, by this package.
 * @property timeout for connection and login together.
 * @property answerTimeout for each answer of the server after the login, but for the end of DATA; by default as [timeout]. A
 *   connection of [connect] is read without one.
 * @property dataTimeout for the answer to the end of a message (RFC 5321 section 4.5.3.2.6).
 * @property authzid the identity to act as, where it differs from the user.
 * @property ehloName the client's name in SMTP's `EHLO`, for servers that are strict about it: a domain, or an address literal
 *   such as `[192.0.2.1]`.
 * @property clock see [Clock].
 * @property trace is shown each line of a login's dialogue, for logs: whole lines, in which the token is masked also where the
 *   server repeats it. It must not block.
 * @property dns looks up the host. All its addresses are tried, the next one after 250 ms or when one fails.
 */
data class LoginOptions(
    val host: String? = null,
    val port: Int? = null,
    val tls: Tls? = null,
    val provider: Provider? = null,
    val sslContext: SSLContext? = null,
    val timeout: Duration = 60.seconds,
    val authzid: String? = null,
    val mechanisms: List<Mechanism>? = null,
    val initialResponse: InitialResponse? = null,
    val ehloName: String? = null,
    val assumedCapabilities: List<String>? = null,
    val clock: Clock = MachineClock,
    val unusualPort: Boolean = false,
    val trace: ((TraceLine) -> Unit)? = null,
    val dns: Dns = SystemDns,
    val answerTimeout: Duration? = null,
    val dataTimeout: Duration = 10.minutes,
)

/** A login, but for its token. */
internal class Settings(
    val config: NegotiationConfig,
    val sslContext: SSLContext,
    val timeout: Duration,
    val clock: Clock,
    val limits: SessionLimits?,
    val tokenLifetimeMs: ULong?,
    val trace: ((TraceLine) -> Unit)?,
    val dns: Dns = SystemDns,
    val answerTimeout: Duration = timeout,
    val dataTimeout: Duration = 10.minutes,
    /** Of a second connection, which must not lead to a third. */
    val onlyLooks: Boolean = false,
) {
    val endpoint: Endpoint get() = config.endpoint
    val user: String get() = config.identity.user

    fun nowMs(): ULong = clock.nowMs().toULong()

    /** For a connection that only looks: with this trust, and with this beginning of TLS. */
    fun looking(context: SSLContext, tls: Tls = endpoint.tls): Settings {
        val there = config.copy(endpoint = endpoint.copy(tls = tls))
        return Settings(there, context, timeout, clock, limits, tokenLifetimeMs, trace = null, dns, onlyLooks = true)
    }
}

/** Gathers the settings of a login and checks them, before any I/O. */
internal fun resolve(protocol: MailProtocol, user: String, options: LoginOptions): Settings = configuring {
    val provider = options.provider ?: profileOf(user, options.host)
    if (provider?.instead != null && options.host == null) {
        throw ConfigException("${provider.name} cannot be logged in to with OAuth. ${provider.instead}")
    }
    val service = provider?.services?.find { it.endpoint.protocol == protocol }
    if (provider != null && service == null && options.host == null) {
        throw ConfigException(
            "the provider ${provider.name} has no ${protocol.name.lowercase()} service: give another protocol, or a host"
        )
    }
    for ((name, time) in listOf("timeout" to options.timeout, "answerTimeout" to options.answerTimeout, "dataTimeout" to options.dataTimeout)) {
        if (time?.isPositive() == false) throw ConfigException("$name must be above zero")
    }
    val (port, tls) = portAndTls(protocol, options, service?.endpoint)
    val config = NegotiationConfig(
        endpoint = Endpoint(protocol, tls, options.host ?: service?.endpoint?.host ?: "", port),
        identity = Identity(user, options.authzid),
        mechanisms = options.mechanisms ?: service?.mechanisms,
        initialResponse = options.initialResponse ?: service?.initialResponse,
        ehloName = options.ehloName,
        assumedCapabilities = options.assumedCapabilities ?: service?.assumedCapabilities,
    )
    // The machine checks every field; a token of one letter stands in for the real one.
    AccessToken("x").use { Negotiation(config, it).close() }
    val context = options.sslContext ?: SSLContext.getDefault()
    Settings(
        config, context, options.timeout, options.clock, service?.limits, provider?.tokenLifetimeMs, options.trace, options.dns,
        options.answerTimeout ?: options.timeout, options.dataTimeout,
    )
}

private fun portAndTls(protocol: MailProtocol, options: LoginOptions, known: Endpoint?): Pair<UShort, Tls> {
    val given = options.port?.let(::portOf)
    if (given != null) return given to tlsAtPort(protocol, given, options.tls, options.unusualPort)
    val tls = options.tls ?: known?.tls ?: Tls.IMPLICIT
    return (known?.takeIf { it.tls == tls }?.port ?: defaultPort(protocol, tls)) to tls
}

private fun profileOf(user: String, host: String?): Provider? {
    if (host != null) return null
    return providerOfAddress(user)
        ?: throw ConfigException(
            "host is missing, and the mail address does not tell the provider: give host or provider"
        )
}

private fun portOf(number: Int): UShort {
    if (number !in 1..65_535) throw ConfigException("port is out of range: it must lie between 1 and 65535")
    return number.toUShort()
}
