"""What workers tell each other: on threads and with descriptors that were there from the start."""
import os
import threading
import time
import urllib.request

import pytest

import wire
from processes import descriptors_of, free_port, start, wait_until

pytestmark = [pytest.mark.poolers_only, pytest.mark.sluice_only("PgBouncer has one thread")]


def threads_of(pooler):
    names = []
    for number in os.listdir(f"/proc/{pooler.pid}/task"):
        try:
            with open(f"/proc/{pooler.pid}/task/{number}/comm") as f:
                names.append(f.read().strip())
        except FileNotFoundError:
            pass  # ended meanwhile
    return sorted(names)


def at_once(work, count, seconds):
    """So many threads that work until the time is up; returns what went wrong."""
    end, problems = time.monotonic() + seconds, []

    def run(number):
        try:
            while time.monotonic() < end and not problems:
                work(number)
        except (wire.Closed, wire.ServerError, OSError, AssertionError) as e:
            problems.append(repr(e))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return problems


def test_nothing_runs_on_libdispatch(make_pooler):
    """It has a pool of threads, and with it a timer and an epoll set, which were there as soon as tasks had been busy for a second."""
    pooler = make_pooler(workers=3, metrics_listen=f"127.0.0.1:{free_port()}", auth_type="trust", admin_users="app", default_pool_size=2)
    operators = [pooler.connect(database="pgbouncer") for _ in range(4)]
    clients = [pooler.connect() for _ in range(8)]

    def work(number):
        if number == 0:
            with urllib.request.urlopen(f"http://{pooler.settings['metrics_listen']}/metrics", timeout=wire.HANG) as answer:
                assert answer.status == 200
        elif number < 5:
            operators[number - 1].run(wire.query("SHOW CLIENTS") * 20 + wire.query("SHOW STATS") * 20, ready=40).check()
        else:
            assert clients[number - 5].value(f"select {number}") == str(number)

    assert at_once(work, 13, 3) == []
    operators[0].run(wire.query("RELOAD") + wire.query("PAUSE") + wire.query("RESUME"), ready=3).check()
    loops = ["http", "worker-0", "worker-1", "worker-2"]
    assert [name for name in threads_of(pooler) if name != "hashing"] == sorted(loops + ["sluice", "tasks"])
    kinds = list(descriptors_of(pooler.pid).values())
    assert kinds.count("anon_inode:[eventpoll]") == len(loops)
    # One for the ticks of a loop, one for its alarms.
    assert kinds.count("anon_inode:[timerfd]") == 2 * len(loops)


def test_workers_need_no_new_descriptor_to_talk(make_pooler):
    """Nor do commands of the console. libdispatch ended the process where it found none for a file of /proc."""
    pooler = make_pooler(start=False, workers=2, auth_type="trust", admin_users="app", default_pool_size=1, tcp_defer_accept=0)
    pooler.open_files = 300
    pooler.start()
    operators = [pooler.connect(database="pgbouncer") for _ in range(4)]
    clients = [pooler.connect() for _ in range(8)]
    assert clients[0].value("select 1") == "1"

    def limit(number):
        # a program, because the owner of the process may do this, and root not everywhere
        assert start(["prlimit", f"--pid={pooler.pid}", f"--nofile={number}:"]).wait(wire.HANG) == 0

    limit(min(set(range(pooler.open_files)) - set(descriptors_of(pooler.pid))))

    def work(number):
        if number < 4:
            operators[number].run(wire.query("SHOW CLIENTS") * 20 + wire.query("SHOW SERVERS") * 20, ready=40).check()
        else:
            # One server for all of them: it moves between the workers all the time.
            assert clients[number - 4].value(f"select {number}") == str(number)

    assert at_once(work, 12, 4) == []
    operators[0].run(wire.query("RELOAD") + wire.query("RECONNECT"), ready=2)
    operators[1].run(wire.query("PAUSE"), ready=1).check()
    operators[1].run(wire.query("RESUME"), ready=1).check()
    limit(pooler.open_files)
    wait_until(lambda: clients[0].value("select 1") == "1", "a new server")
    assert pooler.connect().value("select 2") == "2"
