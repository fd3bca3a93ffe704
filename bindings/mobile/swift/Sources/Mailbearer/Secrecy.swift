import Foundation

// What `dump`, `Mirror` and string interpolation show of what holds a token, or leads to it: the rest.

extension Step: CustomReflectable {
    public var customMirror: Mirror {
        let children: KeyValuePairs<String, Any> = ["send": shown(send, sensitive), "sensitive": sensitive, "next": next]
        return Mirror(self, children: children, displayStyle: .struct)
    }
}

extension Action: CustomReflectable {
    public var customMirror: Mirror {
        let values: KeyValuePairs<String, Any> =
            switch self {
            case .fetchToken(let request, let why, let forceRefresh):
                ["fetchToken": (request: request, why: why, forceRefresh: forceRefresh)]
            case .connect(let ticket, let attempt): ["connect": (ticket: ticket, attempt: attempt)]
            case .send(let ticket, let bytes, let sensitive):
                ["send": (ticket: ticket, bytes: shown(bytes, sensitive), sensitive: sensitive)]
            case .startTls(let ticket): ["startTls": ticket]
            case .online(let ticket, let generation, let mechanism, let capabilities, let leftover, let resumed):
                [
                    "online": (
                        ticket: ticket, generation: generation, mechanism: mechanism, capabilities: capabilities,
                        leftover: leftover, resumed: resumed
                    )
                ]
            case .renew(let ticket, let byMs, let why): ["renew": (ticket: ticket, byMs: byMs, why: why)]
            case .close(let ticket, let cause): ["close": (ticket: ticket, cause: cause)]
            case .needsUser(let failure): ["needsUser": failure]
            case .giveUp(let failure): ["giveUp": failure]
            }
        return Mirror(self, children: values, displayStyle: .enum)
    }
}

extension Order: CustomReflectable {
    public var customMirror: Mirror {
        let values: KeyValuePairs<String, Any> =
            switch self {
            case .fetchToken(let request, let force, let refused):
                ["fetchToken": (request: request, force: force, isRefused: refused != nil)]
            case .open(let ticket, let session, let attempt): ["open": (ticket: ticket, session: session, attempt: attempt)]
            case .startTls(let ticket): ["startTls": ticket]
            case .send(let ticket, let bytes, let sensitive):
                ["send": (ticket: ticket, bytes: shown(bytes, sensitive), sensitive: sensitive)]
            case .pause(let ticket): ["pause": ticket]
            case .keepAlive(let ticket, let byMs): ["keepAlive": (ticket: ticket, byMs: byMs)]
            case .probe(let ticket, let byMs): ["probe": (ticket: ticket, byMs: byMs)]
            case .close(let ticket): ["close": ticket]
            }
        return Mirror(self, children: values, displayStyle: .enum)
    }
}

private func shown(_ octets: Data, _ sensitive: Bool) -> Any {
    sensitive ? "\(octets.count) octets, with the token" : octets
}

extension Token: CustomReflectable {
    public var customMirror: Mirror {
        Mirror(self, children: ["expiresIn": expiresIn as Any], displayStyle: .struct)
    }
}

extension TokenSource: CustomReflectable {
    nonisolated public var customMirror: Mirror {
        Mirror(self, children: ["canRefresh": canRefresh], displayStyle: .class)
    }
}

extension Connection: CustomReflectable {
    public var customMirror: Mirror {
        Mirror(self, children: ["login": login], displayStyle: .class, ancestorRepresentation: .suppressed)
    }
}

extension Account: CustomReflectable {
    public var customMirror: Mirror {
        let status = try? status()
        return Mirror(self, children: ["status": status as Any], displayStyle: .class)
    }
}

extension Sessions: CustomReflectable {
    public var customMirror: Mirror {
        let status = try? status()
        return Mirror(self, children: ["status": status as Any], displayStyle: .class)
    }
}
