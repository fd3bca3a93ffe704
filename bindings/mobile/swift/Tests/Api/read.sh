#!/usr/bin/env bash
# Asks Swift's own tools what is public, after `swift build` of these very sources, in the root of toolchain.sh: read.sh OUT
#
# OUT has then, for each module, the dump of swift-api-digester and the symbol graph; and DocC has converted it, where a link that
# leads nowhere, and a parameter that is not described where others are, is an error. Its archive is not kept: its pages need JavaScript.
set -euo pipefail
out=$1
cd "$(dirname "$0")/../.."

tools=/usr/libexec/swift/bin
[ -x $tools/docc ] || tools=$(dirname "$(command -v docc)")
triple=$(swiftc -print-target-info | sed -n 's/^ *"triple": "\(.*\)",/\1/p' | head -n 1)
rm -rf "$out"
for module in Mailbearer MailbearerTesting; do
    place=(-target "$triple" -I .build/debug/Modules -I Sources/MailbearerCoreFFI -I Sources/MailbearerTestingCoreFFI
        -I Sources/COpenSSL)
    mkdir -p "$out/$module"
    "$tools/swift-api-digester" -dump-sdk -module $module "${place[@]}" -avoid-location -avoid-tool-args -o "$out/$module.json"
    "$tools/swift-symbolgraph-extract" -module-name $module "${place[@]}" -minimum-access-level public \
        -skip-synthesized-members -output-dir "$out/$module"
    "$tools/docc" convert --additional-symbol-graph-dir "$out/$module" --fallback-display-name $module \
        --fallback-bundle-identifier org.mailbearer.$module --output-dir "$out/$module.doccarchive" --warnings-as-errors \
        --ide-console-output
    rm -r "$out/$module.doccarchive"
done
