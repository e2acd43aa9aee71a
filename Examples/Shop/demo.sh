#!/usr/bin/env bash
# The story of the shop, on a private Postgres, in less than a minute.
#
# usage: Examples/Shop/demo.sh
set -euo pipefail
source "$(dirname "$0")/../demo.sh"

start_server shop
# All commands find their settings here.
printf '%s\n' "broker = $broker" "database = $database" >"$work/shop.conf"
cd "$work"

purchases() { sql shop "SELECT count(*) FROM shop.shop_purchase"; }
has() { [ "$(purchases)" = "$1" ]; }
consume() { background consumer shop consume; consumer=$last; }

say "A consumer keeps the shop's tables. It commits them and its position in the log together."
consume
run shop customers make --count 3
run shop products make
until_true "customers and products are there" \
    bash -c "[ \$(shop products list | wc -l) = 13 ] && [ \$(shop customers list | wc -l) = 3 ]"
run shop buy --count 10 --interval 0.05
until_true "the purchases are there" has 10
run shop customers list

say "1. The consumer is killed, and started again: no purchase is there twice."
kill -9 "$consumer"
wait "$consumer" 2>/dev/null || true
consume
run shop buy --count 5 --interval 0
until_true "the purchases are there" has 15
echo "$(purchases) purchases"

say "2. A second consumer starts beside the first. It takes over; nothing is lost."
older=$consumer
consume
run shop buy --count 5 --interval 0
until_true "the purchases are there" has 20
wait "$older" || true
echo "$(purchases) purchases; the older one said: $(grep taken consumer.log | tail -n 1)"

say "3. A bad message is parked, with its reason. The rest flows."
run dormouse --server "$broker" publish shop.customer.customer_log_000.buys '{"event_type":"customer_buys_product"}'
run shop buy --count 5 --interval 0
until_true "it is parked" bash -c "shop worker parked | grep -q parked"
run shop worker parked
position=$(sql shop "SELECT position FROM shop.worker_aside WHERE state = 'parked'")
run shop worker drop shop "$position"
until_true "the purchases are there" has 25

say "4. Everything is applied again, from the beginning, into fresh tables: prices and times are the same."
shop purchases list --json >before.json
run shop worker rebuild
consume
shop purchases list --json >after.json
cmp before.json after.json && echo "the same 25 purchases"

say "5. Money is whole groszy: the sum of all purchases is exact."
sql shop "SELECT 'all together ' || sum(price_minor * quantity) || ' gr' FROM shop.shop_purchase"

say "6. Another shop keeps its tables in the server's own database. Through the outbox, they and the events change in one transaction."
beside=(--database "$postgres dbname=dormouse" --schema beside --via db --through outbox)
run shop customers make --count 1 "${beside[@]}"
until_true "the first shop has heard of it" bash -c "shop customers list | grep -q customer_db_000"
shop customers list | grep customer_db_000
finished
