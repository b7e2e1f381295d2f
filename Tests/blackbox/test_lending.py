"""Servers that move between workers, and clients that wait beside servers: whoever can be served is served."""
import ctypes
import os
import random
import select
import signal
import threading
import time

import pytest

import wire
from processes import wait_until
from test_pooling import open_servers
from wire import query

pytestmark = [pytest.mark.poolers_only, pytest.mark.sluice_only("PgBouncer has one thread")]


def test_a_server_on_its_way_between_workers_is_a_server(make_pooler, own_postgres):
    # logins failed while the pool's only server was on its way: all who waited heard that there is no server
    own_postgres.sql("alter role app connection limit 1")
    pooler = make_pooler(own_postgres, databases={"lab": {}}, default_pool_size=3, server_login_retry=0.01, workers=4)
    stop, problems, answers = threading.Event(), [], [0] * 12
    clients = [pooler.connect() for _ in answers]

    def work(me):
        while not stop.is_set():
            try:
                assert clients[me].value(f"select {me}") == str(me)
                answers[me] += 1
            except (wire.Closed, wire.ServerError, OSError, AssertionError) as e:
                problems.append((me, e))
                return

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(clients))]
    for t in threads:
        t.start()
    try:
        wait_until(lambda: problems or (min(answers) > 1000 and pooler.log_count("too many connections") > 50), lambda: f"everybody to be served: {answers}")
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert not problems, problems[:3]


@pytest.mark.parametrize("workers", [1, 4])
def test_a_test_that_hangs_keeps_nobody_from_the_next_idle_server(make_pooler, postgres, workers):
    # the client waited until the test was given up, and then for a new server
    pooler = make_pooler(default_pool_size=3, server_check_delay=0.1, server_check_query="select 1", server_connect_timeout=300, workers=workers)
    pids = open_servers(pooler, 3)
    c = pooler.connect()
    wait_until(lambda: len(pooler.servers("lab", "state_change < clock_timestamp() - interval '200 ms'")) == 3, "all servers to have rested")
    with postgres.paused(pids[0]), postgres.paused(pids[1]):
        assert c.pid() == pids[2]


def test_an_idle_server_elsewhere_serves_those_for_whom_one_is_being_opened(make_pooler, own_postgres):
    # a worker in which a server was being opened did not ask for the idle ones of others
    pooler = make_pooler(own_postgres, databases={"lab": {}}, default_pool_size=4, server_connect_timeout=300, workers=4, admin_users="app")
    clients = [pooler.connect() for _ in range(8)]
    console = pooler.connect(database="pgbouncer")
    for _ in range(50):
        # Who asks before the server is back where it is lent from gets another one.
        pids = {c.pid() for c in clients}
        if len(pids) == len(console.query("show servers").rows) == 1:
            break
        console.query("reconnect").check()
    (pid,), opened = pids, pooler.log_count("new connection to server")
    clients[0].rows("begin")
    os.kill(own_postgres.process.pid, signal.SIGSTOP)  # it accepts, and forks nobody
    try:
        for c in clients[1:]:
            c.send(query("select pg_backend_pid()"))
        pooler.wait_log("new connection to server", opened + 1)
        clients[0].rows("commit")
        for c in clients[1:]:
            c.read_until("Z")
        for _ in range(3):
            assert {c.pid() for c in clients} == {pid}
    finally:
        os.kill(own_postgres.process.pid, signal.SIGCONT)


def test_nobody_waits_while_there_are_as_many_servers_as_clients_ask(make_pooler):
    pooler = make_pooler(default_pool_size=3, workers=4)
    open_servers(pooler, 3)
    clients = {c.socket.fileno(): c for c in (pooler.connect() for _ in range(24))}
    poll, draw = select.poll(), random.Random(1)
    for number in clients:
        poll.register(number, select.POLLIN)
    asking, waits = {}, []
    while len(waits) < 5000:
        while len(asking) < 3 and (not asking or draw.random() < 0.8):
            number = draw.choice([n for n in clients if n not in asking])
            clients[number].send(query(draw.choice(["select 1", "select 2", "select pg_sleep(0.001)"])))
            asking[number] = time.monotonic()
        for number, _ in poll.poll(wire.HANG * 1000):
            clients[number].read_until("Z")
            waits.append(time.monotonic() - asking.pop(number))
    # the janitor finds forgotten clients, too, three times a second: a wake-up that is lost shows here
    late = [w for w in waits if w > 0.15]
    assert len(late) < 50, late


class Stopped:
    """`with Stopped(thread):` keeps one thread of another process from running, as a busy machine does for a while."""

    SEIZE, INTERRUPT, DETACH, ALL_THREADS = 0x4206, 0x4207, 17, 0x40000000
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

    def __init__(self, thread):
        self.thread = thread

    def _ask(self, request):
        if self.libc.ptrace(request, self.thread, None, None) < 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def __enter__(self):
        try:
            self._ask(self.SEIZE)
        except OSError:
            pytest.skip("no ptrace here")
        self._ask(self.INTERRUPT)
        os.waitpid(self.thread, self.ALL_THREADS)

    def __exit__(self, *_):
        self._ask(self.DETACH)


def test_a_worker_that_does_not_run_is_not_given_all_servers(make_pooler):
    # its clients waited longest, and went on waiting, while the other worker's servers left for it one after the other
    pooler = make_pooler(default_pool_size=12, workers=2)
    open_servers(pooler, 12)
    clients = {c.socket.fileno(): c for c in (pooler.connect() for _ in range(96))}
    threads = sorted(int(t) for t in os.listdir(f"/proc/{pooler.pid}/task") if "worker" in open(f"/proc/{pooler.pid}/task/{t}/comm").read())
    assert len(threads) == 2
    poll = select.poll()

    def ask(number):
        clients[number].send(query("select pg_sleep(0.001)"))

    for number in clients:
        poll.register(number, select.POLLIN)
        ask(number)

    def answers(count):
        while count > 0:
            for number, _ in poll.poll(wire.HANG * 1000) or pytest.fail("nobody is served"):
                clients[number].read_until("Z")
                ask(number)
                count -= 1

    answers(500)
    with Stopped(threads[1]):
        answers(500)
    answers(500)


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_a_check_before_each_use_is_one_query(make_pooler, workers):
    # a server that was tested for another worker rested again and was tested again: 631,140 queries in 2 s, and clients hung
    pooler = make_pooler(default_pool_size=3, workers=workers, server_check_delay=0, server_check_query="select nextval('lent_checks')")
    clients = [pooler.connect() for _ in range(24)]
    clients[0].rows("drop sequence if exists lent_checks; create sequence lent_checks")
    rounds = 20
    for turn in range(rounds):
        for c in clients:
            c.send(query(f"select {turn}"))
        for c in clients:
            assert c.read_until("Z").values == [str(turn)]
    for c in clients:
        assert c.value("select 1") == "1"
    checks, queries = int(clients[0].value("select last_value from lent_checks")), (rounds + 1) * len(clients)
    assert checks <= 2 * queries, f"{checks} checks for {queries} queries"
