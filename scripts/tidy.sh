#!/usr/bin/env bash
# Checks what the formatter and the compiler do not. Prints every breach and fails if there was one.
# The reasons are in CONTRIBUTING.md.
set -euo pipefail
cd "$(dirname "$0")/.."

breaches=0

# forbid WHAT PATTERN PATH...: no line of text files below the paths may match.
forbid() {
    local what=$1 pattern=$2 found
    shift 2
    found=$(grep -rnIE --exclude-dir='.build*' --exclude-dir=.git --exclude-dir=.dormouse \
        --exclude=tidy.sh -e "$pattern" -- "$@" 2>/dev/null || true)
    if [ -n "$found" ]; then
        printf '%s\n' "$found"
        printf 'tidy: %s\n\n' "$what"
        breaches=$((breaches + 1))
    fi
}

forbid "finish it, or open an issue" '(^|[^A-Za-z])(TODO|FIXME|XXX)([^A-Za-z]|$)' \
    Sources Tests Benchmarks proto scripts Package.swift Makefile
forbid "no path of one person's machine" '(^|[^A-Za-z0-9_.-])(/work/|/tmp/w-|/home/[A-Za-z]|/Users/[A-Za-z])' .
forbid "no try!: handle the error or prove it away" '(^|[^A-Za-z])try!' Sources
forbid "no fatalError: precondition for our own guarantee, a Failure for everything else" \
    '(^|[^A-Za-z])fatalError\(' Sources
forbid "no detached task: every task has an owner that awaits it" 'Task\.detached' Sources
forbid "no -Ounchecked: preconditions stay in" 'Ounchecked' Sources Package.swift

while IFS= read -r -d '' file; do
    lines=$(wc -l <"$file")
    if [ "$lines" -gt 500 ]; then
        printf '%s: %d lines\ntidy: at most 500 lines a file\n\n' "$file" "$lines"
        breaches=$((breaches + 1))
    fi
done < <(find Sources -path Sources/CWire -prune -o \( -name '*.swift' -o -name '*.[ch]' \) -type f -print0)

[ "$breaches" -eq 0 ] || exit 1
