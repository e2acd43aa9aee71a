#!/usr/bin/env bash
# The story of the market, on a private Postgres and a node with an invented chain, in less than a minute.
#
# usage: Examples/Market/demo.sh
set -euo pipefail
source "$(dirname "$0")/../demo.sh"

start_server market
background node market-node --tokens 40 --per-second 30 --busy 61 --broken 47
until_true "the node listens" grep -q 'listening on' "$work/node.log"
node=$(sed -n 's/^listening on //p' "$work/node.log")
account=$(sed -n 's/^account //p' "$work/node.log")
printf '%s\n' "broker = $broker" "database = $database" "node = $node" "account = $account" >"$work/market.conf"
cd "$work"

sales() { sql market "SELECT count(*) FROM market.sale"; }
has_sales() { [ "$(sales)" = "$1" ]; }

say "A node tells what happens on a chain. Sometimes it is busy (429), sometimes down (503)."
run market gather --account 0xf932dcb9835e681b21d2f411ef99f4f5e577e6ac299eebee2272a39fb348f702
background creation market work creation
until_true "the collection is there" bash -c "market tokens list | grep -q 'Dormouse #1'"
run market collections list

say "1. The buy worker starts first: purchases of what was not listed yet wait for their cause."
background source market source --interval 0.2
source=$last
background buy market work buy
until_true "a purchase waits" bash -c "market worker parked | grep -q 'not listed yet'"
market worker parked | head -n 4
background list market work list
background offer market work offer
background curation market work curation

say "2. The source is killed, and starts again: each event is in the log once."
kill -9 "$source"
wait "$source" 2>/dev/null || true
background source market source --interval 0.2
# 10 of 40 tokens are sold by accepting an offer, 20 by buying what is listed, 2 in a gallery.
until_true "everything was sold" has_sales 32
until_true "everything is listed" bash -c "[ \$(market orders list | grep -c .) = 51 ]"
grep -hE 'node answers' source.log | head -n 2 || true

say "3. Orders, sales and the volume: whole numbers, as the chain has them."
market orders list | head -n 6
market activities list | tail -n 5
run market collections list

say "4. Notifications are events, too: published when the sale is committed, and once."
dormouse --server "$broker" fetch --pattern 'market.notification.#' --count 3
run market worker list

say "5. More tokens have been made since. Gathering goes on where it was."
run market gather --account 0xf932dcb9835e681b21d2f411ef99f4f5e577e6ac299eebee2272a39fb348f702
until_true "all have an owner" bash -c "! market tokens list | grep -q -- '-$'"
run market exhibits list

say "6. Everything again, from the log, into fresh tables: also what was gathered. Nobody is notified twice."
market tokens list --json >before.json
run market worker rebuild 2>rebuild.log
grep -c 'set aside' rebuild.log | sed 's/$/ events waited for their causes again/'
market tokens list --json >after.json
cmp before.json after.json && echo "the same tokens, with the same owners"
finished
