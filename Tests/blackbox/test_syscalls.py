"""The budget of design.md section 3: four socket calls a transaction, no epoll_ctl, no EAGAIN probes, saturated or not.

strace attaches to the pooler while a fixed number of transactions passes through a pool with more clients than servers.
"""
import re
import select
import shutil
import subprocess
import urllib.request

import pytest

from postgres import newest_bin
from processes import free_port, wait_until
from wire import ask, bind, execute, parse, query, sync

pytestmark = [
    pytest.mark.needs_strace,
    pytest.mark.sluice_only("PgBouncer needs 7 calls when clients wait, 8 with prepared statements"),
    pytest.mark.skipif(not shutil.which("strace"), reason="needs strace"),
]

CLIENTS, SERVERS, TRANSACTIONS = 16, 4, 4000
# Where an answer comes in two pieces, the second of which arrives between the event of the first and its being read, an event comes that
# says nothing new: with the machine idle for one transaction in a hundred, with the machine busy for one in eight. One more call for each
# transaction would be 1.25, a probe for each 1.0.
SLACK, STRAY = 1.1, 0.25
SOCKET_CALLS = "recvfrom,recvmsg,recvmmsg,sendto,sendmsg,sendmmsg,read,readv,write,writev"


def open_all_servers(pooler):
    clients = [pooler.connect() for _ in range(SERVERS)]
    for c in clients:
        c.rows("begin")
    for c in clients:
        c.rows("commit")
    assert len(pooler.servers()) == SERVERS


def drive(clients, burst_of, transactions):
    """Every client always has one question under way; returns when all were answered. One thread, one epoll."""
    poll = select.epoll()
    by_fd = {c.socket.fileno(): c for c in clients}
    for c in clients:
        poll.register(c.socket.fileno(), select.EPOLLIN)
    sent = answered = 0
    for c in clients:
        c.socket.sendall(burst_of(c))
        sent += 1
    while answered < transactions:
        for fd, _ in poll.poll(30) or pytest.fail("nothing moves"):
            c = by_fd[fd]
            c.buffer += c.socket.recv(65536)
            if c.buffer.endswith(b"Z\0\0\0\5I"):
                assert c.buffer[:1] != b"E", c.buffer
                c.buffer.clear()
                answered += 1
                if sent < transactions:
                    sent += 1
                    c.socket.sendall(burst_of(c))
    poll.close()


class Trace:
    """The pooler's calls on sockets and epoll between enter and exit; of `what`, by name, in `names`."""

    def __init__(self, pooler, what=f"{SOCKET_CALLS},epoll_ctl"):
        self.pooler, self.file, self.what = pooler, f"{pooler.folder}/strace.txt", what

    def __enter__(self):
        self.errors = open(self.file + ".err", "w")
        self.strace = subprocess.Popen(
            ["strace", "-f", "-y", "-s", "0", "-e", f"trace={self.what}", "-e", "signal=none", "-o", self.file, "-p", str(self.pooler.pid)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.errors,
        )

        def attached():
            assert self.strace.poll() is None, open(self.file + ".err").read()
            return " attached" in open(self.file + ".err").read()

        wait_until(attached, "strace to attach")
        return self

    def __exit__(self, *_):
        self.strace.terminate()
        self.strace.wait(30)
        self.errors.close()
        self.calls, self.again, self.epoll_ctl, self.names = {}, 0, 0, {}
        for line in open(self.file, errors="replace"):
            m = re.match(r"\d+ +(?:<\.\.\. )?(\w+)", line)
            if not m:
                continue
            name = m.group(1)
            if " EAGAIN " in line:
                self.again += 1
            if "<... " in line:
                continue  # its beginning was counted
            self.names[name] = self.names.get(name, 0) + 1
            if name == "epoll_ctl":
                self.epoll_ctl += 1
            elif re.search(r"\(\d+<(socket|TCP|UNIX|UNIX-STREAM|TCPv6):", line):
                self.calls[name] = self.calls.get(name, 0) + 1

    @property
    def total(self):
        return sum(self.calls.values())

    def __str__(self):
        return f"{self.total} socket calls {self.calls}, {self.epoll_ctl} epoll_ctl, {self.again} EAGAIN"


def simple(c):
    return query("select 1")


def extended(c):
    return ask("select 1") + sync()


def prepared(c):
    return bind("s") + execute() + sync()


def prepared_with_arguments(c):
    return bind("t", ["some text"]) + execute() + sync()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("clients", [CLIENTS, SERVERS], ids=["saturated", "unsaturated"])
@pytest.mark.parametrize("burst", [simple, extended, prepared, prepared_with_arguments])
def test_four_socket_calls_per_transaction(make_pooler, burst, clients):
    pooler = make_pooler(workers=1, default_pool_size=SERVERS, auth_type="trust")
    members = [pooler.connect() for _ in range(clients)]
    for c in members:
        c.run(parse("s", "select 1"), parse("t", "select $1::text"), sync()).check()
    open_all_servers(pooler)
    drive(members, burst, 500)  # every server knows the statements
    with Trace(pooler) as trace:
        drive(members, burst, TRANSACTIONS)
    print(trace, f"in {TRANSACTIONS} transactions")
    assert trace.total > TRANSACTIONS, f"strace saw too little: {trace}"
    assert trace.total <= 4 * TRANSACTIONS * SLACK, str(trace)
    assert trace.epoll_ctl <= TRANSACTIONS * 0.01, str(trace)
    assert trace.again <= TRANSACTIONS * STRAY, str(trace)


@pytest.mark.timeout(300)
def test_saturated_workers_do_not_pass_servers_to_and_fro(make_pooler):
    """With clients waiting in both workers, each difference between their waits moved a server: once in four transactions, four
    system calls each. Servers stay now where somebody wants them, unless the difference lasts."""
    pooler = make_pooler(workers=2, default_pool_size=20, auth_type="trust")
    script = f"{pooler.folder}/one.sql"
    with open(script, "w") as f:
        f.write("select 1\n")
    clients, each = 64, 200
    load = [f"{newest_bin()}/pgbench", "-n", "-f", script, "-c", str(clients), "-h", "127.0.0.1", "-p", str(pooler.port), "-U", "app"]
    subprocess.run([*load, "-t", "20", "lab"], check=True, capture_output=True, timeout=120)
    with Trace(pooler) as trace:
        subprocess.run([*load, "-t", str(each), "lab"], check=True, capture_output=True, timeout=120)
    print(trace, f"in {clients * each} transactions")
    assert trace.total > clients * each, f"strace saw too little: {trace}"
    # A move takes a server out of one loop and into another; each client comes and goes once, and the pool opens once.
    assert trace.epoll_ctl - 2 * clients <= clients * each * 0.15, str(trace)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("workers", [1, 2])
def test_recording_makes_no_system_call(make_pooler, workers):
    """What is counted and timed is in the worker's own memory: no lock (a futex where two meet), no clock of the kernel's, no file. With
    metrics on and looked at, a transaction makes the calls that it makes without: to read, to write, to wait for events."""
    port = free_port()
    pooler = make_pooler(workers=workers, default_pool_size=SERVERS, auth_type="trust", metrics_listen=f"127.0.0.1:{port}", log_min_duration=3600)
    members = [pooler.connect() for _ in range(SERVERS)]
    open_all_servers(pooler)
    drive(members, simple, 500)
    with Trace(pooler, "all") as trace:
        drive(members, simple, TRANSACTIONS)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://127.0.0.1:{port}/metrics") as answer:
            assert b"sluice_query_seconds_bucket" in answer.read()
    print(trace.names)
    assert sum(trace.names.get(name, 0) for name in SOCKET_CALLS.split(",")) >= 4 * TRANSACTIONS
    # With two workers one may have to wake the other to get a server back.
    others = {name: n for name, n in trace.names.items() if name not in SOCKET_CALLS.split(",") and not name.startswith("epoll_")}
    assert sum(others.values()) <= TRANSACTIONS * 0.02 * workers, others


@pytest.mark.timeout(300)
def test_four_socket_calls_with_different_texts_of_one_name(make_pooler):
    pooler = make_pooler(workers=1, default_pool_size=SERVERS, auth_type="trust")
    members = [pooler.connect() for _ in range(CLIENTS)]
    for i, c in enumerate(members):
        c.run(parse("s", f"select {i % 3}"), sync()).check()
    open_all_servers(pooler)
    drive(members, prepared, 1000)
    with Trace(pooler) as trace:
        drive(members, prepared, TRANSACTIONS)
    print(trace)
    assert TRANSACTIONS < trace.total <= 4 * TRANSACTIONS * SLACK, str(trace)
    assert trace.epoll_ctl <= TRANSACTIONS * 0.01 and trace.again <= TRANSACTIONS * STRAY, str(trace)


@pytest.mark.timeout(300)
def test_changing_settings_cost_no_round_trip(make_pooler):
    # a SET goes out in the same send as the query: the budget holds even where every client has another TimeZone
    pooler = make_pooler(workers=1, default_pool_size=SERVERS, auth_type="trust")
    members = [pooler.connect(parameters={"TimeZone": zone}) for zone in ["UTC", "Asia/Tokyo", "Europe/Vienna", "America/Lima"] * 4]
    open_all_servers(pooler)
    drive(members, simple, 1000)
    with Trace(pooler) as trace:
        drive(members, simple, TRANSACTIONS)
    print(trace)
    assert TRANSACTIONS < trace.total <= 5 * TRANSACTIONS * SLACK, f"at most one more recv for the SET's own answer: {trace}"
    assert trace.epoll_ctl <= TRANSACTIONS * 0.01 and trace.again <= TRANSACTIONS * STRAY, str(trace)
