#!/usr/bin/env bash
# `make bench`: a short comparison of Sluice with what is installed of PgBouncer, pgpool2 and a bare relay, all before one
# throwaway PostgreSQL; writes docs/benchmarks.md. A quarter of an hour, in which nothing else should run.
#
#   BENCH_SECONDS=3 BENCH_ROUNDS=3      length of a window, how often each is measured
#   BENCH_FLAGS=                        more for `sluicebench compare`, e.g. BENCH_FLAGS='--html report.html --cores 2'
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/install.sh build postgres bench
swift build -c release --product sluice
swift build -c release --package-path Benchmarks

read -ra flags <<<"${BENCH_FLAGS:-}"
exec Benchmarks/.build/release/sluicebench compare \
    steady-simple steady-prepared saturated transactions bulk logins idle chaos \
    --seconds "${BENCH_SECONDS:-3}" --warmup 1 --rounds "${BENCH_ROUNDS:-3}" --markdown docs/benchmarks.md "${flags[@]}"
