// swift-tools-version: 6.0
// The package from source. The library and what UniFFI generates from it are made before: see README.md.
import PackageDescription

let package = Package(
    name: "mailbearer",
    platforms: [.macOS(.v13), .iOS(.v16)],
    products: [
        .library(name: "Mailbearer", targets: ["Mailbearer"]),
        // A mail server for the tests of programs: an app does not link it.
        .library(name: "MailbearerTesting", targets: ["MailbearerTesting"]),
    ],
    targets: [
        .systemLibrary(name: "COpenSSL", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "MailbearerCoreFFI"),
        .systemLibrary(name: "MailbearerTestingCoreFFI"),
        .target(
            name: "Mailbearer",
            dependencies: [
                "MailbearerCoreFFI",
                .target(name: "COpenSSL", condition: .when(platforms: [.linux])),
            ],
            // What Apple's App Store wants to be told.
            resources: [.copy("PrivacyInfo.xcprivacy")]
        ),
        .target(
            name: "MailbearerTesting",
            dependencies: [
                "Mailbearer", "MailbearerTestingCoreFFI",
                .target(name: "COpenSSL", condition: .when(platforms: [.linux])),
            ]
        ),
        // The runner of tests/cases.
        .executableTarget(name: "mailbearer-cases", dependencies: ["Mailbearer"], path: "Sources/Cases"),
        .executableTarget(name: "notifier", dependencies: ["Mailbearer"], path: "Examples/Notifier"),
        // The sample app, but for its screens, which need an Apple system: Examples/MailNotifier/App.
        .target(name: "MailNotifierModel", dependencies: ["Mailbearer"], path: "Examples/MailNotifier/Model"),
        // It as a process that the tests kill.
        .executableTarget(name: "mailbearer-killed", dependencies: ["MailNotifierModel"], path: "Tests/Killed"),
        // What the package costs: `make bench-swift`.
        .executableTarget(name: "mailbearer-cost", dependencies: ["Mailbearer", "MailbearerTesting"], path: "Tests/Cost"),
        .testTarget(name: "MailbearerTests", dependencies: ["Mailbearer"]),
        .testTarget(name: "MailbearerTestingTests", dependencies: ["Mailbearer", "MailbearerTesting"]),
        .testTarget(
            name: "MailNotifierTests", dependencies: ["MailNotifierModel", "MailbearerTesting", "mailbearer-killed"]),
    ],
    swiftLanguageModes: [.v6]
)
