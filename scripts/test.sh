#!/usr/bin/env bash
# `make test`: everything that must hold before a change goes in. Installs what is missing, builds once, and goes on
# after a failure where it can, so that one run tells all. The exit status is 1 when anything failed.
#
#   FUZZ_SECONDS=60           how long the fuzzers run
#   SIMULATE_SECONDS=60       how long the daemon is played in a world that can be replayed
#   DIFFERENTIAL_SECONDS=60   how long random pipelines are compared with PostgreSQL's answers
#   PYTEST_FLAGS=             more for the black-box tests, e.g. PYTEST_FLAGS='-x -k cancel'
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

# beside NAME COMMAND...: the same while other steps run; `join` waits for it, and shows what it said. One at a time.
beside_name=
beside() {
    beside_name=$1 beside_started=$SECONDS
    shift
    beside_log=$(mktemp)
    printf '\n== %s: begins, beside what follows\n' "$beside_name"
    # A session of its own, so that what it started ends with it.
    setsid "$@" >"$beside_log" 2>&1 </dev/null &
    beside_pid=$!
}
join() {
    local status=0
    wait "$beside_pid" || status=$?
    printf '\n== %s\n' "$beside_name"
    cat "$beside_log"
    rm -f "$beside_log"
    if [ $status = 0 ]; then
        summary+=("$(printf 'ok      %4ds  %s (beside others)' $((SECONDS - beside_started)) "$beside_name")")
    else
        failed=yes
        summary+=("$(printf 'FAILED  %4ds  %s (beside others; status %d)' $((SECONDS - beside_started)) "$beside_name" $status)")
    fi
    beside_name=
}

finish() {
    local status=$?
    if [ -n "$beside_name" ]; then
        kill -TERM -- "-$beside_pid" 2>/dev/null || true
        wait "$beside_pid" 2>/dev/null || true
        rm -f "$beside_log"
    fi
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

step "packages" scripts/install.sh build postgres test lint
step "lint" make -s lint || true
step "build: unit tests" swift build --build-tests
step "build: release" swift build -c release
step "build: sluicebench" swift build --package-path Benchmarks --build-tests
# The fuzzers keep one core busy, and what runs beside them asks for no more and measures no time. The black-box tests have the machine
# for themselves: one that is slow enough makes any of them fail.
beside "fuzzers" Tests/Fuzz/run.sh "${FUZZ_SECONDS:-60}"
step "unit tests of sluicebench" swift test --package-path Benchmarks --skip-build || true
step "instruction counts" Benchmarks/instructions.py || true
step "PgBouncer's example files" scripts/pgbouncer-files.sh || true
step "python environment" scripts/venv.sh
step "PAM left out" swiftc -typecheck -swift-version 6 -module-name PAM Sources/PAM/*.swift || true
step "LDAP left out" swiftc -typecheck -swift-version 6 -module-name LDAP Sources/LDAP/*.swift || true
step "unit tests" swift test --skip-build || true
join
# The same worlds each time; `make simulate` plays others (docs/simulator.md).
beside "simulator" .build/debug/simulate --seconds "${SIMULATE_SECONDS:-60}" --seed "${SIMULATE_SEED:-1}" --count 1000000
step "differential test: itself" .venv-tests/bin/pytest Tests/differential -q || true
step "differential test" Tests/differential/run.py --seconds "${DIFFERENTIAL_SECONDS:-60}" --own 4 || true
join
# Most of their time is spent on waiting for servers that start and windows that end.
beside "sluicebench: comparisons" .venv-tests/bin/pytest Tests/bench/test_compare.py -q
step "sluicebench: runs" .venv-tests/bin/pytest Tests/bench/test_run.py -q || true
join
# Most of their time is spent on waiting, too: two processes, each with servers of its own.
step "black-box tests" .venv-tests/bin/pytest Tests/blackbox -q -n 2 --dist loadfile "${pytest_flags[@]}" || true
