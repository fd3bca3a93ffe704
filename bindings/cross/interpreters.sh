#!/usr/bin/env bash
# Tries dist/'s packages for x86-64 Linux with every interpreter that they are for, and prints which were tried: the demo in each
# CPython, logins in each Node, the cases in each Java. One that cannot be had here is named, and is no success.
# shellcheck disable=SC2317  # tried calls what it is given
set -uo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

work=$root/target/cross/interpreters
table=$work/table.txt
rm -rf "$work"
mkdir -p "$work"
failed=0
# Whoever removes .cache must not walk into the host's processes.
leave_roots() {
    local place
    for place in "$cross"/*/proc; do ! mountpoint -q "$place" || umount "$place"; done
}
trap leave_roots EXIT

# Runs a command with its output in a log, and writes down how it ended: tried NAME COMMAND...
tried() {
    local log=$work/${1// /-}.txt said=passed
    "${@:2}" >"$log" 2>&1 || { said=FAILED failed=1; tail -n 5 "$log" >&2; }
    printf '%-16s %s\n' "$1" "$said" | tee -a "$table"
}

not_here() { # NAME WHY
    printf '%-16s not tried: %s\n' "$1" "$2" | tee -a "$table"
}

# pyenv's own and not its shim, which may refuse; or the system's: python_here VERSION
python_here() {
    find ~/.pyenv/versions -path "*/$1*/bin/python$1" 2>/dev/null | sort -V | tail -n 1 | grep . || command -v "python$1"
}

# Installed as users do it.
demo_in() { # PYTHON FOLDER
    "$1" -m venv --clear "$2" && "$2/bin/pip" install -q --disable-pip-version-check "$dist"/python/*.whl && "$2/bin/mailbearer" demo
}

# A root of Debian's that commands can run in: its own names, and the host's processes.
root_of() { # SUITE PACKAGES
    local debian
    debian=$(debian "$1" amd64 "$2") || return 1
    echo '127.0.0.1 localhost' >"$debian/etc/hosts"
    mkdir -p "$debian/proc" "$debian/tmp"
    mountpoint -q "$debian/proc" || mount --bind /proc "$debian/proc"
    echo "$debian"
}

demo_in_debian() { # SUITE VERSION
    local debian
    debian=$(root_of "$1" "python$2,libstdc++6,ca-certificates") || return 1
    unpack_wheel manylinux2014_x86_64 "$debian/wheel"
    "$venv/bin/pip" install -q --disable-pip-version-check --python-version "$2" --only-binary :all: --target "$debian/wheel" \
        --upgrade "$dist"/python/*.whl || return 1
    chroot "$debian" /usr/bin/env -i LANG=C.UTF-8 PATH=/usr/bin:/bin PYTHONPATH=/wheel "/usr/bin/python$2" -m mailbearer demo
}

pythons() {
    local cpython python
    for cpython in 3.11 3.12 3.13; do
        if python=$(python_here $cpython); then
            tried "CPython $cpython" demo_in "$python" "$work/python-$cpython"
        else
            not_here "CPython $cpython" "neither the system nor pyenv has it"
        fi
    done
    tried "CPython 3.14" demo_in_debian sid 3.14
}

logins_in() { # NODE
    "$1" "$root/bindings/cross/smoke.cjs" "$work/npm"
}

nodes() {
    local number folder platform
    npm_package linux-x64-gnu "$work/npm"
    for number in 20.18.0 22.20.0 24.19.0; do
        platform=manylinux_2_17_x86_64
        [ "${number%%.*}" -lt 24 ] || platform=manylinux_2_28_x86_64
        folder=$(node_of $number $platform) || { not_here "Node ${number%%.*}" "PyPI has none"; continue; }
        tried "Node ${number%%.*}" logins_in "$folder/bin/node"
    done
}

# The jars lie where the class path says.
cases_in_debian() { # SUITE PACKAGE
    local debian tests=$root/bindings/mobile/kotlin/tests/target java
    debian=$(root_of "$1" "$2") || return 1
    java=$(cd "$debian" && find usr/lib/jvm -path '*/bin/java' | head -n 1)
    tr ':' '\n' <"$tests/class-path" | xargs cp -r --parents -t "$debian" || return 1
    cp -r --parents -t "$debian" "$tests/test-classes" "$root/tests/cases" || return 1
    chroot "$debian" /usr/bin/env -i LANG=C.UTF-8 "/$java" -Dmailbearer.root="$root" \
        -cp "$tests/test-classes:$(cat "$tests/class-path")" org.mailbearer.CasesRunnerKt
}

cases_here() {
    local tests=$root/bindings/mobile/kotlin/tests/target
    java -Dmailbearer.root="$root" -cp "$tests/test-classes:$(cat "$tests/class-path")" org.mailbearer.CasesRunnerKt
}

javas() {
    tried "Java $(java -version 2>&1 | sed -n '1s/[^"]*"\([0-9]*\).*/\1/p')" cases_here
    tried "Java 21" cases_in_debian trixie openjdk-21-jre-headless
}

pythons
nodes
javas
printf '\n'
cat "$table"
exit $failed
