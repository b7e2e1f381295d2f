#!/bin/sh
# What the container runs. Arguments go to sluice as they are. Without any: a configuration file where images of PgBouncer have it, else
# the environment variables (docs/operating/container.md). `health` asks the pooler that runs so whether it answers.
set -eu

file=
for candidate in /etc/sluice/sluice.ini /etc/pgbouncer/pgbouncer.ini /bitnami/pgbouncer/conf/pgbouncer.ini; do
    if [ -e "$candidate" ]; then
        file=$candidate
        break
    fi
done

if [ "${1:-}" = health ]; then
    if [ -n "$file" ]; then exec sluicectl --config "$file" version; fi
    # The folder of the socket and the port, under the names that sluice reads them by.
    folder=${SLUICE_UNIX_SOCKET_DIR:-${UNIX_SOCKET_DIR:-${PGBOUNCER_UNIX_SOCKET_DIR:-${PGBOUNCER_SOCKET_DIR:-/tmp}}}}
    port=${SLUICE_LISTEN_PORT:-${LISTEN_PORT:-${PGBOUNCER_LISTEN_PORT:-${PGBOUNCER_PORT:-6543}}}}
    case $port in tcp://*) port=6543 ;; esac
    exec sluicectl --host "$folder" --port "$port" --user pgbouncer version
fi

if [ $# -gt 0 ]; then exec sluice "$@"; fi
if [ -n "$file" ]; then exec sluice "$file"; fi
exec sluice --from-environment
