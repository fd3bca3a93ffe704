/// What the system connects with: Network.framework on Apple systems, OpenSSL on Linux.
///
/// `trust` is for tests, and for servers with a certificate authority of their own.
public func systemConnector(trust: Trust = .system) -> any Connector {
    #if canImport(Network)
    NetworkConnector(trust: trust)
    #else
    OpenSSLConnector(trust: trust)
    #endif
}
