package org.mailbearer

import javax.net.SocketFactory
import javax.net.ssl.SSLContext
import kotlin.time.Duration
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import org.mailbearer.machine.AccessToken
import org.mailbearer.machine.Identity
import org.mailbearer.machine.Negotiation
import org.mailbearer.machine.NegotiationConfig
import org.mailbearer.machine.initialResponse
import org.mailbearer.machine.tlsAtPort

/**
 * Where and how to log in. What is left out comes from [provider], and that from the mail address.
 *
 * ```
 * val options = LoginOptions {
 *     host = "mail.example.org"
 *     timeout = 20.seconds
 * }
 * ```
 *
 * What cannot work is told by whom it is given to, as a [ConfigException].
 */
public class LoginOptions private constructor(from: Builder) {
    /** See [Builder.host]. */
    public val host: String? = from.host

    /** See [Builder.port]. */
    public val port: Int? = from.port

    /** See [Builder.tls]. */
    public val tls: Tls? = from.tls

    /** See [Builder.unusualPort]. */
    public val unusualPort: Boolean = from.unusualPort

    /** See [Builder.provider]. */
    public val provider: MailProvider? = from.provider

    /** See [Builder.sslContext]. */
    public val sslContext: SSLContext? = from.sslContext

    /** See [Builder.timeout]. */
    public val timeout: Duration = from.timeout

    /** See [Builder.answerTimeout]. */
    public val answerTimeout: Duration? = from.answerTimeout

    /** See [Builder.dataTimeout]. */
    public val dataTimeout: Duration = from.dataTimeout

    /** See [Builder.authzid]. */
    public val authzid: String? = from.authzid

    /** See [Builder.mechanisms]. */
    public val mechanisms: List<Mechanism>? = from.mechanisms

    /** See [Builder.initialResponse]. */
    public val initialResponse: InitialResponse? = from.initialResponse

    /** See [Builder.ehloName]. */
    public val ehloName: String? = from.ehloName

    /** See [Builder.assumedCapabilities]. */
    public val assumedCapabilities: List<String>? = from.assumedCapabilities

    /** See [Builder.trace]. */
    public val trace: ((TraceLine) -> Unit)? = from.trace

    /** See [Builder.dns]. */
    public val dns: Dns? = from.dns

    /** See [Builder.socketFactory]. */
    public val socketFactory: SocketFactory? = from.socketFactory

    /** See [Builder.network]. */
    public val network: MailNetwork? = from.network

    /** The same with other settings. */
    public fun copy(change: Builder.() -> Unit): LoginOptions = LoginOptions(Builder(this).apply(change))

    /** What [LoginOptions] are made of. */
    public class Builder internal constructor(from: LoginOptions?) {
        /** The server: a name or an address. With it, nothing is looked up by the mail address. */
        public var host: String? = from?.host

        /** Its port; by default the registered one. */
        public var port: Int? = from?.port

        /**
         * When TLS begins; there is no plaintext mode. Left out, a registered port says it, and any other port has TLS from the
         * first octet.
         */
        public var tls: Tls? = from?.tls

        /**
         * The server really uses a port that is registered for the other way of TLS, or for another protocol: without this, such
         * settings are refused. By default false.
         */
        public var unusualPort: Boolean = from?.unusualPort ?: false

        /** A profile, as [providerNamed] gives it; left out, the mail address tells it. */
        public var provider: MailProvider? = from?.provider

        /**
         * Whom to trust, in place of the machine's authorities. Certificate and host name are verified in any case, by this
         * package.
         */
        public var sslContext: SSLContext? = from?.sslContext

        /** For connection and login together; by default 60 seconds. */
        public var timeout: Duration = from?.timeout ?: 60.seconds

        /**
         * For each answer of the server after the login, but for the end of DATA; by default as [timeout]. A connection of
         * [connect] is read without one.
         */
        public var answerTimeout: Duration? = from?.answerTimeout

        /** For the answer to the end of a message (RFC 5321 section 4.5.3.2.6); by default 10 minutes. */
        public var dataTimeout: Duration = from?.dataTimeout ?: 10.minutes

        /** The identity to act as, where it differs from the user. */
        public var authzid: String? = from?.authzid

        /** Mechanisms that may be used, the preferred one first; by default those that the provider takes. */
        public var mechanisms: List<Mechanism>? = from?.mechanisms

        /** Whether the token may travel in the `AUTH` line; by default as the provider takes it. */
        public var initialResponse: InitialResponse? = from?.initialResponse

        /**
         * The client's name in SMTP's `EHLO`, for servers that are strict about it: a domain, or an address literal such as
         * `[192.0.2.1]`.
         */
        public var ehloName: String? = from?.ehloName

        /** Capabilities that the server is known to have under TLS, which saves the question. */
        public var assumedCapabilities: List<String>? = from?.assumedCapabilities

        /**
         * Is shown each line of a login's dialogue, for logs: whole lines, in which the token is masked also where the server
         * repeats it. It must not block, and what it throws is dropped.
         */
        public var trace: ((TraceLine) -> Unit)? = from?.trace

        /**
         * Looks up the host; by default the system does. All its addresses are tried, the next one after 250 ms or when one
         * fails.
         */
        public var dns: Dns? = from?.dns

        /**
         * Makes the sockets, by `createSocket()` without arguments: for a proxy, a tunnel, tags of Android's `TrafficStats`. They
         * are connected here. TLS goes over them.
         */
        public var socketFactory: SocketFactory? = from?.socketFactory

        /** A network of the system's, in place of the one that it chooses: instead of [dns] and [socketFactory]. */
        public var network: MailNetwork? = from?.network
    }

    internal companion object {
        fun of(build: Builder.() -> Unit): LoginOptions = LoginOptions(Builder(null).apply(build))
    }
}

/** Makes [LoginOptions]; without a block, all is as the provider has it. */
public fun LoginOptions(build: LoginOptions.Builder.() -> Unit = {}): LoginOptions = LoginOptions.of(build)

/** A login, but for its token. */
internal class Settings(
    val config: NegotiationConfig,
    val sslContext: SSLContext,
    val timeout: Duration,
    val limits: SessionLimits?,
    val tokenLifetimeMs: ULong?,
    val trace: ((TraceLine) -> Unit)?,
    val dns: Dns = SystemDns,
    val sockets: SocketFactory = SocketFactory.getDefault(),
    val answerTimeout: Duration = timeout,
    val dataTimeout: Duration = 10.minutes,
    /** Of a second connection, which must not lead to a third. */
    val onlyLooks: Boolean = false,
) {
    val endpoint: Endpoint get() = config.endpoint
    val user: String get() = config.identity.user

    /** For a connection that only looks: with this trust, and with this beginning of TLS. */
    fun looking(context: SSLContext, tls: Tls = endpoint.tls): Settings {
        val there = config.copy(endpoint = endpoint.copy(tls = tls))
        return Settings(there, context, timeout, limits, tokenLifetimeMs, trace = null, dns, sockets, onlyLooks = true)
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
    val (dns, sockets) = wayOf(options)
    Settings(
        config, context, options.timeout, service?.limits, provider?.tokenLifetimeMs, options.trace, dns, sockets,
        options.answerTimeout ?: options.timeout, options.dataTimeout,
    )
}

private fun wayOf(options: LoginOptions): Pair<Dns, SocketFactory> {
    val network = options.network
        ?: return (options.dns ?: SystemDns) to (options.socketFactory ?: SocketFactory.getDefault())
    if (options.dns != null || options.socketFactory != null) {
        throw ConfigException("network has a dns and a socketFactory of its own: give it, or them")
    }
    return network to network.socketFactory
}

private fun portAndTls(protocol: MailProtocol, options: LoginOptions, known: Endpoint?): Pair<UShort, Tls> {
    val given = options.port?.let(::portOf)
    if (given != null) return given to tlsAtPort(protocol, given, options.tls, options.unusualPort)
    val tls = options.tls ?: known?.tls ?: Tls.IMPLICIT
    return (known?.takeIf { it.tls == tls }?.port ?: defaultPort(protocol, tls)) to tls
}

private fun profileOf(user: String, host: String?): MailProvider? {
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
