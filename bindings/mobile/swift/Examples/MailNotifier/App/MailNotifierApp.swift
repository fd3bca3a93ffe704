// NOT RUN WHERE THE PROJECT IS TESTED: there is no Apple SDK there. Type-checked against stand-ins: Tests/StandIns.
import Foundation
import MailNotifierModel
import Mailbearer
import SwiftUI

@main
struct MailNotifierApp: App {
    @StateObject private var setup = Setup.shared

    init() {
        Background.register { await Setup.shared.checkOnce() }
    }

    var body: some Scene {
        WindowGroup {
            if let settings = setup.settings {
                DiagnosisScreen(setup: setup, settings: settings)
            } else {
                AccountScreen(setup: setup)
            }
        }
    }
}

/// What the screens share: the account that is set up, and who tells of its mail.
@MainActor
final class Setup: ObservableObject {
    static let shared = Setup()

    @Published private(set) var settings: AccountSettings?
    @Published private(set) var report = Diagnosis.Report()
    private let store: Store?
    private var watching: Task<Void, Never>?

    init() {
        let support = FileManager.default.urls(for: .applicationSupportDirectory, in: .userDomainMask).first
        store = support.flatMap { try? Store(folder: $0.appendingPathComponent("account")) }
        settings = store?.settings
    }

    /// The user has given an address, and a host where the address does not tell it.
    func setUp(_ settings: AccountSettings) throws {
        try store?.save(settings)
        self.settings = settings
        Background.schedule()
    }

    func forget() {
        watching?.cancel()
        if let user = settings?.user { Keychain.forget(user) }
        store?.forget()
        settings = nil
    }

    /// While the app is open. It ends where the user must act.
    func watch() {
        guard let notifier else { return }
        watching?.cancel()
        watching = Task {
            let reporting = Task { for await report in notifier.diagnosis.reports() { self.report = report } }
            try? await notifier.run(network: networkStates())
            reporting.cancel()
        }
    }

    /// The app goes to the background: the next pass is the system's.
    func rest() {
        watching?.cancel()
    }

    /// The user has acted.
    func retry() async {
        try? await notifier?.retry()
        watch()
    }

    nonisolated func checkOnce() async -> MailNotifier.Outcome {
        guard let notifier = await notifier else { return .later("nobody has signed in") }
        return await notifier.checkOnce()
    }

    private var notifier: MailNotifier? {
        guard let settings, let store, let signIn = AppAuthSignIn(of: settings.user) else { return nil }
        return MailNotifier(settings, store: store, source: TokenSource(signIn)) { new in
            try await Notifications.newMail(new)
            try await signIn.keep(for: settings.user)
        }
    }
}
