#!/usr/bin/env bash
# Gets the example files of PgBouncer's Debian package for a test: unpacked into .build-pgbouncer, not installed, for the
# package would start its service.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

unpacked=.build-pgbouncer
if [ -e $unpacked/etc/pgbouncer/pgbouncer.ini ]; then exit 0; fi
if ! command -v apt-get >/dev/null; then
    echo "No apt-get here: the test of PgBouncer's example files will be skipped."
    exit 0
fi

echo "Unpacking pgbouncer into $unpacked"
downloads=$(mktemp -d "${TMPDIR:-/tmp}/sluice-pgbouncer.XXXXXX")
trap 'rm -rf "$downloads"' EXIT
(cd "$downloads" && apt-get download -qq pgbouncer 2>/dev/null)
mkdir -p "$unpacked"
dpkg --extract "$downloads"/pgbouncer_*.deb "$unpacked"
# The test's PostgreSQL and pooler may run as another user.
chmod -R a+rX "$unpacked"
