#!/bin/bash
# tests/parts.sh FIRST -- COMPUTING -- WAITING   runs the parts (targets of the Makefile) that `make test` consists of.
#
# What all others need comes first, part by part. Then two lanes run beside each other: one computes and gives way (`nice`), the
# other mostly waits for servers, clocks and sessions. No part is in both, and none needs what a part of the other lane makes.
# A part that fails ends its lane, and the other lane after the part that it is at. What each took is in target/parts/times.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

results=target/parts

first=() computing=() waiting=()
list=0
for word in "$@"; do
    case $list-$word in
        *---) list=$((list + 1)) ;;
        0-*) first+=("$word") ;;
        1-*) computing+=("$word") ;;
        *) waiting+=("$word") ;;
    esac
done
[ $list = 2 ] || { echo "usage: tests/parts.sh FIRST -- COMPUTING -- WAITING" >&2; exit 2; }

part() { # NAME
    local start=$SECONDS status=0
    make --no-print-directory "$1" || status=$?
    printf '%-12s %5d s%s\n' "$1" $((SECONDS - start)) "$([ $status = 0 ] || echo '  FAILED')" >> $results/times
    [ $status = 0 ] || touch $results/failed
}

# What the lane beside says is shown when its part has ended: the lines of two parts are not mixed.
lane_beside() { # NAME...
    local name
    for name in "$@"; do
        [ ! -e $results/failed ] || return
        part "$name" > "$results/$name.log" 2>&1
        printf '\n\033[1m== Beside: %s\033[0m\n' "$name"
        cat "$results/$name.log"
    done
}

lane() { # NAME...
    local name
    for name in "$@"; do
        [ ! -e $results/failed ] || return
        part "$name"
    done
}

rm -rf $results
mkdir -p $results
# A process group of its own, so that it ends with this script.
set -m
trap '[ -z "${beside:-}" ] || kill -- -"$beside" 2> /dev/null' EXIT
trap 'exit 130' INT TERM

lane "${first[@]}"
(renice -n 10 $BASHPID > /dev/null; lane_beside "${computing[@]}") &
beside=$!
lane "${waiting[@]}"
wait $beside
beside=

printf '%-12s %5d s\n' 'all of it' $SECONDS >> $results/times
printf '\n\033[1m== What each part took (%s beside the others)\033[0m\n' "${computing[*]}"
cat $results/times
if [ -e $results/failed ]; then
    printf '\n\033[1m== FAILED: %s\033[0m\n' "$(sed -n 's/ .*FAILED$//p' $results/times | xargs)"
    exit 1
fi
printf '\n\033[1m== All tests passed\033[0m\n'
