#!/bin/bash
# Makes what the jars carry: the libraries, stripped, and the Kotlin code that calls them, in target/kotlin. `make` has built
# LIBRARIES, for an old glibc: native.sh LIBRARIES
set -euo pipefail
cd "$(dirname "$0")/../../.."
readonly libraries=$1

cargo build --locked -p mailbearer-bindgen
rm -rf target/kotlin

make_part() {
    local part=$1 library=$2 package=$3
    local resources=target/kotlin/$part/resources/linux-x86-64
    # UniFFI reads from the symbols, which are stripped afterwards.
    target/debug/uniffi-bindgen generate "$libraries/$library" --language kotlin --no-format \
        --out-dir "target/kotlin/$part/kotlin"
    mkdir -p "$resources"
    strip -o "$resources/$library" "$libraries/$library"
    # What only the generated code needs is hidden from users.
    target/debug/uniffi-bindgen surface "$package" "$(find "target/kotlin/$part/kotlin" -name '*.kt')"
}

make_part library libmailbearer_mobile.so org.mailbearer
make_part testing libmailbearer_testing.so org.mailbearer.testing.machine
bindings/mobile/kotlin/android/generate.sh "$libraries/libmailbearer_mobile.so" target/kotlin/android/kotlin
