#!/usr/bin/env bash
# Runs a command with Swift 6: toolchain.sh ROOT COMMAND [ARGUMENT...]
#
# Swift needs a newer glibc than Debian 12 has, so it lives in a Debian 13 (trixie) root of its own: ROOT, set up once and
# kept (3.5 GB; about 4 minutes). The command sees this repository and the folder MAILBEARER_CASES at their own paths, the
# host's network and the variables named MAILBEARER_*, and nothing else of the host. Nothing stays mounted.
set -euo pipefail

suite=trixie
packages="swiftlang libc6-dev libstdc++-14-dev g++ libssl-dev ca-certificates"

root=$(realpath -m "$1")
shift
repository=$(realpath "$(dirname "$0")/../../..")

fail() {
    printf 'SWIFT CANNOT RUN HERE: %s\n' "$*" >&2
    exit 1
}

# Runs a command in the root, in a mount namespace that ends with it.
in_root() {
    local variables=() name
    for name in $(compgen -e | grep '^MAILBEARER_' || true); do
        variables+=("$name=${!name}")
    done
    unshare --mount --propagation private bash -euc '
        root=$1 repository=$2
        shift 2
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        for folder in "$repository" ${MAILBEARER_CASES:+"$MAILBEARER_CASES"}; do
            mkdir -p "$root$folder"
            mount --bind "$folder" "$root$folder"
        done
        exec chroot "$root" env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
    ' - "$root" "$repository" "${variables[@]}" sh -c 'cd "$1" && shift && exec "$@"' - "$PWD" "$@"
}

# The mirror that the host's apt uses.
mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' | head -n 1
}

set_up() {
    [ "$(id -u)" = 0 ] || fail "a Debian root is made by root"
    [ -x /usr/bin/apt-get ] || fail "a Debian root is made on Debian; elsewhere use a Swift 6 toolchain of your own"
    local uri
    if ! command -v debootstrap >/dev/null; then
        apt-get update -qq || fail "the Debian mirror is not reached: no network?"
        apt-get install -qq -y --no-install-recommends debootstrap >/dev/null || fail "debootstrap cannot be installed"
    fi
    uri=$(mirror)
    [ -n "$uri" ] || fail "apt knows no Debian mirror: run apt-get update"
    # A set-up that was interrupted is begun anew.
    rm -rf "$root"
    mkdir -p "$root"
    debootstrap --variant=minbase "$suite" "$root" "$uri" >"$root.log" 2>&1 ||
        fail "debootstrap ended in error (no network?), see $root.log: $(tail -n 1 "$root.log")"
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod +x "$root/usr/sbin/policy-rc.d"
    # shellcheck disable=SC2086  # the list is meant to be split
    PWD=/ in_root apt-get install -q -y --no-install-recommends $packages >>"$root.log" 2>&1 ||
        fail "Swift cannot be installed (no network?), see $root.log: $(tail -n 1 "$root.log")"
    PWD=/ in_root apt-get clean
    touch "$root/.complete"
}

if [ ! -e "$root/.complete" ]; then
    echo "Swift 6 is set up in $root (once; some minutes)"
    set_up
fi
in_root "$@"
