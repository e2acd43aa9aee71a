#!/usr/bin/env bash
# Runs one stage of the tests or checks and says how it ended and how long it took.
#
# usage: scripts/stage.sh NAME COMMAND [ARGUMENT...]
#
# A stage that runs tests (its command names `swift test`) fails when no test was run: a filter with a
# typing error must not look like success. With DORMOUSE_STAGE_LOG set, the closing lines, and what failed,
# are also added to that file, for the summary of .ci/run: where only the end of a run is kept, it must say
# which test it was.
set -euo pipefail

name=$1
shift

output=$(mktemp "${TMPDIR:-/tmp}/dormouse-stage.XXXXXX")
trap 'rm -f "$output"' EXIT

echo "== $name"
started=$SECONDS
status=0
# No plain `| tee`: a process that the stage left behind would keep the pipe open, and us waiting for it.
exec 3> >(exec tee "$output")
tee=$!
"$@" >&3 2>&1 3>&- || status=$?
exec 3>&-
timeout 5 tail --pid="$tee" -f /dev/null || true
seconds=$((SECONDS - started))

closing=$(grep -aE 'Test run with [0-9]+ tests?' "$output" | tail -n 1 || true)
case " $* " in
*" test "*)
    if [ "$status" -eq 0 ] && ! [[ $closing =~ with\ [1-9] ]]; then
        echo "No test was run." | tee -a "$output"
        status=65
    fi
    ;;
esac

if [ "$status" -eq 0 ]; then verdict=passed; else verdict="FAILED ($status)"; fi
line="== $name: $verdict in $seconds s"
echo "$line"
if [ -n "${DORMOUSE_STAGE_LOG:-}" ]; then
    {
        # The tests' complaints with what stands below each; of other programs only the end says what it was.
        if [ "$status" -ne 0 ]; then
            { grep -aE -A 6 'recorded an issue' "$output" || tail -n 20 "$output"; } | sed -n 1,60p | cut -c1-600
        fi
        [ -z "$closing" ] || echo "$closing"
        echo "$line"
    } >>"$DORMOUSE_STAGE_LOG"
fi
exit "$status"
