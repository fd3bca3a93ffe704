#!/bin/bash
# NOT RUN HERE: it needs the Android NDK (r28 or newer), rustup's targets and cargo-ndk.
# Makes the libraries of four kinds of phone and the Kotlin code that calls them, in build/.
set -euo pipefail
cd "$(dirname "$0")/../../../.."

readonly OUT=bindings/mobile/kotlin/android/build
rustup target add aarch64-linux-android armv7-linux-androideabi x86_64-linux-android i686-linux-android

cargo ndk --platform 24 -t arm64-v8a -t armeabi-v7a -t x86_64 -t x86 -o "$OUT/jniLibs" \
    build --locked --profile mobile -p mailbearer-mobile

# UniFFI reads from the symbols of the library for this machine; the interface is the same.
cargo build --locked --profile mobile -p mailbearer-mobile
cargo build --locked -p mailbearer-bindgen
bindings/mobile/kotlin/android/generate.sh target/mobile/libmailbearer_mobile.so "$OUT/generated/uniffi"
llvm-strip "$OUT"/jniLibs/*/libmailbearer_mobile.so
