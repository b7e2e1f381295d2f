#!/usr/bin/env bash
# Writes the commit into programs, for their --version. In place, and with their time kept, so that nothing is linked anew for it.
#
#   scripts/stamp.sh PROGRAM...
#
#   SLUICE_REVISION=...     the commit, where there is no repository
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mark='@(#)sluice commit:'

revision=${SLUICE_REVISION:-}
if [ -z "$revision" ]; then
    # An archive inside somebody else's repository is not of that repository.
    [ "$(git -C "$here" rev-parse --show-toplevel 2>/dev/null)" = "$here" ] || exit 0
    revision=$(git -C "$here" rev-parse --short=12 HEAD)
    [ -z "$(git -C "$here" status --porcelain --untracked-files=no)" ] || revision=$revision+
fi
case $revision in
    *[!0-9a-f+]* | ?????????????????????????????*)
        echo "scripts/stamp.sh: SLUICE_REVISION=$revision: expected at most 28 hexadecimal digits" >&2
        exit 1
        ;;
esac

for program in "$@"; do
    place=$(LC_ALL=C grep -obUaF "$mark" "$program" | head -n 1 | cut -d: -f1)
    if [ -z "$place" ]; then
        echo "scripts/stamp.sh: $program has no place for a commit" >&2
        exit 1
    fi
    offset=$((place + ${#mark}))
    text=$(printf ' %-29s' "$revision")
    [ "$(dd if="$program" bs=1 skip="$offset" count=30 status=none)" != "$text" ] || continue
    time=$(mktemp)
    touch -r "$program" "$time"
    # A program that runs at the moment can't be written to.
    if printf '%s' "$text" | dd of="$program" bs=1 seek="$offset" conv=notrunc status=none 2>/dev/null; then touch -r "$time" "$program"; fi
    rm -f "$time"
done
