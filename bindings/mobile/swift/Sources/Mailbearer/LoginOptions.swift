/// What a login may be told beyond protocol, user and token. What is left out comes from the provider's profile, which the
/// mail address tells for the big ones.
///
///     var options = LoginOptions(host: "mail.example.org", port: 587)
///     options.ehloName = "client.example.org"
public struct LoginOptions: Sendable {
    /// Host name or IP address: the name that TLS verifies.
    public var host: String?
    /// Left out: the provider's, or the one that is registered for the protocol and `tls`.
    public var port: UInt16?
    /// How TLS begins. Left out: as the port is registered, and with the first octet at any other.
    public var tls: Tls?
    /// Says that a server of your own really uses a registered port (993, 143, 995, 110, 465, 587, 25) for another protocol or
    /// the other way of TLS. Without it that is an error, as it is nearly always a slip.
    public var unusualPort: Bool
    /// The profile to use, where the mail address does not tell it: see ``Provider/named(_:)``.
    public var provider: Provider?
    /// Opens connections.
    public var connector: any Connector
    /// For connection and login together.
    public var timeout: Duration
    /// For each answer of the server after the login, but for that to the end of a message. `nil`: as ``timeout``.
    public var answerTimeout: Duration?
    /// For the answer to the end of a message, which may take ten minutes (RFC 5321 section 4.5.3.2.6).
    public var dataTimeout: Duration
    /// The identity to act as, where it differs from the user.
    public var authzid: String?
    /// Mechanisms that may be used, the preferred one first.
    public var mechanisms: [Mechanism]?
    /// Whether the token may travel in the `AUTH` line.
    public var initialResponse: InitialResponse?
    /// The client's name in `EHLO`: this machine's full domain name, as in `client.example.org`, where a server asks for it.
    public var ehloName: String?
    /// Capabilities that the server is known to have under TLS, which saves the question.
    public var assumedCapabilities: [String]?
    /// Told each line of the dialogue until the login is over, for logs: whole lines, with the token masked.
    ///
    ///     options.trace = { line in print(line.side == .client ? "C:" : "S:", line.text) }
    public var trace: (@Sendable (TraceLine) -> Void)?

    /// All of it may be left out.
    public init(
        host: String? = nil,
        port: UInt16? = nil,
        tls: Tls? = nil,
        unusualPort: Bool = false,
        provider: Provider? = nil,
        connector: any Connector = systemConnector(),
        timeout: Duration = .seconds(60),
        answerTimeout: Duration? = nil,
        dataTimeout: Duration = .seconds(600),
        authzid: String? = nil,
        mechanisms: [Mechanism]? = nil,
        initialResponse: InitialResponse? = nil,
        ehloName: String? = nil,
        assumedCapabilities: [String]? = nil,
        trace: (@Sendable (TraceLine) -> Void)? = nil
    ) {
        self.host = host
        self.port = port
        self.tls = tls
        self.unusualPort = unusualPort
        self.provider = provider
        self.connector = connector
        self.timeout = timeout
        self.answerTimeout = answerTimeout
        self.dataTimeout = dataTimeout
        self.authzid = authzid
        self.mechanisms = mechanisms
        self.initialResponse = initialResponse
        self.ehloName = ehloName
        self.assumedCapabilities = assumedCapabilities
        self.trace = trace
    }
}

extension Provider {
    /// The profile of a name, in any case: `gmail`, `microsoft` and those of ``providerNames()``.
    public static func named(_ name: String) throws -> Provider {
        try providerNamed(name: name)
    }

    /// A server of which nothing is known but its host.
    public static func generic(_ host: String) throws -> Provider {
        try providerGeneric(host: host)
    }

    func service(_ mailProtocol: MailProtocol) -> Service? {
        services.first { $0.endpoint.protocol == mailProtocol }
    }
}

/// A login, but for its token.
package struct Settings: Sendable {
    let negotiation: NegotiationConfig
    let service: Service?
    let tokenLifetimeMs: UInt64?
    let connector: any Connector
    let timeout: Duration
    let answerTimeout: Duration
    let dataTimeout: Duration
    let trace: (@Sendable (TraceLine) -> Void)?

    package var endpoint: Endpoint { negotiation.endpoint }
    /// For all of the login. A stage that is late is told before it, also by a machine that is busy.
    var wholeTimeout: Duration { timeout + .seconds(3) }
    var user: String { negotiation.identity.user }

    /// Gathers the settings and checks them, before any I/O.
    package init(_ mailProtocol: MailProtocol, _ user: String, _ options: LoginOptions) throws {
        let provider = try Self.provider(user, options)
        if let provider, let instead = provider.instead, options.host == nil {
            throw CoreError.Config(message: "\(provider.name) cannot be logged in to with OAuth. \(instead)")
        }
        service = provider?.service(mailProtocol)
        if let provider, service == nil, options.host == nil {
            throw CoreError.Config(
                message: "the provider \(provider.name) has no \(mailProtocol) service: give another protocol, or a host")
        }
        (timeout, dataTimeout) = (options.timeout, options.dataTimeout)
        answerTimeout = options.answerTimeout ?? options.timeout
        for (name, time) in [("timeout", timeout), ("answerTimeout", answerTimeout), ("dataTimeout", dataTimeout)] {
            guard time > .zero else { throw CoreError.Config(message: "\(name) must be above zero") }
        }
        let (port, tls) = try Self.port(mailProtocol, service?.endpoint, options)
        let endpoint = Endpoint(
            protocol: mailProtocol,
            tls: tls,
            host: options.host ?? service?.endpoint.host ?? "",
            port: port
        )
        negotiation = NegotiationConfig(
            endpoint: endpoint,
            identity: Identity(user: user, authzid: options.authzid),
            mechanisms: options.mechanisms ?? service?.mechanisms,
            initialResponse: options.initialResponse ?? service?.initialResponse,
            ehloName: options.ehloName,
            assumedCapabilities: options.assumedCapabilities ?? service?.assumedCapabilities
        )
        tokenLifetimeMs = provider?.tokenLifetimeMs
        connector = options.connector
        trace = options.trace
        // The machine checks every field; a token of one letter stands in for the real one.
        _ = try Negotiation(config: negotiation, token: AccessToken(token: "x"))
    }

    /// Where to connect, and how TLS begins there.
    private static func port(
        _ mailProtocol: MailProtocol, _ known: Endpoint?, _ options: LoginOptions
    ) throws -> (UInt16, Tls) {
        if let port = options.port {
            let asked = options.tls ?? (port == known?.port ? known?.tls : nil)
            return (port, try tlsAtPort(protocol: mailProtocol, port: port, asked: asked, unusualPort: options.unusualPort))
        }
        let tls = options.tls ?? known?.tls ?? .implicit
        let knownPort = tls == known?.tls ? known?.port : nil
        return (try knownPort ?? defaultPort(protocol: mailProtocol, tls: tls), tls)
    }

    private static func provider(_ user: String, _ options: LoginOptions) throws -> Provider? {
        if options.provider != nil || options.host != nil {
            return options.provider
        }
        if let provider = try providerOfAddress(address: user) {
            return provider
        }
        throw CoreError.Config(
            message: "host is missing, and the mail address does not tell the provider: give host or provider")
    }
}
