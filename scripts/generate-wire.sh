#!/bin/sh
# Generates the C code of Sources/CWire from proto/dormouse.proto.
#
#   scripts/generate-wire.sh            writes the files
#   scripts/generate-wire.sh --check    changes nothing; fails when the files are not current
#
# Needs protoc-c 1.4 (Debian: protobuf-c-compiler). The generated files are committed, so that a
# build needs the library only.
set -eu

cd "$(dirname "$0")/.."
source_dir=Sources/CWire
header_dir=$source_dir/include

case "${1-}" in
"" | --check) ;;
*)
    echo "usage: $0 [--check]" >&2
    exit 2
    ;;
esac
if ! command -v protoc-c >/dev/null 2>&1; then
    echo "$0: protoc-c is not installed; on Debian: apt-get install protobuf-c-compiler" >&2
    exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
protoc-c --proto_path=proto --c_out="$work" dormouse.proto

if [ "${1-}" = --check ]; then
    if ! diff -u "$source_dir/dormouse.pb-c.c" "$work/dormouse.pb-c.c" >"$work/diff" ||
        ! diff -u "$header_dir/dormouse.pb-c.h" "$work/dormouse.pb-c.h" >>"$work/diff"; then
        head -n 40 "$work/diff" >&2
        echo "$0: $source_dir is not what $(protoc-c --version | head -n 1) makes of" \
            "proto/dormouse.proto; run $0 and commit the result" >&2
        exit 1
    fi
    exit 0
fi

cp "$work/dormouse.pb-c.c" "$source_dir/dormouse.pb-c.c"
cp "$work/dormouse.pb-c.h" "$header_dir/dormouse.pb-c.h"
