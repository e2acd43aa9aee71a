#!/bin/sh
# Checks the golden messages against protoc, which shares no code with Dormouse: the text in each
# file's comments, encoded by protoc, must be the file's bytes. Needs protoc 3.21 or newer.
set -eu
cd "$(dirname "$0")"
failed=0
checked=0
for file in *.hex; do
    type=$(sed -n 's/^# message //p' "$file")
    [ -n "$type" ] || continue
    expected=$(grep -v '^#' "$file" | tr -d ' \n')
    actual=$(sed -n 's/^#   //p' "$file" |
        protoc --proto_path=../../proto --encode="$type" dormouse.proto |
        od -An -v -tx1 | tr -d ' \n')
    checked=$((checked + 1))
    if [ "$expected" != "$actual" ]; then
        echo "$file: protoc encodes its text as $actual" >&2
        failed=1
    fi
done
[ "$failed" = 0 ] && echo "$checked messages are what protoc encodes"
exit "$failed"
