#!/usr/bin/env python3
"""`make mutants`: changes one thing at a time in the code that decides who gets a server, and looks whether tests notice.

    scripts/mutants.py --count 40 --seed 7        # so many changes, drawn from the seed
    scripts/mutants.py --list                     # all places that could be changed, without changing any
    scripts/mutants.py --only 1234                # one of them again, by the number that a run has printed

A mutant is *killed* when the program does not compile, a unit test fails, or the simulation finds something (docs/simulator.md, for
SIMULATE_SECONDS=60). What *survives* is printed with its place, to be looked at one by one: either a test is missing, or the change makes
no difference. The work is done in a copy of the tree, whose build folder is kept between mutants and thrown away at the end.
"""
import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
SUBJECT = "Sources/PoolCore/Pool"
TESTS = "PoolCoreTests|PoolerTests"

TURNED = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "==", "===": "!==", "!==": "===", "&&": "||", "||": "&&"}
COMPARISON = re.compile(r" (<=|>=|===|!==|==|!=|<|>|&&|\|\|) ")
CONDITION = re.compile(r"^(\s*(?:\} else )?(?:if|guard|while) )([^{,]*?)( \{| else \{)")
NUMBER = re.compile(r"(?<![\w.$#\"])(\d[\d_]*)(?![\w.\"])")
BOOLEAN = re.compile(r"\b(true|false)\b")
# A statement by itself: an assignment or a call. What declares something is needed by what follows.
STATEMENT = re.compile(r"^\s+(?!let |var |case |return\b|guard |if |for |while |switch |func |default|break|continue|fallthrough|///|//|\}|@|import |public |private |mutating |static )[\w.$?!\[\]()&]+.*[\w)\]]$")


class Mutant:
    def __init__(self, number, path, line, before, after, what):
        self.number, self.path, self.line, self.before, self.after, self.what = number, path, line, before, after, what

    def __str__(self):
        return f"{self.number}: {self.path}:{self.line + 1}: {self.what}\n    - {self.before.strip()}\n    + {self.after.strip() or '(left out)'}"


def code_of(line):
    """The line without its comment and the contents of its strings, of the same length."""
    text = re.sub(r'"(?:\\.|[^"\\])*"', lambda m: '"' + " " * (len(m.group()) - 2) + '"', line)
    at = text.find("//")
    return text if at < 0 else text[:at] + " " * (len(text) - at)


def mutants_of(path):
    """Every change that could be made to a file: (line, before, after, what)."""
    with open(os.path.join(ROOT, path)) as file:
        lines = file.read().split("\n")
    depth = 0
    for number, line in enumerate(lines):
        code = code_of(line)
        at_statement = depth == 0
        depth = max(0, depth + code.count("(") + code.count("[") - code.count(")") - code.count("]"))
        for m in COMPARISON.finditer(code):
            yield number, line, line[: m.start(1)] + TURNED[m.group(1)] + line[m.end(1):], "a comparison turned"
        m = CONDITION.match(code)
        if m and not re.search(r"\b(let|var|case|await|try)\b", m.group(2)) and m.group(2).strip():
            start, end = m.start(2), m.end(2)
            yield number, line, f"{line[:start]}!({line[start:end]}){line[end:]}", "a condition negated"
        for m in NUMBER.finditer(code):
            value = int(m.group(1).replace("_", ""))
            yield number, line, line[: m.start()] + str(value + 1) + line[m.end():], "a constant off by one"
        for m in BOOLEAN.finditer(code):
            yield number, line, line[: m.start()] + ("false" if m.group() == "true" else "true") + line[m.end():], "a constant turned"
        if at_statement and depth == 0 and STATEMENT.match(code):
            yield number, line, "", "a statement left out"


def all_mutants(subject):
    found = []
    for folder, _, files in sorted(os.walk(os.path.join(ROOT, subject))):
        for name in sorted(files):
            if name.endswith(".swift"):
                path = os.path.relpath(os.path.join(folder, name), ROOT)
                found += [Mutant(0, path, *parts) for parts in mutants_of(path)]
    for number, mutant in enumerate(found):
        mutant.number = number
    return found


class Bench:
    """A copy of the tree, in which one file at a time is another one."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.folder = tempfile.mkdtemp(prefix="sluice-mutants-")
        files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in files.split("\n"):
            if name and os.path.isfile(os.path.join(ROOT, name)):
                os.makedirs(os.path.dirname(os.path.join(self.folder, name)), exist_ok=True)
                shutil.copy2(os.path.join(ROOT, name), os.path.join(self.folder, name))

    def run(self, *command, timeout):
        try:
            done = subprocess.run(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout)
            return done.returncode, done.stdout
        except subprocess.TimeoutExpired:
            return None, ""

    def verdict(self):
        """Why the tree as it is now is refused; None: nobody notices anything."""
        status, _ = self.run("swift", "build", "--build-tests", timeout=1800)
        if status != 0:
            return "does not compile"
        status, output = self.run("swift", "test", "--skip-build", "--filter", TESTS, timeout=600)
        if status != 0:
            names = re.findall(r'Test "?([\w().:]+)"? (?:failed|recorded an issue)', output)
            return "unit tests" + (f": {names[0]}" if names else " hang" if status is None else "")
        if self.seconds:
            seed = str(random.SystemRandom().randrange(1 << 32))
            status, output = self.run(
                ".build/debug/simulate", "--seconds", str(self.seconds), "--seed", seed, "--count", "1000000", timeout=60 + 10 * self.seconds)
            if status != 0:
                return f"the simulation, with seed {seed}"
        return None

    def test(self, mutant):
        path = os.path.join(self.folder, mutant.path)
        with open(path) as file:
            whole = file.read()
        lines = whole.split("\n")
        lines[mutant.line] = mutant.after
        try:
            with open(path, "w") as file:
                file.write("\n".join(lines))
            return self.verdict()
        finally:
            with open(path, "w") as file:
                file.write(whole)

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--only", type=int, action="append")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--subject", default=SUBJECT, help=f"a folder of Swift sources ({SUBJECT})")
    parser.add_argument("--seconds", type=int, default=int(os.environ.get("SIMULATE_SECONDS", "60")), help="of simulation; 0: unit tests alone")
    options = parser.parse_args()
    found = all_mutants(options.subject)
    if options.list:
        print("\n".join(map(str, found)))
        return 0
    if options.only:
        chosen = [found[number] for number in options.only]
    else:
        chosen = random.Random(options.seed).sample(found, min(options.count, len(found)))
    print(f"seed {options.seed}: {len(chosen)} of {len(found)} changes in {options.subject}", flush=True)
    bench, survivors = Bench(options.seconds), []
    try:
        if reason := bench.verdict():
            print(f"nothing was changed, and yet: {reason}")
            return 2
        for mutant in chosen:
            started = time.monotonic()
            reason = bench.test(mutant)
            print(f"{'killed' if reason else 'SURVIVES'} after {time.monotonic() - started:.0f} s ({reason or 'nobody noticed'}): {mutant}", flush=True)
            if not reason:
                survivors.append(mutant)
    finally:
        bench.close()
    print(f"\n{len(chosen) - len(survivors)} of {len(chosen)} killed; survivors:")
    print("\n".join(map(str, survivors)) or "none")
    return 0


if __name__ == "__main__":
    sys.exit(main())
