#!/usr/bin/env bash
# Type-checks what is for Apple systems alone, with stand-ins for their frameworks: the transport, the testing server, and what
# follows the network.
#
# It finds a call that is misspelt or has a wrong type, and shows that it does. It cannot find where a stand-in differs from Apple's
# own framework.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# As in a framework, an enum may gain cases: `@unknown default` is right.
framework() {
    swiftc -emit-module -enable-library-evolution -parse-as-library -swift-version 6 -module-name "$1" -I "$work" \
        -emit-module-path "$work/$1.swiftmodule" "Tests/StandIns/$1.swift" 2>"$work/$1.log" || { cat "$work/$1.log" >&2; exit 1; }
}

# MODE MODULE SOURCE... of the package.
check() {
    local mode=$1 module=$2
    shift 2
    swiftc "$mode" -parse-as-library -swift-version 6 -package-name mailbearer -module-name "$module" -warnings-as-errors \
        -I "$work" -I Sources/MailbearerCoreFFI -I Sources/MailbearerTestingCoreFFI \
        -I Sources/COpenSSL "$@"
}

# FILE FROM TO: with that one word misspelt, the file must not fit.
misspelt() {
    local module file="Sources/$1" sources
    module=$(cut -d / -f 1 <<<"$1")
    grep -q "$2" "$file" || { echo "$file has no $2" >&2; exit 1; }
    sed "s/$2/$3/" "$file" >"$work/misspelt.swift"
    mapfile -t sources < <(find "Sources/$module" -name '*.swift' -not -path "$file")
    if check -typecheck "$module" "${sources[@]}" "$work/misspelt.swift" 2>"$work/misspelt.log"; then
        echo "a misspelt call is not found: $3 in $file" >&2
        exit 1
    fi
    grep -q "$3" "$work/misspelt.log" || { cat "$work/misspelt.log" >&2; exit 1; }
}

framework Security
framework Network
framework os
for module in Mailbearer MailbearerTesting; do
    mapfile -t sources < <(find "Sources/$module" -name '*.swift')
    # Certificates.archive is made on a Mac.
    [ $module = Mailbearer ] || { echo 'extension Certificates { static let archive = "" }' >"$work/archive.swift"; sources+=("$work/archive.swift"); }
    check -typecheck $module "${sources[@]}"
    # For the module that follows. It does not look into functions.
    [ $module = MailbearerTesting ] || check -emit-module $module -emit-module-path "$work/$module.swiftmodule" "${sources[@]}"
done
misspelt Mailbearer/Transport/NetworkTransport.swift 'tcp\.noDelay' tcp.noDelai
misspelt MailbearerTesting/NetworkListener.swift newConnectionHandler newConectionHandler
misspelt Mailbearer/NetworkState.swift pathUpdateHandler pathUpdateHandlr
misspelt Mailbearer/EventLogger.swift "privacy: \.public" "privacy: .pubic"
echo "What is for Apple systems fits the stand-ins, and misspelt calls do not"
