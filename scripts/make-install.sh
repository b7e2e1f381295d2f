#!/usr/bin/env bash
# `make install`: programs, manual pages, completions, units and examples, from what `make static` has built.
#
#   scripts/make-install.sh DESTDIR PREFIX
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

prefix=${2:-/usr/local}
root=${1%/}$prefix
case $prefix in
    /*) ;;
    *)
        echo "make install: PREFIX=$prefix: expected a path from the root" >&2
        exit 1
        ;;
esac
for program in .build-static/release/sluice .build-static/release/sluicectl .build-static-bench/release/sluicebench; do
    if [ ! -x "$program" ]; then
        echo "make install: no $program: run \`make static\` first" >&2
        exit 1
    fi
done

# put MODE FOLDER FILE...
put() {
    local mode=$1 folder=$root/$2
    shift 2
    install -d -m 0755 "$folder"
    install -m "$mode" "$@" "$folder/"
}

put 0755 bin .build-static/release/sluice .build-static/release/sluicectl .build-static-bench/release/sluicebench
strip --strip-unneeded "$root"/bin/sluice{,ctl,bench}
put 0644 share/man/man1 docs/man/*.1
put 0644 share/man/man5 docs/man/*.5
put 0644 share/doc/sluice README.md CHANGELOG.md
# As in the source, so that the links of the pages lead on.
while IFS= read -r file; do put 0644 "share/doc/sluice/$(dirname "$file")" "$file"; done < <(find docs -type f ! -path 'docs/man/*' | sort)
put 0644 share/doc/sluice/examples Config/sluice.ini Config/grafana/sluice.json Config/prometheus/*.yml
put 0755 share/sluice Config/debian/import-pgbouncer
put 0644 share/sluice Config/debian/sluice.ini Config/logrotate/sluice

# zsh looks into the one folder for Debian's packages, into the other for what an administrator installs.
zsh=site-functions
[ "$prefix" != /usr ] || zsh=vendor-completions
# The program writes them itself, so they never lag behind.
for pair in bash:share/bash-completion/completions/sluicectl "zsh:share/zsh/$zsh/_sluicectl" \
    fish:share/fish/vendor_completions.d/sluicectl.fish; do
    mkdir -p "$(dirname "$root/${pair#*:}")"
    .build-static/release/sluicectl --generate-completion-script "${pair%%:*}" >"$root/${pair#*:}"
    # Such a file is read by a shell, never run.
    sed -i '1{/^#!/d}' "$root/${pair#*:}"
    chmod 0644 "$root/${pair#*:}"
done

install -d -m 0755 "$root/lib/systemd/system"
for unit in Config/systemd/*.service; do
    sed "s|/usr/local/bin/|$prefix/bin/|" "$unit" >"$root/lib/systemd/system/${unit##*/}"
    chmod 0644 "$root/lib/systemd/system/${unit##*/}"
done
