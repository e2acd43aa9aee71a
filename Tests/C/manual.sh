#!/usr/bin/env bash
# Checks the manual: its form, that each public function is in it, with the header's types, each option and each
# status, and that the code that it shows compiles. Code stands in a .Bd -literal after a line
# `.\" code`, with `.\" code service` when it needs the generated stubs; what is typed into a shell after `.\" shell`.
#
# usage: Tests/C/manual.sh PAGE...
set -euo pipefail
cd "$(dirname "$0")/../.."
include=Sources/CDormouse/include
work=$(mktemp -d "${TMPDIR:-/tmp}/dormouse-manual.XXXXXX")
trap 'rm -rf "$work"' EXIT
bad=0

complain() {
    echo "manual: $*" >&2
    bad=1
}

# mandoc looks for pages that are referred to in the system's folders; ours may not be there.
mandoc -Tlint "$@" >"$work/lint" 2>&1 || true
grep -v 'STYLE: referenced manual not found' "$work/lint" && complain "mandoc has found the above"
mkdir "$work/man3"
cp "$@" "$work/man3"
scripts/manual-links.sh "$work/man3" "$@"
for reference in $(sed -n 's/^\.Xr \([a-z_]*\) 3.*/\1/p' "$@" | sort -u); do
    [ -e "$work/man3/$reference.3" ] || complain "there is no page or function $reference, to which a page refers"
done
for page in "$@"; do
    mandoc -Tutf8 "$page" >"$work/text"
    [ -s "$work/text" ] || complain "$page is empty"
done

names_of_header() {
    cat $include/dormouse*.h | tr '\n' ' ' |
        grep -oE '(DORMOUSE_API|static inline) [^;({]*\bdormouse_[a-z_]+\(' | grep -oE 'dormouse_[a-z_]+\($' | tr -d '(' | sort
}
names_of_header >"$work/header"
sed -n 's/^\.Fo \(dormouse_[a-z_]*\)$/\1/p' "$@" | sort >"$work/synopsis"
diff "$work/header" "$work/synopsis" || complain "functions of the headers (<) and of the pages' SYNOPSIS (>) differ"
while read -r name; do
    grep -lE "^\.Nm $name( ,)?\$" "$@" >/dev/null || complain "no page names $name in its NAME section"
done <"$work/header"

# Declarations of the SYNOPSIS must agree with the headers'.
{
    echo '#include <dormouse_service.h>'
    echo '#include <dormouse_outbox.h>'
    awk '/^\.Ft / { sub(/^\.Ft /, ""); gsub(/"/, ""); type = $0 }
         /^\.Fo / { printf "%s %s(", type, $2; comma = "" }
         /^\.Fa / && type != "" { sub(/^\.Fa /, ""); gsub(/"/, ""); printf "%s%s", comma, $0; comma = ", " }
         /^\.Fc/ { print ");"; type = "" }' "$@"
} >"$work/synopsis.c"
"${CC:-cc}" -std=c99 -Wall -Wextra -Werror -pedantic -I$include -fsyntax-only "$work/synopsis.c" ||
    complain "the SYNOPSIS differs from the headers"

for option in $(sed -n 's/^    {"\([a-z_]*\)", \(TEXT\|NUMBER\|SEQUENCE\|YES_NO\|TLS_MODE\),.*/\1/p' Sources/CDormouse/options.c); do
    grep -qE "^\.It Cm (.* )?$option( |\$)" docs/man/dormouse_connect.3 || complain "dormouse_connect.3 has no option $option"
    grep -qE "^ \*   .*\b$option\b" $include/dormouse.h || complain "dormouse.h has no option $option"
done
for status in $(sed -n '/^typedef enum dormouse_status/,/^}/s/^ *\(DORMOUSE_[A-Z_]*\) =.*/\1/p' $include/dormouse.h); do
    grep -qx "\.It Dv $status" docs/man/dormouse_error.3 || complain "dormouse_error.3 has no $status"
done

# Code.
count=0
for page in "$@"; do
    awk -v base="$work/$(basename "$page" .3)" '
        /^\.\\" (code|shell)/ { kind = $2; variant = $3; next }
        /^\.Bd -literal/ {
            if (kind == "") { print FILENAME ": a display without a mark: code or shell" >"/dev/stderr"; exit 1 }
            inside = 1
            if (kind == "code") file = base "." ++n (variant == "" ? "" : "_" variant) ".c"
            next
        }
        /^\.Ed/ { inside = 0; kind = ""; variant = ""; if (file != "") close(file); file = "" }
        inside && file != "" { gsub(/\\e/, "\\"); gsub(/\\&/, ""); print >file }' "$page" || bad=1
done
for file in "$work"/*.[0-9]*.c; do
    count=$((count + 1))
    case $file in *_service.c) first=dormouse_service.h ;; *) first=dormouse.h ;; esac
    "${CC:-cc}" -std=c99 -Wall -Wextra -Werror -pedantic -D_POSIX_C_SOURCE=200809L -I$include -ISources/CWire/include \
        -include $first -include stdio.h -include string.h -fsyntax-only "$file" || complain "$(basename "$file") does not compile"
done
[ "$bad" -eq 0 ] || exit 1
echo "$# pages, $(wc -l <"$work/header") functions, $count pieces of code"
