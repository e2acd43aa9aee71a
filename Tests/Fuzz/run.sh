#!/usr/bin/env bash
# Runs fuzz targets on what is known, and on what they make of it; the corpus is not changed.
#
# usage: Tests/Fuzz/run.sh BUILD_FOLDER SECONDS TARGET …
#
# A find is left in BUILD_FOLDER/fuzz; once mended, it goes into Tests/Fuzz/corpus/TARGET.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$1
seconds=$2
shift 2
new=$(mktemp -d "${TMPDIR:-/tmp}/dormouse-fuzz.XXXXXX")
trap 'rm -rf "$new"' EXIT
fuzz() {
    mkdir "$new/$1"
    SWIFT_BACKTRACE=enable=no ASAN_OPTIONS=detect_leaks=1 "$build/fuzz/$1" -max_total_time="$seconds" -max_len=4096 \
        -artifact_prefix="$build/fuzz/" -verbosity=0 -print_final_stats=1 \
        "$new/$1" "Tests/Fuzz/corpus/$1" >"$new/$1.log" 2>&1
}
# All at once: each is one thread.
runs=()
for target in "$@"; do
    fuzz "$target" &
    runs+=($!)
done
failed=no
for target in "$@"; do
    echo "$target"
    wait "${runs[0]}" || { failed=yes; tail -60 "$new/$target.log" >&2; }
    runs=("${runs[@]:1}")
    grep -E 'executed_units' "$new/$target.log" || true
done
[ "$failed" = no ] || exit 1
echo "nothing was found in $seconds s each"
