#!/usr/bin/env bash
# Makes what the package needs from Rust: the library in target/mobile, and the Swift code and the header that call it.
set -euo pipefail
cd "$(dirname "$0")/../../.."

package=bindings/mobile/swift
cargo build --locked --profile mobile -p mailbearer-mobile
cargo build --locked -p mailbearer-bindgen
target/debug/uniffi-bindgen generate target/mobile/libmailbearer_mobile.so --language swift --no-format --out-dir target/swift
# What has not changed is left alone, and not compiled again.
install -C -D -m 644 target/swift/MailbearerCore.swift "$package/Sources/Mailbearer/Generated/MailbearerCore.swift"
install -C -D -m 644 target/swift/MailbearerCoreFFI.h "$package/Sources/MailbearerCoreFFI/MailbearerCoreFFI.h"
