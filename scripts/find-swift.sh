#!/usr/bin/env bash
# Prints the path of the `swift` to use: the one on PATH, else one in a usual place. Fails with a
# message when there is none.
set -euo pipefail

for candidate in "$(command -v swift || true)" /opt/swift/usr/bin/swift /usr/share/swift/usr/bin/swift \
    "${SWIFTLY_BIN_DIR:-${HOME:-}/.local/share/swiftly/bin}/swift"; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then
        echo "$candidate"
        exit 0
    fi
done
echo "No Swift toolchain found on PATH, in /opt/swift, /usr/share/swift or ~/.local/share/swiftly." >&2
echo "Dormouse needs Swift 6.3 or later: https://www.swift.org/install/linux/" >&2
exit 69 # EX_UNAVAILABLE
