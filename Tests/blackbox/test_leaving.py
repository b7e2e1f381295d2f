"""What a client has sent completely is done when it leaves, as PostgreSQL does it; what it left unfinished is undone."""
import struct

import pytest

import wire
from processes import wait_until
from wire import ask, bind, copy_data, copy_done, execute, flush, parse, query, sync, terminate

SLOW = "insert into left_behind select 1 from pg_sleep(0.7)"

ENDS = {
    "FIN": lambda c: c.close(),
    "half-close": lambda c: c.half_close(),
    "RST": lambda c: c.reset(),
    "Terminate": lambda c: c.terminate(),
}
every_end = pytest.mark.parametrize("end", ENDS)


@pytest.fixture
def table(postgres):
    """A fresh table, and a way to look at it that needs no pooler."""
    admin = postgres.connect("lab")
    # what a pooler prepared for somebody and never ended keeps its locks
    for gid in admin.query("select gid from pg_prepared_xacts where database = 'lab'").values:
        admin.rows(f"rollback prepared '{gid}'")
    admin.rows("drop table if exists left_behind; create table left_behind(i int); grant all on left_behind to public")

    class Table:
        def count(self):
            return int(admin.value("select count(*) from left_behind"))

        def wait(self, count, what):
            wait_until(lambda: self.count() == count, what)

        def running(self):
            return int(admin.value("select count(*) from pg_stat_activity where datname = 'lab' and state = 'active' and pid <> pg_backend_pid()"))

        def lock(self):
            admin.rows("begin; lock table left_behind in exclusive mode")

        def unlock(self):
            admin.rows("commit")

    yield Table()
    admin.close()


def settled(pooler):
    """The one server of a pool has finished what it did for whoever left: the next client got it."""
    with pooler.connect() as c:
        assert c.query("select 'mine'") == [("T", ("?column?",)), ("D", ("mine",)), ("C", "SELECT 1"), ("Z", "I")]
        return c.pid()


COMPLETE = {
    "a query": [query(SLOW)],
    "a batch": [ask(SLOW), sync()],
    "a transaction": [query("begin"), query(SLOW), query("commit")],
    "a transaction of batches": [ask("begin"), sync(), ask(SLOW), sync(), ask("commit"), sync()],
    "a batch that a query ends": [ask(SLOW), query("select 1")],
    "queries": [query(SLOW)] * 2 + [query("insert into left_behind values (1)")] * 8,
}


@pytest.mark.since("1.26")
@every_end
@pytest.mark.parametrize("sent", COMPLETE)
@pytest.mark.parametrize("pool_mode", ["transaction", "session"])
def test_what_was_sent_completely_is_done(make_pooler, table, sent, end, pool_mode):
    if sent == "a batch that a query ends":
        make_pooler.postgres.needs_queries_to_end_batches()
    # PostgreSQL does not look at its client while it runs a query, and neither did the poolers before
    pooler = make_pooler(default_pool_size=1, pool_mode=pool_mode)
    c = pooler.connect()
    pid = c.pid()
    c.send(*COMPLETE[sent])
    if sent == "a query":
        wait_until(table.running, "the query to run")
    ENDS[end](c)
    # another worker may serve somebody else before this one has read what was sent
    table.wait(10 if sent == "queries" else 1, "all of it to be done")
    assert settled(pooler) == pid, "the server was kept"


@every_end
def test_what_waits_for_a_server_is_done(make_pooler, table, end):
    # a client that fires and forgets does not know that the pooler has a queue
    pooler = make_pooler(default_pool_size=1, workers=1)
    holder = pooler.connect()
    holder.rows("begin")
    c, second = pooler.connect(), pooler.connect()
    for leaver in (c, second):
        leaver.send(query("begin"), query("insert into left_behind values (1)"), ask("commit"), sync(), query("insert into left_behind values (2)"))
        ENDS[end](leaver)
    waiting = pooler.connect()
    waiting.send(query("select count(*) from left_behind"))
    holder.rows("commit")
    assert waiting.read_until("Z").values == ["4"], "they kept their places in the queue"


@pytest.mark.parametrize("end", ["half-close", "X"])
@pytest.mark.parametrize("pool_mode", ["transaction", "session"])
def test_answers_go_out_after_the_last_word(make_pooler, postgres, end, pool_mode):
    # compared with PostgreSQL itself, message by message
    bursts = [
        [query("select 1")],
        [query("select 1"), query("select 2 from pg_sleep(0.2)"), query("select 3")],
        [ask("select 1"), sync(), ask("select 2"), sync()],
        [ask("select 1"), flush()],
        [ask("select 1")],
        [parse("a", "select 5"), sync(), parse("b", "select 5"), bind("b"), execute(), wire.close("a"), sync()],
        [query("begin"), query("select 1")],
        [query("copy (select 1) to stdout")],
        [query("create temp table x(i int)"), query("copy x from stdin"), copy_data(b"1\n"), copy_done(), query("drop table x")],
        [query("select 1/0"), query("select 1")],
        [ask("select 1/0"), query("skipped"), sync()],
        [query("")],
        [],
    ]
    pooler = make_pooler(default_pool_size=1, pool_mode=pool_mode)
    for burst in bursts:
        heard = []
        for client in (postgres.connect("lab", "app"), pooler.connect()):
            client.send(*burst, *[terminate()] * (end == "X"))
            if end == "half-close":
                client.half_close()
            heard.append([(m[0], m[1]["C"]) if m[0] == "E" else m for m in client.read_to_end()])
            client.close()
        assert heard[1] == heard[0], burst
    settled(pooler)


@pytest.mark.parametrize("end", ["half-close", "X"])
def test_a_waiting_client_hears_its_answers_after_the_last_word(make_pooler, end):
    pooler = make_pooler(default_pool_size=1)
    holder, c = pooler.connect(), pooler.connect()
    holder.rows("begin")
    c.send(query("select 'a'"), ask("select 'b'"), sync(), *[terminate()] * (end == "X"))
    if end == "half-close":
        c.half_close()
    holder.rows("commit")
    assert c.read_to_end().values == ["a", "b"]


UNFINISHED = {
    "a batch without its Sync": [ask("insert into left_behind values (1)")],
    "a slow batch without its Sync": [ask(SLOW)],
    "a batch without its Sync, flushed": [ask(SLOW), flush()],
    "a transaction": [query("begin"), query("insert into left_behind values (1)")],
    "a transaction in one query": [query(f"begin; {SLOW}")],
    "a message": [query("insert into left_behind values (1)")[:-3]],
    "a COPY": [query("copy left_behind from stdin"), copy_data(b"1\n" * 100)],
    "a COPY in a batch": [ask("copy left_behind from stdin"), sync(), copy_data(b"1\n" * 100)],
    "a COPY in a batch without its Sync": [ask("copy left_behind from stdin"), copy_data(b"1\n" * 100), copy_done()],
}


@every_end
@pytest.mark.parametrize("sent", UNFINISHED)
def test_what_was_left_unfinished_is_undone(make_pooler, table, sent, end):
    pooler = make_pooler(default_pool_size=1)
    for _ in range(3):
        c = pooler.connect()
        c.send(*UNFINISHED[sent])
        ENDS[end](c)
        settled(pooler)
        assert table.count() == 0


def test_half_a_message_does_not_undo_what_was_sent_before(make_pooler, table):
    pooler = make_pooler(default_pool_size=1)
    for rest in (10, 40_000):
        c = pooler.connect()
        c.send(query("insert into left_behind select 1 from pg_sleep(0.2)"), query("insert into left_behind select 1 /* " + "x" * 50_000 + "*/")[:rest])
        c.close()
        settled(pooler)
    table.wait(2, "both inserts to be done")


@every_end
@pytest.mark.parametrize("sent", [[query("select pg_sleep(1000)")], [ask("select pg_sleep(1000)"), sync()], [ask("select pg_sleep(1000)")], [query("insert into left_behind select 1 from pg_sleep(1000)")]], ids=["query", "batch", "no Sync", "write"])
def test_what_is_certain_to_be_rolled_back_is_cancelled(make_pooler, table, sent, end):
    pooler = make_pooler(default_pool_size=1)
    c = pooler.connect()
    c.rows("begin; insert into left_behind values (1)")
    pid = c.pid()
    c.send(*sent)
    wait_until(table.running, "the query to run")
    ENDS[end](c)
    assert settled(pooler) == pid
    assert table.count() == 0


@pytest.mark.parametrize("end", ["FIN", "RST", "Terminate"])
def test_a_long_batch_without_its_sync_is_cancelled(make_pooler, table, end):
    # it can't commit anything, and PostgreSQL would find the end of its client only when it is done
    pooler = make_pooler(default_pool_size=1)
    c = pooler.connect()
    c.send(ask("insert into left_behind select 1 from pg_sleep(1000)"))
    wait_until(table.running, "the query to run")
    ENDS[end](c)
    settled(pooler)
    assert table.count() == 0


COMMITS = {
    "COMMIT behind it": [query("insert into left_behind select 1 from pg_sleep(1.5)"), query("commit")],
    "COMMIT in its text": [query("insert into left_behind select 1 from pg_sleep(1.5); /* end */ commit")],
    "END in a batch": [ask("insert into left_behind select 1 from pg_sleep(1.5)"), sync(), ask("End"), sync()],
    "a new transaction": [query("rollback; insert into left_behind select 1 from pg_sleep(1.5)")],
    "PREPARE TRANSACTION": [query("insert into left_behind select 1 from pg_sleep(1.5)"), query("-- now\nprepare transaction 'left_behind'"), query("commit prepared 'left_behind'")],
    "a COMMIT prepared before": [ask("insert into left_behind select 1 from pg_sleep(1.5)"), bind("the_end"), execute(), sync()],
    "a long text": [query("insert into left_behind select 1 from pg_sleep(1.5) /* " + "x" * 400 + "*/; commit")],
}


@every_end
@pytest.mark.parametrize("sent", COMMITS)
def test_a_transaction_whose_end_was_sent_is_not_cancelled(make_pooler, table, sent, end):
    pooler = make_pooler(default_pool_size=1)
    c = pooler.connect()
    c.run(parse("the_end", "commit"), sync())
    c.rows("begin")
    c.send(*COMMITS[sent])
    wait_until(table.running, "the query to run")
    ENDS[end](c)
    settled(pooler)
    table.wait(1, "the insert to be committed")


@pytest.mark.parametrize("end", ["FIN", "RST"])
def test_a_long_answer_for_nobody_is_cut_short(make_pooler, table, end):
    # PostgreSQL ends a query when its client's socket takes nothing more; the pooler's always takes it
    pooler = make_pooler(default_pool_size=1)
    c = pooler.connect()
    c.send(query("select repeat('x', 1000), pg_sleep(0.0001), generate_series(1, 100000000)"))
    c.read_until("D")
    ENDS[end](c)
    settled(pooler)


@pytest.mark.sluice_only("Sluice's own setting")
@every_end
def test_cancel_on_disconnect_cancels_whatever_runs(make_pooler, table, end):
    pooler = make_pooler(default_pool_size=1, cancel_on_disconnect=1)
    c = pooler.connect()
    c.send(query("insert into left_behind select 1 from pg_sleep(1000)"), query("insert into left_behind values (1)"))
    wait_until(table.running, "the query to run")
    pid = int(pooler.servers("lab", "state = 'active'")[0])
    ENDS[end](c)
    assert settled(pooler) == pid
    assert table.count() in (0, 1), "what was sent behind it had reached the server"


@pytest.mark.sluice_only("Sluice's own setting")
@every_end
def test_cancel_on_disconnect_forgets_who_waits(make_pooler, table, end):
    pooler = make_pooler(default_pool_size=1, cancel_on_disconnect=1)
    holder = pooler.connect()
    holder.rows("begin")
    for _ in range(5):
        c = pooler.connect()
        c.send(query("insert into left_behind values (1)"))
        ENDS[end](c)
    pooler.wait_log("closing because: client (unexpected eof|.*reset|close request)" if end != "Terminate" else "closing because: client", 5)
    holder.rows("commit")
    settled(pooler)
    assert table.count() == 0


@every_end
def test_those_who_left_obey_query_wait_timeout(make_pooler, table, end):
    pooler = make_pooler(default_pool_size=1, query_wait_timeout=1)
    holder = pooler.connect()
    holder.rows("begin")
    for _ in range(5):
        c = pooler.connect()
        c.send(query("insert into left_behind values (1)"))
        ENDS[end](c)
    pooler.wait_log("closing because: query_wait_timeout", 5)
    holder.rows("commit")
    settled(pooler)
    assert table.count() == 0


@every_end
def test_those_who_left_obey_query_timeout(make_pooler, table, end):
    pooler = make_pooler(default_pool_size=1, query_timeout=1)
    c = pooler.connect()
    c.send(query("select pg_sleep(1000)"))
    wait_until(table.running, "the query to run")
    ENDS[end](c)
    pooler.wait_log("C-0x.* closing because: query timeout")
    settled(pooler)


@pytest.mark.parametrize("bad", [b"Q\0\0\0\2xx", b"\x01" + struct.pack("!I", 4)], ids=["length", "letter"])
def test_a_broken_message_does_not_undo_what_was_sent_before(make_pooler, table, bad):
    # and its error comes where PostgreSQL's would come: behind the answers
    pooler = make_pooler(default_pool_size=1)
    c = pooler.connect()
    c.send(query(SLOW), bad)
    heard = c.read_to_end()
    assert [m[0] for m in heard] == ["C", "Z", "E"] and heard.error.severity == "FATAL"
    assert table.count() == 1


@pytest.mark.sluice_only("a mark of the log")
def test_the_log_says_why_a_leaving_client_was_closed(make_pooler, table):
    pooler = make_pooler(default_pool_size=1)
    for end, words in (("half-close", "client unexpected eof"), ("Terminate", "client close request")):
        c = pooler.connect()
        c.send(query("select pg_sleep(0.3)"))
        ENDS[end](c)
        pooler.wait_log(f"closing because: {words}")
    settled(pooler)


@pytest.mark.sluice_only("counts of SHOW")
@every_end
def test_nobody_who_left_stays(make_pooler, table, end):
    pooler = make_pooler(default_pool_size=2, admin_users="app")
    for _ in range(20):
        c = pooler.connect()
        c.send(query("select pg_sleep(0.05)"), ask("select repeat('x', 100000) from generate_series(1, 30)"), sync(), query("select 1"))
        ENDS[end](c)
    admin = pooler.connect(database="pgbouncer")
    wait_until(lambda: sum(int(r[2]) + int(r[3]) for r in admin.rows("show pools") if r[0] == "lab") == 0, "all clients to be gone")
