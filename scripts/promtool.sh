#!/usr/bin/env bash
# Prints the path of Prometheus' promtool: the one on PATH, else one in .build/tools, taken out of Debian's package the
# first time. The package itself is not installed: it would start a Prometheus.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$PWD/.build/tools
if command -v promtool; then exit 0; fi
if [ ! -x "$tools/usr/bin/promtool" ]; then
    work=$(mktemp -d "${TMPDIR:-/tmp}/dormouse-promtool.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    # apt's own user fetches it, when root asks.
    chmod 755 "$work"
    download() { (cd "$work" && apt-get -q -o Acquire::Retries=3 download prometheus >&2); }
    # Lists that are old name packages that are not there any more.
    if ! download && ! { apt-get -q update >&2 && download; }; then
        echo "promtool: Debian's package prometheus cannot be fetched; run 'apt-get update', or install promtool" >&2
        exit 69
    fi
    mkdir -p "$tools"
    dpkg-deb --fsys-tarfile "$work"/prometheus_*.deb | tar -x -C "$tools" ./usr/bin/promtool
fi
echo "$tools/usr/bin/promtool"
