#!/usr/bin/env bash
# Starts a server on a private Postgres in a folder of its own, measures, and removes both again.
#
# usage: Benchmarks/run.sh [ARGUMENTS OF dormouse-bench]
#
# 1. publish, and replay from the tail, beside plain libpq on the same Postgres, alternating;
# 2. the server is started again, so that its tail is empty, and the same events are replayed from the log.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${DORMOUSE_BIN_DIR:-.build/release}
port=${DORMOUSE_BENCH_PORT:-36730}
data=$(mktemp -d "${TMPDIR:-/tmp}/dormouse-bench.XXXXXX")
chmod 755 "$data"
server=

stop() {
    [ -z "$server" ] || { kill "$server" && wait "$server" || true; }
    server=
}
trap 'stop; rm -rf "$data"' EXIT

start() {
    "$bin/dormoused" --data "$data/data" --listen "127.0.0.1:$port" >"$data/out" 2>"$data/err" &
    server=$!
    for _ in $(seq 600); do
        grep -q '^listening on' "$data/out" && return
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    cat "$data/out" "$data/err" >&2
    exit 69
}

start
socket=$(sed -n "s/.*psql -h '\([^']*\)'.*/\1/p" "$data/out")
"$bin/dormouse-bench" --postgres "host=$socket user=dormouse dbname=dormouse" --port "$port" "$@"
stop
start
echo 'after a restart, so from the log:'
"$bin/dormouse-bench" --only replay --postgres "host=$socket user=dormouse dbname=dormouse" --port "$port" "$@"
