# What the demonstrations share; sourced by Examples/*/demo.sh.
#
# `say` explains, `run` shows a command and what it prints. Server, Postgres and data are private, in a
# folder that is removed at the end.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
bin=$(realpath "${DORMOUSE_BIN_DIR:-.build/release}")
PATH=$bin:$PATH
# Postgres runs as another user when we are root, and the path of its socket must be short.
work=$(mktemp -d /tmp/dormouse-demo.XXXXXX)
chmod 755 "$work"
started=()
begun=$SECONDS

# With `wait`, so that nothing is left when this ends; the server stops its Postgres itself.
finish() {
    local process
    # The newest first: a server waits for clients that are still there.
    local index
    for ((index = ${#started[@]} - 1; index >= 0; index--)); do
        process=${started[index]}
        kill "$process" 2>/dev/null && wait "$process" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap finish EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

run() {
    printf '\033[36m$ %s\033[0m\n' "$*"
    "$@"
}

# until_true WHAT COMMAND...: asks again and again, for 30 seconds.
until_true() {
    local what=$1 deadline=$((SECONDS + 30))
    shift
    until "$@" >/dev/null 2>&1; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            echo "waited in vain until $what; the logs:" >&2
            tail -n 20 "$work"/*.log >&2
            exit 1
        fi
        sleep 0.05
    done
}

# background NAME COMMAND...: starts a program, whose output goes to NAME.log; its process is $last.
background() {
    local name=$1
    shift
    "$@" >>"$work/$name.log" 2>&1 </dev/null &
    last=$!
    started+=("$last")
}

start_server() {
    background server dormoused --data "$work/data" --unix "$work/dormouse.sock"
    until_true "the server listens" grep -q 'listening on' "$work/server.log"
    broker=unix:$work/dormouse.sock
    # The server says where its Postgres listens; the application gets a database of its own there.
    run_folder=$(sed -n "s/.*psql -h '\([^']*\)'.*/\1/p" "$work/server.log" | head -n 1)
    postgres="host='$run_folder' port=5432 user=dormouse"
    database="$postgres dbname=$1"
    sql dormouse "CREATE DATABASE $1" >/dev/null
}

# sql DATABASE STATEMENT: on the private Postgres.
sql() {
    psql -XAtq -v ON_ERROR_STOP=1 -d "$postgres dbname=$1" -c "$2"
}

finished() { say "Done in $((SECONDS - begun)) s."; }
