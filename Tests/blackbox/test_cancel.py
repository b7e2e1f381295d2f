"""A cancel request reaches the query it was meant for, or nothing at all."""
import threading
import uuid

import pytest

import wire
from processes import wait_until
from wire import ask, query, sync


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
