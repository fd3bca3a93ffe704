#!/bin/bash
# Writes the Kotlin code that calls the library on Android: generate.sh LIBRARY FOLDER. `cargo build -p mailbearer-bindgen` was there first.
set -euo pipefail
library=$(realpath "$1")
mkdir -p "$2"
folder=$(realpath "$2")
cd "$(dirname "$0")/../../../.."

target/debug/uniffi-bindgen generate "$library" --language kotlin --no-format \
    --config bindings/mobile/kotlin/android/uniffi.toml --out-dir "$folder"
file=$(find "$folder" -name '*.kt')
# As in ../native.sh: what only the generated code needs is hidden from users.
target/debug/uniffi-bindgen surface org.mailbearer "$file"
# The number that a newer SDK has a name for.
sed -i 's/Build\.VERSION_CODES\.UPSIDE_DOWN_CAKE/34/' "$file"
