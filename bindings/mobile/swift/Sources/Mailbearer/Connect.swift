import Foundation

/// Connects and logs in, once. To stay logged in, use ``sessions(_:user:token:options:policy:snapshot:onEvent:)``.
///
/// Where the server refuses the token, the source is asked for another one past its cache, and that is tried once.
///
///     do {
///         let connection = try await connect(.imap, user: "joe@gmail.com", token: source)
///     } catch let error as LoginFailed {
///         // As in: "Nothing listens at this host and port (localhost:993: Connection refused). Check host and port, …"
///         show(error.failure.sentence)
///     }
///
/// - Throws: ``LoginFailed`` with the cause, and the system's own error in ``LoginFailed/underlying``; ``CoreError`` for settings
///   that cannot work; what the token source throws, or a ``TokenSourceFailed`` where it does not answer within the timeout.
public func connect(
    _ mailProtocol: MailProtocol, user: String, token source: TokenSource, options: LoginOptions = LoginOptions()
) async throws -> Connection {
    let settings = try Settings(mailProtocol, user, options)
    let first = try await source.token(forceRefresh: false, within: settings.timeout).accessToken
    do {
        return try await logIn(settings, first)
    } catch let refused as LoginFailed where refused.failure.advice == .refreshToken {
        guard source.canRefresh else {
            throw LoginFailed(source.hinted(refused.failure))
        }
        let second = try await source.token(forceRefresh: true, within: settings.timeout).accessToken
        if try second.isSame(other: first) {
            throw LoginFailed(refused.failure.adding("The token source gave the same token again, past its cache."))
        }
        return try await logIn(settings, second)
    }
}

private func logIn(_ settings: Settings, _ token: AccessToken) async throws -> Connection {
    let link = Link(settings, token)
    do {
        let deadline = ContinuousClock.now + settings.wholeTimeout
        let connection = try await withDeadline(deadline) { try await negotiate(settings, token, link) }
        guard let connection else { throw try LoginFailed(.timedOut, "in connection and login together") }
        return connection
    } catch {
        await link.abort()
        throw error
    }
}

/// Gives the octets to the machine, and what the machine says to the link.
private func negotiate(_ settings: Settings, _ token: AccessToken, _ link: Link) async throws -> Connection {
    let negotiation = try Negotiation(config: settings.negotiation, token: token)
    try await link.open()
    var step = try await receive(negotiation, link)
    while true {
        if !step.send.isEmpty {
            try await link.write(step.send, sensitive: step.sensitive)
        }
        switch step.next {
        case .read:
            step = try await receive(negotiation, link)
        case .startTls:
            try await link.startTls()
            step = try negotiation.tlsEstablished()
        case .done(let authenticated):
            let login = LoginFacts(
                endpoint: settings.endpoint,
                mechanism: authenticated.mechanism,
                capabilities: authenticated.capabilities,
                roundTrips: await link.roundTrips,
                duration: await link.duration
            )
            return Connection(try await link.loggedIn(), login, leftover: authenticated.leftover)
        case .failed(let failure):
            throw LoginFailed(failure, underlying: failure.cause == .connectionLost ? await link.broke : nil)
        }
    }
}

private func receive(_ negotiation: Negotiation, _ link: Link) async throws -> Step {
    let data = try await link.read()
    return try data.isEmpty ? negotiation.closed() : negotiation.receive(bytes: data)
}
