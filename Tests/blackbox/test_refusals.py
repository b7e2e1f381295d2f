"""Logins that the server refuses: who hears of it, in which words, and when the next one is tried."""
import struct
import threading
import time

import pytest

import wire
from postgres import password_of
from processes import wait_until
from test_hostile_server import OK, READY, FakeServer, hold
from wire import message, query

pytestmark = [pytest.mark.poolers_only, pytest.mark.sluice_only("PgBouncer answers everybody from memory for server_login_retry")]


def refused(pooler, **how):
    with pytest.raises(wire.ServerError) as info:
        pooler.connect(**how)
    assert info.value.severity == "FATAL"
    return info.value


def startup(user="app", database="lab"):
    return wire.startup_packet({"user": user, "database": database})


def fatal(code, text):
    return message("E", b"SFATAL\0VFATAL\0C" + code.encode() + b"\0M" + text.encode() + b"\0\0")


KEY = message("K", struct.pack("!II", 1, 2))


class Refusing(FakeServer):
    """Refuses each login with `answer`, or holds it until `gate` is opened and then refuses it; lets in while there is none."""

    def __init__(self, answer):
        self.answer, self.gate, self.asked = answer, None, 0
        super().__init__(self.judge)

    def judge(self, s):
        self.asked += 1
        answer, gate = self.answer, self.gate
        if gate:
            gate.wait(wire.HANG)
        s.sendall(answer or OK + KEY + READY)
        if not answer:
            hold(s)
        s.close()


@pytest.fixture
def refusing(make_pooler):
    """refusing(answer) is such a server, with a pooler in front of it."""
    servers = []

    def make(answer, **settings):
        server = Refusing(answer)
        servers.append(server)
        settings = {"auth_type": "trust", "server_login_retry": 3600, **settings}
        return server, make_pooler(databases={"fake": {"host": "127.0.0.1", "port": server.port}}, **settings)

    yield make
    for server in servers:
        if server.gate:
            server.gate.set()
        server.close()


# --- who hears of it ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("code", ["3D000", "28000", "28P01", "42501", "53300", "55000"])
def test_whoever_waits_hears_the_servers_own_words(refusing, code, workers):
    # the first one did; the others heard 08P01 from memory
    server, pooler = refusing(fatal(code, "no, and this is why"), workers=workers)
    server.gate = threading.Event()
    crowd = [pooler.raw() for _ in range(6)]
    for c in crowd:
        c.send(startup(database="fake"))
    wait_until(lambda: pooler.log_count("login attempt") == 6 and server.asked, "all to wait")
    server.gate.set()
    for c in crowd + [pooler.raw() for _ in range(3)]:
        if c not in crowd:
            c.send(startup(database="fake"))
        error = c.read_to_end().error
        assert (error.severity, error.code, error.message) == ("FATAL", code, "no, and this is why")


def test_a_database_that_is_made_meanwhile(make_pooler, postgres):
    # rails db:create: everybody heard for 15 s that it does not exist
    pooler = make_pooler(databases={"lab": {}, "*": {"dbname": None}}, server_login_retry=3600)
    postgres.sql("drop database if exists made_late")
    try:
        for _ in range(2):
            error = refused(pooler, database="made_late")
            assert (error.code, error.message) == ("3D000", 'database "made_late" does not exist')
        postgres.sql("create database made_late owner app")
        assert pooler.connect(database="made_late").value("select current_database()") == "made_late"
    finally:
        postgres.sql("drop database if exists made_late with (force)")


def test_a_refusal_is_not_for_those_who_came_after_it_was_asked(refusing):
    """The database may have been made between the one and the other."""
    server, pooler = refusing(fatal("3D000", "not yet"), workers=1)
    server.gate = threading.Event()
    early, late = pooler.raw(), pooler.raw()
    early.send(startup(database="fake"))
    wait_until(lambda: server.asked == 1, "the login at the server")
    gate, server.answer, server.gate = server.gate, None, None
    late.send(startup(database="fake"))
    pooler.wait_log("login attempt", 2)
    gate.set()
    assert early.read_to_end().error.message == "not yet"
    assert late.login().status == "I"
    assert server.asked == 2


def test_a_password_that_is_mended(make_pooler, own_postgres):
    pooler = make_pooler(own_postgres, server_login_retry=3600)
    own_postgres.sql("alter role app password 'another'")
    assert refused(pooler).code == "28P01"
    own_postgres.sql("alter role app password 'app-pw'")
    assert pooler.connect().value("select 1") == "1"


@pytest.mark.parametrize("workers", [1, 4])
def test_a_question_of_auth_query_hears_it_too(make_pooler, postgres, workers):
    databases = {"gone": {"host": postgres.socket_dir, "dbname": "gone"}}
    pooler = make_pooler(databases=databases, users={"postgres": "unused"}, auth_user="postgres", server_login_retry=3600, workers=workers)
    for _ in range(3):
        assert refused(pooler, database="gone").code == "3D000"


# --- when it is tried again -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 4])
def test_a_crowd_that_is_refused_makes_few_logins(refusing, workers):
    """Ten a second at most, however many ask: each waits for the next one, and hears what comes of it."""
    server, pooler = refusing(fatal("28P01", "no"), workers=workers)
    refused(pooler, database="fake")
    begin = time.monotonic()
    for _ in range(10):
        crowd = [pooler.raw() for _ in range(20)]
        for c in crowd:
            c.send(startup(database="fake"))
        assert {c.read_to_end().error.code for c in crowd} == {"28P01"}
        for c in crowd:
            c.close()
    took = time.monotonic() - begin
    assert server.asked <= 3 + 10 * took, f"{server.asked} logins in {took} s for 201 clients"
    assert server.asked >= 10


def test_nobody_waits_and_nothing_is_tried(refusing):
    """Not even for min_pool_size: there the pause is server_login_retry, as ever."""
    server, pooler = refusing(fatal("28P01", "no"), stats_period=1, log_stats=1, workers=1)
    pooler.databases["fake"].update(user="app", min_pool_size=2)
    pooler.reload()
    wait_until(lambda: server.asked, "a login")
    lines = pooler.log_count("LOG stats")
    pooler.wait_log("LOG stats", lines + 3)
    assert server.asked == 1


def test_who_has_servers_is_not_told(make_pooler, own_postgres):
    """A limit of PostgreSQL's is no reason to refuse those whom the pool can serve."""
    own_postgres.sql("alter role app connection limit 1")
    pooler = make_pooler(own_postgres, default_pool_size=3, server_login_retry=3600)
    holder, waiter = pooler.connect(), pooler.connect()
    holder.rows("begin")
    waiter.send(query("select 'served'"))
    pooler.wait_log("too many connections", 2)  # it was tried again, though the pause is an hour
    holder.rows("commit")
    assert waiter.read_until("Z").values == ["served"]
    holder.rows("begin")
    waiter.send(query("select 'served by another one'"))
    own_postgres.sql("alter role app connection limit -1")
    assert waiter.read_until("Z").values == ["served by another one"]
    holder.rows("commit")


def test_an_old_refusal_is_not_what_ends_a_wait(refusing):
    # a server that does not answer now is not the one that refused somebody else before
    server, pooler = refusing(fatal("28P01", "no"), query_wait_timeout=1, server_connect_timeout=3600)
    assert refused(pooler, database="fake").code == "28P01"
    server.gate = threading.Event()
    assert refused(pooler, database="fake").message == "query_wait_timeout"


# --- a server that starts up ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 3])
def test_whoever_waits_for_a_server_that_starts_up_is_served_when_it_is_there(refusing, workers):
    # all who came within server_login_retry were refused, though it was there a moment later
    server, pooler = refusing(fatal("57P03", "the database system is starting up"), workers=workers)
    crowd = [pooler.raw() for _ in range(6)]
    for c in crowd:
        c.send(startup(database="fake"))
    wait_until(lambda: server.asked >= 3, "some tries")
    server.answer = None
    for c in crowd:
        assert c.login().status == "I"


@pytest.mark.parametrize("limit", ["query_wait_timeout", "client_login_timeout", "query_timeout"])
def test_whoever_has_waited_long_enough_hears_that_it_starts_up(refusing, limit):
    server, pooler = refusing(fatal("57P03", "the database system is starting up"), **{limit: 1})
    error = refused(pooler, database="fake")
    assert (error.code, error.message) == ("57P03", "the database system is starting up")
    assert server.asked >= 2


# --- RECONNECT ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_a_changed_password_is_told_though_an_old_server_is_left(make_pooler, own_postgres, workers):
    """As in PgBouncer: a server of the time before serves its present client and nobody else. New clients waited for it in vain."""
    pooler = make_pooler(own_postgres, admin_users="app", server_login_retry=3600, workers=workers)
    old, second = pooler.connect(), pooler.connect()
    second.value("select 1")
    old.rows("begin")
    own_postgres.sql("alter role app password 'another'")
    pooler.connect(database="pgbouncer").query("RECONNECT").check()
    assert refused(pooler).code == "28P01"
    second.send(query("select 1"))
    assert second.read_to_end().error.code == "28P01"
    assert old.value("select 'goes on'") == "goes on" and old.query("commit").tags == ["COMMIT"]
    own_postgres.sql("alter role app password 'app-pw'")
    assert pooler.connect().value("select 1") == "1"


def test_a_replication_clients_server_serves_nobody_else(make_pooler, own_postgres):
    """Whoever waits beside it hears that no other one can be had."""
    own_postgres.sql("alter role app replication")
    pooler = make_pooler(own_postgres, server_login_retry=3600)
    own = pooler.connect(parameters={"replication": "database"})
    own_postgres.sql("alter role app password 'another'")
    assert refused(pooler).code == "28P01"
    assert own.query("IDENTIFY_SYSTEM").tags


# --- the log --------------------------------------------------------------------------------------------------------------


def test_the_log_has_it_before_the_client(make_pooler):
    # the client had the error, and whoever looked into the log then found nothing
    pooler = make_pooler(databases={"lab": {}, "gone": {"dbname": "gone"}}, max_user_client_connections=1)
    keep = pooler.connect()
    for turn in range(1, 30):
        assert refused(pooler).message == "client connections exceeded (max_user_client_connections)"
        assert pooler.log_count(r"closing because: client connections exceeded \(max_user_client_connections\)") == turn
    for turn in range(1, 4):
        assert refused(pooler, user="app2", database="gone").code == "3D000"
        assert pooler.log_count('closing because: database "gone" does not exist') == turn
    assert keep.value("select 1") == "1"
