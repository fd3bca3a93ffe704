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

/// As much as a sentence holds.
private let charactersMax = 300

/// In one line, bounded, and without what looks like a secret: what stands behind a name for one, and what has the length and
/// the look of a token, a key or a client's secret.
func masked(_ text: String) -> String {
    let hidden: Set<Unicode.GeneralCategory> = [.control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned]
    let line = String(
        String.UnicodeScalarView(text.unicodeScalars.map { hidden.contains($0.properties.generalCategory) ? " " : $0 }))
    let named = line.replacing(behindItsName()) { "\($0.output.1)<secret>" }
    let shown = named.replacing(#/[A-Za-z0-9_~+\-]{20,}=*/#) { run in
        let isLong = run.output.count >= 40 || run.output.contains(where: \.isNumber)
        return isLong ? "<secret>" : String(run.output)
    }
    return shown.count > charactersMax ? "\(shown.prefix(charactersMax))…" : shown
}

/// Names under which secrets stand in queries, headers and JSON; the end of a path is none.
private func behindItsName() -> Regex<(Substring, Substring)> {
    #/(?i)((?:^|[^\/])(?:(?:secret|password|passwd|pwd|token|assertion|credential|signature|api_?key)["']?\s*[=:]\s*["']?)|code=|\bBearer\s+)[^\s"'&,;]+/#
}
