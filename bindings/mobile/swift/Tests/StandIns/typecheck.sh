#!/usr/bin/env bash
# Type-checks what is for Apple systems alone, with stand-ins for their frameworks: the transport, the testing server, what follows
# the network, and the sample app.
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
swift_of() {
    local mode=$1 module=$2
    shift 2
    swiftc "$mode" -parse-as-library -swift-version 6 -package-name mailbearer -module-name "$module" -warnings-as-errors \
        -I "$work" -I Sources/MailbearerCoreFFI -I Sources/MailbearerTestingCoreFFI -I Sources/COpenSSL "$@"
}

# MODULE SOURCE... In one go, which is quicker.
check() {
    swift_of -typecheck "$@" -whole-module-optimization
}

# MODULE SOURCE... For the modules that follow: without a look into functions.
offer() {
    swift_of -emit-module "$@" -emit-module-path "$work/$1.swiftmodule" -Xfrontend -experimental-skip-all-function-bodies
}

# MODULE FILE FROM TO...: with these words misspelt, none of the files must fit.
misspelt() {
    local module=$1 copy="$work/misspelt/$1" file
    shift
    mkdir -p "$work/misspelt"
    cp -R "Sources/$module" "$copy"
    while [ $# -gt 0 ]; do
        file=$copy/$1
        grep -q "$2" "$file" || { echo "$1 has no $2" >&2; exit 1; }
        sed -i "s/$2/$3/" "$file"
        shift 3
    done
    mapfile -t sources < <(find "$copy" -name '*.swift')
    if check "$module" "${sources[@]}" "${archive[@]}" 2>"$work/misspelt.log"; then
        echo "misspelt calls are not found in $module" >&2
        exit 1
    fi
}

# The words must be told, each.
told() {
    for word in "$@"; do
        grep -q "error: .*$word" "$work/misspelt.log" || { cat "$work/misspelt.log" >&2; echo "not found: $word" >&2; exit 1; }
    done
}

for module in Security Network os SwiftUI BackgroundTasks UserNotifications AppAuth; do
    framework $module
done
archive=()
mapfile -t sources < <(find Sources/Mailbearer -name '*.swift')
check Mailbearer "${sources[@]}"
offer Mailbearer "${sources[@]}"
# Certificates.archive is made on a Mac.
echo 'extension Certificates { static let archive = "" }' >"$work/archive.swift"
archive=("$work/archive.swift")
mapfile -t sources < <(find Sources/MailbearerTesting -name '*.swift')
check MailbearerTesting "${sources[@]}" "${archive[@]}"
offer MailNotifierModel Examples/MailNotifier/Model/*.swift
check MailNotifier Examples/MailNotifier/App/*.swift

misspelt MailbearerTesting NetworkListener.swift newConnectionHandler newConectionHandler
told newConectionHandler
archive=()
misspelt Mailbearer Transport/NetworkTransport.swift 'tcp\.noDelay' tcp.noDelai \
    NetworkState.swift pathUpdateHandler pathUpdateHandlr EventLogger.swift 'privacy: \.public' 'privacy: .pubic'
told noDelai pathUpdateHandlr pubic
echo "What is for Apple systems fits the stand-ins, and misspelt calls do not"
