// NOT RUN WHERE THE PROJECT IS TESTED: there is no Apple SDK there. Type-checked against stand-ins: Tests/StandIns.
import UserNotifications

enum Notifications {
    static func ask() async {
        _ = try? await UNUserNotificationCenter.current().requestAuthorization(options: [.alert, .badge])
    }

    static func newMail(_ uids: [UInt32]) async throws {
        // By UID: one that is told twice replaces the first.
        for uid in uids {
            try await show("mail \(uid)", "New mail", "There is a new message in your inbox.")
        }
    }

    static func needsUser(_ sentence: String) async {
        try? await show("account", "Mail has stopped", sentence)
    }

    private static func show(_ identifier: String, _ title: String, _ body: String) async throws {
        let content = UNMutableNotificationContent()
        (content.title, content.body) = (title, body)
        try await UNUserNotificationCenter.current().add(
            UNNotificationRequest(identifier: identifier, content: content, trigger: nil))
    }
}
