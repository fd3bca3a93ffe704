#!/usr/bin/env bash
# Builds for one line of ./targets, with zig as linker and std from source: build.sh TARGET
# The libraries get into target/cross/TARGET, the wheel and the npm package of the platform into dist/. Needs `make dist`.
#
# CROSS_FAST=1 builds without optimisation across crates: to try this script, not for releases.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

target=$1
read -r _ parts _ _ _ _ wheel_platform npm_platform _ < <(grep "^$target " "$root/bindings/cross/targets") ||
    fail "bindings/cross/targets has no line for $target"
toolchain=$("$root/bindings/cross/toolchain.sh")
export PATH=$toolchain/bin:$venv/bin:$PATH RUSTC=$toolchain/bin/rustc
# What lets a stable compiler build std.
export RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=std,panic_abort
# Without these two the binaries ask for the system of the machine that built them.
export MACOSX_DEPLOYMENT_TARGET=11.0 IPHONEOS_DEPLOYMENT_TARGET=16.0
# A module that Python loads, of its stable interface: no Python of the target is looked for.
export PYO3_BUILD_EXTENSION_MODULE=1 PYO3_NO_PYTHON=1
# UniFFI reads the symbols of this machine's library: those of the others need not stay.
export CARGO_PROFILE_RELEASE_STRIP=symbols CARGO_PROFILE_MOBILE_STRIP=symbols
out=$root/target/cross/$target
cd "$root"
rm -rf "$out"
mkdir -p "$out"

if [ -n "${CROSS_FAST:-}" ]; then
    for profile in RELEASE MOBILE; do
        export "CARGO_PROFILE_${profile}_LTO=off" "CARGO_PROFILE_${profile}_CODEGEN_UNITS=16" "CARGO_PROFILE_${profile}_OPT_LEVEL=1"
    done
fi
case $target in
    *-linux-gnu) zig_target=$target.2.17 ;;
    *) zig_target=$target ;;
esac
case $target in
    # Node and Python of musl are dynamically linked, and so is what they load.
    *-linux-musl) export RUSTFLAGS="-C target-feature=-crt-static" ;;
    *-windows-*)
        # napi-build wants a Node to link with, of which the addon takes nothing: it looks the functions up when it is loaded.
        export LIBNODE_PATH=$cross/libnode
        mkdir -p "$LIBNODE_PATH"
        : >"$LIBNODE_PATH/libnode.dll"
        rm -f "$LIBNODE_PATH/libnode.a"
        python3 -m ziglang ar rcs "$LIBNODE_PATH/libnode.a"
        cp "$LIBNODE_PATH/libnode.a" "$LIBNODE_PATH/node.lib"
        ;;
esac

# On Windows zig exports all that it links unless it is told what: those are the names that Python, Node and JNA look up.
exports() { # PART
    case $1 in
        python) echo PyInit__core ;;
        node) echo napi_register_module_v1 ;;
        mobile) nm -D --defined-only "$root/target/x86_64-unknown-linux-gnu/mobile/libmailbearer_mobile.so" | awk '$3 ~ /^(ffi|uniffi)_/ { print $3 }' ;;
    esac
}

cargo_build() { # PART PROFILE
    local options=()
    if [[ $target == *-windows-* ]]; then
        { echo EXPORTS && exports "$1"; } >"$out/$1.def"
        options=(-- -C "link-arg=$out/$1.def")
    elif [[ $target-$1 == *-apple-darwin-python ]]; then
        # What is Python's own is found in the process that loads the extension. For Node, napi-build says so by itself.
        options=(-- -C link-arg=-undefined -C link-arg=dynamic_lookup)
    fi
    cargo-zigbuild rustc -q --locked --profile "$2" --target "$zig_target" -p "mailbearer-$1" --lib --crate-type cdylib "${options[@]}"
}

# The file that cargo has made of a crate: made PROFILE NAME
made() {
    local name found
    for name in "lib$2.so" "lib$2.dylib" "$2.dll"; do
        found=target/$target/$1/$name
        [ -e "$found" ] && echo "$found" && return
    done
    fail "cargo has made no library $2 for $target"
}

case $parts in
    *w*)
        cargo_build python release
        cp "$(made release mailbearer_python)" "$out/python"
        "$root/bindings/cross/wheel.sh" "$out/python" "$wheel_platform"
        ;;&
    *n*)
        cargo_build node release
        cp "$(made release mailbearer_node)" "$out/mailbearer.$npm_platform.node"
        (cd node && node pack.mjs "$dist/npm" "$out")
        ;;&
    *m*)
        cargo_build mobile mobile
        cp "$(made mobile mailbearer_mobile)" "$out/"
        ;;&
    *a*)
        env -u ANDROID_NDK_HOME "$root/bindings/cross/android.sh" "$target" \
            target/kotlin/android/kotlin/org/mailbearer/mailbearer_mobile.kt "$out/libmailbearer_mobile.so"
        ;;&
    *s*)
        cargo rustc -q --locked --profile mobile --target "$target" -p mailbearer-mobile --lib --crate-type staticlib
        cp "target/$target/mobile/libmailbearer_mobile.a" "$out/"
        ;;&
    *c*)
        CARGO_UNSTABLE_BUILD_STD=core,alloc cargo rustc -q --locked --release --target "$target" -p mailbearer --lib --crate-type lib
        cp "target/$target/release/libmailbearer.rlib" "$out/"
        ;;
esac
