#!/usr/bin/env bash
# Builds, looks at and tries every line of ./targets, or only the TARGETs named, and prints what came of each: all.sh [TARGET...]
# A line that fails does not stop the others; the end is an error then. The table is in dist/targets.txt too.
# shellcheck disable=SC2317  # step calls what it is given
set -uo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

here=$root/bindings/cross
logs=$root/target/cross/logs
mkdir -p "$logs"
"$here/toolchain.sh" >/dev/null || exit 1

# Runs a step with its output in the log, and says how it ended: step TARGET NAME COMMAND...
step() {
    local log=$logs/$1-$2.txt start=$SECONDS status=failed
    if "${@:3}" >"$log" 2>&1; then status=passed; fi
    printf '%s %s %ss\n' "$2" "$status" $((SECONDS - start)) >&2
    [ $status = passed ] || { tail -n 5 "$log" >&2; return 1; }
}

look() { # TARGET FILE MOST_KIB
    [ ! -e "$2" ] || "$venv/bin/python" "$here/look.py" library "$1" "$2" "$3"
}

look_at() { # TARGET MOST_W MOST_N MOST_M NPM_PLATFORM
    local out=$root/target/cross/$1
    look "$1" "$out/python" "$2" && look "$1" "$out/mailbearer.$5.node" "$3" &&
        for library in "$out"/*mailbearer_mobile.{so,dylib,dll}; do look "$1" "$library" "$4" || return 1; done
}

# The JVM's libraries get into the jar that make dist-cross makes anew.
into_the_jar() { # TARGET FOLDER
    mkdir -p "$root/target/kotlin/library/resources/$2"
    cp "$root/target/cross/$1"/*mailbearer_mobile.{so,dylib,dll} "$root/target/kotlin/library/resources/$2/" 2>/dev/null || true
}

table=$dist/targets.txt
failed=0
printf '%-28s %-8s %-8s %s\n' target built tried 'KiB: extension, addon, library' >"$table"
while read -r target parts tried most_w most_n most_m _ npm jna; do
    [ $# = 0 ] || [[ " $* " == *" $target "* ]] || continue
    printf '\n== %s\n' "$target"
    built=failed
    became=-
    if [ "$target" = x86_64-unknown-linux-gnu ]; then
        built="make dist"
    elif step "$target" build "$here/build.sh" "$target" && step "$target" look look_at "$target" "$most_w" "$most_n" "$most_m" "$npm"; then
        built=yes
        cat "$logs/$target-look.txt"
        [[ $parts != *m* ]] || into_the_jar "$target" "$jna"
    fi
    case $built-$tried in
        failed-*) failed=1 ;;
        *-run) if step "$target" try "$here/try.sh" "$target"; then became=run; else became=FAILED failed=1; fi ;;
        *) became=$tried ;;
    esac
    sizes=$(find "$root/target/cross/$target" -maxdepth 1 -type f ! -name '*.txt' -printf '%f %k\n' 2>/dev/null | sort | paste -sd' ')
    printf '%-28s %-8s %-8s %s\n' "$target" "$built" "$became" "$sizes" >>"$table"
done < <(grep -v '^#' "$here/targets")

printf '\n'
cat "$table"
echo "run: it logged in here. looked: its format, imports, exports, size and signature are right; nobody has run it. built: it compiles."
exit $failed
