"""A cancel request reaches the query it was meant for, or nothing at all."""
import os
import signal
import struct
import threading
import uuid

import pytest

import wire
from processes import wait_until
from wire import ask, bind, execute, flush, parse, query, sync


def running(looker, mark):
    """Is a query with this mark running? Asked through the pooler, so that a URL is enough."""
    return looker.value(f"select count(*) from pg_stat_activity where state = 'active' and query like '%{mark}%' and pid <> pg_backend_pid()") != "0"


def sleep_marked(client, looker, seconds=100, wrap=query):
    mark = uuid.uuid4().hex
    client.send(wrap(f"select pg_sleep({seconds}) /* {mark} */"))
    wait_until(lambda: running(looker, mark), "the query to run")
    return mark


@pytest.mark.parametrize("wrap", [query, lambda sql: ask(sql) + sync()], ids=["simple", "extended"])
def test_cancel_hits_its_query_and_the_connection_lives(target, wrap):
    c, looker = target.connect(), target.connect()
    for _ in range(3):
        sleep_marked(c, looker, wrap=wrap)
        c.cancel()
        assert c.read_until("Z").codes == ["57014"]
        assert c.value("select 'alive'") == "alive"


def test_cancel_in_a_transaction_aborts_it(target):
    c, looker = target.connect(), target.connect()
    c.rows("begin")
    sleep_marked(c, looker)
    c.cancel()
    r = c.read_until("Z")
    assert r.codes == ["57014"] and r.status == "E"
    assert c.query("commit").tags == ["ROLLBACK"]


def test_cancel_in_a_pipeline(target):
    c, looker = target.connect(), target.connect()
    mark = uuid.uuid4().hex
    c.send(ask("select 1"), ask(f"select pg_sleep(100) /* {mark} */"), ask("select 3"), sync(), ask("select 4"), sync())
    wait_until(lambda: running(looker, mark), "the query to run")
    c.cancel()
    r = wire.Reply(c.read_until("Z") + c.read_until("Z"))
    assert r.codes == ["57014"] and [m[1][0] for m in r if m[0] == "D"] == ["1", "4"]


def test_cancel_of_a_copy(target):
    c, looker = target.connect(), target.connect()
    c.rows("drop table if exists cancel_copy; create table cancel_copy(i int)")
    mark = uuid.uuid4().hex
    c.send(query(f"copy cancel_copy from stdin /* {mark} */"))
    c.read_until("G")
    c.send(wire.copy_data(b"1\n"))
    wait_until(lambda: running(looker, mark), "the COPY to run")
    c.cancel()
    c.socket.settimeout(0.01)
    while not c.buffer:  # PostgreSQL looks at the cancel when the next data comes
        c.send(wire.copy_data(b"2\n"))
        try:
            c._receive()
        except wire.Hang:
            pass
    c.socket.settimeout(wire.HANG)
    assert c.read_until("E").codes == ["57014"]
    c.send(wire.copy_done())
    c.read_until("Z")
    assert c.value("select count(*) from cancel_copy") == "0"
    c.rows("drop table cancel_copy")


@pytest.mark.parametrize("change", ["secret", "pid", "both", "zero"])
def test_a_wrong_key_is_ignored(target, change):
    holder, c, looker = target.connect(), target.connect(), target.connect()
    lock = uuid.uuid4().int % 10**9
    holder.rows(f"begin; select pg_advisory_xact_lock({lock})")
    mark = uuid.uuid4().hex
    c.send(query(f"select 'finished', pg_advisory_xact_lock({lock}) /* {mark} */"))
    wait_until(lambda: running(looker, mark), "the query to wait for its lock")
    pid, secret = c.key
    other = bytes(b ^ 0x5A for b in secret)
    key = {"secret": (pid, other), "pid": (pid ^ 0x1234, secret), "both": (pid ^ 1, other), "zero": (0, b"\0\0\0\0")}[change]
    wire.cancel(target.address, key)
    assert running(looker, mark)
    holder.rows("commit")
    assert c.read_until("Z").values == ["finished"]


def test_cancel_of_an_idle_client_does_nothing(target):
    idle, busy, looker = target.connect(), target.connect(), target.connect()
    idle.value("select 1")
    sleep_marked(busy, looker)
    for _ in range(10):
        idle.cancel()
    assert idle.value("select 'fine'") == "fine"
    busy.cancel()
    assert busy.read_until("Z").codes == ["57014"]


def test_cancel_of_a_client_that_left_does_nothing(target):
    gone, c, looker = target.connect(), target.connect(), target.connect()
    gone.pid()
    gone.terminate()
    sleep_marked(c, looker)
    for _ in range(10):
        wire.cancel(target.address, gone.key)
    c.cancel()
    assert c.read_until("Z").codes == ["57014"], "one answer: the client's own cancel, for its own query"
    assert c.value("select 1") == "1"


def test_cancel_of_a_waiting_client_leaves_the_running_ones_alone(make_pooler, postgres):
    pooler = make_pooler(default_pool_size=1)
    holder, waiting = pooler.connect(), pooler.connect()
    holder.rows("begin")
    holder.send(query("select 'mine', pg_sleep(0.5)"))
    waiting.send(query("select 'waited'"))
    for _ in range(5):
        waiting.cancel()
    assert holder.read_until("Z").values == ["mine"]
    holder.rows("commit")
    r = waiting.read_until("Z")
    assert r.values == ["waited"] or r.codes == ["57014"], "it may be served or cancelled, and is answered once"
    assert waiting.value("select 1") == "1"


def test_cancel_over_the_unix_socket(make_pooler, postgres):
    pooler = make_pooler()
    c = pooler.connect(address=pooler.socket_path)
    c.send(query("select pg_sleep(100)"))
    wait_until(lambda: pooler.servers("lab", "state = 'active'"), "the query to run")
    c.cancel()
    assert c.read_until("Z").codes == ["57014"]


def test_cancel_when_the_pool_and_max_client_conn_are_full(make_pooler):
    # PgBouncer has deadlocked here: the cancel needs a place, and every place is taken by what it should cancel
    pooler = make_pooler(default_pool_size=2, max_db_connections=2, max_client_conn=1000)
    clients = [pooler.connect() for _ in range(6)]
    for c in clients:
        c.send(query("select pg_sleep(100)"))
    wait_until(lambda: len(pooler.servers("lab", "state = 'active'")) == 2, "two queries to run")
    cancelled = 0
    while cancelled < 6:
        for c in clients:
            c.cancel()
        for c in list(clients):
            c.socket.setblocking(False)
            try:
                part = c.socket.recv(65536)
            except BlockingIOError:
                part = b""
            finally:
                c.socket.settimeout(wire.HANG)
            if part:
                c.buffer += part
                assert c.read_until("Z").codes == ["57014"]
                clients.remove(c)
                cancelled += 1


def test_keys_are_unique_and_not_guessable(target):
    keys = [target.connect().key for _ in range(100)]
    assert len(set(keys)) == 100
    secrets = sorted(int.from_bytes(k[1], "big") for k in keys)
    assert len({b - a for a, b in zip(secrets, secrets[1:])}) > 90, "keys in a row"


@pytest.mark.since("1.19")
@pytest.mark.parametrize("workers", [1, 4])
def test_a_cancel_storm_never_hits_anybody_else(make_pooler, workers):
    # the old fault of poolers: the cancel arrives when the server already runs the next client's query
    more = {"workers": workers} if make_pooler.kind.is_sluice else {}
    pooler = make_pooler(default_pool_size=3, **more)
    victims = [pooler.connect() for _ in range(2)]
    others = [pooler.connect() for _ in range(8)]
    done, problems, cancels = threading.Event(), [], [0]

    def work(client, mine, may_be_cancelled):
        turn = 0
        try:
            while not done.is_set() or turn < 20:
                turn += 1
                tag = f"{mine}/{turn}"
                r = client.query(f"select '{tag}', pg_sleep(0.002)") if turn % 2 else client.extended(f"select '{tag}', pg_sleep(0.002)")
                if r.values != [tag] and not (may_be_cancelled and r.codes == ["57014"]):
                    problems.append((mine, turn, r))
                    return
        except Exception as e:
            problems.append((mine, turn, repr(e)))

    threads = [threading.Thread(target=work, args=(c, f"victim{i}", True)) for i, c in enumerate(victims)]
    threads += [threading.Thread(target=work, args=(c, f"other{i}", False)) for i, c in enumerate(others)]

    def storm():
        try:
            for i in range(300):
                victims[i % 2].cancel()
                cancels[0] += 1
        finally:
            done.set()

    threads.append(threading.Thread(target=storm))
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not problems, problems[:3]
    assert cancels[0] == 300


def test_cancel_requests_are_never_answered(target):
    c = target.raw()
    c.send(wire.request_packet(wire.CANCEL, b"\0\0\0\1\0\0\0\2"))
    assert c.read_to_end() == []


@pytest.mark.parametrize("body", [b"", b"\0\0\0\1", b"\0" * 7, b"\0" * 300, b"\x7fELF\1\2\3\4"], ids=len)
def test_malformed_cancel_requests_disturb_nobody(target, body):
    c, looker, bad = target.connect(), target.connect(), target.raw()
    sleep_marked(c, looker)
    bad.send(wire.request_packet(wire.CANCEL, body))
    assert all(m[0] == "E" for m in bad.read_to_end())
    c.cancel()
    assert c.read_until("Z").codes == ["57014"]


# --- many requests for one query ------------------------------------------------------------------------------------------


def connections(pooler, port):
    """The sockets of the pooler that lead to this port, as the kernel counts them."""
    own = set()
    for name in os.listdir(f"/proc/{pooler.pid}/fd"):
        try:
            own.add(os.readlink(f"/proc/{pooler.pid}/fd/{name}"))
        except OSError:
            pass
    with open("/proc/net/tcp") as file:
        lines = [line.split() for line in file][1:]
    return sum(int(line[2].split(":")[1], 16) == port and f"socket:[{line[9]}]" in own for line in lines)


@pytest.mark.parametrize("workers", [1, 4])
def test_thousands_of_requests_with_one_key_are_a_handful_for_postgresql(make_pooler, own_postgres, workers):
    # each was a connection: 3,000 of them made 2,545 while the postmaster stood still, and nobody else could log in
    pooler = make_pooler(own_postgres, workers=workers, admin_users="app", max_client_conn=4000, cancel_wait_timeout=0, log_disconnections=0)
    admin, c, other = pooler.connect(database="pgbouncer"), pooler.connect(), pooler.connect()
    other.rows("begin")
    c.send(query("select pg_sleep(1000)"))
    wait_until(lambda: own_postgres.backends("lab", "state = 'active'"), "the query to run")
    before = connections(pooler, own_postgres.port)
    own_postgres.process.send_signal(signal.SIGSTOP)
    requests = []
    try:
        for _ in range(3000):
            requests.append(wire.connect(pooler.address))
            requests[-1].sendall(wire.request_packet(wire.CANCEL, struct.pack("!I", c.key[0]) + c.key[1]))
        waiting = lambda: sum(r[0] in ("waiting_cancel_req", "active_cancel_req") for r in states(admin))
        wait_until(lambda: waiting() == 3000, "the pooler to have all of them")
        assert connections(pooler, own_postgres.port) - before <= 2
        assert other.value("select 1") == "1"
    finally:
        own_postgres.process.send_signal(signal.SIGCONT)
    assert c.read_until("Z").codes == ["57014"]
    for r in requests:
        assert r.recv(1) == b"", "closed when it was delivered"
        r.close()
    assert c.value("select 1") == "1"


def states(admin):
    reply = admin.query("show clients").check()
    names = next(m[1] for m in reply if m[0] == "T")
    return [(row[names.index("state")],) for row in reply.rows]


def test_requests_for_many_queries_have_a_bound(make_pooler, own_postgres):
    pooler = make_pooler(own_postgres, workers=2, default_pool_size=150, cancel_wait_timeout=0)
    clients = [pooler.connect() for _ in range(150)]
    for c in clients:
        c.send(query("select pg_sleep(1000)"))
    wait_until(lambda: len(own_postgres.backends("lab", "state = 'active'")) == 150, "the queries to run")
    before = connections(pooler, own_postgres.port)
    own_postgres.process.send_signal(signal.SIGSTOP)
    try:
        requests = []
        for c in clients:
            requests.append(wire.connect(pooler.address))
            requests[-1].sendall(wire.request_packet(wire.CANCEL, struct.pack("!I", c.key[0]) + c.key[1]))
        wait_until(lambda: connections(pooler, own_postgres.port) - before == 64, "as many connections as there may be")
    finally:
        own_postgres.process.send_signal(signal.SIGCONT)
    for c in clients:
        assert c.read_until("Z").codes == ["57014"]
    for r in requests:
        assert r.recv(1) == b""
        r.close()


# --- cancels of those who wait for a server -------------------------------------------------------------------------------

WAITING = {  # what is sent, what is heard before a server is free, what is sent then, what is heard in the end
    "query": ([query("select 1")], "EZ", [query("select 'next'")], ["next"]),
    "queries": ([query("select 1"), query("select 2"), ask("select 3"), sync()], "EZ", [], ["2", "3"]),
    "batch": ([ask("select 1"), sync()], "EZ", [query("select 'next'")], ["next"]),
    "batches": ([ask("select 1"), ask("select 2"), sync(), ask("select 3"), sync()], "EZ", [], ["3"]),
    "batch in parts": ([ask("select 1")], "E", [ask("select 2"), flush(), query("select 3"), sync(), query("select 'next'")], [None, "next"]),
    "batch in parts, again": ([parse("", "select 1")], "E", [bind(), execute(), sync(), ask("select 4"), sync()], [None, "4"]),
    "function call": ([wire.function_call(1598)], "EZ", [query("select 'next'")], ["next"]),
    "large query": ([query("select 1 /* " + "x" * 100_000 + "*/"), query("select 'next'")], "EZ", [], ["next"]),
}


@pytest.mark.parametrize("what", WAITING)
@pytest.mark.parametrize("workers", [1, 4])
def test_cancel_of_a_statement_that_waits_for_a_server(make_pooler, what, workers):
    # Ctrl-C did nothing until the query ran, which it may never do
    sent, heard, more, values = WAITING[what]
    pooler = make_pooler(default_pool_size=1, workers=workers)
    holder, c = pooler.connect(), pooler.connect()
    holder.rows("begin")
    c.send(*sent)
    seen = cancel_while_waiting(c, heard)
    assert seen.kinds == heard and seen.codes == ["57014"]
    assert (seen.error.severity, seen.error.message) == ("ERROR", "canceling statement due to user request")
    c.send(*more)
    if values[0] is None:
        assert c.read_until("Z") == [("Z", "I")], "the Sync needs no server"
    holder.rows("commit")
    for value in values:
        if value is not None:
            assert c.read_until("Z").values == [value]
    assert c.value("select 'alive'") == "alive" and holder.value("select 1") == "1"


def cancel_while_waiting(c, heard):
    """Until it has been heard: a request may come before the query does."""
    seen = wire.Reply()
    c.socket.settimeout(0.2)
    while True:
        c.cancel()
        try:
            seen += c.read_until(heard[-1])
            break
        except wire.Hang:
            pass
    c.socket.settimeout(wire.HANG)
    return seen


def test_nothing_of_a_cancelled_statement_is_done(make_pooler):
    pooler = make_pooler(default_pool_size=1)
    holder, c = pooler.connect(), pooler.connect()
    holder.rows("drop table if exists never; create table never(i int)")
    c.run(parse("kept", "select 'kept'"), sync())
    holder.rows("begin")
    c.send(query("insert into never values (1)"), parse("a", "insert into never values (2)"), bind("a"), execute(), sync())
    assert cancel_while_waiting(c, "Z").codes == ["57014"]
    assert cancel_while_waiting(c, "Z").codes == ["57014"]
    holder.rows("commit")
    assert c.run(bind("a"), execute(), sync()).codes == ["26000"]
    assert c.run(bind("kept"), execute(), sync()).values == ["kept"]
    assert holder.value("select count(*) from never") == "0"
    holder.rows("drop table never")


@pytest.mark.parametrize("end", ["half-close", "X"])
def test_cancel_of_a_waiting_client_that_has_said_its_last_word(make_pooler, end):
    pooler = make_pooler(default_pool_size=1)
    holder, c = pooler.connect(), pooler.connect()
    holder.rows("begin")
    c.send(query("select 1"), *[wire.terminate()] * (end == "X"))
    if end == "half-close":
        c.half_close()
    assert cancel_while_waiting(c, "Z").codes == ["57014"]
    assert c.read_to_end() == []
    assert holder.value("select 1") == "1"


# --- cancels and what the pooler itself asks ------------------------------------------------------------------------------


@pytest.fixture
def stuck_set(make_pooler, postgres):
    """A pool of one server on which SET default_tablespace waits for a lock, while it is held."""
    admin = postgres.connect("lab")
    pooler = make_pooler(default_pool_size=1, admin_users="app")

    class Stuck:
        def __init__(self):
            self.pooler, self.console = pooler, pooler.connect(database="pgbouncer")

        def client(self):
            return pooler.connect(parameters={"options": "-c default_tablespace=pg_default"})

        def tried_client(self):
            """One whose settings are waited for with its query: a timeout of the last client has to be undone first."""
            client, other = self.client(), pooler.connect(parameters={"statement_timeout": "77s"})
            assert other.value("show statement_timeout") == "77s"
            other.close()
            return client

        def lock(self):
            admin.rows("begin; lock table pg_catalog.pg_tablespace in access exclusive mode")

        def unlock(self):
            admin.rows("commit")

        def waiter(self):
            admin.rows("select pg_stat_clear_snapshot()")  # else the transaction sees what it saw first
            found = admin.rows("select pid from pg_stat_activity where datname = 'lab' and wait_event_type = 'Lock' and query like '%default_tablespace%'")
            return found[0][0] if found else None

        def is_there(self, pid):
            admin.rows("select pg_stat_clear_snapshot()")
            return admin.rows(f"select 1 from pg_stat_activity where pid = {pid}")

        def cancel_backend(self):
            pid = self.waiter()
            admin.rows(f"select pg_cancel_backend({pid})")
            return pid

    yield Stuck()
    admin.close()


@pytest.mark.sluice_only("PgBouncer's SETs are others")
def test_a_cancel_waits_for_the_poolers_own_set(stuck_set):
    # it hit the SET ahead of the query, and the client was closed with a FATAL
    c, other = stuck_set.client(), stuck_set.pooler.connect()
    assert c.value("show default_tablespace") == "pg_default" and other.value("show default_tablespace") == ""
    stuck_set.lock()
    c.send(query("select pg_sleep(1000)"))
    wait_until(stuck_set.waiter, "the SET to wait")
    request = threading.Thread(target=c.cancel)
    request.start()
    wait_until(lambda: ("waiting_cancel_req",) in states(stuck_set.console), "the pooler to have the request")
    stuck_set.unlock()
    assert c.read_until("Z").codes == ["57014"]
    request.join()
    assert c.value("show default_tablespace") == "pg_default" and other.value("show default_tablespace") == ""


@pytest.mark.sluice_only("PgBouncer's SETs are others")
@pytest.mark.parametrize("what", ["query", "batch", "batch in parts"])
def test_a_cancel_does_not_wait_for_ever_for_the_poolers_own_set(stuck_set, what):
    # nor may it hit it: the query behind it would run in the wrong place
    sql = "insert into never_run values (1)"
    c, other = stuck_set.client(), stuck_set.pooler.connect()
    other.rows("drop table if exists never_run; create table never_run(i int)")
    assert c.value("show default_tablespace") == "pg_default" and other.value("show default_tablespace") == ""
    stuck_set.lock()
    c.send(*{"query": [query(sql)], "batch": [ask(sql), sync()], "batch in parts": [ask(sql)]}[what])
    pid = wait_until(stuck_set.waiter, "the SET to wait")
    c.cancel()
    seen = c.read_until("E" if what == "batch in parts" else "Z")
    assert seen.codes == ["57014"] and seen.error.severity == "ERROR"
    wait_until(lambda: not stuck_set.is_there(pid), "the server to be gone")
    stuck_set.unlock()
    if what == "batch in parts":
        assert c.run(query("skipped"), sync()) == [("Z", "I")]
    assert other.value("select count(*) from never_run") == "0"
    assert c.value("show default_tablespace") == "pg_default"
    other.rows("drop table never_run")


@pytest.mark.sluice_only("PgBouncer's SETs are others")
@pytest.mark.parametrize("sent", [[query("select 1")], [ask("select 1"), sync()]], ids=["query", "batch"])
def test_a_cancel_of_a_query_whose_settings_are_being_tried(stuck_set, sent):
    c = stuck_set.tried_client()
    stuck_set.lock()
    c.send(*sent)
    wait_until(stuck_set.waiter, "the SET to wait")
    c.cancel()
    seen = c.read_until("Z")
    assert seen.kinds == "EZ" and seen.codes == ["57014"]
    c.send(query("show default_tablespace"))
    stuck_set.unlock()
    assert c.read_until("Z").values == ["pg_default"]


@pytest.mark.sluice_only("PgBouncer's SETs are others")
def test_settings_that_a_cancel_has_hit_are_tried_again(stuck_set):
    c = stuck_set.tried_client()
    stuck_set.lock()
    c.send(query("show default_tablespace"))
    wait_until(stuck_set.waiter, "the SET to wait")
    stuck_set.cancel_backend()
    wait_until(stuck_set.waiter, "the SET to wait again")
    stuck_set.unlock()
    assert c.read_until("Z").values == ["pg_default"]


def test_a_cancel_under_way_does_not_hit_the_reset_of_a_server(make_pooler, postgres):
    from test_console_faults import Gate

    gate = Gate(postgres.port)
    try:
        pooler = make_pooler(default_pool_size=1, server_reset_query_always=1, databases={"lab": {"port": gate.port}})
        c = pooler.connect()
        pid = c.pid()
        c.send(query("select pg_sleep(1.5)"))
        wait_until(lambda: postgres.backends("lab", "state = 'active' and query like '%pg_sleep%'"), "the query to run")
        gate.is_shut = True
        request = threading.Thread(target=c.cancel)
        request.start()
        wait_until(lambda: gate.held, "the gate to have the request")
        c.read_until("Z")
        c.send(query("select pg_backend_pid()"))
        assert not postgres.backends("lab", "query ilike '%discard%'"), "it may be hit as long as the request is under way"
        for s in gate.held:
            s.close()
        request.join()
        assert c.read_until("Z").values == [str(pid)]
    finally:
        gate.close()
