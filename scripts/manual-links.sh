#!/usr/bin/env bash
# Makes `man FUNCTION` work: a link for each function that a page names in its NAME section.
#
# usage: scripts/manual-links.sh FOLDER PAGE...
set -euo pipefail
folder=$1
shift
for page in "$@"; do
    sed -n 's/^\.Nm \(dormouse[a-z_]*\)\( ,\)*$/\1/p; /^\.Sh SYNOPSIS/q' "$page" | while read -r name; do
        [ "$name.3" = "$(basename "$page")" ] || ln -sf "$(basename "$page")" "$folder/$name.3"
    done
done
