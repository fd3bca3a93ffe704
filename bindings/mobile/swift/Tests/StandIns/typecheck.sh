#!/usr/bin/env bash
# Type-checks the package as on Apple systems, with stand-ins for Network and Security.
#
# It finds a call that is misspelt or has a wrong type. It cannot find where a stand-in differs from Apple's own framework.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for module in Security Network; do
    # As in a framework, an enum may gain cases: `@unknown default` is right.
    swiftc -emit-module -enable-library-evolution -parse-as-library -swift-version 6 -module-name "$module" -I "$work" \
        -emit-module-path "$work/$module.swiftmodule" "Tests/StandIns/$module.swift" 2>"$work/$module.log" ||
        { cat "$work/$module.log" >&2; exit 1; }
done
mapfile -t sources < <(find Sources/Mailbearer -name '*.swift' -not -name NetworkTransport.swift)

# With NetworkTransport.swift as it is in this file.
check() {
    swiftc -typecheck -swift-version 6 -package-name mailbearer -module-name Mailbearer -warnings-as-errors -I "$work" \
        -I Sources/MailbearerCoreFFI -I Sources/COpenSSL "${sources[@]}" "$1"
}

transport=Sources/Mailbearer/Transport/NetworkTransport.swift
check "$transport"
mkdir "$work/misspelt"
sed 's/tcp\.noDelay = true/tcp.noDelai = true/' "$transport" >"$work/misspelt/NetworkTransport.swift"
if check "$work/misspelt/NetworkTransport.swift" 2>/dev/null; then
    echo "a misspelt call is not found" >&2
    exit 1
fi
echo "NetworkTransport.swift fits the stand-ins, and a misspelt call does not"
