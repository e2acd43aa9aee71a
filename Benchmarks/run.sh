#!/usr/bin/env bash
# Runs the benchmark: dormoused beside other systems and beside plain libpq. What each measure is, and what the
# settings are, is in docs/performance.md.
#
# usage: Benchmarks/run.sh [--quick] [--only P1,P2…] [--rounds N] [--events N] [--large N] [--port N]
#
# The other systems come from Benchmarks/peers.sh; what is not there is skipped, and the report says so.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${DORMOUSE_BIN_DIR:-.build/release}
folder=$(mktemp -d "${TMPDIR:-/tmp}/dormouse-bench.XXXXXX")
chmod 755 "$folder"

# What a run that was broken off has left behind. Each program has a process group of its own.
clean() {
    local file
    for file in $(find "$folder" -name '*.pid' ! -name postmaster.pid ! -path '*/rabbitmq/*' 2>/dev/null); do
        kill -- "-$(cat "$file")" 2>/dev/null || true
    done
    sleep 1
    # RabbitMQ leaves its port mapper, which is ours since its port is.
    [ ! -d "$folder/rabbitmq" ] || epmd -port "$(cat "$folder/epmd-port")" -kill >/dev/null 2>&1 || true
    rm -rf "$folder"
}
trap clean EXIT
trap 'exit 130' INT TERM

# Ten thousand connections, on both sides.
ulimit -n "$(ulimit -Hn)"
mkdir -p Benchmarks/results
find_program() { command -v "$1" 2>/dev/null || true; }

peers=$PWD/.build/peers
nats=
[ ! -x "$peers/nats-server" ] || nats=$peers/nats-server
rabbitmq=
[ ! -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || rabbitmq=/usr/lib/rabbitmq/bin/rabbitmq-server
pgq=
for control in /usr/share/postgresql/*/extension/pgq.control; do [ ! -e "$control" ] || pgq=yes; done

"$bin/dormouse-bench" --server "$bin/dormoused" --folder "$folder" --results Benchmarks/results \
    --nats "$nats" --redis "$(find_program redis-server)" --rabbitmq "$rabbitmq" --pgq "$pgq" "$@"
