#!/usr/bin/env bash
# `make test-tsan`: the black-box tests with four workers, on a build that watches every memory access for data races.
# It fails when a test fails and when ThreadSanitizer reported anything, whatever the tests said.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/install.sh build postgres test
# ThreadSanitizer does not see Synchronization.Mutex (its futex is the kernel's business) and calls every value behind a
# contended one a race; sources may look at THREAD_SANITIZER and take a lock that it does see.
swift build -c debug --sanitize=thread -Xswiftc -DTHREAD_SANITIZER --scratch-path .build-tsan --product sluice
# Some of the tests drive it.
swift build -c release --product sluicectl
scripts/venv.sh

reports=$(mktemp -d "${TMPDIR:-/tmp}/sluice-tsan.XXXXXX")
trap 'rm -rf "$reports"' EXIT
chmod 777 "$reports" # the pooler may run as another user

options="log_path=$reports/race exitcode=0 history_size=4"
[ ! -e Tests/tsan.supp ] || options="suppressions=$PWD/Tests/tsan.supp $options"
read -ra pytest_flags <<<"${PYTEST_FLAGS:-}"
status=0
# Several times slower than a release build, with system calls of its own: counting them says nothing here. What a container has to hold
# and what happens at the end of its memory are questions to the release build.
TSAN_OPTIONS=$options .venv-tests/bin/pytest Tests/blackbox -q -m "not slow and not needs_strace" --ignore Tests/blackbox/test_container.py --ignore Tests/blackbox/test_memory.py \
    --pooler .build-tsan/debug/sluice --workers 4 "${pytest_flags[@]}" || status=$?

found=("$reports"/*)
if [ -e "${found[0]}" ]; then
    head -n 100 "${found[@]}"
    echo
    echo "make test-tsan: FAILED, ThreadSanitizer reported races in ${#found[@]} process(es)"
    exit 1
fi
[ $status = 0 ] || echo "make test-tsan: no race, but the tests failed"
exit $status
