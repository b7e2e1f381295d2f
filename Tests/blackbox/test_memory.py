"""What either side can make grow, driven to its bound: docs/invariants.md has the table of all of them."""
import struct
import threading

import pytest

import wire
from processes import wait_until
from test_console import console, table
from test_hostile_server import behind  # noqa: F401  a fixture

pytestmark = pytest.mark.sluice_only("bounds on memory that PgBouncer does not have")

MB = 1 << 20


def used(admin, kind):
    """What SHOW MEM says of one kind of things: (number, bytes)."""
    return next((int(r["used"]), int(r["memtotal"])) for r in table(admin, "SHOW MEM") if r["name"] == kind)


def sql(number, size):
    """A statement of that many bytes, told from others by its number."""
    return f"select {number} /*" + "x" * (size - 12 - len(str(number))) + "*/"


# Texts of statements


def test_texts_of_statements_that_nobody_uses_are_bounded_by_bytes(make_pooler):
    """They were counted, not weighed: 40 texts of 20 MB stayed for as long as fewer than 1,024 came."""
    pooler = make_pooler(admin_users="app", max_statement_memory=8 * MB)
    admin, client = console(pooler), pooler.connect()
    before = pooler.memory()
    for number in range(40):
        client.run(wire.parse(f"s{number}", sql(number, MB)), wire.sync()).check()
    assert used(admin, "statement_text_cache") == (40, 40 * MB + 40 * 3)
    assert client.run(wire.bind("s7"), wire.execute(), wire.sync()).check().values == ["7"]
    client.close()
    wait_until(lambda: used(admin, "statement_text_cache")[1] <= 8 * MB, lambda: f"them to be dropped: {used(admin, 'statement_text_cache')}")
    assert pooler.memory() - before < 16 * MB


def test_large_texts_go_first(make_pooler):
    """A few large texts must not push out the many small ones that everybody shares."""
    pooler = make_pooler(admin_users="app", max_statement_memory=4 * MB)
    admin = console(pooler)
    with pooler.connect() as client:
        for number in range(100):
            client.run(wire.parse(f"s{number}", f"select {number}"), wire.sync()).check()
        for number in range(6):
            client.run(wire.parse(f"l{number}", sql(number, MB)), wire.sync()).check()
    wait_until(lambda: used(admin, "statement_text_cache")[1] <= 4 * MB, "the large ones to be dropped")
    assert used(admin, "statement_text_cache")[0] in range(101, 104)


def test_a_lower_budget_takes_effect_at_once(make_pooler):
    """max_statement_memory is asked by SET and RELOAD as by a start."""
    pooler = make_pooler(admin_users="app")
    admin = console(pooler)
    with pooler.connect() as client:
        for number in range(6):
            client.run(wire.parse(f"l{number}", sql(number, MB)), wire.sync()).check()
    assert used(admin, "statement_text_cache")[1] > 6 * MB
    admin.query("SET max_statement_memory = 1000000").check()
    wait_until(lambda: used(admin, "statement_text_cache")[1] <= 1000000, "the texts to be dropped")


# What is received


class Peak:
    """The most memory that a process has while something is done."""

    def __init__(self, pooler):
        self.pooler, self.before, self.most = pooler, pooler.memory(), 0

    def __enter__(self):
        self.done = threading.Event()
        self.watcher = threading.Thread(target=self.watch)
        self.watcher.start()
        return self

    def watch(self):
        while not self.done.wait(0.005):
            self.most = max(self.most, self.pooler.memory())

    def __exit__(self, *_):
        self.done.set()
        self.watcher.join()

    @property
    def rise(self):
        return max(self.most, self.pooler.memory()) - self.before


def send_parse(client, name, size, number=1):
    """A Parse of so many bytes of SQL, without as many in this process."""
    head = f"select {number} /*".encode()
    client.send(b"P" + struct.pack("!I", 4 + len(name) + 1 + size + 1 + 2) + wire.text(name) + head)
    left, piece = size - len(head) - 2, b"x" * MB
    while left:
        part = piece[: min(left, MB)]
        client.send(part)
        left -= len(part)
    client.send(b"*/\0\0\0")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_large_parse_is_held_once_and_interned_once(make_pooler, workers):
    """200 MB took 823 MB: grown by copying, copied for the table, for the burst and for a full socket."""
    pooler = make_pooler(admin_users="app", workers=workers)
    with pooler.connect() as client, Peak(pooler) as peak:
        for name in ("", "a"):
            send_parse(client, name, 200 * MB)
            assert client.run(wire.bind(name), wire.execute(), wire.sync()).check().values == ["1"]
    assert peak.rise < 430 * MB
    wait_until(lambda: pooler.memory() - peak.before < 20 * MB, lambda: f"{pooler.memory() - peak.before} bytes to be given back")


def test_a_large_text_is_parsed_elsewhere_without_a_copy(make_pooler):
    """A server that lacks the statement is sent its text from the table; that went through two buffers more."""
    pooler = make_pooler(default_pool_size=2)
    client, holders = pooler.connect(), [pooler.connect(), pooler.connect()]
    send_parse(client, "large", 100 * MB)
    client.run(wire.sync()).check()
    first = client.pid()
    for holder in holders:
        holder.rows("begin")
    assert first in [holder.pid() for holder in holders]
    with Peak(pooler) as peak:
        for holder in holders:
            if holder.pid() != first:
                holder.rows("rollback")
        # Something behind the text has to keep its place.
        reply = client.run(wire.bind("large"), wire.execute(), wire.ask("select 2"), wire.sync(), wire.query("select 3"), ready=2).check()
        assert reply.values == ["1", "2", "3"] and client.pid() != first
    assert peak.rise < 20 * MB


def test_a_message_that_finds_no_memory_refuses_its_client_alone(make_pooler):
    """A Parse of 400 MB ended the process with SIGILL where it may have 700 MB."""
    pooler = make_pooler(start=False)
    pooler.address_space = 700 * MB
    pooler.start()
    other = pooler.connect()
    for name in ("", "a"):
        with pooler.connect() as client:
            try:
                send_parse(client, name, 400 * MB)
                client.send(wire.sync())
            except wire.Closed:
                pass
            error = client.read_to_end().error
            assert (error.severity, error.code) == ("FATAL", "53200"), error
        assert other.value("select 1") == "1"
        assert pooler.connect().extended("select 2").check().values == ["2"]


@pytest.mark.parametrize("workers", [1, 2])
def test_many_messages_that_find_no_memory_refuse_their_clients(make_pooler, workers):
    """Each of them is small enough; all of them are not."""
    pooler = make_pooler(start=False, workers=workers, default_pool_size=1, client_message_timeout=0)
    pooler.address_space = 700 * MB
    pooler.start()
    other = pooler.connect()
    clients = [pooler.connect() for _ in range(30)]
    refused = 0
    for number, client in enumerate(clients):
        # All but the last byte of 30 MB.
        try:
            client.send(b"P" + struct.pack("!I", 30 * MB) + wire.text(f"s{number}") + b"x" * (30 * MB - 100))
        except wire.Closed:
            refused += 1
    wait_until(lambda: pooler.log_count("pooler error: out of memory") >= 10, "those who found none to be refused")
    assert other.value("select 1") == "1" and pooler.connect().value("select 2") == "2"
    for client in clients:
        client.close()
    assert other.value("select 3") == "3"


# What a server tells


def status(name, value):
    return wire.message("S", wire.text(name) + wire.text(value))


WELCOME = wire.message("R", struct.pack("!I", 0)) + status("server_version", "15.0") + status("client_encoding", "UTF8") + wire.message("K", struct.pack("!II", 1, 2)) + wire.message("Z", b"I")


def test_a_server_that_never_stops_telling_at_its_login(behind):
    """1,000 parameters of 1 MB were kept: 960 MB."""

    def talk(s):
        s.sendall(wire.message("R", struct.pack("!I", 0)))
        for number in range(1000):
            s.sendall(status(f"p{number}", "x" * (MB - 100)))
        s.sendall(WELCOME)

    pooler = behind(talk)
    with Peak(pooler) as peak:
        with pytest.raises(wire.ServerError, match="the server reports too many parameters"):
            pooler.connect(database="fake")
    assert peak.rise < 16 * MB
    assert pooler.connect(database="lab").value("select 1") == "1"


def test_a_server_that_never_stops_telling_between_answers(behind):
    """Each value made a set of its own, all of them larger than the one before."""

    def talk(s):
        s.sendall(WELCOME)
        while s.recv(100_000):
            for number in range(3000):
                s.sendall(status(f"p{number}", "x" * 50_000))
            s.sendall(wire.message("I") + wire.message("Z", b"I"))

    pooler = behind(talk)
    client = pooler.connect(database="fake")
    with Peak(pooler) as peak:
        reply = client.query("select 1")
    assert len(reply.parameters) == 3000 and reply.status == "I"
    assert peak.rise < 16 * MB
    pooler.wait_log("closing because: it reports too many parameters")


def test_a_parameter_too_long_to_be_looked_at_ends_its_server(behind):
    """Nobody knew its value, so the next client ran its query under it."""

    def talk(s):
        s.sendall(WELCOME)
        while s.recv(100_000):
            s.sendall(status("search_path", "x" * 300_000) + wire.message("I") + wire.message("Z", b"I"))

    pooler = behind(talk)
    client = pooler.connect(database="fake")
    assert len(client.query("select 1").parameters["search_path"]) == 300_000
    pooler.wait_log("closing because: it reports too many parameters")


def test_values_that_clients_made_up_are_not_kept(make_pooler):
    """Each search_path that a server had once accepted was remembered: 10,000 of 9 KB for each pool."""
    pooler = make_pooler(auth_type="trust", max_client_conn=3000)
    before = pooler.memory()
    for number in range(1500):
        with pooler.connect(parameters={"search_path": f"s{number}" + "x" * 9000}) as client:
            client.query("select 1").check()
    assert pooler.memory() - before < 24 * MB
