#!/usr/bin/env bash
# Runs tests of the C library in valgrind: what is not initialised, which the sanitizers do not see.
#
# usage: Tests/C/valgrind.sh BUILD_FOLDER
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$1
export DORMOUSE_TEST_DIR
for test in service_test live_test; do
    DORMOUSE_TEST_DIR=$(mktemp -d "${TMPDIR:-/tmp}/dormouse-c.XXXXXX")
    # As root, Postgres runs as another user, and what it cannot reach would be elsewhere, and stay there.
    chmod 755 "$DORMOUSE_TEST_DIR"
    echo "$test"
    # The server is a child of the test, and not ours to look at.
    timeout 300 valgrind --quiet --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=all \
        --trace-children=no --child-silent-after-fork=yes "$build/plain/$test"
    rm -rf "$DORMOUSE_TEST_DIR"
done
