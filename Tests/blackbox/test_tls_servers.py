"""TLS with servers: modes, verification, client certificates, channel binding, cancels, lending, reloads."""
import re
import socket
import ssl
import struct
import threading

import pytest

import wire
from certificates import Authority
from postgres import password_of
from processes import give, wait_until
from tls import TLSClient
from wire import ServerError, query

PAST, LONG_AGO = "20200102000000Z", "20200101000000Z"
ENCRYPTED = "select ssl and version is not null from pg_stat_ssl where pid = pg_backend_pid()"


@pytest.fixture(scope="module")
def authority(run_folder):
    return Authority(run_folder.folder("certificates"))


@pytest.fixture(scope="module")
def stranger(run_folder):
    return Authority(run_folder.folder("certificates"), "Stranger")


class TLSPostgres:
    """A PostgreSQL with ssl = on that lets `app` in by TLS only, and `app2` only with a certificate of its own."""

    def __init__(self, postgres, authority):
        postgres.needs_tls()
        self.postgres, self.port = postgres, postgres.port
        own = authority.sign()
        with open(f"{postgres.data}/postgresql.conf", "a") as f:
            f.write(f"\nssl = on\nssl_cert_file = '{own.certificate}'\nssl_key_file = '{own.key}'\nssl_ca_file = '{authority.certificate}'\n")
        with open(f"{postgres.data}/pg_hba.conf", "w") as f:
            f.write(
                "local all postgres trust\nlocal all all scram-sha-256\nhostssl all app 127.0.0.1/32 scram-sha-256\n"
                "hostssl all app2 127.0.0.1/32 scram-sha-256 clientcert=verify-full\nhost all md5_user 127.0.0.1/32 md5\n"
            )
        postgres.restart()


@pytest.fixture(scope="module")
def module_postgres(run_folder, postgres_template):
    from postgres import Postgres

    server = Postgres(run_folder, postgres_template)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def encrypted(module_postgres, authority):
    return TLSPostgres(module_postgres, authority)


@pytest.fixture
def to_server(make_pooler, encrypted):
    """to_server(mode, host=..., ...): a pooler in front of the encrypted PostgreSQL."""

    def make(mode, host="127.0.0.1", port=None, keys=None, **settings):
        databases = {"lab": {"host": host, "port": port or encrypted.port, **(keys or {})}}
        return make_pooler(postgres=encrypted.postgres, databases=databases, server_tls_sslmode=mode, **settings)

    return make


def refusal(pooler, **more):
    """What a client hears when the server can't be reached as the settings ask for."""
    with pytest.raises((ServerError, wire.Closed)) as refused:
        pooler.connect(**more)
    return str(refused.value)


# --- modes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["allow", "prefer", "require"])
def test_a_server_with_tls_is_spoken_to_by_tls(to_server, mode):
    pooler = to_server(mode)
    assert pooler.connect().value(ENCRYPTED) == "t"
    pooler.wait_log("SSL established: TLSv1.3/TLS_AES_256_GCM_SHA384")


def test_verification_of_the_authority_and_of_the_name(to_server, authority, stranger):
    assert to_server("verify-ca", server_tls_ca_file=authority.certificate).connect().value(ENCRYPTED) == "t"
    assert to_server("verify-full", "localhost", server_tls_ca_file=authority.certificate).connect().value(ENCRYPTED) == "t"
    assert to_server("verify-full", "127.0.0.1", server_tls_ca_file=authority.certificate).connect().value(ENCRYPTED) == "t"


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_an_unknown_authority_is_refused(to_server, stranger, mode):
    pooler = to_server(mode, server_tls_ca_file=stranger.certificate, client_login_timeout=2)
    refusal(pooler)
    pooler.wait_log("TLS handshake failed: certificate verify failed: (unable to get local issuer certificate|self-signed certificate in certificate chain)")
    # without a file it is the system that knows whom to believe, and it knows neither
    pooler = to_server(mode, client_login_timeout=2)
    refusal(pooler)
    pooler.wait_log("TLS handshake failed: certificate verify failed")


def test_without_tls_where_it_is_required(to_server, encrypted):
    pooler = to_server("disable", client_login_timeout=2)
    assert "no encryption" in refusal(pooler)


@pytest.mark.parametrize("mode,works", [("allow", True), ("prefer", True), ("require", False), ("verify-ca", False), ("verify-full", False)])
def test_a_server_without_tls(make_pooler, authority, mode, works):
    pooler = make_pooler(server_tls_sslmode=mode, server_tls_ca_file=authority.certificate, client_login_timeout=2)
    if works:
        assert pooler.connect().value(ENCRYPTED) == "f"
    else:
        refusal(pooler)
        pooler.wait_log("closing because: server refused SSL")
        assert not pooler.servers()


def test_unix_sockets_need_no_tls(make_pooler, postgres):
    pooler = make_pooler(databases={"lab": {"host": postgres.socket_dir}}, server_tls_sslmode="verify-full")
    assert pooler.connect().value("select 1") == "1"


# --- the reason reaches the client -------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("fault, reason", [
    ("expired", "certificate has expired"), ("another name", "hostname mismatch"), ("unknown authority", "(unable to get local issuer certificate|self-signed certificate in certificate chain)"),
    ("no TLS", None), ("direct", None)])
def test_clients_hear_why_the_server_is_refused(make_pooler, postgres, to_server, fake_server, authority, stranger, fault, reason, workers):
    """And not, a minute later, that their time is up."""
    signer = stranger if fault == "unknown authority" else authority
    own = {"expired": dict(start=LONG_AGO, end=PAST), "another name": dict(common_name="other", names=("DNS:other.example",))}.get(fault, {})
    context = server_side(signer.sign(**own))

    def behave(s):
        assert s.recv(100) == wire.request_packet(wire.SSL)
        s.sendall(b"S")
        with context.wrap_socket(s, server_side=True) as tls:
            tls.recv(1000)

    settings = {"server_tls_ca_file": authority.certificate, "workers": workers, "client_login_timeout": 0, "query_wait_timeout": 0}
    if fault in ("no TLS", "direct"):
        keys = {"lab": {"sslnegotiation": "direct"} if fault == "direct" else {}}
        pooler = make_pooler(databases=keys, server_tls_sslmode="require", **settings)
        text = "server refused SSL" if fault == "no TLS" else "direct TLS: the server hung up in the handshake: expected PostgreSQL 17 or later"
    else:
        pooler = to_server("verify-full", "localhost", fake_server(behave).port, **settings)
        text = f"TLS handshake failed: certificate verify failed: {reason}"
    with pytest.raises(ServerError) as first:
        pooler.connect()
    assert re.match(text, first.value.message), first.value.message
    # who comes later hears it, too
    with pytest.raises(ServerError) as second:
        pooler.connect()
    assert re.search(text, second.value.message), second.value.message
    pooler.wait_log(f"S-0x.*{text}")


def test_clients_that_wait_for_a_server_hear_why_the_next_one_is_refused(to_server, encrypted, authority, stranger):
    pooler = to_server("verify-ca", server_tls_ca_file=authority.certificate, client_login_timeout=0, query_wait_timeout=0)
    client = pooler.connect()
    assert client.value("select 1") == "1"
    pooler.reload(server_tls_ca_file=stranger.certificate)
    wait_until(lambda: not encrypted.postgres.backends("lab"), "the old server to go")
    client.send(query("select 2"))
    assert "TLS handshake failed: certificate verify failed" in client.read_to_end().error.message


# --- servers that are not what they should be ------------------------------------------------------------------


class FakeServer:
    """Accepts on a port of its own and lets `behave(socket)` deal with each connection."""

    def __init__(self, behave):
        self.behave, self.listener, self.firsts = behave, socket.create_server(("127.0.0.1", 0)), []
        self.port, self.threads, self.sockets = self.listener.getsockname()[1], [], []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            s.settimeout(wire.HANG)
            self.sockets.append(s)
            threading.Thread(target=self._run, args=(s,), daemon=True).start()

    def _run(self, s):
        try:
            self.behave(s)
        except (OSError, ssl.SSLError):
            pass
        finally:
            s.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for s in self.sockets:
            s.close()


@pytest.fixture
def fake_server():
    made = []

    def make(behave):
        made.append(FakeServer(behave))
        return made[-1]

    yield make
    for server in made:
        server.close()


def server_side(certificate, alpn=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    if alpn:
        context.set_alpn_protocols([alpn])
    return context


@pytest.mark.parametrize(
    "own", [dict(common_name="other", names=("DNS:other.example",)), dict(start=LONG_AGO, end=PAST), dict(names=("DNS:*",)), dict(names=("DNS:localhost.evil",)),
            dict(common_name="x" * 64, names=("DNS:" + "a" * 5000,)), dict(common_name="other", names=("IP:127.0.0.1",))], ids=["other", "expired", "star", "longer", "long", "address"])
def test_a_server_with_a_wrong_certificate_hears_no_password(to_server, fake_server, authority, own):
    heard, context = [], server_side(authority.sign(**own))

    def behave(s):
        assert s.recv(100) == wire.request_packet(wire.SSL)
        s.sendall(b"S")
        with context.wrap_socket(s, server_side=True) as tls:
            heard.append(tls.recv(1000))

    server = fake_server(behave)
    pooler = to_server("verify-full", "localhost", server.port, server_tls_ca_file=authority.certificate, client_login_timeout=2)
    refusal(pooler)
    pooler.wait_log("TLS handshake failed: certificate verify failed: (certificate has expired|hostname mismatch)")
    assert not any(heard)


@pytest.mark.parametrize("answer", [b"S" + wire.message("R", struct.pack("!I", 0)), b"N" + wire.message("R", struct.pack("!I", 3)), b"E\0\0\0\x09SFATAL\0\0", b"", b"x", b"\x15\3\3\0\2\2\x28"])
@pytest.mark.parametrize("mode", ["prefer", "require"])
def test_strange_answers_to_an_ssl_request(to_server, fake_server, answer, mode):
    # bytes behind the S were put in by somebody who hopes that they count as encrypted (CVE-2021-23222)
    said = []

    def behave(s):
        said.append(s.recv(100))
        s.sendall(answer)
        while more := s.recv(1000):
            said.append(more)

    server = fake_server(behave)
    pooler = to_server(mode, port=server.port, client_login_timeout=2)
    refusal(pooler)
    assert said[0] == wire.request_packet(wire.SSL)
    assert not any(password_of("app").encode() in s or b"user\0" in s for s in said)


@pytest.mark.parametrize("how", ["garbage", "close"])
def test_a_server_that_breaks_off_the_handshake(to_server, fake_server, how):
    def behave(s):
        s.recv(100)
        s.sendall(b"S")
        s.recv(10000)
        if how == "garbage":
            s.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n" * 20)
            s.recv(1000)

    pooler = to_server("require", port=fake_server(behave).port, client_login_timeout=2)
    refusal(pooler)
    pooler.wait_log("TLS handshake failed: |closing because: server conn crashed")


def test_a_server_that_never_answers(to_server, fake_server):
    gone = threading.Event()
    pooler = to_server("require", port=fake_server(lambda s: gone.wait(wire.HANG)).port, server_connect_timeout=1, client_login_timeout=4)
    refusal(pooler)
    gone.set()
    pooler.wait_log("closing because: connect timeout")


# --- who the pooler is -----------------------------------------------------------------------------------------


def test_a_client_certificate_towards_the_server(to_server, authority):
    own = authority.sign("app2", names=())
    pooler = to_server("verify-full", "localhost", server_tls_ca_file=authority.certificate, server_tls_cert_file=own.certificate, server_tls_key_file=own.key)
    client = pooler.connect(user="app2")
    assert client.value("select client_dn from pg_stat_ssl where pid = pg_backend_pid()") == "/CN=app2"
    pooler = to_server("require", client_login_timeout=2)
    assert "certificate" in refusal(pooler, user="app2")


class Between:
    """Somebody who ends TLS on both sides with a certificate of his own, and reads along."""

    def __init__(self, port, certificate):
        self.port, self.certificate, self.read = port, certificate, bytearray()

    def __call__(self, s):
        assert s.recv(100) == wire.request_packet(wire.SSL)
        s.sendall(b"S")
        near = server_side(self.certificate).wrap_socket(s, server_side=True)
        far = TLSClient(("127.0.0.1", self.port), login=False).socket
        threading.Thread(target=self.pump, args=(far, near), daemon=True).start()
        self.pump(near, far)

    def pump(self, source, target):
        try:
            while part := source.recv(65536):
                self.read += part
                target.sendall(part)
        except OSError:
            pass
        for s in (source, target):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


@pytest.mark.parametrize("secret", ["plain", "scram"])
def test_channel_binding_finds_somebody_in_between(to_server, encrypted, fake_server, stranger, secret):
    # no certificate is verified (mode require): the password itself tells that this is not the server's channel
    between = Between(encrypted.port, stranger.sign())
    pooler = to_server("require", port=fake_server(between).port, client_login_timeout=3)
    assert "authentication failed" in refusal(pooler) or pooler.log_contains("SCRAM")
    assert b"SCRAM-SHA-256-PLUS" in between.read and b"p=tls-server-end-point" in between.read
    encrypted.postgres.log()


def test_channel_binding_with_pass_through_keys(to_server, encrypted):
    pooler = to_server("require", users={"app": encrypted.postgres.secret_of("app")})
    assert pooler.connect().value(ENCRYPTED) == "t"


# channel_binding, as libpq has it


@pytest.mark.parametrize("binding,proof", [("disable", b"n,,n="), ("prefer", b"p=tls-server-end-point,,n="), ("require", b"p=tls-server-end-point,,n=")])
def test_channel_binding_as_the_entry_says(to_server, encrypted, fake_server, stranger, binding, proof):
    # who is in between sees how the login begins; it succeeds through him only where it is not bound
    assert to_server("require", keys={"channel_binding": binding}).connect().value(ENCRYPTED) == "t"
    between = Between(encrypted.port, stranger.sign())
    pooler = to_server("require", port=fake_server(between).port, keys={"channel_binding": binding}, client_login_timeout=3)
    if binding == "disable":
        assert pooler.connect().value("select 1") == "1"
    else:
        refusal(pooler)
    assert proof in between.read
    encrypted.postgres.log()


REQUESTS = {
    "trust": (struct.pack("!iI", 8, 0), "the server asked for no proof of the password"),
    "cleartext": (struct.pack("!iI", 8, 3), "the server asked for a password in another way"),
    "md5": (struct.pack("!iI4s", 12, 5, b"salt"), "the server asked for a password in another way"),
    "scram": (struct.pack("!iI", 23, 10) + b"SCRAM-SHA-256\0\0", "the server does not offer it"),
}


@pytest.mark.parametrize("asked", REQUESTS)
def test_a_server_that_is_not_bound_hears_nothing_where_that_is_required(to_server, fake_server, authority, asked):
    request, reason = REQUESTS[asked]
    heard = []

    def behave(s):
        s.recv(100)
        s.sendall(b"S")
        with server_side(authority.sign()).wrap_socket(s, server_side=True) as tls:
            tls.recv(1000)
            tls.sendall(b"R" + request)
            heard.append(tls.recv(1000))

    pooler = to_server("require", port=fake_server(behave).port, keys={"channel_binding": "require"}, client_login_timeout=3)
    assert "channel binding is required, but " + reason in refusal(pooler)
    wait_until(lambda: heard, "the server to be left")
    assert heard == [b""]


@pytest.mark.sluice_only("PgBouncer has no setting channel_binding")
def test_channel_binding_needs_tls(to_server, make_pooler, postgres):
    pooler = to_server("disable", keys={"channel_binding": "require"}, start=False)
    pooler.launch()
    assert pooler.wait() == 1
    assert "channel_binding: database \"lab\": require needs TLS, so server_tls_sslmode must not be disable" in pooler.stderr()
    pooler.process = None
    pooler = make_pooler(databases={"lab": {"channel_binding": "require"}}, server_tls_sslmode="prefer")
    assert "channel binding is required, but there is no TLS with a certificate to bind to" in refusal(pooler)


def test_a_changed_channel_binding_replaces_the_servers(to_server):
    pooler = to_server("require", keys={"channel_binding": "disable"})
    client = pooler.connect()
    first = client.value("select pg_backend_pid()")
    pooler.databases["lab"]["channel_binding"] = "require"
    pooler.reload()
    wait_until(lambda: client.value("select pg_backend_pid()") != first, "another server")


def test_md5_works_over_tls(to_server):
    assert to_server("require").connect(user="md5_user").value(ENCRYPTED) == "t"


# --- cancels ---------------------------------------------------------------------------------------------------


class Recorder:
    """Passes bytes on, and keeps what each connection began with."""

    def __init__(self, port):
        self.port, self.connections = port, []

    def __call__(self, s):
        sent = bytearray()
        self.connections.append(sent)
        far = socket.create_connection(("127.0.0.1", self.port))
        far.settimeout(wire.HANG)
        threading.Thread(target=self.pump, args=(far, s, bytearray()), daemon=True).start()
        self.pump(s, far, sent)

    @staticmethod
    def pump(source, target, kept):
        try:
            while part := source.recv(65536):
                kept += part
                target.sendall(part)
        except OSError:
            pass
        for s in (source, target):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


@pytest.mark.parametrize("mode", ["prefer", "verify-full"])
def test_cancels_to_the_server_are_encrypted(to_server, encrypted, fake_server, authority, mode):
    recorder = Recorder(encrypted.port)
    pooler = to_server(mode, "localhost", fake_server(recorder).port, server_tls_ca_file=authority.certificate)
    client = pooler.connect()
    for _ in range(3):
        client.send(query("select pg_sleep(60)"))
        wait_until(lambda: pooler.servers(where="query like '%pg_sleep(60)%' and state = 'active'"), "the query to run")
        client.cancel()
        assert client.read_until("Z").error.code == "57014"
    assert len(recorder.connections) == 4
    key = struct.pack("!I", wire.CANCEL)
    for sent in recorder.connections:
        assert sent[:8] == wire.request_packet(wire.SSL) and sent[8] == 0x16 and key not in sent


def test_cancels_stay_plain_where_the_server_is(make_pooler, postgres):
    pooler = make_pooler(server_tls_sslmode="prefer")
    client = pooler.connect()
    client.send(query("select pg_sleep(60)"))
    wait_until(lambda: pooler.servers(where="query like '%pg_sleep(60)%' and state = 'active'"), "the query to run")
    client.cancel()
    assert client.read_until("Z").error.code == "57014"


# --- data ------------------------------------------------------------------------------------------------------


def test_servers_move_between_workers_with_their_tls(to_server):
    pooler = to_server("require", workers=4, default_pool_size=2)
    clients = [pooler.connect() for _ in range(40)]
    for turn in range(20):
        for i, c in enumerate(clients):
            c.send(query(f"select {turn}, {i}, ssl from pg_stat_ssl where pid = pg_backend_pid()"))
        for i, c in enumerate(clients):
            assert c.read_until("Z").check().rows == [(str(turn), str(i), "t")]
    assert len(pooler.servers()) == 2


def test_tls_on_both_sides_with_bulk_and_prepared_statements(to_server, authority):
    own = authority.sign()
    pooler = to_server("verify-full", "localhost", server_tls_ca_file=authority.certificate, client_tls_sslmode="require",
                       client_tls_cert_file=own.certificate, client_tls_key_file=own.key)
    client = TLSClient(pooler.address, user="app", password="app-pw", database="lab")
    pooler.clients.append(client)
    client.run(wire.parse("s", "select $1::int + 1"), wire.sync()).check()
    for i in range(50):
        assert client.run(wire.bind("s", [i]), wire.execute(), wire.sync()).check().values == [str(i + 1)]
    client.send(query("select repeat('y', 99990) from generate_series(1, 1000)"))
    assert client.drain()[1] == 1000
    text = "z" * 3_000_000
    assert client.extended("select $1::text", [text]).check().values == [text]
    client.rows("create table if not exists bulk (x text)")
    client.send(query("copy bulk from stdin"))
    client.read_until("G")
    for _ in range(200):
        client.send(wire.copy_data(b"w" * 50_000 + b"\n"))
    client.send(wire.copy_done())
    assert client.read_until("Z").check().tags == ["COPY 200"]
    client.rows("drop table bulk")


def test_a_server_that_ends_is_noticed(to_server, encrypted):
    pooler = to_server("require")
    client = pooler.connect()
    pid = client.pid()
    encrypted.postgres.sql(f"select pg_terminate_backend({pid})")
    wait_until(lambda: pid not in pooler.servers(), "the backend to end")
    pooler.wait_log(r" S-0x\w+: .*closing because: ")
    assert client.value("select 1") == "1"
    client.rows("begin")
    encrypted.postgres.sql(f"select pg_terminate_backend({client.pid()})")
    assert client.read_until("E")[-1][1]["C"] == "57P01"


# --- direct TLS, resumption ------------------------------------------------------------------------------------


@pytest.fixture
def front(make_pooler, encrypted, authority):
    """A pooler with TLS towards clients, which stands for a server that understands direct TLS and gives tickets."""
    own = authority.sign()
    return make_pooler(client_tls_sslmode="require", client_tls_cert_file=own.certificate, client_tls_key_file=own.key, log_connections=1)


@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_direct_tls_to_the_server(to_server, front, fake_server, authority, mode):
    recorder = Recorder(front.port)
    pooler = to_server(mode, "localhost", fake_server(recorder).port, keys={"sslnegotiation": "direct"}, server_tls_ca_file=authority.certificate)
    client = pooler.connect()
    assert client.value("select 1") == "1"
    client.send(query("select pg_sleep(60)"))
    wait_until(lambda: front.servers(where="query like '%pg_sleep(60)%' and state = 'active'"), "the query to run")
    client.cancel()
    assert client.read_until("Z").error.code == "57014"
    assert len(recorder.connections) == 2 and all(sent[0] == 0x16 for sent in recorder.connections)


def test_direct_tls_to_a_server_that_speaks_something_else(to_server, fake_server, authority):
    heard, context = [], server_side(authority.sign(), alpn=None)

    def behave(s):
        with context.wrap_socket(s, server_side=True) as tls:
            heard.append(tls.recv(1000))

    pooler = to_server("require", port=fake_server(behave).port, keys={"sslnegotiation": "direct"}, client_login_timeout=2)
    refusal(pooler)
    pooler.wait_log("direct TLS: the server did not agree on the protocol")
    assert not any(heard)


@pytest.mark.sluice_only("PgBouncer has no setting sslnegotiation")
def test_direct_tls_needs_a_mode_that_requires_tls(to_server):
    pooler = to_server("prefer", keys={"sslnegotiation": "direct"}, start=False)
    pooler.launch()
    assert pooler.wait() == 1
    assert "sslnegotiation: database \"lab\": direct needs server_tls_sslmode require, verify-ca or verify-full, not prefer" in pooler.stderr()
    pooler.process = None


def test_sessions_with_servers_are_resumed(to_server, front, authority):
    pooler = to_server("verify-full", "localhost", front.port, server_tls_ca_file=authority.certificate, default_pool_size=4)
    clients = [pooler.connect() for _ in range(4)]
    for c in clients:
        c.rows("begin")
    assert pooler.log_contains("SSL established: TLSv1.3/[A-Z0-9_]+, resumed")
    for c in clients:
        c.rows("commit")


# --- reload ----------------------------------------------------------------------------------------------------


def test_a_changed_tls_replaces_the_servers_and_an_unchanged_one_does_not(to_server, authority, stranger):
    pooler = to_server("require", default_pool_size=1)
    client = pooler.connect()
    pid = client.pid()
    pooler.reload(query_wait_timeout=99)
    pooler.reload(server_tls_ca_file="")
    assert client.pid() == pid
    client.rows("begin")
    pooler.reload(server_tls_sslmode="verify-ca", server_tls_ca_file=authority.certificate)
    # a transaction goes on, and its server leaves with it
    assert client.pid() == pid
    client.rows("commit")
    wait_until(lambda: client.pid() != pid, "a new server")
    pid = client.pid()
    pooler.reload(server_tls_ca_file="/nonexistent")
    pooler.wait_log("server_tls_ca_file: /nonexistent: cannot be read")
    assert client.pid() == pid
    pooler.reload(server_tls_ca_file=stranger.certificate, server_login_retry=0, query_wait_timeout=2)
    pooler.wait_log("closing because: (database configuration changed|obsolete connection)", 2)
    with pytest.raises((ServerError, wire.Closed)):
        client.value("select 1")
    pooler.wait_log("certificate verify failed: (unable to get local issuer certificate|self-signed certificate in certificate chain)")
