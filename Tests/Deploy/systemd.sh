#!/usr/bin/env bash
# The packages under a real systemd: installed into a copy of this system (what is written goes to memory), started there by
# systemd as process 1 in namespaces of its own, restarted and killed under load. Needs root, unshare and overlay mounts;
# says so and ends with 77 where these cannot be had.
#
# usage: Tests/Deploy/systemd.sh FOLDER        (of the packages, from `make deb`)
set -euo pipefail

unit=dormoused.service
restarts=20

# ---- outside: the copy, and its process 1 ----

outside() {
    local packages
    packages=$(cd "$1" && pwd)
    [ "$(id -u)" = 0 ] || cannot 'it needs root'
    [ -x /lib/systemd/systemd ] || cannot 'there is no /lib/systemd/systemd'
    work=$(mktemp -d "${TMPDIR:-/tmp}/dormouse-systemd.XXXXXX")
    trap finish EXIT
    : >"$work/console"
    local group
    # A group of its own in each hierarchy, which becomes the root of what process 1 sees.
    for group in /sys/fs/cgroup/*/ /sys/fs/cgroup/; do
        [ -e "$group/cgroup.procs" ] && mkdir -p "$group/dormouse-$$" 2>/dev/null && groups+=("$group/dormouse-$$")
    done
    (
        for group in "${groups[@]}"; do echo "$BASHPID" >"$group/cgroup.procs" 2>/dev/null || true; done
        exec unshare --mount --pid --fork --uts --ipc --net --cgroup "$0" --inside "$work" "$packages"
    ) >"$work/log" 2>&1 &
    wait_for 'systemd is process 1' 20 "find_first"
    # The copy is mounted where only process 1 sees it.
    nsenter --target "$first" --mount --pid --uts --ipc --net --cgroup --root --wdns=/ \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C /bin/bash /systemd-test.sh --try "$restarts"
}

cannot() {
    echo "systemd.sh: not tried: $1" >&2
    exit 77
}

first=
work=
groups=()
find_first() {
    local process
    for process in $(pgrep -f -- "--unit=dormouse-test.target" || true); do
        # Not what is about to become it.
        if [ "$(cat "/proc/$process/comm")" = systemd ]; then
            first=$process
            return 0
        fi
    done
    kill -0 $! 2>/dev/null || { cat "$work/log" >&2; cannot 'namespaces or mounts are refused here'; }
    return 1
}

finish() {
    local group
    # Everything in a process namespace ends with its first.
    [ -z "$first" ] || kill -KILL "$first" 2>/dev/null || true
    [ -z "$first" ] || wait 2>/dev/null || true
    for group in ${groups[@]+"${groups[@]}"}; do find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true; done
    [ -z "$work" ] || rm -rf "$work"
}

# wait_for WHAT SECONDS COMMAND: until it succeeds.
wait_for() {
    local deadline=$((SECONDS + $2))
    until $3; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            echo "systemd.sh: waited $2 s in vain until $1" >&2
            [ ! -e "$work/console" ] || tail -n 40 "$work/log" "$work/console" >&2
            ! command -v systemctl >/dev/null || systemctl status "$unit" --no-pager --lines=40 >&2 || true
            exit 1
        fi
        sleep 0.1
    done
}

# ---- inside: the mounts, then process 1 ----

inside() {
    local work=$1 packages=$2 root=$1/root file target
    mount --make-rprivate /
    mkdir "$root"
    mount -t tmpfs tmpfs "$root"
    mkdir "$root/upper" "$root/work" "$root/all"
    mount -t overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" overlay "$root/all"
    root=$root/all
    for file in "$packages"/*.deb; do
        # dpkg -x would put a folder in the place of the link /lib.
        dpkg-deb --fsys-tarfile "$file" | tar -x --keep-directory-symlink -C "$root"
    done
    cp "$0" "$root/systemd-test.sh"
    # Nothing of this system but what we ask for.
    rm -rf "$root/etc/systemd/system" "$root/var/lib/dormouse"
    mkdir -p "$root/etc/systemd/system/$unit.d" "$root/var/lib/dormouse"
    cp "$root"/usr/share/doc/dormouse-server/examples/private-postgres.conf "$root/etc/systemd/system/$unit.d"
    # Programs that were built without the runtime in them find it elsewhere.
    if [ -n "${DORMOUSE_EXEC_PATHS:-}" ]; then
        printf '[Service]\nExecPaths=%s\n' "$DORMOUSE_EXEC_PATHS" >"$root/etc/systemd/system/$unit.d/exec.conf"
    fi
    : >"$root/etc/dormouse/dormoused.env"
    echo 'DORMOUSE_METRICS=127.0.0.1:9673' >>"$root/etc/dormouse/dormoused.env"
    for target in sysinit basic network-online; do
        printf '[Unit]\nDefaultDependencies=no\n' >"$root/etc/systemd/system/$target.target"
    done
    printf '[Unit]\nWants=%s dormoused.socket\n' "$unit" >"$root/etc/systemd/system/dormouse-test.target"
    mount -t proc proc "$root/proc"
    # Of the network and groups of its own: process 1 mounts the groups itself.
    mount -t sysfs sysfs "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/run"
    mount -t tmpfs tmpfs "$root/tmp"
    touch "$root/run/console"
    mount --bind "$work/console" "$root/run/console"
    systemd-sysusers --root="$root" dormouse.conf
    systemd-tmpfiles --root="$root" --create dormouse.conf
    ip link set lo up
    # Within chroot there would be no user namespaces, which PrivateUsers= wants.
    mkdir -p "$root/mnt/before"
    cd "$root"
    pivot_root . mnt/before
    umount --lazy /mnt/before
    exec env -i container=dormouse PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd \
        --system --unit=dormouse-test.target --log-target=console --show-status=0
}

# ---- beside process 1: the trial ----

socket=unix:/run/dormouse/dormouse.sock
port=dormouse://127.0.0.1:3673
is_serving() {
    [ "$(systemctl is-active "$unit" 2>/dev/null)" = active ] && [[ $(systemctl show -p StatusText --value "$unit") == serving* ]]
}
# Who publishes all the time, connecting anew for each event. While the server stops it may be told to come again; nobody is
# refused.
publish_without_end() {
    local number=1 said
    while [ ! -e /tmp/enough ]; do
        if said=$(dormouse --server "$port" publish load.event "$number" 2>&1); then
            echo "$number" >/tmp/published
            number=$((number + 1))
        elif [[ $said == *refused* ]]; then
            echo "event $number: $said" >&2
            return 1
        fi
    done
}
has_restarted() { [ "$(systemctl show -p MainPID --value "$unit")" != "$before" ] && is_serving; }

try() {
    local number published before
    wait_for "$unit serves" 120 is_serving
    systemctl show -p StatusText --value "$unit"
    publish_without_end &
    for ((number = 1; number <= $1; number++)); do systemctl restart "$unit"; done
    echo "restarted $1 times"
    systemctl reload "$unit"
    before=$(systemctl show -p MainPID --value "$unit")
    kill -KILL "$before"
    wait_for 'systemd has started it again' 60 has_restarted
    echo 'read its files again; killed, and started again'
    touch /tmp/enough
    wait $! || exit 1
    published=$(cat /tmp/published)
    # Those that were under way when it was killed may have come twice; none is missing.
    dormouse --server "$socket" fetch --count 1000000 --json >/tmp/stored
    [ "$(wc -l </tmp/stored)" -ge "$published" ] || { echo "$published were published, $(wc -l </tmp/stored) are there" >&2; exit 1; }
    echo "$published events published during this, all there; none was refused"
    systemctl stop dormoused.socket "$unit"
    [ "$(systemctl show -p Result --value "$unit")" = success ] || { systemctl status "$unit" --no-pager >&2; exit 1; }
    echo 'stopped'
}

case ${1:-} in
--inside) inside "$2" "$3" ;;
--try) try "$2" ;;
'') echo 'usage: Tests/Deploy/systemd.sh FOLDER' >&2; exit 64 ;;
*) outside "$1" ;;
esac
