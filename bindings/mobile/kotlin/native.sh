#!/bin/bash
# Makes what the jars carry: the libraries, stripped, and the Kotlin code that calls them, in target/kotlin. `make` has built
# LIBRARIES, for an old glibc: native.sh LIBRARIES
set -euo pipefail
cd "$(dirname "$0")/../../.."
readonly libraries=$1

cargo build --locked -p mailbearer-bindgen
rm -rf target/kotlin

make_part() {
    local part=$1 library=$2
    local resources=target/kotlin/$part/resources/linux-x86-64
    # UniFFI reads from the symbols, which are stripped afterwards.
    target/debug/uniffi-bindgen generate "$libraries/$library" --language kotlin --no-format \
        --out-dir "target/kotlin/$part/kotlin"
    mkdir -p "$resources"
    strip -o "$resources/$library" "$libraries/$library"
    check_closed_objects "target/kotlin/$part/kotlin"
}

# In UniFFI 0.32.2 a method of a closed object throws, but a closed object that is an argument is used although its memory is
# freed. With this it throws too.
check_closed_objects() {
    local file
    file=$(find "$1" -name '*.kt')
    sed -i 's/^        return value\.uniffiCloneHandle()$/        return value.callWithHandle { it }/' "$file"
    local checked objects
    checked=$(grep -c 'return value\.callWithHandle { it }' "$file")
    objects=$(grep -c '^open class .*: Disposable, AutoCloseable' "$file")
    if [ "$checked" != "$objects" ]; then
        echo "UniFFI's generated code has changed: see check_closed_objects in $0" >&2
        exit 1
    fi
}

make_part library libmailbearer_mobile.so
make_part testing libmailbearer_testing.so
bindings/mobile/kotlin/android/generate.sh "$libraries/libmailbearer_mobile.so" target/kotlin/android/kotlin
