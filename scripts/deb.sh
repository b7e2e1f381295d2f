#!/usr/bin/env bash
# `make deb`: a Debian package in .build-deb, for the release of Debian that this runs on.
#
#   DEB_MAINTAINER="Name <address>"    who stands for the package
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=$(sed -n 's/.*static let number = "\(.*\)"/\1/p' Sources/Configuration/Version.swift)
architecture=$(dpkg --print-architecture)
maintainer=${DEB_MAINTAINER:-The Sluice authors <sluice@example.org>}
out=.build-deb
tree=$out/tree
package=$out/sluice_${version}_$architecture.deb

rm -rf "$tree" "$out/shlibs"
mkdir -p "$tree/DEBIAN"
scripts/make-install.sh "$tree" /usr
# Where this release of Debian has its units.
mkdir -p "$tree/lib"
mv "$tree/usr/lib/systemd" "$tree/lib/systemd"
rmdir "$tree/usr/lib"
install -d -m 0755 "$tree/etc/logrotate.d" "$tree/etc/sluice"
mv "$tree/usr/share/sluice/sluice" "$tree/etc/logrotate.d/sluice"
install -m 0644 Config/debian/copyright "$tree/usr/share/doc/sluice/copyright"
# What changed stands in CHANGELOG.md; Debian's tools want a file of theirs.
printf 'sluice (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- %s  %s\n' "$version" "$maintainer" \
    "$(date -R -u -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}")" >"$tree/usr/share/doc/sluice/changelog"
gzip -9n "$tree/usr/share/doc/sluice/changelog" "$tree"/usr/share/man/man?/*
# A search path for libraries is for programs that lie where they were built.
for program in "$tree"/usr/bin/*; do
    if readelf -d "$program" | grep -qE 'R(UN)?PATH'; then chrpath -d "$program" >/dev/null; fi
done

mkdir -p "$out/shlibs/debian"
: >"$out/shlibs/debian/control"
programs=()
for program in "$tree"/usr/bin/*; do programs+=("-e$(realpath "$program")"); done
depends=$(cd "$out/shlibs" && dpkg-shlibdeps -O --warnings=0 "${programs[@]}" | sed -n 's/^shlibs:Depends=//p')

for script in postinst prerm postrm; do install -m 0755 "Config/debian/$script" "$tree/DEBIAN/$script"; done
echo /etc/logrotate.d/sluice >"$tree/DEBIAN/conffiles"
cat >"$tree/DEBIAN/control" <<END
Package: sluice
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $(du -k -s --exclude=DEBIAN "$tree" | cut -f1)
Depends: $depends, adduser
Suggests: postgresql, logrotate, pgbouncer
Section: database
Priority: optional
Description: connection pooler for PostgreSQL, in PgBouncer's place
 Thousands of clients share a few real server connections. Sluice reads
 PgBouncer's files, answers to its console and signals, uses all cores,
 and tells why clients wait.
 .
 The package has the daemon (sluice), the tool of operators (sluicectl)
 and the load harness (sluicebench).
END
(cd "$tree" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
find "$tree" -type d -exec chmod 0755 {} +
dpkg-deb --root-owner-group --build "$tree" "$package" >/dev/null
rm -rf "$tree" "$out/shlibs"
echo "$package"
