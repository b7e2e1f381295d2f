#!/usr/bin/env python3
"""Plays random pipelines to PostgreSQL and through the pooler, and reports every difference. README.md tells the rest.

    Tests/differential/run.py --seconds 60 --seed 1
    Tests/differential/run.py --only 1/tx1/4711        # one pipeline of a run again
    Tests/differential/run.py --play finding.json      # a pipeline that was stored
"""
import argparse
import json
import multiprocessing
import os
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from environment import LANES, DirectTarget, Environment, PoolerTarget  # noqa: E402

import lane as lanes_  # noqa: E402
from holds import FEATURES, held  # noqa: E402
from model import ModelComparison  # noqa: E402
from pipeline import Pipeline  # noqa: E402
from story import Story  # noqa: E402

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pooler", default=os.path.join(ROOT, ".build/release/sluice"), help="the binary under test")
    parser.add_argument("--model", default=os.path.join(ROOT, ".build/release/model-postgres"), help="the model PostgreSQL; '' leaves it out")
    parser.add_argument("--direct", action="store_true", help="PostgreSQL in the pooler's place: nothing may differ")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", default=str(time.time_ns() % 1_000_000), help="of the run; a random one unless given")
    parser.add_argument("--first", type=int, default=0, help="number of the first pipeline of each lane")
    parser.add_argument("--lanes", default=",".join(lane.name for lane in LANES), help="some of: %(default)s")
    parser.add_argument("--shrink", type=float, default=8, help="seconds for making one finding small")
    parser.add_argument("--examples", type=int, default=2, help="findings of one kind that are made small in each lane")
    parser.add_argument("--ends", help='only pipelines with these ends, e.g. "go on,terminate"')
    parser.add_argument("--also", default="", help="names of holds.py, with commas: stories with these, too, though they do not hold yet")
    parser.add_argument("--without", default="", help="names of holds.py, with commas: stories without these")
    parser.add_argument(
        "--own", type=int, default=0, help="so many differences in the answers to who sent the pipeline are shown and do not fail the run; a wrong answer to anybody else always does")
    parser.add_argument("--out", help="a folder for the pipelines of the findings, as JSON")
    parser.add_argument("--only", help="SEED/LANE/NUMBER: one pipeline, its two transcripts, and its smallest form if they differ")
    parser.add_argument("--play", help="a file with a pipeline as JSON, as --out writes it")
    options = parser.parse_args()
    for flag in ("also", "without"):
        names = [name.strip() for name in getattr(options, flag).split(",") if name.strip()]
        unknown = [name for name in names if name not in FEATURES]
        if unknown:
            parser.error(f"--{flag} {unknown[0]!r}: expected some of {', '.join(FEATURES)}")
        setattr(options, flag, names)
    options.held = {mode: held(mode, options.also, options.without) for mode in ("transaction", "session")}
    return options


def work(options, environment, lane, queue):
    """In a process of its own."""
    try:
        environment.run_folder.count = 10_000 * (1 + LANES.index(lane))  # folders of its own
        target = DirectTarget(environment, lane) if options.direct else PoolerTarget(options.pooler, environment, lane)
        ends = options.ends.split(",") if options.ends else None
        runner = lanes_.LaneRunner(environment, lane, target, options.seed, options.shrink, options.examples, ends, options.held[lane.mode])
        runner.run(options.seconds, options.first)
        queue.put((lane.name, runner.findings, dict(runner.allowed), runner.played, runner.messages, runner.bystanders.answers))
    except BaseException:
        queue.put((lane.name, traceback.format_exc()))


def compare_model(options, environment, queue):
    """The model PostgreSQL of the unit tests with the real one, for a quarter of the time."""
    try:
        comparison = ModelComparison(environment, options.model)
        reports = comparison.run(max(5, options.seconds / 4), options.seed)
        comparison.close()
        queue.put(("model", reports, comparison.walks, comparison.messages))
    except BaseException:
        queue.put(("model", traceback.format_exc()))


def main():
    options = arguments()
    if options.only or options.play:
        return one(options)
    names = options.lanes.split(",")
    lanes = [lane for lane in LANES if lane.name in names]
    environment = Environment(lanes)
    print(f"seed {options.seed}, {options.seconds:.0f} s, lanes {' '.join(lane.name for lane in lanes)}", flush=True)
    try:
        queue = multiprocessing.Queue()
        workers = [multiprocessing.Process(target=work, args=(options, environment, lane, queue)) for lane in lanes]
        if options.model and not os.access(options.model, os.X_OK):
            print(f"no model at {options.model}: swift build -c release --product model-postgres", flush=True)
            options.model = ""
        if options.model:
            workers.append(multiprocessing.Process(target=compare_model, args=(options, environment, queue)))
        for worker in workers:
            worker.start()
        results = [queue.get() for _ in workers]
        for worker in workers:
            worker.join()
        if environment.troubles():
            print("\nPostgreSQL's log:\n" + environment.troubles())
    finally:
        environment.close()
    return summary(options, results)


def summary(options, results):
    broken = [result for result in results if len(result) == 2]
    for name, trace in broken:
        print(f"\nlane {name} broke:\n{trace}")
    findings, allowed, played, messages, answers = [], {}, 0, 0, 0
    models = ("model", [], 0, 0)
    for result in results:
        if len(result) == 4:
            models = result
        if len(result) > 4:
            findings += result[1]
            for name, count in result[2].items():
                allowed[name] = allowed.get(name, 0) + count
            played, messages, answers = played + result[3], messages + result[4], answers + result[5]
    for report in models[1]:
        print("\n" + report)
    for number, (kind, group) in enumerate(lanes_.group(findings).items()):
        smallest = min(group, key=lambda f: f.size)
        print(f"\n{len(group)} x {smallest.report()}")
        if options.out:
            os.makedirs(options.out, exist_ok=True)
            with open(os.path.join(options.out, f"{number:03d}.json"), "w") as f:
                f.write((smallest.shrunk or smallest.pipeline).to_json())
    print(f"\nseed {options.seed}: {played} pipelines, {messages} messages, {answers} answers to bystanders, {len(findings)} findings of {len(lanes_.group(findings))} kinds")
    if options.model:
        print(f"  {models[2]} walks of {models[3]} messages to the model and to PostgreSQL, {len(models[1])} differences")
    for name, count in sorted(allowed.items(), key=lambda item: -item[1]):
        print(f"  allowed {count} x {name}")
    others = [finding for finding in findings if finding.concerns_others]
    return 1 if others or len(findings) > options.own or broken or models[1] else 0


def one(options):
    if options.only:
        seed, name, number = options.only.rsplit("/", 2)
    else:
        with open(options.play) as f:
            text = f.read()
        pipeline = (Story if '"story"' in text else Pipeline).from_json(text)
        seed, name, number = pipeline.origin.rsplit("/", 2)
    lane = next(lane for lane in LANES if lane.name == (name if options.lanes.count(",") else options.lanes))
    if options.only:
        pipeline = lanes_.KINDS[lane.plays].generate(options.only, int(number), lane, options.held[lane.mode])
    environment = Environment([lane])
    try:
        target = DirectTarget(environment, lane) if options.direct else PoolerTarget(options.pooler, environment, lane)
        runner = lanes_.LaneRunner(environment, lane, target, seed, options.shrink, options.examples, holds=options.held[lane.mode])
        print(pipeline)
        direct = runner.player.play_direct(pipeline)
        pooled = runner.player.play_pooled(pipeline, direct)
        print("PostgreSQL:", lanes_.show_transcript(direct))
        print("pooler:    ", lanes_.show_transcript(pooled))
        runner.player.clean_tables(pipeline.number)
        runner.player.forget_connections()
        runner.examine(pipeline)
        runner.finish()
        for finding in runner.findings:
            print("\n" + finding.report())
        return 1 if runner.findings else 0
    finally:
        environment.close()


if __name__ == "__main__":
    sys.exit(main())
