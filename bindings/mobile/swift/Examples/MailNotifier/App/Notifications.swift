// NOT RUN WHERE THE PROJECT IS TESTED: there is no Apple SDK there. Type-checked against stand-ins: Tests/StandIns.
import MailNotifierModel
import UserNotifications

enum Notifications {
    static func ask() async {
        _ = try? await UNUserNotificationCenter.current().requestAuthorization(options: [.alert, .badge])
    }

    static func newMail(_ new: [Headline]) async throws {
        // By UID: one that is told twice replaces the first.
        for headline in new {
            try await show("mail \(headline.uid)", headline.sender, headline.subject)
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
