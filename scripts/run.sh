#!/usr/bin/env bash
# `make run`: builds Sluice, gives it a PostgreSQL to talk to, and runs it until Ctrl-C.
#
#   PORT=6543           where clients connect
#   PAGE_PORT=9127      where its page is, on loopback; by default any port if this one is taken
#   DATABASE_URL=...    an existing server; without it a throwaway one is started and removed again
#
# Whatever ends this script, by itself or by SIGINT, SIGTERM or SIGHUP to it or to make, it stops what it started
# and removes its folder.
# shellcheck disable=SC2317  # the functions of the trap are reached, by the trap
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

port=${PORT:-6543}
folder=
building=
pooler=
server=
unset "${!PG@}" # libpq's variables are about somebody else's server

say() { printf '%s\n' "$*"; }
fail() {
    printf 'make run: %s\n' "$*" >&2
    exit 1
}

# Looks without connecting: a probe would be the pooler's first client and stand in its log.
listening() {
    local port
    printf -v port '%04X' "$1"
    grep -qs ":$port [0-9A-F]*:0000 0A " /proc/net/tcp /proc/net/tcp6
}

# PostgreSQL refuses to run as root, so root runs it as somebody else, who owns the folder.
as_owner=()
[ "$(id -u)" != 0 ] || as_owner=(setpriv --reuid=postgres --regid=postgres --init-groups --)

# Ends a child: politely, and after five seconds for good.
stop() {
    local pid=$1 signal=$2
    kill "-$signal" "$pid" 2>/dev/null || return 0
    for _ in {1..50}; do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
}

clean_up() {
    local status=$?
    trap '' INT TERM HUP # a second Ctrl-C must not leave half of it behind
    trap - EXIT
    if [ -n "$building" ]; then
        stop "$building" INT
        pkill -KILL -s "$building" || true # compilers that it left behind
    fi
    [ -z "$pooler" ] || stop "$pooler" QUIT
    [ -z "$server" ] || stop "$server" INT
    [ -z "$folder" ] || rm -rf "$folder"
    exit "$status"
}
trap clean_up EXIT
trap 'say; exit 0' INT TERM HUP

# make, when it alone gets a SIGINT, waits for us without a word, and when it is killed it cannot speak. Either
# way nobody wants this to go on: make takes its handler off at the first signal, and a dead parent is replaced.
parent=$PPID
parent_catches_interrupts() {
    local caught
    caught=$(sed -n 's/^SigCgt:\t*//p' "/proc/$parent/status" 2>/dev/null)
    ((16#${caught:-0} & 2))
}
handled=no
if [ -n "${MAKELEVEL:-}" ] && parent_catches_interrupts; then handled=yes; fi
abandoned() {
    [ -n "${MAKELEVEL:-}" ] || return 1
    [ "$(sed -n 's/^PPid:\t*//p' /proc/$$/status)" = "$parent" ] || return 0
    [ $handled = yes ] && ! parent_catches_interrupts
}

# Waits for a child as long as anybody wants it; its status.
await() {
    while kill -0 "$1" 2>/dev/null; do
        if abandoned; then exit 0; fi
        sleep 0.3
    done
    wait "$1"
}

case $port in '' | *[!0-9]*) fail "PORT=$port is not a port number" ;; esac
case ${PAGE_PORT:-1} in *[!0-9]*) fail "PAGE_PORT=$PAGE_PORT is not a port number" ;; esac
page_port=${PAGE_PORT:-9127}
if listening "$page_port"; then
    [ -z "${PAGE_PORT:-}" ] || fail "port $page_port is taken by another program; choose another one: make run PAGE_PORT=9128"
    while listening "$page_port"; do page_port=$((20000 + RANDOM % 12000)); done
fi
if listening "$port"; then
    fail "port $port is taken by another program; stop it, or choose another one: make run PORT=6544"
fi

scripts/install.sh build
[ -n "${DATABASE_URL:-}" ] || scripts/install.sh postgres
# Not in the foreground: bash answers signals only between foreground commands. In a session of its own: SwiftPM's
# compilers are process groups of their own, and this is what they have in common.
say "Building Sluice; the first time takes a few minutes, and a network for three packages"
for product in sluice sluicectl; do
    setsid swift build -c release --product "$product" &
    building=$!
    await "$building" || fail "the build failed"
    building=
done
scripts/stamp.sh .build/release/sluice .build/release/sluicectl

start_postgres() {
    local bin candidates
    candidates=(/usr/lib/postgresql/*/bin)
    bin=${candidates[-1]}
    [ -x "$bin/initdb" ] || fail "no initdb in /usr/lib/postgresql/*/bin, although Debian's postgresql is installed"
    folder=$(mktemp -d "${TMPDIR:-/tmp}/sluice-run.XXXXXX")
    [ "$(id -u)" != 0 ] || chown postgres "$folder"

    # Over TCP with a password there is only `app`, who is nobody special. The superuser comes in through the socket
    # in this folder, which is its owner's alone.
    say "Starting a throwaway PostgreSQL in $folder"
    (cd "$folder" && "${as_owner[@]}" "$bin/initdb" --pgdata=data --username=postgres --auth-local=trust --auth-host=scram-sha-256 \
        --encoding=UTF8 --locale=C.UTF-8 --no-sync >initdb.log 2>&1) || fail "initdb failed: $(tail -n 3 "$folder/initdb.log")"
    local attempt
    for attempt in {1..20}; do
        postgres_port=$((20000 + RANDOM % 12000))
        listening "$postgres_port" && continue
        # Its own session: Ctrl-C in the terminal must reach this script, which stops the pooler first.
        (cd "$folder" && exec "${as_owner[@]}" setsid "$bin/postgres" -D data -p "$postgres_port" -k "$folder" \
            -c listen_addresses=127.0.0.1 -c fsync=off >postgres.log 2>&1) &
        server=$!
        for _ in {1..100}; do
            if "$bin/pg_isready" -q -h "$folder" -p "$postgres_port"; then break 2; fi
            kill -0 "$server" 2>/dev/null || break
            sleep 0.1
        done
        [ "$attempt" -lt 20 ] || fail "PostgreSQL did not start: $(tail -n 3 "$folder/postgres.log")"
    done
    "${as_owner[@]}" "$bin/psql" -X -q -v ON_ERROR_STOP=1 -h "$folder" -p "$postgres_port" -U postgres -d postgres \
        -c "CREATE ROLE app LOGIN PASSWORD 'app'" -c "CREATE DATABASE app OWNER app" >/dev/null
}

if [ -n "${DATABASE_URL:-}" ]; then
    # In the environment, not on the command line, where `ps` would show its password to everybody.
    export DATABASE_URL
    arguments=()
    # The same URL with our address in it. The password is the caller's and stays off the screen.
    rest=${DATABASE_URL#*://}
    database=
    [[ $rest != */* ]] || database=/${rest#*/}
    database=${database%%\?*}
    user=
    if [[ ${rest%%/*} == *@* ]]; then
        user=${rest%%/*}
        user=${user%@*}
        user=${user%%:*}@
    fi
    url=postgres://${user}127.0.0.1:$port$database
    note="(with the password of your DATABASE_URL)"
else
    start_postgres
    arguments=(--database-url "postgres://app:app@127.0.0.1:$postgres_port/app")
    url=postgres://app:app@127.0.0.1:$port/app
    note=
fi
[ "$port" = 6543 ] || arguments+=(--listen-port "$port")
arguments+=(--metrics-listen "127.0.0.1:$page_port")

.build/release/sluice "${arguments[@]}" &
pooler=$!
for _ in {1..100}; do
    listening "$port" && break
    kill -0 "$pooler" 2>/dev/null || break
    sleep 0.1
done
if ! kill -0 "$pooler" 2>/dev/null; then
    wait "$pooler" || fail "sluice ended with status $?"
    fail "sluice ended before it listened"
fi
# The console has the same address and user, and another database.
console=${url#*://}
console_url=postgres://${console%%/*}/pgbouncer

say
say "Sluice pools transactions on port $port."
say
say "  DATABASE_URL=$url${note:+   $note}"
say "  psql '$url' -c 'SELECT now()'"
say "  psql '$console_url' -c 'SHOW POOLS'${note:+   $note}"
say "  http://127.0.0.1:$page_port/   the page: throughput, waits, clients, servers"
say "  .build/release/sluicectl -h /tmp -p $port -U pgbouncer top   the same in a terminal"
say
say "Ctrl-C ends it and removes everything it started."

status=0
await "$pooler" || status=$?
pooler=
fail "sluice ended by itself with status $status"
