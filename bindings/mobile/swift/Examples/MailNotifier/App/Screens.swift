// NOT RUN WHERE THE PROJECT IS TESTED: there is no Apple SDK there. Type-checked against stand-ins: Tests/StandIns.
import MailNotifierModel
import SwiftUI

/// Sets the account up.
struct AccountScreen: View {
    @ObservedObject var setup: Setup
    @State private var address = ""
    @State private var host = ""
    @State private var problem: String?

    var body: some View {
        Form {
            Section("Account") {
                TextField("Mail address", text: $address)
                TextField("Server, where it is none of the known ones", text: $host)
            }
            if let problem { Text(problem) }
            Button("Go on") {
                do {
                    try setup.setUp(AccountSettings(user: address, host: host.isEmpty ? nil : host))
                } catch {
                    problem = error.localizedDescription
                }
            }
        }
        .task { await Notifications.ask() }
    }
}

/// Why there is mail, or none.
struct DiagnosisScreen: View {
    @ObservedObject var setup: Setup
    let settings: AccountSettings
    @Environment(\.scenePhase) private var phase

    var body: some View {
        List {
            Section(settings.user) {
                Text(setup.report.standing)
                if let sentence = setup.report.sentence { Text(sentence) }
                if setup.report.needsUser {
                    Button("I have done that: try again") { Task { await setup.retry() } }
                }
                Button("Use another account") { setup.forget() }
            }
            Section("What happened") {
                ForEach(setup.report.log, id: \.self) { line in Text(line) }
            }
        }
        .onChange(of: phase) { phase in
            if phase == .active { setup.watch() } else { setup.rest() }
        }
    }
}
