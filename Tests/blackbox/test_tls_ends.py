"""How TLS connections end: with close_notify, whoever ends them and whyever, or the other side can't tell the end from a cut line."""
import signal
import struct
import threading

import psycopg
import pytest

import wire
from certificates import Authority
from processes import wait_until
from test_tls_servers import fake_server, server_side  # noqa: F401
from tls import TLSClient, client_context, end_of
from wire import query

pytestmark = pytest.mark.sluice_only("PgBouncer cuts the line in place of ending TLS")

POLITE = "end of stream"


@pytest.fixture(scope="module")
def authority(run_folder):
    return Authority(run_folder.folder("certificates"))


@pytest.fixture(scope="module")
def own(authority):
    return authority.sign()


@pytest.fixture
def make(make_pooler, own):
    def make(**settings):
        return make_pooler(client_tls_sslmode="allow", client_tls_cert_file=own.certificate, client_tls_key_file=own.key, **{"admin_users": "app2", **settings})

    return make


def connect(pooler, **more):
    client = TLSClient(pooler.address, **{"user": "app", "password": "app-pw", "database": "lab", **more})
    pooler.clients.append(client)
    return client


def cancel_packet(key):
    return wire.request_packet(wire.CANCEL, struct.pack("!I", key[0]) + key[1])


# --- cancel requests -----------------------------------------------------------------------------------------------------


@pytest.mark.drivers
@pytest.mark.parametrize("workers", [1, 3])
def test_libpq_cancels_over_tls_without_an_error(make, workers):
    """libpq 17 and later wait for the end of the cancel connection, and take a cut line for a failure."""
    if psycopg.pq.version() < 170000:
        pytest.skip("needs libpq 17")
    pooler = make(workers=workers)
    where = dict(host="127.0.0.1", port=pooler.port, user="app", password="app-pw", dbname="lab", sslmode="require")
    with psycopg.connect(**where, autocommit=True) as connection:
        for _ in range(5):
            failures = []

            def run():
                try:
                    connection.execute("select pg_sleep(60)")
                except psycopg.errors.QueryCanceled as e:
                    failures.append(e)

            thread = threading.Thread(target=run)
            thread.start()
            wait_until(lambda: pooler.servers("lab", "state = 'active' and query like '%pg_sleep%'"), "the query to run")
            connection.cancel_safe(timeout=wire.HANG)
            thread.join()
            assert len(failures) == 1
        # nothing runs
        connection.cancel_safe(timeout=wire.HANG)
        assert connection.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize("direct", [False, True], ids=["asked", "direct"])
@pytest.mark.parametrize("what", ["idle", "wrong key", "wrong length", "running"])
def test_cancel_connections_end_with_close_notify(make, what, direct):
    pooler = make()
    client = connect(pooler)
    if what == "running":
        client.send(query("select pg_sleep(60)"))
        wait_until(lambda: pooler.servers("lab", "state = 'active' and query like '%pg_sleep%'"), "the query to run")
    key = (client.key[0] ^ 0x01010101, client.key[1]) if what == "wrong key" else client.key
    other = connect(pooler, login=False, direct=direct)
    other.send(wire.request_packet(wire.CANCEL, b"123") if what == "wrong length" else cancel_packet(key))
    assert end_of(other) == POLITE
    if what == "running":
        assert client.read_until("Z").error.code == "57014"
    assert client.value("select 1") == "1"


def test_a_cancel_for_a_peer_that_is_not_there_ends_with_close_notify(make):
    pooler = make(peer_id=1, sections={"peers": {"1": "host=127.0.0.1"}})
    other = connect(pooler, login=False)
    other.send(cancel_packet((7 << 16, b"\x11\x22\x33\x03")))
    assert end_of(other) == POLITE


# --- clients ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("database, user", [("lab", "app"), ("pgbouncer", "app2")])
@pytest.mark.parametrize("how", ["idle", "in a transaction", "close_notify", "a wrong length"])
def test_clients_that_leave_hear_a_good_bye(make, database, user, how):
    pooler = make()
    client = connect(pooler, database=database, user=user, password=f"{user}-pw")
    if how == "in a transaction" and database == "lab":
        client.rows("begin")
    if how == "close_notify":
        client.socket.settimeout(wire.HANG)
        client.socket.unwrap()  # sends close_notify and waits for the other one
        return
    client.send(b"Q\0\0\0\2" if how == "a wrong length" else wire.terminate())
    assert end_of(client) == POLITE


@pytest.mark.parametrize("what", ["terminated", "killed database", "killed client", "in the middle of a row", "refused login"])
def test_clients_that_are_ended_hear_a_good_bye(make, postgres, what):
    pooler = make(default_pool_size=1)
    operator = pooler.connect("app2", database="pgbouncer")
    if what == "refused login":
        client = connect(pooler, login=False)
        client.send(wire.startup_packet({"user": "app"}, 4 << 16))
        assert end_of(client) == POLITE
        return
    client = connect(pooler)
    client.rows("begin")
    if what == "terminated":
        postgres.sql(f"select pg_terminate_backend({client.pid()})")
    elif what == "killed database":
        operator.query("kill lab").check()
    elif what == "killed client":
        operator.query(f"kill_client {client_id(operator)}").check()
    elif what == "in the middle of a row":
        pid = client.pid()
        client.send(query("select repeat('x', 1000000) || pg_sleep(0), repeat('y', 100000000)"))
        client._receive()
        postgres.sql(f"select pg_terminate_backend({pid})")
        while client.socket.recv(1 << 20):
            pass
        return
    assert end_of(client) == POLITE


def client_id(operator):
    """The number that KILL_CLIENT wants for the one client of lab."""
    reply = operator.query("show clients").check()
    columns = next(m[1] for m in reply if m[0] == "T")
    rows = [dict(zip(columns, row)) for row in reply.rows]
    return next(row["id"] for row in rows if row["database"] == "lab")


def test_a_client_that_resets_its_connection_disturbs_nobody(make):
    pooler = make()
    other = connect(pooler)
    for _ in range(20):
        connect(pooler).reset()
    assert other.value("select 1") == "1"


# --- the end of the process ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("how", ["SIGQUIT", "SIGTERM twice", "SIGINT", "SHUTDOWN"])
def test_a_shutdown_says_good_bye(make, how, workers):
    pooler = make(workers=workers)
    clients = [connect(pooler) for _ in range(4)]
    assert clients[0].value("select 1") == "1"
    operator = connect(pooler, database="pgbouncer", user="app2", password="app2-pw")
    pooler.ended_on_purpose = True
    if how == "SHUTDOWN":
        operator.send(query("shutdown"))
    elif how == "SIGQUIT":
        pooler.signal(signal.SIGQUIT)
    elif how == "SIGTERM twice":
        pooler.signal(signal.SIGTERM)
        pooler.wait_log("got SIGTERM")
        pooler.signal(signal.SIGTERM)
    else:
        pooler.signal(signal.SIGINT)
    assert [end_of(client) for client in clients + [operator]] == [POLITE] * 5
    assert pooler.wait() == 0


# --- servers ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["query_timeout", "client left in the middle of a message", "wrong password"])
def test_servers_hear_a_good_bye(make_pooler, fake_server, authority, how):  # noqa: F811
    """PostgreSQL writes a line of its log for each connection that is cut."""
    ends, context = [], server_side(authority.sign())

    def behave(plain):
        assert plain.recv(8) == wire.request_packet(wire.SSL)
        plain.sendall(b"S")
        s = context.wrap_socket(plain, server_side=True, suppress_ragged_eofs=False)
        s.recv(10000)
        if how == "wrong password":
            s.sendall(wire.message("R", struct.pack("!I", 10) + b"SCRAM-SHA-512\0\0"))
        else:
            s.sendall(wire.message("R", struct.pack("!I", 0)) + wire.message("K", struct.pack("!II", 1, 2)) + wire.message("Z", b"I"))
        try:
            while s.recv(1 << 20):
                pass
            ends.append(POLITE)
        except OSError as e:
            ends.append(str(e))

    server = fake_server(behave)
    pooler = make_pooler(databases={"lab": {"port": server.port}}, server_tls_sslmode="require", query_timeout=1 if how == "query_timeout" else 0, client_login_timeout=5)
    if how == "wrong password":
        with pytest.raises(wire.ServerError):
            pooler.connect()
    else:
        client = pooler.connect()
        if how == "query_timeout":
            client.send(query("select pg_sleep(60)"))
            client.read_to_end()
        else:
            client.send(b"Q" + struct.pack("!I", 1_000_000) + b"x" * 100_000)
            pooler.wait_log("new connection to server")
            client.close()
    wait_until(lambda: ends, "the server to hear of it")
    assert ends == [POLITE]
