#!/usr/bin/env bash
# Makes Debian packages of what was built: the server, the command line, the C library and its development files, as
# deploy/debian/packages says. By dpkg's own tools and not by debhelper: nothing is compiled here, and dpkg-dev is on
# every machine that can build. The same sources and programs give the same bytes.
#
# usage: scripts/make-deb.sh FOLDER        (the Makefile's variables BIN and C_BUILD say where the programs are)
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mkdir -p "$1" && cd "$1" && pwd)

version=$(sed -n 's/.*text = "\([^"]*\)".*/\1/p' Sources/Daemon/Version.swift)
architecture=$(dpkg --print-architecture)
multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
maintainer='The Dormouse authors <dormouse@example.invalid>'
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
umask 022

work=$(mktemp -d "${TMPDIR:-/tmp}/dormouse-deb.XXXXXX")
trap 'rm -rf "$work"' EXIT
all=$work/all
make -s install DESTDIR="$all" PREFIX=/usr SYSCONFDIR=/etc LIBDIR="/usr/lib/$multiarch" UNITDIR=/lib/systemd/system >/dev/null

# For dpkg-shlibdeps, which looks for it.
mkdir "$work/debian"
printf 'Source: dormouse\n\nPackage: dormouse\nArchitecture: any\n' >"$work/debian/control"

# value FIELD STANZA
value() { sed -n "s/^$1: //p" <<<"$2"; }

# What the package's programs and libraries are linked to.
shared_libraries() {
    local files
    mapfile -t files < <(find "$1" -type f \( -path '*/bin/*' -o -name '*.so.*' \))
    [ ${#files[@]} -gt 0 ] || return 0
    (cd "$work" && dpkg-shlibdeps -O "${files[@]/#/-e}" 2>/dev/null) | sed 's/^shlibs:Depends=//'
}

add_documents() {
    local package=$1 folder=$2/usr/share/doc/$1
    mkdir -p "$folder"
    cp deploy/debian/copyright "$folder/copyright"
    cp CHANGELOG.md "$folder/CHANGELOG.md"
    # In the form that Debian's tools read.
    printf 'dormouse (%s) unstable; urgency=medium\n\n  * What changed is in CHANGELOG.md.\n\n -- %s  %s\n' \
        "$version" "$maintainer" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$folder/changelog.gz"
    find "$folder" -name '*.md' -size +4k -exec gzip -9n {} +
    [ -d "$2/usr/share/man" ] || return 0
    find "$2/usr/share/man" -type f -exec gzip -9n {} +
    # A link names a page; that is a compressed one now.
    find "$2/usr/share/man" -type l | while read -r link; do
        ln -sf "$(readlink "$link").gz" "$link.gz" && rm "$link"
    done
}

build_package() {
    local stanza=$1 package root pattern file script
    package=$(value Package "$stanza")
    root=$work/$package
    mkdir -p "$root/DEBIAN"
    for pattern in $(value Files "$stanza"); do
        for file in $(cd "$all" && compgen -G "$pattern"); do
            mkdir -p "$root/$(dirname "$file")"
            mv "$all/$file" "$root/$file"
        done
    done
    find "$root" -type f \( -path '*/bin/*' -o -name '*.so.*' \) -exec strip --strip-unneeded --remove-section=.comment {} +
    find "$root" -name '*.a' -exec strip --strip-debug --enable-deterministic-archives {} +
    add_documents "$package" "$root"
    {
        grep -vE '^(#|Files:|Description:| |$)' <<<"$stanza"
        printf 'Source: dormouse\nVersion: %s\nArchitecture: %s\nMaintainer: %s\nPriority: optional\nInstalled-Size: %s\n' \
            "$version" "$architecture" "$maintainer" "$(du -sk --exclude=DEBIAN "$root" | cut -f1)"
        sed -n '/^Description:/,/^Files:/p' <<<"$stanza" | grep -v '^Files:'
    } | sed "s|{shlibs}|$(shared_libraries "$root")|; s|{version}|$version|" >"$root/DEBIAN/control"
    for script in postinst prerm postrm; do
        [ ! -e "deploy/debian/$package.$script" ] || install -m 755 "deploy/debian/$package.$script" "$root/DEBIAN/$script"
    done
    (cd "$root" && find etc -type f 2>/dev/null | sed 's|^|/|') >"$root/DEBIAN/conffiles" || true
    [ -s "$root/DEBIAN/conffiles" ] || rm "$root/DEBIAN/conffiles"
    if [[ $package == lib*[0-9] ]]; then
        echo "libdormouse ${package#libdormouse} $package (>= $version)" >"$root/DEBIAN/shlibs"
        echo 'activate-noawait ldconfig' >"$root/DEBIAN/triggers"
    fi
    (cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\n' | LC_ALL=C sort | xargs -r md5sum) >"$root/DEBIAN/md5sums"
    find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group -Zxz --build "$root" "$out/${package}_${version}_$architecture.deb" >/dev/null
    echo "$out/${package}_${version}_$architecture.deb"
}

stanza=
while IFS= read -r line || [ -n "$stanza" ]; do
    if [ -z "$line" ]; then
        if grep -q '^Package:' <<<"$stanza"; then build_package "$stanza"; fi
        stanza=
    else
        stanza+=${stanza:+$'\n'}${line//\{multiarch\}/$multiarch}
    fi
done <deploy/debian/packages

left=$(find "$all" ! -type d | sed "s|^$all||")
[ -z "$left" ] || { printf 'make-deb: in no package:\n%s\n' "$left" >&2; exit 70; }
