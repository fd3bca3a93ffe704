#!/usr/bin/env bash
# Makes the wheel of another platform, of the Linux one and the extension for that platform: wheel.sh EXTENSION PLATFORM
# maturin cannot link *-windows-gnullvm; and so all wheels are made alike.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

extension=$1
platform=$2
case $platform in
    win_*) name=_core.pyd ;;
    *) name=_core.abi3.so ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PATH=$venv/bin:$PATH
wheel unpack -d "$work" "$dist"/python/mailbearer-"$version"-*manylinux2014_x86_64*.whl >/dev/null
folder=$work/mailbearer-$version
rm "$folder/mailbearer/_core.abi3.so"
install -m 755 "$extension" "$folder/mailbearer/$name"
sed -i '/^Tag: /d' "$folder"/*.dist-info/WHEEL
echo "Tag: cp311-abi3-$platform" >>"$folder"/*.dist-info/WHEEL
rm -f "$dist"/python/mailbearer-"$version"-*"$platform"*.whl
wheel pack -d "$dist/python" "$folder" >/dev/null
