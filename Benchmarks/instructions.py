#!/usr/bin/env python3
"""Counts the instructions of the pooler's hot paths, and compares them with instructions.json beside this file.

    Benchmarks/instructions.py                   exits with 1 when a workload takes more than its threshold
    Benchmarks/instructions.py --update          writes what was counted as the new thresholds
    Benchmarks/instructions.py --only prepared   one workload

callgrind counts repeat to within a few instructions, whatever else the machine does; times do not. Each workload is
run with two numbers of turns; the difference is free of start-up. A threshold holds for one compiler and processor
architecture, so each counts with a tolerance (2 %, TOLERANCES): what is meant to be caught is an allocation, a lock or a copy
that came into a path, not a different register. Where the compiler differs from the one of the file, the tolerance
is ten times as large.

Build first: swift build -c release --product instructions
"""
import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
THRESHOLDS = os.path.join(HERE, "instructions.json")
TURNS = (2000, 12000)
# What a message costs must not grow with what is outstanding: the second of each pair has many times more of it.
FLAT = (("names-1000", "names-100000"), ("pipeline-1000", "pipeline-16000"), ("syncs-1000", "syncs-100000"))
# Percent, where more than the default: the tables of names hash with a seed of the process, and it decides how often two meet.
TOLERANCES = {"names-1000": 5.0, "names-100000": 5.0}


def fail(text):
    print(f"instructions.py: {text}", file=sys.stderr)
    sys.exit(3)


def count(binary, name, turns, folder):
    out = os.path.join(folder, "callgrind.out")
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", binary, name, str(turns)]
    # Swift's tables hash with another seed in each process unless it is told not to; OpenSSL hashes with other code on each processor.
    ran = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, SWIFT_DETERMINISTIC_HASHING="1", OPENSSL_ia32cap="0"))
    total = re.search(r"Collected : (\d+)", ran.stderr)
    if ran.returncode or not total:
        fail(f"{' '.join(command)} ended with status {ran.returncode}:\n{ran.stderr[-2000:]}")
    return int(total.group(1))


def compiler():
    said = subprocess.run(["swift", "--version"], capture_output=True, text=True).stdout
    found = re.search(r"Swift version (\S+)", said)
    return f"Swift {found.group(1) if found else 'unknown'} on {platform.machine()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.path.join(HERE, "..", ".build/release/instructions"))
    parser.add_argument("--thresholds", default=THRESHOLDS)
    parser.add_argument("--tolerance", type=float, default=2.0, help="percent")
    parser.add_argument("--only", action="append", help="a workload; may be given again")
    parser.add_argument("--update", action="store_true")
    args = parser.parse_args()
    if not shutil.which("valgrind"):
        fail("valgrind is missing (Debian's package valgrind)")
    if not os.access(args.binary, os.X_OK):
        fail(f"no program {args.binary}: swift build -c release --product instructions")
    known = {}
    if os.path.exists(args.thresholds):
        with open(args.thresholds) as file:
            known = json.load(file)
    elif not args.update:
        fail(f"no file {args.thresholds}; --update writes it")
    names = [line.split("\t") for line in subprocess.run([args.binary], capture_output=True, text=True, check=True).stdout.splitlines()]
    unknown = set(args.only or []) - {name for name, _ in names}
    if unknown:
        fail(f"no workload is called {', '.join(sorted(unknown))}; there are {', '.join(name for name, _ in names)}")
    here = compiler()
    wider = 1 if known.get("compiler") in (None, here) else 10
    if wider != 1:
        print(f"thresholds are of {known['compiler']}, this is {here}: tolerances are {wider} times as large")
    counted, over = {}, []
    print(f"{'workload':<10} {'instructions':>12} {'threshold':>10}  one turn is")
    with tempfile.TemporaryDirectory() as folder:
        for name, unit in names:
            if args.only and name not in args.only:
                continue
            few, many = (count(args.binary, name, turns, folder) for turns in TURNS)
            each = (many - few) / (TURNS[1] - TURNS[0])
            counted[name] = round(each, 1)
            limit = known.get("instructions", {}).get(name)
            mark = ""
            tolerance = max(args.tolerance, TOLERANCES.get(name, 0)) * wider
            if not args.update and limit is None:
                over.append(name)
                mark = "NO THRESHOLD: run with --update"
            elif not args.update and each > limit * (1 + tolerance / 100):
                over.append(name)
                mark = f"TOO MANY: {100 * (each / limit - 1):+.1f} %"
            elif not args.update and each < limit * (1 - tolerance / 100):
                mark = f"fewer ({100 * (each / limit - 1):+.1f} %): --update keeps the gain"
            print(f"{name:<10} {each:>12.1f} {limit if limit is not None else '-':>10}  {unit}  {mark}".rstrip(), flush=True)
    for few, many in FLAT:
        if few in counted and many in counted and counted[many] > 1.1 * counted[few]:
            print(f"{many} takes more than {few}: what is outstanding makes a message dearer")
            over.append(many)
    if args.update:
        with open(args.thresholds, "w") as file:
            json.dump({"compiler": here, "instructions": {**known.get("instructions", {}), **counted}}, file, indent=2)
            file.write("\n")
    if over:
        print(f"over the threshold: {', '.join(over)}", file=sys.stderr)
        sys.exit(1)


main()
