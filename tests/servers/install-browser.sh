#!/bin/bash
# Installs a browser without a window from Debian's packages, and the keyring of GNOME. Does nothing where they are there.
# Without them the tests of the login fail: they are not left out.
set -euo pipefail
packages=(chromium-headless-shell gnome-keyring dbus dbus-daemon)
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} = 0 ] && exit 0
echo "installing what the tests of the login need: ${missing[*]}"
[ "$(id -u)" = 0 ] || { echo "this needs root: apt-get install ${missing[*]}" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
