// swift-tools-version: 6.0
// The package as it is published for Apple systems: with the library as a binary. ../README.md says how it is made.
import PackageDescription

let package = Package(
    name: "mailbearer",
    platforms: [.macOS(.v13), .iOS(.v16)],
    products: [
        .library(name: "Mailbearer", targets: ["Mailbearer"]),
        .library(name: "MailbearerTesting", targets: ["MailbearerTesting"]),
    ],
    targets: [
        .binaryTarget(
            name: "MailbearerCoreFFI",
            url: "https://github.com/mailbearer/mailbearer-swift/releases/download/@VERSION@/MailbearerCoreFFI.xcframework.zip",
            checksum: "@CHECKSUM@"
        ),
        .binaryTarget(
            name: "MailbearerTestingCoreFFI",
            url: "https://github.com/mailbearer/mailbearer-swift/releases/download/@VERSION@/MailbearerTestingCoreFFI.xcframework.zip",
            checksum: "@TESTING_CHECKSUM@"
        ),
        .target(
            name: "Mailbearer",
            dependencies: ["MailbearerCoreFFI"],
            resources: [.copy("PrivacyInfo.xcprivacy")]
        ),
        .target(name: "MailbearerTesting", dependencies: ["Mailbearer", "MailbearerTestingCoreFFI"]),
    ],
    swiftLanguageModes: [.v6]
)
