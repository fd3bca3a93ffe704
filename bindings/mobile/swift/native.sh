#!/usr/bin/env bash
# Makes what the package needs from Rust: the libraries, and the Swift code and the headers that call them: native.sh [LIBRARIES]
# Where `make` has built the LIBRARIES they are taken as they are, else target/mobile has them.
set -euo pipefail
cd "$(dirname "$0")/../../.."

package=bindings/mobile/swift
libraries=${1:-target/mobile}
ending=$([ "$(uname)" = Darwin ] && echo dylib || echo so)

# Copies a file that is new: what has not changed is not compiled again.
renew() {
    mkdir -p "$(dirname "$2")"
    cmp -s "$1" "$2" || cp "$1" "$2"
}

# Swift code and header of one library: LIBRARY MODULE TARGET
bind() {
    target/debug/uniffi-bindgen generate "$libraries/lib$1.$ending" --language swift --no-format --out-dir target/swift
    renew "target/swift/$2.swift" "$package/Sources/$3/Generated/$2.swift"
    renew "target/swift/$2FFI.h" "$package/Sources/$2FFI/$2FFI.h"
}

# A file as a text of Swift: NAME FILE
text() {
    printf '    static let %s = """\n%s\n"""\n' "$1" "$(grep -v '^Certificate' "$2")" | sed '2,$s/^/        /'
}

# The testing server's certificate. Apple's systems read a certificate with its key as PKCS #12 alone, which their openssl makes.
certificates() {
    local folder=python/src/mailbearer/testing
    printf '// Made by native.sh. The key is public: for tests on this machine only.\nenum Certificates {\n'
    text authority $folder/ca.pem
    text localhost $folder/localhost.pem
    [ "$(uname)" != Darwin ] || text archive <(openssl pkcs12 -export -in $folder/localhost.pem -passout pass:mailbearer | base64)
    printf '}\n'
}

if [ $# = 0 ]; then
    # Each for itself: together, the testing server's part of the core would get into the library for apps.
    cargo build --locked --profile mobile -p mailbearer-mobile
    cargo build --locked --profile mobile -p mailbearer-mobile-testing
fi
cargo build --locked -p mailbearer-bindgen
bind mailbearer_mobile MailbearerCore Mailbearer
bind mailbearer_testing MailbearerTestingCore MailbearerTesting
certificates >target/swift/Certificates.swift
renew target/swift/Certificates.swift "$package/Sources/MailbearerTesting/Generated/Certificates.swift"
