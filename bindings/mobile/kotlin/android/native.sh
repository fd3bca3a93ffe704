#!/bin/bash
# NOT RUN HERE: it needs the Android NDK (r28 or newer), rustup's targets and cargo-ndk.
# Makes the libraries of four kinds of phone and the Kotlin code that calls them, in build/.
set -euo pipefail
cd "$(dirname "$0")/../../../.."

readonly OUT=bindings/mobile/kotlin/android/build
rustup target add aarch64-linux-android armv7-linux-androideabi x86_64-linux-android i686-linux-android

# Pages of 16 KiB, as the Play store asks for; NDK r28 does that by itself, older ones do not.
export RUSTFLAGS="-C link-arg=-Wl,-z,max-page-size=16384"
cargo ndk --platform 24 -t arm64-v8a -t armeabi-v7a -t x86_64 -t x86 -o "$OUT/jniLibs" \
    build --locked --profile mobile -p mailbearer-mobile
unset RUSTFLAGS

# UniFFI reads from the symbols of the library for this machine; the interface is the same.
cargo build --locked --profile mobile -p mailbearer-mobile
cargo build --locked -p mailbearer-bindgen
target/debug/uniffi-bindgen generate target/mobile/libmailbearer_mobile.so --language kotlin --no-format \
    --config bindings/mobile/kotlin/android/uniffi.toml --out-dir "$OUT/generated/uniffi"
# As in ../native.sh: what only the generated code needs is hidden from users.
target/debug/uniffi-bindgen surface org.mailbearer "$(find "$OUT/generated/uniffi" -name '*.kt')"
llvm-strip "$OUT"/jniLibs/*/libmailbearer_mobile.so
