// swift-tools-version: 6.0
// The package from source. The library and what UniFFI generates from it are made before: see README.md.
import PackageDescription

let package = Package(
    name: "mailbearer",
    platforms: [.macOS(.v13), .iOS(.v16)],
    products: [.library(name: "Mailbearer", targets: ["Mailbearer"])],
    targets: [
        .systemLibrary(name: "COpenSSL", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "MailbearerCoreFFI"),
        .target(
            name: "Mailbearer",
            dependencies: [
                "MailbearerCoreFFI",
                .target(name: "COpenSSL", condition: .when(platforms: [.linux])),
            ],
            // What Apple's App Store wants to be told.
            resources: [.copy("PrivacyInfo.xcprivacy")]
        ),
        // The runner of tests/cases.
        .executableTarget(name: "mailbearer-cases", dependencies: ["Mailbearer"], path: "Sources/Cases"),
        .executableTarget(name: "notifier", dependencies: ["Mailbearer"], path: "Examples/Notifier"),
        .testTarget(name: "MailbearerTests", dependencies: ["Mailbearer"]),
    ],
    swiftLanguageModes: [.v6]
)
