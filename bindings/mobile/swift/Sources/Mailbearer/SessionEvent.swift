/// Something that happened to a session or to its account, for logs and metrics. It never carries a token.
public struct SessionEvent: Sendable {
    /// What.
    public let kind: EventKind
    /// Of which session; `nil`: it is of the whole account.
    public let mailProtocol: MailProtocol?
    /// The number of the session in its account, from one, as in ``SessionStatus/session``; `nil`: it is of the whole account.
    public let session: UInt32?
    /// Whose account.
    public let user: String
    /// The number of the connection attempt.
    public let ticket: UInt64?
    /// The number of the session's connection.
    public let generation: UInt64?
    /// Why something failed or ended.
    public let cause: Cause?
    /// More, in words: a sentence about the failure, or what is waited for; empty where there is no more.
    public let text: String
    /// How long it waits, or until when it is to be let go.
    public let duration: Duration?
    /// What the system or the token source threw, where something failed.
    public let underlying: (any Error)?

    init(_ event: AccountEvent, _ mailProtocol: MailProtocol?, _ user: String, _ underlying: (any Error)?) {
        (kind, self.mailProtocol, session, self.user) = (event.kind, mailProtocol, event.session, user)
        (ticket, generation, cause, text) = (event.ticket, event.generation, event.cause, event.text)
        duration = event.waitMs.map { .milliseconds($0) }
        self.underlying = event.cause == nil ? nil : underlying
    }
}

extension SessionEvent: CustomReflectable {
    /// It goes to logs: what the program's own error holds does not.
    public var customMirror: Mirror {
        let children: KeyValuePairs<String, Any> = [
            "kind": kind, "mailProtocol": mailProtocol as Any, "session": session as Any, "user": user,
            "ticket": ticket as Any, "generation": generation as Any, "cause": cause as Any, "text": text, "duration": duration as Any,
            "underlying": underlying.map { "\(type(of: $0))" } as Any,
        ]
        return Mirror(self, children: children, displayStyle: .struct)
    }
}
