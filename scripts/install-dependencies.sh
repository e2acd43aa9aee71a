#!/usr/bin/env bash
# Installs what Dormouse needs from Debian or Ubuntu, and only what is missing. Asks nothing. When nothing
# is missing it prints nothing, calls no package manager and takes a moment.
#
# usage: scripts/install-dependencies.sh [test]
#
# With `test`, also what only the tests need: openssl for certificates, valgrind, mandoc for the manual, RabbitMQ, pgbouncer, socat, pip, zsh and
# fish for the completion, systemd-analyze and libseccomp for the units, promtool for the metrics.
# The Swift toolchain is not installed: see README.md.
set -euo pipefail

postgres_version_min=15

say() { printf 'install-dependencies: %s\n' "$*" >&2; }
die() {
    say "$@"
    exit 69 # EX_UNAVAILABLE
}

case "${1:-}" in
"" | test) ;;
*)
    echo "usage: scripts/install-dependencies.sh [test]" >&2
    exit 64 # EX_USAGE
    ;;
esac

if [ "$(uname -s)" = Darwin ]; then
    missing=()
    for module in libuv libprotobuf-c libpq libmicrohttpd liblz4 rdkafka librabbitmq; do
        pkg-config --exists "$module" 2>/dev/null || missing+=("$module")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        say "pkg-config does not find: ${missing[*]}. On macOS, run this and then try again:"
        echo "  brew install pkg-config libuv protobuf-c protobuf libpq libmicrohttpd openssl@3 lz4 librdkafka rabbitmq-c curl postgresql@17 && export PKG_CONFIG_PATH=\"\$(brew --prefix libpq)/lib/pkgconfig\""
        exit 69
    fi
    exit 0
fi

command -v dpkg-query >/dev/null ||
    die "this is not Debian or Ubuntu. Please install: pkg-config, git, a C toolchain, the development" \
        "files of libuv, libprotobuf-c, libpq, OpenSSL, LZ4, libcurl and libmicrohttpd, protoc, protoc-c, and PostgreSQL" \
        "$postgres_version_min or later."

is_installed() {
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Version directories of Debian's Postgres that hold this program and are new enough.
has_postgres_program() {
    local path version
    for path in /usr/lib/postgresql/*/bin/"$1"; do
        [ -x "$path" ] || continue
        version=${path#/usr/lib/postgresql/}
        version=${version%%/*}
        [ "${version%%.*}" -ge "$postgres_version_min" ] 2>/dev/null && return 0
    done
    return 1
}

missing=()
for package in libuv1-dev libprotobuf-c-dev protobuf-c-compiler protobuf-compiler libpq-dev libssl-dev libmicrohttpd-dev \
    liblz4-dev librdkafka-dev librabbitmq-dev libcurl4-openssl-dev build-essential; do
    is_installed "$package" || missing+=("$package")
done
if [ "${1:-}" = test ]; then
    for package in amqp-tools fish libseccomp-dev mandoc openssl pgbouncer python3-pip rabbitmq-server socat systemd valgrind zsh; do
        is_installed "$package" || missing+=("$package")
    done
fi
# These may come under another package's name.
command -v pkg-config >/dev/null || missing+=(pkg-config)
command -v git >/dev/null || missing+=(git)
needs_server=no
if ! has_postgres_program postgres || ! has_postgres_program initdb; then
    needs_server=yes
    missing+=(postgresql)
fi
has_postgres_program psql || missing+=(postgresql-client)

[ ${#missing[@]} -eq 0 ] && exit 0

say "missing: ${missing[*]}"

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
        die "you are not root and there is no sudo. As root, run: apt-get install ${missing[*]}"
    if sudo -n true 2>/dev/null; then
        as_root=(sudo -n)
    elif [ -t 0 ] || [ -t 2 ]; then
        as_root=(sudo)
        say "sudo may ask for your password"
    else
        die "sudo wants a password and there is no terminal to ask on. As root, run:" \
            "apt-get install ${missing[*]}"
    fi
fi

apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a LC_ALL=C.UTF-8 \
        apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" </dev/null >&2
}

# Debian starts a cluster with every new Postgres. Dormouse runs a private one of its own, so for the
# time of this installation that is switched off; the machine's own policy is not changed.
policy_directory=/etc/postgresql-common/createcluster.d
policy_file=
forbid_cluster() {
    policy_file=$policy_directory/zz-dormouse-installation.conf
    "${as_root[@]}" mkdir -p "$policy_directory"
    echo "create_main_cluster = false" | "${as_root[@]}" tee "$policy_file" >/dev/null
}
allow_cluster() {
    [ -n "$policy_file" ] || return 0
    "${as_root[@]}" rm -f "$policy_file"
    "${as_root[@]}" rmdir --ignore-fail-on-non-empty "$policy_directory"
    policy_file=
}

# RabbitMQ and pgbouncer would be started as services with their installation. The tests start their own, so for this
# time nothing is started; the machine's own policy stays where there is one.
services_policy=/usr/sbin/policy-rc.d
made_services_policy=no
services=()
forbid_services() {
    [ ! -e "$services_policy" ] || return 0
    made_services_policy=yes
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$services_policy" >/dev/null
    "${as_root[@]}" chmod 755 "$services_policy"
}
allow_services() {
    [ "$made_services_policy" = yes ] || return 0
    "${as_root[@]}" rm -f "$services_policy"
    made_services_policy=no
    # Nor at the next start of the machine.
    [ ! -d /run/systemd/system ] || "${as_root[@]}" systemctl disable --quiet "${services[@]}" 2>/dev/null || true
}
trap 'allow_cluster; allow_services' EXIT

[ "$needs_server" = yes ] && forbid_cluster
for package in pgbouncer rabbitmq-server; do
    case " ${missing[*]} " in *" $package "*) services+=("$package") ;; esac
done
[ ${#services[@]} -eq 0 ] || forbid_services

apt update || say "could not refresh all package lists; trying with those that are here"
if ! apt install --yes --no-install-recommends "${missing[@]}"; then
    say "once more, with fresh package lists"
    apt update || true
    apt install --yes --no-install-recommends "${missing[@]}" ||
        die "apt-get could not install: ${missing[*]} (its messages are above)"
fi
allow_cluster

if ! has_postgres_program postgres; then
    die "this release's PostgreSQL is older than $postgres_version_min; see" \
        "https://www.postgresql.org/download/ for a newer one"
fi
