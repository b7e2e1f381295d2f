"""TLS with clients: modes, certificates, versions, what is refused, reloads, and what a handshake must not do to others."""
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import threading

import psycopg
import pytest

import test_syscalls
import wire
from certificates import Authority, replace
from processes import wait_until
from test_peers import salt_of
from tls import PlusScram, TLSClient, client_context, psql
from wire import Closed, ServerError, query

PAST, LONG_AGO = "20200102000000Z", "20200101000000Z"


@pytest.fixture(scope="session")
def authority(run_folder):
    return Authority(run_folder.folder("certificates"))


@pytest.fixture(scope="session")
def certificate(authority):
    """The pooler's own, for localhost."""
    return authority.sign()


@pytest.fixture(scope="session")
def stranger(run_folder):
    """An authority that nobody here knows."""
    return Authority(run_folder.folder("certificates"), "Stranger")


@pytest.fixture
def tls_pooler(make_pooler, certificate):
    """tls_pooler(mode="require", ...): a pooler that speaks TLS with clients."""

    def make(mode="require", own=None, **settings):
        own = own or certificate
        return make_pooler(**{"client_tls_sslmode": mode, "client_tls_cert_file": own.certificate, "client_tls_key_file": own.key, **settings})

    return make


def connect(pooler, **more):
    client = TLSClient(pooler.address, **{"user": "app", "password": "app-pw", "database": "lab", **more})
    pooler.clients.append(client)
    return client


# --- modes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["allow", "prefer"])
def test_tls_is_taken_when_asked_for_and_not_required(tls_pooler, mode):
    pooler = tls_pooler(mode)
    assert connect(pooler).value("select 1") == "1"
    assert pooler.connect().value("select 2") == "2"


@pytest.mark.parametrize("mode", ["require"])
def test_a_login_without_tls_is_refused_where_it_is_required(tls_pooler, mode):
    pooler = tls_pooler(mode)
    with pytest.raises(ServerError) as refused:
        pooler.connect()
    assert (refused.value.severity, refused.value.code, refused.value.message) == ("FATAL", "08P01", "SSL required")
    assert connect(pooler).value("select 1") == "1"


def test_tls_is_off_by_default(make_pooler):
    client = make_pooler().raw()
    client.send(wire.request_packet(wire.SSL))
    assert client.read_byte() == b"N"


def test_gss_encryption_is_declined_and_tls_taken_after_it(tls_pooler):
    pooler = tls_pooler()
    client = pooler.raw()
    client.send(wire.request_packet(wire.GSSENC))
    assert client.read_byte() == b"N"
    client.send(wire.request_packet(wire.SSL))
    assert client.read_byte() == b"S"


def test_unix_sockets_need_no_tls(tls_pooler):
    pooler = tls_pooler("require")
    client = pooler.raw(pooler.socket_path)
    client.send(wire.request_packet(wire.SSL))
    assert client.read_byte() == b"N"
    assert pooler.connect(address=pooler.socket_path).value("select 1") == "1"


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_clients_must_show_a_certificate_where_it_is_verified(tls_pooler, authority, stranger, mode):
    pooler = tls_pooler(mode, client_tls_ca_file=authority.certificate)
    good = client_context(certificate=authority.sign("app", names=()))
    assert connect(pooler, context=good).value("select 1") == "1"
    for bad in (client_context(), client_context(certificate=stranger.sign("app", names=())),
                client_context(certificate=authority.sign("app", names=(), start=LONG_AGO, end=PAST))):
        with pytest.raises((ssl.SSLError, Closed)):
            connect(pooler, context=bad)
    pooler.wait_log("TLS handshake failed: .*peer did not return a certificate")
    pooler.wait_log("TLS handshake failed: certificate verify failed: unable to get local issuer certificate")
    pooler.wait_log("TLS handshake failed: certificate verify failed: certificate has expired")
    assert connect(pooler, context=good).value("select 1") == "1"


# --- real clients ----------------------------------------------------------------------------------------------


def test_psql_with_verify_full(tls_pooler, authority, stranger):
    pooler = tls_pooler()
    done = psql(pooler, "select 41 + 1", sslmode="verify-full", sslrootcert=authority.certificate)
    assert (done.stdout, done.returncode) == ("42\n", 0), done.stderr
    done = psql(pooler, sslmode="verify-full", sslrootcert=stranger.certificate)
    assert done.returncode == 2 and "certificate verify failed" in done.stderr
    done = psql(pooler, host="other.example", sslmode="verify-full", sslrootcert=authority.certificate)
    assert done.returncode == 2 and "does not match host name" in done.stderr


@pytest.mark.drivers
def test_psycopg_with_channel_binding(tls_pooler, authority):
    pooler = tls_pooler()
    with psycopg.connect(host="localhost", port=pooler.port, user="app", password="app-pw", dbname="lab", sslmode="verify-full",
                         sslrootcert=authority.certificate, channel_binding="require") as connection:
        assert connection.execute("select 1").fetchone() == (1,)


# --- channel binding -------------------------------------------------------------------------------------------


class PlusClient(TLSClient):
    """Logs in by SCRAM-SHA-256-PLUS; `mechanism`, `header` and `data` as a cheat would have them."""

    def __init__(self, address, mechanism="SCRAM-SHA-256-PLUS", header="p=tls-server-end-point,,", data=None, **more):
        self.mechanism, self.header, self.data, self.offered = mechanism, header, data, None
        super().__init__(address, **more)

    def login(self):
        seen, scram = wire.Reply(), None
        while True:
            got = self.read()
            seen.append(got)
            if got[0] == "E":
                raise ServerError(got[1])
            if got[0] == "Z":
                return seen
            if got[0] == "R" and got[1] == 10:
                self.offered = got[2].rstrip(b"\0").split(b"\0")
                scram = PlusScram(self.password, self.socket.getpeercert(True), self.header, self.data)
                self.send(scram.first_message(self.mechanism))
            elif got[0] == "R" and got[1] == 11:
                self.send(scram.final_message(got[2].decode()))
            elif got[0] == "R" and got[1] == 12:
                scram.verify(got[2].decode())


def plus(pooler, **more):
    client = PlusClient(pooler.address, user="app", password="app-pw", database="lab", **more)
    pooler.clients.append(client)
    return client


def test_channel_binding_is_offered_first_and_works(tls_pooler):
    pooler = tls_pooler()
    client = plus(pooler)
    assert client.offered == [b"SCRAM-SHA-256-PLUS", b"SCRAM-SHA-256"]
    assert client.value("select 1") == "1"
    assert plus(pooler, mechanism="SCRAM-SHA-256", header="n,,").value("select 2") == "2"


@pytest.mark.parametrize(
    "cheat",
    [
        {"data": b"x" * 32},  # the hash of another certificate: somebody is in between
        {"data": b""},
        {"header": "n,,"},
        {"header": "y,,"},
        {"header": "p=tls-unique,,"},
        {"header": "p=tls-server-end-point,a=postgres,"},
        {"mechanism": "SCRAM-SHA-256"},
        {"mechanism": "SCRAM-SHA-256", "header": "y,,"},  # somebody took the offer away
        {"mechanism": "SCRAM-SHA-1-PLUS"},
        {"mechanism": ""},
    ],
    ids=str,
)
def test_hostile_channel_binding(tls_pooler, cheat):
    pooler = tls_pooler()
    with pytest.raises(ServerError) as refused:
        plus(pooler, **cheat)
    expected = "client selected an invalid SASL authentication mechanism" if cheat.get("mechanism", "x") in ("", "SCRAM-SHA-1-PLUS") else "SASL authentication failed"
    assert refused.value.message == expected
    assert plus(pooler).value("select 1") == "1"


def test_channel_binding_is_not_offered_without_tls(tls_pooler):
    client = tls_pooler("allow").raw()
    client.send(wire.startup_packet({"user": "app", "database": "lab"}))
    assert client.read()[2].rstrip(b"\0").split(b"\0") == [b"SCRAM-SHA-256"]


def test_scram_pass_through_with_channel_binding(tls_pooler, postgres):
    pooler = tls_pooler(users={"app": postgres.secret_of("app")})
    assert plus(pooler).value("select current_user") == "app"


# --- direct TLS ------------------------------------------------------------------------------------------------


def test_with_tls_unknown_users_keep_their_salt_over_a_restart(tls_pooler, authority):
    """As known users do. Their key comes from the pooler's private key."""
    users = {"app": wire.scram_secret("app-pw")}
    poolers = [tls_pooler(users=users), tls_pooler(users=users), tls_pooler(users=users, own=authority.sign())]
    same, again, different = (salt_of(pooler, "nobody") for pooler in poolers)
    assert same == again != different
    assert len({salt_of(pooler, "app") for pooler in poolers}) == 1


def test_direct_tls_with_alpn(tls_pooler):
    pooler = tls_pooler()
    client = connect(pooler, direct=True)
    assert client.socket.selected_alpn_protocol() == "postgresql"
    assert client.value("select 1") == "1"


def test_direct_tls_in_small_pieces(tls_pooler):
    pooler = tls_pooler()
    raw = pooler.raw()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context(alpn="postgresql").wrap_bio(incoming, outgoing, server_hostname="localhost")
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            for byte in outgoing.read():
                raw.socket.sendall(bytes([byte]))
            incoming.write(raw.socket.recv(65536))
    tls.write(wire.startup_packet({"user": "app", "database": "lab"}))
    for byte in outgoing.read():
        raw.socket.sendall(bytes([byte]))
    while True:
        incoming.write(raw.socket.recv(65536))
        try:
            assert tls.read(1) == b"R"
            break
        except ssl.SSLWantReadError:
            pass  # a session ticket


@pytest.mark.parametrize("alpn", [None, "h2"])
def test_direct_tls_without_our_protocol_is_refused(tls_pooler, alpn):
    pooler = tls_pooler()
    with pytest.raises((ssl.SSLError, Closed, ConnectionError)):
        connect(pooler, direct=True, context=client_context(alpn=alpn))
    pooler.wait_log("direct TLS without ALPN|no application protocol")


def test_a_handshake_where_tls_is_off(make_pooler):
    pooler = make_pooler()
    client = pooler.raw()
    client.socket.sendall(bytes([0x16, 3, 1, 2, 0, 1, 0, 1]))
    assert client.read_until("E")[-1][1]["M"].startswith("bad packet header: '16030102")


# --- what must not be possible ---------------------------------------------------------------------------------


def test_plaintext_behind_an_ssl_request_is_refused(tls_pooler):
    # somebody in between puts a startup packet of his own in front of the client's (CVE-2021-23214)
    pooler = tls_pooler("allow")
    client = pooler.raw()
    client.send(wire.request_packet(wire.SSL) + wire.startup_packet({"user": "app", "database": "lab"}))
    error = client.read_until("E")[-1][1]
    assert (error["S"], error["C"], error["M"]) == ("FATAL", "08P01", "received unencrypted data after SSL request")
    assert client.read_to_end() == []


def test_plaintext_in_place_of_a_handshake_is_refused(tls_pooler):
    pooler = tls_pooler("allow")
    client = pooler.raw()
    client.send(wire.request_packet(wire.SSL))
    assert client.read_byte() == b"S"
    client.send(wire.startup_packet({"user": "app", "database": "lab"}))
    answer = b""
    try:
        while part := client.socket.recv(1000):
            answer += part
    except ConnectionResetError:
        pass
    assert not answer or answer[0] == 0x15, f"an alert or nothing: {answer!r}"
    pooler.wait_log("TLS handshake failed: ")
    assert not pooler.log_contains("login attempt")


@pytest.mark.parametrize("direct", [False, True], ids=["asked", "direct"])
@pytest.mark.parametrize("code", [wire.SSL, wire.GSSENC], ids=["TLS", "GSSAPI"])
def test_encryption_inside_tls_is_no_protocol(tls_pooler, code, direct):
    """As in PostgreSQL. An N without end would be an endless loop with a client that asks until it hears something else."""
    client = connect(tls_pooler(), login=False, direct=direct)
    client.send(wire.request_packet(code))
    error = client.read_until("E")[-1][1]
    assert (error["S"], error["C"]) == ("FATAL", "0A000")
    assert error["M"] == f"unsupported frontend protocol 1234.{code & 0xFFFF}: server supports 3.0 to 3.2"


GARBAGE = [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 500, bytes([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0]), bytes([0x16, 3, 1, 0xFF, 0xFF]) + b"x" * 70000,
           bytes([0x15, 3, 3, 0, 2, 2, 40]), bytes([0x17, 3, 3, 0, 32]) + b"y" * 32, bytes([0x16, 3, 1, 0, 0]) * 2000, os.urandom(3000)]


@pytest.mark.parametrize("direct", [False, True], ids=["asked", "direct"])
@pytest.mark.parametrize("garbage", range(len(GARBAGE)))
def test_garbage_instead_of_a_client_hello(tls_pooler, garbage, direct):
    pooler = tls_pooler("allow")
    other = connect(pooler)
    client = pooler.raw()
    if not direct:
        client.send(wire.request_packet(wire.SSL))
        assert client.read_byte() == b"S"
    try:
        client.socket.sendall(GARBAGE[garbage])
        client.socket.shutdown(socket.SHUT_WR)
        while client.socket.recv(65536):
            pass
    except OSError:
        pass
    assert other.value("select 1") == "1"
    assert connect(pooler).value("select 2") == "2"


@pytest.mark.parametrize("how", ["close", "reset", "half"])
@pytest.mark.parametrize("sent", [0, 5, 200])
def test_a_client_that_leaves_in_the_middle_of_a_handshake(tls_pooler, how, sent):
    pooler = tls_pooler()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    for _ in range(20):
        client = pooler.raw()
        client.send(wire.request_packet(wire.SSL))
        assert client.read_byte() == b"S"
        client.socket.sendall(hello[:sent])
        {"close": client.close, "reset": client.reset, "half": client.half_close}[how]()
    pooler.wait_log("closing because: client unexpected eof|closing because: client connection reset", 20)
    assert connect(pooler).value("select 1") == "1"


def test_a_handshake_that_never_ends_is_ended(tls_pooler):
    pooler = tls_pooler(client_login_timeout=1)
    client = pooler.raw()
    client.send(wire.request_packet(wire.SSL))
    assert client.read_byte() == b"S"
    client.socket.sendall(bytes([0x16, 3, 1, 2, 0, 1]))
    assert client.socket.recv(1000) == b"", "nothing may be said in plaintext"
    pooler.wait_log("closing because: client_login_timeout")


# --- versions, ciphers, sessions -------------------------------------------------------------------------------


def test_the_login_line_names_version_and_cipher(tls_pooler):
    pooler = tls_pooler(client_tls13_ciphers="TLS_CHACHA20_POLY1305_SHA256", client_tls_ciphers="ECDHE-ECDSA-AES128-GCM-SHA256", client_tls_ecdhcurve="prime256v1")
    connect(pooler)
    pooler.wait_log("login attempt: db=lab user=app tls=TLSv1.3/TLS_CHACHA20_POLY1305_SHA256 replication=no")
    connect(pooler, context=client_context(maximum=ssl.TLSVersion.TLSv1_2))
    pooler.wait_log("login attempt: db=lab user=app tls=TLSv1.2/ECDHE-ECDSA-AES128-GCM-SHA256/ECDH=prime256v1 replication=no")


@pytest.mark.parametrize("protocols", ["tlsv1.3", "tlsv1.2"])
def test_protocols(tls_pooler, protocols):
    pooler = tls_pooler(client_tls_protocols=protocols)
    assert connect(pooler, context=client_context()).socket.version() == protocols.replace("tls", "TLS") if protocols == "tlsv1.3" else True
    if protocols == "tlsv1.3":
        with pytest.raises(ssl.SSLError):
            connect(pooler, context=client_context(maximum=ssl.TLSVersion.TLSv1_2))
    else:
        assert connect(pooler).socket.version() == "TLSv1.2"


@pytest.mark.parametrize("maximum", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_sessions_are_resumed_by_every_worker(tls_pooler, maximum):
    pooler = tls_pooler(workers=4)
    context = client_context(maximum=maximum)
    first = connect(pooler, context=context)
    assert first.value("select 1") == "1"
    session = first.socket.session
    assert session.has_ticket
    for _ in range(8):
        client = connect(pooler, context=context, session=session)
        assert client.value("select 2") == "2" and client.socket.session_reused


# --- data ------------------------------------------------------------------------------------------------------


def test_bulk_results_with_a_slow_reader(tls_pooler):
    # 200 MB of rows to somebody who reads a little at a time: the pooler holds next to nothing of it
    pooler = tls_pooler(workers=1)
    client = connect(pooler)
    other = connect(pooler)
    assert client.value("select repeat('x', 1000000)") == "x" * 1000000
    before = pooler.memory()
    client.send(query("select repeat('y', 99990) from generate_series(1, 2000)"))
    for _ in range(50):
        client._receive()
    assert other.value("select 1") == "1"
    assert pooler.memory() - before < 8 << 20
    total, rows = client.drain()
    assert rows == 2000 and total > 199_000_000
    assert pooler.memory() - before < 8 << 20


def test_large_messages_both_ways(tls_pooler):
    client = connect(tls_pooler())
    text = "z" * 5_000_000
    assert client.value(f"select length('{text}')") == str(len(text))
    assert client.extended("select $1::text", [text]).check().values == [text]
    client.rows("create temp table t (x text)")


def test_many_small_queries_in_one_burst(tls_pooler):
    client = connect(tls_pooler())
    reply = client.run(*[query(f"select {i}") for i in range(2000)], ready=2000)
    assert reply.check().values == [str(i) for i in range(2000)]


def test_many_clients_on_few_servers(tls_pooler):
    pooler = tls_pooler(default_pool_size=3, workers=2)
    clients = [connect(pooler) for _ in range(60)]
    for turn in range(5):
        for i, c in enumerate(clients):
            c.send(query(f"select {turn}, {i}"))
        for i, c in enumerate(clients):
            assert c.read_until("Z").check().rows == [(str(turn), str(i))]


@pytest.mark.needs_strace
@pytest.mark.timeout(300)
@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
@pytest.mark.parametrize("burst", [test_syscalls.simple, test_syscalls.extended])
def test_four_socket_calls_per_transaction_over_tls(tls_pooler, burst):
    pooler = tls_pooler(workers=1, default_pool_size=4, auth_type="trust")
    clients = [connect(pooler) for _ in range(16)]
    for c in clients[:4]:
        c.rows("begin")
    for c in clients[:4]:
        c.rows("commit")
    test_syscalls.drive(clients, burst, 500)
    with test_syscalls.Trace(pooler) as trace:
        test_syscalls.drive(clients, burst, 4000)
    print(trace)
    assert 4000 < trace.total <= 4 * 4000 * test_syscalls.SLACK, str(trace)
    assert trace.epoll_ctl <= 40 and trace.again <= 4000 * test_syscalls.STRAY, str(trace)


def test_cancel_over_tls_and_in_the_clear(tls_pooler, authority):
    pooler = tls_pooler("require")
    client = connect(pooler)
    for encrypted in (True, False):
        client.send(query("select pg_sleep(60)"))
        wait_until(lambda: pooler.servers(where="query like '%pg_sleep(60)%' and state = 'active'"), "the query to run")
        if encrypted:
            canceller = connect(pooler, login=False)
            canceller.send(wire.request_packet(wire.CANCEL, struct.pack("!I", client.key[0]) + client.key[1]))
            assert canceller.read_to_end() == []
        else:
            client.cancel()
        assert client.read_until("Z").error.code == "57014"


def test_errors_reach_clients_and_the_line_is_closed_in_peace(tls_pooler):
    client = connect(tls_pooler(), login=False)
    client.send(wire.startup_packet({"user": "app", "database": "lab"}))
    client.read()
    client.send(wire.message("p", b"SCRAM-SHA-256\0" + struct.pack("!I", 3) + b"n,,"))
    assert client.read_until("E")[-1][1]["M"] == "SASL authentication failed"
    assert client.socket.recv(10) == b"", "a close_notify, not a cut line"


def test_queries_go_on_during_a_storm_of_handshakes(tls_pooler, authority):
    # RSA 4096 costs milliseconds a handshake: 200 at once are most of a second, in which queries must not stop
    pooler = tls_pooler(own=authority.sign(key="rsa:4096"), workers=1)
    worker = connect(pooler)
    hellos = []
    for _ in range(200):
        raw = pooler.raw()
        raw.send(wire.request_packet(wire.SSL))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        hellos.append((raw, outgoing.read()))
    for raw, _ in hellos:
        assert raw.read_byte() == b"S"
    for raw, hello in hellos:
        raw.socket.sendall(hello)
    answered = 0
    # the answers that come while the last handshake has not been answered
    while True:
        assert worker.value("select 1") == "1"
        answered += 1
        raw = hellos[-1][0]
        raw.socket.setblocking(False)
        try:
            raw.socket.recv(1, socket.MSG_PEEK)
            break
        except BlockingIOError:
            pass
    assert answered >= 20, f"{answered} queries were answered during 200 handshakes"


# --- start and reload ------------------------------------------------------------------------------------------


def refused(pooler):
    pooler.launch()
    assert pooler.wait() == 1
    pooler.process = None
    return pooler.stderr()


def test_a_start_names_setting_file_and_reason(tls_pooler, authority, run_folder, certificate):
    def start(**settings):
        return refused(tls_pooler(start=False, **settings))

    assert "client_tls_key_file and client_tls_cert_file must be set" in start(client_tls_cert_file="")
    assert "client_tls_cert_file: /nonexistent: cannot be read: No such file" in start(client_tls_cert_file="/nonexistent")
    assert f"client_tls_cert_file: {certificate.key}: there is no certificate in it" in start(client_tls_cert_file=certificate.key)
    other = authority.sign()
    assert f"client_tls_key_file: {other.key}: the key does not belong to the certificate in {certificate.certificate}" in start(client_tls_key_file=other.key)
    assert "client_tls_ca_file: missing" in start(mode="verify-full")
    assert "failed to set the TLSv1.3 cipher suites" in start(client_tls13_ciphers="NONE")
    assert "client_tls_protocols" in start(client_tls_protocols="sslv3")
    assert "server_tls_ca_file: /nonexistent" in start(server_tls_sslmode="verify-ca", server_tls_ca_file="/nonexistent")
    assert 'auth_type: "cert" needs client_tls_sslmode = verify-full' in start(auth_type="cert")


@pytest.fixture
def own_files(run_folder, authority):
    """Files of this test alone, which it may change."""
    folder = run_folder.folder("tls-files")
    certificate, key = f"{folder}/server.crt", f"{folder}/server.key"

    def put(source):
        replace(certificate, source.certificate)
        replace(key, source.key)

    put(authority.sign())
    return type("Files", (), {"certificate": certificate, "key": key, "put": staticmethod(put)})


def serial(client):
    return client.socket.getpeercert()["serialNumber"]


def test_a_reload_takes_a_new_certificate_and_drops_nobody(tls_pooler, own_files, authority):
    pooler = tls_pooler(own=own_files)
    context = client_context(authority)
    old = connect(pooler, context=context)
    old.rows("begin")
    own_files.put(authority.sign())
    pooler.reload()
    wait_until(lambda: serial(connect(pooler, context=context)) != serial(old), "the new certificate")
    assert old.value("select 1") == "1"
    old.rows("commit")


@pytest.mark.parametrize("fault", ["garbage", "mismatch", "expired", "early", "gone"])
def test_a_reload_of_bad_files_changes_nothing(tls_pooler, own_files, authority, fault):
    pooler = tls_pooler(own=own_files)
    context = client_context(authority)
    old = connect(pooler, context=context)
    if fault == "garbage":
        with open(own_files.certificate, "w") as f:
            f.write("-----BEGIN CERTIFICATE-----\nnonsense\n")
    elif fault == "mismatch":
        replace(own_files.key, authority.sign().key)
    elif fault == "expired":
        own_files.put(authority.sign(start=LONG_AGO, end=PAST))
    elif fault == "early":
        own_files.put(authority.sign(start="20900101000000Z", end="20910101000000Z"))
    else:
        os.unlink(own_files.certificate)
    pooler.reload(query_wait_timeout=77)
    pooler.wait_log("RELOAD failed: the running configuration stays as it is")
    assert pooler.log_contains(r"client_tls_(cert|key)_file: " + re.escape(own_files.certificate[:-10]))
    assert serial(connect(pooler, context=context)) == serial(old)
    assert old.value("select 1") == "1"
    own_files.put(authority.sign())
    pooler.reload()
    wait_until(lambda: serial(connect(pooler, context=context)) != serial(old), "the repaired certificate")


def test_a_reload_turns_tls_on_and_off(make_pooler, certificate):
    pooler = make_pooler(client_tls_cert_file=certificate.certificate, client_tls_key_file=certificate.key)
    plain = pooler.connect()
    pooler.reload(client_tls_sslmode="require")

    def takes_tls():
        try:
            return connect(pooler)
        except AssertionError:
            return None

    encrypted = wait_until(takes_tls, "TLS to be on")
    pooler.reload(client_tls_sslmode="disable")
    wait_until(lambda: takes_tls() is None, "TLS to be off")
    assert plain.value("select 1") == "1" and encrypted.value("select 2") == "2"


def test_an_expired_certificate_is_a_warning_at_the_start(tls_pooler, authority):
    pooler = tls_pooler(own=authority.sign(start=LONG_AGO, end=PAST))
    assert pooler.log_contains("WARNING.*client_tls_cert_file: .*the certificate has expired")
    assert connect(pooler).value("select 1") == "1"
    pooler.reload(query_wait_timeout=99)
    assert not pooler.log_contains("RELOAD failed")


# --- SET -------------------------------------------------------------------------------------------------------


def console(pooler):
    pooler.wait_log("process up")  # the Unix socket is the last one to be opened
    return pooler.connect("app2", database="pgbouncer", address=pooler.socket_path)


def test_certificate_and_key_are_changed_one_after_the_other(tls_pooler, authority):
    """There is no SET of both at once. In between, the old pair stays in force."""
    pooler = tls_pooler(admin_users="app2")
    context, operator = client_context(authority), console(pooler)
    before = serial(connect(pooler, context=context))
    for order in (("cert", "key"), ("key", "cert")):
        fresh = authority.sign()
        path = {"cert": fresh.certificate, "key": fresh.key}
        half = operator.query(f"SET client_tls_{order[0]}_file = '{path[order[0]]}'").check()
        assert "not in force yet: client_tls_key_file: " in half.notices[0]["M"] and "does not belong to the certificate" in half.notices[0]["M"]
        assert serial(connect(pooler, context=context)) == before
        # nothing else can be built meanwhile, and nothing else is disturbed
        assert operator.query("SET client_tls_protocols = secure").error.message == "SET failed"
        operator.query("SET query_wait_timeout = 77").check()
        whole = operator.query(f"SET client_tls_{order[1]}_file = '{path[order[1]]}'").check()
        assert not whole.notices
        after = serial(connect(pooler, context=context))
        assert after != before
        before = after
    assert operator.query("SET client_tls_cert_file = '/nonexistent'").error.message == "SET failed"
    assert serial(connect(pooler, context=context)) == before


def test_a_pair_towards_servers_is_set_in_two_steps(tls_pooler, authority):
    pooler = tls_pooler(admin_users="app2", server_tls_sslmode="prefer")
    own, operator = authority.sign("app", names=()), console(pooler)
    assert "server_tls_key_file: missing" in operator.query(f"SET server_tls_cert_file = '{own.certificate}'").check().notices[0]["M"]
    assert connect(pooler).value("select 1") == "1"
    assert not operator.query(f"SET server_tls_key_file = '{own.key}'").check().notices
    assert connect(pooler).value("select 1") == "1"


def test_tls_is_turned_on_by_set(make_pooler, certificate):
    pooler = make_pooler(admin_users="app2")
    operator = console(pooler)
    operator.query(f"SET client_tls_cert_file = '{certificate.certificate}'").check()
    operator.query(f"SET client_tls_key_file = '{certificate.key}'").check()
    operator.query("SET client_tls_sslmode = require").check()
    assert connect(pooler).value("select 1") == "1"


@pytest.mark.parametrize("suite", ["TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"])
def test_the_suites_of_tls_1_3_are_changed_by_set(tls_pooler, suite):
    pooler = tls_pooler(admin_users="app2")
    operator = console(pooler)
    kept = connect(pooler)
    usual = kept.socket.cipher()[0]
    operator.query(f"SET client_tls13_ciphers = '{suite}'").check()
    assert connect(pooler).socket.cipher()[0] == suite != usual
    pooler.wait_log(f"tls=TLSv1.3/{suite}")
    # a session that began before is not taken up again with what it had
    assert connect(pooler, session=kept.socket.session, context=kept.context).socket.cipher()[0] == suite
    assert operator.query("SET client_tls13_ciphers = 'nonsense'").error.fields["D"].startswith("client_tls13_ciphers: failed to set the TLSv1.3 cipher suites")
    pooler.wait_log("SET failed: client_tls13_ciphers: failed to set the TLSv1.3 cipher suites")
    assert connect(pooler).socket.cipher()[0] == suite
    operator.query("SET client_tls13_ciphers = ''").check()
    assert connect(pooler).socket.cipher()[0] == usual
