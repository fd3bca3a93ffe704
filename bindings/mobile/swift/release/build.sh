#!/usr/bin/env bash
# NOT RUN WHERE THE PROJECT IS TESTED: it needs a Mac with Xcode and Rust's targets for Apple systems.
#
# Makes the package that is published: target/swift-release, with the sources, Package.swift and, for the release's
# downloads, MailbearerCoreFFI.xcframework.zip and MailbearerTestingCoreFFI.xcframework.zip. To be pushed to the repository of the Swift package under the tag of the version.
set -euo pipefail
cd "$(dirname "$0")/../../../.."

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
out=target/swift-release
library=libmailbearer_mobile.a
rm -rf "$out"
mkdir -p "$out/headers/MailbearerCoreFFI" "$out/Sources"

bindings/mobile/swift/native.sh
for target in aarch64-apple-ios aarch64-apple-ios-sim x86_64-apple-ios aarch64-apple-darwin x86_64-apple-darwin; do
    cargo build --locked --profile mobile -p mailbearer-mobile --target "$target"
done
join() {
    mkdir -p "$out/$1"
    lipo -create "target/$2/mobile/$library" "target/$3/mobile/$library" -output "$out/$1/$library"
}
join simulator aarch64-apple-ios-sim x86_64-apple-ios
join macos aarch64-apple-darwin x86_64-apple-darwin

# In a folder of their own: two frameworks with a module.modulemap in their root cannot be used together.
cp bindings/mobile/swift/Sources/MailbearerCoreFFI/* "$out/headers/MailbearerCoreFFI/"
xcodebuild -create-xcframework \
    -library "target/aarch64-apple-ios/mobile/$library" -headers "$out/headers" \
    -library "$out/simulator/$library" -headers "$out/headers" \
    -library "$out/macos/$library" -headers "$out/headers" \
    -output "$out/MailbearerCoreFFI.xcframework"
(cd "$out" && zip -qry MailbearerCoreFFI.xcframework.zip MailbearerCoreFFI.xcframework)

# The testing server, for tests on a Mac and in the simulator. A dynamic library: two static ones of Rust have the same symbols.
testing=libmailbearer_testing.dylib
mkdir -p "$out/testing-headers/MailbearerTestingCoreFFI" "$out/testing/macos" "$out/testing/simulator"
for target in aarch64-apple-ios-sim x86_64-apple-ios aarch64-apple-darwin x86_64-apple-darwin; do
    cargo build --locked --profile mobile -p mailbearer-mobile-testing --target "$target"
done
lipo -create "target/aarch64-apple-darwin/mobile/$testing" "target/x86_64-apple-darwin/mobile/$testing" \
    -output "$out/testing/macos/$testing"
lipo -create "target/aarch64-apple-ios-sim/mobile/$testing" "target/x86_64-apple-ios/mobile/$testing" \
    -output "$out/testing/simulator/$testing"
for one in "$out"/testing/*/"$testing"; do
    install_name_tool -id "@rpath/$testing" "$one"
done
cp bindings/mobile/swift/Sources/MailbearerTestingCoreFFI/* "$out/testing-headers/MailbearerTestingCoreFFI/"
xcodebuild -create-xcframework \
    -library "$out/testing/macos/$testing" -headers "$out/testing-headers" \
    -library "$out/testing/simulator/$testing" -headers "$out/testing-headers" \
    -output "$out/MailbearerTestingCoreFFI.xcframework"
(cd "$out" && zip -qry MailbearerTestingCoreFFI.xcframework.zip MailbearerTestingCoreFFI.xcframework)

checksum() {
    swift package compute-checksum "$out/$1.xcframework.zip"
}
cp -R bindings/mobile/swift/Sources/Mailbearer bindings/mobile/swift/Sources/MailbearerTesting "$out/Sources/"
sed "s/@VERSION@/$version/; s/@CHECKSUM@/$(checksum MailbearerCoreFFI)/; s/@TESTING_CHECKSUM@/$(checksum MailbearerTestingCoreFFI)/" \
    bindings/mobile/swift/release/Package.swift >"$out/Package.swift"
