#!/usr/bin/env bash
# Prints the languages whose files differ from BASE, or are not committed: changed.sh BASE
set -euo pipefail
cd "$(dirname "$0")/.."

base=$(git merge-base HEAD "$1" 2>/dev/null || git rev-parse HEAD)
files=$(git diff --name-only "$base" && git ls-files --others --exclude-standard)
changed() { if grep -qE "$2" <<<"$files"; then echo "$1"; fi; }
changed python '^(python|bindings/python)/'
changed node '^(node|bindings/node)/'
changed kotlin '^bindings/mobile/(kotlin|src|testing|bindgen)/'
changed swift '^bindings/mobile/(swift|src|bindgen)/'
