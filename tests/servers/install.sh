#!/bin/bash
# Installs Dovecot, Postfix and two proxies from Debian's packages, without starting them, and the authorization server from npm's.
# Does nothing where they are there.
set -euo pipefail
oidc=$(dirname "$(readlink -f "$0")")/oidc
lock=$oidc/node_modules/.package-lock.json
# One process at a time: the parts of a test run may be started side by side.
[ "$lock" -nt "$oidc/package-lock.json" ] ||
    flock "$oidc/package.json" sh -c "cd '$oidc' && npm ci --loglevel=error --no-audit --no-fund && touch '$lock'" >/dev/null
packages=(dovecot-imapd dovecot-pop3d dovecot-submissiond dovecot-lmtpd postfix openssl microsocks tinyproxy)
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} = 0 ] && exit 0
echo "installing the mail servers for the tests: ${missing[*]}"
[ "$(id -u)" = 0 ] || { echo "this needs root: apt-get install ${missing[*]}" >&2; exit 1; }
# A policy of 101 keeps the packages from starting their daemons.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    trap 'rm -f $policy' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
