"""Who gets a server, when, for how long, and in which state; who waits, and who is told to go."""
import os
import random
import select
import stat

import pytest

import wire
from processes import free_port, raise_open_files, readable, wait_until
from wire import ask, bind, execute, parse, query, sync


def refused(pooler, **how):
    with pytest.raises(wire.ServerError) as info:
        pooler.connect(**how)
    return info.value


def ended_with(client, *texts):
    """The pooler's last words to this client."""
    seen = client.read_to_end()
    assert len(seen.errors) == 1 and seen.error.severity == "FATAL" and seen.error.message in texts, seen
    return seen.error


def open_servers(pooler, count, **how):
    """That many servers exist and are idle afterwards; returns their pids, last released first."""
    clients = [pooler.connect(**how) for _ in range(count)]
    for c in clients:
        c.rows("begin")
    pids = [c.pid() for c in clients]
    for c in clients:
        c.rows("commit")
    for c in clients:
        c.terminate()
        pooler.clients.remove(c)
    assert len(set(pids)) == count
    return pids[::-1]


# --- modes -----------------------------------------------------------------------------------------------------------


def test_transaction_mode_shares_one_server_between_transactions(make_pooler):
    pooler = make_pooler(default_pool_size=1)
    clients = [pooler.connect() for _ in range(5)]
    assert len({c.pid() for _ in range(3) for c in clients}) == 1
    for c in clients:
        assert c.run(query("begin"), query("select 1"), query("commit"), ready=3).status == "I"
        assert c.run(ask("begin"), ask("select 1"), ask("commit"), sync()).status == "I"


def test_transaction_mode_keeps_the_server_to_the_end_of_the_transaction(make_pooler):
    pooler = make_pooler(default_pool_size=3)
    a, b = pooler.connect(), pooler.connect()
    a.rows("begin")
    mine = a.pid()
    assert b.pid() != mine
    assert a.query("select 1/0").status == "E"
    assert b.pid() != mine, "a failed transaction is a transaction"
    a.rows("rollback")
    assert len(pooler.servers()) == 2


def test_session_mode_keeps_the_server_to_the_end_of_the_session(make_pooler):
    pooler = make_pooler(pool_mode="session", default_pool_size=2)
    a, b = pooler.connect(), pooler.connect()
    pids = a.pid(), b.pid()
    assert pids[0] != pids[1]
    a.rows("create temp table mine as select 1; set geqo = off; prepare p as select 1; listen x")
    a.rows("select pg_advisory_lock(4711)")
    assert a.pid() == pids[0] and a.rows("select * from mine") == [("1",)]
    waiting = pooler.connect()
    waiting.send(query("select pg_backend_pid()"))
    a.terminate()
    assert waiting.read_until("Z").values == [str(pids[0])], "the next client gets the very server"
    assert waiting.value("show geqo") == "on" and waiting.query("select * from mine").codes == ["42P01"]
    assert waiting.value("select count(*) from pg_prepared_statements") == "0"
    assert waiting.value("select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()") == "0"


def test_session_mode_client_that_leaves_in_a_transaction(make_pooler):
    pooler = make_pooler(pool_mode="session", default_pool_size=1)
    a = pooler.connect()
    a.rows("drop table if exists session_left; create table session_left(i int)")
    a.rows("begin; insert into session_left values (1)")
    a.close()
    b = pooler.connect()
    assert b.value("select count(*) from session_left") == "0"
    b.rows("drop table session_left")


def test_statement_mode_takes_single_statements(make_pooler):
    pooler = make_pooler(pool_mode="statement", default_pool_size=1)
    a, b = pooler.connect(), pooler.connect()
    for i in range(5):
        assert a.value(f"select {i}") == str(i) and b.extended(f"select {i + 1}").values == [str(i + 1)]
    assert a.run(*[ask(f"select {i}") for i in range(5)], sync()).values == list("01234")


@pytest.mark.parametrize("how", [query("begin"), ask("begin") + sync(), query("select 1; begin")], ids=["simple", "extended", "behind another"])
def test_statement_mode_refuses_transaction_blocks(make_pooler, how):
    pooler = make_pooler(pool_mode="statement", default_pool_size=1)
    a, b = pooler.connect(), pooler.connect()
    a.send(how)
    ended_with(a, "transaction blocks not allowed in statement pooling mode")
    assert b.value("select 1") == "1"


def test_pool_mode_per_database_and_user(make_pooler):
    pooler = make_pooler(databases={"lab": {}, "lab2": {"pool_mode": "session"}}, sections={"users": {"app2": "pool_mode=session"}}, default_pool_size=5)
    a, b = pooler.connect(), pooler.connect()
    assert a.pid() == b.pid()
    a, b = pooler.connect(database="lab2"), pooler.connect(database="lab2")
    assert a.pid() != b.pid()
    a, b = pooler.connect("app2"), pooler.connect("app2")
    assert a.pid() != b.pid()


def test_every_user_and_database_has_its_own_servers(make_pooler):
    pooler = make_pooler(default_pool_size=1)
    clients = {(u, d): pooler.connect(u, database=d) for u in ("app", "app2") for d in ("lab", "lab2")}
    for _ in range(3):
        assert len({c.pid() for c in clients.values()}) == 4
        for (user, database), c in clients.items():
            assert c.rows("select current_user, current_database()") == [(user, database)]


def test_the_fallback_database(make_pooler, postgres):
    pooler = make_pooler(databases={"lab": {}, "*": f"host=127.0.0.1 port={postgres.port}"})
    assert pooler.connect(database="lab2").value("select current_database()") == "lab2"
    pooler.wait_log("registered new auto-database")
    assert pooler.connect(database="lab").value("select current_database()") == "lab"


def test_settings_of_a_database_reach_its_servers(make_pooler):
    pooler = make_pooler(databases={"lab": {"timezone": "Asia/Tokyo", "datestyle": "German", "dbname": "lab2"}})
    c = pooler.connect()
    assert c.value("select current_database()") == "lab2"
    assert c.value("show timezone") == "Asia/Tokyo" and c.value("show datestyle").startswith("German")


# --- many clients, few servers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_fifty_clients_on_three_servers(make_pooler, mode):
    pooler = make_pooler(default_pool_size=3, pool_mode=mode)
    clients = [pooler.connect() for _ in range(50)]
    for turn in range(10):
        for i, c in enumerate(clients):
            c.send(query(f"select '{turn}/{i}'") if (turn + i) % 2 else ask(f"select '{turn}/{i}'") + sync())
        for i, c in enumerate(clients):
            assert c.read_until("Z").values == [f"{turn}/{i}"]
    assert len(pooler.servers()) <= 3


def test_pool_size_is_exact(make_pooler):
    pooler = make_pooler(databases={"lab": {"pool_size": 2}, "lab2": {}}, default_pool_size=3)
    for database, size in (("lab", 2), ("lab2", 3)):
        clients = [pooler.connect(database=database) for _ in range(10)]
        for c in clients:
            c.send(query("begin; select pg_backend_pid()"))
        served, holders = 0, []
        while clients:
            ready = readable([c.socket for c in clients], wire.HANG)
            assert ready, "nobody is served"
            for c in [c for c in clients if c.socket in ready]:
                assert c.read_until("Z").status == "T"
                assert len(pooler.servers(database)) <= size
                clients.remove(c)
                holders.append(c)
                served += 1
            if len(holders) == size:  # the pool grows to its full size while they all hold on
                assert len(pooler.servers(database)) == size
            if len(holders) >= size or served > size:
                holders.pop().rows("commit")
        assert served == 10


@pytest.mark.since("1.25")
def test_waiting_clients_are_served_first_come_first_served(make_pooler):
    pooler = make_pooler(default_pool_size=1, query_wait_notify=1)
    holder = pooler.connect()
    holder.rows("drop sequence if exists turn; create sequence turn")
    holder.rows("begin")
    waiting = [pooler.connect() for _ in range(4)]
    for c in waiting:
        c.send(query("select nextval('turn')"))
        assert c.read()[0] == "N", "told that it is queued: so its place in the queue is taken"
    holder.rows("commit")
    assert [c.read_until("Z").values[0] for c in waiting] == ["1", "2", "3", "4"]


@pytest.mark.since("1.25")
def test_a_queued_client_is_told_once(make_pooler):
    pooler = make_pooler(default_pool_size=1, query_wait_notify=1)
    holder, c = pooler.connect(), pooler.connect()
    holder.rows("begin")
    c.send(query("select 1"))
    kind, fields = c.read()
    assert kind == "N" and fields["C"] == "00000" and fields["M"] == "No server connection available in postgres backend, client being queued"
    assert fields["S"] == "NOTICE"
    holder.rows("commit")
    assert c.read_until("Z") == [("T", ("?column?",)), ("D", ("1",)), ("C", "SELECT 1"), ("Z", "I")]


def test_a_client_that_leaves_the_queue_is_forgotten(make_pooler):
    pooler = make_pooler(default_pool_size=1, cancel_on_disconnect=1)
    holder = pooler.connect()
    holder.rows("drop table if exists ghosts; create table ghosts(i int)")
    holder.rows("begin")
    ghosts = [pooler.connect() for _ in range(5)]
    for c in ghosts:
        c.send(query("insert into ghosts values (1)"))
        c.reset()
    pooler.wait_log(r"closing because: client (unexpected eof|.*reset)", 5)
    holder.rows("commit")
    assert pooler.connect().value("select count(*) from ghosts") == "0"
    holder.rows("drop table ghosts")


MANY_WAITERS = {
    "deallocate": (query("DEALLOCATE ALL"), {}),
    "refused": (query("select 1"), {"disable_pqexec": 1}),
}


@pytest.mark.sluice_only("not tried with PgBouncer: it has other limits on files, and no workers")
@pytest.mark.parametrize("what", MANY_WAITERS)
def test_nine_thousand_waiters_that_need_no_server_after_all(make_pooler, what):
    # Each waiter freed the server again at once, and each was served from within the one before it: the stack overflowed.
    count = 9000
    if not raise_open_files(count + 200):
        pytest.skip("the hard limit on open files is too low")
    burst, settings = MANY_WAITERS[what]
    pooler = make_pooler(auth_type="trust", default_pool_size=1, max_client_conn=20000, query_wait_timeout=0, query_wait_notify=0, workers=1, log_connections=0, log_disconnections=0, log_pooler_errors=0, **settings)
    holder = pooler.connect()
    assert holder.extended("begin").status == "T"
    waiting = []
    for _ in range(count):  # all are queued: the query is in one burst with the startup packet, and that is answered
        c = pooler.raw()
        c.send(wire.startup_packet({"user": "app", "database": "lab"}), burst)
        waiting.append(c)
        if len(waiting) % 100 == 0:
            for c in waiting[-100:]:
                c.login()
    queue = select.poll()
    for c in waiting:
        queue.register(c.socket, select.POLLIN)
    assert not queue.poll(0), "nobody is answered yet"
    assert holder.extended("commit").tags == ["COMMIT"]
    for c in waiting:
        if what == "refused":
            ended_with(c, "PQexec disallowed")
        else:
            assert c.read_until("Z") == [("C", "DEALLOCATE ALL"), ("Z", "I")]
    assert holder.extended("select 'alive'").values == ["alive"] and len(pooler.servers()) == 1


def test_idle_servers_are_taken_last_in_first_out(make_pooler):
    pooler = make_pooler(default_pool_size=3)
    pids = open_servers(pooler, 3)
    c = pooler.connect()
    assert len({c.pid() for _ in range(6)}) == 1 and c.pid() in pids


def test_server_round_robin(make_pooler):
    # one worker: each has idle servers of its own
    pooler = make_pooler(default_pool_size=3, server_round_robin=1, **({"workers": 1} if make_pooler.kind.is_sluice else {}))
    pids = open_servers(pooler, 3)
    c = pooler.connect()
    seen = [c.pid() for _ in range(6)]
    assert sorted(seen[:3]) == sorted(pids) and seen[:3] == seen[3:]


# --- limits on servers -------------------------------------------------------------------------------------------------


def test_min_pool_size_keeps_servers_warm(make_pooler):
    pooler = make_pooler(default_pool_size=5, min_pool_size=3)
    pooler.connect().value("select 1")
    wait_until(lambda: len(pooler.servers()) == 3, "three warm servers")


@pytest.mark.since("1.25")
def test_min_pool_size_of_a_forced_user_needs_no_client(make_pooler):
    pooler = make_pooler(databases={"lab": {"user": "app", "password": "app-pw", "min_pool_size": 2}})
    wait_until(lambda: len(pooler.servers()) == 2, "two warm servers")


def test_reserve_pool(make_pooler):
    pooler = make_pooler(default_pool_size=1, reserve_pool_size=1, reserve_pool_timeout=1)
    a, b, c = (pooler.connect() for _ in range(3))
    a.rows("begin")
    b.rows("begin")
    pooler.wait_log("taking connection from reserve_pool")
    assert len(pooler.servers()) == 2
    c.send(query("select 'served last'"))
    a.rows("commit")
    assert c.read_until("Z").values == ["served last"]
    b.rows("commit")


def test_max_db_connections_is_shared_by_the_databases_users(make_pooler):
    pooler = make_pooler(default_pool_size=5, max_db_connections=2)
    a, b, c = pooler.connect("app"), pooler.connect("app2"), pooler.connect("scram_user")
    a.rows("begin")
    b.rows("begin")
    c.send(query("select current_user"))
    assert len(pooler.servers()) == 2
    b.rows("commit")
    assert c.read_until("Z").values == ["scram_user"], "app2's idle server made room"
    wait_until(lambda: len(pooler.servers()) <= 2, "PostgreSQL to let go of it")
    pooler.wait_log("evicted")
    a.rows("commit")


def test_max_user_connections_evicts_the_users_idle_server_elsewhere(make_pooler):
    pooler = make_pooler(default_pool_size=5, max_user_connections=2)
    open_servers(pooler, 2)
    assert len(pooler.servers("lab")) == 2
    c = pooler.connect(database="lab2")
    assert c.value("select current_database()") == "lab2"
    pooler.wait_log("evicted")
    wait_until(lambda: len(pooler.servers("lab")) == 1, "one server of lab to make room")
    assert pooler.connect("app2").value("select 1") == "1", "other users have their own limit"


def test_max_user_connections_of_one_user(make_pooler):
    pooler = make_pooler(default_pool_size=5, sections={"users": {"app2": "max_user_connections=1"}})
    a, b = pooler.connect("app2"), pooler.connect("app2")
    a.rows("begin")
    b.send(query("select 'after a'"))
    c, d = pooler.connect(), pooler.connect()
    c.rows("begin"), d.rows("begin")
    assert len(pooler.servers("lab", "usename = 'app2'")) == 1 and len(pooler.servers("lab", "usename = 'app'")) == 2
    a.rows("commit")
    assert b.read_until("Z").values == ["after a"]


def test_the_waiting_pools_under_a_database_limit_all_get_their_turn(make_pooler):
    pooler = make_pooler(default_pool_size=5, max_db_connections=1)
    clients = [pooler.connect(u) for u in ("app", "app2", "scram_user") for _ in range(3)]
    for turn in range(3):
        for c in clients:
            c.send(query("select current_user"))
        for c in clients:
            assert c.read_until("Z").values == [c.user]
    wait_until(lambda: len(pooler.servers()) == 1, "PostgreSQL to let go of those that were closed")


# --- timeouts ----------------------------------------------------------------------------------------------------------


def test_query_wait_timeout(make_pooler):
    pooler = make_pooler(default_pool_size=1, query_wait_timeout=1)
    a, b = pooler.connect(), pooler.connect()
    a.rows("begin")
    b.send(query("select 1"))
    assert ended_with(b, "query_wait_timeout").code == "08P01"
    pooler.wait_log("closing because: query_wait_timeout")
    assert a.value("select 'undisturbed'") == "undisturbed"


def test_query_timeout_of_a_running_query(make_pooler):
    pooler = make_pooler(default_pool_size=2, query_timeout=1)
    a, b = pooler.connect(), pooler.connect()
    a.send(query("select pg_sleep(100)"))
    assert ended_with(a, "query timeout").code == "08P01"
    assert b.value("select 1") == "1"


def test_query_timeout_of_a_waiting_query(make_pooler):
    pooler = make_pooler(default_pool_size=1, query_timeout=1, databases={"lab": {}}, pool_mode="session")
    a, b = pooler.connect(), pooler.connect()
    a.value("select 1")
    b.send(query("select 1"))
    ended_with(b, "query_timeout")
    assert a.value("select 1") == "1"


@pytest.mark.since("1.26")
def test_query_timeout_does_not_hit_an_idle_transaction(make_pooler):
    pooler = make_pooler(default_pool_size=2, query_timeout=1)
    idle, busy = pooler.connect(), pooler.connect()
    idle.rows("begin")
    busy.send(query("select pg_sleep(100)"))
    ended_with(busy, "query timeout")  # by now the limit has passed for the idle one, too
    assert idle.value("select 'alive'") == "alive"


def test_idle_transaction_timeout(make_pooler):
    pooler = make_pooler(default_pool_size=1, idle_transaction_timeout=1)
    a, b = pooler.connect(), pooler.connect()
    b.rows("drop table if exists idlers; create table idlers(i int)")
    a.rows("begin; insert into idlers values (1)")
    ended_with(a, "idle transaction timeout")
    assert b.value("select count(*) from idlers") == "0"
    b.rows("drop table idlers")


@pytest.mark.since("1.25")
def test_transaction_timeout(make_pooler):
    pooler = make_pooler(default_pool_size=2, transaction_timeout=1)
    a, b = pooler.connect(), pooler.connect()
    a.rows("begin")
    try:
        while a.query("select pg_sleep(0.1)").status == "T":  # busy all the time, yet too long
            pass
    except wire.Closed as e:
        assert "transaction timeout" in str(e)
    assert b.value("select 1") == "1"


TOO_LONG = {
    "a single statement": (query("select pg_sleep(1000)"),),
    "a single extended statement": (ask("select pg_sleep(1000)") + sync(),),
    "the first statement of a transaction": (query("begin; select pg_sleep(1000)"),),
    "the first statement behind an extended begin": (ask("begin") + ask("select pg_sleep(1000)") + sync(),),
    "a statement behind a begin": (query("begin"), query("select pg_sleep(1000)")),
}


@pytest.mark.parametrize("what", TOO_LONG)
def test_transaction_timeout_ends_a_statement_that_goes_on_for_ever(make_pooler, what):
    # it began to count with the first ReadyForQuery inside a transaction: a lone statement, and the first, had no limit
    pooler = make_pooler(default_pool_size=1, transaction_timeout=1)
    c, other = pooler.connect(), pooler.connect()
    for part in TOO_LONG[what][:-1]:
        c.run(part).check()
    c.send(TOO_LONG[what][-1])
    assert "transaction timeout" in c.read_to_end().error.message
    assert other.value("select 1") == "1"


def test_client_idle_timeout(make_pooler):
    pooler = make_pooler(client_idle_timeout=1)
    b = pooler.connect()
    b.rows("begin")  # has a server, so it is not idle in this sense
    a = pooler.connect()
    a.value("select 1")
    ended_with(a, "client_idle_timeout")
    assert b.value("select 1") == "1"


def test_client_login_timeout(make_pooler):
    pooler = make_pooler(client_login_timeout=1)
    silent, half, asked = pooler.raw(), pooler.raw(), pooler.raw()
    half.send(wire.startup_packet({"user": "app", "database": "lab"})[:5])
    asked.send(wire.startup_packet({"user": "app", "database": "lab"}))
    assert asked.read()[0] == "R"
    for c in (silent, half, asked):
        seen = c.read_to_end()
        assert all(e.message == "client_login_timeout" for e in seen.errors)
    pooler.wait_log("closing because: client_login_timeout", 3 if pooler.kind.is_sluice else 1)


def test_client_login_timeout_while_the_server_is_down(make_pooler, own_postgres):
    pooler = make_pooler(own_postgres, client_login_timeout=1, server_connect_timeout=1, server_login_retry=1)
    own_postgres.stop()
    e = refused(pooler)
    assert "client_login_timeout (server down)" in e.message or "server login has been failing" in e.message or "connect failed" in e.message, e.message


def test_server_idle_timeout(make_pooler):
    pooler = make_pooler(server_idle_timeout=1, default_pool_size=3)
    open_servers(pooler, 3)
    wait_until(lambda: not pooler.servers(), "idle servers to be closed")
    pooler.wait_log("closing because: server idle timeout", 3)
    assert pooler.connect().value("select 1") == "1"


def test_server_lifetime(make_pooler):
    pooler = make_pooler(server_lifetime=1, default_pool_size=2)
    c, in_transaction = pooler.connect(), pooler.connect()
    in_transaction.rows("begin")
    held = in_transaction.pid()
    first = c.pid()
    wait_until(lambda: c.pid() != first, "a fresh server")
    pooler.wait_log("closing because: server lifetime over")
    assert in_transaction.pid() == held, "never in the middle of a transaction"
    in_transaction.rows("commit")


def test_server_lifetime_zero_is_single_use(make_pooler):
    pooler = make_pooler(server_lifetime=0, default_pool_size=2)
    c = pooler.connect()
    assert len({c.pid() for _ in range(5)}) == 5


@pytest.mark.since("1.21")
def test_server_login_retry_answers_from_memory(make_pooler):
    databases = {"lab": {}, "dead": {"port": free_port()}}
    pooler = make_pooler(databases=databases, auth_type="trust", server_login_retry=1000, query_wait_timeout=1)
    refused(pooler, database="dead")
    attempts = pooler.log_count("connect failed: ")
    for _ in range(5):
        e = refused(pooler, database="dead")
        assert e.message.startswith("server login has been failing, cached error: ") and e.message.endswith("(server_login_retry)") and e.code == "08P01"
        assert "connect failed" in e.message
    assert pooler.log_count("connect failed: ") == attempts, "the server was left in peace"
    assert pooler.connect().value("select 1") == "1"


def test_server_login_is_tried_again_after_the_pause(make_pooler, own_postgres):
    pooler = make_pooler(own_postgres, server_login_retry=1)
    own_postgres.sql("alter role app password 'another'")
    refused(pooler)
    own_postgres.sql("alter role app password 'app-pw'")

    def served():
        try:
            return pooler.connect().value("select 1") == "1"
        except (wire.ServerError, wire.Closed):
            return False

    wait_until(served, "the pooler to try again")


# --- queries of the pooler's own -----------------------------------------------------------------------------------------


def test_server_reset_query_in_session_mode_only(make_pooler):
    pooler = make_pooler(default_pool_size=1)
    c = pooler.connect()
    c.rows("set geqo = off")
    assert pooler.connect().value("show geqo") == "off", "transaction mode runs no reset query: as in PgBouncer, this leaks"


def test_server_reset_query_always(make_pooler):
    pooler = make_pooler(default_pool_size=1, server_reset_query="DISCARD ALL", server_reset_query_always=1)
    a, b = pooler.connect(), pooler.connect()
    for _ in range(3):
        a.rows("set geqo = off; create temp table t_reset(i int)")
        assert b.value("show geqo") == "on"
        assert b.query("select * from t_reset").codes == ["42P01"]


def test_a_custom_server_reset_query(make_pooler):
    pooler = make_pooler(default_pool_size=1, pool_mode="session", server_reset_query="set geqo = on; set work_mem = '7MB'")
    a = pooler.connect()
    a.rows("set geqo = off; set enable_sort = off")
    pid = a.pid()
    a.terminate()
    b = pooler.connect()
    assert b.rows("select current_setting('geqo'), current_setting('work_mem'), current_setting('enable_sort')") == [("on", "7MB", "off")]
    assert b.pid() == pid


def test_a_failing_server_reset_query_costs_only_the_server(make_pooler):
    pooler = make_pooler(default_pool_size=1, pool_mode="session", server_reset_query="select no_such_function()")
    for _ in range(3):
        c = pooler.connect()
        c.rows("set geqo = off")
        c.terminate()
    assert pooler.connect().value("show geqo") == "on"


def test_server_check_query_runs_before_reuse(make_pooler):
    # at the front of the queue it needs a waiting client and no idle server: server_check_delay=0 makes every server a used one
    pooler = make_pooler(default_pool_size=1, server_check_delay=0, server_check_query="insert into checks values (1)")
    c = pooler.connect()
    c.rows("drop table if exists checks; create table checks(i int)")
    for _ in range(3):
        c.value("select 1")
    assert int(c.value("select count(*) from checks")) >= 3
    c.rows("drop table checks")


@pytest.mark.parametrize("check", ["select 1", "<empty>"])
def test_after_a_rest_one_request_tests_one_server(make_pooler, postgres, check):
    # all of them were tested for one waiting client
    pooler = make_pooler(default_pool_size=6, server_check_delay=0.2, server_check_query=check, workers=1)
    pids = open_servers(pooler, 6)
    c = pooler.connect()

    def used():
        return {int(pid): at for pid, at in postgres.sql(f"select pid, state_change from pg_stat_activity where pid in ({', '.join(map(str, pids))})")}

    for _ in range(3):
        wait_until(lambda: len(pooler.servers("lab", "state_change < clock_timestamp() - interval '300 ms'")) == 6, "all servers to have rested")
        before = used()
        mine = c.pid()
        after = used()
        assert len(after) == 6 and [pid for pid in pids if after[pid] != before[pid]] == [mine]


def test_after_a_rest_every_request_is_served_by_a_tested_server(make_pooler):
    pooler = make_pooler(default_pool_size=4, server_check_delay=0.2, server_check_query="insert into rest_checks select pg_backend_pid()")
    clients = [pooler.connect() for _ in range(4)]
    clients[0].rows("drop table if exists rest_checks; create table rest_checks(pid int)")
    open_servers(pooler, 4)
    clients[0].rows("truncate rest_checks")
    wait_until(lambda: len(pooler.servers("lab", "state_change < clock_timestamp() - interval '1 second'")) == 4, "all servers to have rested")
    for c in clients:
        c.rows("begin")
    assert {str(c.pid()) for c in clients} <= set(clients[0].query("select pid from rest_checks").values)
    for c in clients:
        c.rows("commit")
    clients[0].rows("drop table rest_checks")


def test_a_failing_server_check_query_costs_only_the_server(make_pooler):
    pooler = make_pooler(default_pool_size=1, server_check_delay=0, server_check_query="select no_such_function()")
    c = pooler.connect()
    assert len({c.pid() for _ in range(4)}) == 4


def test_connect_query(make_pooler):
    pooler = make_pooler(databases={"lab": {"connect_query": "'set work_mem = ''6MB'''"}}, default_pool_size=2)
    a, b = pooler.connect(), pooler.connect()
    a.rows("begin")
    assert a.value("show work_mem") == "6MB" and b.value("show work_mem") == "6MB"


def test_a_failing_connect_query_is_logged_and_ignored(make_pooler):
    pooler = make_pooler(databases={"lab": {"connect_query": "'select no_such_function()'"}}, default_pool_size=1)
    assert pooler.connect().value("select 1") == "1"
    pooler.wait_log("no_such_function")


def test_disable_pqexec(make_pooler):
    pooler = make_pooler(disable_pqexec=1)
    c = pooler.connect()
    assert c.extended("select 1").values == ["1"]
    c.send(query("select 1"))
    ended_with(c, "PQexec disallowed")


# --- tracked parameters ------------------------------------------------------------------------------------------------------

TRACKED = {
    "DateStyle": ["ISO, MDY", "German, DMY", "SQL, DMY", "Postgres, MDY"],
    "TimeZone": ["UTC", "Asia/Tokyo", "Europe/Vienna", "America/St_Johns"],
    "client_encoding": ["UTF8", "LATIN1", "SQL_ASCII", "WIN1252"],
    "standard_conforming_strings": ["on", "off", "on", "off"],
    "application_name": ["zero", "one", "it's", 'a "b" \\c; $1 %s'],
    "IntervalStyle": ["postgres", "iso_8601", "sql_standard", "postgres_verbose"],
}


@pytest.mark.parametrize("when", ["at startup", "by SET", "in an extended SET", "in a transaction"])
def test_every_tracked_value_is_put_right_on_the_next_server(make_pooler, when):
    pooler = make_pooler(default_pool_size=3)
    names = [n for n in TRACKED if n != "IntervalStyle" or pooler.kind.since("1.20")]
    clients = []
    for i in range(4):
        mine = {n: TRACKED[n][i] for n in names}
        if when == "at startup":
            c = pooler.connect(parameters=mine)
        else:
            c = pooler.connect()
            quoted = ["set %s = '%s'" % (n, v.replace("'", "''")) if n != "application_name" else "select set_config('application_name', $q$%s$q$, false)" % v for n, v in mine.items()]
            if when == "by SET":
                for q in quoted:
                    c.rows(q)
            elif when == "in a transaction":
                c.rows("begin; " + "; ".join(quoted) + "; commit")
            else:
                c.run(*[ask(q) for q in quoted], sync()).check()
        clients.append((c, mine))
    order = random.Random(11)
    for _ in range(10):
        for c, mine in order.sample(clients, 4):
            if order.random() < 0.5:
                r = c.query("select " + ", ".join(f"current_setting('{n}')" for n in names))
                assert r.kinds == "TDCZ"
            else:
                r = c.extended("select " + ", ".join(f"current_setting('{n}')" for n in names))
                assert r.kinds == "12DCZ", "no answer to the pooler's own SETs gets through"
            assert dict(zip(names, r.rows[0])) == mine
            if order.random() < 0.3:
                c.rows("begin")  # spreads them over the servers
                other = order.choice(clients)[0]
                if other is not c:
                    other.value("select 1")
                c.rows("commit")


@pytest.mark.since("1.26")
def test_everything_the_server_reports_is_tracked(make_pooler):
    pooler = make_pooler(default_pool_size=1)
    a, b = pooler.connect(), pooler.connect()
    a.rows("set default_transaction_read_only = on")
    assert b.value("show default_transaction_read_only") == "off"
    assert a.value("show default_transaction_read_only") == "on"


def test_set_local_and_rollback_are_taken_back(make_pooler):
    pooler = make_pooler(default_pool_size=1)
    a, b = pooler.connect(), pooler.connect()
    usual = b.value("show timezone")
    a.rows("begin; set local timezone = 'Asia/Tokyo'; commit")
    assert a.value("show timezone") == usual and b.value("show timezone") == usual
    a.rows("begin; set timezone = 'Asia/Tokyo'; rollback")
    assert a.value("show timezone") == usual and b.value("show timezone") == usual
    a.rows("begin; set timezone = 'Asia/Tokyo'; commit")
    assert b.value("show timezone") == usual and a.value("show timezone") == "Asia/Tokyo"


@pytest.mark.parametrize("length", [63, 64, 125, 126, 200, 255, 1000, 5000])
def test_an_application_name_of_any_length(make_pooler, length):
    pooler = make_pooler(default_pool_size=1)
    other = pooler.connect(parameters={"application_name": "other"})
    name = ("é'\\" * length)[:length] if length < 100 else "n" * length
    c = pooler.connect(parameters={"application_name": name})
    bare = pooler.connect()
    for _ in range(3):
        assert other.value("show application_name") == "other"
        shown = c.value("show application_name")
        assert shown == name[:63] or length < 100, "PostgreSQL cuts names at 63 bytes"
        assert shown != "other"
        assert bare.value("show application_name") == ""


def test_switching_settings_in_the_middle_of_pipelines(make_pooler):
    pooler = make_pooler(default_pool_size=1)
    a = pooler.connect(parameters={"TimeZone": "Asia/Tokyo"})
    b = pooler.connect(parameters={"TimeZone": "Europe/Vienna"})
    burst = [ask("select current_setting('timezone')") + sync() for _ in range(20)]
    for _ in range(10):
        a.send(*burst)
        b.send(*burst)
        for c, zone in ((a, "Asia/Tokyo"), (b, "Europe/Vienna")):
            for _ in burst:
                r = c.read_until("Z")
                assert r.values == [zone] and r.kinds == "12DCZ"


@pytest.mark.since("1.21")
def test_settings_and_prepared_statements_meet_on_a_new_server(make_pooler):
    pooler = make_pooler(default_pool_size=3)
    c = pooler.connect(parameters={"TimeZone": "Asia/Tokyo", "application_name": "both"})
    c.run(parse("s", "select current_setting('timezone'), current_setting('application_name')"), sync()).check()
    for _ in range(3):
        holder = pooler.connect()
        r = c.run(bind("s"), execute(), sync())
        assert r.rows == [("Asia/Tokyo", "both")] and r.kinds == "2DCZ"
        holder.rows("begin")
        if len(pooler.servers()) == 3:
            break


def test_a_value_that_one_server_refuses_never_runs_the_query(make_pooler, postgres):
    # the encoding is valid by itself, and refused where the database's encoding cannot be converted
    postgres.sql("create database euc encoding 'EUC_JP' lc_collate 'C' lc_ctype 'C' template template0 owner app")
    try:
        pooler = make_pooler(databases={"euc": {"dbname": "euc"}}, default_pool_size=1)
        try:
            c = pooler.connect(database="euc", parameters={"client_encoding": "WIN1251"})
            c.send(query("select 'ran regardless'"))
            try:
                assert c.read_until("Z").errors
            except wire.Closed as e:
                assert "ran regardless" not in str(e)
        except wire.ServerError:
            pass
        assert pooler.connect(database="euc").value("select 1") == "1"
        pooler.stop()
        wait_until(lambda: not postgres.backends("euc"), "the servers to leave")
    finally:
        postgres.sql("drop database euc with (force)")


# --- Unix sockets ------------------------------------------------------------------------------------------------------------


def test_clients_on_a_unix_socket(make_pooler):
    pooler = make_pooler(unix_socket_mode="0770")
    c = pooler.connect(address=pooler.socket_path)
    assert c.value("select 1") == "1"
    assert stat.S_IMODE(os.stat(pooler.socket_path).st_mode) == 0o770
    assert pooler.connect().value("select 1") == "1"


def test_only_a_unix_socket(make_pooler):
    pooler = make_pooler(listen_addr=None)
    assert pooler.connect(address=pooler.socket_path).value("select 1") == "1"
    with pytest.raises(OSError):
        pooler.raw()


def test_an_abstract_unix_socket(make_pooler):
    name = f"@sluice-bb-{os.getpid()}"
    pooler = make_pooler(unix_socket_dir=name)
    assert pooler.connect(address=f"{name}/.s.PGSQL.{pooler.port}").value("select 1") == "1"


def test_the_unix_socket_is_removed_at_the_end(make_pooler):
    pooler = make_pooler()
    path = pooler.socket_path
    assert os.path.exists(path)
    pooler.signal(pooler.kind.signal_at_once)
    pooler.wait()
    assert not os.path.exists(path)


def test_servers_on_a_unix_socket(make_pooler, postgres):
    pooler = make_pooler(databases={"lab": {"host": postgres.socket_dir}}, default_pool_size=2)
    c = pooler.connect()
    assert c.value("select client_addr is null from pg_stat_activity where pid = pg_backend_pid()") == "t"
    assert c.extended("select inet_server_port()").rows == [(None,)]
