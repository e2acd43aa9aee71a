#!/usr/bin/env bash
# Installs the C library into a folder, builds the examples as a user would, and runs them with a real server.
#
# usage: Tests/C/examples.sh BUILD_FOLDER
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$1
bin=$(realpath "${DORMOUSE_BIN_DIR:-.build/release}")
work=$(mktemp -d "${TMPDIR:-/tmp}/dormouse-examples.XXXXXX")
server=

stop() {
    [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server" || true; }
    rm -rf "$work"
}
trap stop EXIT

fail() {
    echo "examples: $*" >&2
    exit 1
}

# expect FILE TEXT: the whole file.
expect() {
    [ "$(cat "$1")" = "$2" ] || fail "$(basename "$1") is:"$'\n'"$(cat "$1")"$'\n'"expected:"$'\n'"$2"
}

echo "install"
make --no-print-directory install-c DESTDIR="$work/root" PREFIX=/usr >"$work/install.log" 2>&1 ||
    { cat "$work/install.log" >&2; exit 1; }
# Of the installed library only: what it stands on is the system's.
dormouse_flags() {
    PKG_CONFIG_SYSROOT_DIR="$work/root" PKG_CONFIG_PATH="$work/root/usr/lib/pkgconfig" \
        pkg-config "$@" dormouse
}
protocol=$work/root$(PKG_CONFIG_PATH="$work/root/usr/lib/pkgconfig" pkg-config --variable=protodir dormouse)
strict='-std=c99 -Wall -Wextra -Werror -pedantic -D_POSIX_C_SOURCE=200809L'

echo "build"
for name in publish subscribe event_loop; do
    "${CC:-cc}" $strict -o "$work/$name" "Examples/C/$name.c" $(dormouse_flags --cflags --libs)
done
"${CC:-cc}" $strict -o "$work/exactly_once" Examples/C/exactly_once.c $(dormouse_flags --cflags --libs) \
    $(pkg-config --cflags --libs libpq)
mkdir "$work/stubs.d"
protoc-c --c_out="$work/stubs.d" --proto_path="$protocol" dormouse.proto
# What protoc-c generates is not for -pedantic eyes.
"${CC:-cc}" -std=c99 -c -I"$work/stubs.d" -o "$work/stubs.d/dormouse.pb-c.o" "$work/stubs.d/dormouse.pb-c.c"
"${CC:-cc}" $strict -I"$work/stubs.d" -o "$work/stubs" Examples/C/stubs.c "$work/stubs.d/dormouse.pb-c.o" \
    $(dormouse_flags --cflags --libs) $(pkg-config --libs libprotobuf-c)
# Statically, with generated code in the program and in the library.
"${CC:-cc}" $strict -I"$work/stubs.d" -o "$work/stubs-static" Examples/C/stubs.c "$work/stubs.d/dormouse.pb-c.o" \
    $(dormouse_flags --cflags) "$work/root/usr/lib/libdormouse.a" $(pkg-config --libs libprotobuf-c openssl liblz4)
ldd "$work/stubs-static" | grep -q libdormouse && fail "stubs-static needs the shared library"
# All of it. The C library says that it looks up names by shared libraries even then.
"${CC:-cc}" $strict -static -o "$work/subscribe-static" Examples/C/subscribe.c \
    $(dormouse_flags --static --cflags --libs) 2>"$work/static.log" || { cat "$work/static.log" >&2; exit 1; }
ldd "$work/subscribe-static" >/dev/null 2>&1 && fail "subscribe-static needs shared libraries"
for name in libdormouse.so libdormouse.so.0; do
    [ "$(readlink -f "$work/root/usr/lib/$name")" = "$work/root/usr/lib/libdormouse.so.$(dormouse_flags --modversion)" ] ||
        fail "$name is no link to the library"
done
man -M "$work/root/usr/share/man" -w dormouse_acknowledge >/dev/null || fail "man finds no page for a function"
# The first programs of the manual and of README.md, as they say to build them.
awk '/^\.\\" code/ { wanted = 1 } /^\.Ed/ { if (wanted) exit } inside { gsub(/\\e/, "\\"); print } /^\.Bd/ { inside = wanted }' \
    "$work/root/usr/share/man/man3/dormouse.3" >"$work/first-manual.c"
awk '/^```$/ { if (inside) exit } inside { print } /^```c$/ { inside = 1 }' README.md >"$work/first-readme.c"
export LD_LIBRARY_PATH=$work/root/usr/lib

echo "run"
chmod 755 "$work"
# Not with the user's library path: the server has its own libraries.
env -u LD_LIBRARY_PATH "$bin/dormoused" --data "$work/data" --listen 127.0.0.1:0 >"$work/out" 2>"$work/err" &
server=$!
for _ in $(seq 600); do
    grep -q '^listening on' "$work/out" && break
    kill -0 "$server" 2>/dev/null || fail "the server ended: $(cat "$work/err")"
    sleep 0.1
done
uri=dormouse://$(sed -n 's/^listening on //p' "$work/out" | head -1)/main
socket=$(sed -n "s/.*psql -h '\([^']*\)'.*/\1/p" "$work/out")

echo "  publish, subscribe"
"$work/publish" "$uri" order.created one >"$work/publish.txt"
"$work/publish" "$uri" order.created two >>"$work/publish.txt"
expect "$work/publish.txt" $'stored at position 1\nstored at position 2'
"$work/subscribe" "$uri" mailer 'order.*' 1 >"$work/first.txt"
expect "$work/first.txt" '1 order.created one'
"$work/publish" "$uri" order.paid three >/dev/null
# It goes on where it was.
"$work/subscribe" "$uri" mailer 'order.*' 2 >"$work/second.txt"
expect "$work/second.txt" $'2 order.created two\n3 order.paid three'
"$work/subscribe-static" "$uri" another 'order.paid' 1 >"$work/static.txt"
expect "$work/static.txt" '3 order.paid three'
if "$work/publish" "$uri" 'no key' x >"$work/refused.txt" 2>&1; then fail "a bad key was published"; fi
grep -q 'cannot publish: .*key' "$work/refused.txt" || fail "$(cat "$work/refused.txt")"

echo "  the first programs"
for text in manual readme; do
    grep -q 'dormouse://127.0.0.1:3673' "$work/first-$text.c" || fail "the first program of the $text was not found"
    sed -i "s|dormouse://127.0.0.1:3673|$uri|" "$work/first-$text.c"
    "${CC:-cc}" -o "$work/first-$text" "$work/first-$text.c" $(dormouse_flags --cflags --libs)
    for _ in 1 2; do
        "$work/first-$text" >"$work/first.txt"
        expect "$work/first.txt" 'hello.world: good morning'
    done
done

for stubs in stubs stubs-static; do
    echo "  $stubs"
    timeout 30 "$work/$stubs" "$uri" >"$work/stubs.txt"
    expect "$work/stubs.txt" $'published 1 event(s)\nevent: stubs.hello world\nsubscriber: stubs-example\nstopped: it was awake\nthe stream ended: stopped by name'
done

echo "  event_loop"
mkfifo "$work/input"
timeout 30 "$work/event_loop" "$uri" chat.room <"$work/input" >"$work/chat.txt" &
chat=$!
exec 3>"$work/input"
printf 'hello\nthere\n' >&3
for _ in $(seq 100); do
    [ "$(wc -l <"$work/chat.txt")" -ge 2 ] && break
    sleep 0.1
done
exec 3>&-
wait "$chat" || fail "event_loop ended with $?"
expect "$work/chat.txt" $'> hello\n> there'

echo "  exactly_once"
conninfo="host=$socket user=dormouse dbname=dormouse"
for number in 1 2 3 4 5; do "$work/publish" "$uri" "count.$((number % 2))" x >/dev/null; done
timeout 30 "$work/exactly_once" "$uri" "$conninfo" 4
# Killed and started again at any time: each event counts once.
for _ in 1 2 3; do
    (timeout -s KILL 0.2 "$work/exactly_once" "$uri" "$conninfo" || true) 2>/dev/null
    "$work/publish" "$uri" count.0 x >/dev/null
done
left=$(psql "$conninfo" -Atc "SELECT head - position FROM dormouse.exchange, event_position WHERE name = 'main'")
timeout 30 "$work/exactly_once" "$uri" "$conninfo" "$left"
psql "$conninfo" -Atc "SELECT (SELECT sum(count) FROM event_count) = (SELECT head FROM dormouse.exchange WHERE name = 'main'),
    (SELECT count FROM event_count WHERE key = 'count.0')" >"$work/counts.txt"
expect "$work/counts.txt" 't|5'
echo "all examples passed"
