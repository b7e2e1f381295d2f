"""Waiting for a server in the login obeys the same limits as waiting with a query; nobody is evicted where nobody waits."""
import re
import signal

import pytest

import wire
from processes import wait_until
from test_hostile_server import FakeServer, hold
from wire import query

pytestmark = [pytest.mark.poolers_only, pytest.mark.sluice_only("what those who wait are told, in Sluice's words")]


def refused(pooler, **how):
    with pytest.raises(wire.ServerError) as info:
        pooler.connect(**how)
    assert (info.value.severity, info.value.code) == ("FATAL", "08P01")
    return info.value


@pytest.fixture
def silent():
    """The port of a server that takes connections and never says a word."""
    server = FakeServer(hold)
    yield server.port
    server.close()


def behind_silence(make_pooler, silent, **settings):
    """client_login_timeout = 0: a login that waits for its first server has no other limit."""
    settings = {"client_login_timeout": 0, "server_connect_timeout": 3600, "query_wait_timeout": 0, **settings}
    return make_pooler(databases={"lab": {}, "fake": {"host": "127.0.0.1", "port": silent}}, **settings)


# --- the first server of a pool -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("limit", ["query_wait_timeout", "query_timeout"])
def test_a_login_waits_no_longer_than_a_query(make_pooler, silent, limit, workers):
    # it waited for client_login_timeout, or for ever
    pooler = behind_silence(make_pooler, silent, workers=workers, **{limit: 1})
    assert refused(pooler, database="fake").message == limit
    pooler.wait_log(f"closing because: {limit} ")
    assert pooler.connect().value("select 1") == "1"


def test_a_login_while_the_server_is_down(make_pooler, own_postgres):
    pooler = make_pooler(own_postgres, client_login_timeout=0, query_wait_timeout=1, server_login_retry=3600)
    own_postgres.stop()
    error = refused(pooler)
    assert error.message == "query_wait_timeout" and "connect failed" in error.fields["D"]


def test_a_replication_client_waits_no_longer_either(make_pooler, silent):
    pooler = behind_silence(make_pooler, silent, query_timeout=1)
    assert refused(pooler, database="fake", parameters={"replication": "database"}).message == "query_timeout"


def test_the_limit_of_a_database_beats_the_others(make_pooler, silent):
    pooler = behind_silence(make_pooler, silent, query_wait_timeout=3600, start=False)
    pooler.databases["fake"]["query_wait_timeout"] = 1
    pooler.write_ini()
    pooler.start()
    assert refused(pooler, database="fake").message == "query_wait_timeout"


def test_a_shutdown_ends_the_waiting_in_logins(make_pooler, silent):
    pooler = behind_silence(make_pooler, silent)
    c = pooler.raw()
    c.send(wire.startup_packet({"user": "app", "database": "fake"}))
    c.password = "app-pw"
    with pytest.raises(wire.ServerError) as info:
        answers_then(c, lambda: (pooler.wait_log("login attempt"), pooler.signal(signal.SIGINT)))
    assert info.value.message == "server shutting down"


def answers_then(client, then):
    """Logs in, and does something when the password has been given."""
    client.read(), client.send((scram := wire.Scram(client.password)).first_message())
    client.send(scram.final_message(client.read()[2].decode()))
    then()
    seen = client.read_until("E", "Z")
    for error in seen.errors:
        raise error


# --- behind a limit -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("limit", ["query_wait_timeout", "client_login_timeout"])
def test_a_login_behind_a_full_database_is_told_so(make_pooler, limit, workers):
    # "client_login_timeout (server down)", and the server was up
    pooler = make_pooler(workers=workers, max_db_connections=1, **{limit: 1})
    holder = pooler.connect()
    holder.rows("begin")
    error = refused(pooler, user="app2")
    assert error.message == limit and "max_db_connections" in error.fields["D"] and "H" in error.fields, error.fields
    holder.rows("commit")
    assert pooler.connect("app2").value("select 1") == "1"


def test_a_login_timeout_while_the_server_is_down_says_so(make_pooler, silent):
    pooler = behind_silence(make_pooler, silent, client_login_timeout=1)
    assert refused(pooler, database="fake").message == "client_login_timeout (server down)"


# --- auth_query -----------------------------------------------------------------------------------------------------------


AUTH = {"users": {"postgres": "unused"}, "auth_user": "postgres", "client_login_timeout": 0}


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("limit", ["query_wait_timeout", "query_timeout"])
def test_auth_query_waits_no_longer_than_a_query(make_pooler, silent, limit, workers):
    settings = {"server_connect_timeout": 3600, "query_wait_timeout": 0, "workers": workers, **AUTH, limit: 1}
    pooler = make_pooler(databases={"fake": {"host": "127.0.0.1", "port": silent}}, **settings)
    error = refused(pooler, database="fake")
    assert error.message == limit and "D" not in error.fields, "nobody has shown yet who he is"


def test_auth_query_behind_a_full_database(make_pooler, postgres):
    pooler = make_pooler(databases={"lab": {"host": postgres.socket_dir}}, max_db_connections=1, query_wait_timeout=1, **AUTH)
    holder = pooler.connect("postgres", password="unused")
    holder.rows("begin")
    assert refused(pooler).message == "query_wait_timeout"
    holder.rows("commit")
    assert pooler.connect().value("select 1") == "1"


def test_an_auth_query_that_hangs(make_pooler, postgres):
    query = "select rolname, rolpassword from pg_authid, pg_sleep(case $1 when 'app' then 3600 else 0 end) where rolname = $1"
    pooler = make_pooler(databases={"lab": {"host": postgres.socket_dir}}, query_timeout=1, server_connect_timeout=3600, auth_query=query, **AUTH)
    assert refused(pooler).message == "query timeout"
    assert pooler.connect("app2").value("select 1") == "1"


# --- room -----------------------------------------------------------------------------------------------------------------


def periods(pooler, count):
    """So many seconds of the janitor's, as the log tells them."""
    before = pooler.log_count("LOG stats: ")
    pooler.wait_log("LOG stats: ", before + count)


WARM = {
    "three users in one database": ({"lab": {"min_pool_size": 5}}, {"max_db_connections": 10}, 10),
    "more than the database may have": ({"lab": {"min_pool_size": 5}}, {"max_db_connections": 3}, 3),
    "more than the user may have": ({"lab": {"min_pool_size": 5}, "lab2": {"min_pool_size": 5}}, {"max_user_connections": 3}, 9),
}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", WARM)
def test_nobody_is_evicted_where_nobody_waits(make_pooler, name, workers):
    # servers that were kept warm for one pool were closed for another one, for ever: 34 in ten seconds
    databases, limits, room = WARM[name]
    pooler = make_pooler(databases=databases, workers=workers, stats_period=1, log_stats=1, **limits)
    clients = [pooler.connect(user, database=database) for user in ("app", "app2", "scram_user") for database in databases]
    for c in clients:
        c.value("select 1")
    wait_until(lambda: sum(len(pooler.servers(d)) for d in databases) == room, "the pools to be warm")
    evicted, opened = pooler.log_count("evicted for"), pooler.log_count("new connection to server")
    periods(pooler, 4)
    assert (pooler.log_count("evicted for"), pooler.log_count("new connection to server")) == (evicted, opened)
    for c in clients:
        assert c.value("select 1") == "1", "who waits gets room"
