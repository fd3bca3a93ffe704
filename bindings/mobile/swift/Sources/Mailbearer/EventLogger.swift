#if canImport(os)
import os
#endif

/// How much an event matters to who reads a log.
public enum EventLevel: Sendable, Equatable {
    /// A step on the way: of use where something is looked for.
    case debug
    /// A connection came, or ended.
    case info
    /// Something failed, and is tried again.
    case warning
    /// Nothing goes on before somebody acts.
    case error
}

extension SessionEvent: CustomStringConvertible {
    /// How much it matters.
    public var level: EventLevel {
        switch kind {
        case .fetchingToken, .connecting, .renewing, .waiting: .debug
        case .online, .ended, .limited: .info
        case .tokenFailed, .loginFailed: .warning
        case .needsUser, .gaveUp, .mistake: .error
        }
    }

    /// One line for a log, as in `imap 1: waiting, 12 s`. It names neither the user nor a token.
    public var description: String {
        let place = [mailProtocol.map { "\($0)" } ?? "account", session.map { "\($0)" }].compactMap { $0 }.joined(separator: " ")
        let said = [cause.map { "\($0)" }, text.isEmpty ? nil : text, duration.map { "\($0.milliseconds / 1000) s" }]
        return "\(place): " + (["\(kind)"] + said.compactMap { $0 }).joined(separator: ", ")
    }
}

/// Where the lines of events go: `os.Logger` on Apple systems, or a logger of the program's own. This package depends on none.
///
/// With swift-log, whose `Logger` may not be made to conform by this package:
///
///     let account = try Account(user: user, token: source) { event in
///         logger.log(level: event.level == .error ? .error : .debug, "\(event)")
///     }
public protocol EventLogger: Sendable {
    /// Writes one line down. It holds no token, and no name of the user; what the server said may be in it.
    func log(_ level: EventLevel, _ line: String)
}

extension EventLogger {
    /// Takes the events of an account or of sessions: what `onEvent` is given.
    ///
    ///     let account = try Account(user: user, token: source, onEvent: Logger(subsystem: "org.example", category: "mail").log)
    @Sendable public func log(_ event: SessionEvent) {
        log(event.level, "\(event)")
    }
}

#if canImport(os)
extension Logger: EventLogger {
    /// Writes one line to the unified log. It is public there: no user and no token is in it.
    public func log(_ level: EventLevel, _ line: String) {
        switch level {
        case .debug: debug("\(line, privacy: .public)")
        case .info: info("\(line, privacy: .public)")
        case .warning: warning("\(line, privacy: .public)")
        case .error: error("\(line, privacy: .public)")
        }
    }
}
#endif
