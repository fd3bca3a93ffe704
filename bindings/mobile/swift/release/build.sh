#!/usr/bin/env bash
# NOT RUN WHERE THE PROJECT IS TESTED: it needs a Mac with Xcode and Rust's targets for Apple systems.
#
# Makes the package that is published: target/swift-release, with the sources, Package.swift and, for the release's
# downloads, MailbearerCoreFFI.xcframework.zip. To be pushed to the repository of the Swift package under the tag of the version.
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

checksum=$(swift package compute-checksum "$out/MailbearerCoreFFI.xcframework.zip")
cp -R bindings/mobile/swift/Sources/Mailbearer "$out/Sources/"
sed "s/@VERSION@/$version/; s/@CHECKSUM@/$checksum/" bindings/mobile/swift/release/Package.swift >"$out/Package.swift"
