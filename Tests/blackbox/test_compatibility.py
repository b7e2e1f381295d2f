"""The table of known differences from PgBouncer, its page, and how a run against PgBouncer reports them."""
import ast
import os
import pathlib
import re
import subprocess
import sys

import pytest

import differences

pytestmark = pytest.mark.sluice_only("looks at files of this tree")

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
ENTRIES = [entry for area in differences.AREAS.values() for entry in area]


def test_the_page_is_up_to_date():
    """scripts/compatibility.py writes docs/compatibility.md from the table."""
    done = subprocess.run([f"{ROOT}/scripts/compatibility.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_entry_names_tests_that_exist():
    for entry in ENTRIES:
        assert entry.tests and entry.subject and entry.pgbouncer and entry.sluice
        for test in entry.tests:
            file, name = re.fullmatch(r"(test_\w+\.py)::([\w*]+)(?:\[.*\])?", test, re.S).groups()
            with open(f"{HERE}/{file}") as f:
                functions = [node.name for node in ast.parse(f.read()).body if isinstance(node, ast.FunctionDef)]
            wanted = re.compile(name.replace("*", r"\w*"))
            assert any(wanted.fullmatch(function) for function in functions), f"{test}: there is no such test"


def test_no_test_stands_in_two_entries():
    tests = [test for entry in ENTRIES for test in entry.tests]
    assert len(tests) == len(set(tests))
    for test in tests:
        if "*" not in test:
            assert [entry.subject for entry in ENTRIES if entry.matches(test)] == [differences.known(test).subject]


def test_patterns():
    one = differences.Difference("", "", "", ("test_a.py::test_b", "test_a.py::test_c[x-*]"))
    assert one.matches("test_a.py::test_b") and one.matches("test_a.py::test_b[1-[2]]") and one.matches("test_a.py::test_c[x-1]")
    assert not one.matches("test_a.py::test_bc") and not one.matches("test_a.py::test_c[y-1]") and not one.matches("test_b.py::test_b")


def run(kind, test, *more):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{HERE}/{test}", "--pooler", kind.path, "--pooler-kind", "pgbouncer", *more]
    return subprocess.run(command, capture_output=True, text=True, cwd=HERE, timeout=170)


def test_an_unexpected_pass_is_reported(kind):
    """Sluice, taken for a PgBouncer, passes what PgBouncer is known not to."""
    test = "test_auth_query.py::test_where_secrets_are_md5_hashes_unknown_users_are_asked_for_md5"
    assert differences.known(test)
    done = run(kind, test)
    assert done.returncode == 1 and "XPASS(strict)" in done.stdout and differences.known(test).subject in done.stdout, done.stdout


def test_what_only_sluice_has_is_passed_over(kind):
    done = run(kind, "test_metrics.py::test_gzip", "-rs")
    assert done.returncode == 0 and "sluice only: PgBouncer has no HTTP server" in done.stdout, done.stdout


def test_a_setting_that_pgbouncer_does_not_have_is_no_failure(run_folder):
    """A pooler that ends as PgBouncer does with a setting of somebody else's."""
    fake = pathlib.Path(run_folder.folder("fake")) / "pgbouncer"
    fake.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "PgBouncer 1.26.0" && exit\necho "ERROR unknown parameter: pgbouncer/pool_idle_timeout"; exit 1\n')
    fake.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{HERE}/test_configuration.py::test_pool_idle_timeout", "--pooler", fake, "-rs"],
        capture_output=True, text=True, cwd=HERE, timeout=170,
    )  # fmt: skip
    assert done.returncode == 0 and "PgBouncer has no setting pool_idle_timeout" in done.stdout, done.stdout


def test_which_pooler_it_is_is_seen(kind):
    """--pooler alone suffices: Sluice's --version begins with the PgBouncer that it stands in for."""
    from conftest import kind_of

    assert kind_of(kind.path) == "sluice"
