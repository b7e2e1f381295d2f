#!/usr/bin/env bash
# Installs the Debian packages of the named lists (files in scripts/packages) that are not there yet.
#
#   scripts/install.sh build postgres
#
# In a list, one package a line; a word after it is a command, and where that command exists already, from
# whatever source, the package is not asked for. Does nothing, and asks for no rights, when nothing is missing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

missing=()
for list in "$@"; do
    while read -r package command _; do
        case $package in '' | '#'*) continue ;; esac
        if [ -n "$command" ] && command -v "$command" >/dev/null; then continue; fi
        if [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null || true)" != installed ]; then
            missing+=("$package")
        fi
    done <"$here/packages/$list"
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "This needs Debian's packages ${missing[*]}, and there is no apt-get here. Install what your system calls them." >&2
    exit 1
fi

root=()
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "Missing packages, and neither root nor sudo to install them. As root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    root=(sudo)
fi

echo "Installing ${missing[*]}"

# Debian's server package makes a cluster "main" and starts it on 5432 when it is installed. Nothing here uses
# it, and nobody who types `make run` asked for a server that comes back at every boot. Where the file exists,
# the machine's owner has PostgreSQL already and has chosen; then it is left alone.
settings=/etc/postgresql-common/createcluster.conf
if [[ " ${missing[*]} " == *" postgresql "* && ! -e $settings ]]; then
    "${root[@]}" mkdir -p "${settings%/*}"
    echo "create_main_cluster = false" | "${root[@]}" tee "$settings" >/dev/null
fi

<<<<<<< HEAD
# Nor do Debian's pgbouncer and pgpool2, which start themselves. Where somebody has said already what may start, that holds.
policy=/usr/sbin/policy-rc.d
if [[ " ${missing[*]} " =~ " pg"(bouncer|pool2)" " && ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
    "${root[@]}" chmod 755 "$policy"
    trap '"${root[@]}" rm -f "$policy"' EXIT
=======
# Likewise slapd: without a configuration of its own it does not run; the tests bring theirs.
if [[ " ${missing[*]} " == *" slapd "* ]]; then
    echo "slapd slapd/no_configuration boolean true" | "${root[@]}" debconf-set-selections
>>>>>>> main
fi

quiet=(env DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1)
"${root[@]}" "${quiet[@]}" apt-get update -qq
"${root[@]}" "${quiet[@]}" apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
