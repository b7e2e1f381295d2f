#!/usr/bin/env bash
# `make test-deb`: lintian, and the package in a Debian of its own: installs, starts by its unit's command, upgrades, takes PgBouncer's files,
# purges clean. As root, in a folder (.build-deb) and in namespaces of its own; nothing of the machine's is touched.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=.build-deb
base=$out/base
root=$out/root
version=$(sed -n 's/.*static let number = "\(.*\)"/\1/p' Sources/Configuration/Version.swift)
package=$out/sluice_${version}_$(dpkg --print-architecture).deb
failures=0

say() { printf '\n== %s\n' "$*"; }
fail() {
    printf 'FAILED: %s\n' "$*" >&2
    failures=$((failures + 1))
}
if [ "$(id -u)" != 0 ]; then
    echo "make test-deb: needs root, for debootstrap and chroot" >&2
    exit 1
fi
cleanup() {
    local path
    for path in "$root/proc" "$root/dev"; do umount "$path" 2>/dev/null || true; done
    rm -rf --one-file-system "$root" "$out/work"
}
trap cleanup EXIT

say "lintian"
lintian --fail-on error,warning "$package" || fail "lintian has errors or warnings"

release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
if [ ! -e "$base/etc/debian_version" ]; then
    say "debootstrap $release"
    rm -rf "$base"
    debootstrap --variant=minbase --include=ca-certificates "$release" "$base" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$out/debootstrap.log" 2>&1 ||
        { tail -n 5 "$out/debootstrap.log"; rm -rf "$base"; exit 1; }
fi
cleanup
mkdir -p "$out/work"
cp -a --reflink=auto "$base" "$root"
cp /etc/resolv.conf "$root/etc/resolv.conf"
echo "127.0.0.1 localhost" >"$root/etc/hosts"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
mount -t proc proc "$root/proc"

inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }

say "its dependencies"
mapfile -t depends < <(dpkg-deb -f "$package" Depends | tr ',' '\n' | sed 's/^ *//; s/ .*//')
inside apt-get update -qq
inside apt-get install -qq -y --no-install-recommends "${depends[@]}" >/dev/null
scripts/pgbouncer-files.sh
cp "$package" "$root/tmp/sluice.deb"
# The same as an older version, to upgrade from.
dpkg-deb -R "$package" "$out/work/old"
sed -i 's/^Version: .*/Version: 0.0.1/' "$out/work/old/DEBIAN/control"
dpkg-deb -Znone --root-owner-group --build "$out/work/old" "$root/tmp/old.deb" >/dev/null

# Everything that a purge has to leave as it was.
snapshot() {
    inside sh -c 'find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /var/lib/dpkg -o -path /var/cache -o -path /tmp \
        -o -path /var/log/dpkg.log -o -path /var/log/apt -o -path /var/lib/apt -o -path /run/adduser -o -path "/etc/*shadow-" \
        -o -path /etc/passwd- -o -path /etc/group- \) -prune -o -print | sort
        cut -d: -f1 /etc/passwd /etc/group'
}
install_package() { inside dpkg -i "/tmp/$1" >"$out/work/install.log" 2>&1 || { cat "$out/work/install.log"; fail "dpkg -i $1"; }; }
purge() {
    inside dpkg --purge sluice >"$out/work/purge.log" 2>&1 || { cat "$out/work/purge.log"; fail "dpkg --purge"; }
    snapshot >"$out/work/after"
    diff "$out/work/before" "$out/work/after" || fail "a purge leaves something"
}
# The command of the unit, as the unit's user and with the unit's folders; `$1` runs beside it, and its status counts.
service() {
    cat >"$root/tmp/service.sh" <<'END'
set -eu
unit=/lib/systemd/system/sluice.service
value() { sed -n "s/^$1=//p" $unit; }
command=$(value ExecStart)
user=$(value User)
for folder in "/run/$(value RuntimeDirectory)" "/var/log/$(value LogsDirectory)"; do install -d -o "$user" -g "$user" "$folder"; done
cd /
setpriv --reuid="$user" --regid="$user" --init-groups $command >/tmp/service.log 2>&1 &
pid=$!
for attempt in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    [ ! -S /run/sluice/.s.PGSQL.* ] || break
    kill -0 $pid 2>/dev/null || break
    sleep 0.5
done
status=0
PID=$pid USER=$user sh -eu /tmp/beside.sh || status=$?
kill -INT $pid 2>/dev/null || status=3
wait $pid || status=4
rm -rf /run/sluice
exit $status
END
    printf '%s\n' "$1" >"$root/tmp/beside.sh"
    # A network of its own: the ports of this machine are others'.
    # shellcheck disable=SC2016 # for the shell inside
    unshare --net sh -c 'ip link set lo up; exec chroot "$@"' sh "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 sh /tmp/service.sh ||
        { cat "$root/tmp/service.log"; fail "the service"; }
}
# shellcheck disable=SC2016 # for the shell inside
ask='setpriv --reuid=$USER --regid=$USER --init-groups sluicectl -c /etc/sluice/sluice.ini version >/dev/null'
says() { grep -qF "$1" "$out/work/install.log" || { cat "$out/work/install.log"; fail "no word of: $1"; }; }

snapshot >"$out/work/before"
say "a first install"
install_package sluice.deb
says "names no database yet"
inside sluice --version | grep -q "^Sluice " || fail "sluice --version"
inside sluicebench --help >/dev/null || fail "sluicebench --help"
[ "$(inside stat -c '%U:%G %a' /etc/sluice/sluice.ini /etc/sluice/userlist.txt | sort -u)" = "root:sluice 640" ] || fail "rights of the files"
service "$ask
    kill -HUP \$PID
    $ask"

say "installed over a running one"
service "dpkg -i /tmp/sluice.deb 2>&1 | grep -F 'goes on with the version that it was started with'
    kill -0 \$PID
    $ask"
purge

say "an upgrade keeps what was changed"
install_package old.deb
echo "; mine" >>"$root/etc/sluice/sluice.ini"
install_package sluice.deb
grep -q '^; mine$' "$root/etc/sluice/sluice.ini" || fail "sluice.ini was overwritten"
service "$ask"
inside dpkg --remove sluice >/dev/null 2>&1 || fail "dpkg --remove"
grep -q '^; mine$' "$root/etc/sluice/sluice.ini" || fail "a removal takes sluice.ini"
purge

say "PgBouncer's files of Debian, with what belongs to its service"
cp -a .build-pgbouncer/etc/pgbouncer "$root/etc/pgbouncer"
sed -i 's/^\[databases\]/&\nuser = host=127.0.0.1 dbname=shop\nshop = host=127.0.0.1/; s/^\[pgbouncer\]/&\nuser = postgres\nserver_tls_protocols = all\npkt_buf = 2048\nautodb_idle_timeout = 60/' \
    "$root/etc/pgbouncer/pgbouncer.ini"
echo '"shop" "secret"' >"$root/etc/pgbouncer/userlist.txt"
chmod 640 "$root"/etc/pgbouncer/*
(cd "$root/etc/pgbouncer" && md5sum ./*) >"$out/work/pgbouncer"
snapshot >"$out/work/before"
install_package sluice.deb
says "Imported /etc/pgbouncer/pgbouncer.ini into /etc/sluice/sluice.ini"
says "systemctl disable --now pgbouncer && systemctl enable --now sluice"
(cd "$root/etc/pgbouncer" && md5sum --quiet -c "$OLDPWD/$out/work/pgbouncer") || fail "PgBouncer's own files have changed"
grep -q '"shop" "secret"' "$root/etc/sluice/userlist.txt" || fail "the user list was not imported"
grep -q '^user = host=127.0.0.1 dbname=shop' "$root/etc/sluice/sluice.ini" || fail "a database called user"
grep -q '^; user = postgres' "$root/etc/sluice/sluice.ini" || fail "the user of PgBouncer's service"
service "$ask"
purge

say "PgBouncer's files that Sluice does not take"
sed -i 's/^\[pgbouncer\]/&\npool_modus = fast/' "$root/etc/pgbouncer/pgbouncer.ini"
snapshot >"$out/work/before"
install_package sluice.deb
says "Sluice does not take /etc/pgbouncer/pgbouncer.ini, so nothing was imported:"
says 'unknown setting "pool_modus" in section [pgbouncer] (did you mean "pool_mode"?)'
grep -q "names no database yet" "$out/work/install.log" || fail "no configuration at all"
[ ! -s "$root/etc/sluice/userlist.txt" ] || fail "half of it was imported"
purge

[ $failures = 0 ] || { printf '\nmake test-deb: %s FAILED\n' "$failures" >&2; exit 1; }
printf '\nmake test-deb: all passed\n'
