"""`sluicebench compare` and `verdict`: their own server and poolers come and go, figures arrive in every form."""
import json
import os
import re
import shutil
import signal
import urllib.request

import pytest
from processes import DEADLINE, free_port, wait_until

PGBOUNCER = shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin") or "/usr/sbin/pgbouncer"
SHORT = ["--seconds", "0.5", "--warmup", "0.1", "--quiet"]


def children_of(process):
    """All descendants, as far as they live."""
    found, left = [], [process.pid]
    while left:
        pid = left.pop()
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/children") as file:
                    new = [int(p) for p in file.read().split()]
                    found += new
                    left += new
        except OSError:
            pass
    return found


def alive(pids):
    return [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


with open(os.path.join(os.path.dirname(__file__), "../../docs/sluicebench.md")) as _file:
    DOCUMENTED = _file.read()


def keys(value):
    """All names in a JSON text. What a scenario holds is documented in words."""
    if isinstance(value, list):
        return {key for item in value for key in keys(item)}
    if not isinstance(value, dict):
        return set()
    return set(value) | {key for name, item in value.items() if name not in ("scenario", "outcome") for key in keys(item)}


def test_a_comparison_in_all_its_forms(sluicebench, sluice, tmp_path):
    page, figures, tables = tmp_path / "page.html", tmp_path / "figures.json", tmp_path / "tables.md"
    poolers = [f"sluice={sluice}", "relay", "direct"] + (["pgbouncer"] if os.access(PGBOUNCER, os.X_OK) else [])
    out = sluicebench(
        "compare", "saturated-simple", "chaos", *[part for pooler in poolers for part in ("--pooler", pooler)],
        "--clients", "24", "--rounds", "2", "--base", "sluice", "--html", page, "--json", figures, "--markdown", tables,
        # the server's connections are looked at four times a second
        "--seconds", "1", "--warmup", "0.1", "--quiet",
    )  # fmt: skip
    found = json.loads(figures.read_text())
    saturated, chaos = found["entries"]
    for entry in found["entries"]:
        for target in entry["targets"]:
            assert len(target["runs"]) == 2 and "skipped" not in target, target
            for run in target["runs"]:
                assert run["strangers"] == 0 and run["total"]["succeeded"] > 0
                assert ("cpuPerTransaction" in run) == (target["name"] != "direct")
    costs = {target["name"]: target["runs"][0]["cpuPerTransaction"] for target in saturated["targets"] if target["name"] != "direct"}
    assert all(1 < cost < 10_000 for cost in costs.values()), costs
    # Behind the pooler the server never has more than the pool; 24 clients without one need 24.
    servers = {target["name"]: max(run["peakServers"] for run in target["runs"]) for target in saturated["targets"]}
    assert servers["sluice"] <= 20 and servers["direct"] >= 24
    assert "every row that came back was checked" in out and found["entries"][0]["targets"][0]["runs"][0]["rowsChecked"] > 0
    undocumented = {key for key in keys(found) if f"`{key}`" not in DOCUMENTED}
    assert undocumented == set()
    text = page.read_text()
    assert text.count("<svg") >= 4 and "http" not in text
    assert tables.read_text().startswith("# Benchmarks")
    assert sluicebench.leftovers() == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_comparison_that_is_interrupted_leaves_nothing(sluicebench, sluice, how):
    process = sluicebench.start(
        "compare", "saturated-simple", "--pooler", f"sluice={sluice}", "--pooler", "relay", "--clients", "8", "--rounds", "100", "--seconds", "0.3", "--warmup", "0"
    )
    for line in process.stderr:
        if "round 2" in line:
            break
    started = children_of(process)
    assert len(started) >= 3
    process.send_signal(how)
    out, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert "INTERRUPTED" in out and "sluice" in out
    wait_until(lambda: not alive(started), "its children to end")
    assert sluicebench.leftovers() == []


def test_a_killed_comparison_takes_its_children_along(sluicebench, sluice):
    process = sluicebench.start(
        "compare", "saturated-simple", "--pooler", f"sluice={sluice}", "--pooler", "relay", "--clients", "8", "--rounds", "100", "--seconds", "0.3", "--warmup", "0"
    )
    for line in process.stderr:
        if "round 2" in line:
            break
    started = children_of(process)
    process.kill()
    process.wait()
    wait_until(lambda: not alive(started), "its children to end")


def targets_of(figures):
    """For each scenario, what is known of each pooler."""
    return [{target["name"]: target for target in entry["targets"]} for entry in json.loads(figures.read_text())["entries"]]


def kill_pooler(process, sluice):
    (pooler,) = [pid for pid in children_of(process) if program_of(pid) == os.path.realpath(sluice)]
    os.kill(pooler, signal.SIGKILL)


def test_a_pooler_that_dies_has_another_chance_in_the_next_scenario(sluicebench, sluice, tmp_path):
    figures = tmp_path / "figures.json"
    process = sluicebench.start(
        "compare", "saturated-simple", "saturated-extended", "--pooler", f"sluice={sluice}", "--pooler", "direct", "--clients", "8",
        "--rounds", "1", "--seconds", "1", "--warmup", "0", "--json", figures,
    )  # fmt: skip
    for line in process.stderr:
        if "saturated-simple, round 1 of 1, sluice" in line:
            break
    # It is about to connect, or has connected, or asks already: what it has to say is the same.
    kill_pooler(process, sluice)
    _, said = process.communicate(timeout=DEADLINE + 60)
    assert process.returncode == 0, said
    first, second = targets_of(figures)
    assert first["sluice"]["skipped"] == "the pooler ended by itself with status 137" and first["direct"]["runs"][0]["total"]["succeeded"] > 0
    assert "skipped" not in second["sluice"] and second["sluice"]["runs"][0]["total"]["succeeded"] > 0


def test_a_pooler_that_dies_in_the_middle_of_the_load(sluicebench, sluice, tmp_path):
    figures, port = tmp_path / "figures.json", free_port()
    scenario = json.loads(sluicebench("scenarios", "saturated-simple"))
    scenario["warmup"] = 0
    scenario["groups"][0]["clients"] = 8
    # Longer than anybody waits: only the pooler's death ends it.
    for name, seconds in (("long", 3600), ("short", 0.5)):
        scenario.update(name=name, seconds=seconds)
        (tmp_path / name).write_text(json.dumps(scenario))
    process = sluicebench.start(
        "compare", "--file", tmp_path / "long", "--file", tmp_path / "short", "--pooler", f"sluice={sluice}", "--rounds", "1",
        "--extra", f"sluice:metrics_listen = 127.0.0.1:{port}", "--json", figures,
    )  # fmt: skip

    def queries():
        assert process.poll() is None, process.communicate()
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://127.0.0.1:{port}/metrics", timeout=DEADLINE) as answer:
                return sum(float(line.split()[-1]) for line in answer.read().decode().splitlines() if line.startswith("sluice_queries_total"))
        except OSError:
            return 0

    # Many more than are asked before the load begins.
    wait_until(lambda: queries() > 500, "the load to run")
    kill_pooler(process, sluice)
    _, said = process.communicate(timeout=DEADLINE + 60)
    assert process.returncode == 0, said
    long, short = targets_of(figures)
    assert long["sluice"]["skipped"] == "the pooler ended by itself with status 137" and long["sluice"]["runs"][0]["total"]["succeeded"] > 0
    assert "skipped" not in short["sluice"] and short["sluice"]["runs"][0]["total"]["succeeded"] > 0


# A pooler that cannot be reached any more a moment before it has ended.
DYING = """#!/usr/bin/env python3
import os, re, socket, sys, time
if sys.argv[1] == "--version" or os.path.exists({mark!r}):
    os.execv({sluice!r}, [{sluice!r}, *sys.argv[1:]])
port = int(re.search(r"listen_port = (\\d+)", open(sys.argv[1]).read()).group(1))
with socket.create_server(("127.0.0.1", port)) as listener:
    client = listener.accept()[0]
open({mark!r}, "w").close()
client.close()
time.sleep(0.5)
sys.exit(9)
"""


@pytest.fixture
def dying(sluice, run_folder):
    """A program that dies in the middle of its first login, and is Sluice from then on."""
    folder = run_folder.folder("dying")
    with open(f"{folder}/sluice", "w") as file:
        file.write(DYING.format(mark=f"{folder}/died", sluice=sluice))
    os.chmod(f"{folder}/sluice", 0o755)
    return f"{folder}/sluice"


def test_a_pooler_that_is_not_reached_because_it_is_dying(sluicebench, dying, tmp_path):
    """That nothing listened was all that was said when its sockets were closed already, and its status could not be had yet."""
    figures = tmp_path / "figures.json"
    sluicebench(
        "compare", "saturated-simple", "saturated-extended", "--pooler", f"sluice={dying}", "--clients", "4", "--rounds", "1", "--json", figures, *SHORT
    )
    first, second = targets_of(figures)
    assert first["sluice"]["skipped"] == "the pooler ended by itself with status 9"
    assert second["sluice"]["runs"][0]["total"]["succeeded"] > 0


def test_a_verdict_on_a_pooler_that_dies(sluicebench, dying):
    said = sluicebench("verdict", "--sluice", dying, "--clients", "4", "--rate", "10", *SHORT, status=3)
    assert "the pooler ended by itself with status 9" in said


def program_of(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return None


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
@pytest.mark.skipif(not os.access(PGBOUNCER, os.X_OK), reason="needs pgbouncer")
def test_one_of_two_processes_that_does_not_start_is_not_passed_over(sluicebench, run_folder):
    """Half a pool on half the cores looked like a slow pooler."""
    script = run_folder.folder("half") + "/pgbouncer"
    with open(script, "w") as file:
        file.write(f'#!/bin/sh\ncase "$1" in *-2.ini) exit 1 ;; esac\nexec {PGBOUNCER} "$@"\n')
    os.chmod(script, 0o755)
    said = sluicebench("compare", "saturated-simple", "--cores", "2", "--pooler", f"pgbouncer={script}", *SHORT, status=3)
    assert "pgbouncer did not start" in said


# The file of the example in the documentation.
OWN = re.search(r"cat > own.ini <<'END'\n(.*?)END\n", DOCUMENTED, re.S).group(1)


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.ini"
    path.write_text(OWN)
    return path


def test_any_pooler_by_a_command_line_of_ones_own(sluicebench, sluice, own, tmp_path):
    """And why some of its clients could not log in."""
    figures = tmp_path / "figures.json"
    command = f"'{sluice}' -q {{config}}"
    out = sluicebench(
        "compare", "saturated-simple", "--pooler", f"own:command={command}", "--config", f"own:{own}", "--extra", "own:max_client_conn = 5",
        "--clients", "9", "--rounds", "1", "--json", figures, *SHORT,
    )  # fmt: skip
    (targets,) = targets_of(figures)
    (run,) = targets["own"]["runs"]
    assert run["total"]["succeeded"] > 0 and run["cpuPerTransaction"] > 1 and run["peakServers"] <= 20, "its process is measured"
    assert any(name == "own" and f"`{command}`" in value for name, value in json.loads(figures.read_text())["machine"])
    assert "own: only 5 of 9 clients could log in: 4 because of no more connections allowed (max_client_conn) (08P01)\n" in out
    assert sluicebench.leftovers() == []


@pytest.mark.parametrize(
    "more, words",
    [
        (["--pooler", "own:command="], "expected NAME:command='its command line'"),
        (["--pooler", "own:command=pooler"], "the command has to name {port}, or {config}"),
        (["--pooler", "own:command=pooler {port} {nonsense}"], "there is no {nonsense}; there are {port}"),
        (["--pooler", "own:command=pooler {config}"], "{config} needs --config own:FILE"),
        (["--pooler", "own:command=pooler {port}", "--config", "other:x"], "--config other:x: expected NAME:FILE"),
        (["--pooler", "own:command=pooler {port}", "--config", "own:/nowhere/x"], "cannot read /nowhere/x: No such file"),
        (["--pooler", "own:command=pooler {port}", "--extra", "own:a = 1"], "lines need a file"),
    ],
)
def test_wrong_command_lines_are_told(sluicebench, more, words):
    assert words in sluicebench("compare", "saturated-simple", *more, *SHORT, status=2)


def test_a_command_that_does_not_start_says_what_it_said(sluicebench):
    said = sluicebench("compare", "saturated-simple", "--pooler", "own:command=sh -c 'echo no pooler today; exit 4' {port}", *SHORT, status=3)
    assert "own did not start" in said and "no pooler today" in said


def test_tables_fit_the_terminal(sluicebench, sluice):
    """A row of a comparison has 13 columns."""
    columns = 60
    arguments = ["compare", "saturated-simple", "--pooler", f"sluice={sluice}", "--pooler", "relay", "--pooler", "direct", "--clients", "4", "--rounds", "2"]
    arguments += ["--seconds", "0.3", "--warmup", "0.1"]
    process = sluicebench.start(*arguments, columns=columns)
    out, err = process.communicate(timeout=DEADLINE + 60)
    assert process.returncode == 0, err
    assert max(len(line) for line in out.splitlines()) <= columns, out
    summary, rest = out.split("\nsaturated-simple: ", 1)
    assert "sluice against direct" in summary and "saturated-simple" in summary
    assert "CPU for each transaction, us" in rest and "wait p99, ms" in rest
    left = re.findall(r"round \d of 2, \w+ \(about (\d+):(\d\d) left\)", err)
    seconds = [int(minutes) * 60 + int(rest) for minutes, rest in left]
    assert len(seconds) == 6 and seconds[0] > seconds[-1] >= 1, err


def test_a_pooler_that_does_not_start(sluicebench, sluice):
    said = sluicebench("compare", "saturated-simple", "--pooler", "pgbouncer=/bin/false", *SHORT, status=3)
    assert "pgbouncer did not start" in said
    said = sluicebench("compare", "saturated-simple", "--pooler", "sluice=/nowhere/sluice", *SHORT, status=3)
    assert "there is no program /nowhere/sluice" in said
    said = sluicebench("compare", "saturated-simple", "--pooler", f"sluice={sluice}", "--extra", "sluice:no_such_setting = 1", *SHORT, status=3)
    assert "sluice did not start" in said and "no_such_setting" in said
    assert sluicebench.leftovers() == []


def levels(path):
    return {level["name"]: level for level in json.loads(path.read_text())["levels"]}


def test_a_verdict_that_is_kept(sluicebench, sluice, tmp_path):
    path = tmp_path / "verdict.json"
    # A bound that even a busy machine keeps: what is tested is the verdict, not the machine.
    bounds = ["--p95", "5000", "--served", "0", "--errors", "50"]
    out = sluicebench("verdict", "--sluice", sluice, "--clients", "100", "--rate", "50", "--seconds", "2", "--warmup", "0.2", *bounds, "--quiet", "--json", path)
    assert "Verdict: kept." in out and "MISSED" not in out
    assert {key for key in keys(json.loads(path.read_text())) if f"`{key}`" not in DOCUMENTED} == set()
    found = levels(path)
    assert all(level["isKept"] for level in found.values()), found
    assert found["clients"]["measured"] == "100 logged in"
    assert int(re.match(r"\d+", found["server connections"]["measured"]).group()) <= 20


def test_a_verdict_that_is_missed(sluicebench, sluice, tmp_path):
    path = tmp_path / "verdict.json"
    out = sluicebench("verdict", "--sluice", sluice, "--clients", "50", "--rate", "50", "--seconds", "1", "--warmup", "0.2", "--p95", "0.001", "--quiet", "--json", path, status=1)
    assert "Verdict: MISSED: latency p95" in out
    assert levels(path)["latency p95"]["isKept"] is False


def test_a_verdict_on_a_target_that_is_not_there(sluicebench):
    said = sluicebench("verdict", "--target", "postgres://me@127.0.0.1:1/x", "--clients", "5", "--quiet", status=3)
    assert "cannot reach target" in said


def test_a_missing_server_connection_count_is_not_called_kept(sluicebench, postgres, tmp_path):
    from conftest import url_of

    out = sluicebench(
        "verdict", "--target", url_of(postgres), "--clients", "20", "--rate", "20", "--seconds", "1", "--warmup", "0.2", "--p95", "5000", "--served", "0", "--errors", "50", "--quiet"
    )
    assert "unknown" in out and "needs --admin-url" in out and "as far as it was measured" in out
