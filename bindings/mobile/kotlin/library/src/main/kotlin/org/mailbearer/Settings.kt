package org.mailbearer

import javax.net.ssl.SSLContext
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds

/**
 * Where and how to log in. What is left out comes from [provider], and that from the mail address.
 *
 * @property host the server; with it, nothing is looked up by the mail address.
 * @property tls when TLS begins; there is no plaintext mode.
 * @property provider a profile, as [providerNamed] gives it.
 * @property sslContext whom to trust, in place of the machine's authorities. Certificate and host name are verified in any
 *   case, by this package.
 * @property timeout for connection and login together; then for each answer of the server.
 * @property authzid the identity to act as, where it differs from the user.
 * @property clock see [Clock].
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
)

/** A login, but for its token. */
internal class Settings(
    val config: NegotiationConfig,
    val sslContext: SSLContext,
    val timeout: Duration,
    val clock: Clock,
    val limits: SessionLimits?,
    val tokenLifetimeMs: ULong?,
) {
    val endpoint: Endpoint get() = config.endpoint
    val user: String get() = config.identity.user

    fun nowMs(): ULong = clock.nowMs().toULong()
}

/** Gathers the settings of a login and checks them, before any I/O. */
internal fun resolve(protocol: MailProtocol, user: String, options: LoginOptions): Settings = configuring {
    val provider = options.provider ?: profileOf(user, options.host)
    val service = provider?.services?.find { it.endpoint.protocol == protocol }
    if (provider != null && service == null && options.host == null) {
        throw ConfigException(
            "the provider ${provider.name} has no ${protocol.name.lowercase()} service: give another protocol, or a host"
        )
    }
    if (!options.timeout.isPositive()) throw ConfigException("timeout must be above zero")
    val tls = options.tls ?: service?.endpoint?.tls ?: Tls.IMPLICIT
    val known = service?.endpoint?.takeIf { it.tls == tls }?.port
    val port = options.port?.let(::portOf) ?: known ?: defaultPort(protocol, tls)
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
    Settings(config, context, options.timeout, options.clock, service?.limits, provider?.tokenLifetimeMs)
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
