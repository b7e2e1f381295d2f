"""What was once wrong with the console, its figures and its log; each test tells the story of its fault."""
import os
import re
import socket
import threading

import pytest

import wire
from processes import readable, wait_until
from test_console import console, one, table
from test_console_verbs import Load
from test_peers import as_key, cancel_at

pytestmark = pytest.mark.sluice_only("faults that Sluice's own console has had")


def test_a_line_break_in_a_name_forges_no_log_line(make_pooler):
    """CR LF is one character for Swift's strings, so looking for LF found none: a name could write whole lines of its own. And escape
    sequences reached the terminal of whoever read the log."""
    pooler = make_pooler()
    for user in ("x\r\n2026-01-01 00:00:00.000 UTC [1] LOG forged", "y\n2026-01-01 00:00:00.000 UTC [1] LOG forged", "z\x1b]0;forged\x07\u009b2J"):
        with pytest.raises(wire.ServerError):
            pooler.connect(user=user, password="x")
    wait_until(lambda: pooler.log_count("closing because") >= 3, pooler.log)
    with open(pooler.log_path, newline="") as f:
        text = f.read()
    assert not re.search(r"(?m)^2026-01-01", text.replace("\r", "\n")), text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
    assert "forged" in text


def test_a_log_file_that_cannot_be_opened_keeps_the_old_one(make_pooler):
    """The old file was closed first: after a wrong `SET logfile`, or a reload without the right to write there, nothing was logged at
    all, and the command had succeeded."""
    pooler = make_pooler(admin_users="app")
    admin = console(pooler)
    error = admin.query("SET logfile = '/nonexistent/folder/log'").error
    assert error.message == "SET failed" and "/nonexistent/folder/log" in error.fields["D"]
    assert one(admin, "SHOW CONFIG WHERE key = logfile")["value"] == pooler.log_path
    pooler.reload(logfile="/nonexistent/folder/log")
    pooler.wait_log("RELOAD failed")
    pooler.connect().terminate()
    wait_until(lambda: "closing because: client close request" in open(pooler.log_path).read(), pooler.log)


# The console and its memory


def test_a_console_that_never_reads_costs_no_memory(make_pooler):
    """Each answer let the next command of a pipeline run, whether or not somebody took the answers: a few kilobytes of SHOW made
    gigabytes."""
    pooler = make_pooler(workers=1, admin_users="app", max_client_conn=2000)
    idle = [pooler.connect(parameters={"application_name": "n" * 60}) for _ in range(400)]
    other = console(pooler)
    before = pooler.memory()
    greedy = console(pooler)
    count = 2000
    greedy.send(wire.query("SHOW SOCKETS") * count)
    for _ in range(600):
        other.value("SHOW VERSION")
    assert pooler.memory() - before < 20_000_000
    # whoever reads gets it all
    for _ in range(count):
        _, rows = greedy.drain()
        assert rows >= len(idle)


def test_portals_end_with_their_transaction(make_pooler):
    """They stayed until they were closed, each with all of its rows: a driver that names its portals kept tables of long ago."""
    admin = console(make_pooler(admin_users="app"))
    admin.run(wire.parse("s", "SHOW CONFIG"), wire.bind("s", portal="p"), wire.execute("p", 1), wire.sync()).check()
    assert admin.run(wire.execute("p", 1), wire.sync()).codes == ["34000"]
    admin.rows("BEGIN")
    admin.run(wire.bind("s", portal="p"), wire.execute("p", 1), wire.sync()).check()
    assert admin.run(wire.execute("p", 2), wire.sync()).kinds == "DDsZ"
    admin.rows("COMMIT")
    assert admin.run(wire.execute("p", 1), wire.sync()).codes == ["34000"]


def test_deallocate_of_one_statement_keeps_the_others(make_pooler):
    """DEALLOCATE of any name forgot all statements; psycopg, which gives back the oldest of them, then failed with the rest."""
    admin = console(make_pooler(admin_users="app"))
    admin.run(wire.parse("a", "SHOW STATE"), wire.parse("B", "SHOW STATE"), wire.sync()).check()
    assert admin.query('DEALLOCATE "a"').tags == ["DEALLOCATE"]
    assert admin.run(wire.bind("a"), wire.sync()).codes == ["26000"]
    assert admin.run(wire.bind("B"), wire.execute(), wire.sync()).kinds == "2DDDCZ"
    assert admin.query("DEALLOCATE nothing").codes == ["26000"]
    assert admin.query("DEALLOCATE ALL").tags == ["DEALLOCATE ALL"]
    assert admin.run(wire.bind("B"), wire.sync()).codes == ["26000"]


def test_what_drivers_say_around_their_transactions(make_pooler):
    """Time zones, savepoints and comments are refused by PgBouncer, and were here; BI tools send them unasked."""
    admin = console(make_pooler(admin_users="app"))
    for sql in ("SET TIME ZONE 'UTC'", "SET NAMES 'UTF8'", "SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "SET SESSION TIME ZONE LOCAL"):
        assert admin.query(sql).check().notices[0]["M"] == "SET ignored"
    assert admin.query("BEGIN ISOLATION LEVEL SERIALIZABLE").status == "T"
    assert (admin.query("SAVEPOINT s1").tags, admin.query("NONSENSE").status) == (["SAVEPOINT"], "E")
    reply = admin.query("ROLLBACK TO SAVEPOINT s1")
    assert (reply.tags, reply.status) == (["ROLLBACK"], "T")
    assert admin.query("RELEASE SAVEPOINT s1").tags == ["RELEASE"]
    assert admin.query("NONSENSE").status == "E"
    reply = admin.query("COMMIT")
    assert (reply.tags, reply.status) == (["ROLLBACK"], "I")
    assert admin.query("/* made by a tool */ SHOW /* nested /* too */ */ VERSION").check().kinds == "TDCZ"


# Figures


@pytest.mark.parametrize("workers", [2, 4])
def test_servers_between_two_workers_are_shown_once(make_pooler, workers):
    """The workers are asked one after the other. A server that was lent meanwhile was shown by both of them, or by neither; under load,
    SHOW POOLS had more servers than the pool may have, or fewer."""
    size = 3
    pooler = make_pooler(workers=workers, admin_users="app", default_pool_size=size)
    admin = console(pooler)
    with Load(pooler, 8) as load:
        wait_until(lambda: len({r["ptr"] for r in table(admin, "SHOW SERVERS WHERE database = lab")}) == size, "the pool to be full")
        for _ in range(300):
            ids = [r["id"] for r in table(admin, "SHOW SERVERS")]
            assert len(ids) == len(set(ids)) == size
            pool = one(admin, "SHOW POOLS WHERE database = lab")
            assert sum(int(pool[c]) for c in ("sv_active", "sv_idle", "sv_used", "sv_tested", "sv_login", "sv_being_canceled")) == size, pool
            assert {r["list"]: r["items"] for r in table(admin, "SHOW LISTS")}["used_servers"] == str(size)
        load.moves()


def test_totals_never_go_back_when_a_worker_forgets_a_pool(make_pooler):
    """A worker that had not used a `*` pool for a while forgot its part of it, and what it had counted: totals went down, which a
    monitoring system takes for a restart and adds up once more."""
    pooler = make_pooler(workers=4, admin_users="app", databases={"*": {"dbname": "lab"}}, autodb_idle_timeout=1, server_idle_timeout=1)
    admin, stays = console(pooler), pooler.connect(database="auto1")
    stays.value("select 1")
    for _ in range(12):
        pooler.connect(database="auto1").value("select 1")
    for client in pooler.clients:
        if client not in (admin, stays):
            client.close()
    wait_until(lambda: table(admin, "SHOW SERVERS") == [], "the servers to go")
    names = ("xact_count", "query_count", "bytes_received", "client_login_count", "server_assignment_count")
    most = {name: 0 for name in names}
    # A pool that is given up later than the shards of the first one.
    pooler.connect(database="auto2").value("select 1")
    pooler.clients[-1].close()

    def gone():
        row = one(admin, "SHOW STATS_TOTALS WHERE database = auto1")
        for name in names:
            assert int(row[name]) >= most[name], f"{name} went back from {most[name]} to {row[name]}"
            most[name] = int(row[name])
        return not table(admin, "SHOW POOLS WHERE database = auto2")

    wait_until(gone, "the pool that nobody uses to be forgotten")
    assert most["query_count"] == 13 and most["client_login_count"] == 13
    # Whoever comes back goes on counting where the worker stopped.
    for _ in range(12):
        pooler.connect(database="auto1").value("select 1")
    assert one(admin, "SHOW STATS_TOTALS WHERE database = auto1")["query_count"] == "25"


def test_databases_that_nobody_uses_are_forgotten(make_pooler):
    """autodb_idle_timeout forgot pools, but never the names that clients had made up, nor their tables of statements."""
    pooler = make_pooler(workers=2, admin_users="app", databases={"*": {"dbname": "lab"}}, autodb_idle_timeout=1, server_idle_timeout=1)
    admin = console(pooler)
    clients = [pooler.connect(database=f"made_up_{n}") for n in range(20)]
    for client in clients:
        client.extended("select 1", name="s").check()
    assert len(table(admin, "SHOW DATABASES")) == 21
    for client in clients:
        client.close()
    wait_until(lambda: [r["name"] for r in table(admin, "SHOW DATABASES")] == ["pgbouncer"], "the names to be forgotten")
    memory = {r["name"]: int(r["used"]) for r in table(admin, "SHOW MEM")}
    assert memory["db_cache"] == 1 and memory["pool_cache"] == 1
    pooler.connect(database="made_up_3").extended("select 3", name="s").check()


def test_a_paused_database_that_only_the_star_stands_for_is_shown(make_pooler):
    """PAUSE took the name, but SHOW DATABASES did not know it: nobody could see why its clients waited."""
    pooler = make_pooler(admin_users="app", databases={"*": {"dbname": "lab"}})
    admin = console(pooler)
    for command in ("PAUSE later", "DISABLE never"):
        admin.query(command).check()
    rows = {r["name"]: (r["paused"], r["disabled"]) for r in table(admin, "SHOW DATABASES")}
    assert rows == {"later": ("1", "0"), "never": ("0", "1"), "pgbouncer": ("0", "0")}
    admin.query("RESUME later").check()
    admin.query("ENABLE never").check()


def test_sizes_of_users_are_cells_as_pgbouncers(make_pooler):
    """Nine characters, right-aligned, and empty where nothing is set; here they were bare, and NULL."""
    pooler = make_pooler(admin_users="app", sections={"users": {"app": "pool_size=7 reserve_pool_size=12 pool_mode=session"}})
    admin = console(pooler)
    user = one(admin, "SHOW USERS WHERE name = app")
    assert (user["pool_size"], user["reserve_pool_size"], user["pool_mode"]) == ("        7", "       12", "session")
    user = one(admin, "SHOW USERS WHERE name = app2")
    assert (user["pool_size"], user["reserve_pool_size"], user["pool_mode"]) == ("", "", None)


def test_clients_that_log_in_are_used_clients_too(make_pooler):
    """SHOW LISTS left them out of used_clients, where PgBouncer counts them."""
    pooler = make_pooler(workers=1, admin_users="app")
    admin = console(pooler)
    silent = [pooler.raw() for _ in range(3)]
    wait_until(lambda: {r["list"]: r["items"] for r in table(admin, "SHOW LISTS")}["login_clients"] == "3", "them to be accepted")
    assert {r["list"]: r["items"] for r in table(admin, "SHOW LISTS")}["used_clients"] == "4"
    for client in silent:
        client.close()


def test_memory_is_told_of_everything(make_pooler):
    """Half of SHOW MEM's rows were 0, whatever there was."""
    pooler = make_pooler(admin_users="app", peer_id=1, sections={"users": {"app": "pool_size=7"}, "peers": {1: "host=/tmp", 2: "host=/tmp"}})
    admin, client = console(pooler), pooler.connect(parameters={"application_name": "x"})
    client.rows("begin")
    client.extended("select 1", name="s1").check()
    client.send(wire.query("select pg_sleep(3600)"))
    wait_until(lambda: pooler.servers(where="query like '%3600%'"), "the query to run")
    rows = {r["name"]: {k: int(v) for k, v in r.items() if k != "name"} for r in table(admin, "SHOW MEM")}
    assert len(rows) == 13
    for name, row in rows.items():
        assert row["used"] > 0 and row["size"] > 0 and row["free"] == 0 and row["memtotal"] >= row["size"], (name, row)
    assert rows["outstanding_request_cache"]["used"] == 1 and rows["server_prepared_statement_cache"]["used"] == 1 and rows["statement_text_cache"]["used"] == 1
    assert rows["peer_cache"]["used"] == 2 and rows["client_cache"]["used"] == 2 and rows["server_cache"]["used"] == 1
    client.cancel()
    client.read_until("Z")


# Cancel requests


class Gate:
    """In front of a PostgreSQL: connections pass; while it is shut, new ones are accepted and led nowhere, or (deaf) not accepted."""

    def __init__(self, port):
        self.port_behind, self.is_shut, self.is_deaf, self.held = port, False, False, []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.port = self.listener.getsockname()[1]
        self.wake, self.woken = socket.socketpair()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        peers = {}
        while True:
            listeners = [] if self.is_deaf else [self.listener]
            for s in readable([*listeners, self.woken, *peers]):
                if s is self.woken:
                    if s.recv(1) == b"x":
                        for one in [*peers, *self.held, self.listener]:
                            one.close()
                        return
                elif s is self.listener and not self.is_deaf:
                    client = s.accept()[0]
                    if self.is_shut:
                        self.held.append(client)
                    else:
                        server = socket.create_connection(("127.0.0.1", self.port_behind))
                        peers[client], peers[server] = server, client
                elif s in peers:
                    self.carry(s, peers)

    def carry(self, s, peers):
        try:
            data = s.recv(65536)
            if data:
                peers[s].sendall(data)
                return
        except OSError:
            pass
        other = peers.pop(s)
        peers.pop(other, None)
        s.close()
        other.close()

    def set_deaf(self, is_deaf):
        self.is_deaf = is_deaf
        self.wake.send(b"w")

    def close(self):
        self.wake.send(b"x")
        self.thread.join()
        self.wake.close()
        self.woken.close()


@pytest.fixture
def gate(postgres):
    gate = Gate(postgres.port)
    yield gate
    gate.close()


@pytest.mark.parametrize("workers", [1, 4])
def test_cancel_requests_are_shown_and_logged(make_pooler, gate, workers):
    """Their connections had no id and left without a word in the log."""
    pooler = make_pooler(workers=workers, admin_users="app", databases={"lab": {"port": gate.port}}, cancel_wait_timeout=0)
    admin, client = console(pooler), pooler.connect()
    client.send(wire.query("select pg_sleep(3600)"))
    wait_until(lambda: pooler.servers(where="query like '%3600%' and state = 'active'"), "the query to run")
    gate.is_shut = True
    request = threading.Thread(target=client.cancel)
    request.start()
    wait_until(lambda: one(admin, "SHOW POOLS WHERE database = lab")["cl_active_cancel_req"] == "1", "the request to be on its way")
    pool = one(admin, "SHOW POOLS WHERE database = lab")
    assert (pool["cl_waiting_cancel_req"], pool["sv_active_cancel"], pool["sv_active"]) == ("0", "1", "1")
    row = one(admin, "SHOW SERVERS WHERE state = active_cancel")
    assert int(row["id"]) > 0 and row["ptr"] == f"0x{int(row['id']):x}" and row["database"] == "lab"
    assert one(admin, "SHOW CLIENTS WHERE state = active_cancel_req")
    wait_until(lambda: gate.held, "the gate to have it")
    for s in gate.held:
        s.close()
    request.join()
    pooler.wait_log(rf"S-{row['ptr']}: lab/app@127.0.0.1:{gate.port} closing because: .*\(age=")
    wait_until(lambda: one(admin, "SHOW POOLS WHERE database = lab")["cl_active_cancel_req"] == "0", "it to be over")
    gate.is_shut = False
    client.cancel()
    assert client.read_until("Z").error.code == "57014"


@pytest.mark.parametrize("workers", [1, 4])
def test_cancel_requests_that_wait_are_told_apart(make_pooler, gate, workers):
    """cl_waiting_cancel_req was always 0, though a request waits for its own connection to PostgreSQL."""
    pooler = make_pooler(workers=workers, admin_users="app", databases={"lab": {"port": gate.port}}, cancel_wait_timeout=0)
    admin, client = console(pooler), pooler.connect()
    client.send(wire.query("select pg_sleep(3600)"))
    wait_until(lambda: pooler.servers(where="query like '%3600%' and state = 'active'"), "the query to run")
    gate.set_deaf(True)
    # A backlog that is full lets nobody in, and refuses nobody.
    stuffing = [socket.socket() for _ in range(4)]
    for s in stuffing:
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", gate.port))
    request = threading.Thread(target=client.cancel)
    request.start()
    wait_until(lambda: one(admin, "SHOW POOLS WHERE database = lab")["cl_waiting_cancel_req"] == "1", "the request to wait")
    assert one(admin, "SHOW POOLS WHERE database = lab")["cl_active_cancel_req"] == "0"
    assert one(admin, "SHOW CLIENTS WHERE state = waiting_cancel_req") and not table(admin, "SHOW CLIENTS WHERE state = active_cancel_req")
    admin.query("SET cancel_wait_timeout = 1").check()
    request.join()
    pooler.wait_log("S-0x.* closing because: cancel_wait_timeout")
    for s in stuffing:
        s.close()
    gate.set_deaf(False)
    client.cancel()
    assert client.read_until("Z").error.code == "57014"


def test_requests_to_peers_that_wait_are_told_apart(make_pooler, run_folder):
    """SHOW PEER_POOLS knew only those that were on their way."""
    folder = run_folder.folder("peer")
    os.chmod(folder, 0o777)
    pooler = make_pooler(start=False, workers=1, peer_id=1, admin_users="app", cancel_wait_timeout=0)
    path = f"{folder}/.s.PGSQL.{pooler.port}"
    pooler.sections = {"peers": {2: f"host={folder} port={pooler.port} pool_size=2"}}
    pooler.write_ini()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen(16)
        os.chmod(path, 0o777)
        pooler.start()
        admin = console(pooler)
        threads = [threading.Thread(target=cancel_at, args=(pooler, as_key(bytes([0, 2, 0, 1, 2, 3, 4, 0xFF])))) for _ in range(5)]
        for thread in threads:
            thread.start()
        expected = {"peer_id": "2", "cl_active_cancel_req": "2", "cl_waiting_cancel_req": "3", "sv_active_cancel": "2", "sv_login": "0"}
        wait_until(lambda: one(admin, "SHOW PEER_POOLS") == expected, lambda: f"two and three: {table(admin, 'SHOW PEER_POOLS')}")
        states = [r["state"] for r in table(admin, "SHOW CLIENTS WHERE user = '(nouser)'")]
        assert sorted(states) == ["active_cancel_req"] * 2 + ["waiting_cancel_req"] * 3
        admin.query("SET cancel_wait_timeout = 1").check()
        for thread in threads:
            thread.join()


def test_binds_of_unnamed_statements_are_counted(make_pooler):
    """Such a Bind passes without an action, by which the others are told apart: SHOW STATS counted only those of named statements."""
    pooler = make_pooler(workers=1, admin_users="app")
    client = pooler.connect()
    for name in ("", "named"):
        client.run(wire.parse(name, "select 1"), wire.sync()).check()
        for _ in range(2):
            client.run(wire.bind(name), wire.execute(), wire.sync()).check()
    stats = one(console(pooler), "SHOW STATS WHERE database = lab")
    assert (stats["total_client_parse_count"], stats["total_bind_count"]) == ("2", "4")
