// The model of the sample app as a process of its own, which a test kills: killed MODE FOLDER PORT CA-FILE.
//
// The folder has `token`: the token, `revoked`, `outage` or `hang`, and `lives`: the seconds that it is said to live. With
// `quick` it waits for little between its attempts. What is told goes to `told`, and each event to the output.
import Foundation
import MailNotifierModel
import Mailbearer

@main
struct Killed {
    struct Outage: Error {}

    static func main() async throws {
        let arguments = CommandLine.arguments
        let folder = URL(fileURLWithPath: arguments[2])
        let source = TokenSource { _ in
            let text = try String(contentsOf: folder.appendingPathComponent("token"), encoding: .utf8)
            switch text {
            case "revoked": throw TokenSourceFailed("invalid_grant", isPermanent: true)
            case "outage": throw Outage()
            case "hang": try await Task.sleep(for: .seconds(3600))
            default: break
            }
            let lives = try? String(contentsOf: folder.appendingPathComponent("lives"), encoding: .utf8)
            return try Token(text, expiresIn: .seconds(lives.flatMap(Double.init) ?? 3600))
        }
        let options = LoginOptions(
            host: "localhost", port: UInt16(arguments[3]), provider: try .named("gmail"),
            connector: systemConnector(trust: .file(arguments[4])))
        var policy = SessionPolicy()
        if FileManager.default.fileExists(atPath: folder.appendingPathComponent("quick").path) {
            (policy.backoffBase, policy.backoffMax) = (.milliseconds(50), .milliseconds(100))
            policy.loginInterval = .milliseconds(1)
        }
        let notifier = MailNotifier(
            AccountSettings(user: "joe@gmail.com"), store: try Store(folder: folder), source: source, options: options,
            policy: policy
        ) { new in
            say("told")
            let told = try FileHandle(forWritingTo: folder.appendingPathComponent("told"))
            try told.seekToEnd()
            try told.write(contentsOf: Data(new.map { "\($0.uid)\n" }.joined().utf8))
        }
        Task {
            var seen = 0
            for await report in notifier.diagnosis.reports() {
                report.log.dropFirst(seen).forEach(say)
                seen = report.log.count
            }
        }
        do {
            switch arguments[1] {
            case "retry": try await notifier.retry()
            case "once": say("outcome \(await notifier.checkOnce())")
            default: try await notifier.run()
            }
        } catch {
            say("thrown \(type(of: error))")
        }
    }

    static func say(_ line: String) {
        print(line)
        fflush(nil)
    }
}
