#!/usr/bin/env bash
# The library for Android, as small as it gets: android.sh TARGET KOTLIN OUT
#
# KOTLIN is the generated code for Android: the functions that it declares are exported, and no others. std comes from source,
# without what prints backtraces, and places of panics are left out. The link is done here, and not by cargo: cargo would export
# what UniFFI notes down for its generator, documentation and all, which no phone reads.
#
# With ANDROID_NDK_HOME the NDK links, and OUT can be run. Without, rust-lld does, with nothing of Android's own to link with: OUT can
# be looked at and not be run, and lacks the NDK's libunwind.
set -euo pipefail

target=$1 kotlin=$2 out=$3
root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
cd "$root"

# Unwinding stays: a panic becomes an exception of Kotlin's, and does not end the app.
RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=std,panic_unwind CARGO_UNSTABLE_BUILD_STD_FEATURES=panic-unwind,optimize_for_size \
    CARGO_PROFILE_MOBILE_OPT_LEVEL=z RUSTFLAGS="-Zlocation-detail=none" \
    cargo rustc -q --locked --profile mobile --target "$target" -p mailbearer-mobile --lib --crate-type staticlib
archive=target/$target/mobile/libmailbearer_mobile.a

work=target/$target/mobile
sed -n 's/^ *external fun \(\(ffi\|uniffi\)_[a-z0-9_]*\)(.*/\1/p' "$kotlin" | sort -u >"$work/called"
[ -s "$work/called" ] || { echo "$kotlin declares no function of UniFFI's" >&2; exit 1; }
{ echo '{ global:'; sed 's/$/;/' "$work/called"; echo 'local: *; };'; } >"$work/exports.map"

# Packed relocations of Android 6 and later (RELR would ask for Android 9); pages of 16 KiB, as the Play store asks for.
options=(-shared --gc-sections --strip-all --eh-frame-hdr --hash-style=gnu --pack-dyn-relocs=android -z max-page-size=16384 --icf=all -O2
    "--version-script=$work/exports.map" --soname=libmailbearer_mobile.so)
while read -r name; do options+=("--undefined=$name"); done <"$work/called"

mkdir -p "$(dirname "$out")"
if [ -n "${ANDROID_NDK_HOME:-}" ]; then
    clang=("$ANDROID_NDK_HOME"/toolchains/llvm/prebuilt/*/bin/clang)
    # i686's and armv7's names of the NDK differ from Rust's.
    triple=${target/armv7-linux-androideabi/armv7a-linux-androideabi}
    printf '%s\n' "${options[@]}" >"$work/options"
    "${clang[0]}" "--target=${triple}24" -shared "-Wl,@$work/options" -o "$out" "$archive" -ldl -llog -lunwind -lm -lc
else
    linker=$("${RUSTC:-rustc}" --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin/rust-lld
    "$linker" -flavor gnu "${options[@]}" --unresolved-symbols=ignore-all -o "$out" "$archive"
fi
