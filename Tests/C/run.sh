#!/usr/bin/env bash
# Runs the C tests that were built, and checks what the libraries export and how the header compiles.
#
# usage: Tests/C/run.sh BUILD_FOLDER
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$1
export DORMOUSE_TEST_DIR
DORMOUSE_TEST_DIR=$(mktemp -d "${TMPDIR:-/tmp}/dormouse-c.XXXXXX")
# As root, Postgres runs as another user, and what it cannot reach would be elsewhere, and stay there.
chmod 755 "$DORMOUSE_TEST_DIR"
trap 'rm -rf "$DORMOUSE_TEST_DIR"' EXIT
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1

headers=Sources/CDormouse/include/dormouse*.h
echo "headers"
printf '#include "dormouse.h"\n#include "dormouse_outbox.h"\n#include "dormouse_service.h"\n' >"$DORMOUSE_TEST_DIR/alone.c"
for standard in c99 c11; do
    "${CC:-cc}" -std=$standard -Wall -Wextra -Werror -pedantic -ISources/CDormouse/include \
        -fsyntax-only "$DORMOUSE_TEST_DIR/alone.c"
done
c++ -x c++ -std=c++17 -Wall -Wextra -Werror -pedantic -ISources/CDormouse/include -fsyntax-only \
    "$DORMOUSE_TEST_DIR/alone.c"

echo "exported symbols"
cat $headers | tr '\n' ' ' | grep -oE 'DORMOUSE_API [^;(]*\bdormouse_[a-z_]+\(' |
    grep -oE 'dormouse_[a-z_]+\($' | tr -d '(' | sort >"$DORMOUSE_TEST_DIR/declared"
nm -D --defined-only "$build/libdormouse.so.0" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' |
    sort >"$DORMOUSE_TEST_DIR/shared"
nm -g --defined-only "$build/libdormouse.a" | awk 'NF == 3 { print $3 }' | sort >"$DORMOUSE_TEST_DIR/static"
diff "$DORMOUSE_TEST_DIR/declared" "$DORMOUSE_TEST_DIR/shared"
diff "$DORMOUSE_TEST_DIR/declared" "$DORMOUSE_TEST_DIR/static"

# An authority, and what it certified for the server (localhost) and the client.
make_certificates() {
    cd "$DORMOUSE_TEST_DIR"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj '/CN=test authority' \
        -keyout ca.key -out ca.pem
    for name in server client; do
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$name" \
            -keyout $name.key -out $name.csr
        printf 'subjectAltName=DNS:localhost\n' >$name.ext
        openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
            -extfile $name.ext -out $name.pem
    done
    openssl pkey -in client.key -aes256 -passout pass:secret -out locked.key
}
(make_certificates >"$DORMOUSE_TEST_DIR/openssl.log" 2>&1) || { cat "$DORMOUSE_TEST_DIR/openssl.log" >&2; exit 1; }

for test in "$build"/tests/*_test; do
    echo "$(basename "$test")"
    timeout 300 "$test"
done
echo "all C tests passed"
