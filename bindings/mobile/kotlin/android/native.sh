#!/bin/bash
# NOT RUN HERE: it needs the Android NDK (r28 or newer), in ANDROID_NDK_HOME, and rustup's std from source.
# Makes the libraries of four kinds of phone and the Kotlin code that calls them, in build/.
set -euo pipefail
cd "$(dirname "$0")/../../../.."

readonly OUT=bindings/mobile/kotlin/android/build
rustup component add rust-src

# UniFFI reads from the symbols of the library for this machine; the interface is the same.
cargo build --locked --profile mobile -p mailbearer-mobile
cargo build --locked -p mailbearer-bindgen
bindings/mobile/kotlin/android/generate.sh target/mobile/libmailbearer_mobile.so "$OUT/generated/uniffi"

# Each kind of phone: Android's name of it, and Rust's.
while read -r abi target; do
    bindings/cross/android.sh "$target" "$OUT/generated/uniffi/org/mailbearer/mailbearer_mobile.kt" "$OUT/jniLibs/$abi/libmailbearer_mobile.so"
done <<'END'
arm64-v8a aarch64-linux-android
armeabi-v7a armv7-linux-androideabi
x86_64 x86_64-linux-android
x86 i686-linux-android
END
