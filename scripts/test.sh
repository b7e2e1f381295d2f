#!/usr/bin/env bash
# `make test`: everything that must hold before a change goes in. Installs what is missing, builds once, and goes on
# after a failure where it can, so that one run tells all. The exit status is 1 when anything failed.
#
#   FUZZ_SECONDS=60     how long the fuzzers run
#   PYTEST_FLAGS=       more for the black-box tests, e.g. PYTEST_FLAGS='-x -k cancel'
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

summary=()
failed=no

# step NAME COMMAND...: runs it, remembers how it went; its status is the command's.
step() {
    local name=$1 started=$SECONDS status=0
    shift
    printf '\n== %s\n' "$name"
    "$@" || status=$?
    if [ $status = 0 ]; then
        summary+=("$(printf 'ok      %4ds  %s' $((SECONDS - started)) "$name")")
    else
        failed=yes
        summary+=("$(printf 'FAILED  %4ds  %s (status %d)' $((SECONDS - started)) "$name" $status)")
    fi
    return $status
}

finish() {
    local status=$?
    printf '\n'
    printf '%s\n' "${summary[@]}"
    if [ $status != 0 ] || [ $failed = yes ]; then
        printf '\nmake test: FAILED after %ds\n' $SECONDS
        exit 1
    fi
    printf '\nmake test: all passed in %ds\n' $SECONDS
}
trap finish EXIT
trap 'summary+=("interrupted"); exit 1' INT TERM HUP

read -ra pytest_flags <<<"${PYTEST_FLAGS:-}"

step "packages" scripts/install.sh build postgres test
step "build: unit tests" swift build --build-tests
step "build: release" swift build -c release --product sluice
step "build: instruction counts" swift build -c release --product instructions
step "build: sluicebench" swift build --package-path Benchmarks --build-tests
step "build: sluicectl" swift build -c release --product sluicectl
step "unit tests" swift test --skip-build || true
step "unit tests of sluicebench" swift test --package-path Benchmarks --skip-build || true
step "instruction counts" Benchmarks/instructions.py || true
step "fuzzers" Tests/Fuzz/run.sh "${FUZZ_SECONDS:-60}" || true
step "PgBouncer's example files" scripts/pgbouncer-files.sh || true
step "python environment" scripts/venv.sh
step "sluicebench" .venv-tests/bin/pytest Tests/bench -q || true
step "black-box tests" .venv-tests/bin/pytest Tests/blackbox -q "${pytest_flags[@]}" || true
