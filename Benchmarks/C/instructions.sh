#!/usr/bin/env bash
# Instructions that the C library takes for an event of 100 bytes, by callgrind: they do not depend on the machine's
# mood. Kernel and server are not counted.
#
# usage: Benchmarks/C/instructions.sh BUILD_FOLDER
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$1
events=200000
bin=$(realpath "${DORMOUSE_BIN_DIR:-.build/release}")
work=$(mktemp -d "${TMPDIR:-/tmp}/dormouse-instructions.XXXXXX")
chmod 755 "$work"
server=
trap '[ -z "$server" ] || { kill "$server" && wait "$server" || true; }; rm -rf "$work"' EXIT

"$bin/dormoused" --data "$work/data" --listen 127.0.0.1:0 >"$work/out" 2>"$work/err" &
server=$!
for _ in $(seq 600); do
    grep -q '^listening on' "$work/out" && break
    kill -0 "$server" 2>/dev/null || { cat "$work/err" >&2; exit 69; }
    sleep 0.1
done
uri=dormouse://$(sed -n 's/^listening on //p' "$work/out" | head -1)

# measure NAME FUNCTION …: within these functions and what they call.
measure() {
    local name=$1 toggles=()
    shift
    for function in "$@"; do toggles+=("--toggle-collect=$function"); done
    valgrind --tool=callgrind --callgrind-out-file="$work/$name" "${toggles[@]}" \
        "$build/dormouse-c-bench" "$uri" "$events" >/dev/null 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
    awk -v name="$name" -v events="$events" '/^(summary|totals):/ { total = $2 } END { printf "%-8s %6.0f instructions per event\n", name, total / events }' \
        "$work/$name"
}

measure publish dormouse_publish_async dormouse_flush
measure receive dormouse_next_batch
