"""What console commands and signals do to a pooler under load, on two and four workers; statistics and slow statements in the log."""
import re
import signal
import threading
from random import Random

import pytest

import wire
from processes import listening, wait_until
from test_console import TOPICS, console, one, table

pytestmark = pytest.mark.sluice_only("commands of the console over several workers; PAUSE after WAIT_CLOSE")


@pytest.fixture(params=[2, 4])
def pooler(request, make_pooler):
    return make_pooler(workers=request.param, admin_users="app", default_pool_size=3)


class Load:
    """Clients that run short transactions until they are told to stop, or until the pooler ends them by one of the words `ends`."""

    def __init__(self, pooler, count=8, database="lab", ends=()):
        self.pooler, self.database, self.done, self.stopped, self.problems = pooler, database, [0] * count, False, []
        self.ends, self.ended = ends, 0
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(count)]

    def run(self, i):
        try:
            with wire.Client(self.pooler.address, user="app", password=self.pooler.users["app"], database=self.database) as c:
                while not self.stopped:
                    c.rows("begin")
                    assert c.value(f"select {i}") == str(i)
                    c.rows("commit")
                    self.done[i] += 1
        except Exception as e:
            if any(words in str(e) for words in self.ends):
                self.ended += 1
            else:
                self.problems.append(e)

    def __enter__(self):
        for t in self.threads:
            t.start()
        self.moves()
        return self

    def moves(self):
        """Every client gets something done."""
        before = list(self.done)
        wait_until(lambda: self.problems or all(a > b for a, b in zip(self.done, before)), "every client to get on")
        assert not self.problems, self.problems

    def __exit__(self, *_):
        self.stopped = True
        for t in self.threads:
            t.join()
        assert not self.problems, self.problems


def test_pause_and_resume_under_load(pooler):
    admin = console(pooler)
    with Load(pooler) as load:
        for _ in range(5):
            assert admin.query("PAUSE").tags == ["PAUSE"]
            assert table(admin, "SHOW SERVERS") == []
            wait_until(lambda: pooler.servers() == [], "PostgreSQL to see it")
            assert admin.value("SHOW STATE WHERE key = paused") == "paused"
            assert admin.query("PAUSE").error.message == "already suspended/paused"
            assert admin.query("KILL lab").error.message == "already suspended/paused"
            # whoever has got an answer has counted it once he asks again
            wait_until(lambda: one(admin, "SHOW POOLS WHERE database = lab")["cl_waiting"] == "8", "everybody to wait")
            before = list(load.done)
            pool = one(admin, "SHOW POOLS WHERE database = lab")
            assert load.done == before and int(pool["sv_active"]) == 0
            assert admin.query("RESUME").tags == ["RESUME"]
            load.moves()


def test_pause_of_one_database(pooler):
    admin = console(pooler)
    with Load(pooler, 4) as paused, Load(pooler, 4, "lab2") as other:
        assert admin.query("PAUSE lab").tags == ["PAUSE"]
        assert one(admin, "SHOW DATABASES WHERE name = lab")["paused"] == "1"
        assert table(admin, "SHOW SERVERS WHERE database = lab") == []
        other.moves()
        assert admin.query("RESUME lab2").error.message == "database lab2 is not paused"
        assert admin.query("RESUME").error.message == "pooler is not paused/suspended"
        assert admin.query("RESUME lab").tags == ["RESUME"]
        paused.moves()


def test_pause_waits_for_transactions(pooler):
    admin, other, busy = console(pooler), console(pooler), pooler.connect()
    busy.rows("begin")
    admin.send(wire.query("PAUSE"))
    wait_until(lambda: other.rows("SHOW STATE WHERE key = paused")[0][1] == "yes", "the pause to begin")
    assert busy.value("select 5") == "5"
    busy.rows("commit")
    assert admin.read_until("Z").tags == ["PAUSE"]
    assert other.query("RESUME").tags == ["RESUME"]
    assert busy.value("select 6") == "6"


@pytest.mark.parametrize("command", ["PAUSE", "PAUSE lab"])
def test_ctrl_c_on_a_waiting_pause_resumes(pooler, command):
    admin, other, busy = console(pooler), console(pooler), pooler.connect()
    busy.rows("begin")
    waiter = pooler.connect()
    admin.send(wire.query(command))
    wait_until(lambda: other.rows("SHOW STATE WHERE key = paused")[0][1] == "yes" or other.rows("SHOW DATABASES WHERE paused = 1"), "the pause")
    waiter.send(wire.query("select 9"))
    admin.cancel()
    reply = admin.read_until("Z")
    assert reply.error.code == "57014" and reply.status == "I"
    assert waiter.read_until("Z").values == ["9"]
    assert other.rows("SHOW STATE WHERE key = paused")[0][1] == "no" and other.rows("SHOW DATABASES WHERE paused = 1") == []
    assert admin.value("SHOW VERSION")


def test_a_console_that_leaves_leaves_the_pause(pooler):
    admin, other, busy = console(pooler), console(pooler), pooler.connect()
    busy.rows("begin")
    admin.send(wire.query("PAUSE"))
    wait_until(lambda: other.rows("SHOW STATE WHERE key = paused")[0][1] == "yes", "the pause")
    admin.close()
    busy.rows("commit")
    assert other.rows("SHOW STATE WHERE key = paused")[0][1] == "yes"
    assert other.query("RESUME").tags == ["RESUME"] and busy.value("select 1") == "1"


def test_signals_pause_and_resume(pooler):
    admin = console(pooler)
    with Load(pooler) as load:
        pooler.signal(signal.SIGUSR1)
        wait_until(lambda: pooler.servers() == [], "all servers to be closed")
        assert admin.rows("SHOW STATE WHERE key = paused")[0][1] == "yes"
        pooler.signal(signal.SIGUSR2)
        load.moves()
    pooler.wait_log("got SIGUSR1, pausing all activity")
    pooler.wait_log("got SIGUSR2, continuing from PAUSE")


def test_sigusr2_undoes_no_shutdown(pooler):
    busy, idle = pooler.connect(), pooler.connect()
    idle.rows("begin")
    busy.rows("begin")
    idle.rows("commit")
    pooler.signal(signal.SIGINT)
    pooler.wait_log(r"S-0x\w+: \S+ closing because: server shutting down \(age")
    pooler.signal(signal.SIGUSR2)
    pooler.wait_log("got SIGUSR2 while shutting down, ignoring")
    busy.rows("commit")
    assert pooler.wait() == 0


def test_reconnect_and_wait_close_under_load(pooler):
    admin = console(pooler)
    with Load(pooler) as load:
        for database in ("", " lab"):
            before = backends(admin)
            assert admin.query("RECONNECT" + database).tags == ["RECONNECT"]
            assert admin.query("WAIT_CLOSE" + database).tags == ["WAIT_CLOSE"]
            assert not before & backends(admin)
            load.moves()
        # a later PAUSE is a PAUSE
        reply = admin.query("PAUSE")
        assert reply.tags == ["PAUSE"] and table(admin, "SHOW SERVERS") == []
        admin.query("RESUME").check()


def backends(admin):
    """Those that have logged in."""
    return {row["remote_pid"] for row in table(admin, "SHOW SERVERS")} - {"0"}


def test_wait_close_waits(pooler):
    admin, other, busy = console(pooler), console(pooler), pooler.connect()
    busy.rows("begin")
    admin.query("RECONNECT").check()
    assert one(other, "SHOW SERVERS")["close_needed"] == "1"
    admin.send(wire.query("WAIT_CLOSE"))
    assert busy.value("select 1") == "1"
    busy.rows("commit")
    assert admin.read_until("Z").tags == ["WAIT_CLOSE"]


def test_disable_and_enable(pooler):
    admin, inside = console(pooler), pooler.connect()
    assert admin.query("DISABLE lab").tags == ["DISABLE"]
    assert one(admin, "SHOW DATABASES WHERE name = lab")["disabled"] == "1"
    for _ in range(8):
        with pytest.raises(wire.ServerError, match='database "lab" is disabled'):
            pooler.connect()
    assert inside.value("select 1") == "1"
    assert admin.query("ENABLE lab").tags == ["ENABLE"]
    assert pooler.connect().value("select 1") == "1"


def test_kill_drops_everybody_and_resume_lets_new_ones_in(pooler):
    admin = console(pooler)
    busy, idle, waiting, other = pooler.connect(), pooler.connect(), pooler.connect(), pooler.connect(database="lab2")
    busy.send(wire.query("select pg_sleep(100)"))
    for client in (idle, waiting):
        client.rows("select 1")
    # PostgreSQL ignores a cancel request that overtakes its query.
    wait_until(lambda: pooler.servers(where="query like '%pg_sleep%' and state = 'active'"), "the query to run")
    assert admin.query("KILL lab").tags == ["KILL"]
    for client in (busy, idle, waiting):
        assert client.read_to_end().error.message == "admin forced disconnect"
    wait_until(lambda: pooler.servers() == [], "the servers of lab to leave")
    assert other.value("select 1") == "1"
    admin.query("RESUME lab").check()
    assert pooler.connect().value("select 1") == "1"


def test_kill_client(pooler):
    admin, victims = console(pooler), [pooler.connect(parameters={"application_name": f"victim{i}"}) for i in range(8)]
    victims[3].rows("begin")
    for i, victim in enumerate(victims):
        name = one(admin, f"SHOW CLIENTS WHERE application_name = victim{i}")["id"]
        assert admin.query(f"KILL_CLIENT {name}").tags == ["KILL_CLIENT"]
        assert victim.read_to_end().error.message == "admin forced disconnect"
        assert admin.query(f"KILL_CLIENT {name}").error.message == "client not found"


def test_set_holds_for_all_workers_until_reload(pooler):
    admin = console(pooler)
    assert admin.query("SET server_idle_timeout = 77").tags == ["SET server_idle_timeout=77"]
    readers = [console(pooler) for _ in range(8)]
    assert {r.rows("SHOW CONFIG WHERE key = server_idle_timeout")[0][1] for r in readers} == {"77"}
    assert admin.query("RELOAD").tags == ["RELOAD"]
    assert {r.rows("SHOW CONFIG WHERE key = server_idle_timeout")[0][1] for r in readers} == {"600"}
    admin.query("SET server_idle_timeout = 5").check()
    assert admin.query("RESET server_idle_timeout").tags == ["RESET"]
    assert {r.rows("SHOW CONFIG WHERE key = server_idle_timeout")[0][1] for r in readers} == {"600"}
    # settings without a default keep the value of SET
    admin.query("SET auth_user = app").check()
    admin.query("RELOAD").check()
    assert admin.rows("SHOW CONFIG WHERE key = auth_user")[0][1] == "app"
    admin.query("RESET ALL").check()
    assert admin.rows("SHOW CONFIG WHERE key = auth_user")[0][1] is None
    # it really acts
    admin.query("SET default_pool_size = 1").check()
    assert one(admin, "SHOW DATABASES WHERE name = lab")["pool_size"] == "1"


def test_a_reload_of_a_bad_file(pooler):
    admin = console(pooler)
    pooler.write_ini("[databases]\nlab = nonsense\n[pgbouncer]\n")
    error = admin.query("RELOAD").error
    assert (error.code, error.message) == ("F0000", "RELOAD failed, see logs for additional details")
    # file, line and cause, for who sees the console and not the log
    assert re.search(r'/pooler\.ini:2: .*expected', error.fields["D"]), error.fields
    assert pooler.connect().value("select 1") == "1"


def test_a_reload_says_what_only_a_restart_changes(pooler):
    admin = console(pooler)
    assert admin.query("RELOAD").notices == []
    pooler.settings["listen_backlog"] = 7
    pooler.write_ini()
    assert [notice["M"] for notice in admin.query("RELOAD").check().notices] == ["only a restart puts these changes into force: listen_backlog"]


def test_shutdown_wait_for_clients(pooler):
    admin, client = console(pooler), pooler.connect()
    client.rows("begin")
    assert admin.query("SHUTDOWN WAIT_FOR_CLIENTS").tags == ["SHUTDOWN"]
    assert admin.query("RESUME").error.message == "pooler is shutting down"
    assert admin.query("SHUTDOWN WAIT_FOR_SERVERS").error.message == "already shutting down"
    # the Unix socket still lets the console in
    assert console(pooler, address=pooler.socket_path).value("SHOW VERSION")
    with pytest.raises(wire.ServerError, match="pooler is shutting down"):
        pooler.connect(address=pooler.socket_path)
    assert client.value("select 3") == "3"
    client.close()
    pooler.ended_on_purpose = True
    for c in pooler.clients:
        c.close()
    assert pooler.wait() == 0


def test_shutdown_wait_for_servers(pooler):
    admin, busy = console(pooler), pooler.connect()
    busy.rows("begin")
    pooler.ended_on_purpose = True
    assert admin.query("SHUTDOWN WAIT_FOR_SERVERS").tags == ["SHUTDOWN"]
    assert busy.value("select 1") == "1"
    busy.rows("commit")
    assert pooler.wait() == 0


def test_shutdown_at_once(pooler):
    admin = console(pooler)
    pooler.ended_on_purpose = True
    admin.send(wire.query("SHUTDOWN"))
    assert pooler.wait() == 0
    assert "C" not in admin.read_to_end().kinds


# All of them under load, which the tests above have only where it matters to the verb itself.


def test_every_topic_under_load(pooler):
    admin, looker = console(pooler), console(pooler)
    with Load(pooler) as load:
        for _ in range(10):
            for topic in TOPICS:
                columns = len(TOPICS[topic].split())
                for reply in (admin.query(f"SHOW {topic}"), looker.extended(f"SHOW {topic}")):
                    assert all(len(row) == columns for row in reply.check().rows) and reply.tags == ["SHOW"]
        for topic in ("HISTOGRAMS", "ERRORS", "HELP"):
            admin.query(f"SHOW {topic}").check()
        admin.query("WHY POOL lab app").check()
        for row in table(admin, "SHOW CLIENTS WHERE database = lab"):
            admin.query(f"WHY CLIENT {row['id']}").check()
        assert len(table(admin, "SHOW CLIENTS WHERE database = lab")) == 8
        load.moves()


def test_topics_while_clients_come_and_go(pooler):
    """What is shown is whole: each client once, with an id that nobody else has, and no more of them than there can be."""
    admin, stopped, problems = console(pooler), threading.Event(), []

    def come_and_go():
        try:
            while not stopped.is_set():
                with wire.Client(pooler.address, user="app", password=pooler.users["app"], database="lab") as c:
                    c.rows("select 1")
        except Exception as e:
            problems.append(e)

    threads = [threading.Thread(target=come_and_go) for _ in range(6)]
    for t in threads:
        t.start()
    try:
        with Load(pooler, 4, "lab2") as load:
            most = 0
            for _ in range(100):
                for topic in ("CLIENTS", "SOCKETS"):
                    rows = [r for r in table(admin, f"SHOW {topic}") if r["type"] == "C"]
                    assert len({r["id"] for r in rows}) == len(rows)
                    assert len([r for r in rows if r["database"] == "lab2"]) == 4
                pool = one(admin, "SHOW POOLS WHERE database = lab2")
                assert int(pool["cl_active"]) + int(pool["cl_waiting"]) == 4
                logins = int(one(admin, "SHOW TOTALS WHERE name = total_client_login_count")["value"])
                assert logins >= most
                most = logins
            load.moves()
    finally:
        stopped.set()
        for t in threads:
            t.join()
    assert not problems, problems
    wait_until(lambda: table(admin, "SHOW CLIENTS WHERE database = lab") == [], "the last ones to be gone")
    assert one(admin, "SHOW DATABASES WHERE name = lab")["current_client_connections"] == "0"


def test_disable_and_enable_under_load(pooler):
    admin = console(pooler)
    with Load(pooler) as load, Load(pooler, 2, "lab2") as other:
        for _ in range(3):
            assert admin.query("DISABLE lab").tags == ["DISABLE"]
            for _ in range(8):
                with pytest.raises(wire.ServerError, match='database "lab" is disabled'):
                    pooler.connect()
            pooler.connect(database="lab2").close()
            load.moves()
            other.moves()
            assert admin.query("ENABLE lab").tags == ["ENABLE"]
            for _ in range(8):
                pooler.connect().close()


def test_kill_under_load(pooler):
    admin = console(pooler)
    with Load(pooler, 4, "lab2") as other:
        for _ in range(3):
            with Load(pooler, ends=["admin forced disconnect"]) as load:
                assert admin.query("KILL lab").tags == ["KILL"]
                for thread in load.threads:
                    thread.join()
            assert load.ended == 8
            assert table(admin, "SHOW CLIENTS WHERE database = lab") == []
            # What ran is cancelled, by connections of their own.
            assert {r["state"] for r in table(admin, "SHOW SERVERS WHERE database = lab")} <= {"active_cancel", "new"}
            wait_until(lambda: table(admin, "SHOW SERVERS WHERE database = lab") == [], "them to be over")
            other.moves()
            # Who comes now waits, and is served once it is over.
            waiter = threading.Thread(target=lambda: pooler.connect().value("select 1"))
            waiter.start()
            wait_until(lambda: one(admin, "SHOW POOLS WHERE database = lab")["cl_waiting"] == "1", "the newcomer to wait")
            assert admin.query("RESUME lab").tags == ["RESUME"]
            waiter.join()
            pooler.clients[-1].close()


def test_kill_of_everything_under_load(pooler):
    admin = console(pooler)
    with Load(pooler, 4, ends=["admin forced disconnect"]) as load, Load(pooler, 4, "lab2", ends=["admin forced disconnect"]) as other:
        assert admin.query("KILL").tags == ["KILL"]
        for thread in load.threads + other.threads:
            thread.join()
    assert load.ended == other.ended == 4
    assert admin.query("RESUME").tags == ["RESUME"]
    assert pooler.connect().value("select 1") == pooler.connect(database="lab2").value("select 1") == "1"


def test_kill_client_under_load(pooler):
    admin = console(pooler)
    with Load(pooler, 4) as stays, Load(pooler, ends=["admin forced disconnect"], count=4, database="lab2") as load:
        for row in table(admin, "SHOW CLIENTS WHERE database = lab2"):
            assert admin.query(f"KILL_CLIENT {row['id']}").tags == ["KILL_CLIENT"]
        for thread in load.threads:
            thread.join()
        assert load.ended == 4 and table(admin, "SHOW CLIENTS WHERE database = lab2") == []
        stays.moves()


def test_settings_change_under_load(pooler):
    admin = console(pooler)
    with Load(pooler) as load:
        for size in (4, 5, 6, 1):
            assert admin.query(f"SET default_pool_size = {size}").tags == [f"SET default_pool_size={size}"]
            if size > 1:
                wait_until(lambda: len(table(admin, "SHOW SERVERS WHERE database = lab")) == size, "the pool to grow")
            load.moves()
        assert admin.query("RESET default_pool_size").tags == ["RESET"]
        assert one(admin, "SHOW DATABASES WHERE name = lab")["pool_size"] == "3"
        for _ in range(5):
            assert admin.query("RELOAD").tags == ["RELOAD"]
            load.moves()
    # Servers that are always in use are kept beyond a smaller size; once they are not, they go.
    wait_until(lambda: len(table(admin, "SHOW SERVERS WHERE database = lab")) <= 3, "the pool to shrink")


def test_shutdown_wait_for_clients_under_load(pooler):
    admin = console(pooler, address=pooler.socket_path)
    with Load(pooler) as load:
        assert admin.query("SHUTDOWN WAIT_FOR_CLIENTS").tags == ["SHUTDOWN"]
        wait_until(lambda: not listening(pooler.port), "the port to be closed")
        load.moves()
        load.moves()
    pooler.ended_on_purpose = True
    admin.close()
    assert pooler.wait() == 0


def test_shutdown_wait_for_servers_under_load(pooler):
    admin = console(pooler)
    pooler.ended_on_purpose = True
    with Load(pooler, ends=["server shutting down", "pooler is shutting down", "end of stream", "connection reset"]) as load:
        assert admin.query("SHUTDOWN WAIT_FOR_SERVERS").tags == ["SHUTDOWN"]
        assert pooler.wait() == 0
        for thread in load.threads:
            thread.join()
    assert load.ended == 8


def test_shutdown_at_once_under_load(pooler):
    admin = console(pooler)
    pooler.ended_on_purpose = True
    with Load(pooler, ends=["end of stream", "connection reset"]) as load:
        admin.send(wire.query("SHUTDOWN"))
        assert pooler.wait() == 0
        for thread in load.threads:
            thread.join()
    assert load.ended == 8


def test_several_operators_at_once(pooler):
    """Whatever they do to each other, each command is answered, and in the end everything goes on."""
    words = ("admin forced disconnect", "is disabled")
    commands = ["PAUSE lab", "RESUME lab", "PAUSE", "RESUME", "RECONNECT", "RECONNECT lab", "WAIT_CLOSE", "WAIT_CLOSE lab2", "DISABLE lab2", "ENABLE lab2", "RELOAD",
                "SET default_pool_size = 2", "RESET ALL", "SHOW POOLS", "SHOW SERVERS", "SHOW CLIENTS", "KILL lab2", "RESUME lab2", "WHY POOL lab app"]
    answers, problems = [0] * 4, []

    def operate(number):
        random = Random(number)
        try:
            for _ in range(60):
                with wire.Client(pooler.address, user="app", password=pooler.users["app"], database="pgbouncer") as admin:
                    for _ in range(random.randint(1, 4)):
                        command = random.choice(commands)
                        admin.send(wire.query(command))
                        if command.startswith("PAUSE") and random.random() < 0.4:
                            if random.random() < 0.5:
                                admin.cancel()
                            else:
                                break  # leaves while it waits
                        reply = admin.read_until("Z")
                        assert reply.tags or reply.errors, reply
                        answers[number] += 1
        except Exception as e:
            problems.append((number, e))

    with Load(pooler, 6) as load, Load(pooler, 4, "lab2", ends=words):
        threads = [threading.Thread(target=operate, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        # Nobody may have to wait for ever: somebody has to resume.
        keeper = console(pooler)
        while any(t.is_alive() for t in threads):
            keeper.query("RESUME")
            keeper.query("RESUME lab")
            keeper.query("RESUME lab2")
        for thread in threads:
            thread.join()
        assert not problems, problems
        assert all(n >= 60 for n in answers)
        for command in ("RESUME", "RESUME lab", "RESUME lab2", "ENABLE lab2"):
            keeper.query(command)
        load.moves()
        assert pooler.connect(database="lab2").value("select 1") == "1"
        assert keeper.query("PAUSE").tags == ["PAUSE"] and table(keeper, "SHOW SERVERS") == []
        assert keeper.query("WAIT_CLOSE").tags == ["WAIT_CLOSE"] and keeper.query("RESUME").tags == ["RESUME"]
        load.moves()


# the log


@pytest.mark.parametrize("workers", [1, 4])
def test_the_stats_line(make_pooler, workers):
    pooler = make_pooler(workers=workers, log_stats=1, stats_period=1, admin_users="app")
    line = r"LOG stats: (\d+) xacts/s, (\d+) queries/s, \d+ client parses/s, \d+ server parses/s, \d+ binds/s, in \d+ B/s, out \d+ B/s, xact \d+ us, query \d+ us, wait \d+ us"
    with Load(pooler, 4) as load:
        wait_until(lambda: any(int(x) > 0 and int(q) > int(x) for x, q in re.findall(line, pooler.log())), "a line with queries")
        admin = console(pooler)
        wait_until(lambda: int(one(admin, "SHOW STATS WHERE database = lab")["avg_query_count"]) > 0, "averages")
        load.moves()
    admin.query("SET stats_period = 3600").check()


def test_slow_statements_are_logged_with_their_waiting(make_pooler, postgres):
    pooler = make_pooler(workers=1, admin_users="app", log_min_duration="1", default_pool_size=1)
    admin, a, b = console(pooler), pooler.connect(), pooler.connect()
    a.rows("select 1")
    with postgres.connect("lab") as holder:
        holder.rows("select pg_advisory_lock(4711)")
        a.send(wire.query("select pg_advisory_xact_lock(4711)"))
        wait_until(lambda: pooler.servers(where="wait_event = 'advisory'"), "the first query to run")
        b.send(wire.query("select 'quick but kept waiting'"))
        wait_until(lambda: int(one(admin, "SHOW POOLS WHERE database = lab")["maxwait"]) >= 2, "the other one to wait for two seconds")
    a.read_until("Z").check()
    b.read_until("Z").check()
    pooler.wait_log("slow statement", 2)
    entry = {m[2]: m for m in re.findall(r"slow statement: [\d.]+ ms \(waited ([\d.]+) ms, ran ([\d.]+) ms\): (.*)", pooler.log())}
    slow, late = entry["select pg_advisory_xact_lock(4711)"], entry["select 'quick but kept waiting'"]
    assert float(slow[0]) == 0 and float(slow[1]) > 1900
    assert float(late[0]) > 1900 > float(late[1])
    assert "select 1\n" not in pooler.log()
