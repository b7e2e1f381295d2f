#!/usr/bin/env bash
# Gets node-postgres for `make test-drivers`. Debian's package wants Debian's own node; where node came from
# elsewhere the packages are unpacked into .build-drivers/node instead (plain JavaScript, any node runs it).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

unpacked=.build-drivers/node
if [ -d /usr/share/nodejs/pg ] || [ -d $unpacked/usr/share/nodejs/pg ]; then exit 0; fi

read -ra packages <<<"$(sed '/^#/d' scripts/packages/drivers-node | tr '\n' ' ')"
if dpkg-query --search "$(command -v node)" 2>/dev/null | grep -q '^nodejs' &&
    apt-get install --simulate --no-install-recommends -qq "${packages[@]}" >/dev/null 2>&1; then
    exec scripts/install.sh drivers-node
fi

echo "Unpacking ${packages[*]} into $unpacked"
downloads=$(mktemp -d "${TMPDIR:-/tmp}/sluice-node.XXXXXX")
trap 'rm -rf "$downloads"' EXIT
(cd "$downloads" && apt-get download -qq "${packages[@]}" 2>/dev/null)
mkdir -p "$unpacked"
for package in "$downloads"/*.deb; do dpkg --extract "$package" "$unpacked"; done
