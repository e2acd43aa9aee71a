#!/usr/bin/env bash
# Writes the manual page dormoused.8; its flags are read from `dormoused --help` on standard input.
#
# usage: dormoused --help | scripts/manual-server.sh
set -euo pipefail

cat <<'PAGE'
.\" Made by 'make manual'; change the flags in Sources/Daemon, or scripts/manual-server.sh, instead.
.Dd November 21, 2026
.Dt DORMOUSED 8
.Os
.Sh NAME
.Nm dormoused
.Nd serve named, replayable event subscriptions, stored in Postgres
.Sh SYNOPSIS
.Nm dormoused
.Op Fl \-data Ar DIR | Fl \-database Ar URI
.Op Fl \-listen Ar HOST:PORT
.Op Fl \-unix Ar PATH
.Op Ar LIMIT ...
.Sh DESCRIPTION
Clients publish events, and subscribe to them by name and key pattern.
A publish is answered after its commit in Postgres; a subscriber that was
away gets what it missed, in order, from where it had confirmed.
.Pp
Each flag may also be given in the environment:
.Fl \-tail\-bytes
as
.Ev DORMOUSE_TAIL_BYTES ;
values of flags that may be repeated are separated by commas there.
The command line wins.
.Bl -tag -width Ds
PAGE
# A flag begins after two spaces; its text follows it, or stands on the next line.
awk '
    function text(line) { gsub(/\\/, "\\e", line); gsub(/-/, "\\-", line); return line }
    function put(line) { sub(/^[ \t]+/, "", line); if (line ~ /^[.\047]/) line = "\\&" line; if (line != "") print text(line) }
    /^  --/ {
        line = substr($0, 5)
        split(line, words, /  +/)
        count = split(words[1], parts, " ")
        printf ".It Fl \\-%s", text(parts[1])
        for (i = 2; i <= count; i++) printf " Ar %s", text(parts[i])
        printf "\n"
        put(substr(line, length(words[1]) + 1))
        in_flag = 1
        next
    }
    in_flag && /^          / { put($0); next }
    { in_flag = 0 }
' | fold -s -w 79 | sed 's| *$||'
cat <<'PAGE'
.El
.Sh SIGNALS
.Bl -tag -width SIGTERM
.It Dv SIGTERM , SIGINT
Stop: requests that were taken are answered, consumers are told, positions
are saved, within
.Fl \-drain\-ms .
A second signal ends it at once.
.It Dv SIGHUP
Read again what can change while it runs.
.El
.Sh ENVIRONMENT
.Bl -tag -width Ds
.It Ev NOTIFY_SOCKET , WATCHDOG_USEC , WATCHDOG_PID
Where and how often a service manager is told how we are, see
.Xr sd_notify 3 .
.It Ev LISTEN_FDS , LISTEN_PID , LISTEN_FDNAMES
Listening sockets that it has opened, see
.Xr sd_listen_fds 3 .
They stand for the usual address;
.Fl \-listen
and
.Fl \-unix
add others.
.It Ev JOURNAL_STREAM
When standard error is the journal, each line of the log begins with its
priority.
.It Ev STATE_DIRECTORY
The default of
.Fl \-data .
.El
.Sh FILES
.Bl -tag -width Ds
.It Pa /etc/dormouse/dormoused.env
Settings of the systemd unit.
.It Pa /var/lib/dormouse
The private Postgres of the systemd unit.
.It Pa /run/dormouse/dormouse.sock
The unix socket of the systemd unit.
.El
.Sh EXIT STATUS
.Bl -tag -width Ds
.It 0
Stopped by a signal.
.It 64
Wrong flags.
.It 69
Something that it needs is not there.
.It 70
An error of its own.
.It 75
To be started again: it was stopped by a second signal, or the server that
had taken its exchanges is gone.
.It 78
The configuration cannot work here, for example an address is in use.
.El
.Sh SEE ALSO
.Xr dormouse 1 ,
.Pa /usr/share/doc/dormouse-server/operating.md
PAGE
