#!/usr/bin/env python3
"""Writes docs/compatibility.md from Tests/blackbox/differences.py and from the marks of the tests.

    scripts/compatibility.py [--check]

--check writes nothing, and ends with status 1 when the page is not what it would write.
"""
import ast
import glob
import os
import re
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
PAGE = f"{ROOT}/docs/compatibility.md"
sys.path.insert(0, f"{ROOT}/Tests/blackbox")

import differences  # noqa: E402


def marks():
    """[(file, reason, whole)] of the marks `sluice_only`: whole files, and single tests."""
    found = []
    for path in sorted(glob.glob(f"{ROOT}/Tests/blackbox/test_*.py")):
        with open(path) as f:
            tree = ast.parse(f.read())
        reasons = {}  # names of module-level marks: NAME = pytest.mark.sluice_only(...)
        for node in tree.body:
            if isinstance(node, ast.Assign) and (reason := reason_of(node.value)):
                reasons[node.targets[0].id] = reason
        name = os.path.basename(path)
        if "pytestmark" in reasons:
            found.append((name, reasons["pytestmark"], True))
        for node in tree.body:
            for decorator in getattr(node, "decorator_list", []):
                reason = reason_of(decorator) or (reasons.get(decorator.id) if isinstance(decorator, ast.Name) else None)
                if reason:
                    found.append((name, reason, False))
    return found


def reason_of(node):
    """The reason of `pytest.mark.sluice_only("...")`, alone or in a list of marks."""
    if isinstance(node, ast.List):
        return next((reason for each in node.elts if (reason := reason_of(each))), None)
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.sluice_only":
        return node.args[0].value
    return None


def escaped(text):
    return text.replace("|", "\\|")


def page():
    entries = [entry for area in differences.AREAS.values() for entry in area]
    text = f"""# Differences from PgBouncer

Written by `scripts/compatibility.py` from the table that the tests use ([differences.py](../Tests/blackbox/differences.py)); do not edit.

The black-box tests run against PgBouncer, too, from the same configuration files:

```sh
make test-blackbox TARGET=/usr/sbin/pgbouncer
```

The tests of each entry below are expected to fail there. One that passes all the same, and any other that fails, is reported. So this page is
the whole list of what these tests know of, {len(entries)} differences, tried with PgBouncer {differences.TRIED_WITH}. What a user of PgBouncer has to
know for a change of poolers is in [from-pgbouncer.md](using/from-pgbouncer.md).
"""
    for area, list_ in differences.AREAS.items():
        text += f"\n## {area}\n\n| | PgBouncer | Sluice | tests |\n|---|---|---|---|\n"
        for entry in list_:
            functions = dict.fromkeys(re.sub(r"\[.*", "", test, flags=re.S) for test in entry.tests)
            tests = ", ".join(f"`{function}`" for function in functions)
            if not entry.runs:
                tests += " (not run: it would take minutes)"
            if entry.sometimes:
                tests += " (fails at times)"
            text += f"| {escaped(entry.subject)} | {escaped(entry.pgbouncer)} | {escaped(entry.sluice)} | {tests} |\n"
    text += """
## What is not tried with PgBouncer

Some tests are not run there: they are about what only Sluice has, or about answers for which PgBouncer has words of its own. These are whole
files:

"""
    found = marks()
    for name, reason, whole in found:
        if whole:
            text += f"- `{name}`: {reason}\n"
    text += "\nAnd single tests:\n\n"
    for name, reason in dict.fromkeys((name, reason) for name, reason, whole in found if not whole):
        text += f"- `{name}`: {reason}\n"
    return text + """
A test whose configuration has a setting that PgBouncer does not know is passed over, too. `workers` is left out there: PgBouncer has one
thread, and has to give the same answers with it.
"""


def main():
    wanted = page()
    if "--check" in sys.argv[1:]:
        with open(PAGE) as f:
            if f.read() != wanted:
                print("docs/compatibility.md is not up to date: run scripts/compatibility.py", file=sys.stderr)
                return 1
        return 0
    with open(PAGE, "w") as f:
        f.write(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
