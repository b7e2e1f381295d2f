"""`sluicebench run`: every scenario works, every answer is checked, what is wrong is said."""
import json
import os
import resource
import signal
import socket
import subprocess
import threading

import pytest
from conftest import url_of
from processes import DEADLINE, wait_until

SHORT = ["--seconds", "0.5", "--warmup", "0.1", "--quiet"]


@pytest.fixture(scope="session")
def prepared(binary, postgres):
    owner = url_of(postgres)
    postgres.sql("alter role app superuser")
    subprocess.run([binary, "prepare", "--target", owner, "--tenants", "3", "--tenant-password", "app-pw"], check=True)
    return owner


def results(sluicebench, tmp_path, *arguments, status=0):
    path = tmp_path / "result.json"
    sluicebench("run", *arguments, "--json", path, status=status)
    found = json.loads(path.read_text())
    os.unlink(path)
    return found


@pytest.mark.parametrize("name", ["steady", "saturated", "serverless", "transactions", "bulk", "logins"])
def test_scenarios_measure_something_and_every_row_is_right(sluicebench, prepared, tmp_path, name):
    for result in results(sluicebench, tmp_path, name, "--target", prepared, "--clients", "12", *SHORT):
        total = result["total"]
        assert total["succeeded"] > 0 and total["failed"] == 0 and result["strangers"] == 0, result
        assert result["outcome"] == {"complete": {}}
        latency = total["latency"]
        assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["p999"] <= latency["max"]
        assert total["service"]["p50"] <= latency["p50"] * 1.01 + 1  # service is a part of latency
        assert ("login" in total) == (name in ("serverless", "logins"))


def test_open_arrivals_come_at_their_rate_whatever_the_answers(sluicebench, prepared, tmp_path):
    (result,) = results(sluicebench, tmp_path, "steady-simple", "--target", prepared, "--rate", "200", *SHORT)
    due = sum(second["due"] for second in result["seconds"])
    assert 60 < due < 150
    # Poisson with a seed: the same number each time. (It was not: the window began whenever a timer fired.)
    (again,) = results(sluicebench, tmp_path, "steady-simple", "--target", prepared, "--rate", "200", *SHORT)
    assert due == sum(second["due"] for second in again["seconds"])
    (other,) = results(sluicebench, tmp_path, "steady-simple", "--target", prepared, "--rate", "200", "--seed", "99", *SHORT)
    assert due != sum(second["due"] for second in other["seconds"])


def test_tenants_log_in_as_themselves(sluicebench, prepared, tmp_path, postgres):
    scenario = json.loads(sluicebench("scenarios", "mixed"))
    scenario.update(seconds=1, warmup=0.2)
    scenario["groups"][0].update(clients=6, tenants=3)
    scenario["groups"][1].update(clients=4)
    path = tmp_path / "own.json"
    path.write_text(json.dumps(scenario))
    (result,) = results(sluicebench, tmp_path, "--file", path, "--target", prepared, "--quiet")
    assert [group["name"] for group in result["groups"]] == ["small", "greedy"]
    assert all(group["succeeded"] > 0 and group["failed"] == 0 for group in result["groups"])


def test_idle_measures_memory_of_the_processes_given(sluicebench, prepared, tmp_path, postgres):
    (result,) = results(
        sluicebench, tmp_path, "idle", "--target", prepared, "--clients", "20", "--pid", postgres.process.pid, *SHORT
    )
    memory = result["memory"]
    assert memory["clients"] == 20 and result["total"]["succeeded"] == 20
    # PostgreSQL needs a process for each.
    assert (memory["connected"] - memory["before"]) / 20 > 100_000
    assert result["cpuSeconds"] > 0


def test_chaos_finds_no_wrong_answer_and_goes_on(sluicebench, prepared, tmp_path, postgres):
    admin = f"host={postgres.socket_dir} port={postgres.port} user=postgres dbname=postgres"
    (result,) = results(
        sluicebench, tmp_path, "chaos", "--target", prepared, "--admin-url", admin, "--clients", "40", "--seconds", "4", "--warmup", "0.2", "--quiet"
    )
    assert result["strangers"] == 0
    codes = {error["sqlState"] for error in result["total"]["errors"]}
    assert "57P01" in codes and "57014" in codes, result["total"]["errors"]
    assert all(group["succeeded"] > 0 for group in result["groups"]), result
    assert result["peakServers"] >= 30


def test_system_calls_are_counted_for_each_transaction(sluicebench, prepared, tmp_path, postgres):
    (result,) = results(
        sluicebench, tmp_path, "saturated-simple", "--target", prepared, "--clients", "4", "--pid", postgres.process.pid, "--system-calls", *SHORT
    )
    # A backend answers once, and reads once, or twice where it looked for the next query too early.
    calls = result["systemCalls"]
    assert 0.9 < calls["sendto"] < 1.2 and 0.9 < calls["recvfrom"] < 2.4, calls
    assert not result["notes"], result["notes"]


class Proxy(threading.Thread):
    """Forwards. What it does to the bytes is for those that derive from it."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.server_port = port

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.server_port))
            threading.Thread(target=self.forth, args=(client, server), daemon=True).start()
            threading.Thread(target=self.back, args=(server, client), daemon=True).start()

    def asked(self, data):
        return data

    def answered(self, data):
        return data

    def forth(self, source, sink):
        self.copy(source, sink, self.asked)

    def back(self, source, sink):
        self.copy(source, sink, self.answered)

    def copy(self, source, sink, change):
        try:
            while data := source.recv(65536):
                sink.sendall(change(data))
        except OSError:
            pass
        sink.close()


class LyingProxy(Proxy):
    """After a while gives every client the answers meant for the one before it."""

    count, last = 0, None

    def answered(self, data):
        if b"g0c" in data and b"n" in data and data.startswith(b"T"):
            self.count += 1
            previous, self.last = self.last, data
            if self.count % 10 == 0 and previous and len(previous) == len(data):
                return previous  # somebody else's row, or an old one
        return data


def test_a_pooler_that_mixes_up_answers_is_found_out(sluicebench, prepared, postgres, tmp_path):
    proxy = LyingProxy(postgres.port)
    proxy.start()
    target = prepared.replace(f":{postgres.port}/", f":{proxy.port}/")
    said = sluicebench("run", "saturated-simple", "--target", target, "--clients", "6", *SHORT, status=1)
    proxy.listener.close()
    assert "WRONG ANSWERS" in said and "asked as" in said and "the answer says" in said


class CancelMixer(Proxy):
    """Turns a cancel request against somebody else's connection: that of the one who logged in next."""

    def __init__(self, port):
        super().__init__(port)
        self.keys = []

    def answered(self, data):
        at = data.find(b"K\0\0\0\x0c")
        if at >= 0:
            self.keys.append(data[at + 5 : at + 13])
        return data

    def asked(self, data):
        if len(data) == 16 and data[4:8] == bytes([4, 210, 22, 46]) and data[8:] in self.keys:
            return data[:8] + self.keys[(self.keys.index(data[8:]) + 1) % len(self.keys)]
        return data


def sleepers(sluicebench, path, clients):
    """A scenario file: everybody's statement takes a while, and now and then one is cancelled by who asked it."""
    scenario = json.loads(sluicebench("scenarios", "chaos"))
    group = next(group for group in scenario["groups"] if group["name"] == "sleepers")
    group["clients"] = clients
    scenario.update(groups=[group], faults=[{"cancels": {"count": 1, "every": 0.3}}], seconds=3, warmup=0.2)
    path.write_text(json.dumps(scenario))
    return path


def test_a_cancel_that_hits_somebody_else_is_found_out(sluicebench, prepared, postgres, tmp_path):
    proxy = CancelMixer(postgres.port)
    proxy.start()
    target = prepared.replace(f":{postgres.port}/", f":{proxy.port}/")
    said = sluicebench("run", "--file", sleepers(sluicebench, tmp_path / "own.json", 20), "--target", target, "--quiet", status=1)
    proxy.listener.close()
    assert "a cancel reached a statement that nobody had asked to cancel" in said


def test_a_cancel_that_hits_who_asked_for_it_is_no_wrong_answer(sluicebench, prepared, tmp_path):
    (result,) = results(sluicebench, tmp_path, "--file", sleepers(sluicebench, tmp_path / "own.json", 20), "--target", prepared, "--quiet")
    assert {error["sqlState"] for error in result["total"]["errors"]} == {"57014"} and result["strangers"] == 0


class Fool(Proxy):
    """Says ROLLBACK where a transaction was committed, as a pooler would that lost one and hides it."""

    def answered(self, data):
        return data.replace(b"C\0\0\0\x0bCOMMIT\0", b"C\0\0\0\x0dROLLBACK\0")


def test_a_commit_that_was_none_is_found_out(sluicebench, prepared, postgres):
    proxy = Fool(postgres.port)
    proxy.start()
    target = prepared.replace(f":{postgres.port}/", f":{proxy.port}/")
    said = sluicebench("run", "transactions", "--target", target, "--clients", "4", "--rate", "40", *SHORT, status=1)
    proxy.listener.close()
    assert "ROLLBACK instead of COMMIT" in said


# bad input


def test_an_unreachable_target(sluicebench):
    said = sluicebench("run", "steady-simple", "--target", "postgres://me@127.0.0.1:1/x", *SHORT, status=3)
    assert "cannot reach target at 127.0.0.1:1" in said and "Connection refused" in said


def test_a_target_that_never_answers(sluicebench):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        said = sluicebench("run", "steady-simple", "--target", f"postgres://me@127.0.0.1:{port}/x", "--patience", "1", *SHORT, status=3)
    assert "no answer in 1 s" in said


def test_a_wrong_password(sluicebench, postgres):
    said = sluicebench("run", "steady-simple", "--target", url_of(postgres, "scram_user", "wrong"), *SHORT, status=3)
    assert "refuses the login" in said and "scram_user" in said and "28P01" in said


class StrictProxy(Proxy):
    """Refuses passwords as PgBouncer and Sluice do, as a violation of the protocol."""

    def answered(self, data):
        return data.replace(b"C28P01", b"C08P01")


def test_a_wrong_password_at_a_pooler(sluicebench, postgres):
    proxy = StrictProxy(postgres.port)
    proxy.start()
    target = f"postgres://scram_user:wrong@127.0.0.1:{proxy.port}/app?sslmode=disable"
    said = sluicebench("run", "steady-simple", "--target", target, *SHORT, status=3)
    assert "refuses the login" in said and "scram_user" in said and "08P01" in said
    right = url_of(postgres, "scram_user").replace(f":{postgres.port}/", f":{proxy.port}/")
    said = sluicebench("run", "mixed", "--target", right, *SHORT, status=3)
    assert "user sluicebench_1" in said and "sluicebench prepare --tenants 30" in said
    proxy.listener.close()


def test_a_report_says_with_how_many_clients(sluicebench, prepared):
    """The summary said 64 clients, whatever --clients was."""
    assert "here with --clients 3" in sluicebench("run", "saturated-simple", "--target", prepared, "--clients", "3", *SHORT)
    assert "here with --rate 50" in sluicebench("run", "steady-simple", "--target", prepared, "--rate", "50", *SHORT)


def test_missing_tables_and_tenants_are_named(sluicebench, postgres):
    target = url_of(postgres, "scram_user", database="lab")
    assert "sluicebench prepare" in sluicebench("run", "transactions", "--target", target, *SHORT, status=3)
    assert "sluicebench_1" in sluicebench("run", "mixed", "--target", target, *SHORT, status=3)


def test_too_few_file_descriptors(sluicebench, postgres):
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))

    said = sluicebench("run", "idle", "--target", url_of(postgres), "--clients", "1000", *SHORT, status=3, preexec_fn=few)
    assert "1,000 clients need 1,0" in said and "may have 200" in said and "ulimit -n" in said


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["run", "steady-simple", "--target", "postgres://[oops"], "not a connection URL"),
        (["run", "no-such-thing", "--target", "postgres://x"], 'no scenario is called "no-such-thing"'),
        (["run", "steady-simple", "--target", "postgres://127.0.0.1:1/x", "--clients", "0"], "--clients: expected 1 to 50000"),
        (["run", "steady-simple", "--target", "postgres://127.0.0.1:1/x", "--seconds", "0"], "seconds: expected more than 0"),
        (["run", "saturated-simple", "--target", "postgres://127.0.0.1:1/x", "--rate", "5"], "no group of saturated-simple has open arrivals"),
        (["run", "steady-simple", "--target", "postgres://127.0.0.1:1/x", "--pid", "999999999"], "no process 999999999"),
        (["run", "--file", "/nowhere.json", "--target", "postgres://127.0.0.1:1/x"], "cannot read the scenario /nowhere.json"),
        (["compare", "--pooler", "odyssey"], "KIND is one of sluice, pgbouncer"),
        (["compare", "--pooler", "relay", "--base", "other"], "no pooler has that name"),
        (["compare", "--cores", "1000"], "--cores: expected 1 to"),
        (["compare", "--pooler", "relay", "--pooler", "relay"], "two have the same name"),
        (["compare", "--json", "/nowhere/figures.json"], "cannot write /nowhere/figures.json: No such file"),
        (["run", "steady-simple", "--target", "postgres://127.0.0.1:1/x", "--json", "/proc/nothing"], "cannot write /proc/nothing"),
        (["verdict", "--target", "postgres://127.0.0.1:1/x", "--p95", "0"], "--p95 and --errors: expected more than 0"),
        (["run", "--target", "postgres://127.0.0.1:1/x"], "Which scenario?"),
        (["compare", "--no-such-option"], "Unknown option"),
        (["no-such-command"], "Unexpected argument"),
    ],
)
def test_wrong_calls(sluicebench, arguments, words):
    assert words in sluicebench(*arguments, status=2)


def test_a_scenario_file_with_a_mistake_says_where(sluicebench, tmp_path):
    scenario = json.loads(sluicebench("scenarios", "steady-simple"))
    path = tmp_path / "own.json"
    scenario["groups"][0]["clients"] = "many"
    path.write_text(json.dumps(scenario))
    assert "groups.Index 0.clients" in sluicebench("run", "--file", path, "--target", "postgres://127.0.0.1:1/x", status=2)
    del scenario["groups"]
    path.write_text(json.dumps(scenario))
    assert '"groups" is missing' in sluicebench("run", "--file", path, "--target", "postgres://127.0.0.1:1/x", status=2)
    path.write_text("{")
    assert str(path) in sluicebench("run", "--file", path, "--target", "postgres://127.0.0.1:1/x", status=2)


def test_help_is_no_mistake(sluicebench):
    assert "USAGE: sluicebench" in sluicebench("--help")


def test_what_was_measured_before_a_failure_is_not_lost(sluicebench, prepared, postgres, tmp_path):
    path = tmp_path / "result.json"
    target = url_of(postgres, "scram_user", database="lab")  # has no tables
    said = sluicebench("run", "saturated-simple", "transactions", "--target", target, "--clients", "2", "--json", path, *SHORT, status=3)
    assert "sluicebench prepare" in said
    assert [result["scenario"] for result in json.loads(path.read_text())] == ["saturated-simple"]


def test_a_command_that_does_not_restart_the_server_is_named(sluicebench, prepared, tmp_path):
    (result,) = results(
        sluicebench, tmp_path, "chaos", "--target", prepared, "--clients", "10", "--restart-command", "exit 7", "--seconds", "1", "--warmup", "0", "--quiet"
    )
    assert any("exit 7" in note and "status 7" in note for note in result["notes"]), result["notes"]


# endings


def started(process):
    """Until the load runs: its progress goes to stderr."""
    for line in process.stderr:
        if "window" in line:
            return
    raise AssertionError("it ended before the window")


def test_ctrl_c_prints_what_there_is(sluicebench, prepared, postgres):
    process = sluicebench.start("run", "steady-simple", "--target", prepared, "--clients", "5", "--seconds", "600", "--warmup", "0")
    started(process)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert "INTERRUPTED" in out and "transactions" in out and "every row that came back was checked" in out
    wait_until(lambda: not postgres.backends("app", "application_name = 'sluicebench'"), "its connections to end")


def test_a_target_that_dies_in_the_middle(sluicebench, own_postgres):
    process = sluicebench.start(
        "run", "steady-simple", "--target", url_of(own_postgres), "--clients", "5", "--seconds", "600", "--warmup", "0", "--patience", "2"
    )
    started(process)
    own_postgres.kill()
    out, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 3
    assert "THE TARGET STOPPED: nobody got an answer for" in out and "Connection refused" in out
