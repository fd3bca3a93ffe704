import Foundation

/// What an error says, for sentences and logs: the words that it has for people, or its name. What may be a secret is masked.
///
/// The fields of an error without such words are not shown: they may hold anything.
func words(of error: any Error) -> String {
    if let error = error as? TokenSourceFailed {
        return masked(error.reason)
    }
    if let error = error as? CoreError {
        return error.description
    }
    let name = nameOfCase(error)
    let said = (error as? any LocalizedError)?.errorDescription ?? ofFoundation(error)
    return said.map { "\(name): \(masked($0))" } ?? name
}

/// `AuthError.invalidGrant` for a case of an enum, with or without values; else the type.
private func nameOfCase(_ error: any Error) -> String {
    let kind = type(of: error)
    let mirror = Mirror(reflecting: error)
    guard mirror.displayStyle == .enum else { return "\(kind)" }
    // With a description of its own it may say anything.
    let name = mirror.children.first?.label ?? (kind is any CustomStringConvertible.Type ? nil : "\(error)")
    return name.map { "\(kind).\($0)" } ?? "\(kind)"
}

/// The words that Foundation has for an error of its own or of the system.
private func ofFoundation(_ error: any Error) -> String? {
    let isOfFoundation = error is any CustomNSError || type(of: error) is NSError.Type
    return isOfFoundation ? error.localizedDescription : nil
}

/// In one line, bounded, and without what may be a secret. Where the core fails there are no words.
func masked(_ text: String) -> String {
    (try? redactSource(text: text)) ?? ""
}
