"""Where servers are: names, several addresses of one, lists of hosts, and what happens when some of them do not answer."""
import os
import socket
import threading

import pytest

import wire
from nameserver import NameServer
from postgres import password_of
from processes import descriptors_of, free_port, start, wait_until

pytestmark = [pytest.mark.poolers_only, pytest.mark.sluice_only("PgBouncer cannot be told of a name server with a port, which these tests bring; and it does not pass dead hosts over")]


@pytest.fixture
def names():
    server = NameServer()
    yield server
    server.close()


def pooler_of(make_pooler, names, host, **more):
    pooler = make_pooler(start=False, databases={"lab": {"host": host}}, **dict({"workers": 1, "server_login_retry": 1, "max_client_conn": 100}, **more))
    pooler.settings["resolv_conf"] = names.resolv_conf(pooler.folder)
    pooler.write_ini()
    pooler.start()
    return pooler


def test_a_name_is_looked_up(make_pooler, names):
    names.records["db.test"] = (["127.0.0.1"], 60)
    pooler = pooler_of(make_pooler, names, "db.test")
    assert pooler.connect().rows("select 1") == [("1",)]
    assert pooler.log_contains(r"S-0x\w+: lab/app@127.0.0.1:%d new connection to server \(from 127.0.0.1" % pooler.postgres.port)


def test_the_answer_holds_for_its_time(make_pooler, names):
    names.records.update({"long.test": (["127.0.0.1"], 3600), "none.test": (["127.0.0.1"], 0)})
    pooler = make_pooler(start=False, workers=1, databases={"lab": {"host": "long.test"}, "lab2": {"host": "none.test"}}, dns_max_ttl=3600)
    pooler.settings["resolv_conf"] = names.resolv_conf(pooler.folder)
    pooler.write_ini()
    pooler.start()
    for database, name, questions in [("lab", "long.test", 1), ("lab2", "none.test", 3)]:
        clients = [pooler.connect(database=database) for _ in range(3)]
        for client in clients:
            client.rows("begin")
        assert names.asked(name) == questions


def test_dns_max_ttl_shortens_it(make_pooler, names):
    names.records["db.test"] = (["127.0.0.1"], 3600)
    pooler = pooler_of(make_pooler, names, "db.test", dns_max_ttl=0)
    clients = [pooler.connect() for _ in range(3)]
    for client in clients:
        client.rows("begin")
    assert names.asked("db.test") == 3


def test_a_name_that_is_missing(make_pooler, names):
    pooler = pooler_of(make_pooler, names, "gone.test", dns_nxdomain_ttl=3600, server_login_retry=0, client_login_timeout=2)
    with pytest.raises(wire.ServerError) as caught:
        pooler.connect()
    assert "client_login_timeout (server down)" in str(caught.value)
    pooler.wait_log("server DNS lookup failed: gone.test: name does not exist")
    assert names.asked("gone.test") == 1


def test_a_name_that_comes_into_being(make_pooler, names):
    pooler = pooler_of(make_pooler, names, "late.test", dns_nxdomain_ttl=0, server_login_retry=0)
    result = []
    thread = threading.Thread(target=lambda: result.append(pooler.connect()))
    thread.start()
    pooler.wait_log("server DNS lookup failed: late.test")
    names.records["late.test"] = (["127.0.0.1"], 1)
    thread.join(60)
    assert result and result[0].rows("select 1") == [("1",)]


def test_a_name_server_that_is_silent_disturbs_nobody_else(make_pooler, names):
    names.records["silent.test"] = None
    pooler = make_pooler(start=False, workers=1, databases={"lab": {"host": "silent.test"}, "lab2": {}})
    pooler.settings["resolv_conf"] = names.resolv_conf(pooler.folder)
    pooler.write_ini()
    pooler.start()
    stuck = pooler.raw()
    stuck.send(wire.startup_packet([("user", "app"), ("database", "lab")]))
    assert pooler.connect(database="lab2").rows("select 1") == [("1",)]


def test_both_families(make_pooler, names):
    """An address of a family that PostgreSQL does not listen on is passed over, and not tried first again."""
    names.records["db.test"] = (["::1", "127.0.0.1"], 3600)
    pooler = pooler_of(make_pooler, names, "db.test", dns_max_ttl=3600)
    clients = [pooler.connect() for _ in range(4)]
    for client in clients:
        client.rows("begin")
    assert ("db.test", 28) in names.questions
    assert pooler.log_count(r"\[::1\].*trying the next address") <= 1


def test_addresses_take_turns(make_pooler, names, postgres, run_folder, postgres_template):
    names.records["db.test"] = (["127.0.0.1", "127.0.0.2"], 3600)
    listeners = [Relay(address, postgres.port) for address in ("127.0.0.2",)]
    try:
        pooler = make_pooler(start=False, workers=1, databases={"lab": {"host": "db.test", "port": listeners[0].port}}, dns_max_ttl=3600)
        first = Relay("127.0.0.1", postgres.port, listeners[0].port)
        listeners.append(first)
        pooler.settings["resolv_conf"] = names.resolv_conf(pooler.folder)
        pooler.write_ini()
        pooler.start()
        clients = [pooler.connect() for _ in range(4)]
        for client in clients:
            client.rows("begin")
        assert [relay.count for relay in listeners] == [2, 2]
    finally:
        for relay in listeners:
            relay.close()


class Relay:
    """Another address of the same PostgreSQL; counts who comes by."""

    def __init__(self, address, target, port=None):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.port = port or free_port()
        self.listener.bind((address, self.port))
        self.listener.listen(16)
        self.count, self.target, self.sockets = 0, target, []
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            far = socket.create_connection(("127.0.0.1", self.target))
            self.sockets += [near, far]
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    @staticmethod
    def _pump(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        for s in (source, target):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)
        for s in self.sockets:
            s.close()


# lists


def test_a_dead_host_in_a_list_is_passed_over(make_pooler, names):
    """PgBouncer would pause for server_login_retry each time that it comes to it."""
    names.records["db.test"] = (["127.0.0.1"], 60)
    pooler = pooler_of(make_pooler, names, "127.0.0.9,gone.test,/nowhere,db.test", server_login_retry=3600)
    clients = [pooler.connect() for _ in range(4)]
    for client in clients:
        client.rows("begin")
    assert pooler.log_contains("gone.test: name does not exist, trying the next host")


def test_when_all_hosts_are_dead_the_error_is_told(make_pooler, names):
    pooler = pooler_of(make_pooler, names, "127.0.0.9,gone.test", server_login_retry=3600, client_login_timeout=1)
    for _ in range(2):
        with pytest.raises(wire.ServerError) as caught:
            pooler.connect()
    assert "server login has been failing, cached error: " in str(caught.value)


@pytest.mark.parametrize("mode, expected", [("round-robin", [2, 2]), ("disable", [4, 0])])
def test_load_balance_hosts(make_pooler, names, postgres, mode, expected):
    relays = [Relay("127.0.0.1", postgres.port)]
    relays.append(Relay("127.0.0.2", postgres.port, relays[0].port))
    try:
        pooler = make_pooler(workers=1, databases={"lab": {"host": "127.0.0.1,127.0.0.2", "port": relays[0].port, "load_balance_hosts": mode}})
        clients = [pooler.connect() for _ in range(4)]
        for client in clients:
            client.rows("begin")
        assert [relay.count for relay in relays] == expected
    finally:
        for relay in relays:
            relay.close()


def test_a_sticky_list_stays_where_it_found_a_server(make_pooler, postgres):
    relay = Relay("127.0.0.2", postgres.port)
    try:
        pooler = make_pooler(workers=1, databases={"lab": {"host": "127.0.0.1,127.0.0.2", "port": relay.port, "load_balance_hosts": "disable"}})
        clients = [pooler.connect() for _ in range(3)]
        for client in clients:
            client.rows("begin")
        assert relay.count == 3
        assert pooler.log_count("trying the next address") == 1
    finally:
        relay.close()


def test_a_name_is_looked_up_again_when_it_leads_nowhere(make_pooler, names):
    """The database has moved, and the old address is still remembered."""
    names.records["db.test"] = (["127.0.0.9"], 3600)
    pooler = pooler_of(make_pooler, names, "db.test", dns_max_ttl=3600, server_login_retry=0)
    with pytest.raises((wire.ServerError, wire.Closed, AssertionError)):
        pooler.reload(client_login_timeout=1)
        pooler.connect()
    names.records["db.test"] = (["127.0.0.1"], 3600)
    wait_until(lambda: pooler.log_contains("connect failed"), "the failure")
    pooler.reload(client_login_timeout=60)
    assert pooler.connect().rows("select 1") == [("1",)]
    assert names.asked("db.test") >= 2


def test_localhost_needs_no_name_server(make_pooler, names):
    pooler = pooler_of(make_pooler, names, "localhost")
    assert pooler.connect().rows("select 1") == [("1",)]
    assert names.questions == []


def test_a_reload_reads_the_name_servers_though_a_question_is_open(make_pooler, names):
    """A resolver that waited for an answer was kept, and the file with it, for as long as the question was open."""
    names.records["slow.test"] = None
    better = NameServer({"db.test": (["127.0.0.1"], 60)})
    pooler = make_pooler(start=False, databases={"lab": {"host": "slow.test"}, "lab2": {"host": "db.test"}}, workers=1, auth_type="trust")
    pooler.settings["resolv_conf"] = names.resolv_conf(pooler.folder, timeout=60)
    pooler.write_ini()
    pooler.start()
    waiting = pooler.raw()
    waiting.user = "app"
    waiting.send(wire.startup_packet([("user", "app"), ("database", "lab")]))
    wait_until(lambda: names.asked("slow.test"), "the first question")
    better.resolv_conf(pooler.folder)
    pooler.reload()
    assert pooler.connect(database="lab2").rows("select 1") == [("1",)]
    assert better.asked("db.test") and not names.asked("db.test")
    # who was asked before may still answer
    names.release("slow.test", (["127.0.0.1"], 60))
    waiting.login()
    assert waiting.rows("select 1") == [("1",)]
    better.close()


def test_a_first_look_up_without_descriptors(make_pooler, names):
    """Name servers can't be read or asked while the process has no descriptor left. That is a failure of the moment, not of the resolver."""
    names.records["db.test"] = (["127.0.0.1"], 60)
    pooler = make_pooler(start=False, databases={"lab": {"host": "db.test"}}, workers=1, auth_type="trust", dns_nxdomain_ttl=0)
    pooler.settings.update(resolv_conf=names.resolv_conf(pooler.folder), server_login_retry=1, tcp_defer_accept=0)
    pooler.open_files = 300
    pooler.write_ini()
    pooler.start()

    def limit(number):
        # a program, because the owner of the process may do this, and root not everywhere
        assert start(["prlimit", f"--pid={pooler.pid}", f"--nofile={number}:"]).wait(wire.HANG) == 0

    # Those of the loop: for its ticks and for its alarms.
    wait_until(lambda: list(descriptors_of(pooler.pid).values()).count("anon_inode:[timerfd]") == 2, lambda: f"all that is opened at the start: {descriptors_of(pooler.pid)}")
    before = len(descriptors_of(pooler.pid))
    first = pooler.raw()
    first.user, first.password = "app", password_of("app")
    wait_until(lambda: len(descriptors_of(pooler.pid)) > before, "it to be accepted")
    limit(min(set(range(pooler.open_files)) - set(descriptors_of(pooler.pid))))
    first.send(wire.startup_packet([("user", "app"), ("database", "lab")]))
    pooler.wait_log("server DNS lookup failed: db.test: ")
    assert names.asked("db.test") == 0
    limit(pooler.open_files)
    first.login()
    assert first.rows("select 1") == [("1",)]


def test_a_crowd_leaves_descriptors_for_servers(make_pooler, names):
    """Clients got the last one, and those who were in waited for servers that could not be opened."""
    names.records["db.test"] = (["127.0.0.1"], 60)
    pooler = make_pooler(start=False, databases={"lab": {"host": "db.test"}}, workers=1, auth_type="trust", client_login_timeout=600)
    # Not deferred: who connects first is accepted first.
    pooler.settings.update(resolv_conf=names.resolv_conf(pooler.folder), tcp_defer_accept=0)
    pooler.open_files = 300
    pooler.write_ini()
    pooler.start()
    first = pooler.raw()
    first.user, first.password = "app", password_of("app")
    crowd = [wire.connect(pooler.address) for _ in range(310)]
    pooler.wait_log("no more clients are accepted until others leave")
    first.send(wire.startup_packet([("user", "app"), ("database", "lab")]))
    first.login()
    assert first.rows("select 1") == [("1",)]
    for client in crowd:
        client.close()


# --- ports -----------------------------------------------------------------------------------------------------------------


def test_each_host_has_its_own_port(make_pooler, postgres):
    """`host=a,b port=1,2`, as libpq reads it: two servers on one machine, or behind one tunnel."""
    dead = free_port()
    for hosts, ports, sticky in (("127.0.0.1,127.0.0.1", f"{dead},{postgres.port}", "disable"), (f"127.0.0.1,{postgres.socket_dir}", f"{dead},{postgres.port}", "round-robin"),
                                 (f"{postgres.socket_dir},127.0.0.1", f"{postgres.port},{postgres.port}", "round-robin")):
        pooler = make_pooler(databases={"lab": {"host": hosts, "port": ports, "load_balance_hosts": sticky}}, admin_users="app", users={"app": "app-pw"}, server_login_retry=1)
        holders = [pooler.connect() for _ in range(4)]
        for c in holders:
            assert c.rows("begin") == []
        assert len(pooler.servers()) == 4
        assert pooler.log_contains(f"127.0.0.1:{dead}") == (str(dead) in ports)
        console = pooler.connect(database="pgbouncer")
        assert console.query("show databases").check().rows
        pooler.stop()


def test_a_changed_port_of_one_host_replaces_the_servers(make_pooler, postgres):
    pooler = make_pooler(databases={"lab": {"host": "127.0.0.1,127.0.0.1", "port": f"{postgres.port},{postgres.port}"}})
    pid = pooler.connect().pid()
    pooler.databases["lab"]["port"] = f"{postgres.port},{free_port()}"
    pooler.reload()
    wait_until(lambda: pid not in pooler.servers(), "the old server to go")


@pytest.mark.parametrize("host, port, fault", [("a,b", "1,2,3", "port has 3 entries and host 2"), ("a", "1,2", "port has 2 entries and host 1"), (None, "1,2", "port has 2 entries and host 0"),
                                               ("a,b", "1,", "not a number"), ("a,b", "1,70000", "out of range"), ("a,b", "1,x", "not a number")])
def test_ports_that_fit_no_hosts_are_refused(make_pooler, host, port, fault):
    pooler = make_pooler(start=False, databases={"lab": {"host": host, "port": port}})
    assert pooler.launch().wait(wire.HANG) == 1
    pooler.process = None
    assert fault in pooler.stderr()
