"""Logins that must not succeed, and what a stranger must not be able to do. Each test comes from a fault, PgBouncer's or our own.

Of the faults that PgBouncer's releases 1.25 and 1.26 mended, these have their tests elsewhere: `options` with an empty name (test_errors.py), a
client-final-message without a nonce (test_login.py), unbounded iterations and nonces of a server, errors without a SQLSTATE
(test_hostile_server.py), KILL_CLIENT without rights (test_console.py), search_path that reaches auth_query, expired passwords (test_auth_query.py).
"""
import os
import signal
import socket
import struct
import threading
import time

import pytest

import wire
from directory import SilentServer
from postgres import password_of
from processes import wait_until
from wire import message

pytestmark = [pytest.mark.poolers_only, pytest.mark.sluice_only("faults that poolers have had, tried at every door of Sluice")]

COMPOSED, DECOMPOSED = "\u00e9", "e\u0301"  # they look the same, and are two names for PostgreSQL


def refused(pooler, **how):
    with pytest.raises(wire.ServerError) as info:
        pooler.connect(**how)
    assert info.value.severity == "FATAL"
    return info.value


def begun(pooler, user="app", database="lab"):
    """A client that has been asked for its password."""
    client = pooler.raw()
    client.send(wire.startup_packet({"user": user, "database": database}))
    assert client.read()[0] == "R"
    return client


# --- PgBouncer 1.25 and 1.26 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before the first message", "after the challenge"])
def test_a_second_startup_packet_during_scram_makes_nobody_else_of_the_client(make_pooler, when):
    """It changed the user under way: who knew one password got in as anybody."""
    pooler = make_pooler()
    client, scram = begun(pooler, "app2"), wire.Scram(password_of("app2"))
    second = wire.startup_packet({"user": "app", "database": "lab"})
    if when == "after the challenge":
        client.send(scram.first_message())
        final = scram.final_message(client.read()[2].decode())
        client.send(second, final)
    else:
        client.send(second, scram.first_message())
    seen = client.read_to_end()
    assert [m[0] for m in seen] == ["E"] and seen.error.message == "client re-sent startup pkt"
    assert not pooler.log_contains("login attempt: .*user=app ")


@pytest.mark.parametrize("length", [0x80000000, 0x80000005, 0xFFFFFFFF, 0x7FFFFFFF, 66_001])
@pytest.mark.parametrize("logged_in", [False, True])
def test_a_length_above_2_31_is_no_small_one(make_pooler, length, logged_in):
    """Taken for a negative number it passed every check that asked whether the message is too long."""
    pooler = make_pooler(auth_type="plain", max_packet_size=66_000)
    client = pooler.connect() if logged_in else begun(pooler)
    client.send((b"Q" if logged_in else b"p") + struct.pack("!I", length) + b"x" * 100)
    seen = client.read_to_end()
    assert [e.severity for e in seen.errors] == ["FATAL"] and not any(m[0] == "Z" for m in seen)
    assert pooler.connect().value("select 1") == "1"


def test_nobody_fills_the_memory_before_the_login(make_pooler):
    """The buffer grew with what came, and its size overflowed. Now nobody is read further than one password is long."""
    pooler = make_pooler(auth_type="plain", workers=1)
    pooler.connect().rows("select 1")
    before = pooler.memory()
    clients = []
    for part in (b"\0\0\x27\x10" + struct.pack("!I", wire.PROTOCOL_3_0), b"p\0\x01\0\0"):
        for _ in range(20):
            client = begun(pooler) if part[:1] == b"p" else pooler.raw()
            client.socket.settimeout(0.2)
            try:
                # all but the last byte, and then megabytes behind it
                client.socket.sendall(part + b"x" * (9991 if part[:1] == b"\0" else 65_530))
                for _ in range(64):
                    client.socket.send(b"x" * 65536)
            except OSError:
                pass
            clients.append(client)
    assert pooler.memory() - before < 20_000_000
    for client in clients:
        client.close()
    assert pooler.connect().value("select 1") == "1"


# --- names -----------------------------------------------------------------------------------------------------------


def test_users_who_only_look_alike_are_two(make_pooler):
    """Names were compared as Swift compares texts: the second line of the user list replaced the first, and either got in with one password."""
    users = {COMPOSED: "one", DECOMPOSED: "two"}
    pooler = make_pooler(users=users, databases={"lab": {"user": "trust_user"}, "pgbouncer_": {}}, admin_users=COMPOSED)
    for user, password in users.items():
        assert pooler.connect(user, password).value("select 1") == "1"
    assert refused(pooler, user=COMPOSED, password="two").message == "SASL authentication failed"
    assert refused(pooler, user=DECOMPOSED, password="one").message == "SASL authentication failed"
    # the rights of one are not the other's
    assert pooler.connect(COMPOSED, "one", database="pgbouncer").query("SHOW VERSION").tags == ["SHOW"]
    assert refused(pooler, user=DECOMPOSED, password="two", database="pgbouncer").message == "not allowed"


def test_values_that_only_look_alike_are_told_to_the_server(make_pooler):
    """A search_path that looked like the last client's was taken for it: the queries ran on somebody else's tables."""
    pooler = make_pooler(default_pool_size=1, workers=1)
    clients = [(value, pooler.connect(parameters={"search_path": value, "application_name": value})) for value in (COMPOSED, DECOMPOSED)]
    for _ in range(2):
        for value, client in clients:
            assert client.value("show search_path") == value
            assert client.value("show search_path").encode() == value.encode()


@pytest.mark.parametrize("first", [b"n,,n=ap\0p,r=abcdef", b"n,,n=,r=abc\0def", b"n,,\0n=,r=abcdef", b"n\0,,n=,r=abcdef"])
def test_a_nul_in_a_scram_message(make_pooler, first):
    """What comes behind a NUL is read by some and not by others."""
    pooler = make_pooler()
    client = begun(pooler)
    client.send(message("p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first))
    assert client.read_to_end().error.message == "SASL authentication failed"


@pytest.mark.parametrize("body", [b"user\0app\0\0database\0lab\0\0", b"user\0app\0database\0lab\0\0\0", b"us\0er\0app\0\0"])
def test_a_nul_in_a_startup_packet(make_pooler, body):
    client = make_pooler(auth_type="trust").raw()
    client.send(wire.request_packet(wire.PROTOCOL_3_0, body))
    error = client.read_to_end().error
    assert error.message in ("invalid startup packet layout: expected terminator as last byte", "no username supplied")


@pytest.mark.parametrize("method", ["plain", "md5"])
def test_a_nul_in_a_password(make_pooler, method):
    """The beginning of it was the right password."""
    pooler = make_pooler(auth_type=method)
    client = begun(pooler)
    client.send(message("p", password_of("app").encode() + b"\0more\0"))
    assert client.read_to_end().error.message == "password authentication failed"


def test_a_nul_in_what_auth_query_returns(make_pooler):
    """A server of somebody's own can answer what PostgreSQL never would: a password that ends early for whoever stops at the NUL."""
    row = b"\0\2" + struct.pack("!I", 3) + b"joe" + struct.pack("!I", 5) + b"pw\0pw"

    def talk(s):
        head = s.recv(8, socket.MSG_WAITALL)
        s.recv(struct.unpack("!I", head[:4])[0] - 8, socket.MSG_WAITALL)
        s.sendall(message("R", struct.pack("!I", 0)) + message("Z", b"I"))
        while s.recv(65536):
            s.sendall(message("1") + message("2") + message("T", b"\0\2" + (b"a\0" + b"\0" * 18) * 2) + message("D", row) + message("C", b"SELECT 1\0") + message("Z", b"I"))

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: talk(server.accept()[0]), daemon=True)
        thread.start()
        pooler = make_pooler(databases={"lab": {"port": server.getsockname()[1]}}, users={"postgres": "x"}, auth_user="postgres", auth_type="plain")
        for password in ("pw", "pwpw"):
            assert refused(pooler, user="joe", password=password).message == "bouncer config error"
        pooler.wait_log("error in auth_query: the secret has a NUL in it")
        pooler.stop()


# --- logins that a reload overtakes ----------------------------------------------------------------------------------


def test_a_login_that_a_reload_overtakes_gets_the_new_database(make_pooler):
    """The startup packet's meaning was kept from before the reload: the client landed in a pool of the old entry, which nobody looked after."""
    pooler = make_pooler(auth_type="plain", databases={"lab": {}, "gone": {}}, workers=1)
    pooler.connect().close()
    moved, gone = begun(pooler), begun(pooler, database="gone")
    pooler.databases = {"lab": {"dbname": "lab2"}}
    pooler.reload(pool_mode="session")
    wait_until(lambda: "no such database" in str(outcome(pooler, "gone")), "the reload to be in force")
    for client in (moved, gone):
        client.password = password_of("app")
        client.send(message("p", password_of("app").encode() + b"\0"))
    assert gone.read_to_end().error.message == "no such database: gone"
    moved.read_until("Z")
    assert moved.value("select current_database()") == "lab2"


def outcome(pooler, database):
    try:
        return pooler.connect(database=database).value("select 1")
    except (wire.ServerError, wire.Closed) as e:
        return e


def test_a_login_that_outlives_its_pool_gets_a_new_one(make_pooler):
    """A pool that nobody uses is forgotten. A login under way held on to it, and its servers were in no table: no timeout ever ended them."""
    pooler = make_pooler(auth_type="plain", pool_idle_timeout=1, server_idle_timeout=1, workers=1, admin_users="app2")
    pooler.connect().close()
    late = begun(pooler)
    wait_until(lambda: not pooler.servers(), "the idle server to go")
    admin = pooler.connect("app2", database="pgbouncer")
    wait_until(lambda: not [r for r in admin.rows("SHOW POOLS") if r[0] == "lab"], "the pool to be forgotten")
    late.send(message("p", password_of("app").encode() + b"\0"))
    late.read_until("Z")
    late.rows("begin")
    assert [r[1] for r in admin.rows("SHOW POOLS") if r[0] == "lab"] == ["app"]
    assert [r[1] for r in admin.rows("SHOW SERVERS") if r[2] == "lab"] == ["app"]
    late.rows("commit")
    late.close()
    wait_until(lambda: not pooler.servers(), "its server to go, too")


def test_a_broken_user_list_at_a_reload_locks_nobody_out(make_pooler):
    """Everybody behind the broken line was gone, and with a missing file everybody."""
    pooler = make_pooler()
    with open(pooler.users_path) as f:
        good = f.read()
    for broken in ('"other" "x"\nnonsense\n' + good, None):
        if broken is None:
            pooler.settings["auth_file"] = "/nowhere/users.txt"
            pooler.write_ini()
        else:
            with open(pooler.users_path, "w") as f:
                f.write(broken)
        failures = pooler.log_count("RELOAD failed")
        pooler.process.send_signal(signal.SIGHUP)
        pooler.wait_log("RELOAD failed", failures + 1)
        assert pooler.connect().value("select 1") == "1"
    pooler.wait_log(r"users.txt:2: broken auth file: expected a user name in double quotes")
    pooler.wait_log(r"/nowhere/users.txt: cannot be read")


def test_a_user_list_that_was_broken_at_the_start_stops_no_reload(make_pooler):
    pooler = make_pooler(auth_file="/nowhere/users.txt", auth_type="any", databases={"lab": {"user": "trust_user"}})
    pooler.databases["lab3"] = {"user": "trust_user", "dbname": "lab"}
    pooler.reload()
    wait_until(lambda: outcome(pooler, "lab3") == "1", "the new database")


def test_a_key_from_before_there_were_peers_still_cancels(make_pooler):
    """With peer_id set by a reload, an old key whose random bits happened to name this process was changed before it was looked for."""
    pooler = make_pooler()

    def number(client):
        data = struct.pack("!I", client.key[0] & 0xFFFFFFFF) + bytes(client.key[1])
        return data[1] | data[2] << 8, data[7] & 3

    while True:
        client = pooler.connect()
        peer, hops = number(client)
        if 1 <= peer <= 16383 and hops != 3:
            break
        client.close()
    pooler.reload(peer_id=peer)
    wait_until(lambda: number(pooler.connect())[0] == peer, "the reload to be in force")
    result = []
    thread = threading.Thread(target=lambda: result.append(client.query("select pg_sleep(3600)")))
    thread.start()
    wait_until(lambda: pooler.postgres.backends("lab", "state = 'active' and query like '%3600%'"), "the query to run")
    client.cancel()
    thread.join(wire.HANG)
    assert result and result[0].error.code == "57014"


# --- who judges ------------------------------------------------------------------------------------------------------


def test_the_console_asks_auth_query_in_auth_dbname(make_pooler, postgres):
    """An operator whom only PostgreSQL knows could not log in to the console, as he can with PgBouncer."""
    databases = {name: {"host": postgres.socket_dir, "dbname": "lab"} for name in ("lab", "lookup")}
    settings = {"auth_user": "postgres", "auth_query": "select rolname, rolpassword from pg_authid where rolname = $1", "auth_dbname": "lookup"}
    pooler = make_pooler(databases=databases, users={"postgres": "x"}, admin_users="app", **settings)
    assert pooler.connect("app", database="pgbouncer").query("SHOW VERSION").tags == ["SHOW"]
    assert refused(pooler, user="app", password="wrong", database="pgbouncer").message == "SASL authentication failed"
    assert refused(pooler, user="app2", database="pgbouncer").message == "not allowed"


def heard(connection):
    """What was said on a connection so far; nothing is taken away."""
    try:
        return connection.recv(4096, socket.MSG_PEEK | socket.MSG_DONTWAIT).decode("latin-1")
    except (BlockingIOError, ConnectionResetError):
        return ""


def test_those_who_have_given_up_take_no_time_of_a_directory(make_pooler):
    """Behind a directory that hangs, its threads asked it once more for each client that had left long ago."""
    silent = SilentServer()
    try:
        options = f"ldapserver=127.0.0.1 ldapport={silent.port} ldapprefix=uid= ldapsuffix=,dc=x"
        pooler = make_pooler(auth_type="ldap", auth_ldap_options=options, users={}, client_login_timeout=2)
        clients = [begun(pooler, f"user{n}") for n in range(60)]
        for client in clients:
            client.send(message("p", b"pw\0"))
        for client in clients:
            assert client.read_to_end().error.message in ("client_login_timeout", "LDAP authentication failed")
        last = begun(pooler, "last")
        last.send(message("p", b"pw\0"))

        def asked_about(user):
            return [s for s in list(silent.taken) if heard(s) and f"uid={user}," in heard(s)]

        wait_until(lambda: asked_about("last"), "the directory to be asked for somebody who is still there")
        assert sum(bool(asked_about(f"user{n}")) for n in range(60)) < 40
    finally:
        silent.close()


# --- descriptors -----------------------------------------------------------------------------------------------------


def test_a_lack_of_descriptors_is_told_once(make_pooler):
    """The warning came three times a second, for as long as the lack went on."""
    pooler = make_pooler(start=False, workers=1, client_login_timeout=60, log_stats=1, stats_period=1)
    pooler.open_files = 100
    pooler.start()
    clients = []
    for _ in range(150):
        client = socket.socket()
        client.connect(pooler.address)
        client.sendall(b"\0")
        clients.append(client)
    pooler.wait_log("no more clients are accepted")
    # it tries again three times a second
    pooler.wait_log("stats: ", pooler.log_count("stats: ") + 3)
    for client in clients:
        client.close()
    wait_until(lambda: outcome(pooler, "lab") == "1", "it to accept again")
    assert pooler.log_count("no more clients are accepted") == 1


def test_a_lack_of_descriptors_ends_nobody(make_pooler):
    """Clients got the last one, and libdispatch, on which tasks ran, ended the process once it had none for a file of /proc."""
    pooler = make_pooler(start=False, workers=2, client_login_timeout=600, admin_users="app")
    pooler.open_files = 100
    pooler.start()
    operators = [pooler.connect(database="pgbouncer") for _ in range(16)]
    crowd = []
    for _ in range(150):
        client = socket.socket()
        client.connect(pooler.address)
        client.sendall(b"\0")
        crowd.append(client)
    pooler.wait_log("no more clients are accepted")
    end, problems = time.monotonic() + 4, []

    def operate(admin):
        try:
            while time.monotonic() < end:
                admin.run(wire.query("SHOW LISTS") * 50, ready=50).check()
        except wire.Closed as e:
            problems.append(e)

    threads = [threading.Thread(target=operate, args=(admin,)) for admin in operators]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, pooler.log()
    # Nor do those who are in have to do without servers.
    assert len(os.listdir(f"/proc/{pooler.pid}/fd")) < 90
    for client in crowd:
        client.close()
    wait_until(lambda: outcome(pooler, "lab") == "1", "it to accept again")
