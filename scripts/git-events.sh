#!/usr/bin/env bash
# Prints the history of a git repository as events, one JSON object per line, oldest commit first, ready
# for `dormouse publish --json-lines`:
#
#   {"key":"commit.sources.core","id":"<hash>","payload":{"hash":"<hash>","date":"…","subject":"…","files":7}}
#
# The key says what the commit touched most: `commit.<top folder>.<next folder>` in lower case, as far
# as there are folders; `commit.root` for files at the top, `commit.none` for a commit without files.
#
# usage: scripts/git-events.sh [REVISION...]          default: HEAD; the current directory's repository
set -euo pipefail

[ $# -gt 0 ] || set -- HEAD

# 001 begins a commit and 037 separates its fields; neither stands in a hash, in a date or in a file name
# (git quotes it), and the subject is the last field, so one in it does no harm.
git -c core.quotePath=false -c log.showSignature=false log --reverse --no-color --no-renames \
    --diff-merges=first-parent --name-only --encoding=UTF-8 --format='%x01%H%x1f%cI%x1f%s' "$@" -- |
    { iconv -c -f UTF-8 -t UTF-8 || true; } |
    LC_ALL=C awk '
        BEGIN {
            for (i = 1; i < 32; i++) escape[sprintf("%c", i)] = sprintf("\\u%04x", i)
            escape["\t"] = "\\t"
            escape["\""] = "\\\""
            escape["\\"] = "\\\\"
        }

        function json(text,    out, i, c) {
            if (text !~ /[\001-\037"\\]/) return "\"" text "\""
            out = ""
            for (i = 1; i <= length(text); i++) {
                c = substr(text, i, 1)
                out = out (c in escape ? escape[c] : c)
            }
            return "\"" out "\""
        }

        # One word of a key: A-Z a-z 0-9 _ -, at most 100 bytes; `.ci` becomes `ci`.
        function word(text) {
            sub(/^[".]+/, "", text)
            gsub(/[^A-Za-z0-9_-]/, "-", text)
            text = tolower(substr(text, 1, 100))
            return text == "" ? "-" : text
        }

        function place(path,    parts, count) {
            count = split(path, parts, "/")
            if (count == 1) return "root"
            if (count == 2) return word(parts[1])
            return word(parts[1]) "." word(parts[2])
        }

        function finish(    i, best) {
            if (hash == "") return
            best = "none"
            for (i = 1; i <= places; i++)
                if (best == "none" || touched[order[i]] > touched[best]) best = order[i]
            printf "{\"key\":\"commit.%s\",\"id\":\"%s\",\"payload\":{\"hash\":\"%s\",\"date\":\"%s\",\"subject\":%s,\"files\":%d}}\n", \
                best, hash, hash, date, json(subject), files
        }

        /^\001/ {
            finish()
            line = substr($0, 2)
            hash = substr(line, 1, index(line, "\037") - 1)
            line = substr(line, index(line, "\037") + 1)
            date = substr(line, 1, index(line, "\037") - 1)
            subject = substr(line, index(line, "\037") + 1)
            files = 0
            places = 0
            split("", touched)
            split("", order)
            next
        }
        /^$/ { next }
        {
            files++
            at = place($0)
            if (!(at in touched)) order[++places] = at
            touched[at]++
        }
        END { finish() }
    '
