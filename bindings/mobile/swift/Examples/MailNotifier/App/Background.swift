// NOT RUN WHERE THE PROJECT IS TESTED: there is no Apple SDK there. Type-checked against stand-ins: Tests/StandIns.
import BackgroundTasks
import Foundation
import MailNotifierModel

/// Looks for mail when the system lets the app: `BGTaskSchedulerPermittedIdentifiers` of Info.plist names it.
enum Background {
    static let identifier = "org.example.mailnotifier.refresh"

    /// Before the app has finished launching.
    static func register(_ check: @escaping @Sendable () async -> MailNotifier.Outcome) {
        BGTaskScheduler.shared.register(forTaskWithIdentifier: identifier, using: nil) { task in
            // The system takes it from any thread.
            nonisolated(unsafe) let task = task
            // Whatever comes of this one, the next is asked for.
            schedule()
            let work = Task {
                let outcome = await check()
                // A stop needs the user, and no second attempt; what is left for later has its own wait in the snapshot.
                task.setTaskCompleted(success: !Task.isCancelled)
                if case .needsUser(let sentence) = outcome { await Notifications.needsUser(sentence) }
            }
            // About half a minute is given. A pass that is cancelled closes, and has kept its snapshot.
            task.expirationHandler = { work.cancel() }
        }
    }

    static func schedule() {
        let request = BGAppRefreshTaskRequest(identifier: identifier)
        request.earliestBeginDate = Date(timeIntervalSinceNow: 15 * 60)
        // It throws where the user has switched background refresh off: then the app tells of mail while it is open.
        try? BGTaskScheduler.shared.submit(request)
    }
}
