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
for target in "$@"; do
    echo "$target"
    mkdir "$new/$target"
    ASAN_OPTIONS=detect_leaks=1 "$build/fuzz/$target" -max_total_time="$seconds" -max_len=4096 \
        -artifact_prefix="$build/fuzz/" -verbosity=0 -print_final_stats=1 \
        "$new/$target" "Tests/Fuzz/corpus/$target" >"$new/log" 2>&1 ||
        { tail -60 "$new/log" >&2; exit 1; }
    grep -E 'executed_units' "$new/log" || true
done
echo "nothing was found in $seconds s each"
