#!/usr/bin/env bash
# `make bench`: a short comparison of Sluice with what is installed of PgBouncer, pgpool2 and a bare relay, all before one
# throwaway PostgreSQL; writes docs/benchmarks/short.md. Five minutes after the build, in which nothing else should run.
# `make bench-all` (all as the argument): every scenario, one core and two, TLS, chaos, system calls; writes docs/benchmarks/*.md.
# A quarter of an hour more.
#
#   BENCH_SECONDS=1.5 BENCH_ROUNDS=3      length of a window, how often each is measured
#   PGBOUNCER=/path/to/pgbouncer          another PgBouncer than the system's
#   BENCH_FLAGS=                          more for `sluicebench compare`, e.g. BENCH_FLAGS='--html report.html'
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/install.sh build postgres bench
swift build -c release --product sluice
swift build -c release --package-path Benchmarks

read -ra flags <<<"${BENCH_FLAGS:-}"
# The programs by their names, so that the command on the page is one that can be typed.
PATH="$PWD/Benchmarks/.build/release:${PGBOUNCER:+$(dirname "$(realpath "$PGBOUNCER")"):}$PATH"

# compare PAGE TITLE ARGUMENTS...
compare() {
    local page=$1 title=$2
    shift 2
    sluicebench compare "$@" --title "$title" --markdown "docs/benchmarks/$page" "${flags[@]}"
}

if [ "${1:-}" != all ]; then
    compare short.md "Benchmarks" saturated-simple saturated-prepared steady-prepared bulk logins idle \
        --seconds "${BENCH_SECONDS:-1.5}" --warmup 0.5 --rounds "${BENCH_ROUNDS:-3}"
    exit
fi
length=(--seconds "${BENCH_SECONDS:-2}" --warmup 0.5 --rounds "${BENCH_ROUNDS:-2}")
compare all.md "Benchmarks: every scenario, one core" steady saturated serverless transactions bulk mixed logins idle "${length[@]}"
compare two-cores.md "Benchmarks: two cores" saturated steady-simple --cores 2 "${length[@]}"
compare tls.md "Benchmarks: TLS" saturated-simple saturated-prepared bulk logins idle --tls "${length[@]}"
compare chaos.md "Benchmarks: chaos" chaos --rounds 1
compare system-calls.md "Benchmarks: system calls" saturated --system-calls --seconds 1 --warmup 0.5 --rounds 1
