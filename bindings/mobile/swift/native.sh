#!/usr/bin/env bash
# Makes what the package needs from Rust: the library, and the Swift code and the header that call it: native.sh [LIBRARIES]
# Where `make` has built the LIBRARIES they are taken as they are, else target/mobile has them.
set -euo pipefail
cd "$(dirname "$0")/../../.."

package=bindings/mobile/swift
libraries=${1:-target/mobile}
library=$libraries/libmailbearer_mobile.$([ "$(uname)" = Darwin ] && echo dylib || echo so)

# Copies a file that is new: what has not changed is not compiled again.
renew() {
    mkdir -p "$(dirname "$2")"
    cmp -s "$1" "$2" || cp "$1" "$2"
}

[ $# -gt 0 ] || cargo build --locked --profile mobile -p mailbearer-mobile
cargo build --locked -p mailbearer-bindgen
target/debug/uniffi-bindgen generate "$library" --language swift --no-format --out-dir target/swift
renew target/swift/MailbearerCore.swift "$package/Sources/Mailbearer/Generated/MailbearerCore.swift"
renew target/swift/MailbearerCoreFFI.h "$package/Sources/MailbearerCoreFFI/MailbearerCoreFFI.h"
