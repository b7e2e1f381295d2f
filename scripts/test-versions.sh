#!/usr/bin/env bash
# `make test-versions`: the black-box tests and random pipelines against other versions of PostgreSQL than the system's. Their server
# programs come from Debian's packages where they are installed, else from a wheel that the tests' environment has.
#
#   VERSIONS="16 18"          which
#   DIFFERENTIAL_SECONDS=60   how long random pipelines are compared with PostgreSQL's answers, for each version
#   PYTEST_FLAGS=             more for the black-box tests, e.g. PYTEST_FLAGS='-x -k cancel'
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/install.sh build postgres test
swift build -c release --product sluice
swift build -c release --product sluicectl
swift build -c release --product model-postgres
scripts/venv.sh

read -ra versions <<<"${VERSIONS:-16 18}"
read -ra pytest_flags <<<"${PYTEST_FLAGS:-}"
summary=()
failed=no
for version in "${versions[@]}"; do
    POSTGRES_BIN=$(.venv-tests/bin/python Tests/blackbox/postgres.py "$version")
    export POSTGRES_BIN
    printf '\n== %s\n' "$("$POSTGRES_BIN/postgres" --version)"
    for step in "black-box tests" "differential test"; do
        status=0
        if [ "$step" = "black-box tests" ]; then
            .venv-tests/bin/pytest Tests/blackbox -q -n 2 --dist loadfile "${pytest_flags[@]}" || status=$?
        else
            Tests/differential/run.py --seconds "${DIFFERENTIAL_SECONDS:-60}" || status=$?
        fi
        if [ $status = 0 ]; then word=ok; else word=FAILED failed=yes; fi
        summary+=("$(printf '%-7s PostgreSQL %s: %s' "$word" "$version" "$step")")
    done
done
printf '\n'
printf '%s\n' "${summary[@]}"
[ $failed = no ]
