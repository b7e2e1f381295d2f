"""What breaks stays where it broke: servers that die, clients that vanish, peers that stop reading, signals."""
import os
import signal
import threading

import pytest

import wire
from processes import free_port, listening_at, wait_until
from wire import ask, bind, copy_data, execute, flush, parse, query, sync

MB = 1 << 20
SERVER_CLOSED = r" S-0x\w+: .*closing because: "
SERVER_GONE = ("57P01", "57P02", "08006", "08P01", "08000", "08003")


def wait_running(pooler, count=1):
    wait_until(lambda: len(pooler.servers("lab", "state = 'active'")) == count, f"{count} running queries")


def last_words(client):
    """What a client hears whose server died: a FATAL, and the end."""
    seen = client.read_to_end()
    assert seen.errors, "a close without a word"
    fatal = seen.errors[-1]
    assert fatal.severity == "FATAL" and fatal.code in SERVER_GONE, fatal
    return fatal


def served(pooler, **how):
    try:
        with pooler.connect(**how) as c:
            return c.value("select 1") == "1"
    except (wire.ServerError, wire.Closed, OSError):
        return False


# --- servers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["running", "in a transaction", "in COPY IN"])
def test_a_terminated_backend_ends_its_own_client_only(make_pooler, postgres, state):
    pooler = make_pooler(default_pool_size=3)
    c, other, idle = pooler.connect(), pooler.connect(), pooler.connect()
    other.rows("begin")
    idle.value("select 1")
    if state == "running":
        c.send(query("select pg_sleep(100)"))
        wait_running(pooler)
        pid = pooler.servers("lab", "state = 'active'")[0]
    else:
        c.rows("drop table if exists terminated; create table terminated(i int)")
        c.rows("begin")
        pid = c.pid()
        if state == "in COPY IN":
            c.send(query("copy terminated from stdin"))
            c.read_until("G")
    postgres.sql(f"select pg_terminate_backend({pid})")
    last_words(c)
    assert other.value("select 'in my transaction'") == "in my transaction"
    assert other.query("commit").tags == ["COMMIT"]
    assert idle.value("select 'unharmed'") == "unharmed"


def test_an_idle_backend_that_dies_is_noticed_before_it_is_given_to_anybody(make_pooler, postgres):
    pooler = make_pooler(default_pool_size=1)
    c = pooler.connect()
    for turn in range(5):
        pid = c.pid()
        postgres.sql(f"select pg_terminate_backend({pid})")
        wait_until(lambda: pid not in pooler.servers(), "the backend to end")
        pooler.wait_log(SERVER_CLOSED, turn + 1)
        assert c.pid() != pid


def test_a_client_that_meets_a_dying_idle_backend_is_served_or_told(make_pooler, postgres):
    # the query crosses the server's farewell on the way: never a close without a word
    pooler = make_pooler(default_pool_size=1)
    for _ in range(30):
        c = pooler.connect()
        pid = c.pid()
        postgres.sql(f"select pg_terminate_backend({pid})")
        c.send(query("select 'served'"))
        seen = wire.Reply()
        try:
            while not seen or seen[-1][0] != "Z":
                seen.append(c.read())
        except wire.Closed:
            assert seen.errors and seen.error.severity == "FATAL" and seen.error.code in SERVER_GONE, seen
        else:
            assert seen.values == ["served"]


@pytest.mark.parametrize("when", ["linked just now", "setting known parameters", "trying new parameters"])
def test_a_server_that_dies_right_after_it_was_linked_is_no_bare_end(make_pooler, postgres, when):
    # its FATAL was taken for the answer to the pooler's own SET, and the client saw nothing but an end of stream
    pooler = make_pooler(default_pool_size=1)
    other = pooler.connect()
    for turn in range(5):
        parameters = {} if when == "linked just now" else {"TimeZone": f"Etc/GMT+{turn}", "application_name": f"n{turn}"}
        if parameters and pooler.kind.is_sluice:
            parameters["statement_timeout"] = f"7{turn}s"
        if when == "setting known parameters":
            pooler.connect(parameters=parameters).value("select 1")
        c = pooler.connect(parameters=parameters)
        pid = other.pid()
        with postgres.paused(pid) as backend:
            c.send(query("select 'never answered'"))
            backend.wait_unread()
            postgres.sql(f"select pg_terminate_backend({pid})")
        fatal = last_words(c)
        assert fatal.code == "57P01" or not pooler.kind.is_sluice, fatal
        assert other.value("select 1") == "1"


def test_kill_9_of_a_backend_while_linked(make_pooler, own_postgres):
    pooler = make_pooler(own_postgres, default_pool_size=2, server_login_retry=1)
    c, idle = pooler.connect(), pooler.connect()
    c.rows("begin")
    idle.value("select 1")
    own_postgres.kill_backend(c.pid())
    last_words(c)
    own_postgres.wait_ready()
    wait_until(lambda: served(pooler), "the pooler to be back")
    assert idle.value("select 'the same connection as before'") == "the same connection as before"


def test_kill_9_of_a_backend_while_idle(make_pooler, own_postgres):
    pooler = make_pooler(own_postgres, default_pool_size=2, server_login_retry=1)
    c = pooler.connect()
    pid = c.pid()
    own_postgres.kill_backend(pid)
    own_postgres.wait_ready()
    wait_until(lambda: served(pooler), "the pooler to be back")
    assert c.pid() != pid


@pytest.mark.since("1.21")
def test_prepared_statements_survive_the_death_of_their_server(make_pooler, postgres):
    pooler = make_pooler(default_pool_size=1)
    c = pooler.connect()
    c.run(parse("s", "select 'prepared'"), sync()).check()
    for turn in range(3):
        pid = c.pid()
        postgres.sql(f"select pg_terminate_backend({pid})")
        wait_until(lambda: pid not in pooler.servers(), "the backend to end")
        pooler.wait_log(SERVER_CLOSED, turn + 1)
        assert c.run(bind("s"), execute(), sync()).values == ["prepared"]


NOBODY_THERE = {"a port that refuses": lambda: {"port": free_port()}, "no such socket": lambda: {"host": "/nowhere/at/all"}}


@pytest.mark.parametrize("where", NOBODY_THERE)
def test_a_server_that_refuses_at_once_is_not_tried_without_end(make_pooler, where):
    # server_login_retry=0: the next attempt followed in the same turn of the event loop, and nobody else had one
    pooler = make_pooler(databases={"lab": {}, "dead": NOBODY_THERE[where]()}, auth_type="trust", server_login_retry=0)
    c, dead = pooler.connect(), [pooler.raw() for _ in range(3)]
    c.value("select 1")
    for d in dead:
        d.send(wire.startup_packet({"user": "app", "database": "dead"}))

    def attempts():
        with open(pooler.log_path) as f:
            return sum("failed" in line for line in f)

    wait_until(lambda: attempts() >= 2, "two attempts")
    before, queries, answered = attempts(), 3000, 0
    try:
        while answered < queries and c.value(f"select {answered}") == str(answered):
            answered += 1
    finally:
        tried = attempts() - before
        if tried >= queries / 10:  # it fills the disk
            pooler.signal(signal.SIGKILL)
            pooler.wait()
            os.truncate(pooler.log_path, 0)
            os.truncate(pooler.stderr_path, 0)
    assert tried < queries / 10 and answered == queries, f"{tried} attempts beside {answered} queries"
    assert pooler.connect().value("select 1") == "1"


def test_a_host_name_with_an_address_that_nobody_listens_on(make_pooler):
    # localhost is ::1 first on many machines, and PostgreSQL listens on 127.0.0.1 only
    pooler = make_pooler(databases={"lab": {"host": "localhost"}}, default_pool_size=3)
    clients = [pooler.connect() for _ in range(3)]
    for c in clients:
        c.rows("begin")
    assert len({c.pid() for c in clients}) == 3
    assert {c.value("select host(inet_server_addr())") for c in clients} == {"127.0.0.1"}


@pytest.mark.parametrize("how", ["fast", "kill"])
def test_postgresql_restarts_under_load(make_pooler, own_postgres, how):
    pooler = make_pooler(own_postgres, default_pool_size=4, server_login_retry=1, server_connect_timeout=5)
    stop, problems, answers = threading.Event(), [], [0] * 12

    def work(me):
        turn, client = 0, None
        while not stop.is_set():
            turn += 1
            try:
                client = client or pooler.connect()
                r = client.query(f"select '{me}/{turn}'") if turn % 2 else client.extended(f"select '{me}/{turn}'")
                if r.errors:
                    continue
                if r.values != [f"{me}/{turn}"]:
                    problems.append((me, turn, r))
                answers[me] += 1
            except (wire.Closed, wire.ServerError, OSError):
                client = None

    threads = [threading.Thread(target=work, args=(i,)) for i in range(12)]
    for t in threads:
        t.start()
    try:
        for _ in range(2):
            before = list(answers)
            wait_until(lambda: all(a > b + 5 for a, b in zip(answers, before)), "everybody to be served")
            own_postgres.stop() if how == "fast" else own_postgres.kill()
            own_postgres.start()
        before = list(answers)
        wait_until(lambda: all(a > b + 5 for a, b in zip(answers, before)), "everybody to be served again")
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert not problems, problems[:3]


def test_idle_clients_stay_when_postgresql_restarts(make_pooler, own_postgres):
    pooler = make_pooler(own_postgres, server_login_retry=1)
    clients = [pooler.connect() for _ in range(20)]
    for c in clients:
        c.value("select 1")
    own_postgres.restart()
    wait_until(lambda: served(pooler), "the pooler to be back")
    assert [c.value("select 1") for c in clients] == ["1"] * 20


@pytest.mark.since("1.21")
def test_a_server_that_is_down_is_told_and_comes_back(make_pooler, own_postgres):
    pooler = make_pooler(own_postgres, server_login_retry=1, query_wait_timeout=2)
    c = pooler.connect()
    c.value("select 1")
    own_postgres.stop()
    c.send(query("select 1"))
    seen = c.read_to_end()
    assert seen.error.severity == "FATAL" and not seen.rows
    own_postgres.start()
    wait_until(lambda: served(pooler), "the pooler to be back")


# --- clients that vanish ------------------------------------------------------------------------------------------------


@pytest.fixture
def vanish(make_pooler):
    pooler = make_pooler(default_pool_size=1)
    c = pooler.connect()
    c.rows("drop table if exists vanish; create table vanish(i int)")
    return pooler


END = {"FIN": lambda c: c.close(), "RST": lambda c: c.reset(), "Terminate": lambda c: c.terminate(), "half-close": lambda c: c.half_close()}


@pytest.mark.parametrize("end", END)
def test_a_client_that_vanishes_in_a_transaction_is_rolled_back(vanish, end):
    c = vanish.connect()
    c.rows("begin; insert into vanish values (1)")
    pid = c.pid()
    END[end](c)
    b = vanish.connect()
    assert b.value("select count(*) from vanish") == "0"
    if vanish.kind.is_sluice:
        assert b.pid() == pid, "rolled back, and the server was kept"


@pytest.mark.parametrize("end", END)
def test_a_client_that_vanishes_in_a_failed_transaction_leaves_a_clean_server(vanish, end):
    c = vanish.connect()
    pid = c.pid()
    assert c.query("begin; set local geqo = off; select 1/0").status == "E"
    END[end](c)
    b = vanish.connect()
    assert b.rows("select pg_backend_pid(), current_setting('geqo')") == [(str(pid), "on")]


@pytest.mark.parametrize("in_transaction", [False, True])
@pytest.mark.parametrize("end", ["FIN", "RST"])
def test_a_client_that_vanishes_in_a_running_query_cancels_it(vanish, end, in_transaction):
    c = vanish.connect()
    if in_transaction:
        c.rows("begin; insert into vanish values (1)")
    else:
        # else it would be awaited: what runs may be a write
        vanish.reload(cancel_on_disconnect=1)
    c.send(query("select pg_sleep(1000)"))
    wait_running(vanish)
    pid = vanish.servers()[0]
    END[end](c)
    wait_until(lambda: not vanish.servers("lab", "state = 'active'"), "the query to be gone from pg_stat_activity")
    b = vanish.connect()
    assert b.value("select count(*) from vanish") == "0"
    assert b.pid() == pid


@pytest.mark.parametrize("end", ["FIN", "RST"])
def test_a_client_that_vanishes_in_copy_in(vanish, end):
    # 1.26 fixed "late COPY messages causing pool exhaustion"
    for _ in range(5):
        c = vanish.connect()
        c.send(query("copy vanish from stdin"))
        c.read_until("G")
        c.send(*[copy_data(b"1\n") for _ in range(1000)])
        END[end](c)
        assert vanish.connect().value("select count(*) from vanish") == "0"


@pytest.mark.parametrize("end", ["FIN", "RST"])
def test_a_client_that_vanishes_in_copy_out(vanish, end):
    c = vanish.connect()
    c.send(query("copy (select repeat('x', 1000) from generate_series(1, 300000)) to stdout"))
    c.read_until("d")
    END[end](c)
    assert vanish.connect().value("select 1") == "1"


@pytest.mark.parametrize("end", ["FIN", "RST"])
def test_a_client_that_vanishes_from_a_big_result(vanish, end):
    for extended in (False, True):
        c = vanish.connect()
        sql = "select repeat('x', 1000) from generate_series(1, 300000)"
        c.send(ask(sql) + sync() if extended else query(sql))
        c.read_until("D")
        END[end](c)
        b = vanish.connect()
        assert b.query("select 'mine'") == [("T", ("?column?",)), ("D", ("mine",)), ("C", "SELECT 1"), ("Z", "I")]


BURSTS = {
    "no sync": ask("select 1"),
    "flush": ask("select 1") + flush(),
    "parse": parse("", "select 1"),
    "insert": ask("insert into vanish values (1)") + flush(),
    "begin and insert": ask("begin") + sync() + ask("insert into vanish values (1)"),
    "queries": query("select 1") * 50,
    "syncs": (ask("select 1") + sync()) * 50,
}


@pytest.mark.parametrize("end", ["FIN", "RST", "Terminate"])
def test_a_pipeline_without_its_sync_is_never_committed(vanish, end):
    # PostgreSQL commits an implicit transaction at Sync: a pooler that tidies up with a Sync of its own commits half of
    # what the client was about to do
    for _ in range(5):
        c = vanish.connect()
        c.send(ask("insert into vanish values (1)"), flush())
        assert c.read_until("C").tags == ["INSERT 0 1"]
        END[end](c)
        assert vanish.connect().value("select count(*) from vanish") == "0"


@pytest.mark.parametrize("burst", BURSTS.values(), ids=BURSTS)
def test_a_client_that_vanishes_in_the_middle_of_a_pipeline(vanish, burst):
    for end in ("FIN", "RST"):
        c = vanish.connect()
        c.send(burst)
        END[end](c)
        b = vanish.connect()
        assert b.query("select count(*) from vanish") == [("T", ("count",)), ("D", ("0",)), ("C", "SELECT 1"), ("Z", "I")]
        assert b.extended("select 'mine'") == [("1",), ("2",), ("D", ("mine",)), ("C", "SELECT 1"), ("Z", "I")]


@pytest.mark.parametrize("end", ["FIN", "RST", "half-close"])
def test_clients_that_vanish_during_their_login(vanish, end):
    for upto in (0, 3, 8, 20):
        c = vanish.raw()
        c.send(wire.startup_packet({"user": "app", "database": "lab"})[:upto])
        END[end](c)
    c = vanish.raw()
    c.send(wire.startup_packet({"user": "app", "database": "lab"}))
    c.read()
    END[end](c)
    assert vanish.connect().value("select 1") == "1"


# --- half a message, slow readers, half-closed sockets ----------------------------------------------------------------------


@pytest.mark.parametrize("sent", [1, 4, 5, 7, 20])
def test_half_a_message_then_silence_holds_nothing(make_pooler, sent):
    # suspended functions: 10 clients that sent 7 bytes of a Query took all 10 servers
    pooler = make_pooler(default_pool_size=10)
    whole = query("select 'a frozen function woke up'")
    frozen = [pooler.connect() for _ in range(10)]
    for c in frozen:
        c.send(whole[:sent])
    live = [pooler.connect() for _ in range(10)]
    for c in live:
        c.rows("begin")
    assert len({c.pid() for c in live}) == 10, "every server can be had"
    for c in live:
        c.rows("commit")
    for c in frozen:
        c.send(whole[sent:])
        assert c.read_until("Z").values == ["a frozen function woke up"]


def test_half_a_message_inside_a_pipeline_holds_nothing(make_pooler):
    pooler = make_pooler(default_pool_size=1)
    frozen, live = pooler.connect(), pooler.connect()
    burst = ask("select 'first'") + sync()
    frozen.send(burst, burst[:7])
    assert frozen.read_until("Z").values == ["first"]
    assert live.value("select 'served'") == "served"
    frozen.send(burst[7:])
    assert frozen.read_until("Z").values == ["first"]


def test_250_idle_clients_on_10_servers(make_pooler):
    pooler = make_pooler(default_pool_size=10)
    clients = [pooler.connect() for _ in range(250)]
    for turn in range(2):
        for i, c in enumerate(clients):
            assert c.value(f"select {turn * 1000 + i}") == str(turn * 1000 + i)
    active = pooler.connect()
    for i in range(100):
        assert active.value(f"select {i}") == str(i)
    assert len(pooler.servers()) <= 10


def test_a_slow_reader_of_a_big_result_costs_bounded_memory(make_pooler):
    pooler = make_pooler(default_pool_size=2)
    other = pooler.connect()
    other.value("select 1")
    before = pooler.memory()
    slow = pooler.connect()
    slow.send(query("select repeat('x', 100000) from generate_series(1, 10000)"))  # 1 GB
    slow.read_until("T")
    for i in range(300):  # everybody else carries on while it does not read
        assert other.value(f"select {i}") == str(i)
    wait_until(lambda: pooler.servers("lab", "wait_event = 'ClientWrite'"), "PostgreSQL to be held back")
    assert pooler.memory() - before < 16 * MB
    for _ in range(100):
        slow._receive()
        del slow.buffer[:]
    assert pooler.memory() - before < 16 * MB
    slow.reset()
    assert other.value("select 1") == "1"


def test_many_slow_readers_cost_bounded_memory(make_pooler):
    pooler = make_pooler(default_pool_size=20)
    before = pooler.memory()
    slow = [pooler.connect() for _ in range(20)]
    for c in slow:
        c.send(query("select repeat('x', 100000) from generate_series(1, 1000)"))
    wait_until(lambda: len(pooler.servers("lab", "wait_event = 'ClientWrite'")) == 20, "everybody to be held back")
    assert pooler.memory() - before < 24 * MB
    for c in slow:
        assert c.drain()[1] == 1000


def test_a_client_that_sends_and_never_reads_is_held_back(make_pooler):
    # without back-pressure the pooler's memory takes what the client does not read
    pooler = make_pooler(default_pool_size=2)
    other = pooler.connect()
    before = pooler.memory()
    flood = pooler.connect()
    flood.socket.settimeout(0.5)
    burst = query(f"select '{'f' * 20000}'") * 50
    sent = 0
    try:
        while sent < 200 * MB:
            sent += flood.socket.send(burst)  # cut anywhere: only its volume matters
    except TimeoutError:
        pass
    assert sent < 200 * MB, "it was never held back"
    assert pooler.memory() - before < 32 * MB
    assert other.value("select 1") == "1"


def test_a_half_closed_socket(make_pooler):
    # some clients shut down their sending side right after the last query; it may be answered, or be closed, but not hang
    pooler = make_pooler(default_pool_size=1)
    c = pooler.connect()
    c.send(query("select 'last words'"))
    c.half_close()
    assert c.read_to_end().values in (["last words"], [])
    assert pooler.connect().value("select 1") == "1"


# --- signals -----------------------------------------------------------------------------------------------------------------


def refuses(pooler):
    try:
        pooler.raw().close()
        return False
    except OSError:
        return True


@pytest.mark.since("1.23")
def test_sigterm_waits_for_clients(make_pooler):
    pooler = make_pooler()
    busy, idle = pooler.connect(), pooler.connect()
    busy.rows("begin")
    pooler.signal(signal.SIGTERM)
    wait_until(lambda: refuses(pooler), "the listener to close")
    assert busy.value("select 1") == "1" and busy.query("commit").tags == ["COMMIT"]
    assert idle.value("select 'still served'") == "still served"
    busy.terminate()
    assert pooler.alive()
    assert idle.value("select 1") == "1"
    idle.terminate()
    assert pooler.wait() == 0


@pytest.mark.since("1.23")
def test_sigterm_without_clients_ends_at_once(make_pooler):
    pooler = make_pooler()
    pooler.connect().terminate()
    pooler.signal(signal.SIGTERM)
    assert pooler.wait() == 0
    wait_until(lambda: not pooler.servers(), "PostgreSQL to let go of the servers")


@pytest.mark.since("1.23")
def test_a_second_sigterm_ends_at_once(make_pooler):
    pooler = make_pooler()
    c = pooler.connect()
    c.rows("begin")
    pooler.signal(signal.SIGTERM)
    wait_until(lambda: refuses(pooler), "the listener to close")
    pooler.signal(signal.SIGTERM)
    assert pooler.wait() == 0
    c.read_to_end()


@pytest.mark.since("1.23")
def test_new_logins_on_the_unix_socket_are_turned_away_while_waiting_for_clients(make_pooler):
    pooler = make_pooler()
    wait_until(lambda: listening_at(pooler.socket_path), "the socket to be listened on")
    c = pooler.connect(address=pooler.socket_path)
    pooler.signal(signal.SIGTERM)
    wait_until(lambda: refuses(pooler), "the TCP listener to close")
    try:
        pooler.connect(address=pooler.socket_path)
        raise AssertionError("a new login was taken")
    except wire.ServerError as e:
        assert e.message == "pooler is shutting down"
    except (OSError, wire.Closed):
        pass
    assert c.value("select 1") == "1"
    c.terminate()
    assert pooler.wait() == 0


@pytest.mark.since("1.23")
def test_sigint_waits_for_servers(make_pooler):
    pooler = make_pooler(default_pool_size=2)
    busy, idle = pooler.connect(), pooler.connect()
    idle.value("select 1")
    busy.rows("begin")
    pooler.signal(signal.SIGINT)
    wait_until(lambda: refuses(pooler), "the listener to close")
    assert busy.value("select 'in its transaction'") == "in its transaction"
    idle.send(query("select 1"))
    assert idle.read_to_end().error.message == "server shutting down"
    assert busy.query("commit").tags == ["COMMIT"]
    assert pooler.wait() == 0


@pytest.mark.since("1.25")
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_sigint_ends_a_pooler_that_keeps_servers_warm(make_pooler, busy):
    # min_pool_size of a forced user: each server that was closed was opened again, and nobody was ever the last
    pooler = make_pooler(databases={"lab": {"user": "app", "password": "app-pw", "min_pool_size": 2}}, default_pool_size=3, server_login_retry=1)
    wait_until(lambda: len(pooler.servers()) == 2, "two warm servers")
    c = pooler.connect()
    c.rows("begin" if busy else "select 1")
    pooler.signal(signal.SIGINT)
    wait_until(lambda: refuses(pooler), "the listener to close")
    if busy:
        assert c.query("commit").tags == ["COMMIT"]
    assert pooler.wait() == 0
    wait_until(lambda: not pooler.servers(), "the backends to end")


@pytest.mark.since("1.23")
def test_sigquit_ends_at_once_in_the_middle_of_everything(make_pooler):
    pooler = make_pooler(default_pool_size=2)
    clients = [pooler.connect() for _ in range(4)]
    for c in clients:
        c.send(query("select pg_sleep(100)"))
    wait_running(pooler, 2)
    pooler.signal(signal.SIGQUIT)
    assert pooler.wait() == 0
    for c in clients:
        c.read_to_end()


def test_sighup_reloads_without_disturbing_anybody(make_pooler):
    pooler = make_pooler(default_pool_size=1)
    c, waiting = pooler.connect(), pooler.connect()
    c.rows("begin")
    waiting.send(query("select 'waited'"))
    for size in (2, 3):
        pooler.reload(default_pool_size=size)
    assert waiting.read_until("Z").values == ["waited"], "the larger pool serves it"
    assert c.query("commit").tags == ["COMMIT"]
    pooler.databases["lab3"] = {}
    pooler.reload()
    wait_until(lambda: served(pooler, database="lab3"), "the new database")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_database_that_moves_leaves_its_old_server_for_good(make_pooler, postgres, own_postgres, workers):
    # nothing that was made for the old host may be used: idle, lent to another worker, or just being made
    pooler = make_pooler(default_pool_size=4, workers=workers)
    clients = [pooler.connect() for _ in range(12)]

    def everybody(turn):
        for i, c in enumerate(clients):
            c.send(query("show port") if (i + turn) % 2 else ask("select current_setting('port')") + sync())
        return {c.read_until("Z").check().values[0] for c in clients}

    place, other = postgres, own_postgres
    for _ in range(2):  # there, and back again
        assert everybody(0) == {str(place.port)}
        holder = pooler.connect()
        holder.rows("begin")
        assert holder.value("show port") == str(place.port)
        pooler.databases["lab"] = {"port": other.port}
        pooler.reload()
        turn, seen = 0, set()
        while str(other.port) not in seen:
            turn += 1
            seen = everybody(turn)
        for turn in range(20):
            assert everybody(turn) == {str(other.port)}, "who has seen the new one never sees the old one again"
        assert holder.value("show port") == str(place.port), "a transaction stays where it began"
        assert holder.query("commit").tags == ["COMMIT"]
        assert holder.value("show port") == str(other.port)
        wait_until(lambda: not place.backends("lab"), "the old servers to be closed")
        place, other = other, place


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_database_that_is_removed_and_added_again(make_pooler, postgres, mode):
    # who waited got a server that somebody who had to go left behind, and his query ran
    pooler = make_pooler(databases={"lab": {}, "lab2": {"pool_mode": mode}}, default_pool_size=1, server_reset_query="", **({"query_wait_notify": 1} if make_pooler.kind.since("1.25") else {}))
    keeper, holder = pooler.connect(), pooler.connect(database="lab2")
    holder.rows("drop table if exists removed; create table removed(i int)")
    for _ in range(2):
        holder.rows("begin; insert into removed values (0)" if mode == "transaction" else "select 'keeps its server'")
        waiting = [pooler.connect(database="lab2") for _ in range(5)]
        for i, c in enumerate(waiting):
            c.send(query("insert into removed values (1)") if i % 2 else ask("insert into removed values (1)") + sync())
        if pooler.kind.since("1.25"):
            for c in waiting:
                assert c.read()[0] == "N", "told that it is queued"
        entry = pooler.databases.pop("lab2")
        pooler.reload()
        for c in waiting + [holder]:
            seen = c.read_to_end()
            assert seen.error.severity == "FATAL" and seen.error.message == "database removed" and not seen.tags, seen
        wait_until(lambda: not pooler.servers("lab2"), "the servers to be closed")
        with pytest.raises(wire.ServerError, match="no such database: lab2"):
            pooler.connect(database="lab2")
        assert keeper.value("select 'undisturbed'") == "undisturbed"
        pooler.databases["lab2"] = entry
        pooler.reload()
        wait_until(lambda: served(pooler, database="lab2"), "the database to be back")
        holder = pooler.connect(database="lab2")
        assert holder.value("select count(*) from removed") == "0"
    holder.rows("drop table removed")


def test_a_reload_of_a_broken_file_changes_nothing_for_clients(make_pooler):
    pooler = make_pooler(default_pool_size=1)
    c = pooler.connect()
    c.value("select 1")
    good = open(pooler.ini_path).read()
    for broken in ("no sections at all\n", good + "unknown_key_of_mine = 1\n", good.replace("default_pool_size = 1", "default_pool_size = many")):
        pooler.write_ini(broken)
        lines = len(pooler.log().splitlines())
        pooler.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(pooler.log().splitlines()) > lines + 1, "the reload to be judged")
        assert c.value("select 1") == "1" and pooler.connect().value("select 1") == "1"
    pooler.write_ini(good)
    pooler.process.send_signal(signal.SIGHUP)
    assert c.value("select 1") == "1"


def test_a_reload_storm_under_load(make_pooler):
    pooler = make_pooler(default_pool_size=2)
    clients = [pooler.connect() for _ in range(6)]
    for i in range(100):
        if i % 5 == 0:
            pooler.process.send_signal(signal.SIGHUP)
        for c in clients:
            c.send(query(f"select {i}"))
        for c in clients:
            assert c.read_until("Z").values == [str(i)]


def test_the_log_file_is_reopened_by_sighup(make_pooler):
    pooler = make_pooler()
    os.rename(pooler.log_path, pooler.log_path + ".1")
    pooler.process.send_signal(signal.SIGHUP)

    def logged():
        pooler.connect().close()  # PgBouncer opens the file with the next line that it writes
        return os.path.exists(pooler.log_path) and "login attempt" in open(pooler.log_path).read()

    wait_until(logged, "a login in the new file")
