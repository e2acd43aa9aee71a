#!/usr/bin/env bash
# Instructions that parts of the server take for an event of 100 bytes, counted by callgrind: they do not depend on the
# machine's mood. Each part runs twice, with more events the second time; the difference is what the events cost.
#
# usage: Benchmarks/instructions.sh [--write]
#
# Compares with Benchmarks/instructions.json and fails where a part takes over 5 % more; --write makes that file
# anew. The figures are those of one compiler: with another one they are printed, and not compared.
set -euo pipefail
cd "$(dirname "$0")/.."

program=${DORMOUSE_BIN_DIR:-.build/release}/dormouse-instructions
figures=Benchmarks/instructions.json
few=20000
many=60000
slack=5
work=$(mktemp -d "${TMPDIR:-/tmp}/dormouse-instructions.XXXXXX")
trap 'rm -rf "$work"' EXIT

# This valgrind cannot read what the compiler writes for debuggers.
strip --strip-debug -o "$work/program" "$program"

swift=$(scripts/find-swift.sh)
compiler="Swift $("$swift" --version 2>/dev/null | sed -n 's/.*Swift version \([0-9.]*\).*/\1/p' | head -1) $(uname -m)"

# count PART EVENTS: of the whole process. Dictionaries have the same order each time.
count() {
    SWIFT_DETERMINISTIC_HASHING=1 valgrind --tool=callgrind --callgrind-out-file="$work/out" "$work/program" "$1" "$2" \
        >/dev/null 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
    awk '/^(summary|totals):/ { total = $2 } END { print total }' "$work/out"
}

known() { [ ! -e "$figures" ] || sed -n "s/^ *\"$1\": *\"\{0,1\}\([^\",]*\).*/\1/p" "$figures"; }

recorded=$(known compiler)
worse=0
lines=
for part in decode decode-singles append append-singles filter deliver deliver-filtered deliver-singles; do
    first=$(count "$part" "$few")
    second=$(count "$part" "$many")
    now=$(((second - first + (many - few) / 2) / (many - few)))
    before=$(known "$part")
    note=
    if [ "$recorded" != "$compiler" ]; then
        note="not compared"
    elif [ -n "$before" ]; then
        note="was $before"
        if [ $((now * 100)) -gt $((before * (100 + slack) + 100)) ]; then
            note="$note: over $slack % more"
            worse=1
        fi
    fi
    printf '%-18s %6d instructions an event  %s\n' "$part" "$now" "$note"
    lines="$lines,
  \"$part\": $now"
done

if [ "${1:-}" = --write ]; then
    printf '{\n  "compiler": "%s"%s\n}\n' "$compiler" "$lines" >"$figures"
    echo "written: $figures"
elif [ "$recorded" != "$compiler" ]; then
    echo "not compared: $figures is of ${recorded:-no compiler}, this is $compiler"
elif [ "$worse" -ne 0 ]; then
    echo "Something takes more instructions than before. If it is worth them, say why in the commit and run $0 --write." >&2
    exit 1
fi
