#!/usr/bin/env bash
# Makes, in .cache/cross, the Rust that builds for other systems: the installed one, with the sources of its std beside it.
#
# No std built beforehand is to be had here for another target. Debian's rust-src of the very same version has the sources, and
# since 1.95 also std's own dependencies, so that nothing is downloaded by -Z build-std. When the mirror serves that version no
# more this says so and stops: sources of another version do not compile.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

version=$(rustc --version | cut -d' ' -f2)
sysroot=$(rustc --print sysroot)
toolchain=$cross/toolchain-$version
[ ! -e "$toolchain/.complete" ] || { echo "$toolchain"; exit; }
[ -x "$venv/bin/cargo-zigbuild" ] || fail "run make dist first: it installs zig and cargo-zigbuild"

# An apt of its own: the host's suites and what is installed stay as they are.
apt=$cross/apt
mkdir -p "$apt"/etc/apt/{apt.conf.d,preferences.d} "$apt"/var/lib/apt/lists/partial "$apt"/var/cache/apt/archives/partial "$apt"/var/lib/dpkg
touch "$apt/var/lib/dpkg/status"
uri=$(mirror)
for suite in trixie-backports forky sid; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main"
done >"$apt/etc/apt/sources.list"
options=(-q -o "Dir=$apt" -o "Dir::State::status=$apt/var/lib/dpkg/status")
log=$cross/toolchain.log
apt-get "${options[@]}" update >"$log" 2>&1 || fail "the Debian mirror is not reached, see $log"
served=$(apt-cache "${options[@]}" madison rust-src | awk '{ print $3 }')
package=$(grep -m 1 "^$version+dfsg" <<<"$served") || fail "Debian serves no rust-src $version, but $(paste -sd' ' <<<"$served")"
(cd "$cross" && apt-get "${options[@]}" download "rust-src=$package" >>"$log" 2>&1) || fail "rust-src $package, see $log"

rm -rf "$toolchain"
mkdir -p "$toolchain/lib/rustlib/src"
dpkg-deb -x "$cross"/rust-src_"$version"*.deb "$toolchain/source"
source=$toolchain/source/usr/src/rustc-$version
[ -d "$source/library/vendor" ] || fail "rust-src $package lacks std's dependencies (they are in it since 1.95)"
cp -al "$sysroot/bin" "$toolchain/"
cp -al "$sysroot"/lib/* "$toolchain/lib/"
ln -sfn "$source" "$toolchain/lib/rustlib/src/rust"
# rust-objcopy, which strips for Apple's systems, looks for LLVM where rustup does not put it.
host=$(rustc -vV | sed -n 's/^host: //p')
ln -f "$sysroot"/lib/libLLVM.so.* "$toolchain/lib/rustlib/$host/lib/"
touch "$toolchain/.complete"
echo "$toolchain"
